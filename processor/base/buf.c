#include "base/buf.h"

#include "base/memory.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void pql_buf_deinit(struct pql_buf *buf)
{
    free(buf->ptr);
    *buf = (struct pql_buf){0};
}

char *pql_buf_reserve(struct pql_buf *buf, size_t size)
{
    buf->ptr = pql_xgrow(buf->ptr, &buf->capacity, buf->len + size, 1);
    return buf->ptr + buf->len;
}

void pql_buf_put(struct pql_buf *buf, const void *bytes, size_t len)
{
    if (!len) return;
    memcpy(pql_buf_reserve(buf, len), bytes, len);
    buf->len += len;
}

void pql_buf_slice(struct pql_buf *buf, struct pql_slice text)
{
    pql_buf_varint(buf, text.len);
    pql_buf_put(buf, text.ptr, text.len);
}

void pql_buf_text(struct pql_buf *buf, const char *text)
{
    pql_buf_put(buf, text, strlen(text));
}

void pql_buf_printf(struct pql_buf *buf, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        vsnprintf(pql_buf_reserve(buf, (size_t)n + 1), (size_t)n + 1, format, again);
        buf->len += (size_t)n;
    }
    va_end(again);
}

void pql_buf_u8(struct pql_buf *buf, uint8_t value)
{
    pql_buf_put(buf, &value, 1);
}

static void put_fixed(struct pql_buf *buf, uint64_t value, int bytes)
{
    char *at = pql_buf_reserve(buf, 8);
    for (int i = 0; i < bytes; i++) at[i] = (char)(unsigned char)(value >> (8 * i));
    buf->len += (size_t)bytes;
}

void pql_buf_u32(struct pql_buf *buf, uint32_t value)
{
    put_fixed(buf, value, 4);
}
void pql_buf_u64(struct pql_buf *buf, uint64_t value)
{
    put_fixed(buf, value, 8);
}

void pql_buf_varint(struct pql_buf *buf, uint64_t value)
{
    char *at = pql_buf_reserve(buf, 10);
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) at[n++] = (char)(unsigned char)(value | 0x80);
    at[n++] = (char)(unsigned char)value;
    buf->len += n;
}

void pql_buf_zigzag(struct pql_buf *buf, int64_t value)
{
    pql_buf_varint(buf, ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0));
}

struct pql_reader pql_reader_of(const void *bytes, size_t len)
{
    static const char nothing[1];
    const char *at = bytes ? bytes : nothing;
    return (struct pql_reader){at, at + (bytes ? len : 0), false};
}

const char *pql_read_bytes(struct pql_reader *reader, size_t len)
{
    if (reader->failed || pql_reader_left(reader) < len) {
        reader->failed = true;
        return NULL;
    }
    const char *at = reader->at;
    reader->at += len;
    return at;
}

static uint64_t read_fixed(struct pql_reader *reader, size_t bytes)
{
    const char *at = pql_read_bytes(reader, bytes);
    uint64_t value = 0;
    if (at)
        for (size_t i = 0; i < bytes; i++) value |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return value;
}

uint8_t pql_read_u8(struct pql_reader *reader)
{
    return (uint8_t)read_fixed(reader, 1);
}
uint32_t pql_read_u32(struct pql_reader *reader)
{
    return (uint32_t)read_fixed(reader, 4);
}
uint64_t pql_read_u64(struct pql_reader *reader)
{
    return read_fixed(reader, 8);
}

uint64_t pql_read_varint(struct pql_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70 && !reader->failed; shift += 7) {
        uint8_t byte = pql_read_u8(reader);
        if (shift == 63 && byte > 1) break;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return reader->failed ? 0 : value;
    }
    reader->failed = true;
    return 0;
}

int64_t pql_read_zigzag(struct pql_reader *reader)
{
    uint64_t value = pql_read_varint(reader);
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

struct pql_slice pql_read_slice(struct pql_reader *reader)
{
    uint64_t len = pql_read_varint(reader);
    const char *at = len <= pql_reader_left(reader) ? pql_read_bytes(reader, (size_t)len) : NULL;
    if (!at) reader->failed = true;
    return (struct pql_slice){at ? at : "", at ? (size_t)len : 0};
}
