/* park.c - tasks that were taken away, kept for a while: they often come back, after a broker that was silent
 * or a rebalance that went nowhere, and then nothing has to be restored.
 *
 *   RELEASED ─► PARKED ─► RESTORE ─┬─ last committed by us, where we know ─► READY, with the epochs kept
 *                                  ├─ that is a kept one ─► it is dropped, READY with the rest
 *                                  └─ anything else ─► state discarded, restored like any other
 *
 * Only writer and epoch can tell: offsets may be equal after somebody else's ticks. At least once nothing is
 * parked, since there a journal goes on without its offsets. */
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

static uint64_t now_us(const struct pql_pipeline *p)
{
    return p->ports->mono_us(p->ports->self);
}

bool pql_park(struct pql_pipeline *p, struct pql_task *task)
{
    if (!task->is_whole || task->fill.is_open || p->stop_wanted || p->conf->at_least_once ||
        p->conf->park_ms <= 0)
        return false;
    pql_task_set_phase(task, PQL_PHASE_PARKED);
    task->parked_us = now_us(p);
    p->parked = pql_xgrow(p->parked, &p->parked_capacity, p->parked_count + 1, sizeof(struct pql_task *));
    p->parked[p->parked_count++] = task;
    return true;
}

/* What belonged to the assignment that is over is forgotten; state and epochs stay. */
static void assign_anew(struct pql_pipeline *p, struct pql_task *task)
{
    task->closing = task->lost = task->is_leaving = task->final_done = false;
    task->ends_wanted = task->ends_known = task->tick_wanted = false;
    task->fill_asking = PQL_ASKING_NOT;
    task->ends_asked_us = 0;
    for (uint32_t i = 0; i < PQL_INPUTS_MAX; i++) {
        task->feed[i] = PQL_FEED_CLOSED;
        task->accepts[i] = task->ended[i] = false;
    }
    task->is_kept = true;
    pql_task_set_phase(task, PQL_PHASE_RESTORE);
    (void)p;
}

struct pql_task *pql_unpark(struct pql_pipeline *p, int32_t partition)
{
    for (size_t i = 0; i < p->parked_count; i++) {
        struct pql_task *task = p->parked[i];
        if (task->partition != partition) continue;
        p->parked[i] = p->parked[--p->parked_count];
        assign_anew(p, task);
        return task;
    }
    return NULL;
}

/* Takes those parked before a time out of the pipeline, and frees them without the lock. */
static size_t give_up_before(struct pql_pipeline *p, uint64_t before_us)
{
    struct pql_task **old = NULL;
    size_t count = 0, capacity = 0, kept = 0;
    pql_lock(p);
    for (size_t i = 0; i < p->parked_count; i++) {
        if (p->parked[i]->parked_us >= before_us) {
            p->parked[kept++] = p->parked[i];
            continue;
        }
        old = pql_xgrow(old, &capacity, count + 1, sizeof(struct pql_task *));
        old[count++] = p->parked[i];
    }
    p->parked_count = kept;
    pql_unlock(p);
    for (size_t i = 0; i < count; i++) pql_task_free(old[i]);
    free(old);
    return count;
}

size_t pql_pipeline_give_up_parked(struct pql_pipeline *p)
{
    return give_up_before(p, UINT64_MAX);
}

void pql_park_expire(struct pql_pipeline *p)
{
    uint64_t now = now_us(p), most = (uint64_t)p->conf->park_ms * 1000;
    if (now > most) (void)give_up_before(p, now - most);
}

/* --- back again --- */

/* Whether the group's offsets are those of this epoch: one commit of this writer, with these positions. */
static bool is_committed(const struct pql_pipeline *p, const struct pql_position *positions,
                         const struct pql_log_place *place, const char *writer, uint64_t epoch)
{
    struct pql_metadata m;
    struct pql_err err;
    if (positions[0].offset < 0 || pql_metadata_parse(pql_slice_of(positions[0].metadata), &m, &err))
        return false;
    if (PQL_BREAKS(p, UNPARK_WITHOUT_WRITER)) return m.epoch == epoch;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (positions[i].offset != place->next[i] ||
            strcmp(positions[i].metadata, positions[0].metadata) != 0)
            return false;
    return m.epoch == epoch && m.journal == place->journal && !strcmp(m.writer, writer);
}

static void go_on(struct pql_pipeline *p, struct pql_task *task)
{
    size_t records = (task->sealed ? task->sealed->count : 0) + (task->open ? task->open->count : 0);
    pql_log(PQL_LOG_INFO, "the task goes on where it was",
            "topic=%s partition=%d offset=%lld committed_by=%s epoch=%llu kept_records=%zu parked_ms=%llu",
            p->conf->inputs[0].topic, task->partition, (long long)task->place.next[0], task->committed_writer,
            (unsigned long long)task->committed_epoch, records,
            (unsigned long long)(now_us(p) - task->parked_us) / 1000);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) {
        task->feed_from[i] = task->place.next[i];
        task->feed[i] = PQL_FEED_SEEK;
    }
    pql_task_set_phase(task, PQL_PHASE_READY);
    pql_wake_all(p);
}

bool pql_park_goes_on(struct pql_pipeline *p, struct pql_task *task, const struct pql_position *positions)
{
    struct pql_epoch *sealed = task->sealed;
    bool is_ours =
        is_committed(p, positions, &task->committed, task->committed_writer, task->committed_epoch);
    bool is_sealed =
        !is_ours && sealed && sealed->metadata.epoch &&
        is_committed(p, positions, &sealed->end, sealed->metadata.writer, sealed->metadata.epoch);
    if (is_ours || is_sealed) {
        pql_lock(p);
        if (is_sealed) pql_task_committed(p, task);
        go_on(p, task);
        p->resumed++;
        pql_unlock(p);
        return true;
    }
    pql_log(PQL_LOG_INFO, "others worked on the task meanwhile; its state is loaded anew",
            "topic=%s partition=%d", p->conf->inputs[0].topic, task->partition);
    pql_lock(p);
    pql_task_reset(task);
    pql_unlock(p);
    return false;
}
