/* engine_state.h - the inside of an engine, for engine.c (clock, order, duplicates), instant.c (what happens
 * at one instant to one account) and the pages of state/. */
#ifndef PQL_CORE_ENGINE_STATE_H
#define PQL_CORE_ENGINE_STATE_H

#include "core/engine.h"
#include "core/evidence.h"
#include "core/state/dedup.h"
#include "core/state/reorder.h"
#include "core/state/snapshot.h"

/* Work that is done in parts. kind to account are of the state while it is open. */
struct pql_work {
    enum pql_work_kind kind;
    int64_t upto_ms;
    uint32_t input;
    int64_t offset;
    int64_t due_ms; /* the place reached */
    struct pql_buf account;
    struct pql_account **order; /* work on all accounts: by id; NULL: not needed yet */
    size_t next;
    /* Of the present call: */
    bool may_stop, wants_stop;
    uint64_t steps, records_before;
    const struct pql_part *goal; /* a replay: the last instant to be done */
};

/* From when on something is known whole; ms PQL_NO_TIME: always. Accounts from this number on, in order of
 * appearance, came later, so that all of theirs is known. */
struct pql_since {
    int64_t ms;
    uint32_t accounts;
};

/* A definition that a change removed and that had members: what their last records say. */
struct pql_retired {
    struct pql_slice name; /* its own copy */
    int32_t version;
    enum pql_subject subject;
    bool is_shadow;
    char hash[17];
};

/* A change of the program, as long as its work is open. */
struct pql_change {
    bool is_active, is_filling;
    bool *is_new_definition; /* by index: new or different */
    bool *is_new_condition;
    bool *is_new_signal;
    struct pql_retired *retired;
    size_t retired_count;
    int64_t known_ms;  /* from when on what is new is known */
    int64_t fill_seen; /* of the events read again */
    int64_t fill_input_seen;
    uint32_t fill_input;     /* the one that fill_input_seen is of */
    struct pql_dedup filled; /* their ids; no snapshot is taken meanwhile */
};

struct pql_engine {
    const struct pql_program *program;
    pql_emit *emit, *erased; /* erased: or NULL */
    void *context;
    enum pql_origin origin;

    int64_t seen;     /* largest accepted time; PQL_NO_TIME before */
    int64_t complete; /* lateness 0: now, the instant being processed; else every instant up to it is done */
    bool ticked;      /* lateness 0: the present instant was reached by a tick, so all that is due at it has
                         happened */
    struct pql_store store;
    struct pql_heap timers; /* of accounts */
    struct pql_account *
        *gone; /* taken away, but timers may still name them: nothing but the struct is left */
    size_t gone_count, gone_capacity;
    struct pql_reorder reorder;
    struct pql_dedup dedup;
    struct pql_work work;
    uint64_t steps_max; /* 0: no limit */

    /* The instant at work. */
    struct pql_account *account;
    int64_t t_ms;
    const struct pql_event *source; /* last event applied in it; NULL: only timers */
    struct pql_heap agenda;         /* units to evaluate */
    struct pql_user **fired;        /* users whose timer fired */
    size_t fired_count, fired_capacity;
    bool account_fired;
    bool refreshes_shadow;       /* shows members of shadow definitions, too */
    struct pql_stepped *stepped; /* quantifiers whose counters moved */
    size_t stepped_count, stepped_capacity;
    struct pql_user **moved; /* who became or ceased to be a member at the instant, once for each time */
    size_t moved_count, moved_capacity;
    struct pql_waiting **taken; /* of the reorder buffer, and their events without the ignored ones */
    struct pql_event *events;
    size_t taken_capacity, events_capacity;
    struct pql_arena scratch;

    struct pql_since *since; /* by signal of the program */
    struct pql_since users_since;
    int64_t version_floor; /* versions of standings that were dropped: a key that comes back goes on above */
    struct pql_change change;

    struct pql_engine_stats stats;
    struct pql_snapshot snapshot;
    const struct pql_watch *watch; /* NULL: nobody counts */
    struct pql_tracer *tracer;     /* NULL: nobody looks on */
};

/* --- trace.c --- */
/* Tells an evaluation that has just been, if it is of the account that is traced. */
void pql_trace_unit(const struct pql_engine *engine, const struct pql_unit *unit,
                    const struct pql_scope *scope, enum pql_cause by, uint64_t records_before);
void pql_tracer_free(struct pql_tracer *tracer);

/* --- engine.c --- */
/* Does the program's `ignore` hold for the event? account NULL: a new one. */
bool pql_engine_ignores(const struct pql_engine *engine, const struct pql_account *account,
                        const struct pql_event *event);

/* --- alias.c --- */
/* The id of the user of the account that this id means. account NULL: a new one. A view, until the account's
 * aliases change. */
struct pql_slice pql_alias_user(const struct pql_engine *engine, const struct pql_account *account,
                                struct pql_slice id);

/* --- everywhere.c --- */
typedef void pql_everywhere_each(struct pql_engine *engine, const struct pql_event *event);
/* An event without an account: each with every account of which its user is a member, by their bytes. */
void pql_everywhere_apply(struct pql_engine *engine, const struct pql_event *event,
                          pql_everywhere_each *each);
/* The first waiting event has no account: it becomes one for each. */
void pql_everywhere_expand(struct pql_engine *engine);

/* --- change.c --- */
/* Of the records of a definition at engine->t_ms, of engine->account and user. */
int64_t pql_complete_since(const struct pql_engine *engine, const struct pql_definition *definition,
                           const struct pql_user *user);
/* What the page of the task says of past and present changes; load after the program is known. */
void pql_change_save(const struct pql_engine *engine, struct pql_buf *out);
void pql_change_load(struct pql_engine *engine, struct pql_reader *reader);
int pql_change_begin(struct pql_engine *engine, const struct pql_program *program,
                     struct pql_err *err) PQL_CHECKED;
void pql_change_close(struct pql_engine *engine);
void pql_change_init(struct pql_engine *engine);
void pql_change_deinit(struct pql_engine *engine);

/* --- forget.c --- */
void pql_bury_accounts(struct pql_engine *engine); /* no timer names them any more */

/* --- instant.c, timers.c, apply.c, settle.c --- */
/* Settles one account: bits of new conditions, timers, records. */
void pql_instant_settle(struct pql_engine *engine, struct pql_account *account);
/* Applies an event read again to the signals that are new: nothing is evaluated, nothing due. */
void pql_instant_fill(struct pql_engine *engine, struct pql_account *account, const struct pql_event *event);

/* Timers of the account due at or before t, then the events (all of this account, the first not ignored),
 * then one evaluation. */
void pql_instant(struct pql_engine *engine, struct pql_account *account, int64_t t_ms,
                 const struct pql_event *events, size_t count);
/* A record of the present state for every member of the account. */
void pql_instant_refresh(struct pql_engine *engine, struct pql_account *account);
/* Everything of the account up to this instant has happened. */
int64_t pql_account_done_ms(const struct pql_engine *engine, const struct pql_account *account);
/* The next instant after t at which something of the subject is due. */
int64_t pql_subject_next(const struct pql_engine *engine, const struct pql_account *account,
                         const struct pql_user *user, int64_t t_ms);
/* Conditions of the account itself and tallies, from what else there is as of t. */
void pql_account_derive(struct pql_engine *engine, struct pql_account *account, int64_t t_ms);
/* Is anything of the account truly due at t? Timers that were set too early are set again; no state changes.
 */
bool pql_account_is_due(struct pql_engine *engine, struct pql_account *account, int64_t t_ms);
/* Puts the account into the task's timers as its subjects want. */
void pql_account_retime(struct pql_engine *engine, struct pql_account *account);
/* Sets the timer of a subject if due is earlier. user NULL: the account itself. */
void pql_schedule(struct pql_account *account, struct pql_user *user, int64_t due_ms);
int pql_account_order(const void *a, const void *b);

#endif
