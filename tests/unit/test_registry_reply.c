#include "io/registry_reply.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static struct pql_err err;
static struct pql_registry_schema schema;

static int parse_schema(const char *body)
{
    return pql_registry_parse_schema(pql_slice_of(body), &schema, &err);
}

static void a_schema_with_members_of_newer_versions(void **state)
{
    (void)state;
    assert_int_equal(
        parse_schema(
            "{\"schema\":\"\\\"string\\\"\",\"schemaType\":\"AVRO\",\"references\":[],\"guid\":\"x\"}"),
        0);
    assert_string_equal(schema.text, "\"string\"");
    assert_int_equal(schema.references_count, 0);
    pql_registry_schema_deinit(&schema);
    assert_int_equal(parse_schema("{\"schema\":\"\\\"int\\\"\",\"references\":null}"), 0);
    pql_registry_schema_deinit(&schema);
}

static void references_name_subject_and_version(void **state)
{
    (void)state;
    assert_int_equal(
        parse_schema(
            "{\"schema\":\"[]\",\"references\":[{\"name\":\"a.B\",\"subject\":\"b/c\",\"version\":3}]}"),
        0);
    assert_int_equal(schema.references_count, 1);
    assert_string_equal(schema.references[0].subject, "b/c");
    assert_int_equal(schema.references[0].version, 3);
    pql_registry_schema_deinit(&schema);
}

static void assert_refused(const char *body, enum pql_err_class cls, const char *message)
{
    assert_int_equal(parse_schema(body), -1);
    assert_int_equal(err.cls, cls);
    assert_string_equal(err.msg, message);
}

static void damaged_answers_may_be_whole_the_next_time(void **state)
{
    (void)state;
    assert_refused("{\"schema\":\"\\\"str", PQL_ERR_RETRY,
                   "the answer is not JSON: premature end of input near '\"\\\"str' at byte 16 of 16");
    assert_refused("", PQL_ERR_RETRY,
                   "the answer is not JSON: '[' or '{' expected near end of file at byte 0 of 0");
    assert_refused("[]", PQL_ERR_RETRY, "the answer is not a JSON object");
    assert_refused("{\"id\":1}", PQL_ERR_RETRY, "the answer has no text in 'schema'");
    assert_refused("{\"schema\":7}", PQL_ERR_RETRY, "the answer has no text in 'schema'");
    assert_refused("{\"schema\":\"x\",\"references\":[{\"subject\":\"s\"}]}", PQL_ERR_RETRY,
                   "reference 0 of the schema lacks subject or version");
}

static void other_kinds_of_schema_are_refused_for_good(void **state)
{
    (void)state;
    assert_refused("{\"schema\":\"message M {}\",\"schemaType\":\"PROTOBUF\"}", PQL_ERR_RECORD,
                   "the schema is of type PROTOBUF, only AVRO can be read");
}

static int64_t error_code(const char *body, const char *message)
{
    char text[200];
    int64_t code = pql_registry_parse_error(pql_slice_of(body), text);
    assert_string_equal(text, message);
    return code;
}

static void errors_have_a_code_or_come_from_something_else(void **state)
{
    (void)state;
    assert_int_equal(
        error_code("{\"error_code\":40403,\"message\":\"Schema\\nnot found\"}", "Schema not found"), 40403);
    assert_int_equal(error_code("<html>404</html>", ""), 0);
    assert_int_equal(error_code("{\"error_code\":\"40403\"}", ""), 0);
}

static void ids_are_four_bytes(void **state)
{
    (void)state;
    uint32_t id = 0;
    assert_int_equal(pql_registry_parse_id(PQL_SLICE_LITERAL("{\"id\":4294967295,\"version\":1}"), &id, &err),
                     0);
    assert_true(id == UINT32_MAX);
    assert_int_equal(pql_registry_parse_id(PQL_SLICE_LITERAL("{\"id\":4294967296}"), &id, &err), -1);
    assert_int_equal(pql_registry_parse_id(PQL_SLICE_LITERAL("{\"id\":-1}"), &id, &err), -1);
    assert_int_equal(pql_registry_parse_id(PQL_SLICE_LITERAL("{}"), &id, &err), -1);
}

static void compatibility_comes_with_words(void **state)
{
    (void)state;
    bool compatible = true;
    char why[200];
    struct pql_slice body =
        PQL_SLICE_LITERAL("{\"is_compatible\":false,\"messages\":[\"field a has no default\"]}");
    assert_int_equal(pql_registry_parse_compatible(body, &compatible, why, &err), 0);
    assert_false(compatible);
    assert_string_equal(why, "field a has no default");
    assert_int_equal(
        pql_registry_parse_compatible(PQL_SLICE_LITERAL("{\"is_compatible\":true}"), &compatible, why, &err),
        0);
    assert_true(compatible);
    assert_string_equal(why, "");
    assert_int_equal(pql_registry_parse_compatible(PQL_SLICE_LITERAL("{}"), &compatible, why, &err), -1);
}

static void assert_inlined(const char *text, const char *const *others, size_t count, const char *expected)
{
    char *out = NULL;
    assert_int_equal(pql_registry_inline(text, others, count, &out, &err), 0);
    assert_string_equal(out, expected);
    free(out);
}

static void a_referenced_type_is_defined_where_it_is_first_used(void **state)
{
    (void)state;
    const char *others[] = {
        "{\"type\":\"enum\",\"name\":\"Plan\",\"namespace\":\"shared\",\"symbols\":[\"FREE\"]}"};
    assert_inlined(
        "{\"type\":\"record\",\"name\":\"E\",\"namespace\":\"app\",\"fields\":["
        "{\"name\":\"a\",\"type\":[\"null\",\"shared.Plan\"],\"default\":null},"
        "{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"shared.Plan\"}}]}",
        others, 1,
        "{\"type\":\"record\",\"name\":\"E\",\"namespace\":\"app\",\"fields\":["
        "{\"name\":\"a\",\"type\":[\"null\",{\"type\":\"enum\",\"name\":\"Plan\",\"namespace\":\"shared\","
        "\"symbols\":[\"FREE\"]}],\"default\":null},"
        "{\"name\":\"b\",\"type\":{\"type\":\"array\",\"items\":\"shared.Plan\"}}]}");
}

static void a_type_without_namespace_keeps_none_in_its_new_place(void **state)
{
    (void)state;
    const char *others[] = {"{\"type\":\"fixed\",\"name\":\"Id\",\"size\":4}",
                            "{\"type\":\"record\",\"name\":\"User\",\"namespace\":\"app\",\"fields\":["
                            "{\"name\":\"friend\",\"type\":[\"null\",\"User\"]}]}"};
    assert_inlined("{\"type\":\"map\",\"values\":[\"app.User\",\"Id\"]}", others, 2,
                   "{\"type\":\"map\",\"values\":[{\"type\":\"record\",\"name\":\"User\",\"namespace\":"
                   "\"app\",\"fields\":["
                   "{\"name\":\"friend\",\"type\":[\"null\",\"app.User\"]}]},"
                   "{\"type\":\"fixed\",\"name\":\"Id\",\"size\":4,\"namespace\":\"\"}]}");
}

static void references_of_references_are_followed(void **state)
{
    (void)state;
    const char *others[] = {
        "{\"type\":\"record\",\"name\":\"a.Outer\",\"fields\":[{\"name\":\"i\",\"type\":\"b.Inner\"}]}",
        "{\"type\":\"record\",\"name\":\"b.Inner\",\"fields\":[{\"name\":\"n\",\"type\":\"int\"}]}"};
    assert_inlined(
        "[\"null\",\"a.Outer\"]", others, 2,
        "[\"null\",{\"type\":\"record\",\"name\":\"a.Outer\",\"fields\":[{\"name\":\"i\",\"type\":"
        "{\"type\":\"record\",\"name\":\"b.Inner\",\"fields\":[{\"name\":\"n\",\"type\":\"int\"}]}}]}]");
}

static void unknown_names_are_left_to_the_schema_parser(void **state)
{
    (void)state;
    assert_inlined("[\"null\",\"nobody.Knows\"]", NULL, 0, "[\"null\",\"nobody.Knows\"]");
}

static void deep_and_broken_schemas_are_refused(void **state)
{
    (void)state;
    char deep[2048] = "", *out = NULL;
    for (size_t i = 0; i < 100; i++) deep[i] = '[', deep[100 + i] = ']';
    assert_int_equal(pql_registry_inline(deep, NULL, 0, &out, &err), -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_string_equal(err.msg, "the schema with its references is nested deeper than 64");
    assert_int_equal(pql_registry_inline("{\"type\":\"array\",\"items\":7}", NULL, 0, &out, &err), -1);
    assert_string_equal(err.msg, "the schema holds something that is no schema");
    const char *other = "{";
    assert_int_equal(pql_registry_inline("\"int\"", &other, 1, &out, &err), -1);
    assert_null(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schema_with_members_of_newer_versions),
        cmocka_unit_test(references_name_subject_and_version),
        cmocka_unit_test(damaged_answers_may_be_whole_the_next_time),
        cmocka_unit_test(other_kinds_of_schema_are_refused_for_good),
        cmocka_unit_test(errors_have_a_code_or_come_from_something_else),
        cmocka_unit_test(ids_are_four_bytes),
        cmocka_unit_test(compatibility_comes_with_words),
        cmocka_unit_test(a_referenced_type_is_defined_where_it_is_first_used),
        cmocka_unit_test(a_type_without_namespace_keeps_none_in_its_new_place),
        cmocka_unit_test(references_of_references_are_followed),
        cmocka_unit_test(unknown_names_are_left_to_the_schema_parser),
        cmocka_unit_test(deep_and_broken_schemas_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
