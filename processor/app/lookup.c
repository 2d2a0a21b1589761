#include "app/lookup.h"

#include "app/look_json.h"
#include "app/task.h"
#include <stdlib.h>

enum { WAIT_US = 1000000, TURN_MS = 50 };

/* Texts are fixed while it is in the pipeline's place; the rest is under the lock. */
struct pql_lookup {
    struct pql_arena arena;
    struct pql_slice account, user;
    int32_t partition; /* -1: any */
    uint64_t waiting;  /* bit of each worker that has not answered */
    bool is_left;      /* nobody waits for it: the last worker frees it */
    enum pql_lookup_result result;
    struct pql_buf out;
};

static void lookup_free(struct pql_lookup *lookup)
{
    if (!lookup) return;
    pql_arena_deinit(&lookup->arena);
    pql_buf_deinit(&lookup->out);
    free(lookup);
}

void pql_lookup_drop(struct pql_pipeline *p)
{
    lookup_free(p->lookup);
    p->lookup = NULL;
}

/* --- the worker --- */

static const enum pql_lookup_result results[] = {[PQL_LOOK_FOUND] = PQL_LOOKUP_FOUND,
                                                 [PQL_LOOK_NO_ACCOUNT] = PQL_LOOKUP_NO_ACCOUNT,
                                                 [PQL_LOOK_NO_USER] = PQL_LOOKUP_NO_USER};

static enum pql_lookup_result look_in(struct pql_worker *w, const struct pql_task *task,
                                      const struct pql_lookup *lookup, struct pql_buf *out)
{
    struct pql_look look;
    enum pql_looked looked = pql_engine_look(task->engine, lookup->account, lookup->user, &w->scratch, &look);
    if (looked == PQL_LOOK_FOUND) pql_look_json(&look, task->partition, w->wall_ms, out);
    pql_arena_reset(&w->scratch);
    return results[looked];
}

/* Of several tasks that may have it the first that knows the account counts. */
static enum pql_lookup_result look_around(struct pql_worker *w, const struct pql_lookup *lookup,
                                          struct pql_buf *out)
{
    enum pql_lookup_result result = PQL_LOOKUP_ELSEWHERE;
    for (size_t i = 0; i < w->count; i++) {
        const struct pql_task *task = w->tasks[i];
        if (lookup->partition >= 0 && task->partition != lookup->partition) continue;
        bool is_live = task->phase == PQL_PHASE_LIVE;
        enum pql_lookup_result here = is_live ? look_in(w, task, lookup, out) : PQL_LOOKUP_NOT_LIVE;
        if (here < result) result = here;
        if (here == PQL_LOOKUP_FOUND || here == PQL_LOOKUP_NO_USER) break;
    }
    return result;
}

void pql_lookup_answer(struct pql_worker *w, struct pql_lookup *lookup)
{
    struct pql_pipeline *p = w->pipeline;
    struct pql_buf out = {0};
    enum pql_lookup_result result = look_around(w, lookup, &out);
    pql_lock(p);
    if (result < lookup->result) {
        lookup->result = result;
        struct pql_buf worse = lookup->out;
        lookup->out = out;
        out = worse;
    }
    lookup->waiting &= ~(UINT64_C(1) << w->index);
    if (!lookup->waiting && lookup->is_left) pql_lookup_drop(p);
    pql_wake_all(p);
    pql_unlock(p);
    pql_buf_deinit(&out);
}

struct pql_lookup *pql_lookup_wanted(const struct pql_worker *w)
{
    struct pql_lookup *lookup = w->pipeline->lookup;
    return lookup && (lookup->waiting >> w->index & 1) ? lookup : NULL;
}

/* --- who asks --- */

static int32_t partition_of(const struct pql_pipeline *p, struct pql_slice account)
{
    const struct pql_pipeline_input *lead = &p->conf->inputs[0];
    if (!lead->partition_of) return -1;
    return (int32_t)lead->partition_of(account, (uint32_t)p->partitions_count);
}

/* Under the lock: asks the workers of all tasks that may have it. */
static struct pql_lookup *lookup_new(const struct pql_pipeline *p, struct pql_slice account,
                                     struct pql_slice user, int32_t partition)
{
    struct pql_lookup *lookup = pql_xcalloc(1, sizeof *lookup);
    pql_arena_init(&lookup->arena);
    lookup->account = pql_arena_copy(&lookup->arena, account);
    lookup->user = pql_arena_copy(&lookup->arena, user);
    lookup->partition = partition;
    lookup->result = PQL_LOOKUP_ELSEWHERE;
    for (size_t i = 0; i < p->count; i++) {
        const struct pql_task *task = p->tasks[i];
        if (partition >= 0 && task->partition != partition) continue;
        lookup->waiting |= UINT64_C(1) << task->worker;
        if (task->phase != PQL_PHASE_LIVE) lookup->result = PQL_LOOKUP_NOT_LIVE;
    }
    return lookup;
}

/* Under the lock. */
static void await(struct pql_pipeline *p, const struct pql_lookup *lookup)
{
    uint64_t until = p->ports->mono_us(p->ports->self) + WAIT_US;
    for (unsigned i = 0; i < p->conf->workers; i++)
        if (lookup->waiting >> i & 1) p->ports->worker_wake(p->ports->self, i);
    while (lookup->waiting && !p->is_done && p->ports->mono_us(p->ports->self) < until)
        pql_wait_changed(p, TURN_MS);
}

enum pql_lookup_result pql_pipeline_lookup(struct pql_pipeline *p, struct pql_slice account,
                                           struct pql_slice user, int32_t *partition, struct pql_buf *out)
{
    enum pql_lookup_result result = PQL_LOOKUP_BUSY;
    *partition = partition_of(p, account);
    pql_lock(p);
    if (p->lookup) goto out;
    struct pql_lookup *lookup = p->lookup = lookup_new(p, account, user, *partition);
    await(p, lookup);
    if (lookup->waiting) {
        lookup->is_left = true;
        goto out;
    }
    result = lookup->result;
    pql_buf_put(out, lookup->out.ptr, lookup->out.len);
    pql_lookup_drop(p);
out:
    pql_unlock(p);
    return result;
}
