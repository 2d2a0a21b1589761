/* Versions of a schema side by side in one. */
#include "core/wire/plan.h"
#include "core/wire/schema_union.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define RECORD(more)                                                                                         \
    "{\"type\":\"record\",\"name\":\"Login\",\"namespace\":\"acme\",\"aliases\":[\"Old\"],\"fields\":["      \
    "{\"name\":\"user\",\"type\":{\"type\":\"record\",\"name\":\"User\",\"fields\":[{\"name\":\"id\","       \
    "\"type\":\"string\"},{\"name\":\"boss\",\"type\":[\"null\",\"User\"]}]}}" more "]}"

static struct pql_err err;

static char *united(const char *const *texts, size_t count, int expected)
{
    struct pql_slice slices[8];
    static struct pql_buf out;
    for (size_t i = 0; i < count; i++) slices[i] = pql_slice_of(texts[i]);
    out.len = 0;
    assert_int_equal(pql_schema_union(slices, count, &out, &err), expected);
    pql_buf_u8(&out, 0);
    return out.ptr;
}

static void one_is_itself(void **state)
{
    (void)state;
    const char *const texts[] = {" \"string\""};
    assert_string_equal(united(texts, 1, 0), " \"string\"");
}

static void types_of_later_ones_have_a_namespace_of_their_own(void **state)
{
    (void)state;
    const char *const texts[] = {
        RECORD(""), RECORD(",{\"name\":\"at\",\"type\":[\"null\",\"acme.User\"]}"),
        "{\"type\":\"map\",\"values\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\"]}}"};
    const char *text = united(texts, 3, 0);
    assert_non_null(strstr(text, "\"acme.v2.Login\""));
    assert_non_null(strstr(text, "{\"name\":\"at\",\"type\":[\"null\",\"acme.v2.User\"]}"));
    assert_non_null(strstr(text, "\"v3.E\""));
}

/* Bytes of the second schema are those of the union behind the index 1, and a reader's schema finds them. */
static void a_datum_is_read_behind_its_index(void **state)
{
    (void)state;
    const char *const texts[] = {RECORD(""), RECORD(",{\"name\":\"at\",\"type\":\"long\"}")};
    static const char datum[] = {2, 6, 'a', 'n', 'n', 0, 14};
    const struct pql_slice wanted[] = {PQL_SLICE_LITERAL("user.id"), PQL_SLICE_LITERAL("at")};
    struct pql_schema *writer = pql_schema_parse(pql_slice_of(united(texts, 2, 0)), &err);
    struct pql_schema *reader = pql_schema_parse(pql_slice_of(texts[1]), &err);
    assert_non_null(writer);
    for (int with_reader = 0; with_reader < 2; with_reader++) {
        struct pql_value slots[2];
        struct pql_arena scratch;
        pql_arena_init(&scratch);
        const char *const both[] = {RECORD(",{\"name\":\"at\",\"type\":\"int\"}"), texts[1]};
        struct pql_schema *two = pql_schema_parse(pql_slice_of(united(both, 2, 0)), &err);
        struct pql_plan *plan =
            pql_plan_new(with_reader ? two : writer, with_reader ? reader : NULL, wanted, 2, &err);
        if (!plan) fail_msg("%s", err.msg);
        if (pql_plan_run(plan, datum, sizeof datum, &scratch, slots, &err)) fail_msg("%s", err.msg);
        assert_true(pql_slice_is(slots[0].text, "ann"));
        assert_true(slots[1].number == pql_decimal_of_int(7));
        pql_plan_free(plan);
        pql_schema_free(two);
        pql_arena_deinit(&scratch);
    }
    pql_schema_free(writer);
    pql_schema_free(reader);
}

static void what_cannot_stand_together(void **state)
{
    (void)state;
    const char *const unions[] = {"\"string\"", "[\"null\",\"int\"]"};
    united(unions, 2, -1);
    assert_non_null(strstr(err.msg, "a schema that is a union"));
    const char *const twice[] = {"\"string\"", "{\"type\":\"string\",\"x\":1}"};
    united(twice, 2, -1);
    const char *const none[] = {"\"string\"", "{"};
    united(none, 2, -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_is_itself),
        cmocka_unit_test(types_of_later_ones_have_a_namespace_of_their_own),
        cmocka_unit_test(a_datum_is_read_behind_its_index),
        cmocka_unit_test(what_cannot_stand_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
