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

bool pql_program_keeps_users(const struct pql_program *program)
{
    return program->keeps_users;
}
