/* signal.h - what is kept of one function call for one subject, so that its value can be read at any instant.
 *
 * A signal (struct pql_signal) is of the program: selector, window, how much must be kept (k). Its state, a
 * struct pql_cell on the heap, is of a subject and exists from the first occurrence on; a NULL cell is the
 * empty state.
 *
 *   count, rolling     times, newest last          | t1 | t2 | t3 |        live: those > t - W
 *   distinct, days     (last time, value), sorted by last time
 *   sum, avg           (time, decimal), and their total
 *   min, max           (time, decimal) of those that no newer one beats, the best first
 *   prev W             as count and sum, over 2 W
 *   beyond exact_max   of a sum, a prev W, and a count that is read as a number: the newest so many one
 *                      by one, older ones as number and sum per 1/1024 of the window (a pane); these count
 *                      as if they had been at the end of their pane, and the reading is approximate
 *   first W            the value, and (time, value) one by one until the window cannot move any more
 *   ever forms         a number, a set, a pair of times, the n earliest times
 *   today, this …      the ever form, and the number of the day, week, month or quarter
 *   sequence           per step, and value of `by`, the partial match with the latest start; the latest
 *                      whole one
 *   streak             the newest day, 64 days up to it as bits, the length of the run before them
 *   decaying           the same; since ever (step, number, sum), or the last time of each value or day;
 *                      in first W those of a step together once the window cannot move
 *
 * Reading is pure: it looks through what has expired but is not trimmed yet. State is trimmed only when an
 * occurrence is added and when a true change is due, so that its bytes are a function of the log alone.
 * Owner: the subject. Thread: the task's. */
#ifndef PQL_CORE_STATE_SIGNAL_H
#define PQL_CORE_STATE_SIGNAL_H

#include "base/buf.h"
#include "base/zone.h"
#include "core/decay.h"
#include "core/lang/ast.h"

/* How a signal keeps its state: one row of pql_signal_kinds each. */
enum pql_signal_kind {
    PQL_SIGNAL_COUNT, /* rolling, or prev */
    PQL_SIGNAL_COUNT_EVER,
    PQL_SIGNAL_SUM, /* rolling, or prev; sum and avg */
    PQL_SIGNAL_SUM_EVER,
    PQL_SIGNAL_EXTREME, /* rolling; min and max */
    PQL_SIGNAL_EXTREME_EVER,
    PQL_SIGNAL_DISTINCT, /* rolling; by value, or by day, week, month */
    PQL_SIGNAL_DISTINCT_EVER,
    PQL_SIGNAL_TIMES, /* ever, first_time, last_time, since */
    PQL_SIGNAL_NTH,   /* the k earliest times */
    PQL_SIGNAL_STREAK,
    PQL_SIGNAL_SEQUENCE, /* rolling or ever */
    PQL_SIGNAL_SEQUENCE_FIRST,
    PQL_SIGNAL_LATEST,      /* rolling or ever */
    PQL_SIGNAL_EARLIEST,    /* ever */
    PQL_SIGNAL_FIRST,       /* count, sum, avg, min, max, distinct, days, weeks, months in `first W` */
    PQL_SIGNAL_FIRST_VALUE, /* latest, earliest in `first W` */
    PQL_SIGNAL_STEPS,       /* count, sum that decay, ever: by step of the decay */
    PQL_SIGNAL_LAST,        /* distinct, days that decay, ever: last times, newest k */
    PQL_SIGNAL_PANES,       /* of no signal: what is folded of another, counts; */
    PQL_SIGNAL_PANES_SUM,   /* and sums */
    PQL_SIGNAL_KIND_COUNT,
};

enum { PQL_DISTINCT_MAX = 10000 }; /* distinct is exact up to here */

struct pql_signal {
    enum pql_signal_kind kind;
    enum pql_function function; /* of the first reader of the family */
    enum pql_subject subject;
    struct pql_window window;
    uint32_t k; /* the value is min(true value, k); 0: no limit */
    uint32_t exact_max;
    bool has_panes; /* what is older than the newest exact_max is folded; of a twin: there */
    int64_t start_grace_ms;
    bool is_of_users;    /* distinct users of an account: an alias or an erasure makes them fewer, so k limits
                            only    what is read of them; kept are PQL_DISTINCT_MAX */
    bool read_as_number; /* else only comparisons with constants read it */
    const struct pql_zone *zone; /* of calendar windows, days, weeks, months, streak; NULL: UTC */
    enum pql_calendar unit;      /* days, weeks, months: what is counted */
    uint32_t steps_count;        /* sequence: 2 to PQL_SEQUENCE_STEPS_MAX */
    bool shows_mean;             /* sum: somebody reads the average */
    bool is_by;                  /* sequence: all steps have one value of a property */
    int64_t within_ms;           /* sequence: 0: no limit */
    /* Of readers: how what it holds decays. Kinds that keep it by step have one, others any number. */
    const struct pql_decay *const *decays;
    size_t decays_count;
    /* prev W: the signal of the same calls in W itself, which is read from the same cell; or NULL. */
    const struct pql_signal *twin;
    /* Boundaries c, ascending: the instant at which `value >= c` flips matters. Whole numbers; of since, ms.
     */
    const int64_t *bounds;
    size_t bounds_count;
};

/* first W, and periods that the mapping names. */
static inline bool pql_has_end(const struct pql_signal *signal)
{
    return signal->window.kind == PQL_WINDOW_FIRST || signal->window.kind == PQL_WINDOW_PERIOD;
}

struct pql_cell; /* state; layout in signal_cell.h */

/* One occurrence. value: of the selector's path, canonical for distinct. seq: order of processing. */
struct pql_occurrence {
    int64_t time_ms;
    uint64_t hash;      /* distinct: of the canonical value; days, weeks, months, streak: the number of it */
    uint32_t steps;     /* sequence: bit i: it may be step i */
    pql_decimal number; /* sum, min, max */
    struct pql_value value; /* latest, earliest */
};

/* Where the `first` window or period of a subject stands: [start, end); both INT64_MAX: nowhere yet. */
struct pql_first {
    int64_t start_ms, end_ms;
};

struct pql_reading {
    struct pql_value value; /* of the signal's own function; null of nothing where the function says so */
    uint64_t n;      /* of what is counted: the value; else the number of occurrences behind it if kept */
    pql_decimal sum; /* of min and max: the extreme */
    int64_t first_at, last_at; /* PQL_NO_TIME: unknown */
    bool at_least, approximate;
};

/* What an added occurrence changed of the true value; a reader asks for the bits that its function shows. */
enum {
    PQL_CHANGE_ANY = 1,   /* there was nothing before */
    PQL_CHANGE_FIRST = 2, /* the earliest time */
    PQL_CHANGE_LAST = 4,  /* the latest time */
    PQL_CHANGE_VALUE = 8, /* the number, or the newest value */
    PQL_CHANGE_TWIN = 16, /* the number of the twin */
    PQL_CHANGE_AGE = 64,  /* how much it has decayed */
    PQL_CHANGE_MEAN = 32, /* sum divided by how many; only where shows_mean */
};

/* Adds an occurrence at instant t (>= its time). *cell may be NULL before and is replaced when it grows.
 * Returns bits of PQL_CHANGE_*, 0 if the true value is as before. */
unsigned pql_signal_add(const struct pql_signal *signal, struct pql_cell **cell,
                        const struct pql_occurrence *occurrence, const struct pql_first *first, int64_t t_ms);
/* The average of a reading of sums; null of nothing. */
struct pql_value pql_signal_mean(const struct pql_reading *reading);
/* Drops what has expired at t. */
void pql_signal_trim(const struct pql_signal *signal, struct pql_cell *cell, const struct pql_first *first,
                     int64_t t_ms);
/* The value at t. cell may be NULL. */
void pql_signal_read(const struct pql_signal *signal, const struct pql_cell *cell,
                     const struct pql_first *first, int64_t t_ms, struct pql_reading *reading);
/* The same of count, sum, distinct and days, with what each occurrence, or the last of each value or day,
 * still counts for; reading->value is the number. */
void pql_signal_read_decayed(const struct pql_signal *signal, const struct pql_decay *decay,
                             const struct pql_cell *cell, const struct pql_first *first, int64_t t_ms,
                             struct pql_reading *reading);
/* The first instant after t at which something decays; INT64_MAX if nothing does. At most next_change. */
int64_t pql_signal_next_decay(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);
/* Only for PQL_SIGNAL_COUNT and PQL_SIGNAL_DISTINCT in rolling windows: is the value at t at least c (c >= 1,
 * c <= k)? O(1). */
bool pql_signal_reaches(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                        uint32_t c);
/* The first instant after t at which the value, or for signals read only by comparisons one of these, changes
 * by itself; INT64_MAX if never. */
int64_t pql_signal_next_change(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms);
/* first W: bytes of each occurrence that is kept one by one. */
size_t pql_first_entry_size(const struct pql_signal *signal);
/* first W: events before this are not all counted, because the window has moved onto ground that was no
 * longer kept; PQL_NO_TIME: all are. cell may be NULL. */
int64_t pql_signal_complete_since(const struct pql_signal *signal, const struct pql_cell *cell);
/* first W: the subject's start moves at t. Call on every `first` cell: the value is counted anew over what is
 * still kept one by one. */
void pql_signal_start_moves(const struct pql_signal *signal, struct pql_cell *cell,
                            const struct pql_first *before, const struct pql_first *after, int64_t t_ms);

/* Two users become one: what was kept of `from` goes to *into (may be NULL) as if its occurrences had been
 * added there; from is freed. first: of both. Returns bits of PQL_CHANGE_*. How exact: signal_merge.c. */
unsigned pql_signal_merge(const struct pql_signal *signal, struct pql_cell **into, struct pql_cell *from,
                          const struct pql_first *first, int64_t t_ms);

/* In a cell by values of `user`: one user's id becomes another's, or (to null) it is erased. Both are texts,
 * with their hashes as occurrences have them. Returns bits of PQL_CHANGE_*. */
struct pql_renaming {
    struct pql_value from, to;
    uint64_t from_hash, to_hash;
};
unsigned pql_signal_rename(const struct pql_signal *signal, struct pql_cell **cell,
                           const struct pql_renaming *renaming, const struct pql_first *first, int64_t t_ms);

/* From when on the window looks at t, where that follows from t alone; else PQL_NO_TIME. */
int64_t pql_signal_begins(const struct pql_signal *signal, int64_t t_ms);

/* Other limits for a state kept under `before`: drops or folds what is more than is wanted now. True if what
 * was kept may be less than is wanted. */
bool pql_signal_adapt(const struct pql_signal *before, const struct pql_signal *now, struct pql_cell **cell);

void pql_signal_free(const struct pql_signal *signal, struct pql_cell *cell);
size_t pql_signal_bytes(const struct pql_signal *signal, const struct pql_cell *cell);
/* What it takes of the allocator: nothing where it lies inside its subject's block (cells.h). */
size_t pql_signal_cost(const struct pql_signal *signal, const struct pql_cell *cell);
/* Bytes of a cell that may lie there, because it owns nothing; 0: it may not. */
size_t pql_signal_inside(const struct pql_signal *signal, const struct pql_cell *cell);
/* Moves the cell there. One that has to grow leaves that place again: it is replaced by one on the heap. */
void pql_cell_settle(struct pql_cell *cell, size_t bytes, void *place);
/* A copy on the heap of one that lies there. */
struct pql_cell *pql_cell_loosen(const struct pql_cell *inside, size_t bytes);
/* Bytes of what is kept, whatever room it takes: a function of the content, O(1). Its saved form takes at
 * least an eighth of it. */
size_t pql_signal_content(const struct pql_signal *signal, const struct pql_cell *cell);
void pql_signal_save(const struct pql_signal *signal, const struct pql_cell *cell, struct pql_buf *out);
/* NULL after bytes that make no sense; reader->failed is set then. */
struct pql_cell *pql_signal_load(const struct pql_signal *signal, struct pql_reader *reader);

#endif
