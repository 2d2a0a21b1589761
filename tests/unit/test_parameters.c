/* Parameters by the value of an attribute: mistakes, what is kept, and what a state carries with it. What
 * they mean is in tests/rules/parameters.test. */
#include "app/cli.h"
#include "io/config.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#define HEAD                                                                                                 \
    "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; }; evidence_max = 0;\n"                  \
    "inputs = ( { topic = \"events\"; format = \"json\"; } );\n"
#define DEFINITION(qualify)                                                                                  \
    "definitions = ( { name = \"d\"; subject = \"account\"; qualify = \"" qualify "\"; } );\n"
#define BAR                                                                                                  \
    "parameters = ( { name = \"bar\"; by = \"account.segment\"; default = 8;\n"                              \
    "  values = ( { is = \"enterprise\"; value = 12; }, { is = true; value = 3; } ); } );\n"

static void refused(const char *config, const char *message)
{
    write_file("c.conf", config);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    if (!strstr(err, message)) fail_msg("%s\nis not in\n%s", message, err);
}

static void test_errors(void **state)
{
    (void)state;
#define WITH(fields) HEAD DEFINITION("count(x, 7d) >= $p") "parameters = ( { name = \"p\"; " fields " } );\n"
    refused(WITH("by = \"segment\"; default = 8; values = ( { is = \"a\"; value = 1; } );"),
            "c.conf:4:36: 'by' is an attribute, user.NAME or account.NAME, as in \"account.segment\"");
    refused(WITH("by = \"account.s\"; default = 8;"),
            "'by' needs values, as in values = ( { is = \"enterprise\"; value = 12; } )");
    refused(WITH("default = 8; values = ( { is = \"a\"; value = 1; } );"),
            "'values' needs 'by', the attribute that they go by, as in by = \"account.segment\"");
    refused(WITH("by = \"account.s\"; default = 8; values = ( { is = 7; value = 1; }, { is = 7.0; value = 2; "
                 "} );"),
            "there is a value for this already");
    refused(WITH("by = \"account.s\"; default = 8; values = ( { is = \"a\"; value = \"7d\"; } );"),
            "the values of a parameter are of one type: 'default' is a number, this is a duration");
    refused(WITH("by = \"account.s\"; default = 8; values = ( { value = 1; } );"), "'is' is missing");
    refused(WITH("by = \"account.s\"; default = 8; values = ( 5 );"),
            "'values' holds groups { is = …; value = …; }");
    refused(WITH("by = \"user.s\"; default = 8; values = ( { is = \"a\"; value = 1; } );"),
            "$p goes by user.s: it stands inside users(…), any_user(…) or share(…) in an account definition");
    refused(
        HEAD DEFINITION(
            "count(x, $w) >= 1") "parameters = ( { name = \"w\"; by = \"account.s\";\n"
                                 "  default = \"7d\"; values = ( { is = \"a\"; value = \"9d\"; } ); } );\n",
        "a window needs a parameter of one value; $w has others by account.s");
}

/* A parameter counts with its largest value. */
static void test_what_is_kept(void **state)
{
    (void)state;
    write_file("c.conf", HEAD BAR DEFINITION("count(x, 7d) >= $bar"));
    assert_int_equal(run("pqlstream explain --config %s", path_of("c.conf")), PQL_EXIT_OK);
    if (!strstr(out, "the newest 12 times")) fail_msg("%s", out);
}

static void test_part_of_the_program(void **state)
{
    (void)state;
    write_file("c.conf", HEAD BAR DEFINITION("count(x, 7d) >= $bar"));
    struct pql_config *first = load_config(&(struct pql_config_request){.path = path_of("c.conf")});
    struct pql_config *again =
        load_config(&(struct pql_config_request){.path = "program", .program = first->program.text});
    const struct pql_lang_parameter *bar = again->program.parameters;
    assert_true(pql_slice_is(bar->by.text, "account.segment"));
    assert_int_equal(bar->values_count, 2);
    assert_true(pql_slice_is(bar->values[0].is.text, "enterprise"));
    assert_true(bar->values[0].value.number == pql_decimal_of_int(12));
    assert_true(bar->values[1].is.kind == PQL_BOOL && bar->values[1].is.boolean);
    pql_config_free(again);
    pql_config_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_what_is_kept),
        cmocka_unit_test(test_part_of_the_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
