/* places.h - in which accounts of a task an id of a user is known: for events of a user without an account.
 *
 *   hash of the id ─► node ─► node ─► …     each an account's place in the store
 *
 * Made when the first such event arrives, kept up to date from then on; it follows from the accounts, so it
 * is no part of saved state. What it says may be outdated (who was forgotten stays in it) or of another id
 * with the same hash: the caller looks. Owner: the store. Heap: 12 bytes per place, 24 per id. */
#ifndef PQL_CORE_STATE_PLACES_H
#define PQL_CORE_STATE_PLACES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pql_places {
    bool is_kept; /* false: nobody has asked yet */
    struct pql_places_slot {
        uint64_t hash;
        uint32_t first; /* 0: empty, else 1 + node */
    } * slots;          /* open addressing */
    struct pql_places_node {
        uint32_t account, next; /* 0: the last */
    } * nodes;
    size_t slots_capacity, ids_count, nodes_count, nodes_capacity;
};

void pql_places_add(struct pql_places *places, uint64_t hash, uint32_t account);
/* The first or next node of the id; NULL: no more. */
const struct pql_places_node *pql_places_of(const struct pql_places *places, uint64_t hash);
const struct pql_places_node *pql_places_next(const struct pql_places *places,
                                              const struct pql_places_node *node);
/* Gives all back: accounts have other places. It is made again when asked. */
void pql_places_drop(struct pql_places *places);
size_t pql_places_bytes(const struct pql_places *places);

#endif
