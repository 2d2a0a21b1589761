#include "app/replayer.h"
#include "app/report.h"
#include "app/workbench_reports.h"

#include "core/partition.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_MAX = 5, OUT_BYTES = 1 << 16 };
#define ADVANCE_END_MS (INT64_C(3650) * 24 * 3600 * 1000) /* `--advance end` goes no further */

/* --- records --- */

static void flush_out(struct pql_replay *replay)
{
    if (replay->out.len && fwrite(replay->out.ptr, 1, replay->out.len, stdout) != replay->out.len)
        replay->out_failed = true;
    replay->out.len = 0;
}

/* What goes to the topics of transitions: those of shadow definitions go to their own; changes of a score and
 * refreshed states go to the state topic alone. */
static void emit(void *context, const struct pql_record *record)
{
    struct pql_replay *replay = context;
    if (record->transition == PQL_SNAPSHOT) replay->refreshed(replay->refreshed_context, record);
    if (record->transition == PQL_SCORE_CHANGED || record->transition == PQL_SNAPSHOT) return;
    pql_workbench_record(&replay->bench, record);
    replay->shadowed += record->is_shadow;
    replay->records++;
    if (replay->is_quiet || record->is_shadow) return;
    pql_encode_record(replay->encoder, record, pql_wall_ms(), &replay->out);
    pql_buf_text(&replay->out, "\n");
    if (replay->out.len > OUT_BYTES) flush_out(replay);
}

static void converted_unqualified(void *context, const struct pql_definition_conf *conf)
{
    struct pql_replay *replay = context;
    pql_workbench_unforeseen(&replay->bench, conf);
}

static const struct pql_watch watch = {.converted_unqualified = converted_unqualified};

/* --- tasks --- */

void pql_replay_grow(struct pql_replay *replay, size_t count)
{
    if (count <= replay->tasks_count) return;
    replay->tasks = pql_xgrow(replay->tasks, &replay->tasks_capacity, count, sizeof *replay->tasks);
    for (; replay->tasks_count < count; replay->tasks_count++) {
        struct pql_replay_task *task = &replay->tasks[replay->tasks_count];
        *task = (struct pql_replay_task){.engine = pql_engine_new(replay->setup.program, emit, replay)};
        pql_engine_set_origin(task->engine, PQL_ORIGIN_BACKFILL);
        pql_engine_watch(task->engine, &watch);
        if (replay->traces)
            pql_engine_trace(task->engine, pql_slice_of(replay->traced_account),
                             pql_slice_of(replay->traced_user), pql_trace_print, replay->traces);
    }
}

void pql_replay_init(struct pql_replay *replay)
{
    const struct pql_config *config = replay->setup.config;
    pql_arena_init(&replay->scratch);
    pql_workbench_init(&replay->bench, replay->setup.program);
    replay->topics = pql_xcalloc(config->inputs_count, sizeof *replay->topics);
    for (size_t i = 0; i < config->inputs_count; i++)
        replay->topics[i] = pql_slice_of(config->inputs[i].topic);
    replay->encoder = pql_encoder_new(&(struct pql_encode_conf){
        .format = PQL_ENCODE_JSON, .topics = replay->topics, .topics_count = config->inputs_count});
}

void pql_replay_start(struct pql_replay *replay, size_t tasks_count)
{
    pql_replay_grow(replay, tasks_count);
}

void pql_replay_stop(struct pql_replay *replay)
{
    for (size_t i = 0; i < replay->tasks_count; i++) pql_engine_free(replay->tasks[i].engine);
    free(replay->tasks);
    pql_encoder_free(replay->encoder);
    free(replay->topics);
    pql_buf_deinit(&replay->out);
    pql_arena_deinit(&replay->scratch);
    pql_workbench_deinit(&replay->bench);
    pql_setup_deinit(&replay->setup);
}

uint32_t pql_replay_task_of(const struct pql_replay *replay, const struct pql_input_conf *input,
                            struct pql_slice account)
{
    uint32_t count = (uint32_t)replay->tasks_count;
    return input->partitioning == PQL_PARTITIONING_CRC32 ? pql_partition_crc32(account, count)
                                                         : pql_partition_murmur2(account, count);
}

/* Duplicates and late ones that are applied are counted by the engine. */
int pql_replay_apply(struct pql_replay *replay, size_t task, const struct pql_event *event,
                     struct pql_err *err)
{
    if (replay->has_until && event->time_ms > replay->until_ms) {
        replay->left_out++;
        return 0;
    }
    pql_workbench_event(&replay->bench, event);
    if (pql_engine_apply(replay->tasks[task].engine, event) != PQL_APPLY_LATE_DEAD_LETTER) return 0;
    PQL_FAIL(err, PQL_ERR_RECORD, "%s", pql_rejects[PQL_REJECT_LATE].help);
    err->reason = pql_rejects[PQL_REJECT_LATE].word;
    return -1;
}

void pql_replay_refuse(struct pql_replay *replay, const char *place, const struct pql_err *err)
{
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        if (err->reason && strcmp(err->reason, pql_rejects[i].word) == 0) replay->refused[i]++;
    if (replay->refused_total++ >= SHOWN_MAX) return;
    pql_progress_clear(&replay->progress);
    fprintf(stderr, "%s: refused: %s: %s\n", place, err->reason ? err->reason : "unusable", err->msg);
    if (replay->refused_total == SHOWN_MAX) fputs("more are counted, not shown\n", stderr);
}

/* --- the end --- */

/* Everything due up to `to` happens, as a clock event of that time and the end of the file would have it. */
static void advance_to(struct pql_engine *engine, int64_t to)
{
    pql_engine_tick(engine, to);
    pql_engine_finish(engine);
}

static void advance_to_end(struct pql_engine *engine, int64_t lateness_ms)
{
    int64_t limit = pql_engine_seen(engine) + ADVANCE_END_MS, wait = lateness_ms ? lateness_ms + 1 : 0, next;
    while ((next = pql_engine_next_tick(engine)) != PQL_NO_TIME && next - wait <= limit)
        advance_to(engine, next - wait);
}

void pql_replay_finish(struct pql_replay *replay, int64_t advance_ms)
{
    int64_t lateness = replay->setup.config->program.settings.lateness_ms;
    for (size_t i = 0; i < replay->tasks_count; i++) {
        struct pql_engine *engine = replay->tasks[i].engine;
        if (replay->tells_digest)
            fprintf(stderr, "partition %zu: digest %016" PRIx64 "\n", i, pql_engine_digest(engine));
        pql_engine_finish(engine);
        if (pql_engine_seen(engine) == PQL_NO_TIME) continue;
        if (replay->has_until)
            pql_engine_tick(engine, replay->until_ms + (lateness ? lateness + 1 : 0));
        else if (advance_ms == INT64_MAX)
            advance_to_end(engine, lateness);
        else if (advance_ms >= 0)
            advance_to(engine, pql_engine_seen(engine) + advance_ms);
    }
    for (size_t i = 0; replay->refreshed && i < replay->tasks_count; i++) {
        pql_engine_refresh_shadow(replay->tasks[i].engine);
        pql_engine_refresh(replay->tasks[i].engine);
    }
    flush_out(replay);
    if (fflush(stdout) != 0) replay->out_failed = true;
}

int64_t pql_replay_seen(const struct pql_replay *replay)
{
    int64_t seen = PQL_NO_TIME;
    for (size_t i = 0; i < replay->tasks_count; i++) {
        int64_t of_task = pql_engine_seen(replay->tasks[i].engine);
        if (of_task > seen) seen = of_task;
    }
    return seen;
}

void pql_replay_each(const struct pql_replay *replay, pql_see *see, void *context)
{
    for (size_t i = 0; i < replay->tasks_count; i++) pql_engine_each(replay->tasks[i].engine, see, context);
}

void pql_replay_summary(struct pql_replay *replay)
{
    struct pql_engine_stats sum = {0};
    for (size_t i = 0; i < replay->tasks_count; i++) {
        struct pql_engine_stats stats = pql_engine_stats(replay->tasks[i].engine);
        sum.duplicates += stats.duplicates;
        sum.late += stats.late;
        sum.ignored += stats.ignored;
        sum.accounts += stats.accounts;
        sum.users += stats.users;
    }
    char text[PQL_COUNT_TEXT_MAX];
    double seconds = (double)(pql_wall_ms() - replay->progress.begun_ms) / 1000;
    pql_progress_clear(&replay->progress);
    fprintf(stderr, "%s events", pql_count_text(replay->events, text));
    if (seconds >= 0.1)
        fprintf(stderr, " in %.1f s (%s/s)", seconds,
                pql_count_text((uint64_t)((double)replay->events / seconds), text));
    fprintf(stderr, ", %s records", pql_count_text(replay->records, text));
    if (replay->shadowed)
        fprintf(stderr, " (%s of shadow definitions not shown)", pql_count_text(replay->shadowed, text));
    fprintf(stderr, ", %s refused", pql_count_text(replay->refused_total, text));
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        if (replay->refused[i])
            fprintf(stderr, " (%s %s)", pql_rejects[i].word, pql_count_text(replay->refused[i], text));
    fprintf(stderr, ", %s duplicates", pql_count_text(sum.duplicates, text));
    fprintf(stderr, ", %s late", pql_count_text(sum.late, text));
    fprintf(stderr, ", %s ignored", pql_count_text(sum.ignored, text));
    fprintf(stderr, "; %s accounts", pql_count_text(sum.accounts, text));
    fprintf(stderr, ", %s users", pql_count_text(sum.users, text));
    if (replay->has_until)
        fprintf(stderr, "; %s later events left out", pql_count_text(replay->left_out, text));
    fputs("\n", stderr);
    struct pql_buf definitions = {0};
    if (!replay->is_quiet) pql_report_summary(replay, true, false, &definitions);
    pql_report_print(&definitions, stderr);
    pql_buf_deinit(&definitions);
    if (replay->out_failed) fprintf(stderr, "standard output: %s\n", strerror(errno));
}
