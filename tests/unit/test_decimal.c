#include "base/decimal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *text_of(pql_decimal value)
{
    static char out[4][PQL_DECIMAL_TEXT_MAX];
    static unsigned turn;
    char *at = out[turn++ % 4];
    size_t len = pql_decimal_text(value, at);
    assert_int_equal(len, strlen(at));
    return at;
}

static pql_decimal read(const char *text)
{
    pql_decimal value = -1;
    assert_true(pql_decimal_of_text(pql_slice_of(text), &value));
    return value;
}

static const char *const largest = "100000000000000000000000000000000";

static void test_text(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"007", "7"},
        {"7.0", "7"},
        {"-7.50", "-7.5"},
        {"0.000001", "0.000001"},
        {"9007199254740993", "9007199254740993"},
        {"0.0000025", "0.000002"}, /* half to even */
        {"0.0000035", "0.000004"},
        {"0.00000250000000000000000000000000000000001", "0.000003"},
        {"0.0000024999999999999999999999999999999999999", "0.000002"},
        {"-0.0000025", "-0.000002"},
        {"0.9999995", "1"},
        {"99999999999999999999999999999999.999999", "99999999999999999999999999999999.999999"},
    };
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(text_of(read(cases[i].text)), cases[i].canonical);
    static const char *const wrong[] = {"",   "-",   ".",   ".5",    "5.",  "+5",  " 5",
                                        "5 ", "1e5", "0x1", "1.2.3", "--1", "1,5", "NaN"};
    for (size_t i = 0; i < COUNT(wrong); i++) {
        pql_decimal untouched = 42;
        assert_false(pql_decimal_of_text(pql_slice_of(wrong[i]), &untouched));
        assert_true(untouched == 42);
    }
}

/* However many digits a text has, it saturates and never wraps round. */
static void test_text_saturates(void **state)
{
    (void)state;
    char digits[61];
    for (size_t len = 34; len < sizeof digits; len++)
        for (char first = '1'; first <= '9'; first++) {
            memset(digits, '9', len);
            digits[0] = first;
            digits[len] = 0;
            assert_string_equal(text_of(read(digits)), largest);
            digits[len - 7] = '.';
            if (len > 40) assert_string_equal(text_of(read(digits)), largest);
        }
    assert_string_equal(text_of(read("-340282366920938463463374607431768211455")),
                        "-100000000000000000000000000000000");
    assert_string_equal(text_of(read("100000000000000000000000000000000.000001")), largest);
}

static void test_double(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1.5, "1.5"},
        {0.1, "0.1"},
        {1e-7, "0"},
        {0.0000025, "0.000003"}, /* its binary value is a little more */
        {0.5e-6, "0"},
        {1.5e-6, "0.000002"},
        {1e300, "100000000000000000000000000000000"},
        {-1e300, "-100000000000000000000000000000000"},
        {5e-324, "0"},
        {9007199254740992.0, "9007199254740992"},
        {0x1p-7, "0.007812"}, /* 0.0078125, a half, to even */
        {0x3p-7, "0.023438"},
        {1e31, "9999999999999999635896294965248"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        pql_decimal value = -1;
        assert_true(pql_decimal_of_double(cases[i].value, &value));
        assert_string_equal(text_of(value), cases[i].text);
    }
    pql_decimal untouched = 42;
    assert_false(pql_decimal_of_double(__builtin_nan(""), &untouched));
    assert_false(pql_decimal_of_double(__builtin_inf(), &untouched));
    assert_false(pql_decimal_of_double(-__builtin_inf(), &untouched));
    assert_true(untouched == 42);
    assert_true(pql_decimal_to_double(read("-1234.5")) == -1234.5);
    assert_true(pql_decimal_to_double(read("0.1")) == 0.1);
    assert_true(pql_decimal_to_double(read("9007199254.740993")) == 9007199254.740993);
    assert_true(pql_decimal_to_double(read(largest)) == 1e32);
}

static void test_arithmetic(void **state)
{
    (void)state;
    assert_string_equal(text_of(pql_decimal_add(read("0.1"), read("0.2"))), "0.3");
    assert_string_equal(text_of(pql_decimal_add(PQL_DECIMAL_MAX, PQL_DECIMAL_MAX)), largest);
    assert_true(pql_decimal_add(-PQL_DECIMAL_MAX, -PQL_DECIMAL_MAX) == -PQL_DECIMAL_MAX);
    assert_true(pql_decimal_add(-PQL_DECIMAL_MAX, PQL_DECIMAL_MAX) == 0);
    assert_true(pql_decimal_add(PQL_DECIMAL_MAX, 1) == PQL_DECIMAL_MAX);
    static const struct {
        const char *a, *b, *product;
    } products[] = {
        {"1.5", "2", "3"},
        {"-1.5", "0.000001", "-0.000002"}, /* 1.5 millionths */
        {"0.5", "0.000001", "0"},          /* half to even */
        {"100000000000000000000000000000000", "0.5", "50000000000000000000000000000000"},
        {"100000000000000000000000000000000", "0.000001", "100000000000000000000000000"},
        {"100000000000000000000000000000000", "-1.000001", "-100000000000000000000000000000000"},
        {"12345678901234567890", "987654321.000001", "12193263112482865556805253924.56789"},
        {"12345678901234567890123", "9876543210123", "100000000000000000000000000000000"},
        {"99999999999999.999999", "1000000000000000000.5", "100000000000000000000000000000000"},
    };
    for (size_t i = 0; i < COUNT(products); i++) {
        const char *product = text_of(pql_decimal_mul(read(products[i].a), read(products[i].b)));
        assert_string_equal(product, products[i].product);
        assert_string_equal(text_of(pql_decimal_mul(read(products[i].b), read(products[i].a))), product);
    }
    pql_decimal out = 42;
    assert_false(pql_decimal_div(1, 0, &out));
    assert_true(out == 42);
    static const struct {
        const char *a, *b, *quotient;
    } quotients[] = {
        {"1", "3", "0.333333"},
        {"2", "3", "0.666667"},
        {"-1", "3", "-0.333333"},
        {"0.000001", "2", "0"}, /* half to even */
        {"0.000003", "2", "0.000002"},
        {"100000000000000000000000000000000", "3", "33333333333333333333333333333333.333333"},
        {"100000000000000000000000000000000", "0.5", "100000000000000000000000000000000"},
        {"100000000000000000000000000000000", "100000000000000000000000000000000", "1"},
        {"99999999999999999999999999999999", "70000000000000000000000000000001", "1.428571"},
        {"99999999999999999999999999999999.999999", "50000000000000000000000000000001", "2"},
        {"100000000000000000000000000000000", "90000000000000000000000000000001", "1.111111"},
        {"99999999999999999999999999999999", "100000000000000000000000000000000", "1"},
        {"100000000000000000000000000000000", "0.000001", "100000000000000000000000000000000"},
        {"-5000000000000000000000000000", "0.000001", "-100000000000000000000000000000000"},
    };
    for (size_t i = 0; i < COUNT(quotients); i++) {
        assert_true(pql_decimal_div(read(quotients[i].a), read(quotients[i].b), &out));
        assert_string_equal(text_of(out), quotients[i].quotient);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_text_saturates),
                                       cmocka_unit_test(test_double), cmocka_unit_test(test_arithmetic)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
