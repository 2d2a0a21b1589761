#include "app/sample_place.h"

#include "app/message_printer.h"
#include "core/record.h"
#include "core/wire/json.h"
#include <inttypes.h>
#include <stdlib.h>

enum field { TOPIC, PARTITION, OFFSET, TIMESTAMP, KEY, KEY_HEX, HEADERS_HEX, FIELD_COUNT };
static const char *const names[FIELD_COUNT] = {"topic", "partition", "offset",     "timestamp",
                                               "key",   "key_hex",   "headers_hex"};

/* --- writing --- */

static void put_hex(struct pql_buf *out, const struct pql_buf *bytes)
{
    for (size_t i = 0; i < bytes->len; i++) pql_buf_printf(out, "%02x", (unsigned char)bytes->ptr[i]);
}

/* Each name behind its length, whether there is a value, and the value behind its length. */
static void put_headers(const struct pql_sample_place *place, struct pql_buf *out)
{
    struct pql_buf bytes = {0};
    for (size_t i = 0; i < place->headers_count; i++) {
        pql_buf_slice(&bytes, place->headers[i].name);
        pql_buf_u8(&bytes, place->headers[i].value.ptr != NULL);
        pql_buf_slice(&bytes, place->headers[i].value);
    }
    pql_buf_text(out, ", \"headers_hex\": \"");
    put_hex(out, &bytes);
    pql_buf_text(out, "\"");
    pql_buf_deinit(&bytes);
}

void pql_sample_place_put(const struct pql_sample_place *place, struct pql_buf *out)
{
    pql_buf_u8(out, '{');
    pql_put_bytes(out, "topic", place->topic, true);
    pql_buf_printf(out, ", \"partition\": %" PRId32 ", \"offset\": %" PRId64, place->partition,
                   place->offset);
    if (place->timestamp_ms != PQL_NO_TIME)
        pql_buf_printf(out, ", \"timestamp\": %" PRId64, place->timestamp_ms);
    if (place->has_key) {
        pql_buf_text(out, ", ");
        pql_put_bytes(out, "key", place->key, true);
    }
    if (place->headers_count) put_headers(place, out);
    pql_buf_u8(out, '}');
}

/* --- reading --- */

struct pql_sample_place_reader {
    struct pql_json_plan *plan;
};

struct pql_sample_place_reader *pql_sample_place_reader_new(bool in_row)
{
    struct pql_sample_place_reader *reader = pql_xcalloc(1, sizeof *reader);
    char paths[FIELD_COUNT][64];
    struct pql_slice wanted[FIELD_COUNT];
    for (size_t i = 0; i < FIELD_COUNT; i++) {
        snprintf(paths[i], sizeof paths[i], "%s%s", in_row ? "pqlstream_place." : "", names[i]);
        wanted[i] = pql_slice_of(paths[i]);
    }
    reader->plan = pql_json_plan_new(wanted, FIELD_COUNT);
    PQL_ASSERT(reader->plan);
    return reader;
}

void pql_sample_place_reader_free(struct pql_sample_place_reader *reader)
{
    if (!reader) return;
    pql_json_plan_free(reader->plan);
    free(reader);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unhex(struct pql_slice text, struct pql_arena *scratch, struct pql_slice *out)
{
    char *bytes = pql_arena_alloc(scratch, text.len / 2 + 1);
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        int high = digit_of(text.ptr[i]), low = digit_of(text.ptr[i + 1]);
        if (high < 0 || low < 0) return false;
        bytes[i / 2] = (char)(unsigned char)(high << 4 | low);
    }
    *out = (struct pql_slice){bytes, text.len / 2};
    return text.len % 2 == 0;
}

static bool read_headers(struct pql_slice hex, struct pql_arena *scratch, struct pql_sample_place *place)
{
    struct pql_slice bytes;
    if (!unhex(hex, scratch, &bytes)) return false;
    struct pql_header *headers = pql_arena_alloc(scratch, (bytes.len / 3 + 1) * sizeof *headers);
    struct pql_reader reader = pql_reader_of(bytes.ptr, bytes.len);
    while (pql_reader_left(&reader)) {
        struct pql_header *header = &headers[place->headers_count++];
        header->name = pql_read_slice(&reader);
        bool has_value = pql_read_u8(&reader);
        header->value = pql_read_slice(&reader);
        if (!has_value) header->value.ptr = NULL;
        if (reader.failed) return false;
    }
    place->headers = headers;
    return true;
}

/* A whole number, not negative. */
static bool read_number(const struct pql_value *value, int64_t max, int64_t *out)
{
    if (value->kind != PQL_NUMBER || value->number < 0 || value->number % PQL_DECIMAL_ONE) return false;
    pql_decimal whole = value->number / PQL_DECIMAL_ONE;
    if (whole > max) return false;
    *out = (int64_t)whole;
    return true;
}

bool pql_sample_place_read(const struct pql_sample_place_reader *reader, struct pql_slice text,
                           struct pql_arena *scratch, struct pql_sample_place *place)
{
    struct pql_value slots[FIELD_COUNT];
    struct pql_err ignored;
    int64_t partition;
    *place = (struct pql_sample_place){.timestamp_ms = PQL_NO_TIME};
    if (pql_json_plan_run(reader->plan, text.ptr, text.len, scratch, slots, &ignored)) return false;
    if (slots[TOPIC].kind != PQL_TEXT || !read_number(&slots[PARTITION], INT32_MAX, &partition) ||
        !read_number(&slots[OFFSET], INT64_MAX, &place->offset))
        return false;
    place->topic = slots[TOPIC].text;
    place->partition = (int32_t)partition;
    if (slots[TIMESTAMP].kind == PQL_NUMBER &&
        !read_number(&slots[TIMESTAMP], INT64_MAX, &place->timestamp_ms))
        return false;
    place->has_key = slots[KEY].kind == PQL_TEXT || slots[KEY_HEX].kind == PQL_TEXT;
    if (slots[KEY].kind == PQL_TEXT) place->key = slots[KEY].text;
    if (slots[KEY_HEX].kind == PQL_TEXT && !unhex(slots[KEY_HEX].text, scratch, &place->key)) return false;
    return slots[HEADERS_HEX].kind != PQL_TEXT || read_headers(slots[HEADERS_HEX].text, scratch, place);
}
