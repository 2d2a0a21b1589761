#include "core/instant.h"

#include "core/score.h"

void pql_next_version(const struct pql_engine *engine, struct pql_standing *standing)
{
    int64_t before = standing->version ? standing->version : engine->version_floor;
    standing->version = before + 1 > engine->t_ms ? before + 1 : engine->t_ms;
}

struct pql_record pql_record_standing(const struct pql_engine *engine, const struct pql_account *account,
                                      const struct pql_user *user, const struct pql_standing *standing)
{
    return (struct pql_record){
        .account_id = account->id,
        .user_id = user ? user->id : (struct pql_slice){"", 0},
        .status = standing->status,
        .first_qualified_at = standing->first_ms,
        .qualified_at = standing->qualified_ms,
        .left_at = standing->status == PQL_STATUS_MISSED ? PQL_NO_TIME : standing->left_ms,
        .expires_at = PQL_NO_TIME,
        .qualification_count = standing->count,
        .sla_due_at = PQL_NO_TIME,
        .complete_since = PQL_NO_TIME,
        .clock = engine->seen,
        .version = standing->version,
    };
}

struct pql_record pql_record_of(const struct pql_engine *engine, const struct pql_user *user,
                                const struct pql_standing *standing, enum pql_status before)
{
    struct pql_record record = pql_record_standing(engine, engine->account, user, standing);
    record.previous_status = before;
    record.origin = engine->origin;
    record.occurred_at = engine->t_ms;
    if (!engine->source) return record;
    record.has_source = true;
    record.source_input = engine->source->input;
    record.source_partition = engine->source->partition;
    record.source_offset = engine->source->offset;
    record.source_message_id = engine->source->id;
    return record;
}

void pql_publish_record(struct pql_engine *engine, struct pql_record *record)
{
    struct pql_buf name = {0};
    char version[PQL_DECIMAL_TEXT_MAX];
    pql_buf_slice(&name, record->definition);
    pql_buf_slice(&name, record->account_id);
    pql_buf_slice(&name, record->user_id);
    pql_buf_put(&name, version, pql_decimal_text(pql_decimal_of_int(record->version), version));
    struct pql_uuid uuid = pql_uuid5(&engine->program->space, (struct pql_slice){name.ptr, name.len});
    pql_buf_deinit(&name);
    pql_uuid_text(&uuid, record->event_id);
    engine->stats.records++;
    engine->emit(engine->context, record);
}

void pql_emit_record(struct pql_engine *engine, const struct pql_definition *definition,
                     struct pql_user *user, struct pql_standing *standing, enum pql_transition transition,
                     enum pql_status before, enum pql_reason reason)
{
    const struct pql_definition_conf *conf = definition->conf;
    pql_next_version(engine, standing);
    struct pql_record record = pql_record_of(engine, user, standing, before);
    record.definition = conf->name;
    record.definition_version = conf->version;
    record.definition_hash = definition->hash_slice;
    record.is_shadow = conf->mode == PQL_MODE_SHADOW;
    record.subject = conf->subject;
    record.transition = transition;
    record.reason = reason;
    record.complete_since = pql_complete_since(engine, definition, user);
    record.sla_due_at = pql_sla_due(definition, standing);
    struct pql_scope scope = {
        .program = engine->program, .account = engine->account, .user = user, .t_ms = engine->t_ms};
    pql_score_tell(definition, &scope, standing, &record);
    pql_evidence_fill(definition, &scope, &engine->scratch, &record);
    pql_publish_record(engine, &record);
}

struct pql_standing *pql_standing_get(struct pql_engine *engine, const struct pql_definition *definition,
                                      struct pql_user *user)
{
    if (user) pql_touch_user(engine, engine->account, user);
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    struct pql_standing *standing = pql_cells_find(state->cells, definition->slot);
    if (standing) return standing;
    size_t before = pql_cells_bytes(state->cells);
    standing = pql_standing_new(definition);
    pql_cells_put(&state->cells, definition->slot, standing);
    engine->store.bytes +=
        pql_cells_bytes(state->cells) - before + pql_memory_cost(pql_standing_size(definition));
    return standing;
}

static void enter(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                  enum pql_cause by)
{
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    enum pql_status before = standing->status;
    if (before == PQL_STATUS_MISSED) standing->left_ms = PQL_NO_TIME;
    standing->status = PQL_QUALIFIED;
    standing->is_leaving = false;
    standing->qualified_ms = engine->t_ms;
    if (!standing->count++) standing->first_ms = engine->t_ms;
    pql_sla_begin(definition, standing);
    pql_emit_record(engine, definition, user, standing, PQL_ENTERED, before, PQL_REASON_CONDITION);
    pql_schedule(engine->account, user, pql_standing_next(definition, standing, engine->t_ms));
    pql_agenda_push_all(engine, &definition->dependents, ~0u, user, by);
}

void pql_leave(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
               enum pql_reason reason, enum pql_cause by)
{
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    standing->status = PQL_STATUS_LEFT;
    standing->is_leaving = standing->is_unanswered = false;
    standing->left_ms = engine->t_ms;
    pql_emit_record(engine, definition, user, standing, PQL_LEFT, PQL_QUALIFIED, reason);
    pql_schedule(engine->account, user, pql_standing_next(definition, standing, engine->t_ms));
    pql_agenda_push_all(engine, &definition->dependents, ~0u, user, by);
}

/* The cause is that of the moment when stay failed. */
static void set_leaving(struct pql_engine *engine, struct pql_user *user, struct pql_standing *standing,
                        bool is_leaving, enum pql_cause by)
{
    if (standing->is_leaving == is_leaving) return;
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_leaving = is_leaving;
    if (!is_leaving) return;
    standing->leaving_by = by;
    standing->leaving_by_change = engine->change.is_active;
}

static bool is_eligible(const struct pql_definition *definition, const struct pql_scope *scope)
{
    if (scope->user && !scope->user->state.is_member) return false;
    return !definition->eligible || pql_expr_holds(definition->eligible, scope);
}

/* Whether a member may stay, as its own conditions say. */
static void evaluate_stay(struct pql_engine *engine, const struct pql_definition *definition,
                          struct pql_user *user, struct pql_standing *standing, const struct pql_scope *scope,
                          enum pql_cause by)
{
    bool by_change = engine->change.is_active;
    if (definition->conf->once) return;
    if (!is_eligible(definition, scope)) {
        pql_leave(engine, definition, user, by_change ? PQL_REASON_DEFINITION_CHANGED : PQL_REASON_INELIGIBLE,
                  by);
        return;
    }
    if (pql_expr_holds(definition->stay, scope)) {
        set_leaving(engine, user, standing, false, by);
        return;
    }
    /* The reason is that of the moment when stay failed, however long min_stay holds the member. */
    set_leaving(engine, user, standing, true, by);
    if (engine->t_ms - standing->qualified_ms < definition->conf->min_stay_ms) {
        pql_schedule(engine->account, user, pql_standing_next(definition, standing, engine->t_ms));
        return;
    }
    enum pql_reason reason = pql_reason_of(standing->leaving_by);
    pql_leave(engine, definition, user, standing->leaving_by_change ? PQL_REASON_DEFINITION_CHANGED : reason,
              standing->leaving_by);
}

static void evaluate_member(struct pql_engine *engine, const struct pql_definition *definition,
                            struct pql_user *user, struct pql_standing *standing,
                            const struct pql_scope *scope, enum pql_cause by)
{
    enum pql_reason reason;
    if (pql_outcome_bars(definition, standing, engine->t_ms, &reason))
        pql_leave(engine, definition, user, reason, by);
    else
        evaluate_stay(engine, definition, user, standing, scope, by);
    if (standing->status != PQL_QUALIFIED) return;
    if (definition->score) pql_score_evaluate(engine, definition, user, scope->score, by);
    pql_sla_check(engine, definition, user, standing);
}

static bool has_ended_first(const struct pql_expr *expr, const struct pql_scope *scope)
{
    if (expr->op == PQL_EXPR_SIGNAL) return pql_expr_is_ended(expr, scope);
    for (size_t i = 0; i < expr->kids_count; i++)
        if (has_ended_first(expr->kids[i], scope)) return true;
    return false;
}

static void check_missed(struct pql_engine *engine, const struct pql_definition *definition,
                         struct pql_user *user, const struct pql_scope *scope, enum pql_cause by)
{
    const struct pql_subject_state *state = pql_state_of(engine->account, user);
    if (!definition->can_be_missed || !pql_is_not_yet(state, definition)) return;
    if (!has_ended_first(definition->qualify, scope)) return;
    if (pql_expr_known(definition->qualify, scope) != PQL_KNOWN_FALSE) return;
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    standing->status = PQL_STATUS_MISSED;
    standing->left_ms = engine->t_ms; /* for in_state_for; no record shows it */
    if (definition->conf->publish_missed)
        pql_emit_record(engine, definition, user, standing, PQL_MISSED, PQL_NOT_YET, PQL_REASON_EXPIRED);
    pql_schedule(engine->account, user, pql_standing_next(definition, standing, engine->t_ms));
    pql_agenda_push_all(engine, &definition->changed.dependents, ~0u, user, by);
}

static void evaluate_other(struct pql_engine *engine, const struct pql_definition *definition,
                           struct pql_user *user, const struct pql_standing *standing,
                           const struct pql_scope *scope, enum pql_cause by)
{
    bool cooling = standing && standing->status == PQL_STATUS_LEFT &&
                   engine->t_ms - standing->left_ms < definition->conf->cooldown_ms;
    if (cooling) return;
    if (!pql_expr_holds(definition->qualify, scope)) {
        check_missed(engine, definition, user, scope, by);
        return;
    }
    enum pql_reason reason;
    if (standing && pql_outcome_bars(definition, standing, engine->t_ms, &reason)) return;
    if (!is_eligible(definition, scope)) return;
    if (definition->stay != definition->qualify && !pql_expr_holds(definition->stay, scope)) return;
    enter(engine, definition, user, by);
}

void pql_evaluate_definition(struct pql_engine *engine, const struct pql_definition *definition,
                             struct pql_user *user, const struct pql_scope *scope, enum pql_cause by)
{
    struct pql_standing *standing =
        pql_cells_find(pql_state_of(engine->account, user)->cells, definition->slot);
    if (user && user->state.gone) {
        enum pql_reason reason = (enum pql_reason)user->state.gone;
        if (!standing || standing->status != PQL_QUALIFIED) return;
        pql_leave(engine, definition, user, reason, PQL_BY_EVENT);
        if (reason == PQL_REASON_FORGOTTEN) pql_erase_key(engine, definition->conf, user->id, standing);
        return;
    }
    struct pql_scope known;
    if (definition->score) {
        known = *scope;
        known.scored = definition->score;
        known.score = pql_score_value(definition->score, scope);
        scope = &known;
    }
    if (standing && standing->status == PQL_QUALIFIED) {
        evaluate_member(engine, definition, user, standing, scope, by);
        return;
    }
    evaluate_other(engine, definition, user, standing, scope, by);
    if (definition->score) pql_score_evaluate(engine, definition, user, scope->score, by);
}
