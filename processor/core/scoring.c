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

static enum pql_reason reason_of(const struct pql_engine *engine, bool by_event)
{
    if (engine->change.is_active) return PQL_REASON_DEFINITION_CHANGED;
    return by_event ? PQL_REASON_CONDITION : PQL_REASON_EXPIRED;
}

static void emit(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                 enum pql_transition transition, bool by_event)
{
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    pql_emit_record(engine, definition, user, standing, transition, standing->status,
                    reason_of(engine, by_event));
}

static void hold(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                 struct pql_standing *standing, bool by_event)
{
    if (standing->is_held) return;
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_held = true;
    standing->held_by_event = by_event; /* the cause is that of the moment */
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
                           bool by_event)
{
    const struct pql_definition_conf *conf = definition->conf;
    bool is_sent = standing && standing->is_sent;
    pql_decimal change = now - (is_sent ? sent_score(standing) : 0);
    if ((change < 0 ? -change : change) < conf->min_delta.value) {
        release(engine, user, standing);
    } else if (is_sent && engine->t_ms < pql_standing_sent(standing)->ms + conf->min_interval_ms) {
        hold(engine, definition, user, standing, by_event);
    } else {
        bool was_by_event = standing && standing->is_held && standing->held_by_event;
        emit(engine, definition, user, PQL_SCORE_CHANGED, by_event || was_by_event);
    }
}

void pql_score_evaluate(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user, pql_decimal now, bool by_event)
{
    void **slot = pql_cells_find(pql_state_of(engine->account, user)->cells, definition->slot);
    struct pql_standing *standing = slot ? *slot : NULL;
    bool is_member = standing && standing->status == PQL_QUALIFIED;
    if (is_member && pql_tier_at(definition->score, now) != standing->tier) {
        emit(engine, definition, user, PQL_TIER_CHANGED, by_event);
        pql_agenda_push_all(engine, &definition->dependents, PQL_STANDING_TIER, user, by_event);
        return;
    }
    bool is_published = is_member || definition->conf->publish_scores == PQL_SCORES_ALL;
    if (definition->conf->min_delta.source.text.len && is_published)
        publish_change(engine, definition, user, standing, now, by_event);
}
