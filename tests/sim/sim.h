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

struct sim_result {
    bool ok;
    char what[600];
    uint64_t calls; /* of the first process */
    uint64_t changes, filled, given_up, starts, freezes, twins, resumed, most_at_once, records, refused,
        ticks, snapshots, trimmed, fallbacks, adopted, full, parts, refreshes, abandoned;
    uint64_t faults[16];
};

/* A plan drawn from the seed: faults of several kinds, one or two inputs, one or two workers. */
struct world_plan sim_plan_of(uint64_t seed);
void sim_run(const struct world_plan *plan, struct sim_result *result);

#endif
