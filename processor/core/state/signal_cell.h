/* signal_cell.h - the state of a signal from inside: an array of entries behind a fixed payload, and what the
 * families of functions do with it. For the files signal*.c only; others know state/signal.h.
 *
 *   signal.c           the interface: which family has a kind, what it keeps (one row per kind)
 *   signal_rolling.c   count, sum, avg, min, max, distinct, days … in W; count, sum, avg in prev W
 *   signal_values.c    entries by value, of DISTINCT, LAST and SEQUENCE
 *   signal_panes.c     what is older than the newest exact_max of count, sum and avg there
 *   signal_ever.c      their ever forms; ever, first_time, last_time, since; nth
 *   signal_calendar.c  today, this week …: the ever form of the present period
 *   signal_decay.c     what decays of all these
 *   signal_first*.c    first W and named periods, of every function
 *   signal_newest.c    latest, earliest
 *   signal_sequence.c  sequence
 *   signal_streak.c    streak
 *   signal_save.c      the saved form
 *   signal_merge.c     two users become one
 *
 * Every function here takes a cell that exists. Owner and thread: as of state/signal.h. */
#ifndef PQL_CORE_STATE_SIGNAL_CELL_H
#define PQL_CORE_STATE_SIGNAL_CELL_H

#include "core/state/signal.h"

/* Times, one by one, are kept in an array with a moving head: appending and dropping the oldest are O(1)
 * amortised, a late insertion moves what is newer. Entries of one kind have one size. */
struct pql_cell {
    uint32_t head, n, capacity; /* entries [head, head + n) of capacity */
    uint32_t text_len : 31;     /* latest, earliest: bytes of a text behind the entry */
    uint32_t is_inside : 1;     /* of its subject's block: nobody frees it */
    _Alignas(8) char data[];
};

struct pql_entry_time {
    int64_t time_ms;
};

struct pql_entry_value { /* distinct; of days, weeks, months the time alone: it says which one it is */
    int64_t time_ms;
    uint64_t hash;
};

struct pql_entry_number { /* sum */
    int64_t time_ms;
    uint64_t low;
    int64_t high;
};

struct pql_entry_pane { /* begins with its end, exclusive; of counts the first two words */
    int64_t end_ms;
    uint64_t n, low;
    int64_t high;
};

struct pql_entry_step { /* of decay */
    int64_t start_ms;
    uint64_t n, low;
    int64_t high;
};

struct pql_entry_first { /* occurrence of `first W` */
    int64_t time_ms;
    uint64_t hash, low;
    int64_t high;
};

/* Sequence: what is open, of one value of `by`, is the time of its newest event, the value, and for each step
 * but the last the partial match with the latest start. */
struct pql_partial {
    int64_t start_ms, last_ms; /* PQL_NO_TIME: none */
};

struct pql_payload_sequence {
    int64_t start_ms; /* of the whole match with the latest start, PQL_NO_TIME: none */
};

/* Fixed payloads, at data, for kinds without entries; `first` has one before its entries. */
struct pql_payload_total { /* of min and max: the extreme */
    uint64_t n, low;
    int64_t high;
};

struct pql_payload_streak {
    int64_t newest;  /* day */
    uint64_t days;   /* bit i: the day i before it */
    uint64_t before; /* length of the run that ends before them */
};

struct pql_payload_times {
    int64_t first_ms, last_ms;
};

struct pql_payload_newest {
    int64_t time_ms;
    uint64_t kind, low; /* of the value; a text stands behind the payload */
    int64_t high;
};

/* The value of the present window. Folded: the window cannot move any more, its occurrences are gone. Lost:
 * occurrences up to lost_ms are not all kept one by one. Less: the window has moved onto such ground; events
 * before since_ms are not all counted. */
enum { PQL_FIRST_FOLDED = 1, PQL_FIRST_LOST = 2, PQL_FIRST_LESS = 4, PQL_FIRST_MATCHING = 8 };
struct pql_payload_first {
    uint64_t flags, n;
    int64_t first_ms, last_ms; /* meaningful where n > 0 */
    int64_t lost_ms, since_ms;
    int64_t high;
    union {
        uint64_t low;
        struct pql_cell *form; /* of different things and sequences: the value since ever */
    };
};

/* One row per kind: bytes of the fixed payload and of an entry. */
extern const struct pql_signal_row {
    uint32_t payload, entry;
    bool is_rolling; /* entries leave by themselves W after their time */
} pql_signal_rows[PQL_SIGNAL_KIND_COUNT];

static inline pql_decimal pql_cell_decimal(uint64_t low, int64_t high)
{
    return (pql_decimal)((pql_udecimal)(uint64_t)high << 64 | low);
}

static inline uint64_t pql_cell_low(pql_decimal number)
{
    return (uint64_t)number;
}
static inline int64_t pql_cell_high(pql_decimal number)
{
    return (int64_t)((pql_udecimal)number >> 64);
}

static inline bool pql_signal_is_calendar(const struct pql_signal *signal)
{
    return signal->window.kind >= PQL_WINDOW_TODAY && signal->window.kind <= PQL_WINDOW_QUARTER;
}

static inline enum pql_calendar pql_signal_unit(const struct pql_signal *signal)
{
    static const enum pql_calendar units[] = {[PQL_WINDOW_TODAY] = PQL_CALENDAR_DAY,
                                              [PQL_WINDOW_WEEK] = PQL_CALENDAR_WEEK,
                                              [PQL_WINDOW_MONTH] = PQL_CALENDAR_MONTH,
                                              [PQL_WINDOW_QUARTER] = PQL_CALENDAR_QUARTER};
    return units[signal->window.kind];
}

/* In a calendar window the number of the period stands behind it; in a rolling one, where the panes are. */
static inline size_t pql_cell_payload_size(const struct pql_signal *signal)
{
    bool has_more = pql_signal_is_calendar(signal) || signal->has_panes;
    return pql_signal_rows[signal->kind].payload + (has_more ? sizeof(int64_t) : 0);
}

/* Days, weeks or months that something was in: their values are in the order of their times. */
static inline bool pql_signal_is_of_periods(const struct pql_signal *signal)
{
    bool is_of_values = signal->kind == PQL_SIGNAL_DISTINCT || signal->kind == PQL_SIGNAL_LAST;
    return is_of_values && (signal->function == PQL_FN_DAYS || signal->function == PQL_FN_WEEKS ||
                            signal->function == PQL_FN_MONTHS);
}

/* Of a first window it depends on the function, of a sequence on the steps. */
static inline size_t pql_cell_entry_size(const struct pql_signal *signal)
{
    if (signal->kind == PQL_SIGNAL_FIRST) return pql_first_entry_size(signal);
    if (pql_signal_is_of_periods(signal)) return sizeof(struct pql_entry_time);
    if (signal->kind != PQL_SIGNAL_SEQUENCE) return pql_signal_rows[signal->kind].entry;
    return sizeof(struct pql_entry_value) + (signal->steps_count - 1) * sizeof(struct pql_partial);
}

static inline void *pql_cell_entries(const struct pql_signal *signal, const struct pql_cell *cell)
{
    return (char *)(uintptr_t)cell->data + pql_cell_payload_size(signal) +
           pql_cell_entry_size(signal) * cell->head;
}

static inline void *pql_cell_payload(const struct pql_cell *cell)
{
    return (char *)(uintptr_t)cell->data;
}

/* Every entry begins with its time. */
static inline int64_t pql_cell_time(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i)
{
    int64_t time;
    memcpy(&time, (const char *)pql_cell_entries(signal, cell) + pql_cell_entry_size(signal) * i,
           sizeof time);
    return time;
}

static inline bool pql_signal_is_prev(const struct pql_signal *signal)
{
    return signal->window.kind == PQL_WINDOW_PREV;
}

/* A count that only comparisons read is exact by the newest alone, even where it shares a cell with panes. */
static inline bool pql_signal_reads_panes(const struct pql_signal *signal)
{
    return signal->has_panes &&
           (signal->kind == PQL_SIGNAL_SUM || pql_signal_is_prev(signal) || signal->read_as_number);
}

/* How long an occurrence is of use. */
static inline int64_t pql_signal_kept_ms(const struct pql_signal *signal)
{
    return pql_signal_is_prev(signal) ? 2 * signal->window.ms : signal->window.ms;
}

/* Of prev all are kept: they count later. */
static inline bool pql_cell_is_full(const struct pql_signal *signal, const struct pql_cell *cell)
{
    uint32_t limit = signal->is_of_users && signal->k < PQL_DISTINCT_MAX ? PQL_DISTINCT_MAX : signal->k;
    return signal->k && cell->n >= limit && !pql_signal_is_prev(signal);
}
/* How many entries have a time <= bound: they are sorted. */
uint32_t pql_cell_upto(const struct pql_signal *signal, const struct pql_cell *cell, int64_t bound_ms);
/* Bytes of a cell with room for so many entries. */
size_t pql_cell_size(const struct pql_signal *signal, uint32_t capacity);
struct pql_cell *pql_cell_new(const struct pql_signal *signal, uint32_t capacity);
/* The same cell with so many bytes, of which it had `before`; and away with it. */
struct pql_cell *pql_cell_resize(struct pql_cell *cell, size_t before, size_t bytes);
void pql_cell_free(struct pql_cell *cell);
/* Opens a gap for one entry at index i and returns it; *cell is replaced when it grows. */
void *pql_cell_insert(const struct pql_signal *signal, struct pql_cell **cell, uint32_t i);
void pql_cell_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i);
/* Gives back what stands empty, where that is much. */
void pql_cell_shrink(const struct pql_signal *signal, struct pql_cell **cell);
void pql_cell_drop_oldest(struct pql_cell *cell, uint32_t count);

/* Cells of the kinds DISTINCT, LAST and SEQUENCE, whose entries are of one value each and begin as a
 * pql_entry_value does, or of days, weeks, months a pql_entry_time: only through these (signal_values.c). An
 * index holds until something is added, moved or removed; PQL_NO_VALUE: none. rank: 0 for the oldest; of
 * equal times the one added first. */
enum { PQL_NO_VALUE = UINT32_MAX };
enum {
    PQL_VALUE_ENTRY_MAX = sizeof(struct pql_entry_value) + PQL_SEQUENCE_STEPS_MAX * sizeof(struct pql_partial)
};
uint32_t pql_values_oldest(const struct pql_signal *signal, const struct pql_cell *cell);
uint32_t pql_values_newer(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i);
uint32_t pql_values_find(const struct pql_signal *signal, const struct pql_cell *cell, uint64_t hash);
void *pql_values_entry(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i);
uint64_t pql_values_hash(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t i);
/* O(distance from the nearer end); how many have a time <= bound: O(as many). */
int64_t pql_values_time(const struct pql_signal *signal, const struct pql_cell *cell, uint32_t rank);
uint32_t pql_values_upto(const struct pql_signal *signal, const struct pql_cell *cell, int64_t bound_ms);
/* The new entry: time and value are set. The value must not be there. */
void *pql_values_add(const struct pql_signal *signal, struct pql_cell **cell, int64_t time_ms, uint64_t hash);
void pql_values_remove(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i);
/* To a later time; the entry, where it is now. */
void *pql_values_move(const struct pql_signal *signal, struct pql_cell *cell, uint32_t i, int64_t time_ms);
void pql_values_drop_oldest(const struct pql_signal *signal, struct pql_cell *cell, uint32_t count);
/* Bytes of the threads behind the entries; a capacity for n entries; fills them once n entries stand there
 * from the oldest on, false if a value comes twice. */
size_t pql_values_room(const struct pql_signal *signal, uint32_t capacity);
uint32_t pql_values_capacity(const struct pql_signal *signal, uint32_t n);
bool pql_values_thread(const struct pql_signal *signal, struct pql_cell *cell);

/* The families. add: as pql_signal_add, `is_new` of the empty state; read: fills what it knows into a reading
 * that is of nothing; next: as pql_signal_next_change. */

unsigned pql_rolling_add(const struct pql_signal *signal, struct pql_cell **cell,
                         const struct pql_occurrence *occ, int64_t t_ms);
unsigned pql_rolling_add_extreme(const struct pql_signal *signal, struct pql_cell **cell,
                                 const struct pql_occurrence *occ, int64_t t_ms);
unsigned pql_rolling_add_distinct(const struct pql_signal *signal, struct pql_cell **cell,
                                  const struct pql_occurrence *occ, int64_t t_ms);
void pql_rolling_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms);
void pql_rolling_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                      struct pql_reading *reading);
int64_t pql_rolling_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);
/* As pql_signal_adapt, of count and sum. */
bool pql_rolling_adapt(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell **cell);

/* So many occurrences and their sum (of counts 0). */
struct pql_folded {
    uint64_t n;
    pql_decimal sum;
};
/* The end of the pane of an instant, exclusive. */
int64_t pql_panes_end(const struct pql_signal *signal, int64_t time_ms);
/* All below: of a signal that has_panes. */
void pql_panes_add(const struct pql_signal *signal, struct pql_cell *cell, int64_t end_ms,
                   const struct pql_folded *more);
/* Of the panes with after < end <= upto. */
struct pql_folded pql_panes_between(const struct pql_signal *signal, const struct pql_cell *cell,
                                    int64_t after_ms, int64_t upto_ms);
typedef void (*pql_panes_visit)(int64_t end_ms, const struct pql_folded *pane, void *context);
void pql_panes_each(const struct pql_signal *signal, const struct pql_cell *cell, int64_t after_ms,
                    pql_panes_visit visit, void *context);
/* The first end after that; INT64_MAX: none. */
int64_t pql_panes_first_after(const struct pql_signal *signal, const struct pql_cell *cell, int64_t ms);
/* Drops those with end <= upto. */
void pql_panes_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t upto_ms);
void pql_panes_free(const struct pql_signal *signal, struct pql_cell *cell);
size_t pql_panes_bytes(const struct pql_signal *signal, const struct pql_cell *cell);
size_t pql_panes_content(const struct pql_signal *signal, const struct pql_cell *cell);
void pql_panes_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out);
void pql_panes_load(const struct pql_signal *signal, struct pql_cell *cell, struct pql_reader *reader);

/* STEPS: adds to the step of the occurrence; what counts nothing any more goes. */
unsigned pql_decay_add(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ, int64_t t_ms);
void pql_decay_read(const struct pql_signal *signal, const struct pql_cell *cell,
                    struct pql_reading *reading);
/* Of a value or day that was last there at `before`, and is at `now`: PQL_CHANGE_AGE, or 0. */
unsigned pql_decay_change(const struct pql_signal *signal, int64_t before_ms, int64_t now_ms);

unsigned pql_ever_add(const struct pql_signal *signal, struct pql_cell *cell,
                      const struct pql_occurrence *occ);
unsigned pql_ever_add_set(const struct pql_signal *signal, struct pql_cell **cell, uint64_t hash);
unsigned pql_ever_add_times(struct pql_cell *cell, int64_t time_ms, bool is_new);
unsigned pql_ever_add_nth(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_occurrence *occ);
void pql_ever_read(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_reading *reading);
int64_t pql_ever_next_since(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);
/* Does a beat b, or equal it? Of min and max. */
bool pql_ever_is_best(const struct pql_signal *signal, pql_decimal a, pql_decimal b);
/* Takes the number into the total as the function has it. True if that is another than before. */
bool pql_ever_combine(const struct pql_signal *signal, struct pql_payload_total *total, pql_decimal number);

/* The number of the period of an instant, and of that which the cell is about. */
int64_t pql_calendar_at(const struct pql_signal *signal, int64_t t_ms);
int64_t *pql_calendar_of(const struct pql_signal *signal, const struct pql_cell *cell);
bool pql_calendar_is_empty(const struct pql_signal *signal, const struct pql_cell *cell);
/* A new period begins empty. */
void pql_calendar_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms);
int64_t pql_calendar_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

unsigned pql_first_add(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms);
unsigned pql_first_add_value(const struct pql_signal *signal, struct pql_cell **cell,
                             const struct pql_occurrence *occ, const struct pql_first *first, int64_t t_ms);
unsigned pql_first_add_sequence(const struct pql_signal *signal, struct pql_cell **cell,
                                const struct pql_occurrence *occ, const struct pql_first *first,
                                int64_t t_ms);
void pql_first_trim(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                    int64_t t_ms);
void pql_first_read(const struct pql_signal *signal, const struct pql_cell *cell,
                    struct pql_reading *reading);
void pql_first_read_value(const struct pql_signal *signal, const struct pql_cell *cell,
                          const struct pql_first *first, struct pql_reading *reading);
/* Are more different things wanted now than were told apart? */
bool pql_first_is_cut(const struct pql_signal *before, const struct pql_signal *now,
                      const struct pql_cell *cell);
/* The payload, and what it owns. */
void pql_first_free(const struct pql_signal *signal, struct pql_cell *cell);
size_t pql_first_bytes(const struct pql_signal *signal, const struct pql_cell *cell);
size_t pql_first_content(const struct pql_signal *signal, const struct pql_cell *cell);
void pql_first_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out);
void pql_first_load(const struct pql_signal *signal, struct pql_cell *cell, struct pql_reader *reader);
/* An entry of latest and earliest: its value, made of one, and given back (texts are blocks of their own). */
struct pql_value pql_first_value(const struct pql_entry_first *entry);
struct pql_entry_first pql_first_entry(int64_t time_ms, const struct pql_value *value);
void pql_first_drop(const struct pql_signal *signal, const struct pql_entry_first *entry);

unsigned pql_newest_add(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occ, bool is_new, int64_t t_ms);
void pql_newest_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                     struct pql_reading *reading);
int64_t pql_newest_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

unsigned pql_sequence_add(const struct pql_signal *signal, struct pql_cell **cell,
                          const struct pql_occurrence *occ, int64_t t_ms);
/* The empty state of a new cell. */
void pql_sequence_init(struct pql_cell *cell);
void pql_sequence_trim(const struct pql_signal *signal, struct pql_cell *cell, int64_t t_ms);
void pql_sequence_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                       struct pql_reading *reading);
int64_t pql_sequence_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

/* Two users become one (signal_merge.c): `from` is left as it is; both are trimmed and not empty. */
void pql_newest_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                      int64_t t_ms);
void pql_decay_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from);
void pql_streak_merge(struct pql_cell *into, const struct pql_cell *from);
void pql_sequence_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from);
/* One user's id becomes another's. */
void pql_newest_rename(const struct pql_signal *signal, struct pql_cell **cell,
                       const struct pql_renaming *renaming);
void pql_sequence_rename(const struct pql_signal *signal, struct pql_cell **cell,
                         const struct pql_renaming *renaming);
void pql_first_rename(const struct pql_signal *signal, struct pql_cell *cell,
                      const struct pql_renaming *renaming, const struct pql_first *first, int64_t t_ms);
void pql_first_merge(const struct pql_signal *signal, struct pql_cell **into, const struct pql_cell *from,
                     const struct pql_first *first, int64_t t_ms);

unsigned pql_streak_add(const struct pql_signal *signal, struct pql_cell *cell, int64_t day, bool is_new,
                        int64_t t_ms);
void pql_streak_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                     struct pql_reading *reading);
int64_t pql_streak_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);

#endif
