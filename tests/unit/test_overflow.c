/* Values of events that are too large, of a wrong type or absent: what becomes of them, to the digit. Numbers
 * of the configuration that are too large are refused (tests/rules/files.txt). */
#include "app/cli.h"
#include "support/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
/* after the above */
#include <cmocka.h>

static void replay_values(const char *const *values, size_t count)
{
    char lines[4000];
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        used += (size_t)snprintf(
            lines + used, sizeof lines - used,
            "{\"event\":\"x\",\"account_id\":\"A\",\"occurred_at\":\"2026-01-0%zuT00:00:00Z\","
            "\"properties\":{%s}}\n",
            i + 1, values[i]);
    write_file("v.jsonl", lines);
    write_file("c.conf",
               "inputs = ( { topic = \"e\"; format = \"json\"; } );\n"
               "definitions = ( { name = \"d\"; subject = \"account\"; qualify = \"sum(x.p, 7d) > 0 or "
               "sum(x.p, ever) > 0 or max(x.p, ever) > 0 or sum(x.p, 7d) * 1000000 * 1000000 > 0\"; } );\n");
    assert_int_equal(
        run("pqlstream replay --config %s --account A --trace %s", path_of("c.conf"), path_of("v.jsonl")),
        PQL_EXIT_OK);
}

static void assert_said(const char *what)
{
    if (!strstr(out, what)) fail_msg("%s\nis not in\n%s", what, out);
}

static void test_too_large(void **state)
{
    (void)state;
    /* A summand beyond 10^24 counts as that much, so that 128 bits hold every sum of a window; the greatest
     * value is shown as it is, and arithmetic ends at 10^32. */
    const char *const values[] = {"\"p\":1", "\"p\":90000000000000000000000000000000",
                                  "\"p\":\"999999999999999999999999999999999999999999\""};
    replay_values(values, 3);
    assert_said("sum(x.p, 7d): 2000000000000000000000001 ");
    assert_said("sum(x.p, ever): 2000000000000000000000001\n");
    assert_said("max(x.p, ever): 100000000000000000000000000000000\n");
    assert_said("sum(x.p, 7d) * 1000000 * 1000000: 100000000000000000000000000000000\n");
}

static void test_no_numbers(void **state)
{
    (void)state;
    const char *const values[] = {"\"p\":\"abc\"",   "\"q\":5",       "\"p\":null", "\"p\":[1]",
                                  "\"p\":{\"a\":1}", "\"p\":\"2.5\"", "\"p\":true"};
    replay_values(values, 7);
    assert_said("sum(x.p, 7d): 3.5 ");
    assert_said("max(x.p, ever): 2.5\n");
    assert_string_equal(strstr(err, " refused"), strstr(err, " refused, 0 duplicates"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_too_large, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_numbers, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
