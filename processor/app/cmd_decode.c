/* decode: messages and container files as JSON, for people who ask what is in a topic. */
#include "app/kafka_say.h"
#include "app/message_printer.h"
#include "app/setup.h"

#include "core/wire/rfc3339.h"
#include "io/kafka_merge.h"
#include "io/ocf.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS_MAX = 5, ASK_MS = 15000 };

struct flags {
    struct pql_config_flags config;
    const char *schema, *reader, *registry, *framing;
    struct pql_texts fields;
    bool is_hex, is_container;
    const char *topic, *partition, *offset, *count;
};

static int say(const struct pql_err *err)
{
    fprintf(stderr, "pqlstream decode: %s\n", err->msg);
    return err->cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}

/* --- files --- */

static int hex_digit(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* Hex digits with white space anywhere, in place. */
static int unhex(struct pql_buf *text, struct pql_err *err)
{
    size_t digits = 0;
    for (size_t i = 0; i < text->len; i++) {
        unsigned char c = (unsigned char)text->ptr[i];
        if (isspace(c)) continue;
        int digit = hex_digit(c);
        if (digit < 0) return PQL_FAIL(err, PQL_ERR_CONFIG, "byte %zu of the input is no hex digit", i);
        int high = digits % 2 ? text->ptr[digits / 2] << 4 : 0;
        text->ptr[digits / 2] = (char)(unsigned char)(high | digit);
        digits++;
    }
    text->len = digits / 2;
    return digits % 2 ? PQL_FAIL(err, PQL_ERR_CONFIG, "the input has an odd number of hex digits") : 0;
}

static bool begins_as_container(const char *path)
{
    char magic[4] = "";
    FILE *file = fopen(path, "rbe");
    if (!file) return false;
    size_t n = fread(magic, 1, sizeof magic, file);
    fclose(file);
    return n == sizeof magic && memcmp(magic, "Obj\1", sizeof magic) == 0;
}

static void print_line(struct pql_buf *line)
{
    pql_buf_u8(line, '\n');
    fwrite(line->ptr, 1, line->len, stdout);
    line->len = 0;
}

static int decode_container(const struct flags *flags, const char *path, struct pql_err *err)
{
    struct pql_ocf *ocf = pql_ocf_open(path, err);
    if (!ocf) return -1;
    struct pql_value_printer *printer =
        pql_value_printer_new(pql_ocf_schema(ocf), flags->reader, &flags->fields, err);
    struct pql_buf line = {0};
    struct pql_slice datum;
    unsigned long long count = 0;
    int result = printer ? 0 : -1;
    while (!result && !(result = pql_ocf_next(ocf, &datum, err)) && datum.ptr) {
        result = pql_value_printer_put(printer, datum, &line, err);
        if (result)
            pql_err_prefix(err, "%s: datum %llu: ", path, count + 1);
        else {
            print_line(&line);
            count++;
        }
    }
    pql_value_printer_free(printer);
    pql_buf_deinit(&line);
    pql_ocf_close(ocf);
    fprintf(stderr, "framing: container, %llu data\n", count);
    return result;
}

/* --- single messages --- */

/* The registry of --registry, else of the configuration. */
static struct pql_message_printer *open_printer(const struct flags *flags, const struct pql_config *config,
                                                struct pql_err *err)
{
    struct pql_message_printer_conf conf = {.schema = flags->schema,
                                            .reader = flags->reader,
                                            .framing = flags->framing,
                                            .registry = {.url = flags->registry, .timeout_ms = 10000},
                                            .fields = &flags->fields};
    if (!conf.registry.url && config) conf.registry = config->registry;
    return pql_message_printer_new(&conf, err);
}

static int print_message(const struct flags *flags, const struct pql_config *config, struct pql_slice message,
                         struct pql_err *err)
{
    char how[PQL_SCHEMA_KEY_TEXT_MAX] = "";
    struct pql_buf line = {0};
    struct pql_message_printer *printer = open_printer(flags, config, err);
    int result = printer ? pql_message_printer_put(printer, message, NULL, &line, how, err) : -1;
    if (how[0]) fprintf(stderr, "framing: %s\n", how);
    if (!result) print_line(&line);
    pql_buf_deinit(&line);
    pql_message_printer_free(printer);
    return result;
}

static int decode_bytes(const struct flags *flags, struct pql_slice message, struct pql_err *err)
{
    struct pql_setup setup = {0};
    int exit_code, result = 0;
    bool has_config = !flags->registry && (flags->config.path || flags->config.sets.count);
    if (has_config && !pql_setup_init(&setup, &flags->config, false, &exit_code))
        result = PQL_FAIL(err, PQL_ERR_CONFIG, "the configuration cannot be used");
    if (!result) result = print_message(flags, setup.config, message, err);
    pql_setup_deinit(&setup);
    return result;
}

static int decode_message(const struct flags *flags, const char *path, struct pql_err *err)
{
    struct pql_buf message = {0};
    int result = pql_read_file(path, &message, err);
    if (!result && flags->is_hex) result = unhex(&message, err);
    if (!result) result = decode_bytes(flags, (struct pql_slice){message.ptr, message.len}, err);
    pql_buf_deinit(&message);
    return result;
}

/* --- of a topic --- */

struct place {
    int32_t partition;
    int64_t offset;
    uint64_t count;
};

static bool read_number(const char *text, int64_t max, int64_t *value)
{
    char *end;
    errno = 0;
    long long found = strtoll(text, &end, 10);
    *value = found;
    return end != text && !*end && !errno && found >= 0 && found <= max;
}

static int read_place(const struct flags *flags, struct place *place, struct pql_err *err)
{
    int64_t partition = 0, count = 1;
    if (!flags->partition || !read_number(flags->partition, INT32_MAX, &partition))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "--topic wants --partition with a number");
    if (!flags->offset || !read_number(flags->offset, INT64_MAX, &place->offset))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "--topic wants --offset with a number");
    if (flags->count && (!read_number(flags->count, INT64_MAX, &count) || count < 1))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "--count wants a number from 1 on");
    place->partition = (int32_t)partition;
    place->count = (uint64_t)count;
    return 0;
}

/* From the place to the end, where there is something at all. */
static int find_range(struct pql_kafka *kafka, const char *topic, const struct place *place,
                      struct pql_merge_range *range, struct pql_err *err)
{
    struct pql_merge_range *ranges;
    size_t count, at = (size_t)place->partition;
    if (pql_kafka_await(kafka, ATTEMPTS_MAX, NULL, NULL, err) ||
        pql_merge_ranges(kafka, &topic, 1, PQL_NO_TIME, PQL_NO_TIME, &ranges, &count, ASK_MS, err))
        return -1;
    int result = 0;
    if (at >= count)
        result = PQL_FAIL(err, PQL_ERR_CONFIG, "%s has no partition %" PRId32 ", it has %zu", topic,
                          place->partition, count);
    else if (place->offset < ranges[at].from || place->offset >= ranges[at].to)
        result = PQL_FAIL(err, PQL_ERR_CONFIG,
                          "%s[%" PRId32 "] has no offset %" PRId64 ": it holds %" PRId64 " to %" PRId64,
                          topic, place->partition, place->offset, ranges[at].from, ranges[at].to - 1);
    else
        *range = ranges[at];
    range->topic = topic;
    range->from = place->offset;
    free(ranges);
    return result;
}

static void put_place(struct pql_buf *line, const struct pql_merge_range *range,
                      const struct pql_merge_record *record)
{
    char time[PQL_TIME_TEXT_MAX];
    pql_buf_text(line, "{");
    pql_put_bytes(line, "topic", pql_slice_of(range->topic), true);
    pql_buf_printf(line, ", \"partition\": %" PRId32 ", \"offset\": %" PRId64 ", ", range->partition,
                   record->offset);
    bool has_time = record->timestamp_ms != PQL_NO_TIME;
    struct pql_slice text = {time, has_time ? pql_time_text(record->timestamp_ms, time) : 0};
    pql_put_bytes(line, "timestamp", text, has_time);
    pql_buf_text(line, ", ");
    pql_put_bytes(line, "key", record->key, record->has_key);
}

/* A value that cannot be decoded is shown as it is, and why. */
static int put_decoded(struct pql_message_printer *printer, const struct pql_merge_record *record,
                       const struct pql_message *message, struct pql_buf *line)
{
    char how[PQL_SCHEMA_KEY_TEXT_MAX] = "";
    struct pql_err err = {0};
    struct pql_buf value = {0};
    int failed =
        record->has_value && pql_message_printer_put(printer, record->value, message, &value, how, &err);
    pql_buf_text(line, ", ");
    pql_put_bytes(line, "schema", pql_slice_of(how), how[0]);
    pql_buf_text(line, ", ");
    if (failed || !record->has_value) {
        pql_put_bytes(line, "value", record->value, record->has_value);
    } else {
        pql_buf_text(line, "\"value\": ");
        pql_buf_put(line, value.ptr, value.len);
    }
    if (failed) {
        pql_buf_text(line, ", ");
        pql_put_bytes(line, "error", pql_slice_of(err.msg), true);
    }
    pql_buf_text(line, "}");
    pql_buf_deinit(&value);
    return failed;
}

static int print_records(struct pql_kafka_merge *merge, struct pql_message_printer *printer,
                         const struct pql_merge_range *range, const struct place *place, struct pql_err *err)
{
    struct pql_arena scratch;
    struct pql_merge_record record;
    struct pql_buf line = {0};
    uint64_t count = 0, failures = 0;
    int got = 1;
    pql_arena_init(&scratch);
    while (count < place->count && (got = pql_kafka_merge_next(merge, &record, err)) > 0) {
        struct pql_message message = {0};
        if (!count++ && record.offset != place->offset)
            fprintf(stderr,
                    "%s[%" PRId32 "]@%" PRId64 " is no committed record; the next one is at %" PRId64 "\n",
                    range->topic, range->partition, place->offset, record.offset);
        pql_arena_reset(&scratch);
        pql_kafka_merge_headers(merge, &scratch, &message.headers, &message.headers_count);
        put_place(&line, range, &record);
        pql_buf_text(&line, ", ");
        pql_put_headers(&line, message.headers, message.headers_count);
        failures += put_decoded(printer, &record, &message, &line) != 0;
        print_line(&line);
    }
    pql_buf_deinit(&line);
    pql_arena_deinit(&scratch);
    if (got < 0) return -1;
    if (!count)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "%s[%" PRId32 "] has no committed record from offset %" PRId64 " on", range->topic,
                        range->partition, place->offset);
    return failures ? PQL_FAIL(err, PQL_ERR_RECORD, "%" PRIu64 " of %" PRIu64 " records could not be decoded",
                               failures, count)
                    : 0;
}

/* What the configuration says about values of this topic, where the flags do not. */
static void add_input(struct flags *flags, const struct pql_config *config)
{
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *input = &config->inputs[i];
        if (strcmp(input->topic, flags->topic) != 0 || input->format != PQL_FORMAT_AVRO) continue;
        if (!flags->schema) flags->schema = input->schema;
        if (!flags->schema && config->schemas_count) flags->schema = config->schemas[0];
        if (!flags->framing && input->framing != PQL_FRAMING_AUTO)
            flags->framing = pql_framing_names[input->framing];
    }
}

static int decode_topic(struct flags *flags, const struct pql_config *config, struct pql_err *err)
{
    const struct pql_kafka_log log = pql_kafka_say();
    struct place place;
    struct pql_merge_range range = {0};
    struct pql_kafka *kafka = NULL;
    struct pql_message_printer *printer = NULL;
    struct pql_kafka_merge *merge = NULL;
    int result = -1;
    add_input(flags, config);
    if (read_place(flags, &place, err) || !(printer = open_printer(flags, config, err))) goto out;
    kafka = pql_kafka_open(&config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, err);
    if (!kafka || find_range(kafka, flags->topic, &place, &range, err)) goto out;
    merge = pql_kafka_merge_open(&config->kafka, &log, &range, 1, err);
    if (merge) result = print_records(merge, printer, &range, &place, err);
out:
    pql_kafka_merge_close(merge);
    pql_kafka_close(kafka);
    pql_message_printer_free(printer);
    return result;
}

static int decode_from_kafka(struct flags *flags)
{
    struct pql_setup setup;
    struct pql_err err = {0};
    int exit_code = PQL_EXIT_OK;
    if (pql_setup_init(&setup, &flags->config, true, &exit_code) && decode_topic(flags, setup.config, &err)) {
        fflush(stdout);
        exit_code = say(&err);
    }
    pql_setup_deinit(&setup);
    return exit_code;
}

int pql_cmd_decode(int argc, char **argv)
{
    struct flags flags = {0};
    const struct pql_flag rows[] = {
        {"--schema", 0, PQL_FLAG_TEXT, "FILE", "the writer's schema, where no registry knows it",
         &flags.schema},
        {"--registry", 0, PQL_FLAG_TEXT, "URL", "schema registry for ids; else that of --config",
         &flags.registry},
        {"--framing", 0, PQL_FLAG_TEXT, "NAME", "auto (default), prefix, single_object or bare",
         &flags.framing},
        {"--hex", 0, PQL_FLAG_YES, NULL, "the message is written in hex digits", &flags.is_hex},
        {"--container", 0, PQL_FLAG_YES, NULL, "standard input is a container file", &flags.is_container},
        {"--field", 'f', PQL_FLAG_TEXTS, "PATH", "print this field only, as the processor reads it",
         &flags.fields},
        {"--reader", 0, PQL_FLAG_TEXT, "FILE", "with --field: resolve the writer's schema to this one",
         &flags.reader},
        {"--topic", 't', PQL_FLAG_TEXT, "TOPIC", "records of a topic of the configuration's brokers",
         &flags.topic},
        {"--partition", 'p', PQL_FLAG_TEXT, "P", "with --topic: of this partition", &flags.partition},
        {"--offset", 'o', PQL_FLAG_TEXT, "O", "with --topic: from this offset on", &flags.offset},
        {"--count", 'n', PQL_FLAG_TEXT, "N", "with --topic: so many; else 1", &flags.count},
        PQL_CONFIG_FLAGS(&flags.config),
    };
    int rest, exit_code;
    if (!pql_flags_read(
            rows, sizeof rows / sizeof *rows,
            "Prints a message (a file, or standard input) or an Avro container file as JSON, one value a "
            "line; on\nstandard error the framing found. With --topic a committed record of a topic, with "
            "its place, "
            "time, key and headers.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    const char *path = rest > 0 ? argv[1] : "-";
    if (rest > 1) {
        fputs("pqlstream decode: one file at a time\n", stderr);
        return PQL_EXIT_CONFIG;
    }
    if (flags.topic && rest == 0) return decode_from_kafka(&flags);
    if (flags.topic) {
        fputs("pqlstream decode: a file does not go with --topic\n", stderr);
        return PQL_EXIT_CONFIG;
    }
    struct pql_err err = {0};
    bool is_container = strcmp(path, "-") == 0 ? flags.is_container : begins_as_container(path);
    int failed = is_container ? decode_container(&flags, path, &err) : decode_message(&flags, path, &err);
    return failed ? say(&err) : PQL_EXIT_OK;
}
