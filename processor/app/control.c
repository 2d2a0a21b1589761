/* control.c - the group's word: which tasks are ours. Assigned tasks are made and restored by their keeper;
 * revoked ones are settled (everything committed, a last snapshot) and given back; lost ones are dropped. */
#include "app/budget.h"
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

enum { SETTLE_MS = 30000, LEAVE_MS = 10000, ASK_ENDS_MS = 200 };

static uint64_t now_us(const struct pql_pipeline *p)
{
    return p->ports->mono_us(p->ports->self);
}

static struct pql_task *find(struct pql_pipeline *p, int32_t partition)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->tasks[i]->partition == partition && p->tasks[i]->phase != PQL_PHASE_RELEASED)
            return p->tasks[i];
    return NULL;
}

static void assigned(struct pql_pipeline *p, const struct pql_control *event)
{
    struct pql_err err = {0};
    for (size_t i = 0; i < event->count; i++)
        if (event->tasks[i] >= p->partitions_count) {
            pql_pipeline_partitions_added(p, 0, event->tasks[i] + 1);
            return;
        }
    unsigned *workers = pql_xmalloc((event->count + 1) * sizeof *workers);
    for (size_t i = 0; i < event->count; i++) workers[i] = (unsigned)event->tasks[i] % p->conf->workers;
    int rc = p->ports->assign(p->ports->self, event->tasks, workers, event->count, &err);
    free(workers);
    if (rc) {
        pql_pipeline_fail(p, PQL_STOP_FATAL, &err);
        return;
    }
    if (event->count)
        pql_log(PQL_LOG_INFO, "partitions assigned", "topic=%s count=%zu", p->conf->inputs[0].topic,
                event->count);
    pql_lock(p);
    for (size_t i = 0; i < event->count; i++) {
        PQL_ASSERT(!find(p, event->tasks[i]));
        p->tasks = pql_xgrow(p->tasks, &p->capacity, p->count + 1, sizeof(struct pql_task *));
        struct pql_task *task = pql_unpark(p, event->tasks[i]);
        if (!task) task = pql_task_new(p, event->tasks[i]);
        task->incarnation = ++p->incarnations;
        task->assigned_us = now_us(p);
        p->tasks[p->count++] = task;
    }
    pql_wake_all(p);
    pql_unlock(p);
}

/* Marks tasks (NULL: all) as leaving; what remains to be done is done by the others. */
static void settle(struct pql_pipeline *p, enum pql_control_state state, const int32_t *tasks, size_t count)
{
    uint64_t now = now_us(p);
    pql_lock(p);
    p->settled = pql_xrealloc(p->settled, (p->count + count + 1) * sizeof *p->settled);
    p->settled_count = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct pql_task *task = p->tasks[i];
        bool leaves = !tasks;
        for (size_t k = 0; k < count; k++) leaves |= tasks[k] == task->partition;
        if (!leaves) continue;
        task->closing = true;
        task->lost |= state == PQL_CONTROL_SETTLE_LOST;
        task->handover_deadline_us = now + (uint64_t)p->conf->handover_budget_ms * 1000;
        p->settled[p->settled_count++] = task->partition;
    }
    p->control = state;
    p->settle_deadline_us = now + (uint64_t)(SETTLE_MS + p->conf->handover_budget_ms) * 1000;
    pql_wake_all(p);
    pql_unlock(p);
}

static void drop_the_rest(struct pql_pipeline *p)
{
    pql_lock(p);
    for (size_t i = 0; i < p->count; i++)
        if (p->tasks[i]->closing) p->tasks[i]->lost = true;
    pql_wake_all(p);
    pql_unlock(p);
}

static bool is_let_go(const struct pql_task *task)
{
    return task->phase == PQL_PHASE_RELEASED && !task->worker_busy && !task->keeper_busy && !task->in_txn;
}

/* Without the lock, and after the partitions are given back: a large state takes a while. */
static void free_gone(struct pql_pipeline *p)
{
    while (p->gone_count) pql_task_free(p->gone[--p->gone_count]);
}

/* Under the lock. True once no task is leaving any more; those that are free_gone frees. */
static bool take_released(struct pql_pipeline *p)
{
    size_t kept = 0, leaving = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct pql_task *task = p->tasks[i];
        if (is_let_go(task)) {
            pql_scoreboard_end(p->scoreboard, task->partition);
            if (!pql_park(p, task)) {
                p->gone = pql_xgrow(p->gone, &p->gone_capacity, p->gone_count + 1, sizeof(struct pql_task *));
                p->gone[p->gone_count++] = task;
            }
            continue;
        }
        leaving += task->closing;
        p->tasks[kept++] = task;
    }
    p->count = kept;
    return !leaving;
}

static void settling(struct pql_pipeline *p, int wait_ms)
{
    pql_lock(p);
    bool has_failed = p->stop != PQL_STOP_NONE;
    pql_unlock(p);
    if (has_failed || now_us(p) > p->settle_deadline_us ||
        (p->control != PQL_CONTROL_SETTLE_LOST && p->ports->assignment_lost(p->ports->self)))
        drop_the_rest(p);
    pql_lock(p);
    bool is_over = take_released(p);
    if (!is_over) pql_wait_changed(p, wait_ms);
    pql_unlock(p);
    if (!is_over) return;
    struct pql_err err = {0};
    if (p->control == PQL_CONTROL_SETTLE_STOP) {
        p->control = PQL_CONTROL_LEAVE;
        return;
    }
    if (p->ports->unassign(p->ports->self, p->settled, p->settled_count, &err))
        pql_pipeline_fail(p, PQL_STOP_FATAL, &err);
    p->control = PQL_CONTROL_RUN;
    free_gone(p);
}

static void take_offsets(struct pql_pipeline *p, const struct pql_control *event)
{
    pql_lock(p);
    for (size_t i = 0; i < event->offsets_count; i++) {
        const struct pql_position *position = &event->offsets[i];
        struct pql_task *task = find(p, position->partition);
        bool is_older = task && event->asked_us <= task->assigned_us; /* an earlier incarnation's question */
        if (!task || is_older || position->input >= p->conf->inputs_count) continue;
        task->ends[position->input] = position->failed == PQL_ERR_NONE ? position->offset : -1;
        task->ends_asked_us = event->asked_us;
        p->ports->worker_wake(p->ports->self, task->worker);
    }
    pql_unlock(p);
}

/* Idle tasks with a timer due: are their ends still the ends? */
static void ask_ends(struct pql_pipeline *p)
{
    uint64_t now = now_us(p);
    size_t n = 0;
    if (now - p->ends_asked_us < ASK_ENDS_MS * UINT64_C(1000)) return;
    pql_lock(p);
    struct pql_position *positions = pql_xcalloc(p->count * p->conf->inputs_count + 1, sizeof *positions);
    for (size_t i = 0; i < p->count; i++)
        for (uint32_t k = 0; p->tasks[i]->tick_wanted && k < p->conf->inputs_count; k++)
            positions[n++] = (struct pql_position){
                .input = k, .partition = p->tasks[i]->partition, .offset = PQL_OFFSET_LATEST};
    pql_unlock(p);
    struct pql_err err = {0};
    if (n) {
        p->ends_asked_us = now;
        if (p->ports->end_offsets_ask(p->ports->self, positions, n, &err))
            PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "end offsets unknown",
                            "cause=%s", err.msg);
    }
    free(positions);
}

static void take_error(struct pql_pipeline *p, struct pql_err *err)
{
    if (err->cls == PQL_ERR_RETRY) {
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "Kafka", "cause=%s", err->msg);
        return;
    }
    pql_pipeline_fail(p,
                      err->cls == PQL_ERR_CONFIG   ? PQL_STOP_CONFIG
                      : err->cls == PQL_ERR_FENCED ? PQL_STOP_FENCED
                                                   : PQL_STOP_FATAL,
                      err);
}

/* Tasks block by themselves; where none is left that works, the program ends and says why. */
static void check_blocked(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    enum pql_stop stop = PQL_STOP_NONE;
    pql_lock(p);
    size_t blocked = 0;
    for (size_t i = 0; i < p->count; i++) blocked += p->tasks[i]->phase == PQL_PHASE_BLOCKED;
    if (p->count && blocked == p->count) {
        err = p->tasks[0]->blocked;
        stop = p->tasks[0]->blocked_stop;
    }
    pql_unlock(p);
    if (stop != PQL_STOP_NONE) pql_pipeline_fail(p, stop, &err);
}

static void running(struct pql_pipeline *p, int wait_ms)
{
    struct pql_control event = {0};
    check_blocked(p);
    pql_park_expire(p);
    pql_budget_check(p);
    pql_lock(p);
    bool stops = p->stop_wanted;
    bool clean = p->stop == PQL_STOP_NONE;
    pql_unlock(p);
    if (stops) {
        settle(p, PQL_CONTROL_SETTLE_STOP, NULL, 0);
        if (!clean) drop_the_rest(p);
        return;
    }
    ask_ends(p);
    p->ports->poll(p->ports->self, wait_ms, &event);
    switch (event.kind) {
    case PQL_CONTROL_NONE: break;
    case PQL_CONTROL_ASSIGNED: assigned(p, &event); break;
    case PQL_CONTROL_REVOKED: settle(p, PQL_CONTROL_SETTLE_REVOKED, event.tasks, event.count); break;
    case PQL_CONTROL_LOST: settle(p, PQL_CONTROL_SETTLE_LOST, event.tasks, event.count); break;
    case PQL_CONTROL_OFFSETS: take_offsets(p, &event); break;
    case PQL_CONTROL_ERROR: take_error(p, &event.err); break;
    }
}

static void leave(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    if (p->ports->leave(p->ports->self, LEAVE_MS, &err))
        pql_log(PQL_LOG_WARN, "the group was not left in order", "cause=%s", err.msg);
    pql_lock(p);
    if (p->stop == PQL_STOP_NONE) p->stop = PQL_STOP_CLEAN;
    p->control = PQL_CONTROL_DONE;
    p->is_done = true;
    pql_wake_all(p);
    pql_unlock(p);
}

void pql_control_step(struct pql_pipeline *p, int wait_ms)
{
    switch (p->control) {
    case PQL_CONTROL_RUN: running(p, wait_ms); break;
    case PQL_CONTROL_SETTLE_REVOKED:
    case PQL_CONTROL_SETTLE_LOST:
    case PQL_CONTROL_SETTLE_STOP: settling(p, wait_ms); break;
    case PQL_CONTROL_LEAVE: leave(p); break;
    case PQL_CONTROL_DONE: break;
    }
}
