/* reorder.h - events that wait for earlier ones (lateness > 0), smallest (time, account bytes, order of
 * arrival) first. Owner: the engine. Heap: one block per event, which holds copies of all that the event
 * refers to. */
#ifndef PQL_CORE_STATE_REORDER_H
#define PQL_CORE_STATE_REORDER_H

#include "base/buf.h"
#include "base/heap.h"
#include "core/event.h"

struct pql_waiting {
    struct pql_event event;              /* its slices and arrays lie in this block */
    struct pql_waiting *previous, *next; /* by arrival */
    uint64_t arrival;                    /* how many came before it, ever */
    uint32_t made; /* instead of another one, after this snapshot began: it is none of that; 0: it arrived */
    uint64_t counted_bytes; /* 64 + length of the mapped fields, alike in every build */
};

struct pql_reorder {
    struct pql_heap heap;
    struct pql_waiting *oldest, *newest; /* by arrival */
    uint64_t bytes;
    uint64_t arrivals;
};

/* What the event would count for. */
uint64_t pql_reorder_bytes(const struct pql_event *event, const struct pql_names *names);
/* Bytes that all of them take of the allocator, about. O(1). */
uint64_t pql_reorder_taken(const struct pql_reorder *reorder, const struct pql_names *names);
/* Takes a copy of the event. */
void pql_reorder_add(struct pql_reorder *reorder, const struct pql_event *event,
                     const struct pql_names *names);
/* The same of one that stands for another, at its place. */
void pql_reorder_put(struct pql_reorder *reorder, const struct pql_event *event,
                     const struct pql_names *names, uint64_t arrival, uint32_t made);
/* The first one, or NULL; stays inside. */
const struct pql_waiting *pql_reorder_first(const struct pql_reorder *reorder);
/* Takes it out; the caller frees it with free(). */
struct pql_waiting *pql_reorder_take(struct pql_reorder *reorder);
/* Other names: values of names that stay are kept, the others are null. */
void pql_reorder_rename(struct pql_reorder *reorder, const struct pql_names *before,
                        const struct pql_names *now);
void pql_reorder_deinit(struct pql_reorder *reorder);

void pql_reorder_save(const struct pql_waiting *waiting, const struct pql_names *names, struct pql_buf *out);
/* One event, in any order; `arrivals` is set before. */
void pql_reorder_load(struct pql_reorder *reorder, const struct pql_names *names, struct pql_reader *reader);

#endif
