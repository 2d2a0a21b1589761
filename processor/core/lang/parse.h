/* parse.h - what the parser and the checker share while a text is read. Every node is checked as soon as its kids are
 * complete: no tree of wrong types is ever built further, and one pass over the text is enough. */
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

#define PQL_COMPLAIN(p, at, span, ...) \
    pql_diag_source((p)->all->diags, PQL_SEVERITY_ERROR, (p)->source, (at), (span), __VA_ARGS__)

/* About what may not stand where it does. */
#define PQL_MISPLACED(p, at, span, ...) ((p)->all->misplaced_count++, PQL_COMPLAIN((p), (at), (span), __VA_ARGS__))

/* Gives the node its type and height, reports what does not fit, folds constant arithmetic. */
void pql_check(struct pql_parser *p, struct pql_node *node);
/* Warns of `count(…) < 0` and its like: a comparison of two kids that comes out the same whatever happens. */
void pql_check_range(struct pql_parser *p, const struct pql_node *node);
/* Reports a call that may not stand here, or is not of this version. */
void pql_check_call(struct pql_parser *p, const struct pql_node *call, size_t name_at);
/* Reports bytes [at, end of the last token) if the node there cannot be a condition. */
void pql_check_condition(struct pql_parser *p, const struct pql_node *node, size_t at);

#endif
