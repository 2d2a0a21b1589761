/* sample: a file of events from the inputs' topics, whole accounts, for people who want to replay or explain
 * without brokers. */
#include "app/event_source.h"
#include "app/message_printer.h"
#include "app/period.h"
#include "app/progress.h"
#include "app/sample.h"
#include "app/sample_place.h"
#include "app/setup.h"

#include "core/reasons.h"
#include "core/wire/schema_union.h"
#include "io/ocf_write.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RECORDS_DEFAULT = 100000, RECORDS_MAX = 1000000, SCHEMAS_MAX = 64 };
#define BYTES_MAX (UINT64_C(1) << 30)

struct flags {
    struct pql_config_flags config;
    struct pql_period_flags period;
    const char *input, *accounts, *max, *output;
};

struct sampling {
    const struct flags *flags;
    struct pql_setup setup;
    size_t input; /* or PQL_ALL_INPUTS */
    enum pql_format format;
    const char *path;
    struct pql_sample_limits limits;
    int64_t since_ms, until_ms;
    struct pql_event_source *source;
    struct pql_sample *sample;
    struct pql_arena texts;
    struct pql_slice schemas[SCHEMAS_MAX]; /* of writers, in the order met */
    size_t schemas_count;
    struct pql_buf place, value;
    uint64_t refused[PQL_REJECT_COUNT], refused_total;
};

/* --- one event --- */

static int schema_index(struct sampling *s, struct pql_slice schema, uint32_t *index, struct pql_err *err)
{
    for (*index = 0; *index < s->schemas_count; ++*index)
        if (pql_slice_eq(s->schemas[*index], schema)) return 0;
    if (s->schemas_count == SCHEMAS_MAX)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "more than %d schemas: choose a shorter time", SCHEMAS_MAX);
    s->schemas[s->schemas_count++] = pql_arena_copy(&s->texts, schema);
    return 0;
}

/* Everything beside the value that may decide what becomes of the record. */
static void put_place(struct sampling *s, const struct pql_source_event *taken)
{
    const struct pql_mapping *mapping = s->setup.mappings[s->setup.config->inputs[taken->input].mapping];
    struct pql_sample_place place = {.topic = pql_slice_of(taken->topic),
                                     .partition = taken->partition,
                                     .offset = taken->record.offset,
                                     .timestamp_ms = taken->record.timestamp_ms,
                                     .has_key = taken->record.has_key,
                                     .key = taken->record.key};
    if (pql_mapping_wants_headers(mapping))
        pql_event_source_headers(s->source, &place.headers, &place.headers_count);
    s->place.len = 0;
    pql_sample_place_put(&place, &s->place);
}

/* A line of a JSON sample is an object. */
static bool is_object(struct pql_slice text)
{
    static const char mark[] = "\xef\xbb\xbf";
    if (text.len >= 3 && memcmp(text.ptr, mark, 3) == 0)
        text = (struct pql_slice){text.ptr + 3, text.len - 3};
    while (text.len && strchr(" \t\r\n", *text.ptr)) text = (struct pql_slice){text.ptr + 1, text.len - 1};
    return text.len && *text.ptr == '{';
}

static int add(struct sampling *s, const struct pql_source_event *taken, struct pql_err *err)
{
    struct pql_slice value = taken->record.value, schema;
    uint32_t index = 0;
    if (s->format == PQL_FORMAT_AVRO && (pql_event_source_payload(s->source, taken, &schema, &value, err) ||
                                         schema_index(s, schema, &index, err)))
        return -1;
    if (s->format == PQL_FORMAT_JSON && !is_object(value)) {
        s->refused_total++;
        return 0;
    }
    put_place(s, taken);
    const struct pql_slice place = {s->place.ptr, s->place.len};
    pql_sample_add(s->sample, taken->event.account, index, place, value);
    return 0;
}

static int read_all(struct sampling *s, struct pql_err *err)
{
    struct pql_source_event taken;
    struct pql_progress progress;
    uint64_t done = 0;
    int got = 1, result = 0;
    pql_progress_init(&progress, "sample", "records", pql_event_source_size(s->source), pql_wall_ms());
    while (!result && (got = pql_event_source_next(s->source, &taken, err)) > 0) {
        if (++done % 1024 == 0) pql_progress_show(&progress, done, done, pql_wall_ms());
        if (!taken.is_refused) {
            result = add(s, &taken, err);
            continue;
        }
        s->refused_total++;
        for (int i = 0; i < PQL_REJECT_COUNT; i++)
            if (taken.refusal.reason && strcmp(taken.refusal.reason, pql_rejects[i].word) == 0)
                s->refused[i]++;
    }
    pql_progress_clear(&progress);
    return result || got < 0 ? -1 : 0;
}

/* --- the file --- */

/* The place as the first member of the object. */
static void write_line(struct sampling *s, const struct pql_sample_record *record, FILE *file)
{
    struct pql_buf *line = &s->value;
    const char *at = memchr(record->value.ptr, '{', record->value.len);
    PQL_ASSERT(at);
    struct pql_slice rest = {at + 1, record->value.len - (size_t)(at + 1 - record->value.ptr)};
    size_t blank = 0;
    while (blank < rest.len && strchr(" \t\r\n", rest.ptr[blank])) blank++;
    line->len = 0;
    pql_buf_text(line, PQL_PLACE_BEGIN);
    pql_buf_put(line, record->place.ptr, record->place.len);
    if (blank < rest.len && rest.ptr[blank] != '}') pql_buf_text(line, ", ");
    pql_put_json_line(line, rest);
    pql_buf_u8(line, '\n');
    fwrite(line->ptr, 1, line->len, file);
}

static int write_lines(struct sampling *s, const struct pql_sample_record **records, size_t count, FILE *file,
                       struct pql_err *err)
{
    (void)err;
    for (size_t i = 0; i < count; i++) write_line(s, records[i], file);
    return 0;
}

/* Schemas of which no record was kept stand in the union all the same: it says what the topic has. */
static int write_container(struct sampling *s, const struct pql_sample_record **records, size_t count,
                           FILE *file, struct pql_err *err)
{
    struct pql_ocf_writer writer;
    struct pql_buf schema = {0}, places = {0}, branch = {0};
    if (!s->schemas_count)
        s->schemas[s->schemas_count++] = PQL_SLICE_LITERAL("\"null\""); /* no event at all */
    int result = pql_schema_union(s->schemas, s->schemas_count, &schema, err);
    for (size_t i = 0; !result && i < count; i++) {
        pql_buf_put(&places, records[i]->place.ptr, records[i]->place.len);
        pql_buf_u8(&places, '\n');
    }
    if (!result) {
        pql_ocf_writer_init(&writer, file, (struct pql_slice){schema.ptr, schema.len},
                            (struct pql_slice){places.ptr, places.len});
        for (size_t i = 0; i < count; i++) {
            branch.len = 0;
            if (s->schemas_count > 1) pql_buf_zigzag(&branch, records[i]->schema);
            pql_ocf_writer_put(&writer, (struct pql_slice){branch.ptr, branch.len}, records[i]->value);
        }
        pql_ocf_writer_end(&writer);
    }
    pql_buf_deinit(&schema);
    pql_buf_deinit(&places);
    pql_buf_deinit(&branch);
    return result;
}

static int fail_file(const char *path, struct pql_err *err)
{
    return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
}

/* Beside the file, and moved into its place when it is whole; readable for its owner only. */
static int write_file(struct sampling *s, struct pql_err *err)
{
    struct pql_buf name = {0};
    size_t count;
    int result = -1;
    pql_buf_printf(&name, "%s.XXXXXX%c", s->path, 0);
    int fd = mkstemp(name.ptr);
    FILE *file = fd >= 0 ? fdopen(fd, "wb") : NULL;
    const struct pql_sample_record **records = pql_sample_records(s->sample, &count);
    if (!file) {
        fail_file(s->path, err);
        if (fd >= 0) close(fd);
        goto out;
    }
    result = s->format == PQL_FORMAT_AVRO ? write_container(s, records, count, file, err)
                                          : write_lines(s, records, count, file, err);
    bool is_whole = !fflush(file) && !ferror(file) && !fsync(fd);
    if (!result && !is_whole) result = fail_file(s->path, err);
    if (fclose(file) && !result) result = fail_file(s->path, err);
    if (!result && rename(name.ptr, s->path)) result = fail_file(s->path, err);
    if (result) unlink(name.ptr);
out:
    free(records);
    pql_buf_deinit(&name);
    return result;
}

static void print_summary(const struct sampling *s)
{
    struct pql_sample_stats stats = pql_sample_stats(s->sample);
    char records[PQL_COUNT_TEXT_MAX], accounts[PQL_COUNT_TEXT_MAX], left_out[PQL_COUNT_TEXT_MAX];
    fprintf(stderr, "%s: %s events of %s accounts", s->path, pql_count_text(stats.records, records),
            pql_count_text(stats.accounts, accounts));
    if (s->schemas_count > 1) fprintf(stderr, ", of %zu schemas", s->schemas_count);
    if (stats.left_out) fprintf(stderr, "; %s of others left out", pql_count_text(stats.left_out, left_out));
    if (s->refused_total) fprintf(stderr, "; %" PRIu64 " cannot be used", s->refused_total);
    for (int i = 0; i < PQL_REJECT_COUNT; i++)
        if (s->refused[i]) fprintf(stderr, " (%s %" PRIu64 ")", pql_rejects[i].word, s->refused[i]);
    fputc('\n', stderr);
    if (stats.is_cut) fputs("the one account has more events than --max: these are its first\n", stderr);
    fprintf(stderr, "pqlstream replay --config %s %s\n", s->setup.config->path, s->path);
}

/* --- what is asked for --- */

static int fail(const char *flag, const char *value, const char *wanted)
{
    fprintf(stderr, "pqlstream sample: %s %s: %s\n", flag, value, wanted);
    return -1;
}

static int choose_input(struct sampling *s)
{
    const struct pql_config *config = s->setup.config;
    const char *names[64];
    size_t count = 0;
    s->input = PQL_ALL_INPUTS;
    for (size_t i = 0; i < config->inputs_count; i++) {
        if (s->flags->input && strcmp(config->inputs[i].topic, s->flags->input) == 0) s->input = i;
        if (count < 64) names[count++] = config->inputs[i].topic;
    }
    s->format = (enum pql_format)config->inputs[s->input == PQL_ALL_INPUTS ? 0 : s->input].format;
    if (s->flags->input && s->input == PQL_ALL_INPUTS) {
        const char *nearest = pql_nearest(pql_slice_of(s->flags->input), names, count);
        fprintf(stderr, "pqlstream sample: --input %s: no such input; %s '%s'%s\n", s->flags->input,
                nearest ? "did you mean" : "the first is", nearest ? nearest : names[0], nearest ? "?" : "");
        return -1;
    }
    for (size_t i = 0; s->input == PQL_ALL_INPUTS && i < config->inputs_count; i++)
        if (config->inputs[i].format != (int)s->format) {
            fputs(
                "pqlstream sample: some inputs are Avro and some JSON, and a file is one of them: choose by "
                "--input TOPIC\n",
                stderr);
            return -1;
        }
    return 0;
}

static bool ends_with(const char *text, const char *suffix)
{
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len > suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

static int choose_output(struct sampling *s)
{
    bool is_avro = s->format == PQL_FORMAT_AVRO;
    const char *path = s->path = s->flags->output ? s->flags->output
                                 : is_avro        ? "sample.avro"
                                                  : "sample.jsonl";
    if (is_avro && !ends_with(path, ".avro"))
        return fail("--output", path, "the events are Avro, so it must end in .avro");
    if (!is_avro && !ends_with(path, ".jsonl") && !ends_with(path, ".ndjson") && !ends_with(path, ".json"))
        return fail("--output", path, "the events are JSON, so it must end in .jsonl");
    return 0;
}

static int read_flags(struct sampling *s)
{
    const struct flags *flags = s->flags;
    s->limits = (struct pql_sample_limits){
        .accounts = UINT64_MAX, .records = RECORDS_DEFAULT, .bytes = BYTES_MAX, .hash = UINT64_MAX};
    if (flags->accounts && !pql_sample_parse(flags->accounts, &s->limits))
        return fail("--accounts", flags->accounts, "must be a number of them, or a share such as 2%");
    if (flags->max) {
        char *end;
        unsigned long long max = strtoull(flags->max, &end, 10);
        if (*end || end == flags->max || max < 1 || max > RECORDS_MAX)
            return fail("--max", flags->max, "must be 1 to 1000000");
        s->limits.records = max;
    }
    bool is_period = pql_period_read(&flags->period, "sample", pql_wall_ms(), &s->since_ms, &s->until_ms);
    return is_period ? 0 : -1;
}

static int take_sample(struct sampling *s)
{
    struct pql_err err = {0};
    s->source = pql_event_source_open(&s->setup, s->input, s->since_ms, s->until_ms, &err);
    s->sample = pql_sample_new(&s->limits);
    if (s->source && !read_all(s, &err) && !write_file(s, &err)) {
        print_summary(s);
        return PQL_EXIT_OK;
    }
    fprintf(stderr, "pqlstream sample: %s\n", err.msg);
    return err.cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}

int pql_cmd_sample(int argc, char **argv)
{
    struct flags flags = {0};
    const struct pql_flag rows[] = {
        PQL_CONFIG_FLAGS(&flags.config),
        {"--input", 'i', PQL_FLAG_TEXT, "TOPIC", "of this input; else of all", &flags.input},
        PQL_PERIOD_FLAGS(&flags.period),
        {"--accounts", 'a', PQL_FLAG_TEXT, "N|P%", "so many accounts, or that share of them; else all",
         &flags.accounts},
        {"--max", 'm', PQL_FLAG_TEXT, "N", "no more events, by fewer accounts; else 100000", &flags.max},
        {"--output", 'o', PQL_FLAG_TEXT, "FILE", "else sample.avro or sample.jsonl", &flags.output},
    };
    int rest, exit_code;
    if (!pql_flags_read(
            rows, sizeof rows / sizeof *rows,
            "Writes events of the inputs' topics to a file that replay reads: all events of some "
            "accounts, chosen by a hash of\ntheir ids, in the order of the broker's timestamps. "
            "JSON inputs give JSON lines, Avro inputs a container with the\nwriter's schema, of "
            "several the union. Where each record was is kept, so that a replay gives the records "
            "of run.\nNothing is committed; the file is readable for its owner only.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    struct sampling s = {.flags = &flags};
    if (rest) fprintf(stderr, "pqlstream sample: what is '%s'? A file is named by --output\n", argv[1]);
    if (rest || read_flags(&s)) return PQL_EXIT_CONFIG;
    pql_arena_init(&s.texts);
    if (pql_setup_init(&s.setup, &flags.config, true, &exit_code))
        exit_code = choose_input(&s) || choose_output(&s) ? PQL_EXIT_CONFIG : take_sample(&s);
    pql_event_source_close(s.source);
    pql_sample_free(s.sample);
    pql_buf_deinit(&s.place);
    pql_buf_deinit(&s.value);
    pql_arena_deinit(&s.texts);
    pql_setup_deinit(&s.setup);
    return exit_code;
}
