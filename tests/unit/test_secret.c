/* Which settings are secrets, what a line of a configuration with one looks like, and what a command line
 * shows. */
#include "app/secrecy.h"
#include "base/secret.h"
#include "io/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
/* after the above */
#include <cmocka.h>

static void names(void **state)
{
    (void)state;
    static const char *const secrets[] = {"kafka.sasl_password",
                                          "kafka.ssl.key.pem",
                                          "kafka.sasl_oauthbearer_client_secret",
                                          "kafka.producer.ssl_keystore_password",
                                          "kafka.sasl_oauthbearer_assertion_private_key_passphrase",
                                          "registry.token",
                                          "registry.password",
                                          "http_token"};
    static const char *const others[] = {"kafka.sasl_username",
                                         "kafka.sasl_oauthbearer_token_endpoint_url",
                                         "app",
                                         "mappings.secret_app.event",
                                         "registry.url",
                                         "kafka.ssl_ca_location"};
    for (size_t i = 0; i < sizeof secrets / sizeof *secrets; i++)
        assert_true(pql_config_is_secret(secrets[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(pql_config_is_secret(others[i]));
}

static void masked(void **state)
{
    (void)state;
    static const struct {
        const char *line, *shown;
    } cases[] = {
        {"app = \"a\"; sasl_password = \"hush\"; x = 1;", "app = \"a\"; sasl_password = \"****\"; x = 1;"},
        {"http_token:\"a\\\"b\" \"c\"", "http_token:\"****\" \"*\""},
        {"password = 1234; user = \"joe\";", "password = ****; user = \"joe\";"},
        {"password = \"no end", "password = \"******"},
        {"password = \"end\\", "password = \"****"},
        {"url = \"http://joe:hush@h:1/x,https://h/@\";", "url = \"http://********@h:1/x,https://h/@\";"},
        {"password = \"${env:X}\"; token = \"y\";", "password = \"${env:X}\"; token = \"*\";"},
        {"token =", "token ="},
        {"password", "password"},
        {"qualify = \"latest(user.token, 7d) = 'x'\";", "qualify = \"latest(user.token, 7d) = 'x'\";"},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[100];
        snprintf(line, sizeof line, "%s", cases[i].line);
        pql_secret_mask(line);
        assert_string_equal(line, cases[i].shown);
    }
}

static void command_lines(void **state)
{
    (void)state;
    char words[][60] = {"pqlstream",
                        "run",
                        "--set",
                        "kafka.sasl_password=hush",
                        "--set=http_token=hush",
                        "-s",
                        "registry.url=http://joe:hush@host:1/x",
                        "--set",
                        "kafka.sasl_password=${env:X}",
                        "--set"};
    char *argv[11] = {NULL};
    for (int i = 0; i < 10; i++) argv[i] = words[i];
    char **kept = pql_secrecy_begin(10, argv);
    assert_string_equal(kept[3], "kafka.sasl_password=hush");
    assert_string_equal(kept[6], "registry.url=http://joe:hush@host:1/x");
    assert_null(kept[10]);
    assert_string_equal(words[3], "kafka.sasl_password=****");
    assert_string_equal(words[4], "--set=http_token=****");
    assert_string_equal(words[6], "registry.url=http://********@host:1/x");
    assert_string_equal(words[8], "kafka.sasl_password=${env:X}");
    struct rlimit core;
    assert_int_equal(getrlimit(RLIMIT_CORE, &core), 0);
    assert_int_equal(core.rlim_cur, 0);
    assert_int_equal(umask(077), 077);
    free(kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names),
        cmocka_unit_test(masked),
        cmocka_unit_test(command_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
