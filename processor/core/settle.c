#include "core/instant.h"

#include <stdlib.h>

void pql_instant_fill(struct pql_engine *engine, struct pql_account *account, const struct pql_event *event)
{
    pql_touch_account(engine, account);
    pql_arena_reset(&engine->scratch);
    engine->account = account;
    engine->t_ms = engine->change.fill_seen; /* the clock as it was */
    pql_apply_event(engine, event);
    pql_members_settle(engine);
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
            if (!user->state.is_member || !pql_expr_holds(program->conditions[unit->index]->expr, &scope))
                continue;
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
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        void *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)pql_subject_of(user), slot);
        if ((what & PQL_SLOT_DEFINITION) || !engine->change.is_new_signal[what]) continue;
        const struct pql_signal *signal = &program->signals[what]->signal;
        struct pql_first first = pql_first_of(program, engine->account, state, program->signals[what]);
        size_t before = pql_signal_cost(signal, cell);
        pql_signal_trim(signal, cell, &first, engine->t_ms);
        engine->store.bytes += pql_signal_cost(signal, cell) - before;
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
                          struct pql_standing *standing)
{
    standing->status = PQL_STATUS_LEFT;
    standing->left_ms = engine->t_ms;
    pql_next_version(engine, standing);
    struct pql_record record = pql_record_of(engine, user, standing, PQL_QUALIFIED);
    record.definition = retired->name;
    record.definition_version = retired->version;
    record.definition_hash = (struct pql_slice){retired->hash, 16};
    record.is_shadow = retired->is_shadow;
    record.subject = retired->subject;
    record.transition = PQL_LEFT;
    record.reason = PQL_REASON_DEFINITION_REMOVED;
    record.reason_text = pql_slice_of(pql_reason_names[PQL_REASON_DEFINITION_REMOVED]);
    pql_publish_record(engine, &record);
}

static void retire(struct pql_engine *engine, const struct pql_retired *retired, struct pql_user *user,
                   uint32_t slot)
{
    struct pql_standing *standing = pql_cells_find(pql_state_of(engine->account, user)->cells, slot);
    if (standing->status == PQL_QUALIFIED) retire_member(engine, retired, user, standing);
    struct pql_definition_conf conf = {.name = retired->name,
                                       .subject = retired->subject,
                                       .mode = retired->is_shadow ? PQL_MODE_SHADOW : PQL_MODE_LIVE};
    pql_erase_key(engine, &conf, user ? user->id : (struct pql_slice){"", 0}, standing);
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
            if (pql_cells_find(account->state.cells, slot)) retire(engine, retired, NULL, slot);
            continue;
        }
        for (size_t i = 0; i < account->users_count; i++)
            if (pql_cells_find(account->users[i].user->state.cells, slot)) {
                struct pql_agenda_item *item = pql_arena_alloc(&engine->scratch, sizeof *item);
                *item = (struct pql_agenda_item){.user = account->users[i].user};
                pql_heap_push(&engine->agenda, pql_agenda_order, 0, item);
            }
        while (engine->agenda.count) {
            struct pql_agenda_item *item = pql_heap_pop(&engine->agenda, pql_agenda_order).item;
            retire(engine, retired, item->user, slot);
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
    pql_account_count_timers(&engine->store, account);
    engine->store.bytes -= pql_account_bytes(&engine->store, program, account);
    settle_retired(engine);
    if (!program->keeps_users && account->users_count) {
        pql_account_drop_users(&engine->store, program, account);
        pql_snapshot_drop_users(engine, account);
    }
    engine->store.bytes += pql_account_bytes(&engine->store, program, account);
    settle_signals(engine, NULL);
    for (size_t i = 0; i < account->users_count; i++) settle_signals(engine, account->users[i].user);
    settle_conditions(engine);
    settle_timers(engine);
    for (size_t i = 0; i < program->units_count; i++) {
        const struct pql_unit *unit = program->units[i];
        if (unit->is_condition || !engine->change.is_new_definition[unit->index]) continue;
        pql_agenda_push(engine, unit, NULL, PQL_BY_TIME);
        /* One that took the place of another of its name may have fewer members than its readers know. */
        pql_agenda_push_all(engine, &program->definitions[unit->index].dependents, ~0u, NULL, PQL_BY_TIME);
    }
    pql_instant_evaluate(engine);
    pql_account_retime(engine, account);
    engine->origin = origin;
}
