/* edition.h - one program as tasks run it. A process may hold several at a time: its configuration's, and
 * those that tasks have brought along in their state. Immutable, except for who owns it.
 *
 *   manifest, journal ─► text ─┐
 *   configuration, reload ─────┴─► edition ─► tasks, by hash
 *
 * Owner: the pipeline keeps every edition until its end, since a parked task or a script may still name it.
 */
#ifndef PQL_APP_EDITION_H
#define PQL_APP_EDITION_H

#include "core/program.h"

struct pql_edition {
    const struct pql_program *program;
    bool ticks;                                /* false: clock = "events" */
    const int64_t *max_future_ms;              /* by input; -1: no check */
    void *context;                             /* of pql_decoding.open */
    void (*free)(struct pql_edition *edition); /* NULL: it is its maker's */
    char hash[33];                             /* of the program's text; filled by the pipeline */
};

/* Makes an edition of a program's text. -1 with PQL_ERR_CONFIG: this version does not understand it. Thread:
 * any.
 */
typedef int pql_edition_compile(void *context, struct pql_slice text, struct pql_edition **edition,
                                struct pql_err *err);

/* What a task does about the process's configuration. */
enum pql_revising {
    PQL_REVISING_NOTHING, /* the same program, at least as new a revision */
    PQL_REVISING_NUMBER,  /* the same program, a higher number: remembered */
    PQL_REVISING_CHANGE,  /* another program, a higher revision: a change */
    PQL_REVISING_STAY,    /* another program, a lower revision: its own goes on */
    PQL_REVISING_REFUSE,  /* another program under the same revision */
};
enum pql_revising pql_revise(const char *own_hash, int64_t own_revision, const char *wanted_hash,
                             int64_t wanted_revision);

#endif
