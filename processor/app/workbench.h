/* workbench.h - what a replay remembers of its records, so that definitions can be judged by them:
 *
 *   event ──► marks of a person ───────┐
 *   record ─► case: a person with a ───┼─► summary   rate of sign-ups, by week, tier, segment
 *             definition, its entries  │   outcomes  against conversions: precision, recall …
 *   engine ─► who is known ────────────┘   against   the same of another configuration
 *
 * A person is a user of an account, or an account itself. Only those with a record or a mark are kept.
 * Reports are text, or JSON for machines. Owner and thread: the replay's. */
#ifndef PQL_APP_WORKBENCH_H
#define PQL_APP_WORKBENCH_H

#include "base/buf.h"
#include "core/engine.h"

#include <stdio.h>

struct pql_entry {
    int64_t at_ms;
    struct pql_entry *next; /* later */
};

enum { PQL_WORD_NONE = UINT32_MAX };

/* A person that entered a definition at least once. */
struct pql_case {
    uint32_t definition; /* index in the program */
    uint32_t tier;       /* the best it reached, index of the tally's words, or PQL_WORD_NONE */
    uint32_t segment;    /* of the first entry, likewise */
    pql_decimal tier_at; /* the score of that tier */
    struct pql_entry *entries, *newest;
    struct pql_slice reason; /* text of the first entry */
    struct pql_case *next;
};

/* The earliest time at which a mark was set on a person. On an account: also by its users. */
struct pql_marked {
    uint32_t mark;
    bool by_user; /* else the account itself, and so all of its users */
    int64_t at_ms;
    struct pql_marked *next;
};

struct pql_person {
    struct pql_slice account, user; /* user empty: the account itself */
    struct pql_case *cases;
    struct pql_marked *marks;
};

/* Tiers or segments of a definition, in the order of appearance, with how many cases have each. */
struct pql_words {
    struct pql_slice *items;
    size_t count, capacity;
};

/* An event of this name, or an entry into the definition of this name. */
struct pql_mark {
    struct pql_slice name;
    bool is_definition;
    bool is_feedback; /* only events of kind outcome, as convert_on has it */
};

/* What a definition's records say in sum. */
struct pql_definition_tally {
    uint64_t entered, left, converted; /* records */
    uint64_t unforeseen;               /* conversions of who was no member */
    double days;                       /* from entering to converting, of `converted` in sum */
    uint64_t ever;                     /* cases */
    struct pql_words tiers, segments;
};

struct pql_workbench {
    const struct pql_program *program;
    struct pql_arena arena; /* of all that is remembered */
    struct pql_person **people;
    size_t people_count, people_capacity;
    struct pql_definition_tally *tallies; /* by definition */
    struct pql_mark *marks;               /* what conversions and populations are told by; the caller's */
    size_t marks_count;
    struct pql_words events; /* names that events had, where there are marks: for suggestions */
};

void pql_workbench_init(struct pql_workbench *bench, const struct pql_program *program);
void pql_workbench_deinit(struct pql_workbench *bench);

/* Each record of the engines, and each event before they see it. */
void pql_workbench_record(struct pql_workbench *bench, const struct pql_record *record);
void pql_workbench_event(struct pql_workbench *bench, const struct pql_event *event);

void pql_workbench_unforeseen(struct pql_workbench *bench, const struct pql_definition_conf *conf);

/* NULL: nothing is remembered of it. */
const struct pql_person *pql_workbench_find(const struct pql_workbench *bench, struct pql_slice account,
                                            struct pql_slice user);
const struct pql_case *pql_case_of(const struct pql_person *person, size_t definition);
/* The earliest time of a mark: of a user its own or its account's, of an account its own or one of its
 * users'. PQL_NO_TIME: never. */
int64_t pql_workbench_marked(const struct pql_workbench *bench, struct pql_slice account,
                             struct pql_slice user, uint32_t mark);
/* The count of definitions where there is none of that name. */
size_t pql_workbench_definition(const struct pql_workbench *bench, struct pql_slice name);

#endif
