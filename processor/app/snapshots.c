/* snapshots.c - whole snapshots of one task after the other, in slices between batches.
 *
 *   due ─► end of the checkpoint partition known ─► S fixed ─► chunks written ─► all acknowledged ─► manifest
 * written ─► acknowledged: the task's pending pointer, carried by the next epoch that is sealed
 *
 * Pages are one stream of bytes, cut into chunks anywhere: a page (the events that wait, an account of many
 * users) may be larger than a record can be. So chunks are read in the order of their numbers, and their
 * offsets rise with these. A worker never waits for it: a producer that is slow is left alone until the
 * attempt is given up. */
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

enum {
    SLICE_BYTES = 64 << 10,
    CHUNK_BYTES = 192 << 10,
    CHUNK_OVERHEAD = 512, /* of its head, and of framing it in a batch */
    INFLIGHT_BYTES = 32 << 20,
    FINAL_SLICES = 16, /* of a closing task in one turn */
    STALLED_US = 60000000,
    REPLAY_PER_MS = 300, /* records that a replay takes, cautiously */
};

static uint64_t cookie(const struct pql_worker *w, size_t chunk)
{
    return (uint64_t)w->index << 56 | (uint64_t)(w->snapshot.serial & 0xffffff) << 32 | chunk;
}

static void forget(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    for (size_t i = 0; i < s->chunks_count; i++) pql_buf_deinit(&s->chunks[i].bytes);
    s->task = NULL;
    pql_buf_deinit(&s->pages);
    s->chunks_count = s->acked = 0;
    s->bytes = s->inflight = 0;
    s->is_complete = s->manifest_sent = false;
    s->serial++;
}

void pql_snapshots_deinit(struct pql_worker *w)
{
    forget(w);
    free(w->snapshot.chunks);
}

void pql_snapshots_abandon(struct pql_worker *w, struct pql_task *task)
{
    if (w->snapshot.task != task || !task) return;
    if (!w->snapshot.is_complete) pql_snapshot_abandon(task->engine);
    w->stats.snapshots_abandoned++;
    task->last_snapshot_us = w->now_us;
    task->final_done |= task->is_leaving;
    forget(w);
}

static void give_up(struct pql_worker *w, const char *cause)
{
    struct pql_task *task = w->snapshot.task;
    pql_log(PQL_LOG_WARN, "snapshot given up; the one before stays", "partition=%d bytes=%llu cause=%s",
            task->partition, (unsigned long long)w->snapshot.bytes, cause);
    pql_snapshots_abandon(w, task);
}

/* --- when --- */

static bool has_changed(const struct pql_task *task)
{
    return task->taken_since_snapshot || task->pointer.manifest < 0 || task->records != task->pointer.records;
}

/* At least once: entries behind S that are older than the snapshot would stand before its journal_from. */
static bool is_scripted(const struct pql_task *task)
{
    return task->script.next < task->script.count;
}

static bool is_due(const struct pql_worker *w, const struct pql_task *task)
{
    const struct pql_pipeline_conf *conf = w->pipeline->conf;
    if (task->phase != PQL_PHASE_LIVE || task->pending.manifest >= 0 || is_scripted(task)) return false;
    if (task->is_leaving) return !task->final_done;
    uint64_t age_us = w->now_us - task->last_snapshot_us;
    if (!has_changed(task) || age_us < (uint64_t)conf->checkpoint_interval_ms * 1000 / 16) return false;
    return age_us >= (uint64_t)conf->checkpoint_interval_ms * 1000 ||
           task->taken_since_snapshot >= (uint64_t)conf->restore_target_ms * REPLAY_PER_MS;
}

/* The offset from which entries after S stand: any end known before S is fixed will do. True once it is
 * known. */
static bool knows_end(struct pql_worker *w, struct pql_task *task)
{
    pql_lock(w->pipeline);
    bool known = task->ends_known;
    if (!known && !task->ends_wanted) {
        task->ends_wanted = true;
        pql_wake_all(w->pipeline);
    }
    w->snapshot.journal_from = task->checkpoint_end;
    pql_unlock(w->pipeline);
    return known;
}

static void begin(struct pql_worker *w, struct pql_task *task)
{
    struct pql_snapshot *s = &w->snapshot;
    pql_lock(w->pipeline);
    task->ends_known = false;
    pql_unlock(w->pipeline);
    pql_task_journal_refused(w->pipeline, task);
    s->task = task;
    s->number = ++task->snapshot_number;
    s->place = task->place;
    s->records = task->records;
    s->hash = task->hash;
    s->share = task->share;
    s->lag_ms = task->lag_ms;
    s->run_input = task->run_input;
    s->accounts = pql_engine_stats(task->engine).accounts;
    s->begun_us = s->progress_us = w->now_us;
    pql_snapshot_begin(task->engine, 1, 0);
    task->taken_since_snapshot = 0;
    w->did_something = true;
}

/* A closing task goes first; a running snapshot of another one gives way to it. */
static void choose(struct pql_worker *w)
{
    struct pql_task *running = w->snapshot.task;
    for (size_t i = 0; i < w->count; i++) {
        struct pql_task *task = w->tasks[i];
        if (!task->is_leaving || task->final_done || task->phase != PQL_PHASE_LIVE) continue;
        bool late = w->now_us > task->leave_by_us || is_scripted(task);
        if (running == task ? late : late || (!running && !has_changed(task))) {
            if (running == task) give_up(w, "handover_budget");
            task->final_done = true;
        }
        /* A snapshot begun before closing holds an older S: it is let go for one with S = C. */
        if (running == task && !task->final_done &&
            !pql_place_reached(w->pipeline, &w->snapshot.place, &task->place)) {
            pql_snapshots_abandon(w, task);
            task->final_done = false;
        } else if (running && running != task && !running->is_leaving && !task->final_done) {
            give_up(w, "a partition is given back");
        }
        running = w->snapshot.task;
    }
    for (size_t i = 0; !w->snapshot.task && i < w->count; i++) {
        struct pql_task *task = w->tasks[(w->snapshot_turn + i) % w->count];
        bool others_close = false;
        for (size_t k = 0; k < w->count; k++)
            others_close |= w->tasks[k]->is_leaving && !w->tasks[k]->final_done;
        if ((others_close && !task->is_leaving) || !is_due(w, task) || !knows_end(w, task)) continue;
        w->snapshot_turn = (w->snapshot_turn + i + 1) % w->count;
        begin(w, task);
    }
}

/* --- writing --- */

static bool send(struct pql_worker *w, size_t index)
{
    struct pql_chunk_out *chunk = &w->snapshot.chunks[index];
    struct pql_err err = {0};
    struct pql_out_record record = {
        .output = PQL_OUT_CHECKPOINT,
        .partition = w->snapshot.task->partition,
        .has_value = true,
        .value = {chunk->bytes.ptr, chunk->bytes.len},
        .timestamp_ms = w->wall_ms,
    };
    if (!w->pipeline->ports->plain_produce(w->pipeline->ports->self, PQL_LANE_SNAPSHOT, &record,
                                           cookie(w, index), &err))
        return true;
    if (err.cls != PQL_ERR_RETRY) give_up(w, err.msg);
    return false;
}

/* Moves buf into a new chunk and sends it; one that the producer has no room for is sent by a later turn. */
static void add_chunk(struct pql_worker *w, struct pql_buf *buf)
{
    struct pql_snapshot *s = &w->snapshot;
    s->chunks = pql_xgrow(s->chunks, &s->chunks_capacity, s->chunks_count + 1, sizeof *s->chunks);
    s->chunks[s->chunks_count++] = (struct pql_chunk_out){.bytes = *buf, .offset = -2};
    s->bytes += buf->len;
    s->inflight += buf->len;
    *buf = (struct pql_buf){0};
}

/* offset -2: not handed to the producer yet. */
static bool send_waiting(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    for (size_t i = s->acked; i < s->chunks_count; i++) {
        if (s->chunks[i].offset != -2) continue;
        if (!send(w, i)) return false;
        s->chunks[i].offset = -1;
    }
    return true;
}

static void cut_chunk(struct pql_worker *w, struct pql_slice pages)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_chunk head = {.task = s->task->partition,
                             .writer = pql_slice_of(w->pipeline->conf->writer),
                             .snapshot = s->number,
                             .number = (uint32_t)s->chunks_count};
    struct pql_buf bytes = {0};
    pql_chunk_begin(&head, &bytes);
    pql_buf_put(&bytes, pages.ptr, pages.len);
    pql_checkpoint_seal(&bytes, 0);
    add_chunk(w, &bytes);
}

static size_t chunk_bytes(const struct pql_worker *w)
{
    size_t most = (size_t)w->pipeline->max_bytes[PQL_OUT_CHECKPOINT] - CHUNK_OVERHEAD;
    return most < CHUNK_BYTES ? most : CHUNK_BYTES;
}

/* One slice of pages; chunks that are full, or the last, are sealed and on their way. */
static void slice(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    size_t before = s->pages.len, most = chunk_bytes(w), at = 0;
    s->is_complete = pql_snapshot_step(s->task->engine, &s->pages, SLICE_BYTES);
    w->tokens -= (int64_t)(s->pages.len - before);
    s->progress_us = w->now_us;
    w->did_something = true;
    for (; s->pages.len - at >= most; at += most) cut_chunk(w, (struct pql_slice){s->pages.ptr + at, most});
    s->pages.len -= at;
    if (at) memmove(s->pages.ptr, s->pages.ptr + at, s->pages.len);
    if (!s->is_complete || !s->pages.len) return;
    cut_chunk(w, (struct pql_slice){s->pages.ptr, s->pages.len});
    s->pages.len = 0;
}

/* A manifest is of what is committed: whoever finds the newest one without the group's offsets (`checkpoint
 * adopt`) may go on from it, and nothing that was not published lies before it. */
static bool is_committed(struct pql_worker *w)
{
    const struct pql_snapshot *s = &w->snapshot;
    pql_lock(w->pipeline);
    bool is_there = pql_place_reached(w->pipeline, &s->task->committed, &s->place) &&
                    s->task->committed.journal >= s->place.journal;
    pql_unlock(w->pipeline);
    return is_there || PQL_BREAKS(w->pipeline, MANIFEST_BEFORE_COMMIT);
}

static void write_manifest(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_pipeline *p = w->pipeline;
    struct pql_task *task = s->task;
    struct pql_buf bytes = {0}, schemas = {0};
    int64_t *offsets = pql_xmalloc(s->chunks_count * sizeof *offsets);
    for (size_t i = 0; i < s->chunks_count; i++) offsets[i] = s->chunks[i].offset;
    if (p->conf->decoding.save) p->conf->decoding.save(task->decoders, &schemas);
    s->low = offsets[0] < s->journal_from ? offsets[0] : s->journal_from;
    struct pql_manifest manifest = {
        .task = task->partition,
        .writer = pql_slice_of(p->conf->writer),
        .snapshot = s->number,
        .semantics = task->semantics,
        .inputs_count = p->conf->inputs_count,
        .place = s->place,
        .journal_from = s->journal_from,
        .chunks = offsets,
        .chunks_count = s->chunks_count,
        .bytes = s->bytes,
        .accounts = s->accounts,
        .digest = pql_snapshot_digest(task->engine),
        .program = pql_program_text(task->edition->program),
        .program_hash = pql_slice_of(task->edition->hash),
        .revision = task->revision,
        .partitions_count = p->partitions_count,
        .partitioner = PQL_SLICE_LITERAL("murmur2"),
        .predecessor = task->pointer.manifest,
        .low = s->low,
        .predecessor_low = task->pointer.low,
        .before_predecessor_low = task->pointer.predecessor_low,
        .lag_ms = s->lag_ms,
        .run_input = s->run_input,
        .share = s->share,
        .schemas = {schemas.ptr, schemas.len},
    };
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        manifest.topic_ids[i] = pql_slice_of(p->input_ids[i]);
    pql_manifest_write(&manifest, &bytes);
    s->manifest_sent = true;
    add_chunk(w, &bytes);
    free(offsets);
    pql_buf_deinit(&schemas);
}

static void finish(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_task *task = s->task;
    task->pending = (struct pql_pointer){
        .manifest = s->chunks[s->chunks_count - 1].offset,
        .low = s->low,
        .predecessor_low = task->pointer.low,
        .before_predecessor_low = PQL_BREAKS(w->pipeline, TRIM_BY_FIRST_CHUNK)
                                      ? s->chunks[0].offset
                                      : task->pointer.predecessor_low,
        .records = s->records,
        .hash = s->hash,
    };
    pql_snapshot_saved(task->engine);
    task->last_snapshot_us = w->now_us;
    task->final_done |= task->is_leaving;
    w->snapshot_refused = NULL;
    w->stats.snapshots++;
    w->stats.snapshot_bytes += s->bytes;
    pql_log(PQL_LOG_DEBUG, "snapshot written", "partition=%d manifest=%lld bytes=%llu chunks=%zu ms=%llu",
            task->partition, (long long)task->pending.manifest, (unsigned long long)s->bytes,
            s->chunks_count - 1, (unsigned long long)(w->now_us - s->begun_us) / 1000);
    forget(w);
}

/* A chunk that was not written, or nobody knows where: all from the first that is not settled are written
 * again, so that offsets rise with numbers. The new serial tells apart what is still on its way. */
static void write_again(struct pql_snapshot *s)
{
    s->serial++;
    for (size_t i = s->acked; i < s->chunks_count; i++) {
        s->chunks[i].is_acked = false;
        s->chunks[i].offset = -2;
    }
}

static void take_ack(struct pql_worker *w, const struct pql_ack *ack)
{
    struct pql_snapshot *s = &w->snapshot;
    size_t index = (uint32_t)ack->cookie;
    if (ack->cookie != cookie(w, index) || index >= s->chunks_count) return;
    s->progress_us = w->now_us;
    if (ack->failed == PQL_ERR_NONE && ack->offset >= 0) {
        s->chunks[index].offset = ack->offset;
        s->chunks[index].is_acked = true;
    } else if (ack->failed == PQL_ERR_NONE || ack->failed == PQL_ERR_RETRY) {
        write_again(s);
    } else {
        struct pql_err err;
        const char *topic = w->pipeline->conf->outputs[PQL_OUT_CHECKPOINT];
        PQL_FAIL(&err, PQL_ERR_CONFIG, "%s: a chunk was refused: %s", topic,
                 ack->reason ? ack->reason : "the broker does not say why");
        err.reason = ack->reason;
        err.topic = topic;
        pql_pipeline_is_lasting(w->pipeline, &w->snapshot_refused, &err);
        give_up(w, err.msg);
    }
}

/* Acknowledgements of an earlier attempt have another serial. The bytes of a chunk are kept until all before
 * it are acknowledged too. */
static void take_acks(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    for (size_t i = 0; i < w->acks_taken.count && s->task; i++) take_ack(w, &w->acks_taken.items[i]);
    w->acks_taken.count = 0;
    for (; s->task && s->acked < s->chunks_count && s->chunks[s->acked].is_acked; s->acked++) {
        s->inflight -= s->chunks[s->acked].bytes.len;
        pql_buf_deinit(&s->chunks[s->acked].bytes);
    }
}

static void earn_tokens(struct pql_worker *w)
{
    uint64_t rate = w->pipeline->conf->checkpoint_bandwidth / w->pipeline->conf->workers;
    uint64_t elapsed = w->tokens_us ? w->now_us - w->tokens_us : 0;
    if (elapsed > 1000000) elapsed = 1000000;
    w->tokens_us = w->now_us;
    w->tokens += (int64_t)(rate * elapsed / 1000000);
    int64_t most = (int64_t)(rate / 10) + SLICE_BYTES;
    if (w->tokens > most) w->tokens = most;
}

void pql_snapshots_step(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    take_acks(w);
    earn_tokens(w);
    if (w->count) choose(w);
    if (!s->task) return;
    int slices = s->task->is_leaving ? FINAL_SLICES : 1;
    while (slices-- > 0 && !s->is_complete && s->inflight < INFLIGHT_BYTES &&
           (s->task->is_leaving || w->tokens > 0))
        slice(w);
    if (!send_waiting(w) && !s->task) return;
    bool all = s->is_complete && s->acked == s->chunks_count;
    if (all && s->manifest_sent)
        finish(w);
    else if (all && is_committed(w))
        write_manifest(w);
    else if (w->now_us - s->progress_us > STALLED_US)
        give_up(w, all ? "its place is not committed" : "the producer does not acknowledge");
}
