/* diag.h - messages about a configuration, collected so that all errors are shown at once, each with file,
 * line, column, the line and a caret:
 *
 *   conf/rules/team.conf:12:22: unknown function 'cuont'; did you mean 'count'?
 *       qualify = "users(cuont(saved_query_run, 7d) >= 1) >= 3";
 *                        ^^^^^
 *
 * Owner: the caller's struct pql_diags; texts are copied. Thread: one. */
#ifndef PQL_BASE_DIAG_H
#define PQL_BASE_DIAG_H

#include "base/err.h"
#include "base/memory.h"
#include <stdio.h>

/* A text of the configuration and where it stands. Adjacent strings of libconfig join, so one text may have
 * several parts; parts are sorted by offset and the first has offset 0. Without parts (a text of a test) line
 * is 1. */
struct pql_source_part {
    size_t offset;    /* into text */
    int line, column; /* 1-based place of that byte in the file */
};

struct pql_source {
    struct pql_slice text;
    const char *file; /* NULL: not from a file */
    const struct pql_source_part *parts;
    size_t parts_count;
};

enum pql_severity { PQL_SEVERITY_ERROR, PQL_SEVERITY_WARNING };

struct pql_diag {
    enum pql_severity severity;
    const char *file; /* or NULL */
    int line, column; /* 0: unknown */
    size_t span;      /* bytes under the caret, at least 1 */
    const char *message;
    const char *excerpt; /* the line, or NULL: it is read from the file when printed */
};

struct pql_diags {
    struct pql_arena arena;
    struct pql_diag *items;
    size_t count, capacity;
    size_t errors_count;
};

void pql_diags_init(struct pql_diags *diags);
void pql_diags_deinit(struct pql_diags *diags);

/* A message about bytes [at, at + span) of a source. */
void pql_diag_source(struct pql_diags *diags, enum pql_severity severity, const struct pql_source *source,
                     size_t at, size_t span, const char *format, ...) PQL_PRINTF(6, 7);
/* A message about a place of a file. line 0: about the file as a whole. */
void pql_diag_place(struct pql_diags *diags, enum pql_severity severity, const char *file, int line,
                    int column, size_t span, const char *format, ...) PQL_PRINTF(7, 8);

/* Takes the lines to show from `text`, which is what stands in `file`, for messages about it that have none.
 */
void pql_diags_quote(struct pql_diags *diags, const char *file, struct pql_slice text);

/* Prints all in the order of file, line, column; reads the files for the excerpts. */
void pql_diags_print(const struct pql_diags *diags, FILE *out);

/* The candidate nearest to `name` by edit distance if near enough to be a slip of the pen, else NULL. */
const char *pql_nearest(struct pql_slice name, const char *const *candidates, size_t count);

#endif
