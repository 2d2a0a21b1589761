/* kafka_model.h - Kafka as the pipeline sees it, in memory and under a modelled clock: partitions whose
 * markers take offsets, transactions with fencing by epoch and a last stable offset, batches
 * refused whole, a group (kafka_model_group.c), committed offsets with metadata, expiry and the stable fetch,
 * end of partition reported once per end, deleted records. One seed decides all faults.
 *
 *   struct model         the broker: outlives processes
 *   struct model_client  one process's connection: fills struct pql_ports; dies with a crash
 *
 * As the real broker does: offsets sent with generation -1 are taken unfenced; a transaction of a dead owner
 * stays open until it times out or its id is initialised again, and holds both readers of committed records
 * and the stable fetch. */
#ifndef PQL_TESTS_SIM_KAFKA_MODEL_H
#define PQL_TESTS_SIM_KAFKA_MODEL_H

#include "io/ports.h"

#define MODEL_CHECKPOINT_ID "checkpoint" /* of the topic */

enum { MODEL_INPUTS_MAX = 2, MODEL_PARTITIONS_MAX = 4, MODEL_MEMBERS_MAX = 16 };

/* splitmix64 */
struct model_random {
    uint64_t state;
};
uint64_t model_next(struct model_random *random);
uint64_t model_below(struct model_random *random, uint64_t n);
bool model_chance(struct model_random *random, double p);

enum model_status { MODEL_OPEN, MODEL_COMMITTED, MODEL_ABORTED, MODEL_MARKER };

struct model_record {
    int64_t offset, timestamp_ms;
    enum model_status status;
    int txn; /* index of the transactional id, or -1 */
    bool has_key, has_value;
    struct pql_slice key, value; /* owned */
    struct pql_header headers[16];
    size_t headers_count;
};

struct model_log {
    struct model_record **records;
    size_t count, capacity;
    int64_t low;
};

struct model_offset {
    int64_t offset;
    char metadata[PQL_METADATA_MAX];
    uint64_t committed_us;
};

/* A transactional id at its coordinator. */
struct model_txn {
    char id[32];
    int epoch;
    bool is_open;
    uint64_t begun_us;
    bool has_pending[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    struct model_offset pending[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    /* A commit that was sent and has not arrived yet. */
    int delayed_epoch; /* -1: none */
    uint64_t delayed_us;
};

/* One member at the group's coordinator. */
struct model_member {
    int id;                      /* 0: a free place */
    char instance[32];           /* "": a dynamic member */
    struct model_client *client; /* NULL: gone without leaving, or a static member that left */
    uint64_t seen_us;            /* the last heartbeat */
};

/* Assignment is sticky and cooperative: a partition goes to its next owner once the one before gave it back.
 * Every change of it, and of who is a member, begins a generation. */
struct model_group {
    struct model_member members[MODEL_MEMBERS_MAX];
    int last_id, generation;
    int target[MODEL_PARTITIONS_MAX], owner[MODEL_PARTITIONS_MAX]; /* ids of members, 0: none */
    uint64_t session_us;
};

/* How often each fault happens, per call; all 0: none. */
struct model_faults {
    double retry;       /* any call answers RETRY and does nothing */
    double abortable;   /* produce or send_offsets: the transaction must be aborted */
    double lost_commit; /* the commit is done or not, and the client is not told */
    double delayed_commit;
    double fence;     /* the coordinator times the transaction out */
    double no_member; /* the client's generation is -1 for a while */
    double seek;      /* fails */
    double ack;       /* of the plain producer: failed, late or without offset */
    double rebalance; /* partitions revoked, and given back or to another; or the session expires */
    double crash;     /* the process dies before or after this call */
    double lost;      /* the request, or its reply: the client has waited for nothing */
    double late;      /* the request, or its reply: the call takes seconds */
};

/* A fault of one call. Lost: the client gives up and may call again; of a commit it does not know the
 * outcome, a record is what its transaction must be aborted for. Late: time passes before the call has an
 * effect, or after; a commit then arrives when the client has given up. What does not leave the process
 * cannot be lost. */
#define MODEL_CALL_FAULTS(X)                                                                                 \
    X(FINE, "fine")                                                                                          \
    X(DIES_BEFORE, "dies_before")                                                                            \
    X(DIES_AFTER, "dies_after")                                                                              \
    X(LOST_REQUEST, "lost_request")                                                                          \
    X(LOST_REPLY, "lost_reply")                                                                              \
    X(LATE_REQUEST, "late_request")                                                                          \
    X(LATE_REPLY, "late_reply")
#define MODEL_CALL_FAULT_ENUM(name, word) MODEL_##name,
enum model_call_fault { MODEL_CALL_FAULTS(MODEL_CALL_FAULT_ENUM) MODEL_CALL_FAULT_COUNT };
extern const char *const model_call_fault_names[MODEL_CALL_FAULT_COUNT];

/* Where the broker says no, and would again: with which word. */
enum model_refused {
    MODEL_REFUSES_NOTHING,
    MODEL_REFUSES_INIT,    /* of the transactional producer */
    MODEL_REFUSES_OFFSETS, /* sent or committed */
    MODEL_REFUSES_RECORDS, /* of output `refused_output`: found at the end of the transaction, or as an
                              acknowledgement */
};

struct model {
    struct model_random random;
    struct model_faults faults;
    uint64_t now_us;
    uint32_t inputs_count;
    int32_t partitions_count;
    struct model_log inputs[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    struct model_log outputs[PQL_OUT_COUNT][MODEL_PARTITIONS_MAX];
    bool has_offset[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    struct model_offset offsets[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    struct model_txn txns[64];
    int txns_count;
    uint64_t txn_timeout_us;
    uint64_t produce_bytes_per_s; /* of a client's transactions; 0: at once */
    uint64_t longest_txn_us;      /* that was open */
    struct model_group group;
    uint64_t offsets_retention_us; /* of topics that the group does not subscribe to: all but the lead */
    int max_message_bytes;         /* of an output's batch, as of one record */
    enum model_refused refuses;
    const char *refusal; /* the word */
    enum pql_output refused_output;
    unsigned refusals; /* how often it was said; `refuses_times` > 0: no more than that */
    unsigned refuses_times;
    /* Broken clients: every handle has a transactional id of its own; offsets are read without
     * require-stable; the group subscribes to every input. */
    bool has_new_ids, reads_unstable, subscribes_to_all;
    int64_t checkpoint_bytes_max; /* of a record of the checkpoint topic */
    uint64_t counts[16];          /* of faults that happened, in the order of struct model_faults */
    uint64_t aborted;             /* transactions */
    int clients;                  /* that there ever were */
    uint64_t steps;               /* of the run, for the words */
    bool is_traced;               /* the story goes to standard error */
};

extern const char *const model_output_names[PQL_OUT_COUNT];
/* A line of the story: when, who, what. */
void model_trace(const struct model *model, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void model_init(struct model *model, uint64_t seed, uint32_t inputs_count, int32_t partitions_count);
void model_deinit(struct model *model);
/* Lets time pass: transactions time out, delayed commits arrive. */
void model_advance(struct model *model, uint64_t us);
void model_append(struct model_log *log, const struct pql_out_record *record, int txn,
                  enum model_status status, int64_t timestamp_ms);
int64_t model_end(const struct model_log *log);
int64_t model_wall_ms(const struct model *model);

struct model_client;
/* transactional_id: "" for a client that makes no transactions; instance: "" for a dynamic member. */
struct model_client *model_client_new(struct model *model, const char *transactional_id,
                                      const char *instance);
/* The connection is gone; the broker keeps what it had. */
void model_client_free(struct model_client *client);
/* As SIGSTOP does: no heartbeat either. */
void model_client_freeze(struct model_client *client, bool is_frozen);
void model_client_ports(struct model_client *client, struct pql_ports *ports);
/* A call decided that the process dies: nothing it does from there on has an effect. */
bool model_client_is_dead(const struct model_client *client);
void model_client_kill(struct model_client *client);
uint64_t model_client_calls(const struct model_client *client);
/* This call, counted from now, has this fault; a late one takes late_us. */
void model_client_fault_at(struct model_client *client, uint64_t calls, enum model_call_fault fault,
                           uint64_t late_us);
/* Whether a fault can mean anything to the call that this client made as its n-th (from 1 on). */
bool model_client_could(const struct model_client *client, uint64_t n, enum model_call_fault fault);

#endif
