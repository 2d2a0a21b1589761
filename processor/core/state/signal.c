#include "core/state/signal.h"

#include "base/memory.h"
#include <stdlib.h>

/* Times, one by one, are kept in an array with a moving head: appending and dropping the oldest are O(1)
 * amortised, a late insertion moves what is newer. Entries of one kind have one size. */
struct pql_cell {
    uint32_t head, n, capacity; /* entries [head, head + n) of capacity */
    uint32_t text_len;          /* latest, earliest: bytes of a text behind the entry */
    _Alignas(8) char data[];
};

struct entry_time {
    int64_t time_ms;
};

struct entry_value { /* distinct, days */
    int64_t time_ms;
    uint64_t hash;
};

struct entry_number { /* sum */
    int64_t time_ms;
    uint64_t low;
    int64_t high;
};

struct entry_first { /* occurrence of `first W` */
    int64_t time_ms;
    uint64_t hash, low;
    int64_t high;
};

/* Sequence: what is open, of one value of `by`, is the time of its newest event, the value, and for each step
 * but the last the partial match with the latest start. */
struct partial {
    int64_t start_ms, last_ms; /* PQL_NO_TIME: none */
};

struct payload_sequence {
    int64_t start_ms; /* of the whole match with the latest start, PQL_NO_TIME: none */
};

/* Fixed payloads, at data, for kinds without entries; `first` has one before its entries. */
struct payload_total { /* of min and max: the extreme */
    uint64_t n, low;
    int64_t high;
};

struct payload_streak {
    int64_t newest;  /* day */
    uint64_t days;   /* bit i: the day i before it */
    uint64_t before; /* length of the run that ends before them */
};

struct payload_times {
    int64_t first_ms, last_ms;
};

struct payload_newest {
    int64_t time_ms;
    uint64_t kind, low; /* of the value; a text stands behind the payload */
    int64_t high;
};

/* The value of the present window. Folded: the window cannot move any more, its occurrences are gone. */
struct payload_first {
    uint64_t is_folded, n, low;
    int64_t high, first_ms, last_ms; /* meaningful where n > 0 */
};

static pql_decimal decimal_of(uint64_t low, int64_t high)
{
    return (pql_decimal)((pql_udecimal)(uint64_t)high << 64 | low);
}

static uint64_t low_of(pql_decimal number)
{
    return (uint64_t)number;
}
static int64_t high_of(pql_decimal number)
{
    return (int64_t)((pql_udecimal)number >> 64);
}

/* One row per kind: bytes of the fixed payload and of an entry. */
static const struct kind_row {
    uint32_t payload, entry;
    bool is_rolling; /* entries leave by themselves W after their time */
} rows[PQL_SIGNAL_KIND_COUNT] = {
    [PQL_SIGNAL_COUNT] = {0, sizeof(struct entry_time), true},
    [PQL_SIGNAL_COUNT_EVER] = {sizeof(struct payload_total), 0, false},
    [PQL_SIGNAL_SUM] = {sizeof(struct payload_total), sizeof(struct entry_number),
                        true}, /* total: of all entries */
    [PQL_SIGNAL_SUM_EVER] = {sizeof(struct payload_total), 0, false},
    [PQL_SIGNAL_EXTREME] = {0, sizeof(struct entry_number), true},
    [PQL_SIGNAL_EXTREME_EVER] = {sizeof(struct payload_total), 0, false},
    [PQL_SIGNAL_DISTINCT] = {0, sizeof(struct entry_value), true},
    [PQL_SIGNAL_DISTINCT_EVER] = {0, sizeof(uint64_t), false},
    [PQL_SIGNAL_TIMES] = {sizeof(struct payload_times), 0, false},
    [PQL_SIGNAL_NTH] = {0, sizeof(struct entry_time), false},
    [PQL_SIGNAL_STREAK] = {sizeof(struct payload_streak), 0, false},
    [PQL_SIGNAL_SEQUENCE] = {sizeof(struct payload_sequence), 0, false},
    [PQL_SIGNAL_SEQUENCE_FIRST] = {sizeof(struct payload_first), sizeof(struct entry_first), false},
    [PQL_SIGNAL_LATEST] = {sizeof(struct payload_newest), 0, false},
    [PQL_SIGNAL_EARLIEST] = {sizeof(struct payload_newest), 0, false},
    [PQL_SIGNAL_FIRST] = {sizeof(struct payload_first), sizeof(struct entry_first), false},
    [PQL_SIGNAL_FIRST_VALUE] = {sizeof(struct payload_first), sizeof(struct entry_first),
                                false}, /* hash: the kind */
};

static bool is_calendar(const struct pql_signal *signal)
{
    return signal->window.kind >= PQL_WINDOW_TODAY && signal->window.kind <= PQL_WINDOW_QUARTER;
}

static enum pql_calendar unit_of(const struct pql_signal *signal)
{
    static const enum pql_calendar units[] = {[PQL_WINDOW_TODAY] = PQL_CALENDAR_DAY,
                                              [PQL_WINDOW_WEEK] = PQL_CALENDAR_WEEK,
                                              [PQL_WINDOW_MONTH] = PQL_CALENDAR_MONTH,
                                              [PQL_WINDOW_QUARTER] = PQL_CALENDAR_QUARTER};
    return units[signal->window.kind];
}

/* In a calendar window the number of the period stands behind it. */
static size_t payload_size(const struct pql_signal *signal)
{
    return rows[signal->kind].payload + (is_calendar(signal) ? sizeof(int64_t) : 0);
}

/* Of a sequence it depends on the steps. */
static size_t entry_size(const struct pql_signal *signal)
{
    if (signal->kind != PQL_SIGNAL_SEQUENCE) return rows[signal->kind].entry;
    return sizeof(struct entry_value) + (signal->steps_count - 1) * sizeof(struct partial);
}

static void *entries(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return (char *)(uintptr_t)cell->data + payload_size(signal) + entry_size(signal) * cell->head;
}

static void *payload(const struct pql_cell *cell)
{
    return (char *)(uintptr_t)cell->data;
}

/* Every entry begins with its time. */
static int64_t time_at(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i)
{
    int64_t time;
    memcpy(&time, (const char *)entries(signal, cell) + entry_size(signal) * i, sizeof time);
    return time;
}

/* How many entries have a time <= bound: they are sorted. */
static uint32_t count_upto(const struct pql_signal *signal, const struct pql_cell *cell, int64_t bound_ms)
{
    uint32_t low = 0, high = cell->n;
    if (!high || time_at(signal, cell, 0) > bound_ms) return 0;
    if (time_at(signal, cell, high - 1) <= bound_ms) return high;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (time_at(signal, cell, middle) <= bound_ms)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static size_t cell_size(const struct pql_signal *signal, uint32_t capacity)
{
    return sizeof(struct pql_cell) + payload_size(signal) + entry_size(signal) * capacity;
}

static struct pql_cell *cell_new(const struct pql_signal *signal, uint32_t capacity)
{
    struct pql_cell *cell = pql_xcalloc(1, cell_size(signal, capacity));
    cell->capacity = capacity;
    return cell;
}

/* Opens a gap for one entry at index i and returns it. */
static void *insert_at(const struct pql_signal *signal, struct pql_cell **cell, uint32_t i)
{
    struct pql_cell *c = *cell;
    size_t size = entry_size(signal);
    if (c->head + c->n == c->capacity) {
        if (c->head > c->capacity / 2 || (c->head && c->n < 2)) {
            memmove(c->data + payload_size(signal), entries(signal, c), size * c->n);
            c->head = 0;
        } else {
            c->capacity = c->capacity < 4 ? 4 : c->capacity * 2;
            *cell = c = pql_xrealloc(c, cell_size(signal, c->capacity));
        }
    }
    char *at = (char *)entries(signal, c) + size * i;
    memmove(at + size, at, size * (c->n - i));
    c->n++;
    return at;
}

static void remove_at(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i)
{
    size_t size = entry_size(signal);
    char *at = (char *)entries(signal, cell) + size * i;
    if (i == 0)
        cell->head++;
    else
        memmove(at, at + size, size * (cell->n - i - 1));
    if (--cell->n == 0) cell->head = 0;
}

static void drop_oldest(struct pql_cell *cell, uint32_t count)
{
    cell->head += count;
    cell->n -= count;
    if (!cell->n) cell->head = 0;
}

static bool is_prev(const struct pql_signal *signal)
{
    return signal->window.kind == PQL_WINDOW_PREV;
}

/* How long an occurrence is of use. */
static int64_t kept_ms(const struct pql_signal *signal)
{
    return is_prev(signal) ? 2 * signal->window.ms : signal->window.ms;
}

/* How many entries have left the rolling window at t. */
static uint32_t expired(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    return count_upto(signal, cell, t_ms - kept_ms(signal));
}

/* Of prev all are kept: they count later. */
static bool is_full(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return signal->k && cell->n >= signal->k && !is_prev(signal);
}

/* --- rolling windows --- */

static void add_to_total(struct pql_cell *cell, pql_decimal number)
{
    struct payload_total *total = payload(cell);
    pql_decimal sum = decimal_of(total->low, total->high) + number;
    *total = (struct payload_total){total->n, low_of(sum), high_of(sum)};
}

/* What entries [from, upto) hold together. */
static pql_decimal sum_of(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t from,
                          uint32_t upto)
{
    const struct entry_number *numbers = entries(signal, cell);
    pql_decimal sum = 0;
    for (uint32_t i = from; i < upto; i++) sum += decimal_of(numbers[i].low, numbers[i].high);
    return sum;
}

/* What an occurrence inside what is kept changes: of prev only those that have left W, of its twin the
 * others.
 */
static unsigned rolling_change(const struct pql_signal *signal, int64_t time_ms, int64_t t_ms, bool is_value)
{
    unsigned changed = PQL_CHANGE_ANY | (is_value ? PQL_CHANGE_VALUE : 0);
    if (!is_prev(signal) || time_ms <= t_ms - signal->window.ms) return changed;
    return signal->twin ? PQL_CHANGE_TWIN : 0;
}

static unsigned add_rolling(const struct pql_signal *signal, struct pql_cell **cell,
                            const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - kept_ms(signal)) return 0;
    uint32_t at = count_upto(signal, *cell, occ->time_ms);
    if (is_full(signal, *cell)) {
        if (at == 0) return PQL_CHANGE_VALUE; /* counts, but the newest k are others */
        drop_oldest(*cell, 1);
        at--;
    }
    void *entry = insert_at(signal, cell, at);
    if (signal->kind == PQL_SIGNAL_SUM) {
        struct entry_number number = {occ->time_ms, low_of(occ->number), high_of(occ->number)};
        memcpy(entry, &number, sizeof number);
        add_to_total(*cell, occ->number);
        return rolling_change(signal, occ->time_ms, t_ms, occ->number != 0);
    }
    memcpy(entry, &occ->time_ms, sizeof occ->time_ms);
    return rolling_change(signal, occ->time_ms, t_ms, true);
}

/* --- min, max --- */

/* Does a beat b, or equal it? */
static bool is_best(const struct pql_signal *signal, pql_decimal a, pql_decimal b)
{
    return signal->function == PQL_FN_MAX ? a >= b : a <= b;
}

/* Only those are kept that no newer one beats: from the front to the end they get newer and worse. */
static unsigned add_extreme(const struct pql_signal *signal, struct pql_cell **cell,
                            const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - signal->window.ms) return 0;
    const struct entry_number *list = entries(signal, *cell);
    uint32_t at = count_upto(signal, *cell, occ->time_ms), from = at;
    bool was_empty = !(*cell)->n;
    if (at < (*cell)->n && is_best(signal, decimal_of(list[at].low, list[at].high), occ->number))
        return PQL_CHANGE_ANY;
    if (at && list[at - 1].time_ms == occ->time_ms &&
        is_best(signal, decimal_of(list[at - 1].low, list[at - 1].high), occ->number))
        return PQL_CHANGE_ANY;
    pql_decimal before = was_empty ? 0 : decimal_of(list[0].low, list[0].high);
    while (from > 0 && is_best(signal, occ->number, decimal_of(list[from - 1].low, list[from - 1].high)))
        from--;
    for (; at > from; at--) remove_at(signal, *cell, at - 1);
    struct entry_number number = {occ->time_ms, low_of(occ->number), high_of(occ->number)};
    memcpy(insert_at(signal, cell, at), &number, sizeof number);
    return PQL_CHANGE_ANY | (was_empty || (at == 0 && before != occ->number) ? PQL_CHANGE_VALUE : 0);
}

/* Takes the number into the total as the function has it. True if that is another than before. */
static bool combine(const struct pql_signal *signal, struct payload_total *total, pql_decimal number)
{
    pql_decimal before = decimal_of(total->low, total->high), after = before + number;
    bool is_extreme = signal->function == PQL_FN_MIN || signal->function == PQL_FN_MAX;
    if (is_extreme) after = total->n && is_best(signal, before, number) ? before : number;
    total->low = low_of(after);
    total->high = high_of(after);
    return after != before || (is_extreme && !total->n);
}

static unsigned add_distinct(const struct pql_signal *signal, struct pql_cell **cell,
                             const struct pql_occurrence *occ, int64_t t_ms)
{
    if (occ->time_ms <= t_ms - signal->window.ms) return 0;
    const struct entry_value *values = entries(signal, *cell);
    unsigned changed = PQL_CHANGE_VALUE;
    for (uint32_t i = (*cell)->n; i-- > 0;) {
        if (values[i].hash != occ->hash) continue;
        if (values[i].time_ms >= occ->time_ms) return 0;
        remove_at(signal, *cell, i);
        changed = 0;
        break;
    }
    uint32_t at = count_upto(signal, *cell, occ->time_ms);
    if (is_full(signal, *cell)) {
        if (at == 0) return changed;
        drop_oldest(*cell, 1);
        at--;
    }
    struct entry_value value = {occ->time_ms, occ->hash};
    memcpy(insert_at(signal, cell, at), &value, sizeof value);
    return changed;
}

/* --- ever --- */

static unsigned add_ever(const struct pql_signal *signal, struct pql_cell *cell,
                         const struct pql_occurrence *occ)
{
    struct payload_total *total = payload(cell);
    bool changes = combine(signal, total, occ->number) || signal->kind == PQL_SIGNAL_COUNT_EVER;
    total->n++;
    return PQL_CHANGE_ANY | (changes ? PQL_CHANGE_VALUE : 0);
}

static unsigned add_set(const struct pql_signal *signal, struct pql_cell **cell, uint64_t hash)
{
    const uint64_t *set = entries(signal, *cell);
    uint32_t low = 0, high = (*cell)->n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (set[middle] < hash)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < (*cell)->n && set[low] == hash) return 0;
    if (!is_full(signal, *cell)) memcpy(insert_at(signal, cell, low), &hash, sizeof hash);
    return PQL_CHANGE_VALUE;
}

static unsigned add_times(struct pql_cell *cell, int64_t time_ms, bool is_new)
{
    struct payload_times *times = payload(cell);
    unsigned changed = is_new ? PQL_CHANGE_ANY | PQL_CHANGE_FIRST | PQL_CHANGE_LAST : 0;
    if (is_new || time_ms < times->first_ms) times->first_ms = time_ms, changed |= PQL_CHANGE_FIRST;
    if (is_new || time_ms > times->last_ms) times->last_ms = time_ms, changed |= PQL_CHANGE_LAST;
    return changed;
}

/* The k earliest. The value is the last of them, once there are so many. */
static unsigned add_nth(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occ)
{
    uint32_t at = count_upto(signal, *cell, occ->time_ms);
    bool was_full = (*cell)->n == signal->k;
    if (at == signal->k) return 0;
    int64_t before = was_full ? time_at(signal, *cell, (*cell)->n - 1) : 0;
    if (was_full) (*cell)->n--;
    memcpy(insert_at(signal, cell, at), &occ->time_ms, sizeof occ->time_ms);
    bool is_full_now = (*cell)->n == signal->k;
    bool changes = is_full_now && (!was_full || time_at(signal, *cell, (*cell)->n - 1) != before);
    return changes ? PQL_CHANGE_VALUE : 0;
}

/* --- streak --- */

/* Length of the run that ends with the newest day. */
static uint64_t run_of(const struct payload_streak *streak)
{
    uint64_t missing = ~streak->days;
    return missing ? (uint64_t)__builtin_ctzll(missing) : 64 + streak->before;
}

/* Neither today nor yesterday: over. */
static uint64_t streak_at(const struct pql_signal *signal, const struct payload_streak *streak, int64_t t_ms)
{
    return pql_zone_period(signal->zone, PQL_CALENDAR_DAY, t_ms) - streak->newest > 1 ? 0 : run_of(streak);
}

/* Days older than the bits are not added. */
static unsigned add_day(const struct pql_signal *signal, struct pql_cell *cell, int64_t day, bool is_new,
                        int64_t t_ms)
{
    struct payload_streak *streak = payload(cell);
    if (is_new) *streak = (struct payload_streak){.newest = day};
    uint64_t was = is_new ? 0 : streak_at(signal, streak, t_ms);
    for (int64_t gap = day - streak->newest, i = 0; i < gap && i <= 64; i++) {
        streak->before = streak->days >> 63 ? streak->before + 1 : 0;
        streak->days <<= 1;
    }
    if (day > streak->newest) streak->newest = day;
    if (streak->newest - day < 64) streak->days |= UINT64_C(1) << (streak->newest - day);
    return streak_at(signal, streak, t_ms) != was ? PQL_CHANGE_VALUE : 0;
}

static int64_t next_streak(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    const struct payload_streak *streak = payload(cell);
    bool flips = signal->read_as_number;
    for (size_t i = 0; i < signal->bounds_count; i++)
        flips |= signal->bounds[i] > 0 && (uint64_t)signal->bounds[i] <= run_of(streak);
    if (!flips || !streak_at(signal, streak, t_ms)) return INT64_MAX;
    return pql_zone_period_start(signal->zone, PQL_CALENDAR_DAY, streak->newest + 2);
}

/* --- sequence --- */

static bool is_live(const struct pql_signal *signal, int64_t start_ms, int64_t t_ms)
{
    if (start_ms == PQL_NO_TIME) return false;
    return signal->window.kind != PQL_WINDOW_ROLLING || start_ms > t_ms - signal->window.ms;
}

static struct partial *partials_of(void *entry)
{
    return (struct partial *)(void *)((char *)entry + sizeof(struct entry_value));
}

/* Nothing can come of it any more. */
static bool is_dead(const struct pql_signal *signal, void *entry, int64_t t_ms)
{
    int64_t newest = partials_of(entry)[0].start_ms; /* no later step has a later start */
    return !is_live(signal, newest, t_ms) || (signal->within_ms && newest < t_ms - signal->within_ms);
}

static void drop_dead(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    struct payload_sequence *whole = payload(cell);
    if (!is_live(signal, whole->start_ms, t_ms)) whole->start_ms = PQL_NO_TIME;
    for (uint32_t i = cell->n; signal->is_by && i-- > 0;)
        if (is_dead(signal, (char *)entries(signal, cell) + entry_size(signal) * i, t_ms))
            remove_at(signal, cell, i);
}

/* The entry of the value, made if the event may begin a match; NULL: there is none. */
static void *open_entry(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occ)
{
    size_t size = entry_size(signal);
    for (uint32_t i = (*cell)->n; i-- > 0;) {
        char *entry = (char *)entries(signal, *cell) + size * i;
        if (((struct entry_value *)(void *)entry)->hash == occ->hash) return entry;
    }
    if (!(occ->steps & 1)) return NULL;
    bool is_limited = signal->is_by && signal->window.kind != PQL_WINDOW_ROLLING && !signal->within_ms;
    if (is_limited && (*cell)->n >= signal->exact_max) drop_oldest(*cell, 1);
    uint32_t at = count_upto(signal, *cell, occ->time_ms);
    struct entry_value value = {occ->time_ms, occ->hash};
    char *entry = insert_at(signal, cell, at);
    memcpy(entry, &value, sizeof value);
    for (uint32_t i = 0; i + 1 < signal->steps_count; i++)
        partials_of(entry)[i] = (struct partial){PQL_NO_TIME, PQL_NO_TIME};
    return entry;
}

/* From the last step to the first, so that one event serves one step of a match. At equal starts the first
 * stays. */
static void take_steps(const struct pql_signal *signal, struct payload_sequence *whole, void *entry,
                       const struct pql_occurrence *occ)
{
    struct partial *partials = partials_of(entry);
    for (uint32_t i = signal->steps_count - 1; i > 0; i--) {
        int64_t start = partials[i - 1].start_ms;
        if (!(occ->steps >> i & 1) || start == PQL_NO_TIME || partials[i - 1].last_ms > occ->time_ms)
            continue;
        if (signal->within_ms && occ->time_ms - start > signal->within_ms) continue;
        if (i + 1 == signal->steps_count)
            whole->start_ms = start > whole->start_ms ? start : whole->start_ms;
        else if (start > partials[i].start_ms)
            partials[i] = (struct partial){start, occ->time_ms};
    }
    if ((occ->steps & 1) && occ->time_ms > partials[0].start_ms)
        partials[0] = (struct partial){occ->time_ms, occ->time_ms};
}

/* Entries stand in the order of their newest events. */
static void settle_entry(const struct pql_signal *signal, struct pql_cell *cell, char *entry, int64_t time_ms)
{
    size_t size = entry_size(signal);
    char *end = (char *)entries(signal, cell) + size * cell->n;
    char moving[sizeof(struct entry_value) + PQL_SEQUENCE_STEPS_MAX * sizeof(struct partial)];
    if (((struct entry_value *)(void *)entry)->time_ms >= time_ms) return;
    ((struct entry_value *)(void *)entry)->time_ms = time_ms;
    memcpy(moving, entry, size);
    for (; entry + size < end && ((struct entry_value *)(void *)(entry + size))->time_ms <= time_ms;
         entry += size)
        memcpy(entry, entry + size, size);
    memcpy(entry, moving, size);
}

static unsigned add_sequence(const struct pql_signal *signal, struct pql_cell **cell,
                             const struct pql_occurrence *occ, int64_t t_ms)
{
    struct payload_sequence *whole = payload(*cell);
    bool was_live = whole->start_ms != PQL_NO_TIME;
    if (was_live && signal->window.kind != PQL_WINDOW_ROLLING) return 0; /* for ever */
    char *entry = open_entry(signal, cell, occ);
    if (!entry) return 0;
    whole = payload(*cell);
    take_steps(signal, whole, entry, occ);
    settle_entry(signal, *cell, entry, occ->time_ms);
    if (!is_live(signal, whole->start_ms, t_ms)) whole->start_ms = PQL_NO_TIME;
    return whole->start_ms != PQL_NO_TIME && !was_live ? PQL_CHANGE_ANY | PQL_CHANGE_VALUE : 0;
}

/* --- latest, earliest --- */

static struct pql_value newest_value(const struct pql_signal *signal, const struct pql_cell *cell)
{
    const struct payload_newest *newest = payload(cell);
    struct pql_value value = {.kind = (enum pql_kind)newest->kind};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = newest->low != 0; break;
    case PQL_NUMBER: value.number = decimal_of(newest->low, newest->high); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = (int64_t)newest->low; break;
    case PQL_TEXT:
        value.text = (struct pql_slice){(const char *)cell->data + payload_size(signal), cell->text_len};
        break;
    }
    return value;
}

static void set_newest(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ)
{
    const struct pql_value *value = &occ->value;
    uint32_t len = value->kind == PQL_TEXT ? (uint32_t)value->text.len : 0;
    struct pql_cell *c = *cell = pql_xrealloc(*cell, cell_size(signal, 0) + len);
    c->text_len = len;
    struct payload_newest newest = {.time_ms = occ->time_ms, .kind = value->kind};
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: newest.low = value->boolean; break;
    case PQL_NUMBER: newest.low = low_of(value->number), newest.high = high_of(value->number); break;
    case PQL_DURATION:
    case PQL_TIME: newest.low = (uint64_t)value->ms; break;
    case PQL_TEXT:
        if (len) memcpy(c->data + payload_size(signal), value->text.ptr, len);
        break;
    }
    memcpy(c->data, &newest, sizeof newest);
}

/* Only latest has a rolling window here. */
static bool has_left(const struct pql_signal *signal, int64_t time_ms, int64_t t_ms)
{
    return signal->window.kind == PQL_WINDOW_ROLLING && time_ms <= t_ms - signal->window.ms;
}

static unsigned add_newest(const struct pql_signal *signal, struct pql_cell **cell,
                           const struct pql_occurrence *occ, bool is_new, int64_t t_ms)
{
    const struct payload_newest *newest = payload(*cell);
    bool is_latest = signal->kind == PQL_SIGNAL_LATEST;
    if (has_left(signal, occ->time_ms, t_ms)) return 0;
    if (!is_new && (is_latest ? occ->time_ms < newest->time_ms : occ->time_ms >= newest->time_ms)) return 0;
    struct pql_value before =
        is_new || has_left(signal, newest->time_ms, t_ms) ? pql_null() : newest_value(signal, *cell);
    bool changes = !pql_value_same(&before, &occ->value);
    set_newest(signal, cell, occ);
    return PQL_CHANGE_ANY | (changes ? PQL_CHANGE_VALUE : 0);
}

/* --- first W --- */

static bool is_inside(const struct pql_first *first, int64_t time_ms)
{
    return time_ms >= first->start_ms && time_ms < first->end_ms;
}

static bool is_different(const struct pql_signal *signal)
{
    return signal->function == PQL_FN_DISTINCT || signal->function == PQL_FN_DAYS ||
           signal->function == PQL_FN_WEEKS || signal->function == PQL_FN_MONTHS;
}

/* Is the value among the occurrences inside the window, before entry `upto`? */
static bool has_inside(const struct pql_signal *signal, const struct pql_cell *cell,
                       const struct pql_first *first, uint64_t hash, uint32_t upto)
{
    const struct entry_first *list = entries(signal, cell);
    for (uint32_t i = 0; i < upto; i++)
        if (list[i].hash == hash && is_inside(first, list[i].time_ms)) return true;
    return false;
}

/* Adds one occurrence inside the window to its value; `is_new`: of different things, not seen in it before.
 * True if the sum or extreme is another than before. */
static bool count_inside(const struct pql_signal *signal, struct payload_first *value, int64_t time_ms,
                         pql_decimal number, bool is_new)
{
    struct payload_total total = {value->n, value->low, value->high};
    bool is_other = combine(signal, &total, number);
    value->low = total.low;
    value->high = total.high;
    if (!value->n || time_ms < value->first_ms) value->first_ms = time_ms;
    if (!value->n || time_ms > value->last_ms) value->last_ms = time_ms;
    value->n += !is_different(signal) || is_new;
    return is_other;
}

static int by_arrival(const void *a, const void *b)
{
    int64_t x = ((const struct entry_first *)a)->high, y = ((const struct entry_first *)b)->high;
    return (x > y) - (x < y);
}

/* The events inside the window once more, in the order in which they came (high); low: their steps. */
static void rematch(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct payload_first *value = payload(cell);
    struct pql_signal ever = *signal;
    struct pql_cell *match = NULL;
    struct entry_first *list = pql_xmalloc((cell->n + 1) * sizeof *list);
    int64_t newest_ms = INT64_MIN;
    ever.kind = PQL_SIGNAL_SEQUENCE;
    ever.window = (struct pql_window){.kind = PQL_WINDOW_EVER};
    memcpy(list, entries(signal, cell), cell->n * sizeof *list);
    qsort(list, cell->n, sizeof *list, by_arrival);
    for (uint32_t i = 0; i < cell->n; i++) {
        struct pql_occurrence occ = {
            .time_ms = list[i].time_ms, .hash = list[i].hash, .steps = (uint32_t)list[i].low};
        if (!is_inside(first, occ.time_ms)) continue;
        if (occ.time_ms > newest_ms) newest_ms = occ.time_ms;
        (void)pql_signal_add(&ever, &match, &occ, NULL, newest_ms);
    }
    const struct payload_sequence *whole = match ? payload(match) : NULL;
    value->n = whole && whole->start_ms != PQL_NO_TIME;
    value->first_ms = value->last_ms = value->n ? whole->start_ms : 0;
    free(match);
    free(list);
}

/* The value of a window anew, over what is kept one by one. */
static void recount(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first)
{
    struct payload_first value = {0};
    const struct entry_first *list = entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++) {
        if (!is_inside(first, list[i].time_ms)) continue;
        bool is_new = !is_different(signal) || !has_inside(signal, cell, first, list[i].hash, i);
        (void)count_inside(signal, &value, list[i].time_ms, decimal_of(list[i].low, list[i].high), is_new);
    }
    memcpy(payload(cell), &value, sizeof value);
}

/* --- first W of latest and earliest: the entry that decides is found among those kept; texts are blocks of
 * their own --- */

struct text_block {
    uint32_t len;
    char bytes[];
};

static struct text_block *block_of(const struct entry_first *entry)
{
    uintptr_t at = (uintptr_t)entry->low;
    return (struct text_block *)at;
}

static struct pql_value entry_value(const struct entry_first *entry)
{
    struct pql_value value = {.kind = (enum pql_kind)entry->hash};
    switch (value.kind) {
    case PQL_NULL: break;
    case PQL_BOOL: value.boolean = entry->low != 0; break;
    case PQL_NUMBER: value.number = decimal_of(entry->low, entry->high); break;
    case PQL_DURATION:
    case PQL_TIME: value.ms = (int64_t)entry->low; break;
    case PQL_TEXT: value.text = (struct pql_slice){block_of(entry)->bytes, block_of(entry)->len}; break;
    }
    return value;
}

static struct entry_first entry_of(int64_t time_ms, const struct pql_value *value)
{
    struct entry_first entry = {.time_ms = time_ms, .hash = value->kind};
    switch (value->kind) {
    case PQL_NULL: break;
    case PQL_BOOL: entry.low = value->boolean; break;
    case PQL_NUMBER: entry.low = low_of(value->number), entry.high = high_of(value->number); break;
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

static void entry_drop(const struct pql_signal *signal, const struct entry_first *entry)
{
    if (signal->kind == PQL_SIGNAL_FIRST_VALUE && entry->hash == PQL_TEXT) free(block_of(entry));
}

/* The newest, or the oldest, inside the window; cell->n if there is none. */
static uint32_t decider(const struct pql_signal *signal, const struct pql_cell *cell,
                        const struct pql_first *first)
{
    bool is_latest = signal->function == PQL_FN_LATEST;
    uint32_t after = count_upto(signal, cell, is_latest ? first->end_ms - 1 : first->start_ms - 1);
    uint32_t i = is_latest ? after - 1 : after; /* after 0 wraps beyond n */
    return i < cell->n && is_inside(first, time_at(signal, cell, i)) ? i : cell->n;
}

static struct pql_value decided(const struct pql_signal *signal, const struct pql_cell *cell,
                                const struct pql_first *first)
{
    uint32_t i = decider(signal, cell, first);
    return i < cell->n ? entry_value((const struct entry_first *)entries(signal, cell) + i) : pql_null();
}

enum inside { INSIDE_KEEP, INSIDE_DROP, INSIDE_DROP_REPEATED };

static void keep_first(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                       int64_t t_ms, enum inside inside)
{
    struct entry_first *list = entries(signal, cell);
    uint32_t kept = 0,
             decides = signal->kind == PQL_SIGNAL_FIRST_VALUE ? decider(signal, cell, first) : UINT32_MAX;
    for (uint32_t i = 0; i < cell->n; i++) {
        bool stays = list[i].time_ms + signal->start_grace_ms > t_ms;
        if (is_inside(first, list[i].time_ms))
            stays = inside == INSIDE_KEEP || i == decides ||
                    (inside == INSIDE_DROP_REPEATED && !has_inside(signal, cell, first, list[i].hash, kept));
        if (stays)
            list[kept++] = list[i];
        else
            entry_drop(signal, &list[i]);
    }
    cell->n = kept;
    if (!kept) cell->head = 0;
}

/* Outside the window stand those before its start and those after its end: has the oldest of either outlived
 * its grace? */
static bool has_outlived(const struct pql_signal *signal, const struct pql_cell *cell,
                         const struct pql_first *first, int64_t t_ms)
{
    if (!cell->n) return false;
    uint32_t after = count_upto(signal, cell, first->end_ms - 1);
    bool is_before = time_at(signal, cell, 0) < first->start_ms;
    if (is_before && time_at(signal, cell, 0) + signal->start_grace_ms <= t_ms) return true;
    return after < cell->n && time_at(signal, cell, after) + signal->start_grace_ms <= t_ms;
}

/* Folds the window when it can no longer move, and forgets what a moved window could no longer reach. */
static void cut_first(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                      int64_t t_ms)
{
    struct payload_first *value = payload(cell);
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
    if (cell->n < limit) return true;
    uint32_t oldest = 0;
    while (oldest < cell->n && is_inside(first, time_at(signal, cell, oldest))) oldest++;
    if (oldest == cell->n) return false;
    entry_drop(signal, (const struct entry_first *)entries(signal, cell) + oldest);
    remove_at(signal, cell, oldest);
    return true;
}

static unsigned add_first(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    cut_first(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    const struct payload_first *value = payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    bool is_new =
        inside && (!is_different(signal) || !has_inside(signal, *cell, first, occ->hash, (*cell)->n));
    if (make_room(signal, *cell, first, t_ms)) {
        struct entry_first entry = {occ->time_ms, occ->hash, low_of(occ->number), high_of(occ->number)};
        memcpy(insert_at(signal, cell, count_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    }
    if (!inside) return 0;
    bool is_other = count_inside(signal, payload(*cell), occ->time_ms, occ->number, is_new);
    bool is_counted = signal->function == PQL_FN_COUNT || is_different(signal);
    return PQL_CHANGE_ANY | ((is_counted ? is_new : is_other) ? PQL_CHANGE_VALUE : 0);
}

static unsigned add_first_value(const struct pql_signal *signal, struct pql_cell **cell,
                                const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms)
{
    cut_first(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    const struct payload_first *value = payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    bool has_room = make_room(signal, *cell, first, t_ms);
    struct pql_value before = decided(signal, *cell, first);
    if (!has_room) return 0;
    struct entry_first entry = entry_of(occ->time_ms, &occ->value);
    memcpy(insert_at(signal, cell, count_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    struct pql_value after = decided(signal, *cell, first);
    return PQL_CHANGE_ANY | (pql_value_same(&before, &after) ? 0 : PQL_CHANGE_VALUE);
}

/* low of the payload: how many have come. At the limit the oldest is forgotten. */
static unsigned add_first_sequence(const struct pql_signal *signal, struct pql_cell **cell,
                                   const struct pql_occurrence *occ, const struct pql_first *first,
                                   int64_t t_ms)
{
    cut_first(signal, *cell, first, t_ms);
    bool inside = is_inside(first, occ->time_ms);
    struct payload_first *value = payload(*cell);
    if (inside ? value->is_folded != 0 : occ->time_ms + signal->start_grace_ms <= t_ms) return 0;
    if ((*cell)->n >= signal->exact_max) remove_at(signal, *cell, 0);
    struct entry_first entry = {occ->time_ms, occ->hash, occ->steps, (int64_t)value->low++};
    memcpy(insert_at(signal, cell, count_upto(signal, *cell, occ->time_ms)), &entry, sizeof entry);
    value = payload(*cell);
    bool may_end = inside && !value->n && occ->steps >> (signal->steps_count - 1) & 1;
    if (may_end) rematch(signal, *cell, first);
    return may_end && value->n ? PQL_CHANGE_ANY | PQL_CHANGE_VALUE : 0;
}

void pql_signal_start_moves(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *before, const struct pql_first *after, int64_t t_ms)
{
    cut_first(signal, cell, before, t_ms);
    if (signal->kind == PQL_SIGNAL_SEQUENCE_FIRST) {
        ((struct payload_first *)payload(cell))->is_folded = 0;
        rematch(signal, cell, after);
    } else if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
        memset(payload(cell), 0, sizeof(struct payload_first));
    else
        recount(signal, cell, after);
}

/* --- today, this … --- */

static int64_t period_at(const struct pql_signal *signal, int64_t t_ms)
{
    return pql_zone_period(signal->zone, unit_of(signal), t_ms);
}

/* That the cell is about. */
static int64_t *period_of(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return (int64_t *)(void *)((char *)payload(cell) + rows[signal->kind].payload);
}

/* Every payload that stands in a calendar window begins with a count, or is of a newest value. */
static bool is_empty(const struct pql_signal *signal, const struct pql_cell *cell)
{
    if (entry_size(signal)) return !cell->n;
    if (signal->kind == PQL_SIGNAL_LATEST || signal->kind == PQL_SIGNAL_EARLIEST)
        return ((const struct payload_newest *)payload(cell))->kind == PQL_NULL;
    return !((const struct payload_total *)payload(cell))->n;
}

/* A new period begins empty. */
static void begin_period(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    int64_t now = period_at(signal, t_ms);
    if (*period_of(signal, cell) == now) return;
    memset(cell->data, 0, payload_size(signal));
    cell->n = cell->head = cell->text_len = 0;
    *period_of(signal, cell) = now;
}

/* --- the interface --- */

static unsigned add(const struct pql_signal *signal, struct pql_cell **cell,
                    const struct pql_occurrence *occurrence, const struct pql_first *first, int64_t t_ms)
{
    bool is_new = !*cell;
    if (is_new) {
        *cell = cell_new(signal, entry_size(signal) ? 2 : 0);
        if (signal->kind == PQL_SIGNAL_SEQUENCE)
            ((struct payload_sequence *)payload(*cell))->start_ms = PQL_NO_TIME;
    }
    pql_signal_trim(signal, *cell, first, t_ms);
    if (is_calendar(signal)) {
        if (period_at(signal, occurrence->time_ms) != *period_of(signal, *cell)) return 0;
        is_new = is_empty(signal, *cell);
    }
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
    case PQL_SIGNAL_SUM: return add_rolling(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_EXTREME: return add_extreme(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_DISTINCT: return add_distinct(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: return add_ever(signal, *cell, occurrence);
    case PQL_SIGNAL_DISTINCT_EVER: return add_set(signal, cell, occurrence->hash);
    case PQL_SIGNAL_TIMES: return add_times(*cell, occurrence->time_ms, is_new);
    case PQL_SIGNAL_NTH: return add_nth(signal, cell, occurrence);
    case PQL_SIGNAL_SEQUENCE: return add_sequence(signal, cell, occurrence, t_ms);
    case PQL_SIGNAL_SEQUENCE_FIRST: return add_first_sequence(signal, cell, occurrence, first, t_ms);
    case PQL_SIGNAL_STREAK: return add_day(signal, *cell, (int64_t)occurrence->hash, is_new, t_ms);
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: return add_newest(signal, cell, occurrence, is_new, t_ms);
    case PQL_SIGNAL_FIRST: return add_first(signal, cell, occurrence, first, t_ms);
    case PQL_SIGNAL_FIRST_VALUE: return add_first_value(signal, cell, occurrence, first, t_ms);
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

static void drop_expired(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = expired(signal, cell, t_ms);
    if (gone && signal->kind == PQL_SIGNAL_SUM) add_to_total(cell, -sum_of(signal, cell, 0, gone));
    drop_oldest(cell, gone);
}

void pql_signal_trim(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                     int64_t t_ms)
{
    if (!cell) return;
    if (rows[signal->kind].is_rolling)
        drop_expired(signal, cell, t_ms);
    else if (signal->kind == PQL_SIGNAL_SEQUENCE)
        drop_dead(signal, cell, t_ms);
    else if (is_calendar(signal))
        begin_period(signal, cell, t_ms);
    else if (pql_has_end(signal))
        cut_first(signal, cell, first, t_ms);
}

static void read_rolling(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                         struct pql_reading *reading)
{
    uint32_t gone = expired(signal, cell, t_ms);
    uint32_t upto = is_prev(signal) ? count_upto(signal, cell, t_ms - signal->window.ms) : cell->n;
    reading->n = upto - gone;
    if (!reading->n) return;
    /* A cell shared with a twin holds more than k: what is told of them is told of the newest k. */
    if (signal->k && reading->n > signal->k) gone = upto - signal->k;
    reading->first_at = time_at(signal, cell, gone);
    reading->last_at = time_at(signal, cell, upto - 1);
    if (signal->kind == PQL_SIGNAL_EXTREME) reading->sum = sum_of(signal, cell, gone, gone + 1);
    if (signal->kind != PQL_SIGNAL_SUM) return;
    const struct payload_total *total = payload(cell);
    reading->sum = is_prev(signal) ? sum_of(signal, cell, gone, upto)
                                   : decimal_of(total->low, total->high) - sum_of(signal, cell, 0, gone);
}

static void read_newest(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                        struct pql_reading *reading)
{
    const struct payload_newest *newest = payload(cell);
    if (has_left(signal, newest->time_ms, t_ms) || newest->kind == PQL_NULL) return;
    reading->value = newest_value(signal, cell);
    reading->first_at = reading->last_at = newest->time_ms;
    reading->n = 1;
}

static void read_first_value(const struct pql_signal *signal, const struct pql_cell *cell,
                             const struct pql_first *first, struct pql_reading *reading)
{
    uint32_t i = decider(signal, cell, first);
    if (i == cell->n) return;
    reading->value = decided(signal, cell, first);
    reading->first_at = reading->last_at = time_at(signal, cell, i);
    reading->n = 1;
}

static void read_cell(const struct pql_signal *signal, const struct pql_cell *cell,
                      const struct pql_first *first, int64_t t_ms, struct pql_reading *reading)
{
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
    case PQL_SIGNAL_SUM:
    case PQL_SIGNAL_EXTREME:
    case PQL_SIGNAL_DISTINCT: read_rolling(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: {
        const struct payload_total *total = payload(cell);
        reading->n = total->n;
        reading->sum = decimal_of(total->low, total->high);
        break;
    }
    case PQL_SIGNAL_DISTINCT_EVER: reading->n = cell->n; break;
    case PQL_SIGNAL_TIMES: {
        const struct payload_times *times = payload(cell);
        reading->n = 1;
        reading->first_at = times->first_ms;
        reading->last_at = times->last_ms;
        break;
    }
    case PQL_SIGNAL_NTH:
        if (cell->n < signal->k) break;
        reading->n = 1;
        reading->first_at = reading->last_at = time_at(signal, cell, cell->n - 1);
        break;
    case PQL_SIGNAL_SEQUENCE: {
        const struct payload_sequence *whole = payload(cell);
        reading->n = is_live(signal, whole->start_ms, t_ms);
        if (reading->n) reading->first_at = whole->start_ms;
        break;
    }
    case PQL_SIGNAL_STREAK: reading->n = streak_at(signal, payload(cell), t_ms); break;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: read_newest(signal, cell, t_ms, reading); break;
    case PQL_SIGNAL_SEQUENCE_FIRST: {
        const struct payload_first *value = payload(cell);
        reading->n = value->n;
        if (value->n) reading->first_at = value->first_ms;
        break;
    }
    case PQL_SIGNAL_FIRST: {
        const struct payload_first *value = payload(cell);
        reading->n = value->n;
        reading->sum = decimal_of(value->low, value->high);
        if (value->n) reading->first_at = value->first_ms, reading->last_at = value->last_ms;
        break;
    }
    case PQL_SIGNAL_FIRST_VALUE: read_first_value(signal, cell, first, reading); break;
    case PQL_SIGNAL_KIND_COUNT: PQL_ASSERT(false);
    }
}

void pql_signal_read(const struct pql_signal *signal, const struct pql_cell *cell,
                     const struct pql_first *first, int64_t t_ms, struct pql_reading *reading)
{
    *reading = (struct pql_reading){.first_at = PQL_NO_TIME, .last_at = PQL_NO_TIME};
    bool is_over = cell && is_calendar(signal) && *period_of(signal, cell) != period_at(signal, t_ms);
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
    return cell && cell->n >= c && time_at(signal, cell, cell->n - c) > t_ms - signal->window.ms;
}

static int64_t next_rolling(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

/* The oldest of the newest W comes in, the oldest of those before leaves, or the twin changes. */
static int64_t next_prev(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t gone,
                         int64_t t_ms)
{
    int64_t window = signal->window.ms;
    uint32_t newest = count_upto(signal, cell, t_ms - window);
    int64_t due = newest < cell->n ? time_at(signal, cell, newest) + window : INT64_MAX;
    if (gone < newest && time_at(signal, cell, gone) + 2 * window < due)
        due = time_at(signal, cell, gone) + 2 * window;
    int64_t of_twin = signal->twin ? next_rolling(signal->twin, cell, t_ms) : INT64_MAX;
    return of_twin < due ? of_twin : due;
}

/* Counted things leave one by one, the oldest first: of the boundaries that hold, the largest is the first to
 * fall. */
static int64_t next_rolling(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    uint32_t gone = expired(signal, cell, t_ms), live = cell->n - gone;
    if (!live) return INT64_MAX;
    if (is_prev(signal)) return next_prev(signal, cell, gone, t_ms);
    if (signal->read_as_number || signal->kind == PQL_SIGNAL_SUM || signal->kind == PQL_SIGNAL_EXTREME)
        return time_at(signal, cell, gone) + signal->window.ms;
    for (size_t i = signal->bounds_count; i-- > 0;)
        if (signal->bounds[i] <= (int64_t)live)
            return signal->bounds[i] < 1
                       ? INT64_MAX
                       : time_at(signal, cell, cell->n - (uint32_t)signal->bounds[i]) + signal->window.ms;
    return INT64_MAX;
}

static int64_t next_period(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (is_empty(signal, cell)) return INT64_MAX;
    int64_t end = pql_zone_period_start(signal->zone, unit_of(signal), *period_of(signal, cell) + 1);
    return end > t_ms ? end : INT64_MAX;
}

int64_t pql_signal_next_change(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    if (!cell) return INT64_MAX;
    if (rows[signal->kind].is_rolling) return next_rolling(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_SEQUENCE && signal->window.kind == PQL_WINDOW_ROLLING) {
        int64_t start = ((const struct payload_sequence *)payload(cell))->start_ms;
        return is_live(signal, start, t_ms) ? start + signal->window.ms : INT64_MAX;
    }
    if (signal->kind == PQL_SIGNAL_STREAK) return next_streak(signal, cell, t_ms);
    if (is_calendar(signal)) return next_period(signal, cell, t_ms);
    if (signal->kind == PQL_SIGNAL_LATEST && signal->window.kind == PQL_WINDOW_ROLLING) {
        int64_t due = ((const struct payload_newest *)payload(cell))->time_ms + signal->window.ms;
        return due > t_ms ? due : INT64_MAX;
    }
    if (signal->kind == PQL_SIGNAL_TIMES) {
        int64_t last = ((const struct payload_times *)payload(cell))->last_ms;
        for (size_t i = 0; i < signal->bounds_count; i++)
            if (last + signal->bounds[i] > t_ms) return last + signal->bounds[i];
    }
    return INT64_MAX;
}

int64_t pql_signal_begins(const struct pql_signal *signal, int64_t t_ms)
{
    if (is_calendar(signal))
        return pql_zone_period_start(signal->zone, unit_of(signal), period_at(signal, t_ms));
    bool is_rolling = signal->window.kind == PQL_WINDOW_ROLLING || is_prev(signal);
    return is_rolling ? t_ms - kept_ms(signal) : PQL_NO_TIME;
}

bool pql_signal_adapt(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell *cell)
{
    bool is_cut = (before->kind == PQL_SIGNAL_COUNT && !is_prev(before)) ||
                  before->kind == PQL_SIGNAL_DISTINCT || before->kind == PQL_SIGNAL_DISTINCT_EVER;
    if (!is_cut) return false;
    bool wants_more = !now->k || now->k > before->k;
    if (is_full(before, cell) && wants_more) return true;
    if (rows[now->kind].is_rolling && now->k && cell->n > now->k) drop_oldest(cell, cell->n - now->k);
    return false;
}

void pql_signal_free(const struct pql_signal *signal, struct pql_cell *cell)
{
    for (uint32_t i = 0; cell && signal->kind == PQL_SIGNAL_FIRST_VALUE && i < cell->n; i++)
        entry_drop(signal, (const struct entry_first *)entries(signal, cell) + i);
    free(cell);
}

size_t pql_signal_bytes(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return cell ? cell_size(signal, cell->capacity) + cell->text_len : 0;
}

size_t pql_signal_content(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return payload_size(signal) + entry_size(signal) * cell->n + cell->text_len;
}

/* --- saved form: text length, number of entries, text, payload words, entries; times as differences. All
 * words are little endian zigzag varints, so the bytes do not depend on the machine or on capacities. --- */

static void save_words(struct pql_buf *out, const void *words, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        int64_t word;
        memcpy(&word, (const char *)words + i, sizeof word);
        pql_buf_zigzag(out, word);
    }
}

static void load_words(struct pql_reader *reader, void *words, size_t bytes)
{
    for (size_t i = 0; i < bytes; i += 8) {
        int64_t word = pql_read_zigzag(reader);
        memcpy((char *)words + i, &word, sizeof word);
    }
}

/* An entry that is a text is saved as its kind and the text. False: it is none. */
static bool save_text(const struct pql_signal *signal, const char *at, struct pql_buf *out)
{
    struct entry_first entry;
    if (signal->kind != PQL_SIGNAL_FIRST_VALUE) return false;
    memcpy(&entry, at, sizeof entry);
    if (entry.hash != PQL_TEXT) return false;
    pql_buf_zigzag(out, PQL_TEXT);
    pql_buf_slice(out, entry_value(&entry).text);
    return true;
}

/* The rest of an entry of `first W` of latest and earliest. What cannot be read becomes null, which owns
 * nothing. */
static void load_value(struct pql_reader *reader, char *at)
{
    struct entry_first entry;
    memcpy(&entry, at, sizeof entry);
    int64_t kind = pql_read_zigzag(reader);
    if (kind < PQL_NULL || kind > PQL_TIME) reader->failed = true;
    entry.hash = reader->failed ? PQL_NULL : (uint64_t)kind;
    if (entry.hash == PQL_TEXT) {
        struct pql_value text = pql_text(pql_read_slice(reader));
        entry = entry_of(entry.time_ms, &text);
    } else {
        load_words(reader, &entry.low, sizeof entry.low + sizeof entry.high);
    }
    memcpy(at, &entry, sizeof entry);
}

void pql_signal_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out)
{
    size_t fixed = payload_size(signal);
    pql_buf_varint(out, cell->text_len);
    pql_buf_varint(out, cell->n);
    if (cell->text_len) pql_buf_put(out, cell->data + fixed, cell->text_len);
    save_words(out, cell->data, fixed);
    int64_t before = 0;
    const char *at = entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++, at += entry_size(signal)) {
        int64_t lead; /* the time; of a set, the hash: differences wrap */
        memcpy(&lead, at, sizeof lead);
        pql_buf_zigzag(out, (int64_t)((uint64_t)lead - (uint64_t)before));
        before = lead;
        if (!save_text(signal, at, out)) save_words(out, at + 8, entry_size(signal) - 8);
    }
}

enum { ENTRIES_MAX = 1 << 26, TEXT_MAX = 1 << 24 };

struct pql_cell *pql_signal_load(const struct pql_signal *signal, struct pql_reader *reader)
{
    uint64_t text_len = pql_read_varint(reader), n = pql_read_varint(reader);
    bool is_newest = signal->kind == PQL_SIGNAL_LATEST || signal->kind == PQL_SIGNAL_EARLIEST;
    if (reader->failed || n > ENTRIES_MAX || n > pql_reader_left(reader) || (n && !entry_size(signal)) ||
        text_len > TEXT_MAX || text_len > pql_reader_left(reader) || (text_len && !is_newest)) {
        reader->failed = true;
        return NULL;
    }
    uint32_t capacity = entry_size(signal) ? (n < 2 ? 2 : (uint32_t)n) : 0;
    struct pql_cell *cell = pql_trymalloc(cell_size(signal, capacity) + text_len);
    if (!cell) {
        reader->failed = true;
        return NULL;
    }
    memset(cell, 0, cell_size(signal, capacity));
    cell->capacity = capacity;
    cell->n = (uint32_t)n;
    cell->text_len = (uint32_t)text_len;
    const char *text = pql_read_bytes(reader, text_len);
    if (text && text_len) memcpy(cell->data + payload_size(signal), text, text_len);
    load_words(reader, cell->data, payload_size(signal));
    uint64_t lead = 0;
    char *at = entries(signal, cell);
    for (uint32_t i = 0; i < cell->n; i++, at += entry_size(signal)) {
        lead += (uint64_t)pql_read_zigzag(reader);
        memcpy(at, &lead, sizeof lead);
        if (signal->kind == PQL_SIGNAL_FIRST_VALUE)
            load_value(reader, at);
        else
            load_words(reader, at + 8, entry_size(signal) - 8u);
    }
    bool bad_value = is_newest && ((const struct payload_newest *)payload(cell))->kind > PQL_TIME;
    if (reader->failed || bad_value) {
        reader->failed = true;
        pql_signal_free(signal, cell);
        return NULL;
    }
    return cell;
}
