/* The score of a definition: items, factors, caps, tiers, and what is published of it. What is wrong with
 * them as they are written is said here; what they can come to, where they are compiled. */
#include "io/config_read.h"

/* The list of groups under that name, or NULL. */
static const struct pql_setting *list_of(const struct pql_options_reader *reader,
                                         const struct pql_setting *definition, const char *name)
{
    const struct pql_setting *list = pql_setting_find(definition, name);
    if (!list || list->kind != PQL_SETTING_LIST) return NULL;
    if (!list->kids) pql_setting_diag(list, reader->diags, PQL_SEVERITY_ERROR, "'%s' is empty", name);
    for (const struct pql_setting *kid = list->kids; kid; kid = kid->next)
        if (kid->kind != PQL_SETTING_GROUP)
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR, "'%s' holds groups { … }", name);
    return list;
}

static void check_item(const struct pql_options_reader *reader, const struct pql_setting *setting,
                       const struct pql_item_conf *item)
{
    const struct pql_setting *max = pql_setting_find(setting, "max");
    bool has_when = item->when.text.len > 0, has_per = item->per.text.len > 0;
    if (has_when == has_per)
        pql_setting_diag(setting, reader->diags, PQL_SEVERITY_ERROR,
                         has_when ? "an item has 'when' or 'per', not both"
                                  : "an item needs 'when' (a condition) or 'per' (a number)");
    if (item->points.source.text.len && !item->points.value)
        pql_setting_diag_value(pql_setting_find(setting, "points"), reader->diags,
                               "'points' is 0: the item would do nothing");
    if (max && !has_per)
        pql_setting_diag(max, reader->diags, PQL_SEVERITY_ERROR,
                         "'max' limits the units of 'per', and this item has none");
    else if (item->max.source.text.len && item->max.value <= 0)
        pql_setting_diag_value(max, reader->diags, "'max' must be more than 0");
}

static void check_decay(const struct pql_options_reader *reader, const struct pql_setting *setting,
                        const struct pql_item_conf *item)
{
    static const char *const names[] = {"half_life", "fades_over"};
    for (int i = 0; i < 2; i++) {
        const struct pql_setting *decay = pql_setting_find(setting, names[i]);
        if (decay && !item->per.text.len)
            pql_setting_diag(decay, reader->diags, PQL_SEVERITY_ERROR,
                             "'%s' lets the units of 'per' decay, and this item has none", names[i]);
    }
    if (item->half_life_ms && item->fades_over_ms)
        pql_setting_diag(pql_setting_find(setting, "fades_over"), reader->diags, PQL_SEVERITY_ERROR,
                         "an item has 'half_life' or 'fades_over', not both");
}

static void read_items(const struct pql_options_reader *reader, const struct pql_setting *list,
                       struct pql_definition_conf *conf)
{
    size_t count = pql_setting_count(list), i = 0;
    struct pql_item_conf *items = pql_arena_zalloc(reader->arena, count * sizeof *items + 1);
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next, i++) {
        if (kid->kind != PQL_SETTING_GROUP) continue;
        pql_options_read(reader, PQL_GROUP_ITEM, kid, &items[i]);
        check_item(reader, kid, &items[i]);
        check_decay(reader, kid, &items[i]);
    }
    conf->score = items;
    conf->score_count = count;
}

static void read_multiply(const struct pql_options_reader *reader, const struct pql_setting *list,
                          struct pql_definition_conf *conf)
{
    size_t count = pql_setting_count(list), i = 0;
    struct pql_multiply_conf *factors = pql_arena_zalloc(reader->arena, count * sizeof *factors + 1);
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next)
        if (kid->kind == PQL_SETTING_GROUP) pql_options_read(reader, PQL_GROUP_MULTIPLY, kid, &factors[i++]);
    conf->multiply = factors;
    conf->multiply_count = i;
}

/* The place of a name, for messages about it. */
static struct pql_source name_of(const struct pql_options_reader *reader, const struct pql_setting *setting)
{
    struct pql_source_part *part = pql_arena_alloc(reader->arena, sizeof *part);
    *part = (struct pql_source_part){0, setting->line, setting->column};
    return (struct pql_source){pql_slice_of(setting->name), setting->file, part, 1};
}

static void read_caps(const struct pql_options_reader *reader, const struct pql_setting *group,
                      struct pql_definition_conf *conf)
{
    size_t count = pql_setting_count(group), i = 0;
    struct pql_cap_conf *caps = pql_arena_zalloc(reader->arena, count * sizeof *caps + 1);
    for (const struct pql_setting *kid = group ? group->kids : NULL; kid; kid = kid->next) {
        struct pql_cap_conf *cap = &caps[i++];
        bool is_none = kid->kind == PQL_SETTING_TEXT && pql_slice_is(kid->value.text, "none");
        bool is_scalar = kid->kind == PQL_SETTING_NUMBER || kid->kind == PQL_SETTING_TEXT;
        cap->family = name_of(reader, kid);
        if (is_none) continue;
        if (!is_scalar || !pql_decimal_of_text(kid->value.text, &cap->cap.value) || cap->cap.value <= 0)
            pql_setting_diag(kid, reader->diags, PQL_SEVERITY_ERROR,
                             "a cap is a number above 0, or \"none\", as in caps = { %s = 5; }", kid->name);
        else
            cap->cap.source = kid->value;
    }
    conf->caps = caps;
    conf->caps_count = i;
}

static void check_tier(const struct pql_options_reader *reader, const struct pql_setting *setting,
                       const struct pql_tier_conf *tiers, size_t count)
{
    const struct pql_tier_conf *tier = &tiers[count];
    for (size_t i = 0; i < count; i++) {
        if (tier->name.text.len && pql_slice_eq(tiers[i].name.text, tier->name.text))
            pql_setting_diag_value(pql_setting_find(setting, "name"), reader->diags,
                                   "a tier '%s' is there already", tier->name.text.ptr);
        if (tier->at.source.text.len && tiers[i].at.source.text.len && tiers[i].at.value == tier->at.value)
            pql_setting_diag_value(pql_setting_find(setting, "at"), reader->diags,
                                   "tier '%s' begins at this score already", tiers[i].name.text.ptr);
    }
}

static void read_tiers(const struct pql_options_reader *reader, const struct pql_setting *list,
                       struct pql_definition_conf *conf)
{
    size_t count = pql_setting_count(list), i = 0;
    struct pql_tier_conf *tiers = pql_arena_zalloc(reader->arena, count * sizeof *tiers + 1);
    for (const struct pql_setting *kid = list ? list->kids : NULL; kid; kid = kid->next) {
        if (kid->kind != PQL_SETTING_GROUP) continue;
        pql_options_read(reader, PQL_GROUP_TIER, kid, &tiers[i]);
        check_tier(reader, kid, tiers, i++);
    }
    if (i > PQL_TIERS_MAX)
        pql_setting_diag(list, reader->diags, PQL_SEVERITY_ERROR, "a definition has at most %d tiers",
                         PQL_TIERS_MAX);
    conf->tiers = tiers;
    conf->tiers_count = i;
}

/* Without items there is nothing that these could be about. */
static void refuse_without_items(const struct pql_options_reader *reader, const struct pql_setting *group,
                                 const char *const *names)
{
    for (; *names; names++) {
        const struct pql_setting *setting = pql_setting_find(group, *names);
        if (setting)
            pql_setting_diag(
                setting, reader->diags, PQL_SEVERITY_ERROR,
                "'%s' is about a score, and this definition has none; give it items: score = ( { "
                "points = 5; when = \"…\"; } )",
                *names);
    }
}

static void check_publish(const struct pql_options_reader *reader, const struct pql_setting *publish,
                          const struct pql_definition_conf *conf)
{
    static const char *const names[] = {"scores", "min_interval", NULL};
    const struct pql_setting *min_delta = pql_setting_find(publish, "min_delta");
    if (min_delta && conf->min_delta.source.text.len && conf->min_delta.value <= 0)
        pql_setting_diag_value(min_delta, reader->diags, "'min_delta' must be more than 0");
    for (size_t i = 0; !min_delta && names[i]; i++) {
        const struct pql_setting *setting = pql_setting_find(publish, names[i]);
        if (setting)
            pql_setting_diag(setting, reader->diags, PQL_SEVERITY_WARNING,
                             "'%s' does nothing without 'min_delta', from which on changes of the score are "
                             "published",
                             names[i]);
    }
}

void pql_config_score_read(const struct pql_options_reader *reader, const struct pql_setting *definition,
                           struct pql_definition_conf *conf)
{
    static const char *const of_score[] = {"multiply", "caps", "tiers", "decay_step", NULL},
                             *const of_publish[] = {"min_delta", "min_interval", NULL};
    const struct pql_setting *publish = pql_setting_find(definition, "publish");
    const struct pql_setting *caps = pql_setting_find(definition, "caps");
    read_items(reader, list_of(reader, definition, "score"), conf);
    read_multiply(reader, list_of(reader, definition, "multiply"), conf);
    read_tiers(reader, list_of(reader, definition, "tiers"), conf);
    read_caps(reader, caps && caps->kind == PQL_SETTING_GROUP ? caps : NULL, conf);
    if (!pql_setting_find(definition, "score")) {
        refuse_without_items(reader, definition, of_score);
        refuse_without_items(reader, publish, of_publish);
    } else if (publish && publish->kind == PQL_SETTING_GROUP) {
        check_publish(reader, publish, conf);
    }
}
