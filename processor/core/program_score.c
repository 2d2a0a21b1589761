/* Scores: items to families with their caps, factors, tiers; who reads a score. */
#include "core/program_build.h"

#include "core/hash.h"
#include <stdlib.h>

static void say(struct pql_builder *b, const struct pql_source *at, const char *format, ...) PQL_PRINTF(3, 4);
static void say(struct pql_builder *b, const struct pql_source *at, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, at, 0, at->text.len, "%s", text);
}

/* --- items, families, caps --- */

static enum pql_place item_place(const struct pql_definition_conf *conf)
{
    return conf->subject == PQL_SUBJECT_USER ? PQL_PLACE_USER_ITEM : PQL_PLACE_ACCOUNT_ITEM;
}

/* A number made of a condition's text; NULL after a message. */
static const struct pql_node *parse_number(struct pql_builder *b, const struct pql_definition_conf *conf,
                                           const struct pql_source *source, const char *name)
{
    static const char *const words[PQL_TYPE_COUNT] = {[PQL_TYPE_BOOL] = "a condition; write it as 'when'",
                                                      [PQL_TYPE_TEXT] = "a text",
                                                      [PQL_TYPE_DURATION] = "a duration",
                                                      [PQL_TYPE_TIME] = "a time",
                                                      [PQL_TYPE_NULL] = "null"};
    const struct pql_node *node = pql_lang_parse_value(&b->program->env, source, item_place(conf),
                                                       b->definition, &b->program->arena, b->diags);
    if (!node) return NULL;
    if (node->type != PQL_TYPE_NUMBER && node->type != PQL_TYPE_OPEN) {
        say(b, source, "'%s' needs a number, but this is %s", name, words[node->type]);
        return NULL;
    }
    if (conf->subject == PQL_SUBJECT_USER && pql_build_is_of_account(node)) {
        say(b, source,
            "a value of the account must end in a condition of its own before it meets the user's, as in "
            "account.count(…) >= 100");
        return NULL;
    }
    return node;
}

static uint32_t family_of(struct pql_score *score, struct pql_slice name)
{
    uint32_t i = 0;
    while (i < score->families_count && (!name.len || !pql_slice_eq(score->families[i].name, name))) i++;
    if (i == score->families_count) score->families[score->families_count++].name = name;
    return i;
}

static bool parse_items(struct pql_builder *b, const struct pql_definition_conf *conf,
                        struct pql_score *score)
{
    bool is_good = true;
    for (size_t i = 0; i < conf->score_count; i++) {
        struct pql_item *item = &score->items[i];
        item->conf = &conf->score[i];
        item->is_per = item->conf->per.text.len > 0;
        bool is_given = item->is_per || item->conf->when.text.len > 0; /* else it was said */
        item->node = item->is_per ? parse_number(b, conf, &item->conf->per, "per")
                     : !is_given  ? NULL
                                  : pql_lang_parse(&b->program->env, &item->conf->when, item_place(conf),
                                                   b->definition, &b->program->arena, b->diags);
        item->family = family_of(score, item->conf->family.text);
        is_good = is_good && item->node;
        if (item->node && item->is_per) item->decay = pql_build_decay(b, conf, item->conf, item->node);
    }
    return is_good;
}

static bool parse_factors(struct pql_builder *b, const struct pql_definition_conf *conf,
                          struct pql_score *score)
{
    bool is_good = true;
    for (size_t i = 0; i < conf->multiply_count; i++) {
        const struct pql_multiply_conf *multiply = &conf->multiply[i];
        struct pql_factor *factor = &score->factors[i];
        if (multiply->when.text.len)
            factor->when_node = pql_lang_parse(&b->program->env, &multiply->when, item_place(conf),
                                               b->definition, &b->program->arena, b->diags);
        factor->by_node = parse_number(b, conf, &multiply->by, "by");
        is_good = is_good && factor->by_node && (factor->when_node || !multiply->when.text.len);
    }
    return is_good;
}

static void gather_families(struct pql_arena *arena, struct pql_score *score)
{
    for (size_t f = 0; f < score->families_count; f++) {
        struct pql_family *family = &score->families[f];
        family->items = pql_arena_alloc(arena, score->items_count * sizeof(family->items[0]));
        for (size_t i = 0; i < score->items_count; i++)
            if (score->items[i].family == f) family->items[family->items_count++] = &score->items[i];
    }
}

/* The most that a single positive item can give; none if that has no bound. */
static void default_cap(struct pql_family *family)
{
    if (!family->name.len) return;
    for (size_t i = 0; i < family->items_count; i++) {
        pql_decimal points = family->items[i]->conf->points.value;
        struct pql_range units = pql_build_units(family->items[i]);
        if (points < 0) continue;
        family->has_cap = units.has_high;
        if (!units.has_high) return;
        pql_decimal most = pql_decimal_mul(units.high, points);
        if (most > family->cap) family->cap = most;
    }
}

static struct pql_family *find_family(struct pql_builder *b, struct pql_score *score,
                                      const struct pql_source *name)
{
    const char **names = pql_arena_alloc(&b->program->arena, (score->families_count + 1) * sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < score->families_count; i++) {
        struct pql_family *family = &score->families[i];
        if (!family->name.len) continue;
        if (pql_slice_eq(family->name, name->text)) return family;
        names[count++] = pql_arena_copy(&b->program->arena, family->name).ptr;
    }
    const char *nearest = pql_nearest(name->text, names, count);
    say(b, name, nearest ? "no item is of family '%.*s'; did you mean '%s'?" : "no item is of family '%.*s'",
        PQL_SLICE_ARG(name->text), nearest);
    return NULL;
}

static void take_caps(struct pql_builder *b, const struct pql_definition_conf *conf, struct pql_score *score)
{
    for (size_t i = 0; i < conf->caps_count; i++) {
        const struct pql_cap_conf *cap = &conf->caps[i];
        struct pql_family *family = find_family(b, score, &cap->family);
        if (!family) continue;
        struct pql_range sum = pql_build_positive(family);
        family->has_cap = cap->cap.source.text.len > 0;
        family->cap = cap->cap.value;
        if (family->has_cap && sum.has_high && family->cap > sum.high)
            say(b, &cap->cap.source,
                "a cap of %s can never be reached: the positive items of '%.*s' add up to at most %s",
                pql_build_number_text(b, family->cap), PQL_SLICE_ARG(family->name),
                pql_build_number_text(b, sum.high));
    }
}

/* --- tiers --- */

static int by_bar(const void *a, const void *b)
{
    pql_decimal x = (*(const struct pql_tier_conf *const *)a)->at.value,
                y = (*(const struct pql_tier_conf *const *)b)->at.value;
    return (x > y) - (x < y);
}

static void take_tiers(struct pql_builder *b, const struct pql_definition *definition,
                       struct pql_score *score)
{
    const struct pql_definition_conf *conf = definition->conf;
    score->tiers = pql_arena_alloc(&b->program->arena, conf->tiers_count * sizeof(score->tiers[0]) + 1);
    score->tiers_count = conf->tiers_count;
    for (size_t i = 0; i < conf->tiers_count; i++) {
        const struct pql_tier_conf *tier = &conf->tiers[i];
        score->tiers[i] = tier;
        if (score->range.has_high && tier->at.value > score->range.high)
            say(b, &tier->name, "tier '%.*s' can never be reached: %s", PQL_SLICE_ARG(tier->name.text),
                pql_build_limit_text(b, definition, true));
    }
    qsort(score->tiers, score->tiers_count, sizeof(score->tiers[0]), by_bar);
}

/* --- the text --- */

static void put(struct pql_builder *b, struct pql_buf *out, const char *mark, const struct pql_node *node)
{
    struct pql_slice text = node ? pql_lang_text(node, &b->program->arena) : (struct pql_slice){"", 0};
    pql_buf_printf(out, "%s%.*s", mark, PQL_SLICE_ARG(text));
}

/* All that decides the score: who reads it has changed when this has. */
static struct pql_slice text_of(struct pql_builder *b, const struct pql_definition_conf *conf,
                                const struct pql_score *score)
{
    struct pql_buf out = {0};
    struct pql_slice zone = pql_zone_name(conf->zone);
    pql_buf_printf(&out, "%.*s", PQL_SLICE_ARG(zone));
    for (size_t i = 0; i < score->items_count; i++) {
        const struct pql_item *item = &score->items[i];
        const struct pql_family *family = &score->families[item->family];
        pql_buf_printf(&out, "|%s %.*s", pql_build_number_text(b, item->conf->points.value),
                       PQL_SLICE_ARG(family->name));
        if (family->has_cap) pql_buf_printf(&out, " to %s", pql_build_number_text(b, family->cap));
        put(b, &out, item->is_per ? " per " : " when ", item->node);
        if (item->conf->max.source.text.len)
            pql_buf_printf(&out, " max %s", pql_build_number_text(b, item->conf->max.value));
        if (item->decay) pql_build_put_decay(b, item->decay, &out);
    }
    for (size_t i = 0; i < score->factors_count; i++) {
        put(b, &out, "|times ", score->factors[i].by_node);
        put(b, &out, " when ", score->factors[i].when_node);
    }
    struct pql_slice text = pql_arena_copy(&b->program->arena, (struct pql_slice){out.ptr, out.len});
    pql_buf_deinit(&out);
    return text;
}

/* Texts of all scores that a node reads, and of those that these read. A circle ends where it closes: it is
 * reported elsewhere. */
static void put_scores(struct pql_builder *b, const struct pql_node *node, bool *met, struct pql_buf *out)
{
    bool is_score = node->kind == PQL_NODE_CALL && node->function == PQL_FN_SCORE;
    const struct pql_score *score = is_score ? b->program->definitions[node->definition].score : NULL;
    if (score && !met[node->definition]) {
        met[node->definition] = true;
        pql_buf_slice(out, score->text);
        for (size_t i = 0; i < score->items_count; i++)
            if (score->items[i].node) put_scores(b, score->items[i].node, met, out);
        for (size_t i = 0; i < score->factors_count; i++) {
            if (score->factors[i].when_node) put_scores(b, score->factors[i].when_node, met, out);
            if (score->factors[i].by_node) put_scores(b, score->factors[i].by_node, met, out);
        }
    }
    for (size_t i = 0; i < node->kids_count; i++) put_scores(b, node->kids[i], met, out);
}

const char *pql_build_score_mark(struct pql_builder *b, const struct pql_node *node)
{
    struct pql_buf texts = {0};
    bool *met = pql_xcalloc(b->program->conf->definitions_count + 1, sizeof *met);
    put_scores(b, node, met, &texts);
    const char *mark = "";
    if (texts.len)
        mark = pql_arena_printf(&b->program->arena, " of %016llx",
                                (unsigned long long)pql_hash(texts.ptr, texts.len, 0));
    free(met);
    pql_buf_deinit(&texts);
    return mark;
}

void pql_build_put_score(struct pql_builder *b, const struct pql_definition *definition, struct pql_buf *out)
{
    const struct pql_definition_conf *conf = definition->conf;
    const struct pql_score *score = definition->score;
    if (!score) return;
    pql_buf_printf(out, "|score %.*s", PQL_SLICE_ARG(score->text));
    for (size_t i = 0; i < score->items_count; i++)
        pql_buf_text(out, pql_build_score_mark(b, score->items[i].node));
    for (size_t i = 0; i < score->factors_count; i++) {
        pql_buf_text(out, pql_build_score_mark(b, score->factors[i].by_node));
        if (score->factors[i].when_node)
            pql_buf_text(out, pql_build_score_mark(b, score->factors[i].when_node));
    }
    for (size_t i = 0; i < score->tiers_count; i++)
        pql_buf_printf(out, "|tier %.*s %s", PQL_SLICE_ARG(score->tiers[i]->name.text),
                       pql_build_number_text(b, score->tiers[i]->at.value));
    if (conf->min_delta.source.text.len)
        pql_buf_printf(out, "|%s %lld %d", pql_build_number_text(b, conf->min_delta.value),
                       (long long)conf->min_interval_ms, conf->publish_scores);
}

/* --- building --- */

void pql_build_parse_score(struct pql_builder *b, uint32_t index)
{
    struct pql_arena *arena = &b->program->arena;
    struct pql_definition *definition = &b->program->definitions[index];
    const struct pql_definition_conf *conf = definition->conf;
    if (!conf->score_count) return;
    struct pql_score *score = pql_arena_zalloc(arena, sizeof *score);
    score->items_count = conf->score_count;
    score->items = pql_arena_zalloc(arena, score->items_count * sizeof *score->items);
    score->families = pql_arena_zalloc(arena, score->items_count * sizeof *score->families);
    score->factors_count = conf->multiply_count;
    score->factors = pql_arena_zalloc(arena, score->factors_count * sizeof *score->factors + 1);
    b->definition = index;
    bool is_good = parse_items(b, conf, score);
    if (!parse_factors(b, conf, score) || !is_good) return;
    gather_families(arena, score);
    for (size_t i = 0; i < score->families_count; i++) default_cap(&score->families[i]);
    take_caps(b, conf, score);
    pql_build_score_range(score);
    definition->score = score;
    take_tiers(b, definition, score);
    score->text = text_of(b, conf, score);
}

void pql_build_score(struct pql_builder *b, struct pql_definition *definition)
{
    struct pql_score *score = definition->score;
    if (!score) return;
    score->kids = pql_arena_alloc(&b->program->arena,
                                  (score->items_count + 2 * score->factors_count) * sizeof(score->kids[0]));
    for (size_t i = 0; i < score->items_count; i++) {
        score->items[i].expr = pql_build_item(b, &score->items[i]);
        score->kids[score->kids_count++] = score->items[i].expr;
    }
    for (size_t i = 0; i < score->factors_count; i++) {
        struct pql_factor *factor = &score->factors[i];
        if (factor->when_node) {
            factor->when = pql_build_expr(b, factor->when_node);
            score->kids[score->kids_count++] = factor->when;
        }
        factor->by = pql_build_expr(b, factor->by_node);
        score->kids[score->kids_count++] = factor->by;
    }
}

/* --- readers: whoever reads a score is told of the signals that it is made of --- */

static bool is_told_already(struct pql_builder *b, uint32_t definition)
{
    for (size_t i = 0; i < b->told_count; i++)
        if (b->told[i].unit == b->unit && b->told[i].definition == definition) return true;
    b->told = pql_xgrow(b->told, &b->told_capacity, b->told_count + 1, sizeof *b->told);
    b->told[b->told_count++] = (struct pql_told){b->unit, definition};
    return false;
}

void pql_build_tell(struct pql_builder *b, uint32_t index)
{
    const struct pql_definition *definition = &b->program->definitions[index];
    const struct pql_score *score = definition->score;
    if (!score || is_told_already(b, index)) return;
    struct pql_builder outer = *b;
    b->zone = definition->conf->zone;
    b->subject = definition->conf->subject;
    b->is_telling = true;
    for (size_t i = 0; i < score->items_count; i++) (void)pql_build_item(b, &score->items[i]);
    for (size_t i = 0; i < score->factors_count; i++) {
        if (score->factors[i].when_node) (void)pql_build_expr(b, score->factors[i].when_node);
        (void)pql_build_expr(b, score->factors[i].by_node);
    }
    b->zone = outer.zone;
    b->subject = outer.subject;
    b->is_telling = outer.is_telling;
}

/* Only now are all of them compiled. */
void pql_build_join_scores(struct pql_builder *b)
{
    for (size_t i = 0; i < b->scores_count; i++) {
        const struct pql_score *score = b->program->definitions[b->scores[i]->index].score;
        b->scores[i]->kids = score->kids;
        b->scores[i]->kids_count = score->kids_count;
    }
}
