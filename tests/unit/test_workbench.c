/* The reports of replay over a few events whose answers can be counted by hand. */
#include "app/cli.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

/* Definitions: inviter (a user, two invitations in 7 days), team (an account, two active users). */
static const char configuration[] =
    "app = \"acme\";\n"
    "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
    "mappings = { own = { kind = \"type\"; event = \"event\"; account = \"account\"; user = \"user\";\n"
    "  time = \"at\"; id = \"id\"; properties = \"properties.*\"; start_events = [ \"signed_up\" ]; }; };\n"
    "definitions = (\n"
    "  { name = \"inviter\"; subject = \"user\"; qualify = \"count(invite_sent, 7d) >= %d\"; },\n"
    "  { name = \"team\"; subject = \"account\"; version = 3;\n"
    "    qualify = \"users(count(any, 7d) >= 1) >= 2\"; } );\n";

/* a signs up on a Monday and qualifies, b and c in the week after and do not; bought is a's 60 days after the
 * entry to the millisecond, c's without an entry, and z's, who never signed up, too late by a millisecond. */
static const char events[] =
    "{\"event\":\"signed_up\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-05T00:00:00Z\"}\n"
    "{\"event\":\"invite_sent\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-06T00:00:00Z\",\"id\":"
    "\"i1\"}\n"
    "{\"event\":\"invite_sent\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-07T00:00:00Z\",\"id\":"
    "\"i2\"}\n"
    "{\"event\":\"invite_sent\",\"account\":\"B\",\"user\":\"z\",\"at\":\"2026-01-07T01:00:00Z\"}\n"
    "{\"event\":\"invite_sent\",\"account\":\"B\",\"user\":\"z\",\"at\":\"2026-01-07T02:00:00Z\"}\n"
    "{\"event\":\"signed_up\",\"account\":\"A\",\"user\":\"b\",\"at\":\"2026-01-12T00:00:00Z\"}\n"
    "{\"event\":\"signed_up\",\"account\":\"A\",\"user\":\"c\",\"at\":\"2026-01-18T23:59:59.999Z\"}\n"
    "{\"event\":\"bought\",\"account\":\"A\",\"user\":\"c\",\"at\":\"2026-01-20T00:00:00Z\"}\n"
    "{\"event\":\"bought\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-03-08T00:00:00Z\"}\n"
    "{\"event\":\"bought\",\"account\":\"B\",\"user\":\"z\",\"at\":\"2026-03-08T02:00:00.001Z\"}\n";

static int prepare(void **state)
{
    char text[sizeof configuration + 20];
    if (set_up(state)) return -1;
    write_file("events.jsonl", events);
    snprintf(text, sizeof text, configuration, 2);
    write_file("c.conf", text);
    snprintf(text, sizeof text, configuration, 1);
    write_file("low.conf", text);
    return 0;
}

/* A report over the events. */
static void report(const char *flags)
{
    assert_int_equal(
        run("pqlstream replay --config %s %s %s", path_of("c.conf"), flags, path_of("events.jsonl")),
        PQL_EXIT_OK);
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

static void test_summary(void **state)
{
    (void)state;
    report("--summary");
    assert_has(out,
               "inviter, version 1: 4 users seen, 3 signed up, 2 qualified (33.3 % of sign-ups), 0 qualified "
               "at the end; 2 entries\n  warning: 33.3 % of sign-ups qualify, more than 15 %");
    assert_has(out, "  2026-01-05          1           1   100.0 %\n"
                    "  2026-01-12          2           0     0.0 %\n");
    assert_has(out, "team, version 3: 2 accounts seen, 1 signed up, 1 qualified (100.0 % of sign-ups)");
    assert_has(out, "  warning: everybody who signed up qualifies");
    report("--summary --json");
    assert_has(out,
               "{\"definition\":\"inviter\",\"version\":1,\"subject\":\"user\",\"seen\":4,\"sign_ups\":3,"
               "\"sign_ups_are_known\":true,\"qualified\":2,\"qualified_of_sign_ups\":1,\"rate\":0.333333,"
               "\"members\":0,\"entered\":2,\"left\":2,\"converted\":0,");
    assert_has(out,
               "\"weeks\":[{\"week_of\":\"2026-01-05\",\"sign_ups\":1,\"qualified\":1,\"rate\":1.000000},");
}

static void test_records_keep_standard_output_to_themselves(void **state)
{
    (void)state;
    report("");
    assert_null(strstr(out, "signed up"));
    assert_has(err, "inviter, version 1: 4 users seen, 3 signed up");
}

static void test_at(void **state)
{
    (void)state;
    report("--at 2026-01-12T23:59:59.999Z");
    assert_has(out,
               "qualified at 2026-01-12T23:59:59.999Z\ninviter, version 1: 2 users\n  A  a  since "
               "2026-01-07T00:00:00.000Z  until 2026-01-13T00:00:00.000Z\n      2 invite sent (needs 2) in 7 "
               "days\n  B  z  since");
    assert_has(out, "team, version 3: 1 account\n  A  since 2026-01-12T00:00:00.000Z");
    assert_has(err, "; 4 later events left out");
    /* An event leaves its window at exactly e + W. */
    report("--at 2026-01-13T00:00:00Z");
    assert_has(out, "inviter, version 1: 1 user\n  B  z  ");
    report("--at 2026-01-13T00:00:00Z --set lateness=1h");
    assert_has(out, "inviter, version 1: 1 user\n  B  z  ");
    report("--at 2030-01-01");
    assert_has(out, "inviter, version 1: 0 users\nteam, version 3: 0 accounts\n");
    report("--at 2026-01-12T23:59:59.999Z --json");
    assert_has(out, "\"transition\":\"snapshot\"");
    assert_has(out, "\"occurred_at\":\"2026-01-12T23:59:59.999Z\"");
}

static void test_trace(void **state)
{
    (void)state;
    report("--account A --user a --trace");
    assert_has(out, "2026-01-07T00:00:00.000Z  A/a  inviter: qualified, a record was written; after event "
                    "invite_sent (i2)\n"
                    "    qualify   count(invite_sent, 7d) >= 2: yes\n"
                    "                count(invite_sent, 7d): 2   (from 2026-01-06T00:00:00.000Z to "
                    "2026-01-07T00:00:00.000Z)\n");
    assert_has(out, "2026-01-13T00:00:00.000Z  A/a  inviter: left, a record was written; as time passed\n"
                    "    qualify   count(invite_sent, 7d) >= 2: no\n");
    assert_null(strstr(out, "A/b"));
    report("--account A --trace");
    assert_has(out,
               "2026-01-12T00:00:00.000Z  A  team: qualified, a record was written; after event signed_up\n"
               "    qualify   users(count(any, 7d) >= 1) >= 2: yes\n"
               "                users(count(any, 7d) >= 1): 2\n");
    assert_null(strstr(out, "B/z"));
    report("--account A --user a --trace --json");
    assert_has(
        out,
        "\"definition\":\"inviter\",\"status\":\"qualified\",\"changed\":true,\"by_event\":true,"
        "\"event\":\"invite_sent\",\"event_id\":\"i2\",\"qualify\":{\"text\":\"count(invite_sent, 7d) >= "
        "2\",\"value\":true,\"parts\":[{\"text\":\"count(invite_sent, 7d)\",\"value\":2,");
    report("--account nobody --trace");
    assert_string_equal(out, "");
    assert_has(err, "nothing was evaluated for account 'nobody'");
}

static void test_against(void **state)
{
    (void)state;
    char flags[200];
    snprintf(flags, sizeof flags, "--against %s", path_of("low.conf"));
    report(flags);
    assert_has(out, "inviter\n  by both: 2, of these 0 earlier and 2 later by ");
    assert_has(out, "team\n  by both: 1\n");
    assert_int_equal(run("pqlstream replay --config %s --against %s %s", path_of("low.conf"),
                         path_of("c.conf"), path_of("events.jsonl")),
                     PQL_EXIT_OK);
    assert_has(out, "of these 2 earlier and 0 later");
    assert_int_equal(run("pqlstream replay --config %s --against %s", path_of("c.conf"), path_of("low.conf")),
                     PQL_EXIT_CONFIG);
    assert_has(err, "give files");
}

/* One user more invites once; another definition is gone. */
static void test_against_only_one(void **state)
{
    (void)state;
    char more[sizeof events + 200];
    snprintf(
        more, sizeof more,
        "%s{\"event\":\"invite_sent\",\"account\":\"B\",\"user\":\"y\",\"at\":\"2026-03-09T00:00:00Z\"}\n",
        events);
    write_file("more.jsonl", more);
    write_file("one.conf",
               "app = \"acme\"; inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
               "mappings = { own = { event = \"event\"; account = \"account\"; user = \"user\"; time = "
               "\"at\"; }; };\n"
               "definitions = ( { name = \"inviter\"; qualify = \"count(invite_sent, 7d) >= 1\"; } );\n");
    assert_int_equal(run("pqlstream replay --config %s --against %s %s", path_of("one.conf"),
                         path_of("c.conf"), path_of("more.jsonl")),
                     PQL_EXIT_OK);
    assert_has(out, "c.conf: 0\n  only by ");
    assert_has(out, "one.conf: 1\n    B  y  2026-03-09T00:00:00.000Z  1 invite sent (needs 1) in 7 days\n");
    assert_has(out, "team: only in ");
    assert_int_equal(run("pqlstream replay --config %s --json --against %s %s", path_of("one.conf"),
                         path_of("c.conf"), path_of("more.jsonl")),
                     PQL_EXIT_OK);
    assert_has(out, "\"only_old\":[],\"only_new\":[{\"account_id\":\"B\",\"user_id\":\"y\",\"new_at\":");
    assert_has(out, "\"definitions_only_old\":[\"team\"],\"definitions_only_new\":[]}\n");
}

static void test_outcomes(void **state)
{
    (void)state;
    report("--outcomes=bought");
    assert_has(out, "outcomes: bought within 60d of qualifying\n"
                    "inviter, version 1: 4 users, 3 converted (base rate 75.0 %)\n");
    assert_has(out,
               "  qualified before             1           1   precision 50.0 %, 0.67 times the base rate\n"
               "  not                          1           1   recall 50.0 %\n"
               "  days to convert: median 60.0, quartiles 60.0 and 60.0\n"
               "  1 converted later than the horizon: counted as not converted\n"
               "  converted unqualified: A/c on 2026-01-20\n");
    /* What users do counts for their account: A entered on the 12th, c bought on the 20th. */
    assert_has(out, "team, version 3: 2 accounts, 2 converted (base rate 100.0 %)\n");
    assert_has(out, "days to convert: median 8.0");
    report("--outcomes=bought --horizon 59d --json");
    assert_has(out, "\"n\":4,\"converted\":3,\"tp\":0,\"fp\":2,\"fn\":1,\"tn\":1,\"base_rate\":0.750000,");
    report("--outcomes=bought --horizon 61d --json");
    assert_has(out, "\"tp\":2,\"fp\":0,\"fn\":1,\"tn\":1,");
    assert_has(out, "\"days_to_convert\":{\"lower_quartile\":60.000,\"median\":60.000,");
}

/* Entering a definition may be the conversion, and the population. */
static void test_outcomes_of_definitions(void **state)
{
    (void)state;
    report("--outcomes=team --json");
    /* All of A's users convert with it, on the 12th; a had entered before. */
    assert_has(out, "\"outcomes\":[\"team\"]");
    assert_has(
        out, "\"definition\":\"inviter\",\"version\":1,\"subject\":\"user\",\"n\":4,\"converted\":3,\"tp\":1,"
             "\"fp\":1,\"fn\":2,\"tn\":0,");
    assert_null(strstr(out, "\"definition\":\"team\""));
    report("--outcomes=bought --among team --json");
    assert_has(out, "\"among\":\"team\"");
    assert_has(
        out, "\"definition\":\"inviter\",\"version\":1,\"subject\":\"user\",\"n\":3,\"converted\":2,\"tp\":1,"
             "\"fp\":0,\"fn\":1,\"tn\":1,");
    report("--outcomes=team --among inviter");
    assert_has(err, "warning: no definition is left to judge: each is an outcome itself, or the one of "
                    "--among\n");
}

/* Without names each definition is asked by its own convert_on, of feedback alone; a conversion of the
 * account is one of all its users. */
static void test_outcomes_of_convert_on(void **state)
{
    (void)state;
    write_file(
        "crm.conf",
        "app = \"acme\"; inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
        "mappings = { own = { kind = \"type\"; event = \"event\"; account = \"account\"; user = \"user\"; "
        "time = "
        "\"at\"; }; };\n"
        "definitions = (\n"
        "  { name = \"inviter\"; qualify = \"count(invite_sent, 7d) >= 1\"; convert_on = [ \"won\" ]; },\n"
        "  { name = \"team\"; subject = \"account\"; qualify = \"count(any, 7d) >= 1\"; convert_on = [ "
        "\"renewed\" ]; },\n"
        "  { name = \"other\"; qualify = \"count(login, 7d) >= 1\"; } );\n");
    write_file(
        "crm.jsonl",
        "{\"event\":\"invite_sent\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-05T00:00:00Z\"}\n"
        "{\"event\":\"login\",\"account\":\"A\",\"user\":\"b\",\"at\":\"2026-01-05T00:00:00Z\"}\n"
        "{\"event\":\"invite_sent\",\"account\":\"B\",\"user\":\"c\",\"at\":\"2026-01-05T00:00:00Z\"}\n"
        "{\"event\":\"won\",\"account\":\"B\",\"user\":\"c\",\"at\":\"2026-01-06T00:00:00Z\"}\n"
        "{\"type\":\"outcome\",\"event\":\"won\",\"account\":\"A\",\"at\":\"2026-01-06T00:00:00Z\"}\n");
    assert_int_equal(
        run("pqlstream replay --config %s --outcomes --json %s", path_of("crm.conf"), path_of("crm.jsonl")),
        PQL_EXIT_OK);
    assert_has(
        out, "\"definition\":\"inviter\",\"version\":1,\"subject\":\"user\",\"n\":3,\"converted\":2,\"tp\":1,"
             "\"fp\":1,\"fn\":1,\"tn\":0,");
    assert_has(out, "\"definition\":\"team\",\"version\":1,\"subject\":\"account\",\"n\":2,\"converted\":0,");
    assert_null(strstr(out, "\"definition\":\"other\""));
    assert_int_equal(
        run("pqlstream replay --config %s --summary %s", path_of("crm.conf"), path_of("crm.jsonl")),
        PQL_EXIT_OK);
    assert_has(out,
               "1 qualified at the end; 2 entries, 1 converted after 1.0 days, 1 converted unqualified\n");
}

static void test_slips(void **state)
{
    (void)state;
    static const struct {
        const char *flags, *message;
    } rows[] = {
        {"--summary --at 2026-01-01", "do not go together: ask for one"},
        {"--trace", "--trace needs an account: --account ID --trace"},
        {"--account A", "--account needs --trace"},
        {"--user a", "--user needs --account ID --trace"},
        {"--horizon 3d", "--horizon needs --outcomes"},
        {"--among team", "--among needs --outcomes"},
        {"--json", "--json needs a report"},
        {"--at soon", "--at soon: must be a date"},
        {"--at 2026-01-01 --advance end", "--advance does not go with --at"},
        {"--outcomes=bought --horizon 2", "--horizon 2: must be a duration such as 60d"},
        {"--outcomes=bought --among tem", "--among tem: no such definition; did you mean 'team'?"},
        {"--outcomes", "--outcomes needs to know what a conversion is: --outcomes=closed_won, or convert_on"},
        {"--outcomes bought", "no file 'bought'; a name of conversions is written --outcomes=bought"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(run("pqlstream replay --config %s %s %s", path_of("c.conf"), rows[i].flags,
                             path_of("events.jsonl")),
                         PQL_EXIT_CONFIG);
        assert_has(err, rows[i].message);
        assert_string_equal(out, "");
    }
    report("--outcomes=bougt");
    assert_has(err, "warning: no event 'bougt' in the data; did you mean 'bought'?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_summary),
        cmocka_unit_test(test_records_keep_standard_output_to_themselves),
        cmocka_unit_test(test_at),
        cmocka_unit_test(test_trace),
        cmocka_unit_test(test_against),
        cmocka_unit_test(test_against_only_one),
        cmocka_unit_test(test_outcomes),
        cmocka_unit_test(test_outcomes_of_definitions),
        cmocka_unit_test(test_outcomes_of_convert_on),
        cmocka_unit_test(test_slips),
    };
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
