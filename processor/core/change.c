/* change.c - another program under the state of a task.
 *
 *   change   tables: what was in slot i stands in slot j now, or is freed      once, all accounts
 *   fill     events of before the change, for new signals only
 *   settle   conditions, timers, records                                     account by account, in order
 *
 * The structure is changed at once, so that there is never a state of two layouts; only what may emit is done
 * account by account. What is left to do is part of the state, so a snapshot may be taken in between. */
#include "core/engine_state.h"

#include "core/hash.h"
#include "core/score.h"
#include <stdlib.h>

enum { HASH_LEN = 16 };

/* What becomes of each slot of the old program. */
struct moves {
    const struct pql_program *from, *to;
    uint32_t *slots[2]; /* PQL_NO_INDEX: freed */
    uint32_t *heirs[2]; /* of a definition that goes live, or out of it: the other's slot; or PQL_NO_INDEX */
    uint32_t *conditions;    /* by index of the old program */
    struct pql_since *since; /* by signal of the new program */
    struct pql_since now;    /* what is new is known from here on */
};

/* --- tables --- */

/* One that goes live, or out of it, is another: its members leave where they were told of, and enter where
 * they are told of from now on. */
static uint32_t definition_in(const struct pql_program *program, const struct pql_definition_conf *wanted,
                              bool in_its_mode)
{
    for (uint32_t i = 0; i < program->conf->definitions_count; i++) {
        const struct pql_definition_conf *conf = program->definitions[i].conf;
        if (conf->subject == wanted->subject && (conf->mode == wanted->mode) == in_its_mode &&
            pql_slice_eq(conf->name, wanted->name))
            return i;
    }
    return PQL_NO_INDEX;
}

static uint32_t signal_in(const struct pql_program *program, const struct pql_signal_def *def)
{
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (program->signals[i]->signal.kind == def->signal.kind &&
            pql_slice_eq(program->signals[i]->key, def->key))
            return i;
    return PQL_NO_INDEX;
}

/* The name is copied. */
static uint32_t add_retired(struct pql_change *change, const struct pql_retired *retired,
                            struct pql_slice name)
{
    char *copy = pql_xmalloc(name.len + 1);
    if (name.len) memcpy(copy, name.ptr, name.len);
    change->retired = pql_xrealloc(change->retired, (change->retired_count + 1) * sizeof *change->retired);
    change->retired[change->retired_count] = *retired;
    change->retired[change->retired_count].name = (struct pql_slice){copy, name.len};
    return (uint32_t)change->retired_count++;
}

static uint32_t retire(struct pql_engine *engine, const struct pql_definition *definition)
{
    struct pql_retired retired = {.version = definition->conf->version,
                                  .subject = definition->conf->subject,
                                  .is_shadow = definition->conf->mode == PQL_MODE_SHADOW};
    memcpy(retired.hash, definition->hash, sizeof retired.hash);
    return add_retired(&engine->change, &retired, definition->conf->name);
}

static void move_signal(struct pql_engine *engine, struct moves *m, uint32_t index)
{
    const struct pql_signal_def *def = m->from->signals[index];
    uint32_t to = signal_in(m->to, def);
    /* What shared its cell, or comes to share one, begins anew. */
    if (to != PQL_NO_INDEX && !def->storage != !m->to->signals[to]->storage) to = PQL_NO_INDEX;
    uint32_t *slot = &m->slots[def->signal.subject][def->slot];
    if (!def->storage) *slot = to == PQL_NO_INDEX ? PQL_NO_INDEX : m->to->signals[to]->slot;
    if (to == PQL_NO_INDEX) return;
    m->since[to] = engine->since[index];
    engine->change.is_new_signal[to] = false;
}

static void move_definition(struct pql_engine *engine, struct moves *m, uint32_t index)
{
    const struct pql_definition *definition = &m->from->definitions[index];
    enum pql_subject subject = definition->conf->subject;
    uint32_t to = definition_in(m->to, definition->conf, true);
    uint32_t *slot = &m->slots[subject][definition->slot];
    m->heirs[subject][definition->slot] = PQL_NO_INDEX;
    if (to == PQL_NO_INDEX) {
        uint32_t heir = definition_in(m->to, definition->conf, false);
        if (heir != PQL_NO_INDEX) m->heirs[subject][definition->slot] = m->to->definitions[heir].slot;
        *slot = (uint32_t)m->to->slots_count[subject] + retire(engine, definition);
        return;
    }
    *slot = m->to->definitions[to].slot;
    engine->change.is_new_definition[to] = strcmp(definition->hash, m->to->definitions[to].hash) != 0;
}

static void move_condition(struct pql_engine *engine, struct moves *m, uint32_t index)
{
    m->conditions[index] = PQL_NO_INDEX;
    for (uint32_t i = 0; i < m->to->conditions_count; i++)
        if (pql_slice_eq(m->to->conditions[i]->text, m->from->conditions[index]->text)) {
            m->conditions[index] = i;
            engine->change.is_new_condition[i] = false;
        }
}

static bool *all_true(size_t count)
{
    bool *flags = pql_xmalloc(count + 1);
    memset(flags, true, count);
    return flags;
}

static void open_change(struct pql_engine *engine, const struct pql_program *to)
{
    engine->change = (struct pql_change){.is_active = true,
                                         .is_new_definition = all_true(to->conf->definitions_count),
                                         .is_new_condition = all_true(to->conditions_count),
                                         .is_new_signal = all_true(to->signals_count),
                                         .fill_seen = PQL_NO_TIME,
                                         .fill_input_seen = PQL_NO_TIME};
}

static void make_moves(struct pql_engine *engine, const struct pql_program *to, struct moves *m)
{
    const struct pql_program *from = engine->program;
    *m = (struct moves){.from = from,
                        .to = to,
                        .conditions = pql_xcalloc(from->conditions_count + 1, sizeof *m->conditions),
                        .since = pql_xcalloc(to->signals_count + 1, sizeof *m->since),
                        .now = {engine->seen, engine->store.appeared}};
    for (int s = 0; s < 2; s++) {
        m->slots[s] = pql_xcalloc(from->slots_count[s] + 1, sizeof *m->slots[s]);
        m->heirs[s] = pql_xcalloc(from->slots_count[s] + 1, sizeof *m->heirs[s]);
    }
    for (size_t i = 0; i < to->signals_count; i++) m->since[i] = m->now;
    for (uint32_t i = 0; i < from->signals_count; i++) move_signal(engine, m, i);
    for (uint32_t i = 0; i < from->conf->definitions_count; i++) move_definition(engine, m, i);
    for (uint32_t i = 0; i < from->conditions_count; i++) move_condition(engine, m, i);
}

static void free_moves(struct moves *m)
{
    free(m->slots[0]);
    free(m->slots[1]);
    free(m->heirs[0]);
    free(m->heirs[1]);
    free(m->conditions);
}

/* --- subjects --- */

/* Of a definition that stays, or one that ever had a record: its last word is yet to be said. */
static bool is_needed(const struct moves *m, enum pql_subject subject, uint32_t slot,
                      const struct pql_standing *standing)
{
    return slot < m->to->slots_count[subject] || standing->version;
}

/* Tiers go by their names; one that is gone is no tier. What has no score now knows nothing of one. */
static struct pql_standing *adapt_standing(const struct pql_definition *from, const struct pql_definition *to,
                                           struct pql_standing *standing)
{
    bool has_score = to && to->score;
    struct pql_slice tier = from->score ? pql_tier_name(from->score, standing->tier) : (struct pql_slice){0};
    standing->tier = 0;
    for (size_t i = 0; has_score && tier.len && i < to->score->tiers_count; i++)
        if (pql_slice_eq(to->score->tiers[i]->name.text, tier)) standing->tier = (uint8_t)(i + 1);
    if (has_score && from->score) return standing;
    standing->is_sent = standing->is_held = false;
    standing->held_by = PQL_BY_TIME;
    return pql_xrealloc(standing, pql_standing_size(to));
}

/* What outcomes said of a subject holds whatever the mode. */
static void inherit(const struct moves *m, enum pql_subject subject, struct pql_subject_state *state,
                    uint32_t heir, const struct pql_standing *standing)
{
    bool is_bare = !standing->is_converted && standing->disqualified_ms == PQL_NO_TIME;
    if (heir == PQL_NO_INDEX || is_bare) return;
    struct pql_standing *own =
        pql_standing_new(pql_program_standing(m->to, pql_program_slot(m->to, (int)subject, heir)));
    own->is_converted = standing->is_converted;
    own->disqualified_ms = standing->disqualified_ms;
    pql_cells_put(&state->cells, heir, own);
}

static void move_cells(const struct moves *m, enum pql_subject subject, struct pql_subject_state *state)
{
    struct pql_cells *old = state->cells;
    state->cells = NULL;
    state->timer_ms = INT64_MAX;
    for (size_t i = 0; i < pql_cells_count(old); i++) {
        uint32_t slot, what;
        (void)pql_cells_at(old, i, &slot);
        void *cell = pql_cells_give(old, i);
        what = m->from->slots[subject][slot];
        uint32_t to = m->slots[subject][slot];
        if (what & PQL_SLOT_DEFINITION) {
            inherit(m, subject, state, m->heirs[subject][slot], cell);
            if (is_needed(m, subject, to, cell))
                pql_cells_put(
                    &state->cells, to,
                    adapt_standing(pql_program_standing(m->from, what),
                                   pql_program_standing(m->to, pql_program_slot(m->to, (int)subject, to)),
                                   cell));
            else
                free(cell);
            continue;
        }
        const struct pql_signal *signal = &m->from->signals[what]->signal;
        if (to == PQL_NO_INDEX) {
            pql_signal_free(signal, cell);
            continue;
        }
        uint32_t index = m->to->slots[subject][to];
        struct pql_cell *kept = cell;
        if (pql_signal_adapt(signal, &m->to->signals[index]->signal, &kept)) m->since[index] = m->now;
        pql_cells_put_signal(&state->cells, to, &m->to->signals[index]->signal, kept);
    }
    free(old);
}

static void move_account(const struct moves *m, struct pql_account *account)
{
    move_cells(m, PQL_SUBJECT_ACCOUNT, &account->state);
    for (size_t i = 0; i < account->users_count; i++)
        move_cells(m, PQL_SUBJECT_USER, &account->users[i].user->state);
    account->timers.count = 0;
    account->timer_ms = INT64_MAX;
    pql_account_bury(m->from, account);
}

/* --- the change --- */

void pql_change_init(struct pql_engine *engine)
{
    engine->since = pql_xcalloc(engine->program->signals_count + 1, sizeof *engine->since);
    for (size_t i = 0; i < engine->program->signals_count; i++) engine->since[i].ms = PQL_NO_TIME;
    engine->users_since.ms = PQL_NO_TIME;
}

void pql_change_close(struct pql_engine *engine)
{
    struct pql_change *change = &engine->change;
    free(change->is_new_definition);
    free(change->is_new_condition);
    free(change->is_new_signal);
    for (size_t i = 0; i < change->retired_count; i++) free((char *)(uintptr_t)change->retired[i].name.ptr);
    free(change->retired);
    pql_dedup_deinit(&change->filled);
    *change = (struct pql_change){0};
}

void pql_change_deinit(struct pql_engine *engine)
{
    pql_change_close(engine);
    free(engine->since);
}

int pql_change_begin(struct pql_engine *engine, const struct pql_program *program, struct pql_err *err)
{
    const struct pql_program *old = engine->program;
    struct moves m;
    PQL_ASSERT(!engine->change.is_active);
    if (!pql_slice_eq(old->conf->app, program->conf->app))
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "the state is of app '%.*s', the new definitions are of '%.*s': an application keeps its name",
            PQL_SLICE_ARG(old->conf->app), PQL_SLICE_ARG(program->conf->app));
    open_change(engine, program);
    engine->change.known_ms = engine->seen;
    make_moves(engine, program, &m);
    engine->timers.count = 0;
    pql_bury_accounts(engine);
    for (size_t i = 0; i < engine->store.count; i++) move_account(&m, engine->store.accounts[i]);
    for (size_t i = 0; i < engine->store.count; i++) pql_account_drop_tallies(old, engine->store.accounts[i]);
    pql_store_change(&engine->store, program, m.conditions);
    pql_reorder_rename(&engine->reorder, &old->names, &program->names);
    pql_dedup_change(&engine->dedup, program->conf->settings.dedup_horizon_ms,
                     program->conf->settings.dedup_ids_max);
    if (program->keeps_users && !old->keeps_users) engine->users_since = m.now;
    free(engine->since);
    engine->since = m.since;
    engine->program = program;
    pql_store_recount(&engine->store, program);
    pql_snapshot_restart(engine);
    free_moves(&m);
    return 0;
}

/* --- filling --- */

/* By the clock of its own input: they are read one after the other. */
static bool is_late_again(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_change *change = &engine->change;
    const struct pql_settings *settings = &engine->program->conf->settings;
    if (event->input != change->fill_input) change->fill_input_seen = PQL_NO_TIME;
    change->fill_input = event->input;
    int64_t *own = &change->fill_input_seen, *all = &change->fill_seen;
    bool is_late = *own != PQL_NO_TIME && event->time_ms < *own - settings->lateness_ms;
    if (*own == PQL_NO_TIME || event->time_ms > *own) *own = event->time_ms;
    if (*all == PQL_NO_TIME || event->time_ms > *all) *all = event->time_ms;
    return is_late && settings->late_policy != PQL_LATE_APPLY;
}

/* The engine knows the ids of before the change; these are known anew as the events are. */
static bool is_repeated(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_change *change = &engine->change;
    if (!change->filled.horizon_ms || !event->id.len) return false;
    uint64_t id = pql_hash_slice(event->id, engine->program->key);
    int64_t seen = change->fill_seen > event->time_ms ? change->fill_seen : event->time_ms;
    if (pql_dedup_has(&change->filled, id, seen)) return true;
    (void)pql_dedup_forget(&change->filled, seen);
    pql_dedup_add(&change->filled, id, seen);
    return false;
}

static void begin_fill(struct pql_engine *engine)
{
    const struct pql_settings *settings = &engine->program->conf->settings;
    engine->change.is_filling = true;
    pql_dedup_init(&engine->change.filled, settings->dedup_horizon_ms, settings->dedup_ids_max);
}

static void note_known_from(struct pql_engine *engine, int64_t from_ms)
{
    struct pql_change *change = &engine->change;
    for (size_t i = 0; i < engine->program->signals_count; i++)
        if (change->is_new_signal[i]) engine->since[i].ms = from_ms;
    if (engine->users_since.ms == change->known_ms) engine->users_since.ms = from_ms;
    change->known_ms = from_ms;
}

void pql_engine_fill_stop(struct pql_engine *engine)
{
    if (engine->change.is_filling) note_known_from(engine, engine->seen);
}

static void fill_account(struct pql_engine *engine, const struct pql_event *event)
{
    struct pql_account *account = pql_store_find(&engine->store, event->account);
    if (pql_engine_ignores(engine, account, event)) return;
    if (!account && event->kind == PQL_EVENT_FORGET) return;
    if (!account) account = pql_account_appears(engine, event->account);
    pql_instant_fill(engine, account, event);
}

void pql_engine_fill(struct pql_engine *engine, const struct pql_event *event, int64_t from_ms)
{
    PQL_ASSERT(engine->change.is_active && !engine->work.order);
    if (!engine->change.is_filling) {
        note_known_from(engine, from_ms);
        begin_fill(engine);
    }
    bool is_waiting = engine->complete == PQL_NO_TIME || event->time_ms > engine->complete;
    if (event->kind == PQL_EVENT_CLOCK || is_waiting || is_repeated(engine, event)) return;
    if (is_late_again(engine, event)) return;
    if (event->account.len)
        fill_account(engine, event);
    else
        pql_everywhere_apply(engine, event, fill_account);
}

/* --- saved form: from when on things are known, and what a change has still to do --- */

static void save_since(const struct pql_since *since, struct pql_buf *out)
{
    pql_buf_zigzag(out, since->ms);
    pql_buf_varint(out, since->accounts);
}

static struct pql_since load_since(struct pql_reader *reader)
{
    struct pql_since since = {.ms = pql_read_zigzag(reader)};
    uint64_t accounts = pql_read_varint(reader);
    if (accounts > UINT32_MAX) reader->failed = true;
    since.accounts = (uint32_t)accounts;
    return since;
}

static void save_flags(const bool *flags, size_t count, struct pql_buf *out)
{
    for (size_t i = 0; i < count; i++) pql_buf_u8(out, flags[i]);
}

static void load_flags(bool *flags, size_t count, struct pql_reader *reader)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t flag = pql_read_u8(reader);
        if (flag > 1) reader->failed = true;
        flags[i] = flag == 1;
    }
}

static void save_retired(const struct pql_retired *retired, struct pql_buf *out)
{
    pql_buf_slice(out, retired->name);
    pql_buf_varint(out, (uint64_t)retired->version);
    pql_buf_u8(out, (uint8_t)(retired->subject | retired->is_shadow << 1));
    pql_buf_put(out, retired->hash, HASH_LEN);
}

static void load_retired(struct pql_change *change, struct pql_reader *reader)
{
    uint64_t count = pql_read_varint(reader);
    if (count > UINT16_MAX / 2) reader->failed = true;
    for (uint64_t i = 0; i < count && !reader->failed; i++) {
        struct pql_slice name = pql_read_slice(reader);
        struct pql_retired retired = {.version = (int32_t)pql_read_varint(reader)};
        uint8_t flags = pql_read_u8(reader);
        const char *hash = pql_read_bytes(reader, HASH_LEN);
        if (reader->failed || flags > 3 || !hash) {
            reader->failed = true;
            return;
        }
        memcpy(retired.hash, hash, HASH_LEN);
        retired.subject = flags & 1 ? PQL_SUBJECT_ACCOUNT : PQL_SUBJECT_USER;
        retired.is_shadow = flags & 2;
        add_retired(change, &retired, name);
    }
}

void pql_change_save(const struct pql_engine *engine, struct pql_buf *out)
{
    const struct pql_program *program = engine->program;
    const struct pql_change *change = &engine->change;
    for (size_t i = 0; i < program->signals_count; i++) save_since(&engine->since[i], out);
    save_since(&engine->users_since, out);
    pql_buf_zigzag(out, engine->version_floor);
    pql_buf_u8(out, (uint8_t)(change->is_active | change->is_filling << 1));
    if (!change->is_active) return;
    save_flags(change->is_new_definition, program->conf->definitions_count, out);
    save_flags(change->is_new_condition, program->conditions_count, out);
    save_flags(change->is_new_signal, program->signals_count, out);
    pql_buf_varint(out, change->retired_count);
    for (size_t i = 0; i < change->retired_count; i++) save_retired(&change->retired[i], out);
    pql_buf_zigzag(out, change->fill_seen);
    pql_buf_zigzag(out, change->known_ms);
}

void pql_change_load(struct pql_engine *engine, struct pql_reader *reader)
{
    const struct pql_program *program = engine->program;
    struct pql_change *change = &engine->change;
    for (size_t i = 0; i < program->signals_count; i++) engine->since[i] = load_since(reader);
    engine->users_since = load_since(reader);
    engine->version_floor = pql_read_zigzag(reader);
    uint8_t flags = pql_read_u8(reader);
    if (flags > 3 || flags == 2 || change->is_active) reader->failed = true;
    if (reader->failed || !(flags & 1)) return;
    open_change(engine, program);
    change->is_filling = flags & 2;
    load_flags(change->is_new_definition, program->conf->definitions_count, reader);
    load_flags(change->is_new_condition, program->conditions_count, reader);
    load_flags(change->is_new_signal, program->signals_count, reader);
    load_retired(change, reader);
    change->fill_seen = pql_read_zigzag(reader);
    change->known_ms = pql_read_zigzag(reader);
}

/* --- complete_since --- */

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b; /* PQL_NO_TIME is the smallest */
}

struct asked {
    const struct pql_engine *engine;
    const struct pql_user *user;
    bool any_user; /* inside a quantifier: of all users */
};

static int64_t users_since(const struct pql_engine *engine)
{
    bool is_whole = engine->account->number >= engine->users_since.accounts;
    return is_whole ? PQL_NO_TIME : engine->users_since.ms;
}

/* The cell of one subject says it all: whatever is missing is older. */
static bool is_settled_by_newest(const struct asked *a, const struct pql_expr *expr,
                                 const struct pql_subject_state *state)
{
    const struct pql_signal_def *def = a->engine->program->signals[expr->index];
    bool is_kept = !a->any_user && pql_cells_has(state->cells, def->slot);
    bool by_newest = expr->function == PQL_FN_EVER || expr->function == PQL_FN_LAST_TIME ||
                     expr->function == PQL_FN_SINCE || expr->function == PQL_FN_LATEST;
    return is_kept && by_newest;
}

/* A window that has moved onto ground that was no longer kept. Of all users it would have to be asked one by
 * one. */
static int64_t moved_since(const struct asked *a, const struct pql_expr *expr)
{
    const struct pql_signal_def *def = a->engine->program->signals[expr->index];
    bool of_user = def->signal.subject == PQL_SUBJECT_USER;
    if (of_user && (a->any_user || !a->user)) return PQL_NO_TIME;
    const struct pql_subject_state *state = of_user ? &a->user->state : &a->engine->account->state;
    if (!pql_has_end(&def->signal)) return PQL_NO_TIME;
    return pql_signal_complete_since(&def->signal, pql_cells_find(state->cells, def->slot));
}

static int64_t signal_since(const struct asked *a, const struct pql_expr *expr)
{
    const struct pql_engine *engine = a->engine;
    const struct pql_signal *signal = &engine->program->signals[expr->index]->signal;
    struct pql_since since = engine->since[expr->index];
    bool of_user = signal->subject == PQL_SUBJECT_USER;
    bool is_known = !of_user || !a->any_user;
    const struct pql_subject_state *state = of_user && a->user ? &a->user->state : &engine->account->state;
    bool by_start = of_user && signal->window.kind == PQL_WINDOW_FIRST;
    bool is_explicit = is_known && state->start == PQL_START_EXPLICIT;
    int64_t users = by_start && !is_explicit ? users_since(engine) : PQL_NO_TIME;
    if (since.ms == PQL_NO_TIME || engine->account->number >= since.accounts) return users;
    int64_t begins_ms = pql_signal_begins(signal, engine->t_ms);
    if (begins_ms != PQL_NO_TIME) return begins_ms >= since.ms ? PQL_NO_TIME : since.ms;
    if (signal->window.kind == PQL_WINDOW_FIRST)
        return is_known && state->start_ms > since.ms ? users : later(users, since.ms);
    bool is_new = of_user && is_known && state->start == PQL_START_ASSUMED && state->start_ms > since.ms;
    return is_new || is_settled_by_newest(a, expr, state) ? PQL_NO_TIME : since.ms;
}

static int64_t expr_since(const struct asked *a, const struct pql_expr *expr);

static int64_t condition_since(const struct asked *a, uint32_t index)
{
    struct asked inner = *a;
    if (index == PQL_NO_INDEX) return PQL_NO_TIME;
    inner.any_user = true;
    return expr_since(&inner, a->engine->program->conditions[index]->expr);
}

static int64_t definition_since(const struct asked *a, const struct pql_definition *definition)
{
    int64_t since = later(expr_since(a, definition->qualify), expr_since(a, definition->stay));
    if (definition->eligible) since = later(since, expr_since(a, definition->eligible));
    if (definition->score) since = later(since, expr_since(a, definition->score_expr));
    for (size_t i = 0; i < definition->context_count; i++)
        since = later(since, expr_since(a, definition->context[i]));
    for (int c = 0; c < PQL_CHOICE_COUNT; c++)
        for (size_t i = 0; i < definition->conf->choices[c].count; i++)
            if (definition->choices[c][i]) since = later(since, expr_since(a, definition->choices[c][i]));
    return since;
}

/* Of an attribute of all users. */
static int64_t attribute_since(const struct asked *a, uint32_t spread)
{
    const struct pql_program *program = a->engine->program;
    struct pql_expr expr = {
        .op = PQL_EXPR_ATTRIBUTE, .function = PQL_FN_LATEST, .index = program->spreads[spread]->attribute};
    struct asked inner = *a;
    inner.any_user = true;
    return signal_since(&inner, &expr);
}

static bool is_quantifier(enum pql_expr_op op)
{
    return op == PQL_EXPR_USERS || op == PQL_EXPR_ANY_USER || op == PQL_EXPR_ALL_USERS ||
           op == PQL_EXPR_SHARE || op == PQL_EXPR_MEMBERS;
}

/* What `where` reads was asked at the time of each event, not now. */
static int64_t where_since(const struct asked *a, const struct pql_expr *signal)
{
    const struct pql_expr *where = a->engine->program->signals[signal->index]->where;
    struct asked then = *a;
    then.any_user = true;
    return where ? expr_since(&then, where) : PQL_NO_TIME;
}

/* Depth is bounded: expressions by the language, definitions refer to each other without circles. */
static int64_t expr_since(const struct asked *a, const struct pql_expr *expr)
{
    if (expr->op == PQL_EXPR_ATTRIBUTE) return signal_since(a, expr);
    if (expr->op == PQL_EXPR_SIGNAL)
        return later(later(signal_since(a, expr), moved_since(a, expr)), where_since(a, expr));
    if (expr->op == PQL_EXPR_IS || expr->op == PQL_EXPR_WAS || expr->op == PQL_EXPR_TIER ||
        expr->op == PQL_EXPR_IN_STATE_FOR)
        return definition_since(a, &a->engine->program->definitions[expr->index]);
    int64_t since = PQL_NO_TIME;
    if (expr->op == PQL_EXPR_SPREAD)
        return later(condition_since(a, expr->index), attribute_since(a, expr->of_index));
    if (is_quantifier(expr->op)) {
        bool of_all = expr->op != PQL_EXPR_USERS && expr->op != PQL_EXPR_ANY_USER;
        since = later(condition_since(a, expr->index), condition_since(a, expr->of_index));
        return of_all ? later(since, users_since(a->engine)) : since;
    }
    for (size_t i = 0; i < expr->kids_count; i++) since = later(since, expr_since(a, expr->kids[i]));
    return since;
}

int64_t pql_complete_since(const struct pql_engine *engine, const struct pql_definition *definition,
                           const struct pql_user *user)
{
    struct asked asked = {.engine = engine, .user = user};
    return definition_since(&asked, definition);
}
