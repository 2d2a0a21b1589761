#include "core/wire/plan.h"

#include "core/reasons.h"
#include "core/wire/schema.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pql_arena scratch;
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

static int hex_digit(char c)
{
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

/* "02 61" to two bytes; "'abc'" to the length 3 as Avro writes it and the text. */
static struct pql_slice bytes_of(const char *words)
{
    unsigned char *to = pql_arena_alloc(&scratch, strlen(words) + 1), *at = to;
    for (const char *from = words; *from;) {
        if (*from == ' ') {
            from++;
        } else if (*from == '\'') {
            const char *end = strchr(from + 1, '\'');
            assert_non_null(end);
            *at++ = (unsigned char)((end - from - 1) * 2);
            for (from++; from < end;) *at++ = (unsigned char)*from++;
            from++;
        } else {
            *at++ = (unsigned char)(hex_digit(from[0]) << 4 | hex_digit(from[1]));
            from += 2;
        }
    }
    return (struct pql_slice){(char *)to, (size_t)(at - to)};
}

static const char *shown(const struct pql_value *value)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    switch (value->kind) {
    case PQL_NULL: return "null";
    case PQL_BOOL: return value->boolean ? "true" : "false";
    case PQL_NUMBER: pql_decimal_text(value->number, digits); return pql_arena_printf(&scratch, "%s", digits);
    case PQL_TEXT: return pql_arena_printf(&scratch, "'%.*s'", PQL_SLICE_ARG(value->text));
    case PQL_DURATION:
    case PQL_TIME: return pql_arena_printf(&scratch, "@%lld", (long long)value->ms);
    }
    return "?";
}

static struct pql_schema *schema_of(const char *text)
{
    struct pql_schema *schema = pql_schema_parse(pql_slice_of(text), &err);
    if (!schema) fail_msg("%s: %s", text, err.msg);
    return schema;
}

/* Runs a copy at the end of a block of its own, so that reading beyond it is found; texts are copied out of
 * it. */
static int run(const struct pql_plan *plan, struct pql_slice message, struct pql_value *slots, size_t count)
{
    char *copy = malloc(message.len ? message.len : 1);
    assert_non_null(copy);
    if (message.len) memcpy(copy, message.ptr, message.len);
    int result = pql_plan_run(plan, copy, message.len, &scratch, slots, &err);
    for (size_t i = 0; !result && i < count; i++)
        if (slots[i].kind == PQL_TEXT) slots[i].text = pql_arena_copy(&scratch, slots[i].text);
    free(copy);
    return result;
}

/* What the path gives, or the message of the error. path "": the whole value, which only unit tests of
 * scalars wrap in a record of one field `v`. */
static const char *decode(const char *writer_text, const char *reader_text, const char *path,
                          const char *words)
{
    struct pql_schema *writer = schema_of(writer_text), *reader = reader_text ? schema_of(reader_text) : NULL;
    struct pql_slice wanted = pql_slice_of(path);
    struct pql_value slot;
    const char *result;
    struct pql_plan *plan = pql_plan_new(writer, reader, &wanted, 1, &err);
    pql_schema_free(writer);
    pql_schema_free(reader);
    if (!plan) return pql_arena_printf(&scratch, "no plan: %s", err.msg);
    if (run(plan, bytes_of(words), &slot, 1)) {
        assert_int_equal(err.cls, PQL_ERR_RECORD);
        assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_AVRO].word);
        result = pql_arena_printf(&scratch, "%s", err.msg);
    } else {
        result = shown(&slot);
    }
    pql_plan_free(plan);
    return result;
}

static char *record_of(const char *field_type)
{
    return pql_arena_printf(&scratch,
                            "{\"type\":\"record\",\"name\":\"R\",\"fields\":[{\"name\":\"v\",\"type\":%s}]}",
                            field_type);
}

static void assert_shown(const char *what, const char *found, const char *expected)
{
    if (strcmp(found, expected) != 0) fail_msg("%s: %s, expected %s", what, found, expected);
}

#define LOGICAL(type, logical) "{\"type\":\"" type "\",\"logicalType\":\"" logical "\"}"
#define DECIMAL(scale) "{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":60,\"scale\":" scale "}"
#define FIXED(size) "{\"type\":\"fixed\",\"name\":\"F\",\"size\":" size "}"

static void values_of_every_type(void **state)
{
    (void)state;
    static const struct {
        const char *type, *bytes, *expected;
    } cases[] = {
        {"\"null\"", "", "null"},
        {"\"boolean\"", "00", "false"},
        {"\"boolean\"", "01", "true"},
        {"\"int\"", "00", "0"},
        {"\"int\"", "01", "-1"},
        {"\"int\"", "feffffff0f", "2147483647"},
        {"\"int\"", "ffffffff0f", "-2147483648"},
        {"\"long\"", "feffffffffffffffff01", "9223372036854775807"},
        {"\"long\"", "ffffffffffffffffff01", "-9223372036854775808"},
        {"\"long\"", "808000", "0"},
        {"\"float\"", "0000803f", "1"},
        {"\"float\"", "cdcccc3d", "0.1"},
        {"\"float\"", "0000c07f", "null"},
        {"\"float\"", "0000807f", "null"},
        {"\"double\"", "000000000000f8bf", "-1.5"},
        {"\"double\"", "9a9999999999b93f", "0.1"},
        {"\"double\"", "000000000000f87f", "null"},
        {"\"double\"", "0000000000000080", "0"},
        {"\"string\"", "00", "''"},
        {"\"string\"", "'abc'", "'abc'"},
        {"\"bytes\"", "'abc'", "'abc'"},
        {FIXED("3"), "616263", "'abc'"},
        {FIXED("0"), "", "''"},
        {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "02", "'B'"},
        {"[\"null\",\"string\"]", "00", "null"},
        {"[\"null\",\"string\"]", "02 'x'", "'x'"},
        {"[\"string\",\"null\",\"double\"]", "04 000000000000f83f", "1.5"},
        {LOGICAL("int", "date"), "02", "@86400000"},
        {LOGICAL("int", "date"), "01", "@-86400000"},
        {LOGICAL("int", "time-millis"), "02", "1"},
        {LOGICAL("long", "timestamp-millis"), "03", "@-2"},
        {LOGICAL("long", "timestamp-micros"), "d00f", "@1"},
        {LOGICAL("long", "timestamp-micros"), "ce0f", "@0"},
        {LOGICAL("long", "timestamp-micros"), "01", "@-1"},
        {LOGICAL("long", "timestamp-nanos"), "01", "@-1"},
        {LOGICAL("long", "local-timestamp-millis"), "02", "@1"},
        {LOGICAL("long", "local-timestamp-micros"), "d00f", "@1"},
        {LOGICAL("string", "uuid"), "'a-b'", "'a-b'"},
        {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":16,\"logicalType\":\"uuid\"}",
         "000102030405060708090a0b0c0d0eff", "'00010203-0405-0607-0809-0a0b0c0d0eff'"},
        {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":12,\"logicalType\":\"duration\"}",
         "000102030405060708090a0b", "null"},
        {DECIMAL("2"), "02 01", "0.01"},
        {DECIMAL("2"), "04 ff85", "-1.23"},
        {DECIMAL("0"), "02 80", "-128"},
        {DECIMAL("2"), "00", "null"},
        {DECIMAL("7"), "02 05", "0"},
        {DECIMAL("7"), "02 0f", "0.000002"},
        {DECIMAL("7"), "02 19", "0.000002"},
        {DECIMAL("30"), "1a 0c9f2c9cd04674edea40000000", "1"},
        {DECIMAL("20"), "22 0100000000000000000000000000000000", "3402823669209384634.633746"},
        {DECIMAL("20"), "22 ff00000000000000000000000000000000", "-3402823669209384634.633746"},
        {DECIMAL("2"), "22 0100000000000000000000000000000000", "100000000000000000000000000000000"},
        {"{\"type\":\"fixed\",\"name\":\"F\",\"size\":2,\"logicalType\":\"decimal\",\"precision\":4,"
         "\"scale\":1}",
         "0064", "10"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "02 02 00", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(cases[i].type, decode(record_of(cases[i].type), NULL, "v", cases[i].bytes),
                     cases[i].expected);
}

static void paths_go_through_everything(void **state)
{
    (void)state;
    static const char *const strings = "{\"type\":\"map\",\"values\":\"string\"}";
    static const struct {
        const char *type, *path, *bytes, *expected;
    } cases[] = {
        {"\"int\"", "v.x", "02", "null"},
        {"\"int\"", "other", "02", "null"},
        {NULL, "v.b", "04 'a' 'x' 'b' 'y' 00", "'y'"},
        {NULL, "v.b", "02 'a' 'x' 02 'b' 'y' 00", "'y'"},
        {NULL, "v.b", "01 08 'b' 'y' 00", "'y'"},
        {NULL, "v.b", "01 0a 'b' 'y' 00", "byte 6: a block whose size is not that of its items"},
        {NULL, "v.b", "01 06 'b' 'y' 00", "byte 6: a block whose size is not that of its items"},
        {NULL, "other", "01 08 'b' 'y' 02 'c' 'z' 03 10 'd' 'z' 'd' 'z' 00", "null"},
        {NULL, "v.c", "04 'a' 'x' 'b' 'y' 00", "null"},
        {NULL, "v.c", "00", "null"},
        {NULL, "v.b", "04 'b' 'x' 'b' 'y' 00", "'y'"},
        {NULL, "v.a.b", "02 'a.b' 'y' 00", "'y'"},
        {NULL, "v.a.b", "02 'a' '{\"b\":[true]}' 00", "null"},
        {NULL, "v.a.b.0", "02 'a' '{\"b\":[true]}' 00", "true"},
        {NULL, "v.a.b.0", "04 'a' '{\"b\":[true]}' 'a' 'none' 00", "null"},
        {"{\"type\":\"map\",\"values\":[\"null\",\"int\"]}", "v.b", "04 'b' 02 06 'b' 00 00", "null"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "v.1", "06 02 04 06 00", "2"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "v.2", "04 02 04 02 06 00", "3"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "v.3", "06 02 04 06 00", "null"},
        {"{\"type\":\"array\",\"items\":{\"type\":\"map\",\"values\":\"int\"}}", "v.1.k",
         "04 00 02 'k' 0e 00 00", "7"},
        {"[\"null\",{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{"
         "\"name\":\"b\",\"type\":\"string\"}]}]",
         "v.b", "02 02 'x'", "'x'"},
        {"[\"null\",{\"type\":\"record\",\"name\":\"S\",\"fields\":[{\"name\":\"b\",\"type\":\"int\"}]},"
         "{\"type\":\"record\",\"name\":\"T\",\"fields\":[{\"name\":\"a\",\"type\":\"int\"},{\"name\":\"b\","
         "\"type\":\"string\"}]}]",
         "v.b", "04 02 'x'", "'x'"},
        {"\"string\"", "v.p.plan", "'{\"p\":{\"plan\":\"pro\"}}'", "'pro'"},
        {"[\"null\",\"string\"]", "v.plan", "02 '{\"plan\":12.50}'", "12.5"},
        {"\"bytes\"", "v.plan", "'{\"plan\":12.50}'", "12.5"},
        {"\"string\"", "v.plan", "'no json'", "null"},
        {"[\"null\",\"R\"]", "v.v.v", "02 02 02 00", "null"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(
            cases[i].path,
            decode(record_of(cases[i].type ? cases[i].type : strings), NULL, cases[i].path, cases[i].bytes),
            cases[i].expected);
}

#define TREE                                                                                                 \
    "{\"type\":\"record\",\"name\":\"N\",\"fields\":[{\"name\":\"v\",\"type\":\"int\"},{\"name\":\"next\","  \
    "\"type\":[\"null\",\"N\"]},"                                                                            \
    "{\"name\":\"kids\",\"type\":{\"type\":\"array\",\"items\":\"N\"}}]}"

static void recursive_schemas(void **state)
{
    (void)state;
    assert_shown("v", decode(TREE, NULL, "v", "0e 00 00"), "7");
    assert_shown("next.v", decode(TREE, NULL, "next.v", "0e 02 10 00 00 00"), "8");
    assert_shown("next.next.v", decode(TREE, NULL, "next.next.v", "0e 02 10 02 12 00 00 00 00"), "9");
    assert_shown("kids.1.v", decode(TREE, NULL, "kids.1.v", "0e 00 04 02 00 00 04 00 00 00"), "2");
    assert_shown("kids.1.next.v",
                 decode(TREE, NULL, "kids.1.next.v", "0e 00 04 02 00 00 04 02 06 00 00 00 00"), "3");
}

/* Every way in which bytes can lie. */
static void hostile_bytes_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *type, *bytes, *expected;
    } cases[] = {
        {"\"int\"", "", "byte 0: the message ends inside a number"},
        {"\"int\"", "80", "byte 1: the message ends inside a number"},
        {"\"int\"", "00 00", "byte 1: something follows the value"},
        {"\"int\"", "8080808010", "byte 5: an int of more than 32 bits"},
        {"\"int\"", "808080808000", "byte 6: an int of more than 32 bits"},
        {"\"long\"", "ffffffffffffffffff02", "byte 10: a number of more than 64 bits"},
        {"\"long\"", "8080808080808080808000", "byte 10: a number of more than 64 bits"},
        {"\"boolean\"", "", "byte 0: the message ends inside a value"},
        {"\"boolean\"", "02", "byte 0: a boolean that is neither 0 nor 1"},
        {"\"boolean\"", "07", "byte 0: a boolean that is neither 0 nor 1"},
        {"\"float\"", "000000", "byte 0: the message ends inside a value"},
        {"\"double\"", "00000000000000", "byte 0: the message ends inside a value"},
        {FIXED("3"), "0000", "byte 0: the message ends inside a value"},
        {"\"string\"", "02", "byte 1: a length beyond the end of the message"},
        {"\"string\"", "01", "byte 1: a length beyond the end of the message"},
        {"\"string\"", "ffffffffffffffffff01", "byte 10: a length beyond the end of the message"},
        {"\"string\"", "feffffffffffffffff01", "byte 10: a length beyond the end of the message"},
        {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "04",
         "byte 1: an enum index without symbol"},
        {"{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"]}", "01",
         "byte 1: an enum index without symbol"},
        {"[\"null\",\"int\"]", "04", "byte 1: a union index without branch"},
        {"[\"null\",\"int\"]", "01", "byte 1: a union index without branch"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "06 02 04", "byte 1: a block of too many items"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "04 02 04", "byte 3: the message ends inside a number"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "feffffffffffffffff01",
         "byte 10: a block of too many items"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "ffffffffffffffffff01",
         "byte 10: a block of too many items"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "01 04 02 00", "byte 4: the message ends inside a number"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "01 06 02 00",
         "byte 2: a block beyond the end of the message"},
        {"{\"type\":\"array\",\"items\":\"int\"}", "01 01 02 00",
         "byte 2: a block beyond the end of the message"},
        {"{\"type\":\"array\",\"items\":\"null\"}", "8080808080808080 40 00", "byte 9: too many empty items"},
        {"{\"type\":\"array\",\"items\":\"null\"}", "808008 02 00", "byte 4: too many empty items"},
        {"{\"type\":\"map\",\"values\":\"null\"}", "04 00", "byte 1: a block of too many items"},
        {"{\"type\":\"map\",\"values\":\"int\"}", "02 04 6162", "byte 4: the message ends inside a number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_shown(cases[i].type, decode(record_of(cases[i].type), NULL, "v", cases[i].bytes),
                     cases[i].expected);
        assert_shown(cases[i].type, decode(record_of(cases[i].type), NULL, "other", cases[i].bytes),
                     cases[i].expected);
    }
    assert_shown("empty items",
                 decode(record_of("{\"type\":\"array\",\"items\":\"null\"}"), NULL, "v", "808008 00"),
                 "null");
}

static void data_has_a_depth_limit(void **state)
{
    (void)state;
    static const char *const schema =
        "{\"type\":\"record\",\"name\":\"N\",\"fields\":[{\"name\":\"next\",\"type\":[\"null\",\"N\"]}]}";
    struct pql_schema *writer = schema_of(schema);
    struct pql_slice wanted = PQL_SLICE_LITERAL("other");
    struct pql_plan *plan = pql_plan_new(writer, NULL, &wanted, 1, &err);
    struct pql_value slot;
    char *bytes = pql_xcalloc(1, 4 << 20);
    assert_non_null(plan);
    memset(bytes, 2, 4 << 20);
    assert_int_equal(run(plan, (struct pql_slice){bytes, 4 << 20}, &slot, 1), -1);
    assert_string_equal(err.msg, "byte 256: nested too deep");
    bytes[PQL_PLAN_DEPTH_MAX - 1] = 0;
    assert_int_equal(run(plan, (struct pql_slice){bytes, PQL_PLAN_DEPTH_MAX}, &slot, 1), 0);
    bytes[PQL_PLAN_DEPTH_MAX - 1] = 2;
    bytes[PQL_PLAN_DEPTH_MAX] = 0;
    assert_int_equal(run(plan, (struct pql_slice){bytes, PQL_PLAN_DEPTH_MAX + 1}, &slot, 1), -1);
    free(bytes);
    pql_plan_free(plan);
    pql_schema_free(writer);
}

/* A schema of few bytes whose empty records double at each level must not take time. */
static void empty_records_take_no_time(void **state)
{
    (void)state;
    struct pql_buf text = {0};
    pql_buf_text(&text, "{\"type\":\"record\",\"name\":\"A0\",\"fields\":[");
    for (int i = 1; i < 60; i++)
        pql_buf_printf(&text, "{\"name\":\"a\",\"type\":{\"type\":\"record\",\"name\":\"A%d\",\"fields\":[",
                       i);
    for (int i = 59; i > 0; i--) pql_buf_printf(&text, "]}},{\"name\":\"b\",\"type\":\"A%d\"}", i);
    pql_buf_text(&text, "]}");
    pql_buf_u8(&text, 0);
    assert_shown("other", decode(text.ptr, NULL, "other", ""), "null");
    assert_shown("a.b.a.b", decode(text.ptr, NULL, "a.b.a.b", ""), "null");
    pql_buf_deinit(&text);
}

#define ENUM(name, symbols) "{\"type\":\"enum\",\"name\":\"" name "\",\"symbols\":[" symbols "]}"
#define REJECTED(type) "byte 0: a value of type " type ", which the reader's schema does not take"

/* Avro 1.11, "Schema Resolution". */
static void writer_and_reader_are_resolved(void **state)
{
    (void)state;
    static const struct {
        const char *writer, *reader, *bytes, *expected;
    } cases[] = {
        {"\"int\"", "\"int\"", "0e", "7"},
        {"\"int\"", "\"long\"", "0e", "7"},
        {"\"int\"", "\"float\"", "feffffff0f", "2147483648"},
        {"\"int\"", "\"double\"", "feffffff0f", "2147483647"},
        {"\"long\"", "\"float\"", "82808010", "16777216"},
        {"\"long\"", "\"double\"", "8280808080808020", "9007199254740992"},
        {"\"float\"", "\"double\"", "cdcccc3d", "0.1"},
        {"\"string\"", "\"bytes\"", "'x'", "'x'"},
        {"\"bytes\"", "\"string\"", "'x'", "'x'"},
        {"\"long\"", LOGICAL("long", "timestamp-millis"), "0e", "@7"},
        {"\"int\"", LOGICAL("long", "timestamp-millis"), "0e", "@7"},
        {LOGICAL("long", "timestamp-millis"), "\"long\"", "0e", "7"},
        {"\"long\"", "\"int\"", "0e", REJECTED("long")},
        {"\"double\"", "\"float\"", "0000000000000000", REJECTED("double")},
        {"\"float\"", "\"long\"", "00000000", REJECTED("float")},
        {"\"string\"", "\"int\"", "'x'", REJECTED("string")},
        {"\"boolean\"", "\"int\"", "01", REJECTED("boolean")},
        {"\"null\"", "\"int\"", "", REJECTED("null")},
        {"{\"type\":\"array\",\"items\":\"int\"}", "\"int\"", "00", REJECTED("array")},
        {"[\"null\",\"int\"]", "\"long\"", "02 0e", "7"},
        {"[\"null\",\"int\"]", "\"long\"", "00",
         "byte 1: a value of type null, which the reader's schema does not take"},
        {"\"int\"", "[\"null\",\"double\",\"long\"]", "0e", "7"},
        {"\"string\"", "[\"null\",\"int\"]", "'x'", REJECTED("string")},
        {"[\"null\",\"string\"]", "[\"bytes\",\"null\"]", "02 'x'", "'x'"},
        {"[\"null\",\"string\"]", "[\"bytes\",\"null\"]", "00", "null"},
        {ENUM("E", "\"A\",\"B\",\"C\""), ENUM("E", "\"C\",\"A\""), "00", "'A'"},
        {ENUM("E", "\"A\",\"B\",\"C\""), ENUM("E", "\"C\",\"A\""), "04", "'C'"},
        {ENUM("E", "\"A\",\"B\",\"C\""), ENUM("E", "\"C\",\"A\""), "02",
         "byte 1: a symbol that the reader's schema does not have"},
        {ENUM("E", "\"A\",\"B\""),
         "{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"X\",\"A\"],\"default\":\"X\"}", "02", "'X'"},
        {ENUM("E", "\"A\",\"B\""), ENUM("G", "\"A\",\"B\""), "02", REJECTED("enum")},
        {ENUM("E", "\"A\",\"B\""),
         "{\"type\":\"enum\",\"name\":\"G\",\"aliases\":[\"E\"],\"symbols\":[\"A\",\"B\"]}", "02", "'B'"},
        {ENUM("x.E", "\"A\""), ENUM("y.E", "\"A\""), "00", "'A'"},
        {FIXED("2"), FIXED("2"), "6162", "'ab'"},
        {FIXED("2"), FIXED("3"), "6162", REJECTED("fixed")},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *what = pql_arena_printf(&scratch, "case %zu: %s as %s", i, cases[i].writer, cases[i].reader);
        assert_shown(what,
                     decode(record_of(cases[i].writer), record_of(cases[i].reader), "v", cases[i].bytes),
                     cases[i].expected);
        if (!strncmp(cases[i].expected, "byte", 4)) continue;
        assert_shown(what,
                     decode(record_of(cases[i].writer), record_of(cases[i].reader), "other", cases[i].bytes),
                     "null");
    }
}

#define FIELD(name, type) "{\"name\":\"" name "\",\"type\":" type "}"
#define FIELD_OR(name, type, value) "{\"name\":\"" name "\",\"type\":" type ",\"default\":" value "}"
#define RECORD(name, fields) "{\"type\":\"record\",\"name\":\"" name "\",\"fields\":[" fields "]}"

static void fields_by_name_alias_and_default(void **state)
{
    (void)state;
    static const char *const writer =
        RECORD("R", FIELD("a", "\"int\"") "," FIELD("b", "\"string\"") "," FIELD(
                        "m", "{\"type\":\"map\",\"values\":\"int\"}"));
    static const char *const bytes = "0e 'x' 02 'k' 02 00";
    static const struct {
        const char *reader, *path, *expected;
    } cases[] = {
        {RECORD("R", FIELD("b", "\"string\"") "," FIELD("a", "\"long\"")), "a", "7"},
        {RECORD("R", FIELD("b", "\"string\"")), "a", "null"},
        {RECORD("R", "{\"name\":\"new\",\"aliases\":[\"old\",\"b\"],\"type\":\"string\"}"), "new", "'x'"},
        {RECORD("R", "{\"name\":\"new\",\"aliases\":[\"b\"],\"type\":\"string\"}"), "b", "null"},
        {RECORD("R", "{\"name\":\"b\",\"aliases\":[\"a\"],\"type\":\"string\"}"), "b", "'x'"},
        {RECORD("S", FIELD("a", "\"int\"")), "a", REJECTED("record")},
        {"{\"type\":\"record\",\"name\":\"S\",\"aliases\":[\"R\"],\"fields\":[" FIELD("a", "\"int\"") "]}",
         "a", "7"},
        {RECORD("R", FIELD("c", "\"int\"")), "c",
         "no plan: neither the writer's schema nor a default has the field 'c'"},
        {RECORD("R", FIELD("c", "\"int\"")), "a", "null"},
        {RECORD("R", FIELD("m", "{\"type\":\"map\",\"values\":\"long\"}")), "m.k", "1"},
        {RECORD("R", FIELD("m", "{\"type\":\"map\",\"values\":\"string\"}")), "m.k",
         "byte 6: a value of type int, which the reader's schema does not take"},
        {RECORD("R", FIELD_OR("c", "\"int\"", "-3")), "c", "-3"},
        {RECORD("R", FIELD_OR("c", "\"int\"", "2147483648")), "c",
         "no plan: the default is not of its type, at 'c'"},
        {RECORD("R", FIELD_OR("c", "\"int\"", "\"3\"")), "c",
         "no plan: the default is not of its type, at 'c'"},
        {RECORD("R", FIELD_OR("c", "\"double\"", "1.25")), "c", "1.25"},
        {RECORD("R", FIELD_OR("c", "\"float\"", "16777217")), "c", "16777216"},
        {RECORD("R", FIELD_OR("c", "\"boolean\"", "true")), "c", "true"},
        {RECORD("R", FIELD_OR("c", "\"string\"", "\"text\"")), "c", "'text'"},
        {RECORD("R", FIELD_OR("c", "\"bytes\"", "\"\\u00ff~\"")), "c", "'\xff~'"},
        {RECORD("R", FIELD_OR("c", "\"bytes\"", "\"\\u0100\"")), "c",
         "no plan: the default is not of its type, at 'c'"},
        {RECORD("R", FIELD_OR("c", FIXED("2"), "\"ab\"")), "c", "'ab'"},
        {RECORD("R", FIELD_OR("c", FIXED("2"), "\"abc\"")), "c",
         "no plan: the default is not of its type, at 'c'"},
        {RECORD("R", FIELD_OR("c", DECIMAL("1"), "\"\\u0064\"")), "c", "10"},
        {RECORD("R", FIELD_OR("c", LOGICAL("long", "timestamp-millis"), "5")), "c", "@5"},
        {RECORD("R", FIELD_OR("c", LOGICAL("int", "date"), "1")), "c", "@86400000"},
        {RECORD("R", FIELD_OR("c", ENUM("E", "\"A\",\"B\""), "\"B\"")), "c", "'B'"},
        {RECORD("R", FIELD_OR("c", ENUM("E", "\"A\",\"B\""), "\"C\"")), "c",
         "no plan: the default is not of its type, at 'c'"},
        {RECORD("R", FIELD_OR("c", "[\"null\",\"string\"]", "null")), "c", "null"},
        {RECORD("R", FIELD_OR("c", "[\"string\",\"null\"]", "\"s\"")), "c", "'s'"},
        {RECORD("R", FIELD_OR("c", "[\"null\",\"string\"]", "\"s\"")), "c", "'s'"},
        {RECORD("R", FIELD_OR("c", "{\"type\":\"array\",\"items\":\"int\"}", "[4,5]")), "c.1", "5"},
        {RECORD("R", FIELD_OR("c", "{\"type\":\"array\",\"items\":\"int\"}", "[4,5]")), "c.2", "null"},
        {RECORD("R", FIELD_OR("c", "{\"type\":\"map\",\"values\":\"int\"}", "{\"k\":9}")), "c.k", "9"},
        {RECORD("R", FIELD_OR("c", RECORD("S", FIELD("d", "\"int\"") "," FIELD_OR("e", "\"int\"", "2")),
                              "{\"d\":1}")),
         "c.d", "1"},
        {RECORD("R", FIELD_OR("c", RECORD("S", FIELD("d", "\"int\"") "," FIELD_OR("e", "\"int\"", "2")),
                              "{\"d\":1}")),
         "c.e", "2"},
        {RECORD("R", FIELD_OR("c", RECORD("S", FIELD("d", "\"int\"")), "{}")), "c.d",
         "no plan: the default of a record lacks the field 'd'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_shown(cases[i].reader, decode(writer, cases[i].reader, cases[i].path, bytes),
                     cases[i].expected);
}

static void records_in_unions_are_told_apart_by_name(void **state)
{
    (void)state;
    static const char *const writer =
        "[" RECORD("a.S", FIELD("v", "\"int\"")) "," RECORD("a.T", FIELD("v", "\"int\"")) "]";
    static const char *const reader =
        "[" RECORD("b.T", FIELD("v", "\"int\"") "," FIELD_OR("w", "\"int\"", "1")) "," RECORD(
            "a.T", FIELD("v", "\"int\"") "," FIELD_OR(
                       "w", "\"int\"",
                       "2")) ","
                             "{\"type\":\"record\",\"name\":\"U\",\"aliases\":[\"a.S\"],\"fields\":[" FIELD(
                                 "v", "\"int\"") "," FIELD_OR("w", "\"int\"", "3") "]}]";
    assert_shown("S is U", decode(writer, reader, "w", "00 0e"), "3");
    assert_shown("T is T", decode(writer, reader, "w", "02 0e"), "2");
    assert_shown("value", decode(writer, reader, "v", "02 0e"), "7");
}

static void many_slots_at_once(void **state)
{
    (void)state;
    static const char *const schema = RECORD(
        "E",
        FIELD("event_id", "\"string\"") "," FIELD("account_id", "\"string\"") "," FIELD(
            "user_id",
            "[\"null\",\"string\"]") "," FIELD("event",
                                               "\"string\"") "," FIELD("occurred_at",
                                                                       LOGICAL(
                                                                           "long",
                                                                           "timestamp-millis")) "," FIELD("pr"
                                                                                                          "op"
                                                                                                          "er"
                                                                                                          "ti"
                                                                                                          "e"
                                                                                                          "s",
                                                                                                          "{"
                                                                                                          "\""
                                                                                                          "ty"
                                                                                                          "pe"
                                                                                                          "\""
                                                                                                          ":"
                                                                                                          "\""
                                                                                                          "ma"
                                                                                                          "p"
                                                                                                          "\""
                                                                                                          ","
                                                                                                          "\""
                                                                                                          "va"
                                                                                                          "lu"
                                                                                                          "es"
                                                                                                          "\""
                                                                                                          ":"
                                                                                                          "\""
                                                                                                          "st"
                                                                                                          "ri"
                                                                                                          "ng"
                                                                                                          "\""
                                                                                                          "}"));
    static const struct pql_slice wanted[] = {
        {"event", 5},       {"properties.plan", 15}, {"user_id", 7}, {"occurred_at", 11},
        {"account_id", 10}, {"properties", 10},      {"type", 4}};
    struct pql_schema *writer = schema_of(schema);
    struct pql_plan *plan = pql_plan_new(writer, NULL, wanted, 7, &err);
    struct pql_value slots[7];
    pql_schema_free(writer);
    assert_int_equal(
        run(plan, bytes_of("'e1' 'acme' 02 'u1' 'login' d00f 04 'size' 'l' 'plan' 'pro' 00"), slots, 7), 0);
    static const char *const expected[] = {"'login'", "'pro'", "'u1'", "@1000", "'acme'", "null", "null"};
    for (int i = 0; i < 7; i++) assert_string_equal(shown(&slots[i]), expected[i]);
    pql_plan_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_of_every_type),
        cmocka_unit_test(paths_go_through_everything),
        cmocka_unit_test(recursive_schemas),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(data_has_a_depth_limit),
        cmocka_unit_test(empty_records_take_no_time),
        cmocka_unit_test(writer_and_reader_are_resolved),
        cmocka_unit_test(fields_by_name_alias_and_default),
        cmocka_unit_test(records_in_unions_are_told_apart_by_name),
        cmocka_unit_test(many_slots_at_once),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
