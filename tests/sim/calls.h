/* calls.h - every call of a struct pql_ports through one place, which may count it, refuse it, change its
 * answer, or hold a lock around it: kafka_model.c makes its faults there, and test_threads.c its lock.
 *
 *   pipeline ─► calls->table ─► before ─► inner ─► after
 *
 * Wraps may be nested. Heap: none; calls is the caller's and must outlive users of the table. */
#ifndef PQL_TESTS_SIM_CALLS_H
#define PQL_TESTS_SIM_CALLS_H

#include "io/ports.h"

/* Those that can fail, with an error as their last argument; then those that answer in another way. */
#define CALLS_FAILING(X)                                                                                     \
    X(subscribe, (void *self, struct pql_err *err), (to->self, err))                                         \
    X(assign,                                                                                                \
      (void *self, const int32_t *tasks, const unsigned *workers, size_t count, struct pql_err *err),        \
      (to->self, tasks, workers, count, err))                                                                \
    X(unassign, (void *self, const int32_t *tasks, size_t count, struct pql_err *err),                       \
      (to->self, tasks, count, err))                                                                         \
    X(leave, (void *self, int timeout_ms, struct pql_err *err), (to->self, timeout_ms, err))                 \
    X(pause, (void *self, const struct pql_position *positions, size_t count, struct pql_err *err),          \
      (to->self, positions, count, err))                                                                     \
    X(resume, (void *self, const struct pql_position *positions, size_t count, struct pql_err *err),         \
      (to->self, positions, count, err))                                                                     \
    X(seek, (void *self, struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err), \
      (to->self, positions, count, timeout_ms, err))                                                         \
    X(end_offsets_ask,                                                                                       \
      (void *self, const struct pql_position *positions, size_t count, struct pql_err *err),                 \
      (to->self, positions, count, err))                                                                     \
    X(committed,                                                                                             \
      (void *self, struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err),       \
      (to->self, positions, count, timeout_ms, err))                                                         \
    X(offsets,                                                                                               \
      (void *self, struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err),       \
      (to->self, positions, count, timeout_ms, err))                                                         \
    X(set_sizes, (void *self, const int64_t *max_bytes, struct pql_err *err), (to->self, max_bytes, err))    \
    X(txn_init, (void *self, int timeout_ms, struct pql_err *err), (to->self, timeout_ms, err))              \
    X(txn_begin, (void *self, struct pql_err *err), (to->self, err))                                         \
    X(txn_produce, (void *self, const struct pql_out_record *record, struct pql_err *err),                   \
      (to->self, record, err))                                                                               \
    X(txn_send_offsets,                                                                                      \
      (void *self, const struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err), \
      (to->self, positions, count, timeout_ms, err))                                                         \
    X(txn_commit, (void *self, int timeout_ms, struct pql_err *err), (to->self, timeout_ms, err))            \
    X(txn_abort, (void *self, int timeout_ms, struct pql_err *err), (to->self, timeout_ms, err))             \
    X(txn_recreate, (void *self, struct pql_err *err), (to->self, err))                                      \
    X(plain_produce,                                                                                         \
      (void *self, enum pql_lane lane, const struct pql_out_record *record, uint64_t cookie,                 \
       struct pql_err *err),                                                                                 \
      (to->self, lane, record, cookie, err))                                                                 \
    X(commit_offsets,                                                                                        \
      (void *self, const struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err), \
      (to->self, positions, count, timeout_ms, err))                                                         \
    X(checkpoint_ends,                                                                                       \
      (void *self, int32_t partition, int64_t *low, int64_t *end, int timeout_ms, struct pql_err *err),      \
      (to->self, partition, low, end, timeout_ms, err))                                                      \
    X(log_open,                                                                                              \
      (void *self, int32_t partition, int64_t from, enum pql_isolation isolation, struct pql_log **log,      \
       struct pql_err *err),                                                                                 \
      (to->self, partition, from, isolation, log, err))                                                      \
    X(log_read,                                                                                              \
      (void *self, struct pql_log *log, int timeout_ms, struct pql_log_record *record, struct pql_err *err), \
      (to->self, log, timeout_ms, record, err))                                                              \
    X(checkpoint_trim, (void *self, int32_t partition, int64_t before, int timeout_ms, struct pql_err *err), \
      (to->self, partition, before, timeout_ms, err))                                                        \
    X(input_facts,                                                                                           \
      (void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms, struct pql_err *err),      \
      (to->self, input, facts, timeout_ms, err))                                                             \
    X(output_facts,                                                                                          \
      (void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,                    \
       struct pql_err *err),                                                                                 \
      (to->self, output, facts, timeout_ms, err))

#define CALLS_OTHER(X)                                                                                       \
    X(poll)                                                                                                  \
    X(worker_wait)                                                                                           \
    X(worker_wake)                                                                                           \
    X(worker_poll)                                                                                           \
    X(message_headers)                                                                                       \
    X(message_release)                                                                                       \
    X(group_facts)                                                                                           \
    X(assignment_lost)                                                                                       \
    X(plain_acks)                                                                                            \
    X(log_close)                                                                                             \
    X(wall_ms)                                                                                               \
    X(mono_us)

#define CALLS_ENUM_FAILING(name, params, args) CALL_##name,
#define CALLS_ENUM_OTHER(name) CALL_##name,
enum call { CALLS_FAILING(CALLS_ENUM_FAILING) CALLS_OTHER(CALLS_ENUM_OTHER) CALL_COUNT };

extern const char *const call_names[CALL_COUNT];

struct calls {
    struct pql_ports table; /* what the pipeline is given */
    struct pql_ports inner;
    void *context;
    /* False: the call is not made. One that can fail answers -1 with what is in *err, others answer nothing;
     * err is NULL for them. */
    bool (*before)(void *context, enum call call, struct pql_err *err);
    /* What the call answers in the end. Called only where it was made. */
    int (*after)(void *context, enum call call, int result, struct pql_err *err);
};

/* inner, context, before and after are set. */
void calls_wrap(struct calls *calls);

#endif
