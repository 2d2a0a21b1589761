/* Signals against their definition where a file of events would be too long: many occurrences, limits, moved
 * starts. */
#include "core/state/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
/* after the above */
#include <cmocka.h>

static const int64_t hour = 3600000, day = INT64_C(24) * 3600000;

static struct pql_signal first_of(enum pql_function function, uint32_t k)
{
    return (struct pql_signal){.kind = PQL_SIGNAL_FIRST,
                               .function = function,
                               .k = k,
                               .exact_max = 100,
                               .start_grace_ms = 7 * day,
                               .window = {.kind = PQL_WINDOW_FIRST, .ms = 7 * day}};
}

static uint64_t value_at(const struct pql_signal *signal, const struct pql_cell *cell, int64_t t_ms)
{
    struct pql_reading reading;
    pql_signal_read(signal, cell, NULL, t_ms, &reading);
    return reading.n;
}

/* However many come after the window, what was in it stays its value. */
static void first_keeps_its_value_beyond_the_limit(void **state)
{
    (void)state;
    static const enum pql_function functions[] = {PQL_FN_COUNT, PQL_FN_DISTINCT, PQL_FN_DAYS};
    for (int f = 0; f < 3; f++) {
        struct pql_signal signal = first_of(functions[f], 5000);
        struct pql_first start = {0, 7 * day};
        struct pql_cell *cell = NULL;
        for (int64_t i = 0; i < 3000; i++) {
            struct pql_occurrence occ = {.time_ms = i * hour / 10, .hash = (uint64_t)i % 40};
            pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
        }
        uint64_t inside = 7 * 24 * 10; /* of ten an hour */
        assert_int_equal(value_at(&signal, cell, 13 * day), functions[f] == PQL_FN_COUNT ? inside : 40);
        assert_true(pql_signal_bytes(&signal, cell) < 700000);
        /* Late ones enter until the window cannot move any more, and not from then on. */
        struct pql_occurrence late = {.time_ms = day, .hash = 99};
        pql_signal_add(&signal, &cell, &late, &start, 14 * day - 1);
        uint64_t before = value_at(&signal, cell, 14 * day - 1);
        assert_int_equal(before, functions[f] == PQL_FN_COUNT ? inside + 1 : 41);
        late.hash = 100;
        pql_signal_add(&signal, &cell, &late, &start, 14 * day);
        assert_int_equal(value_at(&signal, cell, 14 * day), before);
        pql_signal_free(&signal, cell);
    }
}

static void a_moved_start_counts_what_is_kept(void **state)
{
    (void)state;
    struct pql_signal signal = first_of(PQL_FN_COUNT, 50);
    struct pql_first start = {5 * day, 12 * day}, earlier = {0, 7 * day}, later = {6 * day, 13 * day};
    struct pql_cell *cell = NULL;
    static const int64_t days[] = {1, 5, 6, 6, 11, 12, 13};
    for (size_t i = 0; i < sizeof days / sizeof days[0]; i++) {
        struct pql_occurrence occ = {.time_ms = days[i] * day};
        pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
    }
    assert_int_equal(value_at(&signal, cell, 13 * day), 4); /* [5, 12) */
    pql_signal_start_moves(&signal, cell, &start, &later, 13 * day);
    assert_int_equal(value_at(&signal, cell, 13 * day), 4); /* [6, 13): 6, 6, 11, 12 */
    /* At 13 those of days 1 and 5, outside the window, have outlived their grace; [0, 7) holds 6, 6. */
    pql_signal_start_moves(&signal, cell, &later, &earlier, 13 * day);
    assert_int_equal(value_at(&signal, cell, 13 * day), 2);
    pql_signal_free(&signal, cell);
}

static void save_and_load(const struct pql_signal *signal, struct pql_cell **cell)
{
    struct pql_buf saved = {0};
    pql_signal_save(signal, *cell, &saved);
    struct pql_reader reader = pql_reader_of(saved.ptr, saved.len);
    struct pql_cell *loaded = pql_signal_load(signal, &reader);
    assert_non_null(loaded);
    assert_int_equal(pql_reader_left(&reader), 0);
    pql_signal_free(signal, *cell);
    *cell = loaded;
    pql_buf_deinit(&saved);
}

/* What went at the limit is missed only where the window moves onto it, and is told then. */
static void a_window_on_lost_ground_says_so(void **state)
{
    (void)state;
    static const enum pql_function functions[] = {PQL_FN_COUNT, PQL_FN_SUM, PQL_FN_DISTINCT};
    for (int f = 0; f < 3; f++) {
        struct pql_signal signal = first_of(functions[f], 2);
        struct pql_first start = {0, 9 * day}, less = {2 * day, 11 * day}, whole = {3 * day, 12 * day};
        struct pql_cell *cell = NULL;
        signal.exact_max = 4;
        signal.k = functions[f] == PQL_FN_SUM ? 0 : signal.k;
        for (int64_t i = 1; i <= 4; i++) {
            struct pql_occurrence occ = {.time_ms = i * day, .hash = (uint64_t)i, .number = 10};
            pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
        }
        pql_signal_start_moves(&signal, cell, &start, &less, 6 * day);
        assert_int_equal(pql_signal_complete_since(&signal, cell), PQL_NO_TIME); /* nothing is lost */
        pql_signal_start_moves(&signal, cell, &less, &start, 6 * day);
        for (int64_t i = 5; i <= 6; i++) {
            struct pql_occurrence occ = {.time_ms = i * day, .hash = (uint64_t)i, .number = 10};
            pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
        }
        struct pql_reading reading;
        signal.k = 0; /* the whole value */
        pql_signal_read(&signal, cell, &start, 6 * day, &reading);
        if (functions[f] == PQL_FN_COUNT) assert_int_equal(reading.n, 6);
        if (functions[f] == PQL_FN_SUM) assert_true(reading.sum == 60);
        assert_int_equal(pql_signal_complete_since(&signal, cell), PQL_NO_TIME);
        save_and_load(&signal, &cell);
        pql_signal_start_moves(&signal, cell, &start, &less, 6 * day);
        save_and_load(&signal, &cell);
        pql_signal_read(&signal, cell, &less, 6 * day, &reading);
        assert_int_equal(reading.n, 4);
        assert_int_equal(pql_signal_complete_since(&signal, cell), 2 * day + 1);
        pql_signal_start_moves(&signal, cell, &less, &whole, 6 * day);
        assert_int_equal(pql_signal_complete_since(&signal, cell), PQL_NO_TIME);
        assert_int_equal(value_at(&signal, cell, 6 * day), 4);
        pql_signal_free(&signal, cell);
    }
}

/* A window that is closed has its value alone; opened again it has what comes from then on. */
static void a_closed_window_that_moves_says_so(void **state)
{
    (void)state;
    struct pql_signal signal = first_of(PQL_FN_COUNT, 50);
    struct pql_first start = {0, 7 * day}, later = {3 * day, 10 * day};
    struct pql_cell *cell = NULL;
    for (int64_t i = 0; i < 50; i++) {
        struct pql_occurrence occ = {.time_ms = i * hour};
        pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
    }
    size_t open = pql_signal_bytes(&signal, cell);
    struct pql_occurrence occ = {.time_ms = 14 * day};
    pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
    assert_int_equal(value_at(&signal, cell, 14 * day), 50);
    assert_true(pql_signal_bytes(&signal, cell) <= 112 && open >= 64 + 50 * 8 && open <= 80 + 64 * 8);
    occ.time_ms = 5 * day; /* too late for it, and lost */
    pql_signal_add(&signal, &cell, &occ, &start, 14 * day);
    assert_int_equal(value_at(&signal, cell, 14 * day), 50);
    pql_signal_start_moves(&signal, cell, &start, &later, 14 * day);
    assert_int_equal(value_at(&signal, cell, 14 * day), 0);
    assert_int_equal(pql_signal_complete_since(&signal, cell), 5 * day + 1);
    pql_signal_free(&signal, cell);
}

/* Which values there are is known beyond what is kept one by one, and also of two users together. */
static void different_things_beyond_the_limit(void **state)
{
    (void)state;
    struct pql_signal signal = first_of(PQL_FN_DISTINCT, 150);
    struct pql_first start = {0, 7 * day};
    struct pql_cell *cells[2] = {NULL, NULL};
    signal.exact_max = 1;
    for (uint64_t i = 0; i < 2000; i++)
        for (uint64_t c = 0; c < 2; c++) {
            struct pql_occurrence occ = {.time_ms = (int64_t)i, .hash = c * 60 + (i < 100 ? i % 70 : 3)};
            pql_signal_add(&signal, &cells[c], &occ, &start, occ.time_ms);
        }
    save_and_load(&signal, &cells[0]);
    struct pql_signal more = first_of(PQL_FN_DISTINCT, 200), few = first_of(PQL_FN_DISTINCT, 70);
    assert_false(pql_signal_adapt(&signal, &more, &cells[0])); /* 70 of 150 that were wanted */
    assert_true(pql_signal_adapt(&few, &more, &cells[0]));
    assert_int_equal(value_at(&signal, cells[0], day), 70);
    pql_signal_merge(&signal, &cells[0], cells[1], &start, day);
    assert_int_equal(value_at(&signal, cells[0], day), 130); /* 0 … 69 and 60 … 129 */
    pql_signal_free(&signal, cells[0]);
}

/* A first step is gone on with after it has left the list. */
static void a_sequence_beyond_the_limit(void **state)
{
    (void)state;
    struct pql_signal signal = first_of(PQL_FN_SEQUENCE, 0);
    struct pql_first start = {0, 7 * day};
    struct pql_cell *cell = NULL;
    signal.kind = PQL_SIGNAL_SEQUENCE_FIRST;
    signal.exact_max = 3;
    signal.steps_count = 2;
    signal.is_by = true;
    for (uint64_t i = 0; i < 3; i++) {
        struct pql_occurrence occ = {.time_ms = (int64_t)i * hour, .hash = i, .steps = 1};
        pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
    }
    for (int64_t i = 3; i < 20; i++) {
        struct pql_occurrence occ = {.time_ms = i * hour, .hash = 99, .steps = 2};
        pql_signal_add(&signal, &cell, &occ, &start, occ.time_ms);
    }
    save_and_load(&signal, &cell);
    assert_int_equal(value_at(&signal, cell, day), 0);
    struct pql_occurrence end = {.time_ms = day, .hash = 0, .steps = 2};
    assert_int_not_equal(pql_signal_add(&signal, &cell, &end, &start, day), 0);
    assert_int_equal(value_at(&signal, cell, day), 1);
    pql_signal_free(&signal, cell);
}

static void sums_follow_the_window(void **state)
{
    (void)state;
    struct pql_signal signal = {
        .kind = PQL_SIGNAL_SUM, .function = PQL_FN_SUM, .window = {.kind = PQL_WINDOW_ROLLING, .ms = day}};
    struct pql_cell *cell = NULL;
    for (int64_t i = 0; i < 2000; i++) {
        int64_t t = i * hour;
        /* Every third is late by half a day. */
        struct pql_occurrence occ = {.time_ms = i % 3 ? t : t - 12 * hour, .number = i};
        pql_signal_add(&signal, &cell, &occ, NULL, t);
        pql_decimal naive = 0;
        for (int64_t j = 0; j <= i; j++) {
            int64_t at = j % 3 ? j * hour : j * hour - 12 * hour;
            if (at > t + hour / 2 - day && j * hour <= t) naive += j;
        }
        struct pql_reading reading;
        pql_signal_read(&signal, cell, NULL, t + hour / 2,
                        &reading); /* reading looks through what is not trimmed yet */
        assert_true(reading.sum == naive);
    }
    assert_true(pql_signal_bytes(&signal, cell) < 4000);
    pql_signal_free(&signal, cell);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_keeps_its_value_beyond_the_limit),
        cmocka_unit_test(a_moved_start_counts_what_is_kept),
        cmocka_unit_test(a_window_on_lost_ground_says_so),
        cmocka_unit_test(a_closed_window_that_moves_says_so),
        cmocka_unit_test(different_things_beyond_the_limit),
        cmocka_unit_test(a_sequence_beyond_the_limit),
        cmocka_unit_test(sums_follow_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
