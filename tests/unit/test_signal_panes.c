/* Beyond exact_max: a rolling signal against a list of all occurrences, of which those that are folded count
 * as if they had been at the end of their pane. */
#include "core/state/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

enum { EXACT = 20, SOME = 4000 };
static const int64_t window = 100000, width = 98; /* 100000 / 1024, rounded up */

struct one {
    int64_t time_ms, from_ms; /* from when on it counts: its time, or the end of its pane */
    bool is_folded, is_gone;
    pql_decimal number;
};

struct list {
    struct one items[SOME];
    size_t count;
};

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* Sorted by time; of one time in the order in which they came. */
static void list_add(struct list *list, struct one one, int64_t kept_ms, int64_t t_ms)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].from_ms <= t_ms - kept_ms) list->items[i].is_gone = true;
    if (one.time_ms <= t_ms - kept_ms) return;
    size_t at = list->count++, exact = 0;
    for (; at > 0 && list->items[at - 1].time_ms > one.time_ms; at--) list->items[at] = list->items[at - 1];
    list->items[at] = one;
    for (size_t i = 0; i < list->count; i++) exact += !list->items[i].is_folded && !list->items[i].is_gone;
    for (size_t i = 0; exact > EXACT; i++) {
        struct one *oldest = &list->items[i];
        if (oldest->is_folded || oldest->is_gone) continue;
        oldest->is_folded = true;
        oldest->from_ms = (oldest->time_ms / width + 1) * width;
        exact--;
    }
}

static struct pql_reading list_read(const struct list *list, int64_t after_ms, int64_t upto_ms)
{
    struct pql_reading reading = {.first_at = PQL_NO_TIME, .last_at = PQL_NO_TIME};
    for (size_t i = 0; i < list->count; i++) {
        const struct one *one = &list->items[i];
        if (one->is_gone || one->from_ms <= after_ms || one->from_ms > upto_ms) continue;
        reading.n++;
        reading.sum += one->number;
        reading.approximate |= one->is_folded;
        if (!one->is_folded && reading.first_at == PQL_NO_TIME) reading.first_at = one->time_ms;
        if (!one->is_folded) reading.last_at = one->time_ms;
    }
    if (reading.approximate) reading.first_at = PQL_NO_TIME;
    return reading;
}

static void check_equal(const struct pql_signal *signal, const struct pql_cell *cell, const struct list *list,
                        int64_t t_ms)
{
    bool is_prev = signal->window.kind == PQL_WINDOW_PREV;
    struct pql_reading is,
        wanted = list_read(list, t_ms - (is_prev ? 2 : 1) * window, is_prev ? t_ms - window : INT64_MAX);
    pql_signal_read(signal, cell, NULL, t_ms, &is);
    assert_int_equal(is.n, wanted.n);
    if (signal->kind == PQL_SIGNAL_SUM) assert_true(is.sum == wanted.sum);
    assert_int_equal(is.approximate, wanted.approximate);
    assert_int_equal(is.first_at, wanted.first_at);
    assert_int_equal(is.last_at, wanted.last_at);
    assert_false(is.at_least);
}

/* Saved and loaded it is the same: by its bytes. */
static struct pql_cell *reloaded(const struct pql_signal *signal, struct pql_cell *cell)
{
    struct pql_buf saved = {0}, again = {0};
    pql_signal_save(signal, cell, &saved);
    assert_true(saved.len * 8 >= pql_signal_content(signal, cell));
    struct pql_reader reader = {.at = saved.ptr, .end = saved.ptr + saved.len};
    struct pql_cell *loaded = pql_signal_load(signal, &reader);
    assert_non_null(loaded);
    assert_true(reader.at == reader.end);
    pql_signal_save(signal, loaded, &again);
    assert_int_equal(saved.len, again.len);
    assert_memory_equal(saved.ptr, again.ptr, saved.len);
    pql_signal_free(signal, cell);
    pql_buf_deinit(&saved);
    pql_buf_deinit(&again);
    return loaded;
}

static uint64_t value_of(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    struct pql_reading reading;
    pql_signal_read(signal, cell, NULL, t_ms, &reading);
    return signal->kind == PQL_SIGNAL_SUM ? (uint64_t)reading.sum : reading.n;
}

/* Nothing changes by itself before the next change. */
static void check_next(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    int64_t next = pql_signal_next_change(signal, cell, t_ms);
    int64_t until = next == INT64_MAX ? t_ms + 3 * window : next - 1;
    assert_true(next > t_ms);
    for (int i = 1; i <= 8; i++)
        assert_int_equal(value_of(signal, cell, t_ms), value_of(signal, cell, t_ms + (until - t_ms) * i / 8));
}

static void follow(struct pql_signal signal, const struct pql_signal *twin, uint64_t seed)
{
    struct list *list = calloc(1, sizeof *list);
    struct pql_cell *cell = NULL;
    int64_t t = 1000000000, kept = (signal.window.kind == PQL_WINDOW_PREV ? 2 : 1) * window;
    signal.twin = twin;
    for (int i = 0; i < SOME; i++) {
        uint64_t kind = random_next(&seed) % 100;
        /* Bursts, pauses that let panes leave, and a long one. */
        t += kind < 90 ? (int64_t)(random_next(&seed) % 300) : (int64_t)(random_next(&seed) % (uint64_t)kept);
        bool is_late = random_next(&seed) % 5 == 0;
        int64_t late = is_late ? (int64_t)(random_next(&seed) % (uint64_t)(kept * 5 / 4)) : 0;
        struct pql_occurrence occ = {
            .time_ms = t - late,
            .number = signal.kind == PQL_SIGNAL_SUM ? (pql_decimal)(random_next(&seed) % 7) - 3 : 0};
        uint64_t before = cell ? value_of(&signal, cell, t) : 0;
        uint64_t of_twin = cell && twin ? value_of(twin, cell, t) : 0;
        unsigned changed = pql_signal_add(&signal, &cell, &occ, NULL, t);
        list_add(list, (struct one){occ.time_ms, occ.time_ms, false, false, occ.number}, kept, t);
        check_equal(&signal, cell, list, t);
        if (value_of(&signal, cell, t) != before) assert_true(changed & PQL_CHANGE_VALUE);
        if (twin) {
            check_equal(twin, cell, list, t);
            if (value_of(twin, cell, t) != of_twin) assert_true(changed & PQL_CHANGE_TWIN);
        }
        if (i % 10 == 0) check_next(&signal, cell, t);
        if (i % 17 == 0) cell = reloaded(&signal, cell);
        if (i % 23 == 0) pql_signal_trim(&signal, cell, NULL, t);
    }
    assert_true(pql_signal_bytes(&signal, cell) < 40000);
    pql_signal_free(&signal, cell);
    free(list);
}

static struct pql_signal signal_of(enum pql_signal_kind kind, enum pql_window_kind in)
{
    return (struct pql_signal){.kind = kind,
                               .function = kind == PQL_SIGNAL_SUM ? PQL_FN_SUM : PQL_FN_COUNT,
                               .window = {.kind = in, .ms = window},
                               .exact_max = EXACT,
                               .has_panes = true,
                               .read_as_number = true};
}

static void counts_and_sums_are_folded(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3; seed++) {
        follow(signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_ROLLING), NULL, seed);
        follow(signal_of(PQL_SIGNAL_SUM, PQL_WINDOW_ROLLING), NULL, seed);
        follow(signal_of(PQL_SIGNAL_SUM, PQL_WINDOW_PREV), NULL, seed);
        struct pql_signal twin = signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_ROLLING);
        follow(signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_PREV), &twin, seed);
    }
}

/* What only comparisons read is min(true value, k), whatever shares its cell. */
static void comparisons_of_a_twin_are_exact(void **state)
{
    (void)state;
    struct pql_signal prev = signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_PREV),
                      twin = signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_ROLLING);
    struct pql_cell *cell = NULL;
    twin.read_as_number = false;
    twin.k = 10;
    prev.twin = &twin;
    int64_t times[SOME], t = 1000000000;
    uint64_t seed = 7;
    for (int i = 0; i < SOME; i++) {
        t += random_next(&seed) % 50 ? (int64_t)(random_next(&seed) % 20) : window - 40;
        struct pql_occurrence occ = {.time_ms = t};
        pql_signal_add(&prev, &cell, &occ, NULL, t);
        times[i] = t;
        int64_t at = t + (int64_t)(random_next(&seed) % (uint64_t)window);
        uint64_t n = 0;
        for (int j = i; j >= 0 && times[j] > at - window; j--) n++;
        struct pql_reading reading;
        pql_signal_read(&twin, cell, NULL, at, &reading);
        assert_int_equal(reading.n, n < 10 ? n : 10);
        assert_false(reading.approximate);
        for (uint32_t c = 1; c <= 10; c++) assert_int_equal(pql_signal_reaches(&twin, cell, at, c), n >= c);
    }
    pql_signal_free(&prev, cell);
}

/* However it was kept before, what a change leaves is what was there, as far as it is wanted. */
static void other_limits_keep_what_is_there(void **state)
{
    (void)state;
    struct pql_signal folded = signal_of(PQL_SIGNAL_COUNT, PQL_WINDOW_ROLLING), less = folded, cut = folded;
    less.exact_max = 5;
    cut.has_panes = cut.read_as_number = false;
    cut.k = 30;
    struct pql_cell *cell = NULL;
    for (int64_t i = 1; i <= 50; i++)
        pql_signal_add(&folded, &cell, &(struct pql_occurrence){.time_ms = i * 1000}, NULL, i * 1000);
    assert_false(pql_signal_adapt(&folded, &less, &cell));
    assert_int_equal(value_of(&less, cell, 50000), 50);
    assert_int_equal(value_of(&less, cell, 140000), 11); /* 40.1 s … 50 s, and the pane of 40 s */
    assert_true(pql_signal_adapt(&less, &cut, &cell));   /* 30 are wanted, 5 are known */
    assert_int_equal(value_of(&cut, cell, 50000), 5);
    for (int64_t i = 51; i <= 90; i++)
        pql_signal_add(&cut, &cell, &(struct pql_occurrence){.time_ms = i * 1000}, NULL, i * 1000);
    assert_int_equal(value_of(&cut, cell, 90000), 30);
    assert_true(pql_signal_adapt(&cut, &folded, &cell)); /* all are wanted */
    assert_int_equal(value_of(&folded, cell, 90000), 30);
    pql_signal_free(&folded, cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_and_sums_are_folded),
        cmocka_unit_test(comparisons_of_a_twin_are_exact),
        cmocka_unit_test(other_limits_keep_what_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
