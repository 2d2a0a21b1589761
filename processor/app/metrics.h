/* metrics.h - what a running pipeline tells a monitoring system, in OpenMetrics text
 * (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md). One table row per
 * metric: name, kind, unit, help, and where its value is. */
#ifndef PQL_APP_METRICS_H
#define PQL_APP_METRICS_H

#include "app/health.h"

/* What it tells of. */
struct pql_metrics {
    const struct pql_pipeline_stats *stats;
    const struct pql_health *health;
    const struct pql_scoreboard_view *scores;
    const struct pql_task_standing *tasks;
    const struct pql_task_lag *lags; /* one per task */
    size_t tasks_count;
    int64_t now_ms; /* wall clock */
};

/* The text, "# EOF" included. Thread: any. */
void pql_metrics_write(const struct pql_metrics *metrics, struct pql_buf *out);

#endif
