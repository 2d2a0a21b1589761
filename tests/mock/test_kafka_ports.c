/* The ports on librdkafka against its mock cluster: the group, messages, lanes, logs, and what each fault of
 * a transaction becomes. */
#include "core/record.h"
#include "io/kafka_admin.h"
#include "io/kafka_mock.h"
#include "io/kafka_ports.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
// cmocka wants the four above before it
#include <cmocka.h>

enum {
    API_PRODUCE = 0,
    API_TXN_OFFSET_COMMIT = 28,
    API_END_TXN = 26,
    API_ADD_PARTITIONS = 24,
    API_INIT_PRODUCER = 22
};
enum {
    CODE_ILLEGAL_GENERATION = 22,
    CODE_UNKNOWN_MEMBER = 25,
    CODE_REBALANCE = 27,
    CODE_NOT_COORDINATOR = 16,
    CODE_TOPIC_AUTHORIZATION = 29,
    CODE_TOO_LARGE = 10,
    CODE_INVALID_EPOCH = 47,
    CODE_INVALID_TXN_STATE = 48,
    CODE_CONCURRENT = 51,
    CODE_UNKNOWN_PRODUCER = 59,
    CODE_FENCED_INSTANCE = 82,
    CODE_PRODUCER_FENCED = 90,
};

static char log_lines[20000];

static void write_log(void *context, int level, const char *text)
{
    (void)context;
    size_t used = strlen(log_lines);
    snprintf(log_lines + used, sizeof(log_lines) - used, "%d %s\n", level, text);
}

struct fixture {
    struct pql_kafka_mock *mock;
    struct pql_kafka_property properties[2];
    struct pql_kafka_conf kafka;
    struct pql_kafka_ports *ports;
    struct pql_ports table;
};

static const char *const inputs[] = {"events", "billing"};

static struct pql_kafka_ports_conf ports_conf(struct fixture *fx)
{
    return (struct pql_kafka_ports_conf){
        .kafka = &fx->kafka,
        .log = {.write = write_log},
        .inputs = inputs,
        .inputs_count = 2,
        .outputs = {"a.pql", "a.pqa", "a.state", "a.alerts", "a.dlq", "a.checkpoint"},
        .workers_count = 2,
    };
}

static int set_up(void **state)
{
    struct fixture *fx = calloc(1, sizeof(*fx));
    struct pql_err err = {0};
    log_lines[0] = '\0';
    fx->mock = pql_kafka_mock_new(1, &err);
    assert_non_null(fx->mock);
    fx->properties[0] =
        (struct pql_kafka_property){.name = "bootstrap.servers", .value = pql_kafka_mock_bootstrap(fx->mock)};
    fx->properties[1] = (struct pql_kafka_property){
        .name = "fetch.wait.max.ms", .value = "10", .side = PQL_KAFKA_CONSUMER_SIDE};
    fx->kafka = (struct pql_kafka_conf){
        .properties = fx->properties, .properties_count = 2, .app = "a", .is_mock = true};
    struct pql_kafka_ports_conf conf = ports_conf(fx);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, inputs[i], 2, &err), 0);
    for (size_t i = 0; i < PQL_OUT_COUNT; i++)
        assert_int_equal(pql_kafka_mock_create_topic(fx->mock, conf.outputs[i], 2, &err), 0);
    fx->ports = pql_kafka_ports_new(&conf, &err);
    assert_non_null(fx->ports);
    fx->table = pql_kafka_ports_table(fx->ports);
    const int64_t sizes[PQL_OUT_COUNT] = {1000000, 1000000, 3000, 1000000, 1000000, 1000000};
    assert_int_equal(fx->table.set_sizes(fx->table.self, sizes, &err), 0);
    *state = fx;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fx = *state;
    pql_kafka_ports_free(fx->ports);
    pql_kafka_mock_free(fx->mock);
    free(fx);
    return 0;
}

#define OK(call)                                                                                             \
    do {                                                                                                     \
        if (call) fail_msg("%s: class %d: %s", #call, (int)err.cls, err.msg);                                \
    } while (0)

/* Puts `count` records "0", "1" … on a partition of an input, by a handle of its own. */
static void feed(struct fixture *fx, size_t input, int32_t partition, int count)
{
    struct pql_err err = {0};
    struct pql_kafka_ports_conf conf = ports_conf(fx);
    conf.outputs[0] = inputs[input];
    struct pql_kafka_ports *ports = pql_kafka_ports_new(&conf, &err);
    struct pql_ports table = pql_kafka_ports_table(ports);
    struct pql_header header = {PQL_SLICE_LITERAL("name"), PQL_SLICE_LITERAL("value")};
    for (int i = 0; i < count; i++) {
        char text[12];
        int len = snprintf(text, sizeof(text), "%d", i);
        struct pql_out_record record = {.output = PQL_OUT_PQL,
                                        .partition = partition,
                                        .has_key = true,
                                        .has_value = true,
                                        .key = PQL_SLICE_LITERAL("k"),
                                        .value = {text, (size_t)len},
                                        .headers = &header,
                                        .headers_count = 1,
                                        .timestamp_ms = 1000 + i};
        OK(table.plain_produce(table.self, PQL_LANE_OUTPUT, &record, (uint64_t)i, &err));
    }
    struct pql_ack acks[100];
    for (int got = 0; got < count;)
        got += (int)table.plain_acks(table.self, PQL_LANE_OUTPUT, acks, 100, 5000);
    pql_kafka_ports_free(ports);
}

static struct pql_control wait_for(struct fixture *fx, enum pql_control_kind kind)
{
    struct pql_control control;
    for (int i = 0; i < 300; i++) {
        fx->table.poll(fx->table.self, 100, &control);
        if (control.kind == kind) return control;
    }
    fail_msg("no control event %d; the log says:\n%s", (int)kind, log_lines);
    return control;
}

/* Joins; tasks 0 and 1 to workers 0 and 1. */
static void join(struct fixture *fx)
{
    struct pql_err err = {0};
    const unsigned workers[] = {0, 1};
    OK(fx->table.subscribe(fx->table.self, &err));
    struct pql_control control = wait_for(fx, PQL_CONTROL_ASSIGNED);
    assert_int_equal(control.count, 2);
    unsigned of_task[2] = {workers[control.tasks[0]], workers[control.tasks[1]]};
    OK(fx->table.assign(fx->table.self, control.tasks, of_task, 2, &err));
}

static size_t take(struct fixture *fx, unsigned worker, struct pql_message_view *out, size_t wanted)
{
    size_t count = 0;
    for (int i = 0; i < 200 && count < wanted; i++) {
        fx->table.worker_wait(fx->table.self, worker, 50);
        count += fx->table.worker_poll(fx->table.self, worker, out + count, wanted - count);
    }
    return count;
}

static void release(struct fixture *fx, struct pql_message_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) fx->table.message_release(fx->table.self, &views[i]);
}

static void test_messages(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    struct pql_message_view views[20];
    feed(fx, 0, 1, 5);
    feed(fx, 1, 1, 2);
    join(fx);

    /* Nothing before seek and resume, for both inputs of the task. */
    assert_int_equal(fx->table.worker_poll(fx->table.self, 1, views, 20), 0);
    struct pql_position positions[] = {{.input = 0, .partition = 1, .offset = 2},
                                       {.input = 1, .partition = 1, .offset = 0}};
    OK(fx->table.seek(fx->table.self, positions, 2, 5000, &err));
    assert_int_equal(positions[0].failed, PQL_ERR_NONE);
    assert_int_equal(fx->table.worker_poll(fx->table.self, 1, views, 20), 0);
    OK(fx->table.resume(fx->table.self, positions, 2, &err));

    /* 3 and 2 records, and the end of each partition once. */
    size_t count = take(fx, 1, views, 7);
    assert_int_equal(count, 7);
    int64_t next[2] = {2, 0};
    int ends = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(views[i].partition, 1);
        assert_int_equal(views[i].offset, next[views[i].input]);
        if (views[i].kind == PQL_MESSAGE_END) {
            ends++;
            continue;
        }
        assert_int_equal(views[i].kind, PQL_MESSAGE_RECORD);
        assert_int_equal(views[i].timestamp_ms, 1000 + views[i].offset);
        assert_true(views[i].has_key && pql_slice_is(views[i].key, "k"));
        assert_int_equal(views[i].value.ptr[0], '0' + views[i].offset);
        next[views[i].input]++;
    }
    assert_int_equal(ends, 2);

    struct pql_arena arena;
    pql_arena_init(&arena);
    const struct pql_header *headers;
    size_t headers_count;
    fx->table.message_headers(fx->table.self, &views[0], &arena, &headers, &headers_count);
    assert_int_equal(headers_count, 1);
    assert_true(pql_slice_is(headers[0].name, "name") && pql_slice_is(headers[0].value, "value"));
    pql_arena_deinit(&arena);
    release(fx, views, count);

    /* A seek back while paused: the same records again, none of those fetched before. */
    OK(fx->table.pause(fx->table.self, positions, 2, &err));
    positions[0].offset = 4;
    OK(fx->table.seek(fx->table.self, positions, 1, 5000, &err));
    OK(fx->table.resume(fx->table.self, positions, 1, &err));
    count = take(fx, 1, views, 2);
    assert_int_equal(count, 2);
    assert_int_equal(views[0].offset, 4);
    assert_int_equal(views[1].kind, PQL_MESSAGE_END);
    release(fx, views, count);

    /* Where the ends are now. */
    OK(fx->table.end_offsets_ask(fx->table.self, positions, 2, &err));
    struct pql_control control = wait_for(fx, PQL_CONTROL_OFFSETS);
    assert_int_equal(control.offsets_count, 2);
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(control.offsets[i].offset, control.offsets[i].input == 0 ? 5 : 2);
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

static void test_wake(void **state)
{
    struct fixture *fx = *state;
    uint64_t began = fx->table.mono_us(fx->table.self);
    fx->table.worker_wake(fx->table.self, 0);
    fx->table.worker_wait(fx->table.self, 0, 20000);
    assert_true(fx->table.mono_us(fx->table.self) - began < 10000000);
}

static void test_offsets(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    feed(fx, 0, 0, 5);
    struct pql_position asked[] = {{.offset = PQL_OFFSET_EARLIEST, .partition = 0},
                                   {.offset = PQL_OFFSET_LATEST, .partition = 1}};
    OK(fx->table.offsets(fx->table.self, asked, 2, 5000, &err));
    assert_int_equal(asked[0].offset, 0);
    assert_int_equal(asked[1].offset, 0);
    asked[0].offset = PQL_OFFSET_LATEST;
    OK(fx->table.offsets(fx->table.self, asked, 1, 5000, &err));
    assert_int_equal(asked[0].offset, 5);

    join(fx);
    struct pql_position positions[] = {{.partition = 0, .offset = 3, .metadata = "v1;t=-;w=x"},
                                       {.partition = 1}};
    OK(fx->table.commit_offsets(fx->table.self, positions, 1, 5000, &err));
    OK(fx->table.committed(fx->table.self, positions, 2, 5000, &err));
    assert_int_equal(positions[0].offset, 3);
    assert_string_equal(positions[0].metadata, "v1;t=-;w=x");
    assert_int_equal(positions[1].offset, PQL_OFFSET_NONE);

    struct pql_topic_facts facts;
    OK(fx->table.input_facts(fx->table.self, 1, &facts, 5000, &err));
    assert_true(facts.exists);
    assert_int_equal(facts.partitions_count, 2);
    assert_false(facts.has_configuration); /* the mock has none to give */
    assert_int_equal(facts.max_message_bytes, 1000000);
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

static void put(struct fixture *fx, enum pql_lane lane, const char *value, uint64_t cookie)
{
    struct pql_err err = {0};
    struct pql_out_record record = {.output = PQL_OUT_CHECKPOINT,
                                    .partition = 1,
                                    .has_value = true,
                                    .value = pql_slice_of(value),
                                    .timestamp_ms = PQL_NO_TIME};
    OK(fx->table.plain_produce(fx->table.self, lane, &record, cookie, &err));
}

static void test_log(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    put(fx, PQL_LANE_SNAPSHOT, "one", 11);
    put(fx, PQL_LANE_OUTPUT, "two", 22);
    put(fx, PQL_LANE_SNAPSHOT, "three", 33);
    struct pql_ack acks[3];
    size_t count = 0;
    while (count < 2)
        count += fx->table.plain_acks(fx->table.self, PQL_LANE_SNAPSHOT, acks + count, 2 - count, 5000);
    assert_int_equal(acks[0].cookie, 11);
    assert_int_equal(acks[0].offset, 0);
    assert_int_equal(acks[1].cookie, 33);
    assert_int_equal(acks[1].offset, 2);
    assert_int_equal(fx->table.plain_acks(fx->table.self, PQL_LANE_OUTPUT, acks, 3, 5000), 1);
    assert_int_equal(acks[0].cookie, 22);
    assert_int_equal(acks[0].failed, PQL_ERR_NONE);

    int64_t low, end;
    OK(fx->table.checkpoint_ends(fx->table.self, 1, &low, &end, 5000, &err));
    assert_int_equal(low, 0);
    assert_int_equal(end, 3);
    struct pql_log *log;
    struct pql_log_record record;
    OK(fx->table.log_open(fx->table.self, 1, 1, PQL_READ_UNCOMMITTED, &log, &err));
    const char *const wanted[] = {"two", "three"};
    for (int i = 0; i < 2; i++) {
        do OK(fx->table.log_read(fx->table.self, log, 1000, &record, &err));
        while (record.kind == PQL_LOG_NOTHING);
        assert_int_equal(record.kind, PQL_LOG_RECORD);
        assert_int_equal(record.offset, 1 + i);
        assert_true(pql_slice_is(record.value, wanted[i]));
    }
    do OK(fx->table.log_read(fx->table.self, log, 1000, &record, &err));
    while (record.kind == PQL_LOG_NOTHING);
    assert_int_equal(record.kind, PQL_LOG_END);
    assert_int_equal(record.offset, 3);
    fx->table.log_close(fx->table.self, log);
}

/* --- transactions --- */

static int transaction(struct fixture *fx, struct pql_err *err)
{
    struct pql_group_facts facts;
    struct pql_out_record record = {.output = PQL_OUT_PQA,
                                    .partition = -1,
                                    .has_key = true,
                                    .has_value = true,
                                    .key = PQL_SLICE_LITERAL("d/acme"),
                                    .value = PQL_SLICE_LITERAL("{}"),
                                    .timestamp_ms = PQL_NO_TIME};
    struct pql_position position = {.partition = 0, .offset = 1, .metadata = "v1"};
    struct pql_ports *table = &fx->table;
    if (table->txn_begin(table->self, err) || table->txn_produce(table->self, &record, err)) return -1;
    table->group_facts(table->self, &facts);
    assert_true(facts.generation >= 0 && facts.has_member_id);
    if (table->txn_send_offsets(table->self, &position, 1, 5000, err)) return -1;
    return table->txn_commit(table->self, 5000, err);
}

static void test_transaction(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    join(fx);
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
    for (int i = 0; i < 3; i++) OK(transaction(fx, &err));
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

/* Every row of what a broker may answer that the mock can be made to say. */
static void test_transaction_faults(void **state)
{
    struct fixture *fx = *state;
    static const struct {
        int16_t api;
        int code;
        enum pql_err_class cls; /* NONE: overcome inside the client */
        const char *reason;
    } rows[] = {
        {API_TXN_OFFSET_COMMIT, CODE_ILLEGAL_GENERATION, PQL_ERR_ABORT_TXN, NULL},
        {API_TXN_OFFSET_COMMIT, CODE_UNKNOWN_MEMBER, PQL_ERR_ABORT_TXN, NULL},
        {API_TXN_OFFSET_COMMIT, CODE_FENCED_INSTANCE, PQL_ERR_ABORT_TXN, NULL},
        {API_TXN_OFFSET_COMMIT, CODE_REBALANCE, PQL_ERR_ABORT_TXN, NULL},
        {API_TXN_OFFSET_COMMIT, CODE_NOT_COORDINATOR, PQL_ERR_NONE, NULL},
        {API_END_TXN, CODE_CONCURRENT, PQL_ERR_NONE, NULL},
        {API_ADD_PARTITIONS, CODE_TOPIC_AUTHORIZATION, PQL_ERR_ABORT_TXN, "topic_authorization"},
        {API_PRODUCE, CODE_TOO_LARGE, PQL_ERR_ABORT_TXN, "record_too_large"},
        {API_END_TXN, CODE_INVALID_EPOCH, PQL_ERR_FENCED, NULL},
        {API_END_TXN, CODE_PRODUCER_FENCED, PQL_ERR_FENCED, NULL},
        {API_END_TXN, CODE_INVALID_TXN_STATE, PQL_ERR_FENCED, NULL},
        {API_PRODUCE, CODE_INVALID_EPOCH, PQL_ERR_FENCED, NULL},
    };
    struct pql_err err = {0};
    join(fx);
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
    OK(transaction(fx, &err));
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        err = (struct pql_err){0};
        pql_kafka_mock_fail(fx->mock, rows[i].api, 1, rows[i].code);
        int result = transaction(fx, &err);
        if (err.cls != rows[i].cls || result != (rows[i].cls ? -1 : 0))
            fail_msg("request %d answered %d: class %d, %s", rows[i].api, rows[i].code, (int)err.cls,
                     err.msg);
        if (rows[i].reason) assert_string_equal(err.reason, rows[i].reason);
        if (rows[i].cls == PQL_ERR_ABORT_TXN) OK(fx->table.txn_abort(fx->table.self, 10000, &err));
        if (rows[i].cls == PQL_ERR_FENCED) {
            OK(fx->table.txn_recreate(fx->table.self, &err));
            OK(fx->table.txn_init(fx->table.self, 10000, &err));
        }
        /* And it goes on; an abort that cost sequence numbers may ask for one more. */
        if (transaction(fx, &err)) {
            assert_int_equal(err.cls, PQL_ERR_ABORT_TXN);
            OK(fx->table.txn_abort(fx->table.self, 10000, &err));
            OK(transaction(fx, &err));
        }
    }
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

/* As large as the topic takes, beside small ones. */
static void test_large_record(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    enum { SIZE = 999800 };
    char *bytes = pql_xcalloc(1, SIZE);
    struct pql_out_record record = {.output = PQL_OUT_DLQ,
                                    .partition = 0,
                                    .has_value = true,
                                    .value = {bytes, SIZE},
                                    .timestamp_ms = PQL_NO_TIME};
    join(fx);
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
    OK(fx->table.txn_begin(fx->table.self, &err));
    OK(fx->table.txn_produce(fx->table.self, &record, &err));
    record.value.len = 10;
    OK(fx->table.txn_produce(fx->table.self, &record, &err));
    OK(fx->table.txn_commit(fx->table.self, 10000, &err));
    OK(fx->table.leave(fx->table.self, 10000, &err));
    free(bytes);
}

/* Whether a commit that takes too long came through is not known; the next handle ends it one way or the
 * other. */
static void test_commit_timed_out(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    struct pql_ports *table = &fx->table;
    struct pql_group_facts facts;
    struct pql_position position = {.partition = 0, .offset = 1};
    join(fx);
    OK(table->txn_init(table->self, 10000, &err));
    OK(table->txn_begin(table->self, &err));
    table->group_facts(table->self, &facts);
    OK(table->txn_send_offsets(table->self, &position, 1, 5000, &err));
    pql_kafka_mock_delay(fx->mock, 1000);
    assert_int_equal(table->txn_commit(table->self, 200, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_FENCED);
    assert_null(err.reason);
    pql_kafka_mock_delay(fx->mock, 0);
    OK(table->txn_recreate(table->self, &err));
    OK(table->txn_init(table->self, 10000, &err));
    OK(transaction(fx, &err));
    OK(table->leave(table->self, 10000, &err));
}

/* --- configuration and connection --- */

static void test_unreachable(void **state)
{
    (void)state;
    const struct pql_kafka_property properties[] = {{.name = "bootstrap.servers", .value = "127.0.0.1:1"}};
    const struct pql_kafka_conf conf = {.properties = properties, .properties_count = 1, .app = "a"};
    const struct pql_kafka_log log = {.write = write_log};
    struct pql_err err = {0};
    log_lines[0] = '\0';
    struct pql_kafka *kafka = pql_kafka_open(&conf, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, &err);
    assert_non_null(kafka);
    assert_int_equal(pql_kafka_await(kafka, 2, NULL, NULL, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RETRY);
    assert_non_null(strstr(err.msg, "127.0.0.1:1"));
    assert_non_null(strstr(err.msg, "refused"));
    assert_non_null(strstr(log_lines, "trying again in 0.5 s"));
    pql_kafka_close(kafka);
}

static void test_check(void **state)
{
    (void)state;
    const struct pql_kafka_property properties[] = {
        {.name = "bootstrap.servers", .value = "127.0.0.1:1"},
        {.name = "no.such.thing", .value = "1", .file = "x.conf", .line = 3, .column = 5},
        {.name = "group.id", .value = "mine", .file = "x.conf", .line = 4, .column = 5},
        {.name = "socket.timeout.ms", .value = "soon", .file = "x.conf", .line = 5, .column = 5},
        {.name = "socket.timeout.ms", .value = "5000", .file = "x.conf", .line = 6, .column = 5},
        {.name = "bootstap.servers", .value = "127.0.0.1:1", .file = "x.conf", .line = 7, .column = 5},
        {.name = "sesion.timeout.ms", .value = "9000", .file = "x.conf", .line = 8, .column = 5},
    };
    const struct pql_kafka_conf conf = {.properties = properties, .properties_count = 7, .app = "a"};
    struct pql_diags diags;
    pql_diags_init(&diags);
    pql_kafka_check(&conf, &diags);
    assert_int_equal(diags.errors_count, 5);
    assert_int_equal(diags.items[0].line, 3);
    assert_non_null(strstr(diags.items[0].message, "no.such.thing"));
    assert_non_null(strstr(diags.items[1].message, "set `app`"));
    assert_non_null(strstr(diags.items[2].message, "socket.timeout.ms"));
    assert_non_null(strstr(diags.items[3].message, "did you mean 'bootstrap_servers'?"));
    assert_non_null(strstr(diags.items[4].message, "did you mean 'session_timeout_ms'?"));
    pql_diags_deinit(&diags);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_check),
        cmocka_unit_test(test_unreachable),
        cmocka_unit_test_setup_teardown(test_messages, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_wake, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_offsets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_log, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transaction, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_transaction_faults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_large_record, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_commit_timed_out, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
