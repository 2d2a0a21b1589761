/* What comes back from the checkpoint topic and from committed offsets: a record of any type (its checksum is
 * put right, so that what lies behind it is reached), and the bytes as metadata. */
#include "core/state/checkpoint_format.h"
#include "fuzz/fuzz.h"

static void read_record(struct pql_slice record)
{
    struct pql_err err = {0};
    struct pql_arena arena;
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_chunk chunk;
    struct pql_manifest manifest;
    struct pql_journal journal;
    pql_arena_init(&arena);
    if (!pql_checkpoint_open(record, &type, &content, &err)) {
        if (type == PQL_CHECKPOINT_CHUNK) (void)!pql_chunk_parse(content, &chunk, &err);
        if (type == PQL_CHECKPOINT_MANIFEST) (void)!pql_manifest_parse(content, &arena, &manifest, &err);
        if (type == PQL_CHECKPOINT_JOURNAL) (void)!pql_journal_parse(content, &journal, &err);
    }
    pql_arena_deinit(&arena);
}

/* Metadata that is read is written again as it was. */
static void read_metadata(struct pql_slice text)
{
    struct pql_err err = {0};
    struct pql_metadata metadata, again;
    char out[PQL_METADATA_TEXT_MAX + 1];
    if (pql_metadata_parse(text, &metadata, &err)) return;
    pql_metadata_write(&metadata, out);
    FUZZ_CHECK(!pql_metadata_parse(pql_slice_of(out), &again, &err));
    FUZZ_CHECK(again.epoch == metadata.epoch && again.journal == metadata.journal &&
               again.hash == metadata.hash && again.records == metadata.records &&
               again.manifest == metadata.manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pql_slice given = {(const char *)bytes, len};
    read_metadata(given);
    read_record(given);
    struct pql_buf sealed = {0};
    pql_buf_put(&sealed, bytes, len);
    if (len >= 9) {
        pql_checkpoint_seal(&sealed, 0);
        read_record((struct pql_slice){sealed.ptr, sealed.len});
    }
    pql_buf_deinit(&sealed);
    return 0;
}
