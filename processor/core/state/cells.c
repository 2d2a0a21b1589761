#include "core/state/cells.h"

#include "base/memory.h"
#include <stdlib.h>

/* What grows moves what lies behind it: of a subject with many cells only the first lie inside. */
enum { INSIDE_MAX = 512, DATA_MAX = 2048 };

struct place {
    uint16_t slot;
    uint16_t bytes; /* of the cell inside; 0: a pointer stands there */
    uint32_t at;    /* in the data */
};

struct pql_cells {
    uint32_t size; /* of the block */
    uint32_t used; /* of the data: nothing is empty before it */
    uint16_t count, capacity;
    struct place places[];
};

static size_t head_of(uint32_t capacity)
{
    return (offsetof(struct pql_cells, places) + capacity * sizeof(struct place) + 7) & ~(size_t)7;
}

static char *data_of(const struct pql_cells *cells)
{
    return (char *)(uintptr_t)cells + head_of(cells->capacity);
}

static uint32_t room_of(const struct place *place)
{
    return place->bytes ? place->bytes : (uint32_t)sizeof(void *);
}

static void *thing_of(const struct pql_cells *cells, const struct place *place)
{
    char *at = data_of(cells) + place->at;
    void *pointer;
    if (place->bytes) return at;
    memcpy(&pointer, at, sizeof pointer);
    return pointer;
}

/* The position of the slot, or where it belongs. Few are present. */
static uint32_t position_of(const struct pql_cells *cells, uint32_t slot)
{
    const struct place *places = cells->places;
    uint32_t low = 0, high = cells->count;
    while (high - low > 8) {
        uint32_t middle = low + (high - low) / 2;
        if (places[middle].slot < slot)
            low = middle + 1;
        else
            high = middle;
    }
    while (low < high && places[low].slot < slot) low++;
    return low;
}

static const struct place *find(const struct pql_cells *cells, uint32_t slot)
{
    if (!cells) return NULL;
    uint32_t i = position_of(cells, slot);
    return i < cells->count && cells->places[i].slot == slot ? &cells->places[i] : NULL;
}

void *pql_cells_find(const struct pql_cells *cells, uint32_t slot)
{
    const struct place *place = find(cells, slot);
    return place ? thing_of(cells, place) : NULL;
}

bool pql_cells_has(const struct pql_cells *cells, uint32_t slot)
{
    return find(cells, slot) != NULL;
}

size_t pql_cells_count(const struct pql_cells *cells)
{
    return cells ? cells->count : 0;
}

void *pql_cells_at(const struct pql_cells *cells, size_t i, uint32_t *slot)
{
    *slot = cells->places[i].slot;
    return thing_of(cells, &cells->places[i]);
}

size_t pql_cells_bytes(const struct pql_cells *cells)
{
    return cells ? pql_memory_cost(cells->size) : 0;
}

/* --- the block --- */

/* Four sizes for each power of two, as allocators round: what is rounded up anyhow is room for growth. */
static size_t rounded(size_t size)
{
    size_t step = 16;
    while (step * 8 <= size) step *= 2;
    return ((size + 8 + step - 1) & ~(step - 1)) - 8;
}

static struct pql_cells *remade(struct pql_cells *old, uint32_t capacity, uint32_t data)
{
    size_t size = rounded(head_of(capacity) + data);
    struct pql_cells *cells = pql_xmalloc(size);
    *cells = (struct pql_cells){.size = (uint32_t)size, .capacity = (uint16_t)capacity};
    if (!old) return cells;
    cells->used = old->used;
    cells->count = old->count;
    memcpy(cells->places, old->places, old->count * sizeof(struct place));
    memcpy(data_of(cells), data_of(old), old->used);
    free(old);
    return cells;
}

/* Closes the gap that the data of a place leave. */
static void close_data(struct pql_cells *cells, const struct place *gone)
{
    uint32_t at = gone->at, bytes = room_of(gone);
    memmove(data_of(cells) + at, data_of(cells) + at + bytes, cells->used - at - bytes);
    cells->used -= bytes;
    for (uint32_t i = 0; i < cells->count; i++)
        if (cells->places[i].at > at) cells->places[i].at -= bytes;
}

static void add_place(struct pql_cells **cells, uint32_t i, uint32_t slot, uint32_t bytes)
{
    if (!*cells || (*cells)->count == (*cells)->capacity) {
        uint32_t count = *cells ? (*cells)->count : 0, more = count < 2 ? 4 : count + count / 2 + 1;
        PQL_ASSERT(count < UINT16_MAX);
        *cells = remade(*cells, more < UINT16_MAX ? more : UINT16_MAX, (*cells ? (*cells)->used : 0) + bytes);
    }
    struct pql_cells *c = *cells;
    memmove(&c->places[i + 1], &c->places[i], (c->count - i) * sizeof(struct place));
    c->places[i].slot = (uint16_t)slot;
    c->count++;
}

/* Where so many bytes (0: a pointer) of the slot go. */
static char *place_for(struct pql_cells **cells, uint32_t slot, uint32_t bytes)
{
    uint32_t i = *cells ? position_of(*cells, slot) : 0;
    struct place place = {.slot = (uint16_t)slot, .bytes = (uint16_t)bytes};
    uint32_t room = room_of(&place);
    bool is_there = *cells && i < (*cells)->count && (*cells)->places[i].slot == slot;
    if (is_there && room_of(&(*cells)->places[i]) == room) {
        (*cells)->places[i].bytes = place.bytes;
        return data_of(*cells) + (*cells)->places[i].at;
    }
    if (is_there)
        close_data(*cells, &(*cells)->places[i]);
    else
        add_place(cells, i, slot, room);
    struct pql_cells *c = *cells;
    if (head_of(c->capacity) + c->used + room > c->size) *cells = c = remade(c, c->capacity, c->used + room);
    place.at = c->used;
    c->used += room;
    c->places[i] = place;
    return data_of(c) + place.at;
}

void pql_cells_put(struct pql_cells **cells, uint32_t slot, void *block)
{
    memcpy(place_for(cells, slot, 0), &block, sizeof block);
}

void pql_cells_put_signal(struct pql_cells **cells, uint32_t slot, const struct pql_signal *signal,
                          struct pql_cell *cell)
{
    size_t bytes = pql_signal_inside(signal, cell), used = *cells ? (*cells)->used : 0;
    if (bytes && bytes <= INSIDE_MAX && used + bytes <= DATA_MAX)
        pql_cell_settle(cell, bytes, place_for(cells, slot, (uint32_t)((bytes + 7) & ~(size_t)7)));
    else
        pql_cells_put(cells, slot, cell);
}

void *pql_cells_give(const struct pql_cells *cells, size_t i)
{
    const struct place *place = &cells->places[i];
    void *thing = thing_of(cells, place);
    return place->bytes ? pql_cell_loosen(thing, place->bytes) : thing;
}

static void remove_place(struct pql_cells *cells, uint32_t i)
{
    close_data(cells, &cells->places[i]);
    cells->count--;
    memmove(&cells->places[i], &cells->places[i + 1], (cells->count - i) * sizeof(struct place));
}

void *pql_cells_take(struct pql_cells *cells, uint32_t slot)
{
    uint32_t i = position_of(cells, slot);
    PQL_ASSERT(i < cells->count && cells->places[i].slot == slot);
    void *taken = pql_cells_give(cells, i);
    remove_place(cells, i);
    return taken;
}

void pql_cells_cut(struct pql_cells *cells, uint32_t slot)
{
    while (cells && cells->count && cells->places[cells->count - 1].slot >= slot)
        remove_place(cells, cells->count - 1u);
}
