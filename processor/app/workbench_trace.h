/* workbench_trace.h - evaluations of one account as trees of text, or a line of JSON each, on standard
 * output as they happen. Thread: the replay's. */
#ifndef PQL_APP_WORKBENCH_TRACE_H
#define PQL_APP_WORKBENCH_TRACE_H

#include "core/trace.h"

struct pql_trace_printer {
    bool as_json;
    uint64_t count; /* of evaluations */
};

/* A pql_trace_sink; context: the printer. */
void pql_trace_print(void *printer, const struct pql_trace *trace);

#endif
