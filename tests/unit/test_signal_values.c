/* Different values and sequences by value, many of them, against lists that are looked through: values in the
 * window, when they change, which goes at a limit; saved and loaded in between. */
#include "core/state/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { VALUES = 700, ROUNDS = 20000 };
static const int64_t window = 300000;

static uint64_t random_state;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    return random_state ^= random_state << 17;
}

static void save_and_load(const struct pql_signal *signal, struct pql_cell **cell)
{
    struct pql_buf saved = {0}, again = {0};
    pql_signal_save(signal, *cell, &saved);
    struct pql_reader reader = {.at = saved.ptr, .end = saved.ptr + saved.len};
    struct pql_cell *loaded = pql_signal_load(signal, &reader);
    assert_non_null(loaded);
    pql_signal_save(signal, loaded, &again);
    assert_int_equal(saved.len, again.len);
    assert_memory_equal(saved.ptr, again.ptr, saved.len);
    pql_signal_free(signal, *cell);
    *cell = loaded;
    pql_buf_deinit(&saved);
    pql_buf_deinit(&again);
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The times of the newest k values in the window, sorted. */
static size_t live(const int64_t *last, int64_t t, size_t k, int64_t *out)
{
    int64_t all[VALUES];
    size_t n = 0;
    for (int v = 0; v < VALUES; v++)
        if (last[v] > t - window) all[n++] = last[v];
    qsort(all, n, sizeof *all, by_time);
    size_t gone = n > k ? n - k : 0;
    memcpy(out, all + gone, (n - gone) * sizeof *all);
    return n - gone;
}

static void check_values(const struct pql_signal *signal, const struct pql_cell *cell, const int64_t *last,
                         int64_t t)
{
    int64_t times[VALUES], next = INT64_MAX;
    size_t n = live(last, t, signal->k, times);
    struct pql_reading reading;
    pql_signal_read(signal, cell, NULL, t, &reading);
    assert_int_equal(reading.n, n);
    assert_int_equal(reading.first_at, n ? times[0] : PQL_NO_TIME);
    assert_int_equal(reading.last_at, n ? times[n - 1] : PQL_NO_TIME);
    for (size_t i = 0; i < signal->bounds_count; i++)
        if ((size_t)signal->bounds[i] <= n) next = times[n - (size_t)signal->bounds[i]] + window;
    assert_int_equal(pql_signal_next_change(signal, cell, t), next);
    for (size_t i = 0; i < signal->bounds_count; i++)
        assert_int_equal(pql_signal_reaches(signal, cell, t, (uint32_t)signal->bounds[i]),
                         n >= (size_t)signal->bounds[i]);
}

/* Bursts of many values, then few: the state grows over its array, and is left by what expires. */
static void distinct_of_many_values(void **state)
{
    (void)state;
    static const int64_t bounds[] = {3, 60, 200, 500};
    static const uint32_t limits[] = {500, 50, 64, 65, 130};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++) {
        struct pql_signal signal = {.kind = PQL_SIGNAL_DISTINCT,
                                    .function = PQL_FN_DISTINCT,
                                    .window = {.kind = PQL_WINDOW_ROLLING, .ms = window},
                                    .k = limits[l],
                                    .bounds = bounds};
        while (signal.bounds_count < 4 && bounds[signal.bounds_count] <= limits[l]) signal.bounds_count++;
        struct pql_cell *cell = NULL;
        int64_t last[VALUES], t = 0;
        random_state = 88172645463325252u + l;
        for (int v = 0; v < VALUES; v++) last[v] = -2 * window;
        for (int i = 0; i < ROUNDS; i++) {
            int values = i / 2000 % 2 ? 30 : VALUES;
            struct pql_occurrence occ = {.hash = next_random() % (uint64_t)values};
            t += (int64_t)(next_random() % 1000);
            occ.time_ms = next_random() % 5 ? t : t - (int64_t)(next_random() % (uint64_t)window);
            (void)pql_signal_add(&signal, &cell, &occ, NULL, t);
            if (occ.time_ms > last[occ.hash]) last[occ.hash] = occ.time_ms;
            if (i % 7 == 0) check_values(&signal, cell, last, t);
            if (i % 501 == 0) save_and_load(&signal, &cell);
            if (i % 3001 == 0) check_values(&signal, cell, last, t + window / 2);
        }
        assert_true(pql_signal_bytes(&signal, cell) <= 64 + 32 * 512);
        pql_signal_free(&signal, cell);
    }
}

/* Of an unbounded sequence at most exact_max values stay open: the one longest unheard of goes. */
static void open_values_of_a_sequence_are_bounded(void **state)
{
    (void)state;
    enum { OPEN = 100 };
    struct pql_signal signal = {.kind = PQL_SIGNAL_SEQUENCE,
                                .function = PQL_FN_SEQUENCE,
                                .window = {.kind = PQL_WINDOW_EVER},
                                .steps_count = 2,
                                .is_by = true,
                                .exact_max = OPEN};
    struct pql_cell *cell = NULL;
    int64_t last[VALUES], t = 1;
    random_state = 99194853094755497u;
    for (int v = 0; v < VALUES; v++) last[v] = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct pql_occurrence occ = {.time_ms = ++t, .hash = next_random() % VALUES, .steps = 1};
        assert_int_equal(pql_signal_add(&signal, &cell, &occ, NULL, t), 0);
        last[occ.hash] = t;
        if (i % 501 == 0) save_and_load(&signal, &cell);
    }
    int64_t sorted[VALUES];
    memcpy(sorted, last, sizeof sorted);
    qsort(sorted, VALUES, sizeof *sorted, by_time);
    for (uint64_t v = 0; v < VALUES; v += 13) {
        struct pql_buf saved = {0};
        pql_signal_save(&signal, cell, &saved);
        struct pql_reader reader = {.at = saved.ptr, .end = saved.ptr + saved.len};
        struct pql_cell *copy = pql_signal_load(&signal, &reader);
        struct pql_occurrence end = {.time_ms = t + 1, .hash = v, .steps = 2};
        bool is_open = last[v] >= sorted[VALUES - OPEN];
        assert_int_equal(pql_signal_add(&signal, &copy, &end, NULL, t + 1) != 0, is_open);
        pql_signal_free(&signal, copy);
        pql_buf_deinit(&saved);
    }
    pql_signal_free(&signal, cell);
}

/* What is older than W goes, however many values come, and what ends in time is found among them. */
static void open_values_of_a_window_leave_it(void **state)
{
    (void)state;
    struct pql_signal signal = {.kind = PQL_SIGNAL_SEQUENCE,
                                .function = PQL_FN_SEQUENCE,
                                .window = {.kind = PQL_WINDOW_ROLLING, .ms = window},
                                .steps_count = 2,
                                .is_by = true,
                                .exact_max = 10};
    struct pql_cell *cell = NULL;
    for (int64_t i = 0; i < ROUNDS; i++) {
        struct pql_occurrence begin = {.time_ms = i * 1000, .hash = (uint64_t)i, .steps = 1};
        (void)pql_signal_add(&signal, &cell, &begin, NULL, begin.time_ms);
        assert_true(pql_signal_bytes(&signal, cell) < 100 * 1024);
    }
    int64_t t = INT64_C(1000) * ROUNDS;
    struct pql_occurrence old = {.time_ms = t, .hash = (uint64_t)(t - window) / 1000, .steps = 2};
    assert_int_equal(pql_signal_add(&signal, &cell, &old, NULL, t), 0);
    old.hash++;
    assert_int_not_equal(pql_signal_add(&signal, &cell, &old, NULL, t), 0);
    assert_int_equal(pql_signal_next_change(&signal, cell, t), t + 1000);
    pql_signal_free(&signal, cell);
}

/* What is too old counts for nothing, whether or not something older still stands before it. */
static void what_is_dead_is_not_gone_on_with(void **state)
{
    (void)state;
    struct pql_signal signal = {.kind = PQL_SIGNAL_SEQUENCE,
                                .function = PQL_FN_SEQUENCE,
                                .window = {.kind = PQL_WINDOW_EVER},
                                .within_ms = 100,
                                .steps_count = 3,
                                .is_by = true,
                                .exact_max = 10};
    for (int is_behind = 0; is_behind < 2; is_behind++) {
        struct pql_cell *cell = NULL;
        static const struct pql_occurrence events[] = {{.time_ms = 10, .hash = 1, .steps = 1},
                                                       {.time_ms = 30, .hash = 2, .steps = 1},
                                                       {.time_ms = 40, .hash = 1, .steps = 2}};
        for (int i = 0; i < 3; i++)
            if (is_behind || events[i].hash == 1)
                (void)pql_signal_add(&signal, &cell, &events[i], NULL, events[i].time_ms);
        struct pql_occurrence late = {.time_ms = 110, .hash = 1, .steps = 4};
        assert_int_equal(pql_signal_add(&signal, &cell, &late, NULL, 111), 0);
        pql_signal_free(&signal, cell);
    }
}

/* A damaged state in which a value stands twice is refused. */
static void a_value_stands_once(void **state)
{
    (void)state;
    struct pql_signal signal = {.kind = PQL_SIGNAL_LAST, .function = PQL_FN_DISTINCT};
    struct pql_buf saved = {0};
    pql_buf_varint(&saved, 0);
    pql_buf_varint(&saved, 100);
    for (int i = 0; i < 100; i++) {
        pql_buf_zigzag(&saved, 1);
        pql_buf_zigzag(&saved, i == 99 ? 5 : i);
    }
    struct pql_reader reader = {.at = saved.ptr, .end = saved.ptr + saved.len};
    assert_null(pql_signal_load(&signal, &reader));
    assert_true(reader.failed);
    pql_buf_deinit(&saved);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distinct_of_many_values),
        cmocka_unit_test(open_values_of_a_sequence_are_bounded),
        cmocka_unit_test(open_values_of_a_window_leave_it),
        cmocka_unit_test(what_is_dead_is_not_gone_on_with),
        cmocka_unit_test(a_value_stands_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
