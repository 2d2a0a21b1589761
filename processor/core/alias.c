/* alias.c - two users of one account are one.
 *
 *   alias of p and u:   p's id means u from now on (state/aliases.h)
 *                       what the account keeps by user (distinct, sequence by user) has u where it had p
 *                       p's start, attributes and signals go to u as if its events had been u's
 *                       p is gone: no member, no condition holds for it, it leaves its definitions, `merged`
 *
 * p and u are first taken for whom their ids mean already: so chains follow, and an alias of itself, of both
 * ways or a second time is nothing. An alias of ids never seen is known when their events come.
 *
 * u's key goes on with its own history: how often and when it qualified, its cool-down. A merge is evaluated
 * like any other event, at the instant at which it is applied. */
#include "core/instant.h"

#include "core/hash.h"

struct pql_slice pql_alias_user(const struct pql_engine *engine, const struct pql_account *account,
                                struct pql_slice id)
{
    if (!account || !account->aliases || !id.len) return id;
    return pql_aliases_user(account->aliases, engine->store.key, id);
}

static void add_link(struct pql_engine *engine, struct pql_slice from, struct pql_slice to)
{
    struct pql_account *account = engine->account;
    uint64_t key = engine->store.key;
    if (account->aliases) {
        uint32_t known = pql_aliases_find(account->aliases, key, from);
        pql_touch_alias(engine, account, known == PQL_ALIAS_NONE ? account->aliases->count : known);
        pql_touch_alias(engine, account, account->aliases->count);
    }
    size_t before = pql_aliases_bytes(account->aliases);
    pql_aliases_add(&account->aliases, key, from, to);
    engine->store.bytes += pql_aliases_bytes(account->aliases) - before;
    pql_snapshot_aliases(engine, account);
    if (!engine->store.places.is_kept) return;
    pql_places_add(&engine->store.places, pql_hash_slice(from, key), account->index);
    pql_places_add(&engine->store.places, pql_hash_slice(to, key), account->index);
}

/* --- by user --- */

static struct pql_renaming renaming_of(const struct pql_engine *engine, struct pql_slice from,
                                       struct pql_slice to)
{
    char scratch[PQL_DECIMAL_TEXT_MAX];
    uint64_t key = engine->program->key;
    struct pql_renaming renaming = {.from = pql_text(from), .to = to.len ? pql_text(to) : pql_null()};
    renaming.from_hash = pql_hash_slice(pql_value_canonical(&renaming.from, scratch), key);
    if (to.len) renaming.to_hash = pql_hash_slice(pql_value_canonical(&renaming.to, scratch), key);
    return renaming;
}

void pql_alias_rename(struct pql_engine *engine, struct pql_user *user, struct pql_slice from,
                      struct pql_slice to)
{
    const struct pql_program *program = engine->program;
    struct pql_subject_state *state = pql_state_of(engine->account, user);
    struct pql_renaming renaming = renaming_of(engine, from, to);
    for (size_t i = 0; i < pql_cells_count(state->cells); i++) {
        uint32_t slot;
        struct pql_cell *cell = pql_cells_at(state->cells, i, &slot);
        uint32_t what = pql_program_slot(program, (int)pql_subject_of(user), slot);
        if (what & PQL_SLOT_DEFINITION || program->signals[what]->path != PQL_PATH_USER) continue;
        if (engine->change.is_filling && !engine->change.is_new_signal[what]) continue;
        const struct pql_signal_def *def = program->signals[what];
        struct pql_first first = pql_first_of(program, engine->account, state, def);
        size_t before = pql_signal_cost(&def->signal, cell);
        pql_touch_cell(engine, engine->account, user, slot);
        unsigned changed = pql_signal_rename(&def->signal, &cell, &renaming, &first, engine->t_ms);
        cell = pql_cell_keep(engine, state, def, cell, before);
        pql_schedule(engine->account, user, pql_signal_next_change(&def->signal, cell, engine->t_ms));
        if (changed) pql_agenda_push_all(engine, &def->dependents, changed, user, PQL_BY_EVENT);
    }
}

/* --- what quantifiers count --- */

static void step_spreads(struct pql_engine *engine, const struct pql_user *user, bool up)
{
    const struct pql_program *program = engine->program;
    for (uint32_t i = 0; i < program->spreads_count; i++)
        if (pql_user_has(user, program->spreads[i]->condition))
            pql_step_tally(engine, i, pql_attribute_hash(program, user, i), true, up);
}

void pql_user_uncount(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    struct pql_account *account = engine->account;
    step_spreads(engine, user, false);
    for (uint32_t c = 0; c < program->conditions_count; c++) {
        if (!pql_user_has(user, c)) continue;
        user->bits[c / 64] ^= UINT64_C(1) << (c % 64);
        pql_agenda_step(engine, &program->conditions[c]->dependents, PQL_BY_EVENT, &account->holding[c],
                        false);
    }
    pql_member_set(engine, user, false, true);
}

/* --- what is kept --- */

static void merge_cell(struct pql_engine *engine, struct pql_user *into, struct pql_user *from, uint32_t slot)
{
    const struct pql_program *program = engine->program;
    const struct pql_signal_def *def = program->signals[program->slots[PQL_SUBJECT_USER][slot]];
    const struct pql_signal *signal = &def->signal;
    size_t given_cost = pql_signal_cost(signal, pql_cells_find(from->state.cells, slot));
    struct pql_cell *given = pql_cells_take(from->state.cells, slot);
    struct pql_first old = pql_first_of(program, engine->account, &from->state, def),
                     now = pql_first_of(program, engine->account, &into->state, def);
    engine->store.bytes -= given_cost;
    if (old.start_ms != now.start_ms || old.end_ms != now.end_ms)
        pql_signal_start_moves(signal, given, &old, &now, engine->t_ms);
    pql_touch_cell(engine, engine->account, into, slot);
    struct pql_cell *cell = pql_cells_find(into->state.cells, slot);
    size_t before = pql_signal_cost(signal, cell);
    unsigned changed = pql_signal_merge(signal, &cell, given, &now, engine->t_ms);
    (void)pql_cell_keep(engine, &into->state, def, cell, before);
    pql_agenda_push_all(engine, &def->dependents, changed, into, PQL_BY_EVENT);
}

static void merge_cells(struct pql_engine *engine, struct pql_user *into, struct pql_user *from)
{
    size_t kept = 0;
    while (kept < pql_cells_count(from->state.cells)) {
        uint32_t slot;
        (void)pql_cells_at(from->state.cells, kept, &slot);
        if (pql_program_slot(engine->program, PQL_SUBJECT_USER, slot) & PQL_SLOT_DEFINITION)
            kept++; /* it has to leave */
        else
            merge_cell(engine, into, from, slot);
    }
}

/* The later event that speaks of it decides, of whichever of the two. */
static void merge_membership(struct pql_engine *engine, struct pql_user *into, bool is_member,
                             int64_t member_ms, bool is_new)
{
    if (member_ms <= into->member_ms) return;
    into->member_ms = member_ms;
    pql_member_set(engine, into, is_member, is_new);
}

/* NULL: the definition is of accounts, or the user has nothing to do with it. */
static const struct pql_standing *standing_of(const struct pql_user *user,
                                              const struct pql_definition *definition)
{
    bool of_users = definition->conf->subject == PQL_SUBJECT_USER;
    return of_users ? pql_standing_of(&user->state, definition) : NULL;
}

/* What outcomes have decided is of the one user now. */
static void merge_standings(struct pql_engine *engine, struct pql_user *into, const struct pql_user *from)
{
    const struct pql_program *program = engine->program;
    for (size_t d = 0; d < program->conf->definitions_count; d++) {
        const struct pql_definition *definition = &program->definitions[d];
        const struct pql_standing *given = standing_of(from, definition);
        if (!given || !(given->is_converted || given->disqualified_ms != PQL_NO_TIME)) continue;
        struct pql_standing *standing = pql_standing_get(engine, definition, into);
        if (!pql_standing_pass_on(standing, given)) continue;
        pql_schedule(engine->account, into, pql_standing_next(definition, standing, engine->t_ms));
        pql_agenda_push_one(engine, &definition->unit, into, PQL_BY_EVENT);
    }
}

static void leave_definitions(struct pql_engine *engine, struct pql_user *user)
{
    const struct pql_program *program = engine->program;
    for (size_t d = 0; d < program->conf->definitions_count; d++) {
        const struct pql_standing *standing = standing_of(user, &program->definitions[d]);
        if (standing && standing->status == PQL_QUALIFIED)
            pql_agenda_push_one(engine, &program->definitions[d].unit, user, PQL_BY_EVENT);
    }
}

static void merge_users(struct pql_engine *engine, struct pql_slice to, struct pql_user *from)
{
    struct pql_account *account = engine->account;
    bool is_new, was_member = from->state.is_member;
    struct pql_user *into = pql_user_get(engine, to, &is_new);
    pql_touch_removal(engine, account, from);
    pql_touch_user(engine, account, into);
    pql_user_uncount(engine, from);
    pql_alias_rename(engine, from, from->id, into->id);
    step_spreads(engine, into, false);
    pql_start_set(engine, into, from->state.start, from->state.start_ms);
    merge_cells(engine, into, from);
    from->state.start = PQL_START_NONE;
    from->state.start_ms = PQL_NO_TIME;
    step_spreads(engine, into, true);
    merge_membership(engine, into, was_member, from->member_ms, is_new);
    merge_standings(engine, into, from);
    pql_schedule(account, into, pql_subject_next(engine, account, into, engine->t_ms));
    pql_account_remove(&engine->store, engine->program, account, from, PQL_REASON_MERGED);
    leave_definitions(engine, from);
}

void pql_alias_apply(struct pql_engine *engine, struct pql_slice previous, struct pql_slice user)
{
    struct pql_account *account = engine->account;
    struct pql_slice from = pql_arena_copy(&engine->scratch, pql_alias_user(engine, account, previous)),
                     to = user;
    if (pql_slice_eq(from, to) || engine->change.is_filling) return;
    add_link(engine, from, to);
    pql_alias_rename(engine, NULL, from, to);
    if (!engine->program->keeps_users) return;
    struct pql_user *gone = pql_account_find(&engine->store, account, from);
    if (gone) merge_users(engine, to, gone);
}
