#include "core/instant.h"

int pql_agenda_order(const void *a, const void *b)
{
    const struct pql_user *x = ((const struct pql_agenda_item *)a)->user,
                          *y = ((const struct pql_agenda_item *)b)->user;
    if (x == y) return 0;
    if (!x || !y) return x ? -1 : 1;
    int c = pql_slice_cmp(x->id, y->id);
    return c ? c : (x->state.gone == 0) - (y->state.gone == 0); /* who is gone, before who came with its id */
}

static void push_item(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                      enum pql_cause by, const struct pql_expr *via)
{
    if (engine->change.is_filling) return; /* what is read again is evaluated once, at its end */
    struct pql_agenda_item *item = pql_arena_alloc(&engine->scratch, sizeof *item);
    *item = (struct pql_agenda_item){user, by, via};
    pql_heap_push(&engine->agenda, pql_agenda_order, unit->order, item);
}

void pql_agenda_push_via(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                         enum pql_cause by, const struct pql_expr *via)
{
    if (unit->subject == PQL_SUBJECT_ACCOUNT) {
        push_item(engine, unit, NULL, by, via);
    } else if (user) {
        push_item(engine, unit, user, by, via);
    } else {
        for (size_t i = 0; i < engine->account->users_count; i++)
            push_item(engine, unit, engine->account->users[i].user, by, via);
    }
}

void pql_agenda_push_one(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                         enum pql_cause by)
{
    push_item(engine, unit, user, by, NULL);
}

void pql_agenda_push(struct pql_engine *engine, const struct pql_unit *unit, struct pql_user *user,
                     enum pql_cause by)
{
    pql_agenda_push_via(engine, unit, user, by, NULL);
}

void pql_agenda_push_all(struct pql_engine *engine, const struct pql_dependents *dependents, unsigned mask,
                         struct pql_user *user, enum pql_cause by)
{
    for (size_t i = 0; i < dependents->count; i++)
        if (dependents->items[i].mask & mask) pql_agenda_push(engine, dependents->items[i].unit, user, by);
}

/* The value of a quantifier before the instant, noted at its first step in it. */
struct pql_stepped {
    const struct pql_expr *via;
    struct pql_value before;
};

static struct pql_scope account_scope(const struct pql_engine *engine)
{
    return (struct pql_scope){.program = engine->program, .account = engine->account, .t_ms = engine->t_ms};
}

static const struct pql_stepped *find_stepped(const struct pql_engine *engine, const struct pql_expr *via)
{
    for (size_t i = 0; i < engine->stepped_count; i++)
        if (engine->stepped[i].via == via) return &engine->stepped[i];
    return NULL;
}

void pql_agenda_note(struct pql_engine *engine, const struct pql_expr *via)
{
    if (find_stepped(engine, via)) return;
    struct pql_scope scope = account_scope(engine);
    engine->stepped = pql_xgrow(engine->stepped, &engine->stepped_capacity, engine->stepped_count + 1,
                                sizeof *engine->stepped);
    engine->stepped[engine->stepped_count++] = (struct pql_stepped){via, pql_expr_value(via, &scope)};
}

void pql_agenda_step(struct pql_engine *engine, const struct pql_dependents *dependents, enum pql_cause by,
                     uint32_t *counter, bool up)
{
    for (size_t i = 0; i < dependents->count; i++) pql_agenda_note(engine, dependents->items[i].via);
    *counter = up ? *counter + 1 : *counter - 1;
    for (size_t i = 0; i < dependents->count; i++)
        pql_agenda_push_via(engine, dependents->items[i].unit, NULL, by, dependents->items[i].via);
}

const struct pql_expr pql_via_membership = {0};

enum pql_cause pql_agenda_cause(const struct pql_engine *engine, const struct pql_agenda_item *item)
{
    if (item->by == PQL_BY_TIME || !item->via) return item->by;
    if (item->via == &pql_via_membership) return item->user->state.is_moved ? item->by : PQL_BY_TIME;
    struct pql_scope scope = account_scope(engine);
    struct pql_value now = pql_expr_value(item->via, &scope);
    return pql_value_same(&find_stepped(engine, item->via)->before, &now) ? PQL_BY_TIME : item->by;
}

void pql_agenda_push_units(struct pql_engine *engine, struct pql_unit *const *units, size_t count,
                           struct pql_user *user, enum pql_cause by)
{
    for (size_t i = 0; i < count; i++) pql_agenda_push(engine, units[i], user, by);
}
