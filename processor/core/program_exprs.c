#include "core/program_build.h"

#include "core/expr.h"

static struct pql_expr *expr_new(struct pql_builder *b, enum pql_expr_op op, const struct pql_node *node)
{
    struct pql_expr *expr = pql_arena_zalloc(&b->program->arena, sizeof *expr);
    *expr = (struct pql_expr){.op = op,
                              .type = node->type,
                              .negated = node->negated,
                              .node = node,
                              .index = PQL_NO_INDEX,
                              .of_index = PQL_NO_INDEX};
    return expr;
}

static void compile_kids(struct pql_builder *b, const struct pql_node *node, struct pql_expr *expr)
{
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, node->kids_count * sizeof(kids[0]));
    for (size_t i = 0; i < node->kids_count; i++) kids[i] = pql_build_expr(b, node->kids[i]);
    expr->kids = kids;
    expr->kids_count = node->kids_count;
}

static struct pql_expr *compile_signal(struct pql_builder *b, const struct pql_node *call, bool as_number)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_SIGNAL, call);
    uint32_t index = pql_build_signal(b, call);
    if (index == PQL_NO_INDEX) {
        expr->op = PQL_EXPR_CONST;
        return expr;
    }
    struct pql_signal_def *def = b->program->signals[index];
    expr->index = index;
    expr->function = call->function;
    pql_build_depend(&def->dependents, b->unit, pql_build_shown_bits(call->function), NULL);
    def->signal.shows_mean |= call->function == PQL_FN_AVG;
    if (b->decay) {
        expr->decay = b->decay;
        pql_build_add_decay(b, def, b->decay);
        pql_build_depend(&def->dependents, b->unit, PQL_CHANGE_AGE, NULL);
    }
    if (as_number) pql_build_read_as_number(def);
    return expr;
}

static void need_definition(struct pql_builder *b, uint32_t index)
{
    if (b->definition == PQL_NO_INDEX || b->is_telling) return;
    b->needs[b->definition * b->program->conf->definitions_count + index] = true;
}

static uint32_t condition_add(struct pql_builder *b, enum pql_subject subject, struct pql_slice text,
                              const struct pql_node *first, const struct pql_node *second)
{
    struct pql_program *program = b->program;
    struct pql_condition *condition = pql_arena_zalloc(&program->arena, sizeof *condition);
    uint32_t index = (uint32_t)program->conditions_count;
    program->conditions = pql_xgrow(program->conditions, &program->conditions_capacity,
                                    program->conditions_count + 1, sizeof condition);
    program->conditions[program->conditions_count++] = condition;
    condition->text = text;
    condition->unit =
        (struct pql_unit){.subject = subject, .is_condition = true, .index = index, .order = PQL_NO_INDEX};

    struct pql_builder outer = *b;
    b->unit = &condition->unit;
    b->subject = subject;
    const struct pql_expr *left = pql_build_expr(b, first);
    condition->expr = left;
    if (second) {
        const struct pql_expr **kids = pql_arena_alloc(&program->arena, 2 * sizeof(kids[0]));
        kids[0] = left;
        kids[1] = pql_build_expr(b, second);
        struct pql_expr *both = expr_new(b, PQL_EXPR_AND, first);
        both->negated = false;
        both->kids = kids;
        both->kids_count = 2;
        condition->expr = both;
    }
    b->unit = outer.unit;
    b->subject = outer.subject;
    return index;
}

/* The condition inside a quantifier, or about an account in a user's definition; `second` for share(c of c2),
 * which counts users with both. Who wants to be told of its flips adds itself to its dependents. */
static uint32_t condition_of(struct pql_builder *b, enum pql_subject subject, const struct pql_node *first,
                             const struct pql_node *second)
{
    struct pql_program *program = b->program;
    struct pql_slice text = pql_lang_text(first, &program->arena);
    if (second) {
        struct pql_slice other = pql_lang_text(second, &program->arena);
        text = pql_slice_of(pql_arena_printf(&program->arena, "(%.*s) and (%.*s)", PQL_SLICE_ARG(text),
                                             PQL_SLICE_ARG(other)));
    }
    const char *mark =
        second && pql_build_is_zoned(second) ? pql_build_zone_mark(b, second) : pql_build_zone_mark(b, first);
    text = pql_slice_of(pql_arena_printf(&program->arena, "%.*s%s%s%s", PQL_SLICE_ARG(text), mark,
                                         pql_build_score_mark(b, first),
                                         second ? pql_build_score_mark(b, second) : ""));
    uint32_t index = PQL_NO_INDEX;
    for (size_t i = 0; i < program->conditions_count && index == PQL_NO_INDEX; i++)
        if (program->conditions[i]->unit.subject == subject &&
            pql_slice_eq(program->conditions[i]->text, text))
            index = (uint32_t)i;
    /* Compiled again where it is known already: so that what it needs is noted for this definition too. */
    if (index == PQL_NO_INDEX) {
        index = condition_add(b, subject, text, first, second);
    } else {
        struct pql_builder outer = *b;
        b->unit = &program->conditions[index]->unit;
        b->subject = subject;
        (void)pql_build_expr(b, first);
        if (second) (void)pql_build_expr(b, second);
        b->unit = outer.unit;
        b->subject = outer.subject;
    }
    b->uses = pql_xgrow(b->uses, &b->uses_capacity, b->uses_count + 1, sizeof *b->uses);
    b->uses[b->uses_count++] = index;
    return index;
}

static const struct pql_expr *compile_spread(struct pql_builder *b, const struct pql_node *call,
                                             struct pql_expr *expr)
{
    struct pql_program *program = b->program;
    struct pql_spread wanted = {.condition = condition_of(b, PQL_SUBJECT_USER, call->kids[0], NULL),
                                .attribute = pql_build_attribute(b, PQL_SUBJECT_USER, call->text)};
    size_t i = 0;
    while (i < program->spreads_count && (program->spreads[i]->condition != wanted.condition ||
                                          program->spreads[i]->attribute != wanted.attribute))
        i++;
    if (i == program->spreads_count) {
        program->spreads =
            pql_xgrow(program->spreads, &program->spreads_capacity, i + 1, sizeof(struct pql_spread *));
        program->spreads[program->spreads_count++] = pql_arena_zalloc(&program->arena, sizeof wanted);
        *program->spreads[i] = wanted;
    }
    expr->index = wanted.condition;
    expr->of_index = (uint32_t)i;
    pql_build_depend(&program->spreads[i]->dependents, b->unit, ~0u, expr);
    return expr;
}

static const struct pql_expr *compile_quantifier(struct pql_builder *b, const struct pql_node *call,
                                                 enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, call);
    b->program->keeps_users = true;
    bool of_members =
        op == PQL_EXPR_ALL_USERS || op == PQL_EXPR_MEMBERS || (op == PQL_EXPR_SHARE && call->kids_count == 1);
    if (of_members) pql_build_depend(&b->program->members_dependents, b->unit, ~0u, expr);
    if (op == PQL_EXPR_MEMBERS) return expr;
    if (op == PQL_EXPR_SPREAD) return compile_spread(b, call, expr);
    if (call->kids_count == 2) {
        expr->of_index = condition_of(b, PQL_SUBJECT_USER, call->kids[1], NULL);
        pql_build_depend(&b->program->conditions[expr->of_index]->dependents, b->unit, ~0u, expr);
        expr->index = condition_of(b, PQL_SUBJECT_USER, call->kids[0], call->kids[1]);
    } else {
        expr->index = condition_of(b, PQL_SUBJECT_USER, call->kids[0], NULL);
    }
    pql_build_depend(&b->program->conditions[expr->index]->dependents, b->unit, ~0u, expr);
    return expr;
}

/* The smallest condition that is about the account alone is one bit of it: users are told when it flips. */
static const struct pql_expr *compile_of_account(struct pql_builder *b, const struct pql_node *node)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_ACCOUNT, node);
    expr->negated = false;
    expr->index = condition_of(b, PQL_SUBJECT_ACCOUNT, node, NULL);
    pql_build_depend(&b->program->conditions[expr->index]->dependents, b->unit, ~0u, NULL);
    const struct pql_expr **kid = pql_arena_alloc(&b->program->arena, sizeof(kid[0]));
    kid[0] = b->program->conditions[expr->index]->expr;
    expr->kids = kid;
    expr->kids_count = 1;
    return expr;
}

bool pql_build_is_of_account(const struct pql_node *node)
{
    if (node->kind == PQL_NODE_CALL && node->of_account) return true;
    for (size_t i = 0; i < node->kids_count; i++)
        if (node->kids[i]->type != PQL_TYPE_BOOL && pql_build_is_of_account(node->kids[i])) return true;
    return false;
}

static const struct pql_expr *compile_standing(struct pql_builder *b, const struct pql_node *call,
                                               enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, call);
    struct pql_definition *definition = &b->program->definitions[call->definition];
    expr->index = call->definition;
    need_definition(b, call->definition);
    unsigned mask = op == PQL_EXPR_TIER ? PQL_STANDING_STATUS | PQL_STANDING_TIER : PQL_STANDING_STATUS;
    pql_build_depend(&definition->dependents, b->unit, mask, NULL);
    if (op == PQL_EXPR_IN_STATE_FOR) pql_build_depend(&definition->changed.dependents, b->unit, ~0u, NULL);
    return expr;
}

/* What a score is made of stands below it: see pql_build_join_scores. */
static const struct pql_expr *compile_score(struct pql_builder *b, const struct pql_node *node,
                                            uint32_t definition)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_SCORE, node);
    expr->index = definition;
    b->scores = pql_xgrow(b->scores, &b->scores_capacity, b->scores_count + 1, sizeof(b->scores[0]));
    b->scores[b->scores_count++] = expr;
    if (definition == b->definition) return expr; /* its items are of this unit already */
    need_definition(b, definition);
    pql_build_tell(b, definition);
    return expr;
}

static const struct pql_expr *compile_age(struct pql_builder *b, const struct pql_node *call)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_AGE, call);
    expr->index = b->subject;
    pql_build_depend(&b->program->ages[b->subject].dependents, b->unit, ~0u, NULL);
    return expr;
}

/* usage(E.p, limit) is latest(E.p) / limit. */
static const struct pql_expr *compile_usage(struct pql_builder *b, const struct pql_node *call)
{
    struct pql_node *latest = pql_arena_alloc(&b->program->arena, sizeof *latest);
    *latest = *call;
    latest->function = PQL_FN_LATEST;
    latest->type = PQL_TYPE_OPEN;
    latest->window = (struct pql_window){.kind = PQL_WINDOW_EVER};
    latest->kids_count = 0;
    struct pql_expr *expr = expr_new(b, PQL_EXPR_DIV, call);
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, 2 * sizeof(kids[0]));
    kids[0] = compile_signal(b, latest, false);
    kids[1] = pql_build_expr(b, call->kids[0]);
    expr->kids = kids;
    expr->kids_count = 2;
    return expr;
}

static const struct pql_expr *compile_own_call(struct pql_builder *b, const struct pql_node *call)
{
    if (pql_build_shown_bits(call->function))
        return compile_signal(b, call, pql_functions[call->function].type == PQL_TYPE_NUMBER);
    static const struct call_row {
        bool is_known;
        enum pql_expr_op op;
        enum { PLAIN, QUANTIFIER, STANDING, SCORE, AGE, USAGE } form;
    } calls[PQL_FN_TOTAL] = {
        [PQL_FN_USERS] = {true, PQL_EXPR_USERS, QUANTIFIER},
        [PQL_FN_ANY_USER] = {true, PQL_EXPR_ANY_USER, QUANTIFIER},
        [PQL_FN_ALL_USERS] = {true, PQL_EXPR_ALL_USERS, QUANTIFIER},
        [PQL_FN_SHARE] = {true, PQL_EXPR_SHARE, QUANTIFIER},
        [PQL_FN_MEMBERS] = {true, PQL_EXPR_MEMBERS, QUANTIFIER},
        [PQL_FN_SPREAD] = {true, PQL_EXPR_SPREAD, QUANTIFIER},
        [PQL_FN_AGE] = {true, PQL_EXPR_AGE, AGE},
        [PQL_FN_USAGE] = {true, PQL_EXPR_DIV, USAGE},
        [PQL_FN_IN_STATE_FOR] = {true, PQL_EXPR_IN_STATE_FOR, STANDING},
        [PQL_FN_IS] = {true, PQL_EXPR_IS, STANDING},
        [PQL_FN_WAS] = {true, PQL_EXPR_WAS, STANDING},
        [PQL_FN_SCORE] = {true, PQL_EXPR_SCORE, SCORE},
        [PQL_FN_TIER] = {true, PQL_EXPR_TIER, STANDING},
        [PQL_FN_HOUR] = {true, PQL_EXPR_HOUR, PLAIN},
        [PQL_FN_WEEKDAY] = {true, PQL_EXPR_WEEKDAY, PLAIN},
        [PQL_FN_IF] = {true, PQL_EXPR_IF, PLAIN},
        [PQL_FN_COALESCE] = {true, PQL_EXPR_COALESCE, PLAIN},
        [PQL_FN_AT_LEAST] = {true, PQL_EXPR_AT_LEAST, PLAIN},
    };
    const struct call_row *row = &calls[call->function];
    PQL_ASSERT(row->is_known); /* the checker refuses the others by name */
    if (row->form == QUANTIFIER) return compile_quantifier(b, call, row->op);
    if (row->form == STANDING) return compile_standing(b, call, row->op);
    if (row->form == SCORE) return compile_score(b, call, call->definition);
    if (row->form == AGE) return compile_age(b, call);
    if (row->form == USAGE) return compile_usage(b, call);
    struct pql_expr *expr = expr_new(b, row->op, call);
    expr->threshold = (uint32_t)call->n;
    expr->zone = b->zone;
    compile_kids(b, call, expr);
    return expr;
}

static const struct pql_expr *compile_call(struct pql_builder *b, const struct pql_node *call)
{
    enum pql_subject subject = b->subject;
    if (call->of_account) b->subject = PQL_SUBJECT_ACCOUNT;
    const struct pql_expr *expr = compile_own_call(b, call);
    b->subject = subject;
    return expr;
}

static const struct pql_expr *compile_compared(struct pql_builder *b, const struct pql_node *call)
{
    if (!pql_build_shown_bits(call->function)) return pql_build_expr(b, call);
    enum pql_subject subject = b->subject;
    if (call->of_account) b->subject = PQL_SUBJECT_ACCOUNT;
    const struct pql_expr *expr = compile_signal(b, call, false);
    b->subject = subject;
    return expr;
}

static struct pql_compared compared_of(struct pql_builder *b, const struct pql_expr *value)
{
    struct pql_program *program = b->program;
    struct pql_signal_def *def = value->op == PQL_EXPR_SIGNAL ? program->signals[value->index] : NULL;
    if (def) return (struct pql_compared){&def->bounds, def};
    if (value->op == PQL_EXPR_AGE) return (struct pql_compared){&program->ages[value->index].bounds, NULL};
    if (value->op == PQL_EXPR_IN_STATE_FOR)
        return (struct pql_compared){&program->definitions[value->index].changed.bounds, NULL};
    return (struct pql_compared){NULL, NULL};
}

static const struct pql_expr *compile_comparison(struct pql_builder *b, const struct pql_node *node,
                                                 enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, node);
    expr->relation = node->kind;
    pql_build_check_score(b, node);
    pql_build_check_tier(b, node);
    size_t value_kid = op == PQL_EXPR_COMPARE && node->kids[0]->kind == PQL_NODE_CONST ? 1 : 0;
    const struct pql_node *call = pql_build_compared_call(node, value_kid);
    if (!call) {
        compile_kids(b, node, expr);
        return expr;
    }
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, node->kids_count * sizeof(kids[0]));
    for (size_t i = 0; i < node->kids_count; i++)
        kids[i] = i == value_kid ? compile_compared(b, call) : pql_build_expr(b, node->kids[i]);
    expr->kids = kids;
    expr->kids_count = node->kids_count;
    struct pql_compared what = compared_of(b, kids[value_kid]);
    if (!what.bounds) return expr;
    pql_build_note_constants(b, node, value_kid, &what);
    bool is_plain = op == PQL_EXPR_COMPARE && kids[1 - value_kid]->op == PQL_EXPR_CONST;
    if (!is_plain || !what.def || call->function == PQL_FN_SINCE) return expr;
    if (value_kid) { /* 5 <= count(…) is count(…) >= 5 */
        const struct pql_expr *constant = kids[0];
        kids[0] = kids[1];
        kids[1] = constant;
        expr->relation = pql_build_mirrored(node->kind);
    }
    pql_build_reaches(b, expr, expr->relation, &kids[1]->value);
    return expr;
}

static const struct pql_expr *compile_attribute(struct pql_builder *b, const struct pql_node *node,
                                                enum pql_subject subject)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_ATTRIBUTE, node);
    expr->index = pql_build_attribute(b, subject, node->text);
    expr->function = PQL_FN_LATEST;
    pql_build_depend(&b->program->signals[expr->index]->dependents, b->unit, ~0u, NULL);
    if (subject == PQL_SUBJECT_USER) b->program->keeps_users = true;
    return expr;
}

/* A comparison of a score of the account with nothing of the user: one bit of the account, too, so that users
 * are visited when it flips and not with every change of the score. */
enum { ACCOUNT_SCORE = 1, SOMETHING_ELSE = 2 };
static unsigned made_of(const struct pql_builder *b, const struct pql_node *node)
{
    if (node->kind == PQL_NODE_CONST || node->kind == PQL_NODE_ACCOUNT_ATTR) return 0;
    bool is_score = node->kind == PQL_NODE_CALL && node->function == PQL_FN_SCORE;
    if (is_score && b->program->conf->definitions[node->definition].subject == PQL_SUBJECT_ACCOUNT)
        return ACCOUNT_SCORE;
    bool is_made = node->kind >= PQL_NODE_NEG && node->kind <= PQL_NODE_BETWEEN;
    unsigned of = is_made ? 0 : SOMETHING_ELSE;
    for (size_t i = 0; i < node->kids_count; i++)
        of |= node->kids[i]->type == PQL_TYPE_BOOL ? SOMETHING_ELSE : made_of(b, node->kids[i]);
    return of;
}

const struct pql_expr *pql_build_expr(struct pql_builder *b, const struct pql_node *node)
{
    /* Nodes whose kids are compiled alike, and the op they become. */
    static const enum pql_expr_op plain[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_USER_ID] = PQL_EXPR_EVENT_USER,
        [PQL_NODE_EVENT_NAME] = PQL_EXPR_EVENT_NAME,
        [PQL_NODE_NOT] = PQL_EXPR_NOT,
        [PQL_NODE_AND] = PQL_EXPR_AND,
        [PQL_NODE_OR] = PQL_EXPR_OR,
        [PQL_NODE_NEG] = PQL_EXPR_NEG,
        [PQL_NODE_ADD] = PQL_EXPR_ADD,
        [PQL_NODE_SUB] = PQL_EXPR_SUB,
        [PQL_NODE_MUL] = PQL_EXPR_MUL,
        [PQL_NODE_DIV] = PQL_EXPR_DIV,
        [PQL_NODE_STARTS] = PQL_EXPR_STARTS,
        [PQL_NODE_ENDS] = PQL_EXPR_ENDS,
        [PQL_NODE_CONTAINS] = PQL_EXPR_CONTAINS,
        [PQL_NODE_MATCHES] = PQL_EXPR_MATCHES,
        [PQL_NODE_IS_NULL] = PQL_EXPR_IS_NULL,
    };
    struct pql_expr *expr;
    bool is_one_bit = b->subject == PQL_SUBJECT_USER && node->type == PQL_TYPE_BOOL &&
                      (pql_build_is_of_account(node) || made_of(b, node) == ACCOUNT_SCORE);
    if (is_one_bit) return compile_of_account(b, node);
    switch (node->kind) {
    case PQL_NODE_CONST:
        expr = expr_new(b, PQL_EXPR_CONST, node);
        expr->value = node->value;
        return expr;
    case PQL_NODE_PROPERTY:
        expr = expr_new(b, PQL_EXPR_PROPERTY, node);
        expr->index = pql_build_property(b, node->text);
        return expr;
    case PQL_NODE_USER_ATTR: return compile_attribute(b, node, PQL_SUBJECT_USER);
    case PQL_NODE_ACCOUNT_ATTR: return compile_attribute(b, node, PQL_SUBJECT_ACCOUNT);
    case PQL_NODE_EQ:
    case PQL_NODE_NE:
    case PQL_NODE_LT:
    case PQL_NODE_LE:
    case PQL_NODE_GT:
    case PQL_NODE_GE: return compile_comparison(b, node, PQL_EXPR_COMPARE);
    case PQL_NODE_IN: return compile_comparison(b, node, PQL_EXPR_IN);
    case PQL_NODE_BETWEEN: return compile_comparison(b, node, PQL_EXPR_BETWEEN);
    case PQL_NODE_CALL: return compile_call(b, node);
    case PQL_NODE_USER_ID:
    case PQL_NODE_EVENT_NAME:
    case PQL_NODE_NOT:
    case PQL_NODE_AND:
    case PQL_NODE_OR:
    case PQL_NODE_NEG:
    case PQL_NODE_ADD:
    case PQL_NODE_SUB:
    case PQL_NODE_MUL:
    case PQL_NODE_DIV:
    case PQL_NODE_STARTS:
    case PQL_NODE_ENDS:
    case PQL_NODE_CONTAINS:
    case PQL_NODE_MATCHES:
    case PQL_NODE_IS_NULL:
        expr = expr_new(b, plain[node->kind], node);
        compile_kids(b, node, expr);
        return expr;
    case PQL_NODE_SCORE: return compile_score(b, node, b->definition);
    case PQL_NODE_KIND_COUNT: break;
    }
    PQL_ASSERT(false);
    return NULL;
}
