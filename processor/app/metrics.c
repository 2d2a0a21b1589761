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
    {"pqlstream_memory_limit_bytes", GAUGE, STAT(memory_max), "bytes", "The budget of memory; 0: none."},
    {"pqlstream_partitions", GAUGE, STAT(partitions), NULL,
     "Partitions of an input: so many tasks all instances have together."},
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

static double lag_seconds(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                          int64_t now_ms)
{
    int64_t ms = pql_lag_ms(task, lag, now_ms);
    return ms < 0 ? -1 : (double)ms / 1000;
}

static double accounts(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return (double)task->accounts;
}

static double checkpoint_age(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                             int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return task->snapshot_age_ms < 0 ? -1 : (double)task->snapshot_age_ms / 1000;
}

static double restored(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return task->load_of ? (double)task->load_done / (double)task->load_of : -1;
}

static double restore_left(const struct pql_task_standing *task, const struct pql_task_lag *lag,
                           int64_t now_ms)
{
    (void)lag;
    (void)now_ms;
    return task->load_left_ms < 0 ? -1 : (double)task->load_left_ms / 1000;
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
    {"pqlstream_task_checkpoint_age_seconds", "seconds",
     "Since the last snapshot of a live task, or since it came here.", checkpoint_age},
    {"pqlstream_task_restored_ratio", "ratio", "How much of its state a task that restores has read.",
     restored},
    {"pqlstream_task_restore_left_seconds", "seconds", "How much longer that takes, by the pace so far.",
     restore_left},
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

/* Of each definition, version and segment. */
#define ROW(member) offsetof(struct pql_scoreboard_row, member)
static const struct {
    const char *name;
    size_t at;
    const char *help;
} per_row[] = {
    {"pqlstream_qualified", ROW(qualified), "Entries into a definition."},
    {"pqlstream_converted", ROW(converted), "Members that left since they converted."},
    {"pqlstream_converted_unqualified", ROW(unforeseen), "Conversions of who was no member then."},
};

static void put_label(struct pql_buf *out, const char *name, struct pql_slice text)
{
    pql_buf_printf(out, "%s=\"", name);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '"' || text.ptr[i] == '\\' || text.ptr[i] == '\n') pql_buf_text(out, "\\");
        pql_buf_put(out, text.ptr[i] == '\n' ? "n" : &text.ptr[i], 1);
    }
    pql_buf_text(out, "\"");
}

static void put_row_labels(struct pql_buf *out, const struct pql_scoreboard_row *row)
{
    put_label(out, "definition", row->definition);
    pql_buf_printf(out, ",version=\"%" PRId32 "\"", row->version);
    if (row->segment.len) pql_buf_text(out, ",");
    if (row->segment.len) put_label(out, "segment", row->segment);
}

static void write_days(const struct pql_scoreboard_row *row, struct pql_buf *out)
{
    uint64_t sum = 0;
    for (int i = 0; i < PQL_CONVERT_BUCKETS; i++) {
        sum += row->days[i];
        pql_buf_text(out, "pqlstream_days_to_convert_bucket{");
        put_row_labels(out, row);
        if (i + 1 < PQL_CONVERT_BUCKETS)
            pql_buf_printf(out, ",le=\"%d.0\"} %" PRIu64 "\n", pql_convert_days[i], sum);
        else
            pql_buf_printf(out, ",le=\"+Inf\"} %" PRIu64 "\n", sum);
    }
    pql_buf_text(out, "pqlstream_days_to_convert_count{");
    put_row_labels(out, row);
    pql_buf_printf(out, "} %" PRIu64 "\npqlstream_days_to_convert_sum{", sum);
    put_row_labels(out, row);
    pql_buf_printf(out, "} %.6f\n", row->days_sum);
}

static void write_rows(const struct pql_scoreboard_view *scores, struct pql_buf *out)
{
    for (size_t m = 0; m < sizeof per_row / sizeof *per_row; m++) {
        head(out, per_row[m].name, COUNTER, NULL, per_row[m].help);
        for (size_t i = 0; i < scores->rows_count; i++) {
            uint64_t value;
            memcpy(&value, (const char *)&scores->rows[i] + per_row[m].at, sizeof value);
            pql_buf_printf(out, "%s_total{", per_row[m].name);
            put_row_labels(out, &scores->rows[i]);
            pql_buf_printf(out, "} %" PRIu64 "\n", value);
        }
    }
    pql_buf_text(out, "# TYPE pqlstream_days_to_convert histogram\n"
                      "# HELP pqlstream_days_to_convert Days from entering a definition to converting.\n");
    for (size_t i = 0; i < scores->rows_count; i++) write_days(&scores->rows[i], out);
}

/* Of each definition. */
typedef double definition_value(const struct pql_scoreboard_definition *definition);

static double members(const struct pql_scoreboard_definition *definition)
{
    return (double)definition->members;
}

static double entries_today(const struct pql_scoreboard_definition *definition)
{
    return (double)definition->today;
}

static double entries_usual(const struct pql_scoreboard_definition *definition)
{
    return definition->days ? definition->usual : -1;
}

static const struct {
    const char *name, *help;
    definition_value *value;
} per_definition[] = {
    {"pqlstream_members", "Users or accounts that are qualified by a definition.", members},
    {"pqlstream_entries_today", "Live entries into a definition since midnight, UTC.", entries_today},
    {"pqlstream_entries_usual", "Their mean over up to seven days before, seen by this process.",
     entries_usual},
};

static void write_definitions(const struct pql_scoreboard_view *scores, struct pql_buf *out)
{
    for (size_t m = 0; m < sizeof per_definition / sizeof *per_definition; m++) {
        head(out, per_definition[m].name, GAUGE, NULL, per_definition[m].help);
        for (size_t i = 0; i < scores->definitions_count; i++) {
            const struct pql_scoreboard_definition *definition = &scores->definitions[i];
            double value = per_definition[m].value(definition);
            if (value < 0) continue;
            pql_buf_printf(out, "%s{", per_definition[m].name);
            put_label(out, "definition", definition->definition);
            pql_buf_printf(out, ",version=\"%" PRId32 "\"} %.10g\n", definition->version, value);
        }
    }
    head(out, "pqlstream_sign_ups", COUNTER, NULL, "Users and accounts that the input says signed up.");
    for (int subject = 0; subject < 2; subject++)
        pql_buf_printf(out, "pqlstream_sign_ups_total{subject=\"%s\"} %" PRIu64 "\n",
                       pql_subject_names[subject], scores->sign_ups[subject]);
}

static void write_transitions(const struct pql_scoreboard_view *scores, struct pql_buf *out)
{
    head(out, "pqlstream_definition_transitions", COUNTER, NULL, "Transitions by definition and kind.");
    for (size_t i = 0; i < scores->definitions_count; i++)
        for (int kind = 0; kind < PQL_TRANSITION_COUNT; kind++) {
            pql_buf_text(out, "pqlstream_definition_transitions_total{");
            put_label(out, "definition", scores->definitions[i].definition);
            pql_buf_printf(out, ",kind=\"%s\"} %" PRIu64 "\n", pql_transition_names[kind],
                           scores->definitions[i].transitions[kind]);
        }
    head(out, "pqlstream_refused", COUNTER, NULL, "Dead letters by their reason.");
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        pql_buf_printf(out, "pqlstream_refused_total{reason=\"%s\"} %" PRIu64 "\n", pql_rejects[i].word,
                       scores->refused[i]);
    head(out, "pqlstream_tier_members", GAUGE, NULL, "Members of a definition by tier.");
    for (size_t i = 0; i < scores->tiers_count; i++) {
        pql_buf_text(out, "pqlstream_tier_members{");
        put_label(out, "definition", scores->definitions[scores->tiers[i].definition].definition);
        pql_buf_text(out, ",");
        put_label(out, "tier", scores->tiers[i].tier);
        pql_buf_printf(out, "} %" PRId64 "\n", scores->tiers[i].members);
    }
}

static void write_memory(const struct pql_pipeline_stats *stats, struct pql_buf *out)
{
    const struct pql_memory *m = &stats->memory;
    const struct {
        const char *kind;
        uint64_t bytes;
    } rows[PQL_MEMORY_KINDS] = {{"state", m->state},         {"epochs", m->epochs},
                                {"messages", m->messages},   {"journal", m->journal},
                                {"snapshots", m->snapshots}, {"parked", m->parked},
                                {"client", m->client}};
    head(out, "pqlstream_memory_bytes", GAUGE, "bytes", "Memory by own accounting, by what it is for.");
    for (int i = 0; i < PQL_MEMORY_KINDS; i++)
        pql_buf_printf(out, "pqlstream_memory_bytes{kind=\"%s\"} %" PRIu64 "\n", rows[i].kind, rows[i].bytes);
}

static void write_durations(const char *name, const char *help, const struct pql_durations *durations,
                            struct pql_buf *out)
{
    uint64_t sum = 0;
    pql_buf_printf(out, "# TYPE %s histogram\n# UNIT %s seconds\n# HELP %s %s\n", name, name, name, help);
    for (int i = 0; i < PQL_COMMIT_BUCKETS; i++) {
        sum += durations->counts[i];
        pql_buf_printf(out, "%s_bucket{le=\"", name);
        if (i + 1 < PQL_COMMIT_BUCKETS)
            pql_buf_printf(out, "%.3f", (double)pql_commit_ms[i] / 1000);
        else
            pql_buf_text(out, "+Inf");
        pql_buf_printf(out, "\"} %" PRIu64 "\n", sum);
    }
    pql_buf_printf(out, "%s_count %" PRIu64 "\n%s_sum %.6f\n", name, sum, name,
                   (double)durations->sum_us / 1e6);
}

static void write_commits(const struct pql_pipeline_stats *stats, struct pql_buf *out)
{
    head(out, "pqlstream_last_commit_seconds", GAUGE, "seconds", "How long the last transaction took.");
    pql_buf_printf(out, "pqlstream_last_commit_seconds %.6f\n", (double)stats->last_commit_us / 1e6);
    write_durations("pqlstream_commit_duration_seconds", "How long commits took, faults included.",
                    &stats->commits, out);
    write_durations("pqlstream_output_delay_seconds",
                    "How long the oldest output of a task had waited when it was committed.", &stats->outputs,
                    out);
    head(out, "pqlstream_commit_waiting_seconds", GAUGE, "seconds",
         "How long the present commit has been under way; 0: there is none.");
    pql_buf_printf(out, "pqlstream_commit_waiting_seconds %.3f\n", (double)stats->commit_waits_us / 1e6);
}

#define HEALTH(member) offsetof(struct pql_health, member)

/* What is below 0 is not known and is left out. */
static const struct {
    const char *name;
    enum kind kind;
    size_t at;
    double per; /* that many make one of the unit */
    const char *unit, *help;
} of_health[] = {
    {"pqlstream_brokers_up", GAUGE, HEALTH(brokers_up), 1, NULL,
     "1: the brokers answered the last question, asked every second; 0: they did not."},
    {"pqlstream_brokers_answer_seconds", GAUGE, HEALTH(brokers_answer_us), 1e6, "seconds",
     "How long that took, or was waited for."},
    {"pqlstream_client_errors", COUNTER, HEALTH(client_errors), 1, NULL,
     "Errors that librdkafka reported, lost connections included."},
    {"pqlstream_client_warnings", COUNTER, HEALTH(client_warnings), 1, NULL,
     "Lines of librdkafka's log of level warning and above, beside them."},
    {"pqlstream_registry_up", GAUGE, HEALTH(registry_up), 1, NULL,
     "1: the registry answered the last question; 0: it did not. Absent: not asked yet."},
    {"pqlstream_registry_requests", COUNTER, HEALTH(registry_requests), 1, NULL,
     "Questions to the registry."},
    {"pqlstream_registry_failures", COUNTER, HEALTH(registry_failures), 1, NULL,
     "Questions to one of its addresses without a usable answer."},
    {"pqlstream_registry_schemas", COUNTER, HEALTH(registry_schemas), 1, NULL, "Schemas fetched."},
    {"pqlstream_registry_unknown_schemas", COUNTER, HEALTH(registry_refused), 1, NULL,
     "Times that the registry said that there is no such schema."},
    {"pqlstream_registry_copies", COUNTER, HEALTH(registry_copies), 1, NULL,
     "Schemas taken from the copies on disk, since the registry did not answer."},
};

static void write_health(const struct pql_health *health, struct pql_buf *out)
{
    for (size_t i = 0; i < sizeof of_health / sizeof *of_health; i++) {
        int64_t value;
        memcpy(&value, (const char *)health + of_health[i].at, sizeof value);
        if (value < 0) continue;
        head(out, of_health[i].name, of_health[i].kind, of_health[i].unit, of_health[i].help);
        pql_buf_printf(out, "%s%s %.10g\n", of_health[i].name, of_health[i].kind == COUNTER ? "_total" : "",
                       (double)value / of_health[i].per);
    }
}

void pql_metrics_write(const struct pql_metrics *metrics, struct pql_buf *out)
{
    head(out, "pqlstream_build", GAUGE, NULL, "The version that runs, as a label; always 1.");
    pql_buf_text(out, "pqlstream_build{version=\"" PQL_VERSION "\"} 1\n");
    write_totals(metrics->stats, out);
    write_commits(metrics->stats, out);
    write_memory(metrics->stats, out);
    write_health(metrics->health, out);
    write_tasks(metrics->tasks, metrics->lags, metrics->tasks_count, metrics->now_ms, out);
    write_rows(metrics->scores, out);
    write_definitions(metrics->scores, out);
    write_transitions(metrics->scores, out);
    pql_buf_text(out, "# EOF\n");
}
