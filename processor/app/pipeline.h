/* pipeline.h - from product events to committed qualifications, exactly once, for the partitions this process
 * is given.
 *
 *   control      group: assigned ─► tasks are made; revoked ─► they are settled, then given back
 *   keeper       restores tasks, seeks, reads what snapshots need to know, trims the checkpoint topic
 *   worker 0..W  messages ─► decode ─► engine ─► open epoch of the task; snapshots in slices; ticks
 *   committer    sealed epochs of all tasks ─► one transaction with the input offsets
 *
 * Everything is a step: a function that does a bounded amount of work and at most one call that may block. In
 * the real program each role is a thread that loops over its step; a simulation calls the steps in any order
 * it likes. Between roles there is one mutex, taken a few times per step and never per event or around a call
 * that blocks. */
#ifndef PQL_APP_PIPELINE_H
#define PQL_APP_PIPELINE_H

#include "app/recent.h"
#include "app/scoreboard.h"
#include "app/edition.h"
#include "core/program.h"
#include "core/record.h"
#include "core/state/checkpoint_format.h"
#include "io/ports.h"

/* How messages become events. What it has learnt about writer schemas belongs to a task and is saved with its
 * state, so that a replay decodes as the first reading did. Thread of open, load, close: any; of a task's
 * decoders: one at a time. */
struct pql_decoding {
    void *(*open)(void *context, int32_t task); /* the decoders of one task; context: of its edition */
    void (*close)(void *decoders);
    /* One message to an event whose views live in the arena or the message; offset and partition are filled
     * by the caller. 0, or -1 with PQL_ERR_RECORD  it can never be used: dead letter, reason in err->reason,
     * journaled PQL_ERR_RETRY   the writer's schema is not known yet: the partition waits here, the others go
     * on others          the program stops */
    int (*decode)(void *decoders, const struct pql_message_view *message, struct pql_arena *arena,
                  struct pql_event *event, struct pql_err *err);
    /* Text of the schema id of the message last decoded for a dead letter's header; "" if it had none. NULL:
     * never. */
    void (*schema_id)(void *decoders, uint32_t input, char out[64]);
    void (*save)(void *decoders, struct pql_buf *out); /* both or none */
    int (*load)(void *decoders, struct pql_slice saved, struct pql_err *err);
};

/* The value of an output record, id prefix and all, appended to `value`. -1 stops the program. Thread: any
 * worker. */
typedef int pql_encode(void *context, enum pql_output output, const struct pql_record *record,
                       int64_t produced_at_ms, struct pql_buf *value, struct pql_err *err);

/* Rules that a test breaks on purpose, one at a time, to show that the simulation notices each. */
#define PQL_BROKEN_RULES(X)                                                                                  \
    X(NOTHING, "nothing")                                                                                    \
    X(POINTER_BEFORE_S, "the pointer goes with an epoch that was closed before it")                          \
    X(OUTCOME_BY_OFFSETS, "an unknown outcome is decided by offsets")                                        \
    X(UNKNOWN_IS_COMMITTED, "an unknown outcome is taken for a commit")                                      \
    X(TRIM_BY_FIRST_CHUNK, "what is older than the newest snapshot is trimmed at once")                      \
    X(REFUSALS_NOT_JOURNALED, "a replay decides anew what to refuse")                                        \
    X(SILENT_CLOCK, "ticks are not journaled")                                                               \
    X(SILENT_RUNS, "the order of inputs is not journaled")                                                   \
    X(JOURNAL_AFTER_OUTPUTS, "at least once: the journal is written after the outputs")                      \
    X(MEMBERLESS_COMMIT, "offsets are sent without looking at membership")                                   \
    X(NO_CLAIM, "a task that never ran begins without a claim")                                              \
    X(JOURNAL_TO_LSO, "a restore reads the journal to the last stable offset and no further")                \
    X(UNSPLIT_FLOOD, "what a long input makes is one transaction, however long that takes")                  \
    X(REPLAY_IS_CLEAN, "what a replay changes is not written by the next snapshot")                          \
    X(SEEK_TO_C, "a restore reads on from the committed offset")                                             \
    X(BATCH_REFUSAL, "batches are as large as by default, whatever the topics take")                         \
    X(UNPARK_WITHOUT_WRITER, "a task that comes back goes on though another writer committed")               \
    X(MANIFEST_BEFORE_COMMIT, "a manifest may name a place that is not committed")                           \
    X(OLDER_REVISION, "an older revision is taken over")                                                     \
    X(SILENT_CHANGE, "a change of the program is not journaled")
#define PQL_BROKEN_ENUM(name, help) PQL_BROKEN_##name,
enum pql_broken { PQL_BROKEN_RULES(PQL_BROKEN_ENUM) PQL_BROKEN_COUNT };

struct pql_pipeline_input {
    const char *topic;
    int64_t start; /* PQL_OFFSET_EARLIEST, _LATEST, or a time in ms: for a task that never ran */
    /* Where the producer puts an account, or NULL: not checked. */
    uint32_t (*partition_of)(struct pql_slice account, uint32_t partitions);
};

struct pql_pipeline_conf {
    const char *app;
    const char *brokers;         /* for messages; NULL: not known */
    struct pql_edition *edition; /* the configuration's program; must outlive the pipeline */
    int64_t revision;
    int64_t backfill_from; /* of a change: new signals read the input again from here; PQL_OFFSET_EARLIEST, a
                              time in ms, or PQL_OFFSET_LATEST: not at all */
    pql_edition_compile *compile; /* of programs that tasks bring along; NULL: there are none */
    void *compile_context;
    uint32_t semantics;  /* of the engine, the newest that this binary has; it also has the one before */
    bool engine_upgrade; /* tasks of older semantics are taken to the newest */
    const struct pql_pipeline_input *inputs; /* at most PQL_INPUTS_MAX; the first is the lead */
    uint32_t inputs_count;
    const char *outputs[PQL_OUT_COUNT]; /* names, for messages */
    char writer[PQL_WRITER_MAX];        /* drawn once per process: letters and digits */
    bool at_least_once;
    unsigned workers, keepers; /* at least 1 each, at most 64 */

    int64_t commit_interval_ms, max_output_delay_ms;
    int64_t checkpoint_interval_ms, restore_target_ms, handover_budget_ms;
    int64_t park_ms; /* how long the state of a task that was taken away is kept; 0: not at all */
    uint64_t checkpoint_bandwidth; /* bytes per second of the process */
    uint32_t checkpoint_shares; /* of a rolling base; 0: as many as state, bandwidth and restore_target_ms ask
                                   for */
    uint64_t checkpoint_buffer; /* bytes of a snapshot that wait to be written, before it is given up */
    size_t checkpoint_slice;    /* bytes that a worker serialises at a time */
    int64_t idle_after_ms, alert_max_age_ms;
    double dlq_max_share, misplaced_max; /* 0 to 1; 1 or more: no limit */
    bool exit_on_bad_input, tombstones;
    bool is_watched; /* somebody may ask for what happened last (recent.h) */
    uint64_t
        epoch_bytes_max; /* of outputs not yet handed over, per worker: beyond it the worker stops reading */
    size_t inbox_max;    /* messages kept of one partition that waits, */
    uint64_t inbox_bytes_max; /* and their bytes */
    uint64_t memory_max;      /* budget.h; 0: none */
    uint64_t client_bytes;    /* what the Kafka client's queues take at most, as part of it */
    /* A long input stops after so many records or bytes, and an epoch can be cut in two after so many bytes:
     * so much is produced within transaction_timeout_ms even by a broker that is very slow. */
    uint64_t part_records_max, cut_bytes;
    uint64_t transaction_bytes, transaction_bytes_min; /* how much the first one holds, and the least that is
                                                          tried where producing is slow */
    int64_t transaction_timeout_ms;                    /* what the broker gives a transaction */

    struct pql_decoding decoding;
    pql_encode *encode;
    void *encode_context;
    enum pql_broken broken; /* for tests */
};

/* Every number at its default; what has none is empty. */
struct pql_pipeline_conf pql_pipeline_conf_default(void);

enum pql_stop {
    PQL_STOP_NONE,   /* it runs */
    PQL_STOP_CLEAN,  /* asked to, everything committed */
    PQL_STOP_CONFIG, /* the operator must change something */
    PQL_STOP_STATE,  /* checkpoint or input do not allow to go on from where the group is */
    PQL_STOP_FENCED, /* another process has this instance */
    PQL_STOP_FATAL,
};

struct pql_pipeline;

/* Asks for the facts of all topics and refuses what cannot work: a topic that is missing, unequal partition
 * counts, a checkpoint topic whose records would vanish. PQL_ERR_RETRY: no broker answers. Ports and conf
 * must outlive it. */
int pql_pipeline_check(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                       struct pql_err *err);

/* Asks for facts of topics, then joins the group. NULL with err. */
struct pql_pipeline *pql_pipeline_new(const struct pql_ports *ports, const struct pql_pipeline_conf *conf,
                                      struct pql_err *err);
/* After pql_pipeline_finished, or to drop everything as a crash would; no step may run. */
void pql_pipeline_free(struct pql_pipeline *pipeline);

/* One step each; wait_ms: how long it may wait if there is nothing to do. Thread: of that role, one each. */
void pql_control_step(struct pql_pipeline *pipeline, int wait_ms);
void pql_committer_step(struct pql_pipeline *pipeline, int wait_ms);
void pql_worker_step(struct pql_pipeline *pipeline, unsigned worker, int wait_ms);
void pql_keeper_step(struct pql_pipeline *pipeline, unsigned keeper, int wait_ms);

/* Starts the threads of all roles and waits until pql_pipeline_finished. */
void pql_pipeline_run(struct pql_pipeline *pipeline);

/* Another configuration's program from now on, and its revision: each task decides by pql_revise, a change is
 * journaled at its place. The edition is the pipeline's from here on. Thread: any; not from a signal handler.
 */
void pql_pipeline_revise(struct pql_pipeline *pipeline, struct pql_edition *edition, int64_t revision,
                         int64_t backfill_from);

/* That program and revision, as of now. The program lives as long as the pipeline. Thread: any. */
const struct pql_program *pql_pipeline_program(struct pql_pipeline *pipeline, int64_t *revision);

/* Asks for an orderly end: final snapshots, commit, leave. Thread: any; not from a signal handler. */
void pql_pipeline_stop(struct pql_pipeline *pipeline);
/* Asks every task that is here for a record of each present member, on the state topic. Thread: any; not from
 * a signal handler. */
void pql_pipeline_refresh(struct pql_pipeline *pipeline);
/* True once nothing is left to do; why, and in words. */
bool pql_pipeline_finished(struct pql_pipeline *pipeline, enum pql_stop *stop, struct pql_err *err);

/* Bytes by kind, by own accounting. */
struct pql_memory {
    uint64_t
        state; /* of tasks, their reorder buffers and message ids among it; of one being loaded, a guess */
    uint64_t epochs;    /* outputs that are not known to be committed */
    uint64_t messages;  /* that wait their turn */
    uint64_t journal;   /* entries to be replayed */
    uint64_t snapshots; /* pages and chunks that are not acknowledged */
    uint64_t parked;    /* state of tasks that were taken away */
    uint64_t client;    /* the Kafka client's queues, at most */
};
enum { PQL_MEMORY_KINDS = 7 };
uint64_t pql_memory_total(const struct pql_memory *memory);

/* How long commits take, in ms, up to which one counts in a bucket; the last bucket has no end. */
enum { PQL_COMMIT_BUCKETS = 10 };
extern const int pql_commit_ms[PQL_COMMIT_BUCKETS - 1];

struct pql_durations {
    uint64_t counts[PQL_COMMIT_BUCKETS], sum_us; /* not longer than pql_commit_ms[i]; the last: longer */
};

struct pql_pipeline_stats {
    struct pql_memory memory;
    uint64_t messages, bytes; /* taken live */
    uint64_t replayed;        /* messages taken again */
    uint64_t refused, late, duplicates;
    uint64_t records; /* committed transitions */
    uint64_t epochs, aborted, unknown;
    uint64_t snapshots, snapshots_abandoned, snapshot_bytes;
    uint64_t filled;                  /* records read again for new signals */
    uint64_t changes;                 /* of programs under tasks */
    uint64_t ticks, parts, refreshes; /* parts: stops in the middle of a long input */
    unsigned tasks, live, restoring, waiting, blocked;
    uint64_t parked;  /* tasks that were taken away and whose state is kept */
    uint64_t resumed; /* times that one of them went on */
    uint64_t accounts, parked_accounts;
    uint64_t partitions;            /* of an input: the tasks of all instances together */
    int64_t last_commit_us;         /* how long the last transaction took */
    uint64_t commit_waits_us;       /* how long the present one has been under way; 0: there is none */
    struct pql_durations commits;   /* how long each took */
    struct pql_durations outputs;   /* of each task in each: since when its oldest output waited */
    uint64_t memory_max;            /* 0: no limit */
    uint64_t transaction_bytes_max; /* that one may hold at present, by the pace of producing */
};
void pql_pipeline_stats(struct pql_pipeline *pipeline, struct pql_pipeline_stats *out);

/* Frees the state of all tasks that were taken away, for memory is short; how many. Thread: any. */
size_t pql_pipeline_give_up_parked(struct pql_pipeline *pipeline);

/* How definitions do; see scoreboard.h. Thread: any. */
struct pql_scoreboard_view pql_pipeline_scores(struct pql_pipeline *pipeline);
/* What happened last; freed with free. Thread: any. */
struct pql_recent_view *pql_pipeline_recent(struct pql_pipeline *pipeline);

/* Where each task stands. *count of them, freed by the caller. Thread: any. */
struct pql_task_standing {
    int32_t partition;
    int64_t committed[PQL_INPUTS_MAX]; /* next offset per input */
    const char *phase;                 /* "restore", "live" …: static */
    uint64_t accounts;
    int64_t revision;            /* of the program that it runs; -1: not known yet */
    int64_t seen_ms;             /* its clock, or PQL_NO_TIME */
    int64_t snapshot_age_ms;     /* since its last snapshot, or since it came here live; -1: it is not live */
    uint64_t load_done, load_of; /* while it restores: bytes of its state read, of all; 0: not known */
    int64_t load_left_ms;        /* by the pace so far; -1: not known */
    char blocked[200];           /* why, or "" */
};
struct pql_task_standing *pql_pipeline_standing(struct pql_pipeline *pipeline, size_t *count);

/* For tests. A task rests when it is live, nothing of it waits to be committed and nothing is open: no long
 * input, no change, no back-fill. Digest and place of one that does; false if there is none. No step may run.
 */
bool pql_pipeline_inspect(struct pql_pipeline *pipeline, int32_t task, uint64_t *digest,
                          struct pql_log_place *place);
/* Whether all tasks that are here rest, and how many they are. */
bool pql_pipeline_rests(const struct pql_pipeline *pipeline, size_t *tasks);

#endif
