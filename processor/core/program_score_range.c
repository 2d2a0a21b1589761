/* What a score can come to, and what it never can. */
#include "core/program_build.h"

static struct pql_range exactly(pql_decimal value)
{
    return (struct pql_range){true, true, value, value};
}

static struct pql_range plus(struct pql_range a, struct pql_range b)
{
    return (struct pql_range){a.has_low && b.has_low, a.has_high && b.has_high, pql_decimal_add(a.low, b.low),
                              pql_decimal_add(a.high, b.high)};
}

static struct pql_range times(struct pql_range a, pql_decimal by)
{
    struct pql_range up = {a.has_low, a.has_high, pql_decimal_mul(a.low, by), pql_decimal_mul(a.high, by)};
    if (by > 0) return up;
    if (by == 0) return exactly(0);
    return (struct pql_range){up.has_high, up.has_low, up.high, up.low};
}

static struct pql_range either(struct pql_range a, struct pql_range b)
{
    return (struct pql_range){a.has_low && b.has_low, a.has_high && b.has_high, a.low < b.low ? a.low : b.low,
                              a.high > b.high ? a.high : b.high};
}

/* Is the value never below 0? */
static bool is_amount(const struct pql_node *node)
{
    static const enum pql_function amounts[] = {PQL_FN_COUNT,  PQL_FN_DISTINCT, PQL_FN_DAYS,  PQL_FN_WEEKS,
                                                PQL_FN_MONTHS, PQL_FN_STREAK,   PQL_FN_USERS, PQL_FN_SHARE,
                                                PQL_FN_SPREAD, PQL_FN_MEMBERS};
    for (size_t i = 0; node->kind == PQL_NODE_CALL && i < sizeof amounts / sizeof *amounts; i++)
        if (amounts[i] == node->function) return true;
    return node->kind == PQL_NODE_CONST && node->value.kind == PQL_NUMBER && node->value.number >= 0;
}

struct pql_range pql_build_units(const struct pql_item *item)
{
    bool has_max = item->conf->max.source.text.len > 0;
    if (!item->is_per) return (struct pql_range){true, true, 0, PQL_DECIMAL_ONE};
    return (struct pql_range){is_amount(item->node), has_max, 0, item->conf->max.value};
}

struct pql_range pql_build_positive(const struct pql_family *family)
{
    struct pql_range sum = exactly(0);
    for (size_t i = 0; i < family->items_count; i++)
        if (family->items[i]->conf->points.value > 0)
            sum = plus(sum, times(pql_build_units(family->items[i]), family->items[i]->conf->points.value));
    return sum;
}

static struct pql_range family_range(const struct pql_family *family)
{
    struct pql_range sum = pql_build_positive(family);
    if (family->has_cap && (!sum.has_high || sum.high > family->cap)) {
        sum.has_high = true;
        sum.high = family->cap;
    }
    for (size_t i = 0; i < family->items_count; i++)
        if (family->items[i]->conf->points.value < 0)
            sum = plus(sum, times(pql_build_units(family->items[i]), family->items[i]->conf->points.value));
    return sum;
}

void pql_build_score_range(struct pql_score *score)
{
    score->sum = exactly(0);
    for (size_t i = 0; i < score->families_count; i++)
        score->sum = plus(score->sum, family_range(&score->families[i]));
    score->range = score->sum;
    for (size_t i = 0; i < score->factors_count; i++) {
        const struct pql_factor *factor = &score->factors[i];
        struct pql_range after = {0};
        if (factor->by_node->kind == PQL_NODE_CONST && factor->by_node->value.kind == PQL_NUMBER)
            after = times(score->range, factor->by_node->value.number);
        score->range = factor->when_node ? either(score->range, after) : after;
    }
}

/* --- what can never be --- */

const char *pql_build_number_text(struct pql_builder *b, pql_decimal number)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    size_t len = pql_decimal_text(number, digits);
    return pql_arena_copy(&b->program->arena, (struct pql_slice){digits, len}).ptr;
}

const char *pql_build_limit_text(struct pql_builder *b, const struct pql_definition *definition, bool is_high)
{
    const struct pql_score *score = definition->score;
    const char *word = is_high ? "most" : "least", *of = "", *factors = "";
    const struct pql_range *sum = &score->sum, *range = &score->range;
    if (definition != &b->program->definitions[b->definition])
        of = pql_arena_printf(&b->program->arena, " of '%.*s'", PQL_SLICE_ARG(definition->conf->name));
    if (score->factors_count)
        factors = pql_arena_printf(&b->program->arena, ", times the factors to at %s %s", word,
                                   pql_build_number_text(b, is_high ? range->high : range->low));
    bool has_sum = is_high ? sum->has_high : sum->has_low;
    if (!has_sum) /* factors alone bound it */
        return pql_arena_printf(&b->program->arena, "the score%s is at %s %s", of, word,
                                pql_build_number_text(b, is_high ? range->high : range->low));
    return pql_arena_printf(&b->program->arena, "the items%s add up to at %s %s%s", of, word,
                            pql_build_number_text(b, is_high ? sum->high : sum->low), factors);
}

/* Of `value relation c`: 1 always, -1 never, 0 as it comes; *is_high: by the upper bound. */
static int outcome(enum pql_node_kind relation, const struct pql_range *r, pql_decimal c, bool *is_high)
{
    bool is_above = r->has_high && c > r->high, is_below = r->has_low && c < r->low;
    bool is_top = r->has_high && c == r->high, is_bottom = r->has_low && c == r->low;
    *is_high = is_above || (is_top && (relation == PQL_NODE_GT || relation == PQL_NODE_LE));
    if (relation == PQL_NODE_EQ) return is_above || is_below ? -1 : 0;
    if (relation == PQL_NODE_NE) return is_above || is_below ? 1 : 0;
    if (relation == PQL_NODE_GE) return is_above ? -1 : is_below || is_bottom ? 1 : 0;
    if (relation == PQL_NODE_GT) return is_above || is_top ? -1 : is_below ? 1 : 0;
    if (relation == PQL_NODE_LE) return is_above || is_top ? 1 : is_below ? -1 : 0;
    return is_above ? 1 : is_below || is_bottom ? -1 : 0;
}

static const struct pql_definition *scored_by(const struct pql_builder *b, const struct pql_node *node)
{
    bool is_call = node->kind == PQL_NODE_CALL && node->function == PQL_FN_SCORE;
    if (!is_call && node->kind != PQL_NODE_SCORE) return NULL;
    return &b->program->definitions[is_call ? node->definition : b->definition];
}

void pql_build_check_score(struct pql_builder *b, const struct pql_node *node)
{
    if (node->kind < PQL_NODE_EQ || node->kind > PQL_NODE_GE) return;
    bool is_turned = node->kids[0]->kind == PQL_NODE_CONST;
    const struct pql_definition *definition = scored_by(b, node->kids[is_turned]);
    const struct pql_node *bound = node->kids[!is_turned];
    bool is_high = false;
    if (!definition || !definition->score || bound->kind != PQL_NODE_CONST || bound->value.kind != PQL_NUMBER)
        return;
    enum pql_node_kind relation = is_turned ? pql_build_mirrored(node->kind) : node->kind;
    int always = outcome(relation, &definition->score->range, bound->value.number, &is_high);
    if (!always) return;
    struct pql_slice text = pql_lang_text(node, &b->program->arena);
    pql_diag_source(b->diags, always < 0 ? PQL_SEVERITY_ERROR : PQL_SEVERITY_WARNING, node->source, node->at,
                    node->span, "'%.*s' %s: %s", PQL_SLICE_ARG(text),
                    always < 0 ? "can never hold" : "always holds",
                    pql_build_limit_text(b, definition, is_high));
}

/* --- tiers --- */

static void check_tier_name(struct pql_builder *b, const struct pql_definition_conf *conf,
                            const struct pql_node *name)
{
    const char **names = pql_arena_alloc(&b->program->arena, conf->tiers_count * sizeof *names + 1);
    for (size_t i = 0; i < conf->tiers_count; i++) {
        if (pql_slice_eq(conf->tiers[i].name.text, name->value.text)) return;
        names[i] = pql_arena_copy(&b->program->arena, conf->tiers[i].name.text).ptr;
    }
    const char *nearest = pql_nearest(name->value.text, names, conf->tiers_count);
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, name->source, name->at, name->span,
                    nearest ? "'%.*s' has no tier '%.*s'; did you mean '%s'?" : "'%.*s' has no tier '%.*s'",
                    PQL_SLICE_ARG(conf->name), PQL_SLICE_ARG(name->value.text), nearest);
}

void pql_build_check_tier(struct pql_builder *b, const struct pql_node *node)
{
    const struct pql_definition_conf *conf = NULL;
    if (node->kind != PQL_NODE_EQ && node->kind != PQL_NODE_NE && node->kind != PQL_NODE_IN) return;
    for (size_t i = 0; i < node->kids_count; i++)
        if (node->kids[i]->kind == PQL_NODE_CALL && node->kids[i]->function == PQL_FN_TIER)
            conf = b->program->definitions[node->kids[i]->definition].conf;
    for (size_t i = 0; conf && i < node->kids_count; i++)
        if (node->kids[i]->kind == PQL_NODE_CONST && node->kids[i]->value.kind == PQL_TEXT)
            check_tier_name(b, conf, node->kids[i]);
}
