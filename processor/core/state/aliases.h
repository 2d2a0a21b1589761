/* aliases.h - which user of an account an id means: what alias events have said.
 *
 *   alias a = b, then b = c, then d = e:     a ─► b ─► c     d ─► e       the end of a chain is the user
 *                                            └─ ring ─┘      └ ring       all ids of one user, in a circle
 *
 * Ids of users that no alias names are not in it and mean themselves. Links are as the events came and are
 * only added, until the user is forgotten: so what a snapshot has of most of them never changes. What follows
 * from the links (the index by id, jumps along a chain, rings) is not saved.
 * Owner: the account. Thread: the task's. Memory: the heap, about 30 bytes and its text per id. */
#ifndef PQL_CORE_STATE_ALIASES_H
#define PQL_CORE_STATE_ALIASES_H

#include "base/buf.h"
#include "base/slice.h"

struct pql_alias_node {
    uint32_t id_at, id_len; /* in ids; no length: the user was forgotten */
    uint32_t target;        /* the node that an alias made of it; itself: a user */
    uint32_t jump;          /* this or a later node of the chain */
    uint32_t ring;          /* another id of the same user */
};

struct pql_aliases {
    struct pql_alias_node *nodes; /* in the order of appearance */
    char *ids;
    uint32_t *index; /* open addressing by id; 0: empty, else 1 + position */
    size_t count, capacity, ids_len, ids_capacity, index_capacity, forgotten_count;
};

void pql_aliases_free(struct pql_aliases *aliases);
/* The user's id that `id` means. aliases may be NULL. The view holds until the next change. */
struct pql_slice pql_aliases_user(struct pql_aliases *aliases, uint64_t key, struct pql_slice id);
/* From now on `from` means what `to` does. Both mean themselves, and are not the same. *aliases is made when
 * NULL. */
void pql_aliases_add(struct pql_aliases **aliases, uint64_t key, struct pql_slice from, struct pql_slice to);
/* Empty: the user was forgotten. */
struct pql_slice pql_aliases_id(const struct pql_aliases *aliases, uint32_t node);
/* The node of an id; PQL_ALIAS_NONE: no alias names it. */
#define PQL_ALIAS_NONE UINT32_MAX
uint32_t pql_aliases_find(const struct pql_aliases *aliases, uint64_t key, struct pql_slice id);
/* The user goes with all ids, each of which is told. False: no alias names it. Other nodes may get other
 * positions. */
typedef void pql_alias_each(void *context, struct pql_slice id);
bool pql_aliases_forget(struct pql_aliases *aliases, uint64_t key, struct pql_slice id, pql_alias_each *each,
                        void *context);
size_t pql_aliases_bytes(const struct pql_aliases *aliases);

/* Saved form of nodes [from, upto). load: into room for `count` nodes, in any order of parts; derive once all
 * are there: false if they make no sense. */
void pql_aliases_save(const struct pql_aliases *aliases, size_t from, size_t upto, struct pql_buf *out);
struct pql_aliases *pql_aliases_reserve(size_t count);
void pql_aliases_load(struct pql_aliases *aliases, size_t from, size_t upto, struct pql_reader *reader);
bool pql_aliases_derive(struct pql_aliases *aliases, uint64_t key);

#endif
