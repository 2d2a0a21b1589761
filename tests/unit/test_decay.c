/* Weights of decay against exact arithmetic of another kind: whole numbers of thousands of bits. */
#include "core/decay.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

enum { WORDS_MAX = 1024 };

struct whole { /* little end first */
    uint32_t words[WORDS_MAX];
    size_t count;
};

static void multiply(struct whole *number, uint32_t by)
{
    uint64_t carry = 0;
    for (size_t i = 0; i < number->count; i++) {
        carry += (uint64_t)number->words[i] * by;
        number->words[i] = (uint32_t)carry;
        carry >>= 32;
    }
    assert_true(number->count < WORDS_MAX);
    if (carry) number->words[number->count++] = (uint32_t)carry;
}

/* base ^ exponent * 2 ^ halvings */
static void power(struct whole *number, uint32_t base, int64_t exponent, int64_t halvings)
{
    *number = (struct whole){{1}, 1};
    for (int64_t i = 0; i < exponent; i++) multiply(number, base);
    for (int64_t i = 0; i < halvings; i++) multiply(number, 2);
}

static int compare(const struct whole *a, const struct whole *b)
{
    if (a->count != b->count) return a->count < b->count ? -1 : 1;
    for (size_t i = a->count; i-- > 0;)
        if (a->words[i] != b->words[i]) return a->words[i] < b->words[i] ? -1 : 1;
    return 0;
}

/* With half_life = parts steps and w the weight of n steps in millionths:
 *   w - 1/2 <= 10^6 * 2^(-n / parts) <= w + 1/2    is    (2w - 1)^parts * 2^n <= (2 * 10^6)^parts <= (2w +
 * 1)^parts * 2^n */
static void check_exact(const struct pql_decay *decay, int64_t parts, int64_t n)
{
    static struct whole one, low, high;
    uint32_t w = pql_decay_weight(decay, n);
    power(&one, 2 * PQL_DECAY_ONE, parts, 0);
    power(&high, 2 * w + 1, parts, n);
    int to_high = compare(&one, &high), to_low = 1;
    if (w) {
        power(&low, 2 * w - 1, parts, n);
        to_low = compare(&one, &low);
    }
    assert_true(to_high <= 0 && to_low >= 0);
    if (to_high == 0 || to_low == 0) assert_int_equal(w % 2, 0); /* half way: the even one */
}

static void weights_are_the_nearest(void **state)
{
    (void)state;
    static const int64_t all_parts[] = {1, 2, 3, 7, 24, 30, 45, 90, 168};
    for (size_t p = 0; p < sizeof all_parts / sizeof *all_parts; p++) {
        int64_t parts = all_parts[p], steps = 0;
        struct pql_decay decay = {.step_ms = 86400000 / 24, .span_ms = 86400000 / 24 * parts};
        for (int64_t n = 0; n <= 22 * parts; n += parts > 30 ? 5 : 1) {
            check_exact(&decay, parts, n);
            steps++;
        }
        assert_true(steps >= 22);
        check_exact(&decay, parts, pql_decay_steps(&decay));
        check_exact(&decay, parts, pql_decay_steps(&decay) - 1);
        assert_int_equal(pql_decay_weight(&decay, pql_decay_steps(&decay)), 0);
        assert_int_not_equal(pql_decay_weight(&decay, pql_decay_steps(&decay) - 1), 0);
    }
}

/* A table that another program made with 60 digits. Among them the nearest to half way that were found. */
static void weights_are_those_of_a_table(void **state)
{
    (void)state;
    static const struct {
        int64_t step_ms, half_life_ms, n;
        uint32_t weight;
    } rows[] = {
        {86400000, INT64_C(2592000000), 210, 7812},
        {86400000, INT64_C(2592000000), 383, 143},
        {86400000, INT64_C(2592000000), 628, 0},
        {86400000, INT64_C(2592000000), 9, 812252},
        {86400000, INT64_C(2592000000), 494, 11},
        {86400000, INT64_C(604800000), 49, 7812},
        {86400000, INT64_C(604800000), 71, 884},
        {86400000, INT64_C(604800000), 114, 13},
        {86400000, INT64_C(604800000), 70, 977},
        {86400000, INT64_C(604800000), 143, 1},
        {3600000, INT64_C(86400000), 168, 7812},
        {3600000, INT64_C(86400000), 221, 1691},
        {3600000, INT64_C(86400000), 435, 3},
        {3600000, INT64_C(86400000), 94, 66216},
        {3600000, INT64_C(86400000), 99, 57313},
        {86400000, INT64_C(1209600000), 98, 7812},
        {86400000, INT64_C(1209600000), 293, 1},
        {86400000, INT64_C(1209600000), 142, 884},
        {86400000, INT64_C(1209600000), 139, 1026},
        {86400000, INT64_C(1209600000), 152, 539},
        {86400000, INT64_C(31536000000), 2555, 7812},
        {86400000, INT64_C(31536000000), 6483, 4},
        {86400000, INT64_C(31536000000), 4519, 187},
        {86400000, INT64_C(31536000000), 2424, 10019},
        {86400000, INT64_C(31536000000), 6460, 5},
        {60000, INT64_C(86400000), 10080, 7812},
        {60000, INT64_C(86400000), 11147, 4675},
        {60000, INT64_C(86400000), 2240, 340198},
        {60000, INT64_C(86400000), 16822, 304},
        {60000, INT64_C(86400000), 24335, 8},
        {1000, INT64_C(604800000), 1582643, 163029},
        {1000, INT64_C(604800000), 492737, 568523},
        {1000, INT64_C(604800000), 6598724, 520},
        {1000, INT64_C(604800000), 10411090, 7},
        {1000, INT64_C(604800000), 10355497, 7},
        {3600000, INT64_C(7776000000), 15120, 7812},
        {3600000, INT64_C(7776000000), 1096, 703486},
        {3600000, INT64_C(7776000000), 45212, 1},
        {3600000, INT64_C(7776000000), 1743, 571591},
        {3600000, INT64_C(7776000000), 35030, 13},
        {1, INT64_C(2), 14, 7812},
        {1, INT64_C(2), 30, 31},
        {1, INT64_C(2), 42, 0},
        {1, INT64_C(2), 20, 977},
        {1, INT64_C(2), 12, 15625},
        {777, INT64_C(7919), 166, 13},
        {777, INT64_C(7919), 124, 218},
        {777, INT64_C(7919), 120, 286},
        {777, INT64_C(7919), 166, 13},
        {777, INT64_C(7919), 211, 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pql_decay decay = {.step_ms = rows[i].step_ms, .span_ms = rows[i].half_life_ms};
        assert_int_equal(pql_decay_weight(&decay, rows[i].n), rows[i].weight);
    }
}

static void weights_fall_to_nothing(void **state)
{
    (void)state;
    static const int64_t spans[] = {1, 999, 1000, 86400000, INT64_C(315360000000)};
    for (int linear = 0; linear < 2; linear++)
        for (size_t s = 0; s < sizeof spans / sizeof *spans; s++) {
            struct pql_decay decay = {.step_ms = spans[s] / 37 + 1, .span_ms = spans[s], .is_linear = linear};
            uint32_t before = PQL_DECAY_ONE;
            assert_int_equal(pql_decay_weight(&decay, 0), PQL_DECAY_ONE);
            assert_int_equal(pql_decay_weight(&decay, -3), PQL_DECAY_ONE);
            for (int64_t n = 1; n < 1000; n++) {
                uint32_t now = pql_decay_weight(&decay, n);
                assert_true(now <= before);
                before = now;
            }
            assert_int_equal(pql_decay_weight(&decay, INT64_MAX), 0);
            static uint32_t weights[PQL_DECAY_TABLE_MAX];
            struct pql_decay known = decay;
            pql_decay_table_fill(&known, weights, pql_decay_table_size(&decay));
            for (int64_t n = 0; n < 1000; n++)
                assert_int_equal(pql_decay_weight(&known, n), pql_decay_weight(&decay, n));
        }
}

static void fading_is_linear(void **state)
{
    (void)state;
    struct pql_decay decay = {.step_ms = 1000, .span_ms = 3000, .is_linear = true};
    assert_int_equal(pql_decay_weight(&decay, 1), 666667); /* 1 - 0.333333 */
    assert_int_equal(pql_decay_weight(&decay, 2), 333333);
    assert_int_equal(pql_decay_weight(&decay, 3), 0);
    decay.span_ms = 64000000; /* 1/64000 is 15.625 millionths, 4/64000 62.5: half to even */
    assert_int_equal(pql_decay_weight(&decay, 1), 999984);
    assert_int_equal(pql_decay_weight(&decay, 4), 999938);
    assert_int_equal(pql_decay_weight(&decay, 12), 999812); /* 187.5 */
}

static void steps_are_aligned_to_the_epoch(void **state)
{
    (void)state;
    struct pql_decay decay = {.step_ms = 3600000, .span_ms = 86400000};
    assert_int_equal(pql_decay_next(&decay, 0), 3600000);
    assert_int_equal(pql_decay_next(&decay, 3599999), 3600000);
    assert_int_equal(pql_decay_next(&decay, -1), 0);
    assert_int_equal(pql_decay_at(&decay, 3599999, 3599999), PQL_DECAY_ONE);
    assert_int_equal(pql_decay_at(&decay, 3599999, 3600000), 971532);
    assert_int_equal(pql_decay_at(&decay, 3600000, 3600000), PQL_DECAY_ONE);
}

/* Rounded once, half to even, whatever the signs. */
static void sums_are_rounded_once(void **state)
{
    (void)state;
    static const struct {
        pql_decimal values[3];
        uint32_t weights[3];
        int64_t sum;
    } rows[] = {
        {{1, 0, 0}, {500000, 0, 0}, 0},
        {{3, 0, 0}, {500000, 0, 0}, 2},
        {{1, 1, 0}, {500000, 500000, 0}, 1},
        {{-1, 0, 0}, {500000, 0, 0}, 0},
        {{-3, 0, 0}, {500000, 0, 0}, -2},
        {{-1, 0, 0}, {500001, 0, 0}, -1},
        {{1000001, 0, 0}, {500000, 0, 0}, 500000},
        {{1000003, 0, 0}, {500000, 0, 0}, 500002},
        {{1000000, 1000000, -1000000}, {333333, 333333, 999999}, -333333},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct pql_decayed sum = {0};
        for (int k = 0; k < 3; k++) pql_decayed_add(&sum, rows[i].values[k], rows[i].weights[k]);
        assert_int_equal((int64_t)pql_decayed_sum(&sum), rows[i].sum);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_the_nearest),        cmocka_unit_test(weights_are_those_of_a_table),
        cmocka_unit_test(weights_fall_to_nothing),        cmocka_unit_test(fading_is_linear),
        cmocka_unit_test(steps_are_aligned_to_the_epoch), cmocka_unit_test(sums_are_rounded_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
