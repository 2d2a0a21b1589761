/* What single steps cost, each by itself: nanoseconds, and bytes that it reads or makes. One line of JSON
 * each.
 *
 *   bench_micro [--rounds N] [--accounts N]
 *
 * Messages are taken in turn from MESSAGES different ones, which fit the cache: what is measured is the work,
 * not the memory. Only the look-up in a table of --accounts is as cold as it is in use. */
#include "bench/source.h"
#include "core/engine.h"
#include "core/state/account.h"
#include "core/wire/decoder.h"
#include "core/wire/encode.h"
#include "core/wire/json.h"
#include "core/wire/mapping.h"
#include "core/wire/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MESSAGES = 2048, PREFIX = 5, WANTED_MAX = 16 };
static uint64_t rounds = 2000000;

static double cpu_seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void tell(const char *name, double began, uint64_t count, double bytes)
{
    printf("{\"name\": \"%s\", \"ns\": %.2f, \"bytes_each\": %.1f, \"events\": %llu}\n", name,
           (cpu_seconds() - began) * 1e9 / (double)count, bytes, (unsigned long long)count);
    fflush(stdout);
}

static void die(const char *what, const struct pql_err *err)
{
    fprintf(stderr, "bench_micro: %s: %s\n", what, err ? err->msg : "");
    exit(1);
}

/* --- messages --- */

struct messages {
    struct pql_buf bytes;
    size_t begin[MESSAGES + 1];
};

static struct pql_slice message(const struct messages *messages, uint64_t i)
{
    size_t at = messages->begin[i % MESSAGES];
    return (struct pql_slice){messages->bytes.ptr + at, messages->begin[i % MESSAGES + 1] - at};
}

static double mean_bytes(const struct messages *messages)
{
    return (double)messages->bytes.len / MESSAGES;
}

static void put_text(struct pql_buf *out, const char *text)
{
    pql_buf_zigzag(out, (int64_t)strlen(text));
    pql_buf_text(out, text);
}

/* Of each shape: its schema, what is wanted of it, and how one message is made. */
struct shape {
    const char *name, *schema, *wanted[WANTED_MAX];
    void (*put)(struct pql_buf *out, uint64_t i);
};

static const struct source source = {.seed = 42, .events = 5000000, .accounts = 100000};

static void put_reference(struct pql_buf *out, uint64_t i)
{
    struct pql_buf framed = {0};
    source_value(&source, i, 1, &framed);
    pql_buf_put(out, framed.ptr + PREFIX, framed.len - PREFIX);
    pql_buf_deinit(&framed);
}

static void put_flat(struct pql_buf *out, uint64_t i)
{
    for (int field = 0; field < 40; field++) {
        if (field % 2)
            pql_buf_zigzag(out, (int64_t)(i * 7919 + (uint64_t)field));
        else
            put_text(out, field % 4 ? "a text of some length" : "short");
    }
}

static void put_nested(struct pql_buf *out, uint64_t i)
{
    pql_buf_zigzag(out, 1); /* context: a record, not null */
    put_text(out, "acct-0012345");
    pql_buf_zigzag(out, 2); /* two devices */
    for (int device = 0; device < 2; device++) {
        put_text(out, "browser");
        pql_buf_zigzag(out, 1);
        pql_buf_zigzag(out, (int64_t)i);
    }
    pql_buf_zigzag(out, 0);
    put_text(out, "invite_sent");
    pql_buf_zigzag(out, INT64_C(1767225600000) + (int64_t)i);
}

#define REFERENCE                                                                                            \
    "{\"type\":\"record\",\"name\":\"ProductEvent\",\"fields\":[{\"name\":\"event_id\",\"type\":\"string\"}" \
    ","                                                                                                      \
    "{\"name\":\"account_id\",\"type\":\"string\"},{\"name\":\"user_id\",\"type\":[\"null\",\"string\"]},"   \
    "{\"name\":\"event\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":{\"type\":\"long\","        \
    "\"logicalType\":\"timestamp-millis\"}},{\"name\":\"properties\",\"type\":{\"type\":\"map\","            \
    "\"values\":\"string\"}}]}"
#define TEXT_AND_LONG(n) "{\"name\":\"t" #n "\",\"type\":\"string\"},{\"name\":\"l" #n "\",\"type\":\"long\"}"
#define FIVE(a, b, c, d, e)                                                                                  \
    TEXT_AND_LONG(a) "," TEXT_AND_LONG(b) "," TEXT_AND_LONG(c) "," TEXT_AND_LONG(d) "," TEXT_AND_LONG(e)

static const struct shape shapes[] = {
    {"decode the reference record, 4 of 6 fields",
     REFERENCE,
     {"account_id", "user_id", "event", "occurred_at"},
     put_reference},
    {"decode the reference record, all and 3 of its map",
     REFERENCE,
     {"event_id", "account_id", "user_id", "event", "occurred_at", "properties.plan", "properties.path",
      "properties.session_id"},
     put_reference},
    {"decode 40 flat fields, 4 of them",
     "{\"type\":\"record\",\"name\":\"Flat\",\"fields\":[" FIVE(0, 1, 2, 3, 4) "," FIVE(
         5, 6, 7, 8, 9) "," FIVE(10, 11, 12, 13, 14) "," FIVE(15, 16, 17, 18, 19) "]}",
     {"t0", "t3", "l7", "t19"},
     put_flat},
    {"decode a union, a record, an array of records",
     "{\"type\":\"record\",\"name\":\"Nested\",\"fields\":[{\"name\":\"context\",\"type\":[\"null\",{"
     "\"type\":"
     "\"record\",\"name\":\"Context\",\"fields\":[{\"name\":\"account\",\"type\":\"string\"},{\"name\":"
     "\"devices\","
     "\"type\":{\"type\":\"array\",\"items\":{\"type\":\"record\",\"name\":\"Device\",\"fields\":[{\"name\":"
     "\"kind\","
     "\"type\":\"string\"},{\"name\":\"seen\",\"type\":[\"null\",\"long\"]}]}}}]}]},{\"name\":\"event\","
     "\"type\":"
     "\"string\"},{\"name\":\"at\",\"type\":{\"type\":\"long\",\"logicalType\":\"timestamp-millis\"}}]}",
     {"context.account", "context.devices.0.kind", "event", "at"},
     put_nested},
};

static void decode(const struct shape *shape)
{
    struct pql_err err = {0};
    struct messages messages = {0};
    struct pql_slice wanted[WANTED_MAX];
    struct pql_value slots[WANTED_MAX];
    struct pql_arena scratch;
    size_t count = 0;
    pql_arena_init(&scratch);
    for (; count < WANTED_MAX && shape->wanted[count]; count++)
        wanted[count] = pql_slice_of(shape->wanted[count]);
    for (size_t i = 0; i < MESSAGES; i++) {
        messages.begin[i] = messages.bytes.len;
        shape->put(&messages.bytes, i);
    }
    messages.begin[MESSAGES] = messages.bytes.len;
    struct pql_schema *schema = pql_schema_parse(pql_slice_of(shape->schema), &err);
    struct pql_plan *plan = schema ? pql_plan_new(schema, NULL, wanted, count, &err) : NULL;
    if (!plan) die(shape->name, &err);
    double began = cpu_seconds();
    for (uint64_t i = 0; i < rounds; i++) {
        struct pql_slice m = message(&messages, i);
        if (pql_plan_run(plan, m.ptr, m.len, &scratch, slots, &err)) die(shape->name, &err);
    }
    tell(shape->name, began, rounds, mean_bytes(&messages));
    pql_arena_deinit(&scratch);
    pql_plan_free(plan);
    pql_schema_free(schema);
    pql_buf_deinit(&messages.bytes);
}

/* --- decode and map, as a worker does --- */

static int find_reference(void *context, const struct pql_schema_key *key, struct pql_slice *text,
                          struct pql_err *err)
{
    (void)context;
    (void)key;
    (void)err;
    *text = PQL_SLICE_LITERAL(REFERENCE);
    return 0;
}

static void put_json(struct pql_buf *out, uint64_t i)
{
    struct source_event event;
    source_event(&source, i, &event);
    pql_buf_printf(
        out,
        "{\"event_id\":\"00000000-0000-4000-8000-%012llu\",\"account_id\":\"%.12s\",\"user_id\":\"%.*s\","
        "\"event\":\"%s\",\"occurred_at\":%lld,\"properties\":{\"plan\":\"team\",\"path\":"
        "\"/workspaces/main/projects/0123/board\",\"session_id\":\"0123456789abcdef0123456789abcdef\"}}",
        (unsigned long long)i, event.account, event.user_len, event.user, source_names[event.name],
        (long long)event.time_ms);
}

static struct pql_path_list path(struct pql_source *out, const char *text)
{
    *out = (struct pql_source){.text = pql_slice_of(text)};
    return (struct pql_path_list){out, 1};
}

static struct pql_mapping *mapping_new(void)
{
    static struct pql_source account, user, event, time;
    const struct pql_mapping_conf conf = {.name = PQL_SLICE_LITERAL("events"),
                                          .account = path(&account, "account_id"),
                                          .user = path(&user, "user_id"),
                                          .event = path(&event, "event"),
                                          .time = path(&time, "occurred_at")};
    static const struct pql_names names;
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_mapping *mapping = pql_mapping_new(&conf, &names, &diags);
    if (!mapping) pql_diags_print(&diags, stderr);
    pql_diags_deinit(&diags);
    if (!mapping) exit(1);
    return mapping;
}

static void decode_and_map(const char *name, enum pql_format format)
{
    struct pql_err err = {0};
    struct messages messages = {0};
    struct pql_mapping *mapping = mapping_new();
    const struct pql_decoder_conf conf = {
        .format = format, .framing = PQL_FRAMING_PREFIX, .mapping = mapping, .find_schema = find_reference};
    struct pql_decoder *decoder = pql_decoder_new(&conf, &err);
    if (!decoder) die(name, &err);
    for (uint64_t i = 0; i < MESSAGES; i++) {
        messages.begin[i] = messages.bytes.len;
        if (format == PQL_FORMAT_AVRO)
            source_value(&source, i, 1, &messages.bytes);
        else
            put_json(&messages.bytes, i);
    }
    messages.begin[MESSAGES] = messages.bytes.len;
    struct pql_arena scratch;
    pql_arena_init(&scratch);
    struct pql_message beside = {.timestamp_ms = 0};
    double began = cpu_seconds();
    for (uint64_t i = 0; i < rounds; i++) {
        struct pql_event event;
        if (pql_decoder_apply(decoder, message(&messages, i), &beside, &scratch, &event, &err))
            die(name, &err);
        if (i % 1000 == 0) pql_arena_reset(&scratch);
    }
    tell(name, began, rounds, mean_bytes(&messages));
    pql_arena_deinit(&scratch);
    pql_decoder_free(decoder);
    pql_mapping_free(mapping);
    pql_buf_deinit(&messages.bytes);
}

/* --- engine --- */

/* One at a time: a program refers to what it was made of. */
static struct pql_program *program_of(const char *qualify)
{
    static struct pql_definition_conf definition;
    static struct pql_program_conf conf;
    definition = (struct pql_definition_conf){.name = PQL_SLICE_LITERAL("d"),
                                              .subject = PQL_SUBJECT_ACCOUNT,
                                              .version = 1,
                                              .qualify.text = pql_slice_of(qualify)};
    conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("bench"),
                                     .settings = pql_settings_default(),
                                     .definitions = &definition,
                                     .definitions_count = 1};
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_program *program = pql_program_new(&conf, &diags);
    if (!program) pql_diags_print(&diags, stderr);
    pql_diags_deinit(&diags);
    if (!program) exit(1);
    return program;
}

static struct pql_slice account_of(char *out, uint64_t i)
{
    return (struct pql_slice){out, (size_t)snprintf(out, 16, "acct-%07llu", (unsigned long long)i)};
}

/* In an order that no prefetcher foresees. */
static void look_up(uint64_t accounts)
{
    char name[64], id[16];
    struct pql_program *program = program_of("count(x, 7d) >= 2");
    struct pql_store store;
    pql_store_init(&store, program);
    for (uint64_t i = 0; i < accounts; i++) pql_store_add(&store, account_of(id, i));
    uint64_t count = rounds, found = 0, at = 0;
    double began = cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        at = (at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407)) & UINT64_MAX;
        account_of(id, (at >> 33) % accounts);
    }
    double without = cpu_seconds() - began;
    began = cpu_seconds();
    for (uint64_t i = 0; i < count; i++) {
        at = (at * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407)) & UINT64_MAX;
        found += pql_store_find(&store, account_of(id, (at >> 33) % accounts))->instant_ms != 1;
    }
    snprintf(name, sizeof name, "find one of %llu accounts, nothing asked ahead",
             (unsigned long long)accounts);
    if (found != count) exit(1);
    tell(name, began + without, count, (double)store.bytes / (double)accounts);
    pql_store_deinit(&store, program);
    pql_program_free(program);
}

struct kept {
    struct pql_encoder *encoder;
    struct pql_buf out;
    uint64_t records;
    double encode_s;
};

/* Each record is encoded a hundred times, so that the clock does not count. */
static void keep(void *context, const struct pql_record *record)
{
    struct kept *kept = context;
    kept->records++;
    if (!kept->encoder) return;
    double began = cpu_seconds();
    for (int i = 0; i < 100; i++) {
        kept->out.len = 0;
        pql_encode_record(kept->encoder, record, record->occurred_at, &kept->out);
    }
    kept->encode_s += cpu_seconds() - began;
}

static void apply(struct pql_engine *engine, uint64_t i, uint64_t accounts)
{
    char id[16];
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = PQL_SLICE_LITERAL("x"),
                              .account = account_of(id, i % accounts),
                              .user = PQL_SLICE_LITERAL("u"),
                              .time_ms = INT64_C(1767225600000) + (int64_t)i,
                              .offset = (int64_t)i};
    (void)pql_engine_apply(engine, &event);
}

static void encode(const char *name, enum pql_encode_format format)
{
    const struct pql_slice topic = PQL_SLICE_LITERAL("events");
    const struct pql_encode_conf conf = {.format = format, .topics = &topic, .topics_count = 1};
    struct kept kept = {.encoder = pql_encoder_new(&conf)};
    struct pql_program *program =
        program_of("count(x, 7d) >= 2 and days(any, 14d) >= 1 and distinct(x.user, 7d) >= 1");
    struct pql_engine *engine = pql_engine_new(program, keep, &kept);
    for (uint64_t i = 0; i < 2000; i++) apply(engine, i, 1000);
    if (kept.records != 1000) exit(1);
    tell(name, cpu_seconds() - kept.encode_s, 100 * kept.records, (double)kept.out.len);
    pql_engine_free(engine);
    pql_program_free(program);
    pql_encoder_free(kept.encoder);
    pql_buf_deinit(&kept.out);
}

/* All of them due within a second: each leaves, with a record. */
static void fire(uint64_t accounts)
{
    struct kept kept = {0};
    struct pql_program *program = program_of("count(x, 7d) >= 1");
    struct pql_engine *engine = pql_engine_new(program, keep, &kept);
    for (uint64_t i = 0; i < accounts; i++) apply(engine, i, accounts);
    double bytes = (double)pql_engine_bytes(engine) / (double)accounts, began = cpu_seconds();
    while (!pql_engine_tick(engine, INT64_C(1767225600000) + INT64_C(8) * 86400000)) continue;
    char name[64];
    snprintf(name, sizeof name, "a timer fires, %llu accounts, with its record",
             (unsigned long long)accounts);
    if (kept.records != 2 * accounts) exit(1);
    tell(name, began, accounts, bytes);
    pql_engine_free(engine);
    pql_program_free(program);
}

/* The same signal compared once and twenty times. */
static void evaluate(void)
{
    struct pql_buf text = {0};
    double ns[2];
    for (int many = 0; many < 2; many++) {
        text.len = 0;
        for (int i = 0; i < (many ? 20 : 1); i++)
            pql_buf_printf(&text, "%scount(x, ever) * 2 >= %d", i ? " or " : "", 1000000000 + i);
        pql_buf_u8(&text, 0);
        struct kept kept = {0};
        struct pql_program *program = program_of(text.ptr);
        struct pql_engine *engine = pql_engine_new(program, keep, &kept);
        for (uint64_t i = 0; i < 1000; i++) apply(engine, i, 1000);
        double began = cpu_seconds();
        for (uint64_t i = 0; i < rounds / 4; i++) apply(engine, i + 1000, 1000);
        ns[many] = (cpu_seconds() - began) * 1e9 / (double)(rounds / 4);
        pql_engine_free(engine);
        pql_program_free(program);
    }
    printf("{\"name\": \"one more comparison of a condition\", \"ns\": %.2f, \"events\": %llu}\n",
           (ns[1] - ns[0]) / 19, (unsigned long long)rounds / 4);
    pql_buf_deinit(&text);
}

int main(int argc, char **argv)
{
    uint64_t accounts = 0;
    for (int i = 1; i + 1 < argc; i += 2) {
        uint64_t value = strtoull(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--rounds")) rounds = value;
        if (!strcmp(argv[i], "--accounts")) accounts = value;
    }
    if (accounts) {
        look_up(accounts);
        fire(accounts);
        return 0;
    }
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) decode(&shapes[i]);
    decode_and_map("decode and map the reference record", PQL_FORMAT_AVRO);
    decode_and_map("decode and map it as JSON", PQL_FORMAT_JSON);
    encode("encode a record as JSON", PQL_ENCODE_JSON);
    encode("encode a record as Avro", PQL_ENCODE_AVRO);
    evaluate();
    return 0;
}
