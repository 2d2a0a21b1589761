/* signal_first.h - what the functions in `first W` and named periods have in common. For signal_first*.c
 * only.
 *
 *   value     its ever form: numbers in the payload; of different things, and of a sequence, a cell of its
 * own list      (time, …) one by one, for a window that moves: all inside it until it cannot move any more,
 * those outside for their grace. At the limit the oldest goes: the value stays exact where it is, and a
 *             window that moves onto ground that is lost counts what is left, and says since when.
 *
 * Files: signal_first.c (the list; count, sum, avg, min, max, distinct, days, weeks, months), and
 * signal_first_value.c (latest, earliest), signal_first_match.c (sequence). */
#ifndef PQL_CORE_STATE_SIGNAL_FIRST_H
#define PQL_CORE_STATE_SIGNAL_FIRST_H

#include "core/state/signal_cell.h"

static inline bool pql_first_is_inside(const struct pql_first *first, int64_t time_ms)
{
    return time_ms >= first->start_ms && time_ms < first->end_ms;
}

static inline bool pql_first_is_folded(const struct pql_cell *cell)
{
    return ((const struct pql_payload_first *)pql_cell_payload(cell))->flags & PQL_FIRST_FOLDED;
}

/* An occurrence that is no longer kept one by one. */
void pql_first_lose(struct pql_cell *cell, int64_t time_ms);
/* Entry i is lost. */
void pql_first_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i);
/* Trims, gives room back, and says whether an occurrence still enters; one that does not is lost. */
bool pql_first_enters(const struct pql_signal *signal, struct pql_cell **cell,
                      const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms);
/* The signal of the cell that holds the value. */
struct pql_signal pql_first_form(const struct pql_signal *signal);
void pql_first_drop_form(struct pql_cell *cell);

/* latest, earliest: index of the entry that decides; cell->n: none. */
uint32_t pql_first_decider(const struct pql_signal *signal, const struct pql_cell *cell,
                           const struct pql_first *first);
void pql_first_merge_values(const struct pql_signal *signal, struct pql_cell **into,
                            const struct pql_cell *from, const struct pql_first *first);
/* sequence: the events inside the window once more. */
void pql_first_rematch(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first);
void pql_first_merge_matches(const struct pql_signal *signal, struct pql_cell **into,
                             const struct pql_cell *from, const struct pql_first *first);

#endif
