#include "core/reasons.h"
#include "core/wire/json.h"
#include "core/wire/path.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SLOTS = 16 };
static struct pql_arena scratch;
static struct pql_value slots[SLOTS];
static struct pql_err err;

static int setup(void **state)
{
    (void)state;
    pql_arena_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pql_arena_deinit(&scratch);
    return 0;
}

/* The bytes stand at the end of a block of their own, so that one byte too far is found. */
static int run_bytes(const struct pql_json_plan *plan, const char *text, size_t len)
{
    char *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    if (len) memcpy(copy, text, len);
    int result = pql_json_plan_run(plan, copy, len, &scratch, slots, &err);
    for (int i = 0; !result && i < SLOTS; i++)
        if (slots[i].kind == PQL_TEXT) slots[i].text = pql_arena_copy(&scratch, slots[i].text);
    free(copy);
    return result;
}

static struct pql_json_plan *plan_of(const char *const *wanted, size_t count)
{
    struct pql_slice paths[SLOTS];
    assert_true(count <= SLOTS);
    for (size_t i = 0; i < count; i++) paths[i] = pql_slice_of(wanted[i]);
    for (size_t i = 0; i < SLOTS; i++) slots[i] = pql_null();
    return pql_json_plan_new(paths, count);
}

static int run_one(const char *path, struct pql_slice text)
{
    struct pql_json_plan *plan = plan_of(&path, 1);
    assert_non_null(plan);
    pql_arena_reset(&scratch);
    int result = run_bytes(plan, text.ptr, text.len);
    pql_json_plan_free(plan);
    return result;
}

/* A value as the tests write it: null, true, 1.5, 'text'. */
static const char *shown(const struct pql_value *value)
{
    static char out[300];
    char digits[PQL_DECIMAL_TEXT_MAX];
    switch (value->kind) {
    case PQL_NULL: return "null";
    case PQL_BOOL: return value->boolean ? "true" : "false";
    case PQL_NUMBER:
        pql_decimal_text(value->number, digits);
        snprintf(out, sizeof out, "%s", digits);
        return out;
    case PQL_TEXT: snprintf(out, sizeof out, "'%.*s'", PQL_SLICE_ARG(value->text)); return out;
    case PQL_DURATION:
    case PQL_TIME: snprintf(out, sizeof out, "time %lld", (long long)value->ms); return out;
    }
    return "?";
}

static void paths_reach_their_values(void **state)
{
    (void)state;
    static const struct {
        const char *path, *text, *expected;
    } cases[] = {
        {"a", "{\"a\":1}", "1"},
        {"a", " \t\r\n{ \"b\" : [ 1 , { } ] , \"a\" : \"x\" } \n", "'x'"},
        {"a", "{}", "null"},
        {"a", "{\"b\":1}", "null"},
        {"a", "{\"a\":null}", "null"},
        {"a", "{\"a\":{\"b\":1}}", "null"},
        {"a", "{\"a\":[1]}", "null"},
        {"a", "{\"a\":true}", "true"},
        {"a", "{\"a\":false}", "false"},
        {"a", "\xef\xbb\xbf{\"a\":1}", "1"},
        {"a.b.c", "{\"a\":{\"x\":1,\"b\":{\"c\":\"deep\"}}}", "'deep'"},
        {"a.b", "{\"a\":1}", "null"},
        {"a.b", "{\"a.b\":7}", "7"},
        {"a.b.c", "{\"a\":{\"b.c\":8}}", "8"},
        {"a.b.c", "{\"a.b\":{\"c\":9}}", "9"},
        {"a.1", "{\"a\":[10,20,30]}", "20"},
        {"a.1.b", "{\"a\":[10,{\"b\":\"in\"}]}", "'in'"},
        {"a.3", "{\"a\":[10,20,30]}", "null"},
        {"a.01", "{\"a\":[10,20]}", "null"},
        {"a.1", "{\"a\":{\"1\":\"key\"}}", "'key'"},
        {"0", "[5]", "5"},
        {"a", "{\"a\":1,\"a\":2}", "2"},
        {"a", "{\"a\":1,\"a\":null}", "null"},
        {"a", "{\"a\":1,\"a\":{}}", "null"},
        {"a.b", "{\"a\":{\"b\":1},\"a\":{\"c\":2}}", "null"},
        {"a.b", "{\"a\":{\"b\":1},\"a\":5}", "null"},
        {"a.b", "{\"a\":\"{\\\"b\\\":4}\"}", "4"},
        {"a.b.0", "{\"a\":\" {\\\"b\\\":[\\\"x\\\\ty\\\"]} \"}", "'x\ty'"},
        {"a.b", "{\"a\":\"{\\\"b\\\":4} and more\"}", "null"},
        {"a.b", "{\"a\":\"{\\\"b\\\":4,\"}", "null"},
        {"a.b", "{\"a\":\"plain\"}", "null"},
        {"a", "{\"\\u0061\":\"escaped key\"}", "'escaped key'"},
        {"\xc3\xa9", "{\"\\u00e9\":\"\xc3\xa9\"}", "'\xc3\xa9'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(run_one(cases[i].path, pql_slice_of(cases[i].text)), 0);
        if (strcmp(shown(&slots[0]), cases[i].expected) != 0)
            fail_msg("%s of %s: %s, expected %s", cases[i].path, cases[i].text, shown(&slots[0]),
                     cases[i].expected);
    }
}

static void numbers_are_exact(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"0", "0"},
        {"-0", "0"},
        {"-0.0", "0"},
        {"7.0", "7"},
        {"1.5", "1.5"},
        {"-12.345678", "-12.345678"},
        {"0.0000005", "0"},
        {"0.0000015", "0.000002"},
        {"0.0000025", "0.000002"},
        {"0.00000250000000000001", "0.000003"},
        {"-0.0000015", "-0.000002"},
        {"0.00000049999999999999999999", "0"},
        {"0.0000009999999", "0.000001"},
        {"1e3", "1000"},
        {"1E+3", "1000"},
        {"1.5e-3", "0.0015"},
        {"25e-7", "0.000002"},
        {"35e-7", "0.000004"},
        {"5e-7", "0"},
        {"6e-7", "0.000001"},
        {"5.0000001e-7", "0.000001"},
        {"9e-8", "0"},
        {"1234567890123456789012345678.125", "1234567890123456789012345678.125"},
        {"12345678901234567890", "12345678901234567890"},
        {"123456789012345678", "123456789012345678"},
        {"999999999999999999.9999999", "1000000000000000000"},
        {"1e31", "10000000000000000000000000000000"},
        {"1e32", "100000000000000000000000000000000"},
        {"1e33", "100000000000000000000000000000000"},
        {"-1e999999999999999999999999", "-100000000000000000000000000000000"},
        {"1e-999999999999999999999999", "0"},
        {"0e999999999999999999999999", "0"},
        {"340282366920938463463374607431768211456", "100000000000000000000000000000000"},
        {"50000000000000000000000000000000000000000000", "100000000000000000000000000000000"},
        {"0.10000000000000000000000000000000000000000000000000001e1", "1"},
        {"100000000000000000000000000000000000000000000000000e-50", "1"},
    };
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"a\":%s}", cases[i].text);
        assert_int_equal(run_one("a", pql_slice_of(text)), 0);
        if (strcmp(shown(&slots[0]), cases[i].expected) != 0)
            fail_msg("%s: %s, expected %s", cases[i].text, shown(&slots[0]), cases[i].expected);
    }
}

static void strings_are_unescaped(void **state)
{
    (void)state;
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"\"\"", "''"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "'\"\\/\b\f\n\r\t'"},
        {"\"\\u20aC\"", "'\xe2\x82\xac'"},
        {"\"\\ud83d\\ude00!\"", "'\xf0\x9f\x98\x80!'"},
        {"\"\\ud83d\"", "'\xef\xbf\xbd'"},
        {"\"\\ude00x\"", "'\xef\xbf\xbdx'"},
        {"\"\\ud83d\\u0041\"", "'\xef\xbf\xbd"
                               "A'"},
        {"\"\\ud83d\\n\"", "'\xef\xbf\xbd\n'"},
        {"\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"",
         "'\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xf0\x90\x80\x80\xf4\x8f\xbf\xbf'"},
        {"\"0123456789abcdef0123456\xc3\xa9\"", "'0123456789abcdef0123456\xc3\xa9'"},
        {"\"\x7f\"", "'\x7f'"},
    };
    char text[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(text, sizeof text, "{\"a\":%s}", cases[i].text);
        assert_int_equal(run_one("a", pql_slice_of(text)), 0);
        if (strcmp(shown(&slots[0]), cases[i].expected) != 0)
            fail_msg("%s: %s, expected %s", cases[i].text, shown(&slots[0]), cases[i].expected);
    }
    assert_int_equal(run_one("a", PQL_SLICE_LITERAL("{\"a\":\"x\\u0000y\"}")), 0);
    assert_int_equal(slots[0].text.len, 3);
    assert_memory_equal(slots[0].text.ptr, "x\0y", 3);
}

#define BAD(text, message)                                                                                   \
    {                                                                                                        \
        {(text), sizeof(text) - 1}, (message)                                                                \
    }

static void what_is_no_json_is_refused_with_its_place(void **state)
{
    (void)state;
    static const struct {
        struct pql_slice text;
        const char *message;
    } cases[] = {
        BAD("", "byte 0: a value is missing"),
        BAD("  ", "byte 2: a value is missing"),
        BAD("{", "byte 1: a key in quotes is missing"),
        BAD("{\"a\"}", "byte 4: ':' is missing after a key"),
        BAD("{\"a\":}", "byte 5: a value is missing"),
        BAD("{\"a\":1,}", "byte 7: a key in quotes is missing"),
        BAD("{\"a\":1 \"b\":2}", "byte 7: ',' or '}' is missing"),
        BAD("{a:1}", "byte 1: a key in quotes is missing"),
        BAD("[1,]", "byte 3: a value is missing"),
        BAD("[1 2]", "byte 3: ',' or ']' is missing"),
        BAD("[1", "byte 2: ',' or ']' is missing"),
        BAD("{} {}", "byte 3: something follows the value"),
        BAD("{}\0", "byte 2: something follows the value"),
        BAD("nul", "byte 0: a value is missing"),
        BAD("nulL", "byte 0: a value is missing"),
        BAD("True", "byte 0: a value is missing"),
        BAD("NaN", "byte 0: a value is missing"),
        BAD("'a'", "byte 0: a value is missing"),
        BAD("+1", "byte 0: a value is missing"),
        BAD("-", "byte 0: a malformed number"),
        BAD("01", "byte 0: a malformed number"),
        BAD("1.", "byte 0: a malformed number"),
        BAD(".5", "byte 0: a value is missing"),
        BAD("1e", "byte 0: a malformed number"),
        BAD("1e+", "byte 0: a malformed number"),
        BAD("-a", "byte 0: a malformed number"),
        BAD("0x10", "byte 1: something follows the value"),
        BAD("\"", "byte 1: a string without end"),
        BAD("\"abc", "byte 4: a string without end"),
        BAD("\"abcdefghijkl", "byte 13: a string without end"),
        BAD("\"\\", "byte 2: a string without end"),
        BAD("\"\\x\"", "byte 3: an unknown escape"),
        BAD("\"\\\0\"", "byte 3: an unknown escape"),
        BAD("\"\\u12", "byte 5: \\u without four hexadecimal digits"),
        BAD("\"\\u12g4\"", "byte 5: \\u without four hexadecimal digits"),
        BAD("\"\n\"", "byte 1: a control character in a string"),
        BAD("\"\0\"", "byte 1: a control character in a string"),
        BAD("\"01234567\x1f\"", "byte 9: a control character in a string"),
        BAD("\"\x80\"", "byte 1: invalid UTF-8"),
        BAD("\"\xc1\x81\"", "byte 1: invalid UTF-8"),
        BAD("\"\xc3\"", "byte 1: invalid UTF-8"),
        BAD("\"\xe0\x9f\xbf\"", "byte 1: invalid UTF-8"),
        BAD("\"\xed\xa0\x80\"", "byte 1: invalid UTF-8"),
        BAD("\"\xf0\x8f\xbf\xbf\"", "byte 1: invalid UTF-8"),
        BAD("\"\xf4\x90\x80\x80\"", "byte 1: invalid UTF-8"),
        BAD("\"\xf5\x80\x80\x80\"", "byte 1: invalid UTF-8"),
        BAD("\"abc\xe2\x82", "byte 4: invalid UTF-8"),
        BAD("/* c */ {}", "byte 0: a value is missing"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (run_one("a", cases[i].text) != -1) fail_msg("case %zu is accepted", i);
        assert_int_equal(err.cls, PQL_ERR_RECORD);
        assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_JSON].word);
        if (strcmp(err.msg, cases[i].message) != 0)
            fail_msg("case %zu: '%s', expected '%s'", i, err.msg, cases[i].message);
    }
}

static void nesting_has_a_limit(void **state)
{
    (void)state;
    char text[2 * PQL_JSON_DEPTH_MAX + 2];
    for (int depth = PQL_JSON_DEPTH_MAX; depth <= PQL_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', (size_t)depth);
        memset(text + depth, ']', (size_t)depth);
        assert_int_equal(run_one("a", (struct pql_slice){text, (size_t)depth * 2}),
                         depth > PQL_JSON_DEPTH_MAX ? -1 : 0);
    }
    assert_string_equal(err.msg, "byte 64: nested too deep");
}

static void many_paths_at_once(void **state)
{
    (void)state;
    static const char *const wanted[] = {"type", "p.a", "p.b", "p.c",   "p.d", "p.e",
                                         "p.f",  "p.g", "p.h", "p.a.x", "p"};
    struct pql_json_plan *plan = plan_of(wanted, 11);
    const char *text = "{\"type\":\"t\",\"p\":{\"h\":8,\"g\":7,\"f\":6,\"e\":5,\"zz\":0,\"d\":4,\"c\":3,"
                       "\"b\":2,\"a\":\"{\\\"x\\\":1}\"}}";
    assert_int_equal(run_bytes(plan, text, strlen(text)), 0);
    assert_string_equal(shown(&slots[0]), "'t'");
    assert_string_equal(shown(&slots[1]), "'{\"x\":1}'");
    for (int i = 2; i < 9; i++) assert_true(slots[i].number == pql_decimal_of_int(i));
    assert_true(slots[9].number == pql_decimal_of_int(1));
    assert_int_equal(slots[10].kind, PQL_NULL);
    pql_json_plan_free(plan);
}

static void malformed_paths_give_no_plan(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", ".", "a.", ".a", "a..b", "a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_null(plan_of(&bad[i], 1));
    struct pql_json_plan *plan = plan_of(NULL, 0);
    assert_non_null(plan);
    assert_int_equal(run_bytes(plan, "{\"a\":1}", 7), 0);
    pql_json_plan_free(plan);
}

static uint64_t next_random(uint64_t *seed)
{
    *seed ^= *seed << 13, *seed ^= *seed >> 7, *seed ^= *seed << 17;
    return *seed;
}

/* Any bytes give an answer, never a fault; the sanitizers watch. */
static void damaged_texts_do_no_harm(void **state)
{
    (void)state;
    static const char *const wanted[] = {"a", "a.b", "b.1.c", "s.t"};
    static const char text[] =
        "{\"a\":{\"b\":-12.5e-3},\"b\":[true,{\"c\":\"\\u00e9\\ud83d\\ude00\xc3\xa9\"}],"
        "\"s\":\"{\\\"t\\\":[1,{\\\"u\\\":null}]}\",\"zz\":\"0123456789\"}";
    static const char pieces[] = "{}[]\",:\\u0e-+.tfn \n\xff\xc3\xe2\x80";
    const char *given = getenv("PQL_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : 20260301, start = seed;
    struct pql_json_plan *plan = plan_of(wanted, 4);
    char mutated[sizeof text];
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        memcpy(mutated, text, sizeof text);
        size_t len = sizeof text - 1;
        for (uint64_t changes = next_random(&seed) % 4; changes-- > 0;)
            mutated[next_random(&seed) % len] = pieces[next_random(&seed) % (sizeof pieces - 1)];
        if (next_random(&seed) % 4 == 0) len = next_random(&seed) % len;
        pql_arena_reset(&scratch);
        accepted += run_bytes(plan, mutated, len) == 0;
    }
    pql_json_plan_free(plan);
    print_message("seed %llu: %d of 20000 accepted\n", (unsigned long long)start, accepted);
    assert_in_range(accepted, 1, 19999);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_reach_their_values),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(what_is_no_json_is_refused_with_its_place),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(many_paths_at_once),
        cmocka_unit_test(malformed_paths_give_no_plan),
        cmocka_unit_test(damaged_texts_do_no_harm),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
