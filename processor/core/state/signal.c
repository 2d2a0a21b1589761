#include "core/state/signal_cell.h"

#include <stdlib.h>

const struct pql_signal_row pql_signal_rows[PQL_SIGNAL_KIND_COUNT] = {
    [PQL_SIGNAL_COUNT] = {0, sizeof(struct pql_entry_time), true},
    [PQL_SIGNAL_COUNT_EVER] = {sizeof(struct pql_payload_total), 0, false},
    [PQL_SIGNAL_SUM] = {sizeof(struct pql_payload_total), sizeof(struct pql_entry_number),
                        true}, /* total: of all entries */
    [PQL_SIGNAL_SUM_EVER] = {sizeof(struct pql_payload_total), 0, false},
    [PQL_SIGNAL_EXTREME] = {0, sizeof(struct pql_entry_number), true},
    [PQL_SIGNAL_EXTREME_EVER] = {sizeof(struct pql_payload_total), 0, false},
    [PQL_SIGNAL_DISTINCT] = {0, sizeof(struct pql_entry_value), true},
    [PQL_SIGNAL_DISTINCT_EVER] = {0, sizeof(uint64_t), false},
    [PQL_SIGNAL_TIMES] = {sizeof(struct pql_payload_times), 0, false},
    [PQL_SIGNAL_NTH] = {0, sizeof(struct pql_entry_time), false},
    [PQL_SIGNAL_STREAK] = {sizeof(struct pql_payload_streak), 0, false},
    [PQL_SIGNAL_SEQUENCE] = {sizeof(struct pql_payload_sequence), 0, false},
    [PQL_SIGNAL_SEQUENCE_FIRST] = {sizeof(struct pql_payload_first), sizeof(struct pql_entry_first), false},
    [PQL_SIGNAL_STEPS] = {0, sizeof(struct pql_entry_step), false},
    [PQL_SIGNAL_LAST] = {0, sizeof(struct pql_entry_value), false},
    [PQL_SIGNAL_PANES] = {sizeof(struct pql_payload_total), 2 * sizeof(int64_t), false},
    [PQL_SIGNAL_PANES_SUM] = {sizeof(struct pql_payload_total), sizeof(struct pql_entry_pane), false},
    [PQL_SIGNAL_LATEST] = {sizeof(struct pql_payload_newest), 0, false},
    [PQL_SIGNAL_EARLIEST] = {sizeof(struct pql_payload_newest), 0, false},
    [PQL_SIGNAL_FIRST] = {sizeof(struct pql_payload_first), 0, false}, /* entries: pql_first_entry_size */
    [PQL_SIGNAL_FIRST_VALUE] = {sizeof(struct pql_payload_first), sizeof(struct pql_entry_first),
                                false}, /* hash: the kind */
};

static unsigned add(const struct pql_signal *signal, struct pql_cell **cell,
                    const struct pql_occurrence *occurrence, const struct pql_first *first, int64_t t_ms)
{
    bool is_new = !*cell;
    if (is_new) {
        *cell = pql_cell_new(signal, pql_cell_entry_size(signal) ? 2 : 0);
        if (signal->kind == PQL_SIGNAL_SEQUENCE) pql_sequence_init(*cell);
    }
    pql_signal_trim(signal, *cell, first, t_ms);
    if (pql_signal_is_calendar(signal)) {
        if (pql_calendar_at(signal, occurrence->time_ms) != *pql_calendar_of(signal, *cell)) return 0;
        is_new = pql_calendar_is_empty(signal, *cell);
    }
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
    case PQL_SIGNAL_SUM: return pql_rolling_add(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_EXTREME: return pql_rolling_add_extreme(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_STEPS: return pql_decay_add(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_LAST:
    case PQL_SIGNAL_DISTINCT: return pql_rolling_add_distinct(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: return pql_ever_add(signal, *cell, occurrence);
    case PQL_SIGNAL_DISTINCT_EVER: return pql_ever_add_set(signal, cell, occurrence->hash);
    case PQL_SIGNAL_TIMES: return pql_ever_add_times(*cell, occurrence->time_ms, is_new);
    case PQL_SIGNAL_NTH: return pql_ever_add_nth(signal, cell, occurrence);
    case PQL_SIGNAL_SEQUENCE: return pql_sequence_add(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_SEQUENCE_FIRST: return pql_first_add_sequence(signal, cell, occurrence, first, t_ms);
    case PQL_SIGNAL_STREAK: return pql_streak_add(signal, *cell, (int64_t)occurrence->hash, is_new, t_ms);
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: return pql_newest_add(signal, cell, occurrence, is_new, t_ms);
    case PQL_SIGNAL_FIRST: return pql_first_add(signal, cell, occurrence, first, t_ms);
    case PQL_SIGNAL_FIRST_VALUE: return pql_first_add_value(signal, cell, occurrence, first, t_ms);
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: break;
    }
    PQL_ASSERT(false);
    return 0;
}

struct pql_value pql_signal_mean(const struct pql_reading *reading)
{
    pql_decimal mean;
    bool is_something = pql_decimal_div(reading->sum, pql_decimal_of_int((int64_t)reading->n), &mean);
    return is_something ? pql_number(mean) : pql_null();
}

static struct pql_value mean_at(const struct pql_signal *signal, const struct pql_cell *cell,
                                const struct pql_first *first, int64_t t_ms)
{
    struct pql_reading reading;
    pql_signal_read(signal, cell, first, t_ms, &reading);
    return pql_signal_mean(&reading);
}

/* An average may stay as it is though its sum changes, and change though its sum does not. */
unsigned pql_signal_add(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occurrence, const struct pql_first *first, int64_t t_ms)
{
    if (!signal->shows_mean) return add(signal, cell, occurrence, first, t_ms);
    struct pql_value before = mean_at(signal, *cell, first, t_ms);
    unsigned changed = add(signal, cell, occurrence, first, t_ms);
    struct pql_value after = mean_at(signal, *cell, first, t_ms);
    return changed | (pql_value_same(&before, &after) ? 0 : PQL_CHANGE_MEAN);
}

void pql_signal_trim(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                     int64_t t_ms)
{
    if (!cell) return;
    if (pql_signal_rows[signal->kind].is_rolling)
        pql_rolling_trim(signal, cell, t_ms);
    else if (signal->kind == PQL_SIGNAL_SEQUENCE)
        pql_sequence_trim(signal, cell, t_ms);
    else if (pql_signal_is_calendar(signal))
        pql_calendar_trim(signal, cell, t_ms);
    else if (pql_has_end(signal))
        pql_first_trim(signal, cell, first, t_ms);
}

static void read_cell(const struct pql_signal *signal, const struct pql_cell *cell,
                      const struct pql_first *first, int64_t t_ms, struct pql_reading *reading)
{
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
    case PQL_SIGNAL_SUM:
    case PQL_SIGNAL_EXTREME:
    case PQL_SIGNAL_DISTINCT: pql_rolling_read(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_STEPS:
    case PQL_SIGNAL_LAST: pql_decay_read(signal, cell, reading); break;
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER:
    case PQL_SIGNAL_DISTINCT_EVER:
    case PQL_SIGNAL_TIMES:
    case PQL_SIGNAL_NTH: pql_ever_read(signal, cell, reading); break;
    case PQL_SIGNAL_SEQUENCE: pql_sequence_read(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_STREAK: pql_streak_read(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: pql_newest_read(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_SEQUENCE_FIRST:
    case PQL_SIGNAL_FIRST: pql_first_read(signal, cell, reading); break;
    case PQL_SIGNAL_FIRST_VALUE: pql_first_read_value(signal, cell, first, reading); break;
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: PQL_ASSERT(false);
    }
}

void pql_signal_read(const struct pql_signal *signal, const struct pql_cell *cell,
                     const struct pql_first *first, int64_t t_ms, struct pql_reading *reading)
{
    *reading = (struct pql_reading){.first_at = PQL_NO_TIME, .last_at = PQL_NO_TIME};
    bool is_over = cell && pql_signal_is_calendar(signal) &&
                   *pql_calendar_of(signal, cell) != pql_calendar_at(signal, t_ms);
    if (cell && !is_over) read_cell(signal, cell, first, t_ms, reading);
    bool is_counted = signal->kind != PQL_SIGNAL_TIMES && signal->kind != PQL_SIGNAL_NTH;
    if (signal->k && reading->n >= signal->k && is_counted) {
        reading->n = signal->k;
        reading->at_least = true;
    }
}

bool pql_signal_reaches(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                        uint32_t c)
{
    if (!cell) return false;
    if (cell->n >= c && cell->n - pql_values_upto(signal, cell, t_ms - signal->window.ms) >= c) return true;
    if (!pql_signal_reads_panes(signal)) return false;
    struct pql_reading reading;
    pql_signal_read(signal, cell, NULL, t_ms, &reading);
    return reading.n >= c;
}

static int64_t next_plain(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (pql_signal_rows[signal->kind].is_rolling) return pql_rolling_next(signal, cell, t_ms);
    if (pql_signal_is_calendar(signal)) return pql_calendar_next(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_SEQUENCE) return pql_sequence_next(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_LATEST) return pql_newest_next(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_STREAK) return pql_streak_next(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_TIMES) return pql_ever_next_since(signal, cell, t_ms);
    return INT64_MAX;
}

int64_t pql_signal_next_change(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (!cell) return INT64_MAX;
    int64_t plain = next_plain(signal, cell, t_ms), decay = pql_signal_next_decay(signal, cell, t_ms);
    return decay < plain ? decay : plain;
}

int64_t pql_signal_begins(const struct pql_signal *signal, int64_t t_ms)
{
    if (pql_signal_is_calendar(signal))
        return pql_zone_period_start(signal->zone, pql_signal_unit(signal), pql_calendar_at(signal, t_ms));
    bool is_rolling = signal->window.kind == PQL_WINDOW_ROLLING || pql_signal_is_prev(signal);
    return is_rolling ? t_ms - pql_signal_kept_ms(signal) : PQL_NO_TIME;
}

bool pql_signal_adapt(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell **cell)
{
    if (before->kind == PQL_SIGNAL_COUNT || before->kind == PQL_SIGNAL_SUM)
        return pql_rolling_adapt(before, now, cell);
    if (before->kind == PQL_SIGNAL_FIRST) return pql_first_is_cut(before, now, *cell);
    if (before->kind != PQL_SIGNAL_DISTINCT && before->kind != PQL_SIGNAL_DISTINCT_EVER) return false;
    bool wants_more = !now->k || now->k > before->k;
    if (pql_cell_is_full(before, *cell) && wants_more) return true;
    if (pql_signal_rows[now->kind].is_rolling && now->k && (*cell)->n > now->k && !now->is_of_users)
        pql_values_drop_oldest(now, *cell, (*cell)->n - now->k);
    return false;
}

void pql_signal_free(const struct pql_signal *signal, struct pql_cell *cell)
{
    if (cell && pql_has_end(signal)) pql_first_free(signal, cell);
    if (cell && signal->has_panes) pql_panes_free(signal, cell);
    pql_cell_free(cell);
}

size_t pql_signal_bytes(const struct pql_signal *signal, const struct pql_cell *cell)
{
    if (!cell) return 0;
    size_t panes = signal->has_panes ? pql_panes_bytes(signal, cell) : 0;
    size_t form = pql_has_end(signal) ? pql_first_bytes(signal, cell) : 0;
    return pql_cell_size(signal, cell->capacity) + cell->text_len + panes + form;
}

size_t pql_signal_cost(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return cell && cell->is_inside ? 0 : pql_memory_cost(pql_signal_bytes(signal, cell));
}

size_t pql_signal_inside(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return cell && !signal->has_panes && !pql_has_end(signal) ? pql_signal_bytes(signal, cell) : 0;
}

size_t pql_signal_content(const struct pql_signal *signal, const struct pql_cell *cell)
{
    size_t panes = signal->has_panes ? pql_panes_content(signal, cell) : 0;
    size_t form = pql_has_end(signal) ? pql_first_content(signal, cell) : 0;
    return pql_cell_payload_size(signal) + pql_cell_entry_size(signal) * cell->n + cell->text_len + panes +
           form;
}
