#include "core/reasons.h"
#include "core/wire/framing.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct pql_schema_key key;
static struct pql_slice payload;
static struct pql_err err;

static int read_value(enum pql_framing framing, bool has_registry, struct pql_slice value)
{
    return pql_framing_read(framing, has_registry, value, NULL, &key, &payload, &err);
}

static void assert_read(enum pql_schema_key_kind kind, uint64_t high, uint64_t low, const char *rest)
{
    assert_int_equal(key.kind, kind);
    assert_true(key.high == high);
    assert_true(key.low == low);
    assert_true(pql_slice_is(payload, rest));
}

static void assert_bad_framing(int result, const char *message)
{
    assert_int_equal(result, -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_FRAMING].word);
    assert_string_equal(err.msg, message);
}

static void the_prefix_is_an_id_in_big_endian(void **state)
{
    (void)state;
    assert_int_equal(read_value(PQL_FRAMING_PREFIX, true, PQL_SLICE_LITERAL("\0\xff\0\0\x11rest")), 0);
    assert_read(PQL_SCHEMA_ID, 0, 0xff000011, "rest");
    assert_int_equal(read_value(PQL_FRAMING_AUTO, true, PQL_SLICE_LITERAL("\0\0\0\0\1")), 0);
    assert_read(PQL_SCHEMA_ID, 0, 1, "");
}

static void wrong_or_short_prefixes_are_refused(void **state)
{
    (void)state;
    assert_bad_framing(read_value(PQL_FRAMING_AUTO, true, PQL_SLICE_LITERAL("\1\0\0\0\1x")),
                       "no magic byte 00 with a 4-byte schema id (6 bytes, the first is 01)");
    assert_bad_framing(read_value(PQL_FRAMING_PREFIX, true, PQL_SLICE_LITERAL("\0\0\0\1")),
                       "no magic byte 00 with a 4-byte schema id (4 bytes, the first is 00)");
    assert_bad_framing(read_value(PQL_FRAMING_PREFIX, true, (struct pql_slice){NULL, 0}),
                       "no magic byte 00 with a 4-byte schema id (0 bytes, the first is none)");
    assert_bad_framing(read_value(PQL_FRAMING_SINGLE_OBJECT, true, PQL_SLICE_LITERAL("\xc3\1\0\0\0\0\0\0\0")),
                       "no marker C3 01 with an 8-byte fingerprint (9 bytes, the first is c3)");
}

static void a_single_object_has_a_fingerprint_in_little_endian(void **state)
{
    (void)state;
    struct pql_slice value = PQL_SLICE_LITERAL("\xc3\1\x8f\x5c\x39\x3f\x1a\xd5\x75\x72rest");
    for (int registry = 0; registry < 2; registry++) {
        assert_int_equal(read_value(PQL_FRAMING_AUTO, registry, value), 0);
        assert_read(PQL_SCHEMA_FINGERPRINT, 0, UINT64_C(0x7275d51a3f395c8f), "rest");
    }
}

static void bare_avro_may_begin_with_anything(void **state)
{
    (void)state;
    assert_int_equal(read_value(PQL_FRAMING_AUTO, false, PQL_SLICE_LITERAL("\0\0\0\0\1")), 0);
    assert_int_equal(key.kind, PQL_SCHEMA_BARE);
    assert_int_equal(payload.len, 5);
    assert_int_equal(read_value(PQL_FRAMING_BARE, true, PQL_SLICE_LITERAL("\xc3\1\0\0\0\0\0\0\0\0")), 0);
    assert_int_equal(key.kind, PQL_SCHEMA_BARE);
    assert_int_equal(payload.len, 10);
}

static int read_headers(const struct pql_header *headers, size_t count, struct pql_slice value)
{
    struct pql_message message = {.headers = headers, .headers_count = count};
    return pql_framing_read(PQL_FRAMING_HEADER, true, value, &message, &key, &payload, &err);
}

static void a_header_names_an_id_or_a_guid(void **state)
{
    (void)state;
    struct pql_header id[] = {{PQL_SLICE_LITERAL("trace"), PQL_SLICE_LITERAL("x")},
                              {PQL_SLICE_LITERAL("__value_schema_id"), PQL_SLICE_LITERAL("\0\0\0\1\2")}};
    assert_int_equal(read_headers(id, 2, PQL_SLICE_LITERAL("bare")), 0);
    assert_read(PQL_SCHEMA_ID, 0, 258, "bare");
    struct pql_header guid = {
        PQL_SLICE_LITERAL("__value_schema_id"),
        PQL_SLICE_LITERAL("\1\x01\x23\x45\x67\x89\xab\xcd\xef\xfe\xdc\xba\x98\x76\x54\x32\x10")};
    assert_int_equal(read_headers(&guid, 1, PQL_SLICE_LITERAL("bare")), 0);
    assert_read(PQL_SCHEMA_GUID, UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210), "bare");
    char text[PQL_SCHEMA_KEY_TEXT_MAX];
    assert_string_equal(pql_schema_key_text(&key, text), "guid 01234567-89ab-cdef-fedc-ba9876543210");
}

static void without_the_header_the_prefix_is_read(void **state)
{
    (void)state;
    assert_int_equal(read_headers(NULL, 0, PQL_SLICE_LITERAL("\0\0\0\0\7rest")), 0);
    assert_read(PQL_SCHEMA_ID, 0, 7, "rest");
}

static void a_header_of_another_form_is_refused(void **state)
{
    (void)state;
    struct pql_header header = {PQL_SLICE_LITERAL("__value_schema_id"), PQL_SLICE_LITERAL("\2\0\0\0\1")};
    assert_bad_framing(read_headers(&header, 1, PQL_SLICE_LITERAL("\0\0\0\0\7rest")),
                       "header __value_schema_id is neither 00 with an id nor 01 with a GUID "
                       "(5 bytes, the first is 02)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_prefix_is_an_id_in_big_endian),
        cmocka_unit_test(wrong_or_short_prefixes_are_refused),
        cmocka_unit_test(a_single_object_has_a_fingerprint_in_little_endian),
        cmocka_unit_test(bare_avro_may_begin_with_anything),
        cmocka_unit_test(a_header_names_an_id_or_a_guid),
        cmocka_unit_test(without_the_header_the_prefix_is_read),
        cmocka_unit_test(a_header_of_another_form_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
