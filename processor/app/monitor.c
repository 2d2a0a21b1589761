#include "app/monitor.h"
#include "base/log.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

enum { MEASURE_US = 1000000, TERMINAL_US = 1000000, LOG_US = 10000000, ASK_MS = 2000, TASKS_SHOWN_MAX = 16 };

struct pql_monitor {
    struct pql_runner *runner;
    bool is_terminal, serves;
    uint64_t began_us, shown_us;
    uint64_t measured_us, shown_messages;
    double rate; /* smoothed */

    pthread_mutex_t lock; /* of what follows */
    struct pql_task_lag *lags;
    size_t lags_count;
    struct pql_brokers_answer brokers;
};

static uint64_t now_us(const struct pql_monitor *monitor)
{
    const struct pql_ports *ports = pql_wiring_ports(pql_runner_wiring(monitor->runner));
    return ports->mono_us(ports->self);
}

struct pql_monitor *pql_monitor_new(struct pql_runner *runner, bool serves)
{
    struct pql_monitor *monitor = pql_xcalloc(1, sizeof(*monitor));
    monitor->runner = runner;
    monitor->serves = serves;
    pthread_mutex_init(&monitor->lock, NULL);
    monitor->is_terminal = isatty(STDERR_FILENO);
    monitor->began_us = monitor->shown_us = now_us(monitor);
    return monitor;
}

/* --- lag --- */

/* Where the tasks of this process are committed, and where their input ends. */
struct standing {
    struct pql_task_standing *tasks;
    struct pql_position *ends; /* task by task, input by input */
    struct pql_task_lag *lags; /* one per task */
    size_t count;
    int64_t lag; /* of all; -1: not known */
    struct pql_brokers_answer brokers;
};

static void ask_ends(const struct pql_monitor *monitor, struct standing *standing, uint32_t inputs_count)
{
    const struct pql_ports *ports = pql_wiring_ports(pql_runner_wiring(monitor->runner));
    struct pql_err err;
    uint64_t began_us = now_us(monitor);
    standing->ends = pql_xcalloc(standing->count * inputs_count + 1, sizeof(*standing->ends));
    for (size_t i = 0; i < standing->count; i++)
        for (uint32_t k = 0; k < inputs_count; k++)
            standing->ends[i * inputs_count + k] = (struct pql_position){
                .input = k, .partition = standing->tasks[i].partition, .offset = PQL_OFFSET_LATEST};
    if (!ports->offsets(ports->self, standing->ends, standing->count * inputs_count, ASK_MS, &err))
        standing->lag = 0;
    standing->brokers = (struct pql_brokers_answer){true, standing->lag == 0, now_us(monitor) - began_us};
}

static void measure_lags(struct standing *standing, uint32_t inputs_count)
{
    standing->lags = pql_xcalloc(standing->count + 1, sizeof *standing->lags);
    for (size_t i = 0; i < standing->count; i++) {
        struct pql_task_lag *lag = &standing->lags[i];
        *lag = (struct pql_task_lag){standing->tasks[i].partition, standing->lag < 0 ? -1 : 0};
        if (standing->lag < 0) continue;
        for (uint32_t k = 0; k < inputs_count; k++) {
            int64_t left = standing->ends[i * inputs_count + k].offset - standing->tasks[i].committed[k];
            if (left > 0) lag->records += left;
        }
        standing->lag += lag->records;
    }
}

static struct standing standing_now(const struct pql_monitor *monitor)
{
    struct standing standing = {.lag = -1};
    uint32_t inputs_count = pql_wiring_conf(pql_runner_wiring(monitor->runner))->inputs_count;
    standing.tasks = pql_pipeline_standing(pql_runner_pipeline(monitor->runner), &standing.count);
    if (standing.count) ask_ends(monitor, &standing, inputs_count);
    measure_lags(&standing, inputs_count);
    return standing;
}

static void standing_deinit(struct standing *standing)
{
    free(standing->tasks);
    free(standing->ends);
    free(standing->lags);
}

/* Takes the lags out of the standing. */
static void publish_lags(struct pql_monitor *monitor, struct standing *standing)
{
    struct pql_task_lag *old = monitor->lags;
    pthread_mutex_lock(&monitor->lock);
    monitor->lags = standing->lags;
    monitor->lags_count = standing->count;
    if (standing->brokers.is_asked) monitor->brokers = standing->brokers;
    pthread_mutex_unlock(&monitor->lock);
    standing->lags = NULL;
    free(old);
}

struct pql_task_lag pql_monitor_lag(struct pql_monitor *monitor, int32_t partition)
{
    struct pql_task_lag lag = {partition, -1};
    pthread_mutex_lock(&monitor->lock);
    for (size_t i = 0; i < monitor->lags_count; i++)
        if (monitor->lags[i].partition == partition) lag = monitor->lags[i];
    pthread_mutex_unlock(&monitor->lock);
    return lag;
}

struct pql_brokers_answer pql_monitor_brokers(struct pql_monitor *monitor)
{
    pthread_mutex_lock(&monitor->lock);
    struct pql_brokers_answer brokers = monitor->brokers;
    pthread_mutex_unlock(&monitor->lock);
    return brokers;
}

int64_t pql_lag_ms(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    if (lag->records == 0) return 0;
    if (lag->records < 0 || task->seen_ms == PQL_NO_TIME) return -1;
    return now_ms > task->seen_ms ? now_ms - task->seen_ms : 0;
}

/* "0:1734/1800 1:…": committed and end of the lead topic's partitions. */
static void write_offsets(const struct standing *standing, uint32_t inputs_count, struct pql_buf *out)
{
    for (size_t i = 0; i < standing->count && i < TASKS_SHOWN_MAX; i++) {
        pql_buf_printf(out, "%s%" PRId32 ":%" PRId64, i ? " " : "", standing->tasks[i].partition,
                       standing->tasks[i].committed[0]);
        if (standing->lag >= 0) pql_buf_printf(out, "/%" PRId64, standing->ends[i * inputs_count].offset);
    }
    if (standing->count > TASKS_SHOWN_MAX) pql_buf_text(out, " …");
}

/* --- lines --- */

static void measure(struct pql_monitor *monitor, const struct pql_pipeline_stats *stats)
{
    uint64_t us = now_us(monitor), messages = stats->messages + stats->replayed;
    double rate = (double)(messages - monitor->shown_messages) * 1e6 / (double)(us - monitor->shown_us + 1);
    monitor->rate = monitor->shown_messages ? (monitor->rate + rate) / 2 : rate;
    monitor->shown_messages = messages;
    monitor->shown_us = us;
}

static void show_on_terminal(const struct pql_monitor *monitor, const struct pql_pipeline_stats *stats,
                             const struct standing *standing)
{
    char left[60] = "lag ?";
    if (standing->lag >= 0 && monitor->rate >= 1 && (double)standing->lag > monitor->rate)
        snprintf(left, sizeof(left), "lag %" PRId64 ", %.0f s to go", standing->lag,
                 (double)standing->lag / monitor->rate);
    else if (standing->lag >= 0)
        snprintf(left, sizeof(left), "lag %" PRId64, standing->lag);
    fprintf(stderr,
            "\r%" PRIu64 " events, %.0f/s, %s, %" PRIu64 " accounts, %" PRIu64
            " transitions, %u/%u tasks live\033[K\r",
            stats->messages, monitor->rate, left, stats->accounts, stats->records, stats->live, stats->tasks);
}

static void show_in_log(const struct pql_monitor *monitor, const struct pql_pipeline_stats *stats,
                        const struct standing *standing)
{
    struct pql_buf offsets = {0};
    write_offsets(standing, pql_wiring_conf(pql_runner_wiring(monitor->runner))->inputs_count, &offsets);
    pql_log(PQL_LOG_INFO, "progress",
            "events=%" PRIu64 " events_per_s=%.0f lag=%" PRId64
            " committed=%.*s tasks=%u live=%u waiting=%u blocked=%u "
            "accounts=%" PRIu64 " transitions=%" PRIu64 " refused=%" PRIu64 " commit_us=%" PRId64
            " snapshots=%" PRIu64 " memory_mb=%.1f",
            stats->messages, monitor->rate, standing->lag, (int)offsets.len, offsets.ptr ? offsets.ptr : "",
            stats->tasks, stats->live, stats->waiting, stats->blocked, stats->accounts, stats->records,
            stats->refused, stats->last_commit_us, stats->snapshots,
            (double)pql_memory_total(&stats->memory) / 1e6);
    pql_buf_deinit(&offsets);
}

void pql_monitor_show(struct pql_monitor *monitor)
{
    struct pql_pipeline_stats stats;
    uint64_t us = now_us(monitor);
    bool shows = us - monitor->shown_us >= (monitor->is_terminal ? TERMINAL_US : LOG_US);
    if (!shows && (!monitor->serves || us - monitor->measured_us < MEASURE_US)) return;
    monitor->measured_us = us;
    struct standing standing = standing_now(monitor);
    publish_lags(monitor, &standing);
    if (shows) {
        pql_pipeline_stats(pql_runner_pipeline(monitor->runner), &stats);
        measure(monitor, &stats);
        (monitor->is_terminal ? show_on_terminal : show_in_log)(monitor, &stats, &standing);
    }
    standing_deinit(&standing);
}

void pql_monitor_end(struct pql_monitor *monitor)
{
    struct pql_pipeline_stats stats;
    double seconds = (double)(now_us(monitor) - monitor->began_us) / 1e6;
    pql_pipeline_stats(pql_runner_pipeline(monitor->runner), &stats);
    if (monitor->is_terminal) fputs("\r\033[K", stderr);
    pql_log(PQL_LOG_INFO, "summary",
            "seconds=%.1f events=%" PRIu64 " replayed=%" PRIu64 " transitions=%" PRIu64 " refused=%" PRIu64
            " late=%" PRIu64 " duplicates=%" PRIu64 " commits=%" PRIu64 " aborted=%" PRIu64
            " snapshots=%" PRIu64 " snapshot_bytes=%" PRIu64,
            seconds, stats.messages, stats.replayed, stats.records, stats.refused, stats.late,
            stats.duplicates, stats.epochs, stats.aborted, stats.snapshots, stats.snapshot_bytes);
    free(monitor->lags);
    pthread_mutex_destroy(&monitor->lock);
    free(monitor);
}
