/* latest and earliest in first W: the entry that decides is found among those kept; texts are blocks of their
 * own. */
#include "core/state/signal_first.h"

#include "base/memory.h"
#include <stdlib.h>

struct text_block {
    uint32_t len;
    char bytes[];
};

static struct text_block *block_of(const struct pql_entry_first *entry)
{
    uintptr_t at = (uintptr_t)entry->low;
    return (struct text_block *)at;
}

struct pql_value pql_first_value(const struct pql_entry_first *entry)
{
    struct pql_value value = {.kind = (enum pql_kind)entry->hash};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = entry->low != 0; break;
    case PQL_NUMBER: value.number = pql_cell_decimal(entry->low, entry->high); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = (int64_t)entry->low; break;
    case PQL_TEXT: value.text = (struct pql_slice){block_of(entry)->bytes, block_of(entry)->len}; break;
    }
    return value;
}

struct pql_entry_first pql_first_entry(int64_t time_ms, const struct pql_value *value)
{
    struct pql_entry_first entry = {.time_ms = time_ms, .hash = value->kind};
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: entry.low = value->boolean; break;
    case PQL_NUMBER:
        entry.low = pql_cell_low(value->number), entry.high = pql_cell_high(value->number);
        break;
    case PQL_DURATION:
    case PQL_TIME: entry.low = (uint64_t)value->ms; break;
    case PQL_TEXT: {
        struct text_block *block = pql_xmalloc(sizeof *block + value->text.len);
        block->len = (uint32_t)value->text.len;
        if (block->len) memcpy(block->bytes, value->text.ptr, block->len);
        entry.low = (uintptr_t)block;
        break;
    }
    }
    return entry;
}

void pql_first_drop(const struct pql_signal *signal, const struct pql_entry_first *entry)
{
    if (signal->kind == PQL_SIGNAL_FIRST_VALUE && entry->hash == PQL_TEXT) free(block_of(entry));
}

uint32_t pql_first_decider(const struct pql_signal *signal, const struct pql_cell *cell,
                           const struct pql_first *first)
{
    bool is_latest = signal->function == PQL_FN_LATEST;
    uint32_t after = pql_cell_upto(signal, cell, is_latest ? first->end_ms - 1 : first->start_ms - 1);
    uint32_t i = is_latest ? after - 1 : after; /* after 0 wraps beyond n */
    return i < cell->n && pql_first_is_inside(first, pql_cell_time(signal, cell, i)) ? i : cell->n;
}

static struct pql_value decided(const struct pql_signal *signal, const struct pql_cell *cell,
                                const struct pql_first *first)
{
    uint32_t i = pql_first_decider(signal, cell, first);
    return i < cell->n ? pql_first_value((const struct pql_entry_first *)pql_cell_entries(signal, cell) + i)
                       : pql_null();
}

/* At the limit the oldest goes that does not decide: only a window that moves later may miss it. */
static void drop_undecisive(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *first)
{
    if (cell->n <= signal->exact_max) return;
    uint32_t oldest = pql_first_decider(signal, cell, first) == 0;
    if (oldest < cell->n) pql_first_remove(signal, cell, oldest);
}

unsigned pql_first_add_value(const struct pql_signal *signal, struct pql_cell **cell,
                             const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    if (!pql_first_enters(signal, cell, occ, first, t_ms)) return 0;
    struct pql_value before = decided(signal, *cell, first);
    struct pql_entry_first entry = pql_first_entry(occ->time_ms, &occ->value);
    memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    struct pql_value after = decided(signal, *cell, first);
    bool is_same = pql_value_same(&before, &after);
    drop_undecisive(signal, *cell, first);
    return PQL_CHANGE_ANY | (is_same ? 0 : PQL_CHANGE_VALUE);
}

void pql_first_read_value(const struct pql_signal *signal, const struct pql_cell *cell,
                          const struct pql_first *first, struct pql_reading *reading)
{
    uint32_t i = pql_first_decider(signal, cell, first);
    if (i == cell->n) return;
    reading->value = decided(signal, cell, first);
    reading->first_at = reading->last_at = pql_cell_time(signal, cell, i);
    reading->n = 1;
}

/* At equal times the user's own decides. */
void pql_first_merge_values(const struct pql_signal *signal, struct pql_cell **into,
                            const struct pql_cell *from, const struct pql_first *first)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, from);
    bool is_latest = signal->function == PQL_FN_LATEST;
    for (uint32_t i = 0; i < from->n; i++) {
        struct pql_value value = pql_first_value(&list[i]);
        struct pql_entry_first entry = pql_first_entry(list[i].time_ms, &value);
        uint32_t at = pql_cell_upto(signal, *into, entry.time_ms - is_latest);
        memcpy(pql_cell_insert(signal, into, at), &entry, sizeof entry);
        drop_undecisive(signal, *into, first);
    }
}
