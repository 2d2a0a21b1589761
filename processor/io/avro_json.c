#include "io/avro_json.h"

#include "base/memory.h"
#include "core/wire/plan.h"
#include <avro.h>
#include <stdlib.h>

struct pql_avro_json {
    struct pql_plan *check; /* wants nothing, walks over everything */
    struct pql_arena scratch;
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
    pql_arena_deinit(&json->scratch);
    free(json);
}

int pql_avro_json_print(struct pql_avro_json *json, struct pql_slice bytes, struct pql_buf *out, struct pql_err *err)
{
    pql_arena_reset(&json->scratch);
    if (pql_plan_run(json->check, bytes.ptr, bytes.len, &json->scratch, NULL, err)) return -1;
    /* A new value each time: the library's reset of maps keeps what was in them. */
    avro_value_t value = {0};
    char *text = NULL;
    avro_reader_t reader = avro_reader_memory(bytes.ptr, (int64_t)bytes.len);
    int failed = avro_generic_value_new(json->class, &value) || avro_value_read(reader, &value) ||
                 avro_value_to_json(&value, 1, &text);
    if (failed)
        PQL_FAIL(err, PQL_ERR_RECORD, "the value has no JSON form: %s", avro_strerror());
    else
        pql_buf_text(out, text);
    free(text);
    if (value.self) avro_value_decref(&value);
    avro_reader_free(reader);
    return failed ? -1 : 0;
}
