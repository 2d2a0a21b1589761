#include "core/expr.h"

#include "base/date.h"
#include "core/score.h"

/* --- leaves --- */

static const struct pql_subject_state *state_of(const struct pql_scope *scope, enum pql_subject subject)
{
    if (subject == PQL_SUBJECT_USER) return scope->user ? &scope->user->state : NULL;
    return scope->account ? &scope->account->state : NULL;
}

static const struct pql_cell *cell_of(const struct pql_signal_def *def, const struct pql_subject_state *state)
{
    return state ? pql_cells_find(state->cells, def->slot) : NULL;
}

static bool attribute_time(const struct pql_program *program, const struct pql_account *account,
                           uint32_t signal, enum pql_time_unit unit, int64_t *ms)
{
    const struct pql_signal_def *def = program->signals[signal];
    struct pql_reading reading;
    pql_signal_read(&def->signal, account ? cell_of(def, &account->state) : NULL, NULL, 0, &reading);
    return pql_time_of_value(&reading.value, unit, false, ms);
}

/* Without an end that can be read the period goes on; a start after its end leaves nothing inside. */
struct pql_first pql_period_of(const struct pql_program *program, const struct pql_account *account,
                               uint32_t index)
{
    const struct pql_period *period = &program->periods[index];
    enum pql_time_unit unit = period->conf->time_unit;
    struct pql_first at = {INT64_MAX, INT64_MAX};
    if (!attribute_time(program, account, period->start, unit, &at.start_ms)) return at;
    if (period->end == PQL_NO_INDEX)
        at.end_ms = at.start_ms + period->conf->length_ms;
    else if (!attribute_time(program, account, period->end, unit, &at.end_ms))
        at.end_ms = INT64_MAX;
    return at;
}

struct pql_first pql_first_of(const struct pql_program *program, const struct pql_account *account,
                              const struct pql_subject_state *state, const struct pql_signal_def *def)
{
    if (def->period != PQL_NO_INDEX) return pql_period_of(program, account, def->period);
    if (def->signal.window.kind != PQL_WINDOW_FIRST || !state || state->start == PQL_START_NONE)
        return (struct pql_first){INT64_MAX, INT64_MAX};
    return (struct pql_first){state->start_ms, state->start_ms + def->signal.window.ms};
}

int64_t pql_ago_next(const struct pql_ago *ago, int64_t from_ms, int64_t t_ms)
{
    for (size_t i = 0; i < ago->bounds.count && from_ms != PQL_NO_TIME; i++)
        if (from_ms + ago->bounds.items[i] > t_ms) return from_ms + ago->bounds.items[i];
    return INT64_MAX;
}

int64_t pql_standing_changed(const struct pql_standing *standing)
{
    if (!standing || standing->status == PQL_NOT_YET) return PQL_NO_TIME;
    return standing->status == PQL_QUALIFIED ? standing->qualified_ms : standing->left_ms;
}

void pql_expr_read(const struct pql_expr *expr, const struct pql_scope *scope, struct pql_reading *reading)
{
    const struct pql_signal_def *def = scope->program->signals[expr->index];
    const struct pql_subject_state *state = state_of(scope, def->signal.subject);
    struct pql_first first = pql_first_of(scope->program, scope->account, state, def);
    if (expr->decay) {
        pql_signal_read_decayed(&def->signal, expr->decay, cell_of(def, state), &first, scope->t_ms, reading);
        return;
    }
    pql_signal_read(&def->signal, cell_of(def, state), &first, scope->t_ms, reading);
    switch (expr->function) {
    case PQL_FN_COUNT:
    case PQL_FN_DISTINCT:
    case PQL_FN_DAYS:
    case PQL_FN_WEEKS:
    case PQL_FN_MONTHS:
    case PQL_FN_STREAK: reading->value = pql_number(pql_decimal_of_int((int64_t)reading->n)); break;
    case PQL_FN_MIN:
    case PQL_FN_MAX:
        if (reading->n) reading->value = pql_number(reading->sum);
        break;
    case PQL_FN_SUM: reading->value = pql_number(pql_decimal_add(reading->sum, 0)); break;
    case PQL_FN_AVG: reading->value = pql_signal_mean(reading); break;
    case PQL_FN_SEQUENCE:
    case PQL_FN_EVER: reading->value = pql_bool(reading->n > 0); break;
    case PQL_FN_NTH:
    case PQL_FN_FIRST_TIME:
        if (reading->n) reading->value = pql_time(reading->first_at);
        break;
    case PQL_FN_LAST_TIME:
        if (reading->n) reading->value = pql_time(reading->last_at);
        break;
    case PQL_FN_SINCE:
        if (reading->n) reading->value = pql_duration(scope->t_ms - reading->last_at);
        break;
    case PQL_FN_LATEST:
    case PQL_FN_EARLIEST: break;
    case PQL_FN_USAGE:
    case PQL_FN_AGE:
    case PQL_FN_USERS:
    case PQL_FN_ANY_USER:
    case PQL_FN_ALL_USERS:
    case PQL_FN_SHARE:
    case PQL_FN_SPREAD:
    case PQL_FN_MEMBERS:
    case PQL_FN_IS:
    case PQL_FN_WAS:
    case PQL_FN_SCORE:
    case PQL_FN_TIER:
    case PQL_FN_IN_STATE_FOR:
    case PQL_FN_HOUR:
    case PQL_FN_WEEKDAY:
    case PQL_FN_IF:
    case PQL_FN_COALESCE:
    case PQL_FN_AT_LEAST:
    case PQL_FN_PROPERTY:
    case PQL_FN_TOTAL: PQL_ASSERT(false);
    }
}

static struct pql_value attribute_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_signal_def *def = scope->program->signals[expr->index];
    if (scope->own_attributes) {
        bool of_user = def->signal.subject == PQL_SUBJECT_USER;
        const struct pql_value *own =
            of_user ? scope->event->user_attributes : scope->event->account_attributes;
        if (own && own[def->path].kind != PQL_NULL) return own[def->path];
    }
    struct pql_reading reading;
    pql_expr_read(expr, scope, &reading);
    return reading.value;
}

static struct pql_value hour_of(int64_t local_ms)
{
    int64_t day = pql_floor_div(local_ms, PQL_DAY_MS);
    return pql_number(pql_decimal_of_int((local_ms - day * PQL_DAY_MS) / 3600000));
}

static struct pql_value weekday_of(int64_t local_ms)
{
    int64_t from_monday = pql_floor_div(local_ms, PQL_DAY_MS) + 3; /* 1970-01-01 was a Thursday */
    return pql_number(pql_decimal_of_int(from_monday - pql_floor_div(from_monday, 7) * 7 + 1));
}

/* --- comparisons: what is compared as what follows from the static types --- */

/* Of two sides the one whose type is known from the text says how both are read. */
static int compare(enum pql_type ta, const struct pql_value *a, enum pql_type tb, const struct pql_value *b)
{
    static const enum pql_kind kinds[PQL_TYPE_COUNT] = {
        [PQL_TYPE_BOOL] = PQL_BOOL,         [PQL_TYPE_NUMBER] = PQL_NUMBER, [PQL_TYPE_TEXT] = PQL_TEXT,
        [PQL_TYPE_DURATION] = PQL_DURATION, [PQL_TYPE_TIME] = PQL_TIME,     [PQL_TYPE_OPEN] = PQL_NULL,
        [PQL_TYPE_NULL] = PQL_NULL};
    return pql_value_relate(a, b, kinds[ta == PQL_TYPE_OPEN ? tb : ta]);
}

static bool relation_holds(enum pql_node_kind relation, int order)
{
    if (order == PQL_UNKNOWN) return false;
    if (order == PQL_DIFFERENT) return relation == PQL_NODE_NE;
    if (relation == PQL_NODE_EQ) return order == 0;
    if (relation == PQL_NODE_NE) return order != 0;
    if (relation == PQL_NODE_LT) return order < 0;
    if (relation == PQL_NODE_LE) return order <= 0;
    if (relation == PQL_NODE_GT) return order > 0;
    return order >= 0;
}

static bool in_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    struct pql_value value = pql_expr_value(expr->kids[0], scope);
    for (size_t i = 1; i < expr->kids_count; i++) {
        struct pql_value item = pql_expr_value(expr->kids[i], scope);
        int order = compare(expr->kids[0]->type, &value, expr->kids[i]->type, &item);
        /* `not in` holds if every != does. */
        if (expr->negated ? !relation_holds(PQL_NODE_NE, order) : relation_holds(PQL_NODE_EQ, order))
            return !expr->negated;
    }
    return expr->negated;
}

static bool between_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    struct pql_value value = pql_expr_value(expr->kids[0], scope);
    struct pql_value low = pql_expr_value(expr->kids[1], scope), high = pql_expr_value(expr->kids[2], scope);
    int to_low = compare(expr->kids[0]->type, &value, expr->kids[1]->type, &low);
    int to_high = compare(expr->kids[0]->type, &value, expr->kids[2]->type, &high);
    if (to_low > 1 || to_high > 1) return false;
    return (to_low >= 0 && to_high <= 0) != expr->negated;
}

/* `*` any run, `?` one character (a UTF-8 sequence). Linear: on a mismatch only the last star takes one more.
 */
static bool matches(struct pql_slice text, struct pql_slice pattern)
{
    size_t t = 0, p = 0, star = SIZE_MAX, resume = 0;
    while (t < text.len) {
        if (p < pattern.len && pattern.ptr[p] == '*') {
            star = p++;
            resume = t;
        } else if (p < pattern.len && pattern.ptr[p] == '?') {
            p++;
            for (t++; t < text.len && ((unsigned char)text.ptr[t] & 0xc0) == 0x80;) t++;
        } else if (p < pattern.len && pattern.ptr[p] == text.ptr[t]) {
            p++, t++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            t = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.len && pattern.ptr[p] == '*') p++;
    return p == pattern.len;
}

static bool has_within(struct pql_slice text, struct pql_slice part)
{
    for (size_t i = 0; i + part.len <= text.len; i++)
        if (!part.len || memcmp(text.ptr + i, part.ptr, part.len) == 0) return true;
    return false;
}

static bool text_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    struct pql_value value = pql_expr_value(expr->kids[0], scope),
                     other = pql_expr_value(expr->kids[1], scope);
    if (value.kind != PQL_TEXT || other.kind != PQL_TEXT) return false;
    struct pql_slice text = value.text, part = other.text;
    bool fits = part.len <= text.len, holds = false;
    if (expr->op == PQL_EXPR_STARTS)
        holds = fits && memcmp(text.ptr, part.ptr, part.len) == 0;
    else if (expr->op == PQL_EXPR_ENDS)
        holds = fits && memcmp(text.ptr + text.len - part.len, part.ptr, part.len) == 0;
    else if (expr->op == PQL_EXPR_CONTAINS)
        holds = has_within(text, part);
    else
        holds = matches(text, part);
    return holds != expr->negated;
}

/* --- arithmetic --- */

/* Whole milliseconds, rounded to the nearest, ties away from zero as constants are; beyond 292 million years
 * null. */
static struct pql_value duration_of(pql_decimal ms)
{
    pql_decimal whole = (ms + (ms < 0 ? -PQL_DECIMAL_ONE / 2 : PQL_DECIMAL_ONE / 2)) / PQL_DECIMAL_ONE;
    return whole > INT64_MAX || whole < -INT64_MAX ? pql_null() : pql_duration((int64_t)whole);
}

static struct pql_value arithmetic_ms(const struct pql_expr *expr, struct pql_value a, struct pql_value b)
{
    if (expr->op == PQL_EXPR_MUL || expr->op == PQL_EXPR_DIV) {
        pql_decimal x = 0, y = 0, z;
        if (a.kind == PQL_DURATION && b.kind == PQL_DURATION) {
            if (!pql_decimal_div(pql_decimal_of_int(a.ms), pql_decimal_of_int(b.ms), &z)) return pql_null();
            return pql_number(z);
        }
        struct pql_value duration = a.kind == PQL_DURATION ? a : b, number = a.kind == PQL_DURATION ? b : a;
        x = pql_decimal_of_int(duration.ms);
        if (!pql_value_as_number(&number, &y)) return pql_null();
        if (expr->op == PQL_EXPR_MUL)
            z = pql_decimal_mul(x, y);
        else if (!pql_decimal_div(x, y, &z))
            return pql_null();
        return duration_of(z);
    }
    int64_t ms;
    bool beyond = expr->op == PQL_EXPR_ADD ? __builtin_add_overflow(a.ms, b.ms, &ms)
                                           : __builtin_sub_overflow(a.ms, b.ms, &ms);
    if (beyond) return pql_null();
    bool is_time = expr->type == PQL_TYPE_TIME;
    return is_time ? pql_time(ms) : pql_duration(ms);
}

static struct pql_value arithmetic(const struct pql_expr *expr, const struct pql_scope *scope)
{
    struct pql_value a = pql_expr_value(expr->kids[0], scope);
    struct pql_value b = expr->op == PQL_EXPR_NEG ? a : pql_expr_value(expr->kids[1], scope);
    if (a.kind == PQL_NULL || b.kind == PQL_NULL) return pql_null();
    if (a.kind == PQL_DURATION || a.kind == PQL_TIME || b.kind == PQL_DURATION || b.kind == PQL_TIME) {
        if (expr->op == PQL_EXPR_NEG) return pql_duration(-a.ms);
        return arithmetic_ms(expr, a, b);
    }
    pql_decimal x, y, z = 0;
    if (!pql_value_as_number(&a, &x) || !pql_value_as_number(&b, &y)) return pql_null();
    if (expr->op == PQL_EXPR_NEG)
        z = -x;
    else if (expr->op == PQL_EXPR_ADD)
        z = pql_decimal_add(x, y);
    else if (expr->op == PQL_EXPR_SUB)
        z = pql_decimal_add(x, -y);
    else if (expr->op == PQL_EXPR_MUL)
        z = pql_decimal_mul(x, y);
    else if (!pql_decimal_div(x, y, &z))
        return pql_null();
    return pql_number(z);
}

/* --- quantifiers and definitions --- */

static struct pql_value share_of(const struct pql_expr *expr, const struct pql_account *account)
{
    uint64_t of = expr->of_index == PQL_NO_INDEX ? account->members : account->holding[expr->of_index];
    pql_decimal share;
    if (!pql_decimal_div(pql_decimal_of_int(account->holding[expr->index]), pql_decimal_of_int((int64_t)of),
                         &share))
        return pql_null();
    return pql_number(share);
}

static struct pql_value ago(int64_t since_ms, int64_t t_ms)
{
    return since_ms == PQL_NO_TIME ? pql_null() : pql_duration(t_ms - since_ms);
}

static struct pql_value age_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_subject_state *state = state_of(scope, (enum pql_subject)expr->index);
    return ago(state && state->start != PQL_START_NONE ? state->start_ms : PQL_NO_TIME, scope->t_ms);
}

static const struct pql_standing *standing_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_definition *definition = &scope->program->definitions[expr->index];
    const struct pql_subject_state *state = state_of(scope, definition->conf->subject);
    return state ? pql_standing_of(state, definition) : NULL;
}

static struct pql_value score_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_score *score = scope->program->definitions[expr->index].score;
    return pql_number(score == scope->scored ? scope->score : pql_score_value(score, scope));
}

static struct pql_value tier_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_standing *standing = standing_of(expr, scope);
    if (!standing || standing->status != PQL_QUALIFIED || !standing->tier) return pql_null();
    return pql_text(pql_tier_name(scope->program->definitions[expr->index].score, standing->tier));
}

static struct pql_value spread_of(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_tally *tallies = scope->account->tallies;
    return pql_number(pql_decimal_of_int(tallies ? (int64_t)tallies[expr->of_index].count : 0));
}

static bool standing_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_standing *standing = standing_of(expr, scope);
    return standing && (expr->op == PQL_EXPR_IS ? standing->status == PQL_QUALIFIED : standing->count > 0);
}

static bool at_least_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    uint32_t holding = 0;
    for (size_t i = 0; i < expr->kids_count; i++) holding += pql_expr_holds(expr->kids[i], scope);
    return holding >= expr->threshold;
}

static bool reaches(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_signal_def *def = scope->program->signals[expr->index];
    const struct pql_subject_state *state = state_of(scope, def->signal.subject);
    return pql_signal_reaches(&def->signal, cell_of(def, state), scope->t_ms, expr->threshold) !=
           expr->negated;
}

bool pql_expr_holds(const struct pql_expr *expr, const struct pql_scope *scope)
{
    switch (expr->op) {
    case PQL_EXPR_AND:
        for (size_t i = 0; i < expr->kids_count; i++)
            if (!pql_expr_holds(expr->kids[i], scope)) return false;
        return true;
    case PQL_EXPR_OR:
        for (size_t i = 0; i < expr->kids_count; i++)
            if (pql_expr_holds(expr->kids[i], scope)) return true;
        return false;
    case PQL_EXPR_NOT: return !pql_expr_holds(expr->kids[0], scope);
    case PQL_EXPR_REACHES: return reaches(expr, scope);
    case PQL_EXPR_COMPARE: {
        struct pql_value a = pql_expr_value(expr->kids[0], scope), b = pql_expr_value(expr->kids[1], scope);
        return relation_holds(expr->relation, compare(expr->kids[0]->type, &a, expr->kids[1]->type, &b));
    }
    case PQL_EXPR_IN: return in_holds(expr, scope);
    case PQL_EXPR_BETWEEN: return between_holds(expr, scope);
    case PQL_EXPR_STARTS:
    case PQL_EXPR_ENDS:
    case PQL_EXPR_CONTAINS:
    case PQL_EXPR_MATCHES: return text_holds(expr, scope);
    case PQL_EXPR_IS_NULL: return (pql_expr_value(expr->kids[0], scope).kind == PQL_NULL) != expr->negated;
    case PQL_EXPR_IS:
    case PQL_EXPR_WAS: return standing_holds(expr, scope);
    case PQL_EXPR_ANY_USER: return scope->account->holding[expr->index] > 0;
    case PQL_EXPR_ACCOUNT: return pql_expr_holds(expr->kids[0], scope);
    case PQL_EXPR_ALL_USERS:
        return scope->account->members > 0 && scope->account->holding[expr->index] == scope->account->members;
    case PQL_EXPR_AT_LEAST: return at_least_holds(expr, scope);
    case PQL_EXPR_CONST:
    case PQL_EXPR_PROPERTY:
    case PQL_EXPR_ATTRIBUTE:
    case PQL_EXPR_EVENT_USER:
    case PQL_EXPR_EVENT_NAME:
    case PQL_EXPR_HOUR:
    case PQL_EXPR_WEEKDAY:
    case PQL_EXPR_NEG:
    case PQL_EXPR_ADD:
    case PQL_EXPR_SUB:
    case PQL_EXPR_MUL:
    case PQL_EXPR_DIV:
    case PQL_EXPR_SIGNAL:
    case PQL_EXPR_USERS:
    case PQL_EXPR_SHARE:
    case PQL_EXPR_MEMBERS:
    case PQL_EXPR_SPREAD:
    case PQL_EXPR_AGE:
    case PQL_EXPR_IN_STATE_FOR:
    case PQL_EXPR_SCORE:
    case PQL_EXPR_TIER:
    case PQL_EXPR_IF:
    case PQL_EXPR_COALESCE: {
        struct pql_value value = pql_expr_value(expr, scope);
        return pql_value_holds(&value);
    }
    }
    return false;
}

static struct pql_value text_or_null(struct pql_slice text)
{
    return text.len ? pql_text(text) : pql_null();
}

struct pql_value pql_expr_value(const struct pql_expr *expr, const struct pql_scope *scope)
{
    switch (expr->op) {
    case PQL_EXPR_CONST: return expr->value;
    case PQL_EXPR_PROPERTY:
        return scope->event->properties ? scope->event->properties[expr->index] : pql_null();
    case PQL_EXPR_ATTRIBUTE: return attribute_of(expr, scope);
    case PQL_EXPR_EVENT_USER: return text_or_null(scope->event->user);
    case PQL_EXPR_EVENT_NAME: return text_or_null(scope->event->name);
    case PQL_EXPR_HOUR: return hour_of(pql_zone_local_ms(expr->zone, scope->event->time_ms));
    case PQL_EXPR_WEEKDAY: return weekday_of(pql_zone_local_ms(expr->zone, scope->event->time_ms));
    case PQL_EXPR_NEG:
    case PQL_EXPR_ADD:
    case PQL_EXPR_SUB:
    case PQL_EXPR_MUL:
    case PQL_EXPR_DIV: return arithmetic(expr, scope);
    case PQL_EXPR_SIGNAL: {
        struct pql_reading reading;
        pql_expr_read(expr, scope, &reading);
        return reading.value;
    }
    case PQL_EXPR_USERS: return pql_number(pql_decimal_of_int(scope->account->holding[expr->index]));
    case PQL_EXPR_SHARE: return share_of(expr, scope->account);
    case PQL_EXPR_MEMBERS: return pql_number(pql_decimal_of_int((int64_t)scope->account->members));
    case PQL_EXPR_SPREAD: return spread_of(expr, scope);
    case PQL_EXPR_AGE: return age_of(expr, scope);
    case PQL_EXPR_IN_STATE_FOR: return ago(pql_standing_changed(standing_of(expr, scope)), scope->t_ms);
    case PQL_EXPR_SCORE: return score_of(expr, scope);
    case PQL_EXPR_TIER: return tier_of(expr, scope);
    case PQL_EXPR_IF: return pql_expr_value(expr->kids[pql_expr_holds(expr->kids[0], scope) ? 1 : 2], scope);
    case PQL_EXPR_COALESCE:
        for (size_t i = 0; i < expr->kids_count; i++) {
            struct pql_value value = pql_expr_value(expr->kids[i], scope);
            if (value.kind != PQL_NULL) return value;
        }
        return pql_null();
    case PQL_EXPR_NOT:
    case PQL_EXPR_AND:
    case PQL_EXPR_OR:
    case PQL_EXPR_COMPARE:
    case PQL_EXPR_REACHES:
    case PQL_EXPR_IN:
    case PQL_EXPR_BETWEEN:
    case PQL_EXPR_STARTS:
    case PQL_EXPR_ENDS:
    case PQL_EXPR_CONTAINS:
    case PQL_EXPR_MATCHES:
    case PQL_EXPR_IS_NULL:
    case PQL_EXPR_ANY_USER:
    case PQL_EXPR_ALL_USERS:
    case PQL_EXPR_ACCOUNT:
    case PQL_EXPR_IS:
    case PQL_EXPR_WAS:
    case PQL_EXPR_AT_LEAST: return pql_bool(pql_expr_holds(expr, scope));
    }
    return pql_null();
}

/* --- what can be known of a condition once `first` windows have ended --- */

bool pql_expr_is_ended(const struct pql_expr *expr, const struct pql_scope *scope)
{
    const struct pql_signal_def *def = scope->program->signals[expr->index];
    struct pql_first at =
        pql_first_of(scope->program, scope->account, state_of(scope, def->signal.subject), def);
    return at.start_ms != INT64_MAX && scope->t_ms >= at.end_ms;
}

bool pql_expr_is_outside(const struct pql_expr *expr)
{
    switch (expr->op) {
    case PQL_EXPR_ATTRIBUTE:
    case PQL_EXPR_USERS:
    case PQL_EXPR_ANY_USER:
    case PQL_EXPR_ALL_USERS:
    case PQL_EXPR_SHARE:
    case PQL_EXPR_MEMBERS:
    case PQL_EXPR_SPREAD:
    case PQL_EXPR_ACCOUNT:
    case PQL_EXPR_AGE:
    case PQL_EXPR_IS:
    case PQL_EXPR_WAS:
    case PQL_EXPR_TIER:
    case PQL_EXPR_IN_STATE_FOR: return true;
    case PQL_EXPR_CONST:
    case PQL_EXPR_PROPERTY:
    case PQL_EXPR_EVENT_USER:
    case PQL_EXPR_EVENT_NAME:
    case PQL_EXPR_HOUR:
    case PQL_EXPR_WEEKDAY:
    case PQL_EXPR_NOT:
    case PQL_EXPR_AND:
    case PQL_EXPR_OR:
    case PQL_EXPR_NEG:
    case PQL_EXPR_ADD:
    case PQL_EXPR_SUB:
    case PQL_EXPR_MUL:
    case PQL_EXPR_DIV:
    case PQL_EXPR_COMPARE:
    case PQL_EXPR_REACHES:
    case PQL_EXPR_IN:
    case PQL_EXPR_BETWEEN:
    case PQL_EXPR_STARTS:
    case PQL_EXPR_ENDS:
    case PQL_EXPR_CONTAINS:
    case PQL_EXPR_MATCHES:
    case PQL_EXPR_IS_NULL:
    case PQL_EXPR_SIGNAL:
    case PQL_EXPR_SCORE: /* what its items read is below it */
    case PQL_EXPR_IF:
    case PQL_EXPR_COALESCE:
    case PQL_EXPR_AT_LEAST: break;
    }
    return false;
}

/* Known: nothing below it but constants and `first` windows that have ended. */
static bool is_settled(const struct pql_expr *expr, const struct pql_scope *scope)
{
    if (expr->op == PQL_EXPR_SIGNAL) return pql_expr_is_ended(expr, scope);
    if (expr->op == PQL_EXPR_REACHES || pql_expr_is_outside(expr)) return false;
    if (expr->op == PQL_EXPR_SCORE)
        return pql_score_is_known(scope->program->definitions[expr->index].score, scope);
    for (size_t i = 0; i < expr->kids_count; i++)
        if (!is_settled(expr->kids[i], scope)) return false;
    return true;
}

/* AND needs all of its kids, OR one. */
static enum pql_known known_of(const struct pql_expr *expr, const struct pql_scope *scope, size_t needed)
{
    size_t yes = 0, maybe = 0;
    for (size_t i = 0; i < expr->kids_count; i++) {
        enum pql_known known = pql_expr_known(expr->kids[i], scope);
        yes += known == PQL_KNOWN_TRUE;
        maybe += known == PQL_NOT_KNOWN;
    }
    if (yes >= needed) return PQL_KNOWN_TRUE;
    return yes + maybe < needed ? PQL_KNOWN_FALSE : PQL_NOT_KNOWN;
}

enum pql_known pql_expr_known(const struct pql_expr *expr, const struct pql_scope *scope)
{
    if (expr->op == PQL_EXPR_ACCOUNT) return pql_expr_known(expr->kids[0], scope);
    if (expr->op == PQL_EXPR_AND) return known_of(expr, scope, expr->kids_count);
    if (expr->op == PQL_EXPR_OR) return known_of(expr, scope, 1);
    if (expr->op == PQL_EXPR_NOT) {
        enum pql_known known = pql_expr_known(expr->kids[0], scope);
        if (known == PQL_NOT_KNOWN) return known;
        return known == PQL_KNOWN_TRUE ? PQL_KNOWN_FALSE : PQL_KNOWN_TRUE;
    }
    if (!is_settled(expr, scope)) return PQL_NOT_KNOWN;
    return pql_expr_holds(expr, scope) ? PQL_KNOWN_TRUE : PQL_KNOWN_FALSE;
}

int64_t pql_expr_next_change(const struct pql_expr *expr, const struct pql_scope *scope)
{
    int64_t next = INT64_MAX;
    if (expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_REACHES) {
        const struct pql_signal_def *def = scope->program->signals[expr->index];
        const struct pql_cell *cell = cell_of(def, state_of(scope, def->signal.subject));
        next = pql_signal_next_change(&def->signal, cell, scope->t_ms);
    }
    if (expr->op == PQL_EXPR_AGE) {
        const struct pql_subject_state *state = state_of(scope, (enum pql_subject)expr->index);
        next = pql_ago_next(&scope->program->ages[expr->index], state->start_ms, scope->t_ms);
    }
    for (size_t i = 0; i < expr->kids_count; i++) {
        int64_t kid = pql_expr_next_change(expr->kids[i], scope);
        if (kid < next) next = kid;
    }
    return next;
}
