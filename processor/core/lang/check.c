/* The table of types, and the table of what may stand where. */
#include "core/lang/parse.h"

static const char *const type_words[PQL_TYPE_COUNT] = {
    [PQL_TYPE_BOOL] = "a condition", [PQL_TYPE_NUMBER] = "a number",
    [PQL_TYPE_TEXT] = "a text",      [PQL_TYPE_DURATION] = "a duration",
    [PQL_TYPE_TIME] = "a time",      [PQL_TYPE_OPEN] = "a property or attribute",
    [PQL_TYPE_NULL] = "null",
};

/* A message about a kid. What came from a $signal is shown where the signal is used. */
#define TELL(p, severity, node, kid, ...)                                                                    \
    pql_diag_source((p)->all->diags, (severity), (p)->source,                                                \
                    (kid)->source == (node)->source ? (kid)->at : (node)->at,                                \
                    (kid)->source == (node)->source ? (kid)->span : (node)->span, __VA_ARGS__)
#define BLAME(p, node, kid, ...) TELL((p), PQL_SEVERITY_ERROR, (node), (kid), __VA_ARGS__)
#define WARN(p, node, kid, ...) TELL((p), PQL_SEVERITY_WARNING, (node), (kid), __VA_ARGS__)

static enum pql_type type_of(const struct pql_node *node, size_t kid)
{
    return node->kids[kid]->type;
}

static bool is_condition(enum pql_type type)
{
    return type == PQL_TYPE_BOOL || type == PQL_TYPE_OPEN;
}

static bool is_number(enum pql_type type)
{
    return type == PQL_TYPE_NUMBER || type == PQL_TYPE_BOOL || type == PQL_TYPE_OPEN;
}

void pql_check_condition(struct pql_parser *p, const struct pql_node *node, size_t at)
{
    if (is_condition(node->type) || p->is_broken) return;
    PQL_COMPLAIN(p, at, p->end > at ? p->end - at : 1, "a condition is needed here, but this is %s%s",
                 type_words[node->type], node->type == PQL_TYPE_NUMBER ? "; compare it, as in … >= 1" : "");
}

static void check_logic(struct pql_parser *p, struct pql_node *node)
{
    static const char *const words[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_NOT] = "not", [PQL_NODE_AND] = "and", [PQL_NODE_OR] = "or"};
    node->type = PQL_TYPE_BOOL;
    for (size_t i = 0; i < node->kids_count; i++)
        if (!is_condition(type_of(node, i)))
            BLAME(p, node, node->kids[i], "'%s' takes conditions, but this is %s%s", words[node->kind],
                  type_words[type_of(node, i)],
                  type_of(node, i) == PQL_TYPE_NUMBER ? "; compare it, as in … >= 1" : "");
}

/* Stands for something that was refused already. */
static bool is_reported(const struct pql_node *node)
{
    return node->kind == PQL_NODE_CONST && node->type == PQL_TYPE_OPEN;
}

/* Whether kids a and b may be compared; with_order: by < and its like. */
static void check_pair(struct pql_parser *p, struct pql_node *node, size_t a, size_t b, bool with_order)
{
    enum pql_type left = type_of(node, a), right = type_of(node, b);
    bool is_open = left == PQL_TYPE_OPEN || right == PQL_TYPE_OPEN;
    if (is_reported(node->kids[a]) || is_reported(node->kids[b])) return;
    enum pql_type known = left == PQL_TYPE_OPEN ? right : left;
    if (left == PQL_TYPE_NULL || right == PQL_TYPE_NULL)
        WARN(p, node, node->kids[left == PQL_TYPE_NULL ? a : b],
             "a comparison with null never holds; write 'is null' or 'is not null'");
    else if (!is_open && left != right)
        BLAME(p, node, node->kids[b], "%s cannot be compared with %s", type_words[left], type_words[right]);
    else if (is_open && (known == PQL_TYPE_DURATION || known == PQL_TYPE_TIME))
        WARN(p, node, node->kids[left == PQL_TYPE_OPEN ? a : b],
             "a property or attribute is never %s, so this never holds", type_words[known]);
    else if (with_order && known == PQL_TYPE_BOOL)
        BLAME(p, node, node->kids[left == PQL_TYPE_BOOL ? a : b],
              "conditions have no order; compare them with = or !=");
}

static void check_comparison(struct pql_parser *p, struct pql_node *node)
{
    bool with_order = node->kind != PQL_NODE_EQ && node->kind != PQL_NODE_NE && node->kind != PQL_NODE_IN;
    node->type = PQL_TYPE_BOOL;
    for (size_t i = 1; i < node->kids_count; i++) check_pair(p, node, 0, i, with_order);
    if (node->kind >= PQL_NODE_EQ && node->kind <= PQL_NODE_GE) pql_check_range(p, node);
}

static void check_texts(struct pql_parser *p, struct pql_node *node)
{
    node->type = PQL_TYPE_BOOL;
    for (size_t i = 0; i < node->kids_count; i++)
        if (type_of(node, i) != PQL_TYPE_TEXT && type_of(node, i) != PQL_TYPE_OPEN)
            BLAME(p, node, node->kids[i], "a text is needed here, but this is %s",
                  type_words[type_of(node, i)]);
}

/* ---- arithmetic ---- */

/* Type of the result, or COUNT where the two do not go together. */
static enum pql_type arithmetic_type(enum pql_node_kind kind, enum pql_type a, enum pql_type b)
{
    const enum pql_type duration = PQL_TYPE_DURATION, time = PQL_TYPE_TIME;
    if (is_number(a) && is_number(b)) return PQL_TYPE_NUMBER;
    if (kind == PQL_NODE_ADD || kind == PQL_NODE_SUB) {
        if (b == duration && (a == duration || a == time)) return a;
        if (kind == PQL_NODE_SUB && a == time && b == time) return duration;
    } else if (a == duration) {
        if (is_number(b)) return duration;
        if (kind == PQL_NODE_DIV && b == duration) return PQL_TYPE_NUMBER;
    }
    return PQL_TYPE_COUNT;
}

/* `2 * 7d` and `7d + last_time(x)` are read with the duration on the side where the tables have it. */
static void put_in_order(struct pql_parser *p, struct pql_node *node)
{
    bool turns = (node->kind == PQL_NODE_MUL && type_of(node, 1) == PQL_TYPE_DURATION &&
                  is_number(type_of(node, 0))) ||
                 (node->kind == PQL_NODE_ADD && type_of(node, 1) == PQL_TYPE_TIME &&
                  type_of(node, 0) == PQL_TYPE_DURATION);
    if (!turns) return;
    const struct pql_node **kids = pql_arena_alloc(p->all->arena, 2 * sizeof *kids);
    kids[0] = node->kids[1];
    kids[1] = node->kids[0];
    node->kids = kids;
}

/* Durations count as millionths of a number here: both are decimals then. */
static pql_decimal amount(const struct pql_node *node)
{
    pql_decimal number = 0;
    if (node->type == PQL_TYPE_DURATION) return pql_decimal_of_int(node->value.ms);
    (void)pql_value_as_number(&node->value, &number);
    return number;
}

static void become_leaf(struct pql_node *node)
{
    node->kind = PQL_NODE_CONST;
    node->kids = NULL;
    node->kids_count = 0;
    node->height = 1;
}

static void become_nothing(struct pql_node *node)
{
    become_leaf(node);
    node->type = PQL_TYPE_OPEN;
    node->value = pql_null();
}

static void become_constant(struct pql_parser *p, struct pql_node *node, pql_decimal result)
{
    const pql_decimal longest = pql_decimal_of_int(INT64_C(36525) * 86400000);
    if (node->type == PQL_TYPE_DURATION && (result > longest || result < 0)) {
        PQL_COMPLAIN(p, node->at, node->span, "a duration is from 0 to 36525d");
        result = 0;
    }
    become_leaf(node);
    node->value = node->type == PQL_TYPE_DURATION
                      ? pql_duration((int64_t)((result + PQL_DECIMAL_ONE / 2) / PQL_DECIMAL_ONE))
                      : pql_number(result);
}

static bool is_constant(const struct pql_node *node)
{
    return node->kind == PQL_NODE_CONST && node->type != PQL_TYPE_OPEN && node->type != PQL_TYPE_NULL;
}

static void fold(struct pql_parser *p, struct pql_node *node)
{
    const struct pql_node *last = node->kids[node->kids_count - 1];
    if (node->kind == PQL_NODE_DIV && is_constant(last) && amount(last) == 0)
        pql_diag_source(p->all->diags, PQL_SEVERITY_WARNING, p->source, node->at, node->span,
                        "a division by zero is null");
    for (size_t i = 0; i < node->kids_count; i++)
        if (!is_constant(node->kids[i])) return;
    pql_decimal a = amount(node->kids[0]), b = node->kids_count > 1 ? amount(node->kids[1]) : 0, result = -a;
    if (node->kind == PQL_NODE_ADD) result = pql_decimal_add(a, b);
    if (node->kind == PQL_NODE_SUB) result = pql_decimal_add(a, -b);
    if (node->kind == PQL_NODE_MUL) result = pql_decimal_mul(a, b);
    if (node->kind == PQL_NODE_DIV && !pql_decimal_div(a, b, &result)) return;
    become_constant(p, node, result);
}

static void check_arithmetic(struct pql_parser *p, struct pql_node *node)
{
    static const char *const signs[PQL_NODE_KIND_COUNT] = {[PQL_NODE_ADD] = "+",
                                                           [PQL_NODE_SUB] = "-",
                                                           [PQL_NODE_MUL] = "*",
                                                           [PQL_NODE_DIV] = "/",
                                                           [PQL_NODE_NEG] = "-"};
    enum pql_type type;
    if (node->kind == PQL_NODE_NEG) {
        type = is_number(type_of(node, 0)) ? PQL_TYPE_NUMBER : PQL_TYPE_COUNT;
        if (type == PQL_TYPE_COUNT)
            BLAME(p, node, node->kids[0], "'-' takes a number, but this is %s", type_words[type_of(node, 0)]);
    } else {
        put_in_order(p, node);
        type = arithmetic_type(node->kind, type_of(node, 0), type_of(node, 1));
        if (type == PQL_TYPE_COUNT)
            PQL_COMPLAIN(p, node->at, node->span, "%s %s %s has no meaning", type_words[type_of(node, 0)],
                         signs[node->kind], type_words[type_of(node, 1)]);
    }
    node->type = type;
    if (type == PQL_TYPE_COUNT)
        become_nothing(node);
    else
        fold(p, node);
}

/* The one type of branches [from, end): open and null fit any. COUNT after a message. */
static enum pql_type branches_type(struct pql_parser *p, const struct pql_node *node, size_t from)
{
    enum pql_type type = PQL_TYPE_OPEN;
    for (size_t i = from; i < node->kids_count; i++) {
        enum pql_type kid = type_of(node, i);
        if (kid == PQL_TYPE_OPEN || kid == PQL_TYPE_NULL) continue;
        if (type == PQL_TYPE_OPEN) type = kid;
        if (type == kid) continue;
        BLAME(p, node, node->kids[i], "the values here must be of one type, but this is %s after %s",
              type_words[kid], type_words[type]);
        return PQL_TYPE_COUNT;
    }
    return type;
}

static void check_call_types(struct pql_parser *p, struct pql_node *node)
{
    node->type = pql_functions[node->function].type;
    if (node->function == PQL_FN_COALESCE) node->type = branches_type(p, node, 0);
    if (node->function == PQL_FN_IF) {
        node->type = branches_type(p, node, 1);
        if (node->kids_count && !is_condition(type_of(node, 0)))
            BLAME(p, node, node->kids[0], "a condition is needed here, but this is %s",
                  type_words[type_of(node, 0)]);
    }
    if (node->type == PQL_TYPE_COUNT) become_nothing(node);
    if (node->function == PQL_FN_USAGE && node->kids_count && !is_number(type_of(node, 0)))
        BLAME(p, node, node->kids[0], "a number is needed here, but this is %s",
              type_words[type_of(node, 0)]);
}

/* Grows by itself as the clock runs: only an instant at which it passes a constant can be foreseen. */
static bool is_clock(const struct pql_node *node)
{
    return node->kind == PQL_NODE_CALL && (node->function == PQL_FN_SINCE || node->function == PQL_FN_AGE ||
                                           node->function == PQL_FN_IN_STATE_FOR);
}

static bool is_comparison(enum pql_node_kind kind)
{
    return (kind >= PQL_NODE_EQ && kind <= PQL_NODE_GE) || kind == PQL_NODE_IN || kind == PQL_NODE_BETWEEN;
}

/* A parameter with `by` is one of several constants. */
static bool is_fixed(const struct pql_node *node)
{
    bool is_choice = node->kind == PQL_NODE_CALL &&
                     (node->function == PQL_FN_IF || node->function == PQL_FN_COALESCE) && node->text.len;
    return node->kind == PQL_NODE_CONST || is_choice;
}

static void check_clocks(struct pql_parser *p, const struct pql_node *node)
{
    for (size_t i = 0; i < node->kids_count; i++) {
        if (!is_clock(node->kids[i])) continue;
        bool is_allowed = is_comparison(node->kind);
        for (size_t j = 0; j < node->kids_count; j++)
            if (j != i && !is_fixed(node->kids[j])) is_allowed = false;
        if (is_allowed) continue;
        const char *name = pql_functions[node->kids[i]->function].name;
        BLAME(p, node, node->kids[i], "%s can only be compared with a constant, as in %s(…) > 14d", name,
              name);
    }
}

/* ---- account.f(…) in a user's definition ---- */

enum { OF_ACCOUNT = 1, OF_USER = 2 };

/* What a value is made of. A condition about the account alone is one bit, which a user may be combined with.
 */
static unsigned made_of(const struct pql_lang_env *env, const struct pql_node *node)
{
    unsigned of = node->kind == PQL_NODE_USER_ATTR || node->kind == PQL_NODE_SCORE ? OF_USER : 0;
    if (node->kind == PQL_NODE_CALL && node->of_account) return node->type == PQL_TYPE_BOOL ? 0 : OF_ACCOUNT;
    bool is_call = node->kind == PQL_NODE_CALL;
    bool of_definition = is_call && pql_functions[node->function].arguments == PQL_ARGS_DEFINITION;
    bool is_known = of_definition && node->definition < env->definitions_count; /* else it was reported */
    bool of_user = is_known && env->definitions[node->definition].subject == PQL_SUBJECT_USER;
    bool of_events = is_call && (pql_functions[node->function].is_event_function || is_clock(node));
    if (of_user || (of_events && !of_definition)) of |= OF_USER;
    for (size_t i = 0; i < node->kids_count; i++) of |= made_of(env, node->kids[i]);
    return node->type == PQL_TYPE_BOOL ? of & ~(unsigned)OF_ACCOUNT : of;
}

static void check_mixing(struct pql_parser *p, const struct pql_node *node)
{
    if (p->scope != PQL_SCOPE_USER || node->kind == PQL_NODE_CONST) return;
    unsigned all = 0;
    for (size_t i = 0; i < node->kids_count; i++) {
        unsigned of = made_of(p->all->env, node->kids[i]);
        if (of == (OF_ACCOUNT | OF_USER)) return; /* reported below */
        all |= of;
    }
    if (all == (OF_ACCOUNT | OF_USER))
        PQL_COMPLAIN(
            p, node->at, node->span,
            "a value of the account must end in a condition of its own before it meets the user's, as in "
            "account.count(…) >= 100");
}

static void check_kind(struct pql_parser *p, struct pql_node *node)
{
    switch (node->kind) {
    case PQL_NODE_NOT:
    case PQL_NODE_AND:
    case PQL_NODE_OR: check_logic(p, node); break;
    case PQL_NODE_NEG:
    case PQL_NODE_ADD:
    case PQL_NODE_SUB:
    case PQL_NODE_MUL:
    case PQL_NODE_DIV: check_arithmetic(p, node); break;
    case PQL_NODE_EQ:
    case PQL_NODE_NE:
    case PQL_NODE_LT:
    case PQL_NODE_LE:
    case PQL_NODE_GT:
    case PQL_NODE_GE:
    case PQL_NODE_IN:
    case PQL_NODE_BETWEEN: check_comparison(p, node); break;
    case PQL_NODE_STARTS:
    case PQL_NODE_ENDS:
    case PQL_NODE_CONTAINS:
    case PQL_NODE_MATCHES: check_texts(p, node); break;
    case PQL_NODE_IS_NULL: node->type = PQL_TYPE_BOOL; break;
    case PQL_NODE_CALL: check_call_types(p, node); break;
    case PQL_NODE_PROPERTY: node->type = PQL_TYPE_OPEN; break; /* property('…') */
    case PQL_NODE_CONST:
    case PQL_NODE_USER_ATTR:
    case PQL_NODE_ACCOUNT_ATTR:
    case PQL_NODE_USER_ID:
    case PQL_NODE_EVENT_NAME:
    case PQL_NODE_SCORE:
    case PQL_NODE_KIND_COUNT: break;
    }
}

static void measure(struct pql_node *node)
{
    uint16_t below = 0;
    for (size_t i = 0; i < node->kids_count; i++)
        if (node->kids[i]->height > below) below = node->kids[i]->height;
    if (node->selector.where && node->selector.where->height > below) below = node->selector.where->height;
    for (size_t i = 0; i < node->steps_count; i++)
        if (node->steps[i].where && node->steps[i].where->height > below)
            below = node->steps[i].where->height;
    node->height = (uint16_t)(below + 1);
}

void pql_check(struct pql_parser *p, struct pql_node *node)
{
    measure(node);
    if (p->is_broken) { /* kids may be missing */
        node->type = PQL_TYPE_OPEN;
        return;
    }
    check_clocks(p, node);
    check_mixing(p, node);
    check_kind(p, node);
}

/* ---- places ---- */

static bool is_quantifier(const struct pql_function_row *row)
{
    return row->arguments == PQL_ARGS_MEMBERS || row->arguments == PQL_ARGS_SHARE ||
           row->arguments == PQL_ARGS_SPREAD || row == &pql_functions[PQL_FN_MEMBERS];
}

static bool is_about_event(const struct pql_function_row *row)
{
    return row == &pql_functions[PQL_FN_HOUR] || row == &pql_functions[PQL_FN_WEEKDAY] ||
           row->arguments == PQL_ARGS_NAME;
}

static bool is_logic(const struct pql_function_row *row)
{
    return row->arguments == PQL_ARGS_VALUES || row->arguments == PQL_ARGS_AT_LEAST;
}

#define SAY(...) pql_arena_printf(p->all->arena, __VA_ARGS__)

/* Why a call may not stand where the parser is, or NULL. */
static const char *misplaced(struct pql_parser *p, const struct pql_function_row *row, bool of_account)
{
    if (of_account) {
        if (is_logic(row) || is_about_event(row))
            return SAY("leave 'account.' out: %s is of no account", row->usage);
        if (p->scope == PQL_SCOPE_ACCOUNT)
            return SAY("leave 'account.' out: in an account definition %s is of the account already",
                       row->usage);
        if (p->scope == PQL_SCOPE_MEMBER)
            return SAY("account.%s stands in a user's definition only, not inside users(…)", row->usage);
    }
    if (is_logic(row)) return NULL;
    if (p->scope == PQL_SCOPE_WHERE)
        return is_about_event(row)
                   ? NULL
                   : SAY("'%s' cannot stand inside where, which looks at one event", row->name);
    if (is_about_event(row)) return SAY("'%s' is about one event and stands only inside where", row->name);
    if (of_account || !is_quantifier(row) || p->scope == PQL_SCOPE_ACCOUNT) return NULL;
    return p->scope == PQL_SCOPE_USER
               ? SAY("in a user's definition this is written account.%s", row->usage)
               : SAY("'%s' cannot stand inside another users(…) or share(…)", row->name);
}

void pql_check_call(struct pql_parser *p, const struct pql_node *call, size_t name_at)
{
    const struct pql_function_row *row = &pql_functions[call->function];
    size_t span = name_at + strlen(row->name) - call->at;
    const char *why = misplaced(p, row, call->of_account);
    if (why)
        PQL_MISPLACED(p, call->at, span, "%s", why);
    else if (!row->is_available)
        PQL_COMPLAIN(p, call->at, span, "'%s' is not available in this version", row->name);
}
