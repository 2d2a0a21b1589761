/* The whole configuration: files, environment and command line to one struct. */
#include "io/config.h"

#include "base/secret.h"

#include "io/config_check.h"
#include "io/config_fields.h"
#include "io/config_read.h"

#include <glob.h>
#include <stdlib.h>

struct loader {
    const struct pql_config_request *request;
    struct pql_options_reader reader;
    struct pql_config *config;
    struct pql_setting *root;
    struct pql_config_rules rules;
    struct pql_setting **roots; /* this and those of definition_files */
    size_t roots_count, roots_capacity;
};

static void add_root(struct loader *loader, struct pql_setting *root)
{
    loader->roots = pql_xgrow(loader->roots, &loader->roots_capacity, loader->roots_count + 1,
                              sizeof(struct pql_setting *));
    loader->roots[loader->roots_count++] = root;
}

static const struct pql_setting *group_of(const struct pql_setting *parent, const char *name)
{
    const struct pql_setting *group = pql_setting_find(parent, name);
    return group && group->kind == PQL_SETTING_GROUP ? group : NULL;
}

/* --- Kafka --- */

static const char *property_name(struct loader *loader, const char *setting)
{
    char *name = pql_arena_printf(loader->reader.arena, "%s", setting);
    for (char *at = name; *at; at++)
        if (*at == '_') *at = '.';
    return name;
}

/* How many properties there are, and with `out`, what they are. */
static size_t take_properties(struct loader *loader, const struct pql_setting *group,
                              enum pql_kafka_side side, struct pql_kafka_property *out)
{
    size_t count = 0;
    for (const struct pql_setting *kid = group ? group->kids : NULL; kid; kid = kid->next) {
        bool is_side = side == PQL_KAFKA_BOTH_SIDES &&
                       (strcmp(kid->name, "consumer") == 0 || strcmp(kid->name, "producer") == 0);
        if (is_side && kid->kind == PQL_SETTING_GROUP) {
            count += take_properties(loader, kid,
                                     kid->name[0] == 'c' ? PQL_KAFKA_CONSUMER_SIDE : PQL_KAFKA_PRODUCER_SIDE,
                                     out ? out + count : NULL);
        } else if (kid->kind == PQL_SETTING_GROUP || kid->kind == PQL_SETTING_LIST) {
            if (out)
                pql_setting_diag(kid, loader->reader.diags, PQL_SEVERITY_ERROR,
                                 is_side ? "'%s' is a group { … }" : "'%s' must be a text or a number",
                                 kid->name);
        } else {
            if (out)
                out[count] = (struct pql_kafka_property){property_name(loader, kid->name),
                                                         kid->value.text.ptr,
                                                         side,
                                                         kid->file,
                                                         kid->line,
                                                         kid->column};
            count++;
        }
    }
    return count;
}

static void read_kafka(struct loader *loader)
{
    const struct pql_setting *group = group_of(loader->root, "kafka");
    size_t count = take_properties(loader, group, PQL_KAFKA_BOTH_SIDES, NULL);
    struct pql_kafka_property *properties =
        pql_arena_zalloc(loader->reader.arena, (count + 1) * sizeof *properties);
    take_properties(loader, group, PQL_KAFKA_BOTH_SIDES, properties);
    loader->config->kafka = (struct pql_kafka_conf){.properties = properties,
                                                    .properties_count = count,
                                                    .app = loader->config->app,
                                                    .instance = loader->config->instance,
                                                    .group_protocol = loader->config->group_protocol};
}

/* --- inputs and outputs --- */

static void resolve_mapping(struct loader *loader, const struct pql_setting *input,
                            struct input_fields *fields)
{
    fields->conf.mapping = pql_config_rules_mapping(&loader->rules, fields->mapping.text);
    if (fields->conf.mapping != SIZE_MAX) return;
    const char *names[32];
    size_t count = 0;
    for (size_t i = 0; i < loader->rules.mappings_count && count < 16; i++)
        names[count++] = loader->rules.mappings[i].conf.name.ptr;
    for (size_t i = 0; pql_mapping_preset_names[i] && count < 32; i++)
        names[count++] = pql_mapping_preset_names[i];
    const char *nearest = pql_nearest(fields->mapping.text, names, count);
    const struct pql_setting *mapping = pql_setting_find(input, "mapping");
    pql_setting_diag_value(mapping ? mapping : input, loader->reader.diags,
                           nearest
                               ? "no mapping '%s'; did you mean '%s'?"
                               : "no mapping '%s': it is none of `mappings`, and none that ships with the "
                                 "program (canonical, segment …)",
                           fields->mapping.text.ptr, nearest);
}

static const char *path_beside(struct loader *loader, const struct pql_setting *setting, const char *path)
{
    if (loader->config->is_program) return path; /* the schema itself */
    return path ? pql_setting_path(setting && setting->file ? setting->file : loader->config->path, path,
                                   loader->reader.arena)
                : NULL;
}

/* Avro that nobody can know the schema of. A file brings its own. */
static void check_schema_source(struct loader *loader, const struct pql_setting *setting,
                                const struct pql_input_conf *input)
{
    bool has_file = input->schema || loader->config->schemas_count;
    bool is_bare = input->framing == PQL_FRAMING_BARE;
    if (!loader->request->needs_brokers || input->format != PQL_FORMAT_AVRO || has_file) return;
    if (is_bare || !loader->config->registry.url)
        pql_setting_diag(
            setting, loader->reader.diags, PQL_SEVERITY_ERROR,
            is_bare ? "bare Avro needs a schema file (schema = \"….avsc\")"
                    : "Avro needs a registry (registry = { url = … }) or schema files (schemas = [ … ])");
}

static void read_input(struct loader *loader, const struct pql_setting *setting, struct pql_input_conf *out)
{
    struct input_fields fields = {
        .conf = {.max_future_ms = loader->config->max_future_ms, .start = loader->config->start}};
    pql_options_read(&loader->reader, PQL_GROUP_INPUT, setting, &fields);
    fields.conf.schema = path_beside(loader, pql_setting_find(setting, "schema"), fields.conf.schema);
    fields.conf.reader_schema =
        path_beside(loader, pql_setting_find(setting, "reader_schema"), fields.conf.reader_schema);
    resolve_mapping(loader, setting, &fields);
    check_schema_source(loader, setting, &fields.conf);
    *out = fields.conf;
}

static void read_inputs(struct loader *loader)
{
    const struct pql_setting *list = pql_setting_find(loader->root, "inputs");
    size_t count = list && list->kind == PQL_SETTING_LIST ? pql_setting_count(list) : 0, i = 0;
    if (!count) {
        pql_diag_place(loader->reader.diags, PQL_SEVERITY_ERROR, loader->config->path, 0, 0, 1,
                       "no input: inputs = ( { topic = \"product-events\"; } );");
        return;
    }
    struct pql_input_conf *inputs = pql_arena_zalloc(loader->reader.arena, count * sizeof *inputs);
    for (const struct pql_setting *kid = list->kids; kid; kid = kid->next) {
        if (kid->kind == PQL_SETTING_GROUP)
            read_input(loader, kid, &inputs[i]);
        else
            pql_setting_diag(kid, loader->reader.diags, PQL_SEVERITY_ERROR, "'inputs' holds groups { … }");
        for (size_t k = 0; k < i; k++)
            if (inputs[i].topic && inputs[k].topic && strcmp(inputs[i].topic, inputs[k].topic) == 0)
                pql_setting_diag(kid, loader->reader.diags, PQL_SEVERITY_ERROR,
                                 "topic '%s' is an input already", inputs[i].topic);
        i++;
    }
    loader->config->inputs = inputs;
    loader->config->inputs_count = count;
}

static void read_output_format(struct loader *loader, const struct pql_setting *setting,
                               struct pql_output_conf *out)
{
    const struct pql_setting *format = pql_setting_find(setting, "format");
    out->format = loader->config->registry.url ? PQL_FORMAT_AVRO : PQL_FORMAT_JSON;
    if (!format) return;
    out->format = pql_slice_is(format->value.text, "json") ? PQL_FORMAT_JSON : PQL_FORMAT_AVRO;
    if (format->kind != PQL_SETTING_TEXT ||
        (out->format == PQL_FORMAT_AVRO && !pql_slice_is(format->value.text, "avro")))
        pql_setting_diag_value(format, loader->reader.diags, "'format' must be avro or json");
}

static void read_output_schema(struct loader *loader, const struct pql_setting *setting,
                               struct pql_output_conf *out)
{
    const struct pql_setting *schema = pql_setting_find(setting, "schema");
    struct pql_slice word = schema ? schema->value.text : PQL_SLICE_LITERAL("look_up");
    bool is_number = schema && (schema->kind == PQL_SETTING_NUMBER || schema->is_override);
    pql_decimal id;
    out->schema_id = -1;
    out->registers = pql_slice_is(word, "register");
    out->is_bare = pql_slice_is(word, "bare");
    bool is_id = is_number && pql_decimal_of_text(word, &id) && id % PQL_DECIMAL_ONE == 0 && id >= 0 &&
                 id <= pql_decimal_of_int(INT32_MAX);
    if (is_id)
        out->schema_id = (int64_t)(id / PQL_DECIMAL_ONE);
    else if (!out->registers && !out->is_bare && !pql_slice_is(word, "look_up"))
        pql_setting_diag_value(schema, loader->reader.diags,
                               "'schema' must be look_up, register, bare or an id");
    bool asks = out->format == PQL_FORMAT_AVRO && !out->is_bare && out->schema_id < 0;
    if (asks && !loader->config->registry.url)
        pql_setting_diag(setting, loader->reader.diags, PQL_SEVERITY_ERROR,
                         "Avro output needs a registry (registry = { url = … }), an id (schema = 17) or "
                         "schema = \"bare\"");
}

static void read_outputs(struct loader *loader)
{
    static const char *const names[PQL_OUT_COUNT] = {[PQL_OUT_PQL] = "pql",
                                                     [PQL_OUT_PQA] = "pqa",
                                                     [PQL_OUT_STATE] = "state",
                                                     [PQL_OUT_ALERTS] = "alerts",
                                                     [PQL_OUT_SHADOW] = "shadow",
                                                     [PQL_OUT_DLQ] = "dlq",
                                                     [PQL_OUT_CHECKPOINT] = "checkpoint"};
    const struct pql_setting *outputs = group_of(loader->root, "outputs");
    int nothing;
    pql_options_read(&loader->reader, PQL_GROUP_OUTPUTS, outputs, &nothing);
    for (size_t i = 0; i < PQL_OUT_COUNT; i++) {
        struct pql_output_conf *out = &loader->config->outputs[i];
        const struct pql_setting *setting = group_of(outputs, names[i]);
        bool is_bytes = i == PQL_OUT_DLQ || i == PQL_OUT_CHECKPOINT,
             is_alike = i == PQL_OUT_SHADOW && !setting;
        if (is_alike)
            *out = loader->config->outputs[PQL_OUT_PQL];
        else
            pql_options_read(&loader->reader, is_bytes ? PQL_GROUP_OUTPUT_BYTES : PQL_GROUP_OUTPUT, setting,
                             out);
        if (!out->topic || is_alike)
            out->topic = pql_arena_printf(loader->reader.arena, "%s.%s", loader->config->app, names[i]);
        if (is_alike) continue;
        out->schema_id = -1;
        if (is_bytes) continue;
        read_output_format(loader, setting, out);
        read_output_schema(loader, setting, out);
    }
}

/* --- files of definitions --- */

static void read_rules_file(struct loader *loader, const char *path, const struct pql_source *asked)
{
    struct pql_setting *root = pql_setting_read(path, asked, loader->reader.arena, loader->reader.diags);
    if (!root) return;
    add_root(loader, root);
    for (const struct pql_setting *kid = root->kids; kid; kid = kid->next) {
        const struct pql_option *option = pql_option_find(PQL_GROUP_ROOT, kid->name);
        if (!option)
            pql_option_unknown(&loader->reader, PQL_GROUP_ROOT, kid);
        else if (!(option->flags & PQL_OPTION_IN_RULES))
            pql_setting_diag(
                kid, loader->reader.diags, PQL_SEVERITY_ERROR,
                "'%s' belongs into the main file; a file of definitions holds definitions, signals, "
                "parameters and mappings",
                kid->name);
        else if (kid->kind != (option->type == PQL_OPTION_LIST ? PQL_SETTING_LIST : PQL_SETTING_GROUP))
            pql_setting_diag(kid, loader->reader.diags, PQL_SEVERITY_ERROR, "'%s' must be a %s", kid->name,
                             option->type == PQL_OPTION_LIST ? "list ( … )" : "group { … }");
    }
    pql_config_rules_read(&loader->reader, root, loader->request->today_ms, &loader->rules);
}

static void read_rules_files(struct loader *loader, const struct pql_path_list *patterns)
{
    for (size_t i = 0; i < patterns->count; i++) {
        const struct pql_source *pattern = &patterns->paths[i];
        const char *path = pql_setting_path(pattern->file ? pattern->file : loader->config->path,
                                            pattern->text.ptr, loader->reader.arena);
        glob_t found;
        if (glob(path, 0, NULL, &found) != 0) {
            pql_diag_source(loader->reader.diags, PQL_SEVERITY_ERROR, pattern, 0, pattern->text.len,
                            "no file matches %s", path);
            continue; /* nothing to free: glob found nothing */
        }
        for (size_t k = 0; k < found.gl_pathc; k++) read_rules_file(loader, found.gl_pathv[k], pattern);
        globfree(&found);
    }
}

/* --- all of it --- */

static void read_root(struct loader *loader)
{
    struct root_fields fields = {.config = *loader->config};
    pql_options_read(&loader->reader, PQL_GROUP_ROOT, loader->root, &fields);
    *loader->config = fields.config;
    struct pql_config *config = loader->config;
    const char **schemas = pql_arena_alloc(loader->reader.arena, fields.schemas.count * sizeof *schemas + 1);
    for (size_t i = 0; i < fields.schemas.count; i++) {
        const struct pql_source *path = &fields.schemas.paths[i];
        schemas[i] = config->is_program ? path->text.ptr
                                        : pql_setting_path(path->file ? path->file : config->path,
                                                           path->text.ptr, loader->reader.arena);
    }
    config->schemas = schemas;
    config->schemas_count = fields.schemas.count;
    config->program.app = pql_slice_of(config->app ? config->app : "");
    pql_options_read(&loader->reader, PQL_GROUP_REGISTRY, group_of(loader->root, "registry"),
                     &config->registry);
    const struct pql_setting *registry = group_of(loader->root, "registry");
    config->registry.ca = path_beside(loader, pql_setting_find(registry, "ca"), config->registry.ca);
    config->registry.certificate =
        path_beside(loader, pql_setting_find(registry, "certificate"), config->registry.certificate);
    config->registry.key = path_beside(loader, pql_setting_find(registry, "key"), config->registry.key);
    config->http.certificate =
        path_beside(loader, pql_setting_find(loader->root, "http_certificate"), config->http.certificate);
    config->http.key = path_beside(loader, pql_setting_find(loader->root, "http_key"), config->http.key);
    pql_config_rules_read(&loader->reader, loader->root, loader->request->today_ms, &loader->rules);
    read_rules_files(loader, &fields.definition_files);
}

struct pql_config *pql_config_load(const struct pql_config_request *request, struct pql_diags *diags)
{
    struct pql_config *config = pql_xcalloc(1, sizeof *config);
    struct loader loader = {.request = request, .config = config};
    /* The struct is copied while the root is read, so the arena joins it at the end. */
    struct pql_arena arena;
    pql_arena_init(&arena);
    loader.reader = (struct pql_options_reader){&arena, diags};
    config->path = pql_arena_printf(&arena, "%s", request->path);
    config->is_program = request->program.len > 0;
    if (config->is_program)
        loader.root = pql_setting_parse(config->path, request->program, &arena, diags);
    else
        loader.root = request->text ? pql_setting_read_text(config->path, *request->text, &arena, diags)
                                    : pql_setting_read(config->path, NULL, &arena, diags);
    if (!loader.root) {
        free(config);
        pql_arena_deinit(&arena);
        return NULL;
    }
    pql_setting_override_environment(loader.root, request->environment, pql_option_is_root, &arena, diags);
    for (size_t i = 0; i < request->sets_count; i++)
        pql_setting_override(loader.root, request->sets[i], &arena, diags);
    config->settings = loader.root;
    add_root(&loader, loader.root);
    read_root(&loader);
    read_kafka(&loader);
    read_inputs(&loader);
    read_outputs(&loader);
    pql_config_rules_finish(&loader.reader, &loader.rules, config);
    const struct pql_config_trees trees = {loader.roots, loader.roots_count, config->is_program,
                                           &loader.rules};
    pql_config_check(config, loader.root, request->needs_brokers, diags);
    /* Written from settings that are known to be good. */
    if (config->is_program)
        config->program.text = pql_arena_copy(&arena, request->program);
    else if (!diags->errors_count)
        config->program.text = pql_config_program_text(&trees, &arena);
    pql_config_rules_deinit(&loader.rules);
    free(loader.roots);
    config->arena = arena;
    return config;
}

void pql_config_free(struct pql_config *config)
{
    if (!config) return;
    struct pql_arena arena = config->arena;
    free(config);
    pql_arena_deinit(&arena);
}

/* --- printing --- */

bool pql_config_is_secret(const char *path)
{
    bool has_secrets = !strncmp(path, "kafka.", 6) || !strncmp(path, "registry.", 9) || !strchr(path, '.');
    return has_secrets && pql_secret_name(path);
}

/* By its name, and by where the value came from. */
static bool is_secret(const struct pql_setting *setting, const char *path)
{
    return setting->is_secret || pql_config_is_secret(path);
}

/* A URL without the user and password that it may carry. */
static void print_value(const char *value, FILE *out)
{
    const char *host, *scheme;
    while ((scheme = strstr(value, "://")) && (host = strpbrk(scheme + 3, "@/, ")) && *host == '@') {
        fprintf(out, "%.*s***", (int)(scheme + 3 - value), value);
        value = host;
    }
    fputs(value, out);
}

/* Depth is bounded by the reader of the tree. */
static void print_settings(const struct pql_setting *parent, const char *path, FILE *out)
{
    size_t index = 0;
    for (const struct pql_setting *kid = parent->kids; kid; kid = kid->next, index++) {
        char name[400];
        if (kid->name)
            snprintf(name, sizeof name, "%s%s%s", path, *path ? "." : "", kid->name);
        else
            snprintf(name, sizeof name, "%s[%zu]", path, index);
        if (kid->kind == PQL_SETTING_GROUP || kid->kind == PQL_SETTING_LIST) {
            print_settings(kid, name, out);
            continue;
        }
        fprintf(out, "%s = ", name);
        print_value(is_secret(kid, name) ? "***" : kid->value.text.ptr, out);
        if (kid->line)
            fprintf(out, "    (%s:%d)\n", kid->file, kid->line);
        else
            fprintf(out, "    (%.*s)\n", (int)strcspn(kid->file, " "), kid->file);
    }
}

void pql_config_print(const struct pql_config *config, FILE *out)
{
    print_settings(config->settings, "", out);
}

void pql_config_print_template(FILE *out)
{
    pql_options_print_template(out);
}
