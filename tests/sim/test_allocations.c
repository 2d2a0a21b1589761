/* A process that ends because an allocation fails, at the n-th that the pipeline makes, for n spread over all
 * of a short run: nothing is lost, doubled or other. The linker puts the functions below in the place of
 * malloc and friends (tests/CMakeLists.txt); a client whose process has ended gives no call any effect, as
 * after a kill. */
#include "sim/sim.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 200, FIRST = 30 };

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_world_step(struct world *world, struct world_process *process);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_world_step(struct world *world, struct world_process *process);

static uint64_t made, fails; /* allocations of all processes; which one fails, 0: none */
static struct world_process *running;

static void count(void)
{
    if (!running || ++made != fails) return;
    struct world_process *dying = running;
    running = NULL;
    model_client_kill(dying->client);
}

void *__wrap_malloc(size_t size)
{
    count();
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    count();
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    count();
    return __real_realloc(old, size);
}

void __wrap_world_step(struct world *world, struct world_process *process)
{
    running = model_client_is_dead(process->client) ? NULL : process;
    __real_world_step(world, process);
    running = NULL;
}

/* Everything happens in it: two inputs, a registry that learns, bad records, snapshots, ticks, a change. */
static bool run(bool at_least_once, uint64_t point, struct sim_result *result)
{
    struct world_plan plan = {.seed = 42,
                              .inputs_count = 2,
                              .partitions_count = 1,
                              .workers = 1,
                              .events = 40,
                              .bad = 0.05,
                              .unknown_schema = 0.02,
                              .is_rich = true,
                              .changes = 0.002,
                              .lateness_ms = 2000,
                              .dedup_horizon_ms = 60000,
                              .at_least_once = at_least_once,
                              .checkpoint_interval_ms = 100,
                              .tail = 400,
                              .settle_us = 12000000};
    made = 0;
    fails = point;
    sim_run(&plan, result);
    if (!result->ok)
        printf("%s, allocation %" PRIu64 " fails: step %" PRIu64 ": %s\n",
               at_least_once ? "at least once" : "exactly once", point, result->step, result->what);
    return result->ok;
}

/* Each of the first, where a process starts, then as many as there is time for. */
static bool run_all(bool at_least_once)
{
    static struct sim_result result;
    bool ok = run(at_least_once, 0, &result);
    uint64_t starts = result.starts, all = made, died = 0, at = 1;
    while (at <= all) {
        ok &= run(at_least_once, at, &result);
        died += result.starts > starts;
        at += at <= FIRST ? 1 : all / POINTS + 1;
    }
    printf("%s: %" PRIu64 " allocations, %" PRIu64 " processes ended by one of them\n",
           at_least_once ? "at least once" : "exactly once", all, died);
    return ok && died > POINTS / 2;
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    bool ok = run_all(false);
    return run_all(true) && ok ? 0 : 1;
}
