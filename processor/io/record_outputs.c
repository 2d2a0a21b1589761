#include "io/record_outputs.h"

#include "core/score.h"

static const struct pql_definition_conf *definition_of(const struct pql_program *program,
                                                       struct pql_slice name)
{
    size_t n = pql_program_definitions_count(program);
    for (size_t i = 0; i < n; i++) {
        const struct pql_definition_conf *definition = pql_program_definition(program, i);
        if (pql_slice_eq(definition->name, name)) return definition;
    }
    return NULL;
}

/* A change of a score is for the state topic, where a shadow definition has no state. */
static unsigned outputs_of(const struct pql_definition_conf *definition, const struct pql_record *record)
{
    enum pql_transition t = record->transition;
    bool is_state_only = t == PQL_SCORE_CHANGED || t == PQL_SNAPSHOT;
    bool is_state =
        is_state_only || t == PQL_ENTERED || t == PQL_LEFT || t == PQL_TIER_CHANGED || t == PQL_MISSED;
    bool is_news = t == PQL_ENTERED || t == PQL_SLA_BREACHED ||
                   (t == PQL_TIER_CHANGED && definition && pql_tier_rises(definition, record));
    bool is_alert = is_news && definition && definition->alert && record->origin == PQL_ORIGIN_LIVE;
    if (t == PQL_MISSED && definition && !definition->publish_missed) return 0;
    if (record->is_shadow) return t == PQL_SCORE_CHANGED ? 0 : 1u << PQL_OUT_SHADOW;
    return (is_state_only                         ? 0
            : record->subject == PQL_SUBJECT_USER ? 1u << PQL_OUT_PQL
                                                  : 1u << PQL_OUT_PQA) |
           (is_state ? 1u << PQL_OUT_STATE : 0) | (is_alert ? 1u << PQL_OUT_ALERTS : 0);
}

unsigned pql_record_age(struct pql_record *record, const struct pql_program *program, int64_t wall_ms,
                        int64_t alert_max_age_ms)
{
    if (record->origin == PQL_ORIGIN_LIVE && wall_ms - record->occurred_at > alert_max_age_ms)
        record->origin = PQL_ORIGIN_BACKFILL;
    return outputs_of(definition_of(program, record->definition), record);
}
