/* Rolling windows W, and prev W. */
#include "core/state/signal_cell.h"

/* How many entries have left the rolling window at t. */
static uint32_t expired(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    return pql_values_upto(signal, cell, t_ms - pql_signal_kept_ms(signal));
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

/* What an occurrence that counts from this instant on changes: of prev only one that has left W, of its twin
 * the others. */
static unsigned rolling_change(const struct pql_signal *signal, int64_t from_ms, int64_t t_ms, bool is_value)
{
    unsigned changed = PQL_CHANGE_ANY | (is_value ? PQL_CHANGE_VALUE : 0);
    if (!pql_signal_is_prev(signal) || from_ms <= t_ms - signal->window.ms) return changed;
    return signal->twin ? PQL_CHANGE_TWIN : 0;
}

/* An occurrence goes to the end of its pane. That may bring one from prev W back into W. */
static unsigned fold(const struct pql_signal *signal, struct pql_cell *cell, int64_t time_ms,
                     pql_decimal number, int64_t t_ms)
{
    int64_t end = pql_panes_end(signal, time_ms);
    pql_panes_add(signal, cell, end, &(struct pql_folded){1, number});
    unsigned out = rolling_change(signal, time_ms, t_ms, true), in = rolling_change(signal, end, t_ms, true);
    return out == in ? 0 : out | in;
}

/* Room for one more: the oldest of the newest exact_max is folded. */
static unsigned fold_oldest(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    bool is_sum = signal->kind == PQL_SIGNAL_SUM;
    pql_decimal number = is_sum ? sum_of(signal, cell, 0, 1) : 0;
    int64_t time = pql_cell_time(signal, cell, 0);
    if (is_sum) add_to_total(cell, -number);
    pql_cell_drop_oldest(cell, 1);
    return fold(signal, cell, time, number, t_ms);
}

unsigned pql_rolling_add(const struct pql_signal *signal, struct pql_cell **cell,
                         const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - pql_signal_kept_ms(signal)) return 0;
    bool is_value = signal->kind != PQL_SIGNAL_SUM || occ->number != 0;
    unsigned changed = 0;
    uint32_t at = pql_cell_upto(signal, *cell, occ->time_ms);
    if (pql_cell_is_full(signal, *cell)) {
        if (at == 0) return PQL_CHANGE_VALUE; /* counts, but the newest k are others */
        pql_cell_drop_oldest(*cell, 1);
        at--;
    } else if (signal->has_panes && (*cell)->n >= signal->exact_max) {
        if (at == 0) {
            changed = fold(signal, *cell, occ->time_ms, occ->number, t_ms);
            return changed | rolling_change(signal, pql_panes_end(signal, occ->time_ms), t_ms, is_value);
        }
        changed = fold_oldest(signal, *cell, t_ms);
        at--;
    }
    void *entry = pql_cell_insert(signal, cell, at);
    memcpy(entry, &occ->time_ms, sizeof occ->time_ms);
    if (signal->kind == PQL_SIGNAL_SUM) {
        struct pql_entry_number number = {occ->time_ms, pql_cell_low(occ->number),
                                          pql_cell_high(occ->number)};
        memcpy(entry, &number, sizeof number);
        add_to_total(*cell, occ->number);
    }
    return changed | rolling_change(signal, occ->time_ms, t_ms, is_value);
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
    bool has_left = signal->kind == PQL_SIGNAL_DISTINCT && occ->time_ms <= t_ms - signal->window.ms;
    if (has_left) return 0;
    uint32_t known = pql_values_find(signal, *cell, occ->hash);
    if (known != PQL_NO_VALUE) {
        int64_t before = pql_cell_time(signal, *cell, known);
        if (before >= occ->time_ms) return 0;
        (void)pql_values_move(signal, *cell, known, occ->time_ms);
        return pql_decay_change(signal, before, occ->time_ms);
    }
    if (pql_cell_is_full(signal, *cell)) {
        if (pql_values_time(signal, *cell, 0) > occ->time_ms) return PQL_CHANGE_VALUE;
        pql_values_drop_oldest(signal, *cell, 1);
    }
    (void)pql_values_add(signal, cell, occ->time_ms, occ->hash);
    return PQL_CHANGE_VALUE;
}

void pql_rolling_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = expired(signal, cell, t_ms);
    if (gone && signal->kind == PQL_SIGNAL_SUM) add_to_total(cell, -sum_of(signal, cell, 0, gone));
    pql_values_drop_oldest(signal, cell, gone);
    if (signal->has_panes) pql_panes_trim(signal, cell, t_ms - pql_signal_kept_ms(signal));
}

/* When the first of those that are folded was is not known. */
static void read_panes(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                       struct pql_reading *reading)
{
    int64_t upto = pql_signal_is_prev(signal) ? t_ms - signal->window.ms : INT64_MAX;
    struct pql_folded folded = pql_panes_between(signal, cell, t_ms - pql_signal_kept_ms(signal), upto);
    if (!folded.n) return;
    reading->n += folded.n;
    reading->sum += folded.sum;
    reading->first_at = PQL_NO_TIME;
    reading->approximate = true;
}

static void read_newest(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                        struct pql_reading *reading)
{
    uint32_t gone = expired(signal, cell, t_ms);
    uint32_t upto =
        pql_signal_is_prev(signal) ? pql_cell_upto(signal, cell, t_ms - signal->window.ms) : cell->n;
    reading->n = upto - gone;
    if (!reading->n) return;
    /* A cell shared with a twin holds more than k: what is told of them is told of the newest k. */
    if (signal->k && reading->n > signal->k) gone = upto - signal->k;
    reading->first_at = pql_values_time(signal, cell, gone);
    reading->last_at = pql_values_time(signal, cell, upto - 1);
    if (signal->kind == PQL_SIGNAL_EXTREME) reading->sum = sum_of(signal, cell, gone, gone + 1);
    if (signal->kind != PQL_SIGNAL_SUM) return;
    const struct pql_payload_total *total = pql_cell_payload(cell);
    reading->sum = pql_signal_is_prev(signal)
                       ? sum_of(signal, cell, gone, upto)
                       : pql_cell_decimal(total->low, total->high) - sum_of(signal, cell, 0, gone);
}

void pql_rolling_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                      struct pql_reading *reading)
{
    read_newest(signal, cell, t_ms, reading);
    if (pql_signal_reads_panes(signal)) read_panes(signal, cell, t_ms, reading);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The oldest in (after, …] leaves what is looked at after another `span`. */
static int64_t oldest_leaves(const struct pql_signal *signal, const struct pql_cell *cell, int64_t after_ms,
                             int64_t span_ms)
{
    uint32_t gone = pql_values_upto(signal, cell, after_ms);
    int64_t oldest = gone < cell->n ? pql_values_time(signal, cell, gone) : INT64_MAX;
    if (pql_signal_reads_panes(signal))
        oldest = earlier(oldest, pql_panes_first_after(signal, cell, after_ms));
    return oldest == INT64_MAX ? oldest : oldest + span_ms;
}

/* The oldest of the newest W comes in, the oldest of those before leaves, or the twin changes. */
static int64_t next_prev(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    int64_t window = signal->window.ms;
    int64_t due = earlier(oldest_leaves(signal, cell, t_ms - window, window),
                          oldest_leaves(signal, cell, t_ms - 2 * window, 2 * window));
    return signal->twin ? earlier(due, pql_rolling_next(signal->twin, cell, t_ms)) : due;
}

/* Counted things leave one by one, the oldest first: of the boundaries that hold, the largest is the first to
 * fall. */
int64_t pql_rolling_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (pql_signal_is_prev(signal)) return next_prev(signal, cell, t_ms);
    int64_t window = signal->window.ms;
    if (signal->read_as_number || signal->kind == PQL_SIGNAL_SUM || signal->kind == PQL_SIGNAL_EXTREME)
        return oldest_leaves(signal, cell, t_ms - window, window);
    uint32_t live = cell->n - expired(signal, cell, t_ms);
    for (size_t i = signal->bounds_count; i-- > 0 && live;)
        if (signal->bounds[i] <= (int64_t)live)
            return signal->bounds[i] < 1
                       ? INT64_MAX
                       : pql_values_time(signal, cell, cell->n - (uint32_t)signal->bounds[i]) + window;
    return INT64_MAX;
}

/* --- other limits --- */

/* The same entries behind another payload: where the panes are was there before, or comes to be there. */
static void relayout(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell **cell)
{
    struct pql_cell *old = *cell, *made = pql_cell_new(now, old->n > 2 ? old->n : 2);
    size_t fixed = pql_signal_rows[now->kind].payload, entries = pql_cell_entry_size(now) * old->n;
    memcpy(made->data, old->data, fixed);
    if (entries) memcpy(made->data + pql_cell_payload_size(now), pql_cell_entries(before, old), entries);
    made->n = old->n;
    pql_signal_free(before, old);
    *cell = made;
}

bool pql_rolling_adapt(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell **cell)
{
    bool is_cut = pql_cell_is_full(before, *cell);
    bool has_folded = before->has_panes && pql_panes_bytes(before, *cell) > 0;
    bool wants_more = !now->k || (*cell)->n < now->k;
    if (before->has_panes != now->has_panes) relayout(before, now, cell);
    bool is_less = now->has_panes ? is_cut : (is_cut || has_folded) && wants_more;
    if (now->k && !pql_signal_is_prev(now) && (*cell)->n > now->k)
        pql_cell_drop_oldest(*cell, (*cell)->n - now->k);
    while (now->has_panes && (*cell)->n > now->exact_max) (void)fold_oldest(now, *cell, INT64_MAX);
    return is_less;
}
