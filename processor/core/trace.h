/* trace.h - every evaluation of one account, with the value of each part of the condition: for people who ask
 * why somebody does or does not qualify. Told during the engine's calls, after the records of the evaluation.
 * An engine that nobody traces pays one test per evaluation. */
#ifndef PQL_CORE_TRACE_H
#define PQL_CORE_TRACE_H

#include "core/engine.h"

/* One part of a condition. Parts come in text order, each before what is inside it. */
struct pql_trace_part {
    unsigned depth;
    struct pql_slice text; /* "count(invite_sent, 7d)"; of a join its word alone: "and" */
    struct pql_value value;
    int64_t first_at, last_at; /* of the occurrences counted, or PQL_NO_TIME */
    bool at_least;             /* the signal keeps no more */
};

enum { PQL_TRACE_TREES_MAX = 4 };

/* Of a definition, or of a condition inside a quantifier. Views live during the call. */
struct pql_trace {
    int64_t at_ms;
    struct pql_slice account, user; /* user empty: the account */
    struct pql_slice definition;    /* name; empty: a condition, whose text is in the tree */
    bool by_event;                  /* else only time has passed */
    struct pql_slice event, event_id;
    enum pql_status status; /* after it */
    bool changed;           /* by this evaluation */
    struct pql_trace_tree {
        const char *role; /* "eligible", "qualify", "stay", "condition" */
        const struct pql_trace_part *parts;
        size_t count;
    } trees[PQL_TRACE_TREES_MAX];
    size_t trees_count;
};

typedef void pql_trace_sink(void *context, const struct pql_trace *trace);

/* user empty: the account's own evaluations and those of all its users. The texts must outlive the engine. */
void pql_engine_trace(struct pql_engine *engine, struct pql_slice account, struct pql_slice user,
                      pql_trace_sink *sink, void *context);

#endif
