/* The simulation notices when a rule is broken: for each, some seed fails. A rule that no seed misses would
 * mean that the simulation does not test it.
 *
 *   test_broken_rules        all of them
 *   test_broken_rules RULE   one, with what the first failing seed says */
#include "base/log.h"
#include "sim/sim.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { SEEDS = 500 };

/* Beside those that are the pipeline's: some of its client. */
enum { NEW_IDS = PQL_BROKEN_COUNT, UNSTABLE_OFFSETS, SUBSCRIBE_TO_ALL, RULES };

static const struct {
    const char *name, *help;
} rules[RULES] = {
#define RULE(name, help) [PQL_BROKEN_##name] = {#name, help},
    PQL_BROKEN_RULES(
        RULE)[NEW_IDS] = {"NEW_IDS",
                          "each producer has a transactional id of its own, and outcomes are not waited for"},
    [UNSTABLE_OFFSETS] = {"UNSTABLE_OFFSETS", "offsets are read while a transaction holds them"},
    [SUBSCRIBE_TO_ALL] = {"SUBSCRIBE_TO_ALL", "the group subscribes to every input"},
};

/* It takes a process that wakes in the middle of a transaction, after another took over. */
static bool takes_a_sleeper(int rule)
{
    return rule == PQL_BROKEN_MEMBERLESS_COMMIT || rule == PQL_BROKEN_JOURNAL_TO_LSO ||
           rule == PQL_BROKEN_UNPARK_WITHOUT_WRITER || rule == UNSTABLE_OFFSETS;
}

static bool is_noticed(int rule)
{
    static struct sim_result result;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct world_plan plan = sim_plan_of(seed);
        plan.broken = rule < PQL_BROKEN_COUNT ? (enum pql_broken)rule : PQL_BROKEN_NOTHING;
        plan.has_new_ids = rule == NEW_IDS;
        plan.reads_unstable = rule == NEW_IDS || rule == UNSTABLE_OFFSETS;
        plan.subscribes_to_all = rule == SUBSCRIBE_TO_ALL;
        if (rule == PQL_BROKEN_JOURNAL_AFTER_OUTPUTS && !plan.at_least_once) continue;
        if (takes_a_sleeper(rule)) plan.freeze = plan.at_least_once ? 0 : 0.003;
        sim_run(&plan, &result);
        if (result.ok) continue;
        printf("%s: noticed by seed %" PRIu64 ": %.150s\n", rules[rule].name, seed, result.what);
        return true;
    }
    printf("FAILED: %s (%s) is not noticed by %d seeds\n", rules[rule].name, rules[rule].help, SEEDS);
    return false;
}

int main(int argc, char **argv)
{
    bool ok = true;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    for (int rule = PQL_BROKEN_NOTHING + 1; rule < RULES; rule++)
        if (argc < 2 || !strcmp(argv[1], rules[rule].name)) ok &= is_noticed(rule);
    return ok ? 0 : 1;
}
