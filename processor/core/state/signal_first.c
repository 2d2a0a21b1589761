/* first W, and periods that the mapping names: [start, end) of the subject. */
#include "core/state/signal_cell.h"

#include "base/memory.h"
#include <stdlib.h>

static bool is_inside(const struct pql_first *first, int64_t time_ms)
{
    return time_ms >= first->start_ms && time_ms < first->end_ms;
}

static bool is_different(const struct pql_signal *signal)
{
    return signal->function == PQL_FN_DISTINCT || signal->function == PQL_FN_DAYS ||
           signal->function == PQL_FN_WEEKS || signal->function == PQL_FN_MONTHS;
}

/* A count that decays says in an entry's hash how many it stands for. */
static bool holds_many(const struct pql_signal *signal)
{
    return signal->decays_count && signal->function == PQL_FN_COUNT;
}

/* Is the value among the occurrences inside the window, before entry `upto`? */
static bool has_inside(const struct pql_signal *signal, const struct pql_cell *cell,
                       const struct pql_first *first, uint64_t hash, uint32_t upto)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < upto; i++)
        if (list[i].hash == hash && is_inside(first, list[i].time_ms)) return true;
    return false;
}

/* Does the value of entry i come again inside the window? */
static bool has_later(const struct pql_signal *signal, const struct pql_cell *cell,
                      const struct pql_first *first, uint32_t i)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    for (uint32_t k = i + 1; k < cell->n && is_inside(first, list[k].time_ms); k++)
        if (list[k].hash == list[i].hash) return true;
    return false;
}

/* Adds one occurrence inside the window to its value; `is_new`: of different things, not seen in it before.
 * True if the sum or extreme is another than before. */
static bool count_inside(const struct pql_signal *signal, struct pql_payload_first *value, int64_t time_ms,
                         pql_decimal number, bool is_new)
{
    struct pql_payload_total total = {value->n, value->low, value->high};
    bool is_other = pql_ever_combine(signal, &total, number);
    value->low = total.low;
    value->high = total.high;
    if (!value->n || time_ms < value->first_ms) value->first_ms = time_ms;
    if (!value->n || time_ms > value->last_ms) value->last_ms = time_ms;
    value->n += !is_different(signal) || is_new;
    return is_other;
}

static int by_arrival(const void *a, const void *b)
{
    int64_t x = ((const struct pql_entry_first *)a)->high, y = ((const struct pql_entry_first *)b)->high;
    return (x > y) - (x < y);
}

/* The events inside the window once more, in the order in which they came (high); low: their steps. */
static void rematch(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_payload_first *value = pql_cell_payload(cell);
    struct pql_signal ever = *signal;
    struct pql_cell *match = NULL;
    struct pql_entry_first *list = pql_xmalloc((cell->n + 1) * sizeof *list);
    int64_t newest_ms = INT64_MIN;
    ever.kind = PQL_SIGNAL_SEQUENCE;
    ever.window = (struct pql_window){.kind = PQL_WINDOW_EVER};
    memcpy(list, pql_cell_entries(signal, cell), cell->n * sizeof *list);
    qsort(list, cell->n, sizeof *list, by_arrival);
    for (uint32_t i = 0; i < cell->n; i++) {
        struct pql_occurrence occ = {
            .time_ms = list[i].time_ms, .hash = list[i].hash, .steps = (uint32_t)list[i].low};
        if (!is_inside(first, occ.time_ms)) continue;
        if (occ.time_ms > newest_ms) newest_ms = occ.time_ms;
        (void)pql_signal_add(&ever, &match, &occ, NULL, newest_ms);
    }
    const struct pql_payload_sequence *whole = match ? pql_cell_payload(match) : NULL;
    value->n = whole && whole->start_ms != PQL_NO_TIME;
    value->first_ms = value->last_ms = value->n ? whole->start_ms : 0;
    free(match);
    free(list);
}

/* The value of a window anew, over what is kept one by one. */
static void recount(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_payload_first value = {0};
    const struct pql_entry_first *list = pql_cell_entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++) {
        if (!is_inside(first, list[i].time_ms)) continue;
        bool is_new = !is_different(signal) || !has_inside(signal, cell, first, list[i].hash, i);
        (void)count_inside(signal, &value, list[i].time_ms, pql_cell_decimal(list[i].low, list[i].high),
                           is_new);
        if (holds_many(signal)) value.n += list[i].hash - 1;
    }
    memcpy(pql_cell_payload(cell), &value, sizeof value);
}

/* --- first W of latest and earliest: the entry that decides is found among those kept; texts are blocks of
 * their own --- */

struct text_block {
    uint32_t len;
    char bytes[];
};

static struct text_block *block_of(const struct pql_entry_first *entry)
{
    uintptr_t at = (uintptr_t)entry->low;
    return (struct text_block *)at;
}

struct pql_value pql_first_value(const struct pql_entry_first *entry)
{
    struct pql_value value = {.kind = (enum pql_kind)entry->hash};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = entry->low != 0; break;
    case PQL_NUMBER: value.number = pql_cell_decimal(entry->low, entry->high); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = (int64_t)entry->low; break;
    case PQL_TEXT: value.text = (struct pql_slice){block_of(entry)->bytes, block_of(entry)->len}; break;
    }
    return value;
}

struct pql_entry_first pql_first_entry(int64_t time_ms, const struct pql_value *value)
{
    struct pql_entry_first entry = {.time_ms = time_ms, .hash = value->kind};
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: entry.low = value->boolean; break;
    case PQL_NUMBER:
        entry.low = pql_cell_low(value->number), entry.high = pql_cell_high(value->number);
        break;
    case PQL_DURATION:
    case PQL_TIME: entry.low = (uint64_t)value->ms; break;
    case PQL_TEXT: {
        struct text_block *block = pql_xmalloc(sizeof *block + value->text.len);
        block->len = (uint32_t)value->text.len;
        if (block->len) memcpy(block->bytes, value->text.ptr, block->len);
        entry.low = (uintptr_t)block;
        break;
    }
    }
    return entry;
}

void pql_first_drop(const struct pql_signal *signal, const struct pql_entry_first *entry)
{
    if (signal->kind == PQL_SIGNAL_FIRST_VALUE && entry->hash == PQL_TEXT) free(block_of(entry));
}

/* The newest, or the oldest, inside the window; cell->n if there is none. */
static uint32_t decider(const struct pql_signal *signal, const struct pql_cell *cell,
                        const struct pql_first *first)
{
    bool is_latest = signal->function == PQL_FN_LATEST;
    uint32_t after = pql_cell_upto(signal, cell, is_latest ? first->end_ms - 1 : first->start_ms - 1);
    uint32_t i = is_latest ? after - 1 : after; /* after 0 wraps beyond n */
    return i < cell->n && is_inside(first, pql_cell_time(signal, cell, i)) ? i : cell->n;
}

static struct pql_value decided(const struct pql_signal *signal, const struct pql_cell *cell,
                                const struct pql_first *first)
{
    uint32_t i = decider(signal, cell, first);
    return i < cell->n ? pql_first_value((const struct pql_entry_first *)pql_cell_entries(signal, cell) + i)
                       : pql_null();
}

/* What decays is kept by step even then, and each value's last time. */
static void join_steps(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct pql_entry_first *list = pql_cell_entries(signal, cell);
    const struct pql_decay *decay = signal->decays[0];
    uint32_t kept = 0;
    for (uint32_t i = 0; i < cell->n; i++) {
        struct pql_entry_first *last = kept ? &list[kept - 1] : NULL;
        bool is_joined = false;
        if (is_inside(first, list[i].time_ms) && is_different(signal))
            is_joined = has_later(signal, cell, first, i);
        else if (last && is_inside(first, last->time_ms) && is_inside(first, list[i].time_ms) &&
                 pql_decay_step_of(decay, last->time_ms) == pql_decay_step_of(decay, list[i].time_ms)) {
            pql_decimal sum =
                pql_cell_decimal(last->low, last->high) + pql_cell_decimal(list[i].low, list[i].high);
            *last = (struct pql_entry_first){list[i].time_ms, last->hash + list[i].hash, pql_cell_low(sum),
                                             pql_cell_high(sum)};
            is_joined = true;
        }
        if (!is_joined) list[kept++] = list[i];
    }
    cell->n = kept;
}

enum inside { INSIDE_KEEP, INSIDE_DROP, INSIDE_DROP_REPEATED };

static void keep_first(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                       int64_t t_ms, enum inside inside)
{
    struct pql_entry_first *list = pql_cell_entries(signal, cell);
    uint32_t kept = 0,
             decides = signal->kind == PQL_SIGNAL_FIRST_VALUE ? decider(signal, cell, first) : UINT32_MAX;
    for (uint32_t i = 0; i < cell->n; i++) {
        bool stays = list[i].time_ms + signal->start_grace_ms > t_ms;
        if (is_inside(first, list[i].time_ms))
            stays = inside == INSIDE_KEEP || i == decides || signal->decays_count ||
                    (inside == INSIDE_DROP_REPEATED && !has_inside(signal, cell, first, list[i].hash, kept));
        if (stays)
            list[kept++] = list[i];
        else
            pql_first_drop(signal, &list[i]);
    }
    cell->n = kept;
    if (inside != INSIDE_KEEP && signal->decays_count) join_steps(signal, cell, first);
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
    bool is_over = t_ms - signal->start_grace_ms >= first->end_ms;
    bool folds = is_over && !value->is_folded;
    value->is_folded |= is_over;
    if (folds || has_outlived(signal, cell, first, t_ms))
        keep_first(signal, cell, first, t_ms, value->is_folded ? INSIDE_DROP : INSIDE_KEEP);
}

/* At the limit occurrences inside the window go first: their value stays, only a window that moves later
 * counts less. Of distinct values one occurrence each must stay. False if there is no room at all. */
static bool make_room(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                      int64_t t_ms)
{
    uint32_t limit = signal->exact_max > signal->k ? signal->exact_max : signal->k;
    if (cell->n < limit * 2) return true;
    keep_first(signal, cell, first, t_ms, is_different(signal) ? INSIDE_DROP_REPEATED : INSIDE_DROP);
    if (cell->n < (signal->decays_count ? limit * 2 : limit)) return true;
    uint32_t oldest = 0;
    while (oldest < cell->n && is_inside(first, pql_cell_time(signal, cell, oldest))) oldest++;
    if (oldest == cell->n) return false;
    pql_first_drop(signal, (const struct pql_entry_first *)pql_cell_entries(signal, cell) + oldest);
    pql_cell_remove(signal, cell, oldest);
    return true;
}

unsigned pql_first_add(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    pql_first_trim(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    const struct pql_payload_first *value = pql_cell_payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    bool is_new =
        inside && (!is_different(signal) || !has_inside(signal, *cell, first, occ->hash, (*cell)->n));
    if (make_room(signal, *cell, first, t_ms)) {
        struct pql_entry_first entry = {occ->time_ms, holds_many(signal) ? 1 : occ->hash,
                                        pql_cell_low(occ->number), pql_cell_high(occ->number)};
        memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, occ->time_ms)), &entry,
               sizeof entry);
    }
    if (!inside) return 0;
    bool is_other = count_inside(signal, pql_cell_payload(*cell), occ->time_ms, occ->number, is_new);
    bool is_counted = signal->function == PQL_FN_COUNT || is_different(signal);
    unsigned changed = PQL_CHANGE_ANY | (signal->decays_count ? PQL_CHANGE_AGE : 0);
    return changed | ((is_counted ? is_new : is_other) ? PQL_CHANGE_VALUE : 0);
}

/* At the limit the oldest goes that does not decide: only a window that moves later may miss it. */
static void drop_undecisive(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *first)
{
    if (cell->n <= signal->exact_max) return;
    uint32_t oldest = decider(signal, cell, first) == 0;
    if (oldest == cell->n) return;
    pql_first_drop(signal, (const struct pql_entry_first *)pql_cell_entries(signal, cell) + oldest);
    pql_cell_remove(signal, cell, oldest);
}

unsigned pql_first_add_value(const struct pql_signal *signal, struct pql_cell **cell,
                             const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    pql_first_trim(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    const struct pql_payload_first *value = pql_cell_payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    struct pql_value before = decided(signal, *cell, first);
    struct pql_entry_first entry = pql_first_entry(occ->time_ms, &occ->value);
    memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    struct pql_value after = decided(signal, *cell, first);
    bool is_same = pql_value_same(&before, &after);
    drop_undecisive(signal, *cell, first);
    return PQL_CHANGE_ANY | (is_same ? 0 : PQL_CHANGE_VALUE);
}

/* low of the payload: how many have come. At the limit the oldest is forgotten. */
unsigned pql_first_add_sequence(const struct pql_signal *signal, struct pql_cell **cell,
                                const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    pql_first_trim(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    struct pql_payload_first *value = pql_cell_payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    if ((*cell)->n >= signal->exact_max) pql_cell_remove(signal, *cell, 0);
    struct pql_entry_first entry = {occ->time_ms, occ->hash, occ->steps, (int64_t)value->low++};
    memcpy(pql_cell_insert(signal, cell, pql_cell_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    value = pql_cell_payload(*cell);
    bool may_end = inside && !value->n && occ->steps >> (signal->steps_count - 1) & 1;
    if (may_end) rematch(signal, *cell, first);
    return may_end && value->n ? PQL_CHANGE_ANY | PQL_CHANGE_VALUE : 0;
}

void pql_signal_start_moves(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *before, const struct pql_first *after, int64_t t_ms)
{
    pql_first_trim(signal, cell, before, t_ms);
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST) {
        ((struct pql_payload_first *)pql_cell_payload(cell))->is_folded = 0;
        rematch(signal, cell, after);
    } else if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
        memset(pql_cell_payload(cell), 0, sizeof(struct pql_payload_first));
    else
        recount(signal, cell, after);
}

void pql_first_read_value(const struct pql_signal *signal, const struct pql_cell *cell,
                          const struct pql_first *first, struct pql_reading *reading)
{
    uint32_t i = decider(signal, cell, first);
    if (i == cell->n) return;
    reading->value = decided(signal, cell, first);
    reading->first_at = reading->last_at = pql_cell_time(signal, cell, i);
    reading->n = 1;
}

/* Of a sequence only its start is told. */
void pql_first_read(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_reading *reading)
{
    const struct pql_payload_first *value = pql_cell_payload(cell);
    reading->n = value->n;
    if (value->n) reading->first_at = value->first_ms;
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST) return;
    reading->sum = pql_cell_decimal(value->low, value->high);
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

static void merge_counted(const struct pql_signal *signal, struct pql_cell **into,
                          const struct pql_cell *from, const struct pql_first *first, int64_t t_ms)
{
    struct pql_payload_first both = *(struct pql_payload_first *)pql_cell_payload(*into);
    const struct pql_payload_first *more = pql_cell_payload(from);
    const struct pql_entry_first *list = pql_cell_entries(signal, from);
    if (is_different(signal)) widen(&both, more);
    for (uint32_t i = 0; i < from->n; i++) {
        bool is_new =
            is_inside(first, list[i].time_ms) && !has_inside(signal, *into, first, list[i].hash, (*into)->n);
        if (is_different(signal) && is_new) both.n++;
        if (make_room(signal, *into, first, t_ms))
            memcpy(pql_cell_insert(signal, into, pql_cell_upto(signal, *into, list[i].time_ms)), &list[i],
                   sizeof list[i]);
    }
    if (!is_different(signal))
        combine_values(signal, &both, more);
    else if (both.is_folded && more->n > both.n)
        both.n = more->n;
    memcpy(pql_cell_payload(*into), &both, sizeof both);
    if (both.is_folded) keep_first(signal, *into, first, t_ms, INSIDE_DROP);
}

/* At equal times the user's own decides. */
static void merge_deciders(const struct pql_signal *signal, struct pql_cell **into,
                           const struct pql_cell *from, const struct pql_first *first, int64_t t_ms)
{
    const struct pql_entry_first *list = pql_cell_entries(signal, from);
    bool is_latest = signal->function == PQL_FN_LATEST;
    for (uint32_t i = 0; i < from->n; i++) {
        struct pql_value value = pql_first_value(&list[i]);
        struct pql_entry_first entry = pql_first_entry(list[i].time_ms, &value);
        uint32_t at = pql_cell_upto(signal, *into, entry.time_ms - is_latest);
        memcpy(pql_cell_insert(signal, into, at), &entry, sizeof entry);
        drop_undecisive(signal, *into, first);
    }
    const struct pql_payload_first *present = pql_cell_payload(*into);
    if (present->is_folded) keep_first(signal, *into, first, t_ms, INSIDE_DROP);
}

static struct pql_entry_first *sorted_by_arrival(const struct pql_signal *signal, const struct pql_cell *cell)
{
    struct pql_entry_first *list = pql_xmalloc((cell->n + 1) * sizeof *list);
    memcpy(list, pql_cell_entries(signal, cell), cell->n * sizeof *list);
    qsort(list, cell->n, sizeof *list, by_arrival);
    return list;
}

/* Both in one order of arrival: each user's own stays, between the two the earlier comes first. */
static void weave(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from)
{
    struct pql_entry_first *mine = sorted_by_arrival(signal, *into), *other = sorted_by_arrival(signal, from);
    uint32_t mine_count = (*into)->n, i = 0, j = 0;
    struct pql_payload_first *value = pql_cell_payload(*into);
    value->low = 0;
    (*into)->n = (*into)->head = 0;
    while (i < mine_count || j < from->n) {
        bool is_mine = j == from->n || (i < mine_count && mine[i].time_ms <= other[j].time_ms);
        struct pql_entry_first entry = is_mine ? mine[i++] : other[j++];
        value = pql_cell_payload(*into);
        entry.high = (int64_t)value->low++;
        if ((*into)->n >= signal->exact_max) pql_cell_remove(signal, *into, 0);
        memcpy(pql_cell_insert(signal, into, pql_cell_upto(signal, *into, entry.time_ms)), &entry,
               sizeof entry);
    }
    free(mine);
    free(other);
}

static void merge_matches(const struct pql_signal *signal, struct pql_cell **into,
                          const struct pql_cell *from, const struct pql_first *first)
{
    struct pql_payload_first was = *(struct pql_payload_first *)pql_cell_payload(*into);
    const struct pql_payload_first *other = pql_cell_payload(from);
    weave(signal, into, from);
    struct pql_payload_first *value = pql_cell_payload(*into);
    if (!was.is_folded) rematch(signal, *into, first);
    if (value->n || !(was.n || other->n)) return;
    const struct pql_payload_first *found = was.n ? &was : other;
    value->n = found->n;
    value->first_ms = found->first_ms;
    value->last_ms = found->last_ms;
}

void pql_first_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                     const struct pql_first *first, int64_t t_ms)
{
    if (signal->kind == PQL_SIGNAL_FIRST)
        merge_counted(signal, into, from, first, t_ms);
    else if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
        merge_deciders(signal, into, from, first, t_ms);
    else
        merge_matches(signal, into, from, first);
}

/* --- by user --- */

static bool is_of(const struct pql_signal *signal, const struct pql_entry_first *entry,
                  const struct pql_renaming *renaming)
{
    if (signal->kind != PQL_SIGNAL_FIRST_VALUE) return entry->hash == renaming->from_hash;
    struct pql_value value = pql_first_value(entry);
    return pql_value_same(&value, &renaming->from);
}

/* A window that is closed keeps its number: which they were is not kept. */
void pql_first_rename(const struct pql_signal *signal, struct pql_cell *cell,
                      const struct pql_renaming *renaming, const struct pql_first *first)
{
    struct pql_entry_first *list = pql_cell_entries(signal, cell);
    const struct pql_payload_first *value = pql_cell_payload(cell);
    bool is_by_value = is_different(signal) || signal->is_by || signal->kind == PQL_SIGNAL_FIRST_VALUE;
    uint32_t kept = 0, found = 0;
    for (uint32_t i = 0; is_by_value && i < cell->n; i++) {
        struct pql_entry_first entry = list[i];
        if (is_of(signal, &entry, renaming)) {
            found++;
            pql_first_drop(signal, &entry);
            if (renaming->to.kind == PQL_NULL) continue;
            if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
                entry = pql_first_entry(entry.time_ms, &renaming->to);
            else
                entry.hash = renaming->to_hash;
        }
        list[kept++] = entry;
    }
    if (!found) return;
    cell->n = kept;
    if (value->is_folded || signal->kind == PQL_SIGNAL_FIRST_VALUE) return;
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST)
        rematch(signal, cell, first);
    else
        recount(signal, cell, first);
}
