#include "core/program_build.h"

/* Behind one without `when` none is ever taken. */
static void warn_unreachable(struct pql_builder *b, const struct pql_choices_conf *conf)
{
    for (size_t i = 0; i + 1 < conf->count; i++)
        if (!conf->items[i].when.text.len) {
            pql_diag_source(b->diags, PQL_SEVERITY_WARNING, &conf->items[i].source, 0,
                            conf->items[i].source.text.len,
                            "without 'when' this is always taken: those after it never are");
            return;
        }
}

void pql_build_choices(struct pql_builder *b, struct pql_definition *definition, enum pql_place place)
{
    for (int c = 0; c < PQL_CHOICE_COUNT; c++) {
        const struct pql_choices_conf *conf = &definition->conf->choices[c];
        definition->choices[c] =
            pql_arena_alloc(&b->program->arena, (conf->count + 1) * sizeof(definition->choices[c][0]));
        for (size_t i = 0; i < conf->count; i++)
            definition->choices[c][i] = pql_build_text(b, &conf->items[i].when, place);
        warn_unreachable(b, conf);
    }
}
