/* replayer.h - the engines of a replay and what comes out of them; where events come from is the caller's:
 *
 *   replay_files.c  files, standard input ─┐
 *   replay_kafka.c  the inputs' topics    ─┴─► event, task ─► engine ─► records on standard output
 *
 * One engine per task, as run has one per partition. Everything but records is said on standard error.
 * Thread: one. */
#ifndef PQL_APP_REPLAYER_H
#define PQL_APP_REPLAYER_H

#include "app/period.h"
#include "app/progress.h"
#include "app/setup.h"
#include "app/workbench.h"
#include "app/workbench_trace.h"

#include "core/engine.h"
#include "core/inspect.h"
#include "core/reasons.h"
#include "core/wire/encode.h"

enum { PQL_REPLAY_PARTITIONS_MAX = 100000 };

struct pql_replay_task {
    struct pql_engine *engine;
    int64_t offset; /* of the next record of a file, as on a topic */
};

typedef void pql_replay_look(void *context, const struct pql_event *event, struct pql_slice row);

struct pql_replay {
    struct pql_setup setup;
    struct pql_replay_task *tasks;
    size_t tasks_count, tasks_capacity;
    struct pql_encoder *encoder;
    struct pql_slice *topics; /* of the encoder */
    struct pql_buf out;
    bool out_failed;
    struct pql_arena scratch; /* of one event */
    uint64_t events, records, shadowed, refused[PQL_REJECT_COUNT], refused_total;
    struct pql_progress progress;
    bool tells_digest;
    bool is_quiet;  /* no records on standard output */
    bool has_until; /* later events are left out, and the clock ends there */
    int64_t until_ms;
    uint64_t left_out;
    struct pql_workbench bench;
    pql_replay_look *look; /* sees every event with the bytes it was read from; NULL: nobody does */
    void *look_context;
    pql_emit *refreshed; /* takes the states of all members at the end; NULL: nobody does */
    void *refreshed_context;
    struct pql_trace_printer *traces; /* of this account; user "": and all its users. NULL: none */
    const char *traced_account, *traced_user;
};

/* After pql_setup_init of replay->setup; the workbench is there before the tasks are. */
void pql_replay_init(struct pql_replay *replay);
void pql_replay_start(struct pql_replay *replay, size_t tasks_count);
void pql_replay_stop(struct pql_replay *replay);

/* So that there are tasks 0 … count - 1. */
void pql_replay_grow(struct pql_replay *replay, size_t count);

/* The task that an account belongs to, as the input says that its producer places keys. */
uint32_t pql_replay_task_of(const struct pql_replay *replay, const struct pql_input_conf *input,
                            struct pql_slice account);

/* One event to one task; its partition and offset are the caller's. Class PQL_ERR_RECORD: late, where the
 * policy makes that a dead letter. */
int pql_replay_apply(struct pql_replay *replay, size_t task, const struct pql_event *event,
                     struct pql_err *err) PQL_CHECKED;

/* Counts a record that cannot be used, and shows the first few. */
void pql_replay_refuse(struct pql_replay *replay, const char *place, const struct pql_err *err);

/* The end of the input: advance_ms -1: the clock stays; INT64_MAX: on until no timer is left. Then the
 * summary. */
void pql_replay_finish(struct pql_replay *replay, int64_t advance_ms);
void pql_replay_summary(struct pql_replay *replay);

/* Everybody in every engine of the replay, as pql_engine_each has it. */
void pql_replay_each(const struct pql_replay *replay, pql_see *see, void *context);
/* The clock of the task that is furthest. */
int64_t pql_replay_seen(const struct pql_replay *replay);

/* --- the two sources; exit codes --- */

struct pql_replay_files {
    const char *input;   /* the topic whose mapping is used; NULL: the first */
    const char *format;  /* a word of pql_replay_knows_format; NULL: by suffix */
    bool has_partitions; /* were asked for: a sample's own are not taken */
    char **paths;
    int count;
    int64_t advance_ms;
};
bool pql_replay_knows_format(const char *word);
int pql_replay_run_files(struct pql_replay *replay, const struct pql_replay_files *files);

struct pql_replay_kafka {
    int64_t since_ms, until_ms; /* PQL_NO_TIME: from the beginning, to the end */
    int64_t advance_ms;
};
int pql_replay_run_kafka(struct pql_replay *replay, const struct pql_replay_kafka *kafka);

#endif
