/* heap.h - a heap of (due, item), smallest first; equal dues are told apart by the heap's own order of
 * items. Owner: the caller. Heap: one array. */
#ifndef PQL_BASE_HEAP_H
#define PQL_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pql_heap_entry {
    int64_t due;
    void *item;
};

struct pql_heap {
    struct pql_heap_entry *entries;
    size_t count, capacity;
};

/* Order among equal dues; NULL: none needed. */
typedef int pql_heap_order(const void *a, const void *b);

void pql_heap_push(struct pql_heap *heap, pql_heap_order *order, int64_t due, void *item);
struct pql_heap_entry pql_heap_pop(struct pql_heap *heap, pql_heap_order *order);
/* Leaves out the entries that are not to be kept. O(n log n). */
typedef bool pql_heap_keeps(const struct pql_heap_entry *entry);
void pql_heap_filter(struct pql_heap *heap, pql_heap_order *order, pql_heap_keeps *keeps);
void pql_heap_deinit(struct pql_heap *heap);

#endif
