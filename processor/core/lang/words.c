#include "core/lang/words.h"

#include "base/buf.h"

#include <string.h>

struct writer {
    struct pql_buf out;
    const struct pql_label *labels;
    size_t labels_count;
    struct pql_arena *arena;
};

static void say_condition(struct writer *w, const struct pql_node *node);

static void say(struct writer *w, const char *words)
{
    pql_buf_text(&w->out, words);
}

static void say_slice(struct writer *w, struct pql_slice text)
{
    pql_buf_put(&w->out, text.ptr, text.len);
}

static void say_duration(struct writer *w, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {
        {"day", 86400000}, {"hour", 3600000}, {"minute", 60000}, {"second", 1000}, {"millisecond", 1}};
    size_t i = 0;
    while (ms % units[i].ms) i++;
    long long n = (long long)(ms / units[i].ms);
    pql_buf_printf(&w->out, "%lld %s%s", n, units[i].name, n == 1 ? "" : "s");
}

static void say_window(struct writer *w, const struct pql_window *win)
{
    static const struct {
        const char *before, *after;
    } words[] = {
        [PQL_WINDOW_NONE] = {"", ""},
        [PQL_WINDOW_ROLLING] = {" in the last ", ""},
        [PQL_WINDOW_PREV] = {" in the previous ", " (those before the last as many)"},
        [PQL_WINDOW_FIRST] = {" in the first ", ""},
        [PQL_WINDOW_EVER] = {" so far", ""},
        [PQL_WINDOW_TODAY] = {" today", ""},
        [PQL_WINDOW_WEEK] = {" this week", ""},
        [PQL_WINDOW_MONTH] = {" this month", ""},
        [PQL_WINDOW_QUARTER] = {" this quarter", ""},
        [PQL_WINDOW_PERIOD] = {" in the ", " period"},
    };
    say(w, words[win->kind].before);
    if (win->ms) say_duration(w, win->ms);
    if (win->period.len) say_slice(w, win->period);
    say(w, words[win->kind].after);
}

static void say_event(struct writer *w, struct pql_slice event, bool is_one)
{
    for (size_t i = 0; i < w->labels_count; i++)
        if (pql_slice_eq(w->labels[i].event, event)) {
            say_slice(w, w->labels[i].text);
            return;
        }
    say_slice(w, event);
    say(w, is_one ? " event" : " events");
}

/* "teammates invited", "a or b events with plan = 'x'". */
static void say_selector(struct writer *w, const struct pql_selector *selector, bool is_one)
{
    if (selector->any) say(w, is_one ? "activity event" : "activity events");
    for (size_t i = 0; i < selector->events_count; i++) {
        if (i) say(w, i + 1 < selector->events_count ? ", " : " or ");
        say_event(w, selector->events[i], is_one);
    }
    if (!selector->where) return;
    say(w, " with ");
    say_slice(w, pql_lang_text(selector->where, w->arena));
}

static void say_value(struct writer *w, const struct pql_node *node);

static bool is_parameter(const struct pql_node *node)
{
    return node->kind == PQL_NODE_CALL && node->text.len &&
           (node->function == PQL_FN_IF || node->function == PQL_FN_COALESCE);
}

/* "$bar (by the account's segment: 'enterprise' 12, else 8)"; it stands as
 * coalesce(if(account.segment = 'enterprise', 12, null), …, 8). */
static void say_parameter(struct writer *w, const struct pql_node *node)
{
    pql_buf_printf(&w->out, "$%.*s (", PQL_SLICE_ARG(node->text));
    for (size_t i = 0; i + 1 < node->kids_count; i++) {
        const struct pql_node *is = node->kids[i]->kids[0];
        if (!i) {
            say(w, "by ");
            say_value(w, is->kids[0]);
            say(w, ": ");
        }
        say_value(w, is->kids[1]);
        say(w, " ");
        say_value(w, node->kids[i]->kids[1]);
        say(w, ", ");
    }
    if (node->kids_count > 1) say(w, "else ");
    say_value(w, node->kids[node->kids_count - 1]);
    say(w, ")");
}

/* A value that is compared: what it is called, or else its own text. */
static void say_value(struct writer *w, const struct pql_node *node)
{
    if (is_parameter(node)) {
        say_parameter(w, node);
    } else if (node->kind == PQL_NODE_USER_ATTR || node->kind == PQL_NODE_ACCOUNT_ATTR) {
        say(w, node->kind == PQL_NODE_USER_ATTR ? "the user's " : "the account's ");
        say_slice(w, node->text);
    } else if (node->kind == PQL_NODE_CONST && node->value.kind == PQL_DURATION) {
        say_duration(w, node->value.ms);
    } else if (node->kind == PQL_NODE_CALL && node->function == PQL_FN_MEMBERS) {
        say(w, "the number of members");
    } else {
        say_slice(w, pql_lang_text(node, w->arena));
    }
}

/* "at least 3": how much there is. */
static void say_amount(struct writer *w, enum pql_node_kind relation, const struct pql_node *bound)
{
    static const char *const words[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_EQ] = "exactly ", [PQL_NODE_NE] = "other than ", [PQL_NODE_LT] = "less than ",
        [PQL_NODE_LE] = "at most ", [PQL_NODE_GT] = "more than ",  [PQL_NODE_GE] = "at least "};
    say(w, words[relation]);
    say_value(w, bound);
}

static void say_members(struct writer *w, const struct pql_node *condition)
{
    say(w, " with (");
    say_condition(w, condition);
    say(w, ")");
}

static bool is_number(const struct pql_node *node, int64_t n)
{
    return node->kind == PQL_NODE_CONST && node->value.kind == PQL_NUMBER &&
           node->value.number == pql_decimal_of_int(n);
}

/* count(E, W) < 1 and its like. */
static bool is_none(enum pql_node_kind relation, const struct pql_node *bound)
{
    return (is_number(bound, 0) && (relation == PQL_NODE_EQ || relation == PQL_NODE_LE)) ||
           (is_number(bound, 1) && relation == PQL_NODE_LT);
}

static void say_count(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                      const struct pql_node *bound)
{
    bool is_absent = is_none(relation, bound);
    if (is_absent)
        say(w, "no");
    else
        say_amount(w, relation, bound);
    say(w, " ");
    say_selector(w, &call->selector, !is_absent && is_number(bound, 1));
    say_window(w, &call->window);
}

static void say_distinct(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                         const struct pql_node *bound)
{
    say_amount(w, relation, bound);
    say(w, " different ");
    if (pql_slice_is(call->selector.path, "user")) {
        say(w, "users");
    } else {
        say(w, "values of ");
        say_slice(w, call->selector.path);
    }
    say(w, " in ");
    say_selector(w, &call->selector, false);
    say_window(w, &call->window);
}

/* days, weeks, months */
static void say_periods(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                        const struct pql_node *bound)
{
    say_selector(w, &call->selector, false);
    say(w, " on ");
    say_amount(w, relation, bound);
    say(w, " different ");
    say(w, pql_functions[call->function].name);
    say_window(w, &call->window);
}

static void say_streak(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                       const struct pql_node *bound)
{
    say_selector(w, &call->selector, false);
    say(w, " on ");
    say_amount(w, relation, bound);
    say(w, " days in a row, up to today or yesterday");
}

static void say_share(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                      const struct pql_node *bound)
{
    if (bound->kind == PQL_NODE_CONST && bound->value.kind == PQL_NUMBER) {
        struct pql_node percent = *bound;
        percent.value.number = pql_decimal_mul(bound->value.number, pql_decimal_of_int(100));
        say_amount(w, relation, &percent);
        say(w, " %");
    } else {
        say(w, "a share of ");
        say_amount(w, relation, bound);
    }
    say(w, " of the members");
    if (call->kids_count > 1) {
        say_members(w, call->kids[1]);
        say(w, " also");
    }
    say_members(w, call->kids[0]);
}

static void say_since(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                      const struct pql_node *bound)
{
    say(w, "the last of ");
    say_selector(w, &call->selector, false);
    say(w, " ");
    say_amount(w, relation, bound);
    say(w, " ago");
}

/* Comparisons of a call that have words of their own; false: none. */
static bool say_call_compared(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                              const struct pql_node *bound)
{
    if (call->kind != PQL_NODE_CALL || call->of_account) return false;
    if (call->function == PQL_FN_COUNT)
        say_count(w, call, relation, bound);
    else if (call->function == PQL_FN_DISTINCT)
        say_distinct(w, call, relation, bound);
    else if (call->function == PQL_FN_DAYS || call->function == PQL_FN_WEEKS ||
             call->function == PQL_FN_MONTHS)
        say_periods(w, call, relation, bound);
    else if (call->function == PQL_FN_STREAK)
        say_streak(w, call, relation, bound);
    else if (call->function == PQL_FN_SHARE)
        say_share(w, call, relation, bound);
    else if (call->function == PQL_FN_SINCE)
        say_since(w, call, relation, bound);
    else if (call->function == PQL_FN_USERS || call->function == PQL_FN_MEMBERS) {
        say_amount(w, relation, bound);
        say(w, is_number(bound, 1) ? " member" : " members");
        if (call->kids_count) say_members(w, call->kids[0]);
    } else if (call->function == PQL_FN_SPREAD) {
        say_amount(w, relation, bound);
        say(w, is_number(bound, 1) ? " value of " : " different values of ");
        say_slice(w, call->text);
        say(w, " among members");
        say_members(w, call->kids[0]);
    } else
        return false;
    return true;
}

/* sum, avg, min, max, latest, earliest: a value with a name, then "is at least 3". */
static void say_subject(struct writer *w, const struct pql_node *node)
{
    static const char *const words[PQL_FN_TOTAL] = {
        [PQL_FN_SUM] = "the sum of ",          [PQL_FN_AVG] = "the average of ",
        [PQL_FN_MIN] = "the least ",           [PQL_FN_MAX] = "the greatest ",
        [PQL_FN_LATEST] = "the latest ",       [PQL_FN_EARLIEST] = "the earliest ",
        [PQL_FN_FIRST_TIME] = "the first of ", [PQL_FN_LAST_TIME] = "the last of "};
    const char *word = node->kind == PQL_NODE_CALL && !node->of_account ? words[node->function] : NULL;
    if (!word) {
        say_value(w, node);
        return;
    }
    say(w, word);
    say_slice(w, node->selector.path);
    if (node->selector.path.len) say(w, " of ");
    say_selector(w, &node->selector, false);
    if (node->window.kind != PQL_WINDOW_EVER) say_window(w, &node->window);
}

static enum pql_node_kind turned_round(enum pql_node_kind relation)
{
    static const enum pql_node_kind turned[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_EQ] = PQL_NODE_EQ, [PQL_NODE_NE] = PQL_NODE_NE, [PQL_NODE_LT] = PQL_NODE_GT,
        [PQL_NODE_LE] = PQL_NODE_GE, [PQL_NODE_GT] = PQL_NODE_LT, [PQL_NODE_GE] = PQL_NODE_LE};
    return turned[relation];
}

/* account.f(…) in a user's definition: what f says, in brackets. */
static bool say_account_compared(struct writer *w, const struct pql_node *call, enum pql_node_kind relation,
                                 const struct pql_node *bound)
{
    if (call->kind != PQL_NODE_CALL || !call->of_account) return false;
    struct pql_node own = *call;
    size_t before = w->out.len;
    own.of_account = false;
    say(w, "in the account (");
    if (!say_call_compared(w, &own, relation, bound)) {
        w->out.len = before;
        return false;
    }
    say(w, ")");
    return true;
}

static void say_comparison(struct writer *w, const struct pql_node *node)
{
    static const char *const words[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_EQ] = " is ",         [PQL_NODE_NE] = " is not ",       [PQL_NODE_LT] = " is less than ",
        [PQL_NODE_LE] = " is at most ", [PQL_NODE_GT] = " is more than ", [PQL_NODE_GE] = " is at least "};
    const struct pql_node *left = node->kids[0], *right = node->kids[1];
    enum pql_node_kind relation = node->kind;
    if (left->kind == PQL_NODE_CONST) {
        left = node->kids[1];
        right = node->kids[0];
        relation = turned_round(relation);
    }
    if (say_call_compared(w, left, relation, right) || say_account_compared(w, left, relation, right)) return;
    say_subject(w, left);
    say(w, left->type == PQL_TYPE_TIME && relation == PQL_NODE_LT   ? " is before "
           : left->type == PQL_TYPE_TIME && relation == PQL_NODE_GT ? " is after "
                                                                    : words[relation]);
    say_subject(w, right);
}

/* in, between, starts with, ends with, contains, matches, is null */
static void say_word_relation(struct writer *w, const struct pql_node *node)
{
    static const struct {
        const char *is, *is_not;
    } words[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_IN] = {" is one of ", " is known and none of "},
        [PQL_NODE_BETWEEN] = {" is between ", " is not between "},
        [PQL_NODE_STARTS] = {" starts with ", " does not start with "},
        [PQL_NODE_ENDS] = {" ends with ", " does not end with "},
        [PQL_NODE_CONTAINS] = {" contains ", " does not contain "},
        [PQL_NODE_MATCHES] = {" matches ", " does not match "},
        [PQL_NODE_IS_NULL] = {" is not known", " is known"},
    };
    say_subject(w, node->kids[0]);
    say(w, node->negated ? words[node->kind].is_not : words[node->kind].is);
    for (size_t i = 1; i < node->kids_count; i++) {
        if (i > 1) say(w, node->kind == PQL_NODE_IN ? ", " : " and ");
        say_value(w, node->kids[i]);
    }
}

/* "report_saved event, then report_shared event, of the same report_id, within 2 hours" */
static void say_sequence(struct writer *w, const struct pql_node *node)
{
    for (size_t i = 0; i < node->steps_count; i++) {
        if (i) say(w, ", then ");
        say_selector(w, &node->steps[i], true);
    }
    if (node->by.len) pql_buf_printf(&w->out, ", of the same %.*s", PQL_SLICE_ARG(node->by));
    if (node->within_ms) say(w, ", within "), say_duration(w, node->within_ms);
    if (node->window.kind != PQL_WINDOW_EVER) say_window(w, &node->window);
}

static void say_call(struct writer *w, const struct pql_node *node)
{
    bool has_words = !node->of_account;
    if (has_words && node->function == PQL_FN_EVER) {
        say_selector(w, &node->selector, false);
        say(w, " at least once");
    } else if (has_words && node->function == PQL_FN_SEQUENCE) {
        say_sequence(w, node);
    } else if (has_words && node->function == PQL_FN_IS) {
        pql_buf_printf(&w->out, "qualified by '%.*s'", PQL_SLICE_ARG(node->text));
    } else if (has_words && node->function == PQL_FN_WAS) {
        pql_buf_printf(&w->out, "qualified by '%.*s' now or earlier", PQL_SLICE_ARG(node->text));
    } else if (has_words && (node->function == PQL_FN_ANY_USER || node->function == PQL_FN_ALL_USERS)) {
        say(w, node->function == PQL_FN_ANY_USER ? "a member" : "every member");
        say_members(w, node->kids[0]);
    } else if (node->function == PQL_FN_AT_LEAST) {
        pql_buf_printf(&w->out, "at least %lld of", (long long)node->n);
        for (size_t i = 0; i < node->kids_count; i++) {
            say(w, i ? ", (" : " (");
            say_condition(w, node->kids[i]);
            say(w, ")");
        }
    } else {
        say_slice(w, pql_lang_text(node, w->arena));
    }
}

static void say_not(struct writer *w, const struct pql_node *kid)
{
    if (kid->kind == PQL_NODE_CALL && kid->function == PQL_FN_EVER && !kid->of_account) {
        say(w, "no ");
        say_selector(w, &kid->selector, false);
        say(w, " so far");
        return;
    }
    say(w, "not (");
    say_condition(w, kid);
    say(w, ")");
}

static void say_joined(struct writer *w, const struct pql_node *node)
{
    for (size_t i = 0; i < node->kids_count; i++) {
        const struct pql_node *kid = node->kids[i];
        bool is_group = kid->kind == PQL_NODE_AND || kid->kind == PQL_NODE_OR;
        if (i) say(w, node->kind == PQL_NODE_AND ? ", and " : ", or ");
        if (is_group) say(w, "(");
        say_condition(w, kid);
        if (is_group) say(w, ")");
    }
}

static void say_condition(struct writer *w, const struct pql_node *node)
{
    if (node->kind == PQL_NODE_AND || node->kind == PQL_NODE_OR)
        say_joined(w, node);
    else if (node->kind == PQL_NODE_NOT)
        say_not(w, node->kids[0]);
    else if (node->kind >= PQL_NODE_EQ && node->kind <= PQL_NODE_GE)
        say_comparison(w, node);
    else if (node->kind >= PQL_NODE_IN && node->kind <= PQL_NODE_IS_NULL)
        say_word_relation(w, node);
    else if (node->kind == PQL_NODE_CALL)
        say_call(w, node);
    else {
        say_value(w, node);
        if (node->type == PQL_TYPE_OPEN) say(w, " is true");
    }
}

/* What points are given for: "invite_sent event in the last 90 days", "day with login events so far". */
static void say_unit(struct writer *w, const struct pql_node *node)
{
    bool is_plain = node->kind == PQL_NODE_CALL && !node->of_account;
    if (is_plain && node->function == PQL_FN_COUNT) {
        say_selector(w, &node->selector, true);
        say_window(w, &node->window);
    } else if (is_plain && node->function == PQL_FN_DISTINCT) {
        pql_buf_printf(&w->out, "different %.*s in ", PQL_SLICE_ARG(node->selector.path));
        say_selector(w, &node->selector, false);
        say_window(w, &node->window);
    } else if (is_plain && (node->function == PQL_FN_DAYS || node->function == PQL_FN_WEEKS ||
                            node->function == PQL_FN_MONTHS)) {
        const char *name = pql_functions[node->function].name;
        pql_buf_printf(&w->out, "%.*s with ", (int)strlen(name) - 1, name);
        say_selector(w, &node->selector, false);
        say_window(w, &node->window);
    } else {
        say(w, "unit of ");
        say_subject(w, node);
    }
}

static struct pql_slice taken(struct writer *w)
{
    struct pql_slice words = pql_arena_copy(w->arena, (struct pql_slice){w->out.ptr, w->out.len});
    pql_buf_deinit(&w->out);
    return words;
}

struct pql_slice pql_lang_words(const struct pql_node *condition, const struct pql_label *labels,
                                size_t labels_count, struct pql_arena *arena)
{
    struct writer w = {.labels = labels, .labels_count = labels_count, .arena = arena};
    say_condition(&w, condition);
    return taken(&w);
}

struct pql_slice pql_lang_unit_words(const struct pql_node *number, const struct pql_label *labels,
                                     size_t labels_count, struct pql_arena *arena)
{
    struct writer w = {.labels = labels, .labels_count = labels_count, .arena = arena};
    say_unit(&w, number);
    return taken(&w);
}
