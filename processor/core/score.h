/* score.h - what a score is at an instant. A score keeps nothing of its own: it follows from the signals that
 * its items read, so it is right wherever they are.
 *
 *   item ──► units (when: 1 or 0; per: its value, at most max) x points
 *   family   min(cap, sum of its positive items) + sum of its negative ones, by the sign of their points
 *   score    sum of families, then times each factor whose condition holds, rounded each time
 *
 * Pure; allocates nothing but the texts of tiers' messages. Thread: any. */
#ifndef PQL_CORE_SCORE_H
#define PQL_CORE_SCORE_H

#include "core/expr.h"

pql_decimal pql_score_value(const struct pql_score *score, const struct pql_scope *scope);
/* What counts of an item: a null or open value that is no number is 0. */
pql_decimal pql_item_units(const struct pql_item *item, const struct pql_scope *scope);
/* What an item gives, before its family's cap. */
pql_decimal pql_item_points(const struct pql_item *item, const struct pql_scope *scope);
/* Of `missed`: is every item and factor known (expr.h)? */
bool pql_score_is_known(const struct pql_score *score, const struct pql_scope *scope);

/* The tier of a member with this score: 1 + its place from the lowest; 0: there are none. */
uint8_t pql_tier_at(const struct pql_score *score, pql_decimal value);
struct pql_slice pql_tier_name(const struct pql_score *score, uint8_t tier);
/* Is the record's tier above the one before? */
bool pql_tier_rises(const struct pql_definition_conf *conf, const struct pql_record *record);

#endif
