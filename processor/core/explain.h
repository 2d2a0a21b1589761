/* explain.h - a definition taken apart for readers: in words, what it keeps, what touches it, what it costs.
 * Texts live in the explanation's arena or the program. Thread: any. */
#ifndef PQL_CORE_EXPLAIN_H
#define PQL_CORE_EXPLAIN_H

#include "core/program.h"
#include "core/record.h"

/* What the definition says, row by row: "enters when", as a sentence and as written (empty: no condition). */
struct pql_explained_clause {
    const char *role;
    struct pql_slice words, text;
};

struct pql_explained_signal {
    struct pql_slice text;
    struct pql_slice window; /* in words; empty: none */
    struct pql_slice kept;   /* in words */
    enum pql_subject subject;
    uint64_t bytes_most; /* of one subject */
    bool is_bounded; /* else bytes_most is of the smallest, and kept says what comes with each occurrence */
    bool any, is_attribute;
    const struct pql_slice *events; /* that touch it; none where any or of an attribute */
    size_t events_count;
};

struct pql_explanation {
    struct pql_arena arena;
    const struct pql_program *program;
    const struct pql_definition_conf *conf;
    struct pql_explained_clause *clauses;
    size_t clauses_count, clauses_capacity;
    struct pql_explained_signal *signals;
    size_t signals_count, signals_capacity;
    struct pql_slice *costs; /* that do not follow from the signals touched */
    size_t costs_count, costs_capacity;
    uint64_t standing_bytes; /* of a subject once it has entered */
};

void pql_explain_init(struct pql_explanation *explanation, const struct pql_program *program, size_t index);
void pql_explain_deinit(struct pql_explanation *explanation);
/* As a page. */
void pql_explain_print(const struct pql_explanation *explanation, FILE *out);

/* A name that a definition reads, and where it was written (the call around it). */
enum pql_name_kind {
    PQL_NAME_EVENT,
    PQL_NAME_PROPERTY,
    PQL_NAME_USER_ATTRIBUTE,
    PQL_NAME_ACCOUNT_ATTRIBUTE,
};
struct pql_named {
    enum pql_name_kind kind;
    struct pql_slice name;
    uint32_t index;                 /* of a property or attribute, as an event has it */
    const struct pql_slice *events; /* whose property it is; none: of any event */
    size_t events_count;
    const struct pql_source *source;
    size_t at, span;
};
typedef void pql_name_seen(void *context, const struct pql_named *named);
void pql_explain_names(const struct pql_program *program, size_t index, pql_name_seen *seen, void *context);

#endif
