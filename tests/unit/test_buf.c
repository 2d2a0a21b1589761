#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void test_round_trip(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    pql_buf_u8(&buf, 200);
    pql_buf_u32(&buf, 0xdeadbeef);
    pql_buf_u64(&buf, 0x0123456789abcdef);
    pql_buf_slice(&buf, PQL_SLICE_LITERAL("a\0b"));
    pql_buf_slice(&buf, (struct pql_slice){NULL, 0});
    struct pql_reader reader = pql_reader_of(buf.ptr, buf.len);
    assert_int_equal(pql_read_u8(&reader), 200);
    assert_int_equal(pql_read_u32(&reader), 0xdeadbeef);
    assert_true(pql_read_u64(&reader) == 0x0123456789abcdef);
    assert_true(pql_slice_eq(pql_read_slice(&reader), PQL_SLICE_LITERAL("a\0b")));
    assert_int_equal(pql_read_slice(&reader).len, 0);
    assert_int_equal(pql_reader_left(&reader), 0);
    assert_false(reader.failed);
    pql_buf_deinit(&buf);
}

static void test_little_endian(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    pql_buf_u32(&buf, 0x01020304);
    assert_int_equal(buf.len, 4);
    assert_memory_equal(buf.ptr, "\4\3\2\1", 4);
    pql_buf_deinit(&buf);
}

static void test_varint(void **state)
{
    (void)state;
    static const struct {
        int64_t value;
        size_t bytes;
    } cases[] = {{0, 1},    {-1, 1},   {63, 1},        {64, 2},        {-64, 1},        {-65, 2},
                 {8191, 2}, {8192, 3}, {INT32_MAX, 5}, {INT32_MIN, 5}, {INT64_MAX, 10}, {INT64_MIN, 10}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pql_buf buf = {0};
        pql_buf_zigzag(&buf, cases[i].value);
        assert_int_equal(buf.len, cases[i].bytes);
        struct pql_reader reader = pql_reader_of(buf.ptr, buf.len);
        assert_true(pql_read_zigzag(&reader) == cases[i].value);
        assert_false(reader.failed);
        for (size_t cut = 0; cut < buf.len; cut++) { /* each beginning of it is a failure */
            reader = pql_reader_of(buf.ptr, cut);
            assert_true(pql_read_zigzag(&reader) == 0);
            assert_true(reader.failed);
        }
        pql_buf_deinit(&buf);
    }
}

/* What no writer makes: too long, beyond 64 bits, a length beyond the end. */
static void test_hostile(void **state)
{
    (void)state;
    struct pql_reader reader = pql_reader_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11);
    assert_true(pql_read_varint(&reader) == 0);
    assert_true(reader.failed);
    reader = pql_reader_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10);
    assert_true(pql_read_varint(&reader) == 0);
    assert_true(reader.failed);
    reader = pql_reader_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10);
    assert_true(pql_read_varint(&reader) == UINT64_MAX);
    assert_false(reader.failed);
    reader = pql_reader_of("\x05"
                           "abcd",
                           5);
    assert_int_equal(pql_read_slice(&reader).len, 0);
    assert_true(reader.failed);
    reader = pql_reader_of("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"
                           "a",
                           11);
    assert_int_equal(pql_read_slice(&reader).len, 0);
    assert_true(reader.failed);
    reader = pql_reader_of("abc", 3);
    assert_true(pql_read_u64(&reader) == 0);
    assert_int_equal(pql_read_u8(&reader), 0); /* the first failure sticks */
    assert_null(pql_read_bytes(&reader, 1));
    reader = pql_reader_of(NULL, 7);
    assert_int_equal(pql_reader_left(&reader), 0);
}

static void test_printf(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    pql_buf_text(&buf, "x");
    pql_buf_printf(&buf, "%s", "");
    for (int i = 0; i < 500; i++) pql_buf_printf(&buf, "-%d", i % 10);
    assert_int_equal(buf.len, 1001);
    assert_memory_equal(buf.ptr, "x-0-1-2", 7);
    assert_memory_equal(buf.ptr + buf.len - 4, "-8-9", 4);
    pql_buf_deinit(&buf);
    assert_null(buf.ptr);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_round_trip),
                                       cmocka_unit_test(test_little_endian), cmocka_unit_test(test_varint),
                                       cmocka_unit_test(test_hostile), cmocka_unit_test(test_printf)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
