#include "app/metrics.h"

#include <inttypes.h>
#include <stddef.h>

enum kind { COUNTER, GAUGE };

#define STAT(member) offsetof(struct pql_pipeline_stats, member)

/* Of the process; each value is a uint64_t of the stats. */
static const struct {
    const char *name;
    enum kind kind;
    size_t at;
    const char *unit, *help;
} totals[] = {
    {"pqlstream_events", COUNTER, STAT(messages), NULL, "Records taken from the inputs, live."},
    {"pqlstream_input_bytes", COUNTER, STAT(bytes), "bytes", "Bytes of their values."},
    {"pqlstream_replayed_events", COUNTER, STAT(replayed), NULL, "Records taken again to restore a state."},
    {"pqlstream_dead_letters", COUNTER, STAT(refused), NULL, "Records that could not be used."},
    {"pqlstream_late_events", COUNTER, STAT(late), NULL, "Events later than the promised lateness."},
    {"pqlstream_duplicate_events", COUNTER, STAT(duplicates), NULL,
     "Events dropped since their id was remembered."},
    {"pqlstream_transitions", COUNTER, STAT(records), NULL, "Transitions committed."},
    {"pqlstream_commits", COUNTER, STAT(epochs), NULL, "Transactions committed."},
    {"pqlstream_aborted_commits", COUNTER, STAT(aborted), NULL, "Transactions aborted and made again."},
    {"pqlstream_unknown_commits", COUNTER, STAT(unknown), NULL,
     "Transactions whose outcome was asked for after a fault."},
    {"pqlstream_snapshots", COUNTER, STAT(snapshots), NULL, "Snapshots of tasks written."},
    {"pqlstream_abandoned_snapshots", COUNTER, STAT(snapshots_abandoned), NULL,
     "Snapshots given up; the one before stays."},
    {"pqlstream_snapshot_bytes", COUNTER, STAT(snapshot_bytes), "bytes", "Bytes of the snapshots written."},
    {"pqlstream_ticks", COUNTER, STAT(ticks), NULL, "Times that the clock went on without an event."},
    {"pqlstream_parts", COUNTER, STAT(parts), NULL, "Stops in the middle of a long input."},
    {"pqlstream_transaction_max_bytes", GAUGE, STAT(transaction_bytes_max), "bytes",
     "What one transaction may hold, by the pace of producing."},
    {"pqlstream_refreshes", COUNTER, STAT(refreshes), NULL, "Refreshes of all members published."},
    {"pqlstream_resumed_tasks", COUNTER, STAT(resumed), NULL,
     "Tasks that came back and went on without a restore."},
    {"pqlstream_parked_tasks", GAUGE, STAT(parked), NULL,
     "Tasks that were taken away and whose state is kept for a while."},
    {"pqlstream_parked_accounts", GAUGE, STAT(parked_accounts), NULL, "Accounts in their state."},
    {"pqlstream_accounts", GAUGE, STAT(accounts), NULL, "Accounts with state in this process."},
};

static void head(struct pql_buf *out, const char *name, enum kind kind, const char *unit, const char *help)
{
    pql_buf_printf(out, "# TYPE %s %s\n", name, kind == COUNTER ? "counter" : "gauge");
    if (unit) pql_buf_printf(out, "# UNIT %s %s\n", name, unit);
    pql_buf_printf(out, "# HELP %s %s\n", name, help);
}

static void write_totals(const struct pql_pipeline_stats *stats, struct pql_buf *out)
{
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++) {
        uint64_t value;
        memcpy(&value, (const char *)stats + totals[i].at, sizeof value);
        head(out, totals[i].name, totals[i].kind, totals[i].unit, totals[i].help);
        pql_buf_printf(out, "%s%s %" PRIu64 "\n", totals[i].name, totals[i].kind == COUNTER ? "_total" : "",
                       value);
    }
}

/* Of each task. A value below 0 is not known and is left out. */
typedef double task_value(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                          int64_t now_ms);

static double lag_records(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                          int64_t now_ms)
{
    (void)task;
    (void)now_ms;
    return (double)lag->records;
}

/* How far the task's clock is behind, if anything waits to be read. */
static double lag_seconds(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                          int64_t now_ms)
{
    if (lag->records == 0) return 0;
    if (lag->records < 0 || task->seen_ms == PQL_NO_TIME) return -1;
    return now_ms > task->seen_ms ? (double)(now_ms - task->seen_ms) / 1000 : 0;
}

static double accounts(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return (double)task->accounts;
}

static double is_live(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return strcmp(task->phase, "live") == 0;
}

static double is_blocked(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return strcmp(task->phase, "blocked") == 0;
}

static const struct {
    const char *name, *unit, *help;
    task_value *value;
} per_task[] = {
    {"pqlstream_task_lag_records", NULL, "Records of the inputs behind the committed offsets.", lag_records},
    {"pqlstream_task_lag_seconds", "seconds", "How far the task's clock is behind while records wait.",
     lag_seconds},
    {"pqlstream_task_accounts", NULL, "Accounts with state in the task.", accounts},
    {"pqlstream_task_live", NULL, "1: the task processes new events; 0: it restores, waits or is blocked.",
     is_live},
    {"pqlstream_task_blocked", NULL, "1: the task stands still until somebody decides; /status says why.",
     is_blocked},
};

static void write_tasks(const struct pql_task_standing *tasks, const struct pql_task_lag *lags, size_t count,
                        int64_t now_ms, struct pql_buf *out)
{
    for (size_t row = 0; row < sizeof per_task / sizeof *per_task; row++) {
        head(out, per_task[row].name, GAUGE, per_task[row].unit, per_task[row].help);
        for (size_t i = 0; i < count; i++) {
            double value = per_task[row].value(&tasks[i], &lags[i], now_ms);
            if (value >= 0)
                pql_buf_printf(out, "%s{partition=\"%" PRId32 "\"} %.10g\n", per_task[row].name,
                               tasks[i].partition, value);
        }
    }
}

void pql_metrics_write(const struct pql_pipeline_stats *stats, const struct pql_task_standing *tasks,
                       const struct pql_task_lag *lags, size_t tasks_count, int64_t now_ms,
                       struct pql_buf *out)
{
    head(out, "pqlstream_build", GAUGE, NULL, "The version that runs, as a label; always 1.");
    pql_buf_text(out, "pqlstream_build{version=\"" PQL_VERSION "\"} 1\n");
    write_totals(stats, out);
    head(out, "pqlstream_last_commit_seconds", GAUGE, "seconds", "How long the last transaction took.");
    pql_buf_printf(out, "pqlstream_last_commit_seconds %.6f\n", (double)stats->last_commit_us / 1e6);
    write_tasks(tasks, lags, tasks_count, now_ms, out);
    pql_buf_text(out, "# EOF\n");
}
