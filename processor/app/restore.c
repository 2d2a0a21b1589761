/* restore.c - from the group's committed offset back to a task: or the first claim of one that never ran.
 *
 *   committed offset, metadata
 *     ├─ none, nothing written ─► start offsets ─► claim (a transaction of the committer)
 *     └─► manifest ─► its parts ─► chunks of its base, the newest snapshot first ─► digest
 *           ─► journal after S ─► inputs still there? ─► READY at S
 *
 * A snapshot that is damaged sends the restore to the newest manifest that does without it, and a damaged
 * manifest to the one before, which is searched for; and a longer replay serves. What cannot be right stops
 * the task with words for the operator; it never starts empty by itself. One call that blocks per step. */
#include "app/task.h"

#include "base/log.h"
#include <inttypes.h>
#include <stdlib.h>

enum {
    CALL_MS = 2000, /* a task that leaves meanwhile waits for no longer than that */
    READ_MS = 200,
    READS_PER_STEP = 64,
    AGAIN_US = 200000,
    NEWER_AGAIN_US = 5000000,
    SILENT_US = 60000000, /* a dead owner's transaction may hold the journal until it times out */
    SCRIPT_MAX = 5000000,
    GROWTH = 3, /* state in memory is so many times what is saved of it, cautiously */
};

enum state {
    ASK_COMMITTED,
    LOOK_FOR_REMAINS, /* no committed offset: is the checkpoint partition empty? */
    ASK_START,
    OPEN_MANIFEST,
    READ_MANIFEST,
    OPEN_PARTS,
    READ_PARTS,
    OPEN_SEARCH, /* for manifests before a damaged one */
    SEARCH,
    OPEN_CHUNKS,
    READ_CHUNKS,
    ASK_JOURNAL_END,
    OPEN_JOURNAL,
    READ_JOURNAL,
    ASK_FIRST,
    ASK_LAST,
    ASK_AGAIN, /* it failed: of what the group has committed, or of what it had when this restore began? */
};

struct pql_restore {
    enum state state;
    struct pql_log *log;
    struct pql_position *positions, *begun_at; /* begun_at: the committed ones that are restored */
    struct pql_err failure;
    struct pql_metadata metadata;
    struct pql_log_place committed;
    struct pql_arena arena; /* of the manifest */
    struct pql_buf bytes;   /* the manifest's body */
    struct pql_manifest manifest;
    bool has_manifest;
    const int64_t *parts; /* of the manifest, in the arena */
    size_t parts_count, part;
    struct pql_slice rest;      /* behind the parts, in the arena */
    struct pql_ancestor *trail; /* manifests that may serve instead, the newest first */
    size_t trail_count;
    struct pql_err cause; /* the first damage; its class NONE: there was none */
    int64_t candidate;    /* offset of the manifest being tried, or -1: from the beginning */
    int64_t journal_end;  /* where its end is reached, if it is to be read that far */
    size_t item, chunk;   /* of the base */
    uint64_t loaded_bytes;
    uint64_t wait_until_us, progress_us, begun_us, told_us;
};

void pql_restore_free(struct pql_task *task)
{
    struct pql_restore *r = task->restore;
    if (!r) return;
    if (r->log) task->pipeline->ports->log_close(task->pipeline->ports->self, r->log);
    free(r->positions);
    free(r->begun_at);
    pql_arena_deinit(&r->arena);
    pql_buf_deinit(&r->bytes);
    free(r->trail);
    free(r);
    task->restore = NULL;
}

static uint64_t now_us(const struct pql_pipeline *p)
{
    return p->ports->mono_us(p->ports->self);
}

static struct pql_restore *restore_of(struct pql_pipeline *p, struct pql_task *task)
{
    if (task->restore) return task->restore;
    struct pql_restore *r = pql_xcalloc(1, sizeof *r);
    pql_arena_init(&r->arena);
    r->positions = pql_xcalloc(p->conf->inputs_count, sizeof *r->positions);
    r->begun_at = pql_xcalloc(p->conf->inputs_count, sizeof *r->begun_at);
    r->begun_us = r->progress_us = r->told_us = now_us(p);
    r->candidate = -1;
    return task->restore = r;
}

static void close_log(struct pql_pipeline *p, struct pql_restore *r)
{
    if (r->log) p->ports->log_close(p->ports->self, r->log);
    r->log = NULL;
}

static void name_positions(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_restore *r = task->restore;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        r->positions[i] =
            (struct pql_position){.input = i, .partition = task->partition, .offset = PQL_OFFSET_NONE};
}

/* What may succeed later is tried again. All else blocks the task, unless others worked on it meanwhile: a
 * process may sleep in the middle of a restore. */
static void failed(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    if (err->cls == PQL_ERR_RETRY) {
        bool is_newer = err->reason && !strcmp(err->reason, "newer_engine");
        r->wait_until_us = now_us(p) + (is_newer ? NEWER_AGAIN_US : AGAIN_US);
        if (is_newer) { /* from the beginning: it may have gone on meanwhile */
            close_log(p, r);
            r->has_manifest = false;
            r->state = ASK_COMMITTED;
        }
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "restore waits",
                        "partition=%d cause=%s", task->partition, err->msg);
        return;
    }
    close_log(p, r);
    if (r->state != ASK_COMMITTED && r->state != ASK_AGAIN && r->cause.cls != PQL_ERR_NONE)
        pql_err_prefix(
            err,
            "no snapshot that is kept can be used (%s), and neither can the whole log; `pqlstream checkpoint "
            "forget` drops the state and begins at `start`: ",
            r->cause.msg);
    if (r->state != ASK_COMMITTED && r->state != ASK_AGAIN) {
        r->failure = *err;
        r->state = ASK_AGAIN;
        return;
    }
    pql_err_prefix(err, "%s partition %d: ", p->conf->outputs[PQL_OUT_CHECKPOINT], task->partition);
    pql_task_block(p, task, err->cls == PQL_ERR_CONFIG ? PQL_STOP_CONFIG : PQL_STOP_STATE, err);
}

/* At least once, and after an `adopt`: outputs may have been seen before the offsets were committed, so all
 * that the journal decided holds, also after C. */
static bool reads_past_committed(const struct pql_pipeline *p, const struct pql_restore *r)
{
    return p->conf->at_least_once || r->metadata.is_behind;
}

static enum state to_journal(const struct pql_pipeline *p, const struct pql_restore *r)
{
    return reads_past_committed(p, r) ? ASK_JOURNAL_END : OPEN_JOURNAL;
}

static int fresh_engine(struct pql_task *task)
{
    if (task->engine) pql_engine_free(task->engine);
    task->engine = pql_engine_new(task->edition->program, pql_output_record, task);
    pql_engine_watch(task->engine, &pql_output_watch);
    if (task->owner->pipeline->conf->tombstones) pql_engine_on_erased(task->engine, pql_output_tombstone);
    return 0;
}

/* --- committed offset --- */

static int judge(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    size_t none = 0, n = p->conf->inputs_count;
    for (size_t i = 0; i < n; i++) none += r->positions[i].offset < 0;
    if (none == n) {
        r->state = LOOK_FOR_REMAINS;
        return 0;
    }
    for (size_t i = 0; i < n; i++) {
        if (r->positions[i].offset < 0 || strcmp(r->positions[i].metadata, r->positions[0].metadata) != 0)
            return PQL_FAIL(
                err, PQL_ERR_FATAL,
                "the committed offsets of %s and %s are not of one commit: somebody set them, or an input "
                "was "
                "added. `pqlstream checkpoint adopt` continues from the newest state, `pqlstream checkpoint "
                "forget` drops it",
                p->conf->inputs[0].topic, p->conf->inputs[i].topic);
        r->committed.next[i] = r->positions[i].offset;
    }
    if (pql_metadata_parse(pql_slice_of(r->positions[0].metadata), &r->metadata, err)) {
        bool newer = err->reason && !strcmp(err->reason, "newer_format");
        if (!newer)
            pql_err_prefix(
                err,
                "the committed offset of %s was set by somebody else (`pqlstream checkpoint adopt` "
                "continues from the newest state, `pqlstream checkpoint forget` drops it): ",
                p->conf->inputs[0].topic);
        err->cls = PQL_ERR_FATAL;
        return -1;
    }
    if (strcmp(r->metadata.topic_id, p->checkpoint_id) != 0 && strcmp(r->metadata.topic_id, "-") != 0 &&
        strcmp(p->checkpoint_id, "-") != 0)
        return PQL_FAIL(
            err, PQL_ERR_FATAL,
            "the topic was created anew (it was %s and is %s), so the state is gone; `pqlstream checkpoint "
            "forget` starts from the beginning of the input",
            r->metadata.topic_id, p->checkpoint_id);
    r->committed.journal = r->metadata.journal;
    r->candidate = r->metadata.manifest;
    r->state = r->candidate >= 0 ? OPEN_MANIFEST : to_journal(p, r);
    return fresh_engine(task);
}

static int ask_again(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    bool is_same = true;
    name_positions(p, task);
    if (p->ports->committed(p->ports->self, r->positions, p->conf->inputs_count, CALL_MS, err)) return -1;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        is_same &= r->positions[i].offset == r->begun_at[i].offset &&
                   !strcmp(r->positions[i].metadata, r->begun_at[i].metadata);
    if (is_same) {
        *err = r->failure;
        return -1;
    }
    pql_log(PQL_LOG_INFO, "others worked on the task while it was restored; it begins anew", "partition=%d",
            task->partition);
    pql_lock(p);
    pql_task_reset(task);
    pql_unlock(p);
    return 0;
}

static int ask_committed(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    name_positions(p, task);
    if (p->ports->committed(p->ports->self, r->positions, p->conf->inputs_count, CALL_MS, err)) return -1;
    memcpy(r->begun_at, r->positions, p->conf->inputs_count * sizeof *r->positions);
    if (!task->is_kept) return judge(p, task, err);
    struct pql_position *positions = r->positions;
    r->positions = NULL;
    pql_restore_free(task);
    pql_park_goes_on(p, task, positions); /* else the next step asks again, for a task as new */
    free(positions);
    return 0;
}

/* --- a task that never ran --- */

/* At least once a claim may have been cut off between its entry and its offsets: then there is nothing but
 * that entry, once or repeated. */
static bool is_half_a_claim(const struct pql_pipeline *p, struct pql_slice record, struct pql_journal *entry)
{
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_err err;
    return p->conf->at_least_once && !pql_checkpoint_open(record, &type, &content, &err) &&
           type == PQL_CHECKPOINT_JOURNAL && !pql_journal_parse(content, entry, &err) &&
           entry->kind == PQL_JOURNAL_PROGRAM && entry->place.journal == 1 &&
           entry->inputs_count == p->conf->inputs_count;
}

static int begin_as(struct pql_pipeline *p, struct pql_task *task, const struct pql_journal *first,
                    struct pql_err *err);
static void write_claim(struct pql_pipeline *p, struct pql_task *task);

static void begin_task(struct pql_pipeline *p, struct pql_task *task)
{
    pql_log(PQL_LOG_INFO, "the task begins", "topic=%s partition=%d offset=%lld", p->conf->inputs[0].topic,
            task->partition, (long long)task->place.next[0]);
    fresh_engine(task);
    pql_restore_free(task);
    write_claim(p, task);
}

/* A claim that was aborted leaves nothing that a reader of committed records sees. */
static int look_for_remains(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    struct pql_log_record record;
    struct pql_journal first;
    if (!r->log)
        return p->ports->log_open(p->ports->self, task->partition, 0, PQL_READ_COMMITTED, &r->log, err);
    if (p->ports->log_read(p->ports->self, r->log, READ_MS, &record, err)) return -1;
    if (record.kind == PQL_LOG_NOTHING) return 0;
    if (record.kind == PQL_LOG_RECORD && is_half_a_claim(p, record.value, &first)) {
        if (r->committed.journal) return 0;
        if (begin_as(p, task, &first, err)) { /* asked again, from the beginning of the journal */
            close_log(p, r);
            return -1;
        }
        r->committed = first.place;
        return 0;
    }
    close_log(p, r);
    if (record.kind == PQL_LOG_RECORD)
        return PQL_FAIL(err, PQL_ERR_FATAL,
                        "there is state of this task (offset %" PRId64
                        "), but the group has no committed offset for %s: it "
                        "expired, was deleted, or went with a topic that was created again. `pqlstream "
                        "checkpoint adopt` continues from the newest "
                        "state, `pqlstream "
                        "checkpoint forget` drops it; nothing was changed",
                        record.offset, p->conf->inputs[0].topic);
    r->state = ASK_START;
    if (!r->committed.journal) return 0;
    task->place = r->committed;
    task->place.journal = 0;
    begin_task(p, task);
    return 0;
}

/* What a claim prevents; see PQL_BROKEN_NO_CLAIM. */
static void begin_unclaimed(struct pql_pipeline *p, struct pql_task *task)
{
    pql_epoch_free(task->sealed);
    task->sealed = NULL;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) {
        task->feed[i] = PQL_FEED_SEEK;
        task->feed_from[i] = task->place.next[i];
    }
    pql_task_set_phase(task, PQL_PHASE_READY);
}

/* The first entry of every journal: where the task began, and under which program. */
static void write_claim(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_journal entry = {.kind = PQL_JOURNAL_PROGRAM,
                                .program = pql_program_text(task->edition->program),
                                .program_hash = pql_slice_of(task->edition->hash),
                                .revision = task->revision,
                                .semantics = task->semantics};
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) entry.topic_ids[i] = pql_slice_of(p->input_ids[i]);
    pql_task_journal(p, task, &entry, p->ports->wall_ms(p->ports->self));
    pql_lock(p);
    pql_task_seal(p, task, now_us(p));
    task->target = task->place;
    task->target_metadata = task->sealed->metadata;
    if (PQL_BREAKS(p, NO_CLAIM))
        begin_unclaimed(p, task);
    else
        pql_task_set_phase(task, PQL_PHASE_CLAIM);
    pql_wake_all(p);
    pql_unlock(p);
}

static int ask_start(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    name_positions(p, task);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) r->positions[i].offset = p->conf->inputs[i].start;
    if (p->ports->offsets(p->ports->self, r->positions, p->conf->inputs_count, CALL_MS, err)) return -1;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) task->place.next[i] = r->positions[i].offset;
    begin_task(p, task);
    return 0;
}

/* --- manifest and chunks --- */

/* A newer binary has worked on the task: this one waits until it is replaced too, or gets the task back. */
static int check_semantics(const struct pql_pipeline *p, uint32_t semantics, struct pql_err *err)
{
    if (semantics > p->conf->semantics) {
        PQL_FAIL(err, PQL_ERR_RETRY,
                 "the task is at version %u of the engine, this binary has %u: it waits; start the newer "
                 "binary here "
                 "too",
                 semantics, p->conf->semantics);
        err->reason = "newer_engine";
        return -1;
    }
    if (semantics + 1 < p->conf->semantics)
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "the task is at version %u of the engine, this binary has %u and the one before: run the "
            "release between them once",
            semantics, p->conf->semantics);
    return 0;
}

/* From here on the task runs the program of its state, whatever the configuration says. */
static int take_program(struct pql_pipeline *p, struct pql_task *task, struct pql_slice text,
                        int64_t revision, struct pql_err *err)
{
    const struct pql_edition *edition;
    if (pql_edition_of(p, text, &edition, err) || pql_task_set_edition(p, task, edition, err)) {
        pql_err_prefix(
            err,
            "the program of the state (revision %" PRId64
            ") is not understood by this binary; run the one that wrote it, or drop the state with "
            "`pqlstream checkpoint forget`: ",
            revision);
        return -1;
    }
    task->revision = revision;
    return fresh_engine(task);
}

/* Offsets of one topic mean nothing in another of its name. */
static int check_topic_ids(const struct pql_pipeline *p, const struct pql_slice *ids, struct pql_err *err)
{
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (ids[i].len && !pql_slice_is(ids[i], p->input_ids[i]) && !pql_slice_is(ids[i], "-") &&
            strcmp(p->input_ids[i], "-") != 0)
            return PQL_FAIL(
                err, PQL_ERR_FATAL,
                "%s is another topic than the state was made from (id %.*s then, %s now): it was deleted and "
                "created again. `pqlstream checkpoint forget` starts from its beginning",
                p->conf->inputs[i].topic, PQL_SLICE_ARG(ids[i]), p->input_ids[i]);
    return 0;
}

/* Every restore without a snapshot takes the first entry of the journal for where the task began and under
 * which program; so must who finds nothing else, whatever its own configuration says. */
static int begin_as(struct pql_pipeline *p, struct pql_task *task, const struct pql_journal *first,
                    struct pql_err *err)
{
    if (check_semantics(p, first->semantics, err) || check_topic_ids(p, first->topic_ids, err)) return -1;
    task->place = first->place;
    task->semantics = first->semantics;
    return take_program(p, task, first->program, first->revision, err);
}

static int check_manifest(struct pql_pipeline *p, struct pql_task *task, const struct pql_manifest *m,
                          struct pql_err *err)
{
    if (m->task != task->partition)
        return PQL_FAIL(err, PQL_ERR_FATAL, "the manifest is of partition %d", m->task);
    if (check_semantics(p, m->semantics, err)) return -1;
    if (m->inputs_count != p->conf->inputs_count)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the state has %u inputs, the configuration %u", m->inputs_count,
                        p->conf->inputs_count);
    if (m->partitions_count != p->partitions_count)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "%s had %d partitions when the state was written and has %d now: accounts are "
                        "elsewhere. Re-key the "
                        "input, or start anew under another `app` name",
                        p->conf->inputs[0].topic, m->partitions_count, p->partitions_count);
    if (check_topic_ids(p, m->topic_ids, err)) return -1;
    for (uint32_t i = 0; i < m->inputs_count; i++)
        if (m->place.next[i] > task->restore->committed.next[i])
            return PQL_FAIL(err, PQL_ERR_FATAL,
                            "the state is ahead of the committed offset of %s (%" PRId64 " > %" PRId64 ")",
                            p->conf->inputs[i].topic, m->place.next[i], task->restore->committed.next[i]);
    if (m->place.journal > task->restore->committed.journal)
        return PQL_FAIL(err, PQL_ERR_FATAL,
                        "the state is ahead of the committed journal (%" PRIu64 " > %" PRIu64 ")",
                        m->place.journal, task->restore->committed.journal);
    return 0;
}

static int open_log(struct pql_pipeline *p, struct pql_task *task, int64_t from, enum pql_isolation isolation,
                    enum state next, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    close_log(p, r);
    if (p->ports->log_open(p->ports->self, task->partition, from, isolation, &r->log, err)) return -1;
    r->progress_us = now_us(p);
    r->state = next;
    return 0;
}

/* The record at one offset: 1 found, 0 not yet, -1 it is not there. */
static int read_at(struct pql_pipeline *p, struct pql_restore *r, int64_t offset, int timeout_ms,
                   struct pql_slice *value, struct pql_err *err)
{
    struct pql_log_record record;
    if (p->ports->log_read(p->ports->self, r->log, timeout_ms, &record, err)) return -1;
    /* A leader just elected may show an end that is behind what was acknowledged. */
    bool is_silent =
        record.kind == PQL_LOG_NOTHING || (record.kind == PQL_LOG_END && record.offset <= offset);
    if (is_silent && now_us(p) - r->progress_us < SILENT_US) return 0;
    if (record.kind == PQL_LOG_RECORD && record.offset < offset) {
        r->progress_us = now_us(p);
        return 0;
    }
    if (record.kind != PQL_LOG_RECORD || record.offset != offset)
        return PQL_FAIL(err, PQL_ERR_FATAL,
                        "the record at offset %" PRId64 " is gone: trimmed or deleted by somebody", offset);
    r->progress_us = now_us(p);
    *value = record.value;
    return 1;
}

/* --- damage --- */

static void remember_cause(struct pql_task *task, const struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    if (r->cause.cls == PQL_ERR_NONE) r->cause = *err;
}

/* The zero of n and x stays that of the manifest the offsets name, which the replay now passes on its way. */
static int go_to(struct pql_pipeline *p, struct pql_task *task, int64_t candidate)
{
    struct pql_restore *r = task->restore;
    r->candidate = candidate;
    r->has_manifest = false;
    r->loaded_bytes = 0;
    memset(&task->share, 0, sizeof task->share);
    task->run_input = -1;
    close_log(p, r);
    r->state = candidate >= 0 ? OPEN_MANIFEST : to_journal(p, r);
    return fresh_engine(task);
}

/* To the newest manifest known that needs neither the snapshot of this number nor a newer one. */
static int fall_back(struct pql_pipeline *p, struct pql_task *task, uint64_t number,
                     const struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    if (r->has_manifest) {
        r->trail_count = r->manifest.ancestors_count;
        r->trail = pql_xrealloc(r->trail, (r->trail_count + 1) * sizeof *r->trail);
        if (r->trail_count) memcpy(r->trail, r->manifest.ancestors, r->trail_count * sizeof *r->trail);
    }
    const struct pql_ancestor *before = pql_ancestor_before(r->trail, r->trail_count, number);
    remember_cause(task, err);
    pql_log(PQL_LOG_ERROR, "a snapshot is damaged; its predecessor and a longer replay serve instead",
            "partition=%d manifest=%lld predecessor=%lld cause=%s", task->partition, (long long)r->candidate,
            (long long)(before ? before->offset : -1), err->msg);
    if (r->has_manifest && !task->has_mark && !task->is_unmarked) {
        task->mark = r->manifest.place;
        task->has_mark = true;
    }
    return go_to(p, task, before ? before->offset : -1);
}

/* A manifest that cannot be read: the next one known, or whatever is found before it. */
static int without_manifest(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    if (err->cls == PQL_ERR_RETRY || err->reason) return -1; /* another format is no damage */
    pql_err_prefix(err, "manifest at offset %" PRId64 ": ", r->candidate);
    for (size_t i = 0; r->trail && i < r->trail_count; i++)
        if (r->trail[i].offset == r->candidate) return fall_back(p, task, r->trail[i].number, err);
    remember_cause(task, err);
    pql_log(PQL_LOG_ERROR, "a manifest is damaged; the one before it is searched for",
            "partition=%d manifest=%lld cause=%s", task->partition, (long long)r->candidate, err->msg);
    task->is_unmarked = true;
    r->state = OPEN_SEARCH;
    return 0;
}

/* --- manifest --- */

static int take_manifest(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    struct pql_manifest m;
    pql_buf_put(&r->bytes, r->rest.ptr, r->rest.len);
    if (pql_manifest_parse((struct pql_slice){r->bytes.ptr, r->bytes.len}, &r->arena, &m, err))
        return without_manifest(p, task, err);
    if (check_manifest(p, task, &m, err) || take_program(p, task, m.program, m.revision, err)) return -1;
    if (p->conf->decoding.load && p->conf->decoding.load(task->decoders, m.schemas, err)) return -1;
    r->manifest = m;
    r->has_manifest = true;
    r->item = r->chunk = 0;
    task->place = m.place;
    task->semantics = m.semantics;
    task->share = m.share;
    task->lag_ms = m.lag_ms;
    task->run_input = m.run_input;
    uint64_t number = m.base[0].number;
    task->snapshot_number = number > task->snapshot_number ? number : task->snapshot_number;
    r->state = OPEN_CHUNKS;
    return 0;
}

static int read_manifest(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    struct pql_slice value, content;
    enum pql_checkpoint_type type = PQL_CHECKPOINT_CHUNK;
    int found = read_at(p, r, r->candidate, READ_MS, &value, err);
    if (!found) return 0;
    r->bytes.len = 0;
    pql_arena_reset(&r->arena);
    if (found < 0 || pql_checkpoint_open(value, &type, &content, err) ||
        (type != PQL_CHECKPOINT_MANIFEST
             ? PQL_FAIL(err, PQL_ERR_FATAL, "no manifest")
             : pql_manifest_open(content, &r->arena, &r->parts, &r->parts_count, &r->rest, err)))
        return without_manifest(p, task, err);
    r->rest = pql_arena_copy(&r->arena, r->rest);
    r->part = 0;
    if (!r->parts_count) return take_manifest(p, task, err);
    r->state = OPEN_PARTS;
    return 0;
}

static int take_part(struct pql_task *task, struct pql_slice value, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    enum pql_checkpoint_type type = PQL_CHECKPOINT_JOURNAL;
    struct pql_slice content;
    struct pql_chunk part;
    if (pql_checkpoint_open(value, &type, &content, err)) return -1;
    if (type != PQL_CHECKPOINT_PART) return PQL_FAIL(err, PQL_ERR_FATAL, "no part of a manifest");
    if (pql_chunk_parse(content, &part, err)) return -1;
    if (part.task != task->partition || part.number != r->part)
        return PQL_FAIL(err, PQL_ERR_FATAL, "a part of another manifest");
    pql_buf_put(&r->bytes, part.pages.ptr, part.pages.len);
    return 0;
}

static int read_parts(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    for (int i = 0; i < READS_PER_STEP && r->part < r->parts_count; i++) {
        struct pql_slice value;
        int found = read_at(p, r, r->parts[r->part], i ? 0 : READ_MS, &value, err);
        if (!found) return 0;
        if (found < 0 || take_part(task, value, err)) return without_manifest(p, task, err);
        r->part++;
    }
    return r->part < r->parts_count ? 0 : take_manifest(p, task, err);
}

/* Every manifest is of what was committed, so that each will do whose place is not after C. Its number is not
 * known before it is read: the offset tells the order as well. */
static int search(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    for (int i = 0; i < READS_PER_STEP; i++) {
        struct pql_log_record record;
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_err ignored;
        if (p->ports->log_read(p->ports->self, r->log, i ? 0 : READ_MS, &record, err)) return -1;
        if (record.kind == PQL_LOG_NOTHING && now_us(p) - r->progress_us < SILENT_US) return 0;
        r->progress_us = now_us(p);
        if (record.kind != PQL_LOG_RECORD || record.offset >= r->candidate)
            return go_to(p, task, r->trail_count ? r->trail[0].offset : -1);
        if (pql_checkpoint_open(record.value, &type, &content, &ignored) || type != PQL_CHECKPOINT_MANIFEST)
            continue;
        r->trail = pql_xrealloc(r->trail, (r->trail_count + 1) * sizeof *r->trail);
        memmove(r->trail + 1, r->trail, r->trail_count++ * sizeof *r->trail);
        r->trail[0] = (struct pql_ancestor){.offset = record.offset, .number = r->trail_count};
    }
    return 0;
}

/* --- chunks --- */

static int load_chunk(struct pql_task *task, struct pql_slice value, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    const struct pql_saved *saved = &r->manifest.base[r->item];
    enum pql_checkpoint_type type = PQL_CHECKPOINT_JOURNAL;
    struct pql_slice content;
    struct pql_chunk chunk;
    if (pql_checkpoint_open(value, &type, &content, err)) return -1;
    if (type != PQL_CHECKPOINT_CHUNK) return PQL_FAIL(err, PQL_ERR_FATAL, "no chunk");
    if (pql_chunk_parse(content, &chunk, err)) return -1;
    if (chunk.task != task->partition || chunk.snapshot != saved->number || chunk.number != r->chunk ||
        !pql_slice_eq(chunk.writer, saved->writer))
        return PQL_FAIL(err, PQL_ERR_FATAL, "a chunk of another snapshot");
    r->loaded_bytes += value.len;
    return pql_snapshot_load(task->engine, chunk.pages.ptr, chunk.pages.len, err);
}

static int check_digest(struct pql_task *task, struct pql_err *err)
{
    if (pql_snapshot_loaded(task->engine, err)) return -1;
    uint64_t digest = pql_snapshot_digest(task->engine), wanted = task->restore->manifest.digest;
    if (digest != wanted)
        return PQL_FAIL(err, PQL_ERR_FATAL,
                        "the state read has digest %016" PRIx64 ", the manifest says %016" PRIx64, digest,
                        wanted);
    return 0;
}

/* A line a second for all tasks that are read at present, if they are several. */
static void tell_all(struct pql_pipeline *p, struct pql_task *task, uint64_t rate)
{
    const struct pql_restore *r = task->restore;
    uint64_t done = 0, of = 0, now = now_us(p);
    unsigned tasks = 0;
    pql_lock(p);
    task->load_done = r->loaded_bytes;
    task->load_of = pql_base_bytes(r->manifest.base, r->manifest.base_count);
    task->load_left_ms =
        (task->load_of > task->load_done ? task->load_of - task->load_done : 0) * 1000 / rate;
    for (size_t i = 0; i < p->count; i++) {
        if (p->tasks[i]->phase != PQL_PHASE_RESTORE) continue;
        tasks++;
        done += p->tasks[i]->load_done;
        of += p->tasks[i]->load_of;
    }
    bool is_due = tasks > 1 && now - p->loading_told_us >= 1000000;
    if (is_due) p->loading_told_us = now;
    pql_unlock(p);
    if (is_due)
        pql_log(PQL_LOG_INFO, "loading all states", "tasks=%u bytes=%llu of=%llu eta_s=%llu", tasks,
                (unsigned long long)done, (unsigned long long)of,
                (unsigned long long)((of > done ? of - done : 0) / (rate * tasks)));
}

static void tell_progress(struct pql_pipeline *p, struct pql_task *task, bool at_end)
{
    struct pql_restore *r = task->restore;
    uint64_t now = now_us(p), ms = (now - r->begun_us) / 1000 + 1;
    uint64_t of = pql_base_bytes(r->manifest.base, r->manifest.base_count);
    uint64_t rate = r->loaded_bytes * 1000 / ms + 1, left = of > r->loaded_bytes ? of - r->loaded_bytes : 0;
    if (!at_end && now - r->told_us < 1000000) return;
    r->told_us = now;
    pql_log(PQL_LOG_INFO, at_end ? "state loaded" : "loading state",
            "partition=%d bytes=%llu of=%llu accounts=%llu ms=%llu mb_per_s=%.1f eta_s=%llu", task->partition,
            (unsigned long long)r->loaded_bytes, (unsigned long long)of,
            (unsigned long long)r->manifest.accounts, (unsigned long long)ms,
            (double)r->loaded_bytes / 1000.0 / (double)ms, (unsigned long long)(at_end ? 0 : left / rate));
    tell_all(p, task, rate);
}

/* One chunk: 1 read, 0 not yet there, -1 with PQL_ERR_RETRY, or damaged. */
static int read_chunk(struct pql_pipeline *p, struct pql_task *task, int timeout_ms, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    const struct pql_saved *saved = &r->manifest.base[r->item];
    struct pql_slice value;
    int found = read_at(p, r, saved->chunks[r->chunk], timeout_ms, &value, err);
    if (!found || (found < 0 && err->cls == PQL_ERR_RETRY)) return found;
    if (found > 0 && !load_chunk(task, value, err)) {
        r->chunk++;
        return 1;
    }
    pql_err_prefix(err, "snapshot %" PRIu64 ", chunk %zu of %zu at offset %" PRId64 ": ", saved->number,
                   r->chunk + 1, saved->chunks_count, saved->chunks[r->chunk]);
    return -1;
}

/* A snapshot of the base was read. */
static int next_item(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    const struct pql_manifest *m = &r->manifest;
    if (r->item + 1 < m->base_count) {
        if (pql_snapshot_load_older(task->engine, err))
            return fall_back(p, task, m->base[r->item].number, err);
        r->item++;
        r->chunk = 0;
        r->state = OPEN_CHUNKS;
        return 0;
    }
    if (check_digest(task, err)) return fall_back(p, task, m->base[0].number, err);
    tell_progress(p, task, true);
    close_log(p, r);
    r->state = to_journal(p, r);
    return 0;
}

static int read_chunks(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    const struct pql_saved *saved = &r->manifest.base[r->item];
    for (int i = 0; i < READS_PER_STEP && r->chunk < saved->chunks_count; i++) {
        int found = read_chunk(p, task, i ? 0 : READ_MS, err);
        if (!found || (found < 0 && err->cls == PQL_ERR_RETRY)) return found;
        if (found < 0) return fall_back(p, task, saved->number, err);
    }
    tell_progress(p, task, false);
    return r->chunk < saved->chunks_count ? 0 : next_item(p, task, err);
}

/* --- journal --- */

static uint64_t last_sequence(const struct pql_task *task)
{
    return task->script.count ? task->script.items[task->script.count - 1].place.journal
                              : task->place.journal;
}

static void add_entry(struct pql_task *task, const struct pql_journal *entry)
{
    struct pql_script *script = &task->script;
    script->items = pql_xgrow(script->items, &script->capacity, script->count + 1, sizeof *script->items);
    struct pql_journal *copy = &script->items[script->count++];
    *copy = *entry;
    copy->writer = (struct pql_slice){NULL, 0};
    copy->program = pql_arena_copy(&task->arena, entry->program);
    copy->program_hash = pql_arena_copy(&task->arena, entry->program_hash);
    copy->reason = pql_arena_copy(&task->arena, entry->reason);
    copy->part.account = pql_arena_copy(&task->arena, entry->part.account);
}

static int take_entry(struct pql_pipeline *p, struct pql_task *task, const struct pql_journal *entry,
                      struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    if (entry->task != task->partition) return 0;
    if (entry->inputs_count != p->conf->inputs_count)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the journal has %u inputs, the configuration %u",
                        entry->inputs_count, p->conf->inputs_count);
    if (!r->has_manifest && task->place.journal == 0 && entry->place.journal == 1) {
        if (entry->kind != PQL_JOURNAL_PROGRAM)
            return PQL_FAIL(err, PQL_ERR_FATAL, "the first entry of the journal names no program");
        return begin_as(p, task, entry, err);
    }
    uint64_t wanted = last_sequence(task) + 1;
    /* Outside transactions a write that failed was repeated together with those behind it. */
    if (entry->place.journal < wanted || (entry->place.journal > wanted && reads_past_committed(p, r)))
        return 0;
    if (entry->place.journal > wanted || task->script.count >= SCRIPT_MAX)
        return PQL_FAIL(err, PQL_ERR_FATAL, "journal entry %" PRIu64 " is missing (found %" PRIu64 ")",
                        wanted, entry->place.journal);
    const struct pql_edition *edition;
    if (entry->kind == PQL_JOURNAL_ENGINE && check_semantics(p, entry->semantics, err)) return -1;
    if (entry->kind == PQL_JOURNAL_PROGRAM && pql_edition_of(p, entry->program, &edition, err)) return -1;
    add_entry(task, entry);
    return 0;
}

static bool has_journal(const struct pql_pipeline *p, const struct pql_task *task)
{
    return !reads_past_committed(p, task->restore) && task->place.journal > 0 &&
           last_sequence(task) >= task->restore->committed.journal;
}

/* Entries behind a transaction that is still open come when it ends; its owner may be dead, so that takes a
 * while. */
static int at_journal_end(struct pql_pipeline *p, struct pql_task *task, int64_t end, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    bool is_whole = task->place.journal > 0 && last_sequence(task) >= r->committed.journal;
    bool is_silent = now_us(p) - r->progress_us >= SILENT_US; /* longer than any transaction may live */
    if (PQL_BREAKS(p, JOURNAL_TO_LSO) || (is_whole && (end >= r->journal_end || is_silent))) {
        r->state = ASK_FIRST;
        return 0;
    }
    if (!is_silent) return 0;
    return PQL_FAIL(err, PQL_ERR_FATAL,
                    "journal entry %" PRIu64 " is missing: trimmed or deleted by somebody",
                    last_sequence(task) + 1);
}

static int read_journal(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    for (int i = 0; i < READS_PER_STEP; i++) {
        struct pql_log_record record;
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_journal entry;
        if (has_journal(p, task)) {
            r->state = ASK_FIRST;
            break;
        }
        if (p->ports->log_read(p->ports->self, r->log, i ? 0 : READ_MS, &record, err)) return -1;
        if (record.kind == PQL_LOG_NOTHING && now_us(p) - r->progress_us < SILENT_US) return 0;
        if (record.kind != PQL_LOG_RECORD) return at_journal_end(p, task, record.offset, err);
        r->progress_us = now_us(p);
        if (pql_checkpoint_open(record.value, &type, &content, err))
            type = PQL_CHECKPOINT_CHUNK; /* found by its absence */
        if (type != PQL_CHECKPOINT_JOURNAL) continue;
        if (pql_journal_parse(content, &entry, err) || take_entry(p, task, &entry, err)) return -1;
    }
    if (r->state == ASK_FIRST) close_log(p, r);
    return 0;
}

static int ask_journal_end(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    int64_t low;
    if (p->ports->checkpoint_ends(p->ports->self, task->partition, &low, &r->journal_end, CALL_MS, err))
        return -1;
    r->state = OPEN_JOURNAL;
    return 0;
}

static int open_journal(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    task->script.count = task->script.next = 0;
    if (!r->has_manifest) memset(&task->place, 0, sizeof task->place);
    if (has_journal(p, task)) {
        r->state = ASK_FIRST;
        return 0;
    }
    return open_log(p, task, r->has_manifest ? r->manifest.journal_from : 0, PQL_READ_COMMITTED, READ_JOURNAL,
                    err);
}

/* --- the inputs, and off it goes --- */

/* What begins behind C was never read: it is not left out in silence, though it may have been nothing but the
 * marks of transactions. */
static int input_is_gone(struct pql_pipeline *p, struct pql_task *task, uint32_t input, struct pql_err *err)
{
    const struct pql_restore *r = task->restore;
    bool was_read = task->place.next[input] < r->committed.next[input];
    return PQL_FAIL(
        err, PQL_ERR_FATAL,
        "%s begins at offset %" PRId64 " now and the state needs it from %" PRId64
        " on: retention deleted what was not yet %s. `pqlstream checkpoint forget` drops the state "
        "and starts anew; a retention of the input that is longer than %s prevents it",
        p->conf->inputs[input].topic, r->positions[input].offset, task->place.next[input],
        was_read ? "part of a snapshot" : "read",
        was_read ? "checkpoint_interval" : "a stop of all instances");
}

static int ask_first(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    close_log(p, r);
    name_positions(p, task);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) r->positions[i].offset = PQL_OFFSET_EARLIEST;
    if (p->ports->offsets(p->ports->self, r->positions, p->conf->inputs_count, CALL_MS, err)) return -1;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (r->positions[i].offset > task->place.next[i]) return input_is_gone(p, task, i, err);
    r->state = ASK_LAST;
    return 0;
}

static void make_ready(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_restore *r = task->restore;
    task->target = r->committed;
    task->target_metadata = r->metadata;
    task->pointer = (struct pql_pointer){.manifest = r->metadata.manifest};
    if (r->has_manifest) pql_base_set(&task->base, &r->manifest, r->candidate);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) {
        bool to_c = PQL_BREAKS(p, SEEK_TO_C);
        task->feed_from[i] = to_c ? task->target.next[i] : task->place.next[i];
    }
    memcpy(task->committed_writer, r->metadata.writer, sizeof task->committed_writer);
    task->committed_epoch = r->metadata.epoch;
    pql_restore_free(task);
    pql_lock(p);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) task->feed[i] = PQL_FEED_SEEK;
    pql_task_set_phase(task, PQL_PHASE_READY);
    pql_wake_all(p);
    pql_unlock(p);
}

static int ask_last(struct pql_pipeline *p, struct pql_task *task, struct pql_err *err)
{
    struct pql_restore *r = task->restore;
    name_positions(p, task);
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) r->positions[i].offset = PQL_OFFSET_LATEST;
    if (p->ports->offsets(p->ports->self, r->positions, p->conf->inputs_count, CALL_MS, err)) return -1;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++)
        if (r->positions[i].offset < r->committed.next[i])
            return PQL_FAIL(
                err, PQL_ERR_FATAL,
                "%s ends at offset %" PRId64 " and the group has committed %" PRId64
                ": the topic lost records or is another one. `pqlstream checkpoint forget` drops the state",
                p->conf->inputs[i].topic, r->positions[i].offset, r->committed.next[i]);
    for (uint32_t i = 0; p->conf->at_least_once && i < p->conf->inputs_count; i++)
        task->seen_to[i] = r->positions[i].offset;
    make_ready(p, task);
    return 0;
}

struct pql_memory pql_restore_memory(const struct pql_task *task)
{
    return (struct pql_memory){
        .state = task->restore ? task->restore->loaded_bytes * GROWTH : task->memory.state,
        .epochs = task->memory.epochs,
        .journal = task->script.capacity * sizeof *task->script.items,
    };
}

void pql_restore_step(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_restore *r = restore_of(p, task);
    struct pql_err err = {0};
    int rc = 0;
    if (now_us(p) < r->wait_until_us) return;
    switch (r->state) {
    case ASK_COMMITTED: rc = ask_committed(p, task, &err); break;
    case LOOK_FOR_REMAINS: rc = look_for_remains(p, task, &err); break;
    case ASK_START: rc = ask_start(p, task, &err); break;
    case OPEN_MANIFEST:
        rc = open_log(p, task, r->candidate, PQL_READ_UNCOMMITTED, READ_MANIFEST, &err);
        break;
    case READ_MANIFEST: rc = read_manifest(p, task, &err); break;
    case OPEN_PARTS: rc = open_log(p, task, r->parts[0], PQL_READ_UNCOMMITTED, READ_PARTS, &err); break;
    case READ_PARTS: rc = read_parts(p, task, &err); break;
    case OPEN_SEARCH: rc = open_log(p, task, 0, PQL_READ_UNCOMMITTED, SEARCH, &err); break;
    case SEARCH: rc = search(p, task, &err); break;
    case OPEN_CHUNKS:
        rc = open_log(p, task, r->manifest.base[r->item].chunks[0], PQL_READ_UNCOMMITTED, READ_CHUNKS, &err);
        break;
    case READ_CHUNKS: rc = read_chunks(p, task, &err); break;
    case ASK_JOURNAL_END: rc = ask_journal_end(p, task, &err); break;
    case OPEN_JOURNAL: rc = open_journal(p, task, &err); break;
    case READ_JOURNAL: rc = read_journal(p, task, &err); break;
    case ASK_FIRST: rc = ask_first(p, task, &err); break;
    case ASK_LAST: rc = ask_last(p, task, &err); break;
    case ASK_AGAIN: rc = ask_again(p, task, &err); break;
    }
    if (rc) failed(p, task, &err);
}
