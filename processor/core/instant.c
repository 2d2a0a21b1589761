#include "core/instant.h"

/* Users are told when a condition of the account flips. */
static void evaluate_of_account(struct pql_engine *engine, uint32_t index, bool holds, enum pql_cause by)
{
    uint32_t *held = &engine->account->holding[index];
    if (holds == (*held != 0)) return;
    *held = holds;
    pql_agenda_push_all(engine, &engine->program->conditions[index]->dependents, ~0u, NULL, by);
}

static void evaluate_condition(struct pql_engine *engine, uint32_t index, struct pql_user *user,
                               const struct pql_scope *scope, enum pql_cause by)
{
    const struct pql_condition *condition = engine->program->conditions[index];
    if (user && user->state.gone) return; /* its bits are clear */
    bool is_asked = !user || user->state.is_member;
    bool holds = is_asked && pql_expr_holds(condition->expr, scope);
    if (condition->unit.subject == PQL_SUBJECT_ACCOUNT) {
        evaluate_of_account(engine, index, holds, by);
        return;
    }
    if (holds == pql_user_has(user, index)) return;
    pql_touch_user(engine, engine->account, user);
    user->bits[index / 64] ^= UINT64_C(1) << (index % 64);
    pql_agenda_step(engine, &condition->dependents, by, &engine->account->holding[index], holds);
    for (uint32_t i = 0; i < engine->program->spreads_count; i++)
        if (engine->program->spreads[i]->condition == index)
            pql_step_tally(engine, i, pql_attribute_hash(engine->program, user, i), by, holds);
}

void pql_instant_evaluate(struct pql_engine *engine)
{
    while (engine->agenda.count) {
        struct pql_heap_entry top = pql_heap_pop(&engine->agenda, pql_agenda_order);
        struct pql_agenda_item item = *(struct pql_agenda_item *)top.item;
        item.by = pql_agenda_cause(engine, &item);
        while (engine->agenda.count && engine->agenda.entries[0].due == top.due &&
               ((struct pql_agenda_item *)engine->agenda.entries[0].item)->user == item.user) {
            const struct pql_agenda_item *same = pql_heap_pop(&engine->agenda, pql_agenda_order).item;
            item.by = pql_cause_join(item.by, pql_agenda_cause(engine, same));
        }
        const struct pql_unit *unit = engine->program->units[top.due];
        struct pql_scope scope = {
            .program = engine->program, .account = engine->account, .user = item.user, .t_ms = engine->t_ms};
        uint64_t records_before = engine->stats.records;
        if (unit->is_condition)
            evaluate_condition(engine, unit->index, item.user, &scope, item.by);
        else
            pql_evaluate_definition(engine, &engine->program->definitions[unit->index], item.user, &scope,
                                    item.by);
        if (engine->tracer) pql_trace_unit(engine, unit, &scope, item.by, records_before);
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
    pql_timers_fire(engine);
    for (size_t i = 0; i < count; i++) {
        if (i && pql_engine_ignores(engine, account, &events[i])) { /* as it is now, after those before it */
            engine->stats.ignored++;
            continue;
        }
        if (account->state.start == PQL_START_NONE)
            pql_agenda_push_units(engine, engine->program->birth_units[PQL_SUBJECT_ACCOUNT],
                                  engine->program->birth_units_count[PQL_SUBJECT_ACCOUNT], NULL,
                                  PQL_BY_EVENT);
        pql_apply_event(engine, &events[i]);
    }
    pql_instant_evaluate(engine);
    pql_members_settle(engine);
    pql_timers_retime(engine);
    if (account->gone_count) pql_account_bury(engine->program, account);
    pql_account_retime(engine, account);
    if (account->state.start == PQL_START_NONE) pql_remove_account(engine, account);
}

static void push_member(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user)
{
    const struct pql_standing *standing = pql_standing_of(pql_state_of(engine->account, user), definition);
    if (standing && standing->status == PQL_QUALIFIED)
        pql_agenda_push_one(engine, &definition->unit, user, PQL_BY_TIME);
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
        bool is_shadow = definition->conf->mode == PQL_MODE_SHADOW; /* it has no state that is published */
        if (is_shadow && !engine->refreshes_shadow) continue;
        if (definition->unit.subject == PQL_SUBJECT_ACCOUNT) push_member(engine, definition, NULL);
        for (size_t i = 0; definition->unit.subject == PQL_SUBJECT_USER && i < account->users_count; i++)
            push_member(engine, definition, account->users[i].user);
    }
    if (engine->agenda.count) pql_touch_account(engine, account);
    while (engine->agenda.count) {
        struct pql_heap_entry top = pql_heap_pop(&engine->agenda, pql_agenda_order);
        const struct pql_agenda_item *item = top.item;
        const struct pql_definition *definition = &program->definitions[program->units[top.due]->index];
        pql_emit_record(engine, definition, item->user, pql_standing_get(engine, definition, item->user),
                        PQL_SNAPSHOT, PQL_QUALIFIED, PQL_REASON_CONDITION);
    }
    engine->origin = origin;
}
