/* Rolling windows W, and prev W. */
#include "core/state/signal_cell.h"

/* How many entries have left the rolling window at t. */
static uint32_t expired(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    return pql_cell_upto(signal, cell, t_ms - pql_signal_kept_ms(signal));
}

static void add_to_total(struct pql_cell *cell, pql_decimal number)
{
    struct pql_payload_total *total = pql_cell_payload(cell);
    pql_decimal sum = pql_cell_decimal(total->low, total->high) + number;
    *total = (struct pql_payload_total){total->n, pql_cell_low(sum), pql_cell_high(sum)};
}

/* What entries [from, upto) hold together. */
static pql_decimal sum_of(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t from,
                          uint32_t upto)
{
    const struct pql_entry_number *numbers = pql_cell_entries(signal, cell);
    pql_decimal sum = 0;
    for (uint32_t i = from; i < upto; i++) sum += pql_cell_decimal(numbers[i].low, numbers[i].high);
    return sum;
}

/* What an occurrence inside what is kept changes: of prev only those that have left W, of its twin the
 * others.
 */
static unsigned rolling_change(const struct pql_signal *signal, int64_t time_ms, int64_t t_ms, bool is_value)
{
    unsigned changed = PQL_CHANGE_ANY | (is_value ? PQL_CHANGE_VALUE : 0);
    if (!pql_signal_is_prev(signal) || time_ms <= t_ms - signal->window.ms) return changed;
    return signal->twin ? PQL_CHANGE_TWIN : 0;
}

unsigned pql_rolling_add(const struct pql_signal *signal, struct pql_cell **cell,
                         const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - pql_signal_kept_ms(signal)) return 0;
    uint32_t at = pql_cell_upto(signal, *cell, occ->time_ms);
    if (pql_cell_is_full(signal, *cell)) {
        if (at == 0) return PQL_CHANGE_VALUE; /* counts, but the newest k are others */
        pql_cell_drop_oldest(*cell, 1);
        at--;
    }
    void *entry = pql_cell_insert(signal, cell, at);
    if (signal->kind == PQL_SIGNAL_SUM) {
        struct pql_entry_number number = {occ->time_ms, pql_cell_low(occ->number),
                                          pql_cell_high(occ->number)};
        memcpy(entry, &number, sizeof number);
        add_to_total(*cell, occ->number);
        return rolling_change(signal, occ->time_ms, t_ms, occ->number != 0);
    }
    memcpy(entry, &occ->time_ms, sizeof occ->time_ms);
    return rolling_change(signal, occ->time_ms, t_ms, true);
}

/* --- min, max --- */

/* Does a beat b, or equal it? */
bool pql_ever_is_best(const struct pql_signal *signal, pql_decimal a, pql_decimal b)
{
    return signal->function == PQL_FN_MAX ? a >= b : a <= b;
}

/* Only those are kept that no newer one beats: from the front to the end they get newer and worse. */
unsigned pql_rolling_add_extreme(const struct pql_signal *signal, struct pql_cell **cell,
                                 const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - signal->window.ms) return 0;
    const struct pql_entry_number *list = pql_cell_entries(signal, *cell);
    uint32_t at = pql_cell_upto(signal, *cell, occ->time_ms), from = at;
    bool was_empty = !(*cell)->n;
    if (at < (*cell)->n &&
        pql_ever_is_best(signal, pql_cell_decimal(list[at].low, list[at].high), occ->number))
        return PQL_CHANGE_ANY;
    if (at && list[at - 1].time_ms == occ->time_ms &&
        pql_ever_is_best(signal, pql_cell_decimal(list[at - 1].low, list[at - 1].high), occ->number))
        return PQL_CHANGE_ANY;
    pql_decimal before = was_empty ? 0 : pql_cell_decimal(list[0].low, list[0].high);
    while (from > 0 &&
           pql_ever_is_best(signal, occ->number, pql_cell_decimal(list[from - 1].low, list[from - 1].high)))
        from--;
    for (; at > from; at--) pql_cell_remove(signal, *cell, at - 1);
    struct pql_entry_number number = {occ->time_ms, pql_cell_low(occ->number), pql_cell_high(occ->number)};
    memcpy(pql_cell_insert(signal, cell, at), &number, sizeof number);
    return PQL_CHANGE_ANY | (was_empty || (at == 0 && before != occ->number) ? PQL_CHANGE_VALUE : 0);
}

unsigned pql_rolling_add_distinct(const struct pql_signal *signal, struct pql_cell **cell,
                                  const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - signal->window.ms) return 0;
    const struct pql_entry_value *values = pql_cell_entries(signal, *cell);
    unsigned changed = PQL_CHANGE_VALUE;
    for (uint32_t i = (*cell)->n; i-- > 0;) {
        if (values[i].hash != occ->hash) continue;
        if (values[i].time_ms >= occ->time_ms) return 0;
        pql_cell_remove(signal, *cell, i);
        changed = 0;
        break;
    }
    uint32_t at = pql_cell_upto(signal, *cell, occ->time_ms);
    if (pql_cell_is_full(signal, *cell)) {
        if (at == 0) return changed;
        pql_cell_drop_oldest(*cell, 1);
        at--;
    }
    struct pql_entry_value value = {occ->time_ms, occ->hash};
    memcpy(pql_cell_insert(signal, cell, at), &value, sizeof value);
    return changed;
}

void pql_rolling_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = expired(signal, cell, t_ms);
    if (gone && signal->kind == PQL_SIGNAL_SUM) add_to_total(cell, -sum_of(signal, cell, 0, gone));
    pql_cell_drop_oldest(cell, gone);
}

void pql_rolling_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                      struct pql_reading *reading)
{
    uint32_t gone = expired(signal, cell, t_ms);
    uint32_t upto =
        pql_signal_is_prev(signal) ? pql_cell_upto(signal, cell, t_ms - signal->window.ms) : cell->n;
    reading->n = upto - gone;
    if (!reading->n) return;
    /* A cell shared with a twin holds more than k: what is told of them is told of the newest k. */
    if (signal->k && reading->n > signal->k) gone = upto - signal->k;
    reading->first_at = pql_cell_time(signal, cell, gone);
    reading->last_at = pql_cell_time(signal, cell, upto - 1);
    if (signal->kind == PQL_SIGNAL_EXTREME) reading->sum = sum_of(signal, cell, gone, gone + 1);
    if (signal->kind != PQL_SIGNAL_SUM) return;
    const struct pql_payload_total *total = pql_cell_payload(cell);
    reading->sum = pql_signal_is_prev(signal)
                       ? sum_of(signal, cell, gone, upto)
                       : pql_cell_decimal(total->low, total->high) - sum_of(signal, cell, 0, gone);
}

int64_t pql_rolling_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

/* The oldest of the newest W comes in, the oldest of those before leaves, or the twin changes. */
static int64_t next_prev(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t gone,
                         int64_t t_ms)
{
    int64_t window = signal->window.ms;
    uint32_t newest = pql_cell_upto(signal, cell, t_ms - window);
    int64_t due = newest < cell->n ? pql_cell_time(signal, cell, newest) + window : INT64_MAX;
    if (gone < newest && pql_cell_time(signal, cell, gone) + 2 * window < due)
        due = pql_cell_time(signal, cell, gone) + 2 * window;
    int64_t of_twin = signal->twin ? pql_rolling_next(signal->twin, cell, t_ms) : INT64_MAX;
    return of_twin < due ? of_twin : due;
}

/* Counted things leave one by one, the oldest first: of the boundaries that hold, the largest is the first to
 * fall. */
int64_t pql_rolling_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = expired(signal, cell, t_ms), live = cell->n - gone;
    if (!live) return INT64_MAX;
    if (pql_signal_is_prev(signal)) return next_prev(signal, cell, gone, t_ms);
    if (signal->read_as_number || signal->kind == PQL_SIGNAL_SUM || signal->kind == PQL_SIGNAL_EXTREME)
        return pql_cell_time(signal, cell, gone) + signal->window.ms;
    for (size_t i = signal->bounds_count; i-- > 0;)
        if (signal->bounds[i] <= (int64_t)live)
            return signal->bounds[i] < 1
                       ? INT64_MAX
                       : pql_cell_time(signal, cell, cell->n - (uint32_t)signal->bounds[i]) +
                             signal->window.ms;
    return INT64_MAX;
}
