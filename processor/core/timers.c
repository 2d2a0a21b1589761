#include "core/instant.h"

int pql_account_order(const void *a, const void *b)
{
    return pql_slice_cmp(((const struct pql_account *)a)->id, ((const struct pql_account *)b)->id);
}

void pql_schedule(struct pql_account *account, struct pql_user *user, int64_t due_ms)
{
    struct pql_subject_state *state = pql_state_of(account, user);
    if (due_ms >= state->timer_ms || state->gone) return;
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
    int64_t held = pql_score_due(definition, standing);
    due = earlier(due > t_ms ? due : INT64_MAX, held > t_ms ? held : INT64_MAX);
    return earlier(due, pql_outcome_next(definition, standing, t_ms));
}

int64_t pql_standing_next(const struct pql_definition *definition, const struct pql_standing *standing,
                          int64_t t_ms)
{
    int64_t due = pql_ago_next(&definition->changed, pql_standing_changed(standing), t_ms);
    return earlier(due, lifecycle_next(definition, standing, t_ms));
}

bool pql_is_not_yet(const struct pql_subject_state *state, const struct pql_definition *definition)
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
        if (unit->subject != subject || pql_is_not_yet(state, &program->definitions[unit->index]))
            return true;
    }
    return false;
}

int64_t pql_first_next(const struct pql_program *program, const struct pql_account *account,
                       const struct pql_user *user, int64_t t_ms)
{
    const struct pql_subject_state *state = user ? &user->state : &account->state;
    enum pql_subject subject = pql_subject_of(user);
    int64_t due = INT64_MAX;
    if (!program->first_units_count[subject]) return due;
    for (size_t i = 0; i < program->first_signals_count[subject]; i++) {
        const struct pql_signal_def *def = program->signals[program->first_signals[subject][i]];
        struct pql_first at = pql_first_of(program, account, state, def);
        if (at.end_ms > t_ms) due = earlier(due, at.end_ms);
    }
    return due < INT64_MAX && awaits_first(program, state, subject) ? due : INT64_MAX;
}

int64_t pql_age_next(const struct pql_program *program, const struct pql_subject_state *state,
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
    enum pql_subject subject = pql_subject_of(user);
    int64_t due = pql_first_next(program, account, user, t_ms);
    due = earlier(due, pql_age_next(program, state, subject, t_ms));
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (what == PQL_SLOT_RETIRED) break; /* only these are behind */
        if (what & PQL_SLOT_DEFINITION)
            due = earlier(due,
                          pql_standing_next(&program->definitions[what & ~PQL_SLOT_DEFINITION], cell, t_ms));
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
    enum pql_subject subject = pql_subject_of(user);
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    int64_t t = engine->t_ms;
    if (user) pql_touch_user(engine, engine->account, user);
    if (pql_first_next(program, engine->account, user, t - 1) <= t)
        pql_agenda_push_units(engine, program->first_units[subject], program->first_units_count[subject],
                              user, PQL_BY_TIME);
    if (pql_age_next(program, state, subject, t - 1) <= t)
        pql_agenda_push_all(engine, &program->ages[subject].dependents, ~0u, user, PQL_BY_TIME);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = program->slots[subject][slot];
        if (what & PQL_SLOT_DEFINITION) {
            const struct pql_definition *definition = &program->definitions[what & ~PQL_SLOT_DEFINITION];
            if (lifecycle_next(definition, cell, t - 1) <= t)
                pql_agenda_push_one(engine, &definition->unit, user, PQL_BY_TIME);
            if (pql_ago_next(&definition->changed, pql_standing_changed(cell), t - 1) <= t)
                pql_agenda_push_all(engine, &definition->changed.dependents, ~0u, user, PQL_BY_TIME);
            continue;
        }
        const struct pql_signal_def *def = program->signals[what];
        if (pql_signal_next_change(&def->signal, cell, t - 1) > t) continue;
        bool decays = pql_signal_next_decay(&def->signal, cell, t - 1) <= t;
        pql_touch_cell(engine, engine->account, user, slot);
        struct pql_first first = pql_first_of(program, engine->account, state, def);
        size_t before = pql_signal_cost(&def->signal, cell);
        pql_signal_trim(&def->signal, cell, &first, t);
        engine->store.bytes += pql_signal_cost(&def->signal, cell) - before;
        pql_agenda_push_all(engine, &def->dependents, ~0u, user, PQL_BY_TIME);
        if (decays) pql_agenda_push_all(engine, &def->dependents, PQL_CHANGE_AGE, user, PQL_BY_DECAY);
    }
}

void pql_timers_fire(struct pql_engine *engine)
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

void pql_timers_retime(struct pql_engine *engine)
{
    struct pql_account *account = engine->account;
    for (size_t i = 0; i < engine->fired_count; i++) {
        struct pql_user *user = engine->fired[i];
        pql_schedule(account, user, pql_subject_next(engine, account, user, engine->t_ms));
    }
    if (engine->account_fired)
        pql_schedule(account, NULL, pql_subject_next(engine, account, NULL, engine->t_ms));
}
