#include "io/program_setup.h"

#include "io/config_tree.h"

#include <stdlib.h>
#include <string.h>

enum { SCHEMA_FILE_MAX = 1 << 20 };

/* What names the file, or NULL. Depth is bounded by the reader of the tree. */
static const struct pql_setting *naming(const struct pql_setting *parent, const char *path,
                                        struct pql_arena *arena)
{
    for (const struct pql_setting *kid = parent->kids; kid; kid = kid->next) {
        const struct pql_setting *below = naming(kid, path, arena);
        if (below) return below;
        bool is_it = kid->kind == PQL_SETTING_TEXT &&
                     strcmp(pql_setting_path(kid->file, kid->value.text.ptr, arena), path) == 0;
        if (is_it) return kid;
    }
    return NULL;
}

static bool add_schema(struct pql_setup *setup, struct pql_arena *arena, const char *path,
                       struct pql_slice *text)
{
    struct pql_err err;
    if (pql_setup_read_schema(arena, path, text, &err) == 0) return true;
    const struct pql_setting *setting = naming(setup->config->settings, path, arena);
    if (setting)
        pql_setting_diag_value(setting, &setup->diags, "%s", err.msg);
    else
        pql_diag_place(&setup->diags, PQL_SEVERITY_ERROR, setup->config->path, 0, 0, 1, "%s", err.msg);
    return false;
}

/* Stands for the registry, which is not asked here. */
static int find_nothing(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                        struct pql_err *err)
{
    (void)ctx;
    (void)key;
    (void)text;
    return PQL_FAIL(err, PQL_ERR_RETRY, "not asked");
}

/* That the schema files of an input are there and are schemas, by making a decoder of them. */
static void check_schemas(struct pql_setup *setup, const struct pql_input_conf *input)
{
    const struct pql_config *config = setup->config;
    struct pql_slice *schemas = pql_xcalloc(config->schemas_count + 1, sizeof *schemas);
    struct pql_decoder_conf conf = {.format = PQL_FORMAT_AVRO,
                                    .framing = (enum pql_framing)input->framing,
                                    .schemas = schemas,
                                    .mapping = setup->mappings[input->mapping]};
    if (config->registry.url) conf.find_schema = find_nothing;
    struct pql_arena arena;
    struct pql_err err;
    pql_arena_init(&arena);
    bool is_good = !input->schema || add_schema(setup, &arena, input->schema, &schemas[conf.schemas_count++]);
    for (size_t i = 0; i < config->schemas_count; i++)
        is_good &= add_schema(setup, &arena, config->schemas[i], &schemas[conf.schemas_count++]);
    if (input->reader_schema) is_good &= add_schema(setup, &arena, input->reader_schema, &conf.reader);
    struct pql_decoder *decoder = is_good ? pql_decoder_new(&conf, &err) : NULL;
    if (is_good && !decoder)
        pql_diag_place(&setup->diags, PQL_SEVERITY_ERROR, config->path, 0, 0, 1, "input '%s': %s",
                       input->topic, err.msg);
    pql_decoder_free(decoder);
    pql_arena_deinit(&arena);
    free(schemas);
}

/* Names that definitions read and no mapping in use can deliver are null in every event: a condition on them
 * is legal and never what is meant. */
static void warn_unmapped(struct pql_setup *setup, const char *what, size_t paths,
                          const struct pql_slice *names, size_t count)
{
    if (paths || !count) return;
    pql_diag_place(&setup->diags, PQL_SEVERITY_WARNING, setup->config->path, 0, 0, 1,
                   "definitions read '%.*s', but no mapping says where %s are: %s = \"%s.*\";",
                   PQL_SLICE_ARG(names[0]), what, what, what);
}

static void check_delivery(struct pql_setup *setup)
{
    const struct pql_config *config = setup->config;
    const struct pql_names *names = pql_program_names(setup->program);
    size_t properties = 0, attributes = 0, kinds = 0;
    for (size_t i = 0; i < config->mappings_count; i++) {
        properties += config->mappings[i].properties.count;
        attributes += config->mappings[i].attributes.count;
        kinds += config->mappings[i].kind.count;
    }
    warn_unmapped(setup, "properties", properties, names->properties, names->properties_count);
    warn_unmapped(setup, "attributes", attributes, names->user_attributes, names->user_attributes_count);
    warn_unmapped(setup, "attributes", attributes, names->account_attributes,
                  names->account_attributes_count);
    if (attributes && !kinds && names->user_attributes_count + names->account_attributes_count)
        pql_diag_place(&setup->diags, PQL_SEVERITY_WARNING, config->path, 0, 0, 1,
                       "definitions read attributes, which events of kind identify and group bring, but no "
                       "mapping says where the kind is: kind = \"kind\";");
}

static void compile(struct pql_setup *setup)
{
    const struct pql_config *config = setup->config;
    if (config->program.definitions_count) setup->program = pql_program_new(&config->program, &setup->diags);
    if (!setup->program) return;
    setup->mappings = pql_xcalloc(config->mappings_count + 1, sizeof(struct pql_mapping *));
    for (size_t i = 0; i < config->mappings_count; i++)
        setup->mappings[i] =
            pql_mapping_new(&config->mappings[i], pql_program_names(setup->program), &setup->diags);
    if (config->mappings_count) check_delivery(setup);
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *input = &config->inputs[i];
        bool has_mapping =
            input->topic && input->mapping < config->mappings_count && setup->mappings[input->mapping];
        bool has_files = input->schema || input->reader_schema || config->schemas_count;
        if (input->format == PQL_FORMAT_AVRO && has_mapping && has_files && !config->is_program)
            check_schemas(setup, input);
    }
}

bool pql_setup_read(struct pql_setup *setup, const struct pql_config_request *request, pql_setup_check *check)
{
    *setup = (struct pql_setup){0};
    pql_diags_init(&setup->diags);
    setup->config = pql_config_load(request, &setup->diags);
    if (setup->config && check) check(setup->config, &setup->diags);
    if (setup->config) compile(setup); /* also after errors, so that all are told at once */
    if (request->text) pql_diags_quote(&setup->diags, request->path, *request->text);
    return setup->diags.errors_count == 0;
}

int pql_setup_of_program(struct pql_setup *setup, struct pql_slice text, struct pql_err *err)
{
    const struct pql_config_request request = {.path = "program", .program = text, .today_ms = PQL_NO_TIME};
    if (pql_setup_read(setup, &request, NULL)) return 0;
    const struct pql_diag *first = setup->diags.items;
    while (first->severity != PQL_SEVERITY_ERROR) first++;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "line %d: %s", first->line, first->message);
}

void pql_setup_deinit(struct pql_setup *setup)
{
    for (size_t i = 0; setup->mappings && i < setup->config->mappings_count; i++)
        pql_mapping_free(setup->mappings[i]);
    free(setup->mappings);
    pql_program_free(setup->program);
    pql_config_free(setup->config);
    pql_diags_deinit(&setup->diags);
    *setup = (struct pql_setup){0};
}

int pql_setup_read_schema(struct pql_arena *arena, const char *path, struct pql_slice *text,
                          struct pql_err *err)
{
    FILE *file = fopen(path, "rb");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: the schema file cannot be opened", path);
    char *bytes = pql_arena_alloc(arena, SCHEMA_FILE_MAX);
    size_t len = fread(bytes, 1, SCHEMA_FILE_MAX, file);
    bool is_whole = feof(file) && !ferror(file);
    fclose(file);
    if (!is_whole)
        return PQL_FAIL(err, PQL_ERR_CONFIG, "%s: not readable, or larger than %d bytes", path,
                        SCHEMA_FILE_MAX);
    *text = (struct pql_slice){bytes, len};
    return 0;
}
