/* forget.c - erasure of a user or of an account.
 *
 *   signals, attributes, starts, membership go first, so that the last records hold nothing of them
 *   members of definitions leave with `forgotten`, every key that was ever published is told
 *   a user: what the account keeps by user loses it; its other numbers stay
 *   an account: its users in the order of their bytes, then itself; the account goes at the end of the
 *   instant, unless something of it came after
 *
 * A key that comes back goes on above the versions it had (version_floor). */
#include "core/instant.h"

#include <stdlib.h>

/* --- what was published --- */

void pql_erase_key(struct pql_engine *engine, const struct pql_definition_conf *conf, struct pql_slice user,
                   const struct pql_standing *standing)
{
    if (!standing->version) return;
    if (standing->version > engine->version_floor) engine->version_floor = standing->version;
    if (!engine->erased || conf->mode == PQL_MODE_SHADOW) return;
    struct pql_record key = {.definition = conf->name,
                             .subject = conf->subject,
                             .account_id = engine->account->id,
                             .user_id = user,
                             .version = standing->version};
    engine->erased(engine->context, &key);
}

void pql_engine_on_erased(struct pql_engine *engine, pql_emit *erased)
{
    engine->erased = erased;
}

/* Who was merged in this instant leaves as such. */
static void leave_one(struct pql_engine *engine, const struct pql_definition *definition,
                      struct pql_user *user)
{
    const struct pql_standing *standing = pql_standing_of(pql_state_of(engine->account, user), definition);
    if (!standing) return;
    enum pql_reason reason =
        user && user->state.gone ? (enum pql_reason)user->state.gone : PQL_REASON_FORGOTTEN;
    if (standing->status == PQL_QUALIFIED) pql_leave(engine, definition, user, reason, PQL_BY_EVENT);
    pql_erase_key(engine, definition->conf, user ? user->id : (struct pql_slice){"", 0}, standing);
}

/* In the order of evaluation. */
static void leave_all(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    for (size_t i = 0; i < program->units_count; i++) {
        const struct pql_unit *unit = program->units[i];
        if (!unit->is_condition && unit->subject == pql_subject_of(user))
            leave_one(engine, &program->definitions[unit->index], user);
    }
}

/* --- ids that mean another user: the state topic may have records of them --- */

static void erase_alias(void *context, struct pql_slice id)
{
    struct pql_engine *engine = context;
    const struct pql_program *program = engine->program;
    static const struct pql_standing published = {.version = 1};
    for (size_t d = 0; d < program->conf->definitions_count; d++)
        if (program->definitions[d].conf->subject == PQL_SUBJECT_USER)
            pql_erase_key(engine, program->definitions[d].conf, id, &published);
}

/* --- an account --- */

static int by_id(const void *a, const void *b)
{
    return pql_slice_cmp((*(struct pql_user *const *)a)->id, (*(struct pql_user *const *)b)->id);
}

static void leave_users(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    size_t n = 0;
    struct pql_user **users =
        pql_xmalloc(((size_t)account->users_count + account->gone_count + 1) * sizeof(struct pql_user *));
    for (size_t i = 0; i < account->users_count; i++) users[n++] = account->users[i].user;
    for (size_t i = 0; i < account->gone_count; i++) users[n++] = account->gone[i];
    qsort(users, n, sizeof(struct pql_user *), by_id);
    for (size_t i = 0; i < n; i++)
        if (pql_cells_count(users[i]->state.cells)) leave_all(engine, users[i]);
    free(users);
}

static void clear_signals(struct pql_engine *engine)
{
    const struct pql_program *program = engine->program;
    struct pql_account *account = engine->account;
    for (size_t i = 0; i < account->users_count; i++)
        pql_cells_clear(program, PQL_SUBJECT_USER, account->users[i].user->state.cells);
    pql_cells_clear(program, PQL_SUBJECT_ACCOUNT, account->state.cells);
    pql_account_drop_tallies(program, account);
    for (size_t c = 0; c < program->conditions_count; c++) account->holding[c] = 0;
    account->members = 0;
}

/* Nothing is left of it to evaluate, nothing is due. */
static void clear_instant(struct pql_engine *engine)
{
    engine->agenda.count = 0;
    engine->stepped_count = 0;
    engine->moved_count = 0;
    engine->fired_count = 0;
    engine->account_fired = false;
}

/* Those of the timers are counted for themselves: whoever leaves may set some. */
static size_t bytes_but_timers(struct pql_engine *engine)
{
    pql_account_count_timers(&engine->store, engine->account);
    return pql_account_bytes(&engine->store, engine->program, engine->account) -
           engine->account->timers_bytes;
}

/* Those of users who are here are told with their standings. */
static void erase_aliases(struct pql_engine *engine)
{
    const struct pql_aliases *aliases = engine->account->aliases;
    for (uint32_t i = 0; aliases && i < aliases->count; i++)
        if (aliases->nodes[i].target != i) erase_alias(engine, pql_aliases_id(aliases, i));
}

static void forget_account(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    struct pql_store *store = &engine->store;
    pql_touch_all(engine, account);
    size_t before = bytes_but_timers(engine);
    store->bytes -= before;
    clear_signals(engine);
    leave_users(engine);
    erase_aliases(engine);
    leave_all(engine, NULL);
    pql_account_drop_users(store, engine->program, account);
    pql_account_clear(engine->program, account);
    pql_snapshot_drop_users(engine, account);
    pql_snapshot_aliases(engine, account);
    size_t left = bytes_but_timers(engine);
    store->bytes += left;
    clear_instant(engine);
}

/* --- a user --- */

static void forget_aliases(struct pql_engine *engine, struct pql_slice id)
{
    struct pql_account *account = engine->account;
    if (!account->aliases) return;
    for (size_t node = 0; node < account->aliases->count; node++) pql_touch_alias(engine, account, node);
    engine->store.bytes -= pql_aliases_bytes(account->aliases);
    (void)pql_aliases_forget(account->aliases, engine->store.key, id, erase_alias, engine);
    engine->store.bytes += pql_aliases_bytes(account->aliases);
    pql_snapshot_aliases(engine, account);
}

/* Members of definitions leave in the order of evaluation, after all else of the user is gone. */
static void forget_user(struct pql_engine *engine, struct pql_slice id)
{
    const struct pql_program *program = engine->program;
    struct pql_account *account = engine->account;
    pql_alias_rename(engine, NULL, id, (struct pql_slice){"", 0});
    forget_aliases(engine, id);
    struct pql_user *user = program->keeps_users ? pql_account_find(&engine->store, account, id) : NULL;
    if (!user) return;
    pql_touch_removal(engine, account, user);
    pql_user_uncount(engine, user);
    pql_account_remove(&engine->store, program, account, user, PQL_REASON_FORGOTTEN);
    pql_cells_clear(program, PQL_SUBJECT_USER, user->state.cells);
    user->state.start = PQL_START_NONE;
    user->state.start_ms = PQL_NO_TIME;
    for (size_t d = 0; d < program->conf->definitions_count; d++) {
        const struct pql_definition *definition = &program->definitions[d];
        if (definition->conf->subject != PQL_SUBJECT_USER) continue;
        const struct pql_standing *standing = pql_standing_of(&user->state, definition);
        if (standing && standing->status == PQL_QUALIFIED)
            pql_agenda_push_one(engine, &definition->unit, user, PQL_BY_EVENT);
        else if (standing)
            pql_erase_key(engine, definition->conf, user->id, standing);
    }
}

/* --- while events are read again for what is new: only that is undone. What was kept has forgotten already,
 * and starts and members are told again by the events that follow. --- */

static void clear_new_signals(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    for (size_t i = 0; i < pql_cells_count(state->cells);) {
        uint32_t slot;
        struct pql_cell *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)pql_subject_of(user), slot);
        if ((what & PQL_SLOT_DEFINITION) || !engine->change.is_new_signal[what]) {
            i++;
            continue;
        }
        const struct pql_signal *signal = &program->signals[what]->signal;
        pql_touch_cell(engine, engine->account, user, slot);
        engine->store.bytes -= pql_signal_cost(signal, cell);
        pql_signal_free(signal, pql_cells_take(state->cells, slot));
    }
}

static void unfill(struct pql_engine *engine, struct pql_user *user, int64_t time_ms)
{
    const struct pql_program *program = engine->program;
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    if (user) pql_touch_user(engine, engine->account, user);
    clear_new_signals(engine, user);
    for (size_t d = 0; d < program->conf->definitions_count; d++) {
        const struct pql_definition *definition = &program->definitions[d];
        if (definition->conf->subject != pql_subject_of(user) || !engine->change.is_new_definition[d])
            continue;
        struct pql_standing *standing = pql_cells_find(state->cells, definition->slot);
        if (!standing) continue;
        standing->is_converted = false;
        standing->disqualified_ms = PQL_NO_TIME;
    }
    if (state->start_ms > time_ms) return;
    state->start = PQL_START_ASSUMED;
    state->start_ms = engine->seen;
}

/* One of whom nothing else is known was made by what was read again. */
static void unfill_user(struct pql_engine *engine, struct pql_user *user, int64_t time_ms)
{
    unfill(engine, user, time_ms);
    if (pql_cells_count(user->state.cells) || user->member_ms > time_ms) return;
    pql_touch_removal(engine, engine->account, user);
    pql_user_uncount(engine, user);
    pql_account_remove(&engine->store, engine->program, engine->account, user, PQL_REASON_FORGOTTEN);
}

static void forget_filled(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_account *account = engine->account;
    if (event->user.len) {
        struct pql_user *user = pql_account_find(&engine->store, account, event->user);
        pql_alias_rename(engine, NULL, event->user, (struct pql_slice){"", 0});
        if (user) unfill_user(engine, user, event->time_ms);
        return;
    }
    for (size_t i = account->users_count; i-- > 0;)
        unfill_user(engine, account->users[i].user, event->time_ms);
    unfill(engine, NULL, event->time_ms);
    bool is_new = account->instant_ms == PQL_NO_TIME && !account->users_count;
    if (is_new && !pql_cells_count(account->state.cells)) pql_remove_account(engine, account);
}

void pql_forget(struct pql_engine *engine, const struct pql_event *event)
{
    if (engine->change.is_filling)
        forget_filled(engine, event);
    else if (event->user.len)
        forget_user(engine, pql_arena_copy(&engine->scratch, event->user));
    else
        forget_account(engine);
}

/* --- accounts that are gone: the task's timers name them until they are walked --- */

static bool is_valid(const struct pql_heap_entry *entry)
{
    return ((const struct pql_account *)entry->item)->timer_ms == entry->due;
}

void pql_bury_accounts(struct pql_engine *engine)
{
    for (size_t i = 0; i < engine->gone_count; i++) free(engine->gone[i]);
    engine->gone_count = 0;
}

void pql_remove_account(struct pql_engine *engine, struct pql_account *account)
{
    enum { SHARE = 16 }; /* one walk for so many of them */
    pql_account_disappears(engine, account);
    engine->gone =
        pql_xgrow(engine->gone, &engine->gone_capacity, engine->gone_count + 1, sizeof(struct pql_account *));
    engine->gone[engine->gone_count++] = account;
    if (engine->gone_count * SHARE < engine->timers.count) return;
    pql_heap_filter(&engine->timers, pql_account_order, is_valid);
    pql_bury_accounts(engine);
}
