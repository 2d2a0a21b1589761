/* The schemas of output records, from the same walk as the records: Avro, JSON Schema, and what Kafka
 * Connect's JsonConverter wants beside each payload. */
#include "core/wire/encode_walk.h"

/* Nothing optional is absent from the sample that is walked. */
static void never_absent(struct pql_sink *s, const struct pql_label *label)
{
    (void)s, (void)label;
}

/* Field after field, each on a line of its own. */
static void new_line(struct pql_sink *s)
{
    pql_buf_text(s->out, s->has_before ? ",\n" : "\n");
    for (int i = 0; i < s->depth; i++) pql_buf_text(s->out, "  ");
    s->has_before = true;
}

/* --- Avro --- */

static const char *const avro_types[] = {
    [PQL_CELL_TEXT] = "\"string\"",
    [PQL_CELL_INT] = "\"int\"",
    [PQL_CELL_LONG] = "\"long\"",
    [PQL_CELL_NUMBER] = "\"double\"",
    [PQL_CELL_TIME] = "{\"type\": \"long\", \"logicalType\": \"timestamp-millis\"}",
    [PQL_CELL_BOOL] = "\"boolean\"",
};

/* What begins a field; an item of an array or map has no name and stands where it is. */
static void avro_begin(struct pql_sink *s, const struct pql_label *label)
{
    if (!label->name.len) return;
    new_line(s);
    pql_buf_printf(s->out, "{\"name\": \"%.*s\", \"doc\": \"%s\", \"type\": ", PQL_SLICE_ARG(label->name),
                   label->doc);
}

static void avro_end(struct pql_sink *s, const struct pql_label *label, bool is_optional)
{
    if (label->name.len) pql_buf_text(s->out, is_optional ? ", \"default\": null}" : "}");
}

static void avro_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    avro_begin(s, label);
    pql_buf_printf(s->out, cell->is_optional ? "[\"null\", %s]" : "%s", avro_types[cell->type]);
    avro_end(s, label, cell->is_optional);
}

static void avro_open(struct pql_sink *s, const struct pql_nested *nested)
{
    avro_begin(s, &nested->label);
    if (nested->is_optional) pql_buf_text(s->out, "[\"null\", ");
    if (nested->nest == PQL_NEST_ARRAY) pql_buf_text(s->out, "{\"type\": \"array\", \"items\": ");
    if (nested->nest == PQL_NEST_MAP) pql_buf_text(s->out, "{\"type\": \"map\", \"values\": ");
    if (nested->nest != PQL_NEST_RECORD) return;
    pql_buf_printf(s->out, "{\"type\": \"record\", \"name\": \"%s\", ", nested->type_name);
    if (!s->depth)
        pql_buf_printf(s->out, "\"namespace\": \"pqlstream\", \"doc\": \"%s\",\n ", nested->label.doc);
    pql_buf_text(s->out, "\"fields\": [");
    s->has_before = false;
    s->depth++;
}

static void avro_close(struct pql_sink *s, const struct pql_nested *nested)
{
    if (nested->nest == PQL_NEST_RECORD) {
        pql_buf_text(s->out, "]");
        s->has_before = true;
        s->depth--;
    }
    pql_buf_text(s->out, nested->is_optional ? "}]" : "}");
    avro_end(s, &nested->label, nested->is_optional);
}

void pql_encode_avro_schema(struct pql_buf *out)
{
    static const struct pql_sink_ops ops = {avro_cell, avro_open, avro_close, never_absent};
    struct pql_sink sink = {.ops = &ops, .out = out};
    pql_encode_walk_sample(&sink);
    pql_buf_u8(out, '\n');
}

/* --- JSON Schema --- */

static const char *const json_types[] = {
    [PQL_CELL_TEXT] = "string",   [PQL_CELL_INT] = "integer", [PQL_CELL_LONG] = "integer",
    [PQL_CELL_NUMBER] = "number", [PQL_CELL_TIME] = "string", [PQL_CELL_BOOL] = "boolean",
};

static void json_type(struct pql_sink *s, const char *type, bool is_optional)
{
    pql_buf_printf(s->out, is_optional ? "\"type\": [\"%s\", \"null\"]" : "\"type\": \"%s\"", type);
}

/* Every field is present, so that the names met are those required. */
static void json_begin(struct pql_sink *s, const struct pql_label *label)
{
    if (!label->name.len) {
        pql_buf_u8(s->out, '{');
        return;
    }
    struct pql_buf *names = &s->names[s->depth];
    pql_buf_printf(names, "%s\"%.*s\"", names->len ? ", " : "", PQL_SLICE_ARG(label->name));
    new_line(s);
    pql_buf_printf(s->out, "\"%.*s\": {\"description\": \"%s\", ", PQL_SLICE_ARG(label->name), label->doc);
}

static void json_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    json_begin(s, label);
    json_type(s, json_types[cell->type], cell->is_optional);
    pql_buf_text(s->out, cell->type == PQL_CELL_TIME ? ", \"format\": \"date-time\"}" : "}");
}

static void json_open(struct pql_sink *s, const struct pql_nested *nested)
{
    json_begin(s, &nested->label);
    if (!s->depth)
        pql_buf_printf(s->out,
                       "\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"title\": \"%s\",\n "
                       "\"description\": \"%s\",\n ",
                       nested->type_name, nested->label.doc);
    json_type(s, nested->nest == PQL_NEST_ARRAY ? "array" : "object", nested->is_optional);
    if (nested->nest == PQL_NEST_ARRAY) pql_buf_text(s->out, ", \"items\": ");
    if (nested->nest == PQL_NEST_MAP) pql_buf_text(s->out, ", \"additionalProperties\": ");
    if (nested->nest != PQL_NEST_RECORD) return;
    pql_buf_text(s->out, ", \"properties\": {");
    s->has_before = false;
    s->depth++;
}

static void json_close(struct pql_sink *s, const struct pql_nested *nested)
{
    if (nested->nest == PQL_NEST_RECORD) {
        struct pql_buf *names = &s->names[s->depth--];
        pql_buf_text(s->out, "},\n");
        for (int i = 0; i < s->depth; i++) pql_buf_text(s->out, "  ");
        pql_buf_printf(s->out, " \"required\": [%.*s]", (int)names->len, names->ptr);
        pql_buf_deinit(names);
        s->has_before = true;
    }
    pql_buf_u8(s->out, '}');
}

void pql_encode_json_schema(struct pql_buf *out)
{
    static const struct pql_sink_ops ops = {json_cell, json_open, json_close, never_absent};
    struct pql_sink sink = {.ops = &ops, .out = out};
    pql_encode_walk_sample(&sink);
    pql_buf_u8(out, '\n');
}

/* --- Kafka Connect (org.apache.kafka.connect.json.JsonSchema) --- */

static const char *const connect_types[] = {
    [PQL_CELL_TEXT] = "\"string\"",
    [PQL_CELL_INT] = "\"int32\"",
    [PQL_CELL_LONG] = "\"int64\"",
    [PQL_CELL_NUMBER] = "\"double\"",
    [PQL_CELL_TIME] = "\"int64\",\"name\":\"org.apache.kafka.connect.data.Timestamp\",\"version\":1",
    [PQL_CELL_BOOL] = "\"boolean\"",
};

static void connect_begin(struct pql_sink *s, const char *type)
{
    pql_buf_printf(s->out, "%s{\"type\":%s", s->has_before ? "," : "", type);
    s->has_before = true;
}

static void connect_field(struct pql_sink *s, const struct pql_label *label, bool is_optional)
{
    pql_buf_printf(s->out, ",\"optional\":%s", is_optional ? "true" : "false");
    if (label->name.len) pql_buf_printf(s->out, ",\"field\":\"%.*s\"", PQL_SLICE_ARG(label->name));
}

static void connect_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    bool as_text = cell->type == PQL_CELL_TIME && !s->epoch_ms;
    connect_begin(s, connect_types[as_text ? PQL_CELL_TEXT : cell->type]);
    connect_field(s, label, cell->is_optional);
    pql_buf_u8(s->out, '}');
}

static void connect_open(struct pql_sink *s, const struct pql_nested *nested)
{
    static const char *const types[] = {
        [PQL_NEST_RECORD] = "\"struct\"",
        [PQL_NEST_ARRAY] = "\"array\"",
        [PQL_NEST_MAP] = "\"map\",\"keys\":{\"type\":\"string\",\"optional\":false}",
    };
    static const char *const inner[] = {[PQL_NEST_RECORD] = ",\"fields\":[",
                                        [PQL_NEST_ARRAY] = ",\"items\":",
                                        [PQL_NEST_MAP] = ",\"values\":"};
    connect_begin(s, types[nested->nest]);
    if (nested->type_name) pql_buf_printf(s->out, ",\"name\":\"pqlstream.%s\"", nested->type_name);
    connect_field(s, &nested->label, nested->is_optional);
    pql_buf_text(s->out, inner[nested->nest]);
    s->has_before = false;
}

static void connect_close(struct pql_sink *s, const struct pql_nested *nested)
{
    pql_buf_text(s->out, nested->nest == PQL_NEST_RECORD ? "]}" : "}");
    s->has_before = true;
}

void pql_encode_connect_schema(bool epoch_ms, struct pql_buf *out)
{
    static const struct pql_sink_ops ops = {connect_cell, connect_open, connect_close, never_absent};
    struct pql_sink sink = {.ops = &ops, .out = out, .epoch_ms = epoch_ms};
    pql_buf_text(out, "{\"schema\":");
    pql_encode_walk_sample(&sink);
    pql_buf_text(out, ",\"payload\":");
}
