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
        cmocka_unit_test(sums_follow_the_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
