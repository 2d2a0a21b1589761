/* expr.h - the value of a compiled expression at an instant, for one subject or one event. Pure; allocates
 * nothing. */
#ifndef PQL_CORE_EXPR_H
#define PQL_CORE_EXPR_H

#include "core/compiled.h"
#include "core/state/account.h"

struct pql_scope {
    const struct pql_program *program;
    const struct pql_account *account; /* NULL: none yet (ignore) */
    const struct pql_user *user;       /* NULL: an account's expression, or an event without user */
    const struct pql_event *event;     /* inside where and ignore */
    bool own_attributes;               /* ignore: the event's own attributes count already */
    int64_t t_ms;
    /* A score that was computed for this subject at t_ms already, and its value. */
    const struct pql_score *scored;
    pql_decimal score;
};

struct pql_value pql_expr_value(const struct pql_expr *expr, const struct pql_scope *scope);
bool pql_expr_holds(const struct pql_expr *expr, const struct pql_scope *scope);

/* Three-valued reading of a condition for `missed`: only `first` windows that have ended at t are known. */
enum pql_known { PQL_KNOWN_FALSE, PQL_KNOWN_TRUE, PQL_NOT_KNOWN };
enum pql_known pql_expr_known(const struct pql_expr *expr, const struct pql_scope *scope);

/* The window of a `first` or period signal of a subject. state: may be NULL. */
struct pql_first pql_first_of(const struct pql_program *program, const struct pql_account *account,
                              const struct pql_subject_state *state, const struct pql_signal_def *def);
/* Of a SIGNAL: whether its window is one that has ended at t. */
bool pql_expr_is_ended(const struct pql_expr *expr, const struct pql_scope *scope);
/* Reads what is not a signal of the subject itself (an attribute, other users, another definition …): an
 * empty subject does not tell its value, nor does the end of a window. Of the node alone, not of what is
 * below it. */
bool pql_expr_is_outside(const struct pql_expr *expr);
/* Where a period stands for all of the account. */
struct pql_first pql_period_of(const struct pql_program *program, const struct pql_account *account,
                               uint32_t period);
/* The first boundary after t of something that was at from_ms; INT64_MAX: none. */
int64_t pql_ago_next(const struct pql_ago *ago, int64_t from_ms, int64_t t_ms);
/* When a standing was last changed, PQL_NO_TIME: never. */
int64_t pql_standing_changed(const struct pql_standing *standing);
/* The reading of a SIGNAL or ATTRIBUTE leaf, with times. */
void pql_expr_read(const struct pql_expr *expr, const struct pql_scope *scope, struct pql_reading *reading);
/* The first instant after t at which a signal below expr changes by itself; INT64_MAX if none. */
int64_t pql_expr_next_change(const struct pql_expr *expr, const struct pql_scope *scope);

#endif
