/* The text of a program: what of the settings affects results, as a configuration of its own. A row of the
 * option table that is marked so stands here as soon as it is set to something else than its default; so a
 * new row of a later version changes no text, and a default may not change without a new version of the
 * semantics.
 *
 *   numbers, durations, sizes   in one unit
 *   conditions                  with single spaces
 *   topics of inputs            by position: a topic's name affects nothing
 *   schema files                as what is in them
 *   time zones                  as what their clocks do
 *   mappings                    those that inputs use
 *   definitions                 of all files, in the order of reading; without those that are off */
#include "io/config_read.h"

#include "io/config_text.h"

#include <inttypes.h>

struct writer {
    const struct pql_config_trees *trees;
    struct pql_buf *out;
    struct pql_arena *arena;
};

/* --- scalars --- */

static void put_string(struct pql_buf *out, struct pql_slice text)
{
    pql_buf_text(out, "\"");
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];
        if (c == '"' || c == '\\')
            pql_buf_printf(out, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            pql_buf_printf(out, "\\x%02x", c);
        else
            pql_buf_u8(out, c);
    }
    pql_buf_text(out, "\"");
}

/* Runs of blanks outside of quotes are one space. */
static struct pql_slice single_spaced(struct pql_slice text, struct pql_arena *arena)
{
    char *to = pql_arena_alloc(arena, text.len + 1);
    size_t len = 0;
    bool quoted = false, blank = true;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool is_blank = !quoted && (c == ' ' || c == '\t' || c == '\n' || c == '\r');
        if (c == '\'') quoted = !quoted;
        if (is_blank && blank) continue;
        to[len++] = is_blank ? ' ' : c;
        blank = is_blank;
    }
    while (len && to[len - 1] == ' ') len--;
    return (struct pql_slice){to, len};
}

/* A schema file's bytes; the path where it cannot be read, which is said elsewhere. */
static struct pql_slice content_of(const struct writer *w, const struct pql_setting *setting,
                                   const struct pql_source *path)
{
    struct pql_buf bytes = {0};
    struct pql_err err;
    struct pql_slice text = path->text;
    const char *file = path->file ? path->file : setting->file;
    if (!w->trees->is_program && pql_config_read_file(pql_setting_path(file, path->text.ptr, w->arena),
                                                      PQL_CONFIG_BYTES_MAX, &bytes, &err) == 0)
        text = pql_arena_copy(w->arena, (struct pql_slice){bytes.ptr, bytes.len});
    pql_buf_deinit(&bytes);
    return text;
}

/* The name where there is no such zone, which is said elsewhere. */
static struct pql_slice table_of(const struct writer *w, struct pql_slice name)
{
    const struct pql_zone *zone;
    struct pql_err err;
    return w->trees->is_program || pql_zone_load(name, w->arena, &zone, &err) ? name
                                                                              : pql_zone_text(zone, w->arena);
}

static void put_text(const struct writer *w, const struct pql_option *option,
                     const struct pql_setting *setting, const struct pql_source *source)
{
    struct pql_slice text = source->text;
    if (option->flags & PQL_OPTION_IS_FILE) text = content_of(w, setting, source);
    if (option->flags & PQL_OPTION_IS_ZONE) text = table_of(w, text);
    if (option->flags & PQL_OPTION_IS_CONDITION) text = single_spaced(text, w->arena);
    put_string(w->out, text);
}

static void put_texts(const struct writer *w, const struct pql_option *option,
                      const struct pql_setting *setting)
{
    pql_buf_printf(w->out, "%s = [", option->name);
    if (setting->kind == PQL_SETTING_TEXT) put_text(w, option, setting, &setting->value);
    for (const struct pql_setting *kid = setting->kids; kid; kid = kid->next) {
        if (kid != setting->kids) pql_buf_text(w->out, ", ");
        put_text(w, option, kid, &kid->value);
    }
    pql_buf_text(w->out, "];\n");
}

static void put_plain(const struct writer *w, const struct pql_option *option,
                      const struct pql_setting *setting)
{
    bool is_text = setting->kind == PQL_SETTING_TEXT;
    pql_decimal number;
    if (is_text && setting->is_override && pql_decimal_of_text(setting->value.text, &number)) is_text = false;
    pql_buf_printf(w->out, "%s = ", option->name);
    if (is_text)
        put_string(w->out, setting->value.text);
    else
        pql_buf_put(w->out, setting->value.text.ptr, setting->value.text.len);
    pql_buf_text(w->out, ";\n");
}

/* Of a number or a text: one way of writing each. */
static struct pql_slice value_text(const struct pql_setting *setting, struct pql_arena *arena)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    pql_decimal number;
    if (!pql_decimal_of_text(setting->value.text, &number)) return single_spaced(setting->value.text, arena);
    return pql_arena_copy(arena, (struct pql_slice){digits, pql_decimal_text(number, digits)});
}

/* Names are the user's: numbers and texts. */
static void put_caps(const struct writer *w, const struct pql_setting *group)
{
    for (const struct pql_setting *kid = group->kids; kid; kid = kid->next) {
        pql_buf_printf(w->out, "%s = ", kid->name);
        put_string(w->out, value_text(kid, w->arena));
        pql_buf_text(w->out, ";\n");
    }
}

static void put_scalar(const struct writer *w, const struct pql_option *option,
                       const struct pql_setting *setting)
{
    char canonical[64];
    switch (option->type) {
    case PQL_OPTION_DURATION:
    case PQL_OPTION_SIZE:
    case PQL_OPTION_INT:
    case PQL_OPTION_NUMBER:
    case PQL_OPTION_BOOL:
    case PQL_OPTION_SHARE:
    case PQL_OPTION_WORD:
        if (pql_option_canonical(option, setting, canonical, sizeof canonical))
            pql_buf_printf(w->out, "%s = %s;\n", option->name, canonical);
        break;
    case PQL_OPTION_STRING:
    case PQL_OPTION_NAME:
    case PQL_OPTION_SOURCE:
    case PQL_OPTION_CHOICES:
        if (option->value && pql_slice_is(setting->value.text, option->value)) break;
        pql_buf_printf(w->out, "%s = ", option->name);
        put_text(w, option, setting, &setting->value);
        pql_buf_text(w->out, ";\n");
        break;
    case PQL_OPTION_VALUE:
        pql_buf_printf(w->out, "%s = ", option->name);
        put_string(w->out, value_text(setting, w->arena));
        pql_buf_text(w->out, ";\n");
        break;
    case PQL_OPTION_SOURCES: put_texts(w, option, setting); break;
    case PQL_OPTION_ANY: put_plain(w, option, setting); break;
    case PQL_OPTION_START: /* where a task begins is its first journal entry */
    case PQL_OPTION_GROUP:
    case PQL_OPTION_LIST: break;
    }
}

/* --- groups; they nest at most four deep, by the table --- */

static void put_group(const struct writer *w, enum pql_option_group group, const struct pql_setting *setting);

static void put_element(const struct writer *w, enum pql_option_group group,
                        const struct pql_setting *setting)
{
    pql_buf_text(w->out, "{\n");
    put_group(w, group, setting);
    pql_buf_text(w->out, "}");
}

static bool is_off(enum pql_option_group group, const struct pql_setting *setting)
{
    const struct pql_setting *mode = group == PQL_GROUP_DEFINITION ? pql_setting_find(setting, "mode") : NULL;
    return mode && pql_slice_is(mode->value.text, "off");
}

static void put_elements(const struct writer *w, enum pql_option_group group, const struct pql_setting *list,
                         size_t *count)
{
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next) {
        if (kid->kind != PQL_SETTING_GROUP || is_off(group, kid)) continue;
        if ((*count)++) pql_buf_text(w->out, ", ");
        put_element(w, group, kid);
    }
}

static void put_named(const struct writer *w, const struct pql_option *option,
                      const struct pql_setting *group)
{
    for (const struct pql_setting *kid = group ? group->kids : NULL; kid; kid = kid->next) {
        if (option->inner == PQL_GROUP_SIGNALS && kid->kind == PQL_SETTING_TEXT) {
            pql_buf_printf(w->out, "%s = ", kid->name);
            put_string(w->out, single_spaced(kid->value.text, w->arena));
            pql_buf_text(w->out, ";\n");
        } else if (option->inner == PQL_GROUP_MAPPINGS && kid->kind == PQL_SETTING_GROUP &&
                   pql_config_trees_use(w->trees, kid->name)) {
            pql_buf_printf(w->out, "%s = ", kid->name);
            put_element(w, PQL_GROUP_MAPPING, kid);
            pql_buf_text(w->out, ";\n");
        }
    }
}

/* What of the root may stand in several files: all of it, in the order of reading. */
static void put_joined(const struct writer *w, const struct pql_option *option)
{
    bool is_list = option->type == PQL_OPTION_LIST;
    size_t count = 0;
    pql_buf_printf(w->out, "%s = %s\n", option->name, is_list ? "(" : "{");
    for (size_t i = 0; i < w->trees->count; i++) {
        const struct pql_setting *setting = pql_setting_find(w->trees->roots[i], option->name);
        if (is_list)
            put_elements(w, option->inner, setting, &count);
        else
            put_named(w, option, setting);
    }
    pql_buf_text(w->out, is_list ? ");\n" : "};\n");
}

static void put_inputs(const struct writer *w, const struct pql_setting *list)
{
    size_t i = 0;
    pql_buf_text(w->out, "inputs = (\n");
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next, i++) {
        pql_buf_printf(w->out, "%s{\ntopic = \"%zu\";\n", i ? ", " : "", i);
        put_group(w, PQL_GROUP_INPUT, kid);
        pql_buf_text(w->out, "}");
    }
    pql_buf_text(w->out, ");\n");
}

static void put_option(const struct writer *w, const struct pql_option *option,
                       const struct pql_setting *setting)
{
    size_t count = 0;
    if (option->inner == PQL_GROUP_CAPS) {
        pql_buf_printf(w->out, "%s = {\n", option->name);
        put_caps(w, setting);
        pql_buf_text(w->out, "};\n");
    } else if (option->type == PQL_OPTION_GROUP) {
        pql_buf_printf(w->out, "%s = ", option->name);
        put_element(w, option->inner, setting);
        pql_buf_text(w->out, ";\n");
    } else if (option->type == PQL_OPTION_LIST ||
               (option->type == PQL_OPTION_CHOICES && setting->kind == PQL_SETTING_LIST)) {
        pql_buf_printf(w->out, "%s = (", option->name);
        put_elements(w, option->inner, setting, &count);
        pql_buf_text(w->out, ");\n");
    } else {
        put_scalar(w, option, setting);
    }
}

static void put_group(const struct writer *w, enum pql_option_group group, const struct pql_setting *setting)
{
    for (size_t i = 0; i < pql_options_count; i++) {
        const struct pql_option *option = &pql_options[i];
        if (option->group != group || !(option->flags & PQL_OPTION_AFFECTS_RESULTS)) continue;
        const struct pql_setting *found = pql_setting_find(setting, option->name);
        if (option->flags & PQL_OPTION_IN_RULES)
            put_joined(w, option);
        else if (group == PQL_GROUP_ROOT && option->inner == PQL_GROUP_INPUT &&
                 option->type == PQL_OPTION_LIST)
            put_inputs(w, found);
        else if (found && strcmp(option->name, "definition_files") != 0)
            put_option(w, option, found);
    }
}

struct pql_slice pql_config_program_text(const struct pql_config_trees *trees, struct pql_arena *arena)
{
    struct pql_buf text = {0};
    struct writer w = {trees, &text, arena};
    put_group(&w, PQL_GROUP_ROOT, trees->roots[0]);
    struct pql_slice copy = pql_arena_copy(arena, (struct pql_slice){text.ptr, text.len});
    pql_buf_deinit(&text);
    return copy;
}
