/* How far back definitions look, beside what an input keeps. What run and topics make of it is in tests/e2e.
 */
#include "app/setup.h"
#include "app/topics.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

#define DAY INT64_C(86400000)
#define HEAD                                                                                                 \
    "inputs = ( { topic = \"e\"; format = \"json\"; mapping = \"m\"; } );\n"                                 \
    "mappings = { m = { preset = \"canonical\"; periods = (\n"                                               \
    "  { name = \"trial\"; start = \"account.t\"; length = \"14d\"; },\n"                                    \
    "  { name = \"pilot\"; start = \"account.p\"; end = \"account.q\"; } ); }; };\n"

static void load(struct pql_setup *setup, const char *definitions)
{
    char text[4000];
    int exit_code;
    snprintf(text, sizeof text, HEAD "definitions = ( %s );\n", definitions);
    write_file("c.conf", text);
    struct pql_config_flags flags = {.path = path_of("c.conf")};
    assert_true(pql_setup_init(setup, &flags, false, &exit_code));
}

/* Of one condition of a user. */
static void reaches(const char *qualify, int64_t ms)
{
    struct pql_setup setup;
    struct pql_reach reach;
    char text[500];
    snprintf(text, sizeof text, "{ name = \"d\"; qualify = \"%s\"; }", qualify);
    load(&setup, text);
    assert_int_equal(pql_program_reach(setup.program, 0, &reach), ms > 0);
    assert_int_equal(reach.ms, ms);
    assert_false(ms > 0 && pql_program_reach(setup.program, ms, &reach));
    pql_setup_deinit(&setup);
}

static void test_windows(void **state)
{
    (void)state;
    reaches("count(x, 30d) >= 1", 30 * DAY);
    reaches("count(x, 7d) < count(x, prev 7d)", 14 * DAY);
    reaches("sum(x.p, first 21d) >= 1", 21 * DAY);
    reaches("count(x, trial) >= 1", 14 * DAY);
    reaches("days(x, today) >= 1", DAY);
    reaches("count(x, this week) >= 1", 7 * DAY);
    reaches("count(x, this month) >= 1", 31 * DAY);
    reaches("count(x, this quarter) >= 1", 92 * DAY);
    reaches("sequence(x then y, 40d)", 40 * DAY);
    reaches("account.users(count(x, 50d) >= 1) >= 2", 50 * DAY);
    /* No limit that a topic could have. */
    reaches("ever(x) and count(x, ever) > 2 and streak(x) > 1 and count(x, pilot) >= 1", 0);
}

static void test_the_furthest_of_all(void **state)
{
    (void)state;
    struct pql_setup setup;
    struct pql_topic_difference said;
    load(&setup, "{ name = \"a\"; qualify = \"count(x, 30d) >= 1\"; eligible = \"count(y, 90d) >= 1\"; },\n"
                 "{ name = \"b\"; qualify = \"score >= 1\"; score = ( { points = 1; when = \"count(x, 60d) "
                 ">= 1\"; } ); },\n"
                 "{ name = \"c\"; qualify = \"count(x, 7d) >= 1\"; }");
    assert_true(pql_topics_see_reach(setup.program, "e", "host:1", 7 * DAY, &said));
    assert_string_equal(said.what,
                        "retention.ms is 604800000 (7d), and count(y, 90d) of definition 'a' looks back 90d "
                        "(2 definitions look back further than the topic): state keeps what it has read, "
                        "but a definition that is new, or state that was lost, is filled from the topic "
                        "alone and counts from then on (complete_since)");
    assert_string_equal(said.mend, "kafka-configs.sh --bootstrap-server host:1 --alter --entity-type topics "
                                   "--entity-name e --add-config retention.ms=7776000000");
    assert_false(said.refuses);
    assert_false(pql_topics_see_reach(setup.program, "e", "host:1", 90 * DAY, &said));
    assert_false(pql_topics_see_reach(setup.program, "e", "host:1", -1, &said)); /* kept for ever */
    pql_setup_deinit(&setup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_furthest_of_all, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
