/* metrics.h - what a running pipeline tells a monitoring system, in OpenMetrics text
 * (https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md). One table row per
 * metric: name, kind, unit, help, and where its value is. */
#ifndef PQL_APP_METRICS_H
#define PQL_APP_METRICS_H

#include "app/monitor.h"

/* The text, "# EOF" included. now_ms: wall clock. Thread: any. */
void pql_metrics_write(const struct pql_pipeline_stats *stats, const struct pql_scoreboard_view *scores,
                       const struct pql_task_standing *tasks, const struct pql_task_lag *lags,
                       size_t tasks_count, int64_t now_ms, struct pql_buf *out);

#endif
