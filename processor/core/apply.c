#include "core/instant.h"

#include "core/hash.h"

/* The window of a signal was at `old`; it is somewhere else now. */
static void window_moved(struct pql_engine *engine, struct pql_user *user, const struct pql_signal_def *def,
                         const struct pql_first *old)
{
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    struct pql_cell *cell = pql_cells_find(state->cells, def->slot);
    if (!cell) return;
    struct pql_first now = pql_first_of(engine->program, engine->account, state, def);
    struct pql_reading was, is;
    pql_touch_cell(engine, engine->account, user, def->slot);
    pql_signal_read(&def->signal, cell, old, engine->t_ms, &was);
    engine->store.bytes -= pql_signal_cost(&def->signal, cell);
    pql_signal_start_moves(&def->signal, cell, old, &now, engine->t_ms);
    engine->store.bytes += pql_signal_cost(&def->signal, cell);
    pql_signal_read(&def->signal, cell, &now, engine->t_ms, &is);
    if (was.n != is.n || was.sum != is.sum || !pql_value_same(&was.value, &is.value))
        pql_agenda_push_all(engine, &def->dependents, ~0u, user, PQL_BY_EVENT);
}

/* Whoever waits for ends of windows is looked at, and waits for another. That an end is elsewhere is no
 * cause: where a value changed with it, window_moved has said so. */
static void await_ends(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = pql_subject_of(user);
    pql_agenda_push_units(engine, program->first_units[subject], program->first_units_count[subject], user,
                          PQL_BY_TIME);
    pql_schedule(engine->account, user, pql_first_next(program, engine->account, user, engine->t_ms));
}

static void start_moved(struct pql_engine *engine, struct pql_user *user,
                        const struct pql_subject_state *before)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = pql_subject_of(user);
    for (size_t i = 0; i < program->first_signals_count[subject]; i++) {
        const struct pql_signal_def *def = program->signals[program->first_signals[subject][i]];
        if (def->period != PQL_NO_INDEX) continue;
        struct pql_first old = pql_first_of(program, engine->account, before, def);
        window_moved(engine, user, def, &old);
    }
    pql_agenda_push_all(engine, &program->ages[subject].dependents, ~0u, user, PQL_BY_EVENT);
    await_ends(engine, user);
}

static void subject_period_moved(struct pql_engine *engine, struct pql_user *user, uint32_t period,
                                 const struct pql_first *old)
{
    const struct pql_program *program = engine->program;
    enum pql_subject subject = pql_subject_of(user);
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

void pql_start_set(struct pql_engine *engine, struct pql_user *user, uint8_t rank, int64_t time_ms)
{
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    if (rank < state->start || (rank == state->start && time_ms >= state->start_ms)) return;
    struct pql_subject_state before = *state;
    bool moved = state->start != PQL_START_NONE && time_ms != state->start_ms;
    if (user) pql_touch_user(engine, engine->account, user);
    state->start = (uint8_t)rank;
    state->start_ms = time_ms;
    if (engine->watch && engine->watch->signed_up && !engine->change.is_filling &&
        before.start < PQL_START_BY_USER && rank >= PQL_START_BY_USER)
        engine->watch->signed_up(engine->context, pql_subject_of(user));
    if (moved) start_moved(engine, user, &before);
    pql_schedule(engine->account, user, pql_first_next(engine->program, engine->account, user, engine->t_ms));
    pql_schedule(engine->account, user,
                 pql_age_next(engine->program, state, pql_subject_of(user), engine->t_ms));
}

struct pql_cell *pql_cell_keep(struct pql_engine *engine, struct pql_subject_state *state,
                               const struct pql_signal_def *def, struct pql_cell *cell, size_t cost_before)
{
    size_t before = pql_cells_bytes(state->cells);
    if (pql_cells_find(state->cells, def->slot) != cell || !cell)
        pql_cells_put_signal(&state->cells, def->slot, &def->signal, cell);
    cell = pql_cells_find(state->cells, def->slot);
    engine->store.bytes +=
        pql_cells_bytes(state->cells) - before + pql_signal_cost(&def->signal, cell) - cost_before;
    return cell;
}

static unsigned add_to_cell(struct pql_engine *engine, const struct pql_signal_def *def,
                            struct pql_subject_state *state, const struct pql_occurrence *occurrence,
                            const struct pql_first *first, struct pql_cell **cell)
{
    struct pql_cell *before = pql_cells_find(state->cells, def->slot);
    size_t cost = pql_signal_cost(&def->signal, before);
    *cell = before;
    unsigned changed = pql_signal_add(&def->signal, cell, occurrence, first, engine->t_ms);
    if (*cell != before || cost) *cell = pql_cell_keep(engine, state, def, *cell, cost);
    return changed;
}

static void add_occurrence(struct pql_engine *engine, const struct pql_signal_def *def, struct pql_user *user,
                           const struct pql_occurrence *occurrence)
{
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    struct pql_first first = pql_first_of(engine->program, engine->account, state, def);
    pql_touch_cell(engine, engine->account, user, def->slot);
    struct pql_cell *cell;
    unsigned changed = add_to_cell(engine, def, state, occurrence, &first, &cell);
    pql_schedule(engine->account, user, pql_signal_next_change(&def->signal, cell, engine->t_ms));
    if (changed) pql_agenda_push_all(engine, &def->dependents, changed, user, PQL_BY_EVENT);
}

/* --- spread: how many users have each value --- */

uint64_t pql_attribute_hash(const struct pql_program *program, const struct pql_user *user, uint32_t spread)
{
    const struct pql_signal_def *def = program->signals[program->spreads[spread]->attribute];
    const struct pql_cell *cell = pql_cells_find(user->state.cells, def->slot);
    struct pql_reading reading;
    char scratch[PQL_DECIMAL_TEXT_MAX];
    pql_signal_read(&def->signal, cell, NULL, 0, &reading);
    if (reading.value.kind == PQL_NULL) return 0;
    return pql_hash_slice(pql_value_canonical(&reading.value, scratch), program->key);
}

void pql_step_tally(struct pql_engine *engine, uint32_t index, uint64_t hash, enum pql_cause by, bool up)
{
    const struct pql_dependents *dependents = &engine->program->spreads[index]->dependents;
    if (!hash) return;
    for (size_t i = 0; i < dependents->count; i++) pql_agenda_note(engine, dependents->items[i].via);
    size_t before = pql_tallies_bytes(engine->program, engine->account);
    pql_account_tally(engine->program, engine->account, index, hash, up);
    engine->store.bytes += pql_tallies_bytes(engine->program, engine->account) - before;
    for (size_t i = 0; i < dependents->count; i++)
        pql_agenda_push_via(engine, dependents->items[i].unit, NULL, by, dependents->items[i].via);
}

/* Those for whom the condition holds go from one value to another, whatever they are. */
static void step_tallies(struct pql_engine *engine, const struct pql_signal_def *def, struct pql_user *user,
                         bool up)
{
    const struct pql_program *program = engine->program;
    for (uint32_t i = 0; user && i < program->spreads_count; i++)
        if (program->signals[program->spreads[i]->attribute] == def &&
            pql_user_has(user, program->spreads[i]->condition))
            pql_step_tally(engine, i, pql_attribute_hash(program, user, i), true, up);
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
            uint64_t hash = pql_attribute_hash(program, user, i);
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
    struct pql_occurrence occurrence = {.time_ms = time_ms, .value = *value};
    struct pql_cell *cell;
    unsigned changed =
        add_to_cell(engine, def, pql_state_of(engine->account, user), &occurrence, NULL, &cell);
    pql_agenda_push_all(engine, &def->dependents, changed & PQL_CHANGE_VALUE, user, PQL_BY_EVENT);
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
static bool number_of(enum pql_function function, const struct pql_value *value, pql_decimal *out)
{
    static const pql_decimal most = (pql_decimal)1000000000000 * 1000000000000 * PQL_DECIMAL_ONE;
    if (!pql_value_as_number(value, out)) return false;
    if (function == PQL_FN_MIN || function == PQL_FN_MAX) return true;
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
    if (is_number) return number_of(function, &value, &occurrence->number);
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

struct pql_user *pql_user_get(struct pql_engine *engine, struct pql_slice id, bool *is_new)
{
    struct pql_account *account = engine->account;
    struct pql_user *user = pql_account_find(&engine->store, account, id);
    *is_new = !user;
    if (user) return user;
    pql_touch_new_user(engine, account);
    user = pql_account_add(&engine->store, account, id);
    pql_agenda_push_units(engine, engine->program->birth_units[PQL_SUBJECT_USER],
                          engine->program->birth_units_count[PQL_SUBJECT_USER], user, PQL_BY_EVENT);
    return user;
}

static struct pql_user *user_of(struct pql_engine *engine, const struct pql_event *event)
{
    if (!event->user.len || !engine->program->keeps_users) return NULL;
    bool is_new;
    struct pql_user *user = pql_user_get(engine, event->user, &is_new);
    pql_member_by_event(engine, user, event, is_new);
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
        pql_start_set(engine, user, is_explicit && of_user ? PQL_START_EXPLICIT : PQL_START_ASSUMED,
                      event->time_ms);
    enum pql_start rank = !is_explicit ? PQL_START_ASSUMED
                          : of_account ? PQL_START_EXPLICIT
                                       : PQL_START_BY_USER;
    pql_start_set(engine, NULL, rank, event->time_ms);
}

static void apply_event(struct pql_engine *engine, const struct pql_event *event)
{
    const struct pql_program *program = engine->program;
    const struct pql_listener *listener = pql_program_listener(program, event->name);
    if (event->kind == PQL_EVENT_FORGET) {
        pql_forget(engine, event);
        return;
    }
    if (event->kind == PQL_EVENT_ALIAS) pql_alias_apply(engine, event->previous_user, event->user);
    struct pql_user *user = user_of(engine, event);
    if (event->kind == PQL_EVENT_IDENTIFY && user)
        set_attributes(engine, user, event->user_attributes, program->user_attributes,
                       program->names.user_attributes_count, event->time_ms);
    if (event->kind == PQL_EVENT_GROUP)
        set_attributes(engine, NULL, event->account_attributes, program->account_attributes,
                       program->names.account_attributes_count, event->time_ms);
    apply_start(engine, user, event, is_start(program, event, listener));
    if (event->kind == PQL_EVENT_TRACK) apply_track(engine, user, event, listener);
    if (event->kind == PQL_EVENT_OUTCOME) pql_apply_outcome(engine, user, event, listener);
}

static bool is_member(const struct pql_engine *engine, struct pql_slice id)
{
    const struct pql_user *user = pql_account_find(&engine->store, engine->account, id);
    return user && user->state.is_member;
}

/* The event is of the user that its id means. */
void pql_apply_event(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_slice user = pql_alias_user(engine, engine->account, event->user);
    if (event->is_of_members && !is_member(engine, user)) return;
    engine->source = event;
    if (event->kind == PQL_EVENT_ALIAS) user = pql_arena_copy(&engine->scratch, user);
    if (user.ptr == event->user.ptr) {
        apply_event(engine, event);
        return;
    }
    struct pql_event of_user = *event;
    of_user.user = user;
    apply_event(engine, &of_user);
}
