#include "core/engine_state.h"

#include "core/hash.h"
#include <stdio.h>
#include <stdlib.h>

/* --- the agenda: units to evaluate, by (order, user bytes, the account last); causes merge --- */

struct agenda_item {
    struct pql_user *user; /* NULL: the account */
    bool by_event;
    const struct pql_expr
        *via; /* the cause counts only if the value of this quantifier is another than before */
};

static int agenda_order(const void *a, const void *b)
{
    const struct pql_user *x = ((const struct agenda_item *)a)->user,
                          *y = ((const struct agenda_item *)b)->user;
    if (x == y) return 0;
    if (!x || !y) return x ? -1 : 1;
    return pql_slice_cmp(x->id, y->id);
}

static void push_via(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                     bool by_event, const struct pql_expr *via)
{
    if (engine->change.is_filling) return; /* what is read again is evaluated once, at its end */
    struct agenda_item *item = pql_arena_alloc(&engine->scratch, sizeof *item);
    *item = (struct agenda_item){user, by_event, via};
    pql_heap_push(&engine->agenda, agenda_order, unit->order, item);
}

static void push_one(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                     bool by_event)
{
    push_via(engine, unit, user, by_event, NULL);
}

/* A unit of users, pushed because of the account, is looked at for every user. */
static void push(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user, bool by_event)
{
    if (unit->subject == PQL_SUBJECT_ACCOUNT) {
        push_one(engine, unit, NULL, by_event);
    } else if (user) {
        push_one(engine, unit, user, by_event);
    } else {
        for (size_t i = 0; i < engine->account->users_count; i++)
            push_one(engine, unit, engine->account->users[i].user, by_event);
    }
}

static void push_all(struct pql_engine *engine, const struct pql_dependents *dependents, unsigned mask,
                     struct pql_user *user, bool by_event)
{
    for (size_t i = 0; i < dependents->count; i++)
        if (dependents->items[i].mask & mask) push(engine, dependents->items[i].unit, user, by_event);
}

/* The value of a quantifier before the instant, noted at its first step in it. */
struct pql_stepped {
    const struct pql_expr *via;
    struct pql_value before;
};

static struct pql_scope account_scope(const struct pql_engine *engine)
{
    return (struct pql_scope){.program = engine->program, .account = engine->account, .t_ms = engine->t_ms};
}

static const struct pql_stepped *find_stepped(const struct pql_engine *engine, const struct pql_expr *via)
{
    for (size_t i = 0; i < engine->stepped_count; i++)
        if (engine->stepped[i].via == via) return &engine->stepped[i];
    return NULL;
}

static void note_before(struct pql_engine *engine, const struct pql_expr *via)
{
    if (find_stepped(engine, via)) return;
    struct pql_scope scope = account_scope(engine);
    engine->stepped = pql_xgrow(engine->stepped, &engine->stepped_capacity, engine->stepped_count + 1,
                                sizeof *engine->stepped);
    engine->stepped[engine->stepped_count++] = (struct pql_stepped){via, pql_expr_value(via, &scope)};
}

/* A step of a counter behind quantifiers. Whether it is a cause is seen when their readers are evaluated: of
 * several steps one may undo the other. */
static void step_counter(struct pql_engine *engine, const struct pql_dependents *dependents, bool by_event,
                         uint32_t *counter, bool up)
{
    for (size_t i = 0; i < dependents->count; i++) note_before(engine, dependents->items[i].via);
    *counter = up ? *counter + 1 : *counter - 1;
    for (size_t i = 0; i < dependents->count; i++)
        push_via(engine, dependents->items[i].unit, NULL, by_event, dependents->items[i].via);
}

static bool is_cause(const struct pql_engine *engine, const struct agenda_item *item)
{
    if (!item->by_event || !item->via) return item->by_event;
    struct pql_scope scope = account_scope(engine);
    struct pql_value now = pql_expr_value(item->via, &scope);
    return !pql_value_same(&find_stepped(engine, item->via)->before, &now);
}

static void push_units(struct pql_engine *engine, struct pql_unit *const *units, size_t count,
                       struct pql_user *user, bool by_event)
{
    for (size_t i = 0; i < count; i++) push(engine, units[i], user, by_event);
}

static struct pql_subject_state *state_of(struct pql_account *account, struct pql_user *user)
{
    return user ? &user->state : &account->state;
}

static enum pql_subject subject_of(const struct pql_user *user)
{
    return user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT;
}

/* --- timers --- */

int pql_account_order(const void *a, const void *b)
{
    return pql_slice_cmp(((const struct pql_account *)a)->id, ((const struct pql_account *)b)->id);
}

void pql_schedule(struct pql_account *account, struct pql_user *user, int64_t due_ms)
{
    struct pql_subject_state *state = state_of(account, user);
    if (due_ms >= state->timer_ms) return;
    state->timer_ms = due_ms;
    if (user) pql_heap_push(&account->timers, NULL, due_ms, user);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When a definition's own state changes by itself after t. */
static int64_t lifecycle_next(const struct pql_definition *definition, const struct pql_standing *standing,
                              int64_t t_ms)
{
    int64_t due = INT64_MAX;
    if (standing->status == PQL_QUALIFIED && standing->is_leaving)
        due = standing->qualified_ms + definition->conf->min_stay_ms;
    else if (standing->status == PQL_STATUS_LEFT && definition->conf->cooldown_ms)
        due = standing->left_ms + definition->conf->cooldown_ms;
    return due > t_ms ? due : INT64_MAX;
}

/* The same, and who reads how long ago it changed. */
static int64_t standing_next(const struct pql_definition *definition, const struct pql_standing *standing,
                             int64_t t_ms)
{
    int64_t due = pql_ago_next(&definition->changed, pql_standing_changed(standing), t_ms);
    return earlier(due, lifecycle_next(definition, standing, t_ms));
}

static bool is_not_yet(const struct pql_subject_state *state, const struct pql_definition *definition)
{
    const struct pql_standing *standing = pql_standing_of(state, definition);
    return !standing || standing->status == PQL_NOT_YET;
}

/* Users' definitions may wait for a window of the account: who of them does is seen when it ends. */
static bool awaits_first(const struct pql_program *program, const struct pql_subject_state *state,
                         enum pql_subject subject)
{
    for (size_t i = 0; i < program->first_units_count[subject]; i++) {
        const struct pql_unit *unit = program->first_units[subject][i];
        if (unit->subject != subject || is_not_yet(state, &program->definitions[unit->index])) return true;
    }
    return false;
}

/* The next end of a `first` window or period, for those that can still be missed. */
static int64_t first_next(const struct pql_program *program, const struct pql_account *account,
                          const struct pql_user *user, int64_t t_ms)
{
    const struct pql_subject_state *state = user ? &user->state : &account->state;
    enum pql_subject subject = subject_of(user);
    int64_t due = INT64_MAX;
    if (!program->first_units_count[subject]) return due;
    for (size_t i = 0; i < program->first_signals_count[subject]; i++) {
        const struct pql_signal_def *def = program->signals[program->first_signals[subject][i]];
        struct pql_first at = pql_first_of(program, account, state, def);
        if (at.end_ms > t_ms) due = earlier(due, at.end_ms);
    }
    return due < INT64_MAX && awaits_first(program, state, subject) ? due : INT64_MAX;
}

static int64_t age_next(const struct pql_program *program, const struct pql_subject_state *state,
                        enum pql_subject subject, int64_t t_ms)
{
    if (state->start == PQL_START_NONE) return INT64_MAX;
    return pql_ago_next(&program->ages[subject], state->start_ms, t_ms);
}

int64_t pql_subject_next(const struct pql_engine *engine, const struct pql_account *account,
                         const struct pql_user *user, int64_t t_ms)
{
    const struct pql_program *program = engine->program;
    const struct pql_subject_state *state = user ? &user->state : &account->state;
    enum pql_subject subject = subject_of(user);
    int64_t due = first_next(program, account, user, t_ms);
    due = earlier(due, age_next(program, state, subject, t_ms));
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (what == PQL_SLOT_RETIRED) break; /* only these are behind */
        if (what & PQL_SLOT_DEFINITION)
            due = earlier(due, standing_next(&program->definitions[what & ~PQL_SLOT_DEFINITION], cell, t_ms));
        else
            due = earlier(due, pql_signal_next_change(&program->signals[what]->signal, cell, t_ms));
    }
    return due;
}

/* Drops timers of users that were set anew since; the earliest that counts, or INT64_MAX. */
static int64_t users_next(struct pql_account *account)
{
    while (account->timers.count) {
        const struct pql_user *user = account->timers.entries[0].item;
        if (user->state.timer_ms == account->timers.entries[0].due) return account->timers.entries[0].due;
        (void)pql_heap_pop(&account->timers, NULL);
    }
    return INT64_MAX;
}

void pql_account_retime(struct pql_engine *engine, struct pql_account *account)
{
    pql_account_count_timers(&engine->store, account);
    int64_t due = earlier(account->state.timer_ms, users_next(account));
    if (due >= account->timer_ms) return;
    account->timer_ms = due;
    pql_heap_push(&engine->timers, pql_account_order, due, account);
}

/* With lateness 0 what is due at the present instant has happened only where that instant was applied. */
int64_t pql_account_done_ms(const struct pql_engine *engine, const struct pql_account *account)
{
    const struct pql_work *work = &engine->work;
    if (work->kind == PQL_WORK_EVENT || work->kind == PQL_WORK_TICK) {
        struct pql_slice reached = {work->account.ptr, work->account.len};
        return pql_slice_cmp(account->id, reached) <= 0 ? work->due_ms : work->due_ms - 1;
    }
    bool is_done = engine->program->conf->settings.lateness_ms || engine->ticked ||
                   account->instant_ms == engine->complete;
    return is_done ? engine->complete : engine->complete - 1;
}

bool pql_account_is_due(struct pql_engine *engine, struct pql_account *account, int64_t t_ms)
{
    while (users_next(account) <= t_ms) {
        struct pql_user *user = account->timers.entries[0].item;
        int64_t due = pql_subject_next(engine, account, user, t_ms - 1);
        if (due <= t_ms) return true;
        (void)pql_heap_pop(&account->timers, NULL);
        user->state.timer_ms = INT64_MAX;
        pql_schedule(account, user, due);
    }
    if (account->state.timer_ms > t_ms) return false;
    int64_t due = pql_subject_next(engine, account, NULL, t_ms - 1);
    if (due <= t_ms) return true;
    account->state.timer_ms = due;
    return false;
}

/* What is due at t of one subject: signals are trimmed, and whoever reads them is to be evaluated. */
static void fire(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = subject_of(user);
    struct pql_subject_state *state = state_of(engine->account, user);
    int64_t t = engine->t_ms;
    if (user) pql_touch_user(engine, engine->account, user);
    if (first_next(program, engine->account, user, t - 1) <= t)
        push_units(engine, program->first_units[subject], program->first_units_count[subject], user, false);
    if (age_next(program, state, subject, t - 1) <= t)
        push_all(engine, &program->ages[subject].dependents, ~0u, user, false);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = program->slots[subject][slot];
        if (what & PQL_SLOT_DEFINITION) {
            const struct pql_definition *definition = &program->definitions[what & ~PQL_SLOT_DEFINITION];
            if (lifecycle_next(definition, cell, t - 1) <= t)
                push_one(engine, &definition->unit, user, false);
            if (pql_ago_next(&definition->changed, pql_standing_changed(cell), t - 1) <= t)
                push_all(engine, &definition->changed.dependents, ~0u, user, false);
            continue;
        }
        const struct pql_signal_def *def = program->signals[what];
        if (pql_signal_next_change(&def->signal, cell, t - 1) > t) continue;
        pql_touch_cell(engine, engine->account, user, slot);
        struct pql_first first = pql_first_of(program, engine->account, state, def);
        size_t before = pql_memory_cost(pql_signal_bytes(&def->signal, cell));
        pql_signal_trim(&def->signal, cell, &first, t);
        engine->store.bytes += pql_memory_cost(pql_signal_bytes(&def->signal, cell)) - before;
        push_all(engine, &def->dependents, ~0u, user, false);
    }
}

static void fire_due(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    engine->fired_count = 0;
    while (users_next(account) <= engine->t_ms) {
        struct pql_user *user = pql_heap_pop(&account->timers, NULL).item;
        user->state.timer_ms = INT64_MAX;
        engine->fired =
            pql_xgrow(engine->fired, &engine->fired_capacity, engine->fired_count + 1, sizeof user);
        engine->fired[engine->fired_count++] = user;
        fire(engine, user);
    }
    engine->account_fired = account->state.timer_ms <= engine->t_ms;
    if (!engine->account_fired) return;
    account->state.timer_ms = INT64_MAX;
    fire(engine, NULL);
}

/* Subjects whose timer fired are set anew from all that they keep; the others only got earlier ones. */
static void retime_fired(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    for (size_t i = 0; i < engine->fired_count; i++) {
        struct pql_user *user = engine->fired[i];
        pql_schedule(account, user, pql_subject_next(engine, account, user, engine->t_ms));
    }
    if (engine->account_fired)
        pql_schedule(account, NULL, pql_subject_next(engine, account, NULL, engine->t_ms));
}

/* --- applying an event --- */

/* The window of a signal was at `old`; it is somewhere else now. */
static void window_moved(struct pql_engine *engine, struct pql_user *user, const struct pql_signal_def *def,
                         const struct pql_first *old)
{
    struct pql_subject_state *state = state_of(engine->account, user);
    void **cell = pql_cells_find(state->cells, def->slot);
    if (!cell) return;
    struct pql_first now = pql_first_of(engine->program, engine->account, state, def);
    struct pql_reading was, is;
    pql_touch_cell(engine, engine->account, user, def->slot);
    pql_signal_read(&def->signal, *cell, old, engine->t_ms, &was);
    pql_signal_start_moves(&def->signal, *cell, old, &now, engine->t_ms);
    pql_signal_read(&def->signal, *cell, &now, engine->t_ms, &is);
    if (was.n != is.n || was.sum != is.sum || !pql_value_same(&was.value, &is.value))
        push_all(engine, &def->dependents, ~0u, user, true);
}

/* Whoever waits for ends of windows is looked at, and waits for another. */
static void await_ends(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = subject_of(user);
    push_units(engine, program->first_units[subject], program->first_units_count[subject], user, true);
    pql_schedule(engine->account, user, first_next(program, engine->account, user, engine->t_ms));
}

static void start_moved(struct pql_engine *engine, struct pql_user *user,
                        const struct pql_subject_state *before)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = subject_of(user);
    for (size_t i = 0; i < program->first_signals_count[subject]; i++) {
        const struct pql_signal_def *def = program->signals[program->first_signals[subject][i]];
        if (def->period != PQL_NO_INDEX) continue;
        struct pql_first old = pql_first_of(program, engine->account, before, def);
        window_moved(engine, user, def, &old);
    }
    push_all(engine, &program->ages[subject].dependents, ~0u, user, true);
    await_ends(engine, user);
}

static void subject_period_moved(struct pql_engine *engine, struct pql_user *user, uint32_t period,
                                 const struct pql_first *old)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = subject_of(user);
    for (size_t i = 0; i < program->first_signals_count[subject]; i++) {
        const struct pql_signal_def *def = program->signals[program->first_signals[subject][i]];
        if (def->period == period) window_moved(engine, user, def, old);
    }
    await_ends(engine, user);
}

/* An attribute of the account has changed: a period may be somewhere else for all of it. */
static void period_moved(struct pql_engine *engine, uint32_t period, const struct pql_first *old)
{
    struct pql_account *account = engine->account;
    struct pql_first now = pql_period_of(engine->program, account, period);
    if (now.start_ms == old->start_ms && now.end_ms == old->end_ms) return;
    subject_period_moved(engine, NULL, period, old);
    for (size_t i = 0; i < account->users_count; i++)
        subject_period_moved(engine, account->users[i].user, period, old);
}

/* An explicit start replaces an assumed one; of one rank the earlier holds. */
static void set_start(struct pql_engine *engine, struct pql_user *user, enum pql_start rank, int64_t time_ms)
{
    struct pql_subject_state *state = state_of(engine->account, user);
    if (rank < state->start || (rank == state->start && time_ms >= state->start_ms)) return;
    struct pql_subject_state before = *state;
    bool moved = state->start != PQL_START_NONE && time_ms != state->start_ms;
    if (user) pql_touch_user(engine, engine->account, user);
    state->start = rank;
    state->start_ms = time_ms;
    if (moved) start_moved(engine, user, &before);
    pql_schedule(engine->account, user, first_next(engine->program, engine->account, user, engine->t_ms));
    pql_schedule(engine->account, user, age_next(engine->program, state, subject_of(user), engine->t_ms));
}

/* The place of a cell, made if absent. */
static void **cell_of(struct pql_engine *engine, struct pql_subject_state *state, uint32_t slot)
{
    size_t before = pql_cells_bytes(state->cells);
    void **cell = pql_cells_get(&state->cells, slot);
    engine->store.bytes += pql_cells_bytes(state->cells) - before;
    return cell;
}

static unsigned add_to_cell(struct pql_engine *engine, const struct pql_signal *signal, void **slot,
                            const struct pql_occurrence *occurrence, const struct pql_first *first)
{
    struct pql_cell *cell = *slot;
    size_t before = pql_memory_cost(pql_signal_bytes(signal, cell));
    unsigned changed = pql_signal_add(signal, &cell, occurrence, first, engine->t_ms);
    engine->store.bytes += pql_memory_cost(pql_signal_bytes(signal, cell)) - before;
    *slot = cell;
    return changed;
}

static void add_occurrence(struct pql_engine *engine, const struct pql_signal_def *def, struct pql_user *user,
                           const struct pql_occurrence *occurrence)
{
    struct pql_subject_state *state = state_of(engine->account, user);
    struct pql_first first = pql_first_of(engine->program, engine->account, state, def);
    pql_touch_cell(engine, engine->account, user, def->slot);
    void **slot = cell_of(engine, state, def->slot);
    unsigned changed = add_to_cell(engine, &def->signal, slot, occurrence, &first);
    const struct pql_cell *cell = *slot;
    pql_schedule(engine->account, user, pql_signal_next_change(&def->signal, cell, engine->t_ms));
    if (changed) push_all(engine, &def->dependents, changed, user, true);
}

/* --- spread: how many users have each value --- */

/* 0: the user has no such attribute. */
static uint64_t attribute_hash(const struct pql_program *program, const struct pql_user *user,
                               uint32_t spread)
{
    const struct pql_signal_def *def = program->signals[program->spreads[spread]->attribute];
    void **cell = pql_cells_find(user->state.cells, def->slot);
    struct pql_reading reading;
    char scratch[PQL_DECIMAL_TEXT_MAX];
    pql_signal_read(&def->signal, cell ? *cell : NULL, NULL, 0, &reading);
    if (reading.value.kind == PQL_NULL) return 0;
    return pql_hash_slice(pql_value_canonical(&reading.value, scratch), program->key);
}

static void step_tally(struct pql_engine *engine, uint32_t index, uint64_t hash, bool by_event, bool up)
{
    const struct pql_dependents *dependents = &engine->program->spreads[index]->dependents;
    if (!hash) return;
    for (size_t i = 0; i < dependents->count; i++) note_before(engine, dependents->items[i].via);
    size_t before = pql_tallies_bytes(engine->program, engine->account);
    pql_account_tally(engine->program, engine->account, index, hash, up);
    engine->store.bytes += pql_tallies_bytes(engine->program, engine->account) - before;
    for (size_t i = 0; i < dependents->count; i++)
        push_via(engine, dependents->items[i].unit, NULL, by_event, dependents->items[i].via);
}

/* Those for whom the condition holds go from one value to another, whatever they are. */
static void step_tallies(struct pql_engine *engine, const struct pql_signal_def *def, struct pql_user *user,
                         bool up)
{
    const struct pql_program *program = engine->program;
    for (uint32_t i = 0; user && i < program->spreads_count; i++)
        if (program->signals[program->spreads[i]->attribute] == def &&
            pql_user_has(user, program->spreads[i]->condition))
            step_tally(engine, i, attribute_hash(program, user, i), true, up);
}

void pql_account_derive(struct pql_engine *engine, struct pql_account *account, int64_t t_ms)
{
    const struct pql_program *program = engine->program;
    struct pql_scope scope = {.program = program, .account = account, .t_ms = t_ms};
    engine->store.bytes -= pql_tallies_bytes(program, account);
    pql_account_drop_tallies(program, account);
    for (uint32_t i = 0; i < program->spreads_count; i++)
        for (size_t u = 0; u < account->users_count; u++) {
            const struct pql_user *user = account->users[u].user;
            uint64_t hash = attribute_hash(program, user, i);
            if (hash && pql_user_has(user, program->spreads[i]->condition))
                pql_account_tally(program, account, i, hash, true);
        }
    engine->store.bytes += pql_tallies_bytes(program, account);
    /* Only now: they may read the tallies. */
    for (uint32_t c = 0; c < program->conditions_count; c++)
        if (program->conditions[c]->unit.subject == PQL_SUBJECT_ACCOUNT)
            account->holding[c] = pql_expr_holds(program->conditions[c]->expr, &scope);
}

/* --- attributes --- */

static void change_attribute(struct pql_engine *engine, const struct pql_signal_def *def,
                             struct pql_user *user, const struct pql_value *value, int64_t time_ms)
{
    pql_touch_cell(engine, engine->account, user, def->slot);
    void **slot = cell_of(engine, state_of(engine->account, user), def->slot);
    struct pql_occurrence occurrence = {.time_ms = time_ms, .value = *value};
    unsigned changed = add_to_cell(engine, &def->signal, slot, &occurrence, NULL);
    push_all(engine, &def->dependents, changed & PQL_CHANGE_VALUE, user, true);
}

/* While events are read again, signals that were kept have them already. */
static bool is_known_already(const struct pql_engine *engine, uint32_t signal)
{
    return engine->change.is_filling && !engine->change.is_new_signal[signal];
}

/* Periods that the attribute is of are looked at before and after. */
static void set_attribute(struct pql_engine *engine, const struct pql_signal_def *def, struct pql_user *user,
                          const struct pql_value *value, int64_t time_ms)
{
    const struct pql_program *program = engine->program;
    struct pql_first *old = NULL;
    if (!user && program->periods_count)
        old = pql_arena_alloc(&engine->scratch, program->periods_count * sizeof *old);
    for (uint32_t i = 0; old && i < program->periods_count; i++)
        if (program->periods[i].is_used) old[i] = pql_period_of(program, engine->account, i);
    step_tallies(engine, def, user, false);
    change_attribute(engine, def, user, value, time_ms);
    step_tallies(engine, def, user, true);
    for (uint32_t i = 0; old && i < program->periods_count; i++)
        if (program->periods[i].is_used) period_moved(engine, i, &old[i]);
}

static void set_attributes(struct pql_engine *engine, struct pql_user *user, const struct pql_value *values,
                           const uint32_t *signals, size_t count, int64_t time_ms)
{
    for (size_t i = 0; values && i < count; i++)
        if (values[i].kind != PQL_NULL && !is_known_already(engine, signals[i]))
            set_attribute(engine, engine->program->signals[signals[i]], user, &values[i], time_ms);
}

static struct pql_value path_value(const struct pql_signal_def *def, const struct pql_event *event)
{
    if (def->path == PQL_PATH_USER) return event->user.len ? pql_text(event->user) : pql_null();
    if (def->path == PQL_PATH_EVENT) return pql_text(event->name);
    return def->path >= 0 && event->properties ? event->properties[def->path] : pql_null();
}

/* A summand beyond 10^24 counts as that much, so that no sum of events overflows its 128 bits. */
static bool number_of(const struct pql_value *value, pql_decimal *out)
{
    static const pql_decimal most = (pql_decimal)1000000000000 * 1000000000000 * PQL_DECIMAL_ONE;
    if (!pql_value_as_number(value, out)) return false;
    if (*out > most) *out = most;
    if (*out < -most) *out = -most;
    return true;
}

/* Fills what the signal wants of the event; false if the event does not count for it (no such property). */
static bool occurrence_of(const struct pql_engine *engine, const struct pql_signal_def *def,
                          const struct pql_event *event, struct pql_occurrence *occurrence)
{
    *occurrence = (struct pql_occurrence){.time_ms = event->time_ms};
    enum pql_function function = def->signal.function;
    bool is_calendar = function == PQL_FN_DAYS || function == PQL_FN_WEEKS || function == PQL_FN_MONTHS ||
                       function == PQL_FN_STREAK;
    if (is_calendar) {
        occurrence->hash = (uint64_t)pql_zone_period(def->signal.zone, def->signal.unit, event->time_ms);
        return true;
    }
    if (def->path == PQL_PATH_NONE) return true;
    struct pql_value value = path_value(def, event);
    if (value.kind == PQL_NULL) return false;
    bool is_number = pql_functions[function].type == PQL_TYPE_NUMBER && function != PQL_FN_DISTINCT;
    if (is_number) return number_of(&value, &occurrence->number);
    occurrence->value = value;
    if (function != PQL_FN_DISTINCT) return true;
    char scratch[PQL_DECIMAL_TEXT_MAX];
    occurrence->hash = pql_hash_slice(pql_value_canonical(&value, scratch), engine->program->key);
    return true;
}

/* Which steps of a sequence the event may be; false: none, or it lacks the value of `by`. */
static bool steps_of(const struct pql_scope *scope, const struct pql_signal_def *def,
                     struct pql_occurrence *occurrence)
{
    const struct pql_event *event = scope->event;
    *occurrence = (struct pql_occurrence){.time_ms = event->time_ms};
    for (uint32_t i = 0; i < def->signal.steps_count; i++) {
        const struct pql_step *step = &def->steps[i];
        bool is_step = pql_program_selects(scope->program, step->selector, event->name) &&
                       (!step->where || pql_expr_holds(step->where, scope));
        occurrence->steps |= (uint32_t)is_step << i;
    }
    if (!occurrence->steps || !def->signal.is_by) return occurrence->steps != 0;
    struct pql_value value = path_value(def, event);
    char scratch[PQL_DECIMAL_TEXT_MAX];
    if (value.kind == PQL_NULL) return false;
    occurrence->hash = pql_hash_slice(pql_value_canonical(&value, scratch), scope->program->key);
    return true;
}

static void apply_track(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                        const struct pql_listener *listener)
{
    struct pql_scope scope = {.program = engine->program,
                              .account = engine->account,
                              .user = user,
                              .event = event,
                              .t_ms = engine->t_ms};
    for (size_t i = 0; i < listener->count; i++) {
        const struct pql_signal_def *def = engine->program->signals[listener->signals[i]];
        bool of_user = def->signal.subject == PQL_SUBJECT_USER;
        struct pql_occurrence occurrence;
        if ((of_user && !user) || is_known_already(engine, listener->signals[i])) continue;
        if (def->where && !pql_expr_holds(def->where, &scope)) continue;
        if (def->steps ? !steps_of(&scope, def, &occurrence)
                       : !occurrence_of(engine, def, event, &occurrence))
            continue;
        add_occurrence(engine, def, of_user ? user : NULL, &occurrence);
    }
}

static struct pql_user *user_of(struct pql_engine *engine, const struct pql_event *event)
{
    if (!event->user.len || !engine->program->keeps_users) return NULL;
    struct pql_account *account = engine->account;
    struct pql_user *user = pql_account_find(&engine->store, account, event->user);
    if (user) return user;
    pql_touch_new_user(engine, account);
    user = pql_account_add(&engine->store, account, event->user);
    push_units(engine, engine->program->birth_units[PQL_SUBJECT_USER],
               engine->program->birth_units_count[PQL_SUBJECT_USER], user, true);
    step_counter(engine, &engine->program->members_dependents, true, &account->members, true);
    return user;
}

static bool is_start(const struct pql_program *program, const struct pql_event *event,
                     const struct pql_listener *listener)
{
    if (event->kind == PQL_EVENT_IDENTIFY) return program->start_on_identify;
    if (event->kind == PQL_EVENT_GROUP) return program->start_on_group;
    return event->kind == PQL_EVENT_TRACK && listener->is_start;
}

/* Of an account: its own explicit start, else the earliest explicit one of its users, else the earliest
 * event. */
static void apply_start(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                        bool is_explicit)
{
    bool of_account = event->kind == PQL_EVENT_GROUP || !event->user.len;
    bool of_user = event->kind != PQL_EVENT_GROUP;
    if (user)
        set_start(engine, user, is_explicit && of_user ? PQL_START_EXPLICIT : PQL_START_ASSUMED,
                  event->time_ms);
    enum pql_start rank = !is_explicit ? PQL_START_ASSUMED
                          : of_account ? PQL_START_EXPLICIT
                                       : PQL_START_BY_USER;
    set_start(engine, NULL, rank, event->time_ms);
}

static void apply(struct pql_engine *engine, const struct pql_event *event)
{
    const struct pql_program *program = engine->program;
    const struct pql_listener *listener = pql_program_listener(program, event->name);
    struct pql_user *user = user_of(engine, event);
    if (event->kind == PQL_EVENT_IDENTIFY && user)
        set_attributes(engine, user, event->user_attributes, program->user_attributes,
                       program->names.user_attributes_count, event->time_ms);
    if (event->kind == PQL_EVENT_GROUP)
        set_attributes(engine, NULL, event->account_attributes, program->account_attributes,
                       program->names.account_attributes_count, event->time_ms);
    apply_start(engine, user, event, is_start(program, event, listener));
    if (event->kind == PQL_EVENT_TRACK) apply_track(engine, user, event, listener);
    engine->source = event;
}

/* --- evaluation --- */

/* A version is above that of every earlier record of the key. */
static void next_version(const struct pql_engine *engine, struct pql_standing *standing)
{
    int64_t before = standing->version ? standing->version : engine->version_floor;
    standing->version = before + 1 > engine->t_ms ? before + 1 : engine->t_ms;
}

/* What every record says; the definition's part is the caller's. */
static struct pql_record record_of(const struct pql_engine *engine, const struct pql_user *user,
                                   const struct pql_standing *standing, enum pql_status before)
{
    struct pql_record record = {
        .account_id = engine->account->id,
        .user_id = user ? user->id : (struct pql_slice){"", 0},
        .status = standing->status,
        .previous_status = before,
        .first_qualified_at = standing->first_ms,
        .qualified_at = standing->qualified_ms,
        .left_at = standing->status == PQL_STATUS_MISSED ? PQL_NO_TIME : standing->left_ms,
        .expires_at = PQL_NO_TIME,
        .qualification_count = standing->count,
        .sla_due_at = PQL_NO_TIME,
        .origin = engine->origin,
        .complete_since = PQL_NO_TIME,
        .occurred_at = engine->t_ms,
        .clock = engine->seen,
        .version = standing->version,
    };
    if (!engine->source) return record;
    record.has_source = true;
    record.source_input = engine->source->input;
    record.source_partition = engine->source->partition;
    record.source_offset = engine->source->offset;
    record.source_message_id = engine->source->id;
    return record;
}

static void publish(struct pql_engine *engine, struct pql_record *record)
{
    struct pql_buf name = {0};
    pql_buf_slice(&name, record->definition);
    pql_buf_slice(&name, record->account_id);
    pql_buf_slice(&name, record->user_id);
    pql_buf_printf(&name, "%lld", (long long)record->version);
    struct pql_uuid uuid = pql_uuid5(&engine->program->space, (struct pql_slice){name.ptr, name.len});
    pql_buf_deinit(&name);
    pql_uuid_text(&uuid, record->event_id);
    engine->stats.records++;
    engine->emit(engine->context, record);
}

static void emit_record(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user, struct pql_standing *standing, enum pql_transition transition,
                        enum pql_status before, enum pql_reason reason)
{
    const struct pql_definition_conf *conf = definition->conf;
    next_version(engine, standing);
    struct pql_record record = record_of(engine, user, standing, before);
    record.definition = conf->name;
    record.definition_version = conf->version;
    record.definition_hash = definition->hash_slice;
    record.subject = conf->subject;
    record.transition = transition;
    record.reason = reason;
    record.complete_since = pql_complete_since(engine, definition, user);
    struct pql_scope scope = {
        .program = engine->program, .account = engine->account, .user = user, .t_ms = engine->t_ms};
    pql_evidence_fill(definition, &scope, &engine->scratch, &record);
    publish(engine, &record);
}

static struct pql_standing *standing_get(struct pql_engine *engine, const struct pql_definition *definition,
                                         struct pql_user *user)
{
    if (user) pql_touch_user(engine, engine->account, user);
    void **slot = cell_of(engine, state_of(engine->account, user), definition->slot);
    if (!*slot) {
        struct pql_standing *standing = pql_xcalloc(1, sizeof *standing);
        engine->store.bytes += pql_memory_cost(sizeof *standing);
        standing->first_ms = standing->qualified_ms = standing->left_ms = PQL_NO_TIME;
        *slot = standing;
    }
    return *slot;
}

static void enter(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                  bool by_event)
{
    struct pql_standing *standing = standing_get(engine, definition, user);
    enum pql_status before = standing->status;
    if (before == PQL_STATUS_MISSED) standing->left_ms = PQL_NO_TIME;
    standing->status = PQL_QUALIFIED;
    standing->is_leaving = false;
    standing->qualified_ms = engine->t_ms;
    if (!standing->count++) standing->first_ms = engine->t_ms;
    emit_record(engine, definition, user, standing, PQL_ENTERED, before, PQL_REASON_CONDITION);
    pql_schedule(engine->account, user, standing_next(definition, standing, engine->t_ms));
    push_all(engine, &definition->dependents, ~0u, user, by_event);
}

static void leave(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                  enum pql_reason reason, bool by_event)
{
    struct pql_standing *standing = standing_get(engine, definition, user);
    standing->status = PQL_STATUS_LEFT;
    standing->is_leaving = false;
    standing->left_ms = engine->t_ms;
    emit_record(engine, definition, user, standing, PQL_LEFT, PQL_QUALIFIED, reason);
    pql_schedule(engine->account, user, standing_next(definition, standing, engine->t_ms));
    push_all(engine, &definition->dependents, ~0u, user, by_event);
}

/* The cause is that of the moment when stay failed. */
static void set_leaving(struct pql_engine *engine, struct pql_user *user, struct pql_standing *standing,
                        bool is_leaving, bool by_event)
{
    if (standing->is_leaving == is_leaving) return;
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_leaving = is_leaving;
    if (!is_leaving) return;
    standing->leaving_by_event = by_event;
    standing->leaving_by_change = engine->change.is_active;
}

static void evaluate_member(struct pql_engine *engine, const struct pql_definition *definition,
                            struct pql_user *user, struct pql_standing *standing,
                            const struct pql_scope *scope, bool by_event)
{
    bool by_change = engine->change.is_active;
    if (definition->conf->once) return;
    if (definition->eligible && !pql_expr_holds(definition->eligible, scope)) {
        leave(engine, definition, user, by_change ? PQL_REASON_DEFINITION_CHANGED : PQL_REASON_INELIGIBLE,
              by_event);
        return;
    }
    if (pql_expr_holds(definition->stay, scope)) {
        set_leaving(engine, user, standing, false, by_event);
        return;
    }
    /* The reason is that of the moment when stay failed, however long min_stay holds the member. */
    set_leaving(engine, user, standing, true, by_event);
    if (engine->t_ms - standing->qualified_ms < definition->conf->min_stay_ms) {
        pql_schedule(engine->account, user, standing_next(definition, standing, engine->t_ms));
        return;
    }
    bool cause = standing->leaving_by_event;
    enum pql_reason reason = cause ? PQL_REASON_CONDITION : PQL_REASON_EXPIRED;
    leave(engine, definition, user, standing->leaving_by_change ? PQL_REASON_DEFINITION_CHANGED : reason,
          cause);
}

static bool has_ended_first(const struct pql_expr *expr, const struct pql_scope *scope)
{
    if (expr->op == PQL_EXPR_SIGNAL) return pql_expr_is_ended(expr, scope);
    for (size_t i = 0; i < expr->kids_count; i++)
        if (has_ended_first(expr->kids[i], scope)) return true;
    return false;
}

static void check_missed(struct pql_engine *engine, const struct pql_definition *definition,
                         struct pql_user *user, const struct pql_scope *scope, bool by_event)
{
    const struct pql_subject_state *state = state_of(engine->account, user);
    if (!definition->can_be_missed || !is_not_yet(state, definition)) return;
    if (!has_ended_first(definition->qualify, scope)) return;
    if (pql_expr_known(definition->qualify, scope) != PQL_KNOWN_FALSE) return;
    struct pql_standing *standing = standing_get(engine, definition, user);
    standing->status = PQL_STATUS_MISSED;
    standing->left_ms = engine->t_ms; /* for in_state_for; no record shows it */
    if (definition->conf->publish_missed)
        emit_record(engine, definition, user, standing, PQL_MISSED, PQL_NOT_YET, PQL_REASON_EXPIRED);
    pql_schedule(engine->account, user, standing_next(definition, standing, engine->t_ms));
    push_all(engine, &definition->changed.dependents, ~0u, user, by_event);
}

static void evaluate_other(struct pql_engine *engine, const struct pql_definition *definition,
                           struct pql_user *user, const struct pql_standing *standing,
                           const struct pql_scope *scope, bool by_event)
{
    bool cooling = standing && standing->status == PQL_STATUS_LEFT &&
                   engine->t_ms - standing->left_ms < definition->conf->cooldown_ms;
    if (cooling) return;
    if (!pql_expr_holds(definition->qualify, scope)) {
        check_missed(engine, definition, user, scope, by_event);
        return;
    }
    if (definition->eligible && !pql_expr_holds(definition->eligible, scope)) return;
    if (definition->stay != definition->qualify && !pql_expr_holds(definition->stay, scope)) return;
    enter(engine, definition, user, by_event);
}

static void evaluate_definition(struct pql_engine *engine, const struct pql_definition *definition,
                                struct pql_user *user, const struct pql_scope *scope, bool by_event)
{
    void **slot = pql_cells_find(state_of(engine->account, user)->cells, definition->slot);
    struct pql_standing *standing = slot ? *slot : NULL;
    if (standing && standing->status == PQL_QUALIFIED)
        evaluate_member(engine, definition, user, standing, scope, by_event);
    else
        evaluate_other(engine, definition, user, standing, scope, by_event);
}

/* Users are told when a condition of the account flips. */
static void evaluate_of_account(struct pql_engine *engine, uint32_t index, bool holds, bool by_event)
{
    uint32_t *held = &engine->account->holding[index];
    if (holds == (*held != 0)) return;
    *held = holds;
    push_all(engine, &engine->program->conditions[index]->dependents, ~0u, NULL, by_event);
}

static void evaluate_condition(struct pql_engine *engine, uint32_t index, struct pql_user *user,
                               const struct pql_scope *scope, bool by_event)
{
    const struct pql_condition *condition = engine->program->conditions[index];
    bool holds = pql_expr_holds(condition->expr, scope);
    if (condition->unit.subject == PQL_SUBJECT_ACCOUNT) {
        evaluate_of_account(engine, index, holds, by_event);
        return;
    }
    if (holds == pql_user_has(user, index)) return;
    pql_touch_user(engine, engine->account, user);
    user->bits[index / 64] ^= UINT64_C(1) << (index % 64);
    step_counter(engine, &condition->dependents, by_event, &engine->account->holding[index], holds);
    for (uint32_t i = 0; i < engine->program->spreads_count; i++)
        if (engine->program->spreads[i]->condition == index)
            step_tally(engine, i, attribute_hash(engine->program, user, i), by_event, holds);
}

static void run_agenda(struct pql_engine *engine)
{
    while (engine->agenda.count) {
        struct pql_heap_entry top = pql_heap_pop(&engine->agenda, agenda_order);
        struct agenda_item item = *(struct agenda_item *)top.item;
        item.by_event = is_cause(engine, &item);
        while (engine->agenda.count && engine->agenda.entries[0].due == top.due &&
               ((struct agenda_item *)engine->agenda.entries[0].item)->user == item.user) {
            const struct agenda_item *same = pql_heap_pop(&engine->agenda, agenda_order).item;
            item.by_event = item.by_event || is_cause(engine, same);
        }
        const struct pql_unit *unit = engine->program->units[top.due];
        struct pql_scope scope = {
            .program = engine->program, .account = engine->account, .user = item.user, .t_ms = engine->t_ms};
        if (unit->is_condition)
            evaluate_condition(engine, unit->index, item.user, &scope, item.by_event);
        else
            evaluate_definition(engine, &engine->program->definitions[unit->index], item.user, &scope,
                                item.by_event);
    }
}

void pql_instant(struct pql_engine *engine, struct pql_account *account, int64_t t_ms,
                 const struct pql_event *events, size_t count)
{
    pql_touch_account(engine, account);
    pql_arena_reset(&engine->scratch);
    engine->account = account;
    account->instant_ms = t_ms;
    engine->t_ms = t_ms;
    engine->source = NULL;
    engine->stepped_count = 0;
    fire_due(engine);
    if (account->state.start == PQL_START_NONE)
        push_units(engine, engine->program->birth_units[PQL_SUBJECT_ACCOUNT],
                   engine->program->birth_units_count[PQL_SUBJECT_ACCOUNT], NULL, true);
    for (size_t i = 0; i < count; i++) apply(engine, &events[i]);
    run_agenda(engine);
    retime_fired(engine);
    pql_account_retime(engine, account);
}

static void push_member(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user)
{
    const struct pql_standing *standing = pql_standing_of(state_of(engine->account, user), definition);
    if (standing && standing->status == PQL_QUALIFIED) push_one(engine, &definition->unit, user, false);
}

void pql_instant_refresh(struct pql_engine *engine, struct pql_account *account)
{
    const struct pql_program *program = engine->program;
    enum pql_origin origin = engine->origin;
    pql_arena_reset(&engine->scratch);
    engine->account = account;
    engine->t_ms = pql_account_done_ms(engine, account);
    engine->source = NULL;
    engine->origin = PQL_ORIGIN_REFRESH;
    for (size_t d = 0; d < program->conf->definitions_count; d++) {
        const struct pql_definition *definition = &program->definitions[d];
        if (definition->unit.subject == PQL_SUBJECT_ACCOUNT) push_member(engine, definition, NULL);
        for (size_t i = 0; definition->unit.subject == PQL_SUBJECT_USER && i < account->users_count; i++)
            push_member(engine, definition, account->users[i].user);
    }
    if (engine->agenda.count) pql_touch_account(engine, account);
    while (engine->agenda.count) {
        struct pql_heap_entry top = pql_heap_pop(&engine->agenda, agenda_order);
        const struct agenda_item *item = top.item;
        const struct pql_definition *definition = &program->definitions[program->units[top.due]->index];
        emit_record(engine, definition, item->user, standing_get(engine, definition, item->user),
                    PQL_SNAPSHOT, PQL_QUALIFIED, PQL_REASON_CONDITION);
    }
    engine->origin = origin;
}

/* --- a change of the program --- */

void pql_instant_fill(struct pql_engine *engine, struct pql_account *account, const struct pql_event *event)
{
    pql_touch_account(engine, account);
    pql_arena_reset(&engine->scratch);
    engine->account = account;
    engine->t_ms = engine->change.fill_seen; /* the clock as it was */
    apply(engine, event);
    engine->source = NULL;
}

/* Conditions in the order of units: one may read another's counter. */
static void settle_conditions(struct pql_engine *engine)
{
    const struct pql_program *program = engine->program;
    struct pql_account *account = engine->account;
    for (size_t i = 0; i < program->units_count; i++) {
        const struct pql_unit *unit = program->units[i];
        if (!unit->is_condition || !engine->change.is_new_condition[unit->index]) continue;
        if (unit->subject == PQL_SUBJECT_ACCOUNT) continue;
        for (size_t u = 0; u < account->users_count; u++) {
            struct pql_user *user = account->users[u].user;
            struct pql_scope scope = {
                .program = program, .account = account, .user = user, .t_ms = engine->t_ms};
            if (!pql_expr_holds(program->conditions[unit->index]->expr, &scope)) continue;
            user->bits[unit->index / 64] |= UINT64_C(1) << (unit->index % 64);
            account->holding[unit->index]++;
        }
    }
    pql_account_derive(engine, account, engine->t_ms);
}

/* What was filled as of then is trimmed as of now. */
static void settle_signals(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    struct pql_subject_state *state = state_of(engine->account, user);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject_of(user), slot);
        if ((what & PQL_SLOT_DEFINITION) || !engine->change.is_new_signal[what]) continue;
        struct pql_first first = pql_first_of(program, engine->account, state, program->signals[what]);
        pql_signal_trim(&program->signals[what]->signal, cell, &first, engine->t_ms);
    }
}

static void settle_timers(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    account->timers.count = 0;
    account->timer_ms = account->state.timer_ms = INT64_MAX;
    for (size_t i = 0; i < account->users_count; i++) account->users[i].user->state.timer_ms = INT64_MAX;
    pql_schedule(account, NULL, pql_subject_next(engine, account, NULL, engine->t_ms));
    for (size_t i = 0; i < account->users_count; i++) {
        struct pql_user *user = account->users[i].user;
        pql_schedule(account, user, pql_subject_next(engine, account, user, engine->t_ms));
    }
}

/* The last record of a member of a definition that is gone. There is nothing left to give as evidence. */
static void retire_member(struct pql_engine *engine, const struct pql_retired *retired, struct pql_user *user,
                          uint32_t slot)
{
    struct pql_standing *standing = *pql_cells_find(state_of(engine->account, user)->cells, slot);
    standing->status = PQL_STATUS_LEFT;
    standing->left_ms = engine->t_ms;
    next_version(engine, standing);
    struct pql_record record = record_of(engine, user, standing, PQL_QUALIFIED);
    record.definition = retired->name;
    record.definition_version = retired->version;
    record.definition_hash = (struct pql_slice){retired->hash, 16};
    record.subject = retired->subject;
    record.transition = PQL_LEFT;
    record.reason = PQL_REASON_DEFINITION_REMOVED;
    record.reason_text = pql_slice_of(pql_reason_names[PQL_REASON_DEFINITION_REMOVED]);
    publish(engine, &record);
    if (standing->version > engine->version_floor) engine->version_floor = standing->version;
    free(standing);
}

/* Definitions that are gone, in the order of the program that had them; users by their bytes. */
static void settle_retired(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    const size_t *slots = engine->program->slots_count;
    for (uint32_t r = 0; r < engine->change.retired_count; r++) {
        const struct pql_retired *retired = &engine->change.retired[r];
        uint32_t slot = (uint32_t)slots[retired->subject] + r;
        if (retired->subject == PQL_SUBJECT_ACCOUNT) {
            if (pql_cells_find(account->state.cells, slot)) retire_member(engine, retired, NULL, slot);
            continue;
        }
        for (size_t i = 0; i < account->users_count; i++)
            if (pql_cells_find(account->users[i].user->state.cells, slot)) {
                struct agenda_item *item = pql_arena_alloc(&engine->scratch, sizeof *item);
                *item = (struct agenda_item){.user = account->users[i].user};
                pql_heap_push(&engine->agenda, agenda_order, 0, item);
            }
        while (engine->agenda.count) {
            struct agenda_item *item = pql_heap_pop(&engine->agenda, agenda_order).item;
            retire_member(engine, retired, item->user, slot);
        }
    }
    pql_cells_cut(account->state.cells, (uint32_t)slots[PQL_SUBJECT_ACCOUNT]);
    for (size_t i = 0; i < account->users_count; i++)
        pql_cells_cut(account->users[i].user->state.cells, (uint32_t)slots[PQL_SUBJECT_USER]);
}

void pql_instant_settle(struct pql_engine *engine, struct pql_account *account)
{
    const struct pql_program *program = engine->program;
    enum pql_origin origin = engine->origin;
    pql_touch_all(engine, account);
    pql_arena_reset(&engine->scratch);
    engine->account = account;
    engine->t_ms = engine->complete;
    engine->source = NULL;
    engine->stepped_count = 0;
    engine->origin = PQL_ORIGIN_DEFINITION_CHANGE;
    engine->change.is_filling = false;
    settle_retired(engine);
    if (!program->keeps_users && account->users_count) {
        pql_account_drop_users(&engine->store, program, account);
        pql_snapshot_drop_users(engine, account);
    }
    settle_signals(engine, NULL);
    for (size_t i = 0; i < account->users_count; i++) settle_signals(engine, account->users[i].user);
    settle_conditions(engine);
    settle_timers(engine);
    for (size_t i = 0; i < program->units_count; i++) {
        const struct pql_unit *unit = program->units[i];
        if (!unit->is_condition && engine->change.is_new_definition[unit->index])
            push(engine, unit, NULL, false);
    }
    run_agenda(engine);
    pql_account_retime(engine, account);
    engine->origin = origin;
}
