/* Whole accounts within limits. */
#include "app/sample.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNTS = 500, ROUNDS = 20 };

static const struct pql_sample_limits all = {UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};

/* Each account's number is the value of its events; they come in rounds. */
static struct pql_sample *filled(const struct pql_sample_limits *limits)
{
    struct pql_sample *sample = pql_sample_new(limits);
    for (int round = 0; round < ROUNDS; round++)
        for (int i = 0; i < ACCOUNTS; i++) {
            char text[16];
            snprintf(text, sizeof text, "a-%03d", i);
            pql_sample_add(sample, pql_slice_of(text), 0, PQL_SLICE_LITERAL("p"), pql_slice_of(text));
        }
    return sample;
}

/* How many accounts; each must be whole and in order. */
static size_t count_whole(const struct pql_sample *sample)
{
    size_t count, accounts = 0;
    int found[ACCOUNTS] = {0};
    const struct pql_sample_record **records = pql_sample_records(sample, &count);
    assert_int_equal(count, pql_sample_stats(sample).records);
    for (size_t i = 0; i < count; i++) {
        const char *digits = records[i]->value.ptr + 2;
        found[(digits[0] - '0') * 100 + (digits[1] - '0') * 10 + digits[2] - '0']++;
        if (i) assert_true(records[i]->number > records[i - 1]->number);
    }
    for (int i = 0; i < ACCOUNTS; i++) {
        assert_true(found[i] == 0 || found[i] == ROUNDS);
        accounts += found[i] > 0;
    }
    assert_int_equal(accounts, pql_sample_stats(sample).accounts);
    assert_int_equal(pql_sample_stats(sample).left_out, ACCOUNTS * ROUNDS - count);
    free(records);
    return accounts;
}

static void everything(void **state)
{
    (void)state;
    struct pql_sample *sample = filled(&all);
    assert_int_equal(count_whole(sample), ACCOUNTS);
    pql_sample_free(sample);
}

static void so_many_accounts(void **state)
{
    (void)state;
    struct pql_sample_limits limits = all;
    assert_true(pql_sample_parse("20", &limits));
    struct pql_sample *sample = filled(&limits);
    assert_int_equal(count_whole(sample), 20);
    pql_sample_free(sample);
}

static void so_many_records_but_whole_accounts(void **state)
{
    (void)state;
    struct pql_sample_limits limits = all;
    limits.records = 333;
    struct pql_sample *sample = filled(&limits);
    assert_int_equal(count_whole(sample), 333 / ROUNDS);
    pql_sample_free(sample);
    limits = all;
    limits.bytes = 1000; /* 6 a record */
    sample = filled(&limits);
    assert_int_equal(count_whole(sample), 1000 / 6 / ROUNDS);
    pql_sample_free(sample);
}

static void a_share_of_them(void **state)
{
    (void)state;
    struct pql_sample_limits limits = all;
    assert_true(pql_sample_parse("10%", &limits));
    struct pql_sample *sample = filled(&limits);
    size_t tenth = count_whole(sample);
    assert_true(tenth > ACCOUNTS / 20 && tenth < ACCOUNTS / 5);
    pql_sample_free(sample);
}

static void one_account_that_is_too_large_keeps_its_first_events(void **state)
{
    (void)state;
    struct pql_sample_limits limits = all;
    limits.records = 10;
    struct pql_sample *sample = pql_sample_new(&limits);
    for (int i = 0; i < 100; i++)
        pql_sample_add(sample, PQL_SLICE_LITERAL("giant"), 0, PQL_SLICE_LITERAL(""), PQL_SLICE_LITERAL("x"));
    struct pql_sample_stats stats = pql_sample_stats(sample);
    assert_int_equal(stats.records, 10);
    assert_int_equal(stats.left_out, 90);
    assert_true(stats.is_cut);
    size_t count;
    const struct pql_sample_record **records = pql_sample_records(sample, &count);
    for (size_t i = 0; i < count; i++) assert_int_equal(records[i]->number, i + 1);
    free(records);
    pql_sample_free(sample);
}

static void what_belongs_to_no_account_stays(void **state)
{
    (void)state;
    struct pql_sample_limits limits = all;
    limits.accounts = 1;
    struct pql_sample *sample = pql_sample_new(&limits);
    for (int i = 0; i < 10; i++) {
        char text[16];
        snprintf(text, sizeof text, "a-%d", i);
        pql_sample_add(sample, (struct pql_slice){0}, 7, PQL_SLICE_LITERAL("p"), PQL_SLICE_LITERAL("clock"));
        pql_sample_add(sample, pql_slice_of(text), 0, PQL_SLICE_LITERAL("p"), PQL_SLICE_LITERAL("event"));
    }
    assert_int_equal(pql_sample_stats(sample).records, 11);
    assert_int_equal(pql_sample_stats(sample).accounts, 1);
    pql_sample_free(sample);
}

static void amounts(void **state)
{
    (void)state;
    static const char *const wrong[] = {"", "0", "-1", "1.5", "0%", "101%", "x", "5 %", "5%%", "nan", "inf"};
    struct pql_sample_limits limits = all;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(pql_sample_parse(wrong[i], &limits));
    assert_true(pql_sample_parse("0.5%", &limits));
    assert_true(limits.hash > UINT64_MAX / 201 && limits.hash < UINT64_MAX / 199);
    assert_true(pql_sample_parse("100%", &limits));
    assert_true(limits.hash == UINT64_MAX);
    assert_true(pql_sample_parse("1000000", &limits));
    assert_int_equal(limits.accounts, 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything),
        cmocka_unit_test(so_many_accounts),
        cmocka_unit_test(so_many_records_but_whole_accounts),
        cmocka_unit_test(a_share_of_them),
        cmocka_unit_test(one_account_that_is_too_large_keeps_its_first_events),
        cmocka_unit_test(what_belongs_to_no_account_stays),
        cmocka_unit_test(amounts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
