/* What is older than the newest exact_max of a rolling window: so many and their sum, for each 1/1024 of the
 * window. */
#include "core/state/signal_cell.h"

#include "base/date.h"
#include <stdlib.h>

enum { PANES_IN_WINDOW = 1024 };

/* The panes are a cell of their own, which is there once something is folded. */
static const struct pql_signal counts = {.kind = PQL_SIGNAL_PANES};
static const struct pql_signal sums = {.kind = PQL_SIGNAL_PANES_SUM};

static const struct pql_signal *kind_of(const struct pql_signal *signal)
{
    return signal->kind == PQL_SIGNAL_SUM ? &sums : &counts;
}

static struct pql_cell **panes_at(const struct pql_signal *signal, const struct pql_cell *cell)
{
    char *after = (char *)pql_cell_payload(cell) + pql_signal_rows[signal->kind].payload;
    return (struct pql_cell **)(void *)after;
}

/* Panes of counts have no sum. */
static struct pql_folded pane(const struct pql_signal *signal, const struct pql_cell *panes, uint32_t i)
{
    const struct pql_signal *kind = kind_of(signal);
    struct pql_entry_pane entry = {0};
    memcpy(&entry, (const char *)pql_cell_entries(kind, panes) + pql_cell_entry_size(kind) * i,
           pql_cell_entry_size(kind));
    return (struct pql_folded){entry.n, pql_cell_decimal(entry.low, entry.high)};
}

static void add_to(const struct pql_signal *signal, struct pql_cell *panes, uint32_t i, int64_t end_ms,
                   const struct pql_folded *more)
{
    const struct pql_signal *kind = kind_of(signal);
    struct pql_folded all = pane(signal, panes, i);
    pql_decimal sum = all.sum + more->sum;
    struct pql_entry_pane entry = {end_ms, all.n + more->n, pql_cell_low(sum), pql_cell_high(sum)};
    memcpy((char *)pql_cell_entries(kind, panes) + pql_cell_entry_size(kind) * i, &entry,
           pql_cell_entry_size(kind));
}

static void add_to_total(struct pql_cell *panes, uint64_t n, pql_decimal sum)
{
    struct pql_payload_total *total = pql_cell_payload(panes);
    sum += pql_cell_decimal(total->low, total->high);
    *total = (struct pql_payload_total){total->n + n, pql_cell_low(sum), pql_cell_high(sum)};
}

int64_t pql_panes_end(const struct pql_signal *signal, int64_t time_ms)
{
    int64_t width = (signal->window.ms + PANES_IN_WINDOW - 1) / PANES_IN_WINDOW;
    return (pql_floor_div(time_ms, width) + 1) * width;
}

void pql_panes_add(const struct pql_signal *signal, struct pql_cell *cell, int64_t end_ms,
                   const struct pql_folded *more)
{
    const struct pql_signal *kind = kind_of(signal);
    struct pql_cell **panes = panes_at(signal, cell);
    if (!*panes) *panes = pql_cell_new(kind, 2);
    uint32_t i = pql_cell_upto(kind, *panes, end_ms);
    bool is_there = i && pql_cell_time(kind, *panes, i - 1) == end_ms;
    if (is_there)
        i--;
    else
        memset(pql_cell_insert(kind, panes, i), 0, pql_cell_entry_size(kind));
    add_to(signal, *panes, i, end_ms, more);
    add_to_total(*panes, more->n, more->sum);
}

static struct pql_folded sum_of(const struct pql_signal *signal, const struct pql_cell *panes, uint32_t from,
                                uint32_t upto)
{
    struct pql_folded all = {0};
    for (uint32_t i = from; i < upto; i++) {
        struct pql_folded one = pane(signal, panes, i);
        all.n += one.n;
        all.sum += one.sum;
    }
    return all;
}

struct pql_folded pql_panes_between(const struct pql_signal *signal, const struct pql_cell *cell,
                                    int64_t after_ms, int64_t upto_ms)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    if (!panes) return (struct pql_folded){0};
    uint32_t from = pql_cell_upto(kind_of(signal), panes, after_ms);
    uint32_t upto = pql_cell_upto(kind_of(signal), panes, upto_ms);
    if (upto - from <= panes->n / 2) return sum_of(signal, panes, from, upto);
    struct pql_folded before = sum_of(signal, panes, 0, from), behind = sum_of(signal, panes, upto, panes->n);
    const struct pql_payload_total *total = pql_cell_payload(panes);
    return (struct pql_folded){total->n - before.n - behind.n,
                               pql_cell_decimal(total->low, total->high) - before.sum - behind.sum};
}

void pql_panes_each(const struct pql_signal *signal, const struct pql_cell *cell, int64_t after_ms,
                    pql_panes_visit visit, void *context)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    if (!panes) return;
    for (uint32_t i = pql_cell_upto(kind_of(signal), panes, after_ms); i < panes->n; i++) {
        struct pql_folded one = pane(signal, panes, i);
        visit(pql_cell_time(kind_of(signal), panes, i), &one, context);
    }
}

int64_t pql_panes_first_after(const struct pql_signal *signal, const struct pql_cell *cell, int64_t ms)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    uint32_t i = panes ? pql_cell_upto(kind_of(signal), panes, ms) : 0;
    return panes && i < panes->n ? pql_cell_time(kind_of(signal), panes, i) : INT64_MAX;
}

/* The last pane that goes takes their room along. */
void pql_panes_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t upto_ms)
{
    struct pql_cell **panes = panes_at(signal, cell);
    if (!*panes) return;
    uint32_t gone = pql_cell_upto(kind_of(signal), *panes, upto_ms);
    struct pql_folded left = sum_of(signal, *panes, 0, gone);
    add_to_total(*panes, -left.n, -left.sum);
    pql_cell_drop_oldest(*panes, gone);
    if (!(*panes)->n) pql_panes_free(signal, cell);
}

void pql_panes_free(const struct pql_signal *signal, struct pql_cell *cell)
{
    free(*panes_at(signal, cell));
    *panes_at(signal, cell) = NULL;
}

size_t pql_panes_bytes(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    return panes ? pql_cell_size(kind_of(signal), panes->capacity) : 0;
}

size_t pql_panes_content(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    return panes ? pql_signal_content(kind_of(signal), panes) : 0;
}

void pql_panes_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out)
{
    const struct pql_cell *panes = *panes_at(signal, cell);
    pql_buf_u8(out, panes != NULL);
    if (panes) pql_signal_save(kind_of(signal), panes, out);
}

void pql_panes_load(const struct pql_signal *signal, struct pql_cell *cell, struct pql_reader *reader)
{
    uint8_t has_panes = pql_read_u8(reader);
    if (has_panes > 1) reader->failed = true;
    if (has_panes == 1 && !reader->failed) *panes_at(signal, cell) = pql_signal_load(kind_of(signal), reader);
}
