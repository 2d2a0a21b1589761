/* The reference job through the engine alone: mapped events to transitions, in memory. The events are made
 * beforehand, so that what is timed is the engine. Each run's transitions are checked by their digest.
 *
 *   bench_engine [--events N] [--accounts N] [--uniform] [--lateness MS] [--runs N] [--digest HEX] */
#include "bench/source.h"
#include "core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { BATCH = 1000 }; /* as a worker takes them */

struct job {
    struct source source;
    int64_t lateness_ms;
    int runs;
    uint64_t digest; /* expected; 0: unknown */
};

struct result {
    uint64_t entered, left, digest;
};

static void count(void *context, const struct pql_record *record)
{
    struct result *result = context;
    bool entered = record->transition == PQL_ENTERED;
    result->entered += entered;
    result->left += !entered;
    result->digest += source_hash(record->account_id, entered, record->occurred_at);
}

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static struct pql_program *program_of(const struct job *job, struct pql_definition_conf *definition)
{
    static struct pql_program_conf conf;
    struct pql_diags diags;
    *definition = (struct pql_definition_conf){
        .name = PQL_SLICE_LITERAL("reference"),
        .subject = PQL_SUBJECT_ACCOUNT,
        .version = 1,
        .qualify.text =
            PQL_SLICE_LITERAL("count(project_created, 14d) >= 5 and distinct(invite_sent.user, 14d) >= 3 "
                              "and days(any, 14d) >= 5")};
    conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("bench"),
                                     .settings = pql_settings_default(),
                                     .definitions = definition,
                                     .definitions_count = 1};
    conf.settings.lateness_ms = job->lateness_ms;
    conf.settings.buffer_bytes_max = UINT64_C(1) << 33;
    pql_diags_init(&diags);
    struct pql_program *program = pql_program_new(&conf, &diags);
    if (!program) pql_diags_print(&diags, stderr);
    pql_diags_deinit(&diags);
    return program;
}

/* What comes of the batch is fetched ahead, as a worker does. */
static void look_ahead(const struct pql_engine *engine, const struct source_event *events, size_t at,
                       size_t count, uint64_t *hashes)
{
    enum { STRIDE = 3 };
    size_t to = at + 4 * STRIDE;
    if (to < count)
        hashes[to] = pql_engine_ahead(engine, (struct pql_slice){events[to].account, sizeof events->account});
    for (int what = PQL_AHEAD_ACCOUNT; what <= PQL_AHEAD_ENTRIES; what++) {
        to -= STRIDE;
        if (to >= 4 * STRIDE && to < count) pql_engine_ahead_more(engine, hashes[to], (enum pql_ahead)what);
    }
}

static void apply(struct pql_engine *engine, const struct source_event *events, uint64_t number, size_t count)
{
    uint64_t hashes[BATCH];
    for (size_t i = 0; i < count; i++) {
        if (pql_engine_wants_ahead(engine)) look_ahead(engine, events, i, count, hashes);
        struct pql_event event = source_view(&events[i]);
        event.offset = (int64_t)(number + i);
        (void)pql_engine_apply(engine, &event);
    }
}

static bool run(const struct job *job, const struct pql_program *program, const struct source_event *events,
                int number)
{
    struct result result = {0};
    struct pql_engine *engine = pql_engine_new(program, count, &result);
    double begin = cpu_seconds();
    for (uint64_t from = 0; from < job->source.events; from += BATCH) {
        uint64_t left = job->source.events - from;
        apply(engine, &events[from], from, (size_t)(left < BATCH ? left : BATCH));
    }
    pql_engine_finish(engine);
    double ns = (cpu_seconds() - begin) * 1e9 / (double)job->source.events;
    struct pql_engine_stats stats = pql_engine_stats(engine);
    bool right = !job->digest || job->digest == result.digest;
    printf("run %d: %.0f ns/event, %llu accounts of %.0f bytes, entered %llu, left %llu, digest %016llx%s\n",
           number, ns, (unsigned long long)stats.accounts,
           (double)pql_engine_bytes(engine) / (double)stats.accounts, (unsigned long long)result.entered,
           (unsigned long long)result.left, (unsigned long long)result.digest, right ? "" : " WRONG");
    pql_engine_free(engine);
    return right;
}

static bool read_arguments(struct job *job, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool has_value = true;
        if (!strcmp(argv[i], "--events"))
            job->source.events = strtoull(value, NULL, 10);
        else if (!strcmp(argv[i], "--accounts"))
            job->source.accounts = (uint32_t)strtoul(value, NULL, 10);
        else if (!strcmp(argv[i], "--lateness"))
            job->lateness_ms = strtoll(value, NULL, 10);
        else if (!strcmp(argv[i], "--runs"))
            job->runs = (int)strtol(value, NULL, 10);
        else if (!strcmp(argv[i], "--digest"))
            job->digest = strtoull(value, NULL, 16);
        else if (!strcmp(argv[i], "--uniform"))
            job->source.is_uniform = true, has_value = false;
        else
            return false;
        i += has_value;
    }
    return job->source.events && job->source.accounts && job->runs > 0;
}

int main(int argc, char **argv)
{
    struct job job = {.source = {.seed = 42, .events = 5000000, .accounts = 100000}, .runs = 3};
    if (!read_arguments(&job, argc, argv)) {
        fputs("usage: bench_engine [--events N] [--accounts N] [--uniform] [--lateness MS] [--runs N] "
              "[--digest HEX]\n",
              stderr);
        return 2;
    }
    struct pql_definition_conf definition;
    struct pql_program *program = program_of(&job, &definition);
    struct source_event *events = malloc(job.source.events * sizeof *events);
    if (!program || !events) return 1;
    for (uint64_t i = 0; i < job.source.events; i++) source_event(&job.source, i, &events[i]);
    bool right = true;
    for (int i = 1; i <= job.runs; i++) right &= run(&job, program, events, i);
    free(events);
    pql_program_free(program);
    return right ? 0 : 1;
}
