#include "core/state/checkpoint_format.h"
#include "core/state/crc32c.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static void checksum_is_castagnoli(void **state)
{
    (void)state;
    assert_int_equal(pql_crc32c("123456789", 9), 0xe3069283);
    assert_int_equal(pql_crc32c("", 0), 0);
    char bytes[100];
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (char)(i * 7);
    for (size_t n = 0; n <= sizeof bytes; n++)
        assert_int_equal(pql_crc32c(bytes, n), pql_crc32c_by_table(bytes, n));
}

static void metadata_round_trip(void **state)
{
    (void)state;
    struct pql_metadata m = {.topic_id = "AAAAAAAAAAAAAAAAAAAAAA",
                             .writer = "0123456789abcdef",
                             .epoch = 7,
                             .journal = 3,
                             .records = UINT64_MAX,
                             .hash = 0xfedcba9876543210,
                             .manifest = 812},
                        back;
    char text[PQL_METADATA_TEXT_MAX + 1];
    pql_metadata_write(&m, text);
    assert_string_equal(text, "v1;t=AAAAAAAAAAAAAAAAAAAAAA;w=0123456789abcdef;e=7;j=3;n=18446744073709551615;"
                              "x=fedcba9876543210;m=812");
    struct pql_err err;
    assert_int_equal(pql_metadata_parse(pql_slice_of(text), &back, &err), 0);
    assert_memory_equal(&m, &back, sizeof m);
    m.manifest = -1;
    m.hash = 0;
    pql_metadata_write(&m, text);
    assert_int_equal(pql_metadata_parse(pql_slice_of(text), &back, &err), 0);
    assert_int_equal(back.manifest, -1);
}

static void metadata_of_others(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "v1",
        "hello",
        "v1;t=-;w=a;e=1;j=0;n=0;x=0",
        "v1;t=-;w=a;e=1;j=0;n=0;x=0;m=",
        "v1;t=-;w=a;e=-1;j=0;n=0;x=0;m=none",
        "v1;t=-;w=a;e=1;j=0;n=0;x=0;m=none;y=1",
        "v1;t=-;w=a;e=99999999999999999999;j=0;n=0;x=0;m=none",
        "v1;t=-;w=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;e=1;j=0;n=0;x=0;m=none",
        "v1;t=-;w=a;e=1;j=0;n=0;x=g;m=none",
    };
    struct pql_metadata m;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct pql_err err = {0};
        assert_int_equal(pql_metadata_parse(pql_slice_of(wrong[i]), &m, &err), -1);
        assert_string_equal(err.reason, "foreign_metadata");
        assert_int_equal(err.cls, PQL_ERR_CONFIG);
    }
    struct pql_err err = {0};
    assert_int_equal(pql_metadata_parse(pql_slice_of("v2;t=-"), &m, &err), -1);
    assert_string_equal(err.reason, "newer_format");
}

static struct pql_slice slice_of(const struct pql_buf *buf)
{
    return (struct pql_slice){buf->ptr, buf->len};
}

static const int64_t offsets[] = {10, 11, 13, 900000};

/* The record, without parts. */
static void manifest_bytes(struct pql_buf *buf)
{
    static const struct pql_saved base[] = {{{"w1", 2}, 9, 4, 3, offsets, 4, 77},
                                            {{"w0", 2}, 7, 4, 2, offsets, 2, 5}};
    static const struct pql_ancestor ancestors[] = {{900, 7, 4, 3}, {800, 6, 3, 2}};
    struct pql_buf body = {0};
    struct pql_manifest m = {
        .task = 3,
        .writer = PQL_SLICE_LITERAL("w1"),
        .semantics = 1,
        .inputs_count = 2,
        .place = {{100, 7}, 12},
        .journal_from = 8,
        .base = base,
        .base_count = 2,
        .ancestors = ancestors,
        .ancestors_count = 2,
        .accounts = 6,
        .digest = 0x1122334455667788,
        .program = PQL_SLICE_LITERAL("text"),
        .program_hash = PQL_SLICE_LITERAL("ab"),
        .revision = -1,
        .topic_ids = {PQL_SLICE_LITERAL("id0"), PQL_SLICE_LITERAL("-")},
        .partitions_count = 4,
        .partitioner = PQL_SLICE_LITERAL("murmur2"),
        .lag_ms = 33,
    };
    pql_share_add(&m.share, true);
    pql_manifest_body(&m, &body);
    pql_manifest_write(NULL, 0, slice_of(&body), buf);
    pql_buf_deinit(&body);
}

/* Of the content of a manifest's record. */
static int parse(struct pql_slice content, struct pql_arena *arena, struct pql_manifest *m,
                 struct pql_err *err)
{
    const int64_t *parts;
    size_t count;
    struct pql_slice rest;
    if (pql_manifest_open(content, arena, &parts, &count, &rest, err)) return -1;
    return pql_manifest_parse(rest, arena, m, err);
}

static void manifest_round_trip(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    struct pql_arena arena;
    pql_arena_init(&arena);
    manifest_bytes(&buf);
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_err err;
    struct pql_manifest m;
    assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), 0);
    assert_int_equal(type, PQL_CHECKPOINT_MANIFEST);
    assert_int_equal(parse(content, &arena, &m, &err), 0);
    assert_int_equal(m.base_count, 2);
    assert_int_equal(m.base[0].chunks_count, 4);
    assert_memory_equal(m.base[0].chunks, offsets, sizeof offsets);
    assert_int_equal(m.base[1].number, 7);
    assert_int_equal(m.base[1].residue, 2);
    assert_true(pql_slice_is(m.base[1].writer, "w0"));
    assert_int_equal(m.ancestors_count, 2);
    assert_int_equal(m.ancestors[1].offset, 800);
    assert_int_equal(m.ancestors[1].low, 2);
    assert_int_equal(m.place.next[1], 7);
    assert_int_equal(m.place.journal, 12);
    assert_true(m.digest == 0x1122334455667788);
    assert_true(pql_slice_is(m.topic_ids[0], "id0"));
    assert_true(pql_slice_is(m.partitioner, "murmur2"));
    assert_int_equal(m.share.bad, 1);
    assert_int_equal(m.lag_ms, 33);
    pql_arena_deinit(&arena);
    pql_buf_deinit(&buf);
}

/* Any one byte changed is found by the checksum; with a right checksum again, nothing is read out of bounds.
 */
static void damage_is_found(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    struct pql_arena arena;
    pql_arena_init(&arena);
    manifest_bytes(&buf);
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_manifest m;
    for (size_t i = 0; i < buf.len; i++) {
        struct pql_err err;
        buf.ptr[i] = (char)(buf.ptr[i] ^ 0x41);
        if (i != 4) assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), -1);
        if (i >= 9) {
            pql_checkpoint_seal(&buf, 0);
            assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), 0);
            (void)!parse(content, &arena, &m, &err);
        }
        buf.ptr[i] = (char)(buf.ptr[i] ^ 0x41);
        pql_checkpoint_seal(&buf, 0);
    }
    for (size_t n = 0; n < buf.len; n++) {
        struct pql_err err;
        char *part = malloc(n ? n : 1);
        memcpy(part, buf.ptr, n);
        assert_int_equal(pql_checkpoint_open((struct pql_slice){part, n}, &type, &content, &err), -1);
        if (n > 9) assert_int_equal(parse((struct pql_slice){part + 9, n - 9}, &arena, &m, &err), -1);
        free(part);
    }
    static const char *const reasons[] = {"older_format", NULL, "newer_format"};
    for (int i = -1; i <= 1; i++) {
        struct pql_err err = {0};
        buf.ptr[3] = (char)(PQL_CHECKPOINT_VERSION + i);
        assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), i ? -1 : 0);
        if (i) assert_string_equal(err.reason, reasons[i + 1]);
    }
    pql_arena_deinit(&arena);
    pql_buf_deinit(&buf);
}

static void journal_round_trip(void **state)
{
    (void)state;
    const struct pql_journal entries[] = {
        {.kind = PQL_JOURNAL_TICK, .time_ms = -5},
        {.kind = PQL_JOURNAL_PROGRAM,
         .program = PQL_SLICE_LITERAL("p"),
         .program_hash = PQL_SLICE_LITERAL("h"),
         .revision = 4},
        {.kind = PQL_JOURNAL_RUN},
        {.kind = PQL_JOURNAL_REFUSED,
         .input = 1,
         .refused_from = 48,
         .reason = PQL_SLICE_LITERAL("bad_avro")},
        {.kind = PQL_JOURNAL_PART,
         .part = {.kind = PQL_WORK_TICK,
                  .seen_ms = 9,
                  .complete_ms = -3,
                  .upto_ms = 8,
                  .input = 1,
                  .offset = 50,
                  .due_ms = 7,
                  .account = PQL_SLICE_LITERAL("a1")}},
        {.kind = PQL_JOURNAL_REFRESH},
    };
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++) {
        struct pql_journal entry = entries[i], back;
        entry.task = 2;
        entry.writer = PQL_SLICE_LITERAL("w");
        entry.inputs_count = 2;
        entry.place = (struct pql_log_place){{40, 50}, i + 1};
        struct pql_buf buf = {0};
        struct pql_err err;
        enum pql_checkpoint_type type;
        struct pql_slice content;
        pql_journal_write(&entry, &buf);
        assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), 0);
        assert_int_equal(type, PQL_CHECKPOINT_JOURNAL);
        assert_int_equal(pql_journal_parse(content, &back, &err), 0);
        assert_int_equal(back.kind, entry.kind);
        assert_int_equal(back.place.journal, i + 1);
        assert_int_equal(back.place.next[1], 50);
        assert_int_equal(back.time_ms, entry.time_ms);
        assert_true(pql_slice_eq(back.reason, entry.reason));
        assert_true(pql_slice_eq(back.program, entry.program));
        assert_int_equal(back.refused_from, entry.refused_from);
        assert_int_equal(back.part.kind, entry.part.kind);
        assert_int_equal(back.part.seen_ms, entry.part.seen_ms);
        assert_int_equal(back.part.complete_ms, entry.part.complete_ms);
        assert_int_equal(back.part.upto_ms, entry.part.upto_ms);
        assert_int_equal(back.part.input, entry.part.input);
        assert_int_equal(back.part.offset, entry.part.offset);
        assert_int_equal(back.part.due_ms, entry.part.due_ms);
        assert_true(pql_slice_eq(back.part.account, entry.part.account));
        for (size_t n = 0; n < content.len; n++)
            assert_int_equal(pql_journal_parse((struct pql_slice){content.ptr, n}, &back, &err), -1);
        pql_buf_deinit(&buf);
    }
}

static void chunk_round_trip(void **state)
{
    (void)state;
    struct pql_buf buf = {0};
    struct pql_chunk chunk = {.task = 1,
                              .writer = PQL_SLICE_LITERAL("w"),
                              .snapshot = 300,
                              .number = 2,
                              .pages = PQL_SLICE_LITERAL("pages")},
                     back;
    pql_chunk_write(&chunk, PQL_CHECKPOINT_CHUNK, &buf);
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_err err;
    assert_int_equal(pql_checkpoint_open(slice_of(&buf), &type, &content, &err), 0);
    assert_int_equal(pql_chunk_parse(content, &back, &err), 0);
    assert_true(pql_slice_is(back.pages, "pages"));
    assert_int_equal(back.snapshot, 300);
    pql_buf_deinit(&buf);
}

static void share_slides(void **state)
{
    (void)state;
    struct pql_share share = {0};
    for (int i = 0; i < 1500; i++) pql_share_add(&share, i < 700);
    assert_int_equal(share.seen, 1000);
    assert_int_equal(share.bad, 200);
    for (int i = 0; i < 1000; i++) pql_share_add(&share, i % 2);
    assert_int_equal(share.bad, 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_is_castagnoli), cmocka_unit_test(metadata_round_trip),
        cmocka_unit_test(metadata_of_others),     cmocka_unit_test(manifest_round_trip),
        cmocka_unit_test(damage_is_found),        cmocka_unit_test(journal_round_trip),
        cmocka_unit_test(chunk_round_trip),       cmocka_unit_test(share_slides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
