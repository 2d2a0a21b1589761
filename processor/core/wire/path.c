#include "core/wire/path.h"

#include <stdlib.h>
#include <xxhash.h>

enum { LINEAR_MAX = 6 };

struct pql_paths {
    struct pql_arena arena;
    const struct pql_path_node *root;
    size_t nodes_count, slots_count;
};

/* While building, kids are a list; finish() turns lists into arrays. */
struct draft {
    struct pql_slice name;
    int32_t slot;
    struct draft *kids, *last, *next;
    size_t kids_count;
};

static size_t hash(struct pql_slice text)
{
    return (size_t)XXH3_64bits(text.ptr, text.len);
}

static bool next_segment(struct pql_slice *rest, struct pql_slice *segment)
{
    if (!rest->ptr) return false;
    const char *dot = rest->len ? memchr(rest->ptr, '.', rest->len) : NULL;
    size_t len = dot ? (size_t)(dot - rest->ptr) : rest->len;
    *segment = (struct pql_slice){rest->ptr, len};
    *rest = dot ? (struct pql_slice){dot + 1, rest->len - len - 1} : (struct pql_slice){NULL, 0};
    return true;
}

bool pql_path_is_valid(struct pql_slice path)
{
    struct pql_slice segment, rest = path;
    int depth = 0;
    while (next_segment(&rest, &segment))
        if (!segment.len || ++depth > PQL_PATH_DEPTH_MAX) return false;
    return depth > 0;
}

static struct draft *draft_kid(struct pql_arena *arena, struct draft *node, struct pql_slice name)
{
    for (struct draft *kid = node->kids; kid; kid = kid->next)
        if (pql_slice_eq(kid->name, name)) return kid;
    struct draft *kid = pql_arena_zalloc(arena, sizeof *kid);
    kid->name = pql_arena_copy(arena, name);
    kid->slot = PQL_PATH_NO_SLOT;
    if (node->last)
        node->last->next = kid;
    else
        node->kids = kid;
    node->last = kid;
    node->kids_count++;
    return kid;
}

static int32_t index_of(struct pql_slice name)
{
    int32_t value = 0;
    if (!name.len || name.len > 9 || (name.len > 1 && name.ptr[0] == '0')) return PQL_PATH_NO_INDEX;
    for (size_t i = 0; i < name.len; i++) {
        if (name.ptr[i] < '0' || name.ptr[i] > '9') return PQL_PATH_NO_INDEX;
        value = value * 10 + (name.ptr[i] - '0');
    }
    return value;
}

static void add_table(struct pql_arena *arena, struct pql_path_node *node)
{
    size_t size = 16;
    while (size < node->kids_count * 2) size *= 2;
    const struct pql_path_node **table = pql_arena_zalloc(arena, size * sizeof *table);
    for (size_t i = 0; i < node->kids_count; i++) {
        size_t at = hash(node->kids[i]->name) & (size - 1);
        while (table[at]) at = (at + 1) & (size - 1);
        table[at] = node->kids[i];
    }
    node->table = table;
    node->table_size = size;
}

/* Depth is bounded by PQL_PATH_DEPTH_MAX. */
static const struct pql_path_node *finish(struct pql_paths *paths, const struct draft *draft)
{
    struct pql_path_node *node = pql_arena_zalloc(&paths->arena, sizeof *node);
    node->name = draft->name;
    node->slot = draft->slot;
    node->index = index_of(draft->name);
    node->id = (uint32_t)paths->nodes_count++;
    node->kids_count = draft->kids_count;
    const struct pql_path_node **kids = pql_arena_zalloc(&paths->arena, draft->kids_count * sizeof *kids);
    size_t i = 0;
    node->kids_index_max = PQL_PATH_NO_INDEX;
    for (const struct draft *kid = draft->kids; kid; kid = kid->next, i++) {
        kids[i] = finish(paths, kid);
        if (kids[i]->index > node->kids_index_max) node->kids_index_max = kids[i]->index;
    }
    node->kids = kids;
    if (i > LINEAR_MAX) add_table(&paths->arena, node);
    return node;
}

struct pql_paths *pql_paths_new(const struct pql_slice *wanted, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!pql_path_is_valid(wanted[i])) return NULL;
    struct pql_paths *paths = pql_xcalloc(1, sizeof *paths);
    struct draft root = {.slot = PQL_PATH_NO_SLOT};
    pql_arena_init(&paths->arena);
    for (size_t i = 0; i < count; i++) {
        struct draft *at = &root;
        struct pql_slice segment, rest = wanted[i];
        while (next_segment(&rest, &segment)) at = draft_kid(&paths->arena, at, segment);
        at->slot = (int32_t)i;
    }
    paths->slots_count = count;
    paths->root = finish(paths, &root);
    return paths;
}

void pql_paths_free(struct pql_paths *paths)
{
    if (!paths) return;
    pql_arena_deinit(&paths->arena);
    free(paths);
}

const struct pql_path_node *pql_paths_root(const struct pql_paths *paths)
{
    return paths->root;
}
size_t pql_paths_count(const struct pql_paths *paths)
{
    return paths->nodes_count;
}
size_t pql_paths_slots(const struct pql_paths *paths)
{
    return paths->slots_count;
}

static const struct pql_path_node *find_segment(const struct pql_path_node *node, struct pql_slice name)
{
    if (!node->table) {
        for (size_t i = 0; i < node->kids_count; i++) {
            struct pql_slice kid = node->kids[i]->name; /* never empty */
            if (kid.len == name.len && kid.ptr[0] == name.ptr[0] && !memcmp(kid.ptr, name.ptr, kid.len))
                return node->kids[i];
        }
        return NULL;
    }
    for (size_t at = hash(name);; at++) {
        const struct pql_path_node *kid = node->table[at & (node->table_size - 1)];
        if (!kid || pql_slice_eq(kid->name, name)) return kid;
    }
}

const struct pql_path_node *pql_path_find(const struct pql_path_node *node, struct pql_slice key)
{
    const struct pql_path_node *kid = find_segment(node, key);
    if (kid || !key.len || !memchr(key.ptr, '.', key.len)) return kid;
    struct pql_slice segment;
    while (node && next_segment(&key, &segment)) node = find_segment(node, segment);
    return node;
}

const struct pql_path_node *pql_path_at(const struct pql_path_node *node, size_t index)
{
    if (node->kids_index_max < 0 || index > (size_t)node->kids_index_max) return NULL;
    for (size_t i = 0; i < node->kids_count; i++)
        if (node->kids[i]->index == (int32_t)index) return node->kids[i];
    return NULL;
}
