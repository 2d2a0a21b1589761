#include "app/remedy.h"
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

static void init(struct pql_task *task, struct pql_pipeline *p, int32_t partition)
{
    *task = (struct pql_task){.partition = partition};
    task->worker = (unsigned)partition % p->conf->workers;
    task->keeper = (unsigned)partition % p->conf->keepers;
    task->pipeline = p;
    task->owner = &p->workers[task->worker];
    task->edition = p->wanted;
    task->revision = p->wanted_revision;
    task->semantics = p->conf->semantics;
    task->decoders = p->conf->decoding.open(task->edition->context, partition);
    task->run_input = -1;
    task->refreshed = p->refresh_wanted;
    task->lag_ms = -1;
    task->shown_seen_ms = PQL_NO_TIME;
    task->shown_revision = -1;
    pql_needed_init(task);
    task->pointer.manifest = task->pending.manifest = -1;
    pql_arena_init(&task->arena);
}

static void deinit(struct pql_task *task)
{
    pql_restore_free(task);
    task->pipeline->conf->decoding.close(task->decoders);
    if (task->engine) pql_engine_free(task->engine);
    pql_epoch_free(task->open);
    pql_epoch_free(task->sealed);
    for (size_t i = 0; i < PQL_INPUTS_MAX; i++) free(task->inbox[i].items);
    free(task->script.items);
    pql_base_deinit(&task->base);
    pql_arena_deinit(&task->arena);
}

int pql_task_set_edition(struct pql_pipeline *p, struct pql_task *task, const struct pql_edition *edition,
                         struct pql_err *err)
{
    const struct pql_decoding *decoding = &p->conf->decoding;
    struct pql_buf schemas = {0};
    if (edition == task->edition) return 0;
    if (decoding->save) decoding->save(task->decoders, &schemas);
    void *decoders = decoding->open(edition->context, task->partition);
    int rc = decoding->load ? decoding->load(decoders, (struct pql_slice){schemas.ptr, schemas.len}, err) : 0;
    pql_buf_deinit(&schemas);
    decoding->close(rc ? decoders : task->decoders);
    if (rc) return -1;
    pql_lock(p);
    task->decoders = decoders;
    task->edition = edition;
    pql_unlock(p);
    return 0;
}

struct pql_task *pql_task_new(struct pql_pipeline *p, int32_t partition)
{
    struct pql_task *task = pql_xmalloc(sizeof *task);
    init(task, p, partition);
    return task;
}

void pql_task_reset(struct pql_task *task)
{
    struct pql_task before = *task;
    deinit(task);
    init(task, before.pipeline, before.partition);
    task->phase = before.phase;
    task->incarnation = before.incarnation;
    task->assigned_us = before.assigned_us;
    task->closing = before.closing;
    task->lost = before.lost;
    task->handover_deadline_us = before.handover_deadline_us;
    task->keeper_busy = before.keeper_busy;
}

void pql_task_free(struct pql_task *task)
{
    if (!task) return;
    deinit(task);
    free(task);
}

void pql_task_committed(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_epoch *epoch = task->sealed;
    p->committer.records += pql_epoch_transitions(epoch);
    task->committed = epoch->end;
    memcpy(task->committed_writer, epoch->metadata.writer, sizeof task->committed_writer);
    task->committed_epoch = epoch->metadata.epoch;
    if (epoch->has_pointer && epoch->trim_before > 0) task->trim_before = epoch->trim_before;
    task->in_txn = false;
    if (pql_epoch_go_on(epoch)) return;
    task->sealed = NULL;
    pql_epoch_free(epoch);
}

bool pql_place_reached(const struct pql_pipeline *p, const struct pql_log_place *place,
                       const struct pql_log_place *wanted)
{
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (place->next[i] < wanted->next[i]) return false;
    return true;
}

const char *const pql_phase_names[PQL_PHASE_COUNT] = {
    [PQL_PHASE_RESTORE] = "restore",   [PQL_PHASE_CLAIM] = "claim", [PQL_PHASE_READY] = "ready",
    [PQL_PHASE_REPLAY] = "replay",     [PQL_PHASE_LIVE] = "live",   [PQL_PHASE_BLOCKED] = "blocked",
    [PQL_PHASE_RELEASED] = "released",
};

void pql_task_set_phase(struct pql_task *task, enum pql_phase phase)
{
    static const unsigned from[PQL_PHASE_COUNT] = {
        [PQL_PHASE_CLAIM] = 1u << PQL_PHASE_RESTORE,
        [PQL_PHASE_READY] = 1u << PQL_PHASE_RESTORE | 1u << PQL_PHASE_CLAIM,
        [PQL_PHASE_REPLAY] = 1u << PQL_PHASE_READY,
        [PQL_PHASE_LIVE] = 1u << PQL_PHASE_REPLAY | 1u << PQL_PHASE_READY,
        [PQL_PHASE_BLOCKED] = 1u << PQL_PHASE_RESTORE | 1u << PQL_PHASE_REPLAY | 1u << PQL_PHASE_LIVE,
        [PQL_PHASE_RELEASED] = ~(1u << PQL_PHASE_PARKED),
        [PQL_PHASE_PARKED] = 1u << PQL_PHASE_RELEASED,
        [PQL_PHASE_RESTORE] = 1u << PQL_PHASE_PARKED,
    };
    PQL_ASSERT(from[phase] & 1u << task->phase);
    task->phase = phase;
}

void pql_task_block(struct pql_pipeline *p, struct pql_task *task, enum pql_stop stop,
                    const struct pql_err *err)
{
    struct pql_err why = *err;
    pql_remedy_add(p->conf, &why);
    pql_log(PQL_LOG_ERROR, "the task stops here and commits nothing more",
            "topic=%s partition=%d offset=%lld cause=%s", p->conf->inputs[0].topic, task->partition,
            (long long)task->place.next[0], why.msg);
    pql_lock(p);
    task->blocked = *err;
    task->blocked_stop = stop;
    if (task->phase != PQL_PHASE_RELEASED) pql_task_set_phase(task, PQL_PHASE_BLOCKED);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (task->feed[i] == PQL_FEED_OPEN || task->feed[i] == PQL_FEED_RESUME)
            task->feed[i] = PQL_FEED_PAUSE;
    pql_wake_all(p);
    pql_unlock(p);
}

struct pql_epoch *pql_task_open_epoch(struct pql_task *task)
{
    if (!task->open) task->open = pql_xcalloc(1, sizeof *task->open);
    return task->open;
}

void pql_task_journal_refused(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_journal entry = {.kind = PQL_JOURNAL_REFUSED,
                                .input = task->refused.input,
                                .refused_from = task->refused.from,
                                .reason = pql_slice_of(task->refused.reason ? task->refused.reason : "")};
    bool is_any = task->refused.reason != NULL;
    task->refused.reason = NULL;
    if (is_any && !PQL_BREAKS(p, REFUSALS_NOT_JOURNALED)) pql_task_journal(p, task, &entry, PQL_NO_TIME);
}

void pql_task_journal(struct pql_pipeline *p, struct pql_task *task, struct pql_journal *entry,
                      int64_t wall_ms)
{
    struct pql_buf bytes = {0};
    pql_task_journal_refused(p, task);
    task->place.journal++;
    task->run_input = -1;
    entry->task = task->partition;
    entry->writer = pql_slice_of(p->conf->writer);
    entry->inputs_count = p->conf->inputs_count;
    entry->place = task->place;
    pql_journal_write(entry, &bytes);
    pql_epoch_add(pql_task_open_epoch(task), &(struct pql_out_record){.output = PQL_OUT_CHECKPOINT,
                                                                      .partition = task->partition,
                                                                      .has_value = true,
                                                                      .value = {bytes.ptr, bytes.len},
                                                                      .timestamp_ms = wall_ms});
    pql_buf_deinit(&bytes);
}

static void cut(const struct pql_pipeline *p, const struct pql_task *task, struct pql_epoch *epoch,
                struct pql_epoch_cut *at)
{
    at->end = task->place;
    at->metadata = (struct pql_metadata){
        .journal = task->place.journal,
        .records = task->records - task->pointer.records,
        .hash = task->hash - task->pointer.hash,
        .manifest = task->pointer.manifest,
        .is_behind = p->conf->at_least_once || task->script.next < task->script.count,
    };
    memcpy(at->metadata.topic_id, p->checkpoint_id, sizeof at->metadata.topic_id);
    memcpy(at->metadata.writer, p->conf->writer, sizeof at->metadata.writer);
    pql_epoch_cut(epoch, at);
}

void pql_task_cut(struct pql_pipeline *p, struct pql_task *task)
{
    if (!task->open || p->conf->at_least_once || pql_epoch_uncut(task->open) < p->conf->cut_bytes) return;
    pql_task_journal_refused(p, task);
    cut(p, task, task->open, &(struct pql_epoch_cut){0});
}

/* The pointer belongs to the first epoch that is closed after the manifest was acknowledged, never to an
 * older one. */
void pql_task_seal(struct pql_pipeline *p, struct pql_task *task, uint64_t now_us)
{
    struct pql_epoch *epoch = pql_task_open_epoch(task);
    PQL_ASSERT(!task->sealed);
    pql_task_journal_refused(p, task);
    /* Outputs may be seen before the offsets are committed, so the order of the last run may not be left to
     * C. */
    if (p->conf->at_least_once && p->conf->inputs_count > 1 && task->run_input >= 0 && epoch->count &&
        task->script.next == task->script.count)
        pql_task_journal(p, task, &(struct pql_journal){.kind = PQL_JOURNAL_RUN}, PQL_NO_TIME);
    struct pql_epoch_cut last = {0};
    if (task->pending.manifest >= 0) {
        last.has_pointer = true;
        last.trim_before = task->pending.trim_before;
        task->pointer = task->pending;
        task->pending.manifest = -1;
    }
    cut(p, task, epoch, &last);
    (void)pql_epoch_choose(epoch, UINT64_MAX);
    task->sealed = epoch;
    task->open = NULL;
    task->last_seal_us = now_us;
}
