/* The array of a cell: entries with a moving head. */
#include "core/state/signal_cell.h"

#include "base/memory.h"
#include <stdlib.h>

static int64_t time_at(const char *entry)
{
    int64_t time;
    memcpy(&time, entry, sizeof time);
    return time;
}

/* How many entries have a time <= bound: they are sorted. */
uint32_t pql_cell_upto(const struct pql_signal *signal, const struct pql_cell *cell, int64_t bound_ms)
{
    uint32_t low = 0, high = cell->n;
    if (!high) return 0;
    size_t size = pql_cell_entry_size(signal);
    const char *entries = pql_cell_entries(signal, cell);
    if (time_at(entries) > bound_ms) return 0;
    if (time_at(entries + size * (high - 1)) <= bound_ms) return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (time_at(entries + size * middle) <= bound_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t pql_cell_size(const struct pql_signal *signal, uint32_t capacity)
{
    return sizeof(struct pql_cell) + pql_cell_payload_size(signal) + pql_cell_entry_size(signal) * capacity +
           pql_values_room(signal, capacity);
}

struct pql_cell *pql_cell_new(const struct pql_signal *signal, uint32_t capacity)
{
    struct pql_cell *cell = pql_xcalloc(1, pql_cell_size(signal, capacity));
    cell->capacity = capacity;
    return cell;
}

struct pql_cell *pql_cell_resize(struct pql_cell *cell, size_t before, size_t bytes)
{
    if (!cell->is_inside) return pql_xrealloc(cell, bytes);
    struct pql_cell *made = pql_xmalloc(bytes);
    memcpy(made, cell, before < bytes ? before : bytes);
    made->is_inside = false;
    return made;
}

void pql_cell_free(struct pql_cell *cell)
{
    if (cell && !cell->is_inside) free(cell);
}

void pql_cell_settle(struct pql_cell *cell, size_t bytes, void *place)
{
    struct pql_cell *inside = memcpy(place, cell, bytes);
    inside->is_inside = true;
    free(cell);
}

struct pql_cell *pql_cell_loosen(const struct pql_cell *inside, size_t bytes)
{
    struct pql_cell *cell = memcpy(pql_xmalloc(bytes), inside, bytes);
    cell->is_inside = false;
    return cell;
}

/* Opens a gap for one entry at index i and returns it. */
void *pql_cell_insert(const struct pql_signal *signal, struct pql_cell **cell, uint32_t i)
{
    struct pql_cell *c = *cell;
    size_t size = pql_cell_entry_size(signal);
    if (c->head + c->n == c->capacity) {
        if (c->head > c->capacity / 4 || (c->head && c->n < 2)) {
            memmove(c->data + pql_cell_payload_size(signal), pql_cell_entries(signal, c), size * c->n);
            c->head = 0;
        } else {
            size_t before = pql_cell_size(signal, c->capacity);
            uint32_t capacity = c->capacity + (c->capacity < 4 ? 2 : c->capacity / 2);
            *cell = c = pql_cell_resize(c, before, pql_cell_size(signal, capacity));
            c->capacity = capacity;
        }
    }
    char *at = (char *)pql_cell_entries(signal, c) + size * i;
    memmove(at + size, at, size * (c->n - i));
    c->n++;
    return at;
}

void pql_cell_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i)
{
    size_t size = pql_cell_entry_size(signal);
    char *at = (char *)pql_cell_entries(signal, cell) + size * i;
    if (i == 0)
        cell->head++;
    else
        memmove(at, at + size, size * (cell->n - i - 1));
    if (--cell->n == 0) cell->head = 0;
}

void pql_cell_drop_oldest(struct pql_cell *cell, uint32_t count)
{
    cell->head += count;
    cell->n -= count;
    if (!cell->n) cell->head = 0;
}

void pql_cell_shrink(const struct pql_signal *signal, struct pql_cell **cell)
{
    struct pql_cell *c = *cell;
    if (c->capacity <= 2 * c->n + 4) return;
    memmove(c->data + pql_cell_payload_size(signal), pql_cell_entries(signal, c),
            pql_cell_entry_size(signal) * c->n);
    size_t before = pql_cell_size(signal, c->capacity);
    c->head = 0;
    c->capacity = c->n < 2 ? 2 : c->n;
    *cell = pql_cell_resize(c, before, pql_cell_size(signal, c->capacity));
}
