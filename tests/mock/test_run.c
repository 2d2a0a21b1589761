/* The whole program's way from configuration to topics, on the mock cluster and at least once: what comes
 * out, what a restart finds, what bad records and a broker that goes away do, and what is refused at the
 * start. */
#include "app/runner.h"
#include "app/setup.h"
#include "core/wire/json.h"
#include "io/kafka_mock.h"
#include "io/kafka_tail.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
// cmocka wants the four above before it
#include <cmocka.h>

enum { WAIT_S = 60, RECORDS_MAX = 100, PARTITIONS = 2 };

static const char configuration[] =
    "app = \"t\";\n"
    "kafka = { bootstrap_servers = \"%s\"; consumer = { fetch_wait_max_ms = 10;\n"
    "  session_timeout_ms = 1000; heartbeat_interval_ms = 200; }; };\n"
    "delivery = \"at_least_once\"; replication_factor = 1; clock = \"events\"; workers = 2; %s\n"
    "inputs = ( { topic = \"events\"; format = \"json\"; mapping = \"canonical\"; } );\n"
    "definitions = (\n"
    "  { name = \"inviter\"; subject = \"user\"; qualify = \"count(invite_sent, 7d) >= 2\"; },\n"
    "  { name = \"team\"; subject = \"account\"; qualify = \"users(count(any, 7d) >= 1) >= 3\"; } );\n";

struct fixture {
    struct pql_kafka_mock *mock;
    char path[100];
    struct pql_setup setup;
    struct pql_runner *runner;
    int events; /* sent so far, for ids and times */
};

static void say(void *context, int level, const char *text)
{
    (void)context;
    if (level < 4) print_message("%d %s\n", level, text);
}

static const struct pql_kafka_log said = {.write = say};

static int set_up(void **state)
{
    struct pql_err err = {0};
    struct fixture *fx = calloc(1, sizeof(*fx));
    fx->mock = pql_kafka_mock_new(1, &err);
    assert_non_null(fx->mock);
    snprintf(fx->path, sizeof(fx->path), "/tmp/pqlstream-test-XXXXXX");
    int file = mkstemp(fx->path);
    assert_true(file >= 0);
    close(file);
    *state = fx;
    return 0;
}

static void load(struct fixture *fx, const char *settings)
{
    int exit_code = 0;
    FILE *file = fopen(fx->path, "w");
    fprintf(file, configuration, pql_kafka_mock_bootstrap(fx->mock), settings);
    fclose(file);
    const struct pql_config_flags flags = {.path = fx->path};
    assert_true(pql_setup_init(&fx->setup, &flags, true, &exit_code));
    fx->setup.config->kafka.is_mock = true;
}

static void make_topics(struct fixture *fx)
{
    static const char *const names[] = {"events",   "t.pql",    "t.pqa", "t.state",
                                        "t.alerts", "t.shadow", "t.dlq", "t.checkpoint"};
    struct pql_err err;
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, names[i], PARTITIONS, &err), 0);
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;
    pql_setup_deinit(&fx->setup);
    pql_kafka_mock_free(fx->mock);
    unlink(fx->path);
    free(fx);
    return 0;
}

/* --- in --- */

/* Sends values with this key, waiting for their acknowledgements. */
static void send_values(struct fixture *fx, const char *key, const char *const *values, size_t count)
{
    struct pql_err err = {0};
    const char *const inputs[] = {"events"};
    struct pql_kafka_ports_conf conf = {.kafka = &fx->setup.config->kafka,
                                        .log = said,
                                        .inputs = inputs,
                                        .inputs_count = 1,
                                        .outputs = {[PQL_OUT_PQL] = "events"},
                                        .workers_count = 1};
    struct pql_kafka_ports *ports = pql_kafka_ports_new(&conf, &err);
    assert_non_null(ports);
    struct pql_ports table = pql_kafka_ports_table(ports);
    for (size_t i = 0; i < count; i++) {
        struct pql_out_record record = {.output = PQL_OUT_PQL,
                                        .partition = -1,
                                        .has_key = true,
                                        .has_value = true,
                                        .key = pql_slice_of(key),
                                        .value = pql_slice_of(values[i]),
                                        .timestamp_ms = PQL_NO_TIME};
        assert_int_equal(table.plain_produce(table.self, PQL_LANE_OUTPUT, &record, i, &err), 0);
    }
    struct pql_ack acks[10];
    for (size_t got = 0; got < count;) {
        size_t n = table.plain_acks(table.self, PQL_LANE_OUTPUT, acks, 10, 10000);
        assert_true(n > 0);
        for (size_t i = 0; i < n; i++) assert_int_equal(acks[i].failed, PQL_ERR_NONE);
        got += n;
    }
    pql_kafka_ports_free(ports);
}

static void send_event(struct fixture *fx, const char *account, const char *user, const char *event)
{
    char text[300];
    int n = fx->events++;
    snprintf(
        text, sizeof(text),
        "{\"type\":\"track\",\"event_id\":\"e%d\",\"event\":\"%s\",\"account_id\":\"%s\",\"user_id\":\"%s\","
        "\"occurred_at\":%lld}",
        n, event, account, user, 1770000000000LL + n * 1000LL);
    const char *const values[] = {text};
    send_values(fx, account, values, 1);
}

/* --- out --- */

struct seen {
    char key[100], id[40], reason[40];
};

/* Reads a topic until `wanted` records came. */
static void expect(struct fixture *fx, const char *topic, size_t wanted, struct seen *out)
{
    struct pql_err err = {0};
    const char *const topics[] = {topic};
    const struct pql_slice id = PQL_SLICE_LITERAL("event_id");
    struct pql_json_plan *plan = pql_json_plan_new(&id, 1);
    struct pql_kafka_tail *tail = pql_kafka_tail_open(&fx->setup.config->kafka, &said, topics, 1, &err);
    struct pql_tail_record record;
    struct pql_arena arena;
    size_t count = 0;
    pql_arena_init(&arena);
    assert_non_null(tail);
    for (time_t end = time(NULL) + WAIT_S; count < wanted && time(NULL) < end;) {
        if (!pql_kafka_tail_read(tail, 100, &record)) continue;
        struct pql_value value = {0};
        struct pql_slice reason = pql_kafka_tail_header(tail, "pqlstream.error.reason");
        bool is_json = !pql_json_plan_run(plan, record.value.ptr, record.value.len, &arena, &value, &err);
        snprintf(out[count].key, sizeof(out->key), "%.*s", PQL_SLICE_ARG(record.key));
        snprintf(out[count].reason, sizeof(out->reason), "%.*s", PQL_SLICE_ARG(reason));
        if (is_json && value.kind == PQL_TEXT)
            snprintf(out[count].id, sizeof(out->id), "%.*s", PQL_SLICE_ARG(value.text));
        count++;
    }
    pql_arena_deinit(&arena);
    pql_kafka_tail_close(tail);
    pql_json_plan_free(plan);
    assert_int_equal(count, wanted);
}

/* --- the program --- */

static void start(struct fixture *fx)
{
    int exit_code = -1;
    struct pql_err err = {0};
    fx->runner = pql_runner_start(&fx->setup, NULL, NULL, &exit_code, &err);
    if (!fx->runner) fail_msg("not started: exit %d, %s", exit_code, err.msg);
}

static void stop(struct fixture *fx)
{
    struct pql_err err = {0};
    pql_runner_stop(fx->runner);
    int exit_code = pql_runner_finish(fx->runner, &err);
    if (exit_code != PQL_EXIT_OK) fail_msg("exit %d: %s", exit_code, err.msg);
}

static void test_restart(void **state)
{
    struct fixture *fx = *state;
    struct seen seen[RECORDS_MAX];
    load(fx, "");
    make_topics(fx);
    start(fx);
    send_event(fx, "acme", "ann", "invite_sent");
    send_event(fx, "acme", "ann", "invite_sent");
    send_event(fx, "globex", "bob", "invite_sent");
    send_event(fx, "globex", "cid", "login");
    expect(fx, "t.pql", 1, seen);
    assert_string_equal(seen[0].key, "inviter/acme/ann");
    stop(fx);

    /* One more of each is enough only for who remembers what was before. */
    send_event(fx, "globex", "bob", "invite_sent");
    send_event(fx, "globex", "dan", "login");
    start(fx);
    expect(fx, "t.pql", 2, seen);
    assert_string_equal(seen[1].key, "inviter/globex/bob");
    assert_string_not_equal(seen[0].id, seen[1].id);
    expect(fx, "t.pqa", 1, seen);
    assert_string_equal(seen[0].key, "team/globex");
    expect(fx, "t.state", 3, seen);
    stop(fx);

    /* A third start has nothing to say. */
    start(fx);
    send_event(fx, "acme", "eve", "login");
    send_event(fx, "acme", "fay", "login");
    expect(fx, "t.pqa", 2, seen);
    stop(fx);
    expect(fx, "t.pql", 2, seen);
}

static void test_bad_records(void **state)
{
    struct fixture *fx = *state;
    struct seen seen[RECORDS_MAX];
    static const char *const broken[] = {
        "{\"type\":\"track\",\"event\":\"login\"",
        "{\"type\":\"track\",\"account_id\":\"acme\",\"occurred_at\":1770000000000}",
        "{\"type\":\"track\",\"event\":\"login\",\"account_id\":\"acme\",\"occurred_at\":\"yesterday\"}",
        "{\"type\":\"track\",\"event\":\"login\",\"account_id\":\"acme\",\"occurred_at\":9770000000000}",
    };
    static const char *const reasons[] = {"bad_json", "no_event", "bad_time", "future_time"};
    load(fx, "");
    make_topics(fx);
    send_event(fx, "acme", "ann", "invite_sent");
    send_values(fx, "acme", broken, 4);
    send_event(fx, "acme", "ann", "invite_sent");
    start(fx);
    expect(fx, "t.pql", 1, seen);
    expect(fx, "t.dlq", 4, seen);
    for (int i = 0; i < 4; i++) {
        assert_string_equal(seen[i].reason, reasons[i]);
        assert_string_equal(seen[i].key, "acme");
    }
    stop(fx);
}

/* The broker is away for some seconds: nothing ends, nothing is lost. */
static void test_broker_away(void **state)
{
    struct fixture *fx = *state;
    struct seen seen[RECORDS_MAX];
    load(fx, "");
    make_topics(fx);
    start(fx);
    send_event(fx, "acme", "ann", "invite_sent");
    send_event(fx, "acme", "ann", "invite_sent");
    expect(fx, "t.pql", 1, seen);
    pql_kafka_mock_down(fx->mock);
    sleep(3);
    assert_false(pql_runner_is_done(fx->runner));
    pql_kafka_mock_up(fx->mock);
    send_event(fx, "acme", "bob", "invite_sent");
    send_event(fx, "acme", "bob", "invite_sent");
    expect(fx, "t.pql", 2, seen);
    assert_string_equal(seen[1].key, "inviter/acme/bob");
    stop(fx);
}

static void refuses(struct fixture *fx, const char *topic, const char *mend)
{
    int exit_code = -1;
    struct pql_err err = {0};
    assert_null(pql_runner_start(&fx->setup, NULL, NULL, &exit_code, &err));
    assert_int_equal(exit_code, PQL_EXIT_CONFIG);
    assert_non_null(strstr(err.msg, topic));
    assert_non_null(strstr(err.msg, mend));
}

static void test_missing_topic(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err;
    load(fx, "");
    assert_int_equal(pql_kafka_mock_create_topic(fx->mock, "events", PARTITIONS, &err), 0);
    refuses(fx, "t.pql", "pqlstream topics --config");
}

static void *make_topics_later(void *context)
{
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    make_topics(context);
    return NULL;
}

/* As where one creates the topics and starts this at once: the broker asked hears of them a moment later. */
static void test_topics_that_appear(void **state)
{
    struct fixture *fx = *state;
    pthread_t maker;
    load(fx, "");
    assert_int_equal(pthread_create(&maker, NULL, make_topics_later, fx), 0);
    start(fx);
    pthread_join(maker, NULL);
    stop(fx);
}

static void test_unequal_partitions(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err;
    load(fx, "");
    assert_int_equal(pql_kafka_mock_create_topic(fx->mock, "t.checkpoint", PARTITIONS + 1, &err), 0);
    static const char *const names[] = {"events",   "t.pql",    "t.pqa", "t.state",
                                        "t.alerts", "t.shadow", "t.dlq"};
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, names[i], PARTITIONS, &err), 0);
    refuses(fx, "t.checkpoint", "pqlstream topics --config");
}

static bool stop_at_once(void *context)
{
    ++*(int *)context;
    return true;
}

/* Asked to stop while no broker answers: it ends, and in order. */
static void test_stop_while_waiting(void **state)
{
    struct fixture *fx = *state;
    int exit_code = -1, asked = 0;
    struct pql_err err = {0};
    load(fx, "");
    pql_kafka_mock_down(fx->mock);
    assert_null(pql_runner_start(&fx->setup, stop_at_once, &asked, &exit_code, &err));
    assert_int_equal(exit_code, PQL_EXIT_OK);
    assert_true(asked > 0);
    pql_kafka_mock_up(fx->mock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_bad_records, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_broker_away, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_missing_topic, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_topics_that_appear, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_unequal_partitions, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_stop_while_waiting, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
