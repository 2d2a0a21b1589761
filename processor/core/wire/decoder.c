#include "core/wire/decoder.h"

#include "core/reasons.h"
#include "core/wire/json.h"
#include "core/wire/plan.h"
#include <stdlib.h>

enum { WRITERS_MAX = 16384 };

/* A writer schema that was met. */
struct writer {
    struct pql_schema_key key;
    struct pql_plan *plan; /* NULL: the schema cannot be used */
    char *why;             /* then */
    char *text;            /* NULL: of a schema file, not to be saved */
    size_t len;
};

struct pql_decoder {
    enum pql_format format;
    enum pql_framing framing;
    const struct pql_mapping *mapping;
    pql_find_schema *find_schema;
    void *ctx;
    struct pql_schema *reader;      /* NULL: none */
    struct pql_json_plan *json;     /* of JSON */
    const struct pql_slice *wanted; /* the mapping's */
    size_t wanted_count;
    struct pql_value *slots;

    struct writer **table; /* by key, open addressing; a power of two, at most half full */
    size_t table_size, writers_count, saved_count;
    struct writer *last; /* most messages are written with the schema of the one before */
    struct pql_schema_key last_key;
    bool has_last_key;
};

static int refuse(struct pql_err *err, enum pql_reject reason)
{
    if (err) {
        err->cls = PQL_ERR_RECORD;
        if (!err->reason) err->reason = pql_rejects[reason].word;
    }
    return -1;
}

/* --- the table of writers --- */

static size_t hash_of(const struct pql_schema_key *key)
{
    uint64_t h = (key->low ^ key->high * UINT64_C(0x9e3779b97f4a7c15)) + (uint64_t)key->kind;
    h *= UINT64_C(0xff51afd7ed558ccd);
    return (size_t)(h ^ h >> 32);
}

/* The writer of the key, or the empty place for it. */
static struct writer **place_of(const struct pql_decoder *decoder, const struct pql_schema_key *key)
{
    size_t mask = decoder->table_size - 1, at = hash_of(key) & mask;
    while (decoder->table[at] && !pql_schema_key_eq(&decoder->table[at]->key, key)) at = (at + 1) & mask;
    return &decoder->table[at];
}

static void grow_table(struct pql_decoder *decoder)
{
    struct writer **old = decoder->table;
    size_t old_size = decoder->table_size;
    decoder->table_size = old_size ? old_size * 2 : 16;
    decoder->table = pql_xcalloc(decoder->table_size, sizeof *decoder->table);
    for (size_t i = 0; i < old_size; i++)
        if (old[i]) *place_of(decoder, &old[i]->key) = old[i];
    free(old);
}

static struct pql_plan *compile(const struct pql_decoder *decoder, struct pql_slice text,
                                uint64_t *fingerprint, struct pql_err *err)
{
    struct pql_schema *schema = pql_schema_parse(text, err);
    if (!schema) return NULL;
    struct pql_plan *plan =
        pql_plan_new(schema, decoder->reader, decoder->wanted, decoder->wanted_count, err);
    if (fingerprint) *fingerprint = pql_schema_fingerprint(schema);
    pql_schema_free(schema);
    return plan;
}

/* Takes the plan. The key must be new. */
static struct writer *add_writer(struct pql_decoder *decoder, const struct pql_schema_key *key,
                                 struct pql_plan *plan)
{
    if ((decoder->writers_count + 1) * 2 > decoder->table_size) grow_table(decoder);
    struct writer *writer = pql_xcalloc(1, sizeof *writer);
    writer->key = *key;
    writer->plan = plan;
    *place_of(decoder, key) = writer;
    decoder->writers_count++;
    return writer;
}

/* A schema that cannot be used is kept as well: it is the same for each of its messages. */
static int meet(struct pql_decoder *decoder, const struct pql_schema_key *key, struct pql_slice text,
                struct writer **out, struct pql_err *err)
{
    if (decoder->saved_count >= WRITERS_MAX)
        return PQL_FAIL(err, PQL_ERR_FATAL, "more than %d writer schemas in one task", WRITERS_MAX);
    struct pql_err why = {0};
    struct pql_plan *plan = compile(decoder, text, NULL, &why);
    struct writer *writer = add_writer(decoder, key, plan);
    if (!plan) writer->why = pql_xstrndup(why.msg, strlen(why.msg));
    writer->text = pql_xstrndup(text.ptr, text.len);
    writer->len = text.len;
    decoder->saved_count++;
    *out = writer;
    return 0;
}

static int find_writer(struct pql_decoder *decoder, const struct pql_schema_key *key, struct writer **out,
                       struct pql_err *err)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    struct pql_slice text;
    *out = *place_of(decoder, key);
    if (*out) return 0;
    if (!decoder->find_schema) {
        PQL_FAIL(err, PQL_ERR_RECORD, "schema %s: no schema file has it, and there is no registry",
                 pql_schema_key_text(key, name));
        return refuse(err, PQL_REJECT_UNKNOWN_SCHEMA);
    }
    struct pql_err failure = {0};
    if (decoder->find_schema(decoder->ctx, key, &text, &failure)) {
        if (failure.cls == PQL_ERR_RECORD) refuse(&failure, PQL_REJECT_UNKNOWN_SCHEMA);
        if (err) *err = failure;
        return -1;
    }
    return meet(decoder, key, text, out, err);
}

/* --- life --- */

/* Every file is found by its fingerprint, the first by bare messages too. */
static int add_files(struct pql_decoder *decoder, const struct pql_decoder_conf *conf, struct pql_err *err)
{
    for (size_t i = 0; i < conf->schemas_count; i++) {
        struct pql_schema_key key = {.kind = PQL_SCHEMA_FINGERPRINT};
        struct pql_plan *plan = compile(decoder, conf->schemas[i], &key.low, err);
        if (!plan) goto fail;
        if (*place_of(decoder, &key))
            pql_plan_free(plan); /* the same schema twice */
        else
            add_writer(decoder, &key, plan);
        if (i > 0) continue;
        plan = compile(decoder, conf->schemas[i], NULL, err);
        if (!plan) goto fail;
        add_writer(decoder, &(struct pql_schema_key){.kind = PQL_SCHEMA_BARE}, plan);
        continue;
    fail:
        pql_err_prefix(err, "schemas[%zu]: ", i);
        return -1;
    }
    bool may_be_bare =
        conf->framing == PQL_FRAMING_BARE || (!conf->find_schema && conf->framing != PQL_FRAMING_PREFIX);
    if (may_be_bare && !conf->schemas_count)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "Avro without a registry needs the writer's schema as a file");
    return 0;
}

static int open_reader(struct pql_decoder *decoder, struct pql_slice text, struct pql_err *err)
{
    if (!text.len) return 0;
    decoder->reader = pql_schema_parse(text, err);
    if (decoder->reader) return 0;
    pql_err_prefix(err, "the reader's schema: ");
    return -1;
}

struct pql_decoder *pql_decoder_new(const struct pql_decoder_conf *conf, struct pql_err *err)
{
    struct pql_decoder *decoder = pql_xcalloc(1, sizeof *decoder);
    decoder->format = conf->format;
    decoder->framing = conf->framing;
    decoder->mapping = conf->mapping;
    decoder->find_schema = conf->find_schema;
    decoder->ctx = conf->ctx;
    decoder->wanted = pql_mapping_wanted(conf->mapping, &decoder->wanted_count);
    decoder->slots = pql_xcalloc(decoder->wanted_count, sizeof *decoder->slots);
    grow_table(decoder);
    int failed = 0;
    if (conf->format == PQL_FORMAT_JSON) {
        decoder->json = pql_json_plan_new(decoder->wanted, decoder->wanted_count);
        if (!decoder->json) failed = PQL_FAIL(err, PQL_ERR_CONFIG, "the mapping has a malformed path");
    } else {
        failed = open_reader(decoder, conf->reader, err) || add_files(decoder, conf, err);
    }
    if (!failed) return decoder;
    if (err) err->cls = PQL_ERR_CONFIG;
    pql_decoder_free(decoder);
    return NULL;
}

void pql_decoder_free(struct pql_decoder *decoder)
{
    if (!decoder) return;
    for (size_t i = 0; i < decoder->table_size; i++) {
        struct writer *writer = decoder->table[i];
        if (!writer) continue;
        pql_plan_free(writer->plan);
        free(writer->why);
        free(writer->text);
        free(writer);
    }
    free(decoder->table);
    pql_schema_free(decoder->reader);
    pql_json_plan_free(decoder->json);
    free(decoder->slots);
    free(decoder);
}

bool pql_decoder_wants_headers(const struct pql_decoder *decoder)
{
    return pql_mapping_wants_headers(decoder->mapping) ||
           (decoder->format == PQL_FORMAT_AVRO && decoder->framing == PQL_FRAMING_HEADER);
}

/* --- one message --- */

static int unusable_schema(const struct writer *writer, struct pql_err *err)
{
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    PQL_FAIL(err, PQL_ERR_RECORD, "schema %s cannot be used: %s", pql_schema_key_text(&writer->key, name),
             writer->why);
    return refuse(err, PQL_REJECT_BAD_AVRO);
}

static int decode_avro(struct pql_decoder *decoder, struct pql_slice value, const struct pql_message *message,
                       struct pql_arena *scratch, struct pql_err *err)
{
    struct pql_schema_key *key = &decoder->last_key;
    struct pql_slice payload;
    if (pql_framing_read(decoder->framing, decoder->find_schema != NULL, value, message, key, &payload, err))
        return -1;
    decoder->has_last_key = true;
    if (!decoder->last || !pql_schema_key_eq(&decoder->last->key, key)) {
        struct writer *writer;
        if (find_writer(decoder, key, &writer, err)) return -1;
        decoder->last = writer;
    }
    const struct writer *writer = decoder->last;
    if (!writer->plan) return unusable_schema(writer, err);
    if (pql_plan_run(writer->plan, payload.ptr, payload.len, scratch, decoder->slots, err) == 0) return 0;
    char name[PQL_SCHEMA_KEY_TEXT_MAX];
    pql_err_prefix(err, "schema %s: ", pql_schema_key_text(key, name));
    return -1;
}

int pql_decoder_apply(struct pql_decoder *decoder, struct pql_slice value, const struct pql_message *message,
                      struct pql_arena *scratch, struct pql_event *event, struct pql_err *err)
{
    decoder->has_last_key = false;
    if (!value.ptr) value = (struct pql_slice){"", 0}; /* a message without value */
    int failed = decoder->format == PQL_FORMAT_JSON
                     ? pql_json_plan_run(decoder->json, value.ptr, value.len, scratch, decoder->slots, err)
                     : decode_avro(decoder, value, message, scratch, err);
    return failed ? -1 : pql_mapping_apply(decoder->mapping, decoder->slots, message, scratch, event, err);
}

const struct pql_schema_key *pql_decoder_last_key(const struct pql_decoder *decoder)
{
    return decoder->has_last_key ? &decoder->last_key : NULL;
}

/* --- the writer schemas as bytes ---
 * count (varint), then per schema in order of key: kind (1 byte), high, low (8 bytes each, little endian),
 * text */

size_t pql_decoder_schemas_count(const struct pql_decoder *decoder)
{
    return decoder->saved_count;
}

static int compare_writers(const void *a, const void *b)
{
    const struct pql_schema_key *x = &(*(struct writer *const *)a)->key,
                                *y = &(*(struct writer *const *)b)->key;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    if (x->high != y->high) return x->high < y->high ? -1 : 1;
    return (x->low > y->low) - (x->low < y->low);
}

void pql_decoder_save(const struct pql_decoder *decoder, struct pql_buf *out)
{
    struct writer **sorted = pql_xcalloc(decoder->saved_count, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < decoder->table_size; i++)
        if (decoder->table[i] && decoder->table[i]->text) sorted[count++] = decoder->table[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, compare_writers); /* keys are unique: any sort is stable */
    pql_buf_varint(out, count);
    for (size_t i = 0; i < count; i++) {
        pql_buf_u8(out, (uint8_t)sorted[i]->key.kind);
        pql_buf_u64(out, sorted[i]->key.high);
        pql_buf_u64(out, sorted[i]->key.low);
        pql_buf_slice(out, (struct pql_slice){sorted[i]->text, sorted[i]->len});
    }
    free(sorted);
}

int pql_decoder_load(struct pql_decoder *decoder, struct pql_reader *in, struct pql_err *err)
{
    uint64_t count = pql_read_varint(in);
    for (uint64_t i = 0; i < count && !in->failed; i++) {
        uint8_t kind = pql_read_u8(in);
        struct pql_schema_key key = {.kind = (enum pql_schema_key_kind)kind};
        key.high = pql_read_u64(in);
        key.low = pql_read_u64(in);
        struct pql_slice text = pql_read_slice(in);
        if (in->failed || kind < PQL_SCHEMA_ID || kind > PQL_SCHEMA_FINGERPRINT) break;
        struct writer *writer = *place_of(decoder, &key);
        if (!writer && meet(decoder, &key, text, &writer, err)) return -1;
        if (i + 1 == count) return 0;
    }
    if (count == 0 && !in->failed) return 0;
    return PQL_FAIL(err, PQL_ERR_FATAL, "the saved writer schemas are damaged");
}
