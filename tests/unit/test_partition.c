/* Hashes of keys against the values that Apache Kafka's own tests state (UtilsTest.testMurmur2) and the check
 * value of CRC-32/ISO-HDLC. */
#include "core/partition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void test_murmur2(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal((int32_t)pql_murmur2(pql_slice_of(rows[i].key)), rows[i].hash);
    assert_int_equal(pql_partition_murmur2(pql_slice_of("foobar"), 4),
                     (uint32_t)(-790332482 & 0x7fffffff) % 4);
}

static void test_crc32(void **state)
{
    (void)state;
    assert_int_equal(pql_crc32(pql_slice_of("123456789")), 0xcbf43926u);
    assert_int_equal(pql_partition_crc32(pql_slice_of("123456789"), 16), 0xcbf43926u % 16);
    assert_int_equal(pql_crc32((struct pql_slice){0}), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_murmur2), cmocka_unit_test(test_crc32)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
