/* What a batch will touch is fetched while earlier messages of it are worked on: each message four times, a
 * few messages apart, so that every fetch finds what the one before it has brought. */
#include "app/task.h"

enum { STRIDE = 3, STEPS = 1 + PQL_AHEAD_ENTRIES + 1, LINE_BYTES = 64, BYTES_MAX = 4 * LINE_BYTES };

/* The engine that the message is for, if it can use the hint: by its key, which is the account where the
 * producer follows the usual way. */
static const struct pql_engine *engine_of(const struct pql_worker *w, const struct pql_message_view *m)
{
    if (!m->key.len || m->partition < 0 || (size_t)m->partition >= w->by_partition_count) return NULL;
    const struct pql_task *task = w->by_partition[m->partition];
    if (!task || (task->phase != PQL_PHASE_LIVE && task->phase != PQL_PHASE_REPLAY)) return NULL;
    return pql_engine_wants_ahead(task->engine) ? task->engine : NULL;
}

static void fetch(struct pql_worker *w, size_t i, int step)
{
    const struct pql_message_view *m = &w->batch[i];
    const struct pql_engine *engine = engine_of(w, m);
    if (!engine) return;
    if (step == 0)
        w->ahead[i] = pql_engine_ahead(engine, m->key);
    else
        pql_engine_ahead_more(engine, w->ahead[i], (enum pql_ahead)(step - 1));
}

/* What the client received lies in the caches of the thread that received it. */
static void fetch_bytes(struct pql_slice bytes)
{
    for (size_t i = 0; i < bytes.len && i < BYTES_MAX; i += LINE_BYTES) __builtin_prefetch(bytes.ptr + i);
}

void pql_worker_look_ahead(struct pql_worker *w, size_t at, size_t count)
{
    size_t received = at + (size_t)(STEPS + 1) * STRIDE;
    if (received < count) {
        fetch_bytes(w->batch[received].key);
        fetch_bytes(w->batch[received].value);
    }
    for (int step = 0; step < STEPS; step++) {
        size_t i = at + (size_t)(STEPS - step) * STRIDE;
        if (i < count && w->batch[i].input == w->batch[at].input) fetch(w, i, step);
    }
}
