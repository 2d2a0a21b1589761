#include "core/wire/rfc3339.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void instants_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01", 0},
        {"2014-04-22", INT64_C(1398124800000)},
        {"2014-04-22T03:53:30.000Z", INT64_C(1398138810000)},
        {"2014-04-22T03:53:30.5Z", INT64_C(1398138810500)},
        {"2014-04-22T03:53:30,123999Z", INT64_C(1398138810123)},
        {"2014-04-22t03:53:30z", INT64_C(1398138810000)},
        {"2014-04-22 03:53:30Z", INT64_C(1398138810000)},
        {"2014-04-22T03:53Z", INT64_C(1398138780000)},
        {"2014-04-22T05:53:30+02:00", INT64_C(1398138810000)},
        {"2014-04-22T05:53:30+0200", INT64_C(1398138810000)},
        {"2014-04-22T05:53:30+02", INT64_C(1398138810000)},
        {"2014-04-21T22:23:30-05:30", INT64_C(1398138810000)},
        {"2000-02-29T23:59:59.999Z", INT64_C(951868799999)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000)},
        {"1969-12-31T23:59:59.999Z", -1},
        {"1900-03-01", INT64_C(-2203891200000)},
        {"0000-01-01", PQL_TIME_MIN_MS},
        {"9999-12-31T23:59:59.999Z", PQL_TIME_MAX_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 42;
        if (!pql_time_parse(pql_slice_of(cases[i].text), &ms)) fail_msg("'%s' is refused", cases[i].text);
        if (ms != cases[i].ms) fail_msg("'%s' is %lld", cases[i].text, (long long)ms);
    }
}

static void other_texts_are_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "2014",
        "2014-04",
        "2014-4-22",
        "20140422",
        "2014-04-22T",
        "2014-04-22T03:53:30",
        "2014-04-22T03:53:30.Z",
        "2014-04-22T03:53.5Z",
        "2014-04-22T03Z",
        "2014-13-01",
        "2014-00-01",
        "2014-01-00",
        "2014-04-31",
        "2014-02-29",
        "1900-02-29",
        "2014-04-22T24:00:00Z",
        "2014-04-22T03:60:00Z",
        "2014-04-22T03:53:61Z",
        "2014-04-22T03:53:30+24:00",
        "2014-04-22T03:53:30+02:60",
        "2014-04-22T03:53:30+2",
        "2014-04-22T03:53:30+02:",
        "2014-04-22T03:53:30Z ",
        " 2014-04-22",
        "2014-04-22x",
        "-014-04-22",
        "0000-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "1398138810",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = 42;
        if (pql_time_parse(pql_slice_of(cases[i]), &ms)) fail_msg("'%s' is accepted", cases[i]);
        assert_int_equal(ms, 42);
    }
}

static void text_and_instant_are_inverse(void **state)
{
    (void)state;
    char text[PQL_TIME_TEXT_MAX];
    for (int64_t ms = PQL_TIME_MIN_MS; ms <= PQL_TIME_MAX_MS; ms += INT64_C(86399999) * 41 + 7) {
        int64_t back;
        struct pql_slice slice = {text, pql_time_text(ms, text)};
        assert_int_equal(slice.len, 24);
        assert_true(pql_time_parse(slice, &back));
        assert_true(back == ms);
    }
    pql_time_text(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59.999Z");
    pql_time_text(INT64_MIN, text);
    assert_string_equal(text, "0000-01-01T00:00:00.000Z");
}

static void a_time_without_offset_may_be_utc(void **state)
{
    (void)state;
    int64_t ms;
    assert_false(pql_time_parse(PQL_SLICE_LITERAL("2014-04-22 03:53:30.5"), &ms));
    assert_true(pql_time_parse_utc(PQL_SLICE_LITERAL("2014-04-22 03:53:30.5"), &ms));
    assert_int_equal(ms, INT64_C(1398138810500));
    assert_true(pql_time_parse_utc(PQL_SLICE_LITERAL("2014-04-22T05:53:30+02:00"), &ms));
    assert_int_equal(ms, INT64_C(1398138810000));
    assert_false(pql_time_parse_utc(PQL_SLICE_LITERAL("2014-04-22 03:53:30 UTC"), &ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_read),
        cmocka_unit_test(other_texts_are_refused),
        cmocka_unit_test(text_and_instant_are_inverse),
        cmocka_unit_test(a_time_without_offset_may_be_utc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
