/* program_build.h - how a program is built from its configuration, for the files that share the work:
 *
 *   program_definitions.c   a definition: its conditions, what it shows
 *   program_hash.c          its hash
 *   program_choices.c       routes and their like
 *   program_exprs.c         a parsed text ─► expressions; conditions inside quantifiers
 *   program_score.c         items, families, factors, tiers; who reads a score
 *   program_decay.c         decay of an item's `per`
 *   program_score_range.c   what a score can come to, and what it never can
 *   program_signals.c       a call ─► the signal that keeps what it reads; attributes, periods
 *   program_bounds.c        comparisons with constants: how much is kept, when a value changes by itself
 *   program_outcomes.c      names of outcomes, and what they do
 *   program_order.c         order of evaluation
 *   program_tables.c        what events and subjects are looked up in
 *   program.c               all of it, in turn
 *
 * Everything is allocated in the program's arena, but for the growing lists that compiled.h shows with a
 * capacity. Mistakes go to b->diags. */
#ifndef PQL_CORE_PROGRAM_BUILD_H
#define PQL_CORE_PROGRAM_BUILD_H

#include "core/compiled.h"

struct pql_told {
    const struct pql_unit *unit;
    uint32_t definition;
};

struct pql_builder {
    struct pql_program *program;
    struct pql_diags *diags;
    struct pql_unit *unit;    /* being compiled; NULL inside where and ignore */
    uint32_t definition;      /* being compiled */
    enum pql_subject subject; /* whose functions are meant */
    const struct pql_zone *zone;
    const struct pql_decay *decay; /* of the call that is an item's `per`; or NULL */
    bool *needs;                   /* [definitions * definitions]: row needs column */
    uint32_t *uses;                /* conditions of the definition being compiled */
    size_t uses_count, uses_capacity;
    struct pql_slice *properties, *attributes[2];
    size_t properties_count, properties_capacity, attributes_count[2], attributes_capacity[2];
    uint32_t *attribute_signals[2];
    size_t attribute_signals_capacity[2];
    struct pql_expr **scores; /* all that are read */
    size_t scores_count, scores_capacity;
    bool is_telling;       /* what is read is of another definition, which needs it itself */
    struct pql_told *told; /* who is told of what a score is made of */
    size_t told_count, told_capacity;
};

/* --- program_signals.c --- */

/* Index of the property among those that the program asks of events. */
uint32_t pql_build_property(struct pql_builder *b, struct pql_slice name);
/* An attribute is kept like latest(…, ever): the last value by event time, equal times by the later offset.
 * Index of its signal. */
uint32_t pql_build_attribute(struct pql_builder *b, enum pql_subject subject, struct pql_slice name);
/* The signal of a call, made at its first use; PQL_NO_INDEX after a message. Two calls are one signal if
 * subject, family and the normalised text of selector and window are the same. */
uint32_t pql_build_signal(struct pql_builder *b, const struct pql_node *call);
/* The PQL_CHANGE_* bits that a function shows; 0: it keeps nothing. */
unsigned pql_build_shown_bits(enum pql_function function);
/* The unit (NULL: nobody) is evaluated when something in mask changes. */
void pql_build_depend(struct pql_dependents *list, struct pql_unit *unit, unsigned mask,
                      const struct pql_expr *via);
/* Does the value depend on where midnight is? */
bool pql_build_is_zoned(const struct pql_node *node);
/* What tells a text from the same one in another zone: nothing where the zone does not matter, or is UTC. */
const char *pql_build_zone_mark(struct pql_builder *b, const struct pql_node *node);
bool pql_build_is_counted(enum pql_function function);
/* Read as a number: sums and counts are kept whole, different values up to a limit. */
void pql_build_read_as_number(struct pql_signal_def *def);

/* --- program_bounds.c --- */

/* What is compared with constants: its boundaries, and the signal behind it, if it is one. */
struct pql_compared {
    struct pql_bounds *bounds;
    struct pql_signal_def *def;
};

/* Durations that grow as the clock runs. */
bool pql_build_is_ago(enum pql_function function);
/* The call whose value is compared with constants only, or NULL. */
const struct pql_node *pql_build_compared_call(const struct pql_node *node, size_t value_kid);
enum pql_node_kind pql_build_mirrored(enum pql_node_kind relation);
/* The constants of the comparison, all but kid value_kid. */
void pql_build_note_constants(struct pql_builder *b, const struct pql_node *node, size_t value_kid,
                              const struct pql_compared *what);
/* `value >= c` of a rolling count needs one look at the c-th newest, not a count: expr is made such a look.
 */
void pql_build_reaches(struct pql_builder *b, struct pql_expr *expr, enum pql_node_kind relation,
                       const struct pql_value *constant);

/* --- program_exprs.c --- */

const struct pql_expr *pql_build_expr(struct pql_builder *b, const struct pql_node *node);

/* Of a user's definition: a value of the account that has not ended in a condition yet. */
bool pql_build_is_of_account(const struct pql_node *node);

/* --- program_score.c --- */

/* Of every definition before any is compiled: what there is of its score. */
void pql_build_parse_score(struct pql_builder *b, uint32_t index);
/* Compiles the items for the definition's unit. */
void pql_build_score(struct pql_builder *b, struct pql_definition *definition);
/* b->unit reads the score of the definition. */
void pql_build_tell(struct pql_builder *b, uint32_t definition);
/* Once all definitions are compiled. */
void pql_build_join_scores(struct pql_builder *b);
/* What tells a text that reads scores from the same one of other items; empty where it reads none. */
const char *pql_build_score_mark(struct pql_builder *b, const struct pql_node *node);
/* All that a definition says of its score, for its hash. */
void pql_build_put_score(struct pql_builder *b, const struct pql_definition *definition, struct pql_buf *out);

/* --- program_decay.c --- */

/* The decay that an item asks for; NULL: none, or a message. */
struct pql_decay *pql_build_decay(struct pql_builder *b, const struct pql_definition_conf *conf,
                                  const struct pql_item_conf *item, const struct pql_node *per);
/* Compiles an item for b->unit. */
const struct pql_expr *pql_build_item(struct pql_builder *b, const struct pql_item *item);
/* The signal has a reader that decays so. */
void pql_build_add_decay(struct pql_builder *b, struct pql_signal_def *def, const struct pql_decay *decay);
/* How what decays is kept in this window: PQL_SIGNAL_KIND_COUNT: as what does not. */
enum pql_signal_kind pql_build_decaying_kind(const struct pql_node *call);
/* " half_life 30d step 1d" */
void pql_build_put_decay(struct pql_builder *b, const struct pql_decay *decay, struct pql_buf *out);
/* The same, where a signal keeps what it holds by step; else empty. */
const char *pql_build_decay_mark(struct pql_builder *b, const struct pql_node *call);

/* --- program_score_range.c --- */

struct pql_range pql_build_units(const struct pql_item *item);
/* Of the positive items of a family together, without its cap. */
struct pql_range pql_build_positive(const struct pql_family *family);
/* Once families and factors are known. */
void pql_build_score_range(struct pql_score *score);
const char *pql_build_number_text(struct pql_builder *b, pql_decimal number);
/* "the items add up to at most 15, times the factors to at most 22.5" */
const char *pql_build_limit_text(struct pql_builder *b, const struct pql_definition *definition,
                                 bool is_high);
/* A comparison of a score with a number that can never hold is an error. */
void pql_build_check_score(struct pql_builder *b, const struct pql_node *comparison);
/* So is one of tier(D) with a text that is none of D's tiers. */
void pql_build_check_tier(struct pql_builder *b, const struct pql_node *comparison);

/* --- program_definitions.c --- */

/* Parses and compiles; NULL: an empty text, or a message. */
const struct pql_expr *pql_build_text(struct pql_builder *b, const struct pql_source *source,
                                      enum pql_place place);
void pql_build_definition(struct pql_builder *b, uint32_t index);
/* Once all definitions are compiled and ordered. */
void pql_build_finish(struct pql_builder *b, struct pql_definition *definition);
bool pql_build_is_first(const struct pql_program *program, const struct pql_expr *expr);
/* May it hold, or be missed, without any occurrence? */
bool pql_build_is_at_birth(const struct pql_program *program, const struct pql_expr *expr);

/* --- program_hash.c --- */

/* Once it is compiled. */
void pql_build_hash(struct pql_builder *b, struct pql_definition *definition);

/* --- program_choices.c --- */

/* b->unit is NULL: nobody is evaluated again because of a choice. */
void pql_build_choices(struct pql_builder *b, struct pql_definition *definition, enum pql_place place);

/* --- program_outcomes.c --- */

/* Contradictions in what a definition says of outcomes. */
void pql_build_outcomes(struct pql_builder *b, const struct pql_definition_conf *conf);
/* All that it says of them, for its hash. */
void pql_build_put_outcomes(const struct pql_definition_conf *conf, struct pql_buf *out);
/* What an outcome of this name does to which definitions, by index. */
size_t pql_build_answers(struct pql_program *program, struct pql_slice outcome,
                         const struct pql_answer **answers);

/* --- program_order.c --- */

/* Always the first definition of the configuration whose dependencies are done. uses: by definition, its
 * conditions. False after a message that names a circle. */
bool pql_build_order(struct pql_builder *b, uint32_t *const *uses, const size_t *uses_count);

/* --- program_tables.c --- */

void pql_build_listeners(struct pql_program *program);
void pql_build_subject(struct pql_program *program, enum pql_subject subject);

#endif
