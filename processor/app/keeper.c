/* keeper.c - what may block and is no worker's: restores, pausing and seeking, what a snapshot must know,
 * trimming. */
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

enum { CALL_MS = 5000, ACKS = 256, WATCH_MS = 1000, WATCH_US = 30000000 };

enum job { JOB_NONE, JOB_RESTORE, JOB_FEED, JOB_ENDS, JOB_TRIM, JOB_FILL, JOB_RELEASE };

/* Under the lock. Tasks that no worker has are let go here. */
static enum job job_of(const struct pql_pipeline *p, const struct pql_task *task)
{
    bool leaves = task->closing || task->lost;
    if (task->phase == PQL_PHASE_RELEASED) return JOB_NONE;
    if (leaves && !task->worker_busy && (task->phase != PQL_PHASE_CLAIM || (task->lost && !task->in_txn)))
        return JOB_RELEASE;
    if (task->phase == PQL_PHASE_RESTORE) return JOB_RESTORE;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (task->feed[i] == PQL_FEED_SEEK || task->feed[i] == PQL_FEED_RESUME ||
            task->feed[i] == PQL_FEED_PAUSE)
            return JOB_FEED;
    if (task->ends_wanted) return JOB_ENDS;
    if (task->fill_asking == PQL_ASKING_WANTED) return JOB_FILL;
    return task->trim_before > 0 ? JOB_TRIM : JOB_NONE;
}

/* One input's feed, one call: pause, seek or resume. What was asked for meanwhile is seen by the next step.
 */
static void move_feed(struct pql_pipeline *p, struct pql_task *task)
{
    static const enum pql_feed done[] = {
        [PQL_FEED_SEEK] = PQL_FEED_SOUGHT,
        [PQL_FEED_RESUME] = PQL_FEED_OPEN,
        [PQL_FEED_PAUSE] = PQL_FEED_CLOSED,
    };
    struct pql_err err = {0};
    pql_lock(p);
    uint32_t i = 0;
    while (i < p->conf->inputs_count && task->feed[i] != PQL_FEED_SEEK && task->feed[i] != PQL_FEED_RESUME &&
           task->feed[i] != PQL_FEED_PAUSE)
        i++;
    enum pql_feed feed = i < p->conf->inputs_count ? task->feed[i] : PQL_FEED_CLOSED;
    struct pql_position position = {.input = i,
                                    .partition = task->partition,
                                    .offset = i < p->conf->inputs_count ? task->feed_from[i] : 0};
    pql_unlock(p);
    if (feed == PQL_FEED_CLOSED) return;
    int rc = feed == PQL_FEED_SEEK     ? p->ports->seek(p->ports->self, &position, 1, CALL_MS, &err)
             : feed == PQL_FEED_RESUME ? p->ports->resume(p->ports->self, &position, 1, &err)
                                       : p->ports->pause(p->ports->self, &position, 1, &err);
    if (rc && err.cls != PQL_ERR_RETRY) {
        pql_pipeline_fail(p, PQL_STOP_FATAL, &err);
        return;
    }
    if (rc)
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "seek or pause waits",
                        "partition=%d cause=%s", task->partition, err.msg);
    pql_lock(p);
    if (!rc && task->feed[i] == feed) task->feed[i] = done[feed];
    pql_unlock(p);
    if (!rc) p->ports->worker_wake(p->ports->self, task->worker);
}

static void learn_end(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_err err = {0};
    int64_t low, end;
    int rc = p->ports->checkpoint_ends(p->ports->self, task->partition, &low, &end, CALL_MS, &err);
    if (rc) {
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "a snapshot waits",
                        "partition=%d cause=%s", task->partition, err.msg);
        return;
    }
    pql_lock(p);
    task->ends_wanted = false;
    task->ends_known = true;
    task->checkpoint_end = end;
    pql_unlock(p);
}

static void trim(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_err err = {0};
    pql_lock(p);
    int64_t before = task->trim_before;
    task->trim_before = 0;
    pql_unlock(p);
    if (p->ports->checkpoint_trim(p->ports->self, task->partition, before, CALL_MS, &err))
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN,
                        "the checkpoint topic could not be trimmed, it grows", "partition=%d cause=%s",
                        task->partition, err.msg);
}

static void let_go(struct pql_pipeline *p, struct pql_task *task)
{
    pql_restore_free(task);
    pql_lock(p);
    if (!task->worker_busy) pql_task_set_phase(task, PQL_PHASE_RELEASED);
    pql_wake_all(p);
    pql_unlock(p);
}

static void take_acks(struct pql_pipeline *p)
{
    struct pql_ack acks[ACKS];
    size_t n = p->ports->plain_acks(p->ports->self, PQL_LANE_SNAPSHOT, acks, ACKS, 0);
    if (!n) return;
    pql_lock(p);
    for (size_t i = 0; i < n; i++) {
        size_t worker = (size_t)(acks[i].cookie >> 56);
        if (worker >= p->conf->workers) continue;
        struct pql_ack_queue *queue = &p->workers[worker].acks;
        queue->items = pql_xgrow(queue->items, &queue->capacity, queue->count + 1, sizeof *queue->items);
        queue->items[queue->count++] = acks[i];
    }
    pql_unlock(p);
    for (unsigned w = 0; w < p->conf->workers; w++) p->ports->worker_wake(p->ports->self, w);
}

/* Accounts live in the partitions that the topics had when the process started. One question a step. */
static void watch_inputs(struct pql_pipeline *p)
{
    struct pql_topic_facts facts;
    struct pql_err err = {0};
    uint64_t now = p->ports->mono_us(p->ports->self);
    if (!p->watched_us) p->watched_us = now;
    if (now - p->watched_us < WATCH_US / p->conf->inputs_count) return;
    p->watched_us = now;
    uint32_t input = p->watched_input++ % p->conf->inputs_count;
    if (p->ports->input_facts(p->ports->self, input, &facts, WATCH_MS, &err) || !facts.exists) return;
    pql_retention_watch(p, input, &facts);
    if (facts.partitions_count != p->partitions_count)
        pql_pipeline_partitions_added(p, input, facts.partitions_count);
    if (strcmp(facts.id, p->input_ids[input]) != 0 && strcmp(facts.id, "-") != 0 &&
        strcmp(p->input_ids[input], "-") != 0) {
        PQL_FAIL(
            &err, PQL_ERR_CONFIG,
            "%s was deleted and created again while this ran (id %s then, %s now): the state is of what it "
            "was. `pqlstream checkpoint forget` starts from its beginning",
            p->conf->inputs[input].topic, p->input_ids[input], facts.id);
        pql_pipeline_fail(p, PQL_STOP_STATE, &err);
    }
}

/* Under the lock: one task of this keeper that has something to do; each has its turn. */
static struct pql_task *choose(struct pql_pipeline *p, unsigned keeper, enum job *job)
{
    size_t *turn = &p->keeper_turns[keeper];
    for (size_t i = 0; i < p->count; i++) {
        struct pql_task *task = p->tasks[(*turn + i) % p->count];
        if (task->keeper != keeper || (*job = job_of(p, task)) == JOB_NONE) continue;
        *turn = (*turn + i + 1) % p->count;
        task->keeper_busy = true;
        return task;
    }
    return NULL;
}

void pql_keeper_step(struct pql_pipeline *p, unsigned keeper, int wait_ms)
{
    enum job job = JOB_NONE;
    if (keeper == 0) {
        take_acks(p);
        watch_inputs(p);
    }
    pql_lock(p);
    struct pql_task *task = choose(p, keeper, &job);
    if (!task) pql_wait_changed(p, wait_ms);
    pql_unlock(p);
    if (!task) return;
    switch (job) {
    case JOB_RESTORE: pql_restore_step(p, task); break;
    case JOB_FEED: move_feed(p, task); break;
    case JOB_ENDS: learn_end(p, task); break;
    case JOB_TRIM: trim(p, task); break;
    case JOB_FILL: pql_fill_ask(p, task); break;
    case JOB_RELEASE: let_go(p, task); break;
    case JOB_NONE: break;
    }
    pql_lock(p);
    task->keeper_busy = false;
    if (task->phase == PQL_PHASE_RESTORE) task->memory = pql_restore_memory(task);
    bool waits = task->restore || task->phase == PQL_PHASE_RESTORE;
    pql_wake_all(p);
    if (waits) pql_wait_changed(p, wait_ms > 1 ? 1 : wait_ms);
    pql_unlock(p);
}
