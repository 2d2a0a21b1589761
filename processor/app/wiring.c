#include "app/wiring.h"
#include "app/embedded.h"
#include "app/inputs.h"
#include "app/kafka_say.h"
#include "base/machine.h"
#include "core/partition.h"
#include "core/wire/encode.h"
#include <stdlib.h>
#include <unistd.h>

enum { WORKERS_MAX = 64, KEEPERS = 2 };

/* How the budget of memory is cut: what the client and the buffers get of it; all else is the state's. */
enum {
    EPOCH_BYTES_MAX = 16 << 20,
    INBOX_BYTES_MAX = 16 << 20,
    FETCH_BYTES_MAX = 64 << 20,
    FETCH_BYTES_MIN = 1 << 20,
    QUEUE_BYTES_MAX = 64 << 20,
    QUEUE_BYTES_MIN = 2 << 20,
};
struct shares {
    uint64_t memory, fetch, queue, epoch, inbox; /* fetch, epoch: of each worker */
};

struct output {
    struct pql_encoder *encoder; /* NULL: dead letters and the checkpoint, which are bytes */
    bool has_id;
    uint32_t id;
};

/* A program with what decodes for it. */
struct wired {
    struct pql_edition edition; /* first */
    struct pql_wiring *wiring;
    const struct pql_setup *setup;
    struct pql_setup own; /* of a program that came from elsewhere than the configuration at the start */
    struct pql_inputs *inputs;
    int64_t max_future_ms[PQL_INPUTS_MAX];
};

struct pql_wiring {
    const struct pql_setup *setup;
    struct wired first;            /* of the configuration at the start */
    struct pql_registry *registry; /* or NULL */
    struct pql_kafka_ports *kafka;
    struct pql_ports ports;
    struct pql_pipeline_conf conf;
    struct pql_pipeline_input inputs[PQL_INPUTS_MAX];
    const char *topics[PQL_INPUTS_MAX];
    struct pql_slice topic_slices[PQL_INPUTS_MAX];
    struct output outputs[PQL_OUT_COUNT];
};

/* --- decoding --- */

/* The decoders of one task. */
struct decoders {
    const struct pql_wiring *wiring;
    const struct pql_input_conf *inputs; /* of the program */
    size_t count;
    struct pql_decoder *items[];
};

static void close_decoders(void *opened)
{
    struct decoders *decoders = opened;
    for (size_t i = 0; decoders && i < decoders->count; i++) pql_decoder_free(decoders->items[i]);
    free(decoders);
}

static struct decoders *try_open(const struct wired *wired, struct pql_err *err)
{
    size_t count = wired->setup->config->inputs_count;
    struct decoders *decoders = pql_xcalloc(1, sizeof(*decoders) + count * sizeof(decoders->items[0]));
    decoders->wiring = wired->wiring;
    decoders->inputs = wired->setup->config->inputs;
    decoders->count = count;
    for (size_t i = 0; i < count; i++)
        if (!(decoders->items[i] = pql_inputs_decoder(wired->inputs, i, err))) {
            close_decoders(decoders);
            return NULL;
        }
    return decoders;
}

/* They were opened once already when the edition was made: what is in the files cannot fail any more. */
static void *open_decoders(void *context, int32_t task)
{
    struct pql_err err = {0};
    (void)task;
    struct decoders *decoders = try_open(context, &err);
    PQL_ASSERT(decoders);
    return decoders;
}

static int decode(void *opened, const struct pql_message_view *view, struct pql_arena *arena,
                  struct pql_event *event, struct pql_err *err)
{
    const struct decoders *decoders = opened;
    struct pql_decoder *decoder = decoders->items[view->input];
    const struct pql_ports *ports = &decoders->wiring->ports;
    struct pql_message message = {.key = view->key,
                                  .has_key = view->has_key,
                                  .timestamp_ms = view->timestamp_ms,
                                  .input = view->input,
                                  .partition = view->partition,
                                  .offset = view->offset,
                                  .has_user_events = decoders->inputs[view->input].user_events ==
                                                     PQL_USER_EVENTS_ALL_PARTITIONS};
    if (pql_decoder_wants_headers(decoder))
        ports->message_headers(ports->self, view, arena, &message.headers, &message.headers_count);
    return pql_decoder_apply(decoder, view->value, &message, arena, event, err);
}

static void schema_id(void *opened, uint32_t input, char out[64])
{
    const struct decoders *decoders = opened;
    const struct pql_schema_key *key = pql_decoder_last_key(decoders->items[input]);
    out[0] = '\0';
    if (key) snprintf(out, 64, "%s", pql_schema_key_text(key, (char[PQL_SCHEMA_KEY_TEXT_MAX]){0}));
}

/* What each input's decoder has met, one after the other. */
static void save_decoders(void *opened, struct pql_buf *out)
{
    const struct decoders *decoders = opened;
    for (size_t i = 0; i < decoders->count; i++) pql_decoder_save(decoders->items[i], out);
}

static int load_decoders(void *opened, struct pql_slice saved, struct pql_err *err)
{
    const struct decoders *decoders = opened;
    struct pql_reader reader = pql_reader_of(saved.ptr, saved.len);
    for (size_t i = 0; i < decoders->count; i++)
        if (pql_decoder_load(decoders->items[i], &reader, err)) return -1;
    return 0;
}

/* --- editions --- */

static int wire(struct wired *wired, struct pql_wiring *wiring, const struct pql_setup *setup,
                struct pql_err *err)
{
    wired->wiring = wiring;
    wired->setup = setup;
    wired->edition.program = setup->program;
    wired->edition.context = wired;
    wired->edition.ticks = setup->config->clock == PQL_CLOCK_WALL;
    wired->edition.max_future_ms = wired->max_future_ms;
    for (size_t i = 0; i < setup->config->inputs_count; i++)
        wired->max_future_ms[i] = setup->config->inputs[i].max_future_ms;
    if (!(wired->inputs = pql_inputs_share(setup, wiring->registry, err))) return -1;
    struct decoders *tried = try_open(wired, err);
    close_decoders(tried);
    return tried ? 0 : -1;
}

static void free_wired(struct pql_edition *edition)
{
    struct wired *wired = edition->context;
    pql_inputs_free(wired->inputs);
    pql_setup_deinit(&wired->own);
    free(wired);
}

static struct wired *wired_new(void)
{
    struct wired *wired = pql_xcalloc(1, sizeof *wired);
    wired->edition.context = wired;
    wired->edition.free = free_wired;
    return wired;
}

static int check_inputs(const struct pql_wiring *wiring, const struct pql_setup *setup, struct pql_err *err)
{
    size_t own = setup->config->inputs_count, wanted = wiring->setup->config->inputs_count;
    if (own == wanted) return 0;
    return PQL_FAIL(err, PQL_ERR_CONFIG,
                    "it has %zu inputs, this process reads %zu: that needs a restart, and a state of its "
                    "own (another `app`)",
                    own, wanted);
}

static int compile_edition(void *context, struct pql_slice text, struct pql_edition **edition,
                           struct pql_err *err)
{
    struct wired *wired = wired_new();
    if (pql_setup_of_program(&wired->own, text, err) || check_inputs(context, &wired->own, err) ||
        wire(wired, context, &wired->own, err)) {
        free_wired(&wired->edition);
        return -1;
    }
    *edition = &wired->edition;
    return 0;
}

int pql_wiring_edition(struct pql_wiring *wiring, struct pql_setup *setup, struct pql_edition **edition,
                       struct pql_err *err)
{
    if (check_inputs(wiring, setup, err)) return -1;
    struct wired *wired = wired_new();
    wired->own = *setup;
    *setup = (struct pql_setup){0};
    if (wire(wired, wiring, &wired->own, err)) {
        free_wired(&wired->edition);
        return -1;
    }
    *edition = &wired->edition;
    return 0;
}

/* A schema that somebody waits for is there: every worker looks. */
static void wake_workers(void *context)
{
    struct pql_wiring *wiring = context;
    for (unsigned i = 0; wiring->kafka && i < wiring->conf.workers; i++)
        wiring->ports.worker_wake(wiring->ports.self, i);
}

/* --- encoding --- */

static int encode(void *context, enum pql_output index, const struct pql_record *record,
                  int64_t produced_at_ms, struct pql_buf *value, struct pql_err *err)
{
    (void)err;
    const struct pql_wiring *wiring = context;
    const struct output *output = &wiring->outputs[index];
    PQL_ASSERT(output->encoder);
    if (output->has_id) { /* the registry's wire format */
        const char prefix[5] = {0, (char)(output->id >> 24), (char)(output->id >> 16),
                                (char)(output->id >> 8), (char)output->id};
        pql_buf_put(value, prefix, sizeof(prefix));
    }
    pql_encode_record(output->encoder, record, produced_at_ms, value);
    return 0;
}

static void open_encoder(struct pql_wiring *wiring, size_t index)
{
    const struct pql_output_conf *conf = &wiring->setup->config->outputs[index];
    const struct pql_encode_conf encode_conf = {
        .format = conf->format == PQL_FORMAT_AVRO ? PQL_ENCODE_AVRO : PQL_ENCODE_JSON,
        .epoch_ms = conf->json_times == PQL_JSON_MS,
        .connect_schema = conf->connect_schema,
        .topics = wiring->topic_slices,
        .topics_count = wiring->setup->config->inputs_count,
    };
    wiring->outputs[index].encoder = pql_encoder_new(&encode_conf);
    wiring->outputs[index].has_id = conf->format == PQL_FORMAT_AVRO && !conf->is_bare;
    if (conf->schema_id >= 0) wiring->outputs[index].id = (uint32_t)conf->schema_id;
}

int pql_wiring_resolve_schemas(struct pql_wiring *wiring, struct pql_err *err)
{
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) {
        const struct pql_output_conf *conf = &wiring->setup->config->outputs[i];
        struct output *output = &wiring->outputs[i];
        char subject[300];
        if (!output->has_id || conf->schema_id >= 0) continue;
        snprintf(subject, sizeof(subject), "%s-value", conf->topic);
        int (*ask)(struct pql_registry *, const char *, struct pql_slice, uint32_t *, struct pql_err *) =
            conf->registers ? pql_registry_register : pql_registry_lookup;
        if (!wiring->registry)
            return PQL_FAIL(err, PQL_ERR_CONFIG,
                            "output %s is Avro with an id, but there is no registry: set registry.url, "
                            "a fixed id, or schema = \"bare\"",
                            conf->topic);
        if (ask(wiring->registry, subject, pql_embedded_text("schemas/qualification/v1.avsc"), &output->id,
                err)) {
            pql_err_prefix(err, "schema of output %s: ", conf->topic);
            return -1;
        }
    }
    return 0;
}

/* --- the whole --- */

static uint32_t (*partition_of(int partitioning))(struct pql_slice account, uint32_t partitions)
{
    switch ((enum pql_partitioning)partitioning) {
    case PQL_PARTITIONING_MURMUR2: return pql_partition_murmur2;
    case PQL_PARTITIONING_CRC32: return pql_partition_crc32;
    case PQL_PARTITIONING_TRUSTED: return NULL;
    }
    return NULL;
}

static void fill_inputs(struct pql_wiring *wiring)
{
    const struct pql_config *config = wiring->setup->config;
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *conf = &config->inputs[i];
        wiring->topics[i] = conf->topic;
        wiring->topic_slices[i] = pql_slice_of(conf->topic);
        wiring->inputs[i] = (struct pql_pipeline_input){
            .topic = conf->topic, .start = conf->start, .partition_of = partition_of(conf->partitioning)};
    }
}

static unsigned workers_of(const struct pql_config *config)
{
    long cores = config->workers ? (long)config->workers : sysconf(_SC_NPROCESSORS_ONLN);
    return cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (unsigned)cores;
}

/* Two processes of one name would take each other's epochs for their own, and in containers all have one
 * process id. */
static int draw_writer(char out[PQL_WRITER_MAX], struct pql_err *err)
{
    unsigned char bytes[10];
    FILE *source = fopen("/dev/urandom", "rb");
    size_t got = source ? fread(bytes, 1, sizeof(bytes), source) : 0;
    if (source) fclose(source);
    if (got < sizeof(bytes))
        return PQL_FAIL(err, PQL_ERR_FATAL, "no random numbers: /dev/urandom cannot be read");
    for (size_t i = 0; i < sizeof(bytes); i++) snprintf(out + 2 * i, 3, "%02x", bytes[i]);
    return 0;
}

static uint64_t between(uint64_t least, uint64_t bytes, uint64_t most)
{
    return bytes < least ? least : bytes > most ? most : bytes;
}

static struct shares shares_of(const struct pql_config *config)
{
    unsigned workers = workers_of(config);
    uint64_t memory = config->memory ? config->memory : pql_machine_memory() / 4 * 3;
    uint64_t of = memory ? memory : UINT64_MAX;
    return (struct shares){
        .memory = memory,
        .fetch = between(FETCH_BYTES_MIN, of / 8 / workers, FETCH_BYTES_MAX),
        .queue = between(QUEUE_BYTES_MIN, of / 16, QUEUE_BYTES_MAX),
        .epoch = between(1 << 20, of / 32 / workers, EPOCH_BYTES_MAX),
        .inbox = between(1 << 20, of / 64, INBOX_BYTES_MAX),
    };
}

static void fill_conf(struct pql_wiring *wiring)
{
    const struct pql_config *config = wiring->setup->config;
    struct pql_pipeline_conf *conf = &wiring->conf;
    *conf = pql_pipeline_conf_default();
    conf->app = config->app;
    for (size_t i = 0; i < config->kafka.properties_count; i++)
        if (!strcmp(config->kafka.properties[i].name, "bootstrap.servers"))
            conf->brokers = config->kafka.properties[i].value;
    conf->edition = &wiring->first.edition;
    conf->revision = config->revision;
    conf->engine_upgrade = config->engine_upgrade == PQL_UPGRADE_AUTO;
    conf->backfill_from = config->backfill_from;
    conf->compile = compile_edition;
    conf->compile_context = wiring;
    conf->inputs = wiring->inputs;
    conf->inputs_count = (uint32_t)config->inputs_count;
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) conf->outputs[i] = config->outputs[i].topic;
    conf->at_least_once = config->delivery == PQL_AT_LEAST_ONCE;
    conf->workers = workers_of(config);
    conf->keepers = KEEPERS;
    conf->commit_interval_ms = config->commit_interval_ms;
    conf->max_output_delay_ms = config->max_output_delay_ms;
    conf->checkpoint_interval_ms = config->checkpoint_interval_ms;
    conf->restore_target_ms = config->restore_target_ms;
    conf->handover_budget_ms = config->handover_budget_ms;
    conf->checkpoint_bandwidth = config->checkpoint_bandwidth;
    conf->idle_after_ms = config->idle_after_ms;
    conf->alert_max_age_ms = config->alert_max_age_ms;
    conf->dlq_max_share = config->dlq_max_share;
    conf->tombstones = config->tombstones;
    conf->is_watched = config->http.address != NULL;
    conf->misplaced_max = config->misplaced_max;
    conf->exit_on_bad_input = config->on_bad_input == PQL_BAD_INPUT_EXIT;
    struct shares shares = shares_of(config);
    conf->epoch_bytes_max = shares.epoch;
    conf->inbox_bytes_max = shares.inbox;
    conf->memory_max = shares.memory;
    conf->client_bytes = shares.fetch * conf->workers + shares.queue * 2; /* two producers */
    conf->transaction_timeout_ms = pql_kafka_transaction_timeout_ms(&config->kafka);
    conf->decoding = (struct pql_decoding){.open = open_decoders,
                                           .close = close_decoders,
                                           .decode = decode,
                                           .schema_id = schema_id,
                                           .save = save_decoders,
                                           .load = load_decoders};
    conf->encode = encode;
    conf->encode_context = wiring;
}

static int open_kafka(struct pql_wiring *wiring, struct pql_err *err)
{
    const struct pql_config *config = wiring->setup->config;
    struct pql_kafka_ports_conf conf = {.kafka = &config->kafka,
                                        .log = pql_kafka_say(),
                                        .inputs = wiring->topics,
                                        .inputs_count = config->inputs_count,
                                        .workers_count = workers_of(config),
                                        .fetch_bytes = shares_of(config).fetch,
                                        .queue_bytes = shares_of(config).queue};
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) conf.outputs[i] = config->outputs[i].topic;
    wiring->kafka = pql_kafka_ports_new(&conf, err);
    if (!wiring->kafka) return -1;
    wiring->ports = pql_kafka_ports_table(wiring->kafka);
    return 0;
}

struct pql_wiring *pql_wiring_new(const struct pql_setup *setup, struct pql_err *err)
{
    struct pql_wiring *wiring = pql_xcalloc(1, sizeof(*wiring));
    wiring->setup = setup;
    if (setup->config->inputs_count > PQL_INPUTS_MAX) {
        PQL_FAIL(err, PQL_ERR_CONFIG, "more than %d inputs", PQL_INPUTS_MAX);
        goto fail;
    }
    fill_inputs(wiring);
    if (setup->config->registry.url &&
        !(wiring->registry = pql_registry_new(&setup->config->registry, NULL, wake_workers, wiring, err)))
        goto fail;
    if (wire(&wiring->first, wiring, setup, err)) goto fail;
    if (open_kafka(wiring, err)) goto fail;
    fill_conf(wiring);
    if (draw_writer(wiring->conf.writer, err)) goto fail;
    for (size_t i = 0; i < PQL_OUT_COUNT; i++)
        if (i != PQL_OUT_DLQ && i != PQL_OUT_CHECKPOINT) open_encoder(wiring, i);
    return wiring;
fail:
    pql_wiring_free(wiring);
    return NULL;
}

void pql_wiring_free(struct pql_wiring *wiring)
{
    if (!wiring) return;
    pql_registry_free(wiring->registry); /* first: it wakes workers */
    pql_inputs_free(wiring->first.inputs);
    pql_kafka_ports_free(wiring->kafka);
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) pql_encoder_free(wiring->outputs[i].encoder);
    free(wiring);
}

const struct pql_ports *pql_wiring_ports(const struct pql_wiring *wiring)
{
    return &wiring->ports;
}

struct pql_kafka *pql_wiring_admin(struct pql_wiring *wiring)
{
    return pql_kafka_ports_admin(wiring->kafka);
}

struct pql_registry *pql_wiring_registry(const struct pql_wiring *wiring)
{
    return wiring->registry;
}

const struct pql_pipeline_conf *pql_wiring_conf(const struct pql_wiring *wiring)
{
    return &wiring->conf;
}
