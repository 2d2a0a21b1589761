/* monitor.h - how far a running pipeline is: a line that is rewritten every second on a terminal, a line of
 * the log every ten seconds elsewhere, and a summary at the end. Thread: one, but for pql_monitor_lag. */
#ifndef PQL_APP_MONITOR_H
#define PQL_APP_MONITOR_H

#include "app/runner.h"

struct pql_monitor;

/* serves: somebody asks for pql_monitor_lag; then it is measured every second. */
struct pql_monitor *pql_monitor_new(struct pql_runner *runner, bool serves);
/* Call it about twice a second; asks the cluster for end offsets once per line. */
void pql_monitor_show(struct pql_monitor *monitor);
struct pql_task_lag {
    int32_t partition;
    int64_t records; /* of all inputs, behind the committed offsets; -1: not known */
};
/* As of the last second or two where it serves. Thread: any. */
struct pql_task_lag pql_monitor_lag(struct pql_monitor *monitor, int32_t partition);

/* The last question about the ends of the inputs: whether the brokers answered, and after how long. Measured
 * as lags are; is_asked false: not yet. Thread: any. */
struct pql_brokers_answer {
    bool is_asked, is_up;
    uint64_t took_us;
};
struct pql_brokers_answer pql_monitor_brokers(struct pql_monitor *monitor);

/* How far the clock of the task is behind, if anything waits to be read; -1: not known. Thread: any. */
int64_t pql_lag_ms(const struct pql_task_standing *task, const struct pql_task_lag *lag, int64_t now_ms);

/* Prints the summary and frees. The pipeline must still be there. */
void pql_monitor_end(struct pql_monitor *monitor);

#endif
