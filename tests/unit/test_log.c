/* Lines of the log: escaping, conversions, limits. */
#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static char line[PQL_LOG_LINE_MAX + 1];

static const char *line_of(const char *msg, const char *fields, ...) PQL_PRINTF(2, 3);
static const char *line_of(const char *msg, const char *fields, ...)
{
    va_list args;
    va_start(args, fields);
    size_t len = pql_log_line(line, 1795350243127, PQL_LOG_WARN, msg, fields, args);
    va_end(args);
    line[len] = 0;
    return line;
}

#define HEAD "ts=2026-11-22T12:24:03.127Z level=warn msg="

static void test_values(void **state)
{
    (void)state;
    assert_string_equal(line_of("it works", "topic=%s partition=%d", "a-b", 3),
                        HEAD "\"it works\" topic=a-b partition=3\n");
    assert_string_equal(line_of("m", "a=%s b=%s c=%s", "two words", "say \"x\"=1\n\x01", ""),
                        HEAD "m a=\"two words\" b=\"say \\\"x\\\"=1\\n\\x01\" c=\"\"\n");
    assert_string_equal(line_of("m", "a=%.*s b=%.2s", 3, "abcdef", "xyz"), HEAD "m a=abc b=xy\n");
    assert_string_equal(line_of("m", "a=%" PRId64 " b=%" PRIu64 " c=%zu d=%x e=%.1f f=%lld g=%u%%", INT64_MIN,
                                UINT64_MAX, (size_t)7, 255u, 1.25, -1LL, 50u),
                        HEAD "m a=-9223372036854775808 b=18446744073709551615 c=7 d=ff e=1.2 f=-1 g=50%\n");
}

static void test_long_line_is_cut(void **state)
{
    (void)state;
    char text[2 * PQL_LOG_LINE_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    line_of("m", "before=%d a=%s", 1, text);
    assert_true(strlen(line) <= PQL_LOG_LINE_MAX);
    assert_string_equal(line, HEAD "m before=1 a=…\n");
}

static void test_rate_limit(void **state)
{
    (void)state;
    struct pql_log_site site = {0};
    uint32_t dropped;
    for (int i = 0; i < PQL_LOG_BURST; i++) {
        assert_true(pql_log_allow(&site, 1000, &dropped));
        assert_int_equal(dropped, 0);
    }
    for (int i = 0; i < 7; i++) assert_false(pql_log_allow(&site, 1000 + i, &dropped));
    assert_true(pql_log_allow(&site, 1000 + PQL_LOG_WINDOW_MS, &dropped));
    assert_int_equal(dropped, 7);
    assert_true(pql_log_allow(&site, 1001 + PQL_LOG_WINDOW_MS, &dropped));
    assert_int_equal(dropped, 0);
}

static void test_levels(void **state)
{
    (void)state;
    pql_log_set_level(PQL_LOG_ERROR);
    assert_false(pql_log_wants(PQL_LOG_WARN));
    assert_true(pql_log_wants(PQL_LOG_ERROR));
    pql_log_set_level(PQL_LOG_INFO);
    assert_false(pql_log_wants(PQL_LOG_DEBUG));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_long_line_is_cut),
        cmocka_unit_test(test_rate_limit),
        cmocka_unit_test(test_levels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
