/* snapshots.c - the snapshots of one task after the other, in slices between batches.
 *
 *   due ─► end of the checkpoint partition known ─► S fixed ─► chunks written ─► all acknowledged, S
 * committed ─► manifest written ─► acknowledged: the task's pending pointer, carried by the next epoch that
 * is sealed
 *
 * Each holds what changed since the one before and one share of all (core/state/base.h). Pages are one stream
 * of bytes, cut into chunks anywhere: a page may be larger than a record can be. So chunks are read in the
 * order of their numbers, and their offsets rise with these. A worker never waits for a snapshot: while much
 * is on its way no more is serialised, but for pages that are about to change; when these are too much, or
 * nothing is acknowledged, the attempt is given up, and what it held is part of the next. */
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

enum {
    CHUNK_BYTES = 192 << 10,
    CHUNK_OVERHEAD = 512, /* of its head, and of framing it in a batch */
    SLICES = 8,           /* of a turn, as long as it is short */
    SLICES_US = 100,
    FINAL_SLICES = 64, /* of a closing task in one turn */
    SHARES_MAX = 64,
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
    pql_buf_deinit(&s->body);
    pql_base_deinit(&s->base);
    s->pages_chunks = 0;
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
    return task->script.next < task->script.count || task->fill.is_open;
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

/* As many shares as it takes for one of them to be written within restore_target, by all tasks of the
 * process. */
static uint32_t shares_wanted(const struct pql_worker *w, const struct pql_task *task)
{
    const struct pql_pipeline_conf *conf = w->pipeline->conf;
    if (conf->checkpoint_shares) return conf->checkpoint_shares;
    uint64_t state =
        task->state_bytes ? task->state_bytes : pql_base_bytes(task->base.items, task->base.count);
    uint64_t once = conf->checkpoint_bandwidth / 1000 * (uint64_t)conf->restore_target_ms / conf->workers /
                    (w->count ? w->count : 1);
    uint64_t shares = state / (once ? once : 1) + 1;
    return shares > SHARES_MAX ? SHARES_MAX : (uint32_t)shares;
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
    pql_needed_snapshot(task);
    s->records = task->records;
    s->hash = task->hash;
    s->share = task->share;
    s->lag_ms = task->lag_ms;
    s->run_input = task->run_input;
    s->accounts = pql_engine_stats(task->engine).accounts;
    s->begun_us = s->progress_us = w->now_us;
    s->modulus = 1;
    s->residue = 0;
    if (!pql_snapshot_is_first(task->engine))
        pql_base_share(&task->base, shares_wanted(w, task), &s->modulus, &s->residue);
    pql_snapshot_begin(task->engine, s->modulus, s->residue);
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

static void cut_chunk(struct pql_worker *w, enum pql_checkpoint_type type, size_t number,
                      struct pql_slice content)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_chunk chunk = {.task = s->task->partition,
                              .writer = pql_slice_of(w->pipeline->conf->writer),
                              .snapshot = s->number,
                              .number = (uint32_t)number,
                              .pages = content};
    struct pql_buf bytes = {0};
    pql_chunk_write(&chunk, type, &bytes);
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
    s->is_complete = pql_snapshot_step(s->task->engine, &s->pages, w->pipeline->conf->checkpoint_slice);
    w->tokens -= (int64_t)(s->pages.len - before);
    s->progress_us = w->now_us;
    w->did_something = true;
    for (; s->pages.len - at >= most; at += most)
        cut_chunk(w, PQL_CHECKPOINT_CHUNK, s->chunks_count, (struct pql_slice){s->pages.ptr + at, most});
    s->pages.len -= at;
    if (at) memmove(s->pages.ptr, s->pages.ptr + at, s->pages.len);
    if (!s->is_complete) return;
    if (s->pages.len)
        cut_chunk(w, PQL_CHECKPOINT_CHUNK, s->chunks_count, (struct pql_slice){s->pages.ptr, s->pages.len});
    s->pages.len = 0;
    s->pages_chunks = s->chunks_count;
}

/* While half the buffer is on its way, only pages that cannot wait are serialised. */
static void slices(struct pql_worker *w)
{
    const struct pql_ports *ports = w->pipeline->ports;
    const struct pql_snapshot *s = &w->snapshot;
    bool is_final = s->task->is_leaving;
    uint64_t until_us = ports->mono_us(ports->self) + SLICES_US;
    for (int n = is_final ? FINAL_SLICES : SLICES; n > 0 && !s->is_complete; n--) {
        if (s->inflight >= w->pipeline->conf->checkpoint_buffer / 2 || (!is_final && w->tokens <= 0)) return;
        slice(w);
        if (!is_final && ports->mono_us(ports->self) >= until_us) return;
    }
}

static bool is_over_buffer(const struct pql_worker *w)
{
    const struct pql_snapshot *s = &w->snapshot;
    uint64_t ahead = s->is_complete ? 0 : pql_snapshot_backlog(s->task->engine);
    return s->inflight + ahead > w->pipeline->conf->checkpoint_buffer;
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

static int64_t *offsets_of(const struct pql_snapshot *s, size_t from, size_t upto)
{
    int64_t *offsets = pql_xmalloc((upto - from + 1) * sizeof *offsets);
    for (size_t i = from; i < upto; i++) offsets[i - from] = s->chunks[i].offset;
    return offsets;
}

static void make_base(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    int64_t *offsets = offsets_of(s, 0, s->pages_chunks);
    struct pql_saved saved = {.writer = pql_slice_of(w->pipeline->conf->writer),
                              .number = s->number,
                              .modulus = s->modulus,
                              .residue = s->residue,
                              .chunks = offsets,
                              .chunks_count = s->pages_chunks,
                              .bytes = s->bytes};
    pql_base_add(&s->task->base, &saved, s->journal_from, &s->base);
    free(offsets);
}

static void make_body(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_pipeline *p = w->pipeline;
    struct pql_buf schemas = {0};
    if (p->conf->decoding.save) p->conf->decoding.save(s->task->decoders, &schemas);
    struct pql_manifest manifest = {
        .task = s->task->partition,
        .writer = pql_slice_of(p->conf->writer),
        .semantics = s->task->semantics,
        .inputs_count = p->conf->inputs_count,
        .place = s->place,
        .journal_from = s->journal_from,
        .base = s->base.items,
        .base_count = s->base.count,
        .ancestors = s->base.ancestors,
        .ancestors_count = s->base.ancestors_count,
        .accounts = s->accounts,
        .digest = pql_snapshot_digest(s->task->engine),
        .program = pql_program_text(s->task->edition->program),
        .program_hash = pql_slice_of(s->task->edition->hash),
        .revision = s->task->revision,
        .partitions_count = p->partitions_count,
        .partitioner = PQL_SLICE_LITERAL("murmur2"),
        .lag_ms = s->lag_ms,
        .run_input = s->run_input,
        .share = s->share,
        .schemas = {schemas.ptr, schemas.len},
    };
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        manifest.topic_ids[i] = pql_slice_of(p->input_ids[i]);
    pql_manifest_body(&manifest, &s->body);
    pql_buf_deinit(&schemas);
}

/* What does not fit into one record goes into parts, of which half a record's room is left for their offsets.
 */
static void write_manifest(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    size_t most = chunk_bytes(w), part = most / 2;
    if (!s->body.len) {
        make_base(w);
        make_body(w);
        size_t rest = s->body.len, at = 0;
        for (; (at || rest > most) && rest > part; rest -= part, at += part)
            cut_chunk(w, PQL_CHECKPOINT_PART, at / part, (struct pql_slice){s->body.ptr + at, part});
        if (at) return;
    }
    size_t parts = s->chunks_count - s->pages_chunks;
    int64_t *offsets = offsets_of(s, s->pages_chunks, s->chunks_count);
    struct pql_buf bytes = {0};
    pql_manifest_write(offsets, parts,
                       (struct pql_slice){s->body.ptr + parts * part, s->body.len - parts * part}, &bytes);
    s->manifest_sent = true;
    add_chunk(w, &bytes);
    free(offsets);
}

static void finish(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    struct pql_task *task = s->task;
    s->base.self.offset = s->chunks[s->chunks_count - 1].offset;
    pql_base_deinit(&task->base);
    task->base = s->base;
    s->base = (struct pql_base){0};
    task->pending = (struct pql_pointer){
        .manifest = task->base.self.offset,
        .trim_before =
            PQL_BREAKS(w->pipeline, TRIM_BY_FIRST_CHUNK) ? s->chunks[0].offset : pql_base_trim(&task->base),
        .records = s->records,
        .hash = s->hash,
    };
    task->state_bytes = pql_snapshot_state_bytes(task->engine);
    pql_snapshot_saved(task->engine);
    pql_needed_written(task);
    task->last_snapshot_us = w->now_us;
    task->final_done |= task->is_leaving;
    w->snapshot_refused = NULL;
    w->stats.snapshots++;
    w->stats.snapshot_bytes += s->bytes;
    pql_log(PQL_LOG_DEBUG, "snapshot written",
            "partition=%d manifest=%lld bytes=%llu chunks=%zu share=%u/%u state=%llu ms=%llu",
            task->partition, (long long)task->pending.manifest, (unsigned long long)s->bytes, s->pages_chunks,
            s->residue + 1, s->modulus, (unsigned long long)task->state_bytes,
            (unsigned long long)(w->now_us - s->begun_us) / 1000);
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
    int64_t most = (int64_t)(rate / 10) + (int64_t)w->pipeline->conf->checkpoint_slice;
    if (w->tokens > most) w->tokens = most;
}

void pql_snapshots_step(struct pql_worker *w)
{
    struct pql_snapshot *s = &w->snapshot;
    take_acks(w);
    earn_tokens(w);
    if (w->count) choose(w);
    if (!s->task) return;
    slices(w);
    if (is_over_buffer(w)) {
        give_up(w, "chunks are not written as fast as pages change");
        return;
    }
    if (!send_waiting(w) && !s->task) return;
    bool all = s->is_complete && s->acked == s->chunks_count;
    if (all && s->manifest_sent)
        finish(w);
    else if (all && (s->body.len || is_committed(w)))
        write_manifest(w);
    else if (w->now_us - s->progress_us > STALLED_US)
        give_up(w, all ? "its place is not committed" : "the producer does not acknowledge");
}
