/* Days in a row. */
#include "core/state/signal_cell.h"

/* Length of the run that ends with the newest day. */
static uint64_t run_of(const struct pql_payload_streak *streak)
{
    uint64_t missing = ~streak->days;
    return missing ? (uint64_t)__builtin_ctzll(missing) : 64 + streak->before;
}

/* Neither today nor yesterday: over. */
static uint64_t streak_at(const struct pql_signal *signal, const struct pql_payload_streak *streak,
                          int64_t t_ms)
{
    return pql_zone_period(signal->zone, PQL_CALENDAR_DAY, t_ms) - streak->newest > 1 ? 0 : run_of(streak);
}

/* Days older than the bits are not added. */
unsigned pql_streak_add(const struct pql_signal *signal, struct pql_cell *cell, int64_t day, bool is_new,
                        int64_t t_ms)
{
    struct pql_payload_streak *streak = pql_cell_payload(cell);
    if (is_new) *streak = (struct pql_payload_streak){.newest = day};
    uint64_t was = is_new ? 0 : streak_at(signal, streak, t_ms);
    for (int64_t gap = day - streak->newest, i = 0; i < gap && i <= 64; i++) {
        streak->before = streak->days >> 63 ? streak->before + 1 : 0;
        streak->days <<= 1;
    }
    if (day > streak->newest) streak->newest = day;
    if (streak->newest - day < 64) streak->days |= UINT64_C(1) << (streak->newest - day);
    return streak_at(signal, streak, t_ms) != was ? PQL_CHANGE_VALUE : 0;
}

int64_t pql_streak_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    const struct pql_payload_streak *streak = pql_cell_payload(cell);
    bool flips = signal->read_as_number;
    for (size_t i = 0; i < signal->bounds_count; i++)
        flips |= signal->bounds[i] > 0 && (uint64_t)signal->bounds[i] <= run_of(streak);
    if (!flips || !streak_at(signal, streak, t_ms)) return INT64_MAX;
    return pql_zone_period_start(signal->zone, PQL_CALENDAR_DAY, streak->newest + 2);
}

void pql_streak_read(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms,
                     struct pql_reading *reading)
{
    reading->n = streak_at(signal, pql_cell_payload(cell), t_ms);
}

/* Is the day known of? */
static bool has_day(const struct pql_payload_streak *streak, int64_t day)
{
    int64_t age = streak->newest - day;
    if (age < 0) return false;
    return age < 64 ? streak->days >> age & 1 : (uint64_t)(age - 64) < streak->before;
}

/* Days of the run that ends with `day`, as far as one of the two knows: in the bits one by one, then at once.
 */
static uint64_t run_before(const struct pql_payload_streak *a, const struct pql_payload_streak *b,
                           int64_t day)
{
    uint64_t run = 0;
    for (;;) {
        int64_t at = day - (int64_t)run;
        const struct pql_payload_streak *of = has_day(a, at) ? a : has_day(b, at) ? b : NULL;
        if (!of) return run;
        int64_t age = of->newest - at;
        run += age < 64 ? 1 : of->before - (uint64_t)(age - 64);
    }
}

void pql_streak_merge(struct pql_cell *into, const struct pql_cell *from)
{
    struct pql_payload_streak *a = pql_cell_payload(into);
    const struct pql_payload_streak *b = pql_cell_payload(from);
    struct pql_payload_streak both = {.newest = a->newest > b->newest ? a->newest : b->newest};
    for (int i = 0; i < 64; i++)
        if (has_day(a, both.newest - i) || has_day(b, both.newest - i)) both.days |= UINT64_C(1) << i;
    both.before = run_before(a, b, both.newest - 64);
    memcpy(pql_cell_payload(into), &both, sizeof both);
}
