/* ast.h - a checked expression: what the parser and the checker hand to the compiler of programs.
 * All nodes live in the arena given to pql_lang_parse, are immutable afterwards, and point to each other only
 * downwards. */
#ifndef PQL_CORE_LANG_AST_H
#define PQL_CORE_LANG_AST_H

#include "base/diag.h"
#include "core/record.h"
#include "core/value.h"

enum pql_type {
    PQL_TYPE_BOOL,
    PQL_TYPE_NUMBER,
    PQL_TYPE_TEXT,
    PQL_TYPE_DURATION,
    PQL_TYPE_TIME,
    PQL_TYPE_OPEN, /* properties and attributes: known only per value */
    PQL_TYPE_NULL,
    PQL_TYPE_COUNT,
};

/* Every function of the language has one row in functions.c: name, arguments, types, windows, documentation.
 */
enum pql_function {
    PQL_FN_COUNT,
    PQL_FN_SUM,
    PQL_FN_AVG,
    PQL_FN_MIN,
    PQL_FN_MAX,
    PQL_FN_LATEST,
    PQL_FN_EARLIEST,
    PQL_FN_DISTINCT,
    PQL_FN_DAYS,
    PQL_FN_WEEKS,
    PQL_FN_MONTHS,
    PQL_FN_STREAK,
    PQL_FN_EVER,
    PQL_FN_NTH,
    PQL_FN_FIRST_TIME,
    PQL_FN_LAST_TIME,
    PQL_FN_SINCE,
    PQL_FN_SEQUENCE,
    PQL_FN_USAGE,
    PQL_FN_AGE,
    PQL_FN_USERS,
    PQL_FN_ANY_USER,
    PQL_FN_ALL_USERS,
    PQL_FN_SHARE,
    PQL_FN_SPREAD,
    PQL_FN_MEMBERS,
    PQL_FN_IS,
    PQL_FN_WAS,
    PQL_FN_SCORE,
    PQL_FN_TIER,
    PQL_FN_IN_STATE_FOR,
    PQL_FN_HOUR,
    PQL_FN_WEEKDAY,
    PQL_FN_IF,
    PQL_FN_COALESCE,
    PQL_FN_AT_LEAST,
    PQL_FN_PROPERTY,
    PQL_FN_TOTAL,
};

enum pql_window_kind {
    PQL_WINDOW_NONE, /* the function takes none */
    PQL_WINDOW_ROLLING,
    PQL_WINDOW_PREV,
    PQL_WINDOW_FIRST,
    PQL_WINDOW_EVER,
    PQL_WINDOW_TODAY,
    PQL_WINDOW_WEEK,
    PQL_WINDOW_MONTH,
    PQL_WINDOW_QUARTER,
    PQL_WINDOW_PERIOD, /* named in the mapping */
};

struct pql_window {
    enum pql_window_kind kind;
    int64_t ms;              /* ROLLING, PREV, FIRST */
    struct pql_slice period; /* PERIOD */
};

enum { PQL_SEQUENCE_STEPS_MAX = 16 };

struct pql_node;

/* Which events a function listens to, which property it reads, and the filter. */
struct pql_selector {
    bool any;
    const struct pql_slice *events; /* names, sorted by bytes and without repetition; empty where any */
    size_t events_count;
    struct pql_slice path;        /* dotted property name, "user" and "event" included; empty: none */
    const struct pql_node *where; /* or NULL */
};

enum pql_node_kind {
    PQL_NODE_CONST,
    PQL_NODE_PROPERTY,  /* text: dotted name; only inside where */
    PQL_NODE_USER_ATTR, /* text: name after `user.` */
    PQL_NODE_ACCOUNT_ATTR,
    PQL_NODE_USER_ID, /* of the event; only inside where */
    PQL_NODE_EVENT_NAME,
    PQL_NODE_SCORE, /* the definition's own */
    PQL_NODE_NOT,
    PQL_NODE_AND,
    PQL_NODE_OR, /* AND and OR: two or more kids, in text order, flattened */
    PQL_NODE_NEG,
    PQL_NODE_ADD,
    PQL_NODE_SUB,
    PQL_NODE_MUL,
    PQL_NODE_DIV,
    PQL_NODE_EQ,
    PQL_NODE_NE,
    PQL_NODE_LT,
    PQL_NODE_LE,
    PQL_NODE_GT,
    PQL_NODE_GE,
    PQL_NODE_IN,      /* kids: value, item, item …; negated: not in */
    PQL_NODE_BETWEEN, /* kids: value, low, high; negated: not between */
    PQL_NODE_STARTS,
    PQL_NODE_ENDS,
    PQL_NODE_CONTAINS,
    PQL_NODE_MATCHES, /* two kids; may be negated */
    PQL_NODE_IS_NULL, /* one kid; negated: is not null */
    PQL_NODE_CALL,
    PQL_NODE_KIND_COUNT,
};

struct pql_node {
    enum pql_node_kind kind;
    enum pql_type type;
    bool negated;
    bool of_account;                 /* CALL: written account.f(…) in a user's definition */
    uint16_t height;                 /* of the tree below, 1 for a leaf */
    const struct pql_source *source; /* where it stands; a $signal's nodes point into the signal's own text */
    size_t at, span;
    const struct pql_node *const
        *kids; /* operands; of a CALL: its expressions (users(c): c; share(c of d): c, d;
                  usage: limit; if, coalesce, at_least: all of them; spread: condition) */
    size_t kids_count;
    struct pql_value value; /* CONST */
    struct pql_slice text;  /* PROPERTY, attributes; spread: the attribute's name; is, was … : the
                               definition's; of if and coalesce that stand for a parameter with `by`: its
                               name, and all values are constants; property('…') is a PROPERTY */
    /* CALL only: */
    enum pql_function function;
    struct pql_selector selector; /* event functions */
    struct pql_window window;
    int64_t n;                        /* nth, at_least */
    uint32_t definition;              /* is, was, score, tier, in_state_for: index */
    const struct pql_selector *steps; /* sequence */
    size_t steps_count;
    struct pql_slice by; /* sequence: dotted property, or empty */
    int64_t within_ms;   /* sequence: 0 none */
};

#endif
