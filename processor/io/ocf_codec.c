#include "io/ocf_codec.h"

#include <zlib.h>

enum { CHUNK = 64 * 1024 };

bool pql_ocf_unpack_null(struct pql_slice packed, struct pql_buf *out)
{
    pql_buf_put(out, packed.ptr, packed.len);
    return true;
}

/* --- deflate --- */

bool pql_ocf_unpack_deflate(struct pql_slice packed, struct pql_buf *out)
{
    z_stream stream = {0};
    if (packed.len > UINT32_MAX || inflateInit2(&stream, -MAX_WBITS) != Z_OK) return false;
    size_t start = out->len;
    int state = Z_OK;
    stream.next_in = (unsigned char *)(uintptr_t)packed.ptr; /* zlib reads it only */
    stream.avail_in = (unsigned)packed.len;
    while (state == Z_OK && out->len - start <= PQL_OCF_BLOCK_MAX) {
        stream.next_out = (unsigned char *)pql_buf_reserve(out, CHUNK);
        stream.avail_out = CHUNK;
        state = inflate(&stream, Z_NO_FLUSH);
        out->len += CHUNK - stream.avail_out;
    }
    inflateEnd(&stream);
    /* Some writers leave a part of zlib's checksum behind the stream; nobody reads it. */
    return state == Z_STREAM_END && out->len - start <= PQL_OCF_BLOCK_MAX;
}

/* --- snappy: a raw block (format description 1.2), then CRC-32 of what it unpacks to, big endian ---
 *
 * varint length, then elements by the low two bits of their first byte:
 *   00 literal of 1 + (tag >> 2) bytes; 60 … 63 in its place: 1 to 4 bytes with the length less one follow
 *   01 copy of 4 + (tag >> 2 & 7) bytes, offset (tag >> 5) << 8 | next byte
 *   10 copy of 1 + (tag >> 2) bytes, offset in 2 bytes          11 the same, offset in 4 bytes; little endian
 */

static uint32_t little_endian(struct pql_reader *in, unsigned count)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < count; i++) value |= (uint32_t)pql_read_u8(in) << (8 * i);
    return value;
}

static bool put_literal(struct pql_reader *in, uint8_t tag, char *to, size_t room, size_t *len)
{
    *len = tag >> 2;
    if (*len >= 60) *len = little_endian(in, (unsigned)*len - 59);
    *len += 1;
    const char *from = *len <= room ? pql_read_bytes(in, *len) : NULL;
    if (from) memcpy(to, from, *len);
    return from;
}

/* done: bytes written before `to`. A copy may overlap itself: it then repeats. */
static bool put_copy(struct pql_reader *in, uint8_t tag, char *to, size_t done, size_t room, size_t *len)
{
    static const unsigned sizes[] = {0, 1, 2, 4};
    uint32_t offset = little_endian(in, sizes[tag & 3]);
    *len = 1 + (size_t)(tag >> 2);
    if ((tag & 3) == 1) {
        offset |= (uint32_t)(tag >> 5) << 8;
        *len = 4 + (size_t)(tag >> 2 & 7);
    }
    if (in->failed || offset == 0 || offset > done || *len > room) return false;
    for (size_t i = 0; i < *len; i++) to[i] = to[(ptrdiff_t)i - (ptrdiff_t)offset];
    return true;
}

bool pql_ocf_unpack_snappy(struct pql_slice packed, struct pql_buf *out)
{
    if (packed.len < 4) return false;
    struct pql_reader in = pql_reader_of(packed.ptr, packed.len - 4);
    uint64_t size = pql_read_varint(&in);
    if (in.failed || size > PQL_OCF_BLOCK_MAX) return false;
    char *to = pql_buf_reserve(out, size + 1);
    size_t done = 0;
    while (pql_reader_left(&in)) {
        uint8_t tag = pql_read_u8(&in);
        size_t len, room = size - done;
        bool ok = tag & 3 ? put_copy(&in, tag, to + done, done, room, &len)
                          : put_literal(&in, tag, to + done, room, &len);
        if (!ok) return false;
        done += len;
    }
    const unsigned char *sum = (const unsigned char *)packed.ptr + packed.len - 4;
    uint32_t expected = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
    if (done != size || crc32(0, (const unsigned char *)to, (unsigned)size) != expected) return false;
    out->len += size;
    return true;
}
