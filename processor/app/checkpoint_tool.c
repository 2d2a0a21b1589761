#include "app/checkpoint_tool.h"

#include "app/setup.h"

#include "core/engine.h"
#include "core/state/base.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum { CALL_MS = 10000, READ_MS = 1000, TRIES = 60, PAUSE_MS = 50, PATIENCE_MS = 30000 };

static uint64_t patience_from_now(const struct pql_tool *tool)
{
    return tool->ports->mono_us(tool->ports->self) + PATIENCE_MS * 1000;
}

/* Whether a call that may succeed later is to be repeated; after a pause, since a group that works hard has a
 * transaction under way most of the time, and the answer is then at once that the offsets are not stable. */
static bool is_worth_a_try(const struct pql_tool *tool, int rc, const struct pql_err *err, uint64_t until_us)
{
    if (!rc || err->cls != PQL_ERR_RETRY || tool->ports->mono_us(tool->ports->self) > until_us) return false;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    return true;
}

/* --- reading --- */

/* The next record or the end; -1 after a minute without either. */
static int next_record(const struct pql_tool *tool, struct pql_log *log, struct pql_log_record *record,
                       struct pql_err *err)
{
    for (int i = 0; i < TRIES; i++) {
        int rc = tool->ports->log_read(tool->ports->self, log, READ_MS, record, err);
        if (rc && err->cls != PQL_ERR_RETRY) return -1;
        if (!rc && record->kind != PQL_LOG_NOTHING) return 0;
    }
    return PQL_FAIL(err, PQL_ERR_RETRY, "the checkpoint topic does not answer");
}

static int read_offsets(const struct pql_tool *tool, struct pql_tool_task *task, struct pql_err *err)
{
    struct pql_position *positions = pql_xcalloc(tool->inputs_count, sizeof *positions);
    for (uint32_t i = 0; i < tool->inputs_count; i++)
        positions[i] = (struct pql_position){.input = i, .partition = task->partition};
    uint64_t until_us = patience_from_now(tool);
    int rc;
    do rc = tool->ports->committed(tool->ports->self, positions, tool->inputs_count, CALL_MS, err);
    while (is_worth_a_try(tool, rc, err, until_us));
    if (!rc) {
        struct pql_err ignored;
        bool is_one_commit = true;
        for (uint32_t i = 0; i < tool->inputs_count; i++) {
            task->committed[i] = positions[i].offset;
            task->has_offset |= positions[i].offset >= 0;
            is_one_commit &=
                positions[i].offset >= 0 && !strcmp(positions[i].metadata, positions[0].metadata);
        }
        memcpy(task->text, positions[0].metadata, sizeof task->text);
        task->is_ours =
            is_one_commit && !pql_metadata_parse(pql_slice_of(task->text), &task->metadata, &ignored);
    }
    free(positions);
    return rc;
}

/* The record at an offset, with a log opened for it; the caller closes it. */
static int record_at(const struct pql_tool *tool, int32_t partition, int64_t offset, struct pql_log **log,
                     struct pql_log_record *record, struct pql_err *err)
{
    if (tool->ports->log_open(tool->ports->self, partition, offset, PQL_READ_UNCOMMITTED, log, err) ||
        next_record(tool, *log, record, err))
        return -1;
    return record->kind == PQL_LOG_RECORD && record->offset == offset
               ? 0
               : PQL_FAIL(err, PQL_ERR_FATAL, "it is gone");
}

static int read_part(const struct pql_tool *tool, struct pql_tool_task *task, int64_t offset,
                     struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record;
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_chunk part;
    int rc = record_at(tool, task->partition, offset, &log, &record, err) ||
             pql_checkpoint_open(record.value, &type, &content, err);
    if (!rc && type != PQL_CHECKPOINT_PART) rc = PQL_FAIL(err, PQL_ERR_FATAL, "no part of a manifest");
    if (!rc) rc = pql_chunk_parse(content, &part, err);
    if (!rc) pql_buf_put(&task->bytes, part.pages.ptr, part.pages.len);
    if (rc) pql_err_prefix(err, "its part at offset %" PRId64 ": ", offset);
    if (log) tool->ports->log_close(tool->ports->self, log);
    return rc;
}

/* A manifest's record, with what stands in parts before it. */
static int parse_manifest(const struct pql_tool *tool, struct pql_tool_task *task, struct pql_slice record,
                          struct pql_err *err)
{
    enum pql_checkpoint_type type;
    struct pql_slice content, rest;
    const int64_t *parts;
    size_t count;
    if (pql_checkpoint_open(record, &type, &content, err)) return -1;
    if (type != PQL_CHECKPOINT_MANIFEST) return PQL_FAIL(err, PQL_ERR_FATAL, "the record is no manifest");
    pql_arena_reset(&task->arena);
    if (pql_manifest_open(content, &task->arena, &parts, &count, &rest, err)) return -1;
    rest = pql_arena_copy(&task->arena, rest); /* the record does not outlive the next that is read */
    task->bytes.len = 0;
    for (size_t i = 0; i < count; i++)
        if (read_part(tool, task, parts[i], err)) return -1;
    pql_buf_put(&task->bytes, rest.ptr, rest.len);
    return pql_manifest_parse((struct pql_slice){task->bytes.ptr, task->bytes.len}, &task->arena,
                              &task->manifest, err);
}

static int read_manifest(const struct pql_tool *tool, struct pql_tool_task *task, struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record;
    int64_t offset = task->metadata.manifest;
    int rc = record_at(tool, task->partition, offset, &log, &record, err);
    if (!rc) rc = parse_manifest(tool, task, record.value, err);
    if (rc) pql_err_prefix(err, "partition %d, manifest at offset %" PRId64 ": ", task->partition, offset);
    task->has_manifest = !rc;
    if (log) tool->ports->log_close(tool->ports->self, log);
    return rc;
}

int pql_tool_read(const struct pql_tool *tool, int32_t partition, struct pql_tool_task *task,
                  struct pql_err *err)
{
    *task = (struct pql_tool_task){.partition = partition};
    pql_arena_init(&task->arena);
    uint64_t until_us = patience_from_now(tool);
    int rc;
    do rc = tool->ports->checkpoint_ends(tool->ports->self, partition, &task->low, &task->end, CALL_MS, err);
    while (is_worth_a_try(tool, rc, err, until_us));
    if (rc || read_offsets(tool, task, err)) return -1;
    return task->is_ours && task->metadata.manifest >= 0 ? read_manifest(tool, task, err) : 0;
}

void pql_tool_task_deinit(struct pql_tool_task *task)
{
    pql_buf_deinit(&task->bytes);
    pql_arena_deinit(&task->arena);
}

/* --- list and dump --- */

void pql_tool_list(const struct pql_tool *tool, const struct pql_tool_task *task)
{
    const struct pql_manifest *m = &task->manifest;
    fprintf(tool->out, "partition %d: records %" PRId64 "..%" PRId64, task->partition, task->low, task->end);
    if (!task->has_offset) {
        fprintf(tool->out, ", no committed offset%s\n",
                task->end > task->low ? ", although there is state" : ": never ran");
        return;
    }
    for (uint32_t i = 0; i < tool->inputs_count; i++)
        fprintf(tool->out, ", %s at %" PRId64, tool->inputs[i], task->committed[i]);
    if (!task->is_ours) {
        fprintf(tool->out, ", which are not of one commit of this program (metadata '%s')\n", task->text);
        return;
    }
    fprintf(tool->out, ", writer %s, epoch %" PRIu64 ", journal %" PRIu64, task->metadata.writer,
            task->metadata.epoch, task->metadata.journal);
    if (task->has_manifest)
        fprintf(tool->out,
                "; snapshot %" PRIu64 " at %s@%" PRId64 ": %" PRIu64 " accounts, %" PRIu64
                " bytes in %zu snapshots, manifest %" PRId64,
                m->base[0].number, tool->inputs[0], m->place.next[0], m->accounts,
                pql_base_bytes(m->base, m->base_count), m->base_count, task->metadata.manifest);
    else
        fprintf(tool->out, "; no snapshot yet");
    fputc('\n', tool->out);
}

static void dump_entry(const struct pql_tool *tool, const struct pql_journal *j)
{
    fprintf(tool->out, "journal %" PRIu64 " at %" PRId64 " by %.*s: %s", j->place.journal, j->place.next[0],
            PQL_SLICE_ARG(j->writer), pql_journal_kind_names[j->kind]);
    if (j->kind == PQL_JOURNAL_REFUSED)
        fprintf(tool->out, " %.*s, offsets %" PRId64 " to %" PRId64 " of input %u", PQL_SLICE_ARG(j->reason),
                j->refused_from, j->place.next[j->input] - 1, j->input);
    if (j->kind == PQL_JOURNAL_PROGRAM) fprintf(tool->out, " of revision %" PRId64, j->revision);
    if (j->kind == PQL_JOURNAL_PART)
        fprintf(tool->out, " of a long input, done up to %" PRId64 " %.*s", j->part.due_ms,
                PQL_SLICE_ARG(j->part.account));
    fputc('\n', tool->out);
}

static void dump_saved(const struct pql_tool *tool, const struct pql_saved *saved)
{
    fprintf(tool->out,
            "    snapshot %" PRIu64 " by %.*s: share %u of %u, %" PRIu64 " bytes in %zu chunks, offsets ",
            saved->number, PQL_SLICE_ARG(saved->writer), saved->residue + 1, saved->modulus, saved->bytes,
            saved->chunks_count);
    fprintf(tool->out, "%" PRId64 " to %" PRId64 "\n", saved->chunks[0],
            saved->chunks[saved->chunks_count - 1]);
}

static void dump_manifest(const struct pql_tool *tool, const struct pql_manifest *m)
{
    int64_t before = m->ancestors_count ? m->ancestors[0].offset : -1;
    fprintf(tool->out,
            "manifest of snapshot %" PRIu64 " by %.*s at %" PRId64 ", journal %" PRIu64 ": %" PRIu64
            " accounts, digest %016" PRIx64 ", revision %" PRId64 ", predecessor %" PRId64 "\n",
            m->base[0].number, PQL_SLICE_ARG(m->writer), m->place.next[0], m->place.journal, m->accounts,
            m->digest, m->revision, before);
    for (size_t i = 0; i < m->base_count; i++) dump_saved(tool, &m->base[i]);
}

static void dump_content(const struct pql_tool *tool, int32_t partition, struct pql_slice record,
                         enum pql_checkpoint_type type, struct pql_slice content)
{
    struct pql_err err;
    struct pql_chunk chunk;
    struct pql_journal j;
    struct pql_tool_task holder = {.partition = partition};
    pql_arena_init(&holder.arena);
    if ((type == PQL_CHECKPOINT_CHUNK || type == PQL_CHECKPOINT_PART) &&
        !pql_chunk_parse(content, &chunk, &err))
        fprintf(tool->out, "%s %u of snapshot %" PRIu64 " by %.*s, %zu bytes\n",
                type == PQL_CHECKPOINT_CHUNK ? "chunk" : "part of the manifest", chunk.number, chunk.snapshot,
                PQL_SLICE_ARG(chunk.writer), chunk.pages.len);
    else if (type == PQL_CHECKPOINT_MANIFEST && !parse_manifest(tool, &holder, record, &err))
        dump_manifest(tool, &holder.manifest);
    else if (type == PQL_CHECKPOINT_JOURNAL && !pql_journal_parse(content, &j, &err))
        dump_entry(tool, &j);
    else
        fputs("damaged: does not parse\n", tool->out);
    pql_tool_task_deinit(&holder);
}

int pql_tool_dump(const struct pql_tool *tool, int32_t partition, int64_t from, struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record = {.kind = PQL_LOG_RECORD};
    int rc = tool->ports->log_open(tool->ports->self, partition, from, PQL_READ_UNCOMMITTED, &log, err);
    while (!rc && !(rc = next_record(tool, log, &record, err)) && record.kind == PQL_LOG_RECORD) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_err damage;
        fprintf(tool->out, "%d@%" PRId64 " ", partition, record.offset);
        if (pql_checkpoint_open(record.value, &type, &content, &damage))
            fprintf(tool->out, "%s\n", damage.msg);
        else
            dump_content(tool, partition, record.value, type, content);
    }
    if (log) tool->ports->log_close(tool->ports->self, log);
    return rc;
}

/* --- verify --- */

static void ignore_record(void *context, const struct pql_record *record)
{
    (void)context;
    (void)record;
}

static int load_chunk(struct pql_engine *engine, const struct pql_saved *saved, size_t number,
                      struct pql_slice value, struct pql_err *err)
{
    enum pql_checkpoint_type type;
    struct pql_slice content;
    struct pql_chunk chunk;
    if (pql_checkpoint_open(value, &type, &content, err)) return -1;
    if (type != PQL_CHECKPOINT_CHUNK) return PQL_FAIL(err, PQL_ERR_FATAL, "no chunk");
    if (pql_chunk_parse(content, &chunk, err)) return -1;
    if (chunk.snapshot != saved->number || chunk.number != number ||
        !pql_slice_eq(chunk.writer, saved->writer))
        return PQL_FAIL(err, PQL_ERR_FATAL, "a chunk of another snapshot");
    return pql_snapshot_load(engine, chunk.pages.ptr, chunk.pages.len, err);
}

static int load_saved(const struct pql_tool *tool, int32_t partition, const struct pql_saved *saved,
                      struct pql_engine *engine, struct pql_err *err)
{
    struct pql_log *log = NULL;
    int rc = tool->ports->log_open(tool->ports->self, partition, saved->chunks[0], PQL_READ_UNCOMMITTED, &log,
                                   err);
    for (size_t i = 0; !rc && i < saved->chunks_count;) {
        struct pql_log_record record;
        int64_t offset = saved->chunks[i];
        rc = next_record(tool, log, &record, err);
        if (!rc && record.kind == PQL_LOG_RECORD && record.offset < offset) continue;
        if (!rc && (record.kind != PQL_LOG_RECORD || record.offset != offset))
            rc = PQL_FAIL(err, PQL_ERR_FATAL, "it is gone");
        if (!rc) rc = load_chunk(engine, saved, i, record.value, err);
        if (rc)
            pql_err_prefix(err,
                           "partition %d, snapshot %" PRIu64 ", chunk %zu of %zu at offset %" PRId64 ": ",
                           partition, saved->number, i + 1, saved->chunks_count, offset);
        i++;
    }
    if (log) tool->ports->log_close(tool->ports->self, log);
    return rc;
}

static int load_state(const struct pql_tool *tool, const struct pql_tool_task *task,
                      struct pql_engine *engine, struct pql_err *err)
{
    const struct pql_manifest *m = &task->manifest;
    for (size_t i = 0; i < m->base_count; i++)
        if (load_saved(tool, task->partition, &m->base[i], engine, err) ||
            (i + 1 < m->base_count && pql_snapshot_load_older(engine, err)))
            return -1;
    return pql_snapshot_loaded(engine, err);
}

/* The committed entries after a sequence, without gaps, up to the last there is; *last stays where there is
 * none. */
static int follow_journal(const struct pql_tool *tool, int32_t partition, int64_t from, uint64_t *last,
                          struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record;
    int rc = tool->ports->log_open(tool->ports->self, partition, from, PQL_READ_COMMITTED, &log, err);
    while (!rc && !(rc = next_record(tool, log, &record, err)) && record.kind == PQL_LOG_RECORD) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_journal entry;
        if (pql_checkpoint_open(record.value, &type, &content, err) || type != PQL_CHECKPOINT_JOURNAL)
            continue;
        rc = pql_journal_parse(content, &entry, err);
        if (!rc && entry.place.journal == *last + 1) *last = entry.place.journal;
        if (rc) break;
    }
    if (log) tool->ports->log_close(tool->ports->self, log);
    return rc;
}

static int verify_state(const struct pql_tool *tool, const struct pql_tool_task *task, bool quiet,
                        struct pql_engine *engine, struct pql_err *err)
{
    const struct pql_manifest *m = &task->manifest;
    if (load_state(tool, task, engine, err)) return -1;
    uint64_t digest = pql_engine_digest(engine), last = m->place.journal;
    if (digest != m->digest)
        return PQL_FAIL(err, PQL_ERR_FATAL,
                        "partition %d: the state has digest %016" PRIx64 ", the manifest says %016" PRIx64,
                        task->partition, digest, m->digest);
    if (quiet) {
        fprintf(tool->out, "%d %s@%" PRId64 " %016" PRIx64 "\n", task->partition, tool->inputs[0],
                m->place.next[0], digest);
        return 0;
    }
    if (follow_journal(tool, task->partition, m->journal_from, &last, err)) return -1;
    if (last < task->metadata.journal)
        return PQL_FAIL(err, PQL_ERR_FATAL, "partition %d: journal entry %" PRIu64 " is missing",
                        task->partition, last + 1);
    fprintf(tool->out,
            "partition %d: whole; %" PRIu64 " accounts, %" PRIu64 " bytes, digest %016" PRIx64
            "; journal to %" PRIu64 "\n",
            task->partition, pql_engine_stats(engine).accounts, pql_base_bytes(m->base, m->base_count),
            digest, last);
    return 0;
}

/* The state's own, which need not be the configuration's: that may not be taken over yet, or never. */
static int program_of(const struct pql_tool *tool, const struct pql_manifest *m, struct pql_setup *own,
                      const struct pql_program **program, struct pql_err *err)
{
    char hash[33];
    pql_checkpoint_program_hash(pql_program_text(tool->program), hash);
    *program = tool->program;
    if (pql_slice_is(m->program_hash, hash)) return 0;
    if (pql_setup_of_program(own, m->program, err)) return -1;
    *program = own->program;
    return 0;
}

int pql_tool_verify(const struct pql_tool *tool, const struct pql_tool_task *task, bool quiet,
                    struct pql_err *err)
{
    if (!task->has_manifest) {
        fprintf(tool->out, "partition %d: no snapshot\n", task->partition);
        return 0;
    }
    struct pql_setup own = {0};
    const struct pql_program *program;
    int rc = program_of(tool, &task->manifest, &own, &program, err);
    if (!rc) {
        struct pql_engine *engine = pql_engine_new(program, ignore_record, NULL);
        rc = verify_state(tool, task, quiet, engine, err);
        pql_engine_free(engine);
    } else {
        pql_err_prefix(err,
                       "partition %d: the program of the state (revision %" PRId64 "): ", task->partition,
                       task->manifest.revision);
    }
    pql_setup_deinit(&own);
    return rc;
}

/* --- newest --- */

int pql_tool_newest(const struct pql_tool *tool, struct pql_tool_task *task, int64_t *offset,
                    uint64_t *journal, struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record;
    *offset = -1;
    int rc =
        tool->ports->log_open(tool->ports->self, task->partition, task->low, PQL_READ_UNCOMMITTED, &log, err);
    while (!rc && !(rc = next_record(tool, log, &record, err)) && record.kind == PQL_LOG_RECORD) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_err ignored;
        if (pql_checkpoint_open(record.value, &type, &content, &ignored) || type != PQL_CHECKPOINT_MANIFEST)
            continue;
        if (!parse_manifest(tool, task, record.value, &ignored)) *offset = record.offset;
    }
    if (log) tool->ports->log_close(tool->ports->self, log);
    task->has_manifest = *offset >= 0;
    *journal = task->has_manifest ? task->manifest.place.journal : 0;
    return rc || follow_journal(tool, task->partition,
                                task->has_manifest ? task->manifest.journal_from : task->low, journal, err);
}

/* --- adopt --- */

/* The first entry of the journal: where the task began. */
static int journal_begin(const struct pql_tool *tool, const struct pql_tool_task *task,
                         struct pql_log_place *place, struct pql_err *err)
{
    struct pql_log *log = NULL;
    struct pql_log_record record;
    int rc = tool->ports->log_open(tool->ports->self, task->partition, 0, PQL_READ_COMMITTED, &log, err);
    while (!rc && !place->journal && !(rc = next_record(tool, log, &record, err)) &&
           record.kind == PQL_LOG_RECORD) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_journal entry;
        struct pql_err ignored;
        if (!pql_checkpoint_open(record.value, &type, &content, &ignored) && type == PQL_CHECKPOINT_JOURNAL &&
            !pql_journal_parse(content, &entry, &ignored) && entry.place.journal == 1)
            *place = entry.place;
    }
    if (log) tool->ports->log_close(tool->ports->self, log);
    if (rc || place->journal) return rc;
    return PQL_FAIL(err, PQL_ERR_FATAL,
                    "partition %d has neither a snapshot nor the beginning of a journal: there is nothing to "
                    "adopt; `pqlstream checkpoint forget` starts anew",
                    task->partition);
}

int pql_tool_adopt(const struct pql_tool *tool, struct pql_tool_task *task, const char *topic_id,
                   struct pql_position *positions, struct pql_err *err)
{
    struct pql_metadata m = {.writer = "adopted", .epoch = 1, .is_behind = true};
    struct pql_log_place place = {0};
    uint64_t journal;
    char text[PQL_METADATA_TEXT_MAX + 1];
    if (pql_tool_newest(tool, task, &m.manifest, &journal, err)) return -1;
    if (!task->has_manifest && journal_begin(tool, task, &place, err)) return -1;
    if (task->has_manifest) place = task->manifest.place;
    m.journal = place.journal;
    snprintf(m.topic_id, sizeof m.topic_id, "%s", topic_id);
    pql_metadata_write(&m, text);
    for (uint32_t i = 0; i < tool->inputs_count; i++) {
        positions[i] =
            (struct pql_position){.input = i, .partition = task->partition, .offset = place.next[i]};
        snprintf(positions[i].metadata, sizeof positions[i].metadata, "%s", text);
    }
    return 0;
}
