/* ocf_codec.h - how the bytes of a container's block are packed: one row per codec, a new one is one row.
 * Each function appends the unpacked bytes of one block to `out`, at most PQL_OCF_BLOCK_MAX; false if the
 * bytes are damaged or would be more. Thread: any. */
#ifndef PQL_IO_OCF_CODEC_H
#define PQL_IO_OCF_CODEC_H

#include "base/buf.h"

enum { PQL_OCF_BLOCK_MAX = 256 << 20 };

bool pql_ocf_unpack_null(struct pql_slice packed, struct pql_buf *out);
bool pql_ocf_unpack_deflate(struct pql_slice packed, struct pql_buf *out); /* RFC 1951, without header */
bool pql_ocf_unpack_snappy(struct pql_slice packed,
                           struct pql_buf *out); /* and CRC-32 of the unpacked bytes */
bool pql_ocf_unpack_zstd(struct pql_slice packed, struct pql_buf *out);

#define PQL_OCF_CODECS(X)                                                                                    \
    X("null", pql_ocf_unpack_null)                                                                           \
    X("deflate", pql_ocf_unpack_deflate)                                                                     \
    X("snappy", pql_ocf_unpack_snappy)                                                                       \
    X("zstandard", pql_ocf_unpack_zstd)

#endif
