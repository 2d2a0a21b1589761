/* Events from files: JSON lines, CSV with a header, Avro object containers. */
#include "app/sample_place.h"
#include "app/replayer.h"
#include "app/replay_rows.h"

#include "core/wire/decoder.h"
#include "io/ocf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

struct files {
    struct pql_replay *replay;
    const struct pql_input_conf *input;
    uint32_t input_index;
    const struct pql_mapping *mapping;
    struct pql_arena texts; /* of schema files */
    uint64_t bytes_before;  /* of files that are done */
    struct pql_sample_place_reader *row_places, *line_places;
    bool takes_partitions; /* of places; else by the account */
    /* decoding of the file at hand */
    enum format format;
    struct pql_slice schema;       /* of a container */
    struct pql_slice places;       /* lines for the data that are left in it */
    struct pql_decoder **decoders; /* of each input, once it is needed */
    size_t *columns;               /* CSV: cell of each slot, SIZE_MAX: none */
    size_t columns_count;
    struct pql_value *slots;
    struct pql_slice *cells;
};

/* --- events --- */

static int apply_to(struct pql_replay *replay, size_t index, struct pql_event *event, struct pql_err *err)
{
    event->partition = (int32_t)index;
    event->offset = replay->tasks[index].offset++;
    return pql_replay_apply(replay, index, event, err);
}

/* A record of a sample goes where it was. */
static int apply_at(struct pql_replay *replay, const struct pql_sample_place *place, struct pql_event *event,
                    struct pql_err *err)
{
    if (place->partition >= PQL_REPLAY_PARTITIONS_MAX)
        return PQL_FAIL(err, PQL_ERR_RECORD, "partition %" PRId32 " is beyond what a replay takes",
                        place->partition);
    pql_replay_grow(replay, (size_t)place->partition + 1);
    event->partition = place->partition;
    event->offset = place->offset;
    return pql_replay_apply(replay, (size_t)place->partition, event, err);
}

static int apply(struct files *files, const struct pql_sample_place *place, struct pql_event *event,
                 struct pql_err *err)
{
    struct pql_replay *replay = files->replay;
    int failed = 0;
    replay->events++;
    if (place && files->takes_partitions) return apply_at(replay, place, event, err);
    if (event->account.len)
        return apply_to(replay, pql_replay_task_of(replay, files->input, event->account), event, err);
    for (size_t i = 0; i < replay->tasks_count; i++) failed |= apply_to(replay, i, event, err);
    return failed;
}

static int slots_of_csv(struct files *files, struct pql_slice row, struct pql_err *err)
{
    size_t count;
    if (pql_csv_cells(row, &files->replay->scratch, files->cells, &count, err) != 0) return -1;
    if (count != files->columns_count) {
        PQL_FAIL(err, PQL_ERR_RECORD, "%zu cells, but the header has %zu", count, files->columns_count);
        err->reason = pql_rejects[PQL_REJECT_BAD_CSV].word;
        return -1;
    }
    size_t slots_count;
    pql_mapping_wanted(files->mapping, &slots_count);
    for (size_t i = 0; i < slots_count; i++) {
        size_t column = files->columns[i];
        bool is_there = column != SIZE_MAX && files->cells[column].len;
        files->slots[i] = is_there ? pql_text(files->cells[column]) : pql_null();
    }
    return 0;
}

static struct pql_decoder *decoder_of(struct files *files, size_t input, struct pql_err *err)
{
    const struct pql_config *config = files->replay->setup.config;
    const struct pql_input_conf *conf = &config->inputs[input];
    if (files->decoders[input]) return files->decoders[input];
    bool is_avro = files->format == FORMAT_AVRO;
    struct pql_decoder_conf decoder = {.format = is_avro ? PQL_FORMAT_AVRO : PQL_FORMAT_JSON,
                                       .framing = PQL_FRAMING_BARE,
                                       .schemas = &files->schema,
                                       .schemas_count = is_avro ? 1 : 0,
                                       .mapping = files->replay->setup.mappings[conf->mapping]};
    if (is_avro && conf->reader_schema &&
        pql_setup_read_schema(&files->texts, conf->reader_schema, &decoder.reader, err))
        return NULL;
    return files->decoders[input] = pql_decoder_new(&decoder, err);
}

static int event_of(struct files *files, struct pql_slice row, const struct pql_sample_place *place,
                    struct pql_event *event, struct pql_err *err)
{
    struct pql_message message = {.timestamp_ms = PQL_NO_TIME, .input = files->input_index};
    const struct pql_config *config = files->replay->setup.config;
    for (size_t i = 0; place && i < config->inputs_count; i++)
        if (pql_slice_is(place->topic, config->inputs[i].topic)) message.input = (uint32_t)i;
    message.has_user_events = config->inputs[message.input].user_events == PQL_USER_EVENTS_ALL_PARTITIONS;
    if (place) {
        message.has_key = place->has_key;
        message.key = place->key;
        message.timestamp_ms = place->timestamp_ms;
        message.headers = place->headers;
        message.headers_count = place->headers_count;
    }
    if (files->format == FORMAT_CSV)
        return slots_of_csv(files, row, err) || pql_mapping_apply(files->mapping, files->slots, &message,
                                                                  &files->replay->scratch, event, err)
                   ? -1
                   : 0;
    struct pql_decoder *decoder = decoder_of(files, message.input, err);
    return decoder ? pql_decoder_apply(decoder, row, &message, &files->replay->scratch, event, err) : -1;
}

/* What a sample says of a record: in the row itself, or in the next line of the container's. */
static const struct pql_sample_place *place_of(struct files *files, struct pql_slice row,
                                               struct pql_sample_place *place)
{
    static const char begin[] = PQL_PLACE_BEGIN;
    struct pql_slice line = files->places;
    bool is_row = files->format == FORMAT_JSONL && row.len > sizeof begin &&
                  memcmp(row.ptr, begin, sizeof begin - 1) == 0;
    if (is_row)
        return pql_sample_place_read(files->row_places, row, &files->replay->scratch, place) ? place : NULL;
    if (!line.len) return NULL;
    const char *end = memchr(line.ptr, '\n', line.len);
    line.len = end ? (size_t)(end - line.ptr) : line.len;
    size_t used = line.len + (end != NULL);
    files->places = (struct pql_slice){files->places.ptr + used, files->places.len - used};
    return pql_sample_place_read(files->line_places, line, &files->replay->scratch, place) ? place : NULL;
}

/* One record of a file; number: its line, or which datum it is. done: bytes read of the file. */
static void take(struct files *files, const char *name, struct pql_slice row, uint64_t number, uint64_t done)
{
    struct pql_replay *replay = files->replay;
    struct pql_sample_place read;
    struct pql_event event;
    struct pql_err err = {0};
    const struct pql_sample_place *place = place_of(files, row, &read);
    bool is_event = event_of(files, row, place, &event, &err) == 0;
    if (is_event && replay->look) replay->look(replay->look_context, &event, row);
    if (!is_event || apply(files, place, &event, &err) != 0) {
        char text[500];
        snprintf(text, sizeof text, "%s:%" PRIu64, name, number);
        pql_replay_refuse(replay, text, &err);
    }
    pql_arena_reset(&replay->scratch);
    if ((replay->events + replay->refused_total) % 1024 == 0)
        pql_progress_show(&replay->progress, replay->events, done ? files->bytes_before + done : 0,
                          pql_wall_ms());
}

/* --- files --- */

static int read_header(struct files *files, struct pql_rows *rows, struct pql_err *err)
{
    struct pql_slice row;
    int got = pql_rows_next(rows, &row, err);
    if (got <= 0) return got;
    if (row.len >= 3 && memcmp(row.ptr, "\xef\xbb\xbf", 3) == 0)
        row = (struct pql_slice){row.ptr + 3, row.len - 3};
    if (pql_csv_cells(row, &files->replay->scratch, files->cells, &files->columns_count, err) != 0) return -1;
    size_t count;
    const struct pql_slice *wanted = pql_mapping_wanted(files->mapping, &count);
    for (size_t i = 0; i < count; i++) {
        files->columns[i] = SIZE_MAX;
        for (size_t k = 0; k < files->columns_count; k++) {
            if (!pql_slice_eq(files->cells[k], wanted[i])) continue;
            if (files->columns[i] != SIZE_MAX)
                return PQL_FAIL(err, PQL_ERR_CONFIG, "line 1: two columns are called '%.*s'",
                                PQL_SLICE_ARG(wanted[i]));
            files->columns[i] = k;
        }
    }
    return 1;
}

static int replay_rows(struct files *files, struct pql_rows *rows, const char *name, struct pql_err *err)
{
    struct pql_slice row;
    int got = rows->is_csv ? read_header(files, rows, err) : 1;
    while (got > 0 && !files->replay->out_failed && (got = pql_rows_next(rows, &row, err)) > 0)
        take(files, name, row, rows->line, rows->bytes_done);
    files->bytes_before += rows->bytes_done;
    return got < 0 ? -1 : 0;
}

static int replay_text(struct files *files, const char *path, const char *name, bool is_csv,
                       struct pql_err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
    struct pql_rows rows;
    pql_rows_init(&rows, file, is_csv);
    int failed = replay_rows(files, &rows, name, err);
    if (failed) pql_err_prefix(err, "%s: ", name);
    pql_rows_deinit(&rows);
    if (file != stdin) fclose(file);
    return failed;
}

static int replay_container(struct files *files, const char *path, const char *name, struct pql_err *err)
{
    struct pql_ocf *ocf = pql_ocf_open(path, err);
    if (!ocf) return -1;
    struct pql_slice datum = {"", 0};
    files->schema = pql_ocf_schema(ocf);
    files->places = pql_ocf_places(ocf);
    int failed = decoder_of(files, files->input_index, err) ? 0 : -1; /* before the first datum is blamed */
    if (failed) pql_err_prefix(err, "%s: ", name);
    for (uint64_t number = 1; !failed && !files->replay->out_failed; number++) {
        failed = pql_ocf_next(ocf, &datum, err);
        if (failed || !datum.ptr) break;
        take(files, name, datum, number, 0);
    }
    pql_ocf_close(ocf);
    return failed;
}

static enum format format_of(const struct files *files, const char *path, int asked)
{
    size_t len = strlen(path);
    if (asked >= 0) return (enum format)asked;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        size_t suffix = strlen(suffixes[i].suffix);
        if (len > suffix && strcmp(path + len - suffix, suffixes[i].suffix) == 0) return suffixes[i].format;
    }
    return files->input->format == PQL_FORMAT_AVRO ? FORMAT_AVRO : FORMAT_JSONL;
}

static void forget_file(struct files *files)
{
    for (size_t i = 0; i < files->replay->setup.config->inputs_count; i++) {
        pql_decoder_free(files->decoders[i]);
        files->decoders[i] = NULL;
    }
    files->schema = files->places = (struct pql_slice){0};
}

static int replay_file(struct files *files, const char *path, int asked)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    struct pql_err err = {0};
    files->format = format_of(files, path, asked);
    int failed = files->format == FORMAT_AVRO
                     ? replay_container(files, path, name, &err)
                     : replay_text(files, path, name, files->format == FORMAT_CSV, &err);
    forget_file(files);
    if (!failed) return 0;
    pql_progress_clear(&files->replay->progress);
    fprintf(stderr, "%s\n", err.msg);
    return -1;
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

static int choose_input(struct files *files, const char *topic)
{
    const struct pql_config *config = files->replay->setup.config;
    const char *names[64];
    size_t count = 0;
    for (size_t i = 0; i < config->inputs_count; i++) {
        if (!topic || strcmp(config->inputs[i].topic, topic) == 0) {
            files->input = &config->inputs[i];
            files->input_index = (uint32_t)i;
            files->mapping = files->replay->setup.mappings[files->input->mapping];
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

bool pql_replay_knows_format(const char *word)
{
    for (int i = 0; i < FORMAT_COUNT; i++)
        if (strcmp(word, format_names[i]) == 0) return true;
    return false;
}

static int format_named(const char *word)
{
    for (int i = 0; word && i < FORMAT_COUNT; i++)
        if (strcmp(word, format_names[i]) == 0) return i;
    return -1;
}

static int run(struct files *files, const struct pql_replay_files *given)
{
    static char standard_input[] = "-";
    char *only[] = {standard_input}, **paths = given->count ? given->paths : only;
    int count = given->count ? given->count : 1, failed = 0;
    struct pql_replay *replay = files->replay;
    pql_progress_init(&replay->progress, "replay", "events", size_of(paths, count), pql_wall_ms());
    for (int i = 0; i < count && !failed && !replay->out_failed; i++)
        failed = replay_file(files, paths[i], format_named(given->format));
    if (!failed) pql_replay_finish(replay, given->advance_ms);
    pql_replay_summary(replay);
    return failed || replay->out_failed ? PQL_EXIT_FAILURE : PQL_EXIT_OK;
}

int pql_replay_run_files(struct pql_replay *replay, const struct pql_replay_files *given)
{
    struct files files = {.replay = replay, .takes_partitions = !given->has_partitions};
    size_t slots;
    if (choose_input(&files, given->input) != 0) return PQL_EXIT_CONFIG;
    pql_mapping_wanted(files.mapping, &slots);
    pql_arena_init(&files.texts);
    files.decoders = pql_xcalloc(replay->setup.config->inputs_count, sizeof(struct pql_decoder *));
    files.row_places = pql_sample_place_reader_new(true);
    files.line_places = pql_sample_place_reader_new(false);
    files.slots = pql_xcalloc(slots + 1, sizeof *files.slots);
    files.columns = pql_xcalloc(slots + 1, sizeof *files.columns);
    files.cells = pql_xcalloc(PQL_CELLS_MAX, sizeof *files.cells);
    int exit_code = run(&files, given);
    pql_sample_place_reader_free(files.row_places);
    pql_sample_place_reader_free(files.line_places);
    free(files.decoders);
    free(files.slots);
    free(files.columns);
    free(files.cells);
    pql_arena_deinit(&files.texts);
    return exit_code;
}
