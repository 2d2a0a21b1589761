#include "app/epoch.h"

#include <stdlib.h>

void pql_epoch_free(struct pql_epoch *epoch)
{
    if (!epoch) return;
    pql_buf_deinit(&epoch->bytes);
    free(epoch->records);
    free(epoch);
}

static size_t put(struct pql_buf *buf, struct pql_slice text)
{
    size_t at = buf->len;
    pql_buf_put(buf, text.ptr, text.len);
    return at;
}

void pql_epoch_add(struct pql_epoch *epoch, const struct pql_out_record *record)
{
    epoch->records = pql_xgrow(epoch->records, &epoch->capacity, epoch->count + 1, sizeof *epoch->records);
    struct pql_epoch_record *out = &epoch->records[epoch->count++];
    *out = (struct pql_epoch_record){
        .output = record->output,
        .partition = record->partition,
        .has_key = record->has_key,
        .has_value = record->has_value,
        .headers_count = (uint32_t)record->headers_count,
        .key_len = record->key.len,
        .value_len = record->value.len,
        .timestamp_ms = record->timestamp_ms,
    };
    out->key = put(&epoch->bytes, record->key);
    out->value = put(&epoch->bytes, record->value);
    out->headers = epoch->bytes.len;
    for (size_t i = 0; i < record->headers_count; i++) {
        pql_buf_slice(&epoch->bytes, record->headers[i].name);
        pql_buf_u8(&epoch->bytes, record->headers[i].value.ptr != NULL); /* none is not the same as empty */
        pql_buf_slice(&epoch->bytes, record->headers[i].value);
    }
    out->headers_len = epoch->bytes.len - out->headers;
    epoch->moved = true;
}

void pql_epoch_get(const struct pql_epoch *epoch, size_t index, struct pql_arena *arena,
                   struct pql_out_record *out)
{
    const struct pql_epoch_record *record = &epoch->records[index];
    const char *bytes = epoch->bytes.ptr;
    struct pql_header *headers = pql_arena_alloc(arena, (record->headers_count + 1) * sizeof *headers);
    struct pql_reader r = pql_reader_of(bytes + record->headers, record->headers_len);
    for (size_t i = 0; i < record->headers_count; i++) {
        headers[i].name = pql_read_slice(&r);
        bool has_value = pql_read_u8(&r);
        headers[i].value = pql_read_slice(&r);
        if (!has_value) headers[i].value.ptr = NULL;
    }
    *out = (struct pql_out_record){
        .output = record->output,
        .partition = record->partition,
        .has_key = record->has_key,
        .has_value = record->has_value,
        .key = {bytes + record->key, record->key_len},
        .value = {bytes + record->value, record->value_len},
        .headers = headers,
        .headers_count = record->headers_count,
        .timestamp_ms = record->timestamp_ms,
    };
}
