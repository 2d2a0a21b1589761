#include "app/message_printer.h"

#include "core/wire/encode.h"
#include "core/wire/json.h"
#include "core/wire/plan.h"
#include "core/wire/rfc3339.h"
#include "io/avro_json.h"
#include "io/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 64 << 20, REGISTRY_WAIT_MS = 5000, SCHEMAS_MAX = 256 };

/* --- files --- */

int pql_read_file(const char *path, struct pql_buf *out, struct pql_err *err)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rbe");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(errno));
    size_t n;
    while (out->len <= FILE_MAX && (n = fread(pql_buf_reserve(out, 65536), 1, 65536, file)) > 0)
        out->len += n;
    int cause = ferror(file) ? errno : 0;
    if (file != stdin) fclose(file);
    if (cause) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: %s", path, strerror(cause));
    if (out->len > FILE_MAX) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: longer than %d bytes", path, FILE_MAX);
    return 0;
}

/* --- values of one schema --- */

struct pql_value_printer {
    struct pql_avro_json *json; /* the whole, or */
    struct pql_plan *plan;      /* these fields */
    const struct pql_texts *fields;
    struct pql_value slots[PQL_FLAG_TEXTS_MAX];
    struct pql_arena scratch;
};

/* A name that the schema cannot have is a slip; the fields that it has are shown. */
static int fail_absent(const struct pql_schema *writer, const char *field, struct pql_err *err)
{
    const struct pql_avro *root = pql_schema_root(writer);
    char known[300] = "";
    for (size_t i = 0, len = 0; i < root->fields_count && len < sizeof known - 1; i++) {
        int n = snprintf(known + len, sizeof known - len, "%s%.*s", i ? ", " : "; at the top are ",
                         PQL_SLICE_ARG(root->fields[i].name));
        len += (size_t)n;
    }
    return PQL_FAIL(err, PQL_ERR_CONFIG, "the schema has no value at '%s'%s", field, known);
}

static int init_fields(struct pql_value_printer *printer, struct pql_slice schema, const char *reader_path,
                       struct pql_err *err)
{
    struct pql_slice wanted[PQL_FLAG_TEXTS_MAX];
    size_t count = printer->fields->count;
    for (size_t i = 0; i < count; i++) wanted[i] = pql_slice_of(printer->fields->items[i]);
    struct pql_buf text = {0};
    struct pql_schema *writer = NULL, *reader = NULL;
    int result = -1;
    if (reader_path && pql_read_file(reader_path, &text, err)) goto out;
    if (reader_path && !(reader = pql_schema_parse((struct pql_slice){text.ptr, text.len}, err))) goto out;
    writer = pql_schema_parse(schema, err);
    if (writer) printer->plan = pql_plan_new(writer, reader, wanted, count, err);
    if (printer->plan) result = 0;
    for (size_t i = 0; !result && i < count; i++)
        if (!pql_plan_may_have(printer->plan, i))
            result = fail_absent(reader ? reader : writer, printer->fields->items[i], err);
out:
    pql_buf_deinit(&text);
    pql_schema_free(writer);
    pql_schema_free(reader);
    return result;
}

struct pql_value_printer *pql_value_printer_new(struct pql_slice schema, const char *reader,
                                                const struct pql_texts *fields, struct pql_err *err)
{
    struct pql_value_printer *printer = pql_xcalloc(1, sizeof *printer);
    pql_arena_init(&printer->scratch);
    printer->fields = fields;
    if (fields->count ? init_fields(printer, schema, reader, err)
                      : !(printer->json = pql_avro_json_new(schema, err))) {
        pql_value_printer_free(printer);
        return NULL;
    }
    return printer;
}

void pql_value_printer_free(struct pql_value_printer *printer)
{
    if (!printer) return;
    pql_avro_json_free(printer->json);
    pql_plan_free(printer->plan);
    pql_arena_deinit(&printer->scratch);
    free(printer);
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

static void put_slots(const struct pql_texts *fields, const struct pql_value *slots, struct pql_buf *out)
{
    for (size_t i = 0; i < fields->count; i++) {
        pql_buf_text(out, i ? ", " : "{");
        pql_encode_json_text(out, pql_slice_of(fields->items[i]));
        pql_buf_text(out, ": ");
        put_value(out, &slots[i]);
    }
    pql_buf_u8(out, '}');
}

int pql_value_printer_put(struct pql_value_printer *printer, struct pql_slice bytes, struct pql_buf *out,
                          struct pql_err *err)
{
    if (printer->json) return pql_avro_json_print(printer->json, bytes, out, err);
    pql_arena_reset(&printer->scratch);
    if (pql_plan_run(printer->plan, bytes.ptr, bytes.len, &printer->scratch, printer->slots, err)) return -1;
    put_slots(printer->fields, printer->slots, out);
    return 0;
}

/* --- messages of any --- */

struct known {
    struct pql_schema_key key;
    struct pql_value_printer *printer;
};

struct pql_message_printer {
    struct pql_message_printer_conf conf;
    enum pql_framing framing;
    struct pql_registry *registry; /* NULL: none */
    struct known known[SCHEMAS_MAX];
    size_t known_count;
    struct pql_json_plan *json_plan; /* of the fields, in text of JSON */
    struct pql_arena scratch;
};

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

struct pql_message_printer *pql_message_printer_new(const struct pql_message_printer_conf *conf,
                                                    struct pql_err *err)
{
    struct pql_message_printer *printer = pql_xcalloc(1, sizeof *printer);
    struct pql_slice wanted[PQL_FLAG_TEXTS_MAX];
    printer->conf = *conf;
    pql_arena_init(&printer->scratch);
    for (size_t i = 0; i < conf->fields->count; i++) wanted[i] = pql_slice_of(conf->fields->items[i]);
    printer->json_plan = pql_json_plan_new(wanted, conf->fields->count);
    if (!printer->json_plan) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "a --field is no path: names with dots, such as properties.plan");
        goto fail;
    }
    if (read_framing_name(conf->framing, &printer->framing, err)) goto fail;
    if (conf->registry.url &&
        !(printer->registry = pql_registry_new(&conf->registry, &impatient, NULL, NULL, err)))
        goto fail;
    return printer;
fail:
    pql_message_printer_free(printer);
    return NULL;
}

void pql_message_printer_free(struct pql_message_printer *printer)
{
    if (!printer) return;
    for (size_t i = 0; i < printer->known_count; i++) pql_value_printer_free(printer->known[i].printer);
    pql_json_plan_free(printer->json_plan);
    pql_registry_free(printer->registry);
    pql_arena_deinit(&printer->scratch);
    free(printer);
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
static int find_schema(struct pql_message_printer *printer, const struct pql_schema_key *key,
                       struct pql_buf *text, struct pql_err *err)
{
    struct pql_registry *registry = printer->registry;
    struct pql_slice found;
    if (registry && (key->kind == PQL_SCHEMA_ID || key->kind == PQL_SCHEMA_GUID)) {
        if (pql_registry_wait(registry, key, REGISTRY_WAIT_MS, &found, err)) return -1;
        pql_buf_put(text, found.ptr, found.len);
        return 0;
    }
    if (printer->conf.schema) {
        if (pql_read_file(printer->conf.schema, text, err)) return -1;
        if (key->kind != PQL_SCHEMA_FINGERPRINT) return 0;
        return check_fingerprint(printer->conf.schema, (struct pql_slice){text->ptr, text->len}, key->low,
                                 err);
    }
    return PQL_FAIL(err, PQL_ERR_CONFIG,
                    "the writer's schema is needed: --registry URL for ids, or --schema FILE");
}

/* NULL with err where its schema cannot be had. */
static struct pql_value_printer *printer_of(struct pql_message_printer *printer,
                                            const struct pql_schema_key *key, struct pql_err *err)
{
    for (size_t i = 0; i < printer->known_count; i++)
        if (pql_schema_key_eq(&printer->known[i].key, key)) return printer->known[i].printer;
    struct pql_buf text = {0};
    struct pql_value_printer *found = NULL;
    if (printer->known_count == SCHEMAS_MAX)
        PQL_FAIL(err, PQL_ERR_RECORD, "more than %d schemas", SCHEMAS_MAX);
    else if (!find_schema(printer, key, &text, err))
        found = pql_value_printer_new((struct pql_slice){text.ptr, text.len}, printer->conf.reader,
                                      printer->conf.fields, err);
    if (found) printer->known[printer->known_count++] = (struct known){*key, found};
    pql_buf_deinit(&text);
    return found;
}

static int put_json(struct pql_message_printer *printer, struct pql_slice text, struct pql_buf *out,
                    struct pql_err *err)
{
    struct pql_value slots[PQL_FLAG_TEXTS_MAX];
    if (!printer->conf.fields->count) {
        pql_put_json_line(out, text);
        return 0;
    }
    pql_arena_reset(&printer->scratch);
    if (pql_json_plan_run(printer->json_plan, text.ptr, text.len, &printer->scratch, slots, err)) return -1;
    put_slots(printer->conf.fields, slots, out);
    return 0;
}

static int put_avro(struct pql_message_printer *printer, struct pql_slice value,
                    const struct pql_message *message, struct pql_buf *out, char how[PQL_SCHEMA_KEY_TEXT_MAX],
                    struct pql_err *err)
{
    struct pql_schema_key key;
    struct pql_slice payload;
    const struct pql_message nothing = {0};
    bool has_registry = printer->registry || !printer->conf.schema;
    if (pql_framing_read(printer->framing, has_registry, value, message ? message : &nothing, &key, &payload,
                         err))
        return -1;
    pql_schema_key_text(&key, how);
    struct pql_value_printer *by_schema = printer_of(printer, &key, err);
    if (!by_schema) return -1;
    if (!pql_value_printer_put(by_schema, payload, out, err)) return 0;
    if (key.kind == PQL_SCHEMA_BARE && !printer->conf.framing && value.len && !*value.ptr)
        pql_err_prefix(err, "read as bare Avro, though it may begin with a schema id (--framing prefix): ");
    return -1;
}

int pql_message_printer_put(struct pql_message_printer *printer, struct pql_slice value,
                            const struct pql_message *message, struct pql_buf *out,
                            char how[PQL_SCHEMA_KEY_TEXT_MAX], struct pql_err *err)
{
    how[0] = '\0';
    if (!printer->conf.framing && !printer->conf.schema && pql_is_json(value, &printer->scratch)) {
        snprintf(how, PQL_SCHEMA_KEY_TEXT_MAX, "json");
        return put_json(printer, value, out, err);
    }
    size_t len = out->len;
    int result = put_avro(printer, value, message, out, how, err);
    if (result) out->len = len; /* what was printed before the fault */
    return result;
}

/* --- bytes --- */

bool pql_is_json(struct pql_slice text, struct pql_arena *scratch)
{
    struct pql_err ignored;
    struct pql_json_plan *plan = pql_json_plan_new(NULL, 0);
    pql_arena_reset(scratch);
    bool is_json = plan && !pql_json_plan_run(plan, text.ptr, text.len, scratch, NULL, &ignored);
    pql_json_plan_free(plan);
    return is_json;
}

void pql_put_json_line(struct pql_buf *out, struct pql_slice text)
{
    char *to = pql_buf_reserve(out, text.len);
    for (size_t i = 0; i < text.len; i++) {
        bool is_end = text.ptr[i] == '\n' || text.ptr[i] == '\r';
        to[i] = is_end ? ' ' : text.ptr[i];
    }
    out->len += text.len;
}

static bool is_readable(struct pql_slice bytes)
{
    while (bytes.len) {
        size_t len = pql_utf8_len(bytes);
        if (!len || (len == 1 && ((unsigned char)*bytes.ptr < 0x20 || *bytes.ptr == 0x7f))) return false;
        bytes = (struct pql_slice){bytes.ptr + len, bytes.len - len};
    }
    return true;
}

void pql_put_bytes(struct pql_buf *out, const char *name, struct pql_slice bytes, bool is_there)
{
    bool is_text = !is_there || is_readable(bytes);
    pql_buf_printf(out, is_text ? "\"%s\": " : "\"%s_hex\": ", name);
    if (!is_there)
        pql_buf_text(out, "null");
    else if (is_text)
        pql_encode_json_text(out, bytes);
    else {
        pql_buf_u8(out, '"');
        for (size_t i = 0; i < bytes.len; i++) pql_buf_printf(out, "%02x", (unsigned char)bytes.ptr[i]);
        pql_buf_u8(out, '"');
    }
}

void pql_put_headers(struct pql_buf *out, const struct pql_header *headers, size_t count)
{
    pql_buf_text(out, "\"headers\": [");
    for (size_t i = 0; i < count; i++) {
        pql_buf_text(out, i ? ", {\"name\": " : "{\"name\": ");
        pql_encode_json_text(out, headers[i].name);
        pql_buf_text(out, ", ");
        pql_put_bytes(out, "value", headers[i].value, headers[i].value.ptr != NULL);
        pql_buf_u8(out, '}');
    }
    pql_buf_u8(out, ']');
}
