/* What a score does to a standing: tiers, and what is published of its changes. */
#include "core/instant.h"

#include "core/score.h"

static pql_decimal sent_score(const struct pql_standing *standing)
{
    const struct pql_sent *sent = pql_standing_sent(standing);
    return standing->is_sent ? (pql_decimal)((pql_udecimal)(uint64_t)sent->high << 64 | sent->low) : 0;
}

void pql_score_tell(const struct pql_definition *definition, const struct pql_scope *scope,
                    struct pql_standing *standing, struct pql_record *record)
{
    const struct pql_score *score = definition->score;
    if (!score) return;
    record->has_score = true;
    record->score = pql_score_value(score, scope);
    record->has_previous_score = standing->is_sent;
    record->previous_score = sent_score(standing);
    record->previous_tier = pql_tier_name(score, standing->tier);
    standing->tier = standing->status == PQL_QUALIFIED ? pql_tier_at(score, record->score) : 0;
    record->tier = pql_tier_name(score, standing->tier);
    standing->is_sent = true;
    standing->is_held = false;
    *pql_standing_sent(standing) =
        (struct pql_sent){(uint64_t)record->score, (int64_t)((pql_udecimal)record->score >> 64), scope->t_ms};
}

int64_t pql_score_due(const struct pql_definition *definition, const struct pql_standing *standing)
{
    if (!standing->is_held) return INT64_MAX;
    return pql_standing_sent(standing)->ms + definition->conf->min_interval_ms;
}

static enum pql_reason reason_of(const struct pql_engine *engine, enum pql_cause by)
{
    if (engine->change.is_active) return PQL_REASON_DEFINITION_CHANGED;
    return pql_reason_of(by);
}

static void emit(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                 enum pql_transition transition, enum pql_cause by)
{
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    pql_emit_record(engine, definition, user, standing, transition, standing->status, reason_of(engine, by));
}

static void hold(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                 struct pql_standing *standing, enum pql_cause by)
{
    if (standing->is_held) return;
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_held = true;
    standing->held_by = by; /* the cause is that of the moment */
    pql_schedule(engine->account, user, pql_score_due(definition, standing));
}

static void release(struct pql_engine *engine, struct pql_user *user, struct pql_standing *standing)
{
    if (!standing || !standing->is_held) return;
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_held = false;
}

/* A change of at least min_delta, at most one in min_interval: the others wait for a timer, and what is true
 * then is published. */
static void publish_change(struct pql_engine *engine, const struct pql_definition *definition,
                           struct pql_user *user, struct pql_standing *standing, pql_decimal now,
                           enum pql_cause by)
{
    const struct pql_definition_conf *conf = definition->conf;
    bool is_sent = standing && standing->is_sent;
    pql_decimal change = now - (is_sent ? sent_score(standing) : 0);
    if ((change < 0 ? -change : change) < conf->min_delta.value) {
        release(engine, user, standing);
    } else if (is_sent && engine->t_ms < pql_standing_sent(standing)->ms + conf->min_interval_ms) {
        hold(engine, definition, user, standing, by);
    } else {
        enum pql_cause was_by = standing && standing->is_held ? standing->held_by : PQL_BY_TIME;
        emit(engine, definition, user, PQL_SCORE_CHANGED, pql_cause_join(by, was_by));
    }
}

void pql_score_evaluate(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user, pql_decimal now, enum pql_cause by)
{
    struct pql_standing *standing =
        pql_cells_find(pql_state_of(engine->account, user)->cells, definition->slot);
    bool is_member = standing && standing->status == PQL_QUALIFIED;
    if (is_member && pql_tier_at(definition->score, now) != standing->tier) {
        emit(engine, definition, user, PQL_TIER_CHANGED, by);
        pql_agenda_push_all(engine, &definition->dependents, PQL_STANDING_TIER, user, by);
        return;
    }
    bool is_published = is_member || definition->conf->publish_scores == PQL_SCORES_ALL;
    if (definition->conf->min_delta.source.text.len && is_published)
        publish_change(engine, definition, user, standing, now, by);
}
