/* parse.h - the inside of the parser: what its files (cursor, parse_events, parse_call, parse) and the
 * checker share. Every node is checked as soon as its kids are complete: no tree of wrong types is ever built
 * further, and one pass over the text is enough. Nothing here is called from outside core/lang. */
#ifndef PQL_CORE_LANG_PARSE_H
#define PQL_CORE_LANG_PARSE_H

#include "core/lang/lang.h"
#include "core/lang/lex.h"

/* What an expression is about. */
enum pql_scope {
    PQL_SCOPE_USER,    /* a user's definition */
    PQL_SCOPE_ACCOUNT, /* an account's definition, or inside account.f(…) */
    PQL_SCOPE_MEMBER,  /* inside users(…), share(…): one member */
    PQL_SCOPE_WHERE,   /* one event */
};

/* Of one call of pql_lang_parse, with all signals that it reads. */
struct pql_parsing {
    const struct pql_lang_env *env;
    struct pql_arena *arena;
    struct pql_diags *diags;
    uint32_t self;
    size_t nodes_count;
    size_t misplaced_count; /* messages that hang on the place, so that a $signal may be right elsewhere */
    unsigned depth;
    bool is_full; /* nodes_count reached its limit, and it was said */
    bool is_item; /* of a score */
};

/* Of one text. A $signal is read by a parser of its own. */
struct pql_parser {
    struct pql_parsing *all;
    const struct pql_source *source;
    const struct pql_lang_signal *signal; /* whose text it is, or NULL */
    const struct pql_parser *outer;       /* the text that uses the signal */
    struct pql_token tok;
    size_t end; /* of the token before tok */
    enum pql_scope scope;
    bool is_broken; /* after a fault of grammar: only the end of the text follows */
};

#define PQL_COMPLAIN(p, at, span, ...)                                                                       \
    pql_diag_source((p)->all->diags, PQL_SEVERITY_ERROR, (p)->source, (at), (span), __VA_ARGS__)

/* About what may not stand where it does. */
#define PQL_MISPLACED(p, at, span, ...)                                                                      \
    ((p)->all->misplaced_count++, PQL_COMPLAIN((p), (at), (span), __VA_ARGS__))

/* ---- cursor.c: tokens ---- */

void pql_parse_step(struct pql_parser *p);
/* Behind the dot of a path, where digits are a key. */
void pql_parse_step_as(struct pql_parser *p, bool is_key);
/* A fault of grammar at the current token: told once, and the text is over. */
void pql_parse_fail(struct pql_parser *p, const char *format, ...) PQL_PRINTF(2, 3);
/* "… is expected here, but … was found" */
void pql_parse_expected(struct pql_parser *p, const char *what);
const char *pql_parse_found(const struct pql_parser *p);
bool pql_parse_is_sign(const struct pql_parser *p, const char *sign);
bool pql_parse_accept_sign(struct pql_parser *p, const char *sign);
void pql_parse_need_sign(struct pql_parser *p, const char *sign);
bool pql_parse_is_word(const struct pql_parser *p, const char *word);
/* Where an operand is complete no name can follow, so that AND can only be meant as the word `and`: these two
 * take it so, with a message. */
bool pql_parse_is_operator(struct pql_parser *p, const char *word);
bool pql_parse_accept_operator(struct pql_parser *p, const char *word);
bool pql_parse_is_same_but_case(struct pql_slice a, const char *word);
bool pql_parse_is_before_parenthesis(const struct pql_parser *p);
/* The text of a STRING token, '' made one. */
struct pql_slice pql_parse_unquoted(struct pql_parser *p, const struct pql_token *tok);
/* "; did you mean 'x'?" or nothing. */
const char *pql_parse_suggestion(struct pql_parser *p, struct pql_slice name, const char *const *words,
                                 size_t count);

/* ---- cursor.c: nodes ---- */

struct pql_kids {
    const struct pql_node **items;
    size_t count, capacity;
};

void pql_parse_add_kid(struct pql_parser *p, struct pql_kids *kids, const struct pql_node *kid);
/* `and` of `and`s is one node, wherever the parentheses stood. */
void pql_parse_add_flat(struct pql_parser *p, enum pql_node_kind kind, struct pql_kids *kids,
                        const struct pql_node *kid);
struct pql_node *pql_parse_new_node(struct pql_parser *p, enum pql_node_kind kind, size_t at);
/* Ends a node at the last token and checks it. */
struct pql_node *pql_parse_finish(struct pql_parser *p, struct pql_node *node, const struct pql_kids *kids);
struct pql_node *pql_parse_constant(struct pql_parser *p, size_t at, enum pql_type type,
                                    struct pql_value value);
/* What stands for a part that was reported already: it fits anywhere. */
struct pql_node *pql_parse_nothing(struct pql_parser *p, size_t at);
/* One level deeper; false after a message. leave() in any case. */
bool pql_parse_enter(struct pql_parser *p);
void pql_parse_leave(struct pql_parser *p);

/* ---- parse_events.c ---- */

void pql_parse_open_text(struct pql_parser *p);
void pql_parse_close_text(struct pql_parser *p);
/* "$" NAME as a value. */
struct pql_node *pql_parse_dollar(struct pql_parser *p);
/* { "." key } behind the keys that `path` holds already. */
struct pql_slice pql_parse_path_rest(struct pql_parser *p, struct pql_slice path);
/* NAME | STRING of an event or a definition; empty after a message. */
struct pql_slice pql_parse_name(struct pql_parser *p, const char *what);
void pql_parse_selector(struct pql_parser *p, struct pql_selector *out);
int64_t pql_parse_span(struct pql_parser *p);
/* [ "," window ] of a call. Without one: what the function means then. */
void pql_parse_window(struct pql_parser *p, const struct pql_function_row *row, struct pql_node *call);

/* ---- parse_call.c ---- */

const struct pql_function_row *pql_parse_find_function(struct pql_slice name);
/* At the function's name; `at` is where the call begins, which is earlier for account.f(…). */
struct pql_node *pql_parse_call(struct pql_parser *p, size_t at, bool of_account);

/* ---- parse.c ---- */

struct pql_node *pql_parse_expression(struct pql_parser *p);
struct pql_node *pql_parse_sum(struct pql_parser *p);

/* ---- check.c, range.c ---- */

/* Gives the node its type and height, reports what does not fit, folds constant arithmetic. */
void pql_check(struct pql_parser *p, struct pql_node *node);
/* Warns of `count(…) < 0` and its like: a comparison of two kids that comes out the same whatever happens. */
void pql_check_range(struct pql_parser *p, const struct pql_node *node);
/* What a value can be whatever happens: numbers from low to high; high 0: no bound. */
struct pql_check_range {
    int64_t low, high;
    bool has_range, is_whole, may_be_null;
};
struct pql_check_range pql_check_range_of(const struct pql_node *value);
/* `b > a` for `a < b`. */
enum pql_node_kind pql_check_turned_round(enum pql_node_kind relation);
/* Reports a call that may not stand here, or is not of this version. */
void pql_check_call(struct pql_parser *p, const struct pql_node *call, size_t name_at);
/* Reports bytes [at, end of the last token) if the node there cannot be a condition. */
void pql_check_condition(struct pql_parser *p, const struct pql_node *node, size_t at);

#endif
