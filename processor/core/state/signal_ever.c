/* Since ever: numbers, sets, times. */
#include "core/state/signal_cell.h"

/* Takes the number into the total as the function has it. True if that is another than before. */
bool pql_ever_combine(const struct pql_signal *signal, struct pql_payload_total *total, pql_decimal number)
{
    pql_decimal before = pql_cell_decimal(total->low, total->high), after = before + number;
    bool is_extreme = signal->function == PQL_FN_MIN || signal->function == PQL_FN_MAX;
    if (is_extreme) after = total->n && pql_ever_is_best(signal, before, number) ? before : number;
    total->low = pql_cell_low(after);
    total->high = pql_cell_high(after);
    return after != before || (is_extreme && !total->n);
}

unsigned pql_ever_add(const struct pql_signal *signal, struct pql_cell *cell,
                      const struct pql_occurrence *occ)
{
    struct pql_payload_total *total = pql_cell_payload(cell);
    bool changes = pql_ever_combine(signal, total, occ->number) || signal->kind == PQL_SIGNAL_COUNT_EVER;
    total->n++;
    return PQL_CHANGE_ANY | (changes ? PQL_CHANGE_VALUE : 0);
}

unsigned pql_ever_add_set(const struct pql_signal *signal, struct pql_cell **cell, uint64_t hash)
{
    const uint64_t *set = pql_cell_entries(signal, *cell);
    uint32_t low = 0, high = (*cell)->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < (*cell)->n && set[low] == hash) return 0;
    if (!pql_cell_is_full(signal, *cell)) memcpy(pql_cell_insert(signal, cell, low), &hash, sizeof hash);
    return PQL_CHANGE_VALUE;
}

unsigned pql_ever_add_times(struct pql_cell *cell, int64_t time_ms, bool is_new)
{
    struct pql_payload_times *times = pql_cell_payload(cell);
    unsigned changed = is_new ? PQL_CHANGE_ANY | PQL_CHANGE_FIRST | PQL_CHANGE_LAST : 0;
    if (is_new || time_ms < times->first_ms) times->first_ms = time_ms, changed |= PQL_CHANGE_FIRST;
    if (is_new || time_ms > times->last_ms) times->last_ms = time_ms, changed |= PQL_CHANGE_LAST;
    return changed;
}

/* The k earliest. The value is the last of them, once there are so many. */
unsigned pql_ever_add_nth(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_occurrence *occ)
{
    uint32_t at = pql_cell_upto(signal, *cell, occ->time_ms);
    bool was_full = (*cell)->n == signal->k;
    if (at == signal->k) return 0;
    int64_t before = was_full ? pql_cell_time(signal, *cell, (*cell)->n - 1) : 0;
    if (was_full) (*cell)->n--;
    memcpy(pql_cell_insert(signal, cell, at), &occ->time_ms, sizeof occ->time_ms);
    bool is_full_now = (*cell)->n == signal->k;
    bool changes = is_full_now && (!was_full || pql_cell_time(signal, *cell, (*cell)->n - 1) != before);
    return changes ? PQL_CHANGE_VALUE : 0;
}

void pql_ever_read(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_reading *reading)
{
    if (signal->kind == PQL_SIGNAL_DISTINCT_EVER) {
        reading->n = cell->n;
    } else if (signal->kind == PQL_SIGNAL_TIMES) {
        const struct pql_payload_times *times = pql_cell_payload(cell);
        reading->n = 1;
        reading->first_at = times->first_ms;
        reading->last_at = times->last_ms;
    } else if (signal->kind == PQL_SIGNAL_NTH) {
        if (cell->n < signal->k) return;
        reading->n = 1;
        reading->first_at = reading->last_at = pql_cell_time(signal, cell, cell->n - 1);
    } else {
        const struct pql_payload_total *total = pql_cell_payload(cell);
        reading->n = total->n;
        reading->sum = pql_cell_decimal(total->low, total->high);
    }
}

int64_t pql_ever_next_since(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    int64_t last = ((const struct pql_payload_times *)pql_cell_payload(cell))->last_ms;
    for (size_t i = 0; i < signal->bounds_count; i++)
        if (last + signal->bounds[i] > t_ms) return last + signal->bounds[i];
    return INT64_MAX;
}
