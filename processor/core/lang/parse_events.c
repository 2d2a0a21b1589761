/* Signals, names of events and properties, selectors, windows. */
#include "core/lang/parse.h"

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

void pql_parse_open_text(struct pql_parser *p)
{
    p->tok = (struct pql_token){0};
    if (p->source->text.len > PQL_LANG_TEXT_MAX)
        pql_parse_fail(p, "a text has at most %d bytes, this one has %zu", PQL_LANG_TEXT_MAX,
                       p->source->text.len);
    pql_parse_step(p);
}

void pql_parse_close_text(struct pql_parser *p)
{
    if (p->is_broken || p->tok.kind == PQL_TOKEN_END) return;
    static const char *const relations[] = {"=", "!=", "<", "<=", ">", ">="};
    for (size_t i = 0; i < sizeof relations / sizeof *relations; i++)
        if (pql_parse_is_sign(p, relations[i])) {
            pql_parse_fail(p, "one comparison cannot follow another; write 'a < b and b < c'");
            return;
        }
    if (pql_parse_is_sign(p, ")"))
        pql_parse_fail(p, "this ')' has no '('");
    else
        pql_parse_fail(p, "the text should end here or go on with an operator such as 'and', but %s",
                       pql_parse_found(p));
}

/* A parser of the named signal's text; false after a message. The caller calls pql_parse_leave(). */
static bool open_signal(struct pql_parser *p, size_t at, const struct pql_lang_signal *signal,
                        struct pql_parser *in)
{
    if (is_cycle(p, signal, at)) return false;
    if (!pql_parse_enter(p)) {
        pql_parse_leave(p);
        return false;
    }
    *in = (struct pql_parser){
        .all = p->all, .source = &signal->source, .signal = signal, .outer = p, .scope = p->scope};
    pql_parse_open_text(in);
    return true;
}

static struct pql_node *parameter(struct pql_parser *p, size_t at, const struct pql_value *value)
{
    static const enum pql_type types[] = {
        [PQL_NULL] = PQL_TYPE_NULL, [PQL_BOOL] = PQL_TYPE_BOOL,         [PQL_NUMBER] = PQL_TYPE_NUMBER,
        [PQL_TEXT] = PQL_TYPE_TEXT, [PQL_DURATION] = PQL_TYPE_DURATION, [PQL_TIME] = PQL_TYPE_TIME,
    };
    return pql_parse_constant(p, at, types[value->kind], *value);
}

/* if and coalesce that stand for the parameter. */
static struct pql_node *parameter_call(struct pql_parser *p, size_t at, enum pql_function function,
                                       struct pql_slice name, const struct pql_kids *kids)
{
    struct pql_node *call = pql_parse_new_node(p, PQL_NODE_CALL, at);
    call->function = function;
    call->text = name;
    return pql_parse_finish(p, call, kids);
}

static const struct pql_node *parameter_attribute(struct pql_parser *p, size_t at, struct pql_slice by)
{
    bool is_user = by.ptr[0] == 'u';
    size_t skip = strlen(is_user ? "user." : "account.");
    struct pql_node *attribute =
        pql_parse_new_node(p, is_user ? PQL_NODE_USER_ATTR : PQL_NODE_ACCOUNT_ATTR, at);
    attribute->type = PQL_TYPE_OPEN;
    attribute->text = (struct pql_slice){by.ptr + skip, by.len - skip};
    return pql_parse_finish(p, attribute, &(struct pql_kids){0});
}

/* $bar by account.segment is coalesce(if(account.segment = 'enterprise', 12, null), …, default). */
static struct pql_node *parameter_by(struct pql_parser *p, size_t at, const struct pql_lang_parameter *param)
{
    struct pql_kids values = {0};
    if (param->by.text.ptr[0] == 'u' && p->scope == PQL_SCOPE_ACCOUNT) {
        PQL_MISPLACED(p, at, p->end - at,
                      "$%.*s goes by %.*s: it stands inside users(…), any_user(…) or share(…) in an account "
                      "definition",
                      PQL_SLICE_ARG(param->name), PQL_SLICE_ARG(param->by.text));
        return pql_parse_nothing(p, at);
    }
    for (size_t i = 0; i < param->values_count; i++) {
        struct pql_kids sides = {0}, branches = {0};
        pql_parse_add_kid(p, &sides, parameter_attribute(p, at, param->by.text));
        pql_parse_add_kid(p, &sides, parameter(p, at, &param->values[i].is));
        struct pql_node *is = pql_parse_new_node(p, PQL_NODE_EQ, at);
        pql_parse_add_kid(p, &branches, pql_parse_finish(p, is, &sides));
        pql_parse_add_kid(p, &branches, parameter(p, at, &param->values[i].value));
        pql_parse_add_kid(p, &branches, pql_parse_constant(p, at, PQL_TYPE_NULL, pql_null()));
        pql_parse_add_kid(p, &values, parameter_call(p, at, PQL_FN_IF, param->name, &branches));
    }
    pql_parse_add_kid(p, &values, parameter(p, at, &param->value));
    return parameter_call(p, at, PQL_FN_COALESCE, param->name, &values);
}

/* After '$'. Empty after a message. */
static struct pql_slice dollar_name(struct pql_parser *p)
{
    struct pql_slice name = p->tok.text;
    if (p->tok.kind != PQL_TOKEN_NAME) {
        pql_parse_expected(p, "the name of a signal or parameter");
        return (struct pql_slice){"", 0};
    }
    pql_parse_step(p);
    return name;
}

struct pql_node *pql_parse_dollar(struct pql_parser *p)
{
    size_t at = p->tok.at;
    pql_parse_step(p);
    struct pql_slice name = dollar_name(p);
    if (!name.len) return pql_parse_nothing(p, at);
    const struct pql_lang_signal *signal = find_signal(p->all->env, name);
    const struct pql_lang_parameter *param = find_parameter(p->all->env, name);
    if (!signal && param)
        return param->values_count ? parameter_by(p, at, param) : parameter(p, at, &param->value);
    struct pql_parser in;
    if (!signal) unknown_dollar(p, at, name);
    if (!signal || !open_signal(p, at, signal, &in)) return pql_parse_nothing(p, at);
    size_t misplaced_before = p->all->misplaced_count;
    struct pql_node *node = pql_parse_expression(&in);
    pql_parse_close_text(&in);
    pql_parse_leave(p);
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
struct pql_slice pql_parse_path_rest(struct pql_parser *p, struct pql_slice path)
{
    while (pql_parse_is_sign(p, ".")) {
        pql_parse_step_as(p, true);
        struct pql_slice key = p->tok.text;
        if (p->tok.kind == PQL_TOKEN_STRING)
            key = pql_parse_unquoted(p, &p->tok);
        else if (p->tok.kind != PQL_TOKEN_NAME && p->tok.kind != PQL_TOKEN_NUMBER) {
            pql_parse_expected(p, "a name");
            return path;
        }
        path = join_key(p, path, key);
        pql_parse_step(p);
    }
    return path;
}

/* NAME | STRING. Empty after a message. */
struct pql_slice pql_parse_name(struct pql_parser *p, const char *what)
{
    struct pql_slice name = {"", 0};
    if (p->tok.kind == PQL_TOKEN_STRING)
        name = pql_parse_unquoted(p, &p->tok);
    else if (p->tok.kind == PQL_TOKEN_NAME && !pql_is_reserved(p->tok.text))
        name = pql_arena_copy(p->all->arena, p->tok.text);
    else if (p->tok.kind == PQL_TOKEN_NAME)
        pql_parse_fail(p, "'%.*s' is a word of the language; as %s it stands in quotes: '%.*s'",
                       PQL_SLICE_ARG(p->tok.text), what, PQL_SLICE_ARG(p->tok.text));
    else
        pql_parse_expected(p, what);
    if (!p->is_broken && !name.len) pql_parse_fail(p, "%s cannot be empty", what);
    pql_parse_step(p);
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
    pql_parse_step(p);
    pql_parse_need_sign(p, "(");
    do {
        if (selector->events_count == EVENTS_MAX)
            pql_parse_fail(p, "one_of takes at most %d events", EVENTS_MAX);
        add_event(p, selector, pql_parse_name(p, "the name of an event"));
    } while (pql_parse_accept_sign(p, ","));
    pql_parse_need_sign(p, ")");
}

static void dollar_selector(struct pql_parser *p, struct pql_selector *out)
{
    size_t at = p->tok.at;
    pql_parse_step(p);
    struct pql_slice name = dollar_name(p);
    if (!name.len) return;
    const struct pql_lang_signal *signal = find_signal(p->all->env, name);
    struct pql_parser in;
    if (!signal && find_parameter(p->all->env, name))
        PQL_COMPLAIN(p, at, p->end - at, "events are expected here, and $%.*s is a parameter",
                     PQL_SLICE_ARG(name));
    else if (!signal)
        unknown_dollar(p, at, name);
    if (!signal || !open_signal(p, at, signal, &in)) return;
    pql_parse_selector(&in, out);
    if (!in.is_broken && in.tok.kind != PQL_TOKEN_END)
        pql_parse_fail(&in, "$%.*s is used as events, so its text must be one selector, but %s",
                       PQL_SLICE_ARG(name), pql_parse_found(&in));
    pql_parse_leave(p);
}

static void events(struct pql_parser *p, struct pql_selector *out)
{
    if (pql_parse_is_sign(p, "$")) {
        dollar_selector(p, out);
    } else if (pql_parse_is_word(p, "any")) {
        out->any = true;
        pql_parse_step(p);
    } else if (pql_parse_is_word(p, "one_of")) {
        one_of(p, out);
    } else {
        add_event(p, out, pql_parse_name(p, "the name of an event"));
    }
}

static void where(struct pql_parser *p, struct pql_selector *out)
{
    if (!pql_parse_accept_operator(p, "where")) return;
    enum pql_scope scope = p->scope;
    p->scope = PQL_SCOPE_WHERE;
    size_t at = p->tok.at;
    const struct pql_node *filter = pql_parse_expression(p);
    pql_check_condition(p, filter, at);
    p->scope = scope;
    if (out->where) { /* that of a $signal, and this one */
        struct pql_kids kids = {0};
        struct pql_node *both = pql_parse_new_node(p, PQL_NODE_AND, at);
        pql_parse_add_flat(p, PQL_NODE_AND, &kids, out->where);
        pql_parse_add_flat(p, PQL_NODE_AND, &kids, filter);
        filter = pql_parse_finish(p, both, &kids);
    }
    out->where = filter;
}

void pql_parse_selector(struct pql_parser *p, struct pql_selector *out)
{
    *out = (struct pql_selector){0};
    if (pql_parse_enter(p)) events(p, out);
    if (pql_parse_is_sign(p, ".")) {
        if (out->path.len) pql_parse_fail(p, "these events have a property already");
        out->path = pql_parse_path_rest(p, (struct pql_slice){"", 0});
    }
    where(p, out);
    pql_parse_leave(p);
}

/* ---- windows ---- */

int64_t pql_parse_span(struct pql_parser *p)
{
    int64_t ms = 0;
    size_t at = p->tok.at;
    if (p->tok.kind == PQL_TOKEN_DURATION) {
        if (!pql_duration_parse(p->tok.text, &ms))
            PQL_COMPLAIN(p, at, p->tok.len, "a duration is at most 36525d");
        else if (ms == 0)
            PQL_COMPLAIN(p, at, p->tok.len, "a window must be longer than 0");
        pql_parse_step(p);
        return ms ? ms : 1;
    }
    if (!pql_parse_accept_sign(p, "$")) {
        pql_parse_expected(p, "a duration such as 7d");
        return 1;
    }
    struct pql_slice name = dollar_name(p);
    const struct pql_lang_parameter *param = find_parameter(p->all->env, name);
    if (name.len && !param && !find_signal(p->all->env, name))
        unknown_dollar(p, at, name);
    else if (param && param->values_count)
        PQL_COMPLAIN(p, at, p->end - at, "a window needs a parameter of one value; $%.*s has others by %.*s",
                     PQL_SLICE_ARG(name), PQL_SLICE_ARG(param->by.text));
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
    pql_parse_step(p);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (pql_parse_is_word(p, units[i].word)) out->kind = units[i].kind;
    if (out->kind == PQL_WINDOW_NONE) pql_parse_expected(p, "'week', 'month' or 'quarter'");
    pql_parse_step(p);
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
        const char *nearest = pql_parse_suggestion(p, name, words, FIXED + env->periods_count);
        PQL_COMPLAIN(
            p, p->tok.at, p->tok.len, "no period of a mapping is called '%.*s'%s", PQL_SLICE_ARG(name),
            *nearest ? nearest : "; other windows are 7d, first 7d, prev 7d, ever, today, this week");
    }
    pql_parse_step(p);
}

static void window(struct pql_parser *p, struct pql_window *out)
{
    *out = (struct pql_window){0};
    if (pql_parse_is_word(p, "prev") || pql_parse_is_word(p, "first")) {
        out->kind = pql_parse_is_word(p, "prev") ? PQL_WINDOW_PREV : PQL_WINDOW_FIRST;
        pql_parse_step(p);
        out->ms = pql_parse_span(p);
    } else if (pql_parse_is_word(p, "ever") || pql_parse_is_word(p, "today")) {
        out->kind = pql_parse_is_word(p, "ever") ? PQL_WINDOW_EVER : PQL_WINDOW_TODAY;
        pql_parse_step(p);
    } else if (pql_parse_is_word(p, "this")) {
        calendar_window(p, out);
    } else if (p->tok.kind == PQL_TOKEN_DURATION || pql_parse_is_sign(p, "$")) {
        out->kind = PQL_WINDOW_ROLLING;
        out->ms = pql_parse_span(p);
    } else if (p->tok.kind == PQL_TOKEN_NAME && !pql_is_reserved(p->tok.text)) {
        period_window(p, out);
    } else {
        pql_parse_expected(p, "a window such as 7d, first 7d or ever");
    }
}

static void window_refused(struct pql_parser *p, const struct pql_function_row *row,
                           const struct pql_window *win, size_t at)
{
    bool takes_any = (row->windows & ~(1u << PQL_WINDOW_NONE)) != 0;
    if (!takes_any)
        PQL_COMPLAIN(p, at, p->end - at, "%s takes no window: %s", row->name, row->usage);
    else if (win->kind == PQL_WINDOW_PREV)
        PQL_COMPLAIN(p, at, p->end - at,
                     "%s cannot look at 'prev': that needs every occurrence; take count(…, prev …)",
                     row->name);
    else
        PQL_COMPLAIN(p, at, p->end - at,
                     "%s cannot look at this window: that needs every occurrence; take 'first …'", row->name);
}

/* [ "," window ] of a call. Without one: what the function means then. */
void pql_parse_window(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call)
{
    bool may_omit = row->windows & 1u << PQL_WINDOW_NONE;
    if (!pql_parse_accept_sign(p, ",")) {
        if (row->windows & 1u << PQL_WINDOW_EVER && may_omit) call->window.kind = PQL_WINDOW_EVER;
        if (!may_omit && !p->is_broken && pql_parse_is_sign(p, ")"))
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
        PQL_COMPLAIN(p, at, p->end - at, "the window '%.*s' is not available in this version",
                     (int)(p->end - at), p->source->text.ptr + at);
}
