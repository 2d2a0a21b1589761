#include "app/epoch.h"

#include <stdlib.h>

enum { RECORD_COST = 100 /* of producing it, beside its bytes */ };

uint64_t pql_epoch_bytes(const struct pql_epoch *epoch)
{
    return epoch->bytes.capacity + epoch->capacity * sizeof *epoch->records;
}

void pql_epoch_free(struct pql_epoch *epoch)
{
    if (!epoch) return;
    pql_buf_deinit(&epoch->bytes);
    free(epoch->records);
    free(epoch->cuts);
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

static uint64_t size_of(const struct pql_epoch *epoch)
{
    return epoch->bytes.len + epoch->count * RECORD_COST;
}

static const struct pql_epoch_cut *cut_before(const struct pql_epoch *epoch, size_t index)
{
    static const struct pql_epoch_cut begin;
    return index ? &epoch->cuts[index - 1] : &begin;
}

uint64_t pql_epoch_uncut(const struct pql_epoch *epoch)
{
    return size_of(epoch) - cut_before(epoch, epoch->cuts_count)->size;
}

void pql_epoch_cut(struct pql_epoch *epoch, const struct pql_epoch_cut *cut)
{
    epoch->cuts = pql_xgrow(epoch->cuts, &epoch->cuts_capacity, epoch->cuts_count + 1, sizeof *epoch->cuts);
    struct pql_epoch_cut *added = &epoch->cuts[epoch->cuts_count++];
    *added = *cut;
    added->count = epoch->count;
    added->size = size_of(epoch);
    added->transitions = epoch->transitions;
}

uint64_t pql_epoch_choose(struct pql_epoch *epoch, uint64_t size_max)
{
    uint64_t before = cut_before(epoch, epoch->cut_from)->size;
    size_t chosen = epoch->cut_from;
    while (chosen + 1 < epoch->cuts_count && epoch->cuts[chosen + 1].size - before <= size_max) chosen++;
    const struct pql_epoch_cut *cut = &epoch->cuts[chosen];
    epoch->cut_upto = chosen;
    epoch->end = cut->end;
    epoch->metadata = cut->metadata;
    epoch->has_pointer = cut->has_pointer;
    epoch->trim_before = cut->trim_before;
    return cut->size - before;
}

size_t pql_epoch_first(const struct pql_epoch *epoch)
{
    return cut_before(epoch, epoch->cut_from)->count;
}

size_t pql_epoch_last(const struct pql_epoch *epoch)
{
    return epoch->cuts[epoch->cut_upto].count;
}

uint64_t pql_epoch_transitions(const struct pql_epoch *epoch)
{
    return epoch->cuts[epoch->cut_upto].transitions - cut_before(epoch, epoch->cut_from)->transitions;
}

bool pql_epoch_go_on(struct pql_epoch *epoch)
{
    epoch->cut_from = epoch->cut_upto + 1;
    if (epoch->cut_from == epoch->cuts_count) return false;
    (void)pql_epoch_choose(epoch, UINT64_MAX);
    return true;
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
