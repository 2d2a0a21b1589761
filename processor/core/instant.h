/* instant.h - what happens to one account at one instant, for the files that share the work:
 *
 *   timers.c     what is due of the account and its users: signals are trimmed ─┐
 *   apply.c      events of the instant: signals, attributes, starts, members ───┤ who reads it
 *   alias.c      two users become one ──────────────────────────────────────────┤
 *   agenda.c     units to evaluate, in order, each once ◄───────────────────────┘
 *   member.c     who is a member, and who not any more
 *   outcome.c    what the CRM says: conversions, disqualifications, acknowledgements; deadlines
 *   lifecycle.c  a definition of one subject: enters, leaves, is missed; its records
 *   scoring.c    its score: tiers, changes that are published
 *   instant.c    the instant as a whole
 *   settle.c     the same for a change of the program
 *
 * All work on engine->account at engine->t_ms. user NULL: the account itself. by: the cause. Thread: the
 * task's. */
#ifndef PQL_CORE_INSTANT_H
#define PQL_CORE_INSTANT_H

#include "core/engine_state.h"

static inline struct pql_subject_state *pql_state_of(struct pql_account *account, struct pql_user *user)
{
    return user ? &user->state : &account->state;
}

static inline enum pql_subject pql_subject_of(const struct pql_user *user)
{
    return user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT;
}

/* --- agenda.c: by (order of the unit, user bytes, the account last); causes merge --- */

struct pql_agenda_item {
    struct pql_user *user; /* NULL: the account */
    enum pql_cause by;
    const struct pql_expr
        *via; /* the cause counts only if the value of this quantifier is another than before */
};

int pql_agenda_order(const void *a, const void *b);
void pql_agenda_push_one(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                         enum pql_cause by);
/* A unit of users, pushed because of the account, is looked at for every user. */
void pql_agenda_push(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                     enum pql_cause by);
void pql_agenda_push_units(struct pql_engine *engine, struct pql_unit *const *units, size_t count,
                           struct pql_user *user, enum pql_cause by);
/* Those who read bits of mask. */
void pql_agenda_push_all(struct pql_engine *engine, const struct pql_dependents *dependents, unsigned mask,
                         struct pql_user *user, enum pql_cause by);
/* Something behind quantifiers is about to change, and has changed. Whether that is a cause is seen when
 * their readers are evaluated: of several steps one may undo the other. */
void pql_agenda_note(struct pql_engine *engine, const struct pql_expr *via);
void pql_agenda_push_via(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                         enum pql_cause by, const struct pql_expr *via);
/* Both around a step of a counter. */
void pql_agenda_step(struct pql_engine *engine, const struct pql_dependents *dependents, enum pql_cause by,
                     uint32_t *counter, bool up);
/* Of what is pushed because a user became or ceased to be a member: a cause if both did not happen at once.
 */
extern const struct pql_expr pql_via_membership;
enum pql_cause pql_agenda_cause(const struct pql_engine *engine, const struct pql_agenda_item *item);

/* --- timers.c --- */

/* When a standing changes by itself after t, or somebody reads how long ago it changed. */
int64_t pql_standing_next(const struct pql_definition *definition, const struct pql_standing *standing,
                          int64_t t_ms);
/* The next end of a `first` window or period, for those that can still be missed. */
int64_t pql_first_next(const struct pql_program *program, const struct pql_account *account,
                       const struct pql_user *user, int64_t t_ms);
int64_t pql_age_next(const struct pql_program *program, const struct pql_subject_state *state,
                     enum pql_subject subject, int64_t t_ms);
bool pql_is_not_yet(const struct pql_subject_state *state, const struct pql_definition *definition);
/* What is due of the account and its users at the instant. */
void pql_timers_fire(struct pql_engine *engine);
/* Afterwards: who fired is set anew from all that it keeps; the others only got earlier ones. */
void pql_timers_retime(struct pql_engine *engine);

/* --- apply.c --- */

void pql_apply_event(struct pql_engine *engine, const struct pql_event *event);
/* An explicit start replaces an assumed one; of one rank (enum pql_start) the earlier holds. */
void pql_start_set(struct pql_engine *engine, struct pql_user *user, uint8_t rank, int64_t time_ms);
/* The user with this id, made (no member yet) if there is none. */
struct pql_user *pql_user_get(struct pql_engine *engine, struct pql_slice id, bool *is_new);
/* The signal's cell is this one now, and took so much of the allocator before: it is put in its place and
 * counted. Returns where it is. */
struct pql_cell *pql_cell_keep(struct pql_engine *engine, struct pql_subject_state *state,
                               const struct pql_signal_def *def, struct pql_cell *cell, size_t cost_before);
/* Of the attribute that the spread counts; 0: the user has no such attribute. */
uint64_t pql_attribute_hash(const struct pql_program *program, const struct pql_user *user, uint32_t spread);
/* One user more or less has that value. */
void pql_step_tally(struct pql_engine *engine, uint32_t index, uint64_t hash, enum pql_cause by, bool up);

/* --- member.c --- */

/* Membership is decided by the latest event by time that speaks of it: identify, group and track make the
 * user a member, leave_group takes that away; of one time the later one counts. is_new: the user has just
 * been added, nobody has read it yet. */
void pql_member_by_event(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                         bool is_new);
/* Conditions hold for members only, and definitions let nobody else enter. */
void pql_member_set(struct pql_engine *engine, struct pql_user *user, bool is_member, bool is_new);

/* At the end of the instant. */
void pql_members_settle(struct pql_engine *engine);

/* --- outcome.c --- */

/* With a user: for the definitions of that user; without: for those of the account and of all its users. */
void pql_apply_outcome(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                       const struct pql_listener *listener);
/* May the subject not be a member at t, whatever it does? Then why. */
bool pql_outcome_bars(const struct pql_definition *definition, const struct pql_standing *standing,
                      int64_t t_ms, enum pql_reason *reason);
/* When that, or a deadline, ends after t; INT64_MAX: never. */
int64_t pql_outcome_next(const struct pql_definition *definition, const struct pql_standing *standing,
                         int64_t t_ms);
/* Of a running deadline; else PQL_NO_TIME. */
int64_t pql_sla_due(const struct pql_definition *definition, const struct pql_standing *standing);
/* The deadline of a member begins; and is looked at: it is breached where it is over. */
void pql_sla_begin(const struct pql_definition *definition, struct pql_standing *standing);
void pql_sla_check(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
                   struct pql_standing *standing);
/* What one standing of another user knows of outcomes is true of this one, too. True: something changed. */
bool pql_standing_pass_on(struct pql_standing *into, const struct pql_standing *from);
/* --- alias.c --- */

/* Both ids mean one user from now on: the second, which means itself. */
void pql_alias_apply(struct pql_engine *engine, struct pql_slice previous, struct pql_slice user);
/* What a subject keeps by user has `to` where it had `from`; to empty: it goes. */
void pql_alias_rename(struct pql_engine *engine, struct pql_user *user, struct pql_slice from,
                      struct pql_slice to);

/* --- forget.c --- */

/* The user of the event, or all of the account. */
void pql_forget(struct pql_engine *engine, const struct pql_event *event);
/* An account of which nothing is left, at the end of the instant. */
void pql_remove_account(struct pql_engine *engine, struct pql_account *account);
/* The state of a key goes. user: empty, of the account. */
void pql_erase_key(struct pql_engine *engine, const struct pql_definition_conf *conf, struct pql_slice user,
                   const struct pql_standing *standing);

/* Quantifiers count it no more: no condition holds for it, it is no member. */
void pql_user_uncount(struct pql_engine *engine, struct pql_user *user);

/* --- lifecycle.c --- */

/* A member leaves. */
void pql_leave(struct pql_engine *engine, const struct pql_definition *definition, struct pql_user *user,
               enum pql_reason reason, enum pql_cause by);
/* A version is above that of every earlier record of the key. */
void pql_next_version(const struct pql_engine *engine, struct pql_standing *standing);
/* What the standing says by itself; and what every record says. The definition's part is the caller's. */
struct pql_record pql_record_standing(const struct pql_engine *engine, const struct pql_account *account,
                                      const struct pql_user *user, const struct pql_standing *standing);
struct pql_record pql_record_of(const struct pql_engine *engine, const struct pql_user *user,
                                const struct pql_standing *standing, enum pql_status before);
void pql_publish_record(struct pql_engine *engine, struct pql_record *record);
void pql_emit_record(struct pql_engine *engine, const struct pql_definition *definition,
                     struct pql_user *user, struct pql_standing *standing, enum pql_transition transition,
                     enum pql_status before, enum pql_reason reason);
/* Made if absent. */
struct pql_standing *pql_standing_get(struct pql_engine *engine, const struct pql_definition *definition,
                                      struct pql_user *user);
void pql_evaluate_definition(struct pql_engine *engine, const struct pql_definition *definition,
                             struct pql_user *user, const struct pql_scope *scope, enum pql_cause by);

/* --- scoring.c --- */

/* What a record says of score and tier; the standing remembers that it was said. */
void pql_score_tell(const struct pql_definition *definition, const struct pql_scope *scope,
                    struct pql_standing *standing, struct pql_record *record);
/* When a held change of the score is to be published; INT64_MAX: none is. */
int64_t pql_score_due(const struct pql_definition *definition, const struct pql_standing *standing);
/* After the definition was evaluated, which has a score: tier_changed and score_changed. */
void pql_score_evaluate(struct pql_engine *engine, const struct pql_definition *definition,
                        struct pql_user *user, pql_decimal now, enum pql_cause by);

/* --- instant.c --- */

/* Works the agenda off: every unit once, in order, with its causes merged. */
void pql_instant_evaluate(struct pql_engine *engine);

#endif
