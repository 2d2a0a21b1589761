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
    pql_dedup_init(&engine->dedup, program->conf->settings.dedup_horizon_ms);
    pql_arena_init(&engine->scratch);
    return engine;
}

void pql_engine_free(struct pql_engine *engine)
{
    if (!engine) return;
    pql_snapshot_abandon(engine);
    pql_buf_deinit(&engine->snapshot.early);
    pql_store_deinit(&engine->store, engine->program);
    pql_heap_deinit(&engine->timers);
    pql_reorder_deinit(&engine->reorder);
    pql_dedup_deinit(&engine->dedup);
    pql_heap_deinit(&engine->agenda);
    free(engine->fired);
    free(engine->stepped);
    free(engine->taken);
    free(engine->events);
    pql_arena_deinit(&engine->scratch);
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

/* Timers due before or at `upto`, one account and instant after the other. */
static void fire_timers(struct pql_engine *engine, int64_t upto_ms)
{
    struct pql_account *account;
    while ((account = first_timer(engine)) && account->timer_ms <= upto_ms) fire_first(engine, account);
}

static bool is_ignored(struct pql_engine *engine, const struct pql_account *account,
                       const struct pql_event *event)
{
    const struct pql_expr *ignore = engine->program->ignore;
    if (!ignore) return false;
    struct pql_scope scope = {.program = engine->program,
                              .account = account,
                              .event = event,
                              .own_attributes = true,
                              .t_ms = event->time_ms};
    if (account && event->user.len) scope.user = pql_account_find(&engine->store, account, event->user);
    return pql_expr_holds(ignore, &scope);
}

/* Applies one event by itself at t. */
static void apply_alone(struct pql_engine *engine, int64_t t_ms, const struct pql_event *event)
{
    struct pql_account *account = pql_store_find(&engine->store, event->account);
    if (is_ignored(engine, account, event)) {
        engine->stats.ignored++;
        return;
    }
    if (!account) account = pql_store_add(&engine->store, event->account);
    pql_instant(engine, account, t_ms, event, 1);
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
        engine->taken[taken] = pql_reorder_take(&engine->reorder);
        if (is_ignored(engine, account, &engine->taken[taken]->event))
            engine->stats.ignored++;
        else
            engine->events[count++] = engine->taken[taken]->event;
        taken++;
    }
    if (count && !account) account = pql_store_add(&engine->store, id);
    if (count) pql_instant(engine, account, t_ms, engine->events, count);
    for (size_t i = 0; i < taken; i++) free(engine->taken[i]);
}

/* Every instant up to `upto`, each as a whole. An account's timers due at an instant are applied with its
 * events. */
static void process(struct pql_engine *engine, int64_t upto_ms)
{
    const struct pql_waiting *waiting;
    while ((waiting = pql_reorder_first(&engine->reorder)) && waiting->event.time_ms <= upto_ms) {
        struct pql_account *account = first_timer(engine);
        bool timer_first = account && (account->timer_ms < waiting->event.time_ms ||
                                       (account->timer_ms == waiting->event.time_ms &&
                                        pql_slice_cmp(account->id, waiting->event.account) < 0));
        if (timer_first)
            fire_first(engine, account);
        else
            apply_waiting(engine, waiting->event.time_ms);
    }
    fire_timers(engine, upto_ms);
}

static void advance(struct pql_engine *engine, int64_t complete_ms)
{
    if (complete_ms <= engine->complete) return;
    process(engine, complete_ms);
    engine->complete = complete_ms;
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
    if (event->time_ms > engine->seen || engine->seen == PQL_NO_TIME) engine->seen = event->time_ms;
    if (!engine->dedup.horizon_ms) return;
    if (!engine->snapshot.is_running) pql_dedup_forget(&engine->dedup, engine->seen);
    if (event->id.len) pql_dedup_add(&engine->dedup, id, engine->seen);
}

static void release_over_limit(struct pql_engine *engine)
{
    while (engine->reorder.bytes > engine->program->conf->settings.buffer_bytes_max) {
        engine->stats.buffer_releases++;
        advance(engine, pql_reorder_first(&engine->reorder)->event.time_ms);
    }
}

static void take_in_order(struct pql_engine *engine, const struct pql_event *event)
{
    if (lateness_of(engine)) {
        pql_reorder_add(&engine->reorder, event, &engine->program->names);
        advance(engine, engine->seen - lateness_of(engine) - 1);
        release_over_limit(engine);
        return;
    }
    fire_timers(engine, event->time_ms - 1);
    if (event->time_ms > engine->complete) engine->ticked = false;
    engine->complete = event->time_ms;
    apply_alone(engine, event->time_ms, event);
}

enum pql_applied pql_engine_apply(struct pql_engine *engine, const struct pql_event *event)
{
    uint64_t id = engine->dedup.horizon_ms ? pql_hash_slice(event->id, engine->program->key) : 0;
    if (is_duplicate(engine, event, id)) {
        engine->stats.duplicates++;
        return PQL_APPLY_DUPLICATE;
    }
    if (event->kind == PQL_EVENT_CLOCK) {
        remember(engine, event, id);
        pql_engine_tick(engine, event->time_ms);
        return PQL_APPLY_DONE;
    }
    bool late = is_late(engine, event->time_ms);
    enum pql_late_policy policy = engine->program->conf->settings.late_policy;
    engine->stats.late += late;
    if (late && policy == PQL_LATE_DROP) return PQL_APPLY_LATE_DROPPED;
    if (late && policy == PQL_LATE_DEAD_LETTER) return PQL_APPLY_LATE_DEAD_LETTER;
    engine->stats.events++;
    remember(engine, event, id);
    if (late)
        apply_alone(engine, engine->complete, event);
    else
        take_in_order(engine, event);
    return late ? PQL_APPLY_LATE : PQL_APPLY_DONE;
}

/* --- the clock --- */

void pql_engine_tick(struct pql_engine *engine, int64_t t_ms)
{
    if (engine->seen != PQL_NO_TIME && t_ms < engine->seen) return;
    engine->seen = t_ms;
    advance(engine, lateness_of(engine) ? t_ms - lateness_of(engine) - 1 : t_ms);
    if (lateness_of(engine)) return;
    fire_timers(engine, t_ms); /* also those due at the very instant of the last event */
    engine->ticked = true;
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
    advance(engine, engine->seen);
    fire_timers(engine, engine->seen);
}

/* --- what is told --- */

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
    return stats;
}

uint64_t pql_engine_bytes(const struct pql_engine *engine)
{
    uint64_t bytes = engine->reorder.bytes + engine->dedup.slots_capacity * sizeof(struct pql_dedup_slot) +
                     pql_dedup_count(&engine->dedup) * sizeof(uint64_t);
    for (size_t i = 0; i < engine->store.count; i++)
        bytes += pql_account_bytes(engine->program, engine->store.accounts[i]);
    return bytes;
}
