/* How much of what a signal holds still counts (core/decay.h). What leaves its window leaves it as before; in
 * between it counts less at each boundary of steps. */
#include "core/state/signal_cell.h"

#include "base/memory.h"
#include <stdlib.h>

/* Entries of a step stand beside each other: its weight is looked up once. */
struct weighing {
    const struct pql_decay *decay;
    int64_t now, step; /* in steps */
    uint32_t weight;   /* of `step` */
    int64_t upto_ms;   /* of panes */
    struct pql_decayed sum;
};

static void weigh(struct weighing *w, int64_t time_ms, pql_decimal value)
{
    int64_t step = pql_decay_step_of(w->decay, time_ms);
    if (step != w->step) {
        w->step = step;
        w->weight = pql_decay_weight(w->decay, w->now - step);
    }
    pql_decayed_add(&w->sum, value, w->weight);
}

static void weigh_count(struct weighing *w, int64_t end_ms, const struct pql_folded *pane)
{
    weigh(w, end_ms, pql_decimal_of_int((int64_t)pane->n));
}

static void weigh_pane(int64_t end_ms, const struct pql_folded *pane, void *context)
{
    struct weighing *w = context;
    if (end_ms <= w->upto_ms) weigh(w, end_ms, pane->sum);
}

static void weigh_counted_pane(int64_t end_ms, const struct pql_folded *pane, void *context)
{
    struct weighing *w = context;
    if (end_ms <= w->upto_ms) weigh_count(w, end_ms, pane);
}

/* Each by its last time. */
static void weigh_values(const struct pql_signal *signal, const struct pql_cell *cell, int64_t after_ms,
                         struct weighing *w)
{
    for (uint32_t i = pql_values_oldest(signal, cell); i != PQL_NO_VALUE;
         i = pql_values_newer(signal, cell, i))
        if (pql_cell_time(signal, cell, i) > after_ms)
            weigh(w, pql_cell_time(signal, cell, i), PQL_DECIMAL_ONE);
}

static void weigh_rolling(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                          struct weighing *w)
{
    int64_t after = t_ms - pql_signal_kept_ms(signal);
    w->upto_ms = pql_signal_is_prev(signal) ? t_ms - signal->window.ms : INT64_MAX;
    if (signal->kind == PQL_SIGNAL_DISTINCT) {
        weigh_values(signal, cell, after, w);
        return;
    }
    uint32_t from = pql_cell_upto(signal, cell, after), upto = pql_cell_upto(signal, cell, w->upto_ms);
    bool is_sum = signal->kind == PQL_SIGNAL_SUM;
    const struct pql_entry_number *numbers = pql_cell_entries(signal, cell);
    for (uint32_t i = from; i < upto; i++)
        weigh(w, pql_cell_time(signal, cell, i),
              is_sum ? pql_cell_decimal(numbers[i].low, numbers[i].high) : PQL_DECIMAL_ONE);
    if (pql_signal_reads_panes(signal))
        pql_panes_each(signal, cell, after, is_sum ? weigh_pane : weigh_counted_pane, w);
}

static void weigh_steps(const struct pql_signal *signal, const struct pql_cell *cell, struct weighing *w)
{
    const struct pql_entry_step *steps = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++)
        weigh(w, steps[i].start_ms,
              signal->function == PQL_FN_COUNT ? pql_decimal_of_int((int64_t)steps[i].n)
                                               : pql_cell_decimal(steps[i].low, steps[i].high));
}

/* By value, the newest of each first. */
static int by_value(const void *a, const void *b)
{
    const struct pql_entry_first *x = a, *y = b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return (x->time_ms < y->time_ms) - (x->time_ms > y->time_ms);
}

static void weigh_last_of_each(struct pql_entry_first *list, size_t count, struct weighing *w)
{
    qsort(list, count, sizeof *list, by_value);
    for (size_t i = 0; i < count; i++)
        if (!i || list[i].hash != list[i - 1].hash) weigh(w, list[i].time_ms, PQL_DECIMAL_ONE);
}

/* Of a count the entry says how many they are. */
static void weigh_first(const struct pql_signal *signal, const struct pql_cell *cell,
                        const struct pql_first *first, struct weighing *w)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    uint32_t from = pql_cell_upto(signal, cell, first->start_ms - 1);
    uint32_t upto = pql_cell_upto(signal, cell, first->end_ms - 1);
    if (from >= upto) return;
    if (signal->function == PQL_FN_COUNT || signal->function == PQL_FN_SUM) {
        for (uint32_t i = from; i < upto; i++)
            weigh(w, list[i].time_ms,
                  signal->function == PQL_FN_COUNT ? pql_decimal_of_int((int64_t)list[i].hash)
                                                   : pql_cell_decimal(list[i].low, list[i].high));
        return;
    }
    struct pql_entry_first *copy = pql_xmalloc((upto - from) * sizeof *copy);
    memcpy(copy, list + from, (upto - from) * sizeof *copy);
    weigh_last_of_each(copy, upto - from, w);
    free(copy);
}

static void weigh_all(const struct pql_signal *signal, const struct pql_cell *cell,
                      const struct pql_first *first, int64_t t_ms, struct weighing *w)
{
    if (signal->kind == PQL_SIGNAL_STEPS) {
        weigh_steps(signal, cell, w);
    } else if (signal->kind == PQL_SIGNAL_FIRST) {
        weigh_first(signal, cell, first, w);
    } else if (signal->kind == PQL_SIGNAL_LAST) {
        weigh_values(signal, cell, INT64_MIN, w);
    } else {
        weigh_rolling(signal, cell, t_ms, w);
    }
}

void pql_signal_read_decayed(const struct pql_signal *signal, const struct pql_decay *decay,
                             const struct pql_cell *cell, const struct pql_first *first, int64_t t_ms,
                             struct pql_reading *reading)
{
    struct weighing w = {.decay = decay,
                         .now = pql_decay_step_of(decay, t_ms),
                         .step = pql_decay_step_of(decay, t_ms),
                         .weight = PQL_DECAY_ONE};
    pql_signal_read(signal, cell, first, t_ms, reading);
    if (reading->n) weigh_all(signal, cell, first, t_ms, &w);
    reading->value = pql_number(pql_decayed_sum(&w.sum));
}

/* --- when --- */

/* Of what counts at t; PQL_NO_TIME: nothing does. */
static int64_t newest_of(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    struct pql_reading reading;
    if (signal->kind == PQL_SIGNAL_FIRST) {
        const struct pql_payload_first *value = pql_cell_payload(cell);
        return value->n ? value->last_ms : PQL_NO_TIME;
    }
    pql_signal_read(signal, cell, NULL, t_ms, &reading);
    if (!reading.n) return PQL_NO_TIME;
    if (signal->kind == PQL_SIGNAL_STEPS) return pql_cell_time(signal, cell, cell->n - 1);
    /* Only panes are left: at most one step before. */
    return reading.last_at == PQL_NO_TIME ? t_ms : reading.last_at;
}

static int64_t next_decay(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    int64_t due = INT64_MAX, newest = signal->decays_count ? newest_of(signal, cell, t_ms) : PQL_NO_TIME;
    for (size_t i = 0; i < signal->decays_count && newest != PQL_NO_TIME; i++) {
        int64_t next = pql_decay_next(signal->decays[i], t_ms);
        if (next < due && pql_decay_at(signal->decays[i], newest, t_ms)) due = next;
    }
    return due;
}

int64_t pql_signal_next_decay(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    const struct pql_signal *twin = signal->twin;
    if (!cell || !(signal->decays_count || (twin && twin->decays_count))) return INT64_MAX;
    int64_t own = next_decay(signal, cell, t_ms);
    int64_t of_twin = twin ? next_decay(twin, cell, t_ms) : INT64_MAX;
    return of_twin < own ? of_twin : own;
}

unsigned pql_decay_change(const struct pql_signal *signal, int64_t before_ms, int64_t now_ms)
{
    for (size_t i = 0; i < signal->decays_count; i++)
        if (pql_decay_step_of(signal->decays[i], before_ms) != pql_decay_step_of(signal->decays[i], now_ms))
            return PQL_CHANGE_AGE;
    return 0;
}

/* --- since ever, by step --- */

static void drop_weightless(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = 0;
    while (gone < cell->n && !pql_decay_at(signal->decays[0], pql_cell_time(signal, cell, gone), t_ms))
        gone++;
    pql_cell_drop_oldest(cell, gone);
}

/* The step that begins then, made if absent. */
static struct pql_entry_step *step_at(const struct pql_signal *signal, struct pql_cell **cell,
                                      int64_t start_ms)
{
    uint32_t i = pql_cell_upto(signal, *cell, start_ms);
    if (i && pql_cell_time(signal, *cell, i - 1) == start_ms)
        return (struct pql_entry_step *)pql_cell_entries(signal, *cell) + i - 1;
    struct pql_entry_step empty = {.start_ms = start_ms};
    return memcpy(pql_cell_insert(signal, cell, i), &empty, sizeof empty);
}

static void add_to_step(struct pql_entry_step *step, uint64_t n, pql_decimal number)
{
    pql_decimal sum = pql_cell_decimal(step->low, step->high) + number;
    *step = (struct pql_entry_step){step->start_ms, step->n + n, pql_cell_low(sum), pql_cell_high(sum)};
}

void pql_decay_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from)
{
    const struct pql_entry_step *steps = pql_cell_entries(signal, from);
    for (uint32_t i = 0; i < from->n; i++)
        add_to_step(step_at(signal, into, steps[i].start_ms), steps[i].n,
                    pql_cell_decimal(steps[i].low, steps[i].high));
}

unsigned pql_decay_add(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ, int64_t t_ms)
{
    const struct pql_decay *decay = signal->decays[0];
    int64_t start = pql_decay_step_of(decay, occ->time_ms) * decay->step_ms;
    drop_weightless(signal, *cell, t_ms);
    if (!pql_decay_at(decay, occ->time_ms, t_ms)) return 0;
    add_to_step(step_at(signal, cell, start), 1, occ->number);
    bool is_value = signal->function == PQL_FN_COUNT || occ->number != 0;
    return PQL_CHANGE_ANY | (is_value ? PQL_CHANGE_VALUE : 0);
}

/* Times are told where each value has its own. */
void pql_decay_read(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_reading *reading)
{
    if (!cell->n) return;
    if (signal->kind == PQL_SIGNAL_LAST) {
        reading->n = cell->n;
        reading->first_at = pql_values_time(signal, cell, 0);
        reading->last_at = pql_values_time(signal, cell, cell->n - 1);
        return;
    }
    const struct pql_entry_step *steps = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++) {
        reading->n += steps[i].n;
        reading->sum += pql_cell_decimal(steps[i].low, steps[i].high);
    }
}
