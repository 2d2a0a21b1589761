/* lex.h - text to tokens, one at a time. Views of the text; nothing is kept. */
#ifndef PQL_CORE_LANG_LEX_H
#define PQL_CORE_LANG_LEX_H

#include "base/slice.h"
#include <stdint.h>

enum pql_token_kind {
    PQL_TOKEN_END,
    PQL_TOKEN_BAD, /* problem says why */
    PQL_TOKEN_NAME,
    PQL_TOKEN_NUMBER,
    PQL_TOKEN_DURATION,
    PQL_TOKEN_STRING, /* text: between the quotes, '' still doubled */
    PQL_TOKEN_SIGN,   /* ( ) , . $ + - * / = != < <= > >= */
};

struct pql_token {
    enum pql_token_kind kind;
    size_t at, len;        /* bytes of the source */
    struct pql_slice text; /* what it reads as: "==" reads as "=", "&&" as the name "and" */
    const char *problem;   /* a message about it, or NULL; unless BAD it can be used all the same */
};

/* The token at or after `at`. is_key: after the dot of a path, where digits are a key of their own ("a.0.1").
 */
struct pql_token pql_lex(struct pql_slice text, size_t at, bool is_key);

bool pql_is_name(struct pql_slice text);
/* A word that the grammar keeps for itself: as the name of an event or definition it is quoted. */
bool pql_is_reserved(struct pql_slice text);

#endif
