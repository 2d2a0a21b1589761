/* Normalised text: two trees that mean the same call read the same, and reading the text again gives the same
 * tree. */
#include "base/buf.h"
#include "core/lang/lang.h"
#include "core/lang/lex.h"

#include <stdlib.h>

/* How tightly a node holds its operands together; a looser one inside a tighter one needs parentheses. */
enum strength { OR = 1, AND, NOT, COMPARISON, SUM, PRODUCT, UNARY, PRIMARY };

static const struct spelling {
    const char *word;
    enum strength strength, left, right; /* of the node, and the least that its operands need */
} spellings[PQL_NODE_KIND_COUNT] = {
    [PQL_NODE_OR] = {" or ", OR, AND, AND},
    [PQL_NODE_AND] = {" and ", AND, NOT, NOT},
    [PQL_NODE_NOT] = {"not ", NOT, NOT, NOT},
    [PQL_NODE_EQ] = {" = ", COMPARISON, SUM, SUM},
    [PQL_NODE_NE] = {" != ", COMPARISON, SUM, SUM},
    [PQL_NODE_LT] = {" < ", COMPARISON, SUM, SUM},
    [PQL_NODE_LE] = {" <= ", COMPARISON, SUM, SUM},
    [PQL_NODE_GT] = {" > ", COMPARISON, SUM, SUM},
    [PQL_NODE_GE] = {" >= ", COMPARISON, SUM, SUM},
    [PQL_NODE_STARTS] = {"starts with ", COMPARISON, SUM, SUM},
    [PQL_NODE_ENDS] = {"ends with ", COMPARISON, SUM, SUM},
    [PQL_NODE_CONTAINS] = {"contains ", COMPARISON, SUM, SUM},
    [PQL_NODE_MATCHES] = {"matches ", COMPARISON, SUM, SUM},
    [PQL_NODE_IN] = {"in (", COMPARISON, SUM, SUM},
    [PQL_NODE_BETWEEN] = {"between ", COMPARISON, SUM, SUM},
    [PQL_NODE_IS_NULL] = {"is null", COMPARISON, SUM, SUM},
    [PQL_NODE_ADD] = {" + ", SUM, SUM, PRODUCT},
    [PQL_NODE_SUB] = {" - ", SUM, SUM, PRODUCT},
    [PQL_NODE_MUL] = {" * ", PRODUCT, PRODUCT, UNARY},
    [PQL_NODE_DIV] = {" / ", PRODUCT, PRODUCT, UNARY},
    [PQL_NODE_NEG] = {"-", UNARY, UNARY, UNARY},
};

static void put(struct pql_buf *out, const struct pql_node *node);

static void put_text(struct pql_buf *out, struct pql_slice text)
{
    pql_buf_put(out, text.ptr, text.len);
}

static void put_quoted(struct pql_buf *out, struct pql_slice text)
{
    pql_buf_text(out, "'");
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '\'') pql_buf_text(out, "'");
        pql_buf_put(out, text.ptr + i, 1);
    }
    pql_buf_text(out, "'");
}

static void put_name(struct pql_buf *out, struct pql_slice name)
{
    if (pql_is_name(name) && !pql_is_reserved(name))
        put_text(out, name);
    else
        put_quoted(out, name);
}

static bool is_digits(struct pql_slice key)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.ptr[i] < '0' || key.ptr[i] > '9') return false;
    return key.len > 0;
}

/* The key that `path` begins with; path becomes what follows its dot, `*more` whether there was one. */
static struct pql_slice next_key(struct pql_slice *path, bool *more)
{
    const char *dot = path->len ? memchr(path->ptr, '.', path->len) : NULL;
    struct pql_slice key = {path->ptr, dot ? (size_t)(dot - path->ptr) : path->len};
    *more = dot != NULL;
    *path = (struct pql_slice){path->ptr + key.len + *more, path->len - key.len - *more};
    return key;
}

/* "device.0.'Plan Name'", after a dot. */
static void put_path(struct pql_buf *out, struct pql_slice path)
{
    for (bool more = true; more;) {
        struct pql_slice key = next_key(&path, &more);
        pql_buf_text(out, ".");
        if (pql_is_name(key) || is_digits(key))
            put_text(out, key);
        else
            put_quoted(out, key);
    }
}

/* Bare if its text would be read as this property again. */
static void put_property(struct pql_buf *out, struct pql_slice path)
{
    struct pql_slice rest = path;
    bool more = true, is_bare = true;
    for (bool is_first = true; more; is_first = false) {
        struct pql_slice key = next_key(&rest, &more);
        if (!(pql_is_name(key) && !(is_first && pql_is_reserved(key))) && (is_first || !is_digits(key)))
            is_bare = false;
    }
    if (is_bare) {
        put_text(out, path);
        return;
    }
    pql_buf_text(out, "property(");
    put_quoted(out, path);
    pql_buf_text(out, ")");
}

static void put_duration(struct pql_buf *out, int64_t ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    size_t i = 0;
    while (ms % units[i].ms) i++;
    if (ms == 0) i = 3;
    pql_buf_printf(out, "%lld%s", (long long)(ms / units[i].ms), units[i].name);
}

static void put_window(struct pql_buf *out, const struct pql_window *win)
{
    static const char *const words[] = {
        [PQL_WINDOW_NONE] = "",
        [PQL_WINDOW_ROLLING] = "",
        [PQL_WINDOW_PREV] = "prev ",
        [PQL_WINDOW_FIRST] = "first ",
        [PQL_WINDOW_EVER] = "ever",
        [PQL_WINDOW_TODAY] = "today",
        [PQL_WINDOW_WEEK] = "this week",
        [PQL_WINDOW_MONTH] = "this month",
        [PQL_WINDOW_QUARTER] = "this quarter",
        [PQL_WINDOW_PERIOD] = "",
    };
    pql_buf_text(out, words[win->kind]);
    if (win->kind == PQL_WINDOW_PERIOD) put_text(out, win->period);
    if (win->kind == PQL_WINDOW_ROLLING || win->kind == PQL_WINDOW_PREV || win->kind == PQL_WINDOW_FIRST)
        put_duration(out, win->ms);
}

static void put_selector(struct pql_buf *out, const struct pql_selector *selector)
{
    if (selector->any) pql_buf_text(out, "any");
    if (selector->events_count > 1) pql_buf_text(out, "one_of(");
    for (size_t i = 0; i < selector->events_count; i++) {
        if (i) pql_buf_text(out, ", ");
        put_name(out, selector->events[i]);
    }
    if (selector->events_count > 1) pql_buf_text(out, ")");
    if (selector->path.len) put_path(out, selector->path);
    if (!selector->where) return;
    pql_buf_text(out, " where ");
    put(out, selector->where);
}

static void put_inside(struct pql_buf *out, const struct pql_node *node, enum strength least)
{
    enum strength strength = spellings[node->kind].strength;
    bool is_loose = strength && strength < least;
    if (is_loose) pql_buf_text(out, "(");
    put(out, node);
    if (is_loose) pql_buf_text(out, ")");
}

static void put_constant(struct pql_buf *out, const struct pql_value *value)
{
    char scratch[PQL_DECIMAL_TEXT_MAX];
    switch (value->kind) {
    case PQL_NULL: pql_buf_text(out, "null"); break;
    case PQL_BOOL: pql_buf_text(out, value->boolean ? "true" : "false"); break;
    case PQL_NUMBER: put_text(out, pql_value_canonical(value, scratch)); break;
    case PQL_TEXT: put_quoted(out, value->text); break;
    case PQL_DURATION:
    case PQL_TIME: put_duration(out, value->ms); break;
    }
}

static void put_kids(struct pql_buf *out, const struct pql_node *node, size_t from, const char *between)
{
    for (size_t i = from; i < node->kids_count; i++) {
        if (i > from) pql_buf_text(out, between);
        put_inside(out, node->kids[i], i ? spellings[node->kind].right : spellings[node->kind].left);
    }
}

/* value [not] word operand … */
static void put_word_relation(struct pql_buf *out, const struct pql_node *node)
{
    put_inside(out, node->kids[0], SUM);
    pql_buf_text(out, node->negated ? " not " : " ");
    pql_buf_text(out, spellings[node->kind].word);
    put_kids(out, node, 1, node->kind == PQL_NODE_IN ? ", " : " and ");
    if (node->kind == PQL_NODE_IN) pql_buf_text(out, ")");
}

static void put_sequence(struct pql_buf *out, const struct pql_node *node)
{
    for (size_t i = 0; i < node->steps_count; i++) {
        if (i) pql_buf_text(out, " then ");
        put_selector(out, &node->steps[i]);
    }
    if (node->by.len) {
        struct pql_buf path = {0};
        put_path(&path, node->by);
        pql_buf_text(out, " by ");
        pql_buf_put(out, path.ptr + 1, path.len - 1); /* without the dot */
        pql_buf_deinit(&path);
    }
    if (node->within_ms) pql_buf_text(out, " within "), put_duration(out, node->within_ms);
}

static void put_arguments(struct pql_buf *out, const struct pql_node *node)
{
    const struct pql_function_row *row = &pql_functions[node->function];
    if (row->arguments == PQL_ARGS_SEQUENCE) put_sequence(out, node);
    if (row->is_event_function && row->arguments != PQL_ARGS_SEQUENCE) put_selector(out, &node->selector);
    if (row->arguments == PQL_ARGS_DEFINITION) put_name(out, node->text);
    if (row->arguments == PQL_ARGS_SPREAD) pql_buf_text(out, "user"), put_path(out, node->text);
    if (row->arguments == PQL_ARGS_NTH) pql_buf_text(out, ", ");
    if (row->arguments == PQL_ARGS_NTH || row->arguments == PQL_ARGS_AT_LEAST)
        pql_buf_printf(out, "%lld", (long long)node->n);
    if (node->kids_count && (row->arguments == PQL_ARGS_USAGE || row->arguments == PQL_ARGS_SPREAD ||
                             row->arguments == PQL_ARGS_AT_LEAST))
        pql_buf_text(out, ", ");
    put_kids(out, node, 0, row->arguments == PQL_ARGS_SHARE ? " of " : ", ");
    bool is_default = node->window.kind == PQL_WINDOW_EVER && row->windows & 1u << PQL_WINDOW_NONE;
    if (node->window.kind == PQL_WINDOW_NONE || is_default) return;
    pql_buf_text(out, ", ");
    put_window(out, &node->window);
}

static void put_call(struct pql_buf *out, const struct pql_node *node)
{
    pql_buf_printf(out, "%s%s(", node->of_account ? "account." : "", pql_functions[node->function].name);
    put_arguments(out, node);
    pql_buf_text(out, ")");
}

static void put(struct pql_buf *out, const struct pql_node *node)
{
    switch (node->kind) {
    case PQL_NODE_CONST: put_constant(out, &node->value); break;
    case PQL_NODE_PROPERTY: put_property(out, node->text); break;
    case PQL_NODE_USER_ATTR: pql_buf_text(out, "user"), put_path(out, node->text); break;
    case PQL_NODE_ACCOUNT_ATTR: pql_buf_text(out, "account"), put_path(out, node->text); break;
    case PQL_NODE_USER_ID:
    case PQL_NODE_EVENT_NAME:
    case PQL_NODE_SCORE: put_text(out, node->text); break;
    case PQL_NODE_NOT:
    case PQL_NODE_NEG:
        pql_buf_text(out, spellings[node->kind].word);
        put_kids(out, node, 0, "");
        break;
    case PQL_NODE_AND:
    case PQL_NODE_OR:
    case PQL_NODE_ADD:
    case PQL_NODE_SUB:
    case PQL_NODE_MUL:
    case PQL_NODE_DIV:
    case PQL_NODE_EQ:
    case PQL_NODE_NE:
    case PQL_NODE_LT:
    case PQL_NODE_LE:
    case PQL_NODE_GT:
    case PQL_NODE_GE: put_kids(out, node, 0, spellings[node->kind].word); break;
    case PQL_NODE_IN:
    case PQL_NODE_BETWEEN:
    case PQL_NODE_STARTS:
    case PQL_NODE_ENDS:
    case PQL_NODE_CONTAINS:
    case PQL_NODE_MATCHES: put_word_relation(out, node); break;
    case PQL_NODE_IS_NULL:
        put_inside(out, node->kids[0], SUM);
        pql_buf_text(out, node->negated ? " is not null" : " is null");
        break;
    case PQL_NODE_CALL: put_call(out, node); break;
    case PQL_NODE_KIND_COUNT: break;
    }
}

static struct pql_slice taken(struct pql_buf *buf, struct pql_arena *arena)
{
    struct pql_slice copy = pql_arena_copy(arena, (struct pql_slice){buf->ptr, buf->len});
    pql_buf_deinit(buf);
    return copy;
}

struct pql_slice pql_lang_text(const struct pql_node *node, struct pql_arena *arena)
{
    struct pql_buf buf = {0};
    put(&buf, node);
    return taken(&buf, arena);
}

struct pql_slice pql_selector_text(const struct pql_selector *selector, struct pql_arena *arena)
{
    struct pql_buf buf = {0};
    put_selector(&buf, selector);
    return taken(&buf, arena);
}

struct pql_slice pql_window_text(const struct pql_window *window, struct pql_arena *arena)
{
    struct pql_buf buf = {0};
    put_window(&buf, window);
    return taken(&buf, arena);
}

struct pql_slice pql_duration_text(int64_t ms, struct pql_arena *arena)
{
    struct pql_buf buf = {0};
    put_duration(&buf, ms);
    return taken(&buf, arena);
}
