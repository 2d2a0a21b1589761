/* Many cases through the engine in one process, for run_random.py: a process of its own for each would cost
 * more than all the rest.
 *
 *   stdin   one line a case: CONFIG EVENTS PARTITIONS ADVANCE SAVE LIMIT REFRESH
 *           ADVANCE   -1 none, -2 until no timer is left, else ms
 *           SAVE      0, or after every so many events the state of every partition is saved, loaded into a
 * fresh engine, and that one goes on LIMIT     0, or work is cut after so many steps (pql_engine_set_limit);
 * what is left is saved and loaded REFRESH   1: at the end a snapshot record of every member stdout  the
 * records as JSON lines, all kinds of them, then "." or "! why" */
#include "app/setup.h"

#include "core/engine.h"
#include "core/partition.h"
#include "core/wire/decoder.h"
#include "core/wire/encode.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { PARTITIONS_MAX = 16 };
#define YEARS_10 (INT64_C(3650) * 24 * 3600 * 1000)

struct run {
    struct pql_setup setup;
    struct pql_decoder *decoder;
    struct pql_encoder *encoder;
    struct pql_engine *engines[PARTITIONS_MAX];
    size_t engines_count;
    int64_t advance_ms;
    uint64_t save, limit;
    bool refresh;
    struct pql_arena scratch;
    struct pql_buf out;
    struct pql_err err;
};

static void emit(void *context, const struct pql_record *record)
{
    struct run *run = context;
    pql_encode_record(run->encoder, record, 0, &run->out);
    pql_buf_text(&run->out, "\n");
}

static struct pql_engine *engine_new(struct run *run)
{
    struct pql_engine *engine = pql_engine_new(run->setup.program, emit, run);
    pql_engine_set_origin(engine, PQL_ORIGIN_BACKFILL);
    if (run->limit) pql_engine_set_limit(engine, run->limit);
    return engine;
}

/* The same state in a fresh engine. */
static int save_and_load(struct run *run, size_t index)
{
    struct pql_engine *old = run->engines[index], *engine = engine_new(run);
    struct pql_buf bytes = {0};
    pql_snapshot_begin(old, 1, 0);
    while (!pql_snapshot_step(old, &bytes, 1000)) continue;
    int failed = pql_snapshot_load(engine, bytes.ptr, bytes.len, &run->err) != 0 ||
                 pql_snapshot_loaded(engine, &run->err) != 0;
    if (!failed && (pql_snapshot_digest(engine) != pql_snapshot_digest(old) ||
                    pql_engine_digest(engine) != pql_engine_digest(old)))
        failed = PQL_FAIL(&run->err, PQL_ERR_FATAL, "the state loaded is not the state saved");
    if (!failed && pql_engine_bytes_off(engine))
        failed = PQL_FAIL(&run->err, PQL_ERR_FATAL, "bytes are counted wrongly after loading");
    pql_buf_deinit(&bytes);
    pql_engine_free(old);
    run->engines[index] = engine;
    return failed ? -1 : 0;
}

static int apply(struct run *run, size_t index, const struct pql_event *event)
{
    while (pql_engine_apply(run->engines[index], event) == PQL_APPLY_PART)
        if (run->save && save_and_load(run, index) != 0) return -1;
    return 0;
}

static int tick(struct run *run, size_t index, int64_t to)
{
    while (!pql_engine_tick(run->engines[index], to))
        if (run->save && save_and_load(run, index) != 0) return -1;
    pql_engine_finish(run->engines[index]);
    return 0;
}

static int take(struct run *run, struct pql_slice line, uint64_t number)
{
    struct pql_message message = {.timestamp_ms = PQL_NO_TIME};
    struct pql_event event;
    struct pql_err refused = {0};
    if (pql_decoder_apply(run->decoder, line, &message, &run->scratch, &event, &refused) != 0) return 0;
    for (size_t i = 0; i < run->engines_count; i++) {
        if (event.account.len && i != pql_partition_murmur2(event.account, (uint32_t)run->engines_count))
            continue;
        event.partition = (int32_t)i;
        event.offset = (int64_t)number;
        if (apply(run, i, &event) != 0) return -1;
        if (run->save && number % run->save == 0 && save_and_load(run, i) != 0) return -1;
    }
    return 0;
}

static int read_events(struct run *run, const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file) return PQL_FAIL(&run->err, PQL_ERR_CONFIG, "%s cannot be read", path);
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len;
    int failed = 0;
    for (uint64_t number = 1; !failed && (len = getline(&line, &capacity, file)) > 0; number++) {
        failed = take(run, (struct pql_slice){line, (size_t)len - (line[len - 1] == '\n')}, number);
        pql_arena_reset(&run->scratch);
    }
    free(line);
    fclose(file);
    return failed;
}

static int finish(struct run *run, size_t index)
{
    int64_t lateness = run->setup.config->program.settings.lateness_ms, next;
    pql_engine_finish(run->engines[index]);
    if (pql_engine_seen(run->engines[index]) == PQL_NO_TIME) return 0;
    if (run->advance_ms >= 0 && tick(run, index, pql_engine_seen(run->engines[index]) + run->advance_ms) != 0)
        return -1;
    int64_t limit = pql_engine_seen(run->engines[index]) + YEARS_10, wait = lateness ? lateness + 1 : 0;
    while (run->advance_ms == -2 && (next = pql_engine_next_tick(run->engines[index])) != PQL_NO_TIME &&
           next - wait <= limit)
        if (tick(run, index, next - wait) != 0) return -1;
    if (run->save && save_and_load(run, index) != 0) return -1;
    while (run->refresh && !pql_engine_refresh(run->engines[index])) continue;
    if (pql_engine_bytes_off(run->engines[index]))
        return PQL_FAIL(&run->err, PQL_ERR_FATAL, "bytes are counted wrongly");
    return 0;
}

static int run_case(struct run *run, const char *config, const char *events)
{
    static const struct pql_slice topic = {"product-events", 14};
    int exit_code, failed = 0;
    if (!pql_setup_init(&run->setup, &(struct pql_config_flags){.path = config}, false, &exit_code))
        return PQL_FAIL(&run->err, PQL_ERR_CONFIG, "the configuration is refused");
    const struct pql_config *conf = run->setup.config;
    run->encoder = pql_encoder_new(
        &(struct pql_encode_conf){.format = PQL_ENCODE_JSON, .topics = &topic, .topics_count = 1});
    run->decoder =
        pql_decoder_new(&(struct pql_decoder_conf){.format = PQL_FORMAT_JSON,
                                                   .framing = PQL_FRAMING_BARE,
                                                   .mapping = run->setup.mappings[conf->inputs[0].mapping]},
                        &run->err);
    if (!run->decoder) return -1;
    for (size_t i = 0; i < run->engines_count; i++) run->engines[i] = engine_new(run);
    failed = read_events(run, events);
    for (size_t i = 0; i < run->engines_count && !failed; i++) failed = finish(run, i);
    return failed;
}

static void one_case(char *line)
{
    struct run run = {.engines_count = 0};
    char config[512], events[512];
    unsigned partitions, refresh;
    pql_arena_init(&run.scratch);
    if (sscanf(line, "%511s %511s %u %" SCNd64 " %" SCNu64 " %" SCNu64 " %u", config, events, &partitions,
               &run.advance_ms, &run.save, &run.limit, &refresh) != 7 ||
        partitions > PARTITIONS_MAX) {
        fprintf(stderr, "model_cases: not a case: %s", line);
        exit(2);
    }
    run.engines_count = partitions;
    run.refresh = refresh;
    int failed = run_case(&run, config, events);
    if (run.out.len) fwrite(run.out.ptr, 1, run.out.len, stdout);
    if (failed)
        printf("! %s\n", run.err.msg);
    else
        puts(".");
    fflush(stdout);
    for (size_t i = 0; i < run.engines_count; i++) pql_engine_free(run.engines[i]);
    pql_decoder_free(run.decoder);
    pql_encoder_free(run.encoder);
    pql_buf_deinit(&run.out);
    pql_arena_deinit(&run.scratch);
    pql_setup_deinit(&run.setup);
}

int main(void)
{
    char *line = NULL;
    size_t capacity = 0;
    while (getline(&line, &capacity, stdin) > 0) one_case(line);
    free(line);
    return 0;
}
