/* budget.h - one budget of memory over everything that grows: state, epochs that are not committed yet,
 * messages that wait, journals being replayed, snapshots on their way, parked tasks, and the fixed share of
 * the Kafka client's queues. By own accounting, so that it says which is how large.
 *
 *   below 80 %   nothing
 *   from 80 %    a warning a minute, with when the limit is reached at this growth
 *   at 100 %     parked tasks are given up; if that is not enough the program ends, before an allocation
 * fails. Nothing is lost by it: what is not committed is read again. */
#ifndef PQL_APP_BUDGET_H
#define PQL_APP_BUDGET_H

#include "app/pipeline.h"

/* Control's thread, without the lock; looks a few times a second, whatever the calls. */
void pql_budget_check(struct pql_pipeline *p);
/* Under the lock: what everything takes now. */
void pql_budget_measure(const struct pql_pipeline *p, struct pql_memory *out);

#endif
