/* The state of a stream as bytes:
 *
 *   "PQS" version:u8 crc32c:u32 of all that follows
 *   digest:u64 of the state
 *   semantics, revision, offset of the next event
 *   app, text of the program: varint length and bytes
 *   pages of the engine (core/state/page.h) to the end
 */
#include "embed/embed.h"

#include "core/state/checkpoint_format.h"
#include "core/state/crc32c.h"

#include <inttypes.h>
#include <string.h>

enum { VERSION = 1, HEAD_BYTES = 8, STEP_BYTES = 1 << 20 };
static const char magic[] = "PQS";

struct saved {
    uint64_t semantics, digest;
    int64_t revision, offset;
    struct pql_slice app, program, pages;
};

/* What is known only when all is written. */
static void write_sums(struct pql_buf *out, uint64_t digest)
{
    struct pql_buf sums = {0};
    pql_buf_u64(&sums, digest);
    memcpy(out->ptr + HEAD_BYTES, sums.ptr, sums.len);
    sums.len = 0;
    pql_buf_u32(&sums, pql_crc32c(out->ptr + HEAD_BYTES, out->len - HEAD_BYTES));
    memcpy(out->ptr + HEAD_BYTES - sums.len, sums.ptr, sums.len);
    pql_buf_deinit(&sums);
}

int pqlstream_save(struct pqlstream *stream, const void **bytes, size_t *len)
{
    if (pql_embed_begin(stream, true)) return -1;
    struct pql_buf *out = &stream->saved;
    out->len = 0;
    pql_buf_put(out, magic, sizeof magic - 1);
    pql_buf_u8(out, VERSION);
    pql_buf_u32(out, 0);
    pql_buf_u64(out, 0);
    pql_buf_varint(out, PQL_SEMANTICS_VERSION);
    pql_buf_zigzag(out, stream->setup.config->revision);
    pql_buf_zigzag(out, stream->offset);
    pql_buf_slice(out, pql_program_app(stream->setup.program));
    pql_buf_slice(out, pql_program_text(stream->setup.program));
    pql_snapshot_begin(stream->engine, 1, 0);
    while (!pql_snapshot_step(stream->engine, out, STEP_BYTES)) continue;
    write_sums(out, pql_snapshot_digest(stream->engine));
    *bytes = out->ptr;
    *len = out->len;
    return 0;
}

/* Whatever is behind the checksum was written so. */
static int parse(const void *bytes, size_t len, struct saved *out, struct pql_err *err)
{
    struct pql_reader in = pql_reader_of(bytes, len);
    const char *begin = pql_read_bytes(&in, sizeof magic - 1);
    uint8_t version = pql_read_u8(&in);
    uint32_t crc = pql_read_u32(&in);
    if (in.failed || memcmp(begin, magic, sizeof magic - 1) != 0)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "this is no saved state of pqlstream");
    if (version != VERSION)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the state is of format %d, and this library reads %d", version,
                        VERSION);
    if (pql_crc32c(in.at, pql_reader_left(&in)) != crc)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the saved state is damaged: its checksum does not fit");
    out->digest = pql_read_u64(&in);
    out->semantics = pql_read_varint(&in);
    out->revision = pql_read_zigzag(&in);
    out->offset = pql_read_zigzag(&in);
    out->app = pql_read_slice(&in);
    out->program = pql_read_slice(&in);
    if (in.failed) return PQL_FAIL(err, PQL_ERR_CONFIG, "the saved state is damaged");
    out->pages = (struct pql_slice){in.at, pql_reader_left(&in)};
    return 0;
}

static int check(const struct pqlstream *stream, const struct saved *saved, bool *is_other,
                 struct pql_err *err)
{
    struct pql_slice app = pql_program_app(stream->setup.program);
    int64_t revision = stream->setup.config->revision;
    if (saved->semantics != PQL_SEMANTICS_VERSION)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the state is of an engine of semantics %" PRIu64 ", this is %d",
                        saved->semantics, PQL_SEMANTICS_VERSION);
    if (!pql_slice_eq(saved->app, app))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the state is of app '%.*s', the configuration of '%.*s'",
                        PQL_SLICE_ARG(saved->app), PQL_SLICE_ARG(app));
    *is_other = !pql_slice_eq(saved->program, pql_program_text(stream->setup.program));
    if (*is_other && revision <= saved->revision)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "the state was saved under other definitions or mappings, as revision %" PRId64
                        ": if the change is meant, set revision = %" PRId64,
                        saved->revision, saved->revision + 1);
    return 0;
}

static struct pql_engine *load(struct pqlstream *stream, const struct pql_program *program,
                               const struct saved *saved, struct pql_err *err)
{
    struct pql_engine *engine = pql_embed_engine(stream, program);
    if (pql_snapshot_load(engine, saved->pages.ptr, saved->pages.len, err) == 0 &&
        pql_snapshot_loaded(engine, err) == 0) {
        if (pql_snapshot_digest(engine) == saved->digest) return engine;
        PQL_FAIL(err, PQL_ERR_CONFIG, "the saved state is damaged: its digest does not fit");
    }
    pql_engine_free(engine);
    return NULL;
}

static void put_in_place(struct pqlstream *stream, struct pql_engine *engine, int64_t offset)
{
    pql_engine_free(stream->engine);
    stream->engine = engine;
    stream->offset = offset;
}

/* Loaded by the definitions that it was saved under, then changed. */
static int restore_other(struct pqlstream *stream, const struct saved *saved, struct pql_err *err)
{
    struct pql_setup own;
    struct pql_engine *engine = NULL;
    int failed = pql_setup_of_program(&own, saved->program, err);
    if (!failed) engine = load(stream, own.program, saved, err);
    if (engine && (failed = pql_engine_change(engine, stream->setup.program, err))) {
        pql_engine_free(engine);
        engine = NULL;
    }
    if (engine) {
        put_in_place(stream, engine, saved->offset);
        pql_engine_settle(engine);
    }
    pql_setup_deinit(&own);
    return engine ? 0 : -1;
}

int pqlstream_restore(struct pqlstream *stream, const void *bytes, size_t len)
{
    struct saved saved;
    struct pql_err err;
    struct pql_engine *engine = NULL;
    bool is_other;
    if (pql_embed_begin(stream, true)) return -1;
    if (parse(bytes, len, &saved, &err) || check(stream, &saved, &is_other, &err))
        return pql_embed_fail(stream, &err);
    if (is_other) return restore_other(stream, &saved, &err) ? pql_embed_fail(stream, &err) : 0;
    if (!(engine = load(stream, stream->setup.program, &saved, &err))) return pql_embed_fail(stream, &err);
    put_in_place(stream, engine, saved.offset);
    return 0;
}
