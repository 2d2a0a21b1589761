#include "base/heap.h"

#include "base/memory.h"
#include <stdlib.h>

/* Of one entry; together they are a cache line, and there are half as many levels as with two. */
enum { KIDS = 4 };

static bool is_before(pql_heap_order *order, const struct pql_heap_entry *a, const struct pql_heap_entry *b)
{
    if (a->due != b->due) return a->due < b->due;
    return order && order(a->item, b->item) < 0;
}

void pql_heap_push(struct pql_heap *heap, pql_heap_order *order, int64_t due, void *item)
{
    heap->entries = pql_xgrow(heap->entries, &heap->capacity, heap->count + 1, sizeof *heap->entries);
    struct pql_heap_entry entry = {due, item};
    size_t i = heap->count++;
    while (i > 0 && is_before(order, &entry, &heap->entries[(i - 1) / KIDS])) {
        heap->entries[i] = heap->entries[(i - 1) / KIDS];
        i = (i - 1) / KIDS;
    }
    heap->entries[i] = entry;
}

static size_t first_kid(const struct pql_heap *heap, pql_heap_order *order, size_t i)
{
    size_t kid = KIDS * i + 1, end = kid + KIDS < heap->count ? kid + KIDS : heap->count, first = kid;
    while (++kid < end)
        if (is_before(order, &heap->entries[kid], &heap->entries[first])) first = kid;
    return first;
}

struct pql_heap_entry pql_heap_pop(struct pql_heap *heap, pql_heap_order *order)
{
    struct pql_heap_entry top = heap->entries[0], last = heap->entries[--heap->count];
    size_t i = 0;
    while (KIDS * i + 1 < heap->count) {
        size_t kid = first_kid(heap, order, i);
        if (!is_before(order, &heap->entries[kid], &last)) break;
        heap->entries[i] = heap->entries[kid];
        i = kid;
    }
    if (heap->count) heap->entries[i] = last;
    return top;
}

void pql_heap_filter(struct pql_heap *heap, pql_heap_order *order, pql_heap_keeps *keeps)
{
    size_t count = heap->count;
    heap->count = 0;
    for (size_t i = 0; i < count; i++) { /* what is pushed never gets ahead of what is read */
        struct pql_heap_entry entry = heap->entries[i];
        if (keeps(&entry)) pql_heap_push(heap, order, entry.due, entry.item);
    }
}

void pql_heap_deinit(struct pql_heap *heap)
{
    free(heap->entries);
    *heap = (struct pql_heap){0};
}
