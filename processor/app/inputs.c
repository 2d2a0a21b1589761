#include "app/inputs.h"

#include "core/wire/schema.h"
#include <stdlib.h>

/* What the decoders of one input are made of. */
struct input {
    struct pql_slice *schemas; /* the input's own file first: it is that of bare messages */
    size_t schemas_count;
    struct pql_slice reader; /* empty: none */
};

struct pql_inputs {
    const struct pql_setup *setup;
    struct pql_registry *registry;
    bool is_shared;         /* the registry is somebody else's */
    struct pql_arena arena; /* schema texts */
    struct input *items;
};

/* Of a program's text the schema itself stands where else its file is named. */
static int read_schema(struct pql_inputs *inputs, const char *path, struct pql_slice *text,
                       struct pql_err *err)
{
    if (!inputs->setup->config->is_program) return pql_setup_read_schema(&inputs->arena, path, text, err);
    *text = pql_slice_of(path);
    return 0;
}

static int read_schemas(struct pql_inputs *inputs, size_t at, struct pql_err *err)
{
    const struct pql_config *config = inputs->setup->config;
    const struct pql_input_conf *conf = &config->inputs[at];
    struct input *input = &inputs->items[at];
    struct pql_arena *arena = &inputs->arena;
    input->schemas = pql_arena_zalloc(arena, (config->schemas_count + 1) * sizeof(*input->schemas));
    if (conf->schema && read_schema(inputs, conf->schema, &input->schemas[input->schemas_count++], err))
        return -1;
    for (size_t i = 0; i < config->schemas_count; i++)
        if (read_schema(inputs, config->schemas[i], &input->schemas[input->schemas_count++], err)) return -1;
    bool has_reader = conf->reader_schema && conf->format == PQL_FORMAT_AVRO;
    return has_reader ? read_schema(inputs, conf->reader_schema, &input->reader, err) : 0;
}

static struct pql_inputs *inputs_of(const struct pql_setup *setup, struct pql_err *err)
{
    const struct pql_config *config = setup->config;
    struct pql_inputs *inputs = pql_xcalloc(1, sizeof(*inputs));
    inputs->setup = setup;
    pql_arena_init(&inputs->arena);
    inputs->items = pql_arena_zalloc(&inputs->arena, (config->inputs_count + 1) * sizeof(*inputs->items));
    for (size_t i = 0; i < config->inputs_count; i++)
        if (read_schemas(inputs, i, err)) goto fail;
    return inputs;
fail:
    pql_inputs_free(inputs);
    return NULL;
}

struct pql_inputs *pql_inputs_new(const struct pql_setup *setup, const struct pql_registry_paces *paces,
                                  void (*wake)(void *context), void *context, struct pql_err *err)
{
    const struct pql_registry_conf *conf = &setup->config->registry;
    struct pql_inputs *inputs = inputs_of(setup, err);
    if (!inputs || !conf->url || (inputs->registry = pql_registry_new(conf, paces, wake, context, err)))
        return inputs;
    pql_inputs_free(inputs);
    return NULL;
}

struct pql_inputs *pql_inputs_share(const struct pql_setup *setup, struct pql_registry *registry,
                                    struct pql_err *err)
{
    struct pql_inputs *inputs = inputs_of(setup, err);
    if (!inputs) return NULL;
    inputs->registry = registry;
    inputs->is_shared = true;
    return inputs;
}

void pql_inputs_free(struct pql_inputs *inputs)
{
    if (!inputs) return;
    if (!inputs->is_shared) pql_registry_free(inputs->registry);
    pql_arena_deinit(&inputs->arena);
    free(inputs);
}

struct pql_registry *pql_inputs_registry(const struct pql_inputs *inputs)
{
    return inputs->registry;
}

struct pql_decoder *pql_inputs_decoder(const struct pql_inputs *inputs, size_t at, struct pql_err *err)
{
    const struct pql_input_conf *conf = &inputs->setup->config->inputs[at];
    const struct input *input = &inputs->items[at];
    const struct pql_decoder_conf decoder_conf = {
        .format = (enum pql_format)conf->format,
        .framing = (enum pql_framing)conf->framing,
        .schemas = input->schemas,
        .schemas_count = input->schemas_count,
        .reader = input->reader,
        .mapping = inputs->setup->mappings[conf->mapping],
        .find_schema = inputs->registry ? pql_registry_find : NULL,
        .ctx = inputs->registry,
    };
    return pql_decoder_new(&decoder_conf, err);
}

int pql_inputs_schema(const struct pql_inputs *inputs, size_t at, const struct pql_schema_key *key,
                      struct pql_slice *text, struct pql_err *err)
{
    const struct input *input = &inputs->items[at];
    if (key->kind == PQL_SCHEMA_ID || key->kind == PQL_SCHEMA_GUID)
        return pql_registry_find(inputs->registry, key, text, err);
    for (size_t i = 0; i < input->schemas_count; i++) {
        struct pql_schema *schema = pql_schema_parse(input->schemas[i], err);
        bool is_it = schema && (key->kind == PQL_SCHEMA_BARE || pql_schema_fingerprint(schema) == key->low);
        pql_schema_free(schema);
        *text = input->schemas[i];
        if (is_it) return 0;
    }
    return PQL_FAIL(err, PQL_ERR_RECORD, "no schema file is the writer's");
}

int pql_inputs_decode(const struct pql_inputs *inputs, struct pql_decoder *decoder, struct pql_slice value,
                      const struct pql_message *message, int64_t wait_ms, struct pql_arena *scratch,
                      struct pql_event *event, struct pql_err *err)
{
    int result = pql_decoder_apply(decoder, value, message, scratch, event, err);
    if (!result || err->cls != PQL_ERR_RETRY) return result;
    struct pql_slice ignored;
    if (pql_registry_wait(inputs->registry, pql_decoder_last_key(decoder), wait_ms, &ignored, err)) return -1;
    return pql_decoder_apply(decoder, value, message, scratch, event, err);
}
