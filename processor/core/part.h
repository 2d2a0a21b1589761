/* part.h - how far a long input has come: what an engine reports when it stops in the middle, and what a
 * journal keeps, so that a replay stops there too. Plain data. */
#ifndef PQL_CORE_PART_H
#define PQL_CORE_PART_H

#include "base/slice.h"

enum pql_work_kind {
    PQL_WORK_NONE,
    PQL_WORK_EVENT, /* what is due before an event; the same event comes again */
    PQL_WORK_TICK,
    PQL_WORK_REFRESH,
    PQL_WORK_CHANGE, /* another program: accounts that are not settled yet */
    PQL_WORK_KIND_COUNT,
};

struct pql_part {
    enum pql_work_kind kind;
    int64_t seen_ms, complete_ms; /* the task's clock: where it is to go, and what was done before */
    int64_t upto_ms;              /* EVENT, TICK: the last instant to be processed */
    uint32_t input;               /* EVENT: which record comes again */
    int64_t offset;
    int64_t due_ms;           /* EVENT, TICK: all before this instant is done, and of this instant … */
    struct pql_slice account; /* … the accounts up to this one, itself included */
};

#endif
