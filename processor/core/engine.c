#include "core/engine_state.h"

#include "core/hash.h"
#include <stdlib.h>

struct pql_engine *pql_engine_new(const struct pql_program *program, pql_emit *emit, void *context)
{
    struct pql_engine *engine = pql_xcalloc(1, sizeof *engine);
    engine->program = program;
    engine->emit = emit;
    engine->context = context;
    engine->seen = engine->complete = PQL_NO_TIME;
    pql_store_init(&engine->store, program);
    pql_dedup_init(&engine->dedup, program->conf->settings.dedup_horizon_ms,
                   program->conf->settings.dedup_ids_max);
    pql_arena_init(&engine->scratch);
    pql_change_init(engine);
    return engine;
}

void pql_engine_free(struct pql_engine *engine)
{
    if (!engine) return;
    pql_snapshot_deinit(&engine->snapshot);
    pql_store_deinit(&engine->store, engine->program);
    pql_bury_accounts(engine);
    free(engine->gone);
    pql_heap_deinit(&engine->timers);
    pql_reorder_deinit(&engine->reorder);
    pql_dedup_deinit(&engine->dedup);
    pql_heap_deinit(&engine->agenda);
    free(engine->work.order);
    pql_change_deinit(engine);
    pql_buf_deinit(&engine->work.account);
    free(engine->fired);
    free(engine->stepped);
    free(engine->moved);
    free(engine->taken);
    free(engine->events);
    pql_arena_deinit(&engine->scratch);
    pql_tracer_free(engine->tracer);
    free(engine);
}

static int64_t lateness_of(const struct pql_engine *engine)
{
    return engine->program->conf->settings.lateness_ms;
}

/* --- order of instants: timers and waiting events, by (time, account bytes) --- */

/* The account whose timer is the first, or NULL. Entries of accounts that were set anew are dropped. */
static struct pql_account *first_timer(struct pql_engine *engine)
{
    while (engine->timers.count) {
        struct pql_account *account = engine->timers.entries[0].item;
        if (account->timer_ms == engine->timers.entries[0].due) return account;
        (void)pql_heap_pop(&engine->timers, pql_account_order);
    }
    return NULL;
}

static void take_timer(struct pql_engine *engine, struct pql_account *account)
{
    (void)pql_heap_pop(&engine->timers, pql_account_order);
    account->timer_ms = INT64_MAX;
}

/* The first timer: an instant of its account without events, unless it was set too early. */
static void fire_first(struct pql_engine *engine, struct pql_account *account)
{
    int64_t due = account->timer_ms;
    take_timer(engine, account);
    if (pql_account_is_due(engine, account, due))
        pql_instant(engine, account, due, NULL, 0);
    else
        pql_account_retime(engine, account);
}

bool pql_engine_ignores(const struct pql_engine *engine, const struct pql_account *account,
                        const struct pql_event *event)
{
    const struct pql_expr *ignore = engine->program->ignore;
    if (!ignore) return false;
    struct pql_event of_user = *event;
    struct pql_scope scope = {.program = engine->program,
                              .account = account,
                              .event = &of_user,
                              .own_attributes = true,
                              .t_ms = event->time_ms};
    of_user.user = pql_alias_user(engine, account, event->user);
    if (account && event->user.len) scope.user = pql_account_find(&engine->store, account, of_user.user);
    return pql_expr_holds(ignore, &scope);
}

/* Applies one event of an account by itself, at the present instant. */
static void apply_to_account(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_account *account = pql_store_find(&engine->store, event->account);
    if (pql_engine_ignores(engine, account, event)) {
        engine->stats.ignored++;
        return;
    }
    if (!account && event->kind == PQL_EVENT_FORGET) return; /* there is nothing to forget */
    if (!account) account = pql_account_appears(engine, event->account);
    pql_instant(engine, account, engine->complete, event, 1);
}

static void apply_alone(struct pql_engine *engine, const struct pql_event *event)
{
    if (event->account.len)
        apply_to_account(engine, event);
    else
        pql_everywhere_apply(engine, event, apply_to_account);
}

/* All waiting events of one account and instant, then one evaluation. */
static void apply_waiting(struct pql_engine *engine, int64_t t_ms)
{
    size_t count = 0, taken = 0;
    struct pql_slice id = pql_reorder_first(&engine->reorder)->event.account;
    struct pql_account *account = pql_store_find(&engine->store, id);
    const struct pql_waiting *next;
    while ((next = pql_reorder_first(&engine->reorder)) && next->event.time_ms == t_ms &&
           pql_slice_eq(next->event.account, id)) {
        engine->taken =
            pql_xgrow(engine->taken, &engine->taken_capacity, taken + 1, sizeof(struct pql_waiting *));
        engine->events =
            pql_xgrow(engine->events, &engine->events_capacity, count + 1, sizeof *engine->events);
        pql_touch_waiting(engine, next);
        engine->taken[taken] = pql_reorder_take(&engine->reorder);
        if (!count && pql_engine_ignores(engine, account, &engine->taken[taken]->event))
            engine->stats.ignored++;
        else if (account || count || next->event.kind != PQL_EVENT_FORGET)
            engine->events[count++] = engine->taken[taken]->event;
        taken++;
    }
    if (count && !account) account = pql_account_appears(engine, id);
    if (count)
        pql_instant(engine, account, t_ms, engine->events, count);
    else if (first_timer(engine) == account && account && account->timer_ms == t_ms)
        fire_first(engine, account); /* the account's instant is over with this, whatever was ignored in it */
    for (size_t i = 0; i < taken; i++) free(engine->taken[i]);
}

/* An account's instant: a timer of it, or events that wait for it, or both. */
struct instant {
    struct pql_account *timer; /* NULL: events wait, and its timers are applied with them */
    int64_t due_ms;
    struct pql_slice account;
};

/* The first one at or before upto. */
static bool next_instant(struct pql_engine *engine, int64_t upto_ms, struct instant *out)
{
    const struct pql_waiting *waiting = pql_reorder_first(&engine->reorder);
    while (waiting && !waiting->event.account.len && waiting->event.time_ms <= upto_ms) {
        pql_everywhere_expand(engine);
        waiting = pql_reorder_first(&engine->reorder);
    }
    struct pql_account *account = first_timer(engine);
    bool timer_first = account && (!waiting || account->timer_ms < waiting->event.time_ms ||
                                   (account->timer_ms == waiting->event.time_ms &&
                                    pql_slice_cmp(account->id, waiting->event.account) < 0));
    if (timer_first)
        *out = (struct instant){account, account->timer_ms, account->id};
    else if (waiting)
        *out = (struct instant){NULL, waiting->event.time_ms, waiting->event.account};
    else
        return false;
    return out->due_ms <= upto_ms;
}

/* --- order: accounts by bytes. Ids of one application begin alike, so what is compared first lies behind
 * what all have in common. --- */

struct ranked {
    uint64_t key;
    struct pql_account *account;
};

static int by_id(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->key != y->key) return x->key < y->key ? -1 : 1;
    return pql_slice_cmp(x->account->id, y->account->id);
}

static size_t common_prefix(const struct pql_store *store)
{
    struct pql_slice first = store->accounts[0]->id;
    size_t len = first.len;
    for (size_t i = 1; i < store->count && len; i++) {
        struct pql_slice id = store->accounts[i]->id;
        if (id.len < len) len = id.len;
        while (len && memcmp(id.ptr, first.ptr, len) != 0) len--;
    }
    return len;
}

static uint64_t key_of(struct pql_slice id, size_t from)
{
    uint64_t key = 0;
    for (size_t i = 0; i < 8; i++) key = key << 8 | (from + i < id.len ? (unsigned char)id.ptr[from + i] : 0);
    return key;
}

/* Those behind the place that the open work has reached come next. */
static void order_accounts(struct pql_engine *engine)
{
    const struct pql_store *store = &engine->store;
    struct pql_work *work = &engine->work;
    struct pql_slice reached = {work->account.ptr, work->account.len};
    work->next = 0;
    work->order = pql_xmalloc((store->count + 1) * sizeof(struct pql_account *));
    if (!store->count) return;
    size_t prefix = common_prefix(store);
    struct ranked *ranked = pql_xmalloc(store->count * sizeof *ranked);
    for (size_t i = 0; i < store->count; i++)
        ranked[i] = (struct ranked){key_of(store->accounts[i]->id, prefix), store->accounts[i]};
    qsort(ranked, store->count, sizeof *ranked, by_id);
    for (size_t i = 0; i < store->count; i++) work->order[i] = ranked[i].account;
    while (reached.len && work->next < store->count &&
           pql_slice_cmp(work->order[work->next]->id, reached) <= 0)
        work->next++;
    free(ranked);
}

/* --- work in parts --- */

static bool is_of_accounts(enum pql_work_kind kind)
{
    return kind == PQL_WORK_REFRESH || kind == PQL_WORK_CHANGE;
}

static bool is_beyond(const struct instant *next, const struct pql_part *goal)
{
    if (!goal) return false;
    if (next->due_ms != goal->due_ms) return next->due_ms > goal->due_ms;
    return pql_slice_cmp(next->account, goal->account) > 0;
}

static void reach(struct pql_work *work, int64_t due_ms, struct pql_slice account)
{
    work->due_ms = due_ms;
    work->account.len = 0;
    pql_buf_put(&work->account, account.ptr, account.len);
}

/* What is next of the open work; false: nothing. */
static bool next_step(struct pql_engine *engine, struct instant *next)
{
    struct pql_work *work = &engine->work;
    if (!is_of_accounts(work->kind)) return next_instant(engine, work->upto_ms, next);
    if (!work->order) order_accounts(engine);
    if (work->next == engine->store.count) return false;
    struct pql_account *account = work->order[work->next];
    *next = (struct instant){account, 0, account->id};
    return true;
}

static void do_step(struct pql_engine *engine, const struct instant *next)
{
    struct pql_work *work = &engine->work;
    reach(work, next->due_ms, next->account);
    work->steps++;
    if (is_of_accounts(work->kind)) {
        work->next++;
        (work->kind == PQL_WORK_CHANGE ? pql_instant_settle : pql_instant_refresh)(engine, next->timer);
    } else if (next->timer) {
        fire_first(engine, next->timer);
    } else {
        apply_waiting(engine, next->due_ms);
    }
}

static bool is_spent(const struct pql_engine *engine)
{
    const struct pql_work *work = &engine->work;
    if (!work->may_stop || work->goal) return false;
    uint64_t steps = work->steps + engine->stats.records - work->records_before;
    return work->wants_stop || (engine->steps_max && steps >= engine->steps_max);
}

/* The clock has got to where it was to go: with lateness 0 all that is due at this instant has happened too.
 */
static void arrive(struct pql_engine *engine, int64_t upto_ms)
{
    if (upto_ms < engine->complete) return;
    engine->complete = upto_ms;
    engine->ticked = lateness_of(engine) == 0;
}

static bool advance(struct pql_engine *engine, enum pql_work_kind kind, int64_t upto_ms,
                    const struct pql_event *event);
static bool tick(struct pql_engine *engine, enum pql_work_kind kind, int64_t t_ms,
                 const struct pql_event *event);

/* Waiting events that a shorter lateness lets go happen now. */
static bool end_change(struct pql_engine *engine)
{
    pql_change_close(engine);
    if (engine->seen == PQL_NO_TIME) return true;
    int64_t wait = lateness_of(engine) ? lateness_of(engine) + 1 : 0;
    return advance(engine, PQL_WORK_TICK, engine->seen - wait, NULL);
}

/* True: no work is open any more. */
static bool go_on(struct pql_engine *engine)
{
    struct pql_work *work = &engine->work;
    struct instant next;
    if (work->kind == PQL_WORK_NONE) return true;
    while (next_step(engine, &next)) {
        if (is_spent(engine) || is_beyond(&next, work->goal)) return false;
        do_step(engine, &next);
    }
    if (work->goal) return false; /* what ends it is an input of its own */
    bool was_change = work->kind == PQL_WORK_CHANGE;
    if (!is_of_accounts(work->kind)) arrive(engine, work->upto_ms);
    free(work->order);
    work->order = NULL;
    work->kind = PQL_WORK_NONE;
    return !was_change || end_change(engine);
}

/* Every call that takes an input begins here. */
static bool go_on_first(struct pql_engine *engine)
{
    engine->work.may_stop = true;
    engine->work.wants_stop = false;
    engine->work.steps = 0;
    engine->work.records_before = engine->stats.records;
    return go_on(engine);
}

/* upto_ms: 0 for work on all accounts. */
static void open_work(struct pql_engine *engine, enum pql_work_kind kind, int64_t upto_ms)
{
    struct pql_work *work = &engine->work;
    PQL_ASSERT(work->kind == PQL_WORK_NONE);
    work->kind = kind;
    work->upto_ms = upto_ms;
    work->input = 0;
    work->offset = work->due_ms = 0;
    work->account.len = 0;
}

/* Every instant up to `upto`, each as a whole. True if it got there. */
static bool advance(struct pql_engine *engine, enum pql_work_kind kind, int64_t upto_ms,
                    const struct pql_event *event)
{
    struct instant next;
    if (!next_instant(engine, upto_ms, &next)) {
        arrive(engine, upto_ms);
        return true;
    }
    open_work(engine, kind, upto_ms);
    if (event) {
        engine->work.input = event->input;
        engine->work.offset = event->offset;
    }
    return go_on(engine);
}

void pql_engine_refresh_shadow(struct pql_engine *engine)
{
    engine->refreshes_shadow = true;
}

bool pql_engine_refresh(struct pql_engine *engine)
{
    bool is_open = engine->work.kind == PQL_WORK_REFRESH;
    if (!go_on_first(engine)) return false;
    if (is_open || engine->seen == PQL_NO_TIME) return true;
    open_work(engine, PQL_WORK_REFRESH, 0);
    return go_on(engine);
}

int pql_engine_change(struct pql_engine *engine, const struct pql_program *program, struct pql_err *err)
{
    PQL_ASSERT(engine->work.kind == PQL_WORK_NONE);
    engine->work.may_stop = false;
    if (engine->seen != PQL_NO_TIME) (void)tick(engine, PQL_WORK_TICK, engine->seen, NULL);
    if (pql_change_begin(engine, program, err)) return -1;
    open_work(engine, PQL_WORK_CHANGE, 0);
    return 0;
}

bool pql_engine_settle(struct pql_engine *engine)
{
    return go_on_first(engine);
}

void pql_engine_set_limit(struct pql_engine *engine, uint64_t steps_max)
{
    engine->steps_max = steps_max;
}

void pql_engine_pause(struct pql_engine *engine)
{
    engine->work.wants_stop = true;
}

enum pql_work_kind pql_engine_work(const struct pql_engine *engine)
{
    return engine->work.kind;
}

struct pql_part pql_engine_part(const struct pql_engine *engine)
{
    const struct pql_work *work = &engine->work;
    if (work->kind == PQL_WORK_NONE) return (struct pql_part){.kind = PQL_WORK_NONE};
    return (struct pql_part){.kind = work->kind,
                             .seen_ms = engine->seen,
                             .complete_ms = engine->complete,
                             .upto_ms = work->upto_ms,
                             .input = work->input,
                             .offset = work->offset,
                             .due_ms = work->due_ms,
                             .account = {work->account.ptr, work->account.len}};
}

static void raise_seen(struct pql_engine *engine, int64_t t_ms)
{
    if (t_ms > engine->seen || engine->seen == PQL_NO_TIME) engine->seen = t_ms;
}

/* What was open before may have been finished in the call that stopped in this work. */
static void replay_before(struct pql_engine *engine, const struct pql_part *part)
{
    struct pql_work *work = &engine->work;
    work->may_stop = false;
    if (work->kind != part->kind || work->upto_ms != part->upto_ms) (void)go_on(engine);
    if (work->kind != PQL_WORK_NONE) return;
    if (!is_of_accounts(part->kind)) raise_seen(engine, part->seen_ms);
    if (part->complete_ms > engine->complete) (void)advance(engine, part->kind, part->complete_ms, NULL);
    open_work(engine, part->kind, part->upto_ms);
    work->input = part->input;
    work->offset = part->offset;
}

int pql_engine_replay_part(struct pql_engine *engine, const struct pql_part *part, struct pql_err *err)
{
    struct pql_work *work = &engine->work;
    bool fits = part->kind > PQL_WORK_NONE && part->kind < PQL_WORK_KIND_COUNT && part->account.len > 0;
    if (part->kind == PQL_WORK_CHANGE) fits &= engine->change.is_new_signal != NULL;
    if (!fits || part->complete_ms < engine->complete)
        return PQL_FAIL(err, PQL_ERR_FATAL, "a part of an input does not follow the state before it");
    replay_before(engine, part);
    work->goal = part;
    (void)go_on(engine);
    work->goal = NULL;
    reach(work, part->due_ms, part->account);
    return 0;
}

/* --- arrival --- */

static bool is_duplicate(const struct pql_engine *engine, const struct pql_event *event, uint64_t id)
{
    return engine->dedup.horizon_ms && event->id.len && engine->seen != PQL_NO_TIME &&
           pql_dedup_has(&engine->dedup, id, engine->seen);
}

static bool is_late(const struct pql_engine *engine, int64_t time_ms)
{
    if (engine->complete == PQL_NO_TIME) return false;
    return lateness_of(engine) ? time_ms <= engine->complete : time_ms < engine->complete;
}

static void remember(struct pql_engine *engine, const struct pql_event *event, uint64_t id)
{
    raise_seen(engine, event->time_ms);
    if (!engine->dedup.horizon_ms) return;
    pql_snapshot_forget(engine);
    if (event->id.len) pql_dedup_add(&engine->dedup, id, engine->seen);
}

static bool has_room(const struct pql_engine *engine, uint64_t bytes)
{
    return engine->reorder.bytes + bytes <= engine->program->conf->settings.buffer_bytes_max;
}

/* All that happens before the event: what it completes, and what a full buffer releases for it. True once it
 * has happened. */
static bool make_way(struct pql_engine *engine, const struct pql_event *event)
{
    raise_seen(engine, event->time_ms);
    if (!lateness_of(engine)) return advance(engine, PQL_WORK_EVENT, event->time_ms - 1, event);
    if (!advance(engine, PQL_WORK_EVENT, engine->seen - lateness_of(engine) - 1, event)) return false;
    uint64_t bytes = pql_reorder_bytes(event, &engine->program->names);
    while (!has_room(engine, bytes)) {
        const struct pql_waiting *first = pql_reorder_first(&engine->reorder);
        if (!first || first->event.time_ms >= event->time_ms)
            return advance(engine, PQL_WORK_EVENT, event->time_ms - 1, event);
        engine->stats.buffer_releases++;
        if (!advance(engine, PQL_WORK_EVENT, first->event.time_ms, event)) return false;
    }
    return true;
}

/* The buffer is full and the event is of its oldest instant: that goes as a whole. */
static void release_own_instant(struct pql_engine *engine)
{
    engine->work.may_stop = false;
    engine->stats.buffer_releases++;
    (void)advance(engine, PQL_WORK_EVENT, pql_reorder_first(&engine->reorder)->event.time_ms, NULL);
}

static void take_in_order(struct pql_engine *engine, const struct pql_event *event)
{
    if (lateness_of(engine)) {
        pql_reorder_add(&engine->reorder, event, &engine->program->names);
        if (!has_room(engine, 0)) release_own_instant(engine);
        return;
    }
    if (event->time_ms > engine->complete) engine->ticked = false;
    engine->complete = event->time_ms;
    apply_alone(engine, event);
}

static bool tick(struct pql_engine *engine, enum pql_work_kind kind, int64_t t_ms,
                 const struct pql_event *event)
{
    if (engine->seen != PQL_NO_TIME && t_ms < engine->seen) return true;
    engine->seen = t_ms;
    return advance(engine, kind, lateness_of(engine) ? t_ms - lateness_of(engine) - 1 : t_ms, event);
}

enum pql_applied pql_engine_apply(struct pql_engine *engine, const struct pql_event *event)
{
    if (!go_on_first(engine)) return PQL_APPLY_PART;
    uint64_t id = engine->dedup.horizon_ms ? pql_hash_slice(event->id, engine->program->key) : 0;
    if (is_duplicate(engine, event, id)) {
        engine->stats.duplicates++;
        return PQL_APPLY_DUPLICATE;
    }
    if (event->kind == PQL_EVENT_CLOCK) {
        if (!tick(engine, PQL_WORK_EVENT, event->time_ms, event)) return PQL_APPLY_PART;
        remember(engine, event, id);
        return PQL_APPLY_DONE;
    }
    bool late = is_late(engine, event->time_ms);
    if (!late && !make_way(engine, event)) return PQL_APPLY_PART;
    enum pql_late_policy policy = engine->program->conf->settings.late_policy;
    engine->stats.late += late;
    if (late && policy == PQL_LATE_DROP) return PQL_APPLY_LATE_DROPPED;
    if (late && policy == PQL_LATE_DEAD_LETTER) return PQL_APPLY_LATE_DEAD_LETTER;
    engine->stats.events++;
    remember(engine, event, id);
    if (late)
        apply_alone(engine, event);
    else
        take_in_order(engine, event);
    return late ? PQL_APPLY_LATE : PQL_APPLY_DONE;
}

/* --- the clock --- */

bool pql_engine_tick(struct pql_engine *engine, int64_t t_ms)
{
    return go_on_first(engine) && tick(engine, PQL_WORK_TICK, t_ms, NULL);
}

int64_t pql_engine_next_tick(struct pql_engine *engine)
{
    struct pql_account *account;
    while ((account = first_timer(engine)) && !pql_account_is_due(engine, account, account->timer_ms)) {
        take_timer(engine, account);
        pql_account_retime(engine, account);
    }
    const struct pql_waiting *waiting = pql_reorder_first(&engine->reorder);
    int64_t due = account ? account->timer_ms : INT64_MAX;
    if (waiting && waiting->event.time_ms < due) due = waiting->event.time_ms;
    if (due == INT64_MAX) return PQL_NO_TIME;
    return lateness_of(engine) ? due + lateness_of(engine) + 1 : due;
}

void pql_engine_finish(struct pql_engine *engine)
{
    if (engine->seen == PQL_NO_TIME) return;
    engine->work.may_stop = false;
    (void)go_on(engine);
    (void)advance(engine, PQL_WORK_TICK, engine->seen, NULL);
}

/* --- what is told --- */

void pql_engine_watch(struct pql_engine *engine, const struct pql_watch *watch)
{
    engine->watch = watch;
}

void pql_engine_set_origin(struct pql_engine *engine, enum pql_origin origin)
{
    engine->origin = origin;
}
int64_t pql_engine_seen(const struct pql_engine *engine)
{
    return engine->seen;
}

struct pql_engine_stats pql_engine_stats(const struct pql_engine *engine)
{
    struct pql_engine_stats stats = engine->stats;
    stats.accounts = engine->store.count;
    stats.users = engine->store.users_count;
    stats.timers = engine->timers.count;
    stats.buffered = engine->reorder.heap.count;
    stats.dedup_ids = pql_dedup_count(&engine->dedup);
    stats.dedup_dropped = engine->dedup.dropped_ids;
    return stats;
}

static uint64_t heap_bytes(const struct pql_heap *heap)
{
    return pql_memory_cost(heap->capacity * sizeof *heap->entries);
}

int64_t pql_engine_bytes_off(const struct pql_engine *engine)
{
    return (int64_t)(engine->store.bytes - pql_store_walk(&engine->store, engine->program));
}

uint64_t pql_engine_bytes(const struct pql_engine *engine)
{
    return pql_store_bytes(&engine->store) + pql_dedup_bytes(&engine->dedup) +
           pql_dedup_bytes(&engine->change.filled) + heap_bytes(&engine->timers) +
           engine->gone_count * pql_memory_cost(sizeof(struct pql_account)) +
           pql_reorder_taken(&engine->reorder, &engine->program->names) + engine->snapshot.early_bytes;
}
