/* Recursive descent, one function per rule of the grammar. A fault of grammar ends the text (is_broken); everything
 * else is reported and read on, with a null of open type in the place of what could not be understood, which fits
 * anywhere and so causes no second message. */
#include "core/lang/parse.h"

#include <stdio.h>

static struct pql_node *expression(struct pql_parser *p);
static struct pql_node *sum(struct pql_parser *p);

/* ---- tokens ---- */

static void step_as(struct pql_parser *p, bool is_key)
{
    p->end = p->tok.at + p->tok.len;
    p->tok = pql_lex(p->source->text, p->end, is_key);
    if (!p->tok.problem) return;
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "%s", p->tok.problem);
    if (p->tok.kind == PQL_TOKEN_BAD) p->is_broken = true, p->tok.kind = PQL_TOKEN_END;
}

static void step(struct pql_parser *p)
{
    if (!p->is_broken) step_as(p, false);
}

/* The first fault of grammar of a text, at the current token. */
static void fail(struct pql_parser *p, const char *format, ...) PQL_PRINTF(2, 3);
static void fail(struct pql_parser *p, const char *format, ...)
{
    if (p->is_broken) return;
    char message[300];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "%s", message);
    p->is_broken = true;
    p->tok.kind = PQL_TOKEN_END;
}

static const char *found(const struct pql_parser *p)
{
    if (p->tok.kind == PQL_TOKEN_END) return "the text ends";
    int len = p->tok.len > 40 ? 40 : (int)p->tok.len;
    const char *quote = p->tok.kind == PQL_TOKEN_STRING ? "" : "'";
    return pql_arena_printf(p->all->arena, "%s%.*s%s was found", quote, len, p->source->text.ptr + p->tok.at, quote);
}

static void expected(struct pql_parser *p, const char *what) { fail(p, "%s is expected here, but %s", what, found(p)); }

static bool is_sign(const struct pql_parser *p, const char *sign)
{
    return p->tok.kind == PQL_TOKEN_SIGN && pql_slice_is(p->tok.text, sign);
}

static bool accept_sign(struct pql_parser *p, const char *sign)
{
    if (!is_sign(p, sign)) return false;
    step(p);
    return true;
}

static void need_sign(struct pql_parser *p, const char *sign)
{
    if (!accept_sign(p, sign)) expected(p, pql_arena_printf(p->all->arena, "'%s'", sign));
}

static bool is_word(const struct pql_parser *p, const char *word)
{
    return p->tok.kind == PQL_TOKEN_NAME && pql_slice_is(p->tok.text, word);
}

static bool is_same_but_case(struct pql_slice a, const char *word)
{
    size_t i = 0;
    for (; i < a.len && word[i]; i++)
        if ((a.ptr[i] | 0x20) != word[i]) return false;
    return i == a.len && !word[i];
}

/* Where an operand is complete no name can follow, so that AND can only be meant as the word `and`. */
static bool is_operator(struct pql_parser *p, const char *word)
{
    if (p->tok.kind != PQL_TOKEN_NAME || !is_same_but_case(p->tok.text, word)) return false;
    if (!pql_slice_is(p->tok.text, word)) {
        PQL_COMPLAIN(p, p->tok.at, p->tok.len, "'%.*s' is written '%s'", PQL_SLICE_ARG(p->tok.text), word);
        p->tok.text = pql_slice_of(word);
    }
    return true;
}

static bool accept_operator(struct pql_parser *p, const char *word)
{
    if (!is_operator(p, word)) return false;
    step(p);
    return true;
}

static struct pql_token peek(const struct pql_parser *p)
{
    return pql_lex(p->source->text, p->tok.at + p->tok.len, false);
}

static bool is_before_parenthesis(const struct pql_parser *p)
{
    struct pql_token next = peek(p);
    return next.kind == PQL_TOKEN_SIGN && pql_slice_is(next.text, "(");
}

static struct pql_slice unquoted(struct pql_parser *p, const struct pql_token *tok)
{
    char *out = pql_arena_alloc(p->all->arena, tok->text.len + 1);
    size_t n = 0;
    for (size_t i = 0; i < tok->text.len; i++) {
        out[n++] = tok->text.ptr[i];
        if (tok->text.ptr[i] == '\'') i++;
    }
    out[n] = 0;
    return (struct pql_slice){out, n};
}

/* "; did you mean 'x'?" or nothing. */
static const char *suggestion(struct pql_parser *p, struct pql_slice name, const char *const *words, size_t count)
{
    const char *nearest = pql_nearest(name, words, count);
    return nearest ? pql_arena_printf(p->all->arena, "; did you mean '%s'?", nearest) : "";
}

/* ---- nodes ---- */

static struct pql_node *new_node(struct pql_parser *p, enum pql_node_kind kind, size_t at)
{
    if (++p->all->nodes_count > PQL_LANG_NODES_MAX && !p->is_broken) {
        if (!p->all->is_full) fail(p, "this has more than %d parts with all its $signals", PQL_LANG_NODES_MAX);
        p->all->is_full = p->is_broken = true;
        p->tok.kind = PQL_TOKEN_END;
    }
    struct pql_node *node = pql_arena_zalloc(p->all->arena, sizeof *node);
    node->kind = kind;
    node->source = p->source;
    node->at = at;
    node->height = 1;
    return node;
}

static struct pql_node *constant(struct pql_parser *p, size_t at, enum pql_type type, struct pql_value value)
{
    struct pql_node *node = new_node(p, PQL_NODE_CONST, at);
    node->type = type;
    node->value = value;
    node->span = p->end > at ? p->end - at : 0;
    return node;
}

/* What stands for a part that was reported already. */
static struct pql_node *nothing(struct pql_parser *p, size_t at)
{
    return constant(p, at, PQL_TYPE_OPEN, pql_null());
}

struct kids {
    const struct pql_node **items;
    size_t count, capacity;
};

static void add_kid(struct pql_parser *p, struct kids *kids, const struct pql_node *kid)
{
    if (kids->count == kids->capacity) {
        size_t capacity = kids->capacity ? kids->capacity * 2 : 4;
        const struct pql_node **items = pql_arena_alloc(p->all->arena, capacity * sizeof *items);
        for (size_t i = 0; i < kids->count; i++) items[i] = kids->items[i];
        kids->items = items;
        kids->capacity = capacity;
    }
    kids->items[kids->count++] = kid;
}

static struct pql_node *finish(struct pql_parser *p, struct pql_node *node, const struct kids *kids)
{
    node->kids = kids->items;
    node->kids_count = kids->count;
    node->span = p->end > node->at ? p->end - node->at : 0;
    pql_check(p, node);
    if (node->height <= PQL_LANG_HEIGHT_MAX) return node;
    fail(p, "this is more than %d levels deep; a sum of so many terms needs parentheses", PQL_LANG_HEIGHT_MAX);
    return nothing(p, node->at);
}

static struct pql_node *binary(struct pql_parser *p, enum pql_node_kind kind, size_t at, const struct pql_node *left,
                               const struct pql_node *right)
{
    struct kids kids = {0};
    struct pql_node *node = new_node(p, kind, at);
    add_kid(p, &kids, left);
    add_kid(p, &kids, right);
    return finish(p, node, &kids);
}

/* `and` of `and`s is one node, wherever the parentheses stood. */
static void add_flat(struct pql_parser *p, enum pql_node_kind kind, struct kids *kids, const struct pql_node *kid)
{
    if (kid->kind != kind) {
        add_kid(p, kids, kid);
        return;
    }
    for (size_t i = 0; i < kid->kids_count; i++) add_kid(p, kids, kid->kids[i]);
}

static bool enter(struct pql_parser *p)
{
    if (++p->all->depth <= PQL_LANG_DEPTH_MAX) return true;
    fail(p, "more than %d levels inside each other", PQL_LANG_DEPTH_MAX);
    return false;
}

static void leave(struct pql_parser *p) { p->all->depth--; }

/* ---- signals and parameters ---- */

static const struct pql_lang_parameter *find_parameter(const struct pql_lang_env *env, struct pql_slice name)
{
    for (size_t i = 0; i < env->parameters_count; i++)
        if (pql_slice_eq(env->parameters[i].name, name)) return &env->parameters[i];
    return NULL;
}

static const struct pql_lang_signal *find_signal(const struct pql_lang_env *env, struct pql_slice name)
{
    for (size_t i = 0; i < env->signals_count; i++)
        if (pql_slice_eq(env->signals[i].name, name)) return &env->signals[i];
    return NULL;
}

static void unknown_dollar(struct pql_parser *p, size_t at, struct pql_slice name)
{
    const struct pql_lang_env *env = p->all->env;
    size_t count = 0;
    const char **words =
        pql_arena_alloc(p->all->arena, (env->signals_count + env->parameters_count + 1) * sizeof *words);
    for (size_t i = 0; i < env->signals_count; i++)
        words[count++] = pql_arena_copy(p->all->arena, env->signals[i].name).ptr;
    for (size_t i = 0; i < env->parameters_count; i++)
        words[count++] = pql_arena_copy(p->all->arena, env->parameters[i].name).ptr;
    const char *nearest = pql_nearest(name, words, count);
    PQL_COMPLAIN(p, at, p->end - at, "no signal or parameter is called '%.*s'%s%s%s", PQL_SLICE_ARG(name),
                 nearest ? "; did you mean '$" : "", nearest ? nearest : "", nearest ? "'?" : "");
}

/* `$a` inside the text of $a, over however many others: reported with the way round. */
static bool is_cycle(struct pql_parser *p, const struct pql_lang_signal *signal, size_t at)
{
    const struct pql_parser *in = p;
    const char *way = pql_arena_printf(p->all->arena, "$%.*s", PQL_SLICE_ARG(signal->name));
    for (; in && in->signal; in = in->outer) {
        way = pql_arena_printf(p->all->arena, "$%.*s → %s", PQL_SLICE_ARG(in->signal->name), way);
        if (in->signal != signal) continue;
        PQL_COMPLAIN(p, at, p->end - at, "a signal cannot be part of itself: %s", way);
        return true;
    }
    return false;
}

static void open_text(struct pql_parser *p)
{
    p->tok = (struct pql_token){0};
    if (p->source->text.len > PQL_LANG_TEXT_MAX)
        fail(p, "a text has at most %d bytes, this one has %zu", PQL_LANG_TEXT_MAX, p->source->text.len);
    step(p);
}

static void close_text(struct pql_parser *p)
{
    if (p->is_broken || p->tok.kind == PQL_TOKEN_END) return;
    static const char *const relations[] = {"=", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
        if (is_sign(p, relations[i])) {
            fail(p, "one comparison cannot follow another; write 'a < b and b < c'");
            return;
        }
    if (is_sign(p, ")"))
        fail(p, "this ')' has no '('");
    else
        fail(p, "the text should end here or go on with an operator such as 'and', but %s", found(p));
}

/* A parser of the named signal's text; false after a message. The caller calls leave(). */
static bool open_signal(struct pql_parser *p, size_t at, const struct pql_lang_signal *signal, struct pql_parser *in)
{
    if (is_cycle(p, signal, at)) return false;
    if (!enter(p)) {
        leave(p);
        return false;
    }
    *in = (struct pql_parser){
        .all = p->all, .source = &signal->source, .signal = signal, .outer = p, .scope = p->scope};
    open_text(in);
    return true;
}

static struct pql_node *parameter(struct pql_parser *p, size_t at, const struct pql_value *value)
{
    static const enum pql_type types[] = {
        [PQL_NULL] = PQL_TYPE_NULL, [PQL_BOOL] = PQL_TYPE_BOOL,         [PQL_NUMBER] = PQL_TYPE_NUMBER,
        [PQL_TEXT] = PQL_TYPE_TEXT, [PQL_DURATION] = PQL_TYPE_DURATION, [PQL_TIME] = PQL_TYPE_TIME,
    };
    return constant(p, at, types[value->kind], *value);
}

/* After '$'. Empty after a message. */
static struct pql_slice dollar_name(struct pql_parser *p)
{
    struct pql_slice name = p->tok.text;
    if (p->tok.kind != PQL_TOKEN_NAME) {
        expected(p, "the name of a signal or parameter");
        return (struct pql_slice){"", 0};
    }
    step(p);
    return name;
}

static struct pql_node *dollar(struct pql_parser *p)
{
    size_t at = p->tok.at;
    step(p);
    struct pql_slice name = dollar_name(p);
    if (!name.len) return nothing(p, at);
    const struct pql_lang_signal *signal = find_signal(p->all->env, name);
    const struct pql_lang_parameter *param = find_parameter(p->all->env, name);
    if (!signal && param) return parameter(p, at, &param->value);
    struct pql_parser in;
    if (!signal) unknown_dollar(p, at, name);
    if (!signal || !open_signal(p, at, signal, &in)) return nothing(p, at);
    size_t misplaced_before = p->all->misplaced_count;
    struct pql_node *node = expression(&in);
    close_text(&in);
    leave(p);
    if (p->all->misplaced_count > misplaced_before)
        PQL_MISPLACED(p, at, p->end - at, "$%.*s cannot stand here, see its text", PQL_SLICE_ARG(name));
    return node;
}

/* ---- names, paths, selectors ---- */

static struct pql_slice join_key(struct pql_parser *p, struct pql_slice path, struct pql_slice key)
{
    char *out = pql_arena_alloc(p->all->arena, path.len + key.len + 2);
    size_t n = 0;
    if (path.len) {
        memcpy(out, path.ptr, path.len);
        out[path.len] = '.';
        n = path.len + 1;
    }
    if (key.len) memcpy(out + n, key.ptr, key.len);
    out[n + key.len] = 0;
    return (struct pql_slice){out, n + key.len};
}

/* { "." key } behind the keys that `path` holds already. */
static struct pql_slice path_rest(struct pql_parser *p, struct pql_slice path)
{
    while (is_sign(p, ".")) {
        step_as(p, true);
        struct pql_slice key = p->tok.text;
        if (p->tok.kind == PQL_TOKEN_STRING)
            key = unquoted(p, &p->tok);
        else if (p->tok.kind != PQL_TOKEN_NAME && p->tok.kind != PQL_TOKEN_NUMBER) {
            expected(p, "a name");
            return path;
        }
        path = join_key(p, path, key);
        step(p);
    }
    return path;
}

/* NAME | STRING. Empty after a message. */
static struct pql_slice event_name(struct pql_parser *p, const char *what)
{
    struct pql_slice name = {"", 0};
    if (p->tok.kind == PQL_TOKEN_STRING)
        name = unquoted(p, &p->tok);
    else if (p->tok.kind == PQL_TOKEN_NAME && !pql_is_reserved(p->tok.text))
        name = pql_arena_copy(p->all->arena, p->tok.text);
    else if (p->tok.kind == PQL_TOKEN_NAME)
        fail(p, "'%.*s' is a word of the language; as %s it stands in quotes: '%.*s'", PQL_SLICE_ARG(p->tok.text), what,
             PQL_SLICE_ARG(p->tok.text));
    else
        expected(p, what);
    if (!p->is_broken && !name.len) fail(p, "%s cannot be empty", what);
    step(p);
    return name;
}

/* Keeps names sorted by bytes and unique. */
static void add_event(struct pql_parser *p, struct pql_selector *selector, struct pql_slice name)
{
    size_t at = 0;
    while (at < selector->events_count && pql_slice_cmp(selector->events[at], name) < 0) at++;
    if (at < selector->events_count && pql_slice_eq(selector->events[at], name)) return;
    struct pql_slice *events = pql_arena_alloc(p->all->arena, (selector->events_count + 1) * sizeof *events);
    for (size_t i = 0; i < selector->events_count; i++) events[i + (i >= at)] = selector->events[i];
    events[at] = name;
    selector->events = events;
    selector->events_count++;
}

enum { EVENTS_MAX = 256 };

static void one_of(struct pql_parser *p, struct pql_selector *selector)
{
    step(p);
    need_sign(p, "(");
    do {
        if (selector->events_count == EVENTS_MAX) fail(p, "one_of takes at most %d events", EVENTS_MAX);
        add_event(p, selector, event_name(p, "the name of an event"));
    } while (accept_sign(p, ","));
    need_sign(p, ")");
}

static void selector(struct pql_parser *p, struct pql_selector *out);

static void dollar_selector(struct pql_parser *p, struct pql_selector *out)
{
    size_t at = p->tok.at;
    step(p);
    struct pql_slice name = dollar_name(p);
    if (!name.len) return;
    const struct pql_lang_signal *signal = find_signal(p->all->env, name);
    struct pql_parser in;
    if (!signal && find_parameter(p->all->env, name))
        PQL_COMPLAIN(p, at, p->end - at, "events are expected here, and $%.*s is a parameter", PQL_SLICE_ARG(name));
    else if (!signal)
        unknown_dollar(p, at, name);
    if (!signal || !open_signal(p, at, signal, &in)) return;
    selector(&in, out);
    if (!in.is_broken && in.tok.kind != PQL_TOKEN_END)
        fail(&in, "$%.*s is used as events, so its text must be one selector, but %s", PQL_SLICE_ARG(name), found(&in));
    leave(p);
}

static void events(struct pql_parser *p, struct pql_selector *out)
{
    if (is_sign(p, "$")) {
        dollar_selector(p, out);
    } else if (is_word(p, "any")) {
        out->any = true;
        step(p);
    } else if (is_word(p, "one_of")) {
        one_of(p, out);
    } else {
        add_event(p, out, event_name(p, "the name of an event"));
    }
}

static void where(struct pql_parser *p, struct pql_selector *out)
{
    if (!accept_operator(p, "where")) return;
    enum pql_scope scope = p->scope;
    p->scope = PQL_SCOPE_WHERE;
    size_t at = p->tok.at;
    const struct pql_node *filter = expression(p);
    pql_check_condition(p, filter, at);
    p->scope = scope;
    if (out->where) { /* that of a $signal, and this one */
        struct kids kids = {0};
        struct pql_node *both = new_node(p, PQL_NODE_AND, at);
        add_flat(p, PQL_NODE_AND, &kids, out->where);
        add_flat(p, PQL_NODE_AND, &kids, filter);
        filter = finish(p, both, &kids);
    }
    out->where = filter;
}

static void selector(struct pql_parser *p, struct pql_selector *out)
{
    *out = (struct pql_selector){0};
    if (enter(p)) events(p, out);
    if (is_sign(p, ".")) {
        if (out->path.len) fail(p, "these events have a property already");
        out->path = path_rest(p, (struct pql_slice){"", 0});
    }
    where(p, out);
    leave(p);
}

/* ---- windows ---- */

static int64_t span(struct pql_parser *p)
{
    int64_t ms = 0;
    size_t at = p->tok.at;
    if (p->tok.kind == PQL_TOKEN_DURATION) {
        if (!pql_duration_parse(p->tok.text, &ms))
            PQL_COMPLAIN(p, at, p->tok.len, "a duration is at most 36525d");
        else if (ms == 0)
            PQL_COMPLAIN(p, at, p->tok.len, "a window must be longer than 0");
        step(p);
        return ms ? ms : 1;
    }
    if (!accept_sign(p, "$")) {
        expected(p, "a duration such as 7d");
        return 1;
    }
    struct pql_slice name = dollar_name(p);
    const struct pql_lang_parameter *param = find_parameter(p->all->env, name);
    if (name.len && !param && !find_signal(p->all->env, name))
        unknown_dollar(p, at, name);
    else if (name.len && (!param || param->value.kind != PQL_DURATION || param->value.ms <= 0))
        PQL_COMPLAIN(p, at, p->end - at, "a window needs a parameter that is a duration, such as \"21d\"");
    return param && param->value.kind == PQL_DURATION && param->value.ms > 0 ? param->value.ms : 1;
}

static void calendar_window(struct pql_parser *p, struct pql_window *out)
{
    static const struct {
        const char *word;
        enum pql_window_kind kind;
    } units[] = {{"week", PQL_WINDOW_WEEK}, {"month", PQL_WINDOW_MONTH}, {"quarter", PQL_WINDOW_QUARTER}};
    step(p);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (is_word(p, units[i].word)) out->kind = units[i].kind;
    if (out->kind == PQL_WINDOW_NONE) expected(p, "'week', 'month' or 'quarter'");
    step(p);
}

static void period_window(struct pql_parser *p, struct pql_window *out)
{
    const struct pql_lang_env *env = p->all->env;
    struct pql_slice name = p->tok.text;
    for (size_t i = 0; i < env->periods_count; i++)
        if (pql_slice_eq(env->periods[i], name)) out->kind = PQL_WINDOW_PERIOD;
    out->period = pql_arena_copy(p->all->arena, name);
    if (out->kind == PQL_WINDOW_NONE) {
        static const char *const fixed[] = {"ever", "today", "first", "prev", "this"};
        enum { FIXED = sizeof fixed / sizeof *fixed };
        const char **words = pql_arena_alloc(p->all->arena, (FIXED + env->periods_count) * sizeof *words);
        memcpy(words, fixed, sizeof fixed);
        for (size_t i = 0; i < env->periods_count; i++)
            words[FIXED + i] = pql_arena_copy(p->all->arena, env->periods[i]).ptr;
        PQL_COMPLAIN(p, p->tok.at, p->tok.len, "no period of a mapping is called '%.*s'%s", PQL_SLICE_ARG(name),
                     suggestion(p, name, words, FIXED + env->periods_count));
    }
    step(p);
}

static void window(struct pql_parser *p, struct pql_window *out)
{
    *out = (struct pql_window){0};
    if (is_word(p, "prev") || is_word(p, "first")) {
        out->kind = is_word(p, "prev") ? PQL_WINDOW_PREV : PQL_WINDOW_FIRST;
        step(p);
        out->ms = span(p);
    } else if (is_word(p, "ever") || is_word(p, "today")) {
        out->kind = is_word(p, "ever") ? PQL_WINDOW_EVER : PQL_WINDOW_TODAY;
        step(p);
    } else if (is_word(p, "this")) {
        calendar_window(p, out);
    } else if (p->tok.kind == PQL_TOKEN_DURATION || is_sign(p, "$")) {
        out->kind = PQL_WINDOW_ROLLING;
        out->ms = span(p);
    } else if (p->tok.kind == PQL_TOKEN_NAME && !pql_is_reserved(p->tok.text)) {
        period_window(p, out);
    } else {
        expected(p, "a window such as 7d, first 7d or ever");
    }
}

static void window_refused(struct pql_parser *p, const struct pql_function_row *row, const struct pql_window *win,
                           size_t at)
{
    bool takes_any = (row->windows & ~(1u << PQL_WINDOW_NONE)) != 0;
    if (!takes_any)
        PQL_COMPLAIN(p, at, p->end - at, "%s takes no window: %s", row->name, row->usage);
    else if (win->kind == PQL_WINDOW_PREV)
        PQL_COMPLAIN(p, at, p->end - at, "%s cannot look at 'prev': that needs every occurrence; take count(…, prev …)",
                     row->name);
    else
        PQL_COMPLAIN(p, at, p->end - at, "%s cannot look at this window: that needs every occurrence; take 'first …'",
                     row->name);
}

/* [ "," window ] of a call. Without one: what the function means then. */
static void optional_window(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call)
{
    bool may_omit = row->windows & 1u << PQL_WINDOW_NONE;
    if (!accept_sign(p, ",")) {
        if (row->windows & 1u << PQL_WINDOW_EVER && may_omit) call->window.kind = PQL_WINDOW_EVER;
        if (!may_omit && !p->is_broken && is_sign(p, ")"))
            PQL_COMPLAIN(p, call->at, p->tok.at + 1 - call->at,
                         "%s needs a window, such as 7d, first 7d or ever: %s", row->name, row->usage);
        return;
    }
    size_t at = p->tok.at;
    window(p, &call->window);
    if (p->is_broken || call->window.kind == PQL_WINDOW_NONE) return;
    if (!(row->windows & 1u << call->window.kind))
        window_refused(p, row, &call->window, at);
    else if (!(pql_windows_available & 1u << call->window.kind))
        PQL_COMPLAIN(p, at, p->end - at, "the window '%.*s' is not available in this version", (int)(p->end - at),
                     p->source->text.ptr + at);
}

/* ---- calls ---- */

static const struct pql_function_row *find_function(struct pql_slice name)
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
    PQL_COMPLAIN(p, p->tok.at, p->tok.len, "unknown function '%.*s'%s", PQL_SLICE_ARG(p->tok.text),
                 suggestion(p, p->tok.text, words, PQL_FN_TOTAL));
    size_t open = 0;
    do {
        step(p);
        open += is_sign(p, "(");
        open -= is_sign(p, ")");
    } while (open && p->tok.kind != PQL_TOKEN_END);
    need_sign(p, ")");
    return nothing(p, at);
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
        fail(p, "a whole number from 1 to %lld is expected here", (long long)max);
        return 1;
    }
    step(p);
    return n;
}

static const struct pql_node *condition(struct pql_parser *p)
{
    size_t at = p->tok.at;
    const struct pql_node *node = expression(p);
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

static void sequence_arguments(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call)
{
    enum { STEPS_MAX = 16 };
    struct pql_selector *steps = pql_arena_zalloc(p->all->arena, STEPS_MAX * sizeof *steps);
    size_t count = 0;
    do {
        if (count == STEPS_MAX) {
            fail(p, "a sequence has at most %d steps", STEPS_MAX);
            break;
        }
        size_t at = p->tok.at;
        selector(p, &steps[count]);
        if (steps[count++].path.len) PQL_COMPLAIN(p, at, p->end - at, "a step is an event without a property");
    } while (accept_operator(p, "then"));
    call->steps = steps;
    call->steps_count = count;
    if (count < 2) expected(p, "'then' and a second step");
    if (accept_operator(p, "by")) {
        struct pql_slice key = p->tok.text;
        if (p->tok.kind != PQL_TOKEN_NAME && p->tok.kind != PQL_TOKEN_STRING) expected(p, "a property");
        if (p->tok.kind == PQL_TOKEN_STRING) key = unquoted(p, &p->tok);
        step(p);
        call->by = path_rest(p, pql_arena_copy(p->all->arena, key));
    }
    if (accept_operator(p, "within")) call->within_ms = span(p);
    optional_window(p, row, call);
}

static void spread_arguments(struct pql_parser *p, struct pql_node *call, struct kids *kids)
{
    if (!is_word(p, "user")) expected(p, "an attribute such as user.department");
    step(p);
    if (!is_sign(p, ".")) expected(p, "an attribute such as user.department");
    call->text = path_rest(p, (struct pql_slice){"", 0});
    need_sign(p, ",");
    add_kid(p, kids, member_condition(p));
}

static void definition_argument(struct pql_parser *p, struct pql_node *call)
{
    const struct pql_lang_env *env = p->all->env;
    size_t at = p->tok.at;
    call->definition = UINT32_MAX;
    call->text = event_name(p, "the name of a definition");
    if (p->is_broken) return;
    for (size_t i = 0; i < env->definitions_count; i++)
        if (pql_slice_eq(env->definitions[i].name, call->text)) call->definition = (uint32_t)i;
    if (call->definition == UINT32_MAX) {
        const char **words = pql_arena_alloc(p->all->arena, (env->definitions_count + 1) * sizeof *words);
        for (size_t i = 0; i < env->definitions_count; i++)
            words[i] = pql_arena_copy(p->all->arena, env->definitions[i].name).ptr;
        PQL_COMPLAIN(p, at, p->end - at, "no definition is called '%.*s'%s", PQL_SLICE_ARG(call->text),
                     suggestion(p, call->text, words, env->definitions_count));
    } else if (call->definition == p->all->self) {
        PQL_COMPLAIN(p, at, p->end - at, "a definition cannot refer to itself");
    } else if (p->scope == PQL_SCOPE_ACCOUNT && env->definitions[call->definition].subject == PQL_SUBJECT_USER) {
        PQL_MISPLACED(p, at, p->end - at,
                      "'%.*s' is about users: a user's condition needs users(…), any_user(…) or share(…) around it in "
                      "an account definition",
                      PQL_SLICE_ARG(call->text));
    }
}

static void values(struct pql_parser *p, struct pql_node *call, struct kids *kids)
{
    do {
        add_kid(p, kids, expression(p));
    } while (accept_sign(p, ","));
    if (call->function == PQL_FN_IF && kids->count != 3 && !p->is_broken)
        PQL_COMPLAIN(p, call->at, p->end - call->at, "if takes three expressions: if(c, a, b)");
}

static void at_least_arguments(struct pql_parser *p, struct pql_node *call, struct kids *kids)
{
    size_t at = p->tok.at, span_of_k = p->tok.len;
    call->n = integer(p, 1000);
    need_sign(p, ",");
    do {
        add_kid(p, kids, condition(p));
    } while (accept_sign(p, ","));
    if (!p->is_broken && (size_t)call->n > kids->count)
        PQL_COMPLAIN(p, at, span_of_k, "%lld of %zu conditions can never hold", (long long)call->n, kids->count);
}

static void event_selector(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call)
{
    size_t at = p->tok.at;
    selector(p, &call->selector);
    if (p->is_broken) return;
    if (row->needs_path && !call->selector.path.len)
        PQL_COMPLAIN(p, at, p->end - at, "%s needs a property: %s", row->name, row->usage);
    if (!row->needs_path && call->selector.path.len)
        PQL_COMPLAIN(p, at, p->end - at, "%s takes events without a property; distinct(…) counts different values",
                     row->name);
}

static void arguments(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call,
                      struct kids *kids)
{
    switch (row->arguments) {
    case PQL_ARGS_NONE: break;
    case PQL_ARGS_EVENTS:
        event_selector(p, row, call);
        optional_window(p, row, call);
        break;
    case PQL_ARGS_NTH:
        event_selector(p, row, call);
        need_sign(p, ",");
        call->n = integer(p, 10000);
        break;
    case PQL_ARGS_USAGE:
        event_selector(p, row, call);
        need_sign(p, ",");
        add_kid(p, kids, sum(p));
        break;
    case PQL_ARGS_SEQUENCE: sequence_arguments(p, row, call); break;
    case PQL_ARGS_MEMBERS: add_kid(p, kids, member_condition(p)); break;
    case PQL_ARGS_SHARE:
        add_kid(p, kids, member_condition(p));
        if (accept_operator(p, "of")) add_kid(p, kids, member_condition(p));
        break;
    case PQL_ARGS_SPREAD: spread_arguments(p, call, kids); break;
    case PQL_ARGS_DEFINITION: definition_argument(p, call); break;
    case PQL_ARGS_VALUES: values(p, call, kids); break;
    case PQL_ARGS_AT_LEAST: at_least_arguments(p, call, kids); break;
    case PQL_ARGS_NAME:
        if (p->tok.kind != PQL_TOKEN_STRING) expected(p, "a name in quotes");
        call->text = unquoted(p, &p->tok);
        step(p);
        break;
    }
}

/* At the function's name; `at` is where the call begins, which is earlier for account.f(…). */
static struct pql_node *call(struct pql_parser *p, size_t at, bool of_account)
{
    const struct pql_function_row *row = find_function(p->tok.text);
    if (!row) return unknown_call(p, at);
    size_t name_at = p->tok.at;
    struct kids kids = {0};
    struct pql_node *node = new_node(p, PQL_NODE_CALL, at);
    node->function = (enum pql_function)(row - pql_functions);
    node->of_account = of_account;
    pql_check_call(p, node, name_at);
    enum pql_scope scope = p->scope;
    if (of_account && scope == PQL_SCOPE_USER) p->scope = PQL_SCOPE_ACCOUNT;
    step(p);
    need_sign(p, "(");
    arguments(p, row, node, &kids);
    if (!is_sign(p, ")")) fail(p, "')' or the next argument is expected here, but %s: %s", found(p), row->usage);
    step(p);
    p->scope = scope;
    if (node->function == PQL_FN_PROPERTY) node->kind = PQL_NODE_PROPERTY;
    return finish(p, node, &kids);
}

/* ---- expressions ---- */

static struct pql_node *named(struct pql_parser *p, enum pql_node_kind kind, enum pql_type type, size_t at,
                              struct pql_slice text)
{
    struct pql_node *node = new_node(p, kind, at);
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
    return nothing(p, at);
}

/* user | user.path | account.path | account.f(…) */
static struct pql_node *user_or_account(struct pql_parser *p)
{
    size_t at = p->tok.at;
    bool is_user = is_word(p, "user");
    step(p);
    if (!is_sign(p, ".")) {
        if (!is_user) expected(p, "an attribute such as account.plan");
        if (p->scope != PQL_SCOPE_WHERE) return outside_where(p, at, "the user's id");
        return named(p, PQL_NODE_USER_ID, PQL_TYPE_TEXT, at, PQL_SLICE_LITERAL("user"));
    }
    struct pql_parser before = *p;
    step(p);
    if (!is_user && p->tok.kind == PQL_TOKEN_NAME && is_before_parenthesis(p)) return call(p, at, true);
    *p = before;
    struct pql_slice path = path_rest(p, (struct pql_slice){"", 0});
    if (is_sign(p, "(")) fail(p, "an attribute has no arguments; a function of the user is written without 'user.'");
    if (is_user && p->scope == PQL_SCOPE_ACCOUNT && !p->is_broken) {
        PQL_MISPLACED(p, at, p->end - at,
                      "a user's condition needs users(…), any_user(…) or share(…) around it in an account definition");
        return nothing(p, at);
    }
    return named(p, is_user ? PQL_NODE_USER_ATTR : PQL_NODE_ACCOUNT_ATTR, PQL_TYPE_OPEN, at, path);
}

static struct pql_node *property(struct pql_parser *p)
{
    static const char *const words[] = {"true", "false", "null", "not"};
    size_t at = p->tok.at;
    struct pql_slice name = p->tok.text;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (is_same_but_case(name, words[i])) {
            PQL_COMPLAIN(p, at, p->tok.len, "'%.*s' is written '%s'", PQL_SLICE_ARG(name), words[i]);
            step(p);
            return pql_slice_is(pql_slice_of(words[i]), "not") ? expression(p) : nothing(p, at);
        }
    if (pql_is_reserved(name)) {
        fail(p, "'%.*s' is a word of the language and cannot begin a value; such a property is property('%.*s')",
             PQL_SLICE_ARG(name), PQL_SLICE_ARG(name));
        return nothing(p, at);
    }
    step(p);
    struct pql_slice path = path_rest(p, pql_arena_copy(p->all->arena, name));
    if (p->scope != PQL_SCOPE_WHERE) {
        bool is_call = find_function(name) != NULL;
        return outside_where(p, at,
                             is_call ? pql_arena_printf(p->all->arena, "'%.*s' is a function and needs (…); a property",
                                                        PQL_SLICE_ARG(name))
                                     : pql_arena_printf(p->all->arena, "the property '%.*s'", PQL_SLICE_ARG(path)));
    }
    return named(p, PQL_NODE_PROPERTY, PQL_TYPE_OPEN, at, path);
}

static struct pql_node *own_score(struct pql_parser *p)
{
    size_t at = p->tok.at;
    step(p);
    PQL_COMPLAIN(p, at, p->end - at, "'score' is not available in this version");
    return named(p, PQL_NODE_SCORE, PQL_TYPE_NUMBER, at, PQL_SLICE_LITERAL("score"));
}

static struct pql_node *word(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (is_word(p, "one_of") || is_word(p, "any")) {
        fail(p, "events stand inside a function, as in count(any, 7d)");
        return nothing(p, at);
    }
    if (is_before_parenthesis(p)) return call(p, at, false);
    if (is_word(p, "user") || is_word(p, "account")) return user_or_account(p);
    if (is_word(p, "score") && p->scope != PQL_SCOPE_WHERE) return own_score(p);
    bool is_true = is_word(p, "true"), is_null = is_word(p, "null"), is_event = is_word(p, "event");
    if (!is_true && !is_null && !is_event && !is_word(p, "false")) return property(p);
    step(p);
    if (is_null) return constant(p, at, PQL_TYPE_NULL, pql_null());
    if (!is_event) return constant(p, at, PQL_TYPE_BOOL, pql_bool(is_true));
    if (p->scope != PQL_SCOPE_WHERE) return outside_where(p, at, "the event's name");
    return named(p, PQL_NODE_EVENT_NAME, PQL_TYPE_TEXT, at, PQL_SLICE_LITERAL("event"));
}

static struct pql_node *literal(struct pql_parser *p)
{
    struct pql_token tok = p->tok;
    step(p);
    if (tok.kind == PQL_TOKEN_STRING) return constant(p, tok.at, PQL_TYPE_TEXT, pql_text(unquoted(p, &tok)));
    if (tok.kind == PQL_TOKEN_NUMBER) {
        pql_decimal number = 0;
        PQL_ASSERT(pql_decimal_of_text(tok.text, &number)); /* its form was seen by the lexer */
        return constant(p, tok.at, PQL_TYPE_NUMBER, pql_number(number));
    }
    int64_t ms = 0;
    if (!pql_duration_parse(tok.text, &ms)) PQL_COMPLAIN(p, tok.at, tok.len, "a duration is at most 36525d");
    return constant(p, tok.at, PQL_TYPE_DURATION, pql_duration(ms));
}

static struct pql_node *primary_inside(struct pql_parser *p)
{
    if (accept_sign(p, "(")) {
        struct pql_node *node = expression(p);
        need_sign(p, ")");
        return node;
    }
    if (is_sign(p, "$")) return dollar(p);
    switch (p->tok.kind) {
    case PQL_TOKEN_NAME: return word(p);
    case PQL_TOKEN_NUMBER:
    case PQL_TOKEN_DURATION:
    case PQL_TOKEN_STRING: return literal(p);
    case PQL_TOKEN_END:
    case PQL_TOKEN_BAD:
    case PQL_TOKEN_SIGN: break;
    }
    expected(p, "a value");
    return nothing(p, p->tok.at);
}

static struct pql_node *primary(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *node = enter(p) ? primary_inside(p) : nothing(p, at);
    leave(p);
    return node;
}

static struct pql_node *unary(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (!is_sign(p, "-")) return primary(p);
    step(p);
    struct kids kids = {0};
    struct pql_node *node = new_node(p, PQL_NODE_NEG, at);
    add_kid(p, &kids, enter(p) ? unary(p) : nothing(p, at));
    leave(p);
    return finish(p, node, &kids);
}

static struct pql_node *product(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *left = unary(p);
    while (is_sign(p, "*") || is_sign(p, "/")) {
        enum pql_node_kind kind = is_sign(p, "*") ? PQL_NODE_MUL : PQL_NODE_DIV;
        step(p);
        left = binary(p, kind, at, left, unary(p));
    }
    return left;
}

static struct pql_node *sum(struct pql_parser *p)
{
    size_t at = p->tok.at;
    struct pql_node *left = product(p);
    while (is_sign(p, "+") || is_sign(p, "-")) {
        enum pql_node_kind kind = is_sign(p, "+") ? PQL_NODE_ADD : PQL_NODE_SUB;
        step(p);
        left = binary(p, kind, at, left, product(p));
    }
    return left;
}

static struct pql_node *negatable(struct pql_parser *p, enum pql_node_kind kind, size_t at, bool negated,
                                  const struct kids *kids)
{
    struct pql_node *node = new_node(p, kind, at);
    node->negated = negated;
    return finish(p, node, kids);
}

static struct pql_node *in_list(struct pql_parser *p, size_t at, bool negated, struct kids *kids)
{
    need_sign(p, "(");
    do {
        add_kid(p, kids, sum(p));
    } while (accept_sign(p, ","));
    need_sign(p, ")");
    return negatable(p, PQL_NODE_IN, at, negated, kids);
}

static struct pql_node *between(struct pql_parser *p, size_t at, bool negated, struct kids *kids)
{
    add_kid(p, kids, sum(p));
    if (!accept_operator(p, "and")) expected(p, "'and' and the upper bound");
    add_kid(p, kids, sum(p));
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
    struct kids kids = {0};
    add_kid(p, &kids, left);
    if (accept_operator(p, "is")) {
        bool negated = accept_operator(p, "not");
        if (!accept_operator(p, "null")) expected(p, "'null' (x is null, x is not null)");
        return negatable(p, PQL_NODE_IS_NULL, at, negated, &kids);
    }
    bool negated = accept_operator(p, "not");
    if (accept_operator(p, "in")) return in_list(p, at, negated, &kids);
    if (accept_operator(p, "between")) return between(p, at, negated, &kids);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        if (!accept_operator(p, texts[i].word)) continue;
        if (texts[i].second && !accept_operator(p, texts[i].second)) expected(p, "'with'");
        add_kid(p, &kids, sum(p));
        return negatable(p, texts[i].kind, at, negated, &kids);
    }
    if (negated) expected(p, "'in', 'between', 'starts with', 'ends with', 'contains' or 'matches'");
    return negated ? nothing(p, at) : NULL;
}

static struct pql_node *comparison(struct pql_parser *p)
{
    static const struct {
        const char *sign;
        enum pql_node_kind kind;
    } relations[] = {{"=", PQL_NODE_EQ},  {"!=", PQL_NODE_NE}, {"<", PQL_NODE_LT},
                     {"<=", PQL_NODE_LE}, {">", PQL_NODE_GT},  {">=", PQL_NODE_GE}};
    size_t at = p->tok.at;
    struct pql_node *left = sum(p);
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
        if (accept_sign(p, relations[i].sign)) return binary(p, relations[i].kind, at, left, sum(p));
    struct pql_node *by_word = word_relation(p, at, left);
    return by_word ? by_word : left;
}

static struct pql_node *negation(struct pql_parser *p)
{
    size_t at = p->tok.at;
    if (!is_word(p, "not")) return comparison(p);
    step(p);
    struct kids kids = {0};
    struct pql_node *node = new_node(p, PQL_NODE_NOT, at);
    add_kid(p, &kids, enter(p) ? negation(p) : nothing(p, at));
    leave(p);
    return finish(p, node, &kids);
}

/* operand { word operand } */
static struct pql_node *chain(struct pql_parser *p, enum pql_node_kind kind, const char *joint,
                              struct pql_node *(*operand)(struct pql_parser *))
{
    size_t at = p->tok.at;
    struct pql_node *first = operand(p);
    if (!is_operator(p, joint)) return first;
    struct kids kids = {0};
    add_flat(p, kind, &kids, first);
    while (accept_operator(p, joint)) add_flat(p, kind, &kids, operand(p));
    return finish(p, new_node(p, kind, at), &kids);
}

static struct pql_node *conjunction(struct pql_parser *p) { return chain(p, PQL_NODE_AND, "and", negation); }
static struct pql_node *expression(struct pql_parser *p) { return chain(p, PQL_NODE_OR, "or", conjunction); }

/* ---- entry ---- */

static const struct pql_node *parse(const struct pql_lang_env *env, const struct pql_source *source,
                                    enum pql_place place, uint32_t self, struct pql_arena *arena,
                                    struct pql_diags *diags, bool is_condition)
{
    static const enum pql_scope scopes[] = {[PQL_PLACE_USER] = PQL_SCOPE_USER,
                                            [PQL_PLACE_ACCOUNT] = PQL_SCOPE_ACCOUNT,
                                            [PQL_PLACE_IGNORE] = PQL_SCOPE_WHERE};
    size_t errors_before = diags->errors_count;
    struct pql_parsing all = {.env = env, .arena = arena, .diags = diags, .self = self};
    struct pql_parser p = {.all = &all, .source = source, .scope = scopes[place]};
    open_text(&p);
    size_t at = p.tok.at;
    if (p.tok.kind == PQL_TOKEN_END) fail(&p, "the text is empty");
    const struct pql_node *node = expression(&p);
    close_text(&p);
    if (is_condition && !p.is_broken) pql_check_condition(&p, node, at);
    return diags->errors_count == errors_before ? node : NULL;
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
