#include "io/ocf.h"

#include "base/memory.h"
#include "core/wire/plan.h"
#include "io/ocf_codec.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAGIC_SIZE = 4, SYNC_SIZE = 16, METADATA_ENTRIES_MAX = 1000, METADATA_SIZE_MAX = 256 << 20 };

typedef bool unpack_function(struct pql_slice packed, struct pql_buf *out);

#define ROW(name, function) {name, function},
static const struct codec {
    const char *name;
    unpack_function *unpack;
} codecs[] = {PQL_OCF_CODECS(ROW)};

struct pql_ocf {
    char *path;
    FILE *file;
    char *schema_text;
    size_t schema_len;
    struct pql_buf places;
    struct pql_schema *schema;
    struct pql_plan *plan; /* wants nothing: it finds where a datum ends */
    const struct codec *codec;
    char sync[SYNC_SIZE];
    struct pql_buf packed, block;
    struct pql_arena scratch;
    uint64_t blocks, left; /* blocks read; data left in the present one */
    size_t at;             /* in block */
};

static int failed(struct pql_ocf *ocf, enum pql_err_class cls, const char *what, struct pql_err *err)
{
    const char *cause = ferror(ocf->file) ? strerror(errno)
                        : feof(ocf->file) ? "the file ends in the middle"
                                          : what;
    if (cls == PQL_ERR_CONFIG) return PQL_FAIL(err, cls, "%s: %s", ocf->path, cause);
    return PQL_FAIL(err, cls, "%s: block %llu: %s", ocf->path, (unsigned long long)ocf->blocks + 1, cause);
}

/* --- bytes of the file --- */

/* An Avro long. */
static bool read_long(struct pql_ocf *ocf, int64_t *value)
{
    unsigned char bytes[10];
    size_t len = 0;
    for (int c; len < sizeof bytes && (c = getc(ocf->file)) != EOF;) {
        bytes[len++] = (unsigned char)c;
        if (!(c & 0x80)) break;
    }
    struct pql_reader reader = pql_reader_of(bytes, len);
    *value = pql_read_zigzag(&reader);
    return len && !reader.failed;
}

static bool read_bytes(struct pql_ocf *ocf, size_t len, struct pql_buf *out)
{
    out->len = 0;
    /* In parts, so that a size without bytes behind it takes no memory. */
    while (out->len < len) {
        size_t part = len - out->len < 1 << 20 ? len - out->len : 1 << 20;
        size_t n = fread(pql_buf_reserve(out, part), 1, part, ocf->file);
        out->len += n;
        if (n < part) return false;
    }
    return true;
}

static bool read_sized(struct pql_ocf *ocf, size_t max, struct pql_buf *out)
{
    int64_t len;
    return read_long(ocf, &len) && len >= 0 && (uint64_t)len <= max && read_bytes(ocf, (size_t)len, out);
}

/* --- header --- */

static bool take_entry(struct pql_ocf *ocf, struct pql_buf *name, struct pql_buf *value)
{
    if (!read_sized(ocf, METADATA_SIZE_MAX, name) || !read_sized(ocf, METADATA_SIZE_MAX, value)) return false;
    struct pql_slice key = {name->ptr, name->len};
    if (pql_slice_is(key, "avro.schema")) {
        free(ocf->schema_text);
        ocf->schema_text = pql_xstrndup(value->ptr, value->len);
        ocf->schema_len = value->len;
    } else if (pql_slice_is(key, PQL_OCF_PLACES)) {
        ocf->places.len = 0;
        pql_buf_put(&ocf->places, value->ptr, value->len);
    } else if (pql_slice_is(key, "avro.codec")) {
        ocf->codec = NULL;
        for (size_t i = 0; i < sizeof codecs / sizeof *codecs; i++)
            if (pql_slice_is((struct pql_slice){value->ptr, value->len}, codecs[i].name))
                ocf->codec = &codecs[i];
        pql_buf_u8(value, 0);
    }
    return true;
}

/* On an unknown codec its name is left in value. */
static bool read_metadata(struct pql_ocf *ocf, struct pql_buf *name, struct pql_buf *value)
{
    int64_t count, size;
    for (int64_t entries = 0; read_long(ocf, &count);) {
        if (count == 0) return true;
        if (count < 0 && (count < -METADATA_ENTRIES_MAX || !read_long(ocf, &size))) return false;
        if (count < 0) count = -count;
        if ((entries += count) > METADATA_ENTRIES_MAX) return false;
        while (count-- > 0 && ocf->codec)
            if (!take_entry(ocf, name, value)) return false;
        if (!ocf->codec) return true;
    }
    return false;
}

static int unknown_codec(struct pql_ocf *ocf, const char *name, struct pql_err *err)
{
    return PQL_FAIL(err, PQL_ERR_CONFIG,
                    "%s: codec '%.40s' cannot be read, only null, deflate, snappy and zstandard", ocf->path,
                    name);
}

static int read_header(struct pql_ocf *ocf, struct pql_err *err)
{
    static const char magic[MAGIC_SIZE] = {'O', 'b', 'j', 1};
    struct pql_buf name = {0}, value = {0};
    int result = -1;
    if (!read_bytes(ocf, MAGIC_SIZE, &value) || memcmp(value.ptr, magic, MAGIC_SIZE) != 0) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "%s: not an Avro object container file", ocf->path);
        goto out;
    }
    ocf->codec = &codecs[0]; /* null, unless it is named */
    if (!read_metadata(ocf, &name, &value)) {
        failed(ocf, PQL_ERR_CONFIG, "the header is damaged", err);
        goto out;
    }
    if (!ocf->codec) {
        unknown_codec(ocf, value.ptr, err);
        goto out;
    }
    if (!read_bytes(ocf, SYNC_SIZE, &value) || !ocf->schema_text) {
        failed(ocf, PQL_ERR_CONFIG, "the header has no avro.schema", err);
        goto out;
    }
    memcpy(ocf->sync, value.ptr, SYNC_SIZE);
    result = 0;
out:
    pql_buf_deinit(&name);
    pql_buf_deinit(&value);
    return result;
}

struct pql_ocf *pql_ocf_open(const char *path, struct pql_err *err)
{
    struct pql_ocf *ocf = pql_xcalloc(1, sizeof *ocf);
    bool is_stdin = strcmp(path, "-") == 0;
    ocf->path = pql_xstrndup(is_stdin ? "standard input" : path, is_stdin ? 14 : strlen(path));
    ocf->file = is_stdin ? stdin : fopen(path, "rbe");
    if (!ocf->file) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
        goto fail;
    }
    if (read_header(ocf, err)) goto fail;
    ocf->schema = pql_schema_parse(pql_ocf_schema(ocf), err);
    if (ocf->schema) ocf->plan = pql_plan_new(ocf->schema, NULL, NULL, 0, err);
    if (ocf->plan) return ocf;
    pql_err_prefix(err, "%s: avro.schema: ", ocf->path);
    if (err) err->cls = PQL_ERR_CONFIG;
fail:
    pql_ocf_close(ocf);
    return NULL;
}

void pql_ocf_close(struct pql_ocf *ocf)
{
    if (!ocf) return;
    if (ocf->file && ocf->file != stdin) fclose(ocf->file);
    pql_plan_free(ocf->plan);
    pql_schema_free(ocf->schema);
    pql_buf_deinit(&ocf->places);
    pql_buf_deinit(&ocf->packed);
    pql_buf_deinit(&ocf->block);
    pql_arena_deinit(&ocf->scratch);
    free(ocf->schema_text);
    free(ocf->path);
    free(ocf);
}

struct pql_slice pql_ocf_schema(const struct pql_ocf *ocf)
{
    return (struct pql_slice){ocf->schema_text, ocf->schema_len};
}

struct pql_slice pql_ocf_places(const struct pql_ocf *ocf)
{
    return (struct pql_slice){ocf->places.ptr, ocf->places.len};
}

/* --- data --- */

/* Data of no bytes could be any number: as many as a message may have are believed. */
static bool is_believable(const struct pql_ocf *ocf)
{
    uint32_t least = pql_schema_root(ocf->schema)->min_size;
    return ocf->left <= (least ? ocf->block.len / least : PQL_PLAN_EMPTY_MAX);
}

static bool is_at_end(struct pql_ocf *ocf)
{
    int c = getc(ocf->file);
    return c == EOF ? !ferror(ocf->file) : (ungetc(c, ocf->file), false);
}

static int read_block(struct pql_ocf *ocf, struct pql_err *err)
{
    int64_t count;
    if (!read_long(ocf, &count) || count < 0) return failed(ocf, PQL_ERR_FATAL, "its count is damaged", err);
    if (!read_sized(ocf, PQL_OCF_BLOCK_MAX, &ocf->packed))
        return failed(ocf, PQL_ERR_FATAL, "its size is damaged", err);
    ocf->block.len = ocf->at = 0;
    if (!ocf->codec->unpack((struct pql_slice){ocf->packed.ptr, ocf->packed.len}, &ocf->block))
        return failed(ocf, PQL_ERR_FATAL, "it cannot be unpacked", err);
    if (!read_bytes(ocf, SYNC_SIZE, &ocf->packed) || memcmp(ocf->packed.ptr, ocf->sync, SYNC_SIZE) != 0)
        return failed(ocf, PQL_ERR_FATAL, "no sync marker behind it", err);
    ocf->left = (uint64_t)count;
    return is_believable(ocf) ? 0
                              : failed(ocf, PQL_ERR_FATAL, "its count is larger than its bytes allow", err);
}

int pql_ocf_next(struct pql_ocf *ocf, struct pql_slice *datum, struct pql_err *err)
{
    while (!ocf->left) {
        if (ocf->at < ocf->block.len) return failed(ocf, PQL_ERR_FATAL, "bytes follow its last datum", err);
        if (is_at_end(ocf)) {
            *datum = (struct pql_slice){NULL, 0};
            return 0;
        }
        if (read_block(ocf, err)) return -1;
        ocf->blocks++;
    }
    static const char nothing[1];
    const char *bytes = ocf->block.ptr ? ocf->block.ptr + ocf->at : nothing;
    size_t used;
    pql_arena_reset(&ocf->scratch);
    if (pql_plan_run_first(ocf->plan, bytes, ocf->block.len - ocf->at, &used, &ocf->scratch, NULL, err)) {
        pql_err_prefix(err, "%s: block %llu: ", ocf->path, (unsigned long long)ocf->blocks);
        if (err) err->cls = PQL_ERR_FATAL;
        return -1;
    }
    *datum = (struct pql_slice){bytes, used};
    ocf->at += used;
    ocf->left--;
    return 0;
}
