/* dlq: the dead letters of a configuration: counted, looked at, sent back to where they came from. */
#include "app/kafka_say.h"
#include "app/message_printer.h"
#include "app/period.h"
#include "app/progress.h"
#include "app/setup.h"

#include "core/wire/rfc3339.h"
#include "io/kafka_merge.h"
#include "io/kafka_sender.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 5, ASK_MS = 15000, NOT_GIVEN = -1 };

#define HEADER_PREFIX "pqlstream.error."

struct flags {
    struct pql_config_flags config;
    struct pql_period_flags period;
    struct pql_texts reasons, fields;
    const char *input, *partition, *offset, *schema;
    bool shows_values, is_sure;
};

/* One dead letter: what its headers say of the record that it was. */
struct letter {
    const struct pql_merge_record *record; /* in the topic of dead letters */
    int32_t letter_partition;
    struct pql_slice reason, message, topic, schema_id; /* empty: not said */
    int64_t partition, offset, at_ms;                   /* NOT_GIVEN: not said */
    bool is_cut;                                        /* its value is not whole */
    const struct pql_header *headers;                   /* the record's own */
    size_t headers_count;
};

/* Which ones are wanted. */
struct wanted {
    const struct flags *flags;
    int64_t partition, offset_from, offset_to; /* NOT_GIVEN; offset_to belongs to them */
    int64_t since_ms, until_ms;
};

/* What a subcommand does with each, and with all at the end. */
struct dlq {
    const struct flags *flags;
    const struct pql_config *config;
    struct wanted wanted;
    struct pql_progress progress;
    uint64_t count;
    struct row *rows; /* of list and of a resend that only says what it would do */
    size_t rows_count, rows_capacity;
    struct pql_message_printer *printer; /* of show */
    struct pql_buf line;
    struct pql_kafka_sender *sender; /* of resend */
    uint64_t sent, outputs, cut, foreign;
};

struct action {
    const char *name;
    int (*open)(struct dlq *dlq, struct pql_err *err);
    int (*take)(struct dlq *dlq, const struct letter *letter, struct pql_err *err);
    int (*finish)(struct dlq *dlq, struct pql_err *err);
};

/* --- a letter --- */

static int64_t number_of(struct pql_slice text)
{
    int64_t value = 0;
    if (!text.len || text.len > 18) return NOT_GIVEN;
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] < '0' || text.ptr[i] > '9') return NOT_GIVEN;
        value = value * 10 + (text.ptr[i] - '0');
    }
    return value;
}

/* True: the header is one of ours. */
static bool read_header(struct letter *letter, const struct pql_header *header)
{
    const size_t prefix = sizeof(HEADER_PREFIX) - 1;
    if (header->name.len < prefix || memcmp(header->name.ptr, HEADER_PREFIX, prefix) != 0) return false;
    struct pql_slice name = {header->name.ptr + prefix, header->name.len - prefix};
    if (pql_slice_is(name, "reason")) letter->reason = header->value;
    if (pql_slice_is(name, "message")) letter->message = header->value;
    if (pql_slice_is(name, "topic")) letter->topic = header->value;
    if (pql_slice_is(name, "schema_id")) letter->schema_id = header->value;
    if (pql_slice_is(name, "partition")) letter->partition = number_of(header->value);
    if (pql_slice_is(name, "offset")) letter->offset = number_of(header->value);
    if (pql_slice_is(name, "at")) letter->at_ms = number_of(header->value);
    if (pql_slice_is(name, "cut_from")) letter->is_cut = true;
    return true;
}

static struct letter read_letter(const struct pql_kafka_merge *merge, const struct pql_merge_range *range,
                                 const struct pql_merge_record *record, struct pql_arena *scratch)
{
    struct letter letter = {.record = record,
                            .letter_partition = range->partition,
                            .partition = NOT_GIVEN,
                            .offset = NOT_GIVEN,
                            .at_ms = NOT_GIVEN};
    const struct pql_header *headers;
    size_t count;
    pql_kafka_merge_headers(merge, scratch, &headers, &count);
    struct pql_header *own = pql_arena_alloc(scratch, count * sizeof *own + 1);
    for (size_t i = 0; i < count; i++)
        if (!read_header(&letter, &headers[i])) own[letter.headers_count++] = headers[i];
    letter.headers = own;
    return letter;
}

static bool is_wanted(const struct wanted *wanted, const struct letter *letter)
{
    const struct flags *flags = wanted->flags;
    bool has_reason = !flags->reasons.count;
    for (size_t i = 0; i < flags->reasons.count; i++)
        has_reason |= pql_slice_is(letter->reason, flags->reasons.items[i]);
    if (!has_reason || (flags->input && !pql_slice_is(letter->topic, flags->input))) return false;
    if (wanted->partition != NOT_GIVEN && wanted->partition != letter->partition) return false;
    if (wanted->offset_from != NOT_GIVEN &&
        (letter->offset < wanted->offset_from || letter->offset > wanted->offset_to))
        return false;
    if (wanted->since_ms != PQL_NO_TIME && letter->at_ms < wanted->since_ms) return false;
    return wanted->until_ms == PQL_NO_TIME ||
           (letter->at_ms != NOT_GIVEN && letter->at_ms < wanted->until_ms);
}

/* --- list --- */

/* Those of one reason and place. */
struct row {
    char reason[64], topic[250];
    int64_t partition, first_offset, last_offset, first_ms, last_ms;
    uint64_t count;
};

static void copy_text(char *out, size_t size, struct pql_slice text, const char *otherwise)
{
    if (text.len)
        snprintf(out, size, "%.*s", text.len < size ? (int)text.len : (int)size, text.ptr);
    else
        snprintf(out, size, "%s", otherwise);
}

static struct row *row_of(struct dlq *dlq, const struct letter *letter)
{
    struct row row = {.partition = letter->partition,
                      .first_offset = letter->offset,
                      .last_offset = letter->offset,
                      .first_ms = letter->at_ms,
                      .last_ms = letter->at_ms};
    copy_text(row.reason, sizeof row.reason, letter->reason, "(none)");
    copy_text(row.topic, sizeof row.topic, letter->topic, "(unknown)");
    for (size_t i = 0; i < dlq->rows_count; i++)
        if (dlq->rows[i].partition == row.partition && strcmp(dlq->rows[i].reason, row.reason) == 0 &&
            strcmp(dlq->rows[i].topic, row.topic) == 0)
            return &dlq->rows[i];
    dlq->rows = pql_xgrow(dlq->rows, &dlq->rows_capacity, dlq->rows_count + 1, sizeof *dlq->rows);
    dlq->rows[dlq->rows_count] = row;
    return &dlq->rows[dlq->rows_count++];
}

static int add_to_row(struct dlq *dlq, const struct letter *letter, struct pql_err *err)
{
    (void)err;
    struct row *row = row_of(dlq, letter);
    row->count++;
    if (letter->offset < row->first_offset) row->first_offset = letter->offset;
    if (letter->offset > row->last_offset) row->last_offset = letter->offset;
    if (letter->at_ms < row->first_ms) row->first_ms = letter->at_ms;
    if (letter->at_ms > row->last_ms) row->last_ms = letter->at_ms;
    return 0;
}

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int c = strcmp(x->reason, y->reason);
    if (!c) c = strcmp(x->topic, y->topic);
    return c ? c : (x->partition > y->partition) - (x->partition < y->partition);
}

static const char *time_of(int64_t ms, char out[PQL_TIME_TEXT_MAX])
{
    if (ms == NOT_GIVEN) return "-";
    pql_time_text(ms, out);
    return out;
}

static int print_rows(struct dlq *dlq, struct pql_err *err)
{
    (void)err;
    char first[PQL_TIME_TEXT_MAX], last[PQL_TIME_TEXT_MAX], place[300], offsets[64];
    if (dlq->rows_count) qsort(dlq->rows, dlq->rows_count, sizeof *dlq->rows, compare_rows);
    if (dlq->rows_count)
        printf("%10s  %-18s  %-30s  %-20s  %-24s  %s\n", "count", "reason", "input", "offsets", "first",
               "last");
    for (size_t i = 0; i < dlq->rows_count; i++) {
        const struct row *row = &dlq->rows[i];
        snprintf(place, sizeof place, row->partition == NOT_GIVEN ? "%s" : "%s[%" PRId64 "]", row->topic,
                 row->partition);
        snprintf(offsets, sizeof offsets, row->first_offset == NOT_GIVEN ? "-" : "%" PRId64 "..%" PRId64,
                 row->first_offset, row->last_offset);
        printf("%10" PRIu64 "  %-18s  %-30s  %-20s  %-24s  %s\n", row->count, row->reason, place, offsets,
               time_of(row->first_ms, first), time_of(row->last_ms, last));
    }
    fprintf(stderr, "%" PRIu64 " dead letters in %s\n", dlq->count, dlq->config->outputs[PQL_OUT_DLQ].topic);
    return 0;
}

/* --- show --- */

static int open_printer(struct dlq *dlq, struct pql_err *err)
{
    const struct pql_message_printer_conf conf = {
        .schema = dlq->flags->schema, .registry = dlq->config->registry, .fields = &dlq->flags->fields};
    dlq->printer = pql_message_printer_new(&conf, err);
    return dlq->printer ? 0 : -1;
}

static void put_number(struct pql_buf *line, const char *name, int64_t value)
{
    if (value == NOT_GIVEN)
        pql_buf_printf(line, "\"%s\": null, ", name);
    else
        pql_buf_printf(line, "\"%s\": %" PRId64 ", ", name, value);
}

static void put_text(struct pql_buf *line, const char *name, struct pql_slice text, bool is_there)
{
    pql_put_bytes(line, name, text, is_there);
    pql_buf_text(line, ", ");
}

/* Decoded where it can be; most dead letters cannot, and are shown as they are. */
static void put_value(struct dlq *dlq, const struct letter *letter)
{
    char how[PQL_SCHEMA_KEY_TEXT_MAX];
    struct pql_err ignored;
    struct pql_buf value = {0};
    const struct pql_merge_record *record = letter->record;
    const struct pql_message message = {.headers = letter->headers, .headers_count = letter->headers_count};
    pql_buf_text(&dlq->line, ", ");
    if (record->has_value &&
        !pql_message_printer_put(dlq->printer, record->value, &message, &value, how, &ignored)) {
        pql_buf_text(&dlq->line, "\"value\": ");
        pql_buf_put(&dlq->line, value.ptr, value.len);
    } else {
        pql_put_bytes(&dlq->line, "value", record->value, record->has_value);
    }
    pql_buf_deinit(&value);
}

static int show(struct dlq *dlq, const struct letter *letter, struct pql_err *err)
{
    (void)err;
    const struct pql_merge_record *record = letter->record;
    struct pql_buf *line = &dlq->line;
    char at[PQL_TIME_TEXT_MAX], time[PQL_TIME_TEXT_MAX];
    bool has_time = record->timestamp_ms != PQL_NO_TIME, has_at = letter->at_ms != NOT_GIVEN;
    line->len = 0;
    pql_buf_u8(line, '{');
    put_text(line, "reason", letter->reason, letter->reason.len);
    put_text(line, "message", letter->message, letter->message.len);
    put_text(line, "topic", letter->topic, letter->topic.len);
    put_number(line, "partition", letter->partition);
    put_number(line, "offset", letter->offset);
    put_text(line, "at", pql_slice_of(time_of(letter->at_ms, at)), has_at);
    put_text(line, "schema", letter->schema_id, letter->schema_id.len);
    pql_buf_printf(line, "\"letter\": \"%" PRId32 "@%" PRId64 "\", ", letter->letter_partition,
                   record->offset);
    put_text(line, "timestamp", pql_slice_of(has_time ? time_of(record->timestamp_ms, time) : ""), has_time);
    put_text(line, "key", record->key, record->has_key);
    pql_buf_printf(line, "\"value_bytes\": %zu", record->value.len);
    if (dlq->flags->shows_values) {
        pql_buf_text(line, ", ");
        pql_put_headers(line, letter->headers, letter->headers_count);
        put_value(dlq, letter);
    }
    pql_buf_text(line, "}\n");
    fwrite(line->ptr, 1, line->len, stdout);
    return 0;
}

static int end_show(struct dlq *dlq, struct pql_err *err)
{
    (void)err;
    fprintf(stderr, "%" PRIu64 " dead letters%s\n", dlq->count,
            dlq->count && !dlq->flags->shows_values ? "; --values shows what is in them" : "");
    return 0;
}

/* --- resend --- */

static int open_sender(struct dlq *dlq, struct pql_err *err)
{
    const struct pql_kafka_log log = pql_kafka_say();
    if (!dlq->flags->is_sure) return 0;
    dlq->sender = pql_kafka_sender_open(&dlq->config->kafka, &log, err);
    return dlq->sender ? 0 : -1;
}

static const char *input_of(const struct dlq *dlq, struct pql_slice topic)
{
    for (size_t i = 0; i < dlq->config->inputs_count; i++)
        if (pql_slice_is(topic, dlq->config->inputs[i].topic)) return dlq->config->inputs[i].topic;
    return NULL;
}

/* The same bytes, headers and time, in the same partition: all that decides what becomes of a record. */
static int resend(struct dlq *dlq, const struct letter *letter, struct pql_err *err)
{
    const struct pql_merge_record *record = letter->record;
    const char *topic = input_of(dlq, letter->topic);
    dlq->cut += letter->is_cut;
    dlq->outputs += !letter->is_cut && letter->partition == NOT_GIVEN;
    dlq->foreign += !letter->is_cut && letter->partition != NOT_GIVEN && !topic;
    if (letter->is_cut || letter->partition == NOT_GIVEN || !topic) return 0;
    dlq->sent++;
    if (!dlq->sender) return add_to_row(dlq, letter, err);
    const struct pql_out_record out = {.partition = (int32_t)letter->partition,
                                       .has_key = record->has_key,
                                       .has_value = record->has_value,
                                       .key = record->key,
                                       .value = record->value,
                                       .headers = letter->headers,
                                       .headers_count = letter->headers_count,
                                       .timestamp_ms = record->timestamp_ms};
    return pql_kafka_sender_put(dlq->sender, topic, &out, err);
}

static void say_left_out(const struct dlq *dlq)
{
    if (dlq->cut)
        fprintf(stderr, "%" PRIu64 " left out: their values are not whole (pqlstream.error.cut_from)\n",
                dlq->cut);
    if (dlq->outputs)
        fprintf(stderr, "%" PRIu64 " left out: output records that were too large, not input\n",
                dlq->outputs);
    if (dlq->foreign)
        fprintf(stderr, "%" PRIu64 " left out: their topic is no input of this configuration\n",
                dlq->foreign);
}

static void say_duplicates(const struct dlq *dlq)
{
    const char *rest = "the dead letters stay where they are, and who sends them twice has sent them twice: ";
    if (dlq->config->program.settings.dedup_horizon_ms)
        fprintf(stderr, "%sof an event id the first one counts, within dedup_horizon\n", rest);
    else
        fprintf(stderr, "%sdedup_horizon is not set, so both would count\n", rest);
}

static int end_resend(struct dlq *dlq, struct pql_err *err)
{
    uint64_t delivered = 0;
    pql_progress_clear(&dlq->progress);
    if (!dlq->sender) {
        print_rows(dlq, err);
        say_left_out(dlq);
        fprintf(stderr, "%" PRIu64 " would be sent back to their topic and partition; with --yes they are\n",
                dlq->sent);
        return 0;
    }
    int result = pql_kafka_sender_finish(dlq->sender, &delivered, err);
    fprintf(stderr, "%" PRIu64 " of %" PRIu64 " sent back to their topic and partition\n", delivered,
            dlq->sent);
    say_left_out(dlq);
    if (delivered) say_duplicates(dlq);
    return result;
}

static const struct action actions[] = {
    {"list", NULL, add_to_row, print_rows},
    {"show", open_printer, show, end_show},
    {"resend", open_sender, resend, end_resend},
};

/* --- the whole --- */

static int read_letters(struct dlq *dlq, const struct action *action, struct pql_kafka_merge *merge,
                        const struct pql_merge_range *ranges, struct pql_err *err)
{
    struct pql_arena scratch;
    struct pql_merge_record record;
    uint64_t done = 0;
    int got, result = 0;
    pql_arena_init(&scratch);
    while (!result && (got = pql_kafka_merge_next(merge, &record, err)) != 0) {
        if (got < 0) {
            result = -1;
            break;
        }
        pql_arena_reset(&scratch);
        struct letter letter = read_letter(merge, &ranges[record.range], &record, &scratch);
        if (++done % 1024 == 0) pql_progress_show(&dlq->progress, done, done, pql_wall_ms());
        if (!is_wanted(&dlq->wanted, &letter)) continue;
        dlq->count++;
        result = action->take(dlq, &letter, err);
    }
    pql_progress_clear(&dlq->progress);
    pql_arena_deinit(&scratch);
    return result;
}

static int act(struct dlq *dlq, const struct action *action, struct pql_err *err)
{
    const struct pql_kafka_log log = pql_kafka_say();
    const char *topic = dlq->config->outputs[PQL_OUT_DLQ].topic;
    struct pql_merge_range *ranges = NULL;
    struct pql_kafka_merge *merge = NULL;
    size_t count;
    int result = -1;
    struct pql_kafka *kafka =
        pql_kafka_open(&dlq->config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, err);
    /* The whole topic: its timestamps are those of the records, not of their refusal. */
    if (!kafka || pql_kafka_await(kafka, ATTEMPTS_MAX, NULL, NULL, err) ||
        pql_merge_ranges(kafka, &topic, 1, PQL_NO_TIME, PQL_NO_TIME, &ranges, &count, ASK_MS, err) ||
        !(merge = pql_kafka_merge_open(&dlq->config->kafka, &log, ranges, count, err)))
        goto out;
    pql_progress_init(&dlq->progress, "dlq", "dead letters", pql_merge_size(ranges, count), pql_wall_ms());
    if (action->open && action->open(dlq, err)) goto out;
    result = read_letters(dlq, action, merge, ranges, err);
    if (!result) result = action->finish(dlq, err);
out:
    pql_kafka_merge_close(merge);
    pql_kafka_close(kafka);
    free(ranges);
    return result;
}

static const struct action *find_action(int rest, char **argv)
{
    for (size_t i = 0; rest == 1 && i < sizeof actions / sizeof *actions; i++)
        if (strcmp(actions[i].name, argv[1]) == 0) return &actions[i];
    fputs("pqlstream dlq: one of list, show, resend is wanted\n", stderr);
    return NULL;
}

static bool read_offsets(const char *text, struct wanted *wanted)
{
    const char *dots = strstr(text, "..");
    wanted->offset_from = number_of((struct pql_slice){text, dots ? (size_t)(dots - text) : strlen(text)});
    wanted->offset_to = dots ? number_of(pql_slice_of(dots + 2)) : wanted->offset_from;
    return wanted->offset_from != NOT_GIVEN && wanted->offset_to >= wanted->offset_from;
}

static bool read_wanted(const struct flags *flags, struct wanted *wanted)
{
    *wanted = (struct wanted){.flags = flags, .partition = NOT_GIVEN, .offset_from = NOT_GIVEN};
    if (!pql_period_read(&flags->period, "dlq", pql_wall_ms(), &wanted->since_ms, &wanted->until_ms))
        return false;
    if (flags->partition) wanted->partition = number_of(pql_slice_of(flags->partition));
    if (flags->partition && wanted->partition == NOT_GIVEN)
        fprintf(stderr, "pqlstream dlq: --partition %s: must be a number\n", flags->partition);
    else if (flags->offset && !read_offsets(flags->offset, wanted))
        fprintf(stderr, "pqlstream dlq: --offset %s: must be an offset, or a range such as 17..42\n",
                flags->offset);
    else
        return true;
    return false;
}

int pql_cmd_dlq(int argc, char **argv)
{
    struct flags flags = {0};
    const struct pql_flag rows[] = {
        PQL_CONFIG_FLAGS(&flags.config),
        {"--reason", 'r', PQL_FLAG_TEXTS, "WORD", "only of this reason; may be repeated", &flags.reasons},
        {"--input", 'i', PQL_FLAG_TEXT, "TOPIC", "only of this input", &flags.input},
        {"--partition", 'p', PQL_FLAG_TEXT, "P", "only of this partition of the input", &flags.partition},
        {"--offset", 'o', PQL_FLAG_TEXT, "O|A..B", "only of these offsets of the input", &flags.offset},
        {"--since", 0, PQL_FLAG_TEXT, "TIME",
         "only refused since then: 2d (ago), 2026-03-01, 2026-03-01T09:00Z", &flags.period.since},
        {"--until", 0, PQL_FLAG_TEXT, "TIME", "only refused before then", &flags.period.until},
        {"--values", 0, PQL_FLAG_YES, NULL, "show: values and headers too, decoded where that is possible",
         &flags.shows_values},
        {"--field", 'f', PQL_FLAG_TEXTS, "PATH", "show --values: this field only", &flags.fields},
        {"--schema", 0, PQL_FLAG_TEXT, "FILE",
         "show --values: the writer's schema, where no registry knows it", &flags.schema},
        {"--yes", 0, PQL_FLAG_YES, NULL, "resend: yes; without it only what would be sent is said",
         &flags.is_sure},
    };
    int rest, exit_code;
    if (!pql_flags_read(rows, sizeof rows / sizeof *rows,
                        "list: how many there are, by reason and place. show: each as a JSON line. resend: "
                        "those chosen go back to the input,\nas they came: the same bytes, headers, time and "
                        "partition. Nothing is deleted.",
                        argc, argv, &rest, &exit_code))
        return exit_code;
    const struct action *action = find_action(rest, argv);
    struct dlq dlq = {.flags = &flags};
    if (!action || !read_wanted(&flags, &dlq.wanted)) return PQL_EXIT_CONFIG;
    struct pql_setup setup;
    struct pql_err err = {0};
    exit_code = PQL_EXIT_OK;
    if (pql_setup_init(&setup, &flags.config, true, &exit_code)) {
        dlq.config = setup.config;
        if (act(&dlq, action, &err)) {
            fflush(stdout);
            fprintf(stderr, "pqlstream dlq: %s\n", err.msg);
            exit_code = err.cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
        }
    }
    pql_kafka_sender_close(dlq.sender);
    pql_message_printer_free(dlq.printer);
    pql_buf_deinit(&dlq.line);
    free(dlq.rows);
    pql_setup_deinit(&setup);
    return exit_code;
}
