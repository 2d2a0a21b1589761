#include "core/wire/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pql_err err;

static struct pql_schema *parse(const char *text)
{
    struct pql_schema *schema = pql_schema_parse(pql_slice_of(text), &err);
    if (!schema) fail_msg("%s: %s", text, err.msg);
    return schema;
}

static void canonical_form_and_fingerprint(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"\"int\"", "\"int\""},
        {" { \"type\" : \"int\" } ", "\"int\""},
        {"{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}", "\"long\""},
        {"{\"type\":{\"type\":\"string\",\"avro.java.string\":\"String\"}}", "\"string\""},
        {"[\"null\",{\"type\":\"map\",\"values\":{\"type\":\"array\",\"doc\":\"d\",\"items\":\"bytes\"}}]",
         "[\"null\",{\"type\":\"map\",\"values\":{\"type\":\"array\",\"items\":\"bytes\"}}]"},
        {"{\"type\":\"fixed\",\"namespace\":\"x.y\",\"size\":16,\"name\":\"id\"}",
         "{\"name\":\"x.y.id\",\"type\":\"fixed\",\"size\":16}"},
        {"{\"type\":\"enum\",\"doc\":\"\",\"symbols\":[\"A\",\"B\"],\"name\":\"a.b.E\",\"namespace\":"
         "\"ignored\",\"default\":\"A\"}",
         "{\"name\":\"a.b.E\",\"type\":\"enum\",\"symbols\":[\"A\",\"B\"]}"},
        {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\",\"doc\":\"d\",\"aliases\":[\"Q\"],"
         "\"fields\":["
         "{\"name\":\"a\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"\\u0041\"]},\"default\":"
         "\"A\",\"order\":\"ignore\"},"
         "{\"type\":[\"null\",\"R\"],\"default\":null,\"name\":\"b\"},{\"name\":\"c\",\"type\":\"n.E\"},"
         "{\"name\":\"d\",\"type\":{\"type\":\"fixed\",\"name\":\"m.F\",\"size\":2}},{\"name\":\"e\","
         "\"type\":\"m.F\"}]}",
         "{\"name\":\"n.R\",\"type\":\"record\",\"fields\":[{\"name\":\"a\",\"type\":{\"name\":\"n.E\","
         "\"type\":\"enum\","
         "\"symbols\":[\"A\"]}},{\"name\":\"b\",\"type\":[\"null\",\"n.R\"]},{\"name\":\"c\",\"type\":\"n."
         "E\"},"
         "{\"name\":\"d\",\"type\":{\"name\":\"m.F\",\"type\":\"fixed\",\"size\":2}},{\"name\":\"e\","
         "\"type\":\"m.F\"}]}"},
        {"{\"type\":\"record\",\"name\":\"R\",\"namespace\":\"n\",\"fields\":[{\"name\":\"a\",\"type\":"
         "{\"type\":\"record\",\"name\":\"S\",\"namespace\":\"\",\"fields\":[]}}]}",
         "{\"name\":\"n.R\",\"type\":\"record\",\"fields\":[{\"name\":\"a\",\"type\":{\"name\":\"S\","
         "\"type\":\"record\",\"fields\":[]}}]}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_schema *schema = parse(cases[i].text);
        struct pql_buf out = {0};
        pql_schema_canonical(schema, &out);
        assert_true(pql_schema_fingerprint(schema) == pql_crc64_avro(out.ptr, out.len));
        pql_buf_u8(&out, 0);
        assert_string_equal(out.ptr, cases[i].canonical);
        pql_buf_deinit(&out);
        pql_schema_free(schema);
    }
}

/* The values of the specification's own test file. */
static void fingerprints_of_the_specification(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t fingerprint;
    } cases[] = {
        {"\"null\"", INT64_C(7195948357588979594)},   {"\"boolean\"", INT64_C(-6970731678124411036)},
        {"\"int\"", INT64_C(8247732601305521295)},    {"\"long\"", INT64_C(-3434872931120570953)},
        {"\"float\"", INT64_C(5583340709985441680)},  {"\"double\"", INT64_C(-8181574048448539266)},
        {"\"bytes\"", INT64_C(5746618253357095269)},  {"\"string\"", INT64_C(-8142146995180207161)},
        {"[\"int\"]", INT64_C(-5232228896498058493)}, {"[\"int\",\"boolean\"]", INT64_C(5392556393470105090)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_schema *schema = parse(cases[i].text);
        if ((int64_t)pql_schema_fingerprint(schema) != cases[i].fingerprint)
            fail_msg("%s: %lld", cases[i].text, (long long)pql_schema_fingerprint(schema));
        pql_schema_free(schema);
    }
}

static void the_model_keeps_what_decoders_need(void **state)
{
    (void)state;
    struct pql_schema *schema =
        parse("{\"type\":\"record\",\"name\":\"n.R\",\"aliases\":[\"Old\",\"m.Older\"],\"fields\":["
              "{\"name\":\"t\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-micros\"},\"aliases\":"
              "[\"time\"],\"default\":0},"
              "{\"name\":\"d\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":9,"
              "\"scale\":2}},"
              "{\"name\":\"e\",\"type\":{\"type\":\"enum\",\"name\":\"E\",\"symbols\":[\"A\",\"B\"],"
              "\"default\":\"B\"}},"
              "{\"name\":\"next\",\"type\":[\"null\",\"R\"]},"
              "{\"name\":\"bad1\",\"type\":{\"type\":\"int\",\"logicalType\":\"timestamp-millis\"}},"
              "{\"name\":\"bad2\",\"type\":{\"type\":\"bytes\",\"logicalType\":\"decimal\",\"precision\":2,"
              "\"scale\":3}},"
              "{\"name\":\"bad3\",\"type\":{\"type\":\"fixed\",\"name\":\"F\",\"size\":8,\"logicalType\":"
              "\"uuid\"}},"
              "{\"name\":\"bad4\",\"type\":{\"type\":\"string\",\"logicalType\":\"of tomorrow\"}}]}");
    const struct pql_avro *root = pql_schema_root(schema);
    assert_int_equal(root->type, PQL_AVRO_RECORD);
    assert_true(pql_slice_is(root->name, "n.R"));
    assert_int_equal(root->aliases_count, 2);
    assert_true(pql_slice_is(root->aliases[0], "n.Old"));
    assert_true(pql_slice_is(root->aliases[1], "m.Older"));
    assert_int_equal(root->fields_count, 8);
    assert_int_equal(root->fields[0].type->logical, PQL_LOGICAL_TIMESTAMP_MICROS);
    assert_true(pql_slice_is(root->fields[0].aliases[0], "time"));
    assert_non_null(root->fields[0].default_value);
    assert_null(root->fields[1].default_value);
    assert_int_equal(root->fields[1].type->logical, PQL_LOGICAL_DECIMAL);
    assert_int_equal(root->fields[1].type->scale, 2);
    assert_int_equal(root->fields[2].type->default_symbol, 1);
    assert_ptr_equal(root->fields[3].type->branches[1], root);
    for (int i = 4; i < 8; i++) assert_int_equal(root->fields[i].type->logical, PQL_LOGICAL_NONE);
    assert_int_equal(root->min_size, 1 + 1 + 1 + 1 + 1 + 1 + 8 + 1);
    pql_schema_free(schema);
}

static void faults_are_named_with_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "line 1, column 0"},
        {"\"int\" 1", "line 1, column 7"},
        {"7", "is no type"},
        {"{}", "type: is missing"},
        {"\"integer\"", "is of an unknown type 'integer'"},
        {"\"record\"", "is of an unknown type 'record'"},
        {"{\"type\":\"union\"}", "is of an unknown type 'union'"},
        {"{\"type\":\"array\"}", "items: is missing"},
        {"{\"type\":\"map\",\"values\":3}", "values: is no type"},
        {"[]", "is an empty union"},
        {"[\"int\",\"int\"]", "[1]: is a branch that the union has already"},
        {"[\"int\",[\"null\"]]", "[1]: is a union inside a union"},
        {"[{\"type\":\"array\",\"items\":\"int\"},{\"type\":\"array\",\"items\":\"long\"}]",
         "[1]: is a branch that the union has already"},
        {"{\"type\":\"record\",\"fields\":[]}", "has no name"},
        {"{\"type\":\"record\",\"name\":\"a-b\",\"fields\":[]}", "cannot have the name 'a-b'"},
        {"{\"type\":\"record\",\"name\":\"1a\",\"fields\":[]}", "cannot have the name '1a'"},
        {"{\"type\":\"record\",\"name\":\"a..b\",\"fields\":[]}", "cannot have the name 'a..b'"},
        {"{\"type\":\"record\",\"name\":\"string\",\"fields\":[]}", "cannot have the name 'string'"},
        {"{\"type\":\"record\",\"name\":\"a\",\"namespace\":\"b c\",\"fields\":[]}",
         "cannot have the namespace 'b c'"},
        {"{\"type\":\"record\",\"name\":\"a\"}", "needs a list of fields"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[1]}", "fields[0]: is no object"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"type\":\"int\"}]}", "fields[0]: has no name"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\"}]}", "fields[0].type: is missing"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\",\"type\":\"int\"},{\"name\":\"x\","
         "\"type\":\"int\"}]}",
         "fields[1]: is a second field 'x'"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"array\","
         "\"items\":[\"null\",\"b\"]}}]}",
         "fields[0].type.items[1]: is of an unknown type 'b'"},
        {"{\"type\":\"record\",\"name\":\"a\",\"fields\":[{\"name\":\"x\",\"type\":{\"type\":\"fixed\","
         "\"name\":\"a\",\"size\":1}}]}",
         "fields[0].type: defines again 'a'"},
        {"{\"type\":\"enum\",\"name\":\"e\"}", "needs a list of symbols"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\",\"A\"]}", "symbols: holds twice 'A'"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A B\"]}", "symbols: holds no name: 'A B'"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":\"A\"}", "symbols: is no list"},
        {"{\"type\":\"enum\",\"name\":\"e\",\"symbols\":[\"A\"],\"default\":\"B\"}",
         "has a default that is no symbol: 'B'"},
        {"{\"type\":\"fixed\",\"name\":\"f\"}", "needs a size from 0 to 1048576"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":-1}", "needs a size from 0 to 1048576"},
        {"{\"type\":\"fixed\",\"name\":\"f\",\"size\":1.5}", "needs a size from 0 to 1048576"},
        {"{\"type\":\"int\",\"type\":\"int\"}", "line 1, column 20"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_schema *schema = pql_schema_parse(pql_slice_of(cases[i].text), &err);
        if (schema) fail_msg("%s is accepted", cases[i].text);
        assert_int_equal(err.cls, PQL_ERR_RECORD);
        /* behind the place of a text that is no JSON stand jansson's own words */
        bool is_jansson = strncmp(cases[i].message, "line", 4) == 0;
        if (is_jansson ? strncmp(err.msg, cases[i].message, strlen(cases[i].message))
                       : strcmp(err.msg, cases[i].message))
            fail_msg("%s: '%s', expected '%s'", cases[i].text, err.msg, cases[i].message);
    }
}

static void sizes_have_limits(void **state)
{
    (void)state;
    for (int depth = 63; depth <= 64; depth++) {
        struct pql_buf text = {0};
        for (int i = 0; i < depth; i++) pql_buf_text(&text, "{\"type\":\"array\",\"items\":");
        pql_buf_text(&text, "\"int\"");
        for (int i = 0; i < depth; i++) pql_buf_u8(&text, '}');
        struct pql_schema *schema = pql_schema_parse((struct pql_slice){text.ptr, text.len}, &err);
        if (depth == 63)
            assert_non_null(schema);
        else
            assert_null(schema);
        pql_schema_free(schema);
        pql_buf_deinit(&text);
    }
    assert_non_null(strstr(err.msg, "items: is nested too deep"));
    struct pql_buf text = {0};
    memset(pql_buf_reserve(&text, PQL_SCHEMA_TEXT_MAX + 1), ' ', PQL_SCHEMA_TEXT_MAX + 1);
    assert_null(pql_schema_parse((struct pql_slice){text.ptr, PQL_SCHEMA_TEXT_MAX + 1}, &err));
    assert_string_equal(err.msg, "the schema is longer than 1 MiB");
    pql_buf_deinit(&text);
}

static void a_types_fewest_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t size;
    } cases[] = {
        {"\"null\"", 0},
        {"\"double\"", 8},
        {"[\"null\",\"double\"]", 1},
        {"[\"float\",\"double\"]", 5},
        {"{\"type\":\"array\",\"items\":\"double\"}", 1},
        {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"a\",\"type\":\"null\"}]}", 0},
        {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"a\",\"type\":\"A\"}]}", 0},
        {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"a\",\"type\":[\"A\",\"null\"]},{"
         "\"name\":\"b\",\"type\":\"int\"}]}",
         2},
        {"{\"type\":\"record\",\"name\":\"A\",\"fields\":[{\"name\":\"a\",\"type\":[\"A\",\"double\"]},{"
         "\"name\":\"b\",\"type\":\"int\"}]}",
         10},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_schema *schema = parse(cases[i].text);
        if (pql_schema_root(schema)->min_size != cases[i].size)
            fail_msg("%s: %u", cases[i].text, pql_schema_root(schema)->min_size);
        pql_schema_free(schema);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_form_and_fingerprint),
        cmocka_unit_test(fingerprints_of_the_specification),
        cmocka_unit_test(the_model_keeps_what_decoders_need),
        cmocka_unit_test(faults_are_named_with_their_place),
        cmocka_unit_test(sizes_have_limits),
        cmocka_unit_test(a_types_fewest_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
