/* sim.h - one run of the real pipeline on the modelled Kafka, decided by a seed, and judged by an oracle.
 *
 *   producer ─► input logs ─► pipeline (1 to 4 processes, some of them frozen) ─► output logs
 *                  │  crashes and restarts, faults of every call, time that jumps
 *                  └─► oracle: a fresh engine folded over the whole log (input and journal) in one go
 *
 * Judged: the committed records per key, in order and number; dead letters; the journal without gaps; offsets
 * at the end of the input; the digest of the state as a fresh process restores it. */
#ifndef PQL_TESTS_SIM_SIM_H
#define PQL_TESTS_SIM_SIM_H

#include "sim/world.h"

/* What happened, in words. */
#define SIM_COUNTS(X)                                                                                        \
    X(starts, "starts of a process")                                                                         \
    X(freezes, "freezes")                                                                                    \
    X(twins, "twins")                                                                                        \
    X(rebalances, "rebalances")                                                                              \
    X(aborted, "aborted transactions")                                                                       \
    X(resumed, "tasks that went on where they were")                                                         \
    X(records, "records")                                                                                    \
    X(refused, "refused")                                                                                    \
    X(ticks, "ticks")                                                                                        \
    X(snapshots, "snapshots")                                                                                \
    X(abandoned, "snapshots given up")                                                                       \
    X(trimmed, "records trimmed")                                                                            \
    X(fallbacks, "records damaged")                                                                          \
    X(adopted, "states adopted")                                                                             \
    X(full, "stops for memory")                                                                              \
    X(parts, "parts of long inputs")                                                                         \
    X(refreshes, "refreshes")                                                                                \
    X(changes, "changes of programs")                                                                        \
    X(filled, "records filled from")                                                                         \
    X(given_up, "fills given up")

enum { SIM_CALLS_MAX = 8192 };

struct sim_result {
    bool ok;
    char what[600];
    uint64_t step; /* at which it failed */
    uint64_t simulated_us, most_at_once;
#define SIM_COUNT_FIELD(name, word) uint64_t name;
    SIM_COUNTS(SIM_COUNT_FIELD)
    uint64_t faults[16]; /* in the order of struct model_faults */
    /* What the oracle expects, and the run had: records of each topic, of each transition, leavings by
     * reason. */
    uint64_t published[PQL_OUT_CHECKPOINT], erased;
    uint64_t transitions[PQL_TRANSITION_COUNT], reasons[PQL_REASON_COUNT];
    /* Of the first process, if it is the only one: how many, and which faults could befall each (bits). */
    uint64_t calls;
    unsigned char could[SIM_CALLS_MAX];
};

/* A plan drawn from the seed: faults of several kinds, one or two inputs, one or two workers. */
struct world_plan sim_plan_of(uint64_t seed);
void sim_run(const struct world_plan *plan, struct sim_result *result);

#endif
