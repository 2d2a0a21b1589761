#include "core/state/aliases.h"

#include "base/err.h"
#include "base/memory.h"
#include "core/hash.h"
#include <stdlib.h>

struct pql_slice pql_aliases_id(const struct pql_aliases *aliases, uint32_t i)
{
    return (struct pql_slice){aliases->ids + aliases->nodes[i].id_at, aliases->nodes[i].id_len};
}

/* Where the id stands in the index, or would. Ids are not empty, so those of forgotten users match none. */
static uint32_t *place_of(const struct pql_aliases *aliases, uint64_t key, struct pql_slice id)
{
    size_t mask = aliases->index_capacity - 1;
    for (size_t i = (size_t)pql_hash_slice(id, key) & mask;; i = (i + 1) & mask) {
        uint32_t *at = &aliases->index[i];
        if (!*at || pql_slice_eq(pql_aliases_id(aliases, *at - 1), id)) return at;
    }
}

uint32_t pql_aliases_find(const struct pql_aliases *aliases, uint64_t key, struct pql_slice id)
{
    return aliases ? *place_of(aliases, key, id) - 1 : PQL_ALIAS_NONE; /* 0 - 1 is none */
}

/* Each look halves what is left of the chain for the next one. */
static uint32_t end_of(struct pql_aliases *aliases, uint32_t i)
{
    struct pql_alias_node *nodes = aliases->nodes;
    while (nodes[i].target != i) {
        uint32_t next = nodes[i].jump;
        nodes[i].jump = nodes[next].jump;
        i = next;
    }
    return i;
}

struct pql_slice pql_aliases_user(struct pql_aliases *aliases, uint64_t key, struct pql_slice id)
{
    uint32_t i = pql_aliases_find(aliases, key, id);
    return i == PQL_ALIAS_NONE ? id : pql_aliases_id(aliases, end_of(aliases, i));
}

static void index_grow(struct pql_aliases *aliases, uint64_t key)
{
    if (aliases->count < aliases->index_capacity / 2) return;
    free(aliases->index);
    if (!aliases->index_capacity) aliases->index_capacity = 4;
    while (aliases->index_capacity / 2 <= aliases->count) aliases->index_capacity *= 2;
    aliases->index = pql_xcalloc(aliases->index_capacity, sizeof *aliases->index);
    for (uint32_t i = 0; i < aliases->count; i++)
        if (aliases->nodes[i].id_len) *place_of(aliases, key, pql_aliases_id(aliases, i)) = i + 1;
}

static void set_id(struct pql_aliases *aliases, uint32_t i, struct pql_slice id)
{
    if (aliases->ids_len + id.len > aliases->ids_capacity) {
        aliases->ids_capacity = aliases->ids_len + id.len + aliases->ids_len / 2;
        aliases->ids = pql_xrealloc(aliases->ids, aliases->ids_capacity);
    }
    PQL_ASSERT(aliases->ids_len + id.len <= UINT32_MAX);
    if (id.len) memcpy(aliases->ids + aliases->ids_len, id.ptr, id.len);
    aliases->nodes[i].id_at = (uint32_t)aliases->ids_len;
    aliases->nodes[i].id_len = (uint32_t)id.len;
    aliases->ids_len += id.len;
}

/* It means itself at first. */
static uint32_t add_node(struct pql_aliases *aliases, struct pql_slice id)
{
    uint32_t i = (uint32_t)aliases->count++;
    PQL_ASSERT(aliases->count < PQL_ALIAS_NONE);
    if (aliases->count > aliases->capacity) {
        aliases->capacity = aliases->capacity ? aliases->capacity * 2 : 2;
        aliases->nodes = pql_xrealloc(aliases->nodes, aliases->capacity * sizeof *aliases->nodes);
    }
    aliases->nodes[i] = (struct pql_alias_node){.target = i, .jump = i, .ring = i};
    set_id(aliases, i, id);
    return i;
}

static uint32_t node_of(struct pql_aliases *aliases, uint64_t key, struct pql_slice id)
{
    uint32_t i = pql_aliases_find(aliases, key, id);
    if (i != PQL_ALIAS_NONE) return i;
    i = add_node(aliases, id);
    index_grow(aliases, key);
    *place_of(aliases, key, pql_aliases_id(aliases, i)) = i + 1;
    return i;
}

/* Two circles become one when each goes on with what followed the other. */
static void join_rings(struct pql_aliases *aliases, uint32_t a, uint32_t b)
{
    uint32_t after = aliases->nodes[a].ring;
    aliases->nodes[a].ring = aliases->nodes[b].ring;
    aliases->nodes[b].ring = after;
}

void pql_aliases_add(struct pql_aliases **aliases, uint64_t key, struct pql_slice from, struct pql_slice to)
{
    if (!*aliases) {
        *aliases = pql_xcalloc(1, sizeof **aliases);
        index_grow(*aliases, key);
    }
    uint32_t a = node_of(*aliases, key, from), b = node_of(*aliases, key, to);
    PQL_ASSERT(a != b && (*aliases)->nodes[a].target == a && (*aliases)->nodes[b].target == b);
    (*aliases)->nodes[a].target = (*aliases)->nodes[a].jump = b;
    join_rings(*aliases, a, b);
}

/* Nodes of users that were forgotten are given back once they are the larger part. */
static void compact(struct pql_aliases *aliases, uint64_t key)
{
    struct pql_aliases old = *aliases;
    uint32_t *moved = pql_xcalloc(old.count, sizeof *moved);
    *aliases = (struct pql_aliases){0};
    for (uint32_t i = 0; i < old.count; i++)
        if (old.nodes[i].id_len) moved[i] = add_node(aliases, pql_aliases_id(&old, i));
    for (uint32_t i = 0; i < old.count; i++) {
        if (!old.nodes[i].id_len) continue;
        struct pql_alias_node *node = &aliases->nodes[moved[i]];
        node->target = moved[old.nodes[i].target];
        node->jump = moved[old.nodes[i].jump];
        node->ring = moved[old.nodes[i].ring];
    }
    index_grow(aliases, key);
    free(moved);
    free(old.nodes);
    free(old.ids);
    free(old.index);
}

bool pql_aliases_forget(struct pql_aliases *aliases, uint64_t key, struct pql_slice id, pql_alias_each *each,
                        void *context)
{
    uint32_t first = pql_aliases_find(aliases, key, id);
    if (first == PQL_ALIAS_NONE) return false;
    uint32_t i = first;
    do {
        uint32_t next = aliases->nodes[i].ring;
        if (each) each(context, pql_aliases_id(aliases, i));
        memset(aliases->ids + aliases->nodes[i].id_at, 0, aliases->nodes[i].id_len);
        aliases->nodes[i] = (struct pql_alias_node){.target = i, .jump = i, .ring = i};
        aliases->forgotten_count++;
        i = next;
    } while (i != first);
    if (aliases->forgotten_count * 2 > aliases->count) compact(aliases, key);
    return true;
}

void pql_aliases_free(struct pql_aliases *aliases)
{
    if (!aliases) return;
    free(aliases->nodes);
    free(aliases->ids);
    free(aliases->index);
    free(aliases);
}

size_t pql_aliases_bytes(const struct pql_aliases *aliases)
{
    if (!aliases) return 0;
    return pql_memory_cost(sizeof *aliases) + pql_memory_cost(aliases->capacity * sizeof *aliases->nodes) +
           pql_memory_cost(aliases->ids_capacity) +
           pql_memory_cost(aliases->index_capacity * sizeof *aliases->index);
}

/* --- saved form --- */

void pql_aliases_save(const struct pql_aliases *aliases, size_t from, size_t upto, struct pql_buf *out)
{
    for (size_t i = from; i < upto; i++) {
        pql_buf_slice(out, pql_aliases_id(aliases, (uint32_t)i));
        pql_buf_varint(out, aliases->nodes[i].target);
    }
}

struct pql_aliases *pql_aliases_reserve(size_t count)
{
    struct pql_aliases *aliases = pql_xcalloc(1, sizeof *aliases);
    aliases->nodes = pql_xcalloc(count, sizeof *aliases->nodes);
    aliases->count = aliases->capacity = count;
    return aliases;
}

void pql_aliases_load(struct pql_aliases *aliases, size_t from, size_t upto, struct pql_reader *reader)
{
    for (size_t i = from; i < upto && !reader->failed; i++) {
        struct pql_slice id = pql_read_slice(reader);
        uint64_t target = pql_read_varint(reader);
        if (target >= aliases->count || aliases->ids_len + id.len > UINT32_MAX) reader->failed = true;
        if (reader->failed) return;
        aliases->nodes[i].target = (uint32_t)target;
        set_id(aliases, (uint32_t)i, id);
    }
}

/* Every chain has an end: ring notes meanwhile, plus one, on behalf of which node one was here. */
static bool has_ends(struct pql_aliases *aliases)
{
    struct pql_alias_node *nodes = aliases->nodes;
    for (uint32_t i = 0; i < aliases->count; i++) {
        uint32_t at = i;
        while (!nodes[at].ring && nodes[at].target != at) {
            nodes[at].ring = i + 1;
            at = nodes[at].target;
        }
        if (nodes[at].target != at && nodes[at].ring == i + 1) return false;
    }
    return true;
}

bool pql_aliases_derive(struct pql_aliases *aliases, uint64_t key)
{
    if (!has_ends(aliases)) return false;
    for (uint32_t i = 0; i < aliases->count; i++) {
        struct pql_alias_node *node = &aliases->nodes[i];
        node->jump = node->target;
        node->ring = i;
        aliases->forgotten_count += !node->id_len;
    }
    for (uint32_t i = 0; i < aliases->count; i++)
        if (aliases->nodes[i].target != i) join_rings(aliases, i, aliases->nodes[i].target);
    index_grow(aliases, key);
    return true;
}
