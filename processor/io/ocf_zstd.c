#include "io/ocf_codec.h"

#include "base/err.h"

#include <zstd.h>

bool pql_ocf_unpack_zstd(struct pql_slice packed, struct pql_buf *out)
{
    ZSTD_DStream *stream = ZSTD_createDStream();
    PQL_ASSERT(stream);
    size_t start = out->len, chunk = ZSTD_DStreamOutSize(), state = 1;
    ZSTD_inBuffer in = {packed.ptr, packed.len, 0};
    bool has_more = true; /* to come out, though everything is in */
    while ((in.pos < in.size || has_more) && !ZSTD_isError(state) && out->len - start <= PQL_OCF_BLOCK_MAX) {
        ZSTD_outBuffer to = {pql_buf_reserve(out, chunk), chunk, 0};
        state = ZSTD_decompressStream(stream, &to, &in);
        out->len += to.pos;
        has_more = to.pos == to.size;
    }
    ZSTD_freeDStream(stream);
    return state == 0 && out->len - start <= PQL_OCF_BLOCK_MAX; /* 0: a frame ended exactly here */
}
