/* inspect.h - who is known to an engine, for reports over all of it. Reads only. */
#ifndef PQL_CORE_INSPECT_H
#define PQL_CORE_INSPECT_H

#include "core/engine.h"

struct pql_seen {
    struct pql_slice account, user; /* user empty: the account itself */
    int64_t start_ms;               /* PQL_NO_TIME: none */
    bool signed_up;                 /* an event that the mapping calls a sign-up said so */
};

typedef void pql_see(void *context, const struct pql_seen *known);

/* Every account, each before its users, in the order of appearance. Users are there only if the program keeps
 * any. */
void pql_engine_each(const struct pql_engine *engine, pql_see *see, void *context);

/* How many are qualified by each definition of the engine's program, by tier (empty: it has none; zeros are
 * told). Walks all of the state. */
typedef void pql_see_members(void *context, const struct pql_definition_conf *conf, struct pql_slice tier,
                             uint64_t members);
void pql_engine_count_members(const struct pql_engine *engine, pql_see_members *see, void *context);
const struct pql_program *pql_engine_program(const struct pql_engine *engine);

#endif
