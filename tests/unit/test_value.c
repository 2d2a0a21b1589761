/* The rules of open values and of null. */
#include "core/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct pql_value text(const char *words)
{
    return pql_text(pql_slice_of(words));
}

static struct pql_value number(const char *words)
{
    struct pql_value value = pql_number(0);
    assert_true(pql_decimal_of_text(pql_slice_of(words), &value.number));
    return value;
}

static void test_as_number(void **state)
{
    (void)state;
    pql_decimal out = -1;
    struct pql_value yes[] = {number("7"), text("007"), text("7.0")};
    for (size_t i = 0; i < COUNT(yes); i++) {
        assert_true(pql_value_as_number(&yes[i], &out));
        assert_true(out == 7 * PQL_DECIMAL_ONE);
    }
    struct pql_value truth = pql_bool(true);
    assert_true(pql_value_as_number(&truth, &out));
    assert_true(out == PQL_DECIMAL_ONE);
    struct pql_value no[] = {pql_null(), text(""), text("7 "), text("seven"), pql_time(7), pql_duration(7)};
    for (size_t i = 0; i < COUNT(no); i++) assert_false(pql_value_as_number(&no[i], &out));
}

static void test_holds(void **state)
{
    (void)state;
    struct pql_value yes[] = {pql_bool(true), text("true")};
    struct pql_value no[] = {pql_bool(false), text("false"), text("TRUE"), text("1"),
                             number("1"),     pql_null(),    text("")};
    for (size_t i = 0; i < COUNT(yes); i++) assert_true(pql_value_holds(&yes[i]));
    for (size_t i = 0; i < COUNT(no); i++) assert_false(pql_value_holds(&no[i]));
}

static void test_canonical(void **state)
{
    (void)state;
    const struct {
        struct pql_value value;
        const char *canonical;
    } cases[] = {
        {number("7"), "7"},
        {text("7"), "7"},
        {text("7.0"), "7"},
        {text("-0.50"), "-0.5"},
        {text("9007199254740993"), "9007199254740993"},
        {number("9007199254740992"), "9007199254740992"},
        {text("00099999999999999999999999999999999"), "99999999999999999999999999999999"},
        {text("123456789012345678901234567890123456789"), "123456789012345678901234567890123456789"},
        {text("abc"), "abc"},
        {text("7 "), "7 "},
        {pql_bool(true), "true"},
        {pql_bool(false), "false"},
        {pql_null(), ""},
        {pql_duration(1500), "1500"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char scratch[PQL_DECIMAL_TEXT_MAX];
        struct pql_slice canonical = pql_value_canonical(&cases[i].value, scratch);
        assert_int_equal(canonical.len, strlen(cases[i].canonical));
        assert_memory_equal(canonical.ptr, cases[i].canonical, canonical.len);
    }
}

enum { DIFFERS = PQL_DIFFERENT, UNKNOWN = PQL_UNKNOWN };

static void test_relate(void **state)
{
    (void)state;
    const struct {
        struct pql_value a, b;
        enum pql_kind known;
        int expected;
    } cases[] = {
        /* two open values */
        {number("7"), text("7.0"), PQL_NULL, 0},
        {text("07"), text("7"), PQL_NULL, 0},
        {text("9"), text("10"), PQL_NULL, -1}, /* both are numbers */
        {text("9"), text("10x"), PQL_NULL, 1}, /* by bytes */
        {text("a"), text("ab"), PQL_NULL, -1},
        {number("7"), text("x"), PQL_NULL, UNKNOWN},
        {pql_bool(true), pql_bool(true), PQL_NULL, 0},
        {pql_bool(true), pql_bool(false), PQL_NULL, DIFFERS},
        {pql_bool(true), text("true"), PQL_NULL, UNKNOWN},
        {pql_bool(true), number("1"), PQL_NULL, UNKNOWN},
        {pql_null(), pql_null(), PQL_NULL, UNKNOWN},
        /* an open value and a number */
        {text("7"), number("8"), PQL_NUMBER, -1},
        {text("x"), number("8"), PQL_NUMBER, UNKNOWN},
        {pql_bool(true), number("1"), PQL_NUMBER, UNKNOWN},
        {pql_null(), number("1"), PQL_NUMBER, UNKNOWN},
        /* an open value and a text */
        {text("a"), text("b"), PQL_TEXT, -1},
        {text("07"), text("7"), PQL_TEXT, -1}, /* by bytes */
        {number("7"), text("7"), PQL_TEXT, DIFFERS},
        {pql_bool(true), text("true"), PQL_TEXT, DIFFERS},
        {pql_null(), text("a"), PQL_TEXT, UNKNOWN},
        /* an open value and a condition */
        {text("true"), pql_bool(true), PQL_BOOL, 0},
        {text("false"), pql_bool(true), PQL_BOOL, DIFFERS},
        {text("yes"), pql_bool(true), PQL_BOOL, UNKNOWN},
        {number("1"), pql_bool(true), PQL_BOOL, UNKNOWN},
        /* times */
        {pql_time(5), pql_time(6), PQL_TIME, -1},
        {pql_duration(6), pql_duration(6), PQL_DURATION, 0},
        {number("5"), pql_time(5), PQL_TIME, UNKNOWN},
        {pql_null(), pql_duration(5), PQL_DURATION, UNKNOWN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int there = pql_value_relate(&cases[i].a, &cases[i].b, cases[i].known);
        int back = pql_value_relate(&cases[i].b, &cases[i].a, cases[i].known);
        assert_int_equal(there, cases[i].expected);
        assert_int_equal(back, there == -1 || there == 1 ? -there : there);
    }
    struct pql_value seven = text("7"), more = number("7.000001"), word = text("x");
    assert_false(pql_value_equal(&seven, &more));
    assert_int_equal(pql_value_compare(&seven, &more), -1);
    assert_int_equal(pql_value_compare(&word, &more), 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_as_number), cmocka_unit_test(test_holds),
                                       cmocka_unit_test(test_canonical), cmocka_unit_test(test_relate)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
