#include "core/state/checkpoint_format.h"

#include "core/state/crc32c.h"
#include <inttypes.h>
#include <stdio.h>
#include <xxhash.h>

enum {
    HEADER = 9,
    CRC_AT = 5,
    CHUNKS_MAX = 1 << 20,
    BASE_MAX = 256,
    ANCESTORS_MAX = 4096,
    SHARES_MAX = 1 << 16
};

const char *const pql_journal_kind_names[PQL_JOURNAL_KIND_END] = {
    [PQL_JOURNAL_TICK] = "tick",       [PQL_JOURNAL_PROGRAM] = "configuration",
    [PQL_JOURNAL_RUN] = "run",         [PQL_JOURNAL_REFUSED] = "refused",
    [PQL_JOURNAL_PART] = "part",       [PQL_JOURNAL_REFRESH] = "refresh",
    [PQL_JOURNAL_SETTLED] = "settled", [PQL_JOURNAL_ENGINE] = "engine",
    [PQL_JOURNAL_FILLED] = "filled",
};

uint64_t pql_checkpoint_hash(const char *event_id, size_t len)
{
    return XXH3_64bits(event_id, len);
}

void pql_checkpoint_program_hash(struct pql_slice text, char out[33])
{
    XXH128_hash_t hash = XXH3_128bits(text.ptr, text.len);
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

/* --- metadata --- */

void pql_metadata_write(const struct pql_metadata *m, char out[PQL_METADATA_TEXT_MAX + 1])
{
    char manifest[24] = "none";
    if (m->manifest >= 0) snprintf(manifest, sizeof manifest, "%" PRId64, m->manifest);
    int n = snprintf(out, PQL_METADATA_TEXT_MAX + 1,
                     "v1;t=%s;w=%s;e=%" PRIu64 ";j=%" PRIu64 ";n=%" PRIu64 ";x=%016" PRIx64 ";m=%s%s",
                     m->topic_id, m->writer, m->epoch, m->journal, m->records, m->hash, manifest,
                     m->is_behind ? ";a=1" : "");
    PQL_ASSERT(n > 0 && n <= PQL_METADATA_TEXT_MAX);
}

/* Takes `name=value` up to `;` or the end from the front of text. */
static bool take_field(struct pql_slice *text, char name, struct pql_slice *value)
{
    if (text->len < 3 || text->ptr[0] != ';' || text->ptr[1] != name || text->ptr[2] != '=') return false;
    const char *begin = text->ptr + 3, *end = text->ptr + text->len;
    const char *semicolon = memchr(begin, ';', (size_t)(end - begin));
    const char *stop = semicolon ? semicolon : end;
    *value = (struct pql_slice){begin, (size_t)(stop - begin)};
    *text = (struct pql_slice){stop, (size_t)(end - stop)};
    return value->len > 0;
}

static bool take_number(struct pql_slice *text, char name, unsigned base, uint64_t *out)
{
    struct pql_slice value;
    uint64_t n = 0;
    if (!take_field(text, name, &value)) return false;
    for (size_t i = 0; i < value.len; i++) {
        char c = value.ptr[i];
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 99;
        if (digit >= base || n > (UINT64_MAX - digit) / base) return false;
        n = n * base + digit;
    }
    *out = n;
    return true;
}

static bool take_text(struct pql_slice *text, char name, char *out, size_t size)
{
    struct pql_slice value;
    if (!take_field(text, name, &value) || value.len >= size) return false;
    for (size_t i = 0; i < value.len; i++)
        if (value.ptr[i] <= ' ' || value.ptr[i] > '~') return false;
    memcpy(out, value.ptr, value.len);
    out[value.len] = '\0';
    return true;
}

static bool take_manifest(struct pql_slice *text, int64_t *out)
{
    struct pql_slice rest = *text, value;
    uint64_t n;
    if (take_field(&rest, 'm', &value) && pql_slice_is(value, "none")) {
        *text = rest;
        *out = -1;
        return true;
    }
    if (!take_number(text, 'm', 10, &n) || n > INT64_MAX) return false;
    *out = (int64_t)n;
    return true;
}

static bool take_behind(struct pql_slice *text, bool *out)
{
    struct pql_slice value;
    if (!text->len) return true;
    return *out = take_field(text, 'a', &value) && pql_slice_is(value, "1");
}

int pql_metadata_parse(struct pql_slice text, struct pql_metadata *out, struct pql_err *err)
{
    struct pql_metadata m = {0};
    struct pql_slice all = text;
    if (text.len > 2 && text.ptr[0] == 'v' && text.ptr[1] >= '2' && text.ptr[1] <= '9') {
        PQL_FAIL(err, PQL_ERR_CONFIG, "metadata '%.*s' is of a newer version of this program",
                 PQL_SLICE_ARG(all));
        if (err) err->reason = "newer_format";
        return -1;
    }
    bool ours = text.len > 2 && !memcmp(text.ptr, "v1", 2);
    if (ours) text = (struct pql_slice){text.ptr + 2, text.len - 2};
    ours = ours && take_text(&text, 't', m.topic_id, sizeof m.topic_id) &&
           take_text(&text, 'w', m.writer, sizeof m.writer) && take_number(&text, 'e', 10, &m.epoch) &&
           take_number(&text, 'j', 10, &m.journal) && take_number(&text, 'n', 10, &m.records) &&
           take_number(&text, 'x', 16, &m.hash) && take_manifest(&text, &m.manifest) &&
           take_behind(&text, &m.is_behind) && text.len == 0;
    if (!ours) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "metadata '%.*s' of the committed offset is not this program's",
                 PQL_SLICE_ARG(all));
        if (err) err->reason = "foreign_metadata";
        return -1;
    }
    *out = m;
    return 0;
}

/* --- the frame of every record --- */

static size_t frame(struct pql_buf *buf, enum pql_checkpoint_type type)
{
    size_t start = buf->len;
    pql_buf_put(buf, "PQC", 3);
    pql_buf_u8(buf, PQL_CHECKPOINT_VERSION);
    pql_buf_u8(buf, (uint8_t)type);
    pql_buf_u32(buf, 0);
    return start;
}

void pql_checkpoint_seal(struct pql_buf *buf, size_t start)
{
    PQL_ASSERT(buf->len >= start + HEADER);
    uint32_t crc = pql_crc32c(buf->ptr + start + HEADER, buf->len - start - HEADER);
    for (size_t i = 0; i < 4; i++) buf->ptr[start + CRC_AT + i] = (char)(unsigned char)(crc >> (8 * i));
}

int pql_checkpoint_open(struct pql_slice record, enum pql_checkpoint_type *type, struct pql_slice *content,
                        struct pql_err *err)
{
    struct pql_reader r = pql_reader_of(record.ptr, record.len);
    const char *magic = pql_read_bytes(&r, 3);
    uint8_t version = pql_read_u8(&r), kind = pql_read_u8(&r);
    uint32_t crc = pql_read_u32(&r);
    if (r.failed || memcmp(magic, "PQC", 3) || !version)
        return PQL_FAIL(err, PQL_ERR_FATAL, "no record of a checkpoint: its first bytes are wrong");
    if (version < PQL_CHECKPOINT_VERSION) {
        PQL_FAIL(err, PQL_ERR_CONFIG,
                 "checkpoint format %u is older than what this program reads (%d): the binary that wrote it "
                 "goes on "
                 "with it, `pqlstream checkpoint forget` starts anew",
                 version, PQL_CHECKPOINT_VERSION);
        if (err) err->reason = "older_format";
        return -1;
    }
    if (version > PQL_CHECKPOINT_VERSION) {
        PQL_FAIL(err, PQL_ERR_CONFIG,
                 "checkpoint format %u is newer than this program (%d): start the newer one", version,
                 PQL_CHECKPOINT_VERSION);
        if (err) err->reason = "newer_format";
        return -1;
    }
    if (pql_crc32c(r.at, pql_reader_left(&r)) != crc)
        return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: the checksum of %zu bytes is wrong",
                        pql_reader_left(&r));
    if (kind < PQL_CHECKPOINT_CHUNK || kind > PQL_CHECKPOINT_PART)
        return PQL_FAIL(err, PQL_ERR_FATAL, "checkpoint record of unknown type %u", kind);
    *type = (enum pql_checkpoint_type)kind;
    *content = (struct pql_slice){r.at, pql_reader_left(&r)};
    return 0;
}

/* --- chunk --- */

void pql_chunk_write(const struct pql_chunk *chunk, enum pql_checkpoint_type type, struct pql_buf *buf)
{
    size_t start = frame(buf, type);
    pql_buf_zigzag(buf, chunk->task);
    pql_buf_slice(buf, chunk->writer);
    pql_buf_varint(buf, chunk->snapshot);
    pql_buf_varint(buf, chunk->number);
    pql_buf_put(buf, chunk->pages.ptr, chunk->pages.len);
    pql_checkpoint_seal(buf, start);
}

static int32_t read_i32(struct pql_reader *r)
{
    int64_t v = pql_read_zigzag(r);
    if (v < INT32_MIN || v > INT32_MAX) r->failed = true;
    return r->failed ? 0 : (int32_t)v;
}

static uint32_t read_u32v(struct pql_reader *r)
{
    uint64_t v = pql_read_varint(r);
    if (v > UINT32_MAX) r->failed = true;
    return r->failed ? 0 : (uint32_t)v;
}

int pql_chunk_parse(struct pql_slice content, struct pql_chunk *out, struct pql_err *err)
{
    struct pql_reader r = pql_reader_of(content.ptr, content.len);
    struct pql_chunk chunk = {.task = read_i32(&r), .writer = pql_read_slice(&r)};
    chunk.snapshot = pql_read_varint(&r);
    chunk.number = read_u32v(&r);
    if (r.failed) return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: the head of a chunk ends too early");
    chunk.pages = (struct pql_slice){r.at, pql_reader_left(&r)};
    *out = chunk;
    return 0;
}

/* --- place and share --- */

static void put_place(struct pql_buf *buf, const struct pql_log_place *place, uint32_t inputs_count)
{
    pql_buf_varint(buf, inputs_count);
    for (uint32_t i = 0; i < inputs_count; i++) pql_buf_zigzag(buf, place->next[i]);
    pql_buf_varint(buf, place->journal);
}

static uint32_t read_place(struct pql_reader *r, struct pql_log_place *place)
{
    uint64_t n = pql_read_varint(r);
    if (n > PQL_INPUTS_MAX) r->failed = true;
    for (uint64_t i = 0; !r->failed && i < n; i++) place->next[i] = pql_read_zigzag(r);
    place->journal = pql_read_varint(r);
    return r->failed ? 0 : (uint32_t)n;
}

void pql_share_add(struct pql_share *share, bool is_bad)
{
    uint64_t bit = UINT64_C(1) << (share->next % 64), *word = &share->bits[share->next / 64];
    if (share->seen == PQL_SHARE_WINDOW && (*word & bit)) share->bad--;
    if (share->seen < PQL_SHARE_WINDOW) share->seen++;
    *word = is_bad ? *word | bit : *word & ~bit;
    share->bad += is_bad;
    share->next = (share->next + 1) % PQL_SHARE_WINDOW;
}

static void put_share(struct pql_buf *buf, const struct pql_share *share)
{
    for (size_t i = 0; i < PQL_SHARE_WORDS; i++) pql_buf_varint(buf, share->bits[i]);
    pql_buf_varint(buf, share->next);
    pql_buf_varint(buf, share->seen);
    pql_buf_varint(buf, share->bad);
}

static void read_share(struct pql_reader *r, struct pql_share *share)
{
    for (size_t i = 0; i < PQL_SHARE_WORDS; i++) share->bits[i] = pql_read_varint(r);
    share->next = read_u32v(r);
    share->seen = read_u32v(r);
    share->bad = read_u32v(r);
    if (share->next >= PQL_SHARE_WINDOW || share->seen > PQL_SHARE_WINDOW || share->bad > share->seen)
        r->failed = true;
}

/* --- manifest --- */

static void put_offsets(struct pql_buf *buf, const int64_t *offsets, size_t count)
{
    int64_t before = 0;
    pql_buf_varint(buf, count);
    for (size_t i = 0; i < count; before = offsets[i++]) pql_buf_varint(buf, (uint64_t)(offsets[i] - before));
}

static void put_saved(struct pql_buf *buf, const struct pql_saved *saved)
{
    pql_buf_slice(buf, saved->writer);
    pql_buf_varint(buf, saved->number);
    pql_buf_varint(buf, saved->modulus);
    pql_buf_varint(buf, saved->residue);
    pql_buf_varint(buf, saved->bytes);
    put_offsets(buf, saved->chunks, saved->chunks_count);
}

static void put_ancestor(struct pql_buf *buf, const struct pql_ancestor *ancestor)
{
    pql_buf_zigzag(buf, ancestor->offset);
    pql_buf_varint(buf, ancestor->number);
    pql_buf_varint(buf, ancestor->first);
    pql_buf_zigzag(buf, ancestor->low);
}

void pql_manifest_write(const int64_t *parts, size_t parts_count, struct pql_slice rest, struct pql_buf *buf)
{
    size_t start = frame(buf, PQL_CHECKPOINT_MANIFEST);
    put_offsets(buf, parts, parts_count);
    pql_buf_put(buf, rest.ptr, rest.len);
    pql_checkpoint_seal(buf, start);
}

void pql_manifest_body(const struct pql_manifest *m, struct pql_buf *buf)
{
    pql_buf_zigzag(buf, m->task);
    pql_buf_slice(buf, m->writer);
    pql_buf_varint(buf, m->semantics);
    put_place(buf, &m->place, m->inputs_count);
    pql_buf_zigzag(buf, m->journal_from);
    pql_buf_varint(buf, m->base_count);
    for (size_t i = 0; i < m->base_count; i++) put_saved(buf, &m->base[i]);
    pql_buf_varint(buf, m->ancestors_count);
    for (size_t i = 0; i < m->ancestors_count; i++) put_ancestor(buf, &m->ancestors[i]);
    pql_buf_varint(buf, m->accounts);
    pql_buf_u64(buf, m->digest);
    pql_buf_slice(buf, m->program);
    pql_buf_slice(buf, m->program_hash);
    pql_buf_zigzag(buf, m->revision);
    for (uint32_t i = 0; i < m->inputs_count; i++) pql_buf_slice(buf, m->topic_ids[i]);
    pql_buf_zigzag(buf, m->partitions_count);
    pql_buf_slice(buf, m->partitioner);
    pql_buf_zigzag(buf, m->lag_ms);
    pql_buf_zigzag(buf, m->run_input);
    put_share(buf, &m->share);
    pql_buf_slice(buf, m->schemas);
}

/* Offsets are saved as differences. A count beyond the bytes that are left is refused before anything is
 * allocated. */
static const int64_t *read_offsets(struct pql_reader *r, struct pql_arena *arena, size_t *count)
{
    uint64_t n = pql_read_varint(r);
    if (n > CHUNKS_MAX || n > pql_reader_left(r)) r->failed = true;
    if (r->failed) n = 0;
    int64_t *offsets = pql_arena_alloc(arena, (size_t)(n + 1) * sizeof *offsets), last = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t step = pql_read_varint(r);
        if (step > (uint64_t)(INT64_MAX - last) || (i && !step)) r->failed = true;
        if (r->failed) break;
        offsets[i] = last += (int64_t)step;
    }
    *count = (size_t)n;
    return offsets;
}

static const struct pql_saved *read_base(struct pql_reader *r, struct pql_arena *arena, size_t *count)
{
    uint64_t n = pql_read_varint(r);
    if (!n || n > BASE_MAX) r->failed = true;
    struct pql_saved *base = pql_arena_zalloc(arena, BASE_MAX * sizeof *base);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        struct pql_saved *saved = &base[i];
        saved->writer = pql_read_slice(r);
        saved->number = pql_read_varint(r);
        saved->modulus = read_u32v(r);
        saved->residue = read_u32v(r);
        saved->bytes = pql_read_varint(r);
        saved->chunks = read_offsets(r, arena, &saved->chunks_count);
        bool falls = !i || saved->number < base[i - 1].number;
        if (!falls || saved->residue >= saved->modulus || saved->modulus > SHARES_MAX || !saved->chunks_count)
            r->failed = true;
    }
    *count = (size_t)n;
    return base;
}

static const struct pql_ancestor *read_ancestors(struct pql_reader *r, struct pql_arena *arena, size_t *count)
{
    uint64_t n = pql_read_varint(r);
    if (n > ANCESTORS_MAX || n > pql_reader_left(r)) r->failed = true;
    if (r->failed) n = 0;
    struct pql_ancestor *ancestors = pql_arena_zalloc(arena, (size_t)(n + 1) * sizeof *ancestors);
    for (uint64_t i = 0; i < n && !r->failed; i++) {
        ancestors[i].offset = pql_read_zigzag(r);
        ancestors[i].number = pql_read_varint(r);
        ancestors[i].first = pql_read_varint(r);
        ancestors[i].low = pql_read_zigzag(r);
    }
    *count = (size_t)n;
    return ancestors;
}

int pql_manifest_open(struct pql_slice content, struct pql_arena *arena, const int64_t **parts,
                      size_t *parts_count, struct pql_slice *rest, struct pql_err *err)
{
    struct pql_reader r = pql_reader_of(content.ptr, content.len);
    const int64_t *offsets = read_offsets(&r, arena, parts_count);
    if (r.failed) return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: the head of a manifest does not parse");
    *parts = offsets;
    *rest = (struct pql_slice){r.at, pql_reader_left(&r)};
    return 0;
}

int pql_manifest_parse(struct pql_slice body, struct pql_arena *arena, struct pql_manifest *out,
                       struct pql_err *err)
{
    struct pql_reader r = pql_reader_of(body.ptr, body.len);
    struct pql_manifest m = {.task = read_i32(&r)};
    m.writer = pql_read_slice(&r);
    m.semantics = read_u32v(&r);
    m.inputs_count = read_place(&r, &m.place);
    m.journal_from = pql_read_zigzag(&r);
    m.base = read_base(&r, arena, &m.base_count);
    m.ancestors = read_ancestors(&r, arena, &m.ancestors_count);
    m.accounts = pql_read_varint(&r);
    m.digest = pql_read_u64(&r);
    m.program = pql_read_slice(&r);
    m.program_hash = pql_read_slice(&r);
    m.revision = pql_read_zigzag(&r);
    for (uint32_t i = 0; i < m.inputs_count; i++) m.topic_ids[i] = pql_read_slice(&r);
    m.partitions_count = read_i32(&r);
    m.partitioner = pql_read_slice(&r);
    m.lag_ms = pql_read_zigzag(&r);
    m.run_input = read_i32(&r);
    read_share(&r, &m.share);
    m.schemas = pql_read_slice(&r);
    if (r.failed || pql_reader_left(&r))
        return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: the manifest does not parse");
    *out = m;
    return 0;
}

/* --- journal --- */

static void put_part(struct pql_buf *buf, const struct pql_part *part)
{
    pql_buf_u8(buf, (uint8_t)part->kind);
    pql_buf_zigzag(buf, part->seen_ms);
    pql_buf_zigzag(buf, part->complete_ms);
    pql_buf_zigzag(buf, part->upto_ms);
    pql_buf_varint(buf, part->input);
    pql_buf_zigzag(buf, part->offset);
    pql_buf_zigzag(buf, part->due_ms);
    pql_buf_slice(buf, part->account);
}

static void read_part(struct pql_reader *r, uint32_t inputs_count, struct pql_part *part)
{
    uint8_t kind = pql_read_u8(r);
    if (kind <= PQL_WORK_NONE || kind >= PQL_WORK_KIND_COUNT) r->failed = true;
    part->kind = r->failed ? PQL_WORK_NONE : (enum pql_work_kind)kind;
    part->seen_ms = pql_read_zigzag(r);
    part->complete_ms = pql_read_zigzag(r);
    part->upto_ms = pql_read_zigzag(r);
    part->input = read_u32v(r);
    part->offset = pql_read_zigzag(r);
    part->due_ms = pql_read_zigzag(r);
    part->account = pql_read_slice(r);
    if (part->input >= inputs_count) r->failed = true;
}

static void put_fill(struct pql_buf *buf, const struct pql_journal *j)
{
    pql_buf_zigzag(buf, j->fill_from_ms);
    for (uint32_t i = 0; i < j->inputs_count; i++) pql_buf_zigzag(buf, j->fill_next[i]);
}

static bool read_flag(struct pql_reader *r)
{
    uint8_t flag = pql_read_u8(r);
    if (flag > 1) r->failed = true;
    return flag == 1;
}

static void read_fill(struct pql_reader *r, struct pql_journal *j)
{
    j->fill_from_ms = pql_read_zigzag(r);
    for (uint32_t i = 0; i < j->inputs_count; i++) {
        j->fill_next[i] = pql_read_zigzag(r);
        if (j->fill_next[i] < 0 || j->fill_next[i] > j->place.next[i]) r->failed = true;
    }
}

void pql_journal_write(const struct pql_journal *j, struct pql_buf *buf)
{
    size_t start = frame(buf, PQL_CHECKPOINT_JOURNAL);
    pql_buf_zigzag(buf, j->task);
    pql_buf_slice(buf, j->writer);
    pql_buf_u8(buf, (uint8_t)j->kind);
    put_place(buf, &j->place, j->inputs_count);
    switch (j->kind) {
    case PQL_JOURNAL_TICK: pql_buf_zigzag(buf, j->time_ms); break;
    case PQL_JOURNAL_PROGRAM:
        pql_buf_slice(buf, j->program);
        pql_buf_slice(buf, j->program_hash);
        pql_buf_zigzag(buf, j->revision);
        pql_buf_varint(buf, j->semantics);
        for (uint32_t i = 0; i < j->inputs_count; i++) pql_buf_slice(buf, j->topic_ids[i]);
        pql_buf_u8(buf, j->fills);
        if (j->fills) put_fill(buf, j);
        break;
    case PQL_JOURNAL_FILLED:
        pql_buf_u8(buf, j->is_given_up);
        put_fill(buf, j);
        break;
    case PQL_JOURNAL_RUN: break;
    case PQL_JOURNAL_SETTLED: break;
    case PQL_JOURNAL_ENGINE: pql_buf_varint(buf, j->semantics); break;
    case PQL_JOURNAL_REFUSED:
        pql_buf_varint(buf, j->input);
        pql_buf_zigzag(buf, j->refused_from);
        pql_buf_slice(buf, j->reason);
        break;
    case PQL_JOURNAL_PART: put_part(buf, &j->part); break;
    case PQL_JOURNAL_REFRESH: break;
    case PQL_JOURNAL_KIND_END: PQL_ASSERT(!"no kind of entry");
    }
    pql_checkpoint_seal(buf, start);
}

int pql_journal_parse(struct pql_slice content, struct pql_journal *out, struct pql_err *err)
{
    struct pql_reader r = pql_reader_of(content.ptr, content.len);
    struct pql_journal j = {.task = read_i32(&r)};
    j.writer = pql_read_slice(&r);
    uint8_t kind = pql_read_u8(&r);
    j.inputs_count = read_place(&r, &j.place);
    if (r.failed || kind < PQL_JOURNAL_TICK || kind >= PQL_JOURNAL_KIND_END)
        return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: a journal entry does not parse");
    j.kind = (enum pql_journal_kind)kind;
    if (j.kind == PQL_JOURNAL_TICK) j.time_ms = pql_read_zigzag(&r);
    if (j.kind == PQL_JOURNAL_REFUSED) {
        j.input = read_u32v(&r);
        j.refused_from = pql_read_zigzag(&r);
        j.reason = pql_read_slice(&r);
        if (j.input >= j.inputs_count || j.refused_from < 0 || j.refused_from >= j.place.next[j.input])
            r.failed = true;
    }
    if (j.kind == PQL_JOURNAL_PART) read_part(&r, j.inputs_count, &j.part);
    if (j.kind == PQL_JOURNAL_ENGINE) j.semantics = read_u32v(&r);
    if (j.kind == PQL_JOURNAL_FILLED) {
        j.is_given_up = read_flag(&r);
        read_fill(&r, &j);
    }
    if (j.kind == PQL_JOURNAL_PROGRAM) {
        j.program = pql_read_slice(&r);
        j.program_hash = pql_read_slice(&r);
        j.revision = pql_read_zigzag(&r);
        j.semantics = read_u32v(&r);
        for (uint32_t i = 0; i < j.inputs_count; i++) j.topic_ids[i] = pql_read_slice(&r);
        j.fills = read_flag(&r);
        if (j.fills) read_fill(&r, &j);
    }
    if (r.failed || pql_reader_left(&r))
        return PQL_FAIL(err, PQL_ERR_FATAL, "damaged: a journal entry does not parse");
    *out = j;
    return 0;
}
