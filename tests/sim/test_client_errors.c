/* What is done about each answer of the transactional client, row by row: which calls follow, and that the
 * same records are there in the end, each once. Which answer of a broker becomes which class is
 * tests/mock/test_broker_answers.c. */
#include "sim/calls.h"
#include "sim/world.h"

#include "base/log.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 60000, EVENTS = 20, AFTERWARDS = 500 };

#define AGAIN "txn_begin txn_produce group_facts txn_send_offsets txn_commit "
#define ANEW "txn_recreate txn_init committed "

/* So often the call is answered so; is_done: after it had its effect. */
struct answer {
    enum call call;
    int times;
    enum pql_err_class cls;
    const char *reason;
    bool is_done;
};

struct row {
    const char *broker;       /* says so */
    struct answer answers[2]; /* the second after the first; times 0: none */
    const char *follows;
};

static const struct row rows[] = {
    {"TxnOffsetCommit: illegal generation, unknown member, fenced instance, rebalance in progress",
     {{CALL_txn_send_offsets, 1, PQL_ERR_ABORT_TXN, NULL, false}},
     "txn_abort " AGAIN},
    {"TxnOffsetCommit: the coordinator loads or moves, a disconnect, for longer than the call",
     {{CALL_txn_send_offsets, 3, PQL_ERR_RETRY, NULL, false}},
     "group_facts txn_send_offsets group_facts txn_send_offsets group_facts txn_send_offsets txn_commit "},
    {"TxnOffsetCommit: done, and the answer is lost",
     {{CALL_txn_send_offsets, 1, PQL_ERR_RETRY, NULL, true}},
     "group_facts txn_send_offsets txn_commit "},
    {"TxnOffsetCommit: invalid producer epoch, producer fenced",
     {{CALL_txn_send_offsets, 1, PQL_ERR_FENCED, "fenced", false}},
     ANEW AGAIN},
    {"TxnOffsetCommit: group authorization, once",
     {{CALL_txn_send_offsets, 1, PQL_ERR_ABORT_TXN, "group_authorization", false}},
     "txn_abort " AGAIN},
    {"TxnOffsetCommit: TRANSACTION_ABORTABLE",
     {{CALL_txn_send_offsets, 1, PQL_ERR_ABORT_TXN, NULL, false}},
     "txn_abort " AGAIN},
    {"EndTxn: records are still on their way",
     {{CALL_txn_commit, 3, PQL_ERR_RETRY, NULL, false}},
     "txn_commit "},
    {"Produce: invalid producer epoch, producer fenced",
     {{CALL_txn_produce, 1, PQL_ERR_FENCED, "fenced", false}},
     ANEW AGAIN},
    {"EndTxn: invalid producer epoch, producer fenced",
     {{CALL_txn_commit, 1, PQL_ERR_FENCED, "fenced", false}},
     ANEW AGAIN},
    {"Produce: out of order sequence", {{CALL_txn_produce, 1, PQL_ERR_FENCED, NULL, true}}, ANEW AGAIN},
    {"EndTxn: invalid transaction state", {{CALL_txn_commit, 1, PQL_ERR_FENCED, NULL, false}}, ANEW AGAIN},
    {"EndTxn: timed out, and it was not done",
     {{CALL_txn_commit, 1, PQL_ERR_FENCED, NULL, false}},
     ANEW AGAIN},
    {"EndTxn: timed out, and it was done", {{CALL_txn_commit, 1, PQL_ERR_FENCED, NULL, true}}, ANEW},
    {"InitProducerId: a coordinator that moves",
     {{CALL_txn_commit, 1, PQL_ERR_FENCED, NULL, false}, {CALL_txn_init, 2, PQL_ERR_RETRY, NULL, false}},
     ANEW AGAIN},
    {"OffsetFetch: unstable",
     {{CALL_txn_commit, 1, PQL_ERR_FENCED, NULL, true}, {CALL_committed, 2, PQL_ERR_RETRY, NULL, false}},
     ANEW},
    {"Produce: unknown producer id; TRANSACTION_ABORTABLE",
     {{CALL_txn_produce, 1, PQL_ERR_ABORT_TXN, NULL, false}},
     "txn_abort " AGAIN},
    {"EndTxn: TRANSACTION_ABORTABLE",
     {{CALL_txn_commit, 1, PQL_ERR_ABORT_TXN, NULL, false}},
     "txn_abort " AGAIN},
    {"Produce: record too large, once",
     {{CALL_txn_commit, 1, PQL_ERR_ABORT_TXN, "record_too_large", false}},
     "txn_abort " AGAIN},
    {"AddPartitionsToTxn: topic authorization, once",
     {{CALL_txn_produce, 1, PQL_ERR_ABORT_TXN, "topic_authorization", false}},
     "txn_abort " AGAIN},
    {"EndTxn of an abort: a coordinator that moves",
     {{CALL_txn_send_offsets, 1, PQL_ERR_ABORT_TXN, NULL, false},
      {CALL_txn_abort, 2, PQL_ERR_RETRY, NULL, false}},
     "txn_abort " AGAIN},
    {"EndTxn of an abort: producer fenced",
     {{CALL_txn_send_offsets, 1, PQL_ERR_ABORT_TXN, NULL, false},
      {CALL_txn_abort, 1, PQL_ERR_FENCED, "fenced", false}},
     "txn_abort " ANEW AGAIN},
};

/* --- a process whose client answers so once --- */

struct injection {
    const struct row *row;
    struct calls calls;
    bool is_armed, is_open;
    int at, told; /* which answer, and how often it was given */
    char follows[400];
};

static bool is_followed(enum call call)
{
    return (call >= CALL_txn_init && call <= CALL_txn_recreate) || call == CALL_group_facts ||
           call == CALL_committed;
}

/* One word where the same call comes again at once. */
static void follow(struct injection *injection, enum call call)
{
    char *text = injection->follows;
    size_t used = strlen(text), len = strlen(call_names[call]);
    bool has_begun = injection->at || injection->told;
    if (!has_begun || !is_followed(call)) return;
    if (used > len && !strncmp(text + used - len - 1, call_names[call], len) &&
        (used == len + 1 || text[used - len - 2] == ' '))
        return;
    snprintf(text + used, sizeof injection->follows - used, "%s ", call_names[call]);
}

/* The first one comes in the middle of a transaction that has records. */
static const struct answer *answer_now(const struct injection *injection, enum call call)
{
    const struct answer *answer = &injection->row->answers[injection->at];
    bool now = injection->is_armed && injection->at < 2 && answer->times && call == answer->call &&
               (injection->is_open || injection->at);
    return now ? answer : NULL;
}

static int give(struct injection *injection, const struct answer *answer, struct pql_err *err)
{
    PQL_FAIL(err, answer->cls, "%s", injection->row->broker);
    err->reason = answer->reason;
    if (++injection->told < answer->times) return -1;
    injection->told = 0;
    injection->at++;
    return -1;
}

static bool before(void *context, enum call call, struct pql_err *err)
{
    struct injection *injection = context;
    follow(injection, call);
    if (call == CALL_txn_begin) injection->is_open = false;
    const struct answer *answer = answer_now(injection, call);
    bool is_made = !answer || answer->is_done;
    if (!is_made) (void)give(injection, answer, err);
    return is_made;
}

static int after(void *context, enum call call, int result, struct pql_err *err)
{
    struct injection *injection = context;
    const struct answer *answer = answer_now(injection, call);
    if (call == CALL_txn_produce) injection->is_open = true;
    return answer && !result ? give(injection, answer, err) : result;
}

static struct world_process *start(struct world *world, struct injection *injection)
{
    struct world_process *process = world_start(world, "pql-0");
    injection->calls =
        (struct calls){.inner = process->ports, .context = injection, .before = before, .after = after};
    calls_wrap(&injection->calls);
    process->ports = injection->calls.table; /* the pipeline has taken nothing of it so far */
    return process;
}

static void put_events(struct world *world, int first)
{
    for (int i = first; i < first + EVENTS; i++) {
        char account[16], value[96];
        snprintf(account, sizeof account, "a%d", i % 5);
        snprintf(value, sizeof value, "known|%s|u1|%" PRId64 "|", account,
                 model_wall_ms(&(struct model){0}) + i * 300);
        world_put(world, 0, 0, account, value);
    }
}

static void run_until_committed(struct world *world, struct world_process *process)
{
    for (int i = 0; i < STEPS && !world_all_committed(world); i++) world_run(world, process, 1);
    assert_true(world_all_committed(world));
}

/* What a reader of committed records sees, in its order; what was aborted comes again, the same. */
static void read_output(const struct model_log *log, struct pql_buf *out)
{
    const struct model_record *aborted = NULL;
    for (size_t i = 0; i < log->count; i++) {
        const struct model_record *r = log->records[i];
        if (r->status == MODEL_ABORTED && !aborted) aborted = r;
        if (r->status != MODEL_COMMITTED) continue;
        if (aborted)
            assert_true(pql_slice_eq(aborted->value, r->value) && pql_slice_eq(aborted->key, r->key));
        aborted = NULL;
        pql_buf_printf(out, "%.*s=%.*s\n", PQL_SLICE_ARG(r->key), PQL_SLICE_ARG(r->value));
    }
    assert_null(aborted);
}

static void run(const struct row *row, struct pql_buf *out)
{
    static const struct world_plan plan = {
        .seed = 7, .inputs_count = 1, .partitions_count = 1, .workers = 1, .checkpoint_interval_ms = 3600000};
    struct injection injection = {.row = row};
    struct world world;
    world_init(&world, &plan);
    world_set_ticks(&world, false);
    struct world_process *process = start(&world, &injection);
    put_events(&world, 0);
    run_until_committed(&world, process);
    injection.is_armed = true;
    put_events(&world, 100); /* long after, so that there are records again */
    run_until_committed(&world, process);
    world_run(&world, process, AFTERWARDS);
    if (strcmp(injection.follows, row->follows) != 0)
        fail_msg("%s: %s, expected %s", row->broker, injection.follows, row->follows);
    for (int o = PQL_OUT_PQL; o <= PQL_OUT_STATE; o++) read_output(&world.model.outputs[o][0], out);
    world_kill(process);
    world_deinit(&world);
}

static void each_row(void **state)
{
    (void)state;
    static const struct row nothing = {"nothing", {{.times = 0}}, ""};
    struct pql_buf expected = {0};
    run(&nothing, &expected);
    assert_true(expected.len > 100);
    for (size_t i = 0; i < sizeof rows / sizeof(*rows); i++) {
        struct pql_buf found = {0};
        run(&rows[i], &found);
        if (found.len != expected.len || memcmp(found.ptr, expected.ptr, found.len) != 0)
            fail_msg("%s: other records: %.*s, expected %.*s", rows[i].broker, (int)found.len, found.ptr,
                     (int)expected.len, expected.ptr);
        pql_buf_deinit(&found);
    }
    pql_buf_deinit(&expected);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_row)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
