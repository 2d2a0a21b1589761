/* sequence in first W: the match of the events in the window, in the order in which they came, is a sequence
 * since ever; the list has them in the order of time, with the number of their arrival (high) and their steps
 * (low). In the payload last is the newest event inside, high how many have come. */
#include "core/state/signal_first.h"

#include "base/memory.h"
#include <stdlib.h>

static int by_arrival(const void *a, const void *b)
{
    int64_t x = ((const struct pql_entry_first *)a)->high, y = ((const struct pql_entry_first *)b)->high;
    return (x > y) - (x < y);
}

/* One event more in the window. Once there is a match nothing more is asked of them. */
static void take(const struct pql_signal *signal, struct pql_payload_first *value,
                 const struct pql_entry_first *entry)
{
    struct pql_signal form = pql_first_form(signal);
    struct pql_occurrence occ = {
        .time_ms = entry->time_ms, .hash = entry->hash, .steps = (uint32_t)entry->low};
    if (!(value->flags & PQL_FIRST_MATCHING) || occ.time_ms > value->last_ms) value->last_ms = occ.time_ms;
    value->flags |= PQL_FIRST_MATCHING;
    if (value->n) return;
    (void)pql_signal_add(&form, &value->form, &occ, NULL, value->last_ms);
    struct pql_reading reading;
    pql_signal_read(&form, value->form, NULL, value->last_ms, &reading);
    if (!reading.n) return;
    value->n = reading.n;
    value->first_ms = reading.first_at;
    free(value->form);
    value->form = NULL;
}

static struct pql_entry_first *sorted_by_arrival(const struct pql_signal *signal, const struct pql_cell *cell)
{
    struct pql_entry_first *list = pql_xmalloc((cell->n + 1) * sizeof *list);
    memcpy(list, pql_cell_entries(signal, cell), cell->n * sizeof *list);
    qsort(list, cell->n, sizeof *list, by_arrival);
    return list;
}

void pql_first_rematch(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_entry_first *list = sorted_by_arrival(signal, cell);
    pql_first_drop_form(cell);
    value->n = 0;
    value->first_ms = value->last_ms = 0;
    value->flags &= ~(uint64_t)PQL_FIRST_MATCHING;
    for (uint32_t i = 0; i < cell->n; i++)
        if (pql_first_is_inside(first, list[i].time_ms)) take(signal, value, &list[i]);
    free(list);
}

/* At the limit the oldest is forgotten. */
static void append(const struct pql_signal *signal, struct pql_cell **cell, struct pql_entry_first entry)
{
    struct pql_payload_first *value = pql_cell_payload(*cell);
    entry.high = value->high++;
    if ((*cell)->n >= signal->exact_max) pql_first_remove(signal, *cell, 0);
    memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, entry.time_ms)), &entry, sizeof entry);
}

unsigned pql_first_add_sequence(const struct pql_signal *signal, struct pql_cell **cell,
                                const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    if (!pql_first_enters(signal, cell, occ, first, t_ms)) return 0;
    struct pql_entry_first entry = {occ->time_ms, occ->hash, occ->steps, 0};
    append(signal, cell, entry);
    if (!pql_first_is_inside(first, occ->time_ms)) return 0;
    struct pql_payload_first *value = pql_cell_payload(*cell);
    bool was_there = value->n > 0;
    take(signal, value, &entry);
    return value->n && !was_there ? PQL_CHANGE_ANY | PQL_CHANGE_VALUE : 0;
}

/* Both in one order of arrival: each user's own stays, between the two the earlier comes first. */
static void weave(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from)
{
    struct pql_entry_first *mine = sorted_by_arrival(signal, *into), *other = sorted_by_arrival(signal, from);
    uint32_t mine_count = (*into)->n, i = 0, j = 0;
    ((struct pql_payload_first *)pql_cell_payload(*into))->high = 0;
    (*into)->n = (*into)->head = 0;
    while (i < mine_count || j < from->n) {
        bool is_mine = j == from->n || (i < mine_count && mine[i].time_ms <= other[j].time_ms);
        append(signal, into, is_mine ? mine[i++] : other[j++]);
    }
    free(mine);
    free(other);
}

/* A match that either one had stays, if only the list no longer tells it. */
void pql_first_merge_matches(const struct pql_signal *signal, struct pql_cell **into,
                             const struct pql_cell *from, const struct pql_first *first)
{
    struct pql_payload_first was = *(struct pql_payload_first *)pql_cell_payload(*into);
    const struct pql_payload_first *other = pql_cell_payload(from);
    weave(signal, into, from);
    struct pql_payload_first *value = pql_cell_payload(*into);
    if (!(was.flags & PQL_FIRST_FOLDED)) pql_first_rematch(signal, *into, first);
    if (value->n || !(was.n || other->n)) return;
    const struct pql_payload_first *found = was.n ? &was : other;
    value->n = found->n;
    value->first_ms = found->first_ms;
}
