/* program.h - compiled definitions: which signals exist, which events touch them, which definitions read
 * them. Immutable after pql_program_new and shared by all tasks and threads. */
#ifndef PQL_CORE_PROGRAM_H
#define PQL_CORE_PROGRAM_H

#include "core/event.h"
#include "core/program_conf.h"

struct pql_program;

/* Checks and compiles everything. NULL if diags has an error (all of them are in it). conf's texts must
 * outlive it. */
struct pql_program *pql_program_new(const struct pql_program_conf *conf, struct pql_diags *diags);
void pql_program_free(struct pql_program *program);

/* The property and attribute names that the program reads: what decoding has to deliver, in this order. */
const struct pql_names *pql_program_names(const struct pql_program *program);
const struct pql_settings *pql_program_settings(const struct pql_program *program);
struct pql_slice pql_program_app(const struct pql_program *program);

size_t pql_program_definitions_count(const struct pql_program *program);
const struct pql_definition_conf *pql_program_definition(const struct pql_program *program, size_t index);

/* What names mean in its conditions. */
const struct pql_lang_env *pql_program_env(const struct pql_program *program);

/* The text of the conf: stored with the state, and a difference to the configuration is a change. */
struct pql_slice pql_program_text(const struct pql_program *program);

/* The definition that looks furthest back, if further than limit_ms: what an input must keep for signals to
 * be filled from it. `ever`, streaks and periods that an attribute ends have no such limit and are not meant.
 */
struct pql_reach {
    struct pql_slice definition, signal; /* by name; as a text */
    int64_t ms;
    size_t definitions_count; /* that look back further than the limit */
};
bool pql_program_reach(const struct pql_program *program, int64_t limit_ms, struct pql_reach *out);

/* Definition `index` as a page (explain.h). */
void pql_program_explain(const struct pql_program *program, size_t index, FILE *out);

#endif
