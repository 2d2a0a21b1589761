/* health: asks the process that runs with this configuration how it is; for health checks where there is no
 * curl. */
#include "app/setup.h"
#include "io/probe.h"

static int ask(const struct pql_server_conf *http, const char *path)
{
    struct pql_buf body = {0};
    struct pql_err err = {0};
    long status = 0;
    if (!http->address) {
        fputs("pqlstream health: the configuration has no `http`: nobody can be asked\n", stderr);
        return PQL_EXIT_CONFIG;
    }
    if (pql_probe(http, path, &status, &body, &err) == 0)
        printf("%.*s", (int)body.len, body.ptr ? body.ptr : "");
    else
        fprintf(stderr, "pqlstream health: %s\n", err.msg);
    pql_buf_deinit(&body);
    return status == 200 ? PQL_EXIT_OK : PQL_EXIT_FAILURE;
}

int pql_cmd_health(int argc, char **argv)
{
    struct pql_config_flags config = {0};
    struct pql_setup setup;
    bool asks_ready = false;
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&config),
        {"--ready", 0, PQL_FLAG_YES, NULL, "/ready: does every assigned partition process new events?",
         &asks_ready},
    };
    int rest, exit_code;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Asks the admin endpoint that the configuration names (http) whether its process lives "
            "(/live), and prints the\nanswer. Ends with 0 where all is well, else with 1.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    if (pql_setup_init(&setup, &config, true, &exit_code))
        exit_code = ask(&setup.config->http, asks_ready ? "/ready" : "/live");
    pql_setup_deinit(&setup);
    return exit_code;
}
