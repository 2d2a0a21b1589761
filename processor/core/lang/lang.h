/* lang.h - text of a definition to a checked tree. Grammar and types: conf/ and `pqlstream explain
 * --language`. Errors go to diags, all at once, with place and suggestion. Constant arithmetic is folded.
 * Thread: one. */
#ifndef PQL_CORE_LANG_LANG_H
#define PQL_CORE_LANG_LANG_H

#include "core/lang/ast.h"

enum {
    PQL_LANG_TEXT_MAX = 64 * 1024,
    PQL_LANG_DEPTH_MAX = 64,    /* of parentheses, calls, signs and $signals inside each other */
    PQL_LANG_HEIGHT_MAX = 256,  /* of the tree; a sum of many terms is one level a term */
    PQL_LANG_NODES_MAX = 20000, /* of one text with all its $signals */
};

/* Where an expression stands decides what may stand in it. */
enum pql_place {
    PQL_PLACE_USER,      /* eligible, qualify, stay of a user definition */
    PQL_PLACE_ACCOUNT,   /* of an account definition */
    PQL_PLACE_IGNORE,    /* a mapping's ignore: as inside where */
    PQL_PLACE_USER_ITEM, /* of a score: as the two above, without the score itself */
    PQL_PLACE_ACCOUNT_ITEM,
};

struct pql_lang_definition {
    struct pql_slice name;
    enum pql_subject subject;
    bool has_score, has_tiers, is_shadow;
};

/* What names mean. Signals are parsed where they are used, since place decides what they may contain. */
struct pql_lang_env {
    const struct pql_lang_definition *definitions;
    size_t definitions_count;
    const struct pql_lang_signal {
        struct pql_slice name;
        struct pql_source source;
    } * signals;
    size_t signals_count;
    const struct pql_lang_parameter {
        struct pql_slice name;
        struct pql_value value; /* NUMBER, TEXT or DURATION ("21d" in the configuration is a duration) */
        struct pql_source by;   /* "account.segment"; an empty text: one value for all */
        const struct pql_lang_value {
            struct pql_value is, value; /* of an attribute, and what the parameter is then */
        } * values;
        size_t values_count;
    } * parameters;
    size_t parameters_count;
    const struct pql_slice *periods; /* names of the mapping's periods */
    size_t periods_count;
    const struct pql_slice *off; /* names of definitions that are there and not evaluated */
    size_t off_count;
};

/* The checked tree of a boolean expression (an open value is one too), or NULL after errors. The source must
 * outlive the tree. self: index of the definition that the text belongs to, or UINT32_MAX. */
const struct pql_node *pql_lang_parse(const struct pql_lang_env *env, const struct pql_source *source,
                                      enum pql_place place, uint32_t self, struct pql_arena *arena,
                                      struct pql_diags *diags);

/* As pql_lang_parse, of an expression of any type: what a definition shows beside its reason. */
const struct pql_node *pql_lang_parse_value(const struct pql_lang_env *env, const struct pql_source *source,
                                            enum pql_place place, uint32_t self, struct pql_arena *arena,
                                            struct pql_diags *diags);

/* Normalised text of a node: one spelling for trees that mean the same call (single spaces, durations in the
 * largest unit that divides them, one_of sorted). Two signals are one if their texts, subjects and zones are.
 */
struct pql_slice pql_lang_text(const struct pql_node *node, struct pql_arena *arena);

/* "x.p where q = 1" */
struct pql_slice pql_selector_text(const struct pql_selector *selector, struct pql_arena *arena);
/* "first 7d", "14d", "prev 7d", "ever", or empty. */
struct pql_slice pql_window_text(const struct pql_window *window, struct pql_arena *arena);
/* "7d", "36h", "1500ms": the largest unit that divides it. */
struct pql_slice pql_duration_text(int64_t ms, struct pql_arena *arena);
/* "90s", "7d", "36h" to ms; false if it is not a duration or too long (100 years). */
bool pql_duration_parse(struct pql_slice text, int64_t *ms);

/* The form of a function's arguments. */
enum pql_arguments {
    PQL_ARGS_NONE,
    PQL_ARGS_EVENTS,     /* selector [, window] */
    PQL_ARGS_NTH,        /* selector, integer */
    PQL_ARGS_USAGE,      /* selector, limit */
    PQL_ARGS_SEQUENCE,   /* step then step … */
    PQL_ARGS_MEMBERS,    /* a user's condition */
    PQL_ARGS_SHARE,      /* a user's condition [of another] */
    PQL_ARGS_SPREAD,     /* user.attribute, a user's condition */
    PQL_ARGS_DEFINITION, /* the name of a definition */
    PQL_ARGS_VALUES,     /* expressions */
    PQL_ARGS_AT_LEAST,   /* integer, conditions */
    PQL_ARGS_NAME,       /* a text */
};

/* The row of a function; documentation for explain --language comes from it. */
struct pql_function_row {
    const char *name;
    const char *usage; /* "count(E, W)" */
    const char *help;
    enum pql_type type;
    bool is_event_function; /* takes a selector */
    bool needs_path;
    enum pql_arguments arguments;
    unsigned windows;  /* bit per enum pql_window_kind that it takes; with NONE's bit it may be left out */
    bool is_available; /* false: known, refused by name in this version */
};
extern const struct pql_function_row pql_functions[PQL_FN_TOTAL];

/* Bit per enum pql_window_kind: what this version computes; the others are known and refused by name. */
extern const unsigned pql_windows_available;

/* The language on a page: operators, selectors, windows, and every function of the table. */
void pql_lang_print(FILE *out);

#endif
