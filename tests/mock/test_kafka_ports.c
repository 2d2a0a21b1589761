/* The ports on librdkafka against its mock cluster: the group, messages, lanes, logs. */
#include "core/record.h"
#include "mock/ports_fixture.h"
#include <stdlib.h>
#include <time.h>

/* Puts `count` records "0", "1" … on a partition of an input, by a handle of its own. */
static void feed(struct fixture *fx, size_t input, int32_t partition, int count)
{
    struct pql_err err = {0};
    struct pql_kafka_ports_conf conf = fixture_conf(fx);
    conf.outputs[0] = fixture_inputs[input];
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
    fixture_join(fx);

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
    struct pql_control control = fixture_wait_for(fx, PQL_CONTROL_OFFSETS);
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

    fixture_join(fx);
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

/* Asked again and again, as a restore does. */
static void test_committed_while_the_coordinator_moves(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    struct pql_position position = {.partition = 0};
    pql_kafka_mock_coordinate(fx->mock, fx->kafka.app, 0, 1);
    OK(fx->table.committed(fx->table.self, &position, 1, 5000, &err));
    pql_kafka_mock_coordinate(fx->mock, fx->kafka.app, 1, 2);
    for (int refused = 0; fx->table.committed(fx->table.self, &position, 1, 5000, &err); refused++) {
        assert_int_equal(err.cls, PQL_ERR_RETRY);
        assert_true(refused < 50);
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
    }
    assert_int_equal(position.offset, PQL_OFFSET_NONE);
}

static int static_set_up(void **state)
{
    ports_set_up(state);
    struct fixture *fx = *state;
    struct pql_err err = {0};
    pql_kafka_ports_free(fx->ports);
    fx->kafka.instance = "i";
    fx->properties[1] = (struct pql_kafka_property){
        .name = "session.timeout.ms", .value = "1500", .side = PQL_KAFKA_CONSUMER_SIDE};
    struct pql_kafka_ports_conf conf = fixture_conf(fx);
    fx->ports = pql_kafka_ports_new(&conf, &err);
    assert_non_null(fx->ports);
    fx->table = pql_kafka_ports_table(fx->ports);
    return 0;
}

/* A member that was away may be fenced by its own joining: that is not another process. */
static void test_fenced_by_itself(void **state)
{
    enum { API_JOIN = 11, API_HEARTBEAT = 12, CODE_TIMED_OUT = 7, CODE_FENCED_INSTANCE = 82 };
    struct fixture *fx = *state;
    struct pql_err err = {0};
    fixture_join(fx);
    pql_kafka_mock_fail(fx->mock, API_JOIN, 1, CODE_FENCED_INSTANCE);
    pql_kafka_mock_fail(fx->mock, API_HEARTBEAT, 60, CODE_TIMED_OUT);
    struct pql_control lost = fixture_wait_for(fx, PQL_CONTROL_LOST);
    OK(fx->table.unassign(fx->table.self, lost.tasks, lost.count, &err));
    struct pql_control control;
    do control = fixture_wait_for(fx, PQL_CONTROL_ERROR);
    while (control.err.cls == PQL_ERR_RETRY);
    assert_int_equal(control.err.cls, PQL_ERR_FATAL);
    assert_non_null(strstr(control.err.msg, "instance 'i' was away for longer than its session"));
}

static void test_fenced_by_another(void **state)
{
    enum { API_HEARTBEAT = 12, CODE_FENCED_INSTANCE = 82 };
    struct fixture *fx = *state;
    fixture_join(fx);
    pql_kafka_mock_fail(fx->mock, API_HEARTBEAT, 1, CODE_FENCED_INSTANCE);
    struct pql_control control = fixture_wait_for(fx, PQL_CONTROL_ERROR);
    assert_int_equal(control.err.cls, PQL_ERR_FENCED);
    assert_non_null(strstr(control.err.msg, "another process runs as instance 'i'"));
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

/* --- configuration and connection --- */

static void test_unreachable(void **state)
{
    (void)state;
    const struct pql_kafka_property properties[] = {{.name = "bootstrap.servers", .value = "127.0.0.1:1"}};
    const struct pql_kafka_conf conf = {.properties = properties, .properties_count = 1, .app = "a"};
    const struct pql_kafka_log log = {.write = fixture_log};
    struct pql_err err = {0};
    fixture_lines[0] = '\0';
    struct pql_kafka *kafka = pql_kafka_open(&conf, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, &err);
    assert_non_null(kafka);
    assert_int_equal(pql_kafka_await(kafka, 2, NULL, NULL, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RETRY);
    assert_non_null(strstr(err.msg, "127.0.0.1:1"));
    assert_non_null(strstr(err.msg, "refused"));
    assert_non_null(strstr(fixture_lines, "trying again in 0.5 s"));
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
        cmocka_unit_test_setup_teardown(test_messages, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_wake, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_offsets, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_committed_while_the_coordinator_moves, ports_set_up,
                                        ports_tear_down),
        cmocka_unit_test_setup_teardown(test_fenced_by_itself, static_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_fenced_by_another, static_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_log, ports_set_up, ports_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
