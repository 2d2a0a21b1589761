#include "core/wire/encode.h"

#include "base/memory.h"
#include "core/wire/json.h"
#include "core/wire/rfc3339.h"
#include <stdlib.h>

struct pql_encoder {
    struct pql_encode_conf conf;
    struct pql_buf schema; /* {"schema":…,"payload": or empty */
};

/* --- What the walk hands to a sink: one cell per field, and brackets around what is nested. --- */

enum cell_type { CELL_TEXT, CELL_INT, CELL_LONG, CELL_NUMBER, CELL_TIME, CELL_BOOL };

struct cell {
    enum cell_type type;
    bool is_optional, is_present;
    union {
        struct pql_slice text;
        int64_t integer; /* INT, LONG, TIME */
        pql_decimal number;
        bool boolean;
    };
};

enum nest { NEST_RECORD, NEST_ARRAY, NEST_MAP };

struct sink {
    const struct sink_ops *ops;
    struct pql_buf *out;
    bool epoch_ms;
    bool has_before; /* JSON: a comma is due */
};

/* name: of the field; NULL for an item of an array; of a map's item it is the key, which is data. */
struct sink_ops {
    void (*cell)(struct sink *sink, struct pql_slice name, const struct cell *cell);
    void (*open)(struct sink *sink, struct pql_slice name, enum nest nest, bool is_optional, size_t count,
                 const char *type_name);
    void (*close)(struct sink *sink, enum nest nest, bool is_optional, size_t count, const char *type_name);
    /* An optional record that is absent. */
    void (*absent)(struct sink *sink, struct pql_slice name);
};

static void put(struct sink *s, const char *name, struct cell cell) { s->ops->cell(s, pql_slice_of(name), &cell); }

static struct cell text(struct pql_slice value) { return (struct cell){CELL_TEXT, false, true, {.text = value}}; }
static struct cell word(const char *value) { return text(pql_slice_of(value)); }
static struct cell text_or_null(struct pql_slice value) { return (struct cell){CELL_TEXT, true, value.len > 0, {.text = value}}; }
static struct cell integer(int64_t value) { return (struct cell){CELL_INT, false, true, {.integer = value}}; }
static struct cell large(int64_t value) { return (struct cell){CELL_LONG, false, true, {.integer = value}}; }
static struct cell large_or_null(bool has, int64_t value) { return (struct cell){CELL_LONG, true, has, {.integer = value}}; }
static struct cell number_or_null(bool has, pql_decimal value) { return (struct cell){CELL_NUMBER, true, has, {.number = value}}; }
static struct cell instant(int64_t value) { return (struct cell){CELL_TIME, false, true, {.integer = value}}; }
static struct cell instant_or_null(int64_t value) { return (struct cell){CELL_TIME, true, value != PQL_NO_TIME, {.integer = value}}; }
static struct cell boolean(bool value) { return (struct cell){CELL_BOOL, false, true, {.boolean = value}}; }

/* What is no number, as text: durations in ms, times as RFC 3339. */
static struct pql_slice value_text(const struct pql_value *value, char scratch[PQL_DECIMAL_TEXT_MAX])
{
    switch (value->kind) {
    case PQL_NULL: return (struct pql_slice){NULL, 0};
    case PQL_BOOL: return value->boolean ? PQL_SLICE_LITERAL("true") : PQL_SLICE_LITERAL("false");
    case PQL_NUMBER: return (struct pql_slice){scratch, pql_decimal_text(value->number, scratch)};
    case PQL_TEXT: return value->text;
    case PQL_DURATION: {
        size_t len = pql_decimal_text(pql_decimal_of_int(value->ms), scratch);
        memcpy(scratch + len, "ms", 2);
        return (struct pql_slice){scratch, len + 2};
    }
    case PQL_TIME: return (struct pql_slice){scratch, pql_time_text(value->ms, scratch)};
    }
    return (struct pql_slice){NULL, 0};
}
_Static_assert((int)PQL_DECIMAL_TEXT_MAX >= (int)PQL_TIME_TEXT_MAX, "one scratch for both");

/* A value that may be number or text, as two fields: the number, and the text where it is none. */
static void put_value(struct sink *s, const char *name, const char *name_text, const struct pql_value *value)
{
    char scratch[PQL_DECIMAL_TEXT_MAX];
    bool is_number = value->kind == PQL_NUMBER, is_null = value->kind == PQL_NULL;
    struct pql_slice words = is_number ? (struct pql_slice){NULL, 0} : value_text(value, scratch);
    put(s, name, number_or_null(is_number, is_number ? value->number : 0));
    put(s, name_text, (struct cell){CELL_TEXT, true, !is_number && !is_null, {.text = words}});
}

static void walk_evidence_row(struct sink *s, const struct pql_evidence *row)
{
    s->ops->open(s, (struct pql_slice){NULL, 0}, NEST_RECORD, false, 1, "Evidence");
    put(s, "signal", text(row->signal));
    put_value(s, "value", "value_text", &row->value);
    put_value(s, "threshold", "threshold_text", &row->threshold);
    put(s, "comparison", text_or_null(row->comparison));
    put(s, "met", boolean(row->met));
    put(s, "points", number_or_null(row->has_points, row->points));
    put(s, "first_at", instant_or_null(row->first_at));
    put(s, "last_at", instant_or_null(row->last_at));
    put(s, "window", text(row->window));
    put(s, "approximate", boolean(row->approximate));
    put(s, "at_least", boolean(row->at_least));
    s->ops->close(s, NEST_RECORD, false, 1, "Evidence");
}

static void walk_evidence(struct sink *s, const struct pql_record *r)
{
    s->ops->open(s, pql_slice_of("evidence"), NEST_ARRAY, false, r->evidence_count, NULL);
    for (size_t i = 0; i < r->evidence_count; i++) walk_evidence_row(s, &r->evidence[i]);
    s->ops->close(s, NEST_ARRAY, false, r->evidence_count, NULL);
}

static void walk_missing(struct sink *s, const struct pql_record *r)
{
    s->ops->open(s, pql_slice_of("missing"), NEST_ARRAY, false, r->missing_count, NULL);
    for (size_t i = 0; i < r->missing_count; i++) {
        struct cell item = text(r->missing[i]);
        s->ops->cell(s, (struct pql_slice){NULL, 0}, &item);
    }
    s->ops->close(s, NEST_ARRAY, false, r->missing_count, NULL);
}

static void walk_source(struct sink *s, const struct pql_record *r, struct pql_slice topic)
{
    if (!r->has_source) {
        s->ops->absent(s, pql_slice_of("source"));
        return;
    }
    s->ops->open(s, pql_slice_of("source"), NEST_RECORD, true, 1, "Source");
    put(s, "topic", text(topic));
    put(s, "partition", integer(r->source_partition));
    put(s, "offset", large(r->source_offset));
    put(s, "message_id", text_or_null(r->source_message_id));
    s->ops->close(s, NEST_RECORD, true, 1, "Source");
}

static void walk_attributes(struct sink *s, const struct pql_record *r)
{
    s->ops->open(s, pql_slice_of("attributes"), NEST_MAP, false, r->attributes_count, NULL);
    for (size_t i = 0; i < r->attributes_count; i++) {
        const struct pql_attribute *attribute = &r->attributes[i];
        char scratch[PQL_DECIMAL_TEXT_MAX];
        struct cell cell = {CELL_TEXT, true, attribute->value.kind != PQL_NULL,
                            {.text = value_text(&attribute->value, scratch)}};
        s->ops->cell(s, attribute->name, &cell);
    }
    s->ops->close(s, NEST_MAP, false, r->attributes_count, NULL);
}

/* The one list of fields. */
static void walk(struct sink *s, const struct pql_record *r, struct pql_slice topic, int64_t produced_at)
{
    put(s, "event_id", word(r->event_id));
    put(s, "definition", text(r->definition));
    put(s, "definition_version", integer(r->definition_version));
    put(s, "definition_hash", text(r->definition_hash));
    put(s, "subject", word(pql_subject_names[r->subject]));
    put(s, "account_id", text(r->account_id));
    put(s, "user_id", text_or_null(r->user_id));
    put(s, "transition", word(pql_transition_names[r->transition]));
    put(s, "status", word(pql_status_names[r->status]));
    put(s, "previous_status", word(pql_status_names[r->previous_status]));
    put(s, "reason", word(pql_reason_names[r->reason]));
    put(s, "reason_text", text(r->reason_text));
    put(s, "tier", text_or_null(r->tier));
    put(s, "previous_tier", text_or_null(r->previous_tier));
    put(s, "score", number_or_null(r->has_score, r->score));
    put(s, "previous_score", number_or_null(r->has_previous_score, r->previous_score));
    walk_evidence(s, r);
    walk_missing(s, r);
    put(s, "members", large_or_null(r->has_members, r->members));
    put(s, "qualified_members", large_or_null(r->has_members, r->qualified_members));
    put(s, "share", number_or_null(r->has_members, r->share));
    put(s, "first_qualified_at", instant_or_null(r->first_qualified_at));
    put(s, "qualified_at", instant_or_null(r->qualified_at));
    put(s, "left_at", instant_or_null(r->left_at));
    put(s, "expires_at", instant_or_null(r->expires_at));
    put(s, "qualification_count", large(r->qualification_count));
    put(s, "route", text_or_null(r->route));
    put(s, "segment", text_or_null(r->segment));
    put(s, "motion", text_or_null(r->motion));
    put(s, "priority", text_or_null(r->priority));
    put(s, "sla_due_at", instant_or_null(r->sla_due_at));
    put(s, "origin", word(pql_origin_names[r->origin]));
    put(s, "complete_since", instant_or_null(r->complete_since));
    put(s, "occurred_at", instant(r->occurred_at));
    put(s, "clock", instant(r->clock));
    put(s, "produced_at", instant(produced_at));
    put(s, "version", large(r->version));
    walk_source(s, r, topic);
    walk_attributes(s, r);
}

/* --- Texts --- */

static const struct pql_slice replacement = {"\xef\xbf\xbd", 3};

/* Takes the next piece of text: valid UTF-8 as long as possible, or one byte that is none. */
static struct pql_slice next_piece(struct pql_slice *rest, bool *is_valid)
{
    size_t len = 0, one;
    while (len < rest->len && (one = pql_utf8_len((struct pql_slice){rest->ptr + len, rest->len - len}))) len += one;
    *is_valid = len > 0;
    struct pql_slice piece = {rest->ptr, len ? len : 1};
    *rest = (struct pql_slice){rest->ptr + piece.len, rest->len - piece.len};
    return piece;
}

static void put_json_char(struct pql_buf *out, char c)
{
    static const char plain[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = c ? strchr(plain, c) : NULL;
    if (at) {
        char escape[] = {'\\', letter[at - plain]};
        pql_buf_put(out, escape, 2);
    } else if ((unsigned char)c < 0x20) {
        pql_buf_printf(out, "\\u%04x", (unsigned)c);
    } else {
        pql_buf_put(out, &c, 1);
    }
}

void pql_encode_json_text(struct pql_buf *out, struct pql_slice value)
{
    pql_buf_u8(out, '"');
    while (value.len) {
        bool is_valid;
        struct pql_slice piece = next_piece(&value, &is_valid);
        if (!is_valid) piece = replacement;
        for (size_t i = 0; i < piece.len; i++) put_json_char(out, piece.ptr[i]);
    }
    pql_buf_u8(out, '"');
}

static void put_decimal(struct pql_buf *out, pql_decimal value)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    pql_buf_put(out, digits, pql_decimal_text(value, digits));
}

/* --- JSON --- */

static void json_name(struct sink *s, struct pql_slice name)
{
    if (s->has_before) pql_buf_u8(s->out, ',');
    s->has_before = true;
    if (!name.ptr) return;
    pql_encode_json_text(s->out, name);
    pql_buf_u8(s->out, ':');
}

static void json_time(struct sink *s, int64_t ms)
{
    char digits[PQL_TIME_TEXT_MAX];
    if (s->epoch_ms)
        put_decimal(s->out, pql_decimal_of_int(ms));
    else
        pql_encode_json_text(s->out, (struct pql_slice){digits, pql_time_text(ms, digits)});
}

static void json_cell(struct sink *s, struct pql_slice name, const struct cell *cell)
{
    json_name(s, name);
    if (!cell->is_present) {
        pql_buf_text(s->out, "null");
        return;
    }
    switch (cell->type) {
    case CELL_TEXT: pql_encode_json_text(s->out, cell->text); break;
    case CELL_INT:
    case CELL_LONG: put_decimal(s->out, pql_decimal_of_int(cell->integer)); break;
    case CELL_NUMBER: put_decimal(s->out, cell->number); break;
    case CELL_TIME: json_time(s, cell->integer); break;
    case CELL_BOOL: pql_buf_text(s->out, cell->boolean ? "true" : "false"); break;
    }
}

static void json_open(struct sink *s, struct pql_slice name, enum nest nest, bool is_optional, size_t count,
                      const char *type_name)
{
    (void)is_optional, (void)count, (void)type_name;
    json_name(s, name);
    pql_buf_u8(s->out, nest == NEST_ARRAY ? '[' : '{');
    s->has_before = false;
}

static void json_close(struct sink *s, enum nest nest, bool is_optional, size_t count, const char *type_name)
{
    (void)is_optional, (void)count, (void)type_name;
    pql_buf_u8(s->out, nest == NEST_ARRAY ? ']' : '}');
    s->has_before = true;
}

static void json_absent(struct sink *s, struct pql_slice name)
{
    json_name(s, name);
    pql_buf_text(s->out, "null");
}

static const struct sink_ops json_ops = {json_cell, json_open, json_close, json_absent};

/* --- Avro: unions are [null, type], so the branch is 0 or 1. --- */

static void avro_text(struct pql_buf *out, struct pql_slice value)
{
    size_t len = 0;
    bool is_valid;
    for (struct pql_slice rest = value; rest.len;) {
        struct pql_slice piece = next_piece(&rest, &is_valid);
        len += is_valid ? piece.len : replacement.len;
    }
    pql_buf_zigzag(out, (int64_t)len);
    while (value.len) {
        struct pql_slice piece = next_piece(&value, &is_valid);
        if (!is_valid) piece = replacement;
        pql_buf_put(out, piece.ptr, piece.len);
    }
}

static void avro_double(struct pql_buf *out, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    pql_buf_u64(out, bits);
}

static void avro_cell(struct sink *s, struct pql_slice name, const struct cell *cell)
{
    (void)name;
    if (cell->is_optional) pql_buf_zigzag(s->out, cell->is_present);
    if (!cell->is_present) return;
    switch (cell->type) {
    case CELL_TEXT: avro_text(s->out, cell->text); break;
    case CELL_INT:
    case CELL_LONG:
    case CELL_TIME: pql_buf_zigzag(s->out, cell->integer); break;
    case CELL_NUMBER: avro_double(s->out, pql_decimal_to_double(cell->number)); break;
    case CELL_BOOL: pql_buf_u8(s->out, cell->boolean); break;
    }
}

/* A map's item begins with its key. */
static void avro_map_cell(struct sink *s, struct pql_slice key, const struct cell *cell)
{
    avro_text(s->out, key);
    avro_cell(s, key, cell);
}

static const struct sink_ops avro_ops, avro_map_ops;

static void avro_open(struct sink *s, struct pql_slice name, enum nest nest, bool is_optional, size_t count,
                      const char *type_name)
{
    (void)name, (void)type_name;
    if (is_optional) pql_buf_zigzag(s->out, 1);
    if (nest != NEST_RECORD && count) pql_buf_zigzag(s->out, (int64_t)count);
    if (nest == NEST_MAP) s->ops = &avro_map_ops;
}

static void avro_close(struct sink *s, enum nest nest, bool is_optional, size_t count, const char *type_name)
{
    (void)is_optional, (void)count, (void)type_name;
    if (nest != NEST_RECORD) pql_buf_zigzag(s->out, 0);
    if (nest == NEST_MAP) s->ops = &avro_ops;
}

static void avro_absent(struct sink *s, struct pql_slice name)
{
    (void)name;
    pql_buf_zigzag(s->out, 0);
}

static const struct sink_ops avro_ops = {avro_cell, avro_open, avro_close, avro_absent};
static const struct sink_ops avro_map_ops = {avro_map_cell, avro_open, avro_close, avro_absent};

/* --- The schema that Kafka Connect's JsonConverter wants beside each payload (its JsonSchema class): walked over a
 * record that has one of everything. --- */

static void connect_tail(struct sink *s, struct pql_slice name, bool is_optional)
{
    pql_buf_printf(s->out, ",\"optional\":%s", is_optional ? "true" : "false");
    if (name.ptr) pql_buf_printf(s->out, ",\"field\":\"%.*s\"", PQL_SLICE_ARG(name));
    pql_buf_u8(s->out, '}');
}

static void connect_cell(struct sink *s, struct pql_slice name, const struct cell *cell)
{
    static const char *const types[] = {
        [CELL_TEXT] = "\"string\"",   [CELL_INT] = "\"int32\"",
        [CELL_LONG] = "\"int64\"",    [CELL_NUMBER] = "\"double\"",
        [CELL_TIME] = "\"int64\",\"name\":\"org.apache.kafka.connect.data.Timestamp\",\"version\":1",
        [CELL_BOOL] = "\"boolean\"",
    };
    json_name(s, (struct pql_slice){NULL, 0});
    bool as_text = cell->type == CELL_TIME && !s->epoch_ms;
    pql_buf_printf(s->out, "{\"type\":%s", types[as_text ? CELL_TEXT : cell->type]);
    connect_tail(s, name, cell->is_optional);
}

static void connect_map_cell(struct sink *s, struct pql_slice key, const struct cell *cell)
{
    (void)key;
    connect_cell(s, (struct pql_slice){NULL, 0}, cell);
}

static const struct sink_ops connect_ops, connect_map_ops;

static void connect_open(struct sink *s, struct pql_slice name, enum nest nest, bool is_optional, size_t count,
                         const char *type_name)
{
    (void)is_optional, (void)count;
    static const char *const heads[] = {
        [NEST_RECORD] = "{\"type\":\"struct\"",
        [NEST_ARRAY] = "{\"type\":\"array\"",
        [NEST_MAP] = "{\"type\":\"map\",\"keys\":{\"type\":\"string\",\"optional\":false}",
    };
    static const char *const inner[] = {
        [NEST_RECORD] = ",\"fields\":[", [NEST_ARRAY] = ",\"items\":", [NEST_MAP] = ",\"values\":"};
    json_name(s, (struct pql_slice){NULL, 0});
    pql_buf_text(s->out, heads[nest]);
    if (type_name) pql_buf_printf(s->out, ",\"name\":\"pqlstream.%s\"", type_name);
    pql_buf_printf(s->out, ",\"optional\":%s", is_optional ? "true" : "false");
    if (name.ptr) pql_buf_printf(s->out, ",\"field\":\"%.*s\"", PQL_SLICE_ARG(name));
    pql_buf_text(s->out, inner[nest]);
    s->has_before = false;
    if (nest == NEST_MAP) s->ops = &connect_map_ops;
}

static void connect_close(struct sink *s, enum nest nest, bool is_optional, size_t count, const char *type_name)
{
    (void)is_optional, (void)count, (void)type_name;
    if (nest == NEST_RECORD) pql_buf_u8(s->out, ']');
    pql_buf_u8(s->out, '}');
    s->has_before = true;
    s->ops = &connect_ops;
}

static const struct sink_ops connect_ops = {connect_cell, connect_open, connect_close, json_absent};
static const struct sink_ops connect_map_ops = {connect_map_cell, connect_open, connect_close, json_absent};

static void build_connect_schema(struct pql_encoder *encoder)
{
    const struct pql_evidence row = {.first_at = 0};
    const struct pql_slice missing = {"", 0};
    const struct pql_attribute attribute = {.name = {"", 0}};
    const struct pql_record sample = {.evidence = &row,
                                      .evidence_count = 1,
                                      .missing = &missing,
                                      .missing_count = 1,
                                      .has_source = true,
                                      .attributes = &attribute,
                                      .attributes_count = 1};
    struct sink sink = {.ops = &connect_ops, .out = &encoder->schema, .epoch_ms = encoder->conf.epoch_ms};
    struct pql_slice none = {NULL, 0};
    pql_buf_text(sink.out, "{\"schema\":");
    connect_open(&sink, none, NEST_RECORD, false, 1, "Qualification");
    walk(&sink, &sample, none, 0);
    connect_close(&sink, NEST_RECORD, false, 1, NULL);
    pql_buf_text(sink.out, ",\"payload\":");
}

/* --- Encoders --- */

struct pql_encoder *pql_encoder_new(const struct pql_encode_conf *conf)
{
    struct pql_encoder *encoder = pql_xcalloc(1, sizeof *encoder);
    encoder->conf = *conf;
    if (conf->format == PQL_ENCODE_JSON && conf->connect_schema) build_connect_schema(encoder);
    return encoder;
}

void pql_encoder_free(struct pql_encoder *encoder)
{
    if (!encoder) return;
    pql_buf_deinit(&encoder->schema);
    free(encoder);
}

void pql_encode_record(const struct pql_encoder *encoder, const struct pql_record *record, int64_t produced_at_ms,
                       struct pql_buf *out)
{
    const struct pql_encode_conf *conf = &encoder->conf;
    struct sink sink = {.ops = &avro_ops, .out = out, .epoch_ms = conf->epoch_ms};
    struct pql_slice topic = {"", 0}, none = {NULL, 0};
    if (record->has_source && record->source_input < conf->topics_count) topic = conf->topics[record->source_input];
    if (conf->format == PQL_ENCODE_JSON) sink.ops = &json_ops;
    pql_buf_put(out, encoder->schema.ptr, encoder->schema.len);
    sink.ops->open(&sink, none, NEST_RECORD, false, 1, "Qualification");
    walk(&sink, record, topic, produced_at_ms);
    sink.ops->close(&sink, NEST_RECORD, false, 1, "Qualification");
    if (encoder->schema.len) pql_buf_u8(out, '}');
}

/* --- Keys --- */

static void put_key_part(struct pql_buf *out, struct pql_slice part)
{
    static const char hex[] = "0123456789ABCDEF";
    while (part.len) {
        bool is_valid;
        struct pql_slice piece = next_piece(&part, &is_valid);
        for (size_t i = 0; i < piece.len; i++) {
            unsigned char c = (unsigned char)piece.ptr[i];
            char encoded[] = {'%', hex[c >> 4], hex[c & 15]};
            if (!is_valid || c == '/' || c == '%' || c < 0x20 || c == 0x7f)
                pql_buf_put(out, encoded, 3);
            else
                pql_buf_u8(out, c);
        }
    }
}

void pql_encode_key(const struct pql_record *record, struct pql_buf *out)
{
    put_key_part(out, record->definition);
    pql_buf_u8(out, '/');
    put_key_part(out, record->account_id);
    if (record->subject != PQL_SUBJECT_USER) return;
    pql_buf_u8(out, '/');
    put_key_part(out, record->user_id);
}
