/* The reference job through the engine alone: mapped events to transitions, in memory. The events are made
 * beforehand, so that what is timed is the engine. Each run prints its figures as JSON, with the digest of
 * its transitions.
 *
 *   bench_engine [--seed N] [--events N] [--span MS] [--accounts N] [--users N] [--uniform] [--ordered]
 * [--lateness MS]
 *                [--shuffle MS] [--duplicates PERCENT] [--touched N] [--untouched N] [--runs N] [--digest
 * HEX]
 *
 *   --shuffle     what comes within such a time comes in any order
 *   --duplicates  so many come twice, the second one a hundred events later, and ids are remembered for 7
 * days
 *   --touched     so many more definitions, each of which counts one of the twelve names, to a bar that few
 * reach
 *   --untouched   so many more definitions, of names that do not come
 *   --per-user    and one that keeps something for each user
 *   --digest      of the reference definition's transitions; another one is an error */
#include "bench/source.h"
#include "core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { BATCH = 1000, APART = 100, DEFINITIONS_MAX = 1001, NAME_BYTES = 16, TEXT_BYTES = 120 };

struct job {
    struct source source;
    int64_t lateness_ms, shuffle_ms;
    unsigned duplicates, touched, untouched;
    bool is_per_user;
    int runs;
    uint64_t digest; /* expected; 0: unknown */
};

/* The events in the order in which they come. */
struct input {
    struct source_event *events;
    uint32_t *numbers; /* of each in the source, from which its id is made; NULL: ids are not wanted */
    uint64_t count;
};

struct result {
    uint64_t entered, left, digest, others;
};

static const char reference[] =
    "count(project_created, 14d) >= 5 and distinct(invite_sent.user, 14d) >= 3 and days(any, 14d) >= 5";

static void *checked(void *memory)
{
    if (!memory) {
        fputs("bench_engine: memory is out\n", stderr);
        exit(1);
    }
    return memory;
}

static void count(void *context, const struct pql_record *record)
{
    struct result *result = context;
    if (!pql_slice_is(record->definition, "reference")) {
        result->others++;
        return;
    }
    bool entered = record->transition == PQL_ENTERED;
    result->entered += entered;
    result->left += !entered;
    result->digest += source_hash(record->account_id, entered, record->occurred_at);
}

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static uint64_t resident_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%llu %llu", &size, &resident) != 2) resident = 0;
    if (file) fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* --- definitions --- */

struct texts {
    char names[DEFINITIONS_MAX][NAME_BYTES], qualify[DEFINITIONS_MAX][TEXT_BYTES];
};

static void define(struct pql_definition_conf *out, struct texts *texts, unsigned i, const struct job *job)
{
    snprintf(texts->names[i], NAME_BYTES, i ? "d%u" : "reference", i);
    if (i == 0)
        snprintf(texts->qualify[i], TEXT_BYTES, "%s", reference);
    else if (job->is_per_user && i == 1)
        snprintf(texts->qualify[i], TEXT_BYTES, "users(count(any, 7d) >= 1) >= 3");
    else if (i <= job->touched)
        snprintf(texts->qualify[i], TEXT_BYTES, "count(%s, %ud) >= %u", source_names[i % SOURCE_NAMES],
                 1 + i / SOURCE_NAMES % 14, 200 + i / SOURCE_NAMES);
    else
        snprintf(texts->qualify[i], TEXT_BYTES,
                 "count(other_%u, 7d) >= 2 and distinct(another_%u.user, 7d) >= 3", i, i);
    *out = (struct pql_definition_conf){.name = pql_slice_of(texts->names[i]),
                                        .subject = PQL_SUBJECT_ACCOUNT,
                                        .version = 1,
                                        .qualify.text = pql_slice_of(texts->qualify[i])};
}

static struct pql_program *program_of(const struct job *job)
{
    static struct pql_definition_conf definitions[DEFINITIONS_MAX];
    static struct texts texts;
    static struct pql_program_conf conf;
    struct pql_diags diags;
    unsigned n = 1 + job->is_per_user + job->touched + job->untouched;
    for (unsigned i = 0; i < n; i++) define(&definitions[i], &texts, i, job);
    conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("bench"),
                                     .settings = pql_settings_default(),
                                     .definitions = definitions,
                                     .definitions_count = n};
    conf.settings.lateness_ms = job->lateness_ms;
    conf.settings.buffer_bytes_max = UINT64_C(1) << 33;
    if (job->duplicates) conf.settings.dedup_horizon_ms = INT64_C(7) * 86400000;
    pql_diags_init(&diags);
    struct pql_program *program = pql_program_new(&conf, &diags);
    if (!program) pql_diags_print(&diags, stderr);
    pql_diags_deinit(&diags);
    return program;
}

/* --- input --- */

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % below;
}

/* Blocks of the stream, each as long as shuffle_ms, in any order within. */
static void shuffle(uint32_t *numbers, const struct job *job)
{
    uint64_t span_ms = UINT64_C(30) * 86400000, events = job->source.events, random = job->source.seed;
    uint64_t block = events * (uint64_t)job->shuffle_ms / span_ms;
    for (uint64_t from = 0; block > 1 && from < events; from += block) {
        uint64_t n = events - from < block ? events - from : block;
        for (uint64_t i = n; i-- > 1;) {
            uint64_t other = draw(&random, i + 1);
            uint32_t held = numbers[from + i];
            numbers[from + i] = numbers[from + other];
            numbers[from + other] = held;
        }
    }
}

/* numbers has room for twice as many. */
static uint64_t repeat(uint32_t *numbers, const struct job *job)
{
    uint64_t n = 0, events = job->source.events, random = job->source.seed;
    uint32_t *once = checked(malloc(events * sizeof *once));
    memcpy(once, numbers, events * sizeof *once);
    for (uint64_t i = 0; i < events; i++) {
        numbers[n++] = once[i];
        if (i >= APART && draw(&random, 100) < job->duplicates) numbers[n++] = once[i - APART];
    }
    free(once);
    return n;
}

static struct input input_of(const struct job *job)
{
    uint32_t *numbers = checked(malloc(2 * job->source.events * sizeof *numbers));
    for (uint64_t i = 0; i < job->source.events; i++) numbers[i] = (uint32_t)i;
    if (job->shuffle_ms) shuffle(numbers, job);
    struct input input = {.count = job->duplicates ? repeat(numbers, job) : job->source.events};
    input.events = checked(malloc(input.count * sizeof *input.events));
    for (uint64_t i = 0; i < input.count; i++) source_event(&job->source, numbers[i], &input.events[i]);
    if (job->duplicates)
        input.numbers = numbers;
    else
        free(numbers);
    return input;
}

/* --- runs --- */

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

static void apply(struct pql_engine *engine, const struct input *input, uint64_t from, size_t count)
{
    uint64_t hashes[BATCH];
    char id[36] = {0};
    for (size_t i = 0; i < count; i++) {
        if (pql_engine_wants_ahead(engine)) look_ahead(engine, &input->events[from], i, count, hashes);
        struct pql_event event = source_view(&input->events[from + i]);
        event.offset = (int64_t)(from + i);
        if (input->numbers) {
            memcpy(id, &input->numbers[from + i], sizeof *input->numbers);
            event.id = (struct pql_slice){id, sizeof id};
        }
        (void)pql_engine_apply(engine, &event);
    }
}

/* Of a snapshot of all of the state, before it is compressed. */
static uint64_t page_bytes(struct pql_engine *engine)
{
    struct pql_buf out = {0};
    uint64_t bytes = 0;
    pql_snapshot_begin(engine, 1, 0);
    for (bool over = false; !over; bytes += out.len) {
        out.len = 0;
        over = pql_snapshot_step(engine, &out, 1 << 20);
    }
    pql_buf_deinit(&out);
    return bytes;
}

static bool run(const struct job *job, const struct pql_program *program, const struct input *input)
{
    struct result result = {0};
    uint64_t resident = resident_bytes();
    struct pql_engine *engine = pql_engine_new(program, count, &result);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID), wall = seconds(CLOCK_MONOTONIC);
    for (uint64_t from = 0; from < input->count; from += BATCH) {
        uint64_t left = input->count - from;
        apply(engine, input, from, (size_t)(left < BATCH ? left : BATCH));
    }
    pql_engine_finish(engine);
    cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = seconds(CLOCK_MONOTONIC) - wall;
    resident = resident_bytes() - resident;
    struct pql_engine_stats stats = pql_engine_stats(engine);
    uint64_t bytes = pql_engine_bytes(engine), pages = page_bytes(engine);
    printf("{\"cpu_ns\": %.1f, \"cpu_s\": %.3f, \"wall_s\": %.3f, \"events\": %llu, \"accounts\": %llu, "
           "\"users\": "
           "%llu, \"bytes\": %llu, \"account_bytes\": %.1f, \"resident_bytes\": %.1f, \"page_bytes\": %.1f, "
           "\"dedup_ids\": %llu, "
           "\"entered\": %llu, \"left\": %llu, \"others\": %llu, \"digest\": \"%016llx\"}\n",
           cpu * 1e9 / (double)input->count, cpu, wall, (unsigned long long)input->count,
           (unsigned long long)stats.accounts, (unsigned long long)stats.users, (unsigned long long)bytes,
           (double)bytes / (double)stats.accounts, (double)resident / (double)stats.accounts,
           (double)pages / (double)stats.accounts, (unsigned long long)stats.dedup_ids,
           (unsigned long long)result.entered, (unsigned long long)result.left,
           (unsigned long long)result.others, (unsigned long long)result.digest);
    fflush(stdout);
    pql_engine_free(engine);
    if (!job->digest || job->digest == result.digest) return true;
    fprintf(stderr, "bench_engine: digest %016llx, not %016llx\n", (unsigned long long)result.digest,
            (unsigned long long)job->digest);
    return false;
}

static bool read_arguments(struct job *job, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (source_option(&job->source, argc, argv, &i)) continue;
        const char *name = argv[i];
        if (!strcmp(name, "--per-user")) {
            job->is_per_user = true;
            continue;
        }
        if (++i == argc) return false;
        uint64_t value = strtoull(argv[i], NULL, strcmp(name, "--digest") ? 10 : 16);
        if (!strcmp(name, "--lateness"))
            job->lateness_ms = (int64_t)value;
        else if (!strcmp(name, "--shuffle"))
            job->shuffle_ms = (int64_t)value;
        else if (!strcmp(name, "--duplicates"))
            job->duplicates = (unsigned)value;
        else if (!strcmp(name, "--touched"))
            job->touched = (unsigned)value;
        else if (!strcmp(name, "--untouched"))
            job->untouched = (unsigned)value;
        else if (!strcmp(name, "--runs"))
            job->runs = (int)value;
        else if (!strcmp(name, "--digest"))
            job->digest = value;
        else
            return false;
    }
    return job->source.events && job->source.events < UINT32_MAX && job->source.accounts && job->runs > 0 &&
           job->touched + job->untouched + job->is_per_user < DEFINITIONS_MAX;
}

int main(int argc, char **argv)
{
    struct job job = {.source = {.seed = 42, .events = 5000000, .accounts = 100000}, .runs = 3};
    if (!read_arguments(&job, argc, argv)) {
        fputs("bench_engine: the options are in the head of bench_engine.c\n", stderr);
        return 2;
    }
    struct pql_program *program = program_of(&job);
    if (!program) return 1;
    struct input input = input_of(&job);
    bool right = true;
    for (int i = 1; i <= job.runs; i++) right &= run(&job, program, &input);
    free(input.events);
    free(input.numbers);
    pql_program_free(program);
    return right ? 0 : 1;
}
