/* worker.c - one worker's step: messages of its tasks to their engines, in the order in which they were
 * taken, or in a replay in the order in which they had been taken. */
#include "app/task.h"

#include "base/log.h"
#include "core/reasons.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { RETRY_MS = 100, STEPS_MAX = 50000 /* of an engine in one call, silent ones too */ };

static const uint64_t day_us = UINT64_C(86400000000);

enum taken { TAKEN, PARTLY /* the same record again */, MUST_WAIT, STOPPED };

/* --- the script of a replay: what comes next, and which input it needs --- */

static const struct pql_journal *script_entry(const struct pql_task *task)
{
    return task->script.next < task->script.count ? &task->script.items[task->script.next] : NULL;
}

static bool is_scripted(const struct pql_task *task)
{
    return task->phase == PQL_PHASE_REPLAY || task->script.next < task->script.count;
}

/* The place up to which reading is laid down, or NULL: the next entry's, or C once the entries before it are
 * done. */
static const struct pql_log_place *script_goal(const struct pql_task *task)
{
    const struct pql_journal *entry = script_entry(task);
    if (task->phase == PQL_PHASE_REPLAY && !(entry && entry->place.journal <= task->target.journal))
        return &task->target;
    return entry ? &entry->place : NULL;
}

/* May what comes from now on be otherwise than it was when it may have been seen? */
static bool is_past_what_was_seen(const struct pql_task *task)
{
    for (uint32_t i = 0; i < task->pipeline->conf->inputs_count; i++)
        if (task->place.next[i] < task->seen_to[i]) return false;
    return true;
}

/* Has it a configuration to look at, and may it? */
static bool has_to_revise(const struct pql_task *task)
{
    return task->revised != task->owner->wanted_serial && is_past_what_was_seen(task);
}

/* A record whose instant is not reached yet comes before all else, and a clock, a refresh or a change under
 * way before any record; so does a configuration that the task has not looked at. */
static bool may_interrupt(const struct pql_task *task, uint32_t input)
{
    struct pql_part part = pql_engine_part(task->engine);
    if (part.kind == PQL_WORK_NONE) return !has_to_revise(task);
    return part.kind == PQL_WORK_EVENT &&
           (part.input == input || task->place.next[part.input] != part.offset);
}

/* Between two entries a single input was read: the one that is behind. */
static bool may_take(const struct pql_task *task, uint32_t input, uint32_t inputs_count)
{
    const struct pql_log_place *goal = is_scripted(task) ? script_goal(task) : NULL;
    if (task->fill.is_open) return pql_fill_wants(task, input);
    if (!goal) return may_interrupt(task, input);
    for (uint32_t i = 0; i < inputs_count; i++)
        if (task->place.next[i] < goal->next[i]) return i == input;
    return false;
}

static void block(struct pql_worker *w, struct pql_task *task, enum pql_stop stop, struct pql_err *err)
{
    pql_snapshots_abandon(w, task);
    pql_task_block(w->pipeline, task, stop, err);
}

/* A line a second while it takes long. Offsets stand for records: an estimate. */
static void tell_replay(struct pql_worker *w, struct pql_task *task)
{
    if (!task->replay_begun_us) task->replay_begun_us = task->replay_told_us = w->now_us;
    if (w->now_us - task->replay_told_us < 1000000) return;
    task->replay_told_us = w->now_us;
    uint64_t ms = (w->now_us - task->replay_begun_us) / 1000 + 1, left = 0;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        if (task->target.next[i] > task->place.next[i])
            left += (uint64_t)(task->target.next[i] - task->place.next[i]);
    pql_log(PQL_LOG_INFO, "replaying", "partition=%d records=%llu left=%llu records_per_s=%llu eta_s=%llu",
            task->partition, (unsigned long long)task->replayed, (unsigned long long)left,
            (unsigned long long)(task->replayed * 1000 / ms),
            (unsigned long long)(left * ms / 1000 / (task->replayed + 1)));
}

/* How far events were behind is known as of S only; at C they were so by no more than they are now. */
static void note_lag_at_most(struct pql_worker *w, struct pql_task *task)
{
    int64_t seen = pql_engine_seen(task->engine);
    if (seen == PQL_NO_TIME) return;
    int64_t now = w->wall_ms > seen ? w->wall_ms - seen : 0;
    if (task->lag_ms < 0 || task->lag_ms > now) task->lag_ms = now;
}

/* Offsets of inputs that the group does not subscribe to expire by themselves: a process that never lives for
 * a day renews them too. */
static void begin_live(struct pql_worker *w, struct pql_task *task)
{
    task->last_snapshot_us = task->last_seal_us = task->last_record_us = w->now_us;
    pql_scoreboard_begin(w->pipeline->scoreboard, task->partition, task->engine);
    if (w->pipeline->conf->inputs_count > 1) pql_task_open_epoch(task)->moved = true;
    if (task->semantics < w->pipeline->conf->semantics && !w->pipeline->conf->engine_upgrade)
        pql_log(PQL_LOG_WARN, "the task stays at an older version of the engine",
                "topic=%s partition=%d version=%u newest=%u mend=\"once every process runs this release: "
                "engine_upgrade = auto, and a restart of each\"",
                w->pipeline->conf->inputs[0].topic, task->partition, task->semantics,
                w->pipeline->conf->semantics);
}

/* At C the replay must have made what was published: a difference stops here instead of reaching a reader. */
static void finish_replay(struct pql_worker *w, struct pql_task *task)
{
    struct pql_err err = {0};
    if (task->is_unmarked) { /* they go on from what was published */
        task->pointer.records = task->records - task->target_metadata.records;
        task->pointer.hash = task->hash - task->target_metadata.hash;
    }
    uint64_t records = task->records - task->pointer.records, hash = task->hash - task->pointer.hash;
    if (records != task->target_metadata.records || hash != task->target_metadata.hash) {
        PQL_FAIL(&err, PQL_ERR_FATAL,
                 "the replay made %llu records with hash %016llx where %llu with %016llx were published: the "
                 "input was "
                 "changed since, or this binary decides otherwise; start the binary that wrote them, or see "
                 "`pqlstream "
                 "checkpoint forget`",
                 (unsigned long long)records, (unsigned long long)hash,
                 (unsigned long long)task->target_metadata.records,
                 (unsigned long long)task->target_metadata.hash);
        block(w, task, PQL_STOP_STATE, &err);
        return;
    }
    if (PQL_BREAKS(w->pipeline, REPLAY_IS_CLEAN)) {
        pql_snapshot_begin(task->engine, 1, 0);
        pql_snapshot_abandon(task->engine);
        pql_snapshot_saved(task->engine);
    }
    note_lag_at_most(w, task);
    pql_log(PQL_LOG_INFO, "the task is live",
            "topic=%s partition=%d offset=%lld committed_by=%s epoch=%llu replayed=%llu accounts=%llu",
            w->pipeline->conf->inputs[0].topic, task->partition, (long long)task->place.next[0],
            task->target_metadata.writer, (unsigned long long)task->target_metadata.epoch,
            (unsigned long long)task->replayed, (unsigned long long)pql_engine_stats(task->engine).accounts);
    pql_lock(w->pipeline);
    pql_task_set_phase(task, PQL_PHASE_LIVE);
    task->committed = task->target;
    pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
    begin_live(w, task);
}

/* A replay stops where the journal says, else nowhere. */
static void call_engine(struct pql_worker *w, struct pql_task *task)
{
    w->made_records = w->made_bytes = 0;
    bool stops = !is_scripted(task) && !PQL_BREAKS(w->pipeline, UNSPLIT_FLOOD);
    pql_engine_set_limit(task->engine, stops ? STEPS_MAX : 0);
}

/* Another program under the state; accounts follow by pql_engine_settle. A number alone changes nothing else.
 */
static int take_program(struct pql_worker *w, struct pql_task *task, const struct pql_edition *edition,
                        int64_t revision, struct pql_err *err)
{
    if (edition != task->edition) {
        pql_snapshots_abandon(w, task);
        if (pql_engine_change(task->engine, edition->program, err) ||
            pql_task_set_edition(w->pipeline, task, edition, err))
            return -1;
    }
    task->revision = revision;
    return 0;
}

static int replay_program(struct pql_worker *w, struct pql_task *task, const struct pql_journal *entry,
                          struct pql_err *err)
{
    const struct pql_edition *edition;
    if (pql_edition_of(w->pipeline, entry->program, &edition, err) ||
        take_program(w, task, edition, entry->revision, err))
        return -1;
    const struct pql_journal *next = task->script.next + 1 < task->script.count ? entry + 1 : NULL;
    bool is_filled = next && next->kind == PQL_JOURNAL_FILLED;
    if (entry->fills) pql_fill_open(w, task, entry, is_filled ? next : NULL);
    return 0;
}

static void apply_entry(struct pql_worker *w, struct pql_task *task, const struct pql_journal *entry)
{
    struct pql_err err = {0};
    call_engine(w, task);
    if (entry->kind == PQL_JOURNAL_PROGRAM && replay_program(w, task, entry, &err)) {
        block(w, task, PQL_STOP_STATE, &err);
        return;
    }
    if (entry->kind == PQL_JOURNAL_FILLED && entry->is_given_up) pql_engine_fill_stop(task->engine);
    if (entry->kind == PQL_JOURNAL_SETTLED && pql_engine_work(task->engine) != PQL_WORK_CHANGE) {
        PQL_FAIL(&err, PQL_ERR_FATAL, "journal entry %llu settles a change of definitions that is not there",
                 (unsigned long long)entry->place.journal);
        block(w, task, PQL_STOP_STATE, &err);
        return;
    }
    if (entry->kind == PQL_JOURNAL_SETTLED) (void)pql_engine_settle(task->engine);
    if (entry->kind == PQL_JOURNAL_ENGINE) task->semantics = entry->semantics;
    if (entry->kind == PQL_JOURNAL_TICK) (void)pql_engine_tick(task->engine, entry->time_ms);
    if (entry->kind == PQL_JOURNAL_REFRESH) (void)pql_engine_refresh(task->engine);
    if (entry->kind == PQL_JOURNAL_PART && pql_engine_replay_part(task->engine, &entry->part, &err)) {
        block(w, task, PQL_STOP_STATE, &err);
        return;
    }
    task->place.journal = entry->place.journal;
    task->run_input = -1;
    if (++task->script.next < task->script.count) return;
    free(task->script.items); /* the entry as well */
    task->script = (struct pql_script){0};
}

/* Does what is due at the present place: entries, the zero of n and x, the end of the replay. */
static void settle_script(struct pql_worker *w, struct pql_task *task)
{
    while (is_scripted(task) && task->phase != PQL_PHASE_BLOCKED && !task->fill.is_open) {
        if (task->has_mark && task->place.journal >= task->mark.journal &&
            pql_place_reached(w->pipeline, &task->place, &task->mark)) {
            task->pointer.records = task->records;
            task->pointer.hash = task->hash;
            task->has_mark = false;
        }
        const struct pql_log_place *goal = script_goal(task);
        if (!pql_place_reached(w->pipeline, &task->place, goal)) return;
        const struct pql_journal *entry = script_entry(task);
        if (goal == &task->target) {
            finish_replay(w, task);
        } else if (entry->kind == PQL_JOURNAL_REFUSED) {
            struct pql_err err;
            PQL_FAIL(&err, PQL_ERR_FATAL,
                     "the journal names a refused record at offset %lld of %s that is not there",
                     (long long)entry->place.next[entry->input] - 1,
                     w->pipeline->conf->inputs[entry->input].topic);
            block(w, task, PQL_STOP_STATE, &err);
        } else {
            apply_entry(w, task, entry);
        }
    }
}

/* --- one message --- */

static void add_misplaced(struct pql_misplaced *m, bool is_bad)
{
    uint64_t bit = UINT64_C(1) << (m->next % 64), *word = &m->bits[m->next / 64];
    if (m->seen == PQL_MISPLACED_WINDOW && (*word & bit)) m->bad--;
    if (m->seen < PQL_MISPLACED_WINDOW) m->seen++;
    *word = is_bad ? *word | bit : *word & ~bit;
    m->bad += is_bad;
    m->next = (m->next + 1) % PQL_MISPLACED_WINDOW;
}

static void check_place(struct pql_worker *w, struct pql_task *task, const struct pql_event *event)
{
    const struct pql_pipeline_input *input = &w->pipeline->conf->inputs[event->input];
    if (!input->partition_of || !event->account.len || event->kind == PQL_EVENT_CLOCK) return;
    uint32_t expected = input->partition_of(event->account, (uint32_t)w->pipeline->partitions_count);
    struct pql_misplaced *m = &task->misplaced;
    add_misplaced(m, expected != (uint32_t)task->partition);
    if (m->seen < PQL_MISPLACED_MIN || m->bad < PQL_MISPLACED_COUNT_MIN ||
        (double)m->bad <= w->pipeline->conf->misplaced_max * m->seen)
        return;
    struct pql_err err;
    PQL_FAIL(&err, PQL_ERR_CONFIG,
             "%s is not partitioned by account: %u of the last %u events of partition %d belong to another; "
             "produce it with the account as key, or re-key it; if that is its key, say in the input how the "
             "producer places keys: partitioning = \"murmur2\" (Java clients), \"crc32\" (librdkafka's own: "
             "Python, Go, .NET), \"trusted\" (a rule of its own)",
             input->topic, m->bad, m->seen, task->partition);
    pql_pipeline_fail(w->pipeline, PQL_STOP_STATE, &err);
}

static void journal_run(struct pql_worker *w, struct pql_task *task, uint32_t input)
{
    if (task->refused.input != input) pql_task_journal_refused(w->pipeline, task);
    if (!is_scripted(task) && task->run_input >= 0 && task->run_input != (int)input &&
        !PQL_BREAKS(w->pipeline, SILENT_RUNS))
        pql_task_journal(w->pipeline, task, &(struct pql_journal){.kind = PQL_JOURNAL_RUN}, w->wall_ms);
    task->run_input = (int)input;
}

static void moved(struct pql_task *task, const struct pql_message_view *m)
{
    task->place.next[m->input] = m->offset + 1;
    task->taken_since_snapshot++;
    if (task->phase == PQL_PHASE_LIVE) pql_task_open_epoch(task)->moved = true;
}

static void check_share(struct pql_worker *w, struct pql_task *task)
{
    const struct pql_pipeline_conf *conf = w->pipeline->conf;
    if (task->share.seen < PQL_SHARE_WINDOW || task->share.bad <= conf->dlq_max_share * PQL_SHARE_WINDOW)
        return;
    pql_lock(w->pipeline);
    int64_t committed = task->committed.next[0];
    pql_unlock(w->pipeline);
    struct pql_err err;
    PQL_FAIL(&err, PQL_ERR_CONFIG,
             "%u of the last %u records could not be used, more than dlq_max_share: a wrong schema or "
             "mapping? Nothing "
             "behind offset %lld is committed; correct it and start again",
             task->share.bad, task->share.seen, (long long)committed);
    block(w, task, PQL_STOP_STATE, &err);
    if (conf->exit_on_bad_input) pql_pipeline_fail(w->pipeline, PQL_STOP_STATE, &err);
}

static enum taken refuse(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m,
                         const char *reason, const char *words)
{
    w->stats.refused++;
    journal_run(w, task, m->input);
    if (task->refused.reason && strcmp(task->refused.reason, reason) != 0)
        pql_task_journal_refused(w->pipeline, task);
    if (!task->refused.reason)
        task->refused = (struct pql_refused){.reason = reason, .input = m->input, .from = m->offset};
    moved(task, m);
    pql_output_dead_letter(w, task, m, reason, words);
    pql_share_add(&task->share, true);
    check_share(w, task);
    return task->phase == PQL_PHASE_BLOCKED ? STOPPED : TAKEN;
}

/* A record that the journal refuses is not decoded again. Past C (at least once) its dead letter may be
 * missing; C itself may lie within what one entry refuses. */
static bool is_refused_by_script(struct pql_worker *w, struct pql_task *task,
                                 const struct pql_message_view *m)
{
    const struct pql_journal *entry = script_entry(task);
    if (!entry || entry->kind != PQL_JOURNAL_REFUSED || entry->input != m->input ||
        m->offset < entry->refused_from || m->offset >= entry->place.next[m->input])
        return false;
    char reason[64];
    snprintf(reason, sizeof reason, "%.*s", PQL_SLICE_ARG(entry->reason));
    if (task->phase == PQL_PHASE_LIVE) pql_output_dead_letter(w, task, m, reason, "refused before a restart");
    moved(task, m);
    pql_share_add(&task->share, true);
    if (task->place.next[m->input] == entry->place.next[m->input]) apply_entry(w, task, entry);
    return true;
}

static enum taken stop_missing(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m)
{
    struct pql_err err;
    PQL_FAIL(&err, PQL_ERR_FATAL,
             "%s has no record from offset %lld to %lld, which the state needs: deleted by retention or "
             "compaction. Give it "
             "back, or drop the state with `pqlstream checkpoint forget`",
             w->pipeline->conf->inputs[m->input].topic, (long long)task->place.next[m->input],
             (long long)m->offset - 1);
    block(w, task, PQL_STOP_STATE, &err);
    return STOPPED;
}

static enum taken decode_failed(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m,
                                struct pql_err *err)
{
    if (err->cls == PQL_ERR_RETRY) {
        PQL_LOG_LIMITED(
            w->wall_ms, PQL_LOG_WARN, "the partition waits", "topic=%s partition=%d offset=%lld cause=%s",
            w->pipeline->conf->inputs[m->input].topic, m->partition, (long long)m->offset, err->msg);
        return MUST_WAIT;
    }
    if (err->cls == PQL_ERR_RECORD && !is_scripted(task)) {
        PQL_LOG_LIMITED(w->wall_ms, PQL_LOG_WARN, "record refused",
                        "topic=%s partition=%d offset=%lld reason=%s cause=%s",
                        w->pipeline->conf->inputs[m->input].topic, m->partition, (long long)m->offset,
                        err->reason ? err->reason : "?", err->msg);
        return refuse(w, task, m, err->reason ? err->reason : "unknown", err->msg);
    }
    pql_err_prefix(err, "%s[%d]@%lld: ", w->pipeline->conf->inputs[m->input].topic, m->partition,
                   (long long)m->offset);
    if (err->cls == PQL_ERR_RECORD) {
        pql_err_prefix(err, "the record was used before and cannot be decoded now: ");
        block(w, task, PQL_STOP_STATE, err);
    } else {
        enum pql_stop stop = err->cls == PQL_ERR_CONFIG ? PQL_STOP_CONFIG : PQL_STOP_FATAL;
        pql_pipeline_fail(w->pipeline, stop, err);
        block(w, task, stop, err);
    }
    return STOPPED;
}

static void note_seen(struct pql_worker *w, struct pql_task *task, int64_t before)
{
    int64_t seen = pql_engine_seen(task->engine);
    if (seen != before && task->phase == PQL_PHASE_LIVE)
        task->lag_ms = w->wall_ms > seen ? w->wall_ms - seen : 0;
}

/* How far a long input has come; an epoch may be closed behind it. */
static void journal_part(struct pql_worker *w, struct pql_task *task)
{
    struct pql_journal entry = {.kind = PQL_JOURNAL_PART, .part = pql_engine_part(task->engine)};
    pql_task_journal(w->pipeline, task, &entry, w->wall_ms);
    pql_task_cut(w->pipeline, task);
    w->stats.parts++;
    task->taken_since_snapshot++;
    w->did_something = true;
}

static enum taken apply(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m,
                        const struct pql_event *event)
{
    int64_t seen = pql_engine_seen(task->engine);
    pql_task_journal_refused(w->pipeline, task);
    journal_run(w, task, m->input);
    call_engine(w, task);
    enum pql_applied applied = pql_engine_apply(task->engine, event);
    note_seen(w, task, seen);
    if (applied == PQL_APPLY_PART) {
        journal_part(w, task);
        return PARTLY;
    }
    moved(task, m);
    w->stats.duplicates += applied == PQL_APPLY_DUPLICATE;
    w->stats.late += applied >= PQL_APPLY_LATE;
    if (applied == PQL_APPLY_LATE_DEAD_LETTER && task->phase == PQL_PHASE_LIVE)
        pql_output_dead_letter(w, task, m, pql_rejects[PQL_REJECT_LATE].word,
                               pql_rejects[PQL_REJECT_LATE].help);
    pql_share_add(&task->share, false);
    return TAKEN;
}

static enum taken process(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m)
{
    struct pql_event event;
    struct pql_err err = {0};
    pql_needed_note(task, m);
    bool scripted = is_scripted(task);
    if (task->fill.is_open) return pql_fill_take(w, task, m, &err) ? decode_failed(w, task, m, &err) : TAKEN;
    if (scripted && is_refused_by_script(w, task, m)) {
        settle_script(w, task);
        return TAKEN;
    }
    if (scripted && m->offset >= script_goal(task)->next[m->input]) return stop_missing(w, task, m);
    if (!m->has_value && !scripted)
        return refuse(w, task, m, pql_rejects[PQL_REJECT_TOMBSTONE].word,
                      pql_rejects[PQL_REJECT_TOMBSTONE].help);
    pql_arena_reset(&w->scratch);
    if (w->pipeline->conf->decoding.decode(task->decoders, m, &w->scratch, &event, &err))
        return decode_failed(w, task, m, &err);
    event.input = m->input;
    event.partition = m->partition;
    event.offset = m->offset;
    if (!scripted) {
        int64_t max = task->edition->max_future_ms[m->input];
        int64_t now = m->timestamp_is_append ? m->timestamp_ms : w->wall_ms;
        if (max >= 0 && event.time_ms > now && event.time_ms - now > max)
            return refuse(w, task, m, pql_rejects[PQL_REJECT_FUTURE_TIME].word,
                          pql_rejects[PQL_REJECT_FUTURE_TIME].help);
        if (pql_engine_work(task->engine) == PQL_WORK_NONE) check_place(w, task, &event);
    }
    if (apply(w, task, m, &event) == PARTLY) return PARTLY;
    if (task->phase == PQL_PHASE_LIVE) pql_task_cut(w->pipeline, task);
    if (scripted) {
        task->replayed++;
        w->stats.replayed++;
        settle_script(w, task);
    } else {
        w->stats.messages++;
        w->stats.bytes += m->value.len;
    }
    return TAKEN;
}

/* --- messages that wait their turn --- */

static void inbox_push(struct pql_inbox *inbox, const struct pql_message_view *m)
{
    if (inbox->head && inbox->head + inbox->count == inbox->capacity) {
        memmove(inbox->items, inbox->items + inbox->head, inbox->count * sizeof *inbox->items);
        inbox->head = 0;
    }
    inbox->items =
        pql_xgrow(inbox->items, &inbox->capacity, inbox->head + inbox->count + 1, sizeof *inbox->items);
    inbox->items[inbox->head + inbox->count++] = *m;
    inbox->bytes += m->key.len + m->value.len;
}

static void release(struct pql_worker *w, struct pql_message_view *m)
{
    w->pipeline->ports->message_release(w->pipeline->ports->self, m);
}

static void inbox_clear(struct pql_worker *w, struct pql_inbox *inbox)
{
    for (size_t i = 0; i < inbox->count; i++) release(w, &inbox->items[inbox->head + i]);
    inbox->head = inbox->count = 0;
    inbox->bytes = 0;
    inbox->waits = false;
}

static void clear_inboxes(struct pql_worker *w, struct pql_task *task)
{
    for (uint32_t i = 0; i < PQL_INPUTS_MAX; i++) inbox_clear(w, &task->inbox[i]);
}

static bool is_running(const struct pql_task *task)
{
    return task->phase == PQL_PHASE_REPLAY || task->phase == PQL_PHASE_LIVE;
}

/* Outputs wait to be handed over: nothing that makes more. */
static bool is_over(const struct pql_worker *w, const struct pql_task *task)
{
    return task->phase == PQL_PHASE_LIVE && w->open_bytes > w->pipeline->conf->epoch_bytes_max &&
           !PQL_BREAKS(w->pipeline, UNSPLIT_FLOOD);
}

/* True if it took at least one. */
static bool drain_inbox(struct pql_worker *w, struct pql_task *task, uint32_t input)
{
    struct pql_inbox *inbox = &task->inbox[input];
    bool progress = false;
    if (inbox->waits && w->now_us < inbox->retry_us) return false;
    if (inbox->count) pql_fill_reached(task, input, inbox->items[inbox->head].offset);
    while (inbox->count && is_running(task) && !is_over(w, task) &&
           may_take(task, input, w->pipeline->conf->inputs_count)) {
        struct pql_message_view *m = &inbox->items[inbox->head];
        enum taken taken = process(w, task, m);
        inbox->waits = taken == MUST_WAIT;
        if (inbox->waits) inbox->retry_us = w->now_us + RETRY_MS * 1000;
        if (taken == PARTLY) return false; /* the other tasks' turn */
        if (taken == MUST_WAIT) return progress;
        inbox->bytes -= m->key.len + m->value.len;
        release(w, m);
        inbox->head++;
        if (!--inbox->count) inbox->head = 0;
        if (inbox->count) pql_fill_reached(task, input, inbox->items[inbox->head].offset);
        progress = w->did_something = true;
    }
    return progress;
}

static void drain_inboxes(struct pql_worker *w, struct pql_task *task)
{
    bool progress = true;
    while (progress) {
        progress = false;
        for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) progress |= drain_inbox(w, task, i);
    }
    if (!is_running(task)) clear_inboxes(w, task);
}

/* What does not fit is read again later: the feed is closed until the inbox is empty. */
static void keep_for_later(struct pql_worker *w, struct pql_task *task, struct pql_message_view *m)
{
    struct pql_inbox *inbox = &task->inbox[m->input];
    if (inbox->count < w->pipeline->conf->inbox_max &&
        (!inbox->count || inbox->bytes < w->pipeline->conf->inbox_bytes_max)) {
        inbox_push(inbox, m);
        return;
    }
    task->accepts[m->input] = false;
    pql_lock(w->pipeline);
    task->feed[m->input] = PQL_FEED_PAUSE;
    task->feed_from[m->input] = m->offset;
    pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
    release(w, m);
}

/* --- a batch --- */

/* given_up: why, or NULL. */
static void end_fill(struct pql_worker *w, struct pql_task *task, const char *given_up)
{
    struct pql_fill *fill = &task->fill;
    struct pql_journal entry = {
        .kind = PQL_JOURNAL_FILLED, .is_given_up = given_up != NULL, .fill_from_ms = fill->from_ms};
    bool is_laid_down = fill->is_laid_down; /* past C the script may open the next one */
    memcpy(entry.fill_next, fill->next, sizeof entry.fill_next);
    if (pql_fill_close(w, task, given_up)) clear_inboxes(w, task);
    settle_script(w, task);       /* its entry, or C where that comes before it */
    task->taken_since_snapshot++; /* what was read is not to be needed again */
    task->last_snapshot_us = 0;
    if (is_laid_down || task->phase != PQL_PHASE_LIVE) return;
    if (given_up) pql_engine_fill_stop(task->engine);
    pql_task_journal(w->pipeline, task, &entry, w->wall_ms);
}

static void take_error(struct pql_worker *w, struct pql_task *task, const struct pql_message_view *m)
{
    if (task->fill.is_open && !task->fill.is_laid_down && !m->reason) {
        end_fill(w, task, "the input cannot be read from there, it was deleted meanwhile");
        return;
    }
    struct pql_err err;
    PQL_FAIL(
        &err, PQL_ERR_FATAL, "%s[%d]@%lld cannot be read: %.*s%s", w->pipeline->conf->inputs[m->input].topic,
        m->partition, (long long)m->offset, PQL_SLICE_ARG(m->value),
        m->reason
            ? ""
            : ". If it was deleted before it was read, `pqlstream checkpoint forget` drops the state and "
              "starts anew");
    err.reason = m->reason;
    err.topic = w->pipeline->conf->inputs[m->input].topic;
    block(w, task, m->reason ? PQL_STOP_CONFIG : PQL_STOP_STATE, &err);
}

static void take(struct pql_worker *w, struct pql_message_view *m)
{
    struct pql_task *task = m->partition >= 0 && (size_t)m->partition < w->by_partition_count
                                ? w->by_partition[m->partition]
                                : NULL;
    if (!task || !task->accepts[m->input] || !is_running(task) ||
        m->input >= w->pipeline->conf->inputs_count) {
        release(w, m);
        return;
    }
    if (m->kind != PQL_MESSAGE_RECORD) {
        task->ended[m->input] = m->kind == PQL_MESSAGE_END;
        task->end_at[m->input] = m->offset;
        if (m->kind == PQL_MESSAGE_ERROR) take_error(w, task, m);
        release(w, m);
        return;
    }
    if (m->offset < pql_fill_next(task, m->input)) { /* fetched before a seek */
        release(w, m);
        return;
    }
    task->ended[m->input] = false;
    task->last_record_us = w->now_us;
    struct pql_inbox *inbox = &task->inbox[m->input];
    if (!inbox->count) pql_fill_reached(task, m->input, m->offset);
    if (!inbox->count && !is_over(w, task) && may_take(task, m->input, w->pipeline->conf->inputs_count)) {
        enum taken taken = process(w, task, m);
        if (taken == TAKEN || taken == STOPPED) {
            release(w, m);
            return;
        }
        inbox->waits = taken == MUST_WAIT;
        inbox->retry_us = w->now_us + RETRY_MS * 1000;
    }
    keep_for_later(w, task, m);
}

/* One input after the other, so that a task of several is read in long runs. */
static void take_batch(struct pql_worker *w)
{
    const struct pql_ports *ports = w->pipeline->ports;
    uint32_t inputs_count = w->pipeline->conf->inputs_count;
    size_t n = ports->worker_poll(ports->self, w->index, w->batch, PQL_BATCH);
    w->did_something |= n > 0;
    for (uint32_t input = 0; n && input < inputs_count; input++)
        for (size_t i = 0; i < n; i++) {
            if (w->batch[i].input != input) continue;
            pql_worker_look_ahead(w, i, n);
            take(w, &w->batch[i]);
        }
}

/* --- what begins without a record: ticks, refreshes --- */

/* Begins a tick or goes on with it. Its entry ends it. */
static void run_tick(struct pql_worker *w, struct pql_task *task, int64_t to_ms)
{
    call_engine(w, task);
    if (!pql_engine_tick(task->engine, to_ms)) {
        journal_part(w, task);
        return;
    }
    if (!PQL_BREAKS(w->pipeline, SILENT_CLOCK))
        pql_task_journal(w->pipeline, task, &(struct pql_journal){.kind = PQL_JOURNAL_TICK, .time_ms = to_ms},
                         w->wall_ms);
    w->stats.ticks++;
    task->taken_since_snapshot++;
    w->did_something = true;
}

static void run_refresh(struct pql_worker *w, struct pql_task *task)
{
    call_engine(w, task);
    if (!pql_engine_refresh(task->engine)) {
        journal_part(w, task);
        return;
    }
    pql_task_journal(w->pipeline, task, &(struct pql_journal){.kind = PQL_JOURNAL_REFRESH}, w->wall_ms);
    w->stats.refreshes++;
    task->taken_since_snapshot++;
    w->did_something = true;
}

/* Idle: the end of every input reached, nothing new for idle_after, and the broker said after that, a second
 * ago at most, that these are still the ends. A broker that does not answer is not idleness. */
static bool wants_tick(struct pql_worker *w, struct pql_task *task, int64_t *to_ms)
{
    uint64_t idle_us = (uint64_t)w->pipeline->conf->idle_after_ms * 1000;
    if (!task->edition->ticks || task->phase != PQL_PHASE_LIVE || task->is_leaving || is_scripted(task) ||
        task->lag_ms < 0 || w->now_us - task->last_record_us < idle_us)
        return false;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        if (!task->ended[i] || task->inbox[i].count) return false;
    int64_t next = pql_engine_next_tick(task->engine);
    *to_ms = w->wall_ms - task->lag_ms;
    return next != PQL_NO_TIME && next <= *to_ms;
}

/* Under the lock. */
static bool ends_are_confirmed(struct pql_worker *w, const struct pql_task *task)
{
    uint64_t idle_us = (uint64_t)w->pipeline->conf->idle_after_ms * 1000;
    if (!task->ends_asked_us || task->ends_asked_us < task->last_record_us + idle_us ||
        w->now_us > task->ends_asked_us + 1000000)
        return false;
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
        if (task->ends[i] != task->end_at[i]) return false;
    return true;
}

static void tick(struct pql_worker *w, struct pql_task *task)
{
    int64_t to_ms = 0;
    bool wanted = wants_tick(w, task, &to_ms), confirmed = false;
    if (wanted || task->tick_wanted) {
        pql_lock(w->pipeline);
        confirmed = wanted && ends_are_confirmed(w, task);
        task->tick_wanted = wanted && !confirmed;
        task->ends_asked_us = confirmed ? 0 : task->ends_asked_us;
        if (task->tick_wanted) pql_wake_all(w->pipeline);
        pql_unlock(w->pipeline);
    }
    if (confirmed) run_tick(w, task, to_ms);
}

/* --- another program, another engine --- */

static void run_settle(struct pql_worker *w, struct pql_task *task)
{
    call_engine(w, task);
    if (!pql_engine_settle(task->engine)) {
        journal_part(w, task);
        return;
    }
    if (!PQL_BREAKS(w->pipeline, SILENT_CHANGE))
        pql_task_journal(w->pipeline, task, &(struct pql_journal){.kind = PQL_JOURNAL_SETTLED}, w->wall_ms);
    w->stats.changes++;
    task->taken_since_snapshot++;
    w->did_something = true;
}

/* Where the back-fill begins; false: it is being asked for. */
static bool knows_fill(struct pql_worker *w, struct pql_task *task, struct pql_journal *entry)
{
    bool is_whole = true;
    if (w->wanted_from == PQL_OFFSET_LATEST) return true;
    pql_lock(w->pipeline);
    bool known = task->fill_asking == PQL_ASKING_KNOWN && task->fill_ask_from == w->wanted_from;
    if (!known && task->fill_asking != PQL_ASKING_WANTED) {
        task->fill_ask_from = w->wanted_from;
        task->fill_asking = PQL_ASKING_WANTED;
        pql_wake_all(w->pipeline);
    }
    for (uint32_t i = 0; known && i < w->pipeline->conf->inputs_count; i++) {
        int64_t from = task->fill_offsets[i], place = task->place.next[i];
        entry->fill_next[i] = from < 0 || from > place ? place : from;
        is_whole &= entry->fill_next[i] == 0;
    }
    if (known) task->fill_asking = PQL_ASKING_NOT;
    pql_unlock(w->pipeline);
    entry->fills = known;
    entry->fill_from_ms = is_whole ? PQL_NO_TIME : w->wanted_from >= 0 ? w->wanted_from : PQL_FILL_FROM_FIRST;
    return known;
}

static void take_over(struct pql_worker *w, struct pql_task *task, bool is_change)
{
    struct pql_err err = {0};
    struct pql_journal entry = {.kind = PQL_JOURNAL_PROGRAM,
                                .program = pql_program_text(w->wanted->program),
                                .program_hash = pql_slice_of(w->wanted->hash),
                                .revision = w->wanted_revision,
                                .semantics = task->semantics};
    if (is_change && !knows_fill(w, task, &entry)) return;
    task->revised = w->wanted_serial;
    pql_log(PQL_LOG_INFO, is_change ? "the configuration changes" : "the configuration has a new revision",
            "topic=%s partition=%d offset=%lld from_revision=%lld to_revision=%lld",
            w->pipeline->conf->inputs[0].topic, task->partition, (long long)task->place.next[0],
            (long long)task->revision, (long long)w->wanted_revision);
    pql_task_journal_refused(w->pipeline, task);
    if (!PQL_BREAKS(w->pipeline, SILENT_CHANGE)) pql_task_journal(w->pipeline, task, &entry, w->wall_ms);
    call_engine(w, task);
    if (take_program(w, task, w->wanted, w->wanted_revision, &err))
        block(w, task, PQL_STOP_CONFIG, &err);
    else if (entry.fills)
        pql_fill_open(w, task, &entry, NULL);
    else if (is_change)
        run_settle(w, task);
}

static void refuse_program(struct pql_worker *w, struct pql_task *task)
{
    struct pql_err err;
    PQL_FAIL(
        &err, PQL_ERR_CONFIG,
        "the state runs another program under the same revision %lld: definitions, mappings or settings that "
        "change results were edited. Raise `revision` in the configuration to take them over, or give the "
        "former ones back",
        (long long)task->revision);
    block(w, task, PQL_STOP_CONFIG, &err);
}

static void revise(struct pql_worker *w, struct pql_task *task)
{
    bool takes_any = PQL_BREAKS(w->pipeline, OLDER_REVISION) && w->wanted_revision < task->revision;
    int64_t own = takes_any ? w->wanted_revision - 1 : task->revision;
    enum pql_revising revising = pql_revise(task->edition->hash, own, w->wanted->hash, w->wanted_revision);
    if (revising != PQL_REVISING_CHANGE) task->revised = w->wanted_serial;
    switch (revising) {
    case PQL_REVISING_NOTHING: break;
    case PQL_REVISING_NUMBER: take_over(w, task, false); break;
    case PQL_REVISING_CHANGE: take_over(w, task, true); break;
    case PQL_REVISING_STAY:
        pql_log(PQL_LOG_WARN, "the task goes on with its own, newer program",
                "topic=%s partition=%d own_revision=%lld revision=%lld mend=\"to go back, give the old text "
                "a higher "
                "revision\"",
                w->pipeline->conf->inputs[0].topic, task->partition, (long long)task->revision,
                (long long)w->wanted_revision);
        break;
    case PQL_REVISING_REFUSE: refuse_program(w, task); break;
    }
}

/* After the roll-out: while older binaries run they wait for the task. */
static void upgrade_engine(struct pql_worker *w, struct pql_task *task)
{
    task->semantics = w->pipeline->conf->semantics;
    pql_task_journal_refused(w->pipeline, task);
    pql_task_journal(w->pipeline, task,
                     &(struct pql_journal){.kind = PQL_JOURNAL_ENGINE, .semantics = task->semantics},
                     w->wall_ms);
    task->taken_since_snapshot++;
    w->did_something = true;
    pql_log(PQL_LOG_INFO, "the task is taken to a newer engine", "topic=%s partition=%d version=%u",
            w->pipeline->conf->inputs[0].topic, task->partition, task->semantics);
}

/* A newer configuration without back-fill gives it up. */
static bool is_fill_unwanted(const struct pql_worker *w, const struct pql_task *task)
{
    return !task->fill.is_laid_down && task->revised != w->wanted_serial &&
           w->wanted_revision > task->revision && w->wanted_from == PQL_OFFSET_LATEST;
}

/* What is open goes on, one call of the engine in a step; a record's goes on with its record. */
static void act(struct pql_worker *w, struct pql_task *task)
{
    enum pql_work_kind open = pql_engine_work(task->engine);
    bool may_act =
        task->phase == PQL_PHASE_LIVE && !task->is_leaving && !is_scripted(task) && !is_over(w, task);
    if (task->fill.is_open) {
        if (task->fill.is_fresh) clear_inboxes(w, task);
        task->fill.is_fresh = false;
        for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++)
            if (task->ended[i] && !task->inbox[i].count) pql_fill_reached(task, i, task->end_at[i]);
        bool is_done = pql_fill_is_done(w, task);
        bool is_unwanted = !is_done && is_fill_unwanted(w, task);
        if (is_running(task) && (is_done || is_unwanted))
            end_fill(w, task, is_unwanted ? "a higher revision without backfill_from" : NULL);
        return;
    }
    bool is_old = task->semantics < w->pipeline->conf->semantics && w->pipeline->conf->engine_upgrade;
    if (open == PQL_WORK_NONE && may_act && is_old) {
        upgrade_engine(w, task);
    } else if (open == PQL_WORK_NONE && may_act && has_to_revise(task)) {
        revise(w, task);
    } else if (open == PQL_WORK_CHANGE && may_act) {
        run_settle(w, task);
    } else if (open == PQL_WORK_NONE && may_act && task->refreshed != w->refresh_wanted &&
               is_past_what_was_seen(task)) {
        task->refreshed = w->refresh_wanted;
        run_refresh(w, task);
    } else if (open == PQL_WORK_NONE) {
        tick(w, task);
    } else if (open == PQL_WORK_TICK && may_act) {
        run_tick(w, task, pql_engine_seen(task->engine));
    } else if (open == PQL_WORK_REFRESH && may_act) {
        run_refresh(w, task);
    }
}

/* --- what the others ask for --- */

static void adopt(struct pql_worker *w, struct pql_task *task)
{
    w->tasks = pql_xgrow(w->tasks, &w->capacity, w->count + 1, sizeof(struct pql_task *));
    w->tasks[w->count++] = task;
    size_t need = (size_t)task->partition + 1;
    if (need > w->by_partition_count) {
        w->by_partition = pql_xrealloc(w->by_partition, need * sizeof(struct pql_task *));
        memset(w->by_partition + w->by_partition_count, 0,
               (need - w->by_partition_count) * sizeof(struct pql_task *));
        w->by_partition_count = need;
    }
    PQL_ASSERT(!w->by_partition[task->partition]);
    w->by_partition[task->partition] = task;
    task->worker_busy = true;
    pql_task_set_phase(task, task->is_kept ? PQL_PHASE_LIVE : PQL_PHASE_REPLAY);
    if (task->is_kept) begin_live(w, task);
}

static bool has_something(const struct pql_task *task)
{
    return (task->open && task->open->moved) || task->pending.manifest >= 0;
}

static bool is_settled(const struct pql_task *task)
{
    if (task->lost || task->phase == PQL_PHASE_BLOCKED) return true;
    return task->phase == PQL_PHASE_REPLAY || (task->final_done && !has_something(task) && !task->sealed);
}

static void drop(struct pql_worker *w, size_t at)
{
    struct pql_task *task = w->tasks[at];
    pql_snapshots_abandon(w, task);
    clear_inboxes(w, task);
    w->tasks[at] = w->tasks[--w->count];
    w->by_partition[task->partition] = NULL;
    pql_lock(w->pipeline);
    task->worker_busy = false;
    task->is_whole =
        task->phase == PQL_PHASE_LIVE && !is_scripted(task) && w->pipeline->stop == PQL_STOP_NONE;
    pql_task_set_phase(task, PQL_PHASE_RELEASED);
    pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
}

/* Under the lock. */
static void accept_feeds(struct pql_worker *w, struct pql_task *task)
{
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) {
        if (task->feed[i] != PQL_FEED_SOUGHT) continue;
        if (!is_running(task)) { /* it was blocked meanwhile */
            task->feed[i] = PQL_FEED_CLOSED;
            continue;
        }
        task->feed[i] = PQL_FEED_RESUME;
        task->accepts[i] = true;
        task->ended[i] = false;
        pql_wake_all(w->pipeline);
    }
}

/* Under the lock. At a batch boundary, so everything in an open epoch is whole; unless the program ends over
 * a fault, by which a record may have been left out. */
static void hand_over(struct pql_worker *w)
{
    for (size_t i = 0; i < w->count; i++) {
        struct pql_task *task = w->tasks[i];
        if (w->pipeline->stop == PQL_STOP_NONE && task->phase == PQL_PHASE_LIVE && !task->lost &&
            !task->sealed && has_something(task))
            pql_task_seal(w->pipeline, task, w->now_us);
    }
    w->handover_wanted = false;
    w->did_something = true;
    pql_wake_all(w->pipeline);
}

static void take_requests(struct pql_worker *w)
{
    struct pql_pipeline *p = w->pipeline;
    size_t known = w->count;
    pql_lock(p);
    for (size_t i = 0; i < p->count; i++)
        if (p->tasks[i]->worker == w->index && p->tasks[i]->phase == PQL_PHASE_READY &&
            !p->tasks[i]->closing && !p->tasks[i]->lost)
            adopt(w, p->tasks[i]);
    for (size_t i = 0; i < w->count; i++) {
        w->tasks[i]->is_leaving = w->tasks[i]->closing;
        w->tasks[i]->leave_by_us = w->tasks[i]->handover_deadline_us;
        accept_feeds(w, w->tasks[i]);
    }
    w->refresh_wanted = p->refresh_wanted;
    w->wanted = p->wanted;
    w->wanted_revision = p->wanted_revision;
    w->wanted_from = p->wanted_from;
    w->wanted_serial = p->wanted_serial;
    if (w->handover_wanted) hand_over(w);
    w->lookup = pql_lookup_wanted(w);
    struct pql_ack_queue acks = w->acks;
    w->acks = w->acks_taken;
    w->acks_taken = acks;
    pql_unlock(p);
    for (size_t i = known; i < w->count; i++) settle_script(w, w->tasks[i]);
}

static void settle_closing(struct pql_worker *w)
{
    for (size_t i = w->count; i-- > 0;) {
        struct pql_task *task = w->tasks[i];
        pql_lock(w->pipeline);
        bool closing = task->closing || task->lost, settled = closing && is_settled(task);
        pql_unlock(w->pipeline);
        if (closing && !settled) {
            memset(task->accepts, 0, sizeof task->accepts);
            clear_inboxes(w, task);
        }
        if (settled) drop(w, i);
    }
}

/* --- what the others shall know --- */

static void want_feed_again(struct pql_worker *w, struct pql_task *task)
{
    for (uint32_t i = 0; i < w->pipeline->conf->inputs_count; i++) {
        if (task->accepts[i] || task->feed[i] != PQL_FEED_CLOSED || task->inbox[i].count) continue;
        task->feed[i] = PQL_FEED_SEEK;
        pql_wake_all(w->pipeline);
    }
}

static struct pql_memory memory_of(const struct pql_task *task)
{
    struct pql_memory m = {.state = pql_engine_bytes(task->engine),
                           .epochs = task->open ? pql_epoch_bytes(task->open) : 0,
                           .journal = task->script.capacity * sizeof *task->script.items};
    for (size_t i = 0; i < PQL_INPUTS_MAX; i++)
        m.messages += task->inbox[i].bytes + task->inbox[i].capacity * sizeof *task->inbox[i].items;
    return m;
}

static void report(struct pql_worker *w)
{
    uint64_t oldest = 0, bytes = 0;
    bool has_moved = false;
    w->stats.waiting = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct pql_task *task = w->tasks[i];
        if (task->phase == PQL_PHASE_LIVE && w->now_us - task->last_seal_us > day_us)
            pql_task_open_epoch(task)->moved = true;
        for (uint32_t k = 0; k < w->pipeline->conf->inputs_count; k++)
            w->stats.waiting += task->inbox[k].waits;
        if (task->phase != PQL_PHASE_LIVE) continue;
        has_moved |= has_something(task);
        if (!task->open) continue;
        bytes += task->open->bytes.len;
        if (task->open->first_output_us && (!oldest || task->open->first_output_us < oldest))
            oldest = task->open->first_output_us;
    }
    pql_lock(w->pipeline);
    bool news = (oldest && !w->oldest_output_us) || (has_moved && !w->has_moved);
    w->oldest_output_us = oldest;
    w->has_moved = has_moved;
    w->open_bytes = bytes;
    w->is_full = bytes > w->pipeline->conf->epoch_bytes_max;
    w->shown = w->stats;
    w->snapshot_bytes = w->snapshot.task ? w->snapshot.inflight + w->snapshot.pages.capacity : 0;
    for (size_t i = 0; i < w->count; i++) {
        w->tasks[i]->accounts = pql_engine_stats(w->tasks[i]->engine).accounts;
        w->tasks[i]->shown_seen_ms = pql_engine_seen(w->tasks[i]->engine);
        w->tasks[i]->memory = memory_of(w->tasks[i]);
        w->tasks[i]->shown_revision = w->tasks[i]->revision;
        w->tasks[i]->shown_snapshot_us = w->tasks[i]->last_snapshot_us;
        pql_needed_show(w->tasks[i]);
        if (is_running(w->tasks[i]) && !w->tasks[i]->closing) want_feed_again(w, w->tasks[i]);
    }
    if (news || w->is_full) pql_wake_all(w->pipeline);
    pql_unlock(w->pipeline);
}

void pql_worker_step(struct pql_pipeline *p, unsigned index, int wait_ms)
{
    struct pql_worker *w = &p->workers[index];
    w->now_us = p->ports->mono_us(p->ports->self);
    w->wall_ms = p->ports->wall_ms(p->ports->self);
    w->did_something = false;
    take_requests(w);
    settle_closing(w);
    if (!w->is_full) {
        for (size_t i = 0; i < w->count; i++) drain_inboxes(w, w->tasks[i]);
        take_batch(w);
    }
    for (size_t i = 0; i < w->count; i++) {
        act(w, w->tasks[i]);
        if (w->tasks[i]->phase == PQL_PHASE_REPLAY) tell_replay(w, w->tasks[i]);
    }
    if (w->lookup) pql_lookup_answer(w, w->lookup);
    pql_snapshots_step(w);
    report(w);
    if (!w->did_something && wait_ms > 0) p->ports->worker_wait(p->ports->self, index, wait_ms);
}
