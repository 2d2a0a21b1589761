/* Recursive descent, one function per rule of the grammar. A fault of grammar ends the text (is_broken);
 * everything else is reported and read on, with a null of open type in the place of what could not be
 * understood, which fits anywhere and so causes no second message. */
#include "core/lang/parse.h"

#include "core/lang/sense.h"

static struct pql_node *binary(struct pql_parser *p, enum pql_node_kind kind, size_t at,
                               const struct pql_node *left, const struct pql_node *right)
{
    struct pql_kids kids = {0};
    struct pql_node *node = pql_parse_new_node(p, kind, at);
    pql_parse_add_kid(p, &kids, left);
    pql_parse_add_kid(p, &kids, right);
    return pql_parse_finish(p, node, &kids);
}

static struct pql_node *named(struct pql_parser *p, enum pql_node_kind kind, enum pql_type type, size_t at,
                              struct pql_slice text)
{
    struct pql_node *node = pql_parse_new_node(p, kind, at);
    node->type = type;
    node->text = text;
    node->span = p->end - at;
    return node;
}

static struct pql_node *outside_where(struct pql_parser *p, size_t at, const char *what)
{
    if (!p->is_broken)
        PQL_MISPLACED(p, at, p->end - at,
                      "%s stands only inside where; an attribute is written user.name or account.name", what);
    return pql_parse_nothing(p, at);
}

/* user | user.path | account.path | account.f(…) */
static struct pql_node *user_or_account(struct pql_parser *p)
{
    size_t at = p->tok.at;
    bool is_user = pql_parse_is_word(p, "user");
    pql_parse_step(p);
    if (!pql_parse_is_sign(p, ".")) {
        if (!is_user) pql_parse_expected(p, "an attribute such as account.plan");
        if (p->scope != PQL_SCOPE_WHERE) return outside_where(p, at, "the user's id");
        return named(p, PQL_NODE_USER_ID, PQL_TYPE_TEXT, at, PQL_SLICE_LITERAL("user"));
    }
    struct pql_parser before = *p;
    pql_parse_step(p);
    if (!is_user && p->tok.kind == PQL_TOKEN_NAME && pql_parse_is_before_parenthesis(p))
        return pql_parse_call(p, at, true);
    *p = before;
    struct pql_slice path = pql_parse_path_rest(p, (struct pql_slice){"", 0});
    if (pql_parse_is_sign(p, "("))
        pql_parse_fail(p, "an attribute has no arguments; a function of the user is written without 'user.'");
    if (is_user && p->scope == PQL_SCOPE_ACCOUNT && !p->is_broken) {
        PQL_MISPLACED(
            p, at, p->end - at,
            "a user's condition needs users(…), any_user(…) or share(…) around it in an account definition");
        return pql_parse_nothing(p, at);
    }
    return named(p, is_user ? PQL_NODE_USER_ATTR : PQL_NODE_ACCOUNT_ATTR, PQL_TYPE_OPEN, at, path);
}

static struct pql_node *property(struct pql_parser *p)
{
    static const char *const words[] = {"true", "false", "null", "not"};
    size_t at = p->tok.at;
    struct pql_slice name = p->tok.text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (pql_parse_is_same_but_case(name, words[i])) {
            PQL_COMPLAIN(p, at, p->tok.len, "'%.*s' is written '%s'", PQL_SLICE_ARG(name), words[i]);
            pql_parse_step(p);
            return pql_slice_is(pql_slice_of(words[i]), "not") ? pql_parse_expression(p)
                                                               : pql_parse_nothing(p, at);
        }
    if (pql_is_reserved(name)) {
        pql_parse_fail(
            p,
            "'%.*s' is a word of the language and cannot begin a value; such a property is property('%.*s')",
            PQL_SLICE_ARG(name), PQL_SLICE_ARG(name));
        return pql_parse_nothing(p, at);
    }
    pql_parse_step(p);
    struct pql_slice path = pql_parse_path_rest(p, pql_arena_copy(p->all->arena, name));
    if (p->scope != PQL_SCOPE_WHERE) {
        bool is_call = pql_parse_find_function(name) != NULL;
        return outside_where(
            p, at,
            is_call ? pql_arena_printf(p->all->arena, "'%.*s' is a function and needs (…); a property",
                                       PQL_SLICE_ARG(name))
                    : pql_arena_printf(p->all->arena, "the property '%.*s'", PQL_SLICE_ARG(path)));
    }
    return named(p, PQL_NODE_PROPERTY, PQL_TYPE_OPEN, at, path);
}

static struct pql_node *own_score(struct pql_parser *p)
{
    size_t at = p->tok.at;
    bool has_score = p->all->self != UINT32_MAX && p->all->env->definitions[p->all->self].has_score;
    pql_parse_step(p);
    if (p->scope == PQL_SCOPE_MEMBER)
        PQL_MISPLACED(p, at, p->end - at,
                      "'score' is the definition's own; that of a user is score(…) of a user's definition");
    else if (p->all->is_item)
        PQL_COMPLAIN(p, at, p->end - at, "a score cannot be made of itself");
    else if (!has_score)
        PQL_COMPLAIN(
            p, at, p->end - at,
            "this definition has no score; give it items: score = ( { points = 5; when = \"…\"; } )");
    return named(p, PQL_NODE_SCORE, PQL_TYPE_NUMBER, at, PQL_SLICE_LITERAL("score"));
}

static struct pql_node *word(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (pql_parse_is_word(p, "one_of") || pql_parse_is_word(p, "any")) {
        pql_parse_fail(p, "events stand inside a function, as in count(any, 7d)");
        return pql_parse_nothing(p, at);
    }
    if (pql_parse_is_before_parenthesis(p)) return pql_parse_call(p, at, false);
    if (pql_parse_is_word(p, "user") || pql_parse_is_word(p, "account")) return user_or_account(p);
    if (pql_parse_is_word(p, "score") && p->scope != PQL_SCOPE_WHERE) return own_score(p);
    bool is_true = pql_parse_is_word(p, "true"), is_null = pql_parse_is_word(p, "null"),
         is_event = pql_parse_is_word(p, "event");
    if (!is_true && !is_null && !is_event && !pql_parse_is_word(p, "false")) return property(p);
    pql_parse_step(p);
    if (is_null) return pql_parse_constant(p, at, PQL_TYPE_NULL, pql_null());
    if (!is_event) return pql_parse_constant(p, at, PQL_TYPE_BOOL, pql_bool(is_true));
    if (p->scope != PQL_SCOPE_WHERE) return outside_where(p, at, "the event's name");
    return named(p, PQL_NODE_EVENT_NAME, PQL_TYPE_TEXT, at, PQL_SLICE_LITERAL("event"));
}

static struct pql_node *literal(struct pql_parser *p)
{
    struct pql_token tok = p->tok;
    pql_parse_step(p);
    if (tok.kind == PQL_TOKEN_STRING)
        return pql_parse_constant(p, tok.at, PQL_TYPE_TEXT, pql_text(pql_parse_unquoted(p, &tok)));
    if (tok.kind == PQL_TOKEN_NUMBER) {
        pql_decimal number = 0;
        PQL_ASSERT(pql_decimal_of_text(tok.text, &number)); /* its form was seen by the lexer */
        return pql_parse_constant(p, tok.at, PQL_TYPE_NUMBER, pql_number(number));
    }
    int64_t ms = 0;
    if (!pql_duration_parse(tok.text, &ms)) PQL_COMPLAIN(p, tok.at, tok.len, "a duration is at most 36525d");
    return pql_parse_constant(p, tok.at, PQL_TYPE_DURATION, pql_duration(ms));
}

static struct pql_node *primary_inside(struct pql_parser *p)
{
    if (pql_parse_accept_sign(p, "(")) {
        struct pql_node *node = pql_parse_expression(p);
        pql_parse_need_sign(p, ")");
        return node;
    }
    if (pql_parse_is_sign(p, "$")) return pql_parse_dollar(p);
    switch (p->tok.kind) {
    case PQL_TOKEN_NAME: return word(p);
    case PQL_TOKEN_NUMBER:
    case PQL_TOKEN_DURATION:
    case PQL_TOKEN_STRING: return literal(p);
    case PQL_TOKEN_END:
    case PQL_TOKEN_BAD:
    case PQL_TOKEN_SIGN: break;
    }
    pql_parse_expected(p, "a value");
    return pql_parse_nothing(p, p->tok.at);
}

static struct pql_node *primary(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *node = pql_parse_enter(p) ? primary_inside(p) : pql_parse_nothing(p, at);
    pql_parse_leave(p);
    return node;
}

static struct pql_node *unary(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (!pql_parse_is_sign(p, "-")) return primary(p);
    pql_parse_step(p);
    struct pql_kids kids = {0};
    struct pql_node *node = pql_parse_new_node(p, PQL_NODE_NEG, at);
    pql_parse_add_kid(p, &kids, pql_parse_enter(p) ? unary(p) : pql_parse_nothing(p, at));
    pql_parse_leave(p);
    return pql_parse_finish(p, node, &kids);
}

static struct pql_node *product(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *left = unary(p);
    while (pql_parse_is_sign(p, "*") || pql_parse_is_sign(p, "/")) {
        enum pql_node_kind kind = pql_parse_is_sign(p, "*") ? PQL_NODE_MUL : PQL_NODE_DIV;
        pql_parse_step(p);
        left = binary(p, kind, at, left, unary(p));
    }
    return left;
}

struct pql_node *pql_parse_sum(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *left = product(p);
    while (pql_parse_is_sign(p, "+") || pql_parse_is_sign(p, "-")) {
        enum pql_node_kind kind = pql_parse_is_sign(p, "+") ? PQL_NODE_ADD : PQL_NODE_SUB;
        pql_parse_step(p);
        left = binary(p, kind, at, left, product(p));
    }
    return left;
}

static struct pql_node *negatable(struct pql_parser *p, enum pql_node_kind kind, size_t at, bool negated,
                                  const struct pql_kids *kids)
{
    struct pql_node *node = pql_parse_new_node(p, kind, at);
    node->negated = negated;
    return pql_parse_finish(p, node, kids);
}

static struct pql_node *in_list(struct pql_parser *p, size_t at, bool negated, struct pql_kids *kids)
{
    pql_parse_need_sign(p, "(");
    do {
        pql_parse_add_kid(p, kids, pql_parse_sum(p));
    } while (pql_parse_accept_sign(p, ","));
    pql_parse_need_sign(p, ")");
    return negatable(p, PQL_NODE_IN, at, negated, kids);
}

static struct pql_node *between(struct pql_parser *p, size_t at, bool negated, struct pql_kids *kids)
{
    pql_parse_add_kid(p, kids, pql_parse_sum(p));
    if (!pql_parse_accept_operator(p, "and")) pql_parse_expected(p, "'and' and the upper bound");
    pql_parse_add_kid(p, kids, pql_parse_sum(p));
    return negatable(p, PQL_NODE_BETWEEN, at, negated, kids);
}

/* The relations that are words. NULL: none stands here. */
static struct pql_node *word_relation(struct pql_parser *p, size_t at, struct pql_node *left)
{
    static const struct {
        const char *word, *second;
        enum pql_node_kind kind;
    } texts[] = {{"starts", "with", PQL_NODE_STARTS},
                 {"ends", "with", PQL_NODE_ENDS},
                 {"contains", NULL, PQL_NODE_CONTAINS},
                 {"matches", NULL, PQL_NODE_MATCHES}};
    struct pql_kids kids = {0};
    pql_parse_add_kid(p, &kids, left);
    if (pql_parse_accept_operator(p, "is")) {
        bool negated = pql_parse_accept_operator(p, "not");
        if (!pql_parse_accept_operator(p, "null")) pql_parse_expected(p, "'null' (x is null, x is not null)");
        return negatable(p, PQL_NODE_IS_NULL, at, negated, &kids);
    }
    bool negated = pql_parse_accept_operator(p, "not");
    if (pql_parse_accept_operator(p, "in")) return in_list(p, at, negated, &kids);
    if (pql_parse_accept_operator(p, "between")) return between(p, at, negated, &kids);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!pql_parse_accept_operator(p, texts[i].word)) continue;
        if (texts[i].second && !pql_parse_accept_operator(p, texts[i].second))
            pql_parse_expected(p, "'with'");
        pql_parse_add_kid(p, &kids, pql_parse_sum(p));
        return negatable(p, texts[i].kind, at, negated, &kids);
    }
    if (negated)
        pql_parse_expected(p, "'in', 'between', 'starts with', 'ends with', 'contains' or 'matches'");
    return negated ? pql_parse_nothing(p, at) : NULL;
}

static struct pql_node *comparison(struct pql_parser *p)
{
    static const struct {
        const char *sign;
        enum pql_node_kind kind;
    } relations[] = {{"=", PQL_NODE_EQ},  {"!=", PQL_NODE_NE}, {"<", PQL_NODE_LT},
                     {"<=", PQL_NODE_LE}, {">", PQL_NODE_GT},  {">=", PQL_NODE_GE}};
    size_t at = p->tok.at;
    struct pql_node *left = pql_parse_sum(p);
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
        if (pql_parse_accept_sign(p, relations[i].sign))
            return binary(p, relations[i].kind, at, left, pql_parse_sum(p));
    struct pql_node *by_word = word_relation(p, at, left);
    return by_word ? by_word : left;
}

static struct pql_node *negation(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (!pql_parse_is_word(p, "not")) return comparison(p);
    pql_parse_step(p);
    struct pql_kids kids = {0};
    struct pql_node *node = pql_parse_new_node(p, PQL_NODE_NOT, at);
    pql_parse_add_kid(p, &kids, pql_parse_enter(p) ? negation(p) : pql_parse_nothing(p, at));
    pql_parse_leave(p);
    return pql_parse_finish(p, node, &kids);
}

/* operand { word operand } */
static struct pql_node *chain(struct pql_parser *p, enum pql_node_kind kind, const char *joint,
                              struct pql_node *(*operand)(struct pql_parser *))
{
    size_t at = p->tok.at;
    struct pql_node *first = operand(p);
    if (!pql_parse_is_operator(p, joint)) return first;
    struct pql_kids kids = {0};
    pql_parse_add_flat(p, kind, &kids, first);
    while (pql_parse_accept_operator(p, joint)) pql_parse_add_flat(p, kind, &kids, operand(p));
    return pql_parse_finish(p, pql_parse_new_node(p, kind, at), &kids);
}

static struct pql_node *conjunction(struct pql_parser *p)
{
    return chain(p, PQL_NODE_AND, "and", negation);
}
struct pql_node *pql_parse_expression(struct pql_parser *p)
{
    return chain(p, PQL_NODE_OR, "or", conjunction);
}

/* ---- entry ---- */

static const struct pql_node *parse(const struct pql_lang_env *env, const struct pql_source *source,
                                    enum pql_place place, uint32_t self, struct pql_arena *arena,
                                    struct pql_diags *diags, bool is_condition)
{
    static const enum pql_scope scopes[] = {[PQL_PLACE_USER] = PQL_SCOPE_USER,
                                            [PQL_PLACE_ACCOUNT] = PQL_SCOPE_ACCOUNT,
                                            [PQL_PLACE_IGNORE] = PQL_SCOPE_WHERE,
                                            [PQL_PLACE_USER_ITEM] = PQL_SCOPE_USER,
                                            [PQL_PLACE_ACCOUNT_ITEM] = PQL_SCOPE_ACCOUNT};
    bool is_item = place == PQL_PLACE_USER_ITEM || place == PQL_PLACE_ACCOUNT_ITEM;
    size_t errors_before = diags->errors_count;
    struct pql_parsing all = {.env = env, .arena = arena, .diags = diags, .self = self, .is_item = is_item};
    struct pql_parser p = {.all = &all, .source = source, .scope = scopes[place]};
    pql_parse_open_text(&p);
    size_t at = p.tok.at;
    if (p.tok.kind == PQL_TOKEN_END) pql_parse_fail(&p, "the text is empty");
    const struct pql_node *node = pql_parse_expression(&p);
    pql_parse_close_text(&p);
    if (is_condition && !p.is_broken) pql_check_condition(&p, node, at);
    if (diags->errors_count != errors_before) return NULL;
    pql_sense_check(node, diags);
    return node;
}

const struct pql_node *pql_lang_parse(const struct pql_lang_env *env, const struct pql_source *source,
                                      enum pql_place place, uint32_t self, struct pql_arena *arena,
                                      struct pql_diags *diags)
{
    return parse(env, source, place, self, arena, diags, true);
}

const struct pql_node *pql_lang_parse_value(const struct pql_lang_env *env, const struct pql_source *source,
                                            enum pql_place place, uint32_t self, struct pql_arena *arena,
                                            struct pql_diags *diags)
{
    return parse(env, source, place, self, arena, diags, false);
}
