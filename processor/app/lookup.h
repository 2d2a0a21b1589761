/* lookup.h - one account or user, asked of a running pipeline from outside. The question lies in a single
 * place under the pipeline's lock; the worker that owns the task takes it between two steps, writes the
 * answer into a buffer of its own and wakes whoever waits. What nobody asks costs a worker one test per step.
 *
 *   pql_pipeline_lookup ─► pipeline->lookup ─► worker: pql_engine_look ─► JSON ─► back, or left behind
 *
 * One question at a time: a second one, while a worker has not come to the first, is BUSY at once. */
#ifndef PQL_APP_LOOKUP_H
#define PQL_APP_LOOKUP_H

#include "app/pipeline.h"

/* The smaller one counts where several tasks may have the account. */
enum pql_lookup_result {
    PQL_LOOKUP_FOUND,
    PQL_LOOKUP_NO_USER,    /* the account is here, the user is not */
    PQL_LOOKUP_NOT_LIVE,   /* its task is here and restores, waits or is blocked */
    PQL_LOOKUP_NO_ACCOUNT, /* its task is here and has never seen it */
    PQL_LOOKUP_ELSEWHERE,  /* its task is not here */
    PQL_LOOKUP_BUSY,       /* no worker came to it in time */
};

/* FOUND: appends the answer, one JSON object (look_json.h). *partition: of the account, -1 where the input
 * does not say how accounts are placed and it was not found. user empty: the account. Waits a second at most.
 * Thread: one at a time. */
enum pql_lookup_result pql_pipeline_lookup(struct pql_pipeline *pipeline, struct pql_slice account,
                                           struct pql_slice user, int32_t *partition, struct pql_buf *out);

#endif
