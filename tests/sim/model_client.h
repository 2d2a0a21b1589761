/* model_client.h - the inside of the modelled client, shared by kafka_model.c (broker, transactions, logs)
 * and kafka_model_group.c (the group). */
#ifndef PQL_TESTS_SIM_MODEL_CLIENT_H
#define PQL_TESTS_SIM_MODEL_CLIENT_H

#include "sim/calls.h"
#include "sim/kafka_model.h"

struct model_feed {
    bool is_assigned, is_paused, is_sought;
    unsigned worker;
    int64_t next;
    int64_t end_told; /* -1: none */
    int stale;        /* messages still delivered although paused */
};

struct model_pending_ack {
    struct pql_ack ack;
    uint64_t due_us;
};

struct model_acks {
    struct model_pending_ack *items;
    size_t count, capacity;
};

enum model_membership { OUTSIDE, JOINING, MEMBER, TOLD_ASSIGNED, TOLD_REVOKED, TOLD_LOST };

struct model_client {
    struct model *model;
    int txn; /* or -1 */
    int epoch;
    bool is_ready, in_txn, is_fatal;
    struct calls calls; /* every call passes here */
    char name[48];
    bool is_dead, is_frozen;
    enum model_call_fault fault; /* of the present call */
    uint64_t late_us;
    uint8_t *made; /* the calls so far */
    size_t made_count, made_capacity;
    uint64_t fault_call; /* > 0: this one has a fault */
    enum model_call_fault fault_then;
    uint64_t late_then_us;
    bool lost_record;                                   /* of this transaction */
    int64_t batch_bytes;                                /* at most, as the pipeline's topics allow */
    int64_t batch[PQL_OUT_COUNT][MODEL_PARTITIONS_MAX]; /* bytes of the batch being filled */
    bool batch_refused;
    uint64_t produced_us; /* when all that was produced has arrived */
    bool has_refused;     /* a record of the output that is refused is in the transaction */

    enum model_membership membership;
    char instance[32];
    int member; /* id, 0: none */
    int generation;
    bool is_lost;             /* the client knows that its partitions are not its any more */
    bool is_fenced, was_told; /* another process has the instance */
    uint64_t join_us, sync_us, no_member_until_us;
    int sent_member, sent_generation;   /* of the last group_facts: what offsets are sent with */
    bool has[MODEL_PARTITIONS_MAX];     /* tasks assigned */
    bool bounces[MODEL_PARTITIONS_MAX]; /* to be revoked and given back */
    int32_t tasks[MODEL_PARTITIONS_MAX];
    struct model_feed feeds[MODEL_INPUTS_MAX][MODEL_PARTITIONS_MAX];
    struct pql_position asked[MODEL_INPUTS_MAX * MODEL_PARTITIONS_MAX];
    size_t asked_count;
    uint64_t asked_us, answer_us;
    struct model_acks acks[PQL_LANE_COUNT];
    size_t views; /* not yet released */
};

enum model_fault {
    RETRY,
    ABORTABLE,
    LOST_COMMIT,
    DELAYED_COMMIT,
    FENCE,
    NO_MEMBER,
    SEEK,
    ACK,
    REBALANCE,
    CRASH,
    LOST,
    LATE
};

bool model_happens(struct model_client *client, enum model_fault fault, double p);
/* Puts the faults around the calls of client->calls.inner. */
void model_calls_wrap(struct model_client *client);
/* The outcome of the transaction is not known. */
int model_unknown(struct model_client *client, struct pql_err *err);

/* Time has passed: heartbeats, sessions that expire. */
void model_group_advance(struct model *model);
/* Whether offsets sent by this member in this generation are taken. */
bool model_group_accepts(const struct model *model, int member, int generation);
/* The client's own thread: it learns of a new generation, or that it is no member any more. */
void model_group_heartbeat(struct model_client *client);
void model_group_forget(struct model_client *client); /* its process is gone */
/* The group's part of the table. */
void model_group_fill(struct pql_ports *ports);

#endif
