/* explain: a definition as a page, and the names that it reads against a file of events. */
#include "app/cli.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

static const char configuration[] =
    "app = \"acme\";\n"
    "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
    "mappings = { own = { kind = \"type\"; event = \"event\"; account = \"account\"; user = \"user\"; time = "
    "\"at\";\n"
    "  properties = \"properties.*\"; attributes = \"traits.*\"; activity = [ \"login\" ];\n"
    "  periods = ( { name = \"trial\"; start = \"account.trial_at\"; length = \"14d\"; } ); }; };\n"
    "definitions = (\n"
    "  { name = \"inviter\"; convert_on = [ \"won\" ]; alert = true; min_stay = \"24h\";\n"
    "    eligible = \"account.plan = 'free'\";\n"
    "    qualify = \"distinct(invite_sent.invitee where role = 'admin', 7d) >= 2 and count(login, trial) >= "
    "1\n"
    "      and account.users(count(any, 7d) >= 1) >= 3\"; },\n"
    "  { name = \"habit\"; subject = \"account\"; timezone = \"Europe/Berlin\";\n"
    "    qualify = \"streak(login) >= 3 and sequence(login then report_saved by report, 7d)\"; } );\n";

static const char scores[] =
    "app = \"acme\"; inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"canonical\"; } );\n"
    "definitions = (\n"
    "  { name = \"points\"; subject = \"account\"; caps = { fit = \"none\"; };\n"
    "    score = ( { family = \"use\"; points = 2; per = \"count(login, 90d)\"; max = 5; half_life = "
    "\"30d\"; },\n"
    "              { family = \"use\"; points = 1; per = \"distinct(login.device, 30d)\"; fades_over = "
    "\"20d\"; },\n"
    "              { family = \"fit\"; points = 1; per = \"weeks(login, 30d)\"; },\n"
    "              { points = 1; per = \"members() + 1\"; } );\n"
    "    multiply = ( { when = \"account.industry in ('software')\"; by = 1.5; }, { by = 2; } );\n"
    "    qualify = \"score >= 3 and count(login, 7d) >= $bar\"; } );\n"
    "parameters = ( { name = \"bar\"; by = \"account.segment\"; default = 8;\n"
    "  values = ( { is = \"enterprise\"; value = 12; }, { is = \"smb\"; value = 4; } ); } );\n";

static int prepare(void **state)
{
    if (set_up(state)) return -1;
    write_file("c.conf", configuration);
    return 0;
}

static void assert_has(const char *text, const char *part)
{
    if (!strstr(text, part)) fail_msg("'%s' is not in:\n%s", part, text);
}

static void explain(const char *flags)
{
    assert_int_equal(run("pqlstream explain --config %s %s", path_of("c.conf"), flags), PQL_EXIT_OK);
}

static void test_page(void **state)
{
    (void)state;
    explain("inviter");
    assert_has(out,
               "inviter (version 1): which users qualify\n"
               "  only if         the account's plan is 'free'\n"
               "                  (account.plan = 'free')\n"
               "  enters when     at least 2 different values of invitee in invite_sent events with role = "
               "'admin' in the last 7 days, and");
    assert_has(out, "  stays at least  1d\n  converted by    won\n");
    assert_has(out,
               "    distinct(invite_sent.invitee where role = 'admin', 7d)\n"
               "        window: the last 7d; an event leaves it 7d after it happened, to the millisecond\n"
               "        kept per user: the newest 50 different values, at most 816 bytes\n");
    assert_has(out, "        window: the account's trial; the value stays afterwards\n");
    assert_has(out, "    per user     9312 bytes in 3 signals; ");
    assert_has(out, "    per account  48 bytes in 1 signal, and more where `kept` says so\n");
    assert_has(out, "    every activity event (login): count(any, 7d)\n"
                    "    invite_sent: distinct(invite_sent.invitee where role = 'admin', 7d)\n"
                    "    login: count(login, trial)\n"
                    "    a group that sets account.plan\n");
    assert_has(out,
               "  costs beyond the signals that an event touches\n"
               "    a change of account.plan looks at all users of the account\n"
               "    a change of the account's trial looks at all users of the account\n"
               "    when account.users(count(any, 7d) >= 1) >= 3 begins or ceases to hold, all users of the "
               "account are looked at\n"
               "    every activity event updates count(any, 7d)\n"
               "    an outcome of a whole account looks at all its users\n"
               "  records go to\n    acme.pql, acme.state, acme.alerts\n");
    assert_null(strstr(out, "habit"));
}

static void test_words_of_the_account(void **state)
{
    (void)state;
    explain("inviter");
    assert_has(out, "and in the account (at least 3 members with (at least 1 activity event in the last 7 "
                    "days))\n");
}

static void test_page_of_scores_and_parameters(void **state)
{
    (void)state;
    write_file("scores.conf", scores);
    assert_int_equal(run("pqlstream explain --config %s", path_of("scores.conf")), PQL_EXIT_OK);
    assert_has(out,
               "  enters when     score is at least 3, and at least $bar (by the account's segment: "
               "'enterprise' 12, 'smb' 4, else 8) login events in the last 7 days\n"
               "                  (score >= 3 and count(login, 7d) >= $bar)\n"
               "  points          2 (use) for each login event in the last 90 days, at most 5 of them, worth "
               "half after 30d\n"
               "                  (count(login, 90d))\n"
               "  points          1 (use) for each different device in login events in the last 30 days, "
               "fading to nothing over 20d\n"
               "                  (distinct(login.device, 30d))\n"
               "  points          1 (fit) for each week with login events in the last 30 days\n"
               "                  (weeks(login, 30d))\n"
               "  points          1 for each unit of members() + 1\n"
               "                  (members() + 1)\n"
               "  family          use: no limit\n"
               "  family          fit: no limit\n"
               "  times           1.5 when the account's industry is one of 'software'\n"
               "                  (account.industry in ('software'))\n"
               "  times           2\n");
}

static void test_page_of_calendars_and_sequences(void **state)
{
    (void)state;
    explain("habit");
    assert_has(out,
               "    midnight in Europe/Berlin looks at every account that has something in streak(login)\n");
    assert_has(out, "    login: streak(login), sequence(login then report_saved by report, 7d)\n"
                    "    report_saved: sequence(login then report_saved by report, 7d)\n");
    assert_has(out, "    acme.pqa, acme.state\n");
}

static void test_json(void **state)
{
    (void)state;
    explain("habit --format json");
    assert_has(out,
               "{\"definition\":\"habit\",\"version\":1,\"subject\":\"account\",\"says\":[{\"role\":\"enters "
               "when\",\"words\":\"");
    assert_has(
        out,
        "{\"signal\":\"streak(login)\",\"per\":\"account\",\"window\":\"\",\"kept\":\"the newest day and the "
        "run up to it, 40 bytes\",\"bytes\":40,\"bytes_are_bounded\":true,\"any_event\":false,\"events\":["
        "\"login\"]}");
    assert_has(out, "\"topics\":[\"acme.pqa\",\"acme.state\"]}\n");
    assert_int_equal(run("pqlstream explain --config %s --format xml", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_has(err, "--format xml: must be text or json");
}

static void test_shadow(void **state)
{
    (void)state;
    write_file(
        "shadow.conf",
        "app = \"acme\"; inputs = ( { topic = \"events\"; format = \"json\"; } );\n"
        "definitions = ( { name = \"d\"; mode = \"shadow\"; qualify = \"count(login, 7d) >= 1\"; } );\n");
    assert_int_equal(run("pqlstream explain --config %s", path_of("shadow.conf")), PQL_EXIT_OK);
    assert_has(out, "  shadow          evaluated and counted, published to the shadow topic alone\n");
    assert_has(out, "  records go to\n    acme.shadow\n");
    write_file("one.jsonl", "{\"event\":\"login\",\"account_id\":\"A\",\"user_id\":\"a\",\"occurred_at\":"
                            "\"2026-01-05T00:00:00Z\"}\n");
    assert_int_equal(
        run("pqlstream replay --config %s --at 2026-01-06 %s", path_of("shadow.conf"), path_of("one.jsonl")),
        PQL_EXIT_OK);
    assert_has(out, "d, version 1, in shadow mode: 1 user\n  A  a  since 2026-01-05T00:00:00.000Z  until "
                    "2026-01-12T00:00:00.000Z\n");
}

/* Every kind of name is missed once, and found once more. */
static void test_sample(void **state)
{
    (void)state;
    write_file(
        "good.jsonl",
        "{\"type\":\"group\",\"account\":\"A\",\"at\":\"2026-01-01T00:00:00Z\",\"traits\":{\"plan\":\"free\"}"
        "}\n"
        "{\"event\":\"invite_sent\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\","
        "\"properties\":{"
        "\"invitee\":\"x\",\"role\":\"admin\"}}\n"
        "{\"event\":\"login\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\","
        "\"properties\":{"
        "\"report\":7}}\n"
        "{\"event\":\"report_saved\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\"}\n");
    write_file(
        "other.jsonl",
        "{\"type\":\"group\",\"account\":\"A\",\"at\":\"2026-01-01T00:00:00Z\",\"traits\":{\"plans\":"
        "\"free\"}}\n"
        "{\"event\":\"invite_sent\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\","
        "\"properties\":{"
        "\"invitee\":\"x\",\"roles\":\"admin\"}}\n"
        "{\"event\":\"login\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\","
        "\"properties\":{"
        "\"role\":\"admin\",\"report\":7}}\n"
        "{\"event\":\"raport_saved\",\"account\":\"A\",\"user\":\"a\",\"at\":\"2026-01-01T00:00:00Z\"}\n");
    assert_int_equal(
        run("pqlstream explain --config %s --sample %s", path_of("c.conf"), path_of("good.jsonl")),
        PQL_EXIT_OK);
    assert_null(strstr(err, "warning"));
    assert_has(out, "which users qualify");
    assert_int_equal(
        run("pqlstream explain --config %s --sample %s", path_of("c.conf"), path_of("other.jsonl")),
        PQL_EXIT_OK);
    assert_has(
        err, "c.conf:8:17: warning: no group of the sample sets the attribute 'plan'; did you mean 'plans'?\n"
             "    eligible = \"account.plan = 'free'\";\n"
             "                ^^^^^^^^^^^^\n");
    assert_has(err, "c.conf:9:51: warning: no event that is counted here, of 1 in the sample, has a property "
                    "'role'; did you mean "
                    "'roles'?\n");
    assert_has(err, "c.conf:12:39: warning: no event of the sample is called 'report_saved'; did you mean "
                    "'raport_saved'?\n");
    assert_null(strstr(err, "'report'"));
    assert_int_equal(run("pqlstream explain --config %s --sample %s/none", path_of("c.conf"), folder),
                     PQL_EXIT_FAILURE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_words_of_the_account),
        cmocka_unit_test(test_page_of_scores_and_parameters),
        cmocka_unit_test(test_page),
        cmocka_unit_test(test_page_of_calendars_and_sequences),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_shadow),
        cmocka_unit_test(test_sample),
    };
    return cmocka_run_group_tests(tests, prepare, tear_down);
}
