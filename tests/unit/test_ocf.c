/* Containers written by avro-c, and by hand where that cannot. */
#include "io/avro_json.h"
#include "io/ocf.h"

#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <avro.h>
#include <cmocka.h>
#include <zstd.h>

static const char schema_text[] =
    "{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"name\",\"type\":\"string\"},"
    "{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}";
enum { DATA = 3000 };
static char path[64];
static struct pql_err err;

static int setup(void **state)
{
    (void)state;
    snprintf(path, sizeof path, "/tmp/pqlstream-ocf-XXXXXX");
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

static void name_of(int i, char out[80])
{
    snprintf(out, 80, "event %d %.*s", i, i % 50, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
}

static void write_by_avro_c(const char *codec)
{
    avro_schema_t schema;
    avro_file_writer_t writer;
    avro_value_t value, field;
    char name[80];
    unlink(path);
    assert_int_equal(avro_schema_from_json_length(schema_text, sizeof schema_text - 1, &schema), 0);
    assert_int_equal(avro_file_writer_create_with_codec(path, schema, &writer, codec, 0), 0);
    avro_value_iface_t *class = avro_generic_class_from_schema(schema);
    avro_generic_value_new(class, &value);
    for (int i = 0; i < DATA; i++) {
        name_of(i, name);
        avro_value_get_by_index(&value, 0, &field, NULL);
        avro_value_set_string(&field, name);
        avro_value_get_by_index(&value, 1, &field, NULL);
        avro_value_set_long(&field, INT64_C(1700000000000) + i);
        assert_int_equal(avro_file_writer_append_value(writer, &value), 0);
    }
    avro_value_decref(&value);
    avro_value_iface_decref(class);
    avro_file_writer_close(writer);
    avro_schema_decref(schema);
}

static struct pql_ocf *open_container(void)
{
    struct pql_ocf *ocf = pql_ocf_open(path, &err);
    if (!ocf) fail_msg("%s", err.msg);
    return ocf;
}

static void assert_datum(struct pql_slice datum, int i)
{
    char name[80];
    name_of(i, name);
    struct pql_reader reader = pql_reader_of(datum.ptr, datum.len);
    int64_t len = pql_read_zigzag(&reader);
    assert_int_equal(len, strlen(name));
    assert_memory_equal(pql_read_bytes(&reader, (size_t)len), name, (size_t)len);
    assert_int_equal(pql_read_zigzag(&reader), INT64_C(1700000000000) + i);
    assert_int_equal(pql_reader_left(&reader), 0);
}

static void containers_of_another_library_are_read(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate", "snappy"};
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        write_by_avro_c(codecs[c]);
        struct pql_ocf *ocf = open_container();
        struct pql_slice datum;
        for (int i = 0; i < DATA; i++) {
            if (pql_ocf_next(ocf, &datum, &err)) fail_msg("%s: %s", codecs[c], err.msg);
            assert_datum(datum, i);
        }
        assert_int_equal(pql_ocf_next(ocf, &datum, &err), 0);
        assert_null(datum.ptr);
        pql_ocf_close(ocf);
    }
}

/* --- by hand --- */

static void put_long_text(struct pql_buf *out, const char *text)
{
    pql_buf_zigzag(out, (int64_t)strlen(text));
    pql_buf_text(out, text);
}

static void put_header(struct pql_buf *out, const char *schema, const char *codec)
{
    pql_buf_put(out, "Obj\1", 4);
    pql_buf_zigzag(out, 2);
    put_long_text(out, "avro.codec");
    put_long_text(out, codec);
    put_long_text(out, "avro.schema");
    put_long_text(out, schema);
    pql_buf_zigzag(out, 0);
    pql_buf_text(out, "0123456789abcdef");
}

static void put_block(struct pql_buf *out, int64_t count, const void *bytes, size_t len)
{
    pql_buf_zigzag(out, count);
    pql_buf_zigzag(out, (int64_t)len);
    pql_buf_put(out, bytes, len);
    pql_buf_text(out, "0123456789abcdef");
}

static void write_file(const char *bytes, size_t len)
{
    FILE *file = fopen(path, "wb");
    assert_int_equal(fwrite(bytes, 1, len, file), len);
    fclose(file);
}

/* How many data can be read before the end (*result 0) or an error (-1). */
static int count_data(int *result)
{
    struct pql_ocf *ocf = pql_ocf_open(path, &err);
    struct pql_slice datum;
    int count = 0;
    *result = -1;
    if (!ocf) return 0;
    while (!(*result = pql_ocf_next(ocf, &datum, &err)) && datum.ptr) count++;
    pql_ocf_close(ocf);
    return count;
}

static void zstandard_is_read(void **state)
{
    (void)state;
    char longs[200000], packed[10000];
    memset(longs, 2, sizeof longs); /* as many times the number 1 */
    size_t len = ZSTD_compress(packed, sizeof packed, longs, sizeof longs, 3);
    assert_false(ZSTD_isError(len));
    struct pql_buf file = {0};
    put_header(&file, "\"long\"", "zstandard");
    put_block(&file, sizeof longs, packed, len);
    write_file(file.ptr, file.len);
    int result;
    assert_int_equal(count_data(&result), sizeof longs);
    assert_int_equal(result, 0);
    pql_buf_deinit(&file);
}

static void assert_damaged(struct pql_buf *file, enum pql_err_class cls, const char *message)
{
    int result;
    char expected[200];
    write_file(file->ptr, file->len);
    count_data(&result);
    assert_int_equal(result, -1);
    assert_int_equal(err.cls, cls);
    snprintf(expected, sizeof expected, "%s: %s", path, message);
    assert_string_equal(err.msg, expected);
    pql_buf_deinit(file);
}

static void damage_is_said_with_its_place(void **state)
{
    (void)state;
    struct pql_buf file = {0};
    pql_buf_text(&file, "{\"event\":1}");
    assert_damaged(&file, PQL_ERR_CONFIG, "not an Avro object container file");
    put_header(&file, "\"long\"", "bzip2");
    assert_damaged(&file, PQL_ERR_CONFIG,
                   "codec 'bzip2' cannot be read, only null, deflate, snappy and zstandard");
    put_header(&file, "\"long\"", "null");
    put_block(&file, 1, "\2", 1);
    put_block(&file, 2, "\2\2\2", 3);
    assert_damaged(&file, PQL_ERR_FATAL, "block 3: bytes follow its last datum");
    put_header(&file, "\"long\"", "null");
    put_block(&file, 3, "\2", 1);
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: its count is larger than its bytes allow");
    put_header(&file, "\"null\"", "null");
    put_block(&file, INT64_MAX, "", 0);
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: its count is larger than its bytes allow");
    put_header(&file, "\"long\"", "null");
    pql_buf_zigzag(&file, 1);
    pql_buf_zigzag(&file, 200 << 20);
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: the file ends in the middle");
    put_header(&file, "\"long\"", "deflate");
    put_block(&file, 1, "\xff\xff\xff", 3);
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: it cannot be unpacked");
    put_header(&file, "\"long\"", "null");
    put_block(&file, 1, "\2", 1);
    file.ptr[file.len - 1] = 'X';
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: no sync marker behind it");
    put_header(&file, "\"string\"", "null");
    put_block(&file, 1,
              "\x0a"
              "ab",
              3);
    assert_damaged(&file, PQL_ERR_FATAL, "block 1: byte 1: a length beyond the end of the message");
}

/* Cut anywhere, and with any byte changed: an error or some data, never a crash. */
static void no_damage_crashes(void **state)
{
    (void)state;
    static const char *const codecs[] = {"null", "deflate", "snappy"};
    for (size_t c = 0; c < sizeof codecs / sizeof *codecs; c++) {
        write_by_avro_c(codecs[c]);
        char whole[4096];
        FILE *file = fopen(path, "rb");
        size_t len = fread(whole, 1, c ? 1000 : 600, file);
        fclose(file);
        int result, whole_cuts = 0;
        for (size_t i = 0; i < len; i++) {
            write_file(whole, i);
            assert_int_equal(count_data(&result), 0);
            whole_cuts += result == 0;
            whole[i] ^= 0x55;
            write_file(whole, len);
            count_data(&result);
            whole[i] ^= 0x55;
        }
        assert_int_equal(whole_cuts, 1); /* behind the header: a container of nothing */
    }
}

/* --- as JSON --- */

static void a_value_is_printed_in_avros_json(void **state)
{
    (void)state;
    struct pql_avro_json *json = pql_avro_json_new(pql_slice_of(schema_text), &err);
    assert_non_null(json);
    struct pql_buf out = {0};
    assert_int_equal(pql_avro_json_print(json,
                                         PQL_SLICE_LITERAL("\x06"
                                                           "a\"b\x04"),
                                         &out, &err),
                     0);
    pql_buf_u8(&out, 0);
    assert_string_equal(out.ptr, "{\"name\": \"a\\\"b\", \"at\": 2}");
    assert_int_equal(pql_avro_json_print(json,
                                         PQL_SLICE_LITERAL("\x06"
                                                           "a"),
                                         &out, &err),
                     -1);
    assert_string_equal(err.reason, "bad_avro");
    out.len = 0;
    assert_int_equal(pql_avro_json_print(json, PQL_SLICE_LITERAL("\x06\xff\0z\x04"), &out, &err),
                     0); /* not UTF-8 */
    pql_buf_u8(&out, 0);
    assert_string_equal(out.ptr, "{\"name\": \"\xef\xbf\xbd\\u0000z\", \"at\": 2}");
    pql_buf_deinit(&out);
    pql_avro_json_free(json);
}

static void numbers_and_bytes_without_a_json_form_get_one(void **state)
{
    (void)state;
    static const char all[] =
        "{\"type\":\"array\",\"items\":[\"float\",\"double\",\"bytes\",\"null\",\"boolean\","
        "{\"type\":\"enum\",\"name\":\"a.E\",\"symbols\":[\"X\"]},{\"type\":\"fixed\",\"name\":\"F\","
        "\"size\":1}]}";
    struct pql_avro_json *json = pql_avro_json_new(pql_slice_of(all), &err);
    assert_non_null(json);
    struct pql_buf out = {0};
    struct pql_slice bytes = PQL_SLICE_LITERAL("\x12"
                                               "\x00\xcd\xcc\xcc\x3d"
                                               "\x02\x9a\x99\x99\x99\x99\x99\xb9\x3f"
                                               "\x02\0\0\0\0\0\0\xf8\x7f"
                                               "\x02\0\0\0\0\0\0\xf0\xff"
                                               "\x04\x06"
                                               "a\0\xe9"
                                               "\x06"
                                               "\x08\x01"
                                               "\x0a\x00"
                                               "\x0c"
                                               "z"
                                               "\x00");
    if (pql_avro_json_print(json, bytes, &out, &err)) fail_msg("%s", err.msg);
    pql_buf_u8(&out, 0);
    assert_string_equal(
        out.ptr,
        "[{\"float\": 0.1}, {\"double\": 0.1}, {\"double\": \"NaN\"}, {\"double\": \"-Infinity\"}, "
        "{\"bytes\": \"a\\u0000\xc3\xa9\"}, null, {\"boolean\": true}, {\"E\": \"X\"}, {\"F\": \"z\"}]");
    pql_buf_deinit(&out);
    pql_avro_json_free(json);
}

/* A list of lists of itself, as deep as the message is long: it would overflow avro-c's stack. */
static void deep_data_is_refused_before_the_library_sees_it(void **state)
{
    (void)state;
    static const char list[] =
        "{\"type\":\"record\",\"name\":\"L\",\"fields\":[{\"name\":\"l\",\"type\":[\"null\",\"L\"]}]}";
    struct pql_avro_json *json = pql_avro_json_new(pql_slice_of(list), &err);
    assert_non_null(json);
    size_t len = 4 << 20;
    char *deep = malloc(len);
    memset(deep, 2, len);
    struct pql_buf out = {0};
    assert_int_equal(pql_avro_json_print(json, (struct pql_slice){deep, len}, &out, &err), -1);
    assert_string_equal(err.reason, "bad_avro");
    assert_non_null(strstr(err.msg, "nested too deep"));
    free(deep);
    pql_buf_deinit(&out);
    pql_avro_json_free(json);
}

/* Block of one string in one byte, which says that three follow: skipped by its size nothing would be
 * noticed. */
static void blocks_with_a_size_are_looked_into(void **state)
{
    (void)state;
    struct pql_avro_json *json =
        pql_avro_json_new(pql_slice_of("{\"type\":\"array\",\"items\":\"string\"}"), &err);
    struct pql_buf out = {0};
    assert_int_equal(pql_avro_json_print(json, PQL_SLICE_LITERAL("\x01\x02\x06\x00"), &out, &err), -1);
    assert_string_equal(err.reason, "bad_avro");
    assert_int_equal(pql_avro_json_print(json,
                                         PQL_SLICE_LITERAL("\x01\x04\x02"
                                                           "a\x00"),
                                         &out, &err),
                     0);
    pql_buf_u8(&out, 0);
    assert_string_equal(out.ptr, "[\"a\"]");
    pql_buf_deinit(&out);
    pql_avro_json_free(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(containers_of_another_library_are_read),
        cmocka_unit_test(zstandard_is_read),
        cmocka_unit_test(damage_is_said_with_its_place),
        cmocka_unit_test(no_damage_crashes),
        cmocka_unit_test(a_value_is_printed_in_avros_json),
        cmocka_unit_test(numbers_and_bytes_without_a_json_form_get_one),
        cmocka_unit_test(blocks_with_a_size_are_looked_into),
        cmocka_unit_test(deep_data_is_refused_before_the_library_sees_it),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
