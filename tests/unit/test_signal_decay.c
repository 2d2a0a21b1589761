/* Signals that decay against a list of all occurrences, each with its weight at the moment of reading. */
#include "core/state/signal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

static const int64_t hour = 3600000, day = INT64_C(24) * 3600000;
enum { SOME = 600 };

struct one {
    int64_t time_ms;
    uint64_t hash;
    pql_decimal number;
};

struct rig {
    struct pql_signal signal;
    struct pql_decay decay;
    struct pql_first first;
    bool is_different;
    struct one all[SOME];
    size_t count;
    struct pql_cell *cell;
};

static uint64_t random_next(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

static bool counts(const struct rig *rig, int64_t time_ms, int64_t t_ms)
{
    int64_t window = rig->signal.window.ms;
    switch ((int)rig->signal.window.kind) {
    case PQL_WINDOW_ROLLING: return time_ms > t_ms - window;
    case PQL_WINDOW_PREV: return time_ms > t_ms - 2 * window && time_ms <= t_ms - window;
    case PQL_WINDOW_FIRST: return time_ms >= rig->first.start_ms && time_ms < rig->first.end_ms;
    case PQL_WINDOW_TODAY: return time_ms / day == t_ms / day;
    default: return true;
    }
}

static pql_decimal naive(const struct rig *rig, int64_t t_ms)
{
    struct pql_decayed sum = {0};
    for (size_t i = 0; i < rig->count; i++) {
        const struct one *one = &rig->all[i];
        bool is_last = counts(rig, one->time_ms, t_ms);
        for (size_t k = 0; k < rig->count && rig->is_different && is_last; k++)
            if (rig->all[k].hash == one->hash && counts(rig, rig->all[k].time_ms, t_ms))
                is_last =
                    rig->all[k].time_ms < one->time_ms || (rig->all[k].time_ms == one->time_ms && k <= i);
        if (is_last)
            pql_decayed_add(&sum, rig->signal.function == PQL_FN_SUM ? one->number : PQL_DECIMAL_ONE,
                            pql_decay_at(&rig->decay, one->time_ms, t_ms));
    }
    return pql_decayed_sum(&sum);
}

static pql_decimal value_at(const struct rig *rig, int64_t t_ms)
{
    struct pql_reading reading;
    pql_signal_read_decayed(&rig->signal, &rig->decay, rig->cell, &rig->first, t_ms, &reading);
    assert_int_equal(reading.value.kind, PQL_NUMBER);
    return reading.value.number;
}

static void reload(struct rig *rig)
{
    struct pql_buf saved = {0};
    pql_signal_save(&rig->signal, rig->cell, &saved);
    struct pql_reader reader = {.at = saved.ptr, .end = saved.ptr + saved.len};
    pql_signal_free(&rig->signal, rig->cell);
    rig->cell = pql_signal_load(&rig->signal, &reader);
    assert_non_null(rig->cell);
    pql_buf_deinit(&saved);
}

/* Nothing changes by itself before the next change; something may at it. */
static void check_next(const struct rig *rig, int64_t t_ms)
{
    int64_t next = pql_signal_next_change(&rig->signal, rig->cell, t_ms);
    int64_t until = next == INT64_MAX ? t_ms + 100 * day : next - 1;
    assert_true(next > t_ms && next <= pql_signal_next_decay(&rig->signal, rig->cell, t_ms));
    for (int i = 1; i <= 4; i++)
        assert_true(value_at(rig, t_ms) == value_at(rig, t_ms + (until - t_ms) / 4 * i));
}

static void follow(struct pql_signal signal, int64_t half_life, int64_t step, bool is_linear, uint64_t seed)
{
    struct rig *rig = calloc(1, sizeof *rig);
    const struct pql_decay *decays[] = {&rig->decay};
    static uint32_t weights[PQL_DECAY_TABLE_MAX];
    int64_t t = 1000 * day;
    rig->decay = (struct pql_decay){.step_ms = step, .span_ms = half_life, .is_linear = is_linear};
    if (seed % 2) pql_decay_table_fill(&rig->decay, weights, pql_decay_table_size(&rig->decay));
    rig->signal = signal;
    rig->signal.decays = decays;
    rig->signal.decays_count = 1;
    rig->signal.read_as_number = true;
    rig->signal.exact_max = 1000;
    rig->signal.start_grace_ms = 7 * day;
    rig->is_different = signal.function == PQL_FN_DISTINCT;
    rig->first = (struct pql_first){t, t + 7 * day};
    while (rig->count < SOME) {
        t += (int64_t)(random_next(&seed) % (uint64_t)(random_next(&seed) % 40 ? hour : 2 * day));
        bool is_late = random_next(&seed) % 4 == 0;
        struct one one = {
            .time_ms = t - (is_late ? (int64_t)(random_next(&seed) % (uint64_t)day) : 0),
            .hash = rig->is_different ? random_next(&seed) % 12 : 0,
            .number = signal.function == PQL_FN_SUM ? (pql_decimal)(random_next(&seed) % 9999) - 3000 : 0};
        bool is_over = t - 7 * day >= rig->first.end_ms && signal.kind == PQL_SIGNAL_FIRST;
        struct pql_occurrence occ = {.time_ms = one.time_ms, .hash = one.hash, .number = one.number};
        pql_decimal before = rig->cell ? value_at(rig, t) : 0;
        unsigned changed = pql_signal_add(&rig->signal, &rig->cell, &occ, &rig->first, t);
        rig->all[rig->count++] = is_over ? (struct one){.time_ms = INT64_MIN / 2} : one;
        assert_true(value_at(rig, t) == naive(rig, t));
        if (value_at(rig, t) != before) assert_true(changed & (PQL_CHANGE_VALUE | PQL_CHANGE_AGE));
        if (rig->count % 7 == 0) check_next(rig, t);
        if (rig->count % 11 == 0) reload(rig);
        for (int64_t later = 0; later < 4; later++)
            assert_true(value_at(rig, t + later * 7 * hour) == naive(rig, t + later * 7 * hour));
    }
    pql_signal_free(&rig->signal, rig->cell);
    free(rig);
}

static void every_kind_is_the_sum_of_its_weights(void **state)
{
    (void)state;
#define ROLLING(W)                                                                                           \
    {                                                                                                        \
        .kind = PQL_WINDOW_ROLLING, .ms = (W)                                                                \
    }
    const struct pql_signal signals[] = {
        {.kind = PQL_SIGNAL_COUNT, .function = PQL_FN_COUNT, .has_panes = true, .window = ROLLING(5 * day)},
        {.kind = PQL_SIGNAL_SUM, .function = PQL_FN_SUM, .has_panes = true, .window = ROLLING(5 * day)},
        {.kind = PQL_SIGNAL_SUM,
         .function = PQL_FN_SUM,
         .has_panes = true,
         .window = {.kind = PQL_WINDOW_PREV, .ms = 2 * day}},
        {.kind = PQL_SIGNAL_DISTINCT, .function = PQL_FN_DISTINCT, .k = 10000, .window = ROLLING(3 * day)},
        {.kind = PQL_SIGNAL_STEPS, .function = PQL_FN_COUNT, .window = {.kind = PQL_WINDOW_EVER}},
        {.kind = PQL_SIGNAL_STEPS, .function = PQL_FN_SUM, .window = {.kind = PQL_WINDOW_EVER}},
        {.kind = PQL_SIGNAL_STEPS, .function = PQL_FN_COUNT, .window = {.kind = PQL_WINDOW_TODAY}},
        {.kind = PQL_SIGNAL_LAST,
         .function = PQL_FN_DISTINCT,
         .k = 10000,
         .window = {.kind = PQL_WINDOW_EVER}},
        {.kind = PQL_SIGNAL_LAST,
         .function = PQL_FN_DISTINCT,
         .k = 10000,
         .window = {.kind = PQL_WINDOW_TODAY}},
        {.kind = PQL_SIGNAL_FIRST,
         .function = PQL_FN_COUNT,
         .window = {.kind = PQL_WINDOW_FIRST, .ms = 7 * day}},
        {.kind = PQL_SIGNAL_FIRST,
         .function = PQL_FN_SUM,
         .window = {.kind = PQL_WINDOW_FIRST, .ms = 7 * day}},
        {.kind = PQL_SIGNAL_FIRST,
         .function = PQL_FN_DISTINCT,
         .window = {.kind = PQL_WINDOW_FIRST, .ms = 7 * day}},
    };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        follow(signals[i], day, hour, false, 1);
        follow(signals[i], 10 * hour, 3 * hour, false, 2);
        follow(signals[i], 3 * day, 5 * hour, true, 3);
    }
}

/* What is folded counts as of the end of its pane. */
static void panes_decay(void **state)
{
    (void)state;
    struct pql_decay decay = {.step_ms = hour, .span_ms = day};
    const struct pql_decay *decays[] = {&decay};
    struct pql_signal signal = {.kind = PQL_SIGNAL_COUNT,
                                .function = PQL_FN_COUNT,
                                .has_panes = true,
                                .read_as_number = true,
                                .exact_max = 10,
                                .window = {.kind = PQL_WINDOW_ROLLING, .ms = 1024 * hour},
                                .decays = decays,
                                .decays_count = 1};
    struct pql_cell *cell = NULL;
    struct pql_reading reading;
    for (int64_t i = 0; i < 25; i++)
        pql_signal_add(&signal, &cell, &(struct pql_occurrence){.time_ms = i * hour / 5}, NULL, i * hour / 5);
    /* 15 of them are of the hours 0, 1, 2, and count as of 1, 2, 3; 10 of the hours 3 and 4 as they are. */
    pql_signal_read_decayed(&signal, &decay, cell, NULL, 24 * hour, &reading);
    struct pql_decayed sum = {0};
    static const int64_t ages[] = {23, 22, 21, 21, 20};
    for (int i = 0; i < 5; i++) pql_decayed_add(&sum, 5 * PQL_DECIMAL_ONE, pql_decay_weight(&decay, ages[i]));
    assert_true(reading.value.number == pql_decayed_sum(&sum));
    assert_true(reading.approximate);
    pql_signal_free(&signal, cell);
}

/* Since ever, what weighs nothing any more takes no room. */
static void steps_have_a_bound(void **state)
{
    (void)state;
    struct pql_decay decay = {.step_ms = hour, .span_ms = day};
    const struct pql_decay *decays[] = {&decay};
    struct pql_signal signal = {.kind = PQL_SIGNAL_STEPS,
                                .function = PQL_FN_COUNT,
                                .window = {.kind = PQL_WINDOW_EVER},
                                .decays = decays,
                                .decays_count = 1};
    struct pql_cell *cell = NULL;
    for (int64_t i = 0; i < 5000; i++)
        pql_signal_add(&signal, &cell, &(struct pql_occurrence){.time_ms = i * hour}, NULL, i * hour);
    assert_true(pql_signal_content(&signal, cell) <= 504 * 32);
    assert_int_equal(pql_signal_next_change(&signal, cell, 4999 * hour), 5000 * hour);
    assert_int_equal(pql_signal_next_change(&signal, cell, 5501 * hour), 5502 * hour);
    assert_true(pql_signal_next_change(&signal, cell, 5502 * hour) == INT64_MAX); /* 2^-21 is nothing */
    pql_signal_free(&signal, cell);
}

/* Of two users together nothing goes, however many steps the window has, open or closed. */
static void decaying_counts_of_two_users(void **state)
{
    (void)state;
    struct pql_decay decay = {.step_ms = day, .span_ms = 7 * day};
    const struct pql_decay *decays[] = {&decay};
    struct pql_signal signal = {.kind = PQL_SIGNAL_FIRST,
                                .function = PQL_FN_COUNT,
                                .window = {.kind = PQL_WINDOW_FIRST, .ms = 30 * day},
                                .exact_max = 2,
                                .start_grace_ms = day,
                                .read_as_number = true,
                                .decays = decays,
                                .decays_count = 1};
    struct pql_first first = {0, 30 * day};
    for (int is_closed = 0; is_closed < 2; is_closed++) {
        struct pql_cell *cells[2] = {NULL, NULL};
        for (int64_t i = 0; i < 60; i++)
            for (int c = 0; c < 2; c++) {
                struct pql_occurrence occ = {.time_ms = i * day / 2 + c};
                (void)pql_signal_add(&signal, &cells[c], &occ, &first, occ.time_ms);
            }
        int64_t t = 30 * day + is_closed * 2 * day;
        struct pql_reading one, both;
        pql_signal_trim(&signal, cells[0], &first, t);
        pql_signal_read_decayed(&signal, &decay, cells[0], &first, t, &one);
        (void)pql_signal_merge(&signal, &cells[0], cells[1], &first, t);
        pql_signal_read_decayed(&signal, &decay, cells[0], &first, t, &both);
        assert_int_equal(one.n, 60);
        assert_int_equal(both.n, 120);
        pql_decimal rounding = both.value.number - 2 * one.value.number;
        assert_true(rounding >= -1 && rounding <= 1 && one.value.number > 8 * PQL_DECIMAL_ONE);
        pql_signal_free(&signal, cells[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_is_the_sum_of_its_weights),
        cmocka_unit_test(panes_decay),
        cmocka_unit_test(steps_have_a_bound),
        cmocka_unit_test(decaying_counts_of_two_users),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
