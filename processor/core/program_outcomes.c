/* program_outcomes.c - which outcomes a definition names, and what contradicts itself in them. */
#include "core/program_build.h"

static const char *const settings[PQL_OUTCOME_EFFECTS] = {
    [PQL_OUTCOME_CONVERTS] = "convert_on",
    [PQL_OUTCOME_DISQUALIFIES] = "disqualify_on",
    [PQL_OUTCOME_REOPENS] = "reopen_on",
    [PQL_OUTCOME_ACKNOWLEDGES] = "acknowledge_on",
};

static bool names(const struct pql_path_list *list, struct pql_slice name)
{
    for (size_t i = 0; i < list->count; i++)
        if (pql_slice_eq(list->paths[i].text, name)) return true;
    return false;
}

/* An outcome does one of these three; any of them may acknowledge as well. */
static void check_one(struct pql_builder *b, const struct pql_definition_conf *conf, int effect)
{
    const struct pql_path_list *list = &conf->outcomes[effect];
    for (size_t i = 0; i < list->count; i++) {
        const struct pql_source *name = &list->paths[i];
        if (!name->text.len)
            pql_diag_source(b->diags, PQL_SEVERITY_ERROR, name, 0, 1,
                            "'%s' holds names of outcomes: this one is empty", settings[effect]);
        for (int other = 0; other < effect && effect != PQL_OUTCOME_ACKNOWLEDGES; other++)
            if (name->text.len && names(&conf->outcomes[other], name->text))
                pql_diag_source(b->diags, PQL_SEVERITY_ERROR, name, 0, name->text.len,
                                "'%.*s' stands in '%s' and in '%s': an outcome does one of them",
                                PQL_SLICE_ARG(name->text), settings[other], settings[effect]);
    }
}

void pql_build_outcomes(struct pql_builder *b, const struct pql_definition_conf *conf)
{
    const struct pql_path_list *reopens = &conf->outcomes[PQL_OUTCOME_REOPENS],
                               *acknowledges = &conf->outcomes[PQL_OUTCOME_ACKNOWLEDGES];
    for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++) check_one(b, conf, effect);
    if (reopens->count && !conf->outcomes[PQL_OUTCOME_CONVERTS].count)
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &reopens->paths[0], 0, reopens->paths[0].text.len,
                        "'reopen_on' takes back a conversion: 'convert_on' is missing");
    if (acknowledges->count && !conf->sla_ms)
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &acknowledges->paths[0], 0,
                        acknowledges->paths[0].text.len,
                        "'acknowledge_on' meets a deadline: 'sla' is missing");
}

void pql_build_put_outcomes(const struct pql_definition_conf *conf, struct pql_buf *out)
{
    for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++) {
        const struct pql_path_list *list = &conf->outcomes[effect];
        if (list->count) pql_buf_printf(out, "|%s", settings[effect]);
        for (size_t i = 0; i < list->count; i++)
            pql_buf_printf(out, " %zu:%.*s", list->paths[i].text.len, PQL_SLICE_ARG(list->paths[i].text));
        if (list->count && effect == PQL_OUTCOME_DISQUALIFIES)
            pql_buf_printf(out, " for %lld", (long long)conf->disqualify_for_ms);
    }
    if (conf->sla_ms) pql_buf_printf(out, "|sla %lld", (long long)conf->sla_ms);
}

size_t pql_build_answers(struct pql_program *program, struct pql_slice outcome,
                         const struct pql_answer **answers)
{
    size_t n = program->conf->definitions_count, count = 0;
    struct pql_answer *found = pql_arena_alloc(&program->arena, n * sizeof *found + 1);
    for (uint32_t d = 0; d < n; d++) {
        const struct pql_definition_conf *conf = &program->conf->definitions[d];
        unsigned effects = 0;
        for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++)
            if (names(&conf->outcomes[effect], outcome)) effects |= 1U << effect;
        if (effects) found[count++] = (struct pql_answer){d, effects};
    }
    *answers = found;
    return count;
}
