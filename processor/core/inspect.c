#include "core/inspect.h"

#include "core/engine_state.h"

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

static void count_standings(const struct pql_program *program, enum pql_subject subject,
                            const struct pql_subject_state *state, uint64_t *by_definition)
{
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        const struct pql_standing *standing = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)subject, slot);
        if (what == PQL_SLOT_RETIRED) break; /* only these are behind */
        if ((what & PQL_SLOT_DEFINITION) && standing->status == PQL_QUALIFIED)
            by_definition[what & ~PQL_SLOT_DEFINITION]++;
    }
}

void pql_engine_count_members(const struct pql_engine *engine, uint64_t *by_definition)
{
    for (size_t a = 0; a < engine->store.count; a++) {
        const struct pql_account *account = engine->store.accounts[a];
        count_standings(engine->program, PQL_SUBJECT_ACCOUNT, &account->state, by_definition);
        for (size_t u = 0; u < account->users_count; u++)
            count_standings(engine->program, PQL_SUBJECT_USER, &account->users[u].user->state, by_definition);
    }
}

const struct pql_program *pql_engine_program(const struct pql_engine *engine)
{
    return engine->program;
}
