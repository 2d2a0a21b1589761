/* compiled.h - the inside of a program: what program.c builds and only engine, expr, evidence, snapshot and
 * explain read.
 *
 *   definition ──qualify──► expr tree ──leaf──► signal (kept per subject) ◄──listens── event name
 *        ▲                     │ users(c)                  │ dependents
 *        │ is(D)               ▼                           ▼
 *      unit ◄──────────── condition ──────────────────► unit      units are evaluated in `order`
 *
 * A unit is what is evaluated when something it reads has changed: a definition, or the condition inside a
 * quantifier (kept as one bit per user and one counter per account). All in one arena; immutable. */
#ifndef PQL_CORE_COMPILED_H
#define PQL_CORE_COMPILED_H

#include "core/program.h"
#include "core/state/signal.h"
#include "core/uuid.h"

enum pql_expr_op {
    PQL_EXPR_CONST,
    PQL_EXPR_PROPERTY,  /* index: of the event's properties */
    PQL_EXPR_ATTRIBUTE, /* index: of signals; the attribute is kept like latest(…, ever) */
    PQL_EXPR_EVENT_USER,
    PQL_EXPR_EVENT_NAME,
    PQL_EXPR_HOUR,
    PQL_EXPR_WEEKDAY,
    PQL_EXPR_NOT,
    PQL_EXPR_AND,
    PQL_EXPR_OR,
    PQL_EXPR_NEG,
    PQL_EXPR_ADD,
    PQL_EXPR_SUB,
    PQL_EXPR_MUL,
    PQL_EXPR_DIV,
    PQL_EXPR_COMPARE, /* relation */
    PQL_EXPR_REACHES, /* rolling count or distinct against a constant: threshold; negated for < */
    PQL_EXPR_IN,
    PQL_EXPR_BETWEEN,
    PQL_EXPR_STARTS,
    PQL_EXPR_ENDS,
    PQL_EXPR_CONTAINS,
    PQL_EXPR_MATCHES,
    PQL_EXPR_IS_NULL,
    PQL_EXPR_SIGNAL, /* index: of signals; function says which value of it */
    PQL_EXPR_USERS,  /* index: of conditions */
    PQL_EXPR_ANY_USER,
    PQL_EXPR_ALL_USERS,
    PQL_EXPR_SHARE, /* index and of_index: of conditions; of_index NO_INDEX: of members */
    PQL_EXPR_MEMBERS,
    PQL_EXPR_SPREAD,  /* index: of conditions; of_index: of spreads */
    PQL_EXPR_ACCOUNT, /* one kid, about the account alone; index: of conditions, for users to be told of flips
                       */
    PQL_EXPR_AGE,     /* index: the subject whose start it is */
    PQL_EXPR_IS,      /* index: of definitions */
    PQL_EXPR_WAS,
    PQL_EXPR_IN_STATE_FOR,
    PQL_EXPR_SCORE, /* index: of definitions; kids: those of its score */
    PQL_EXPR_TIER,
    PQL_EXPR_IF,
    PQL_EXPR_COALESCE,
    PQL_EXPR_AT_LEAST, /* threshold: how many */
};

#define PQL_NO_INDEX UINT32_MAX

struct pql_expr {
    enum pql_expr_op op;
    enum pql_type type;
    bool negated;
    enum pql_node_kind relation;   /* COMPARE: PQL_NODE_EQ … PQL_NODE_GE */
    enum pql_function function;    /* SIGNAL */
    const struct pql_decay *decay; /* SIGNAL: how what it holds decays; or NULL */
    uint32_t index, of_index, threshold;
    struct pql_value value;      /* CONST */
    const struct pql_zone *zone; /* HOUR, WEEKDAY */
    const struct pql_expr *const *kids;
    size_t kids_count;
    const struct pql_node *node; /* where it was written */
};

/* What of a standing has changed. */
enum { PQL_STANDING_STATUS = 1, PQL_STANDING_TIER = 2 };

/* What is to be evaluated again when something changes. mask: the PQL_CHANGE_* bits that the reader
 * shows; of definitions PQL_STANDING_*.
 * via: the quantifier through which a condition or the members are read; NULL elsewhere. */
struct pql_dependent {
    struct pql_unit *unit;
    unsigned mask;
    const struct pql_expr *via;
};

struct pql_dependents {
    struct pql_dependent *items;
    size_t count, capacity;
};

/* Boundaries that matter to comparisons with constants, ascending: where `value >= c` flips. */
struct pql_bounds {
    int64_t *items;
    size_t count, capacity;
};

/* How long ago something was, as far as it is compared: the instants at which a comparison flips, in ms since
 * then, and who is to be evaluated. */
struct pql_ago {
    struct pql_bounds bounds;
    struct pql_dependents dependents;
};

struct pql_unit {
    enum pql_subject subject;
    bool is_condition;
    uint32_t index; /* of definitions or conditions */
    uint32_t order; /* of evaluation within an instant */
    bool at_birth;  /* may hold, or be missed, without any occurrence: evaluated when a subject appears */
};

/* A signal of the program: a function call, or an attribute (then it has no events). */
enum { PQL_PATH_NONE = -1, PQL_PATH_USER = -2, PQL_PATH_EVENT = -3 };

struct pql_step {
    const struct pql_selector *selector;
    const struct pql_expr *where; /* or NULL */
};

struct pql_signal_def {
    struct pql_signal signal;
    uint32_t slot; /* in the subject's cells */
    bool is_attribute;
    int32_t path;          /* of a sequence: of `by`; index of the event's properties, or PQL_PATH_* */
    struct pql_slice text; /* normalised */
    const struct pql_selector *selector;
    struct pql_slice selector_text;
    const struct pql_expr *where;         /* or NULL */
    const struct pql_step *steps;         /* sequence: signal.steps_count */
    const struct pql_signal_def *storage; /* the signal whose cell this one is read from; NULL: its own */
    struct pql_dependents dependents;
    struct pql_slice key; /* what makes two calls one signal */
    uint32_t period;      /* of a window that the mapping names: index of periods */
    struct pql_bounds bounds;
};

/* A period that a definition reads: signals of the account's attributes. */
struct pql_period {
    const struct pql_period_conf *conf;
    uint32_t start, end; /* end: PQL_NO_INDEX: the length says it */
    bool is_used;
};

/* Different values of a user's attribute among those for whom a condition holds. */
struct pql_spread {
    uint32_t condition, attribute; /* index of conditions, of signals */
    struct pql_dependents dependents;
};

/* A row of evidence: one comparison or bare boolean call of `qualify`, in text order. */
struct pql_row {
    const struct pql_expr *expr;  /* the whole comparison */
    const struct pql_expr *left;  /* what is shown as value */
    const struct pql_expr *right; /* constant or other expression; NULL: a bare boolean, in, between … */
    const struct pql_item *item;  /* of a score; NULL: of qualify */
    const char *comparison;
    struct pql_slice text; /* of left */
    struct pql_slice full; /* of the comparison, for `missing` */
    struct pql_slice window;
    struct pql_slice label; /* words for the thing counted */
};

struct pql_definition {
    const struct pql_definition_conf *conf;
    const struct pql_expr *eligible, *qualify, *stay; /* eligible: or NULL */
    struct pql_score *score;                          /* or NULL */
    const struct pql_expr *score_expr;                /* its value, where there is one */
    struct pql_unit unit;
    uint32_t slot; /* of the subject's standing among its cells */
    struct pql_dependents dependents;
    struct pql_ago changed;          /* of in_state_for */
    const struct pql_expr **context; /* shown after the rows of qualify */
    size_t context_count;
    struct pql_row *rows; /* rows_count of qualify, with those of items; then context_count */
    size_t rows_count;
    struct pql_row *bars; /* comparisons of the score in qualify: its items are shown in their place */
    size_t bars_count;
    struct pql_row *stay_bar; /* the first such of stay, or NULL */
    bool can_be_missed;       /* qualify reads a `first` signal */
    bool lapses;    /* stay is and/or of comparisons of one signal with constants: expires_at can be told */
    bool has_share; /* rows over members: members, qualified_members, share are told */
    const struct pql_expr *share; /* the first such expression */
    char hash[17];
    struct pql_slice hash_slice;
    /* Attributes shown in records: indexes of signals, with their full names. */
    uint32_t *shown;
    struct pql_slice *shown_names;
    size_t shown_count;
    const struct pql_expr **choices[PQL_CHOICE_COUNT]; /* by item of conf: its `when`; NULL: always */
};

/* --- scores (score.h computes them) --- */

struct pql_item {
    const struct pql_item_conf *conf;
    const struct pql_node *node;
    const struct pql_expr *expr; /* of `when` or `per` */
    bool is_per;
    struct pql_decay *decay; /* of its `per`; or NULL */
    uint32_t family;         /* index of families */
};

/* Items of no family are one each, without cap. */
struct pql_family {
    struct pql_slice name; /* empty: none */
    bool has_cap;
    pql_decimal cap; /* of the sum of its positive items */
    const struct pql_item **items;
    size_t items_count;
};

struct pql_factor {
    const struct pql_node *when_node, *by_node;
    const struct pql_expr *when, *by; /* when: NULL: always */
};

/* What a value can come to at most; without bound where that cannot be told. */
struct pql_range {
    bool has_low, has_high;
    pql_decimal low, high;
};

struct pql_score {
    struct pql_item *items; /* as written */
    size_t items_count;
    struct pql_family *families;
    size_t families_count;
    struct pql_factor *factors; /* of multiply, as written */
    size_t factors_count;
    const struct pql_tier_conf **tiers; /* ascending */
    size_t tiers_count;
    const struct pql_expr **kids; /* all expressions of items and factors */
    size_t kids_count;
    struct pql_range sum, range; /* of the items, and after multiply */
    struct pql_slice text;       /* normalised: all that decides the score */
};

struct pql_condition {
    const struct pql_expr *expr;
    struct pql_slice text;
    struct pql_unit unit;
    struct pql_dependents dependents;
};

/* What an outcome's name does to a definition. */
struct pql_answer {
    uint32_t definition; /* index */
    unsigned effects;    /* 1 << PQL_OUTCOME_… */
};

/* Which signals an event name touches; as the name of an outcome: which definitions. */
struct pql_listener {
    struct pql_slice name;
    const uint32_t *signals; /* indexes */
    size_t count;
    const struct pql_answer *answers;
    size_t answers_count;
    bool is_start;
};

struct pql_program {
    struct pql_arena arena;
    const struct pql_program_conf *conf;
    struct pql_lang_env env; /* what names mean in its conditions */
    struct pql_names names;
    struct pql_uuid space;
    uint64_t key; /* of hashes */

    struct pql_signal_def **signals;
    size_t signals_count, signals_capacity;
    struct pql_definition *definitions;
    struct pql_condition **conditions;
    size_t conditions_count, conditions_capacity;
    struct pql_unit **units; /* by order */
    size_t units_count;

    /* Per subject: what stands in slot i of its cells: signal index, or PQL_SLOT_DEFINITION | definition
     * index. */
    uint32_t *slots[2];
    size_t slots_count[2];

    /* Signals in `first` windows and periods per subject, and who is looked at when one ends. */
    struct pql_unit **first_units[2];
    size_t first_units_count[2];
    uint32_t *first_signals[2];
    size_t first_signals_count[2];

    struct pql_unit **birth_units[2];
    size_t birth_units_count[2];

    struct pql_listener *listeners; /* open addressing by name; capacity a power of two */
    size_t listeners_capacity;
    struct pql_listener others; /* names that no definition mentions */
    bool start_on_identify, start_on_group;

    uint32_t *user_attributes, *account_attributes; /* signal index of the i-th name of names */
    struct pql_dependents members_dependents;
    struct pql_ago ages[2]; /* of a subject's start */
    struct pql_period *periods;
    size_t periods_count;
    struct pql_spread **spreads;
    size_t spreads_count, spreads_capacity;
    const struct pql_expr *ignore;
    bool keeps_users;
};

#define PQL_SLOT_DEFINITION UINT32_C(0x80000000)
#define PQL_SLOT_RETIRED UINT32_MAX

/* Slots behind those of the program hold the standings of definitions that a change removed (change.h), until
 * their members have left. */
static inline uint32_t pql_program_slot(const struct pql_program *program, int subject, uint32_t slot)
{
    return slot < program->slots_count[subject] ? program->slots[subject][slot] : PQL_SLOT_RETIRED;
}

/* Of what stands in a slot that is no signal's; NULL: a definition that a change removed. */
static inline const struct pql_definition *pql_program_standing(const struct pql_program *program,
                                                                uint32_t what)
{
    return what == PQL_SLOT_RETIRED ? NULL : &program->definitions[what & ~PQL_SLOT_DEFINITION];
}

/* Marks the signals that anything of the definition reads: used[index]. In program_reach.c. */
void pql_definition_reads(const struct pql_program *program, const struct pql_definition *definition,
                          bool *used);

/* Does the selector name this event? */
bool pql_program_selects(const struct pql_program *program, const struct pql_selector *selector,
                         struct pql_slice name);
const struct pql_listener *pql_program_listener(const struct pql_program *program, struct pql_slice name);

/* The rows of evidence of a condition, in text order; in evidence.c. */
void pql_rows_build(struct pql_program *program, struct pql_definition *definition);

#endif
