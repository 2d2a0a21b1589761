#include "io/avro_json.h"

#include "base/memory.h"
#include "core/wire/encode.h"
#include "core/wire/plan.h"
#include <avro.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

struct pql_avro_json {
    struct pql_plan *check; /* wants nothing, walks over everything */
    avro_schema_t schema;
    avro_value_iface_t *class;
};

static struct pql_plan *compile_check(struct pql_slice text, struct pql_err *err)
{
    struct pql_schema *schema = pql_schema_parse(text, err);
    struct pql_plan *plan = schema ? pql_plan_new(schema, NULL, NULL, 0, err) : NULL;
    pql_schema_free(schema);
    return plan;
}

struct pql_avro_json *pql_avro_json_new(struct pql_slice text, struct pql_err *err)
{
    struct pql_plan *check = compile_check(text, err);
    if (!check) return NULL;
    struct pql_avro_json *json = pql_xcalloc(1, sizeof *json);
    json->check = check;
    if (avro_schema_from_json_length(text.ptr, text.len, &json->schema) == 0)
        json->class = avro_generic_class_from_schema(json->schema);
    if (json->class) return json;
    PQL_FAIL(err, PQL_ERR_RECORD, "avro-c: %s", avro_strerror());
    pql_avro_json_free(json);
    return NULL;
}

void pql_avro_json_free(struct pql_avro_json *json)
{
    if (!json) return;
    if (json->class) avro_value_iface_decref(json->class);
    if (json->schema) avro_schema_decref(json->schema);
    pql_plan_free(json->check);
    free(json);
}

/* --- text of a value ---
 * By the library's values but not by its avro_value_to_json, which cuts bytes at the first 00 and fails on
 * NaN. The depth is that which the plan allowed. */

static void put_value(struct pql_buf *out, const avro_value_t *value);

/* The shortest text that reads back as the same number. */
static void put_real(struct pql_buf *out, double value, bool is_float)
{
    char text[40];
    if (isnan(value) || isinf(value)) {
        pql_buf_text(out, isnan(value) ? "\"NaN\"" : value > 0 ? "\"Infinity\"" : "\"-Infinity\"");
        return;
    }
    for (int digits = is_float ? 6 : 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        double back = strtod(text, NULL);
        if (is_float ? (float)back == (float)value : back == value) break;
    }
    pql_buf_text(out, text);
}

/* Bytes as characters U+0000 to U+00FF, as the specification has it. */
static void put_bytes(struct pql_buf *out, const void *bytes, size_t len)
{
    struct pql_buf text = {0};
    for (size_t i = 0; i < len; i++) {
        unsigned char byte = ((const unsigned char *)bytes)[i];
        if (byte >= 0x80) pql_buf_u8(&text, (uint8_t)(0xC0 | byte >> 6));
        pql_buf_u8(&text, byte >= 0x80 ? (uint8_t)(0x80 | (byte & 0x3f)) : byte);
    }
    pql_encode_json_text(out, (struct pql_slice){text.ptr, text.len});
    pql_buf_deinit(&text);
}

static void put_kids(struct pql_buf *out, const avro_value_t *value, char open, char close)
{
    size_t count = 0;
    avro_value_get_size(value, &count);
    pql_buf_u8(out, (uint8_t)open);
    for (size_t i = 0; i < count; i++) {
        avro_value_t kid;
        const char *name = NULL;
        avro_value_get_by_index(value, i, &kid, &name);
        if (i) pql_buf_text(out, ", ");
        if (open == '{') {
            pql_encode_json_text(out, pql_slice_of(name));
            pql_buf_text(out, ": ");
        }
        put_value(out, &kid);
    }
    pql_buf_u8(out, (uint8_t)close);
}

static void put_branch(struct pql_buf *out, const avro_value_t *value)
{
    avro_value_t branch;
    avro_value_get_current_branch(value, &branch);
    if (avro_value_get_type(&branch) == AVRO_NULL) {
        pql_buf_text(out, "null");
        return;
    }
    pql_buf_u8(out, '{');
    pql_encode_json_text(out, pql_slice_of(avro_schema_type_name(avro_value_get_schema(&branch))));
    pql_buf_text(out, ": ");
    put_value(out, &branch);
    pql_buf_u8(out, '}');
}

static void put_text(struct pql_buf *out, const avro_value_t *value)
{
    const char *text = "";
    size_t size = 1; /* with the final 00 */
    avro_value_get_string(value, &text, &size);
    pql_encode_json_text(out, (struct pql_slice){text, size - 1});
}

static void put_enum(struct pql_buf *out, const avro_value_t *value)
{
    int symbol = 0;
    avro_value_get_enum(value, &symbol);
    pql_encode_json_text(out, pql_slice_of(avro_schema_enum_get(avro_value_get_schema(value), symbol)));
}

static void put_value(struct pql_buf *out, const avro_value_t *value)
{
    int flag = 0;
    int32_t number = 0;
    int64_t wide = 0;
    float single = 0;
    double real = 0;
    const void *bytes = NULL;
    size_t size = 0;
    switch (avro_value_get_type(value)) {
    case AVRO_BOOLEAN:
        avro_value_get_boolean(value, &flag), pql_buf_text(out, flag ? "true" : "false");
        break;
    case AVRO_INT32: avro_value_get_int(value, &number), pql_buf_printf(out, "%d", (int)number); break;
    case AVRO_INT64: avro_value_get_long(value, &wide), pql_buf_printf(out, "%lld", (long long)wide); break;
    case AVRO_FLOAT: avro_value_get_float(value, &single), put_real(out, (double)single, true); break;
    case AVRO_DOUBLE: avro_value_get_double(value, &real), put_real(out, real, false); break;
    case AVRO_BYTES: avro_value_get_bytes(value, &bytes, &size), put_bytes(out, bytes, size); break;
    case AVRO_FIXED: avro_value_get_fixed(value, &bytes, &size), put_bytes(out, bytes, size); break;
    case AVRO_STRING: put_text(out, value); break;
    case AVRO_ENUM: put_enum(out, value); break;
    case AVRO_ARRAY: put_kids(out, value, '[', ']'); break;
    case AVRO_MAP:
    case AVRO_RECORD: put_kids(out, value, '{', '}'); break;
    case AVRO_UNION: put_branch(out, value); break;
    case AVRO_NULL:
    case AVRO_LINK: pql_buf_text(out, "null"); break; /* a link is no type of a value */
    }
}

int pql_avro_json_print(struct pql_avro_json *json, struct pql_slice bytes, struct pql_buf *out,
                        struct pql_err *err)
{
    if (pql_plan_check(json->check, bytes.ptr, bytes.len, err)) return -1;
    /* A new value each time: the library's reset of maps keeps what was in them. */
    avro_value_t value = {0};
    avro_reader_t reader = avro_reader_memory(bytes.ptr, (int64_t)bytes.len);
    int failed = avro_generic_value_new(json->class, &value) || avro_value_read(reader, &value);
    if (failed)
        PQL_FAIL(err, PQL_ERR_RECORD, "avro-c: %s", avro_strerror());
    else
        put_value(out, &value);
    if (value.self) avro_value_decref(&value);
    avro_reader_free(reader);
    return failed ? -1 : 0;
}
