/* Windows that the calendar cuts. */
#include "core/state/signal_cell.h"

int64_t pql_calendar_at(const struct pql_signal *signal, int64_t t_ms)
{
    return pql_zone_period(signal->zone, pql_signal_unit(signal), t_ms);
}

/* That the cell is about. */
int64_t *pql_calendar_of(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return (int64_t *)(void *)((char *)pql_cell_payload(cell) + pql_signal_rows[signal->kind].payload);
}

/* Every payload that stands in a calendar window begins with a count, or is of a newest value. */
bool pql_calendar_is_empty(const struct pql_signal *signal, const struct pql_cell *cell)
{
    if (pql_cell_entry_size(signal)) return !cell->n;
    if (signal->kind == PQL_SIGNAL_LATEST || signal->kind == PQL_SIGNAL_EARLIEST)
        return ((const struct pql_payload_newest *)pql_cell_payload(cell))->kind == PQL_NULL;
    return !((const struct pql_payload_total *)pql_cell_payload(cell))->n;
}

/* A new period begins empty. */
void pql_calendar_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    int64_t now = pql_calendar_at(signal, t_ms);
    if (*pql_calendar_of(signal, cell) == now) return;
    memset(cell->data, 0, pql_cell_payload_size(signal));
    cell->n = cell->head = cell->text_len = 0;
    (void)pql_values_thread(signal, cell);
    *pql_calendar_of(signal, cell) = now;
}

int64_t pql_calendar_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (pql_calendar_is_empty(signal, cell)) return INT64_MAX;
    int64_t end =
        pql_zone_period_start(signal->zone, pql_signal_unit(signal), *pql_calendar_of(signal, cell) + 1);
    return end > t_ms ? end : INT64_MAX;
}
