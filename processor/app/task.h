/* task.h - what control, keeper, workers and committer share: the inside of the pipeline. Included by them
 * only.
 *
 *   phase      who touches the task            next
 *   RESTORE    its keeper; of a kept task, the question whether it may go on
 *                                              CLAIM, READY, BLOCKED
 *   CLAIM      committer (a sealed epoch)      READY
 *   READY      nobody                          REPLAY
 *   REPLAY     its worker, outputs discarded   LIVE, BLOCKED
 *   LIVE       its worker                      BLOCKED
 *   BLOCKED    nobody; nothing is committed
 *   RELEASED   nobody; control parks or frees it once the committer and the keeper let go
 *   PARKED     nobody; not among the tasks               RESTORE, when it is assigned again
 *
 * Fields are grouped by owner. What is under the lock is read and written under pipeline->lock, by anybody.
 */
#ifndef PQL_APP_TASK_H
#define PQL_APP_TASK_H

#include "app/epoch.h"
#include "app/pipeline.h"
#include "app/scoreboard.h"
#include "core/engine.h"
#include "core/state/base.h"
#include <pthread.h>

enum { PQL_BATCH = 1000 }; /* messages taken in one step */

enum pql_phase {
    PQL_PHASE_RESTORE,
    PQL_PHASE_CLAIM,
    PQL_PHASE_READY,
    PQL_PHASE_REPLAY,
    PQL_PHASE_LIVE,
    PQL_PHASE_BLOCKED,
    PQL_PHASE_RELEASED,
    PQL_PHASE_PARKED,
    PQL_PHASE_COUNT,
};
extern const char *const pql_phase_names[PQL_PHASE_COUNT];

/* Whether messages of one input reach the worker. Pausing and seeking are the keeper's, since they may block;
 * a message that arrives while the worker does not accept is dropped, and got again by the seek. */
enum pql_feed {
    PQL_FEED_CLOSED, /* paused; nothing wanted */
    PQL_FEED_SEEK,   /* paused; the keeper shall seek to feed_from */
    PQL_FEED_SOUGHT, /* paused; the worker shall accept from now on */
    PQL_FEED_RESUME, /* accepted; the keeper shall resume */
    PQL_FEED_OPEN,
    PQL_FEED_PAUSE, /* not accepted; the keeper shall pause */
};

/* Messages of one input that wait their turn: for a schema, or in a replay for another input's run. */
struct pql_inbox {
    struct pql_message_view *items;
    size_t head, count, capacity;
    uint64_t bytes;    /* of keys and values */
    bool waits;        /* the first one, for its schema */
    uint64_t retry_us; /* when to try it again */
};

/* The accounts' partitions of the last events: are they where the producer is said to put them? */
enum { PQL_MISPLACED_WINDOW = 10000, PQL_MISPLACED_MIN = 1000, PQL_MISPLACED_COUNT_MIN = 10 };
struct pql_misplaced {
    uint64_t bits[(PQL_MISPLACED_WINDOW + 63) / 64];
    uint32_t next, seen, bad;
};

/* A journal entry to be applied at its place during a replay. Slices are copies in the task's arena. */
struct pql_script {
    struct pql_journal *items;
    size_t count, capacity,
        next; /* next < count: what is read is laid down, live too (at least once, behind C) */
};

/* What is known of the manifest that offsets point to. */
struct pql_pointer {
    int64_t manifest;       /* -1: none */
    int64_t trim_before;    /* 0: nothing, or not known */
    uint64_t records, hash; /* of the task at S: the zero of n and x */
};

/* Refused records in a row, for one reason: one entry. */
struct pql_refused {
    const char *reason; /* NULL: none */
    uint32_t input;
    int64_t from;
};

/* The inputs read again, one after the other, for the signals that a change made. */
struct pql_fill {
    bool is_open;
    bool is_fresh;     /* what waits in the inboxes is none of it */
    bool is_laid_down; /* the journal says where it ended */
    int64_t from_ms;
    int64_t next[PQL_INPUTS_MAX], end[PQL_INPUTS_MAX]; /* end: as a rule the place */
    uint64_t records, of, begun_us, told_us;           /* of: offsets, an estimate */
};

/* As from_ms: from the first event that is read. */
#define PQL_FILL_FROM_FIRST INT64_MAX

enum pql_asking { PQL_ASKING_NOT, PQL_ASKING_WANTED, PQL_ASKING_KNOWN };

struct pql_restore; /* restore.c */

struct pql_task {
    int32_t partition;
    unsigned worker, keeper;
    struct pql_pipeline *pipeline;
    struct pql_worker *owner; /* pipeline->workers[worker] */

    /* --- under the lock --- */
    enum pql_phase phase;
    uint64_t incarnation, assigned_us; /* of this assignment; what was asked before it is none of its */
    bool is_whole;                     /* released between two batches, live */
    bool is_kept; /* parked before this assignment: it goes on, if nobody else committed meanwhile */
    uint64_t parked_us;
    bool closing;     /* to be settled and released */
    bool lost;        /* to be released at once: nothing of it can be committed any more */
    bool worker_busy; /* the worker has it in its table */
    bool keeper_busy; /* a call of the keeper is under way */
    bool in_txn;      /* its sealed epoch is in the committer's transaction */
    struct pql_epoch *sealed;
    enum pql_feed feed[PQL_INPUTS_MAX];
    int64_t feed_from[PQL_INPUTS_MAX];
    bool ends_wanted; /* of the checkpoint partition, for a snapshot's journal_from */
    bool ends_known;
    int64_t checkpoint_end;
    int64_t trim_before;         /* 0: nothing to trim */
    bool tick_wanted;            /* end offsets are to be asked */
    enum pql_asking fill_asking; /* where a back-fill begins */
    int64_t fill_ask_from, fill_offsets[PQL_INPUTS_MAX];
    int64_t ends[PQL_INPUTS_MAX]; /* the answer, and when it was asked for; 0: none */
    uint64_t ends_asked_us;
    uint64_t load_left_ms;
    uint64_t load_done, load_of; /* bytes of its state, while it is read */
    uint64_t handover_deadline_us;
    struct pql_log_place committed;
    char committed_writer[PQL_WRITER_MAX]; /* whose epoch that was; "": nothing was committed yet */
    uint64_t committed_epoch;
    struct pql_err blocked; /* in BLOCKED: why */
    enum pql_stop blocked_stop;
    uint64_t accounts; /* for stats, as is the clock */
    int64_t shown_seen_ms, shown_revision;
    uint64_t shown_snapshot_us;
    struct pql_memory memory;                /* its own kinds, as of its owner's last step */
    int64_t shown_needed_ms[PQL_INPUTS_MAX]; /* as needed_ms */
    bool retention_told;

    /* --- the phase's owner: keeper in RESTORE, worker from REPLAY on --- */
    const struct pql_edition *edition; /* the program of its state; set under the lock */
    int64_t revision;                  /* the highest that it took over */
    uint32_t semantics;
    uint64_t revised; /* wanted_serial that it has decided about */
    /* At least once: the ends of the inputs as the task came here. Outputs of what is before them may have
     * been seen without their offsets, under the program of the state and without what an operator asks for
     * now, so that one has to come so far before either changes what comes out. */
    int64_t seen_to[PQL_INPUTS_MAX];
    struct pql_engine *engine;
    void *decoders;
    struct pql_arena arena;     /* lives with the task: script, program text */
    struct pql_log_place place; /* live */
    int run_input;              /* the input read since the last entry, or -1 */
    struct pql_refused refused; /* not yet journaled */
    uint64_t refreshed;         /* its copy of refresh_wanted, as of the last one done */
    uint64_t records, hash;     /* of all transitions since the task is here */
    struct pql_pointer pointer,
        pending; /* pending.manifest >= 0: acknowledged, the next epoch sealed carries it */
    uint64_t snapshot_number;
    uint64_t state_bytes; /* about, as of the last snapshot; 0: not known */
    struct pql_base base; /* what the next snapshot builds on */
    struct pql_share share;
    struct pql_misplaced misplaced;
    int64_t lag_ms; /* -1: not known */
    struct pql_restore *restore;

    /* replay */
    struct pql_script script;
    struct pql_log_place target; /* C */
    struct pql_metadata target_metadata;
    struct pql_log_place
        mark; /* where n and x begin, if later than the snapshot loaded; journal 0 and inputs 0: S */
    bool has_mark;
    bool is_unmarked; /* nobody knows where n and x begin: the manifest that said so is damaged */
    uint64_t replayed;
    uint64_t replay_begun_us, replay_told_us;

    struct pql_fill fill;

    /* worker */
    struct pql_epoch *open;
    struct pql_inbox inbox[PQL_INPUTS_MAX];
    bool accepts[PQL_INPUTS_MAX];
    bool ended[PQL_INPUTS_MAX]; /* end of partition was reached at end_at, and no record came since */
    int64_t end_at[PQL_INPUTS_MAX];
    uint64_t last_record_us;
    uint64_t taken_since_snapshot;
    /* The broker's time of the oldest record that a restore would read, and of the one that it would read
     * after the snapshot under way; PQL_NO_TIME: none was read. */
    int64_t needed_ms[PQL_INPUTS_MAX], needed_next_ms[PQL_INPUTS_MAX];
    uint64_t last_snapshot_us;
    uint64_t last_seal_us;
    bool is_leaving; /* its copies of closing and handover_deadline_us, as of the last step */
    uint64_t leave_by_us;
    bool final_done; /* closing: the last snapshot is settled or given up */
};

struct pql_chunk_out {
    struct pql_buf bytes; /* kept until acknowledged */
    int64_t offset;       /* or -1 */
    bool is_acked;
};

/* The one snapshot that a worker is taking. */
struct pql_snapshot {
    struct pql_task *task; /* NULL: none */
    uint32_t serial;       /* tells acknowledgements of an earlier one apart */
    uint64_t number;
    uint32_t modulus, residue;
    struct pql_base base; /* with this one, once its chunks are written */
    struct pql_log_place place;
    uint64_t records, hash, accounts;
    struct pql_share share;
    int64_t journal_from, lag_ms;
    int run_input;
    struct pql_buf pages; /* not yet cut into chunks */
    bool is_complete;     /* the engine gave all pages */
    struct pql_buf body;  /* of the manifest */
    size_t pages_chunks;  /* the parts of the manifest stand behind them */
    bool manifest_sent;
    struct pql_chunk_out *chunks; /* the manifest is the last */
    size_t chunks_count, chunks_capacity, acked;
    uint64_t bytes, inflight;
    uint64_t begun_us, progress_us;
};

struct pql_ack_queue {
    struct pql_ack *items;
    size_t count, capacity;
};

struct pql_worker {
    struct pql_pipeline *pipeline;
    unsigned index;

    /* under the lock */
    bool handover_wanted;
    uint64_t oldest_output_us; /* 0: none */
    bool has_moved, is_full;
    struct pql_ack_queue acks;
    uint64_t snapshot_bytes; /* of the one being taken */

    /* its own */
    struct pql_task **tasks;
    size_t count, capacity;
    struct pql_task **by_partition; /* or NULL; index: partition */
    size_t by_partition_count;
    struct pql_message_view *batch;
    uint64_t *ahead; /* hashes of the accounts of its messages, as far as it was looked at (lookahead.c) */
    struct pql_arena scratch;
    struct pql_buf value; /* of the record being encoded */
    struct pql_ack_queue acks_taken;
    struct pql_snapshot snapshot;
    size_t snapshot_turn;         /* the task whose turn it is */
    const char *snapshot_refused; /* why the last chunk was refused for good */
    int64_t tokens;               /* bytes that may be written now */
    uint64_t tokens_us;
    uint64_t now_us; /* read once per step */
    int64_t wall_ms;
    bool did_something;
    uint64_t made_records, made_bytes; /* since the engine was last called */
    uint64_t open_bytes;               /* of open epochs */
    uint64_t refresh_wanted;           /* as of the last step */
    const struct pql_edition *wanted;  /* likewise */
    int64_t wanted_revision, wanted_from;
    uint64_t wanted_serial;
    struct pql_lookup *lookup;       /* that it has to answer in this step, or NULL */
    struct pql_pipeline_stats stats; /* only its own counters; copied under the lock */
    struct pql_pipeline_stats shown; /* under the lock */
};

enum pql_txn_state {
    PQL_TXN_INIT, /* no producer is ready yet */
    PQL_TXN_IDLE,
    PQL_TXN_HANDOVER, /* workers seal their epochs */
    PQL_TXN_BEGIN,
    PQL_TXN_PRODUCE,
    PQL_TXN_OFFSETS,
    PQL_TXN_COMMIT,
    PQL_TXN_ABORT,
    PQL_TXN_RECREATE, /* outcome unknown from here on */
    PQL_TXN_REINIT,
    PQL_TXN_DECIDE,
    PQL_TXN_HALTED,  /* the program ends; nothing more is asked of the client */
    PQL_TXN_JOURNAL, /* at least once: journal, its acknowledgements, outputs, theirs, offsets */
    PQL_TXN_JOURNAL_ACKS,
    PQL_TXN_OUTPUTS,
    PQL_TXN_OUTPUTS_ACKS,
    PQL_TXN_COMMIT_OFFSETS,
    PQL_TXN_STATE_COUNT,
};

struct pql_committer {
    enum pql_txn_state state;
    struct pql_task **tasks; /* of the transaction */
    size_t count, capacity;
    size_t task_at, record_at; /* what is produced next */
    uint64_t expected_acks, failed_acks;
    struct pql_ack refused; /* the last that was for good; failed NONE: none */
    bool is_unknown;        /* the transaction's outcome; its tasks stay until it is decided */
    uint64_t epoch;         /* number of the last one */
    uint64_t wait_until_us; /* after a fault */
    uint64_t begun_us, took_us, last_us;
    uint64_t opened_us; /* the present transaction, or the last */
    uint64_t size;      /* of what is in it */
    uint64_t size_max;  /* of one, so that producing takes at most a third of the time it may take */
    size_t turn;        /* the task that is first in the next one */
    uint64_t
        foreign_us; /* since when the offsets of an unknown outcome are somebody else's; 0: they are not */
    uint64_t fenced_us;     /* when a fence was last met; 0: never */
    unsigned closing_tries; /* aborts since tasks that are leaving were part of it */
    const char *permanent;  /* reason of the last lasting fault */
    struct pql_arena arena;
    struct pql_position *positions;
    uint64_t epochs, aborted, unknown, records;
    /* Under the lock. */
    uint64_t waiting_us;                   /* since when something waits to be committed; 0: nothing does */
    struct pql_durations commits, outputs; /* see pql_pipeline_stats */
};

/* Of budget.c. */
struct pql_budget {
    uint64_t looked_us, warned_us;
    uint64_t sample, sample_us; /* the total a while ago */
};

enum pql_control_state {
    PQL_CONTROL_RUN,
    PQL_CONTROL_SETTLE_REVOKED,
    PQL_CONTROL_SETTLE_LOST,
    PQL_CONTROL_SETTLE_STOP,
    PQL_CONTROL_LEAVE,
    PQL_CONTROL_DONE,
};

/* A replay may need what is so many checkpoint intervals old. */
enum { PQL_REPLAY_INTERVALS = 4 };

struct pql_pipeline {
    const struct pql_ports *ports;
    const struct pql_pipeline_conf *conf;
    char input_ids[PQL_INPUTS_MAX][PQL_TOPIC_ID_MAX];
    char checkpoint_id[PQL_TOPIC_ID_MAX];
    int32_t partitions_count;
    int64_t max_bytes[PQL_OUT_COUNT]; /* of one record */

    pthread_mutex_t lock;
    pthread_cond_t changed; /* wakes control, committer and keepers */
    struct pql_task **tasks;
    size_t count, capacity;
    struct pql_task **gone; /* released tasks, for control to free */
    size_t gone_count, gone_capacity;
    struct pql_task **parked;
    size_t parked_count, parked_capacity;
    uint64_t incarnations, resumed;
    bool stop_wanted;
    struct pql_edition **editions;
    size_t editions_count, editions_capacity;
    const struct pql_edition *wanted; /* the configuration's */
    int64_t wanted_revision, wanted_from;
    uint64_t wanted_serial;  /* counts up, from 1 */
    uint64_t refresh_wanted; /* how often */
    enum pql_stop stop;      /* why it ends */
    struct pql_err stop_err;
    bool is_done;

    struct pql_lookup *lookup; /* under the lock: a question from outside, or NULL */
    struct pql_scoreboard *scoreboard;
    struct pql_recent *recent; /* or NULL */
    struct pql_worker *workers;
    size_t *keeper_turns;
    struct pql_committer committer;
    struct pql_budget budget; /* control's */

    /* keeper 0 */
    uint64_t watched_us;
    uint32_t watched_input;

    /* control */
    enum pql_control_state control;
    uint64_t settle_deadline_us;
    uint64_t loading_told_us; /* under the lock */
    uint64_t ends_asked_us;
    int32_t *settled; /* partitions to be given back */
    size_t settled_count;
};

/* Whether a test wants this rule broken. */
#define PQL_BREAKS(p, rule) ((p)->conf->broken == PQL_BROKEN_##rule)

/* --- pipeline.c --- */
void pql_pipeline_fail(struct pql_pipeline *p, enum pql_stop stop,
                       const struct pql_err *err); /* takes the lock */
/* A fault that would come again whatever is repeated (err->reason): the second one stops the program,
 * with what mends it. *before: the last one's reason, kept by whoever meets them, NULL again after a success.
 */
bool pql_pipeline_is_lasting(struct pql_pipeline *p, const char **before, const struct pql_err *err);
/* Stops: an input has so many partitions now. */
void pql_pipeline_partitions_added(struct pql_pipeline *p, uint32_t input, int32_t count);
void pql_lock(struct pql_pipeline *p);
void pql_unlock(struct pql_pipeline *p);
void pql_wake_all(struct pql_pipeline *p); /* under the lock: workers and waiting roles look again */
/* Waits for pql_wake_all, at most ms; 0 or less: not at all. Called under the lock, so that no wake is
 * missed. */
void pql_wait_changed(struct pql_pipeline *p, int ms);

/* --- fill.c --- */
void pql_fill_open(struct pql_worker *w, struct pql_task *task, const struct pql_journal *program,
                   const struct pql_journal *filled);
/* The input whose turn it is, and whether all of all is read. */
bool pql_fill_wants(const struct pql_task *task, uint32_t input);
bool pql_fill_is_done(const struct pql_worker *w, const struct pql_task *task);
/* Offsets below it are none of the task's any more. */
int64_t pql_fill_next(const struct pql_task *task, uint32_t input);
/* A record, or the end of the partition, lies at or behind `offset`. */
void pql_fill_reached(struct pql_task *task, uint32_t input, int64_t offset);
/* A message read for it. What cannot be used now, or went to the dead letters, is passed over. -1: it has to
 * wait for its schema, or cannot be decoded at all. */
int pql_fill_take(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m,
                  struct pql_err *err);
/* It has ended; given_up: in words why before its end, or NULL. True: it ended before the place, and what
 * waits in the inboxes is none of the task's. */
bool pql_fill_close(struct pql_worker *w, struct pql_task *task, const char *given_up);
/* Its keeper: where the wanted time stands in each input. */
void pql_fill_ask(struct pql_pipeline *p, struct pql_task *task);

/* --- lookahead.c --- */
/* Before message `at` of the batch is taken: those behind it, of its input, are not taken yet. */
void pql_worker_look_ahead(struct pql_worker *w, size_t at, size_t count);

/* --- edition.c --- */
/* Under the lock: takes it over, or frees it and returns the equal one that is there. */
const struct pql_edition *pql_edition_keep(struct pql_pipeline *p, struct pql_edition *edition);
/* The edition of a program's text, compiled if it is not there yet. */
int pql_edition_of(struct pql_pipeline *p, struct pql_slice text, const struct pql_edition **out,
                   struct pql_err *err);
void pql_editions_free(struct pql_pipeline *p);

/* --- task.c --- */
/* The task's decoders and their schemas for another edition; the engine is the caller's. Its owner, without
 * the lock. */
int pql_task_set_edition(struct pql_pipeline *p, struct pql_task *task, const struct pql_edition *edition,
                         struct pql_err *err);
struct pql_task *pql_task_new(struct pql_pipeline *p, int32_t partition);
/* Under the lock: as new, but for what the assignment and its keeper have to do with it. */
void pql_task_reset(struct pql_task *task);
/* Under the lock: what was chosen of its sealed epoch is known to be committed. */
void pql_task_committed(struct pql_pipeline *p, struct pql_task *task);
void pql_task_free(struct pql_task *task); /* messages were released by the worker */
bool pql_place_reached(const struct pql_pipeline *p, const struct pql_log_place *place,
                       const struct pql_log_place *wanted);
/* Under the lock. The legal moves are those of the table above; RELEASED from anywhere. */
void pql_task_set_phase(struct pql_task *task, enum pql_phase phase);
/* Any thread without the lock, the owner only: the task does nothing more and says why. */
void pql_task_block(struct pql_pipeline *p, struct pql_task *task, enum pql_stop stop,
                    const struct pql_err *err);
/* The epoch being filled; made if there is none. */
struct pql_epoch *pql_task_open_epoch(struct pql_task *task);
/* Appends an entry to the open epoch, with the next sequence. */
void pql_task_journal(struct pql_pipeline *p, struct pql_task *task, struct pql_journal *entry,
                      int64_t wall_ms);
/* Journals the refused records that are not yet, so that the place is that of the journal. */
void pql_task_journal_refused(struct pql_pipeline *p, struct pql_task *task);
/* Where much was made since the last time: the open epoch may be cut in two here, if it is too much for one
 * transaction. The place is that after a whole record, or a part of a long input. */
void pql_task_cut(struct pql_pipeline *p, struct pql_task *task);
/* Hands the open epoch over. Under the lock. */
void pql_task_seal(struct pql_pipeline *p, struct pql_task *task, uint64_t now_us);

/* --- outputs.c --- */
/* What an engine calls for each record; context: the task. Discards during a replay. */
pql_emit pql_output_record;
/* A null value for a key of the state topic that an erasure, or a change of definitions, takes away. */
pql_emit pql_output_tombstone;
extern const struct pql_watch pql_output_watch;
void pql_output_dead_letter(struct pql_worker *w, struct pql_task *task,
                            const struct pql_message_view *message, const char *reason, const char *words);

/* --- lookup.c --- */
/* Under the lock: a question that the worker has not answered; NULL: there is none. */
struct pql_lookup *pql_lookup_wanted(const struct pql_worker *w);
void pql_lookup_answer(struct pql_worker *w, struct pql_lookup *lookup); /* between two batches */
void pql_lookup_drop(struct pql_pipeline *p);                            /* at the end, or under the lock */

/* --- snapshots.c --- */
void pql_snapshots_step(struct pql_worker *w);
void pql_snapshots_abandon(struct pql_worker *w, struct pql_task *task); /* if it is of this task */
void pql_snapshots_deinit(struct pql_worker *w);

/* --- park.c --- */
/* Under the lock; false: not worth it, or not right. */
bool pql_park(struct pql_pipeline *p, struct pql_task *task);
/* Under the lock: the parked task of this partition, in RESTORE; NULL: there is none. */
struct pql_task *pql_unpark(struct pql_pipeline *p, int32_t partition);
/* Frees those that were parked for too long. Thread: control. */
void pql_park_expire(struct pql_pipeline *p);
/* Its keeper, with the stable positions of the group: READY if nobody else committed, else as new. */
bool pql_park_goes_on(struct pql_pipeline *p, struct pql_task *task, const struct pql_position *positions);

/* --- restore.c --- */
void pql_restore_step(struct pql_pipeline *p, struct pql_task *task);
void pql_restore_free(struct pql_task *task);
/* About what a task that is being loaded takes, and will once it is: its journal and its state. */
struct pql_memory pql_restore_memory(const struct pql_task *task);

/* --- retention.c: how long the input still has what a restore needs --- */

void pql_needed_init(struct pql_task *task);
/* Worker: a record stands at the task's place; a snapshot of the place begins; it is written. */
void pql_needed_note(struct pql_task *task, const struct pql_message_view *m);
void pql_needed_snapshot(struct pql_task *task);
void pql_needed_written(struct pql_task *task);
/* Under the lock. */
void pql_needed_show(struct pql_task *task);
/* Keeper, with what the broker says of an input now: warns once of each task that is near the end. */
void pql_retention_watch(struct pql_pipeline *p, uint32_t input, const struct pql_topic_facts *facts);

#endif
