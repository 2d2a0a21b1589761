/* monitor.h - how far a running pipeline is: a line that is rewritten every second on a terminal, a line of
 * the log every ten seconds elsewhere, and a summary at the end. Thread: one. */
#ifndef PQL_APP_MONITOR_H
#define PQL_APP_MONITOR_H

#include "app/runner.h"

struct pql_monitor;

struct pql_monitor *pql_monitor_new(struct pql_runner *runner);
/* Call it about twice a second; asks the cluster for end offsets once per line. */
void pql_monitor_show(struct pql_monitor *monitor);
/* Prints the summary and frees. The pipeline must still be there. */
void pql_monitor_end(struct pql_monitor *monitor);

#endif
