#include "core/score.h"

pql_decimal pql_item_units(const struct pql_item *item, const struct pql_scope *scope)
{
    if (!item->is_per) return pql_expr_holds(item->expr, scope) ? PQL_DECIMAL_ONE : 0;
    struct pql_value value = pql_expr_value(item->expr, scope);
    pql_decimal units;
    if (!pql_value_as_number(&value, &units)) return 0;
    bool is_cut = item->conf->max.source.text.len && units > item->conf->max.value;
    return is_cut ? item->conf->max.value : units;
}

pql_decimal pql_item_points(const struct pql_item *item, const struct pql_scope *scope)
{
    return pql_decimal_mul(item->conf->points.value, pql_item_units(item, scope));
}

static pql_decimal family_value(const struct pql_family *family, const struct pql_scope *scope)
{
    pql_decimal positive = 0, negative = 0;
    for (size_t i = 0; i < family->items_count; i++) {
        const struct pql_item *item = family->items[i];
        pql_decimal *sum = item->conf->points.value > 0 ? &positive : &negative;
        *sum = pql_decimal_add(*sum, pql_item_points(item, scope));
    }
    if (family->has_cap && positive > family->cap) positive = family->cap;
    return pql_decimal_add(positive, negative);
}

/* A null factor counts 1. */
static pql_decimal factor_value(const struct pql_factor *factor, const struct pql_scope *scope)
{
    pql_decimal by;
    if (factor->when && !pql_expr_holds(factor->when, scope)) return PQL_DECIMAL_ONE;
    struct pql_value value = pql_expr_value(factor->by, scope);
    return pql_value_as_number(&value, &by) ? by : PQL_DECIMAL_ONE;
}

pql_decimal pql_score_value(const struct pql_score *score, const struct pql_scope *scope)
{
    pql_decimal sum = 0;
    for (size_t i = 0; i < score->families_count; i++)
        sum = pql_decimal_add(sum, family_value(&score->families[i], scope));
    for (size_t i = 0; i < score->factors_count; i++)
        sum = pql_decimal_mul(sum, factor_value(&score->factors[i], scope));
    return sum;
}

bool pql_score_is_known(const struct pql_score *score, const struct pql_scope *scope)
{
    for (size_t i = 0; i < score->kids_count; i++)
        if (pql_expr_known(score->kids[i], scope) == PQL_NOT_KNOWN) return false;
    return true;
}

uint8_t pql_tier_at(const struct pql_score *score, pql_decimal value)
{
    size_t tier = score->tiers_count;
    while (tier > 1 && score->tiers[tier - 1]->at.value > value) tier--;
    return (uint8_t)tier;
}

struct pql_slice pql_tier_name(const struct pql_score *score, uint8_t tier)
{
    return tier ? score->tiers[tier - 1]->name.text : (struct pql_slice){"", 0};
}

static const struct pql_tier_conf *find_tier(const struct pql_definition_conf *conf, struct pql_slice name)
{
    for (size_t i = 0; i < conf->tiers_count; i++)
        if (pql_slice_eq(conf->tiers[i].name.text, name)) return &conf->tiers[i];
    return NULL;
}

bool pql_tier_rises(const struct pql_definition_conf *conf, const struct pql_record *record)
{
    const struct pql_tier_conf *before = find_tier(conf, record->previous_tier),
                               *now = find_tier(conf, record->tier);
    return before && now && now->at.value > before->at.value;
}
