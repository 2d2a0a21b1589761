/* Thousands of seeds, and each fault at each call of a short run.
 *
 *   test_sim [--from SEED] [--to SEED | --minutes N]   seeds; by default 0 to 1000, and every fault must
 * happen test_sim --seed SEED [--trace]                     one of them test_sim --calls each fault at each
 * call of short runs test_sim --call N --fault WORD [--plan N] [--trace]  one of those */
#include "sim/sim.h"

#include "base/log.h"
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SEEDS = 1000, FAULTS = 12, SHORT_PLANS = 2, LATE_US = 12000000 };

static const char *const fault_names[FAULTS] = {"busy",      "abortable", "lost commits", "late commits",
                                                "fences",    "no member", "failed seeks", "bad acks",
                                                "disturbed", "crashes",   "lost calls",   "late calls"};

/* --- what happened in all --- */

static struct sim_result total;
static uint64_t runs;

static void add(const struct sim_result *result)
{
    runs++;
#define ADD(name, word) total.name += result->name;
    SIM_COUNTS(ADD)
    total.simulated_us += result->simulated_us;
    if (result->most_at_once > total.most_at_once) total.most_at_once = result->most_at_once;
    for (int i = 0; i < FAULTS; i++) total.faults[i] += result->faults[i];
    for (int i = 0; i < PQL_OUT_CHECKPOINT; i++) total.published[i] += result->published[i];
    for (int i = 0; i < PQL_TRANSITION_COUNT; i++) total.transitions[i] += result->transitions[i];
    for (int i = 0; i < PQL_REASON_COUNT; i++) total.reasons[i] += result->reasons[i];
    total.erased += result->erased;
}

static const char *const topics[PQL_OUT_CHECKPOINT] = {"pql", "pqa", "state", "alerts", "shadow", "dlq"};

static void say_each(const char *of, const char *const *names, const uint64_t *counts, int count)
{
    printf("; %s:", of);
    for (int i = 0; i < count; i++) printf("%s %" PRIu64 " %s", i ? "," : "", counts[i], names[i]);
}

static void summary(void)
{
    printf("%" PRIu64 " runs, %.1f simulated hours, at most %" PRIu64 " processes at once", runs,
           (double)total.simulated_us / 3.6e9, total.most_at_once);
#define SAY(name, word) printf(", %" PRIu64 " %s", total.name, word);
    SIM_COUNTS(SAY)
    say_each("faults", fault_names, total.faults, FAULTS);
    say_each("topics", topics, total.published, PQL_OUT_CHECKPOINT);
    say_each("transitions", pql_transition_names, total.transitions, PQL_TRANSITION_COUNT);
    say_each("left", pql_reason_names, total.reasons, PQL_REASON_COUNT);
    printf("; %" PRIu64 " keys erased\n", total.erased);
}

static bool each_happened(const char *const *names, const uint64_t *counts, int count)
{
    bool ok = true;
    for (int i = 0; i < count; i++)
        if (!counts[i]) printf("FAILED: no %s\n", names[i]), ok = false;
    return ok;
}

/* What never happened would be a test that tests nothing. */
static bool all_happened(void)
{
    bool ok = total.most_at_once == 4;
#define HAPPENED(name, word)                                                                                 \
    if (!total.name) printf("FAILED: no %s\n", word), ok = false;
    SIM_COUNTS(HAPPENED)
    if (!total.erased) printf("FAILED: no key erased\n"), ok = false;
    ok &= each_happened(fault_names, total.faults, FAULTS);
    ok &= each_happened(topics, total.published, PQL_OUT_CHECKPOINT);
    ok &= each_happened(pql_transition_names, total.transitions, PQL_TRANSITION_COUNT);
    return each_happened(pql_reason_names, total.reasons, PQL_REASON_COUNT) && ok;
}

/* --- one run --- */

static char replay[200]; /* the command for the run that goes on */

/* Also where the run does not come back: an assertion, a sanitizer. */
static void say_replay(void)
{
    ssize_t ignored = write(STDOUT_FILENO, replay, strlen(replay));
    (void)ignored;
}

static void on_abort(int number)
{
    say_replay();
    signal(number, SIG_DFL);
    raise(number);
}

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void catch_death(void)
{
    signal(SIGABRT, on_abort);
    if (__sanitizer_set_death_callback) __sanitizer_set_death_callback(say_replay);
}

static bool judge(const struct world_plan *plan, const char *arguments, struct sim_result *result)
{
    snprintf(replay, sizeof replay, "replay: ./dev sim %s --trace\n", arguments);
    sim_run(plan, result);
    add(result);
    if (result->ok) return true;
    printf("FAILED (%s) in step %" PRIu64 ", after %.3f simulated seconds%s: %s\n%s", arguments, result->step,
           (double)result->simulated_us / 1e6, plan->at_least_once ? ", at least once" : "", result->what,
           replay);
    fflush(stdout);
    return false;
}

/* --- seeds --- */

static bool run_seed(uint64_t seed, bool is_traced)
{
    static struct sim_result result;
    char arguments[40];
    snprintf(arguments, sizeof arguments, "--seed %" PRIu64, seed);
    struct world_plan plan = sim_plan_of(seed);
    plan.is_traced = is_traced;
    return judge(&plan, arguments, &result);
}

static bool run_seeds(uint64_t from, uint64_t to)
{
    bool ok = true;
    for (uint64_t seed = from; seed < to; seed++) ok &= run_seed(seed, false);
    return ok;
}

static bool run_minutes(uint64_t from, double minutes)
{
    bool ok = true;
    time_t end = time(NULL) + (time_t)(minutes * 60);
    uint64_t seed = from;
    while (time(NULL) < end) ok &= run_seed(seed++, false);
    printf("seeds %" PRIu64 " to %" PRIu64 "\n", from, seed - 1);
    return ok;
}

/* --- each fault at each call --- */

static struct world_plan short_plan(int which)
{
    return (struct world_plan){.seed = 42,
                               .inputs_count = 2,
                               .partitions_count = 1,
                               .workers = 1,
                               .events = 30,
                               .bad = 0.05,
                               .at_least_once = which == 1,
                               .checkpoint_interval_ms = 100,
                               .tail = 400,
                               .settle_us = 12000000,
                               .late_us = LATE_US};
}

static bool run_call(int which, uint64_t call, enum model_call_fault fault, bool is_traced)
{
    static struct sim_result result;
    char arguments[80];
    snprintf(arguments, sizeof arguments, "--plan %d --call %" PRIu64 " --fault %s", which, call,
             model_call_fault_names[fault]);
    struct world_plan plan = short_plan(which);
    plan.fault_call = call;
    plan.fault = fault;
    plan.is_traced = is_traced;
    return judge(&plan, arguments, &result);
}

static bool run_calls(int which)
{
    static struct sim_result whole;
    bool ok = run_call(which, 0, MODEL_FINE, false);
    struct world_plan plan = short_plan(which);
    sim_run(&plan, &whole);
    for (uint64_t call = 1; call <= whole.calls; call++)
        for (int fault = 0; fault < MODEL_CALL_FAULT_COUNT; fault++)
            if (whole.could[call - 1] >> fault & 1)
                ok &= run_call(which, call, (enum model_call_fault)fault, false);
    printf("%s: %" PRIu64 " calls\n", which ? "at least once" : "exactly once", whole.calls);
    return ok;
}

/* --- the command line --- */

struct options {
    uint64_t from, to, seed, call, plan;
    double minutes;
    enum model_call_fault fault;
    bool has_range, has_seed, has_call, is_traced, calls;
};

static enum model_call_fault fault_of(const char *word)
{
    for (int i = 0; i < MODEL_CALL_FAULT_COUNT; i++)
        if (!strcmp(word, model_call_fault_names[i])) return (enum model_call_fault)i;
    return MODEL_CALL_FAULT_COUNT;
}

static bool take_option(struct options *o, const char *name, const char *value)
{
    char *end;
    uint64_t number = strtoull(value, &end, 10);
    if (!strcmp(name, "--fault")) return (o->fault = fault_of(value)) < MODEL_CALL_FAULT_COUNT;
    if (!strcmp(name, "--minutes")) return (o->minutes = strtod(value, &end)) > 0 && !*end;
    if (*end || end == value) return false;
    if (!strcmp(name, "--from")) return o->from = number, o->has_range = true;
    if (!strcmp(name, "--to")) return o->to = number, o->has_range = true;
    if (!strcmp(name, "--seed")) return o->seed = number, o->has_seed = true;
    if (!strcmp(name, "--call")) return o->call = number, o->has_call = true;
    if (!strcmp(name, "--plan")) return (o->plan = number) < SHORT_PLANS;
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--trace"))
            o->is_traced = true;
        else if (!strcmp(argv[i], "--calls"))
            o->calls = true;
        else if (i + 1 == argc || !take_option(o, argv[i], argv[i + 1]))
            return false;
        else
            i++;
    }
    if (!o->to) o->to = o->from + SEEDS;
    return true;
}

static bool run(const struct options *o)
{
    if (o->has_call) return run_call((int)o->plan, o->call, o->fault, o->is_traced);
    if (o->has_seed) return run_seed(o->seed, o->is_traced);
    if (o->minutes > 0) return run_minutes(o->from, o->minutes);
    bool ok = true;
    for (int which = 0; o->calls && which < SHORT_PLANS; which++) ok &= run_calls(which);
    if (o->calls) return ok;
    ok = run_seeds(o->from, o->to);
    return ok && (o->has_range || all_happened());
}

int main(int argc, char **argv)
{
    struct options options = {0};
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!parse(argc, argv, &options)) {
        fprintf(stderr, "usage: [--from SEED] [--to SEED | --minutes N] | --seed SEED | --calls |\n"
                        "       --call N --fault WORD [--plan N], and --trace for the story of one run\n");
        return 2;
    }
    pql_log_set_level(options.is_traced ? PQL_LOG_DEBUG : PQL_LOG_LEVEL_COUNT);
    catch_death();
    bool ok = run(&options);
    summary();
    return ok ? 0 : 1;
}
