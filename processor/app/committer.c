/* committer.c - sealed epochs of all tasks and the input offsets behind them, in one transaction.
 *
 *   IDLE ─► HANDOVER ─► BEGIN ─► PRODUCE ─► OFFSETS ─► COMMIT ─► IDLE
 *                         ▲         └──────────┴─ fault ─► ABORT ─► BEGIN, the same bytes
 *                         └─ not committed ─ DECIDE ◄─ REINIT ◄─ RECREATE ◄─ the handle is dead, the outcome
 * unknown
 *
 * The outcome of an unknown transaction is read from the group's offsets: the metadata names writer and
 * epoch. Offsets alone could not tell, since an idle epoch moves none. At least once: journal, then outputs,
 * then offsets, each acknowledged before the next. */
#include "app/task.h"

#include "base/log.h"
#include <stdlib.h>

enum {
    CALL_MS = 5000,
    INIT_MS = 10000,
    PRODUCE_PER_STEP = 500,
    BACKOFF_US = 100000,
    QUEUE_FULL_US = 2000,
    FENCE_WINDOW_US = 60000000,
    FOREIGN_US = 20000000, /* longer than the group takes to tell a member that it is none */
    DELAY_FACTOR = 2, /* outputs wait this many transactions' time where that is longer: at most a third of
                         the time is spent in them */
    ACKS = 256,
    SIZE_MOST = 64 << 20, /* of a transaction */
};

static uint64_t now_us(const struct pql_pipeline *p)
{
    return p->ports->mono_us(p->ports->self);
}

static void again_after(struct pql_pipeline *p, uint64_t us)
{
    p->committer.wait_until_us = now_us(p) + us;
}

static void to(struct pql_committer *c, enum pql_txn_state state)
{
    c->state = state;
    c->task_at = c->record_at = 0;
}

/* --- how much one transaction may hold --- */

static uint64_t third_us(const struct pql_pipeline *p)
{
    return (uint64_t)p->conf->transaction_timeout_ms * 1000 / 3;
}

/* A transaction that times out is gone, and would be again: what it holds must be produced in a third of that
 * time. Too slow: half of what would have done it. Quick and full: twice as much. Under the lock. */
static void learn_pace(struct pql_pipeline *p, uint64_t took_us)
{
    struct pql_committer *c = &p->committer;
    uint64_t third = third_us(p);
    if (took_us > third) {
        uint64_t fits = (uint64_t)((double)c->size * (double)third / (double)took_us / 2);
        c->size_max = fits > p->conf->transaction_bytes_min ? fits : p->conf->transaction_bytes_min;
    } else if (took_us < third / 4 && c->size * 2 >= c->size_max) {
        c->size_max = c->size_max * 2 < SIZE_MOST ? c->size_max * 2 : SIZE_MOST;
    }
}

/* One that failed tells something only if it took long. */
static void learn_from_failure(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    uint64_t took = now_us(p) - c->opened_us;
    if (c->state < PQL_TXN_PRODUCE || c->state > PQL_TXN_COMMIT || took <= third_us(p)) return;
    pql_lock(p);
    learn_pace(p, took);
    pql_unlock(p);
}

/* It was open for longer than the broker allows: it held too much, or the process slept. */
static bool has_timed_out(const struct pql_pipeline *p)
{
    const struct pql_committer *c = &p->committer;
    uint64_t timeout = (uint64_t)p->conf->transaction_timeout_ms * 1000;
    return now_us(p) - c->opened_us >= timeout;
}

/* --- what to do about a fault: the one place that acts on its class --- */

/* The client may not be asked anything more: its handle can be dead. */
static void halt(struct pql_pipeline *p, enum pql_stop stop, const struct pql_err *err)
{
    pql_pipeline_fail(p, stop, err);
    to(&p->committer, PQL_TXN_HALTED);
}

static bool is_lasting(struct pql_pipeline *p, const struct pql_err *err)
{
    struct pql_committer *c = &p->committer;
    if (!pql_pipeline_is_lasting(p, &c->permanent, err)) return false;
    to(c, PQL_TXN_HALTED);
    return true;
}

static bool is_fence(const struct pql_err *err)
{
    return err->reason && !strcmp(err->reason, "fenced");
}

/* Everything of the epochs once more: outside transactions from the journal on. */
static void produce_again(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    to(c, p->conf->at_least_once ? PQL_TXN_JOURNAL_ACKS : PQL_TXN_ABORT);
    c->failed_acks = p->conf->at_least_once;
}

/* Tasks that are leaving go without what is not committed: who has them next finds out what was. */
static void give_up_closing(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    bool any = false;
    pql_lock(p);
    for (size_t i = 0; i < c->count; i++) {
        any |= c->tasks[i]->closing;
        c->tasks[i]->lost |= c->tasks[i]->closing;
    }
    c->closing_tries = 0;
    if (any) pql_wake_all(p);
    pql_unlock(p);
    if (any)
        pql_log(PQL_LOG_WARN, "partitions are given back without their last epoch", "state=%d",
                (int)c->state);
}

static bool has_closing(struct pql_pipeline *p)
{
    bool any = false;
    pql_lock(p);
    for (size_t i = 0; i < p->committer.count; i++) any |= p->committer.tasks[i]->closing;
    pql_unlock(p);
    return any;
}

static void fenced(struct pql_pipeline *p, const struct pql_err *err)
{
    struct pql_committer *c = &p->committer;
    uint64_t now = now_us(p);
    bool by_another = is_fence(err) && !has_timed_out(p);
    if (by_another && c->fenced_us && now - c->fenced_us < FENCE_WINDOW_US) {
        struct pql_err why = *err;
        pql_err_prefix(
            &why,
            "another process has this instance's transactional id (fenced twice within a minute); give each "
            "its own `instance`: ");
        halt(p, PQL_STOP_FENCED, &why);
        return;
    }
    if (by_another) c->fenced_us = now;
    pql_lock(p);
    c->unknown++;
    pql_unlock(p);
    c->is_unknown = true;
    give_up_closing(p);
    to(c, PQL_TXN_RECREATE);
}

static void txn_failed(struct pql_pipeline *p, const struct pql_err *err)
{
    struct pql_committer *c = &p->committer;
    again_after(p, BACKOFF_US);
    if (err->cls != PQL_ERR_RETRY) learn_from_failure(p);
    if (err->cls != PQL_ERR_RETRY)
        pql_log(PQL_LOG_WARN, "transaction failed", "state=%d cause=%s", (int)c->state, err->msg);
    switch (err->cls) {
    case PQL_ERR_RETRY:
        PQL_LOG_LIMITED(p->ports->wall_ms(p->ports->self), PQL_LOG_WARN, "transaction waits", "cause=%s",
                        err->msg);
        return;
    case PQL_ERR_ABORT_TXN:
        if (is_lasting(p, err)) return;
        /* Others wait for the partitions that are leaving: one more try, with metadata fetched anew. */
        if (has_closing(p) && ++c->closing_tries > 1) give_up_closing(p);
        produce_again(p);
        return;
    case PQL_ERR_FENCED:
        if (is_fence(err) || !is_lasting(p, err)) fenced(p, err);
        return;
    case PQL_ERR_CONFIG: halt(p, PQL_STOP_CONFIG, err); return;
    case PQL_ERR_NONE:
    case PQL_ERR_RECORD:
    case PQL_ERR_FATAL: halt(p, PQL_STOP_FATAL, err); return;
    }
}

/* --- which tasks are part of it --- */

/* Lost tasks go, whatever state the transaction is in: their outcome is decided by who has them now. What was
 * already produced of them makes the transaction one to abort. */
static void drop_lost(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    size_t kept = 0;
    pql_lock(p);
    for (size_t i = 0; i < c->count; i++) {
        if (c->tasks[i]->lost)
            c->tasks[i]->in_txn = false;
        else
            c->tasks[kept++] = c->tasks[i];
    }
    bool dropped = kept < c->count;
    c->count = kept;
    if (dropped) pql_wake_all(p);
    pql_unlock(p);
    if (!dropped) return;
    if (c->state == PQL_TXN_PRODUCE || c->state == PQL_TXN_OFFSETS) to(c, PQL_TXN_ABORT);
    if (c->state == PQL_TXN_BEGIN && !c->count) to(c, PQL_TXN_IDLE);
    if (c->state >= PQL_TXN_JOURNAL) {
        to(c, PQL_TXN_JOURNAL_ACKS); /* and again from the journal on */
        c->failed_acks = 1;
    }
}

static bool is_claim(const struct pql_task *task)
{
    return task->phase == PQL_PHASE_CLAIM;
}

/* A task that was parked may have one that waits until it is known whether it goes on. */
static bool has_sealed(const struct pql_task *task)
{
    return task->sealed && !task->lost && task->phase != PQL_PHASE_RESTORE &&
           task->phase != PQL_PHASE_RELEASED;
}

static uint64_t output_delay_us(const struct pql_pipeline *p)
{
    uint64_t least = (uint64_t)p->conf->max_output_delay_ms * 1000,
             most = (uint64_t)p->conf->commit_interval_ms * 1000;
    uint64_t delay = p->committer.took_us * DELAY_FACTOR;
    return delay < least ? least : delay > most && most > least ? most : delay;
}

/* Under the lock: whether epochs are to be closed now, and else in how many ms to look again. */
static bool is_due(const struct pql_pipeline *p, uint64_t now, int *look_again_ms)
{
    const struct pql_committer *c = &p->committer;
    uint64_t interval = (uint64_t)p->conf->commit_interval_ms * 1000, delay = output_delay_us(p),
             due = UINT64_MAX;
    for (size_t i = 0; i < p->count; i++) {
        const struct pql_task *task = p->tasks[i];
        if (has_sealed(task) || (task->closing && task->phase == PQL_PHASE_LIVE && !task->lost)) return true;
    }
    for (unsigned i = 0; i < p->conf->workers; i++) {
        const struct pql_worker *w = &p->workers[i];
        if (w->is_full) return true;
        if (w->oldest_output_us && w->oldest_output_us + delay < due) due = w->oldest_output_us + delay;
        if (w->has_moved && c->last_us + interval < due) due = c->last_us + interval;
    }
    if (now >= due) return true;
    *look_again_ms = due == UINT64_MAX ? (int)p->conf->commit_interval_ms : (int)((due - now) / 1000 + 1);
    return false;
}

static void idle(struct pql_pipeline *p, int wait_ms)
{
    struct pql_committer *c = &p->committer;
    int look_again_ms = 0;
    pql_lock(p);
    bool due = is_due(p, now_us(p), &look_again_ms);
    for (unsigned i = 0; due && i < p->conf->workers; i++) p->workers[i].handover_wanted = true;
    if (!due) pql_wait_changed(p, wait_ms < look_again_ms ? wait_ms : look_again_ms);
    pql_unlock(p);
    if (!due) return;
    to(c, PQL_TXN_HANDOVER);
    for (unsigned i = 0; i < p->conf->workers; i++) p->ports->worker_wake(p->ports->self, i);
}

/* Under the lock. */
static bool all_handed_over(const struct pql_pipeline *p)
{
    for (unsigned i = 0; i < p->conf->workers; i++)
        if (p->workers[i].handover_wanted) return false;
    return true;
}

/* Chooses what of the task's epoch is part of the transaction; false: it has no room for any of it. */
static bool has_room(struct pql_pipeline *p, struct pql_task *task)
{
    struct pql_committer *c = &p->committer;
    bool is_bounded = !p->conf->at_least_once && !PQL_BREAKS(p, UNSPLIT_FLOOD);
    uint64_t most = is_bounded ? c->size_max : UINT64_MAX, left = most > c->size ? most - c->size : 0;
    uint64_t size = pql_epoch_choose(task->sealed, left);
    if (c->size && size > left) return false;
    c->size += size;
    return true;
}

/* The epoch's number is part of its metadata from here on, whatever happens to the transaction. A claim has
 * 0. */
static void collect(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    c->count = c->size = 0;
    if (!c->size_max) c->size_max = p->conf->transaction_bytes;
    c->closing_tries = 0;
    for (size_t i = 0; i < p->count; i++) {
        struct pql_task *task = p->tasks[(c->turn + i) % p->count];
        if (!has_sealed(task)) continue;
        if (!has_room(p, task)) { /* it comes first the next time */
            c->turn = (c->turn + i) % p->count;
            break;
        }
        if (!c->count) c->epoch++;
        task->in_txn = true;
        task->sealed->metadata.epoch = is_claim(task) ? 0 : c->epoch;
        c->tasks = pql_xgrow(c->tasks, &c->capacity, c->count + 1, sizeof(struct pql_task *));
        c->tasks[c->count++] = task;
    }
}

/* The same once more: byte for byte, unless that is known to be too much. */
static void collect_again(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    size_t kept = 0;
    c->size = 0;
    pql_lock(p);
    for (size_t i = 0; i < c->count; i++) {
        uint64_t number = c->tasks[i]->sealed->metadata.epoch;
        c->tasks[i]->in_txn = has_room(p, c->tasks[i]);
        if (!c->tasks[i]->in_txn) continue;
        c->tasks[i]->sealed->metadata.epoch = number;
        c->tasks[kept++] = c->tasks[i];
    }
    c->count = kept;
    pql_unlock(p);
}

static void handover(struct pql_pipeline *p, int wait_ms)
{
    struct pql_committer *c = &p->committer;
    pql_lock(p);
    bool all = all_handed_over(p);
    if (all) {
        collect(p);
        if (!c->waiting_us || !c->count) c->waiting_us = c->count ? now_us(p) : 0;
    } else {
        pql_wait_changed(p, wait_ms);
    }
    pql_unlock(p);
    if (!all) return;
    c->begun_us = now_us(p);
    if (!c->count) {
        c->last_us = c->begun_us;
        to(c, PQL_TXN_IDLE);
        again_after(p, 1000);
    } else {
        to(c, p->conf->at_least_once ? PQL_TXN_JOURNAL : PQL_TXN_BEGIN);
    }
}

/* --- the transaction --- */

/* One position per input and task, each with its epoch's metadata: also of inputs that did not move. */
static size_t positions_of(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    size_t n = 0, need = c->count * p->conf->inputs_count;
    c->positions = pql_xrealloc(c->positions, (need + 1) * sizeof *c->positions);
    for (size_t i = 0; i < c->count; i++) {
        const struct pql_epoch *epoch = c->tasks[i]->sealed;
        for (uint32_t k = 0; k < p->conf->inputs_count; k++) {
            struct pql_position *position = &c->positions[n++];
            *position = (struct pql_position){
                .input = k, .partition = c->tasks[i]->partition, .offset = epoch->end.next[k]};
            struct pql_metadata metadata = epoch->metadata;
            if (PQL_BREAKS(p, POINTER_BEFORE_S) && c->tasks[i]->pending.manifest >= 0)
                metadata.manifest = c->tasks[i]->pending.manifest;
            pql_metadata_write(&metadata, position->metadata);
        }
    }
    return n;
}

/* Moves to the next record that `wants`; NULL at the end. */
static const struct pql_epoch_record *next_record(struct pql_committer *c, int lane)
{
    for (; c->task_at < c->count; c->task_at++, c->record_at = 0) {
        const struct pql_epoch *epoch = c->tasks[c->task_at]->sealed;
        size_t first = pql_epoch_first(epoch), last = pql_epoch_last(epoch);
        if (c->record_at < first) c->record_at = first;
        for (; c->record_at < last; c->record_at++) {
            bool is_journal = epoch->records[c->record_at].output == PQL_OUT_CHECKPOINT;
            if (lane < 0 || is_journal == (lane == 0)) return &epoch->records[c->record_at];
        }
    }
    return NULL;
}

static void produce(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    struct pql_err err = {0};
    for (int i = 0; i < PRODUCE_PER_STEP; i++) {
        struct pql_out_record record;
        if (!next_record(c, -1)) {
            to(c, PQL_TXN_OFFSETS);
            return;
        }
        pql_arena_reset(&c->arena);
        pql_epoch_get(c->tasks[c->task_at]->sealed, c->record_at, &c->arena, &record);
        if (p->ports->txn_produce(p->ports->self, &record, &err)) {
            if (err.cls == PQL_ERR_RETRY)
                again_after(p, QUEUE_FULL_US);
            else
                txn_failed(p, &err);
            return;
        }
        c->record_at++;
    }
}

/* The broker takes offsets of generation -1 without a fence, so membership is looked at here; assignment lost
 * comes last, since it can become true at any time before. */
static void send_offsets(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    struct pql_err err = {0};
    struct pql_group_facts facts = {.generation = -1};
    p->ports->group_facts(p->ports->self, &facts);
    drop_lost(p);
    if (c->state != PQL_TXN_OFFSETS) return;
    bool is_member =
        facts.generation >= 0 && facts.has_member_id && !p->ports->assignment_lost(p->ports->self);
    if (!is_member && !PQL_BREAKS(p, MEMBERLESS_COMMIT)) {
        PQL_FAIL(&err, PQL_ERR_ABORT_TXN, "this process is no member of the group at present");
        txn_failed(p, &err);
        return;
    }
    size_t n = positions_of(p);
    if (p->ports->txn_send_offsets(p->ports->self, c->positions, n, CALL_MS, &err))
        txn_failed(p, &err);
    else
        to(c, PQL_TXN_COMMIT);
}

/* Under the lock: the epoch is known to be committed. */
static void settle_task(struct pql_pipeline *p, struct pql_task *task)
{
    pql_task_committed(p, task);
    if (!is_claim(task)) return;
    for (uint32_t i = 0; i < p->conf->inputs_count; i++) {
        task->feed[i] = PQL_FEED_SEEK;
        task->feed_from[i] = task->place.next[i];
    }
    task->target_metadata.epoch = 0;
    pql_task_set_phase(task, PQL_PHASE_READY);
}

static void note_duration(struct pql_durations *durations, uint64_t us)
{
    int bucket = 0;
    while (bucket < PQL_COMMIT_BUCKETS - 1 && us > (uint64_t)pql_commit_ms[bucket] * 1000) bucket++;
    durations->counts[bucket]++;
    durations->sum_us += us;
}

/* Under the lock, before the epochs are settled: how old their oldest outputs are. */
static void note_outputs(struct pql_committer *c, uint64_t now_us)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct pql_epoch *epoch = c->tasks[i]->sealed;
        uint64_t since = epoch ? epoch->first_output_us : 0;
        if (since && now_us > since) note_duration(&c->outputs, now_us - since);
    }
}

static void committed(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    pql_lock(p);
    c->last_us = now_us(p);
    note_outputs(c, c->last_us);
    for (size_t i = 0; i < c->count; i++) settle_task(p, c->tasks[i]);
    c->count = 0;
    c->epochs++;
    c->took_us = c->last_us - c->begun_us;
    c->waiting_us = 0;
    note_duration(&c->commits, c->took_us);
    learn_pace(p, c->last_us - c->opened_us);
    pql_wake_all(p);
    pql_unlock(p);
    c->permanent = NULL;
    c->closing_tries = 0;
    c->is_unknown = false;
    to(c, PQL_TXN_IDLE);
    for (unsigned i = 0; i < p->conf->workers; i++) p->ports->worker_wake(p->ports->self, i);
}

static void begin_again(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    collect_again(p);
    c->is_unknown = false;
    to(c, c->count ? PQL_TXN_BEGIN : PQL_TXN_IDLE);
}

/* --- unknown outcome --- */

static bool same_epoch(const struct pql_metadata *m, const char *writer, uint64_t epoch)
{
    return m->epoch == epoch && !strcmp(m->writer, writer);
}

/* 1: the transaction is committed, 0: it is not, -1: somebody else commits for this task. */
static int outcome_of(const struct pql_task *task, const struct pql_position *position)
{
    struct pql_metadata m;
    struct pql_err err;
    if (PQL_BREAKS(task->pipeline, UNKNOWN_IS_COMMITTED)) return 1;
    if (PQL_BREAKS(task->pipeline, OUTCOME_BY_OFFSETS)) return position->offset == task->sealed->end.next[0];
    if (position->offset < 0) return task->committed_writer[0] ? -1 : 0;
    if (pql_metadata_parse(pql_slice_of(position->metadata), &m, &err)) return -1;
    if (same_epoch(&m, task->sealed->metadata.writer, task->sealed->metadata.epoch)) return 1;
    return same_epoch(&m, task->committed_writer, task->committed_epoch) ? 0 : -1;
}

static void decide(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    struct pql_err err = {0};
    if (!c->count || !c->is_unknown) {
        c->foreign_us = 0;
        begin_again(p);
        return;
    }
    size_t n = positions_of(p);
    if (p->ports->committed(p->ports->self, c->positions, n, CALL_MS, &err)) {
        txn_failed(p, &err);
        return;
    }
    int outcome = outcome_of(c->tasks[0], &c->positions[0]);
    for (size_t i = 1; i < c->count; i++)
        if (outcome_of(c->tasks[i], &c->positions[i * p->conf->inputs_count]) != outcome) outcome = -1;
    if (!c->foreign_us) c->foreign_us = now_us(p);
    if (outcome < 0 && has_closing(p)) {
        give_up_closing(p); /* the revoke waits for us, and those that stay may be nobody else's */
        return;
    }
    if (outcome < 0 && now_us(p) - c->foreign_us < FOREIGN_US) {
        again_after(p, BACKOFF_US); /* awake after a long sleep: control will hear which tasks are lost */
        return;
    }
    c->foreign_us = 0;
    if (outcome < 0) {
        PQL_FAIL(&err, PQL_ERR_FATAL,
                 "the group's offsets of %s were set by another process or by an operator meanwhile",
                 p->conf->inputs[0].topic);
        halt(p, PQL_STOP_FENCED, &err);
        return;
    }
    pql_log(PQL_LOG_INFO, "outcome of a transaction found", "epoch=%llu committed=%d",
            (unsigned long long)c->epoch, outcome);
    if (outcome)
        committed(p);
    else
        begin_again(p);
}

/* --- at least once --- */

static void produce_plain(struct pql_pipeline *p, bool journal)
{
    struct pql_committer *c = &p->committer;
    struct pql_err err = {0};
    for (int i = 0; i < PRODUCE_PER_STEP; i++) {
        struct pql_out_record record;
        bool journal_now = PQL_BREAKS(p, JOURNAL_AFTER_OUTPUTS) ? !journal : journal;
        if (!next_record(c, journal_now ? 0 : 1)) {
            to(c, journal ? PQL_TXN_JOURNAL_ACKS : PQL_TXN_OUTPUTS_ACKS);
            return;
        }
        pql_arena_reset(&c->arena);
        pql_epoch_get(c->tasks[c->task_at]->sealed, c->record_at, &c->arena, &record);
        if (p->ports->plain_produce(p->ports->self, PQL_LANE_OUTPUT, &record, record.output, &err)) {
            if (err.reason && err.cls != PQL_ERR_RETRY) err.cls = PQL_ERR_ABORT_TXN;
            if (err.cls == PQL_ERR_RETRY)
                again_after(p, QUEUE_FULL_US);
            else
                txn_failed(p, &err);
            return;
        }
        c->expected_acks++;
        c->record_at++;
    }
}

/* Every acknowledgement is there, and one says no for good: with a word for it once more, without at once the
 * end. The cookie is the output. */
static void take_refusal(struct pql_pipeline *p)
{
    struct pql_committer *c = &p->committer;
    struct pql_ack refused = c->refused;
    struct pql_err err;
    c->refused = (struct pql_ack){0};
    PQL_FAIL(&err, refused.reason ? PQL_ERR_ABORT_TXN : refused.failed, "%s: a record was refused: %s",
             p->conf->outputs[refused.cookie],
             refused.reason ? refused.reason : "the broker does not say why");
    err.reason = refused.reason;
    err.topic = p->conf->outputs[refused.cookie];
    txn_failed(p, &err);
}

static void wait_acks(struct pql_pipeline *p, bool journal)
{
    struct pql_committer *c = &p->committer;
    struct pql_ack acks[ACKS];
    size_t n = c->expected_acks ? p->ports->plain_acks(p->ports->self, PQL_LANE_OUTPUT, acks, ACKS, 100) : 0;
    for (size_t i = 0; i < n; i++) {
        c->expected_acks--;
        c->failed_acks += acks[i].failed != PQL_ERR_NONE;
        if (acks[i].failed != PQL_ERR_NONE && acks[i].failed != PQL_ERR_RETRY) c->refused = acks[i];
    }
    if (c->expected_acks) return;
    if (c->refused.failed != PQL_ERR_NONE) {
        take_refusal(p);
        return;
    }
    bool failed = c->failed_acks > 0;
    c->failed_acks = 0;
    if (!c->count)
        to(c, PQL_TXN_IDLE);
    else if (failed)
        to(c, PQL_TXN_JOURNAL);
    else
        to(c, journal ? PQL_TXN_OUTPUTS : PQL_TXN_COMMIT_OFFSETS);
}

static void commit_offsets(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    size_t n = positions_of(p);
    if (!p->ports->commit_offsets(p->ports->self, p->committer.positions, n, CALL_MS, &err)) {
        committed(p);
        return;
    }
    if (err.reason)
        err.cls = PQL_ERR_ABORT_TXN;
    else if (err.cls == PQL_ERR_ABORT_TXN)
        err.cls = PQL_ERR_RETRY; /* no member at present: control will hear what is lost */
    txn_failed(p, &err);
}

/* --- one step --- */

/* Not before the group took this process in: it would fence another one that rightly has the instance. */
static bool was_assigned(struct pql_pipeline *p, int wait_ms)
{
    pql_lock(p);
    bool was = p->incarnations > 0;
    if (!was) pql_wait_changed(p, wait_ms);
    pql_unlock(p);
    return was;
}

static void step_init(struct pql_pipeline *p, int wait_ms)
{
    struct pql_err err = {0};
    if (!was_assigned(p, wait_ms)) return;
    if (p->conf->at_least_once || !p->ports->txn_init(p->ports->self, INIT_MS, &err))
        to(&p->committer, PQL_TXN_IDLE);
    else
        txn_failed(p, &err);
}

static void step_begin(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    p->committer.opened_us = now_us(p);
    if (p->ports->txn_begin(p->ports->self, &err))
        txn_failed(p, &err);
    else
        to(&p->committer, PQL_TXN_PRODUCE);
}

static void step_commit(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    if (p->ports->txn_commit(p->ports->self, CALL_MS, &err))
        txn_failed(p, &err);
    else
        committed(p);
}

static void step_abort(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    if (p->ports->txn_abort(p->ports->self, CALL_MS, &err)) {
        if (err.cls == PQL_ERR_ABORT_TXN) err.cls = PQL_ERR_RETRY;
        txn_failed(p, &err);
        return;
    }
    pql_lock(p);
    p->committer.aborted++;
    pql_unlock(p);
    begin_again(p);
}

static void step_recreate(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    if (p->ports->txn_recreate(p->ports->self, &err)) {
        if (err.cls == PQL_ERR_FENCED || err.cls == PQL_ERR_ABORT_TXN) err.cls = PQL_ERR_RETRY;
        txn_failed(p, &err);
    } else {
        to(&p->committer, PQL_TXN_REINIT);
    }
}

static void step_reinit(struct pql_pipeline *p)
{
    struct pql_err err = {0};
    if (p->ports->txn_init(p->ports->self, INIT_MS, &err))
        txn_failed(p, &err);
    else
        to(&p->committer, PQL_TXN_DECIDE);
}

void pql_committer_step(struct pql_pipeline *p, int wait_ms)
{
    struct pql_committer *c = &p->committer;
    drop_lost(p);
    uint64_t now = now_us(p);
    if (now < c->wait_until_us) {
        int left_ms = (int)((c->wait_until_us - now) / 1000 + 1);
        pql_lock(p);
        pql_wait_changed(p, wait_ms < left_ms ? wait_ms : left_ms);
        pql_unlock(p);
        return;
    }
    switch (c->state) {
    case PQL_TXN_INIT: step_init(p, wait_ms); break;
    case PQL_TXN_IDLE: idle(p, wait_ms); break;
    case PQL_TXN_HANDOVER: handover(p, wait_ms); break;
    case PQL_TXN_BEGIN: step_begin(p); break;
    case PQL_TXN_PRODUCE: produce(p); break;
    case PQL_TXN_OFFSETS: send_offsets(p); break;
    case PQL_TXN_COMMIT: step_commit(p); break;
    case PQL_TXN_ABORT: step_abort(p); break;
    case PQL_TXN_RECREATE: step_recreate(p); break;
    case PQL_TXN_REINIT: step_reinit(p); break;
    case PQL_TXN_DECIDE: decide(p); break;
    case PQL_TXN_HALTED: again_after(p, BACKOFF_US); break;
    case PQL_TXN_JOURNAL: produce_plain(p, true); break;
    case PQL_TXN_JOURNAL_ACKS: wait_acks(p, true); break;
    case PQL_TXN_OUTPUTS: produce_plain(p, false); break;
    case PQL_TXN_OUTPUTS_ACKS: wait_acks(p, false); break;
    case PQL_TXN_COMMIT_OFFSETS: commit_offsets(p); break;
    case PQL_TXN_STATE_COUNT: break;
    }
}
