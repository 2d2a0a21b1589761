/* replay: definitions over files. The same engine as run, tasks as on a topic of so many partitions, no
 * broker. */
#include "app/progress.h"
#include "app/replay_rows.h"
#include "app/setup.h"

#include "core/engine.h"
#include "core/partition.h"
#include "core/reasons.h"
#include "core/wire/decoder.h"
#include "core/wire/encode.h"
#include "io/ocf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PARTITIONS_MAX = 100000, SHOWN_MAX = 5, OUT_BYTES = 1 << 16 };
#define ADVANCE_END_MS (INT64_C(3650) * 24 * 3600 * 1000) /* `--advance end` goes no further */

enum format { FORMAT_JSONL, FORMAT_CSV, FORMAT_AVRO, FORMAT_COUNT };
static const char *const format_names[FORMAT_COUNT] = {"jsonl", "csv", "avro"};
static const struct {
    const char *suffix;
    enum format format;
} suffixes[] = {{".jsonl", FORMAT_JSONL},
                {".ndjson", FORMAT_JSONL},
                {".json", FORMAT_JSONL},
                {".csv", FORMAT_CSV},
                {".avro", FORMAT_AVRO}};

struct task {
    struct pql_engine *engine;
    int64_t offset; /* of the next record, as on a topic */
};

struct replay {
    struct pql_setup setup;
    const struct pql_input_conf *input;
    uint32_t input_index;
    const struct pql_mapping *mapping;
    struct task *tasks;
    uint32_t tasks_count;
    struct pql_encoder *encoder;
    struct pql_slice *topics; /* of the encoder */
    struct pql_buf out;
    bool out_failed;
    struct pql_arena scratch;
    struct pql_arena texts; /* of schema files */
    /* decoding of the file at hand */
    struct pql_decoder *decoder; /* NULL: CSV */
    size_t *columns;             /* CSV: cell of each slot, SIZE_MAX: none */
    size_t columns_count;
    struct pql_value *slots;
    struct pql_slice *cells;
    uint64_t events, records, refused[PQL_REJECT_COUNT], refused_total;
    struct pql_progress progress;
    uint64_t bytes_before; /* of files that are done */
    bool tells_digest;
};

/* --- records --- */

static void flush_out(struct replay *replay)
{
    if (replay->out.len && fwrite(replay->out.ptr, 1, replay->out.len, stdout) != replay->out.len)
        replay->out_failed = true;
    replay->out.len = 0;
}

/* What goes to the topics of transitions; changes of a score and refreshed states go to the state topic
 * alone. */
static void emit(void *context, const struct pql_record *record)
{
    struct replay *replay = context;
    if (record->transition == PQL_SCORE_CHANGED || record->transition == PQL_SNAPSHOT) return;
    pql_encode_record(replay->encoder, record, pql_wall_ms(), &replay->out);
    pql_buf_text(&replay->out, "\n");
    replay->records++;
    if (replay->out.len > OUT_BYTES) flush_out(replay);
}

/* --- events --- */

/* Duplicates and late ones that are applied are counted by the engine. */
static int apply_to(struct task *tasks, uint32_t index, struct pql_event *event, struct pql_err *err)
{
    event->partition = (int32_t)index;
    event->offset = tasks[index].offset++;
    if (pql_engine_apply(tasks[index].engine, event) != PQL_APPLY_LATE_DEAD_LETTER) return 0;
    PQL_FAIL(err, PQL_ERR_RECORD, "%s", pql_rejects[PQL_REJECT_LATE].help);
    err->reason = pql_rejects[PQL_REJECT_LATE].word;
    return -1;
}

static int apply(struct replay *replay, struct pql_event *event, struct pql_err *err)
{
    int failed = 0;
    replay->events++;
    if (!event->account.len) {
        for (uint32_t i = 0; i < replay->tasks_count; i++) failed |= apply_to(replay->tasks, i, event, err);
        return failed;
    }
    uint32_t task = replay->input->partitioning == PQL_PARTITIONING_CRC32
                        ? pql_partition_crc32(event->account, replay->tasks_count)
                        : pql_partition_murmur2(event->account, replay->tasks_count);
    return apply_to(replay->tasks, task, event, err);
}

static void refuse(struct replay *replay, const char *name, uint64_t line, const struct pql_err *err)
{
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        if (err->reason && strcmp(err->reason, pql_rejects[i].word) == 0) replay->refused[i]++;
    if (replay->refused_total++ >= SHOWN_MAX) return;
    pql_progress_clear(&replay->progress);
    fprintf(stderr, "%s:%" PRIu64 ": refused: %s: %s\n", name, line, err->reason ? err->reason : "unusable",
            err->msg);
    if (replay->refused_total == SHOWN_MAX) fputs("more are counted, not shown\n", stderr);
}

static int slots_of_csv(struct replay *replay, struct pql_slice row, struct pql_err *err)
{
    size_t count;
    if (pql_csv_cells(row, &replay->scratch, replay->cells, &count, err) != 0) return -1;
    if (count != replay->columns_count) {
        PQL_FAIL(err, PQL_ERR_RECORD, "%zu cells, but the header has %zu", count, replay->columns_count);
        err->reason = pql_rejects[PQL_REJECT_BAD_CSV].word;
        return -1;
    }
    size_t slots_count;
    pql_mapping_wanted(replay->mapping, &slots_count);
    for (size_t i = 0; i < slots_count; i++) {
        size_t column = replay->columns[i];
        bool is_there = column != SIZE_MAX && replay->cells[column].len;
        replay->slots[i] = is_there ? pql_text(replay->cells[column]) : pql_null();
    }
    return 0;
}

static int event_of(struct replay *replay, struct pql_slice row, struct pql_event *event, struct pql_err *err)
{
    const struct pql_message message = {.timestamp_ms = PQL_NO_TIME, .input = replay->input_index};
    if (replay->decoder)
        return pql_decoder_apply(replay->decoder, row, &message, &replay->scratch, event, err);
    if (slots_of_csv(replay, row, err) != 0) return -1;
    return pql_mapping_apply(replay->mapping, replay->slots, &message, &replay->scratch, event, err);
}

/* One record of a file; number: its line, or which datum it is. done: bytes read of the file. */
static void take(struct replay *replay, const char *name, struct pql_slice row, uint64_t number,
                 uint64_t done)
{
    struct pql_event event;
    struct pql_err err = {0};
    if (event_of(replay, row, &event, &err) != 0 || apply(replay, &event, &err) != 0)
        refuse(replay, name, number, &err);
    pql_arena_reset(&replay->scratch);
    if ((replay->events + replay->refused_total) % 1024 == 0)
        pql_progress_show(&replay->progress, replay->events, done ? replay->bytes_before + done : 0,
                          pql_wall_ms());
}

/* --- files --- */

static int read_header(struct replay *replay, struct pql_rows *rows, struct pql_err *err)
{
    struct pql_slice row;
    int got = pql_rows_next(rows, &row, err);
    if (got <= 0) return got;
    if (row.len >= 3 && memcmp(row.ptr, "\xef\xbb\xbf", 3) == 0)
        row = (struct pql_slice){row.ptr + 3, row.len - 3};
    if (pql_csv_cells(row, &replay->scratch, replay->cells, &replay->columns_count, err) != 0) return -1;
    size_t count;
    const struct pql_slice *wanted = pql_mapping_wanted(replay->mapping, &count);
    for (size_t i = 0; i < count; i++) {
        replay->columns[i] = SIZE_MAX;
        for (size_t k = 0; k < replay->columns_count; k++)
            if (pql_slice_eq(replay->cells[k], wanted[i])) replay->columns[i] = k;
    }
    return 1;
}

static int replay_rows(struct replay *replay, struct pql_rows *rows, const char *name, struct pql_err *err)
{
    struct pql_slice row;
    int got = rows->is_csv ? read_header(replay, rows, err) : 1;
    while (got > 0 && !replay->out_failed && (got = pql_rows_next(rows, &row, err)) > 0)
        take(replay, name, row, rows->line, rows->bytes_done);
    replay->bytes_before += rows->bytes_done;
    return got < 0 ? -1 : 0;
}

static int set_decoder(struct replay *replay, enum pql_format format, const struct pql_slice *schema,
                       struct pql_err *err)
{
    struct pql_decoder_conf conf = {.format = format,
                                    .framing = PQL_FRAMING_BARE,
                                    .schemas = schema,
                                    .schemas_count = schema ? 1 : 0,
                                    .mapping = replay->mapping};
    const char *reader = format == PQL_FORMAT_AVRO ? replay->input->reader_schema : NULL;
    if (reader && pql_setup_read_schema(&replay->texts, reader, &conf.reader, err)) return -1;
    pql_decoder_free(replay->decoder);
    replay->decoder = pql_decoder_new(&conf, err);
    return replay->decoder ? 0 : -1;
}

static int replay_text(struct replay *replay, const char *path, const char *name, bool is_csv,
                       struct pql_err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
    struct pql_rows rows;
    pql_rows_init(&rows, file, is_csv);
    int failed = is_csv ? 0 : set_decoder(replay, PQL_FORMAT_JSON, NULL, err);
    if (!failed) failed = replay_rows(replay, &rows, name, err);
    if (failed) pql_err_prefix(err, "%s: ", name);
    pql_rows_deinit(&rows);
    if (file != stdin) fclose(file);
    return failed;
}

static int replay_container(struct replay *replay, const char *path, const char *name, struct pql_err *err)
{
    struct pql_ocf *ocf = pql_ocf_open(path, err);
    if (!ocf) return -1;
    struct pql_slice schema = pql_ocf_schema(ocf), datum = {"", 0};
    int failed = set_decoder(replay, PQL_FORMAT_AVRO, &schema, err);
    if (failed) pql_err_prefix(err, "%s: ", name);
    for (uint64_t number = 1; !failed && !replay->out_failed; number++) {
        failed = pql_ocf_next(ocf, &datum, err);
        if (failed || !datum.ptr) break;
        take(replay, name, datum, number, 0);
    }
    pql_ocf_close(ocf);
    return failed;
}

static enum format format_of(const struct replay *replay, const char *path, int asked)
{
    size_t len = strlen(path);
    if (asked >= 0) return (enum format)asked;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix = strlen(suffixes[i].suffix);
        if (len > suffix && strcmp(path + len - suffix, suffixes[i].suffix) == 0) return suffixes[i].format;
    }
    return replay->input->format == PQL_FORMAT_AVRO ? FORMAT_AVRO : FORMAT_JSONL;
}

static int replay_file(struct replay *replay, const char *path, int asked)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct pql_err err = {0};
    enum format format = format_of(replay, path, asked);
    pql_decoder_free(replay->decoder);
    replay->decoder = NULL;
    int failed = format == FORMAT_AVRO ? replay_container(replay, path, name, &err)
                                       : replay_text(replay, path, name, format == FORMAT_CSV, &err);
    if (!failed) return 0;
    pql_progress_clear(&replay->progress);
    fprintf(stderr, "%s\n", err.msg);
    return -1;
}

/* --- the end --- */

/* Everything due up to `to` happens, as a clock event of that time and the end of the file would have it. */
static void advance_to(struct pql_engine *engine, int64_t to)
{
    pql_engine_tick(engine, to);
    pql_engine_finish(engine);
}

static void advance_to_end(struct pql_engine *engine, int64_t lateness_ms)
{
    int64_t limit = pql_engine_seen(engine) + ADVANCE_END_MS, wait = lateness_ms ? lateness_ms + 1 : 0, next;
    while ((next = pql_engine_next_tick(engine)) != PQL_NO_TIME && next - wait <= limit)
        advance_to(engine, next - wait);
}

/* advance_ms: -1: not at all; INT64_MAX: to the end. */
static void finish(struct replay *replay, int64_t advance_ms)
{
    int64_t lateness = replay->setup.config->program.settings.lateness_ms;
    for (uint32_t i = 0; i < replay->tasks_count; i++) {
        struct pql_engine *engine = replay->tasks[i].engine;
        if (replay->tells_digest)
            fprintf(stderr, "partition %" PRIu32 ": digest %016" PRIx64 "\n", i, pql_engine_digest(engine));
        pql_engine_finish(engine);
        if (pql_engine_seen(engine) == PQL_NO_TIME) continue;
        if (advance_ms == INT64_MAX)
            advance_to_end(engine, lateness);
        else if (advance_ms >= 0)
            advance_to(engine, pql_engine_seen(engine) + advance_ms);
    }
    flush_out(replay);
    if (fflush(stdout) != 0) replay->out_failed = true;
}

static void print_summary(struct replay *replay)
{
    struct pql_engine_stats sum = {0};
    for (uint32_t i = 0; i < replay->tasks_count; i++) {
        struct pql_engine_stats stats = pql_engine_stats(replay->tasks[i].engine);
        sum.duplicates += stats.duplicates;
        sum.late += stats.late;
        sum.ignored += stats.ignored;
        sum.accounts += stats.accounts;
        sum.users += stats.users;
    }
    char text[PQL_COUNT_TEXT_MAX];
    double seconds = (double)(pql_wall_ms() - replay->progress.begun_ms) / 1000;
    pql_progress_clear(&replay->progress);
    fprintf(stderr, "%s events", pql_count_text(replay->events, text));
    if (seconds >= 0.1)
        fprintf(stderr, " in %.1f s (%s/s)", seconds,
                pql_count_text((uint64_t)((double)replay->events / seconds), text));
    fprintf(stderr, ", %s records", pql_count_text(replay->records, text));
    fprintf(stderr, ", %s refused", pql_count_text(replay->refused_total, text));
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        if (replay->refused[i])
            fprintf(stderr, " (%s %s)", pql_rejects[i].word, pql_count_text(replay->refused[i], text));
    fprintf(stderr, ", %s duplicates", pql_count_text(sum.duplicates, text));
    fprintf(stderr, ", %s late", pql_count_text(sum.late, text));
    fprintf(stderr, ", %s ignored", pql_count_text(sum.ignored, text));
    fprintf(stderr, "; %s accounts", pql_count_text(sum.accounts, text));
    fprintf(stderr, ", %s users\n", pql_count_text(sum.users, text));
}

/* --- setting up --- */

struct replay_flags {
    struct pql_config_flags config;
    const char *input, *format, *partitions, *advance;
    bool digest;
};

static int say(const char *flag, const char *value, const char *wanted)
{
    fprintf(stderr, "pqlstream replay: %s %s: must be %s\n", flag, value, wanted);
    return PQL_EXIT_CONFIG;
}

static int choose_input(struct replay *replay, const char *topic)
{
    const struct pql_config *config = replay->setup.config;
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < config->inputs_count; i++) {
        if (!topic || strcmp(config->inputs[i].topic, topic) == 0) {
            replay->input = &config->inputs[i];
            replay->input_index = (uint32_t)i;
            replay->mapping = replay->setup.mappings[replay->input->mapping];
            return 0;
        }
        if (count < 64) names[count++] = config->inputs[i].topic;
    }
    const char *nearest = pql_nearest(pql_slice_of(topic), names, count);
    fprintf(stderr, "pqlstream replay: --input %s: no such input; ", topic);
    fprintf(stderr, nearest ? "did you mean '%s'?\n" : "the first is '%s'\n",
            nearest ? nearest : config->inputs[0].topic);
    return -1;
}

static void start(struct replay *replay, uint32_t tasks_count)
{
    const struct pql_config *config = replay->setup.config;
    size_t slots;
    pql_mapping_wanted(replay->mapping, &slots);
    replay->slots = pql_xcalloc(slots + 1, sizeof *replay->slots);
    replay->columns = pql_xcalloc(slots + 1, sizeof *replay->columns);
    replay->cells = pql_xcalloc(PQL_CELLS_MAX, sizeof *replay->cells);
    replay->tasks = pql_xcalloc(tasks_count, sizeof *replay->tasks);
    replay->tasks_count = tasks_count;
    for (uint32_t i = 0; i < tasks_count; i++) {
        replay->tasks[i].engine = pql_engine_new(replay->setup.program, emit, replay);
        pql_engine_set_origin(replay->tasks[i].engine, PQL_ORIGIN_BACKFILL);
    }
    struct pql_slice *topics = pql_xcalloc(config->inputs_count, sizeof *topics);
    for (size_t i = 0; i < config->inputs_count; i++) topics[i] = pql_slice_of(config->inputs[i].topic);
    replay->encoder = pql_encoder_new(&(struct pql_encode_conf){
        .format = PQL_ENCODE_JSON, .topics = topics, .topics_count = config->inputs_count});
    replay->topics = topics;
}

static void stop(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->tasks_count; i++) pql_engine_free(replay->tasks[i].engine);
    free(replay->tasks);
    pql_decoder_free(replay->decoder);
    pql_encoder_free(replay->encoder);
    free(replay->topics);
    free(replay->slots);
    free(replay->columns);
    free(replay->cells);
    pql_buf_deinit(&replay->out);
    pql_arena_deinit(&replay->scratch);
    pql_arena_deinit(&replay->texts);
    pql_setup_deinit(&replay->setup);
}

static uint64_t size_of(char **files, int count)
{
    uint64_t total = 0;
    for (int i = 0; i < count; i++) {
        struct stat stat_of;
        if (stat(files[i], &stat_of) != 0 || !S_ISREG(stat_of.st_mode)) return 0;
        total += (uint64_t)stat_of.st_size;
    }
    return total;
}

static int run(struct replay *replay, char **files, int count, int format, int64_t advance_ms)
{
    static char standard_input[] = "-";
    char *only[] = {standard_input};
    if (count == 0) {
        files = only;
        count = 1;
    }
    int failed = 0;
    pql_progress_init(&replay->progress, "replay", "events", size_of(files, count), pql_wall_ms());
    for (int i = 0; i < count && !failed && !replay->out_failed; i++)
        failed = replay_file(replay, files[i], format);
    if (!failed) finish(replay, advance_ms);
    print_summary(replay);
    if (replay->out_failed) fprintf(stderr, "standard output: %s\n", strerror(errno));
    return failed || replay->out_failed ? PQL_EXIT_FAILURE : PQL_EXIT_OK;
}

static int read_flags(const struct replay_flags *flags, int *format, uint32_t *partitions,
                      int64_t *advance_ms)
{
    *format = -1;
    for (int i = 0; flags->format && i < FORMAT_COUNT; i++)
        if (strcmp(flags->format, format_names[i]) == 0) *format = i;
    if (flags->format && *format < 0) return say("--format", flags->format, "jsonl, csv or avro");
    *partitions = 1;
    if (flags->partitions) {
        char *end;
        unsigned long count = strtoul(flags->partitions, &end, 10);
        if (*end || count == 0 || count > PARTITIONS_MAX)
            return say("--partitions", flags->partitions, "1 to 100000");
        *partitions = (uint32_t)count;
    }
    *advance_ms = flags->advance ? INT64_MAX : -1;
    if (flags->advance && strcmp(flags->advance, "end") != 0 &&
        !pql_duration_parse(pql_slice_of(flags->advance), advance_ms))
        return say("--advance", flags->advance, "a duration such as 14d, or end");
    return PQL_EXIT_OK;
}

int pql_cmd_replay(int argc, char **argv)
{
    struct replay_flags given = {0};
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&given.config),
        {"--input", 'i', PQL_FLAG_TEXT, "TOPIC", "the input whose mapping is used; else the first",
         &given.input},
        {"--format", 'f', PQL_FLAG_TEXT, "jsonl|csv|avro", "of the files; else by suffix, else the input's",
         &given.format},
        {"--partitions", 'p', PQL_FLAG_TEXT, "P", "as on a topic of P partitions; else 1", &given.partitions},
        {"--advance", 'a', PQL_FLAG_TEXT, "DURATION|end",
         "at the end move the clock; end: until no timer is left", &given.advance},
        {"--digest", 0, PQL_FLAG_YES, NULL,
         "say the digest of each partition's state after its last event, as `checkpoint digest` does",
         &given.digest},
    };
    int rest, exit_code, format;
    uint32_t partitions;
    int64_t advance_ms;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Applies the definitions to the events of files, or of standard input, in the order read. "
            "Transitions come as\nJSON lines on standard output, everything else is said on standard "
            "error. Needs no broker.\n"
            "JSON lines: one event a line. Avro: object container files. CSV: the header names paths of the "
            "mapping, as in "
            "account_id or\nproperties.plan.\n"
            "The clock stops at the last event, unless --advance moves it.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    exit_code = read_flags(&given, &format, &partitions, &advance_ms);
    if (exit_code != PQL_EXIT_OK) return exit_code;
    struct replay replay = {0};
    replay.tells_digest = given.digest;
    pql_arena_init(&replay.scratch);
    if (pql_setup_init(&replay.setup, &given.config, false, &exit_code)) {
        if (choose_input(&replay, given.input) != 0) {
            exit_code = PQL_EXIT_CONFIG;
        } else {
            start(&replay, partitions);
            exit_code = run(&replay, argv + 1, rest, format, advance_ms);
        }
    }
    stop(&replay);
    return exit_code;
}
