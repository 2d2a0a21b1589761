/* Definitions, signals, parameters and mappings: what definition files may hold. */
#include "io/config_read.h"

#include "core/lang/lex.h"
#include "core/wire/rfc3339.h"
#include "io/config_fields.h"

#include <stdlib.h>

void pql_config_rules_deinit(struct pql_config_rules *rules)
{
    free(rules->definitions);
    free(rules->off);
    free(rules->signals);
    free(rules->parameters);
    free(rules->mappings);
    free(rules->used);
    *rules = (struct pql_config_rules){0};
}

#define ADD(rules, what)                                                                                     \
    ((rules)->what = pql_xgrow((rules)->what, &(rules)->what##_capacity, (rules)->what##_count + 1,          \
                               sizeof *(rules)->what),                                                       \
     &(rules)->what[(rules)->what##_count++])

static void say(const struct pql_options_reader *reader, const struct pql_source *source,
                enum pql_severity severity, const char *format, ...) PQL_PRINTF(4, 5);
static void say(const struct pql_options_reader *reader, const struct pql_source *source,
                enum pql_severity severity, const char *format, ...)
{
    char text[500];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pql_diag_source(reader->diags, severity, source, 0, source->text.len, "%s", text);
}

static bool is_name(struct pql_slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!is_letter && (i == 0 || c < '0' || c > '9')) return false;
    }
    return text.len > 0;
}

/* --- definitions --- */

static void check_definition(const struct pql_options_reader *reader, const struct definition_fields *fields,
                             int64_t today_ms)
{
    const struct pql_definition_conf *conf = &fields->conf;
    int64_t review_ms;
    if (fields->review_by.text.len == 0) return;
    if (fields->review_by.text.len != 10 || !pql_time_parse(fields->review_by.text, &review_ms))
        say(reader, &fields->review_by, PQL_SEVERITY_ERROR,
            "'review_by' must be a date, as in \"2027-03-31\"");
    else if (today_ms != PQL_NO_TIME && review_ms < today_ms)
        say(reader, &fields->review_by, PQL_SEVERITY_WARNING, "'%s' was to be reviewed by %s",
            conf->name_source.text.ptr, fields->review_by.text.ptr);
}

/* One zone for all definitions that name it. */
static const struct pql_zone *zone_of(const struct pql_options_reader *reader, const struct pql_source *name,
                                      const struct pql_config_rules *rules)
{
    const struct pql_zone *zone = NULL;
    struct pql_err err = {0};
    if (!name->text.len) return NULL;
    for (size_t i = 0; i < rules->definitions_count; i++)
        if (pql_slice_eq(pql_zone_name(rules->definitions[i].zone), name->text))
            return rules->definitions[i].zone;
    bool is_table = memchr(name->text.ptr, ' ', name->text.len) != NULL; /* in the text of a program */
    int rc = is_table ? pql_zone_of_text(name->text, reader->arena, &zone, &err)
                      : pql_zone_load(name->text, reader->arena, &zone, &err);
    if (rc) say(reader, name, PQL_SEVERITY_ERROR, "%s", err.msg);
    return zone;
}

static void read_definition(const struct pql_options_reader *reader, const struct pql_setting *setting,
                            int64_t today_ms, struct pql_config_rules *rules)
{
    struct definition_fields fields = {0};
    pql_options_read(reader, PQL_GROUP_DEFINITION, setting, &fields);
    const struct pql_setting *publish = pql_setting_find(setting, "publish");
    pql_options_read(reader, PQL_GROUP_PUBLISH,
                     publish && publish->kind == PQL_SETTING_GROUP ? publish : NULL, &fields.conf);
    pql_config_score_read(reader, setting, &fields.conf);
    check_definition(reader, &fields, today_ms);
    if (pql_setting_find(setting, "disqualify_for") && !fields.conf.outcomes[PQL_OUTCOME_DISQUALIFIES].count)
        pql_setting_diag_value(
            pql_setting_find(setting, "disqualify_for"), reader->diags,
            "'disqualify_for' says how long a disqualification holds: 'disqualify_on' is missing");
    fields.conf.zone = zone_of(reader, &fields.timezone, rules);
    fields.conf.name = fields.conf.name_source.text;
    fields.conf.context = fields.context.paths;
    fields.conf.context_count = fields.context.count;
    fields.conf.include_attributes = fields.include_attributes.paths;
    fields.conf.include_attributes_count = fields.include_attributes.count;
    for (size_t i = 0; i < rules->definitions_count; i++)
        if (fields.conf.name.len && pql_slice_eq(rules->definitions[i].name, fields.conf.name))
            say(reader, &fields.conf.name_source, PQL_SEVERITY_ERROR, "a definition '%s' is there already",
                fields.conf.name.ptr);
    if (fields.conf.mode == PQL_MODE_OFF) *ADD(rules, off) = fields.conf.name;
    if (fields.conf.mode != PQL_MODE_OFF && fields.conf.name.len && fields.conf.qualify.text.len)
        *ADD(rules, definitions) = fields.conf;
}

/* --- signals and parameters --- */

static void check_constant_name(const struct pql_options_reader *reader, const struct pql_config_rules *rules,
                                struct pql_slice name, const struct pql_setting *setting)
{
    bool is_taken = false;
    for (size_t i = 0; i < rules->signals_count; i++) is_taken |= pql_slice_eq(rules->signals[i].name, name);
    for (size_t i = 0; i < rules->parameters_count; i++)
        is_taken |= pql_slice_eq(rules->parameters[i].name, name);
    if (is_taken)
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR,
                         "a signal or parameter '%.*s' is there already", PQL_SLICE_ARG(name));
    if (name.len && !is_name(name))
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR,
                         "'%.*s' cannot be written as $name: letters, digits and _ only",
                         PQL_SLICE_ARG(name));
}

static void read_signals(const struct pql_options_reader *reader, const struct pql_setting *group,
                         struct pql_config_rules *rules)
{
    for (const struct pql_setting *kid = group->kids; kid; kid = kid->next) {
        if (kid->kind != PQL_SETTING_TEXT) {
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR,
                             "a signal is a text: a condition or a selector");
            continue;
        }
        struct pql_slice name = pql_slice_of(kid->name);
        check_constant_name(reader, rules, name, kid);
        *ADD(rules, signals) = (struct pql_lang_signal){name, kid->value};
    }
}

static void read_parameter(const struct pql_options_reader *reader, const struct pql_setting *setting,
                           struct pql_config_rules *rules)
{
    struct pql_lang_parameter parameter = {0};
    pql_config_parameter_read(reader, setting, &parameter);
    if (!parameter.name.len || parameter.value.kind == PQL_NULL) return;
    check_constant_name(reader, rules, parameter.name, setting);
    *ADD(rules, parameters) = parameter;
}

/* --- mappings --- */

static void read_pairs(const struct pql_options_reader *reader, const struct pql_setting *list,
                       enum pql_option_group group, struct pql_rename *out)
{
    size_t i = 0;
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next) {
        struct pair_fields pair = {0};
        pql_options_read(reader, group, kid, &pair);
        out[i++] = (struct pql_rename){pair.from.text, pair.to.text};
    }
}

static int kind_of(const struct pql_options_reader *reader, const struct pql_source *word)
{
    for (int i = 0; i < PQL_EVENT_KIND_COUNT; i++)
        if (pql_slice_is(word->text, pql_event_kind_names[i])) return i;
    if (!word->text.len) return PQL_EVENT_TRACK; /* said to be missing already */
    const char *nearest = pql_nearest(word->text, pql_event_kind_names, PQL_EVENT_KIND_COUNT);
    say(reader, word, PQL_SEVERITY_ERROR,
        nearest ? "unknown kind '%s'; did you mean '%s'?" : "unknown kind '%s'", word->text.ptr, nearest);
    return PQL_EVENT_TRACK;
}

static void read_kinds(const struct pql_options_reader *reader, const struct pql_setting *list,
                       struct pql_mapping_conf *conf)
{
    size_t count = pql_setting_count(list), i = 0;
    struct pql_kind_alias *kinds = pql_arena_zalloc(reader->arena, count * sizeof *kinds + 1);
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next) {
        struct kind_fields fields = {0};
        pql_options_read(reader, PQL_GROUP_KIND, kid, &fields);
        int kind = kind_of(reader, &fields.kind);
        kinds[i++] = (struct pql_kind_alias){fields.from.text, (enum pql_event_kind)kind, fields.event.text};
    }
    if (!count) return;
    conf->kinds = kinds;
    conf->kinds_count = count;
}

/* A time that is the record's own is written as a path of its own name; what is left are paths. */
static void take_broker_time(const struct pql_options_reader *reader, struct pql_mapping_conf *conf)
{
    struct pql_source *paths = pql_arena_zalloc(reader->arena, conf->time.count * sizeof *paths + 1);
    size_t count = 0;
    for (size_t i = 0; i < conf->time.count; i++) {
        if (pql_slice_is(conf->time.paths[i].text, "broker:timestamp"))
            conf->time_from_broker = true;
        else
            paths[count++] = conf->time.paths[i];
    }
    conf->time = (struct pql_path_list){paths, count};
}

static void fill_from_preset(struct pql_mapping_conf *conf, const struct pql_mapping_conf *preset)
{
    struct pql_path_list *const own[] = {
        &conf->kind, &conf->event,         &conf->account, &conf->user,       &conf->time,
        &conf->id,   &conf->previous_user, &conf->value,   &conf->properties, &conf->attributes};
    const struct pql_path_list *const given[] = {
        &preset->kind, &preset->event,         &preset->account, &preset->user,       &preset->time,
        &preset->id,   &preset->previous_user, &preset->value,   &preset->properties, &preset->attributes};
    if (!conf->attributes.count) conf->account_attributes = preset->account_attributes;
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (!own[i]->count) *own[i] = *given[i];
    conf->assume_utc |= preset->assume_utc;
    conf->group_has_no_user = preset->group_has_no_user;
    if (conf->kinds_count) return;
    conf->kinds = preset->kinds;
    conf->kinds_count = preset->kinds_count;
}

static size_t names_count(const char *const *names)
{
    size_t count = 0;
    while (names[count]) count++;
    return count;
}

static const struct pql_mapping_conf *preset_of(const struct pql_options_reader *reader,
                                                const struct pql_source *name)
{
    const struct pql_mapping_conf *preset = name->text.len ? pql_mapping_preset(name->text) : NULL;
    if (preset || !name->text.len) return preset;
    const char *nearest =
        pql_nearest(name->text, pql_mapping_preset_names, names_count(pql_mapping_preset_names));
    say(reader, name, PQL_SEVERITY_ERROR,
        nearest ? "no mapping '%s' ships with the program; did you mean '%s'?"
                : "no mapping '%s' ships with the program; `pqlstream check --settings` names those that do",
        name->text.ptr, nearest);
    return NULL;
}

static const struct pql_setting *list_of(const struct pql_setting *group, const char *name)
{
    const struct pql_setting *list = pql_setting_find(group, name);
    return list && list->kind == PQL_SETTING_LIST ? list : NULL;
}

static void check_attribute(const struct pql_options_reader *reader, const struct pql_source *path)
{
    bool of_account = path->text.len > 8 && memcmp(path->text.ptr, "account.", 8) == 0;
    if (path->text.len && !of_account)
        say(reader, path, PQL_SEVERITY_ERROR,
            "a period starts and ends with attributes of the account, as in \"account.trial_started_at\"");
}

static const struct pql_period_conf *read_periods(const struct pql_options_reader *reader,
                                                  const struct pql_setting *list, enum pql_time_unit unit)
{
    size_t count = pql_setting_count(list), i = 0;
    struct pql_period_conf *periods = pql_arena_zalloc(reader->arena, count * sizeof *periods + 1);
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next, i++) {
        struct period_fields fields = {0};
        pql_options_read(reader, PQL_GROUP_PERIOD, kid, &fields);
        periods[i] = fields.conf;
        periods[i].name = fields.name.text;
        periods[i].time_unit = unit;
        check_attribute(reader, &fields.conf.start);
        check_attribute(reader, &fields.conf.end);
        if (!fields.conf.end.text.len == !fields.conf.length_ms)
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR,
                             "a period ends by 'length' or by 'end': give one of the two");
        if (fields.name.text.len && (!is_name(fields.name.text) || pql_is_reserved(fields.name.text)))
            say(reader, &fields.name, PQL_SEVERITY_ERROR,
                "'%s' cannot be the name of a window: letters, digits and _, and no word of the language",
                fields.name.text.ptr);
    }
    return periods;
}

static void read_mapping(const struct pql_options_reader *reader, const struct pql_setting *setting,
                         struct pql_config_rules *rules)
{
    struct mapping_fields fields = {0};
    if (setting->kind != PQL_SETTING_GROUP) {
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR, "a mapping is a group { … }");
        return;
    }
    pql_options_read(reader, PQL_GROUP_MAPPING, setting, &fields);
    fields.conf.name = pql_slice_of(setting->name);
    fields.conf.file = setting->file;
    fields.conf.line = setting->line;
    fields.conf.column = setting->column;
    for (size_t i = 0; i < rules->mappings_count; i++)
        if (pql_slice_eq(rules->mappings[i].conf.name, fields.conf.name))
            pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR, "a mapping '%s' is there already",
                             setting->name);
    const struct pql_setting *renames = list_of(setting, "rename"), *labels = list_of(setting, "labels");
    struct pql_rename *pairs =
        pql_arena_zalloc(reader->arena, pql_setting_count(renames) * sizeof *pairs + 1);
    struct pql_rename *words = pql_arena_zalloc(reader->arena, pql_setting_count(labels) * sizeof *words + 1);
    read_pairs(reader, renames, PQL_GROUP_RENAME, pairs);
    read_pairs(reader, labels, PQL_GROUP_LABEL, words);
    read_kinds(reader, list_of(setting, "kinds"), &fields.conf);
    fields.conf.renames = pairs;
    fields.conf.renames_count = pql_setting_count(renames);
    take_broker_time(reader, &fields.conf);
    const struct pql_mapping_conf *preset = preset_of(reader, &fields.preset);
    if (preset) fill_from_preset(&fields.conf, preset);
    struct pql_label *own = pql_arena_zalloc(reader->arena, pql_setting_count(labels) * sizeof *own + 1);
    for (size_t i = 0; i < pql_setting_count(labels); i++)
        own[i] = (struct pql_label){words[i].from, words[i].to};
    *ADD(rules, mappings) = (struct pql_config_mapping){
        .conf = fields.conf,
        .names = {[PQL_CONFIG_ACTIVITY] = fields.activity, [PQL_CONFIG_START_EVENTS] = fields.start_events},
        .ignore = fields.ignore,
        .periods = read_periods(reader, list_of(setting, "periods"), fields.conf.time_unit),
        .periods_count = pql_setting_count(list_of(setting, "periods")),
        .labels = own,
        .labels_count = pql_setting_count(labels)};
}

static size_t find_mapping(struct pql_config_rules *rules, struct pql_slice name)
{
    for (size_t i = 0; i < rules->mappings_count; i++)
        if (pql_slice_eq(rules->mappings[i].conf.name, name)) return i;
    const struct pql_mapping_conf *preset = pql_mapping_preset(name);
    if (!preset) return SIZE_MAX;
    *ADD(rules, mappings) = (struct pql_config_mapping){.conf = *preset};
    return rules->mappings_count - 1;
}

size_t pql_config_rules_mapping(struct pql_config_rules *rules, struct pql_slice name)
{
    size_t mapping = find_mapping(rules, name);
    for (size_t i = 0; i < rules->used_count; i++)
        if (rules->used[i] == mapping) return i;
    if (mapping == SIZE_MAX) return SIZE_MAX;
    *ADD(rules, used) = mapping;
    return rules->used_count - 1;
}

bool pql_config_trees_use(const struct pql_config_trees *trees, const char *mapping)
{
    const struct pql_config_rules *rules = trees->rules;
    for (size_t i = 0; i < rules->used_count; i++)
        if (pql_slice_is(rules->mappings[rules->used[i]].conf.name, mapping)) return true;
    return false;
}

/* --- all of it --- */

static void read_each(const struct pql_options_reader *reader, const struct pql_setting *root,
                      const char *name, int64_t today_ms, struct pql_config_rules *rules)
{
    const struct pql_setting *all = pql_setting_find(root, name);
    bool is_list = all && all->kind == PQL_SETTING_LIST;
    for (const struct pql_setting *kid = is_list ? all->kids : NULL; kid; kid = kid->next) {
        if (kid->kind != PQL_SETTING_GROUP)
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR, "'%s' holds groups { … }", name);
        else if (strcmp(name, "definitions") == 0)
            read_definition(reader, kid, today_ms, rules);
        else
            read_parameter(reader, kid, rules);
    }
}

void pql_config_rules_read(const struct pql_options_reader *reader, const struct pql_setting *root,
                           int64_t today_ms, struct pql_config_rules *rules)
{
    const struct pql_setting *mappings = pql_setting_find(root, "mappings"),
                             *signals = pql_setting_find(root, "signals");
    for (const struct pql_setting *kid = mappings ? mappings->kids : NULL; kid; kid = kid->next)
        if (kid->name) read_mapping(reader, kid, rules);
    if (signals && signals->kind == PQL_SETTING_GROUP) read_signals(reader, signals, rules);
    read_each(reader, root, "parameters", today_ms, rules);
    read_each(reader, root, "definitions", today_ms, rules);
}

static const void *copy_array(struct pql_arena *arena, const void *items, size_t count, size_t size)
{
    void *to = pql_arena_alloc(arena, count * size + 1);
    if (count) memcpy(to, items, count * size);
    return to;
}

/* The program has one list of each for all mappings: `any`, starts and labels mean the same whatever the
 * input. */
static const struct pql_slice *join_names(struct pql_arena *arena, const struct pql_config_rules *rules,
                                          enum pql_config_names which, size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < rules->used_count; i++)
        total += rules->mappings[rules->used[i]].names[which].count;
    struct pql_slice *names = pql_arena_alloc(arena, total * sizeof *names + 1);
    *count = 0;
    for (size_t i = 0; i < rules->used_count; i++) {
        const struct pql_path_list *list = &rules->mappings[rules->used[i]].names[which];
        for (size_t k = 0; k < list->count; k++) names[(*count)++] = list->paths[k].text;
    }
    return names;
}

static void join_labels(struct pql_arena *arena, const struct pql_config_rules *rules,
                        struct pql_program_conf *program)
{
    size_t total = 0, used = 0;
    for (size_t i = 0; i < rules->used_count; i++) total += rules->mappings[rules->used[i]].labels_count;
    struct pql_label *labels = pql_arena_alloc(arena, total * sizeof *labels + 1);
    for (size_t i = 0; i < rules->used_count; i++) {
        const struct pql_config_mapping *mapping = &rules->mappings[rules->used[i]];
        for (size_t k = 0; k < mapping->labels_count; k++) labels[used++] = mapping->labels[k];
    }
    program->labels = labels;
    program->labels_count = total;
}

static bool is_same_period(const struct pql_period_conf *a, const struct pql_period_conf *b)
{
    return pql_slice_eq(a->start.text, b->start.text) && pql_slice_eq(a->end.text, b->end.text) &&
           a->length_ms == b->length_ms && a->time_unit == b->time_unit;
}

/* One meaning of a name for all mappings. */
static void join_periods(const struct pql_options_reader *reader, const struct pql_config_rules *rules,
                         struct pql_program_conf *program)
{
    size_t total = 0;
    for (size_t i = 0; i < rules->used_count; i++) total += rules->mappings[rules->used[i]].periods_count;
    struct pql_period_conf *all = pql_arena_alloc(reader->arena, total * sizeof *all + 1);
    for (size_t i = 0; i < rules->used_count; i++) {
        const struct pql_config_mapping *mapping = &rules->mappings[rules->used[i]];
        for (size_t k = 0; k < mapping->periods_count; k++) {
            const struct pql_period_conf *period = &mapping->periods[k];
            size_t at = 0;
            while (at < program->periods_count && !pql_slice_eq(all[at].name, period->name)) at++;
            if (at == program->periods_count)
                all[program->periods_count++] = *period;
            else if (!is_same_period(&all[at], period))
                say(reader, &period->start, PQL_SEVERITY_ERROR,
                    "the period '%s' is given before, and is another there", period->name.ptr);
        }
    }
    program->periods = all;
}

static void take_ignore(const struct pql_options_reader *reader, const struct pql_config_rules *rules,
                        struct pql_program_conf *program)
{
    for (size_t i = 0; i < rules->used_count; i++) {
        const struct pql_source *ignore = &rules->mappings[rules->used[i]].ignore;
        if (!ignore->text.len) continue;
        if (program->ignore.text.len && !pql_slice_eq(program->ignore.text, ignore->text))
            say(reader, ignore, PQL_SEVERITY_ERROR,
                "'ignore' is one condition for all mappings; another is given before");
        else
            program->ignore = *ignore;
    }
}

void pql_config_rules_finish(const struct pql_options_reader *reader, const struct pql_config_rules *rules,
                             struct pql_config *config)
{
    struct pql_arena *arena = reader->arena;
    struct pql_program_conf *program = &config->program;
    program->definitions =
        copy_array(arena, rules->definitions, rules->definitions_count, sizeof *rules->definitions);
    program->definitions_count = rules->definitions_count;
    program->off = copy_array(arena, rules->off, rules->off_count, sizeof *rules->off);
    program->off_count = rules->off_count;
    program->signals = copy_array(arena, rules->signals, rules->signals_count, sizeof *rules->signals);
    program->signals_count = rules->signals_count;
    program->parameters =
        copy_array(arena, rules->parameters, rules->parameters_count, sizeof *rules->parameters);
    program->parameters_count = rules->parameters_count;
    program->activity = join_names(arena, rules, PQL_CONFIG_ACTIVITY, &program->activity_count);
    program->start_events = join_names(arena, rules, PQL_CONFIG_START_EVENTS, &program->start_events_count);
    join_labels(arena, rules, program);
    join_periods(reader, rules, program);
    take_ignore(reader, rules, program);
    struct pql_mapping_conf *mappings = pql_arena_alloc(arena, rules->used_count * sizeof *mappings + 1);
    for (size_t i = 0; i < rules->used_count; i++) mappings[i] = rules->mappings[rules->used[i]].conf;
    config->mappings = mappings;
    config->mappings_count = rules->used_count;
}
