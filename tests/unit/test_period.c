/* --since and --until: durations, dates and times. */
#include "app/period.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define DAY INT64_C(86400000)

static const int64_t now = 1772445600000; /* 2026-03-02T10:00:00Z */

static void instants(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"30d", 1772445600000 - 30 * DAY},
        {"90m", 1772445600000 - 90 * 60000},
        {"2026-03-01", 1772323200000},
        {"2026-03-01T09:00:00Z", 1772355600000},
        {"2026-03-01T10:00:00+01:00", 1772355600000},
        {"1970-01-01", 0},
        {"100000000d", -1},
        {"2026-03-01T09:00:00", -1}, /* without an offset */
        {"1969-12-31", -1},
        {"yesterday", -1},
        {"", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t ms = -1;
        assert_int_equal(pql_instant_parse(rows[i].text, now, &ms), rows[i].ms >= 0);
        if (rows[i].ms >= 0) assert_int_equal(ms, rows[i].ms);
    }
}

static void longer_ago_than_time_itself(void **state)
{
    (void)state;
    int64_t ms;
    assert_true(pql_instant_parse("365d", DAY, &ms));
    assert_int_equal(ms, 0);
}

static void a_period(void **state)
{
    (void)state;
    int64_t since, until;
    assert_true(pql_period_read(&(struct pql_period_flags){0}, "test", now, &since, &until));
    assert_int_equal(since, PQL_NO_TIME);
    assert_int_equal(until, PQL_NO_TIME);
    assert_true(pql_period_read(&(struct pql_period_flags){"2d", "1d"}, "test", now, &since, &until));
    assert_int_equal(until - since, DAY);
    assert_false(pql_period_read(&(struct pql_period_flags){"1d", "1d"}, "test", now, &since, &until));
    assert_false(pql_period_read(&(struct pql_period_flags){"soon", NULL}, "test", now, &since, &until));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants),
        cmocka_unit_test(longer_ago_than_time_itself),
        cmocka_unit_test(a_period),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
