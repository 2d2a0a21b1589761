/* What each answer of a broker to the transactional producer becomes, made by librdkafka's mock cluster. */
#include "core/record.h"
#include "mock/ports_fixture.h"
#include <stdlib.h>

#ifdef PQL_SANITIZE
/* librdkafka loses the operation of a call that is still waiting for its answer when the handle ends. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:rd_kafka_op_new0";
}
#endif

enum {
    API_PRODUCE = 0,
    API_TXN_OFFSET_COMMIT = 28,
    API_END_TXN = 26,
    API_ADD_PARTITIONS = 24,
    API_ADD_OFFSETS = 25,
    API_INIT_PRODUCER = 22
};
enum {
    CODE_DISCONNECT = -195, /* the connection is cut instead of an answer */
    CODE_NOT_LEADER = 6,
    CODE_COORDINATOR_LOADING = 14,
    CODE_GROUP_AUTHORIZATION = 30,
    CODE_OUT_OF_ORDER = 45,
    CODE_TXN_ID_AUTHORIZATION = 53,
    CODE_ABORTABLE = 120,
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
    fixture_join(fx);
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
    for (int i = 0; i < 3; i++) OK(transaction(fx, &err));
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

/* What each answer becomes. NONE: overcome inside the client. What is done about a class is
 * tests/sim/test_client_errors.c. */
struct answer {
    int16_t api;
    int code;
    enum pql_err_class cls;
    const char *reason;
};

static const struct answer answers[] = {
    {API_TXN_OFFSET_COMMIT, CODE_ILLEGAL_GENERATION, PQL_ERR_ABORT_TXN, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_UNKNOWN_MEMBER, PQL_ERR_ABORT_TXN, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_FENCED_INSTANCE, PQL_ERR_ABORT_TXN, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_REBALANCE, PQL_ERR_ABORT_TXN, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_GROUP_AUTHORIZATION, PQL_ERR_ABORT_TXN, "group_authorization"},
    {API_TXN_OFFSET_COMMIT, CODE_ABORTABLE, PQL_ERR_ABORT_TXN, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_COORDINATOR_LOADING, PQL_ERR_NONE, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_NOT_COORDINATOR, PQL_ERR_NONE, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_CONCURRENT, PQL_ERR_NONE, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_DISCONNECT, PQL_ERR_NONE, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_TXN_ID_AUTHORIZATION, PQL_ERR_CONFIG, "transactional_id_authorization"},
    {API_TXN_OFFSET_COMMIT, CODE_INVALID_EPOCH, PQL_ERR_FENCED, NULL},
    {API_TXN_OFFSET_COMMIT, CODE_PRODUCER_FENCED, PQL_ERR_ABORT_TXN, "fenced"}, /* as below */
    {API_END_TXN, CODE_COORDINATOR_LOADING, PQL_ERR_NONE, NULL},
    {API_END_TXN, CODE_NOT_COORDINATOR, PQL_ERR_NONE, NULL},
    {API_END_TXN, CODE_CONCURRENT, PQL_ERR_NONE, NULL},
    {API_END_TXN, CODE_DISCONNECT, PQL_ERR_NONE, NULL},
    {API_END_TXN, CODE_INVALID_EPOCH, PQL_ERR_FENCED, "fenced"},
    {API_END_TXN, CODE_PRODUCER_FENCED, PQL_ERR_FENCED, "fenced"},
    {API_END_TXN, CODE_INVALID_TXN_STATE, PQL_ERR_FENCED, NULL},
    {API_END_TXN, CODE_ABORTABLE, PQL_ERR_ABORT_TXN, NULL},
    {API_ADD_PARTITIONS, CODE_COORDINATOR_LOADING, PQL_ERR_NONE, NULL},
    {API_ADD_PARTITIONS, CODE_NOT_COORDINATOR, PQL_ERR_NONE, NULL},
    {API_ADD_PARTITIONS, CODE_CONCURRENT, PQL_ERR_NONE, NULL},
    {API_ADD_PARTITIONS, CODE_DISCONNECT, PQL_ERR_NONE, NULL},
    {API_ADD_PARTITIONS, CODE_TOPIC_AUTHORIZATION, PQL_ERR_ABORT_TXN, "topic_authorization"},
    {API_ADD_PARTITIONS, CODE_ABORTABLE, PQL_ERR_ABORT_TXN, NULL},
    {API_ADD_PARTITIONS, CODE_INVALID_EPOCH, PQL_ERR_FENCED, "fenced"},
    {API_ADD_PARTITIONS, CODE_PRODUCER_FENCED, PQL_ERR_FENCED, "fenced"},
    {API_ADD_OFFSETS, CODE_COORDINATOR_LOADING, PQL_ERR_NONE, NULL},
    {API_ADD_OFFSETS, CODE_NOT_COORDINATOR, PQL_ERR_NONE, NULL},
    {API_ADD_OFFSETS, CODE_DISCONNECT, PQL_ERR_NONE, NULL},
    {API_ADD_OFFSETS, CODE_GROUP_AUTHORIZATION, PQL_ERR_ABORT_TXN, "group_authorization"},
    {API_ADD_OFFSETS, CODE_CONCURRENT, PQL_ERR_NONE, NULL},
    {API_ADD_OFFSETS, CODE_ABORTABLE, PQL_ERR_ABORT_TXN, NULL},
    {API_ADD_OFFSETS, CODE_PRODUCER_FENCED, PQL_ERR_ABORT_TXN, "fenced"}, /* the abort then is fenced */
    {API_PRODUCE, CODE_DISCONNECT, PQL_ERR_NONE, NULL},
    {API_PRODUCE, CODE_NOT_LEADER, PQL_ERR_NONE, NULL},
    {API_PRODUCE, CODE_UNKNOWN_PRODUCER, PQL_ERR_ABORT_TXN, NULL},
    {API_PRODUCE, CODE_TOO_LARGE, PQL_ERR_ABORT_TXN, "record_too_large"},
    {API_PRODUCE, CODE_ABORTABLE, PQL_ERR_ABORT_TXN, NULL},
    {API_PRODUCE, CODE_INVALID_EPOCH, PQL_ERR_FENCED, "fenced"},
    {API_PRODUCE, CODE_PRODUCER_FENCED, PQL_ERR_ABORT_TXN, "fenced"}, /* the abort then is fenced */
    {API_PRODUCE, CODE_OUT_OF_ORDER, PQL_ERR_FENCED, NULL},
};

/* Another handle, and a transaction on it; an abort that cost sequence numbers may ask for one more. */
static void go_on(struct fixture *fx, enum pql_err_class after)
{
    struct pql_err err = {0};
    struct pql_ports *table = &fx->table;
    if (after == PQL_ERR_ABORT_TXN) OK(table->txn_abort(table->self, 10000, &err));
    if (after == PQL_ERR_FENCED || after == PQL_ERR_CONFIG) {
        OK(table->txn_recreate(table->self, &err));
        OK(table->txn_init(table->self, 10000, &err));
    }
    if (!transaction(fx, &err)) return;
    assert_int_equal(err.cls, PQL_ERR_ABORT_TXN);
    OK(table->txn_abort(table->self, 10000, &err));
    OK(transaction(fx, &err));
}

static void each_answer(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    fixture_join(fx);
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
    OK(transaction(fx, &err));
    for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
        const struct answer *answer = &answers[i];
        err = (struct pql_err){0};
        pql_kafka_mock_fail(fx->mock, answer->api, 1, answer->code);
        int result = transaction(fx, &err);
        if (err.cls != answer->cls || result != (answer->cls ? -1 : 0))
            fail_msg("request %d answered %d: class %d, %s", answer->api, answer->code, (int)err.cls,
                     err.msg);
        if (answer->reason && (!err.reason || strcmp(err.reason, answer->reason) != 0))
            fail_msg("request %d answered %d: reason %s", answer->api, answer->code,
                     err.reason ? err.reason : "none");
        go_on(fx, answer->cls);
    }
    OK(fx->table.leave(fx->table.self, 10000, &err));
}

/* Before there is a transaction: a coordinator that moves is waited for, a missing right is the operator's.
 */
static void each_answer_to_init(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    static const int passing[] = {CODE_COORDINATOR_LOADING, CODE_NOT_COORDINATOR, CODE_CONCURRENT,
                                  CODE_DISCONNECT};
    for (size_t i = 0; i < sizeof(passing) / sizeof(*passing); i++) {
        pql_kafka_mock_fail(fx->mock, API_INIT_PRODUCER, 1, passing[i]);
        OK(fx->table.txn_init(fx->table.self, 10000, &err));
        OK(fx->table.txn_recreate(fx->table.self, &err));
    }
    pql_kafka_mock_fail(fx->mock, API_INIT_PRODUCER, 1, CODE_TXN_ID_AUTHORIZATION);
    assert_int_equal(fx->table.txn_init(fx->table.self, 10000, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_string_equal(err.reason, "transactional_id_authorization");
    OK(fx->table.txn_recreate(fx->table.self, &err));
    OK(fx->table.txn_init(fx->table.self, 10000, &err));
}

/* What is purged by an abort was not refused: it is named by no error. */
static void purged_records_are_no_refusals(void **state)
{
    struct fixture *fx = *state;
    struct pql_err err = {0};
    struct pql_ports *table = &fx->table;
    struct pql_out_record record = {.output = PQL_OUT_PQL,
                                    .partition = 0,
                                    .has_value = true,
                                    .value = PQL_SLICE_LITERAL("{}"),
                                    .timestamp_ms = PQL_NO_TIME};
    fixture_join(fx);
    OK(table->txn_init(table->self, 10000, &err));
    OK(transaction(fx, &err));
    pql_kafka_mock_delay(fx->mock, 300);
    OK(table->txn_begin(table->self, &err));
    for (int i = 0; i < 100; i++) OK(table->txn_produce(table->self, &record, &err));
    OK(table->txn_abort(table->self, 10000, &err));
    pql_kafka_mock_delay(fx->mock, 0);
    pql_kafka_mock_fail(fx->mock, API_TXN_OFFSET_COMMIT, 1, CODE_ILLEGAL_GENERATION);
    err = (struct pql_err){0};
    int result = transaction(fx, &err);
    assert_int_equal(result, -1);
    assert_int_equal(err.cls, PQL_ERR_ABORT_TXN);
    assert_null(err.topic);
    assert_null(strstr(err.msg, "a.pql"));
    go_on(fx, PQL_ERR_ABORT_TXN);
    OK(table->leave(table->self, 10000, &err));
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
    fixture_join(fx);
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
    fixture_join(fx);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_transaction, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(each_answer, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(each_answer_to_init, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(purged_records_are_no_refusals, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_large_record, ports_set_up, ports_tear_down),
        cmocka_unit_test_setup_teardown(test_commit_timed_out, ports_set_up, ports_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
