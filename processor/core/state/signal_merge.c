/* 1. Two users become one: what is kept of the one's occurrences goes to the other, as if they had been its
 * own.
 *
 *   kept one by one      (newest k times, values, candidates) added as late occurrences are: of two lists
 *                        of the newest k the newest k, so that min(true value, k) stays exact
 *   numbers, extremes,   combined, exact
 *   times, n earliest
 *   by step              the steps of both, added up
 *   streak               days that either knows; a run before the 64 days goes on where either one's does
 *   latest, earliest     by time; at equal times the user's own holds
 *   sequence             per step (and value of `by`) the match with the later start; events that began
 *                        nothing for their own user are not known any more, so they end no match that
 *                        the other began
 *   first W              both windows have moved to the user's present start before. Occurrences one by one
 *                        as above; of a window that is closed the values: numbers are combined, of different
 *                        things the larger number holds, because which they were is not kept
 *   sequence in first W  its events are kept: matched anew, in the order of each user and by time between
 *                        both
 *
 * The smaller list goes into the larger one: chains of aliases cost what is kept, not more.
 *
 * 2. What an account keeps by user (distinct users, a sequence by user, the latest user): the value becomes
 * the other user's, with the later of both times, or goes. */
#include "core/state/signal_cell.h"

#include <stdlib.h>

static void swap(struct pql_cell **a, struct pql_cell **b)
{
    struct pql_cell *c = *a;
    *a = *b;
    *b = c;
}

static struct pql_occurrence occurrence_at(const struct pql_signal *signal, const struct pql_cell *cell,
                                           uint32_t i)
{
    const char *at = (const char *)pql_cell_entries(signal, cell) + pql_cell_entry_size(signal) * i;
    struct pql_occurrence occ = {0};
    struct pql_entry_number number;
    if (signal->kind == PQL_SIGNAL_SUM || signal->kind == PQL_SIGNAL_EXTREME) {
        memcpy(&number, at, sizeof number);
        occ.number = pql_cell_decimal(number.low, number.high);
    }
    memcpy(&occ.time_ms, at, sizeof occ.time_ms); /* of a set: the hash */
    return occ;
}

struct panes {
    const struct pql_signal *signal;
    struct pql_cell *cell;
};

static void add_pane(int64_t end_ms, const struct pql_folded *pane, void *context)
{
    const struct panes *into = context;
    pql_panes_add(into->signal, into->cell, end_ms, pane);
}

static void merge_values(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                         int64_t t_ms)
{
    for (uint32_t i = pql_values_oldest(signal, from); i != PQL_NO_VALUE;
         i = pql_values_newer(signal, from, i)) {
        struct pql_occurrence occ = {.time_ms = pql_cell_time(signal, from, i),
                                     .hash = pql_values_hash(signal, from, i)};
        (void)pql_rolling_add_distinct(signal, into, &occ, t_ms);
    }
}

static void merge_entries(const struct pql_signal *signal, struct pql_cell **into, struct pql_cell **from,
                          int64_t t_ms)
{
    if ((*from)->n > (*into)->n) swap(into, from);
    if (signal->kind == PQL_SIGNAL_DISTINCT || signal->kind == PQL_SIGNAL_LAST) {
        merge_values(signal, into, *from, t_ms);
        return;
    }
    if (signal->has_panes) pql_panes_each(signal, *from, INT64_MIN, add_pane, &(struct panes){signal, *into});
    for (uint32_t i = 0; i < (*from)->n; i++) {
        struct pql_occurrence occ = occurrence_at(signal, *from, i);
        if (signal->kind == PQL_SIGNAL_EXTREME)
            (void)pql_rolling_add_extreme(signal, into, &occ, t_ms);
        else if (signal->kind == PQL_SIGNAL_DISTINCT_EVER)
            (void)pql_ever_add_set(signal, into, (uint64_t)occ.time_ms);
        else if (signal->kind == PQL_SIGNAL_NTH)
            (void)pql_ever_add_nth(signal, into, &occ);
        else
            (void)pql_rolling_add(signal, into, &occ, t_ms);
    }
}

static void merge_total(const struct pql_signal *signal, struct pql_cell *into, const struct pql_cell *from)
{
    struct pql_payload_total *total = pql_cell_payload(into);
    const struct pql_payload_total *more = pql_cell_payload(from);
    if (!more->n) return;
    (void)pql_ever_combine(signal, total, pql_cell_decimal(more->low, more->high));
    total->n += more->n;
}

static void merge_times(struct pql_cell *into, const struct pql_cell *from)
{
    const struct pql_payload_times *times = pql_cell_payload(from);
    (void)pql_ever_add_times(into, times->first_ms, false);
    (void)pql_ever_add_times(into, times->last_ms, false);
}

static void merge_one(const struct pql_signal *signal, struct pql_cell **into, struct pql_cell **from,
                      const struct pql_first *first, int64_t t_ms)
{
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
    case PQL_SIGNAL_SUM:
    case PQL_SIGNAL_EXTREME:
    case PQL_SIGNAL_DISTINCT:
    case PQL_SIGNAL_DISTINCT_EVER:
    case PQL_SIGNAL_LAST:
    case PQL_SIGNAL_NTH: merge_entries(signal, into, from, t_ms); break;
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: merge_total(signal, *into, *from); break;
    case PQL_SIGNAL_STEPS: pql_decay_merge(signal, into, *from); break;
    case PQL_SIGNAL_TIMES: merge_times(*into, *from); break;
    case PQL_SIGNAL_STREAK: pql_streak_merge(*into, *from); break;
    case PQL_SIGNAL_SEQUENCE: pql_sequence_merge(signal, into, *from); break;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: pql_newest_merge(signal, into, *from, t_ms); break;
    case PQL_SIGNAL_FIRST:
    case PQL_SIGNAL_FIRST_VALUE:
    case PQL_SIGNAL_SEQUENCE_FIRST: pql_first_merge(signal, into, *from, first, t_ms); break;
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: PQL_ASSERT(false);
    }
}

/* --- what has changed --- */

struct seen {
    struct pql_reading reading, twin;
    struct pql_value mean;
    char *text; /* of the value, a copy: the cell changes */
};

static struct seen look(const struct pql_signal *signal, const struct pql_cell *cell,
                        const struct pql_first *first, int64_t t_ms)
{
    struct seen seen = {.mean = pql_null()};
    pql_signal_read(signal, cell, first, t_ms, &seen.reading);
    if (signal->twin) pql_signal_read(signal->twin, cell, first, t_ms, &seen.twin);
    if (signal->shows_mean) seen.mean = pql_signal_mean(&seen.reading);
    struct pql_value *value = &seen.reading.value;
    if (value->kind == PQL_TEXT) {
        seen.text = pql_xstrndup(value->text.ptr, value->text.len);
        value->text.ptr = seen.text;
    }
    return seen;
}

static bool is_same_number(const struct pql_reading *a, const struct pql_reading *b)
{
    return a->n == b->n && a->sum == b->sum;
}

static unsigned changes_of(const struct pql_signal *signal, const struct seen *was, const struct seen *is)
{
    unsigned changed = 0;
    bool is_other = !is_same_number(&was->reading, &is->reading) ||
                    !pql_value_same(&was->reading.value, &is->reading.value) ||
                    (signal->kind == PQL_SIGNAL_NTH && was->reading.first_at != is->reading.first_at);
    if (is_other) changed |= PQL_CHANGE_VALUE;
    if (!was->reading.n && is->reading.n) changed |= PQL_CHANGE_ANY;
    if (was->reading.first_at != is->reading.first_at) changed |= PQL_CHANGE_FIRST;
    if (was->reading.last_at != is->reading.last_at) changed |= PQL_CHANGE_LAST;
    if (!is_same_number(&was->twin, &is->twin)) changed |= PQL_CHANGE_TWIN;
    if (!pql_value_same(&was->mean, &is->mean)) changed |= PQL_CHANGE_MEAN;
    return changed;
}

/* What is empty, or of a calendar period that is over, is nothing. */
static bool is_nothing(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return !cell || (pql_signal_is_calendar(signal) && pql_calendar_is_empty(signal, cell));
}

unsigned pql_signal_merge(const struct pql_signal *signal, struct pql_cell **into, struct pql_cell *from,
                          const struct pql_first *first, int64_t t_ms)
{
    pql_signal_trim(signal, from, first, t_ms);
    pql_signal_trim(signal, *into, first, t_ms);
    struct seen was = look(signal, *into, first, t_ms), more = look(signal, from, first, t_ms);
    if (is_nothing(signal, *into))
        swap(into, &from);
    else if (!is_nothing(signal, from))
        merge_one(signal, into, &from, first, t_ms);
    pql_signal_free(signal, from);
    struct seen is = look(signal, *into, first, t_ms);
    unsigned changed = changes_of(signal, &was, &is);
    /* At its limit a number shows no change, and has changed. */
    if (was.reading.at_least && more.reading.n) changed |= PQL_CHANGE_VALUE;
    if (signal->decays_count && more.reading.n) changed |= PQL_CHANGE_AGE;
    free(was.text);
    free(more.text);
    free(is.text);
    return changed;
}

/* --- by user --- */

static void rename_distinct(const struct pql_signal *signal, struct pql_cell **cell,
                            const struct pql_renaming *renaming, int64_t t_ms)
{
    uint32_t i = pql_values_find(signal, *cell, renaming->from_hash);
    if (i == PQL_NO_VALUE) return;
    struct pql_occurrence occ = {.time_ms = pql_cell_time(signal, *cell, i), .hash = renaming->to_hash};
    pql_values_remove(signal, *cell, i);
    if (renaming->to.kind != PQL_NULL) (void)pql_rolling_add_distinct(signal, cell, &occ, t_ms);
}

static void rename_in_set(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_renaming *renaming)
{
    const uint64_t *set = pql_cell_entries(signal, *cell);
    uint32_t i = 0;
    while (i < (*cell)->n && set[i] != renaming->from_hash) i++;
    if (i == (*cell)->n) return;
    pql_cell_remove(signal, *cell, i);
    if (renaming->to.kind != PQL_NULL) (void)pql_ever_add_set(signal, cell, renaming->to_hash);
}

unsigned pql_signal_rename(const struct pql_signal *signal, struct pql_cell **cell,
                           const struct pql_renaming *renaming, const struct pql_first *first, int64_t t_ms)
{
    pql_signal_trim(signal, *cell, first, t_ms);
    struct seen was = look(signal, *cell, first, t_ms);
    if (signal->kind == PQL_SIGNAL_DISTINCT || signal->kind == PQL_SIGNAL_LAST)
        rename_distinct(signal, cell, renaming, t_ms);
    else if (signal->kind == PQL_SIGNAL_DISTINCT_EVER)
        rename_in_set(signal, cell, renaming);
    else if (signal->kind == PQL_SIGNAL_SEQUENCE && signal->is_by)
        pql_sequence_rename(signal, cell, renaming);
    else if (signal->kind == PQL_SIGNAL_LATEST || signal->kind == PQL_SIGNAL_EARLIEST)
        pql_newest_rename(signal, cell, renaming);
    else if (pql_has_end(signal))
        pql_first_rename(signal, *cell, renaming, first, t_ms);
    struct seen is = look(signal, *cell, first, t_ms);
    unsigned changed = changes_of(signal, &was, &is);
    if (signal->decays_count) changed |= PQL_CHANGE_AGE;
    free(was.text);
    free(is.text);
    return changed;
}
