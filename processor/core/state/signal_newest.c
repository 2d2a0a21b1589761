/* The newest value, and the oldest. */
#include "core/state/signal_cell.h"

#include "base/memory.h"

static struct pql_value newest_value(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct pql_payload_newest *newest = pql_cell_payload(cell);
    struct pql_value value = {.kind = (enum pql_kind)newest->kind};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = newest->low != 0; break;
    case PQL_NUMBER: value.number = pql_cell_decimal(newest->low, newest->high); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = (int64_t)newest->low; break;
    case PQL_TEXT:
        value.text =
            (struct pql_slice){(const char *)cell->data + pql_cell_payload_size(signal), cell->text_len};
        break;
    }
    return value;
}

static void set_newest(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ)
{
    const struct pql_value *value = &occ->value;
    uint32_t len = value->kind == PQL_TEXT ? (uint32_t)value->text.len : 0;
    struct pql_cell *c = *cell =
        pql_cell_resize(*cell, pql_cell_size(signal, 0), pql_cell_size(signal, 0) + len);
    c->text_len = len & INT32_MAX;
    struct pql_payload_newest newest = {.time_ms = occ->time_ms, .kind = value->kind};
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: newest.low = value->boolean; break;
    case PQL_NUMBER:
        newest.low = pql_cell_low(value->number), newest.high = pql_cell_high(value->number);
        break;
    case PQL_DURATION:
    case PQL_TIME: newest.low = (uint64_t)value->ms; break;
    case PQL_TEXT:
        if (len) memcpy(c->data + pql_cell_payload_size(signal), value->text.ptr, len);
        break;
    }
    memcpy(c->data, &newest, sizeof newest);
}

/* Only latest has a rolling window here. */
static bool has_left(const struct pql_signal *signal, int64_t time_ms, int64_t t_ms)
{
    return signal->window.kind == PQL_WINDOW_ROLLING && time_ms <= t_ms - signal->window.ms;
}

unsigned pql_newest_add(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occ, bool is_new, int64_t t_ms)
{
    const struct pql_payload_newest *newest = pql_cell_payload(*cell);
    bool is_latest = signal->kind == PQL_SIGNAL_LATEST;
    if (has_left(signal, occ->time_ms, t_ms)) return 0;
    if (!is_new && (is_latest ? occ->time_ms < newest->time_ms : occ->time_ms >= newest->time_ms)) return 0;
    struct pql_value before =
        is_new || has_left(signal, newest->time_ms, t_ms) ? pql_null() : newest_value(signal, *cell);
    bool changes = !pql_value_same(&before, &occ->value);
    set_newest(signal, cell, occ);
    return PQL_CHANGE_ANY | (changes ? PQL_CHANGE_VALUE : 0);
}

void pql_newest_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                     struct pql_reading *reading)
{
    const struct pql_payload_newest *newest = pql_cell_payload(cell);
    if (has_left(signal, newest->time_ms, t_ms) || newest->kind == PQL_NULL) return;
    reading->value = newest_value(signal, cell);
    reading->first_at = reading->last_at = newest->time_ms;
    reading->n = 1;
}

int64_t pql_newest_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (signal->window.kind != PQL_WINDOW_ROLLING) return INT64_MAX;
    int64_t due = ((const struct pql_payload_newest *)pql_cell_payload(cell))->time_ms + signal->window.ms;
    return due > t_ms ? due : INT64_MAX;
}

void pql_newest_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                      int64_t t_ms)
{
    int64_t time_ms = ((const struct pql_payload_newest *)pql_cell_payload(from))->time_ms;
    if (signal->kind == PQL_SIGNAL_LATEST &&
        ((const struct pql_payload_newest *)pql_cell_payload(*into))->time_ms == time_ms)
        return;
    struct pql_occurrence occ = {.time_ms = time_ms, .value = newest_value(signal, from)};
    (void)pql_newest_add(signal, into, &occ, false, t_ms);
}

/* Who is erased leaves nothing: who was before is not known. */
void pql_newest_rename(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_renaming *renaming)
{
    struct pql_value value = newest_value(signal, *cell);
    if (!pql_value_same(&value, &renaming->from)) return;
    struct pql_occurrence occ = {.value = renaming->to};
    occ.time_ms = ((const struct pql_payload_newest *)pql_cell_payload(*cell))->time_ms;
    set_newest(signal, cell, &occ);
}
