/* path.h - wanted dotted paths as a tree, shared by the decoders of JSON and Avro.
 *
 *   "event"  "properties.plan"  "properties.size"  "items.0.sku"
 *
 *   root ─ event [0]
 *        ├ properties ─ plan [1]
 *        │            └ size [2]
 *        └ items ─ 0 ─ sku [3]          [n]: index into the slots
 *
 * A node's id is below those of its kids, and the ids of all nodes below it follow its own. Wide nodes have a
 * hash table. Immutable after pql_paths_new. Heap: one arena. Thread: any. */
#ifndef PQL_CORE_WIRE_PATH_H
#define PQL_CORE_WIRE_PATH_H

#include "base/memory.h"
#include <stdint.h>

enum { PQL_PATH_DEPTH_MAX = 32, PQL_PATH_NO_SLOT = -1, PQL_PATH_NO_INDEX = -1 };

struct pql_path_node {
    struct pql_slice name;
    int32_t slot;           /* PQL_PATH_NO_SLOT: only a way to others */
    int32_t index;          /* the name as an array index, or PQL_PATH_NO_INDEX */
    int32_t kids_index_max; /* the largest index of a kid, or PQL_PATH_NO_INDEX */
    uint32_t id;            /* below pql_paths_count */
    const struct pql_path_node *const *kids;
    size_t kids_count;
    const struct pql_path_node *const
        *table; /* of table_size entries, a power of two; NULL where kids are few */
    size_t table_size;
};

struct pql_paths;

/* The path's segments are between dots. NULL if a path is empty, has an empty segment or is deeper than
 * PQL_PATH_DEPTH_MAX. The texts are copied. Equal paths must not repeat. */
struct pql_paths *pql_paths_new(const struct pql_slice *wanted, size_t count);
void pql_paths_free(struct pql_paths *paths);
bool pql_path_is_valid(struct pql_slice path);

const struct pql_path_node *pql_paths_root(const struct pql_paths *paths);
size_t pql_paths_count(const struct pql_paths *paths); /* nodes, the root included */
size_t pql_paths_slots(const struct pql_paths *paths); /* the count given to new */

/* The kid with that name. A key with dots in it is looked up as a path, so that "a.b" as one key is found by
 * a.b. */
const struct pql_path_node *pql_path_find(const struct pql_path_node *node, struct pql_slice key);
/* The kid for an array element. */
const struct pql_path_node *pql_path_at(const struct pql_path_node *node, size_t index);

#endif
