#include "core/program_build.h"

enum { COUNT_MAX = 10000000 };

static int64_t ceil_of(pql_decimal n)
{
    return (int64_t)(n >= 0 ? (n + PQL_DECIMAL_ONE - 1) / PQL_DECIMAL_ONE : n / PQL_DECIMAL_ONE);
}

static int64_t floor_of(pql_decimal n)
{
    return -ceil_of(-n);
}

static void add_bound(struct pql_bounds *bounds, int64_t bound)
{
    size_t i = 0;
    while (i < bounds->count && bounds->items[i] < bound) i++;
    if (i < bounds->count && bounds->items[i] == bound) return;
    bounds->items = pql_xgrow(bounds->items, &bounds->capacity, bounds->count + 1, sizeof *bounds->items);
    memmove(&bounds->items[i + 1], &bounds->items[i], (bounds->count - i) * sizeof *bounds->items);
    bounds->items[i] = bound;
    bounds->count++;
}

static void keep_at_least(struct pql_signal_def *def, int64_t k)
{
    if (def->signal.k && k > (int64_t)def->signal.k) def->signal.k = (uint32_t)k;
}

/* The instants that matter to `value relation constant`, in units of one or ms. */
static void note_relation(const struct pql_compared *what, enum pql_node_kind relation,
                          const struct pql_value *constant)
{
    bool is_ms = constant->kind == PQL_DURATION;
    int64_t up = is_ms ? constant->ms : ceil_of(constant->number);
    int64_t down = is_ms ? constant->ms : floor_of(constant->number);
    bool at_least = relation == PQL_NODE_GE || relation == PQL_NODE_LT;
    bool more = relation == PQL_NODE_GT || relation == PQL_NODE_LE;
    if (at_least || (!more && up == down)) add_bound(what->bounds, up);
    if (more || (!at_least && up == down)) add_bound(what->bounds, down + 1);
    if (!is_ms) keep_at_least(what->def, at_least ? up : up + 1);
}

bool pql_build_is_ago(enum pql_function function)
{
    return function == PQL_FN_SINCE || function == PQL_FN_AGE || function == PQL_FN_IN_STATE_FOR;
}

/* A parameter with `by` is an if or coalesce of constants: values are its kids from `first` on. */
static bool is_choice(const struct pql_node *node, size_t *first)
{
    *first = node->function == PQL_FN_IF;
    return node->kind == PQL_NODE_CALL && node->text.len &&
           (node->function == PQL_FN_IF || node->function == PQL_FN_COALESCE);
}

static bool is_constant_for(const struct pql_node *node, enum pql_function function)
{
    enum pql_kind kind = pql_build_is_ago(function) ? PQL_DURATION : PQL_NUMBER;
    size_t first;
    if (!is_choice(node, &first)) return node->kind == PQL_NODE_CONST && node->value.kind == kind;
    for (size_t i = first; i < node->kids_count; i++)
        if (node->kids[i]->type != PQL_TYPE_NULL && !is_constant_for(node->kids[i], function)) return false;
    return true;
}

static bool is_in_range(struct pql_builder *b, const struct pql_node *constant)
{
    size_t first;
    bool is_good = true;
    for (size_t i = 0; is_choice(constant, &first) && first + i < constant->kids_count; i++)
        is_good &= is_in_range(b, constant->kids[first + i]);
    if (is_choice(constant, &first)) return is_good;
    if (constant->value.kind != PQL_NUMBER) return true;
    if (ceil_of(constant->value.number) <= COUNT_MAX && constant->value.number < PQL_DECIMAL_MAX) return true;
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, constant->source, constant->at, constant->span,
                    "a count is kept up to %d at most", COUNT_MAX);
    return false;
}

const struct pql_node *pql_build_compared_call(const struct pql_node *node, size_t value_kid)
{
    const struct pql_node *call = node->kids[value_kid];
    if (call->kind != PQL_NODE_CALL ||
        !(pql_build_is_counted(call->function) || pql_build_is_ago(call->function)))
        return NULL;
    for (size_t i = 0; i < node->kids_count; i++)
        if (i != value_kid && !is_constant_for(node->kids[i], call->function)) return NULL;
    return call;
}

/* A parameter counts with each of its values. */
static void note_value(const struct pql_compared *what, enum pql_node_kind relation,
                       const struct pql_node *constant)
{
    size_t first;
    if (is_choice(constant, &first))
        for (size_t i = first; i < constant->kids_count; i++) note_value(what, relation, constant->kids[i]);
    else if (constant->value.kind != PQL_NULL)
        note_relation(what, relation, &constant->value);
}

enum pql_node_kind pql_build_mirrored(enum pql_node_kind relation)
{
    if (relation == PQL_NODE_LT) return PQL_NODE_GT;
    if (relation == PQL_NODE_LE) return PQL_NODE_GE;
    if (relation == PQL_NODE_GT) return PQL_NODE_LT;
    return relation == PQL_NODE_GE ? PQL_NODE_LE : relation;
}

void pql_build_note_constants(struct pql_builder *b, const struct pql_node *node, size_t value_kid,
                              const struct pql_compared *what)
{
    for (size_t i = 0; i < node->kids_count; i++)
        if (i != value_kid && !is_in_range(b, node->kids[i])) return;
    if (node->kind == PQL_NODE_BETWEEN) {
        note_value(what, PQL_NODE_GE, node->kids[1]);
        note_value(what, PQL_NODE_LE, node->kids[2]);
    } else if (node->kind == PQL_NODE_IN) {
        for (size_t i = 1; i < node->kids_count; i++) note_value(what, PQL_NODE_EQ, node->kids[i]);
    } else {
        enum pql_node_kind relation = value_kid ? pql_build_mirrored(node->kind) : node->kind;
        note_value(what, relation, node->kids[1 - value_kid]);
    }
}

void pql_build_reaches(struct pql_builder *b, struct pql_expr *expr, enum pql_node_kind relation,
                       const struct pql_value *constant)
{
    if (expr->kids[0]->op != PQL_EXPR_SIGNAL) return;
    const struct pql_signal *signal = &b->program->signals[expr->kids[0]->index]->signal;
    if ((signal->kind != PQL_SIGNAL_COUNT && signal->kind != PQL_SIGNAL_DISTINCT) ||
        signal->window.kind != PQL_WINDOW_ROLLING)
        return;
    bool at_least = relation == PQL_NODE_GE || relation == PQL_NODE_LT;
    bool more = relation == PQL_NODE_GT || relation == PQL_NODE_LE;
    int64_t c = at_least ? ceil_of(constant->number) : floor_of(constant->number) + 1;
    if ((!at_least && !more) || c < 1 || c > COUNT_MAX) return;
    expr->op = PQL_EXPR_REACHES;
    expr->index = expr->kids[0]->index;
    expr->threshold = (uint32_t)c;
    expr->negated = relation == PQL_NODE_LT || relation == PQL_NODE_LE;
}
