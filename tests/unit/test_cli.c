/* The command line as a user types it: what is printed where, and the exit code. */
#include "app/cli.h"
#include "base/buf.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CONFIG                                                                                               \
    "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"                                    \
    "inputs = ( { topic = \"events\"; format = \"json\"; } );\n"
#define TWO_INVITES "definitions = ( { name = \"inviter\"; qualify = \"count(invite_sent, 7d) >= 2\"; } );\n"

static const char events[] = "{\"event\":\"invite_sent\",\"account_id\":\"A\",\"user_id\":\"u\",\"occurred_"
                             "at\":\"2026-01-01T00:00:00Z\",\"event_id\":\"1\"}\n"
                             "{\"event\":\"invite_sent\",\"user_id\":\"u\",\"occurred_at\":\"2026-01-01T00:"
                             "00:01Z\",\"event_id\":\"2\"}\n"
                             "no json\n"
                             "{\"event\":\"invite_sent\",\"account_id\":\"A\",\"user_id\":\"u\",\"occurred_"
                             "at\":\"2026-01-02T00:00:00Z\",\"event_id\":\"3\"}\n";

static size_t count_of(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)); at++) count++;
    return count;
}

static void test_help(void **state)
{
    (void)state;
    assert_int_equal(run("pqlstream --help"), PQL_EXIT_OK);
    for (size_t i = 0; i < pql_commands_count; i++) assert_non_null(strstr(out, pql_commands[i].name));
    assert_non_null(strstr(out, "exit codes:"));
    for (size_t i = 0; i < pql_commands_count; i++) {
        assert_int_equal(run("pqlstream %s --help", pql_commands[i].name), PQL_EXIT_OK);
        assert_non_null(strstr(out, "usage: pqlstream "));
        assert_string_equal(err, "");
    }
    assert_int_equal(run("pqlstream"), PQL_EXIT_CONFIG);
    assert_int_equal(run("pqlstream --version"), PQL_EXIT_OK);
    assert_string_equal(out, "pqlstream " PQL_VERSION "\n");
}

static void test_wrong_words(void **state)
{
    (void)state;
    assert_int_equal(run("pqlstream replya"), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "no command 'replya'; did you mean 'replay'?"));
    assert_int_equal(run("pqlstream check --confg x"), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "unknown flag --confg"));
    assert_int_equal(run("pqlstream check --config"), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "a value is missing after --config"));
    assert_int_equal(run("pqlstream check --settings=1"), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "no value belongs to --settings"));
    assert_int_equal(run("pqlstream replay --partitions 0"), PQL_EXIT_CONFIG);
    assert_int_equal(run("pqlstream replay --advance soon"), PQL_EXIT_CONFIG);
    assert_int_equal(run("pqlstream replay --format xml"), PQL_EXIT_CONFIG);
}

static void test_check(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "kafka.bootstrap_servers = 127.0.0.1:1"));
    assert_non_null(strstr(out, "input events: json, mapping canonical"));
    assert_non_null(strstr(out, "definition inviter (user): count(invite_sent, 7d) >= 2"));
    assert_non_null(strstr(out, "1 definition, no errors, 0 warnings"));
}

/* What may be less than exact is named, with the definition. */
static void test_check_names_what_may_be_approximate(void **state)
{
    (void)state;
    write_file("c.conf",
               CONFIG "exact_max = 200;\ndefinitions = (\n"
                      "  { name = \"bar\"; qualify = \"count(x, 7d) >= 300\"; },\n"
                      "  { name = \"total\"; qualify = \"sum(x.p, 30d) >= 5\"; },\n"
                      "  { name = \"falls\"; qualify = \"count(x, 7d) < count(x, prev 7d)\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    const char *bar = strstr(out, "definition bar (user)"), *total = strstr(out, "definition total (user)"),
               *falls = strstr(out, "definition falls (user)");
    assert_true(bar && total && falls);
    const char *of_total =
        strstr(out, "    sum(x.p, 30d) is exact for the newest 200 occurrences and approximate beyond\n");
    const char *of_prev = strstr(out, "    count(x, prev 7d) is exact for the newest 300 occurrences and ");
    assert_true(of_total > total && of_total < falls && of_prev > falls);
}

/* Of several readers of one signal the one that keeps most; what is read in W and in prev W is one list. */
static void test_exact_max_of_one_definition(void **state)
{
    (void)state;
    write_file("c.conf",
               CONFIG "exact_max = 200;\ndefinitions = (\n"
                      "  { name = \"total\"; qualify = \"sum(x.p, 30d) >= 5\"; },\n"
                      "  { name = \"less\"; exact_max = 20; qualify = \"sum(x.p, 30d) >= 9\"; },\n"
                      "  { name = \"few\"; exact_max = 70; qualify = \"sum(y.p, 30d) >= 9\"; },\n"
                      "  { name = \"users\"; subject = \"account\"; exact_max = 600;\n"
                      "    qualify = \"users(sum(y.p, 30d) >= 9) >= 2\"; },\n"
                      "  { name = \"now\"; exact_max = 300; qualify = \"count(x, 7d) / 2 >= 4\"; },\n"
                      "  { name = \"falls\"; qualify = \"count(x, prev 7d) / 2 >= 4\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    const char *few = strstr(out, "definition few (user)"), *now = strstr(out, "definition now (user)");
    assert_true(few && now);
    assert_non_null(strstr(out, "    sum(x.p, 30d) is exact for the newest 200 occurrences and "));
    const char *shared = strstr(few, "    sum(y.p, 30d) is exact for the newest 600 occurrences and ");
    assert_true(shared && shared < now);
    assert_non_null(strstr(now, "    count(x, 7d) is exact for the newest 300 occurrences and "));
    assert_non_null(strstr(now, "    count(x, prev 7d) is exact for the newest 300 occurrences and "));
    assert_null(strstr(out, "newest 20 "));
    assert_null(strstr(out, "newest 70 "));
}

static void test_check_of_decay(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG
               "definitions = (\n"
               "  { name = \"a\"; qualify = \"score > 1\"; score = (\n"
               "    { points = 1; per = \"2 * count(x, 7d)\"; half_life = \"1d\"; },\n"
               "    { points = 1; per = \"avg(x.p, 7d)\"; fades_over = \"1d\"; },\n"
               "    { points = 1; when = \"ever(x)\"; half_life = \"1d\"; },\n"
               "    { points = 1; per = \"days(x, 7d)\"; half_life = \"1d\"; fades_over = \"1d\"; } ); },\n"
               "  { name = \"b\"; qualify = \"ever(x)\"; decay_step = \"1h\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, ": 'half_life' lets the units of 'per' decay, and this item has none\n"));
    assert_non_null(strstr(err, ": an item has 'half_life' or 'fades_over', not both\n"));
    assert_non_null(strstr(err, ": 'decay_step' is about a score, and this definition has none; "));
    write_file("c.conf", CONFIG "definitions = ( { name = \"a\"; qualify = \"score > 1\"; score = (\n"
                                "    { points = 1; per = \"2 * count(x, 7d)\"; half_life = \"1d\"; },\n"
                                "    { points = 1; per = \"avg(x.p, 7d)\"; fades_over = \"1d\"; } ); } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, ":26: what decays is one count, sum, days or distinct; without 'half_life' "
                                "'per' may be any number\n"
                                "    { points = 1; per = \"2 * count(x, 7d)\"; half_life = \"1d\"; },\n"
                                "                         ^^^^^^^^^^^^^^^^\n"));
    assert_non_null(
        strstr(err, ":26: what decays is one count, sum, days or distinct; without 'fades_over' "));
}

/* Settings, properties of librdkafka and conditions: all of their errors in one run. */
static void test_check_says_all_errors(void **state)
{
    (void)state;
    write_file("c.conf",
               "lateness = 5;\nkafka = { bootstrap_servers = \"127.0.0.1:1\"; group_id = \"x\"; };\n"
               "inputs = ( { topic = \"events\"; format = \"json\"; } );\n"
               "definitions = ( { name = \"d\"; qualify = \"cuont(a, 7d) >= 1\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "c.conf:1:12: 'lateness' is written as a text with a unit"));
    assert_non_null(strstr(err, "c.conf:2:46: "));
    assert_non_null(strstr(err, "group.id"));
    assert_non_null(strstr(err, "c.conf:4:42: unknown function 'cuont'; did you mean 'count'?\n"
                                "    definitions = ( { name = \"d\"; qualify = \"cuont(a, 7d) >= 1\"; } );\n"
                                "                                             ^^^^^\n"));
    assert_non_null(strstr(err, "3 errors; nothing was touched"));
}

/* Each mistake is said once: brokers are missing, and the definition is there although it is refused. */
static void test_check_says_each_error_once(void **state)
{
    (void)state;
    write_file("c.conf", "app = \"acme\";\ninputs = ( { topic = \"events\"; format = \"json\"; } );\n"
                         "definitions = ( { name = \"d\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "c.conf: no brokers: kafka = { bootstrap_servers"));
    assert_non_null(strstr(err, "c.conf:3:17: 'qualify' is missing"));
    assert_non_null(strstr(err, "2 errors; nothing was touched"));
}

static void test_check_warns_of_names_without_a_path(void **state)
{
    (void)state;
    write_file("c.conf",
               "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"
               "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
               "mappings = { own = { event = \"e\"; account = \"a\"; user = \"u\"; time = \"t\"; }; };\n"
               "definitions = ( { name = \"d\";\n"
               "  qualify = \"distinct(invite.to, 7d) >= 2 and user.role = 'admin'\"; } );\n");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    assert_non_null(strstr(err, "warning: definitions read 'to', but no mapping says where properties are"));
    assert_non_null(
        strstr(err, "warning: definitions read 'role', but no mapping says where attributes are"));
    assert_non_null(strstr(out, "2 warnings"));
}

/* Attributes come with identify and group, and without a kind everything is a track. */
static void test_check_warns_of_attributes_without_a_kind(void **state)
{
    (void)state;
    static const char text[] =
        "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"
        "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"own\"; } );\n"
        "mappings = { own = { event = \"e\"; account = \"a\"; user = \"u\"; time = \"t\"; %s\n"
        "  attributes = \"attributes.*\"; }; };\n"
        "definitions = ( { name = \"d\"; qualify = \"user.role = 'admin'\"; } );\n";
    char config[1000];
    snprintf(config, sizeof config, text, "");
    write_file("c.conf", config);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    assert_non_null(strstr(err,
                           "c.conf: warning: definitions read attributes, which events of kind identify and "
                           "group bring, but no mapping says where the kind is: kind = \"kind\";\n"));
    snprintf(config, sizeof config, text, "kind = \"kind\";");
    write_file("c.conf", config);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
    assert_string_equal(err, "");
}

static void test_check_reads_schema_files(void **state)
{
    (void)state;
    static const char with_schema[] =
        "kafka = { bootstrap_servers = \"127.0.0.1:1\"; };\n"
        "inputs = ( { topic = \"events\"; framing = \"bare\"; schema = \"event.avsc\"; } );\n" TWO_INVITES;
    write_file("c.conf", with_schema);
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "event.avsc: the schema file cannot be opened"));
    write_file("event.avsc", "{\"type\":\"recrod\"}");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "input 'events': "));
    write_file("event.avsc", "{\"type\":\"record\",\"name\":\"e\",\"fields\":[]}");
    assert_int_equal(run("pqlstream check --config %s", path_of("c.conf")), PQL_EXIT_OK);
}

static void test_shipped_rules(void **state)
{
    (void)state;
    assert_int_equal(
        run("pqlstream check --config conf/pqlstream.conf --set definition_files=conf/rules/*.conf"),
        PQL_EXIT_OK);
    assert_string_equal(err, "");
    assert_non_null(strstr(out, "definition pqa (account)"));
    assert_int_equal(run("pqlstream explain --config conf/pqlstream.conf --set "
                         "definition_files=conf/rules/*.conf team_query"),
                     PQL_EXIT_OK);
    assert_non_null(strstr(out, "team_query (version 1): which accounts qualify"));
    assert_non_null(strstr(out, "touched by\n    saved_query_run: "));
    assert_non_null(strstr(out, "acme-pql.pqa, acme-pql.state, acme-pql.alerts"));
    assert_null(strstr(out, "inviter"));
}

static void test_explain(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES);
    assert_int_equal(run("pqlstream explain --config %s invitr", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "no definition 'invitr'; did you mean 'inviter'?"));
    assert_int_equal(run("pqlstream explain --language"), PQL_EXIT_OK);
    assert_non_null(strstr(out, "count(E, W)"));
    assert_non_null(strstr(out, "\ndefinitions[].score[].points\n    What the item gives"));
    assert_non_null(strstr(out, "\nparameters[].values[].is\n"));
    assert_null(strstr(out, "\ncommit_interval")); /* what has nothing to do with definitions */
    assert_null(strstr(out, "\nmappings"));
}

static void test_replay(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES);
    write_file("events.jsonl", events);
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("events.jsonl")),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 1);
    assert_non_null(strstr(out, "\"transition\":\"entered\""));
    assert_non_null(strstr(out, "\"origin\":\"backfill\""));
    assert_non_null(
        strstr(out, "\"source\":{\"topic\":\"events\",\"partition\":0,\"offset\":1,\"message_id\":\"3\"}"));
    assert_non_null(strstr(err, "events.jsonl:2: refused: no_account"));
    assert_non_null(strstr(err, "events.jsonl:3: refused: bad_json"));
    assert_non_null(strstr(err, "2 events")); /* and how long it took, where that is worth saying */
    assert_non_null(strstr(err, ", 1 records, 2 refused (bad_json 1) (no_account 1), 0 duplicates, 0 late"));
    assert_null(strstr(err, "\"u\"")); /* nothing of users where operators read */
}

/* A start that moves after its window was closed: what was counted is known no more, and records say so. */
static void test_replay_tells_what_is_lost(void **state)
{
    (void)state;
    write_file(
        "c.conf",
        "app = \"acme\"; kafka = { bootstrap_servers = \"127.0.0.1:1\"; }; start_grace = \"1d\";\n"
        "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"m\"; } );\n"
        "mappings = { m = { event = \"event\"; account = \"account\"; user = \"user\"; time = \"at\";\n"
        "  start_events = [ \"signed_up\" ]; }; };\n"
        "definitions = ( { name = \"d\"; qualify = \"count(x, first 3d) >= 1\"; } );\n");
    write_file("events.jsonl",
               "{\"event\":\"x\",\"account\":\"A\",\"user\":\"u\",\"at\":\"2026-01-01T00:00:00Z\"}\n"
               "{\"event\":\"x\",\"account\":\"A\",\"user\":\"u\",\"at\":\"2026-01-03T12:00:00Z\"}\n"
               "{\"event\":\"x\",\"account\":\"A\",\"user\":\"u\",\"at\":\"2026-01-06T00:00:00Z\"}\n"
               "{\"event\":\"signed_up\",\"account\":\"A\",\"user\":\"u\",\"at\":\"2026-01-03T00:00:00Z\"}\n"
               "{\"event\":\"x\",\"account\":\"A\",\"user\":\"u\",\"at\":\"2026-01-05T00:00:00Z\"}\n");
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("events.jsonl")),
                     PQL_EXIT_OK);
    const char *left = strstr(out, "\"transition\":\"left\""),
               *again = left ? strstr(left, "\"entered\"") : NULL;
    const char *lost = left ? strstr(left, "\"complete_since\":\"2026-01-03T12:00:00.001Z\"") : NULL;
    assert_non_null(strstr(out, "\"complete_since\":null"));
    assert_true(left && again && lost && lost < again);
    assert_non_null(strstr(again, "\"complete_since\":\"2026-01-03T12:00:00.001Z\""));
    assert_int_equal(count_of(out, "\n"), 3);
}

static void test_replay_advances(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES);
    write_file("events.jsonl", events);
    char config[128], file[128];
    snprintf(config, sizeof config, "%s", path_of("c.conf"));
    snprintf(file, sizeof file, "%s", path_of("events.jsonl"));
    assert_int_equal(run("pqlstream replay --config %s --advance 5d %s", config, file), PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 1);
    assert_int_equal(run("pqlstream replay --config %s --advance 6d %s", config, file), PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 2);
    assert_non_null(strstr(out, "\"transition\":\"left\""));
    assert_int_equal(run("pqlstream replay --config %s --advance end %s", config, file), PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 2);
    assert_int_equal(run("pqlstream replay --config %s --set lateness=1h --advance end %s", config, file),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 2);
    assert_non_null(strstr(out, "\"occurred_at\":\"2026-01-08T00:00:00.000Z\""));
}

static void test_replay_counts_late_events(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES "late_policy = \"dead_letter\";\n");
    write_file("events.jsonl", "{\"event\":\"a\",\"account_id\":\"A\",\"occurred_at\":2000}\n"
                               "{\"event\":\"a\",\"account_id\":\"A\",\"occurred_at\":1000}\n");
    const char *config = path_of("c.conf"), *file = path_of("events.jsonl");
    assert_int_equal(run("pqlstream replay --config %s %s", config, file), PQL_EXIT_OK);
    assert_non_null(strstr(err, "events.jsonl:2: refused: late: "));
    assert_non_null(strstr(err, "1 refused (late 1)"));
}

static void test_replay_of_csv(void **state)
{
    (void)state;
    write_file("c.conf",
               CONFIG "definitions = ( { name = \"big\"; qualify = \"sum(upload.bytes, 7d) >= 10\"; } );\n");
    write_file("events.csv", "event,account_id,user_id,occurred_at,properties.bytes,other\r\n"
                             "upload,A,u,1767225600000,4,\"x,y\"\r\n"
                             "upload,A,u,2026-01-01T00:00:01Z,6.5,\r\n"
                             "upload,A\r\n");
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("events.csv")),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 1);
    assert_non_null(strstr(out, "\"value\":10.5"));
    assert_non_null(strstr(err, "events.csv:4: refused: bad_csv: 2 cells, but the header has 6"));
}

static void test_replay_of_csv_with_a_column_twice(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG "definitions = ( { name = \"big\"; qualify = \"ever(upload)\"; } );\n");
    write_file("twice.csv", "event,account_id,event,occurred_at\nupload,A,login,1767225600000\n");
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("twice.csv")),
                     PQL_EXIT_FAILURE);
    assert_string_equal(out, "");
    assert_non_null(strstr(err, "twice.csv: line 1: two columns are called 'event'\n"));
}

/* A shipped mapping with fields of one's own, as conf/README.md shows. */
static void test_replay_by_a_shipped_mapping(void **state)
{
    (void)state;
    write_file(
        "c.conf",
        "app = \"acme\"; inputs = ( { topic = \"t\"; format = \"json\"; mapping = \"own\"; } );\n"
        "mappings = { own = { preset = \"snowplow\"; account = "
        "\"contexts_com_acme_account_1.0.account_id\";\n"
        "  properties = [ \"unstruct_event_com_acme_invite_sent_1.*\", \"*\" ]; }; };\n"
        "definitions = ( { name = \"pro\"; qualify = \"ever(invite_sent where plan = 'pro' and platform = "
        "'srv')\"; } );\n");
    write_file(
        "e.jsonl",
        "{\"platform\":\"srv\",\"collector_tstamp\":\"2026-03-01T12:31:00.972Z\",\"event\":\"unstruct\","
        "\"event_id\":\"e2\",\"event_name\":\"invite_sent\",\"user_id\":\"u2\","
        "\"unstruct_event_com_acme_invite_sent_1\":{\"plan\":\"pro\"},"
        "\"contexts_com_acme_account_1\":[{\"account_id\":\"acme\"}]}\n");
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("e.jsonl")),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 1);
    assert_non_null(strstr(out, "\"account_id\":\"acme\",\"user_id\":\"u2\",\"transition\":\"entered\""));
}

static void put_text(struct pql_buf *buf, const char *text)
{
    pql_buf_zigzag(buf, (int64_t)strlen(text));
    pql_buf_text(buf, text);
}

static void test_replay_of_a_container(void **state)
{
    (void)state;
    static const char schema[] =
        "{\"type\":\"record\",\"name\":\"e\",\"fields\":[{\"name\":\"event\",\"type\":\"string\"},"
        "{\"name\":\"account_id\",\"type\":\"string\"},{\"name\":\"user_id\",\"type\":\"string\"},"
        "{\"name\":\"occurred_at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}";
    static const char sync[] = "0123456789abcdef";
    struct pql_buf file = {0}, block = {0};
    pql_buf_text(&file, "Obj\x01");
    pql_buf_zigzag(&file, 1);
    put_text(&file, "avro.schema");
    put_text(&file, schema);
    pql_buf_zigzag(&file, 0);
    pql_buf_text(&file, sync);
    for (int i = 0; i < 2; i++) {
        put_text(&block, "invite_sent");
        put_text(&block, "A");
        put_text(&block, "u");
        pql_buf_zigzag(&block, 1767225600000 + i);
    }
    pql_buf_zigzag(&file, 2);
    pql_buf_zigzag(&file, (int64_t)block.len);
    pql_buf_put(&file, block.ptr, block.len);
    pql_buf_text(&file, sync);
    FILE *out_file = fopen(path_of("events.avro"), "w");
    assert_int_equal(fwrite(file.ptr, 1, file.len, out_file), file.len);
    fclose(out_file);
    write_file("c.conf", CONFIG TWO_INVITES);
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("events.avro")),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\n"), 1);
    assert_non_null(strstr(out, "\"occurred_at\":\"2026-01-01T00:00:00.001Z\""));
    write_file("bad.avro", "Obj");
    assert_int_equal(run("pqlstream replay --config %s %s", path_of("c.conf"), path_of("bad.avro")),
                     PQL_EXIT_FAILURE);
    assert_int_equal(count_of(err, "bad.avro"), 1);
    pql_buf_deinit(&file);
    pql_buf_deinit(&block);
}

/* Tasks as on a topic: each account in one, an event without account in all. */
static void test_replay_partitions(void **state)
{
    (void)state;
    write_file("c.conf",
               CONFIG TWO_INVITES "mappings = { own = { preset = \"canonical\"; kind = \"kind\"; }; };\n");
    FILE *file = fopen(path_of("events.jsonl"), "w");
    for (int i = 0; i < 200; i++)
        fprintf(file,
                "{\"event\":\"invite_sent\",\"account_id\":\"a%d\",\"user_id\":\"u\",\"occurred_at\":%d}\n",
                i % 100, i);
    fprintf(file, "{\"kind\":\"clock\",\"occurred_at\":%d}\n", 10 * 86400 * 100);
    fclose(file);
    assert_int_equal(run("pqlstream replay --config %s --set inputs[0].mapping=own --partitions 4 %s",
                         path_of("c.conf"), path_of("events.jsonl")),
                     PQL_EXIT_OK);
    assert_int_equal(count_of(out, "\"transition\":\"entered\""), 100);
    for (int i = 0; i < 4; i++) {
        char partition[32];
        snprintf(partition, sizeof partition, "\"partition\":%d,", i);
        assert_true(count_of(out, partition) > 10);
    }
    assert_non_null(strstr(err, "201 events"));
    assert_non_null(strstr(err, "100 accounts"));
}

static void test_replay_of_a_missing_file(void **state)
{
    (void)state;
    write_file("c.conf", CONFIG TWO_INVITES);
    assert_int_equal(run("pqlstream replay --config %s %s/nowhere", path_of("c.conf"), folder),
                     PQL_EXIT_FAILURE);
    assert_non_null(strstr(err, "nowhere: No such file or directory"));
    assert_int_equal(run("pqlstream replay --config %s --input evnts", path_of("c.conf")), PQL_EXIT_CONFIG);
    assert_non_null(strstr(err, "--input evnts: no such input; did you mean 'events'?"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_wrong_words),
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_check_names_what_may_be_approximate),
        cmocka_unit_test(test_exact_max_of_one_definition),
        cmocka_unit_test(test_check_of_decay),
        cmocka_unit_test(test_check_says_all_errors),
        cmocka_unit_test(test_check_says_each_error_once),
        cmocka_unit_test(test_check_warns_of_names_without_a_path),
        cmocka_unit_test(test_check_warns_of_attributes_without_a_kind),
        cmocka_unit_test(test_check_reads_schema_files),
        cmocka_unit_test(test_shipped_rules),
        cmocka_unit_test(test_explain),
        cmocka_unit_test(test_replay),
        cmocka_unit_test(test_replay_tells_what_is_lost),
        cmocka_unit_test(test_replay_advances),
        cmocka_unit_test(test_replay_counts_late_events),
        cmocka_unit_test(test_replay_of_csv),
        cmocka_unit_test(test_replay_of_csv_with_a_column_twice),
        cmocka_unit_test(test_replay_by_a_shipped_mapping),
        cmocka_unit_test(test_replay_of_a_container),
        cmocka_unit_test(test_replay_partitions),
        cmocka_unit_test(test_replay_of_a_missing_file),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
