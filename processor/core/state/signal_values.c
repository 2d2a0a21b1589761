/* Entries of which each is of another value, from the one longest unheard of to the newest. Few stand sorted
 * in the cell's array. More stay where they are, threaded by time, and are found by their value in a table:
 * what an event costs does not grow with them.
 *
 *   array     | oldest | … | newest |                        n up to LIST_MAX; days, weeks, months: any n
 *   threaded  | entries, no gaps | oldest, newest | links of each | table |
 *
 * A late one is looked for from the newest on. */
#include "core/state/signal_cell.h"

#include "base/memory.h"
#include <stdlib.h>

enum { LIST_MAX = 64 };

struct ends {
    uint32_t oldest, newest;
};

struct link {
    uint32_t older, newer;
};

/* The table has an index + 1 of an entry, or 0, in each of `mask` + 1 places: twice the capacity, a power of
 * two. */
struct threads {
    struct ends *ends;
    struct link *links;
    uint32_t *places;
    uint32_t mask;
};

static bool is_threaded(const struct pql_signal *signal, uint32_t capacity)
{
    bool is_of_values = signal->kind == PQL_SIGNAL_DISTINCT || signal->kind == PQL_SIGNAL_LAST ||
                        signal->kind == PQL_SIGNAL_SEQUENCE;
    return capacity > LIST_MAX && is_of_values && !pql_signal_is_of_periods(signal);
}

size_t pql_values_room(const struct pql_signal *signal, uint32_t capacity)
{
    if (!is_threaded(signal, capacity)) return 0;
    return sizeof(struct ends) + (sizeof(struct link) + 2 * sizeof(uint32_t)) * capacity;
}

uint32_t pql_values_capacity(const struct pql_signal *signal, uint32_t n)
{
    uint32_t capacity = LIST_MAX;
    if (!is_threaded(signal, n)) return n < 2 ? 2 : n;
    while (capacity < n) capacity *= 2;
    return capacity;
}

static struct threads threads_of(const struct pql_signal *signal, const struct pql_cell *cell)
{
    char *at = (char *)pql_cell_payload(cell) + pql_cell_payload_size(signal) +
               pql_cell_entry_size(signal) * cell->capacity;
    struct ends *ends = (void *)at;
    struct link *links = (void *)(ends + 1);
    return (struct threads){ends, links, (uint32_t *)(links + cell->capacity), 2 * cell->capacity - 1};
}

void *pql_values_entry(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i)
{
    return (char *)pql_cell_entries(signal, cell) + pql_cell_entry_size(signal) * i;
}

static uint64_t period_at(const struct pql_signal *signal, int64_t time_ms)
{
    return (uint64_t)pql_zone_period(signal->zone, signal->unit, time_ms);
}

uint64_t pql_values_hash(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i)
{
    if (pql_signal_is_of_periods(signal)) return period_at(signal, pql_cell_time(signal, cell, i));
    return ((const struct pql_entry_value *)pql_values_entry(signal, cell, i))->hash;
}

/* --- the table --- */

static uint32_t home_of(const struct threads *t, uint64_t hash)
{
    return (uint32_t)((hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & t->mask;
}

static void put_place(const struct threads *t, uint64_t hash, uint32_t i)
{
    uint32_t at = home_of(t, hash);
    while (t->places[at]) at = (at + 1) & t->mask;
    t->places[at] = i + 1;
}

static uint32_t place_of(const struct pql_signal *signal, const struct pql_cell *cell,
                         const struct threads *t, uint32_t i)
{
    uint32_t at = home_of(t, pql_values_hash(signal, cell, i));
    while (t->places[at] != i + 1) at = (at + 1) & t->mask;
    return at;
}

/* What stands behind the gap and could stand in it moves there. */
static void close_place(const struct pql_signal *signal, const struct pql_cell *cell, const struct threads *t,
                        uint32_t gap)
{
    for (uint32_t at = (gap + 1) & t->mask; t->places[at]; at = (at + 1) & t->mask) {
        uint32_t home = home_of(t, pql_values_hash(signal, cell, t->places[at] - 1));
        if (((at - home) & t->mask) < ((at - gap) & t->mask)) continue;
        t->places[gap] = t->places[at];
        gap = at;
    }
    t->places[gap] = 0;
}

/* --- the thread --- */

static void link_after(const struct threads *t, uint32_t i, uint32_t older)
{
    uint32_t newer = older == PQL_NO_VALUE ? t->ends->oldest : t->links[older].newer;
    t->links[i] = (struct link){older, newer};
    *(older == PQL_NO_VALUE ? &t->ends->oldest : &t->links[older].newer) = i;
    *(newer == PQL_NO_VALUE ? &t->ends->newest : &t->links[newer].older) = i;
}

static void link_by_time(const struct pql_signal *signal, const struct pql_cell *cell,
                         const struct threads *t, uint32_t i)
{
    int64_t time = pql_cell_time(signal, cell, i);
    uint32_t older = t->ends->newest;
    while (older != PQL_NO_VALUE && pql_cell_time(signal, cell, older) > time) older = t->links[older].older;
    link_after(t, i, older);
}

static void unlink_from(const struct threads *t, uint32_t i)
{
    struct link link = t->links[i];
    *(link.older == PQL_NO_VALUE ? &t->ends->oldest : &t->links[link.older].newer) = link.newer;
    *(link.newer == PQL_NO_VALUE ? &t->ends->newest : &t->links[link.newer].older) = link.older;
}

bool pql_values_thread(const struct pql_signal *signal, struct pql_cell *cell)
{
    if (!is_threaded(signal, cell->capacity)) return true;
    struct threads t = threads_of(signal, cell);
    *t.ends = (struct ends){PQL_NO_VALUE, PQL_NO_VALUE};
    memset(t.places, 0, (t.mask + 1) * sizeof *t.places);
    for (uint32_t i = 0; i < cell->n; i++) {
        if (pql_values_find(signal, cell, pql_values_hash(signal, cell, i)) != PQL_NO_VALUE) return false;
        link_after(&t, i, t.ends->newest);
        put_place(&t, pql_values_hash(signal, cell, i), i);
    }
    return true;
}

/* The same entries in a cell of this capacity. */
static void grow(const struct pql_signal *signal, struct pql_cell **cell, uint32_t capacity)
{
    struct pql_cell *old = *cell, *made = pql_cell_new(signal, capacity);
    size_t size = pql_cell_entry_size(signal);
    memcpy(made->data, old->data, pql_cell_payload_size(signal));
    for (uint32_t i = pql_values_oldest(signal, old); i != PQL_NO_VALUE; i = pql_values_newer(signal, old, i))
        memcpy(pql_values_entry(signal, made, made->n++), pql_values_entry(signal, old, i), size);
    PQL_ASSERT(pql_values_thread(signal, made));
    pql_cell_free(old);
    *cell = made;
}

/* --- what is asked of both forms --- */

uint32_t pql_values_oldest(const struct pql_signal *signal, const struct pql_cell *cell)
{
    if (is_threaded(signal, cell->capacity)) return threads_of(signal, cell).ends->oldest;
    return cell->n ? 0 : PQL_NO_VALUE;
}

uint32_t pql_values_newer(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i)
{
    if (is_threaded(signal, cell->capacity)) return threads_of(signal, cell).links[i].newer;
    return i + 1 < cell->n ? i + 1 : PQL_NO_VALUE;
}

/* Mostly it is the newest. */
static uint32_t find_period(const struct pql_signal *signal, const struct pql_cell *cell, int64_t period)
{
    uint32_t low = 0, high = cell->n;
    for (uint32_t at = high - 1; low < high; at = low + (high - low) / 2) {
        int64_t there = (int64_t)pql_values_hash(signal, cell, at);
        if (there == period) return at;
        if (there < period)
            low = at + 1;
        else
            high = at;
    }
    return PQL_NO_VALUE;
}

uint32_t pql_values_find(const struct pql_signal *signal, const struct pql_cell *cell, uint64_t hash)
{
    if (pql_signal_is_of_periods(signal)) return find_period(signal, cell, (int64_t)hash);
    if (is_threaded(signal, cell->capacity)) {
        struct threads t = threads_of(signal, cell);
        for (uint32_t at = home_of(&t, hash); t.places[at]; at = (at + 1) & t.mask)
            if (pql_values_hash(signal, cell, t.places[at] - 1) == hash) return t.places[at] - 1;
        return PQL_NO_VALUE;
    }
    size_t size = pql_cell_entry_size(signal);
    const char *entries = pql_cell_entries(signal, cell);
    for (uint32_t i = cell->n; i-- > 0;)
        if (((const struct pql_entry_value *)(const void *)(entries + size * i))->hash == hash) return i;
    return PQL_NO_VALUE;
}

/* From the nearer end. */
int64_t pql_values_time(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t rank)
{
    uint32_t at = rank;
    if (is_threaded(signal, cell->capacity)) {
        struct threads t = threads_of(signal, cell);
        bool is_near = rank < cell->n / 2;
        at = is_near ? t.ends->oldest : t.ends->newest;
        for (uint32_t i = is_near ? rank : cell->n - 1 - rank; i > 0; i--)
            at = is_near ? t.links[at].newer : t.links[at].older;
    }
    return pql_cell_time(signal, cell, at);
}

uint32_t pql_values_upto(const struct pql_signal *signal, const struct pql_cell *cell, int64_t bound_ms)
{
    if (!is_threaded(signal, cell->capacity)) return pql_cell_upto(signal, cell, bound_ms);
    struct threads t = threads_of(signal, cell);
    uint32_t count = 0, at = t.ends->oldest;
    if (cell->n && pql_cell_time(signal, cell, t.ends->newest) <= bound_ms) return cell->n;
    for (; at != PQL_NO_VALUE && pql_cell_time(signal, cell, at) <= bound_ms; at = t.links[at].newer) count++;
    return count;
}

/* For one more. An array at the end of its room moves to the front of it. */
static void make_room(const struct pql_signal *signal, struct pql_cell **cell)
{
    struct pql_cell *c = *cell;
    if (c->head + c->n < c->capacity) return;
    if (c->head) {
        memmove(c->data + pql_cell_payload_size(signal), pql_cell_entries(signal, c),
                pql_cell_entry_size(signal) * c->n);
        c->head = 0;
    } else {
        uint32_t more = c->capacity < 4 ? 4 : c->capacity + c->capacity / 2;
        bool is_list = c->capacity < LIST_MAX;
        grow(signal, cell, !is_list ? c->capacity * 2 : more < LIST_MAX ? more : LIST_MAX);
    }
}

void *pql_values_add(const struct pql_signal *signal, struct pql_cell **cell, int64_t time_ms, uint64_t hash)
{
    struct pql_entry_value value = {time_ms, hash};
    make_room(signal, cell);
    if (pql_signal_is_of_periods(signal))
        return memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, time_ms)), &time_ms,
                      sizeof time_ms);
    if (!is_threaded(signal, (*cell)->capacity))
        return memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, time_ms)), &value,
                      sizeof value);
    struct threads t = threads_of(signal, *cell);
    uint32_t n = (*cell)->n++;
    void *entry = memcpy(pql_values_entry(signal, *cell, n), &value, sizeof value);
    link_by_time(signal, *cell, &t, n);
    put_place(&t, hash, n);
    return entry;
}

/* The last entry moves into the gap. */
void pql_values_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i)
{
    if (!is_threaded(signal, cell->capacity)) {
        pql_cell_remove(signal, cell, i);
        return;
    }
    struct threads t = threads_of(signal, cell);
    unlink_from(&t, i);
    close_place(signal, cell, &t, place_of(signal, cell, &t, i));
    uint32_t last = --cell->n;
    if (i == last) return;
    t.places[place_of(signal, cell, &t, last)] = i + 1;
    memcpy(pql_values_entry(signal, cell, i), pql_values_entry(signal, cell, last),
           pql_cell_entry_size(signal));
    uint32_t older = t.links[last].older;
    unlink_from(&t, last);
    link_after(&t, i, older);
}

void *pql_values_move(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i, int64_t time_ms)
{
    char *entry = pql_values_entry(signal, cell, i);
    memcpy(entry, &time_ms, sizeof time_ms);
    if (is_threaded(signal, cell->capacity)) {
        struct threads t = threads_of(signal, cell);
        unlink_from(&t, i);
        link_by_time(signal, cell, &t, i);
        return entry;
    }
    size_t size = pql_cell_entry_size(signal);
    char moving[PQL_VALUE_ENTRY_MAX];
    memcpy(moving, entry, size);
    uint32_t at = i;
    while (at + 1 < cell->n && pql_cell_time(signal, cell, at + 1) <= time_ms) at++;
    memmove(entry, entry + size, size * (at - i));
    return memcpy(pql_values_entry(signal, cell, at), moving, size);
}

void pql_values_drop_oldest(const struct pql_signal *signal, struct pql_cell *cell, uint32_t count)
{
    if (!is_threaded(signal, cell->capacity))
        pql_cell_drop_oldest(cell, count);
    else
        for (; count; count--) pql_values_remove(signal, cell, pql_values_oldest(signal, cell));
}
