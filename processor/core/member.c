#include "core/instant.h"

/* Whatever is asked of this user alone may be different now. */
static void push_units_of(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    for (size_t i = 0; i < program->units_count; i++)
        if (program->units[i]->subject == PQL_SUBJECT_USER)
            pql_agenda_push_via(engine, program->units[i], user, PQL_BY_EVENT, &pql_via_membership);
}

static void note_move(struct pql_engine *engine, struct pql_user *user)
{
    user->state.is_moved = !user->state.is_moved;
    engine->moved =
        pql_xgrow(engine->moved, &engine->moved_capacity, engine->moved_count + 1, sizeof(struct pql_user *));
    engine->moved[engine->moved_count++] = user;
}

void pql_members_settle(struct pql_engine *engine)
{
    for (size_t i = 0; i < engine->moved_count; i++) engine->moved[i]->state.is_moved = false;
    engine->moved_count = 0;
}

void pql_member_set(struct pql_engine *engine, struct pql_user *user, bool is_member, bool is_new)
{
    struct pql_account *account = engine->account;
    if (user->state.is_member == is_member) return;
    pql_touch_user(engine, account, user);
    user->state.is_member = is_member;
    pql_agenda_step(engine, &engine->program->members_dependents, PQL_BY_EVENT, &account->members, is_member);
    if (is_new) return;
    note_move(engine, user);
    push_units_of(engine, user);
}

void pql_member_by_event(struct pql_engine *engine, struct pql_user *user, const struct pql_event *event,
                         bool is_new)
{
    bool joins =
        event->kind == PQL_EVENT_TRACK || event->kind == PQL_EVENT_IDENTIFY || event->kind == PQL_EVENT_GROUP;
    if ((!joins && event->kind != PQL_EVENT_LEAVE_GROUP) || event->time_ms < user->member_ms) return;
    pql_touch_user(engine, engine->account, user);
    user->member_ms = event->time_ms;
    pql_member_set(engine, user, joins, is_new);
}
