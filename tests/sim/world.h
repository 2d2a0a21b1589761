/* world.h - a modelled Kafka, a producer that fills its inputs, and processes of the real pipeline that come
 * and go. Every choice is drawn from one seed.
 *
 * Records are `schema|account|user|time|what`, or `bad`:
 *   schema     `known`; `later`: the registry answers in a while; `L` and a time in us: it knows it
 *              from then on, and until then the record is refused
 *   account    also `a!` for one that is forgotten
 *   user       also `u!` for one who is forgotten, `new=previous` for an alias
 *   what       nothing or `x1`: the event x (with its property), `y1`; `owon`: an outcome; `ipro`, `gbig`:
 *              identify, group with an attribute; `l`: leave_group; `c`: clock */
#ifndef PQL_TESTS_SIM_WORLD_H
#define PQL_TESTS_SIM_WORLD_H

#include "app/pipeline.h"
#include "core/partition.h"
#include "sim/kafka_model.h"

enum { WORLD_PROGRAMS = 3, WORLD_DEFINITIONS_MAX = 4 };

struct world_plan {
    uint64_t seed;
    uint32_t inputs_count;
    int32_t partitions_count;
    unsigned workers;
    bool at_least_once;
    struct model_faults faults;
    int64_t park_ms;            /* -1: tasks are not parked; 0: for the default time */
    double short_memory;        /* per step: parked tasks are given up */
    int64_t session_ms;         /* 0: the model's */
    int instances;              /* at most so many processes at a time; 0: 1 */
    bool is_static;             /* they are static members, named as their transactional ids */
    double scaling;             /* per step: a process comes or is asked to go */
    double freeze;              /* per step: a process stops as by SIGSTOP, and wakes up later */
    double twin;                /* of those: another takes its place meanwhile */
    double bad, unknown_schema; /* share of the records */
    size_t events;
    bool is_rich;        /* events of all kinds, under definitions that ask for more */
    bool tombstones;     /* keys that are erased */
    uint64_t fault_call; /* > 0: the first process's call of this number has a fault */
    enum model_call_fault fault;
    uint64_t late_us; /* where that is one that takes time */
    bool is_traced;
    size_t tail;        /* steps with faults after the last event; 0: 5000 */
    uint64_t settle_us; /* time for ticks after that; 0: 40 s */
    int64_t checkpoint_interval_ms;
    enum pql_broken broken;
    bool has_new_ids, reads_unstable, subscribes_to_all;
    int max_message_bytes; /* of the outputs; 0: a million */
    int64_t lateness_ms, dedup_horizon_ms;
    bool late_dead_letter;
    double twice;               /* share of the events that are sent again */
    unsigned users;             /* of an account; 0: a few */
    int64_t checkpoint_bytes;   /* > 0: the largest record that the checkpoint topic takes */
    uint32_t checkpoint_shares; /* of the rolling base; 0: as few as the little state wants */
    uint64_t checkpoint_buffer; /* > 0: a snapshot is given up when so much waits */
    size_t checkpoint_slice;    /* > 0: bytes of a snapshot in one turn of a worker */
    uint64_t part_records_max;  /* > 0: where a long input stops */
    uint64_t transaction_bytes; /* > 0: what a transaction holds at first, and epochs are cut after as much */
    unsigned flood;             /* accounts that come, and later leave, all at one instant */
    uint64_t produce_bytes_per_s; /* with a flood: the pace of producing */
    size_t padding;               /* of the records made: NULs behind each */
    double refresh;               /* per step, while there is input */
    double backfill; /* share of the changes that fill new signals from the beginning of the input */
    double changes;  /* per step, while there is input: a new revision of the configuration */
    double damage;   /* chance that the last snapshot is damaged before the final restore */
    uint64_t memory; /* bytes that the first process may take; 0: no limit */
    double adopt;    /* chance that the offsets are lost with a process, and an operator adopts the state */
};

struct world_process {
    struct model_client *client;
    struct pql_ports ports;
    struct pql_pipeline_conf conf;
    struct pql_pipeline *pipeline; /* NULL: it could not start; err says why */
    struct pql_err err;
    char id[32];
};

struct world {
    const struct world_plan *plan;
    struct model model;
    struct model_random random; /* of the scheduler, apart from the model's */
    struct pql_diags diags;
    /* What configurations say, by turns; every third revision differs from the one before in its number only.
     */
    struct world_program {
        struct pql_definition_conf definitions[WORLD_DEFINITIONS_MAX];
        struct pql_program_conf conf;
        struct pql_program *program;
        struct pql_edition edition;
        char text[16];
    } programs[WORLD_PROGRAMS];
    int64_t revision;   /* the highest there is */
    bool is_rolled_out; /* every process that starts has it */
    struct pql_pipeline_input inputs[MODEL_INPUTS_MAX];
    struct pql_pipeline_conf conf; /* of processes to come */
    size_t produced;
    struct world_sent { /* the last event, to be sent again */
        uint32_t input;
        int32_t partition;
        char account[16], account_said[20], user[32], value[96];
    } last;
    uint64_t schema_known_us;
    bool encode_fails;
    unsigned starts;
};

void world_init(struct world *world, const struct world_plan *plan);
void world_deinit(struct world *world);

/* A process under a transactional id ("" is never used by at-least-once ones either way). */
struct world_process *world_start(struct world *world, const char *transactional_id);
/* As kill -9 does: what it had is gone. NULL is fine. */
void world_kill(struct world_process *process);
/* Whether the clock goes on by itself, in processes that run, too. */
void world_set_ticks(struct world *world, bool ticks);
/* A new revision; processes learn of it by world_reload and when they start. */
void world_change(struct world *world);
void world_reload(struct world *world, struct world_process *process);
/* By the text that journals and manifests have. */
const struct pql_program *world_program(const struct world *world, struct pql_slice text);
/* One step of one role. */
void world_step(struct world *world, struct world_process *process);
void world_pass_time(struct world *world);
/* Steps with time until the process ended, or `steps` are over; true if it ended. */
bool world_run(struct world *world, struct world_process *process, size_t steps);

void world_produce(struct world *world); /* a random event */
void world_flood(struct world *world);
void world_put(struct world *world, uint32_t input, int32_t partition, const char *key, const char *value);
/* An event of an account, in its partition of input 0, now. */
void world_put_event(struct world *world, const char *account);
bool world_all_committed(const struct world *world);

/* By world_init. */
void world_make_programs(struct world *world);
/* What is written of a record, but for the padding. */
void world_encode(const struct pql_record *record, struct pql_buf *out);
/* The decoder of the input's records. */
int world_decode(void *world, const struct pql_message_view *message, struct pql_arena *arena,
                 struct pql_event *event, struct pql_err *err);

#endif
