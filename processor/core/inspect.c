#include "core/inspect.h"

#include "core/engine_state.h"
#include "core/score.h"
#include <stdlib.h>

static struct pql_seen known_of(const struct pql_account *account, const struct pql_user *user)
{
    const struct pql_subject_state *state = user ? &user->state : &account->state;
    return (struct pql_seen){.account = account->id,
                             .user = user ? user->id : (struct pql_slice){"", 0},
                             .start_ms = state->start == PQL_START_NONE ? PQL_NO_TIME : state->start_ms,
                             .signed_up = state->start >= PQL_START_BY_USER};
}

void pql_engine_each(const struct pql_engine *engine, pql_see *see, void *context)
{
    for (size_t a = 0; a < engine->store.count; a++) {
        const struct pql_account *account = engine->store.accounts[a];
        struct pql_seen known = known_of(account, NULL);
        see(context, &known);
        for (size_t u = 0; u < account->users_count; u++) {
            known = known_of(account, account->users[u].user);
            see(context, &known);
        }
    }
}

enum { TIERS = PQL_TIERS_MAX + 1 }; /* with that of none */

static void count_standings(const struct pql_program *program, enum pql_subject subject,
                            const struct pql_subject_state *state, uint64_t *members)
{
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const struct pql_standing *standing = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (what == PQL_SLOT_RETIRED) break; /* only these are behind */
        if ((what & PQL_SLOT_DEFINITION) && standing->status == PQL_QUALIFIED)
            members[(what & ~PQL_SLOT_DEFINITION) * TIERS + standing->tier]++;
    }
}

void pql_engine_count_members(const struct pql_engine *engine, pql_see_members *see, void *context)
{
    const struct pql_program *program = engine->program;
    size_t count = program->conf->definitions_count;
    uint64_t *members = pql_xcalloc(count * TIERS + 1, sizeof *members);
    for (size_t a = 0; a < engine->store.count; a++) {
        const struct pql_account *account = engine->store.accounts[a];
        count_standings(program, PQL_SUBJECT_ACCOUNT, &account->state, members);
        for (size_t u = 0; u < account->users_count; u++)
            count_standings(program, PQL_SUBJECT_USER, &account->users[u].user->state, members);
    }
    for (size_t d = 0; d < count; d++) {
        const struct pql_score *score = program->definitions[d].score;
        size_t tiers = score ? score->tiers_count : 0;
        for (size_t t = 0; t <= tiers; t++)
            see(context, program->definitions[d].conf,
                t ? pql_tier_name(score, (uint8_t)t) : (struct pql_slice){"", 0}, members[d * TIERS + t]);
    }
    free(members);
}

const struct pql_program *pql_engine_program(const struct pql_engine *engine)
{
    return engine->program;
}
