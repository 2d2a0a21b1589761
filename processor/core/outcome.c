#include "core/instant.h"

/* --- what holds --- */

static int64_t disqualified_until(const struct pql_definition *definition,
                                  const struct pql_standing *standing)
{
    if (standing->disqualified_ms == PQL_NO_TIME) return PQL_NO_TIME;
    return standing->disqualified_ms + definition->conf->disqualify_for_ms;
}

bool pql_outcome_bars(const struct pql_definition *definition, const struct pql_standing *standing,
                      int64_t t_ms, enum pql_reason *reason)
{
    *reason = standing->is_converted ? PQL_REASON_CONVERTED : PQL_REASON_DISQUALIFIED;
    return standing->is_converted || t_ms < disqualified_until(definition, standing);
}

int64_t pql_sla_due(const struct pql_definition *definition, const struct pql_standing *standing)
{
    bool runs = standing->is_unanswered && definition->conf->sla_ms;
    return runs ? standing->qualified_ms + definition->conf->sla_ms : PQL_NO_TIME;
}

int64_t pql_outcome_next(const struct pql_definition *definition, const struct pql_standing *standing,
                         int64_t t_ms)
{
    int64_t due = standing->status == PQL_QUALIFIED ? pql_sla_due(definition, standing)
                                                    : disqualified_until(definition, standing);
    return due > t_ms ? due : INT64_MAX; /* PQL_NO_TIME is the smallest */
}

bool pql_standing_pass_on(struct pql_standing *into, const struct pql_standing *from)
{
    bool is_news =
        (from->is_converted && !into->is_converted) || from->disqualified_ms > into->disqualified_ms;
    into->is_converted |= from->is_converted;
    if (from->disqualified_ms > into->disqualified_ms) into->disqualified_ms = from->disqualified_ms;
    return is_news;
}

/* --- deadlines --- */

void pql_sla_begin(const struct pql_definition *definition, struct pql_standing *standing)
{
    standing->is_unanswered = definition->conf->sla_ms > 0;
}

void pql_sla_check(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                   struct pql_standing *standing)
{
    int64_t due = pql_sla_due(definition, standing);
    if (due == PQL_NO_TIME || engine->t_ms < due) return;
    pql_emit_record(engine, definition, user, standing, PQL_SLA_BREACHED, PQL_QUALIFIED, PQL_REASON_EXPIRED);
    if (user) pql_touch_user(engine, engine->account, user);
    standing->is_unanswered = false;
}

/* --- what an outcome does --- */

static bool set_flag(bool *flag, bool value)
{
    bool is_news = *flag != value;
    *flag = value;
    return is_news;
}

/* A definition is looked at again where something is another than before. An acknowledgement is told by no
 * record, and needs nobody who was never a member. */
static void answer(struct pql_engine *engine, const struct pql_answer *answer, struct pql_user *user,
                   int64_t time_ms)
{
    const struct pql_definition *definition = &engine->program->definitions[answer->definition];
    const unsigned lasting = 1U << PQL_OUTCOME_CONVERTS | 1U << PQL_OUTCOME_DISQUALIFIES;
    bool is_kept =
        (answer->effects & lasting) || pql_standing_of(pql_state_of(engine->account, user), definition);
    if (!is_kept) return;
    struct pql_standing *standing = pql_standing_get(engine, definition, user);
    bool is_news = false;
    if (answer->effects & 1U << PQL_OUTCOME_ACKNOWLEDGES) standing->is_unanswered = false;
    if ((answer->effects & 1U << PQL_OUTCOME_CONVERTS) && set_flag(&standing->is_converted, true)) {
        is_news = true;
        if (engine->watch && engine->watch->converted_unqualified && !engine->change.is_filling &&
            standing->status != PQL_QUALIFIED)
            engine->watch->converted_unqualified(engine->context, definition->conf);
    }
    if (answer->effects & 1U << PQL_OUTCOME_REOPENS) is_news |= set_flag(&standing->is_converted, false);
    if ((answer->effects & 1U << PQL_OUTCOME_DISQUALIFIES) && time_ms > standing->disqualified_ms) {
        standing->disqualified_ms = time_ms;
        is_news = true;
    }
    if (!is_news) return;
    pql_schedule(engine->account, user, pql_standing_next(definition, standing, engine->t_ms));
    pql_agenda_push_one(engine, &definition->unit, user, PQL_BY_EVENT);
}

void pql_apply_outcome(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                       const struct pql_listener *listener)
{
    const struct pql_program *program = engine->program;
    struct pql_account *account = engine->account;
    for (size_t i = 0; i < listener->answers_count; i++) {
        const struct pql_answer *at = &listener->answers[i];
        bool of_user = program->definitions[at->definition].conf->subject == PQL_SUBJECT_USER;
        /* Read again: what is not new knows it already. */
        if (engine->change.is_filling && !engine->change.is_new_definition[at->definition]) continue;
        if (of_user && user) answer(engine, at, user, event->time_ms);
        if (!of_user && !event->user.len) answer(engine, at, NULL, event->time_ms);
        for (size_t u = 0; of_user && !event->user.len && u < account->users_count; u++)
            answer(engine, at, account->users[u].user, event->time_ms);
    }
}
