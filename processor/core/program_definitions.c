#include "core/program_build.h"

#include "core/expr.h"
#include "core/lang/sense.h"
#include <stdlib.h>

const struct pql_expr *pql_build_text(struct pql_builder *b, const struct pql_source *source,
                                      enum pql_place place)
{
    if (!source->text.len) return NULL;
    const struct pql_node *node =
        pql_lang_parse(&b->program->env, source, place, b->definition, &b->program->arena, b->diags);
    return node ? pql_build_expr(b, node) : NULL;
}

/* Expressions that are shown and decide nothing: nobody is evaluated again because of them. */
static void compile_context(struct pql_builder *b, struct pql_definition *definition, enum pql_place place)
{
    const struct pql_definition_conf *conf = definition->conf;
    definition->context =
        pql_arena_alloc(&b->program->arena, conf->context_count * sizeof(definition->context[0]));
    b->unit = NULL;
    for (size_t i = 0; i < conf->context_count; i++) {
        const struct pql_node *node = pql_lang_parse_value(&b->program->env, &conf->context[i], place,
                                                           b->definition, &b->program->arena, b->diags);
        if (node) definition->context[definition->context_count++] = pql_build_expr(b, node);
    }
}

/* "user.role", "account.plan" of include_attributes. */
static void compile_shown(struct pql_builder *b, struct pql_definition *definition)
{
    const struct pql_definition_conf *conf = definition->conf;
    definition->shown =
        pql_arena_alloc(&b->program->arena, conf->include_attributes_count * sizeof(uint32_t));
    definition->shown_names =
        pql_arena_alloc(&b->program->arena, conf->include_attributes_count * sizeof(struct pql_slice));
    for (size_t i = 0; i < conf->include_attributes_count; i++) {
        const struct pql_source *source = &conf->include_attributes[i];
        struct pql_slice text = source->text;
        bool of_user = text.len > 5 && memcmp(text.ptr, "user.", 5) == 0;
        bool of_account = text.len > 8 && memcmp(text.ptr, "account.", 8) == 0;
        if ((!of_user && !of_account) || (of_user && conf->subject == PQL_SUBJECT_ACCOUNT)) {
            pql_diag_source(b->diags, PQL_SEVERITY_ERROR, source, 0, text.len ? text.len : 1,
                            of_user ? "an account has no attribute of a user; write account.NAME"
                                    : "an attribute is written user.NAME or account.NAME");
            continue;
        }
        size_t skip = of_user ? 5 : 8;
        struct pql_slice name = {text.ptr + skip, text.len - skip};
        definition->shown[definition->shown_count] =
            pql_build_attribute(b, of_user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT, name);
        definition->shown_names[definition->shown_count++] = text;
        if (of_user) b->program->keeps_users = true;
    }
}

/* What is allowed, and hardly meant. */
static void check_sense(struct pql_builder *b, const struct pql_definition *definition)
{
    const struct pql_expr *eligible = definition->eligible, *qualify = definition->qualify,
                          *stay = definition->stay;
    if (!qualify || !stay) return;
    if (stay != qualify && pql_sense_is_stricter(stay->node, qualify->node))
        pql_diag_source(b->diags, PQL_SEVERITY_WARNING, &definition->conf->stay, 0,
                        definition->conf->stay.text.len,
                        "'stay' is stricter than 'qualify', so that nobody enters before it holds; ask for "
                        "less here, as in >= 2 where 'qualify' asks for >= 3");
    const struct pql_node *share = pql_sense_bare_share(qualify->node);
    if (share && !(eligible && pql_sense_asks_for_members(eligible->node)))
        pql_diag_source(b->diags, PQL_SEVERITY_WARNING, share->source, share->at, share->span,
                        "one member alone can be all of them: ask for some, as in … and members() >= 3");
}

void pql_build_definition(struct pql_builder *b, uint32_t index)
{
    struct pql_definition *definition = &b->program->definitions[index];
    const struct pql_definition_conf *conf = definition->conf;
    if (conf->subject == PQL_SUBJECT_USER) b->program->keeps_users = true;
    if (!conf->qualify.text.len)
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &conf->name_source, 0,
                        conf->name.len ? conf->name.len : 1, "definition '%.*s' has no qualify condition",
                        PQL_SLICE_ARG(conf->name));
    b->definition = index;
    b->subject = conf->subject;
    b->zone = conf->zone;
    b->unit = &definition->unit;
    enum pql_place place = conf->subject == PQL_SUBJECT_USER ? PQL_PLACE_USER : PQL_PLACE_ACCOUNT;
    pql_build_score(b, definition);
    definition->eligible = pql_build_text(b, &conf->eligible, place);
    definition->qualify = pql_build_text(b, &conf->qualify, place);
    definition->stay = conf->stay.text.len ? pql_build_text(b, &conf->stay, place) : definition->qualify;
    check_sense(b, definition);
    compile_context(b, definition, place);
    pql_build_choices(b, definition, place);
    compile_shown(b, definition);
    pql_build_outcomes(b, conf);
}

static bool reads(const struct pql_program *program, const struct pql_expr *expr,
                  bool (*is)(const struct pql_program *, const struct pql_expr *))
{
    if (!expr) return false;
    if (is(program, expr)) return true;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (reads(program, expr->kids[i], is)) return true;
    return false;
}

bool pql_build_is_first(const struct pql_program *program, const struct pql_expr *expr)
{
    return expr->op == PQL_EXPR_SIGNAL && pql_has_end(&program->signals[expr->index]->signal);
}

static bool is_outside(const struct pql_program *program, const struct pql_expr *expr)
{
    (void)program;
    return pql_expr_is_outside(expr);
}

static bool holds_empty(const struct pql_program *program, const struct pql_expr *expr)
{
    struct pql_account account = {.state = {.start_ms = PQL_NO_TIME, .timer_ms = INT64_MAX}};
    struct pql_user *nobody = pql_xcalloc(1, sizeof *nobody);
    nobody->state = account.state;
    struct pql_scope scope = {.program = program, .account = &account, .user = nobody};
    bool holds = pql_expr_holds(expr, &scope);
    free(nobody);
    return holds;
}

bool pql_build_is_at_birth(const struct pql_program *program, const struct pql_expr *expr)
{
    return reads(program, expr, is_outside) || reads(program, expr, pql_build_is_first) ||
           holds_empty(program, expr);
}

/* Changes by itself only as the subject's own signals do: not with those of users, or by other definitions.
 */
static bool is_foreseeable(const struct pql_expr *expr)
{
    bool is_own = expr->op == PQL_EXPR_ATTRIBUTE || expr->op == PQL_EXPR_AGE || expr->op == PQL_EXPR_ACCOUNT;
    if (pql_expr_is_outside(expr) && !is_own) return false;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (!is_foreseeable(expr->kids[i])) return false;
    return true;
}

/* usage(E.p, 100) is one, too, and so is the score of the definition itself. */
static bool is_one_signal(const struct pql_expr *expr, uint32_t own)
{
    bool is_usage = expr->op == PQL_EXPR_DIV && expr->node->kind == PQL_NODE_CALL;
    return expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_AGE ||
           (expr->op == PQL_EXPR_SCORE && expr->index == own && is_foreseeable(expr)) ||
           (is_usage && expr->kids[1]->op == PQL_EXPR_CONST);
}

/* Comparisons of one signal with constants, joined by and/or: when it would lapse can be told. */
static bool is_tellable(const struct pql_expr *expr, uint32_t own)
{
    if (expr->op == PQL_EXPR_AND || expr->op == PQL_EXPR_OR || expr->op == PQL_EXPR_ACCOUNT) {
        for (size_t i = 0; i < expr->kids_count; i++)
            if (!is_tellable(expr->kids[i], own)) return false;
        return true;
    }
    bool is_comparison = expr->op == PQL_EXPR_COMPARE || expr->op == PQL_EXPR_REACHES ||
                         expr->op == PQL_EXPR_IN || expr->op == PQL_EXPR_BETWEEN;
    if (!is_comparison) return false;
    size_t signals = 0;
    for (size_t i = 0; i < expr->kids_count; i++) {
        bool is_signal = is_one_signal(expr->kids[i], own);
        if (!is_signal && expr->kids[i]->op != PQL_EXPR_CONST) return false;
        signals += is_signal;
    }
    return signals == 1;
}

static const struct pql_expr *find_share(const struct pql_expr *expr)
{
    if (expr->op == PQL_EXPR_SHARE || expr->op == PQL_EXPR_USERS || expr->op == PQL_EXPR_ALL_USERS ||
        expr->op == PQL_EXPR_ANY_USER)
        return expr;
    for (size_t i = 0; i < expr->kids_count; i++) {
        const struct pql_expr *found = find_share(expr->kids[i]);
        if (found) return found;
    }
    return NULL;
}

static const struct pql_expr *score_of(struct pql_program *program, uint32_t index)
{
    const struct pql_score *score = program->definitions[index].score;
    if (!score) return NULL;
    struct pql_expr *expr = pql_arena_zalloc(&program->arena, sizeof *expr);
    *expr = (struct pql_expr){.op = PQL_EXPR_SCORE,
                              .type = PQL_TYPE_NUMBER,
                              .index = index,
                              .of_index = PQL_NO_INDEX,
                              .kids = score->kids,
                              .kids_count = score->kids_count};
    return expr;
}

static bool is_of_members(const struct pql_program *program, const struct pql_expr *expr)
{
    (void)program;
    return expr->op == PQL_EXPR_SHARE || expr->op == PQL_EXPR_MEMBERS || expr->op == PQL_EXPR_ALL_USERS;
}

/* {1} … of the reason are rows of evidence. */
static void check_reason(struct pql_builder *b, const struct pql_definition *definition)
{
    const struct pql_source *reason = &definition->conf->reason;
    size_t rows = definition->rows_count + definition->context_count;
    for (size_t i = 0; i < reason->text.len; i++) {
        size_t end = i + 1, row = 0;
        if (reason->text.ptr[i] != '{') continue;
        for (; end < reason->text.len && reason->text.ptr[end] >= '0' && reason->text.ptr[end] <= '9'; end++)
            if (row <= rows) row = row * 10 + (size_t)(reason->text.ptr[end] - '0');
        if (end == i + 1 || end == reason->text.len || reason->text.ptr[end] != '}') continue;
        if (row && row <= rows) continue;
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, reason, i, end + 1 - i,
                        rows == 1
                            ? "there is no row %.*s of evidence: the only one of this definition is {%zu}"
                            : "there is no row %.*s of evidence: those of this definition are {1} to {%zu}",
                        (int)(end + 1 - i), reason->text.ptr + i, rows);
    }
}

void pql_build_finish(struct pql_builder *b, struct pql_definition *definition)
{
    struct pql_program *program = b->program;
    const struct pql_definition_conf *conf = definition->conf;
    definition->can_be_missed = reads(program, definition->qualify, pql_build_is_first);
    definition->lapses = !conf->once && is_tellable(definition->stay, definition->unit.index);
    definition->has_share = reads(program, definition->qualify, is_of_members);
    definition->share = find_share(definition->qualify);
    definition->unit.at_birth = pql_build_is_at_birth(program, definition->qualify);
    definition->score_expr = score_of(program, definition->unit.index);
    if (definition->score && conf->min_delta.source.text.len && conf->publish_scores == PQL_SCORES_ALL)
        definition->unit.at_birth = true; /* nothing may give points */
    pql_rows_build(program, definition);
    check_reason(b, definition);
    pql_build_hash(b, definition);
}
