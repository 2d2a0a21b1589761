/* first W, and periods that the mapping names: [start, end) of the subject. */
#include "core/state/signal_first.h"

#include "base/memory.h"
#include <stdlib.h>

static bool is_different(const struct pql_signal *signal)
{
    return signal->function == PQL_FN_DISTINCT || signal->function == PQL_FN_DAYS ||
           signal->function == PQL_FN_WEEKS || signal->function == PQL_FN_MONTHS;
}

/* --- entries: of a count the time, of different things the value beside it, of the others the number. What
 * decays has all of it, and a count says in its hash how many the entry stands for. --- */

static enum { OF_TIMES, OF_VALUES, OF_NUMBERS, OF_ALL } form_of(const struct pql_signal *signal)
{
    if (signal->kind != PQL_SIGNAL_FIRST || signal->decays_count) return OF_ALL;
    if (signal->function == PQL_FN_COUNT) return OF_TIMES;
    return is_different(signal) ? OF_VALUES : OF_NUMBERS;
}

size_t pql_first_entry_size(const struct pql_signal *signal)
{
    static const size_t sizes[] = {[OF_TIMES] = sizeof(struct pql_entry_time),
                                   [OF_VALUES] = sizeof(struct pql_entry_value),
                                   [OF_NUMBERS] = sizeof(struct pql_entry_number),
                                   [OF_ALL] = sizeof(struct pql_entry_first)};
    return sizes[form_of(signal)];
}

static struct pql_entry_first entry_at(const struct pql_signal *signal, const struct pql_cell *cell,
                                       uint32_t i)
{
    const char *at = (const char *)pql_cell_entries(signal, cell) + pql_first_entry_size(signal) * i;
    struct pql_entry_first entry = {0};
    struct pql_entry_number number;
    if (form_of(signal) != OF_NUMBERS) {
        memcpy(&entry, at, pql_first_entry_size(signal));
        return entry;
    }
    memcpy(&number, at, sizeof number);
    return (struct pql_entry_first){number.time_ms, 0, number.low, number.high};
}

static void insert(const struct pql_signal *signal, struct pql_cell **cell,
                   const struct pql_entry_first *entry)
{
    struct pql_entry_number number = {entry->time_ms, entry->low, entry->high};
    const void *from = form_of(signal) == OF_NUMBERS ? (const void *)&number : entry;
    void *at = pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, entry->time_ms));
    memcpy(at, from, pql_first_entry_size(signal));
}

static bool holds_many(const struct pql_signal *signal)
{
    return signal->decays_count && signal->function == PQL_FN_COUNT;
}

void pql_first_lose(struct pql_cell *cell, int64_t time_ms)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    if (!(value->flags & PQL_FIRST_LOST) || time_ms > value->lost_ms) value->lost_ms = time_ms;
    value->flags |= PQL_FIRST_LOST;
}

void pql_first_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i)
{
    pql_first_lose(cell, pql_cell_time(signal, cell, i));
    if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
        pql_first_drop(signal, (const struct pql_entry_first *)pql_cell_entries(signal, cell) + i);
    pql_cell_remove(signal, cell, i);
}

/* --- the value --- */

static bool has_form(const struct pql_signal *signal)
{
    return form_of(signal) == OF_VALUES || signal->kind == PQL_SIGNAL_SEQUENCE_FIRST;
}

struct pql_signal pql_first_form(const struct pql_signal *signal)
{
    struct pql_signal form = *signal;
    form.kind = signal->kind == PQL_SIGNAL_SEQUENCE_FIRST ? PQL_SIGNAL_SEQUENCE : PQL_SIGNAL_DISTINCT_EVER;
    form.window = (struct pql_window){.kind = PQL_WINDOW_EVER};
    return form;
}

void pql_first_drop_form(struct pql_cell *cell)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    free(value->form);
    value->form = NULL;
}

void pql_first_free(const struct pql_signal *signal, struct pql_cell *cell)
{
    if (has_form(signal)) pql_first_drop_form(cell);
    for (uint32_t i = 0; signal->kind == PQL_SIGNAL_FIRST_VALUE && i < cell->n; i++)
        pql_first_drop(signal, (const struct pql_entry_first *)pql_cell_entries(signal, cell) + i);
}

size_t pql_first_bytes(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_signal form = pql_first_form(signal);
    return has_form(signal) && value->form ? pql_cell_size(&form, value->form->capacity) : 0;
}

size_t pql_first_content(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_signal form = pql_first_form(signal);
    return has_form(signal) && value->form ? pql_signal_content(&form, value->form) : 0;
}

bool pql_first_is_cut(const struct pql_signal *before, const struct pql_signal *now,
                      const struct pql_cell *cell)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_signal form = pql_first_form(before);
    bool is_full = has_form(before) && value->form && pql_cell_is_full(&form, value->form);
    return is_full && (!now->k || now->k > before->k);
}

/* The payload, then the form if there is one. */
void pql_first_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    pql_buf_varint(out, value->flags);
    pql_buf_varint(out, value->n);
    pql_buf_zigzag(out, value->first_ms);
    pql_buf_zigzag(out, value->last_ms);
    if (value->flags & PQL_FIRST_LOST) pql_buf_zigzag(out, value->lost_ms);
    if (value->flags & PQL_FIRST_LESS) pql_buf_zigzag(out, value->since_ms);
    pql_buf_zigzag(out, value->high);
    if (!has_form(signal)) {
        pql_buf_zigzag(out, (int64_t)value->low);
        return;
    }
    struct pql_signal form = pql_first_form(signal);
    pql_buf_u8(out, value->form != NULL);
    if (value->form) pql_signal_save(&form, value->form, out);
}

void pql_first_load(const struct pql_signal *signal, struct pql_cell *cell, struct pql_reader *reader)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    value->flags = pql_read_varint(reader);
    value->n = pql_read_varint(reader);
    value->first_ms = pql_read_zigzag(reader);
    value->last_ms = pql_read_zigzag(reader);
    if (value->flags & PQL_FIRST_LOST) value->lost_ms = pql_read_zigzag(reader);
    if (value->flags & PQL_FIRST_LESS) value->since_ms = pql_read_zigzag(reader);
    value->high = pql_read_zigzag(reader);
    if (value->flags >= 2 * PQL_FIRST_MATCHING) reader->failed = true;
    if (!has_form(signal)) {
        value->low = (uint64_t)pql_read_zigzag(reader);
        return;
    }
    struct pql_signal form = pql_first_form(signal);
    uint8_t is_there = pql_read_u8(reader);
    if (is_there > 1) reader->failed = true;
    if (is_there == 1 && !reader->failed) value->form = pql_signal_load(&form, reader);
}

/* Is the value among the occurrences inside the window, before entry `upto`? Of what decays. */
static bool has_inside(const struct pql_signal *signal, const struct pql_cell *cell,
                       const struct pql_first *first, uint64_t hash, uint32_t upto)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < upto; i++)
        if (list[i].hash == hash && pql_first_is_inside(first, list[i].time_ms)) return true;
    return false;
}

static void add_to_form(const struct pql_signal *signal, struct pql_payload_first *value, uint64_t hash)
{
    struct pql_signal form = pql_first_form(signal);
    if (!value->form) value->form = pql_cell_new(&form, 2);
    (void)pql_ever_add_set(&form, &value->form, hash);
    value->n = value->form->n;
}

/* Adds one occurrence inside the window to its value; `is_new`: of what decays, a thing not seen in it
 * before. True if the number or extreme is another than before. */
static bool count_inside(const struct pql_signal *signal, struct pql_payload_first *value,
                         const struct pql_entry_first *entry, bool is_new)
{
    uint64_t before = value->n;
    bool is_other = false;
    if (!value->n || entry->time_ms < value->first_ms) value->first_ms = entry->time_ms;
    if (!value->n || entry->time_ms > value->last_ms) value->last_ms = entry->time_ms;
    if (has_form(signal)) {
        add_to_form(signal, value, entry->hash);
    } else {
        struct pql_payload_total total = {value->n, value->low, value->high};
        is_other = pql_ever_combine(signal, &total, pql_cell_decimal(entry->low, entry->high));
        value->low = total.low;
        value->high = total.high;
        value->n += is_different(signal) ? is_new : holds_many(signal) ? entry->hash : 1;
    }
    bool is_counted = signal->function == PQL_FN_COUNT || is_different(signal);
    return is_counted ? value->n != before : is_other;
}

/* The value of a window anew, over what is kept one by one. */
static void recount(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    if (has_form(signal)) pql_first_drop_form(cell);
    *value = (struct pql_payload_first){.flags = value->flags & ~(uint64_t)PQL_FIRST_FOLDED,
                                        .lost_ms = value->lost_ms,
                                        .since_ms = value->since_ms};
    for (uint32_t i = 0; i < cell->n; i++) {
        struct pql_entry_first entry = entry_at(signal, cell, i);
        if (!pql_first_is_inside(first, entry.time_ms)) continue;
        bool asks = form_of(signal) == OF_ALL && is_different(signal);
        (void)count_inside(signal, value, &entry, !asks || !has_inside(signal, cell, first, entry.hash, i));
    }
}

/* --- what decays is kept by step beyond the limit and after the end, and each value's last time --- */

/* Does the value of entry i come again inside the window? */
static bool has_later(const struct pql_signal *signal, const struct pql_cell *cell,
                      const struct pql_first *first, uint32_t i)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    for (uint32_t k = i + 1; k < cell->n && pql_first_is_inside(first, list[k].time_ms); k++)
        if (list[k].hash == list[i].hash) return true;
    return false;
}

static bool join(const struct pql_decay *decay, struct pql_entry_first *into,
                 const struct pql_entry_first *entry)
{
    if (pql_decay_step_of(decay, into->time_ms) != pql_decay_step_of(decay, entry->time_ms)) return false;
    pql_decimal sum = pql_cell_decimal(into->low, into->high) + pql_cell_decimal(entry->low, entry->high);
    *into = (struct pql_entry_first){entry->time_ms, into->hash + entry->hash, pql_cell_low(sum),
                                     pql_cell_high(sum)};
    return true;
}

static void join_steps(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_entry_first *list = pql_cell_entries(signal, cell);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < cell->n; i++) {
        struct pql_entry_first *last = kept ? &list[kept - 1] : NULL, entry = list[i];
        bool is_joined = false;
        if (pql_first_is_inside(first, entry.time_ms) && is_different(signal))
            is_joined = has_later(signal, cell, first, i);
        else if (last && pql_first_is_inside(first, last->time_ms) &&
                 pql_first_is_inside(first, entry.time_ms))
            is_joined = join(signal->decays[0], last, &entry);
        if (is_joined)
            pql_first_lose(cell, entry.time_ms);
        else
            list[kept++] = entry;
    }
    cell->n = kept;
}

/* --- what stays --- */

/* Of a window that is closed only what decays, and what decides, stays one by one. */
static void keep_first(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                       int64_t t_ms)
{
    bool is_value = signal->kind == PQL_SIGNAL_FIRST_VALUE, is_folded = pql_first_is_folded(cell);
    uint32_t decides = is_value ? pql_first_decider(signal, cell, first) : UINT32_MAX, kept = 0;
    size_t size = pql_cell_entry_size(signal);
    char *list = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++) {
        char *entry = list + size * i;
        int64_t time = pql_cell_time(signal, cell, i);
        bool stays = time + signal->start_grace_ms > t_ms;
        if (pql_first_is_inside(first, time)) stays = !is_folded || i == decides || signal->decays_count;
        if (stays) {
            memmove(list + size * kept++, entry, size);
            continue;
        }
        pql_first_lose(cell, time);
        pql_first_drop(signal, (const struct pql_entry_first *)(void *)entry);
    }
    cell->n = kept;
    if (is_folded && signal->decays_count) join_steps(signal, cell, first);
    if (is_folded && has_form(signal)) pql_first_drop_form(cell);
    if (!cell->n) cell->head = 0;
}

/* Outside the window stand those before its start and those after its end: has the oldest of either outlived
 * its grace? */
static bool has_outlived(const struct pql_signal *signal, const struct pql_cell *cell,
                         const struct pql_first *first, int64_t t_ms)
{
    if (!cell->n) return false;
    uint32_t after = pql_cell_upto(signal, cell, first->end_ms - 1);
    bool is_before = pql_cell_time(signal, cell, 0) < first->start_ms;
    if (is_before && pql_cell_time(signal, cell, 0) + signal->start_grace_ms <= t_ms) return true;
    return after < cell->n && pql_cell_time(signal, cell, after) + signal->start_grace_ms <= t_ms;
}

/* Folds the window when it can no longer move, and forgets what a moved window could no longer reach. */
void pql_first_trim(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                    int64_t t_ms)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    bool folds = t_ms - signal->start_grace_ms >= first->end_ms && !pql_first_is_folded(cell);
    if (folds) value->flags |= PQL_FIRST_FOLDED;
    if (folds || has_outlived(signal, cell, first, t_ms)) keep_first(signal, cell, first, t_ms);
}

bool pql_first_enters(const struct pql_signal *signal, struct pql_cell **cell,
                      const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    pql_first_trim(signal, *cell, first, t_ms);
    if (pql_first_is_folded(*cell)) pql_cell_shrink(signal, cell);
    bool enters = pql_first_is_inside(first, occ->time_ms) ? !pql_first_is_folded(*cell)
                                                           : occ->time_ms + signal->start_grace_ms > t_ms;
    if (!enters) pql_first_lose(*cell, occ->time_ms);
    return enters;
}

/* Room for one more. What decays counts by its entries: there only those outside the window may go. */
static void make_room(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    uint32_t oldest = 0;
    if (cell->n < signal->exact_max) return;
    if (signal->decays_count) {
        join_steps(signal, cell, first);
        if (cell->n < signal->exact_max) return;
        while (oldest < cell->n && pql_first_is_inside(first, pql_cell_time(signal, cell, oldest))) oldest++;
    }
    if (oldest < cell->n) pql_first_remove(signal, cell, oldest);
}

unsigned pql_first_add(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    if (!pql_first_enters(signal, cell, occ, first, t_ms)) return 0;
    struct pql_entry_first entry = {occ->time_ms, holds_many(signal) ? 1 : occ->hash,
                                    pql_cell_low(occ->number), pql_cell_high(occ->number)};
    bool inside = pql_first_is_inside(first, occ->time_ms);
    bool asks = inside && form_of(signal) == OF_ALL && is_different(signal);
    bool is_new = !asks || !has_inside(signal, *cell, first, occ->hash, (*cell)->n);
    make_room(signal, *cell, first);
    insert(signal, cell, &entry);
    if (!inside) return 0;
    bool is_other = count_inside(signal, pql_cell_payload(*cell), &entry, is_new);
    unsigned changed = PQL_CHANGE_ANY | (signal->decays_count ? PQL_CHANGE_AGE : 0);
    return changed | (is_other ? PQL_CHANGE_VALUE : 0);
}

void pql_signal_start_moves(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *before, const struct pql_first *after, int64_t t_ms)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    pql_first_trim(signal, cell, before, t_ms);
    value->flags &= ~(uint64_t)(PQL_FIRST_LESS | PQL_FIRST_FOLDED);
    if (value->flags & PQL_FIRST_LOST && value->lost_ms >= after->start_ms) {
        value->flags |= PQL_FIRST_LESS;
        value->since_ms = value->lost_ms < after->end_ms ? value->lost_ms + 1 : after->end_ms;
    }
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST)
        pql_first_rematch(signal, cell, after);
    else if (signal->kind == PQL_SIGNAL_FIRST)
        recount(signal, cell, after);
}

int64_t pql_signal_complete_since(const struct pql_signal *signal, const struct pql_cell *cell)
{
    if (!cell || !pql_has_end(signal)) return PQL_NO_TIME;
    const struct pql_payload_first *value = pql_cell_payload(cell);
    return value->flags & PQL_FIRST_LESS ? value->since_ms : PQL_NO_TIME;
}

/* Of a sequence only its start is told. */
void pql_first_read(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_reading *reading)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    reading->n = value->n;
    if (value->n) reading->first_at = value->first_ms;
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST) return;
    if (!has_form(signal)) reading->sum = pql_cell_decimal(value->low, value->high);
    if (value->n) reading->last_at = value->last_ms;
}

/* --- two users become one --- */

static void widen(struct pql_payload_first *value, const struct pql_payload_first *more)
{
    if (!more->n) return;
    if (!value->n || more->first_ms < value->first_ms) value->first_ms = more->first_ms;
    if (!value->n || more->last_ms > value->last_ms) value->last_ms = more->last_ms;
}

/* Numbers of both together: more than the entries tell where some had to go. */
static void combine_values(const struct pql_signal *signal, struct pql_payload_first *value,
                           const struct pql_payload_first *more)
{
    struct pql_payload_total total = {value->n, value->low, value->high};
    if (!more->n) return;
    (void)pql_ever_combine(signal, &total, pql_cell_decimal(more->low, more->high));
    widen(value, more);
    value->n += more->n;
    value->low = total.low;
    value->high = total.high;
}

/* Which they were is known while the window is open; after that the larger number holds. */
static void combine_forms(const struct pql_signal *signal, struct pql_payload_first *value,
                          const struct pql_payload_first *more)
{
    widen(value, more);
    const struct pql_cell *from = more->form;
    struct pql_signal form = pql_first_form(signal);
    for (uint32_t i = 0; from && i < from->n; i++)
        add_to_form(signal, value, (uint64_t)pql_cell_time(&form, from, i)); /* of a set: the hash */
    if (!value->form && more->n > value->n) value->n = more->n;
}

static void merge_lost(struct pql_cell *into, const struct pql_cell *from)
{
    struct pql_payload_first *value = pql_cell_payload(into);
    const struct pql_payload_first *more = pql_cell_payload(from);
    if (more->flags & PQL_FIRST_LOST) pql_first_lose(into, more->lost_ms);
    if (!(more->flags & PQL_FIRST_LESS)) return;
    if (!(value->flags & PQL_FIRST_LESS) || more->since_ms > value->since_ms)
        value->since_ms = more->since_ms;
    value->flags |= PQL_FIRST_LESS;
}

static void merge_counted(const struct pql_signal *signal, struct pql_cell **into,
                          const struct pql_cell *from, const struct pql_first *first, int64_t t_ms)
{
    const struct pql_payload_first *more = pql_cell_payload(from);
    bool decays_apart = is_different(signal) && signal->decays_count;
    uint64_t new_count = 0;
    for (uint32_t i = 0; i < from->n; i++) {
        struct pql_entry_first entry = entry_at(signal, from, i);
        new_count += decays_apart && pql_first_is_inside(first, entry.time_ms) &&
                     !has_inside(signal, *into, first, entry.hash, (*into)->n);
        make_room(signal, *into, first);
        insert(signal, into, &entry);
    }
    struct pql_payload_first *value = pql_cell_payload(*into);
    if (has_form(signal)) {
        combine_forms(signal, value, more);
    } else if (decays_apart) {
        widen(value, more);
        value->n += new_count;
    } else {
        combine_values(signal, value, more);
    }
    if (pql_first_is_folded(*into)) keep_first(signal, *into, first, t_ms);
}

void pql_first_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                     const struct pql_first *first, int64_t t_ms)
{
    merge_lost(*into, from);
    if (signal->kind == PQL_SIGNAL_FIRST) {
        merge_counted(signal, into, from, first, t_ms);
    } else if (signal->kind == PQL_SIGNAL_FIRST_VALUE) {
        pql_first_merge_values(signal, into, from, first);
        if (pql_first_is_folded(*into)) keep_first(signal, *into, first, t_ms);
    } else {
        pql_first_merge_matches(signal, into, from, first);
    }
}

/* --- by user --- */

static bool is_of(const struct pql_signal *signal, const struct pql_entry_first *entry,
                  const struct pql_renaming *renaming)
{
    if (signal->kind != PQL_SIGNAL_FIRST_VALUE) return entry->hash == renaming->from_hash;
    struct pql_value value = pql_first_value(entry);
    return pql_value_same(&value, &renaming->from);
}

/* Entry i is the other user's now, or goes: false. */
static bool rename_entry(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i,
                         const struct pql_renaming *renaming)
{
    char *at = (char *)pql_cell_entries(signal, cell) + pql_cell_entry_size(signal) * i;
    struct pql_entry_first entry = entry_at(signal, cell, i);
    if (!is_of(signal, &entry, renaming)) return true;
    pql_first_drop(signal, &entry);
    if (renaming->to.kind == PQL_NULL) return false;
    if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
        entry = pql_first_entry(entry.time_ms, &renaming->to);
    else
        entry.hash = renaming->to_hash;
    memcpy(at, &entry, pql_cell_entry_size(signal)); /* of values: the first words */
    return true;
}

/* What the form knows and the list may not. */
static void rename_in_form(const struct pql_signal *signal, struct pql_cell *cell,
                           const struct pql_renaming *renaming, int64_t t_ms)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_signal form = pql_first_form(signal);
    if (!value->form) return;
    (void)pql_signal_rename(&form, &value->form, renaming, NULL, t_ms);
    if (signal->kind == PQL_SIGNAL_FIRST) value->n = value->form->n;
}

/* A window that is closed keeps its number: which they were is not kept. */
void pql_first_rename(const struct pql_signal *signal, struct pql_cell *cell,
                      const struct pql_renaming *renaming, const struct pql_first *first, int64_t t_ms)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    bool is_by_value = is_different(signal) || signal->is_by || signal->kind == PQL_SIGNAL_FIRST_VALUE;
    size_t size = pql_cell_entry_size(signal);
    char *list = pql_cell_entries(signal, cell);
    uint32_t kept = 0;
    if (!is_by_value) return;
    for (uint32_t i = 0; i < cell->n; i++)
        if (rename_entry(signal, cell, i, renaming)) memmove(list + size * kept++, list + size * i, size);
    cell->n = kept;
    if (value->flags & PQL_FIRST_FOLDED || signal->kind == PQL_SIGNAL_FIRST_VALUE) return;
    if (value->flags & PQL_FIRST_LOST && has_form(signal))
        rename_in_form(signal, cell, renaming, t_ms);
    else if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST)
        pql_first_rematch(signal, cell, first);
    else
        recount(signal, cell, first);
}
