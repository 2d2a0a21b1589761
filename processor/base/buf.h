/* buf.h - bytes being written, and bytes being read.
 * Writer: grows, ends the process when memory is out (sizes are the program's own). Reader: every read is
 * checked against the end; the first failure sticks, later reads give 0 and an empty slice, so that a decoder
 * checks once. Integers: little endian fixed, or Avro's varint (unsigned LEB128) and zigzag (Avro 1.11
 * specification, "Binary encoding"). Thread: the owner's. */
#ifndef PQL_BASE_BUF_H
#define PQL_BASE_BUF_H

#include "base/slice.h"
#include <stdint.h>

struct pql_buf {
    char *ptr;
    size_t len, capacity;
};

void pql_buf_deinit(struct pql_buf *buf);
/* Room for `size` more bytes; returns where they begin. The caller adds to len what it used. */
char *pql_buf_reserve(struct pql_buf *buf, size_t size);
void pql_buf_put(struct pql_buf *buf, const void *bytes, size_t len);
void pql_buf_slice(struct pql_buf *buf, struct pql_slice text); /* varint length, then the bytes */
void pql_buf_text(struct pql_buf *buf, const char *text);       /* the bytes only */
void pql_buf_printf(struct pql_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
void pql_buf_u8(struct pql_buf *buf, uint8_t value);
void pql_buf_u32(struct pql_buf *buf, uint32_t value);
void pql_buf_u64(struct pql_buf *buf, uint64_t value);
void pql_buf_varint(struct pql_buf *buf, uint64_t value);
void pql_buf_zigzag(struct pql_buf *buf, int64_t value);

struct pql_reader {
    const char *at, *end;
    bool failed;
};

struct pql_reader pql_reader_of(const void *bytes, size_t len);
static inline size_t pql_reader_left(const struct pql_reader *reader)
{
    return (size_t)(reader->end - reader->at);
}
uint8_t pql_read_u8(struct pql_reader *reader);
uint32_t pql_read_u32(struct pql_reader *reader);
uint64_t pql_read_u64(struct pql_reader *reader);
uint64_t pql_read_varint(struct pql_reader *reader); /* more than 10 bytes, or beyond 64 bits: failure */
int64_t pql_read_zigzag(struct pql_reader *reader);
struct pql_slice pql_read_slice(struct pql_reader *reader); /* a view of the bytes read from */
const char *pql_read_bytes(struct pql_reader *reader, size_t len);

#endif
