#include "core/wire/encode.h"

#include "base/memory.h"
#include "core/wire/encode_walk.h"
#include "core/wire/json.h"
#include "core/wire/rfc3339.h"
#include <stdlib.h>

struct pql_encoder {
    struct pql_encode_conf conf;
    struct pql_buf head; /* before each record: Connect's schema, or nothing */
};

/* --- Texts --- */

static const struct pql_slice replacement = {"\xef\xbf\xbd", 3};

/* Takes the next piece of text: valid UTF-8 as long as possible, or one byte that is none. */
static struct pql_slice next_piece(struct pql_slice *rest, bool *is_valid)
{
    size_t len = 0, one = 1;
    for (; len < rest->len && one; len += one) {
        bool is_ascii = (unsigned char)rest->ptr[len] < 0x80;
        one = is_ascii ? 1 : pql_utf8_len((struct pql_slice){rest->ptr + len, rest->len - len});
    }
    *is_valid = len > 0;
    struct pql_slice piece = {rest->ptr, len ? len : 1};
    *rest = (struct pql_slice){rest->ptr + piece.len, rest->len - piece.len};
    return piece;
}

static bool is_json_plain(char c)
{
    return (unsigned char)c >= 0x20 && c != '"' && c != '\\';
}

static void put_json_escape(struct pql_buf *out, char c)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letter[] = "\"\\bfnrt";
    const char *at = c ? strchr(escaped, c) : NULL;
    if (at) {
        char escape[] = {'\\', letter[at - escaped]};
        pql_buf_put(out, escape, 2);
    } else {
        pql_buf_printf(out, "\\u%04x", (unsigned)c);
    }
}

/* Runs of plain characters in one go: nearly all of a record is such text. */
static void put_json_piece(struct pql_buf *out, struct pql_slice piece)
{
    for (size_t i = 0; i < piece.len;) {
        size_t from = i;
        while (i < piece.len && is_json_plain(piece.ptr[i])) i++;
        pql_buf_put(out, piece.ptr + from, i - from);
        if (i < piece.len) put_json_escape(out, piece.ptr[i++]);
    }
}

void pql_encode_json_text(struct pql_buf *out, struct pql_slice value)
{
    pql_buf_u8(out, '"');
    while (value.len) {
        bool is_valid;
        struct pql_slice piece = next_piece(&value, &is_valid);
        if (!is_valid) piece = replacement;
        put_json_piece(out, piece);
    }
    pql_buf_u8(out, '"');
}

static void put_decimal(struct pql_buf *out, pql_decimal value)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    pql_buf_put(out, digits, pql_decimal_text(value, digits));
}

/* --- JSON --- */

static void json_name(struct pql_sink *s, struct pql_slice name)
{
    if (s->has_before) pql_buf_u8(s->out, ',');
    s->has_before = true;
    if (!name.ptr) return;
    pql_encode_json_text(s->out, name);
    pql_buf_u8(s->out, ':');
}

static void json_time(struct pql_sink *s, int64_t ms)
{
    char digits[PQL_TIME_TEXT_MAX];
    if (s->epoch_ms)
        put_decimal(s->out, pql_decimal_of_int(ms));
    else
        pql_encode_json_text(s->out, (struct pql_slice){digits, pql_time_text(ms, digits)});
}

static void json_absent(struct pql_sink *s, const struct pql_label *label)
{
    json_name(s, label->name);
    pql_buf_text(s->out, "null");
}

static void json_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    if (!cell->is_present) {
        json_absent(s, label);
        return;
    }
    json_name(s, label->name);
    switch (cell->type) {
    case PQL_CELL_TEXT: pql_encode_json_text(s->out, cell->text); break;
    case PQL_CELL_INT:
    case PQL_CELL_LONG: put_decimal(s->out, pql_decimal_of_int(cell->integer)); break;
    case PQL_CELL_NUMBER: put_decimal(s->out, cell->number); break;
    case PQL_CELL_TIME: json_time(s, cell->integer); break;
    case PQL_CELL_BOOL: pql_buf_text(s->out, cell->boolean ? "true" : "false"); break;
    }
}

static void json_open(struct pql_sink *s, const struct pql_nested *nested)
{
    json_name(s, nested->label.name);
    pql_buf_u8(s->out, nested->nest == PQL_NEST_ARRAY ? '[' : '{');
    s->has_before = false;
}

static void json_close(struct pql_sink *s, const struct pql_nested *nested)
{
    pql_buf_u8(s->out, nested->nest == PQL_NEST_ARRAY ? ']' : '}');
    s->has_before = true;
}

static const struct pql_sink_ops json_ops = {json_cell, json_open, json_close, json_absent};

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

static void avro_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    (void)label;
    if (cell->is_optional) pql_buf_zigzag(s->out, cell->is_present);
    if (!cell->is_present) return;
    switch (cell->type) {
    case PQL_CELL_TEXT: avro_text(s->out, cell->text); break;
    case PQL_CELL_INT:
    case PQL_CELL_LONG:
    case PQL_CELL_TIME: pql_buf_zigzag(s->out, cell->integer); break;
    case PQL_CELL_NUMBER: avro_double(s->out, pql_decimal_to_double(cell->number)); break;
    case PQL_CELL_BOOL: pql_buf_u8(s->out, cell->boolean); break;
    }
}

/* A map's item begins with its key. */
static void avro_map_cell(struct pql_sink *s, const struct pql_label *label, const struct pql_cell *cell)
{
    avro_text(s->out, label->name);
    avro_cell(s, label, cell);
}

static const struct pql_sink_ops avro_ops, avro_map_ops;

static void avro_open(struct pql_sink *s, const struct pql_nested *nested)
{
    if (nested->is_optional) pql_buf_zigzag(s->out, 1);
    if (nested->count) pql_buf_zigzag(s->out, (int64_t)nested->count);
    if (nested->nest == PQL_NEST_MAP) s->ops = &avro_map_ops;
}

static void avro_close(struct pql_sink *s, const struct pql_nested *nested)
{
    if (nested->nest != PQL_NEST_RECORD) pql_buf_zigzag(s->out, 0);
    if (nested->nest == PQL_NEST_MAP) s->ops = &avro_ops;
}

static void avro_absent(struct pql_sink *s, const struct pql_label *label)
{
    (void)label;
    pql_buf_zigzag(s->out, 0);
}

static const struct pql_sink_ops avro_ops = {avro_cell, avro_open, avro_close, avro_absent};
static const struct pql_sink_ops avro_map_ops = {avro_map_cell, avro_open, avro_close, avro_absent};

/* --- Encoders --- */

struct pql_encoder *pql_encoder_new(const struct pql_encode_conf *conf)
{
    struct pql_encoder *encoder = pql_xcalloc(1, sizeof *encoder);
    encoder->conf = *conf;
    if (conf->format == PQL_ENCODE_JSON && conf->connect_schema)
        pql_encode_connect_schema(conf->epoch_ms, &encoder->head);
    return encoder;
}

void pql_encoder_free(struct pql_encoder *encoder)
{
    if (!encoder) return;
    pql_buf_deinit(&encoder->head);
    free(encoder);
}

void pql_encode_record(const struct pql_encoder *encoder, const struct pql_record *record,
                       int64_t produced_at_ms, struct pql_buf *out)
{
    const struct pql_encode_conf *conf = &encoder->conf;
    struct pql_sink sink = {.ops = conf->format == PQL_ENCODE_JSON ? &json_ops : &avro_ops,
                            .out = out,
                            .epoch_ms = conf->epoch_ms};
    struct pql_slice topic = {"", 0};
    if (record->has_source && record->source_input < conf->topics_count)
        topic = conf->topics[record->source_input];
    pql_buf_put(out, encoder->head.ptr, encoder->head.len);
    pql_encode_walk(&sink, record, topic, produced_at_ms);
    if (encoder->head.len) pql_buf_u8(out, '}');
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
