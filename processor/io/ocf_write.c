#include "io/ocf_write.h"

#include "io/ocf.h"
#include <xxhash.h>

enum { BLOCK_BYTES = 1 << 16 };

static void put_bytes(struct pql_buf *out, struct pql_slice bytes)
{
    pql_buf_zigzag(out, (int64_t)bytes.len);
    pql_buf_put(out, bytes.ptr, bytes.len);
}

static void put_entry(struct pql_buf *out, const char *name, struct pql_slice value)
{
    put_bytes(out, pql_slice_of(name));
    put_bytes(out, value);
}

void pql_ocf_writer_init(struct pql_ocf_writer *writer, FILE *file, struct pql_slice schema,
                         struct pql_slice places)
{
    *writer = (struct pql_ocf_writer){.file = file};
    /* Any bytes will do; by the contents, so that the same sample is the same file. */
    XXH128_hash_t hash = XXH3_128bits_withSeed(places.ptr, places.len, XXH3_64bits(schema.ptr, schema.len));
    memcpy(writer->sync, &hash, sizeof writer->sync);
    struct pql_buf *out = &writer->block;
    pql_buf_put(out, "Obj\1", 4);
    pql_buf_zigzag(out, places.len ? 3 : 2);
    put_entry(out, "avro.schema", schema);
    put_entry(out, "avro.codec", PQL_SLICE_LITERAL("null"));
    if (places.len) put_entry(out, PQL_OCF_PLACES, places);
    pql_buf_zigzag(out, 0);
    pql_buf_put(out, writer->sync, sizeof writer->sync);
    fwrite(out->ptr, 1, out->len, file);
    out->len = 0;
}

static void flush(struct pql_ocf_writer *writer)
{
    struct pql_buf head = {0};
    if (!writer->count) return;
    pql_buf_zigzag(&head, (int64_t)writer->count);
    pql_buf_zigzag(&head, (int64_t)writer->block.len);
    fwrite(head.ptr, 1, head.len, writer->file);
    fwrite(writer->block.ptr, 1, writer->block.len, writer->file);
    fwrite(writer->sync, 1, sizeof writer->sync, writer->file);
    pql_buf_deinit(&head);
    writer->block.len = 0;
    writer->count = 0;
}

void pql_ocf_writer_put(struct pql_ocf_writer *writer, struct pql_slice begin, struct pql_slice rest)
{
    pql_buf_put(&writer->block, begin.ptr, begin.len);
    pql_buf_put(&writer->block, rest.ptr, rest.len);
    writer->count++;
    if (writer->block.len >= BLOCK_BYTES) flush(writer);
}

void pql_ocf_writer_end(struct pql_ocf_writer *writer)
{
    flush(writer);
    pql_buf_deinit(&writer->block);
}
