/* sense.h - what conditions exclude, cover and imply, as far as comparisons with constants tell it. */
#ifndef PQL_CORE_LANG_SENSE_H
#define PQL_CORE_LANG_SENSE_H

#include "core/lang/lang.h"

/* Warns of every `and` that can never and every `or` that must always hold, since the comparisons of one
 * value in it exclude each other, or leave nothing out: count(x, 7d) >= 5 and count(x, 7d) < 3. */
void pql_sense_check(const struct pql_node *node, struct pql_diags *diags);

/* Does `a` hold only where `b` does, and not the other way round, and can it be told? */
bool pql_sense_is_stricter(const struct pql_node *a, const struct pql_node *b);

/* A comparison of members() or users(…), or an `and` with one. */
bool pql_sense_asks_for_members(const struct pql_node *node);
/* The first share(…) without one and-ed beside it, or NULL. */
const struct pql_node *pql_sense_bare_share(const struct pql_node *node);

#endif
