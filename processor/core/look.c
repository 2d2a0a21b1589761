#include "core/look.h"

#include "core/instant.h"
#include "core/score.h"

const char *const pql_hold_names[PQL_HOLD_COUNT] = {
    [PQL_HOLD_NONE] = "none",
    [PQL_HOLD_NO_MEMBER] = "no_member",
    [PQL_HOLD_INELIGIBLE] = "ineligible",
    [PQL_HOLD_CONVERTED] = "converted",
    [PQL_HOLD_DISQUALIFIED] = "disqualified",
    [PQL_HOLD_COOLDOWN] = "cooldown",
    [PQL_HOLD_STAY] = "stay",
};

static const struct pql_standing nothing_yet = {.status = PQL_NOT_YET,
                                                .first_ms = PQL_NO_TIME,
                                                .qualified_ms = PQL_NO_TIME,
                                                .left_ms = PQL_NO_TIME,
                                                .disqualified_ms = PQL_NO_TIME};

/* --- a definition --- */

static void set_hold(struct pql_look_definition *out, enum pql_hold hold, int64_t until_ms)
{
    if (out->hold != PQL_HOLD_NONE) return;
    out->hold = hold;
    out->hold_until_ms = until_ms;
}

/* In the order in which the engine asks. */
static void find_hold(const struct pql_definition *definition, const struct pql_standing *standing,
                      const struct pql_scope *scope, struct pql_look_definition *out)
{
    const struct pql_definition_conf *conf = definition->conf;
    enum pql_reason reason;
    if (standing->status == PQL_STATUS_LEFT && scope->t_ms - standing->left_ms < conf->cooldown_ms)
        set_hold(out, PQL_HOLD_COOLDOWN, standing->left_ms + conf->cooldown_ms);
    if (pql_outcome_bars(definition, standing, scope->t_ms, &reason)) {
        bool is_converted = reason == PQL_REASON_CONVERTED;
        set_hold(out, is_converted ? PQL_HOLD_CONVERTED : PQL_HOLD_DISQUALIFIED,
                 is_converted ? PQL_NO_TIME : standing->disqualified_ms + conf->disqualify_for_ms);
    }
    if (scope->user && !scope->user->state.is_member) set_hold(out, PQL_HOLD_NO_MEMBER, PQL_NO_TIME);
    if (definition->eligible && !pql_expr_holds(definition->eligible, scope))
        set_hold(out, PQL_HOLD_INELIGIBLE, PQL_NO_TIME);
    if (definition->stay != definition->qualify && !pql_expr_holds(definition->stay, scope))
        set_hold(out, PQL_HOLD_STAY, PQL_NO_TIME);
}

static void look_at_score(const struct pql_definition *definition, const struct pql_standing *standing,
                          struct pql_scope *scope, struct pql_record *record)
{
    if (!definition->score) return;
    scope->scored = definition->score;
    scope->score = record->score = pql_score_value(definition->score, scope);
    record->has_score = true;
    record->tier = pql_tier_name(definition->score, standing->tier);
}

static int64_t earlier(int64_t next, int64_t candidate, int64_t t_ms)
{
    return candidate > t_ms && candidate < next ? candidate : next;
}

/* The engine knows what matters to a condition; a person sees the value fall when the oldest occurrence is
 * too old, and the end of a window that began with the subject. */
static int64_t next_of(const struct pql_row *row, const struct pql_evidence *evidence,
                       const struct pql_scope *scope)
{
    int64_t next = pql_expr_next_change(row->left, scope);
    if (row->left->op == PQL_EXPR_SIGNAL) {
        const struct pql_signal_def *def = scope->program->signals[row->left->index];
        bool of_user = def->signal.subject == PQL_SUBJECT_USER && scope->user;
        struct pql_first first = pql_first_of(scope->program, scope->account,
                                              of_user ? &scope->user->state : &scope->account->state, def);
        next = earlier(next, first.end_ms, scope->t_ms);
        if (def->signal.window.kind == PQL_WINDOW_ROLLING && evidence->first_at != PQL_NO_TIME)
            next = earlier(next, evidence->first_at + def->signal.window.ms, scope->t_ms);
    }
    return next == INT64_MAX ? PQL_NO_TIME : next;
}

static void look_at_rows(const struct pql_definition *definition, const struct pql_scope *scope,
                         struct pql_arena *arena, struct pql_look_definition *out)
{
    size_t count = definition->rows_count + definition->context_count;
    struct pql_look_row *rows = pql_arena_alloc(arena, (count + 1) * sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        const struct pql_row *row = &definition->rows[i];
        rows[i] = (struct pql_look_row){.condition = row->full,
                                        .comparison = pql_slice_of(row->comparison),
                                        .next_ms = next_of(row, &out->record.evidence[i], scope)};
    }
    out->rows = rows;
}

/* Which transition's words are about what does not hold; a template is about who entered. */
static enum pql_transition words_of_absence(const struct pql_definition_conf *conf)
{
    return conf->reason.text.len ? PQL_LEFT : PQL_MISSED;
}

static void look_at_definition(const struct pql_engine *engine, const struct pql_definition *definition,
                               struct pql_scope scope, struct pql_arena *arena,
                               struct pql_look_definition *out)
{
    const struct pql_definition_conf *conf = definition->conf;
    const struct pql_subject_state *state = scope.user ? &scope.user->state : &scope.account->state;
    const struct pql_standing *standing = pql_standing_of(state, definition);
    if (!standing) standing = &nothing_yet;
    bool is_member = standing->status == PQL_QUALIFIED;
    *out = (struct pql_look_definition){.conf = conf, .hold_until_ms = PQL_NO_TIME, .leaves_ms = PQL_NO_TIME};
    struct pql_record *record = &out->record;
    *record = pql_record_standing(engine, scope.account, scope.user, standing);
    record->previous_status = standing->status;
    record->occurred_at = scope.t_ms;
    record->origin = PQL_ORIGIN_REFRESH;
    record->definition = conf->name;
    record->definition_version = conf->version;
    record->definition_hash = definition->hash_slice;
    record->subject = conf->subject;
    record->sla_due_at = pql_sla_due(definition, standing);
    look_at_score(definition, standing, &scope, record);
    record->transition = is_member ? PQL_SNAPSHOT : words_of_absence(conf);
    pql_evidence_fill(definition, &scope, arena, record);
    record->transition = PQL_SNAPSHOT;
    look_at_rows(definition, &scope, arena, out);
    if (!is_member) find_hold(definition, standing, &scope, out);
    if (is_member && standing->is_leaving) out->leaves_ms = standing->qualified_ms + conf->min_stay_ms;
}

/* --- the subject --- */

static void look_at_users(const struct pql_account *account, struct pql_arena *arena, struct pql_look *look)
{
    look->users_count = account->users_count;
    look->members_count = account->members;
    look->users_shown = account->users_count < PQL_LOOK_USERS_MAX ? account->users_count : PQL_LOOK_USERS_MAX;
    look->users = pql_arena_alloc(arena, (look->users_shown + 1) * sizeof *look->users);
    for (size_t i = 0; i < look->users_shown; i++) look->users[i] = account->users[i].user->id;
}

static int64_t instant_of(const struct pql_engine *engine, const struct pql_account *account)
{
    int64_t done = pql_account_done_ms(engine, account);
    return done > account->instant_ms ? done : account->instant_ms;
}

enum pql_looked pql_engine_look(const struct pql_engine *engine, struct pql_slice id,
                                struct pql_slice user_id, struct pql_arena *arena, struct pql_look *look)
{
    const struct pql_program *program = engine->program;
    const struct pql_account *account = pql_store_find(&engine->store, id);
    const struct pql_user *user = NULL;
    if (!account || account->state.start == PQL_START_NONE) return PQL_LOOK_NO_ACCOUNT;
    if (user_id.len) {
        user = pql_account_find(&engine->store, account, pql_alias_user(engine, account, user_id));
        if (!user) return PQL_LOOK_NO_USER;
    }
    const struct pql_subject_state *state = user ? &user->state : &account->state;
    struct pql_scope scope = {
        .program = program, .account = account, .user = user, .t_ms = instant_of(engine, account)};
    *look = (struct pql_look){.account = account->id,
                              .user = user ? user->id : (struct pql_slice){"", 0},
                              .as_of_ms = scope.t_ms,
                              .clock_ms = engine->seen,
                              .start_ms = state->start == PQL_START_NONE ? PQL_NO_TIME : state->start_ms,
                              .signed_up = state->start >= PQL_START_BY_USER,
                              .is_member = user && state->is_member};
    if (!user) look_at_users(account, arena, look);
    look->definitions =
        pql_arena_alloc(arena, (program->conf->definitions_count + 1) * sizeof *look->definitions);
    for (size_t i = 0; i < program->conf->definitions_count; i++) {
        const struct pql_definition *definition = &program->definitions[i];
        if ((definition->conf->subject == PQL_SUBJECT_USER) != (user != NULL)) continue;
        look_at_definition(engine, definition, scope, arena, &look->definitions[look->definitions_count++]);
    }
    return PQL_LOOK_FOUND;
}
