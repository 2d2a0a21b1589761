/* Warns of comparisons that come out the same whatever happens. */
#include "core/lang/parse.h"

static struct pql_check_range whole(int64_t low, int64_t high)
{
    return (struct pql_check_range){low, high, true, true, false};
}

/* Most calendar days, weeks or months that a window touches; 0: not known. A rolling one of n days touches n
 * + 1 of them, and one more where the clocks go forward; a month has 28 days at least. */
static int64_t periods_max(enum pql_function function, const struct pql_window *win)
{
    static const int64_t calendar[][3] = {[PQL_WINDOW_TODAY] = {1, 1, 1},
                                          [PQL_WINDOW_WEEK] = {7, 1, 2},
                                          [PQL_WINDOW_MONTH] = {31, 6, 1},
                                          [PQL_WINDOW_QUARTER] = {92, 15, 3}};
    static const int64_t days[] = {1, 7, 28};
    size_t unit = function == PQL_FN_DAYS ? 0 : function == PQL_FN_WEEKS ? 1 : 2;
    int64_t size_ms = days[unit] * 86400000;
    if (win->kind >= PQL_WINDOW_TODAY && win->kind <= PQL_WINDOW_QUARTER) return calendar[win->kind][unit];
    bool has_length = win->kind == PQL_WINDOW_ROLLING || win->kind == PQL_WINDOW_FIRST;
    return has_length ? win->ms / size_ms + (win->ms % size_ms != 0) + 2 : 0;
}

struct pql_check_range pql_check_range_of(const struct pql_node *node)
{
    if (node->kind != PQL_NODE_CALL) return (struct pql_check_range){0};
    if (node->function == PQL_FN_HOUR) return whole(0, 23);
    if (node->function == PQL_FN_WEEKDAY) return whole(1, 7);
    if (node->function == PQL_FN_DAYS || node->function == PQL_FN_WEEKS || node->function == PQL_FN_MONTHS)
        return whole(0, periods_max(node->function, &node->window));
    if (node->function == PQL_FN_SHARE) return (struct pql_check_range){0, 1, true, false, true};
    static const enum pql_function counts[] = {PQL_FN_COUNT, PQL_FN_DISTINCT, PQL_FN_STREAK,
                                               PQL_FN_USERS, PQL_FN_MEMBERS,  PQL_FN_SPREAD};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        if (counts[i] == node->function) return whole(0, 0);
    return (struct pql_check_range){0};
}

/* Of `value relation c` for all values of the range: 1 always, -1 never, 0 as it comes. */
static int outcome(enum pql_node_kind relation, struct pql_check_range r, pql_decimal c)
{
    pql_decimal low = pql_decimal_of_int(r.low), high = r.high ? pql_decimal_of_int(r.high) : PQL_DECIMAL_MAX;
    bool is_outside = c < low || c > high || (r.is_whole && c % PQL_DECIMAL_ONE != 0);
    if (relation == PQL_NODE_EQ) return is_outside ? -1 : 0;
    if (relation == PQL_NODE_NE) return is_outside ? 1 : 0;
    if (relation == PQL_NODE_GE) return c <= low ? 1 : c > high ? -1 : 0;
    if (relation == PQL_NODE_GT) return c < low ? 1 : c >= high ? -1 : 0;
    if (relation == PQL_NODE_LE) return c < low ? -1 : c >= high ? 1 : 0;
    return c <= low ? -1 : c > high ? 1 : 0;
}

enum pql_node_kind pql_check_turned_round(enum pql_node_kind relation)
{
    if (relation == PQL_NODE_LT) return PQL_NODE_GT;
    if (relation == PQL_NODE_LE) return PQL_NODE_GE;
    if (relation == PQL_NODE_GT) return PQL_NODE_LT;
    return relation == PQL_NODE_GE ? PQL_NODE_LE : relation;
}

void pql_check_range(struct pql_parser *p, const struct pql_node *node)
{
    bool is_turned = node->kids[0]->kind == PQL_NODE_CONST;
    const struct pql_node *value = node->kids[is_turned], *bound = node->kids[!is_turned];
    struct pql_check_range r = pql_check_range_of(value);
    if (!r.has_range || bound->kind != PQL_NODE_CONST || bound->value.kind != PQL_NUMBER) return;
    int always = outcome(is_turned ? pql_check_turned_round(node->kind) : node->kind, r, bound->value.number);
    if (always == 0 || (always > 0 && r.may_be_null)) return;
    const char *what = always > 0 ? "always holds" : "can never hold",
               *name = pql_functions[value->function].name;
    const char *kind = r.is_whole ? "a whole number" : "a number";
    if (r.high)
        pql_diag_source(p->all->diags, PQL_SEVERITY_WARNING, p->source, node->at, node->span,
                        "this %s: %s is %s from %lld to %lld here", what, name, kind, (long long)r.low,
                        (long long)r.high);
    else
        pql_diag_source(p->all->diags, PQL_SEVERITY_WARNING, p->source, node->at, node->span,
                        "this %s: %s is %s and never below %lld", what, name, kind, (long long)r.low);
}
