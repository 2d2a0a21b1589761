/* Hundreds of seeds, and a crash at each call of a short run.
 *
 *   test_sim            all of it
 *   test_sim SEED       one seed, and what happened
 *   test_sim FROM TO    seeds from FROM to TO */
#include "sim/sim.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SEEDS = 300 };

static const char *const fault_names[] = {"retry",     "abortable", "lost_commit", "delayed_commit", "fence",
                                          "no_member", "seek",      "ack",         "rebalance",      "crash"};
static uint64_t faults[10], runs, starts, freezes, twins, resumed, most_at_once, records, refused, ticks,
    snapshots, trimmed, fallbacks, adopted, full, parts, refreshes, changes, abandoned, filled, given_up;
static char program[256];

static bool judge(const struct world_plan *plan, const char *arguments)
{
    struct sim_result result;
    sim_run(plan, &result);
    runs++;
    for (int i = 0; i < 10; i++) faults[i] += result.faults[i];
    starts += result.starts;
    freezes += result.freezes;
    twins += result.twins;
    resumed += result.resumed;
    if (result.most_at_once > most_at_once) most_at_once = result.most_at_once;
    records += result.records;
    refused += result.refused;
    ticks += result.ticks;
    snapshots += result.snapshots;
    trimmed += result.trimmed > 0;
    fallbacks += result.fallbacks;
    adopted += result.adopted;
    full += result.full;
    parts += result.parts;
    refreshes += result.refreshes;
    changes += result.changes;
    abandoned += result.abandoned;
    filled += result.filled;
    given_up += result.given_up;
    if (result.ok) return true;
    printf("FAILED%s: %s\nreplay: %s %s\n", plan->at_least_once ? " (at least once)" : "", result.what,
           program, arguments);
    return false;
}

static bool seeds(uint64_t from, uint64_t to)
{
    bool ok = true;
    for (uint64_t seed = from; seed < to; seed++) {
        char arguments[32];
        snprintf(arguments, sizeof arguments, "%" PRIu64, seed);
        struct world_plan plan = sim_plan_of(seed);
        ok &= judge(&plan, arguments);
    }
    return ok;
}

static struct world_plan short_plan(uint64_t crash_call, bool after)
{
    return (struct world_plan){.seed = 42,
                               .inputs_count = 2,
                               .partitions_count = 1,
                               .workers = 1,
                               .events = 30,
                               .bad = 0.05,
                               .checkpoint_interval_ms = 100,
                               .crash_call = crash_call,
                               .crash_after = after};
}

/* Every `stride`th call of a short run is where the process dies, once before the call has an effect and once
 * after. */
static bool crash_everywhere(uint64_t stride)
{
    struct world_plan plan = short_plan(0, false);
    struct sim_result whole;
    bool ok = judge(&plan, "--crash 0 0");
    sim_run(&plan, &whole);
    for (uint64_t call = 1; call <= whole.calls && ok; call += stride)
        for (int after = 0; after < 2 && ok; after++) {
            char arguments[48];
            snprintf(arguments, sizeof arguments, "--crash %" PRIu64 " %d", call, after);
            plan = short_plan(call, after);
            ok = judge(&plan, arguments);
        }
    return ok;
}

/* A fault that never happened would be a test that tests nothing. */
static bool all_happened(void)
{
    bool ok = true;
    for (int i = 0; i < 10; i++)
        if (!faults[i]) ok = false;
    return ok && freezes && twins && resumed && most_at_once == 4 && refused && ticks && snapshots &&
           trimmed && fallbacks && adopted && full && records && parts && refreshes && changes && abandoned &&
           filled;
}

static void summary(void)
{
    printf("%" PRIu64 " runs, %" PRIu64 " starts, at most %" PRIu64 " at once, %" PRIu64 " freezes, %" PRIu64
           " twins, %" PRIu64 " resumed, %" PRIu64 " records, %" PRIu64 " refused, %" PRIu64
           " ticks, %" PRIu64 " snapshots, %" PRIu64 " runs trimmed, %" PRIu64 " damaged, %" PRIu64
           " adopted, %" PRIu64 " out of memory, %" PRIu64 " parts, %" PRIu64 " refreshes, %" PRIu64
           " changes of programs, %" PRIu64 " snapshots given up, %" PRIu64 " records filled from, %" PRIu64
           " fills given up;",
           runs, starts, most_at_once, freezes, twins, resumed, records, refused, ticks, snapshots, trimmed,
           fallbacks, adopted, full, parts, refreshes, changes, abandoned, filled, given_up);
    for (int i = 0; i < 10; i++) printf(" %s %" PRIu64, fault_names[i], faults[i]);
    printf("\n");
}

int main(int argc, char **argv)
{
    bool ok = true;
    snprintf(program, sizeof program, "%s", argv[0]);
    pql_log_set_level(argc == 2 || argc == 4 ? PQL_LOG_DEBUG : PQL_LOG_LEVEL_COUNT);
    if (argc == 4) {
        struct world_plan plan = short_plan(strtoull(argv[2], NULL, 10), argv[3][0] == '1');
        ok = judge(&plan, "(the same)");
    } else if (argc == 3) {
        ok = seeds(strtoull(argv[1], NULL, 10), strtoull(argv[2], NULL, 10));
    } else if (argc == 2) {
        uint64_t seed = strtoull(argv[1], NULL, 10);
        ok = seeds(seed, seed + 1);
    } else {
        ok = seeds(0, SEEDS) & crash_everywhere(7);
        if (ok && !all_happened()) {
            printf("FAILED: some fault never happened\n");
            ok = false;
        }
    }
    summary();
    return ok ? 0 : 1;
}
