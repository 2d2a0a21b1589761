/* The hash of a definition: of all that it says, so that two of one name tell whether they say the same. What
 * is not given adds nothing. */
#include "core/program_build.h"

#include "core/hash.h"

static void put_condition(struct pql_builder *b, struct pql_buf *out, const struct pql_expr *expr)
{
    struct pql_slice text = expr ? pql_lang_text(expr->node, &b->program->arena) : (struct pql_slice){"", 0};
    pql_buf_printf(out, "|%.*s%s", PQL_SLICE_ARG(text), expr ? pql_build_score_mark(b, expr->node) : "");
}

static void put_texts(struct pql_buf *out, const char *what, const struct pql_source *texts, size_t count)
{
    for (size_t i = 0; i < count; i++) pql_buf_printf(out, "|%s %.*s", what, PQL_SLICE_ARG(texts[i].text));
}

static void put_choices(struct pql_builder *b, struct pql_buf *out, const struct pql_definition *definition)
{
    for (int c = 0; c < PQL_CHOICE_COUNT; c++)
        for (size_t i = 0; i < definition->conf->choices[c].count; i++) {
            struct pql_slice text = definition->conf->choices[c].items[i].source.text;
            pql_buf_printf(out, "|choice %d %.*s", c, PQL_SLICE_ARG(text));
            put_condition(b, out, definition->choices[c][i]);
        }
}

void pql_build_hash(struct pql_builder *b, struct pql_definition *definition)
{
    static const char *const modes[] = {
        [PQL_MODE_LIVE] = "", [PQL_MODE_SHADOW] = "|shadow", [PQL_MODE_OFF] = "|off"};
    const struct pql_definition_conf *conf = definition->conf;
    struct pql_buf text = {0};
    pql_buf_text(&text, pql_subject_names[conf->subject]);
    put_condition(b, &text, definition->eligible);
    put_condition(b, &text, definition->qualify);
    put_condition(b, &text, definition->stay);
    pql_buf_printf(&text, "|%lld|%lld|%d", (long long)conf->min_stay_ms, (long long)conf->cooldown_ms,
                   conf->once);
    if (conf->zone) pql_buf_printf(&text, "|%.*s", PQL_SLICE_ARG(pql_zone_name(conf->zone)));
    pql_buf_text(&text, modes[conf->mode]);
    if (conf->alert) pql_buf_text(&text, "|alert");
    if (conf->publish_missed) pql_buf_text(&text, "|missed");
    put_texts(&text, "reason", &conf->reason, conf->reason.text.len > 0);
    put_texts(&text, "shown", conf->include_attributes, conf->include_attributes_count);
    for (size_t i = 0; i < definition->context_count; i++) put_condition(b, &text, definition->context[i]);
    put_choices(b, &text, definition);
    pql_build_put_outcomes(conf, &text);
    pql_build_put_score(b, definition, &text);
    if (conf->exact_max) pql_buf_printf(&text, "|exact_max %u", conf->exact_max);
    snprintf(definition->hash, sizeof definition->hash, "%016llx",
             (unsigned long long)pql_hash_slice((struct pql_slice){text.ptr, text.len}, 0));
    definition->hash_slice = (struct pql_slice){definition->hash, 16};
    pql_buf_deinit(&text);
}
