/* ports.h - all that pipeline and committer want of Kafka, the checkpoint topic and the clock, as one struct
 * of functions. io/kafka_ports.c fills it with librdkafka; tests/sim fills it with a modelled Kafka and a
 * modelled clock, and so drives the same pipeline through crashes.
 *
 *   control thread    subscribe, poll, assign, unassign, pause, resume, seek, end_offsets_ask, leave
 *   worker thread w   worker_wait, worker_poll, message_headers, message_release of worker w
 *   committer thread  txn_*, plain_* for the output lane, commit_offsets, group_facts, assignment_lost,
 * delete_records restore thread    committed, offsets, log_*, seek, resume of the tasks that it restores any
 * thread        topic_facts, wall_ms, mono_us, worker_wake, plain_produce and plain_acks of another lane
 *
 * Calls of one row come from one thread at a time; calls of different rows overlap.
 * Names: an *input* is the index of an input topic of the configuration, 0 is the lead topic, to which alone
 * the group subscribes. A *task* is a partition number p: partition p of every input. An *output* is one of
 * enum pql_output. Every call that may block takes timeout_ms, finite, and returns by then (a little later is
 * fine): with PQL_ERR_RETRY if nothing is known to be wrong but time. Errors:
 *
 *   RETRY      the same call may succeed later; nothing has happened that a repetition would double
 *   ABORT_TXN  the open transaction must be aborted (txn_abort) and everything produced again on the same
 * handle FENCED     the transactional handle is dead: fatal error, fenced, or an outcome that cannot be known
 * (a commit that timed out and may not be repeated). Only txn_recreate is allowed on it CONFIG     the
 * operator must change something: rights, a missing topic FATAL      the client cannot go on
 *
 * err->reason is a stable word where the same fault would come again whatever is repeated
 * ("topic_authorization", "group_authorization", "unknown_topic", "record_too_large" …), else NULL: a second
 * one in a row stops the program. A FENCED with reason "fenced" says that another producer has this
 * transactional id, or that the transaction timed out. err->msg names address or topic and cause, ready for
 * an operator. */
#ifndef PQL_IO_PORTS_H
#define PQL_IO_PORTS_H

/* Of a FENCED control error: the broker holds the instance for somebody who may be dead; join again later. */
#define PQL_REASON_INSTANCE_HELD "instance_held"

#include "base/err.h"
#include "base/memory.h"
#include "core/wire/mapping.h"
#include <stdint.h>

enum pql_output {
    PQL_OUT_PQL,
    PQL_OUT_PQA,
    PQL_OUT_STATE,
    PQL_OUT_ALERTS,
    PQL_OUT_SHADOW,
    PQL_OUT_DLQ,
    PQL_OUT_CHECKPOINT,
    PQL_OUT_COUNT,
};

/* Offsets below 0 in struct pql_position. */
#define PQL_OFFSET_NONE INT64_C(-1)     /* no committed offset; unknown */
#define PQL_OFFSET_EARLIEST INT64_C(-2) /* as a question */
#define PQL_OFFSET_LATEST INT64_C(-3)

/* A metadata string of a committed offset: at most this, NUL included. Longer ones (not ours) are cut. */
enum { PQL_METADATA_MAX = 256 };

/* One partition of one input, with what is asked or answered about it. */
struct pql_position {
    uint32_t input;
    int32_t partition;
    int64_t offset;
    char metadata[PQL_METADATA_MAX]; /* committed, send_offsets and commit_offsets only; "" elsewhere */
    enum pql_err_class failed;       /* result of this partition where the call says so; PQL_ERR_NONE: done */
};

/* --- what the control thread hears --- */

enum pql_control_kind {
    PQL_CONTROL_NONE,     /* nothing within the timeout */
    PQL_CONTROL_ASSIGNED, /* tasks were given: answer with assign. A rebalance without change has count 0 */
    PQL_CONTROL_REVOKED,  /* tasks are taken: settle what they have, then answer with unassign */
    PQL_CONTROL_LOST,     /* tasks are gone already: nothing of them can be committed; answer with unassign */
    PQL_CONTROL_OFFSETS,  /* answer to end_offsets_ask */
    PQL_CONTROL_ERROR, /* RETRY: to be logged (brokers down …); CONFIG, FATAL, FENCED (another process is the
                          same static member): stop */
};

struct pql_control {
    enum pql_control_kind kind;
    const int32_t
        *tasks; /* ASSIGNED, REVOKED, LOST: partitions of the lead topic; valid until the next poll */
    size_t count;
    const struct pql_position
        *offsets; /* OFFSETS: the positions asked for, offset = end (read_uncommitted), or failed */
    size_t offsets_count;
    uint64_t asked_us; /* OFFSETS: mono_us at which the question was put */
    struct pql_err err;
};

/* --- what a worker takes --- */

enum pql_message_kind {
    PQL_MESSAGE_RECORD,
    PQL_MESSAGE_END,   /* end of partition reached at `offset`; reported once per end. No bytes */
    PQL_MESSAGE_ERROR, /* of this partition: offset out of range (the input was trimmed), … `offset` the one
                          wanted; value: the words. The partition delivers nothing more until it is sought */
};

/* A view into the client's memory, valid until message_release. */
struct pql_message_view {
    enum pql_message_kind kind;
    uint32_t input;
    int32_t partition;
    int64_t offset;
    int64_t timestamp_ms;     /* PQL_NO_TIME: none */
    bool timestamp_is_append; /* LogAppendTime */
    bool has_key, has_value;
    struct pql_slice key, value;
    const char *reason; /* ERROR: a stable word, as err->reason, or NULL */
    void *handle;       /* the port's; NULL once released */
};

/* --- what is produced --- */

struct pql_out_record {
    enum pql_output output;
    int32_t partition; /* -1: by murmur2 of the key, as the Java client does (no key: any partition) */
    bool has_key, has_value;
    struct pql_slice key, value;
    const struct pql_header *headers;
    size_t headers_count;
    int64_t timestamp_ms; /* PQL_NO_TIME: now */
};

/* Two independent queues over one idempotent producer (acks=all) outside any transaction: snapshots by the
 * workers, and, where delivery is at least once, journal and outputs by the committer. */
enum pql_lane { PQL_LANE_SNAPSHOT, PQL_LANE_OUTPUT, PQL_LANE_COUNT };

struct pql_ack {
    uint64_t cookie;           /* of plain_produce */
    enum pql_err_class failed; /* NONE: written. RETRY: may be produced again. CONFIG, FATAL: not */
    int64_t offset;            /* PQL_OFFSET_NONE: written, but the client was not told where */
    const char *reason;        /* static word where failed, as err->reason; or NULL */
};

/* --- facts --- */

struct pql_topic_facts {
    bool exists;
    int32_t partitions_count;
    char id[40]; /* base64 or hex of the topic id, stable across restarts; "-" where the broker gives none */
    bool has_configuration; /* false: the broker (or our rights) gave none; what follows is then a default */
    int64_t max_message_bytes; /* 1000000 if unknown */
    int64_t retention_ms;      /* -1: none */
    int64_t retention_bytes;   /* -1: none */
    bool is_compacted;         /* cleanup.policy contains compact */
    int64_t compaction_lag_ms; /* records younger than this are not compacted */
    bool is_deleted;           /* cleanup.policy contains delete */
};

struct pql_group_facts {
    int32_t generation; /* below 0: not a member */
    bool has_member_id;
};

/* --- reading the checkpoint topic --- */

enum pql_isolation { PQL_READ_UNCOMMITTED, PQL_READ_COMMITTED };
enum pql_log_kind {
    PQL_LOG_NOTHING, /* within the timeout */
    PQL_LOG_RECORD,
    PQL_LOG_END, /* nothing more at present; offset: where (read_committed: the last stable offset) */
};
struct pql_log_record {
    enum pql_log_kind kind;
    int64_t offset;
    struct pql_slice key, value; /* valid until the next read or close of this log */
};
struct pql_log; /* one partition of the checkpoint topic being read; the port's */

struct pql_ports {
    void *self;

    /* --- group (control thread) --- */

    /* Joins the group with the lead topic. The first assignment comes as a control event. */
    int (*subscribe)(void *self, struct pql_err *err);
    /* Waits at most timeout_ms for one event. Must be called at least every few seconds while the group is
     * wanted, except between REVOKED or LOST and its unassign (up to 35 s). Never fails: faults are events.
     */
    void (*poll)(void *self, int timeout_ms, struct pql_control *out);
    /* Answer to ASSIGNED (count may be 0): partition p of every input is assigned, paused, at no particular
     * place, its messages to go to the queue of worker workers[i] once it is resumed. Delivers nothing before
     * seek and resume. */
    int (*assign)(void *self, const int32_t *tasks, const unsigned *workers, size_t count,
                  struct pql_err *err);
    /* Answer to REVOKED and LOST: all inputs' partitions of these tasks. No message of them is delivered by a
     * worker_poll that begins later; views still held stay valid until released. */
    int (*unassign)(void *self, const int32_t *tasks, size_t count, struct pql_err *err);
    /* Closes the consumer: unassigns what is left, and leaves the group unless it is a static member. Nothing
     * of the consumer may be called afterwards but message_release. */
    int (*leave)(void *self, int timeout_ms, struct pql_err *err);

    /* Positions' input and partition only. Queued messages of a paused partition may still be delivered: the
     * caller drops them by itself, and always seeks before it resumes. */
    int (*pause)(void *self, const struct pql_position *positions, size_t count, struct pql_err *err);
    int (*resume)(void *self, const struct pql_position *positions, size_t count, struct pql_err *err);
    /* Sets the next offset of paused partitions; `failed` is filled per partition, 0 only if all are done (-1
     * with RETRY: the whole call may be repeated). A worker_poll that begins after seek returned delivers no
     * message fetched before it. The partition stays paused. End of partition is reported anew. */
    int (*seek)(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                struct pql_err *err);
    /* Asks for the present end offsets; the answer is a PQL_CONTROL_OFFSETS event, or never comes. At most
     * one question is under way. Does not block. */
    int (*end_offsets_ask)(void *self, const struct pql_position *positions, size_t count,
                           struct pql_err *err);

    /* --- messages (worker threads) --- */

    /* Returns when a message may be there, when woken, or after timeout_ms. */
    void (*worker_wait)(void *self, unsigned worker, int timeout_ms);
    void (*worker_wake)(void *self, unsigned worker);
    /* Takes up to max messages of the worker's queue without waiting; returns how many. Each is released
     * once, by the thread of this worker, in any order. */
    size_t (*worker_poll)(void *self, unsigned worker, struct pql_message_view *out, size_t max);
    /* Headers of a record that is not released: views of the client's memory, array in the arena. A header
     * without value has an empty one. */
    void (*message_headers)(void *self, const struct pql_message_view *message, struct pql_arena *arena,
                            const struct pql_header **headers, size_t *count);
    void (*message_release)(void *self, struct pql_message_view *message);

    /* --- offsets --- */

    /* Committed offsets of the group, require-stable: does not answer (RETRY) while a transaction holds one.
     * Fills offset (PQL_OFFSET_NONE: none) and metadata. */
    int (*committed)(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                     struct pql_err *err);
    /* Replaces each offset: PQL_OFFSET_EARLIEST and _LATEST (read_uncommitted) by what they are now, a time
     * in ms
     * (>= 0) by the first offset of that timestamp or later, the end if there is none. */
    int (*offsets)(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                   struct pql_err *err);

    /* Before anything is produced: how many bytes the record that an output takes may have at most, by
     * output. The client keeps what it sends at once below the smallest, since a broker refuses a larger
     * batch as a whole. */
    int (*set_sizes)(void *self, const int64_t *max_bytes, struct pql_err *err);

    /* --- the transactional producer (committer thread) --- one transactional id, drawn once per process or
     * fixed by `instance`. Transactions are never more than one at a time. */

    int (*txn_init)(void *self, int timeout_ms,
                    struct pql_err *err); /* RETRY: again. FENCED: recreate first */
    int (*txn_begin)(void *self, struct pql_err *err);
    /* Bytes are copied. RETRY: the client's queue is full, the same record later. Delivery faults come out of
     * txn_commit as ABORT_TXN or FENCED. */
    int (*txn_produce)(void *self, const struct pql_out_record *record, struct pql_err *err);
    /* Fetches the group's metadata anew and keeps them for the next txn_send_offsets. */
    void (*group_facts)(void *self, struct pql_group_facts *facts);
    bool (*assignment_lost)(void *self);
    /* With metadata of the last group_facts. RETRY: again. An unknown member, old generation and the like:
     * ABORT_TXN. */
    int (*txn_send_offsets)(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                            struct pql_err *err);
    int (*txn_commit)(void *self, int timeout_ms, struct pql_err *err); /* RETRY: call again; flushes first */
    int (*txn_abort)(void *self, int timeout_ms,
                     struct pql_err *err); /* RETRY: call again. Purges the queue */
    /* Destroys the handle and makes another with the same transactional id; txn_init comes next. */
    int (*txn_recreate)(void *self, struct pql_err *err);

    /* --- the plain producer --- */

    /* Bytes are copied (and compressed by the client). RETRY: queue full. */
    int (*plain_produce)(void *self, enum pql_lane lane, const struct pql_out_record *record, uint64_t cookie,
                         struct pql_err *err);
    /* Takes up to max acknowledgements of a lane, waiting at most timeout_ms for the first. In the order of
     * arrival, one per record produced. */
    size_t (*plain_acks)(void *self, enum pql_lane lane, struct pql_ack *out, size_t max, int timeout_ms);
    /* At least once: commits offsets with metadata, as member of the group, and waits for the answer. FENCED
     * never; an old generation or unknown member: ABORT_TXN. */
    int (*commit_offsets)(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                          struct pql_err *err);

    /* --- the checkpoint topic --- */

    int (*checkpoint_ends)(void *self, int32_t partition, int64_t *low, int64_t *end, int timeout_ms,
                           struct pql_err *err);
    /* Reads from `from` on (below low: from low). Each log is used by one thread; several may be open. */
    int (*log_open)(void *self, int32_t partition, int64_t from, enum pql_isolation isolation,
                    struct pql_log **log, struct pql_err *err);
    int (*log_read)(void *self, struct pql_log *log, int timeout_ms, struct pql_log_record *record,
                    struct pql_err *err);
    void (*log_close)(void *self, struct pql_log *log);
    /* DeleteRecords below `before`. CONFIG: not allowed. */
    int (*checkpoint_trim)(void *self, int32_t partition, int64_t before, int timeout_ms,
                           struct pql_err *err);

    /* --- topics --- an input by its index, an output by its number. RETRY: no broker answers. A topic that
     * does not exist is no error: exists is false. */
    int (*input_facts)(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                       struct pql_err *err);
    int (*output_facts)(void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,
                        struct pql_err *err);

    /* --- clock --- */

    int64_t (*wall_ms)(void *self);  /* since 1970, UTC */
    uint64_t (*mono_us)(void *self); /* never goes back */
};

#endif
