/* Functions and their arguments, by the table of functions. */
#include "core/lang/parse.h"

const struct pql_function_row *pql_parse_find_function(struct pql_slice name)
{
    for (size_t i = 0; i < PQL_FN_TOTAL; i++)
        if (pql_slice_is(name, pql_functions[i].name)) return &pql_functions[i];
    return NULL;
}

/* Reads over an argument list that cannot be understood. */
static struct pql_node *unknown_call(struct pql_parser *p, size_t at)
{
    const char *words[PQL_FN_TOTAL];
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) words[i] = pql_functions[i].name;
    const char *nearest = pql_parse_suggestion(p, p->tok.text, words, PQL_FN_TOTAL);
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "unknown function '%.*s'%s", PQL_SLICE_ARG(p->tok.text),
                 *nearest ? nearest : "; `pqlstream explain --language` lists all");
    size_t open = 0;
    do {
        pql_parse_step(p);
        open += pql_parse_is_sign(p, "(");
        open -= pql_parse_is_sign(p, ")");
    } while (open && p->tok.kind != PQL_TOKEN_END);
    pql_parse_need_sign(p, ")");
    return pql_parse_nothing(p, at);
}

/* A whole number of at least 1; 1 after a message. */
static int64_t integer(struct pql_parser *p, int64_t max)
{
    int64_t n = 0;
    for (size_t i = 0; p->tok.kind == PQL_TOKEN_NUMBER && i < p->tok.text.len && n <= max; i++) {
        char c = p->tok.text.ptr[i];
        n = c == '.' ? max + 1 : n * 10 + (c - '0');
    }
    if (n < 1 || n > max) {
        pql_parse_fail(p, "a whole number from 1 to %lld is expected here", (long long)max);
        return 1;
    }
    pql_parse_step(p);
    return n;
}

static const struct pql_node *condition(struct pql_parser *p)
{
    size_t at = p->tok.at;
    const struct pql_node *node = pql_parse_expression(p);
    pql_check_condition(p, node, at);
    return node;
}

static const struct pql_node *member_condition(struct pql_parser *p)
{
    enum pql_scope scope = p->scope;
    p->scope = PQL_SCOPE_MEMBER;
    const struct pql_node *node = condition(p);
    p->scope = scope;
    return node;
}

static void sequence_arguments(struct pql_parser *p, const struct pql_function_row *row,
                               struct pql_node *call)
{
    enum { STEPS_MAX = PQL_SEQUENCE_STEPS_MAX };
    struct pql_selector *steps = pql_arena_zalloc(p->all->arena, STEPS_MAX * sizeof *steps);
    size_t count = 0;
    do {
        if (count == STEPS_MAX) {
            pql_parse_fail(p, "a sequence has at most %d steps", STEPS_MAX);
            break;
        }
        size_t at = p->tok.at;
        pql_parse_selector(p, &steps[count]);
        if (steps[count++].path.len)
            PQL_COMPLAIN(p, at, p->end - at, "a step is an event without a property");
    } while (pql_parse_accept_operator(p, "then"));
    call->steps = steps;
    call->steps_count = count;
    if (count < 2) pql_parse_expected(p, "'then' and a second step");
    if (pql_parse_accept_operator(p, "by")) {
        struct pql_slice key = p->tok.text;
        if (p->tok.kind != PQL_TOKEN_NAME && p->tok.kind != PQL_TOKEN_STRING)
            pql_parse_expected(p, "a property");
        if (p->tok.kind == PQL_TOKEN_STRING) key = pql_parse_unquoted(p, &p->tok);
        pql_parse_step(p);
        call->by = pql_parse_path_rest(p, pql_arena_copy(p->all->arena, key));
    }
    if (pql_parse_accept_operator(p, "within")) call->within_ms = pql_parse_span(p);
    pql_parse_window(p, row, call);
}

static void spread_arguments(struct pql_parser *p, struct pql_node *call, struct pql_kids *kids)
{
    if (!pql_parse_is_word(p, "user")) pql_parse_expected(p, "an attribute such as user.department");
    pql_parse_step(p);
    if (!pql_parse_is_sign(p, ".")) pql_parse_expected(p, "an attribute such as user.department");
    call->text = pql_parse_path_rest(p, (struct pql_slice){"", 0});
    pql_parse_need_sign(p, ",");
    pql_parse_add_kid(p, kids, member_condition(p));
}

static bool is_off(const struct pql_lang_env *env, struct pql_slice name)
{
    for (size_t i = 0; i < env->off_count; i++)
        if (pql_slice_eq(env->off[i], name)) return true;
    return false;
}

/* What is published follows from what is on trial. */
static void warn_of_shadow(struct pql_parser *p, const struct pql_node *call, size_t at)
{
    const struct pql_lang_env *env = p->all->env;
    if (call->definition == UINT32_MAX || !env->definitions[call->definition].is_shadow) return;
    if (p->all->self == UINT32_MAX || env->definitions[p->all->self].is_shadow) return;
    pql_diag_source(p->all->diags, PQL_SEVERITY_WARNING, p->source, at, p->end - at,
                    "'%.*s' is in shadow mode: what is published here follows from a definition on trial",
                    PQL_SLICE_ARG(call->text));
}

static void definition_argument(struct pql_parser *p, struct pql_node *call)
{
    const struct pql_lang_env *env = p->all->env;
    size_t at = p->tok.at;
    call->definition = UINT32_MAX;
    call->text = pql_parse_name(p, "the name of a definition");
    if (p->is_broken) return;
    for (size_t i = 0; i < env->definitions_count; i++)
        if (pql_slice_eq(env->definitions[i].name, call->text)) call->definition = (uint32_t)i;
    if (call->definition == UINT32_MAX && is_off(env, call->text)) {
        PQL_COMPLAIN(p, at, p->end - at,
                     "'%.*s' is off and not evaluated: give it mode = \"live\" or \"shadow\"",
                     PQL_SLICE_ARG(call->text));
    } else if (call->definition == UINT32_MAX) {
        const char **words = pql_arena_alloc(p->all->arena, (env->definitions_count + 1) * sizeof *words);
        for (size_t i = 0; i < env->definitions_count; i++)
            words[i] = pql_arena_copy(p->all->arena, env->definitions[i].name).ptr;
        PQL_COMPLAIN(p, at, p->end - at, "no definition is called '%.*s'%s", PQL_SLICE_ARG(call->text),
                     pql_parse_suggestion(p, call->text, words, env->definitions_count));
    } else if (call->definition == p->all->self) {
        PQL_COMPLAIN(p, at, p->end - at, "a definition cannot refer to itself");
    } else if (p->scope == PQL_SCOPE_ACCOUNT &&
               env->definitions[call->definition].subject == PQL_SUBJECT_USER) {
        PQL_MISPLACED(
            p, at, p->end - at,
            "'%.*s' is about users: a user's condition needs users(…), any_user(…) or share(…) around it in "
            "an account definition",
            PQL_SLICE_ARG(call->text));
    } else if (call->function == PQL_FN_SCORE && !env->definitions[call->definition].has_score) {
        PQL_COMPLAIN(p, at, p->end - at, "'%.*s' has no score", PQL_SLICE_ARG(call->text));
    } else if (call->function == PQL_FN_TIER && !env->definitions[call->definition].has_tiers) {
        PQL_COMPLAIN(p, at, p->end - at, "'%.*s' has no tiers", PQL_SLICE_ARG(call->text));
    }
    warn_of_shadow(p, call, at);
}

static void values(struct pql_parser *p, struct pql_node *call, struct pql_kids *kids)
{
    do {
        pql_parse_add_kid(p, kids, pql_parse_expression(p));
    } while (pql_parse_accept_sign(p, ","));
    if (call->function == PQL_FN_IF && kids->count != 3 && !p->is_broken)
        PQL_COMPLAIN(p, call->at, p->end - call->at, "if takes three expressions: if(c, a, b)");
}

static void at_least_arguments(struct pql_parser *p, struct pql_node *call, struct pql_kids *kids)
{
    size_t at = p->tok.at, span_of_k = p->tok.len;
    call->n = integer(p, 1000);
    pql_parse_need_sign(p, ",");
    do {
        pql_parse_add_kid(p, kids, condition(p));
    } while (pql_parse_accept_sign(p, ","));
    if (!p->is_broken && (size_t)call->n > kids->count)
        PQL_COMPLAIN(p, at, span_of_k, "%lld of %zu conditions can never hold", (long long)call->n,
                     kids->count);
}

static void event_selector(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call)
{
    size_t at = p->tok.at;
    pql_parse_selector(p, &call->selector);
    if (p->is_broken) return;
    if (row->needs_path && !call->selector.path.len)
        PQL_COMPLAIN(p, at, p->end - at, "%s needs a property: %s", row->name, row->usage);
    if (!row->needs_path && call->selector.path.len)
        PQL_COMPLAIN(p, at, p->end - at,
                     "%s takes events without a property; distinct(…) counts different values", row->name);
}

static void arguments(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call,
                      struct pql_kids *kids)
{
    switch (row->arguments) {
    case PQL_ARGS_NONE: break;
    case PQL_ARGS_EVENTS:
        event_selector(p, row, call);
        pql_parse_window(p, row, call);
        break;
    case PQL_ARGS_NTH:
        event_selector(p, row, call);
        pql_parse_need_sign(p, ",");
        call->n = integer(p, 10000);
        pql_parse_window(p, row, call);
        break;
    case PQL_ARGS_USAGE:
        event_selector(p, row, call);
        pql_parse_need_sign(p, ",");
        pql_parse_add_kid(p, kids, pql_parse_sum(p));
        pql_parse_window(p, row, call);
        break;
    case PQL_ARGS_SEQUENCE: sequence_arguments(p, row, call); break;
    case PQL_ARGS_MEMBERS: pql_parse_add_kid(p, kids, member_condition(p)); break;
    case PQL_ARGS_SHARE:
        pql_parse_add_kid(p, kids, member_condition(p));
        if (pql_parse_accept_operator(p, "of")) pql_parse_add_kid(p, kids, member_condition(p));
        break;
    case PQL_ARGS_SPREAD: spread_arguments(p, call, kids); break;
    case PQL_ARGS_DEFINITION: definition_argument(p, call); break;
    case PQL_ARGS_VALUES: values(p, call, kids); break;
    case PQL_ARGS_AT_LEAST: at_least_arguments(p, call, kids); break;
    case PQL_ARGS_NAME:
        if (p->tok.kind != PQL_TOKEN_STRING) pql_parse_expected(p, "a name in quotes");
        call->text = pql_parse_unquoted(p, &p->tok);
        pql_parse_step(p);
        break;
    }
}

/* At the function's name; `at` is where the call begins, which is earlier for account.f(…). */
struct pql_node *pql_parse_call(struct pql_parser *p, size_t at, bool of_account)
{
    const struct pql_function_row *row = pql_parse_find_function(p->tok.text);
    if (!row) return unknown_call(p, at);
    size_t name_at = p->tok.at;
    struct pql_kids kids = {0};
    struct pql_node *node = pql_parse_new_node(p, PQL_NODE_CALL, at);
    node->function = (enum pql_function)(row - pql_functions);
    node->of_account = of_account;
    pql_check_call(p, node, name_at);
    enum pql_scope scope = p->scope;
    if (of_account && scope == PQL_SCOPE_USER) p->scope = PQL_SCOPE_ACCOUNT;
    pql_parse_step(p);
    pql_parse_need_sign(p, "(");
    arguments(p, row, node, &kids);
    if (!pql_parse_is_sign(p, ")"))
        pql_parse_fail(p, "')' or the next argument is expected here, but %s: %s", pql_parse_found(p),
                       row->usage);
    pql_parse_step(p);
    p->scope = scope;
    if (node->function == PQL_FN_PROPERTY) node->kind = PQL_NODE_PROPERTY;
    return pql_parse_finish(p, node, &kids);
}
