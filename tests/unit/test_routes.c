/* What records say for whoever acts on them: routes, segment, motion, priority. */
#include "app/cli.h"
#include "io/config.h"
#include "support/commands.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#define HEAD                                                                                                 \
    "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"                                    \
    "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"                          \
    "mappings = { own = { kind = \"type\"; event = \"event\"; account = \"a\"; user = \"u\"; time = "        \
    "\"t\";\n"                                                                                               \
    "  properties = \"p.*\"; attributes = \"traits.*\"; }; };\n"

static const char *text_of(const json_t *record, const char *name)
{
    const char *text = json_string_value(json_object_get(record, name));
    return text ? text : "-";
}

/* One line a record: "d/A entered route segment motion priority". */
static const char *replayed(const char *config, const char *events)
{
    static char all[4096];
    size_t used = 0;
    write_file("c.conf", config);
    write_file("e.jsonl", events);
    int code = run("pqlstream replay --config %s --advance end %s", path_of("c.conf"), path_of("e.jsonl"));
    if (code) fail_msg("%s", err);
    char *save = NULL;
    for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
        json_t *record = json_loads(line, 0, NULL);
        assert_non_null(record);
        used += (size_t)snprintf(
            all + used, sizeof all - used, "%s/%s %s %s %s %s %s\n", text_of(record, "definition"),
            text_of(record, "account_id"), text_of(record, "transition"), text_of(record, "route"),
            text_of(record, "segment"), text_of(record, "motion"), text_of(record, "priority"));
        json_decref(record);
    }
    all[used] = 0;
    return all;
}

static void test_first_that_holds(void **state)
{
    (void)state;
    static const char config[] = HEAD
        "definitions = ( { name = \"team\"; subject = \"account\"; qualify = \"count(x, 7d) >= 1\";\n"
        "  routes = ( { to = \"senior_ae\"; when = \"members() >= 2\"; }, { to = \"sdr\"; } );\n"
        "  segment = ( { is = \"enterprise\"; when = \"account.size >= 1000\"; },\n"
        "              { is = \"mid\"; when = \"account.size >= 100\"; } );\n"
        "  motion = \"self_serve\";\n"
        "  priority = ( { is = \"high\"; when = \"users(count(x, 7d) >= 2) >= 1 and is(other)\"; } ); },\n"
        "  { name = \"other\"; subject = \"account\"; qualify = \"count(y, ever) >= 1\"; } );\n";
    /* A: one member, no size. B: two members, size 150. C: comes to `other` and two events of one user by the
     * time it leaves: of what was then, not of what is kept. */
    assert_string_equal(
        replayed(config,
                 "{\"event\":\"x\",\"a\":\"A\",\"u\":\"1\",\"t\":\"2026-01-01T00:00:00Z\"}\n"
                 "{\"type\":\"group\",\"a\":\"B\",\"t\":\"2026-01-01T00:00:00Z\",\"traits\":{\"size\":"
                 "150}}\n"
                 "{\"event\":\"z\",\"a\":\"B\",\"u\":\"1\",\"t\":\"2026-01-01T00:00:00Z\"}\n"
                 "{\"event\":\"x\",\"a\":\"B\",\"u\":\"2\",\"t\":\"2026-01-01T00:00:01Z\"}\n"
                 "{\"event\":\"y\",\"a\":\"C\",\"u\":\"1\",\"t\":\"2026-01-01T00:00:02Z\"}\n"
                 "{\"event\":\"x\",\"a\":\"A\",\"u\":\"2\",\"t\":\"2026-01-02T00:00:00Z\"}\n"),
        "team/A entered sdr - self_serve -\n"
        "team/B entered senior_ae mid self_serve -\n"
        "other/C entered - - - -\n"
        "team/B left senior_ae mid self_serve -\n"
        "team/A left senior_ae - self_serve -\n");
    /* Both parts hold for the first record of the second event; `other` is evaluated before its reader. */
    assert_string_equal(
        replayed(config,
                 "{\"event\":\"y\",\"a\":\"A\",\"u\":\"1\",\"t\":\"2026-01-01T00:00:00Z\"}\n"
                 "{\"event\":\"x\",\"a\":\"A\",\"u\":\"1\",\"t\":\"2026-01-02T00:00:00Z\"}\n"
                 "{\"event\":\"x\",\"a\":\"A\",\"u\":\"1\",\"t\":\"2026-01-03T00:00:00Z\"}\n"
                 "{\"type\":\"group\",\"a\":\"A\",\"t\":\"2026-01-04T00:00:00Z\",\"traits\":{\"size\":"
                 "1000}}\n"),
        "other/A entered - - - -\n"
        "team/A entered sdr - self_serve -\n"
        "team/A left sdr enterprise self_serve -\n");
}

static void refused(const char *fields, const char *message)
{
    char config[2000];
    snprintf(config, sizeof config,
             HEAD "definitions = ( { name = \"d\"; qualify = \"count(x, 7d) >= 1\"; %s } );\n", fields);
    write_file("c.conf", config);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    if (!strstr(err, message)) fail_msg("%s\nis not in\n%s", message, err);
}

static void test_errors(void **state)
{
    (void)state;
    refused("routes = 5;", "'routes' must be a text or a list ( { to = …; when = … }, … )");
    refused("priority = ( \"high\" );", "'priority' is one text or holds groups { to = …; when = …; }");
    refused("routes = ( { when = \"ever(x)\"; } );",
            "what is chosen is missing, as in { to = \"sdr\"; when = \"members() >= 20\"; }");
    refused("segment = ( { is = \"a\"; to = \"b\"; } );",
            "'to' and 'is' mean the same here: give one of them");
    refused("routes = ( { to = \"\"; } );", "'to' is empty");
    refused("routes = ( { to = \"a\"; if = \"ever(x)\"; } );", "unknown setting 'if'; did you mean 'is'?");
    refused("routes = ( { to = \"a\"; when = \"members() >= 20\"; } );",
            "in a user's definition this is written account.members()");
    refused("routes = ( { to = \"a\"; when = \"count(x, 7d)\"; } );",
            "a condition is needed here, but this is a number; compare it, as in … >= 1");
}

static void test_never_taken(void **state)
{
    (void)state;
    write_file("c.conf", HEAD "definitions = ( { name = \"d\"; qualify = \"count(x, 7d) >= 1\";\n"
                              "  routes = ( { to = \"a\"; }, { to = \"b\"; when = \"ever(x)\"; } ); } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    assert_non_null(strstr(err, "c.conf:6:22: warning: without 'when' this is always taken: those "
                                "after it never are\n"));
}

/* A condition of a route needs its signals, and nobody is evaluated because of it. */
static void test_what_it_keeps(void **state)
{
    (void)state;
    write_file("c.conf", HEAD "definitions = ( { name = \"d\"; qualify = \"count(x, 7d) >= 1\";\n"
                              "  routes = ( { to = \"a\"; when = \"count(z, 3d) >= 5\"; } ); } );\n");
    assert_int_equal(run("pqlstream explain --config %s d", path_of("c.conf")), PQL_EXIT_OK);
    assert_non_null(strstr(out, "count(z, 3d)\n"));
}

/* What a state carries with it says the same. */
static void test_part_of_the_program(void **state)
{
    (void)state;
    write_file("c.conf",
               HEAD "definitions = ( { name = \"d\"; qualify = \"count(x, 7d) >= 1\"; motion = \"m\";\n"
                    "  routes = ( { to = \"a\"; when = \"ever(x)\"; }, { to = \"b\"; } ); } );\n");
    struct pql_config *first = load_config(&(struct pql_config_request){.path = path_of("c.conf")});
    struct pql_config *again =
        load_config(&(struct pql_config_request){.path = "program", .program = first->program.text});
    const struct pql_choices_conf *choices = again->program.definitions[0].choices;
    assert_int_equal(choices[PQL_CHOICE_ROUTE].count, 2);
    assert_true(pql_slice_is(choices[PQL_CHOICE_ROUTE].items[0].source.text, "a"));
    assert_true(pql_slice_is(choices[PQL_CHOICE_ROUTE].items[0].when.text, "ever(x)"));
    assert_true(pql_slice_is(choices[PQL_CHOICE_ROUTE].items[1].source.text, "b"));
    assert_int_equal(choices[PQL_CHOICE_ROUTE].items[1].when.text.len, 0);
    assert_true(pql_slice_is(choices[PQL_CHOICE_MOTION].items[0].source.text, "m"));
    assert_int_equal(choices[PQL_CHOICE_PRIORITY].count, 0);
    pql_config_free(again);
    pql_config_free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_first_that_holds),    cmocka_unit_test(test_errors),
        cmocka_unit_test(test_never_taken),         cmocka_unit_test(test_what_it_keeps),
        cmocka_unit_test(test_part_of_the_program),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
