/* decode: messages and container files as JSON, for people who ask what is in a topic. */
#include "app/setup.h"

#include "base/buf.h"
#include "base/memory.h"
#include "core/wire/encode.h"
#include "core/wire/plan.h"
#include "core/wire/rfc3339.h"
#include "io/avro_json.h"
#include "io/ocf.h"
#include "io/registry.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_MAX = 64 << 20, REGISTRY_WAIT_MS = 5000 };

struct flags {
    struct pql_config_flags config;
    const char *schema, *reader, *registry, *framing;
    struct pql_texts fields;
    bool is_hex, is_container;
};

/* What is printed of a value: the whole by avro-c, or some fields as the processor would read them. */
struct printer {
    struct pql_avro_json *json;
    struct pql_plan *plan;
    const struct pql_texts *fields;
    struct pql_value slots[PQL_FLAG_TEXTS_MAX];
    struct pql_arena scratch;
    struct pql_buf line;
};

static int say(const struct pql_err *err)
{
    fprintf(stderr, "pqlstream decode: %s\n", err->msg);
    return err->cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}

/* --- files --- */

static int read_all(const char *path, struct pql_buf *out, struct pql_err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
    size_t n;
    while (out->len <= MESSAGE_MAX && (n = fread(pql_buf_reserve(out, 65536), 1, 65536, file)) > 0)
        out->len += n;
    int cause = ferror(file) ? errno : 0;
    if (file != stdin) fclose(file);
    if (cause) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(cause));
    if (out->len > MESSAGE_MAX)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: longer than %d bytes", path, MESSAGE_MAX);
    return 0;
}

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

/* --- printing --- */

static int printer_init_fields(struct printer *printer, struct pql_slice schema, const char *reader_path,
                               struct pql_err *err)
{
    struct pql_slice wanted[PQL_FLAG_TEXTS_MAX];
    for (size_t i = 0; i < printer->fields->count; i++) wanted[i] = pql_slice_of(printer->fields->items[i]);
    struct pql_buf text = {0};
    struct pql_schema *writer = NULL, *reader = NULL;
    if (reader_path && read_all(reader_path, &text, err)) goto out;
    if (reader_path && !(reader = pql_schema_parse((struct pql_slice){text.ptr, text.len}, err))) goto out;
    writer = pql_schema_parse(schema, err);
    if (writer) printer->plan = pql_plan_new(writer, reader, wanted, printer->fields->count, err);
out:
    pql_buf_deinit(&text);
    pql_schema_free(writer);
    pql_schema_free(reader);
    return printer->plan ? 0 : -1;
}

static int printer_init(struct printer *printer, const struct flags *flags, struct pql_slice schema,
                        struct pql_err *err)
{
    *printer = (struct printer){.fields = &flags->fields};
    if (flags->fields.count) return printer_init_fields(printer, schema, flags->reader, err);
    printer->json = pql_avro_json_new(schema, err);
    return printer->json ? 0 : -1;
}

static void printer_deinit(struct printer *printer)
{
    pql_avro_json_free(printer->json);
    pql_plan_free(printer->plan);
    pql_arena_deinit(&printer->scratch);
    pql_buf_deinit(&printer->line);
}

static void put_value(struct pql_buf *out, const struct pql_value *value)
{
    char text[PQL_DECIMAL_TEXT_MAX];
    _Static_assert((int)PQL_TIME_TEXT_MAX <= (int)PQL_DECIMAL_TEXT_MAX, "one buffer for both");
    switch (value->kind) {
    case PQL_BOOL: pql_buf_text(out, value->boolean ? "true" : "false"); return;
    case PQL_NUMBER: pql_buf_put(out, text, pql_decimal_text(value->number, text)); return;
    case PQL_TEXT: pql_encode_json_text(out, value->text); return;
    case PQL_TIME:
        pql_encode_json_text(out, (struct pql_slice){text, pql_time_text(value->ms, text)});
        return;
    case PQL_DURATION: pql_buf_printf(out, "%lld", (long long)value->ms); return;
    case PQL_NULL: break;
    }
    pql_buf_text(out, "null");
}

static int put_fields(struct printer *printer, struct pql_slice bytes, struct pql_err *err)
{
    pql_arena_reset(&printer->scratch);
    if (pql_plan_run(printer->plan, bytes.ptr, bytes.len, &printer->scratch, printer->slots, err)) return -1;
    for (size_t i = 0; i < printer->fields->count; i++) {
        pql_buf_text(&printer->line, i ? ", " : "{");
        pql_encode_json_text(&printer->line, pql_slice_of(printer->fields->items[i]));
        pql_buf_text(&printer->line, ": ");
        put_value(&printer->line, &printer->slots[i]);
    }
    pql_buf_u8(&printer->line, '}');
    return 0;
}

static int print_value(struct printer *printer, struct pql_slice bytes, struct pql_err *err)
{
    printer->line.len = 0;
    if (printer->plan ? put_fields(printer, bytes, err)
                      : pql_avro_json_print(printer->json, bytes, &printer->line, err))
        return -1;
    pql_buf_u8(&printer->line, '\n');
    fwrite(printer->line.ptr, 1, printer->line.len, stdout);
    return 0;
}

/* --- containers --- */

static int decode_container(const struct flags *flags, const char *path, struct pql_err *err)
{
    struct pql_ocf *ocf = pql_ocf_open(path, err);
    if (!ocf) return -1;
    struct printer printer;
    struct pql_slice datum;
    unsigned long long count = 0;
    int result = printer_init(&printer, flags, pql_ocf_schema(ocf), err);
    while (!result && !(result = pql_ocf_next(ocf, &datum, err)) && datum.ptr) {
        result = print_value(&printer, datum, err);
        if (result)
            pql_err_prefix(err, "%s: datum %llu: ", path, count + 1);
        else
            count++;
    }
    printer_deinit(&printer);
    pql_ocf_close(ocf);
    fprintf(stderr, "framing: container, %llu data\n", count);
    return result;
}

/* --- single messages --- */

static int read_framing_name(const char *name, enum pql_framing *framing, struct pql_err *err)
{
    *framing = PQL_FRAMING_AUTO;
    if (!name) return 0;
    for (int i = 0; i < PQL_FRAMING_COUNT; i++)
        if (strcmp(name, pql_framing_names[i]) == 0) {
            *framing = (enum pql_framing)i;
            return 0;
        }
    return PQL_FAIL(err, PQL_ERR_CONFIG, "no framing '%s'; known are auto, prefix, single_object, bare",
                    name);
}

/* Somebody waits for the answer: an id that is unknown now is said at once. */
static const struct pql_registry_paces impatient = {
    .backoff_min_ms = 200, .backoff_max_ms = 1000, .attempts_max = 1, .grace_ms = 0, .negative_ms = 30000};

/* The registry of --registry, else of the configuration, or NULL in *registry where neither names one. */
static int open_registry(const struct flags *flags, struct pql_registry **registry, struct pql_err *err)
{
    struct pql_registry_conf conf = {.url = flags->registry, .timeout_ms = 10000};
    struct pql_setup setup = {0};
    int exit_code, result = 0;
    if (!conf.url && (flags->config.path || flags->config.sets.count)) {
        if (pql_setup_init(&setup, &flags->config, false, &exit_code))
            conf = setup.config->registry;
        else
            result = PQL_FAIL(err, PQL_ERR_CONFIG, "the configuration cannot be used");
    }
    if (!result && conf.url) {
        *registry = pql_registry_new(&conf, &impatient, NULL, NULL, err);
        result = *registry ? 0 : -1;
    }
    pql_setup_deinit(&setup);
    return result;
}

/* A single object says by whose schema it was written. */
static int check_fingerprint(const char *path, struct pql_slice text, uint64_t expected, struct pql_err *err)
{
    struct pql_schema *schema = pql_schema_parse(text, err);
    if (!schema) return -1;
    uint64_t found = pql_schema_fingerprint(schema);
    pql_schema_free(schema);
    if (found == expected) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "%s is another schema: its fingerprint is %016llx", path,
                    (unsigned long long)found);
}

/* The writer's schema of the key: of the registry where the message names an id and there is one, else of the
 * file. */
static int find_schema(const struct flags *flags, struct pql_registry *registry,
                       const struct pql_schema_key *key, struct pql_buf *text, struct pql_err *err)
{
    struct pql_slice found;
    if (registry && (key->kind == PQL_SCHEMA_ID || key->kind == PQL_SCHEMA_GUID)) {
        if (pql_registry_wait(registry, key, REGISTRY_WAIT_MS, &found, err)) return -1;
        pql_buf_put(text, found.ptr, found.len);
        return 0;
    }
    if (flags->schema) {
        if (read_all(flags->schema, text, err)) return -1;
        if (key->kind != PQL_SCHEMA_FINGERPRINT) return 0;
        return check_fingerprint(flags->schema, (struct pql_slice){text->ptr, text->len}, key->low, err);
    }
    return PQL_FAIL(err, PQL_ERR_CONFIG,
                    "the writer's schema is needed: --registry URL for ids, or --schema FILE");
}

static int decode_bytes(const struct flags *flags, struct pql_slice message, struct pql_err *err)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    struct pql_registry *registry = NULL;
    struct pql_buf text = {0};
    struct printer printer = {0};
    struct pql_schema_key key;
    struct pql_slice payload;
    enum pql_framing framing;
    int result = -1;
    if (read_framing_name(flags->framing, &framing, err) || open_registry(flags, &registry, err)) goto out;
    if (pql_framing_read(framing, registry || !flags->schema, message, NULL, &key, &payload, err)) goto out;
    fprintf(stderr, "framing: %s\n", pql_schema_key_text(&key, name));
    if (find_schema(flags, registry, &key, &text, err)) goto out;
    if (printer_init(&printer, flags, (struct pql_slice){text.ptr, text.len}, err)) goto out;
    result = print_value(&printer, payload, err);
    if (result && key.kind == PQL_SCHEMA_BARE && !flags->framing && message.len && !*message.ptr)
        pql_err_prefix(err, "read as bare Avro, though it may begin with a schema id (--framing prefix): ");
out:
    printer_deinit(&printer);
    pql_buf_deinit(&text);
    pql_registry_free(registry);
    return result;
}

static int decode_message(const struct flags *flags, const char *path, struct pql_err *err)
{
    struct pql_buf message = {0};
    int result = read_all(path, &message, err);
    if (!result && flags->is_hex) result = unhex(&message, err);
    if (!result) result = decode_bytes(flags, (struct pql_slice){message.ptr, message.len}, err);
    pql_buf_deinit(&message);
    return result;
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
        PQL_CONFIG_FLAGS(&flags.config),
    };
    int rest, exit_code;
    if (!pql_flags_read(
            rows, sizeof rows / sizeof *rows,
            "Prints a message (a file, or standard input) or an Avro container file as JSON, one value a "
            "line; on\nstandard error the framing found.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    const char *path = rest > 0 ? argv[1] : "-";
    if (rest > 1) {
        fputs("pqlstream decode: one file at a time\n", stderr);
        return PQL_EXIT_CONFIG;
    }
    struct pql_err err = {0};
    bool is_container = strcmp(path, "-") == 0 ? flags.is_container : begins_as_container(path);
    int failed = is_container ? decode_container(&flags, path, &err) : decode_message(&flags, path, &err);
    return failed ? say(&err) : PQL_EXIT_OK;
}
