#include "core/compiled.h"

#include "core/expr.h"
#include "core/hash.h"
#include <stdlib.h>

struct builder {
    struct pql_program *program;
    struct pql_diags *diags;
    struct pql_lang_env env;
    struct pql_unit *unit;    /* being compiled; NULL inside where and ignore */
    uint32_t definition;      /* being compiled */
    enum pql_subject subject; /* whose functions are meant */
    const struct pql_zone *zone;
    bool *needs;    /* [definitions * definitions]: row needs column */
    uint32_t *uses; /* conditions of the definition being compiled */
    size_t uses_count, uses_capacity;
    struct pql_slice *properties, *attributes[2];
    size_t properties_count, properties_capacity, attributes_count[2], attributes_capacity[2];
    uint32_t *attribute_signals[2];
    size_t attribute_signals_capacity[2];
};

struct pql_settings pql_settings_default(void)
{
    return (struct pql_settings){.start_grace_ms = INT64_C(7) * 86400000,
                                 .exact_max = 1000,
                                 .evidence_max = 50,
                                 .buffer_bytes_max = UINT64_C(64) << 20};
}

static uint32_t name_index(struct pql_slice **names, size_t *count, size_t *capacity, struct pql_slice name)
{
    for (size_t i = 0; i < *count; i++)
        if (pql_slice_eq((*names)[i], name)) return (uint32_t)i;
    *names = pql_xgrow(*names, capacity, *count + 1, sizeof **names);
    (*names)[*count] = name;
    return (uint32_t)(*count)++;
}

static uint32_t property_index(struct builder *b, struct pql_slice name)
{
    return name_index(&b->properties, &b->properties_count, &b->properties_capacity, name);
}

static void add_dependent(struct pql_dependents *list, struct pql_unit *unit, unsigned mask,
                          const struct pql_expr *via)
{
    if (!unit) return;
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].unit == unit && list->items[i].via == via) {
            list->items[i].mask |= mask;
            return;
        }
    list->items = pql_xgrow(list->items, &list->capacity, list->count + 1, sizeof *list->items);
    list->items[list->count++] = (struct pql_dependent){unit, mask, via};
}

/* --- signals --- */

static struct pql_signal_def *signal_new(struct builder *b, struct pql_slice key)
{
    struct pql_program *program = b->program;
    struct pql_signal_def *def = pql_arena_zalloc(&program->arena, sizeof *def);
    def->key = key;
    def->path = PQL_PATH_NONE;
    def->period = PQL_NO_INDEX;
    program->signals =
        pql_xgrow(program->signals, &program->signals_capacity, program->signals_count + 1, sizeof(def));
    program->signals[program->signals_count++] = def;
    return def;
}

static uint32_t signal_find(const struct pql_program *program, struct pql_slice key)
{
    for (size_t i = 0; i < program->signals_count; i++)
        if (pql_slice_eq(program->signals[i]->key, key)) return (uint32_t)i;
    return PQL_NO_INDEX;
}

/* An attribute is kept like latest(…, ever): the last value by event time, equal times by the later offset.
 */
static uint32_t attribute_signal(struct builder *b, enum pql_subject subject, struct pql_slice name)
{
    size_t before = b->attributes_count[subject];
    uint32_t i = name_index(&b->attributes[subject], &b->attributes_count[subject],
                            &b->attributes_capacity[subject], name);
    if (b->attributes_count[subject] == before) return b->attribute_signals[subject][i];
    const char *of = pql_subject_names[subject];
    char *key = pql_arena_printf(&b->program->arena, "%s.%.*s", of, PQL_SLICE_ARG(name));
    struct pql_signal_def *def = signal_new(b, pql_slice_of(key));
    def->text = def->key;
    def->is_attribute = true;
    def->path = (int32_t)i;
    def->signal = (struct pql_signal){.kind = PQL_SIGNAL_LATEST,
                                      .function = PQL_FN_LATEST,
                                      .subject = subject,
                                      .window = {.kind = PQL_WINDOW_EVER},
                                      .read_as_number = true};
    b->attribute_signals[subject] =
        pql_xgrow(b->attribute_signals[subject], &b->attribute_signals_capacity[subject], (size_t)i + 1,
                  sizeof(uint32_t));
    return b->attribute_signals[subject][i] = (uint32_t)b->program->signals_count - 1;
}

/* One row per function that keeps something: how it is kept by window, and what of a change it shows. */
static const struct signal_row {
    const char *family; /* functions of one family share a signal */
    enum pql_signal_kind rolling, ever, first;
    unsigned mask;
} signal_rows[PQL_FN_TOTAL] = {
#define NONE PQL_SIGNAL_KIND_COUNT
    [PQL_FN_COUNT] = {"count", PQL_SIGNAL_COUNT, PQL_SIGNAL_COUNT_EVER, PQL_SIGNAL_FIRST, PQL_CHANGE_VALUE},
    [PQL_FN_SUM] = {"sum", PQL_SIGNAL_SUM, PQL_SIGNAL_SUM_EVER, PQL_SIGNAL_FIRST, PQL_CHANGE_VALUE},
    [PQL_FN_AVG] = {"sum", PQL_SIGNAL_SUM, PQL_SIGNAL_SUM_EVER, PQL_SIGNAL_FIRST, PQL_CHANGE_MEAN},
    [PQL_FN_MIN] = {"min", PQL_SIGNAL_EXTREME, PQL_SIGNAL_EXTREME_EVER, PQL_SIGNAL_FIRST, PQL_CHANGE_VALUE},
    [PQL_FN_MAX] = {"max", PQL_SIGNAL_EXTREME, PQL_SIGNAL_EXTREME_EVER, PQL_SIGNAL_FIRST, PQL_CHANGE_VALUE},
    [PQL_FN_DISTINCT] = {"distinct", PQL_SIGNAL_DISTINCT, PQL_SIGNAL_DISTINCT_EVER, PQL_SIGNAL_FIRST,
                         PQL_CHANGE_VALUE},
    [PQL_FN_DAYS] = {"days", PQL_SIGNAL_DISTINCT, PQL_SIGNAL_DISTINCT_EVER, PQL_SIGNAL_FIRST,
                     PQL_CHANGE_VALUE},
    [PQL_FN_WEEKS] = {"weeks", PQL_SIGNAL_DISTINCT, PQL_SIGNAL_DISTINCT_EVER, PQL_SIGNAL_FIRST,
                      PQL_CHANGE_VALUE},
    [PQL_FN_MONTHS] = {"months", PQL_SIGNAL_DISTINCT, PQL_SIGNAL_DISTINCT_EVER, PQL_SIGNAL_FIRST,
                       PQL_CHANGE_VALUE},
    [PQL_FN_STREAK] = {"streak", NONE, PQL_SIGNAL_STREAK, NONE, PQL_CHANGE_VALUE},
    [PQL_FN_SEQUENCE] = {"sequence", PQL_SIGNAL_SEQUENCE, PQL_SIGNAL_SEQUENCE, PQL_SIGNAL_SEQUENCE_FIRST,
                         PQL_CHANGE_VALUE},
    [PQL_FN_NTH] = {"nth", NONE, PQL_SIGNAL_NTH, NONE, PQL_CHANGE_VALUE},
    [PQL_FN_EVER] = {"times", NONE, PQL_SIGNAL_TIMES, NONE, PQL_CHANGE_ANY},
    [PQL_FN_FIRST_TIME] = {"times", NONE, PQL_SIGNAL_TIMES, NONE, PQL_CHANGE_FIRST},
    [PQL_FN_LAST_TIME] = {"times", NONE, PQL_SIGNAL_TIMES, NONE, PQL_CHANGE_LAST},
    [PQL_FN_SINCE] = {"times", NONE, PQL_SIGNAL_TIMES, NONE, PQL_CHANGE_LAST},
    [PQL_FN_LATEST] = {"latest", PQL_SIGNAL_LATEST, PQL_SIGNAL_LATEST, PQL_SIGNAL_FIRST_VALUE,
                       PQL_CHANGE_VALUE},
    [PQL_FN_EARLIEST] = {"earliest", NONE, PQL_SIGNAL_EARLIEST, PQL_SIGNAL_FIRST_VALUE, PQL_CHANGE_VALUE},
};

/* Calendar windows hold what `ever` does, and no longer than their period. */
static const enum {
    WINDOW_NONE,
    WINDOW_ROLLING,
    WINDOW_EVER,
    WINDOW_FIRST
} window_forms[] = {
    [PQL_WINDOW_NONE] = WINDOW_EVER,    [PQL_WINDOW_ROLLING] = WINDOW_ROLLING,
    [PQL_WINDOW_PREV] = WINDOW_ROLLING, [PQL_WINDOW_FIRST] = WINDOW_FIRST,
    [PQL_WINDOW_EVER] = WINDOW_EVER,    [PQL_WINDOW_TODAY] = WINDOW_EVER,
    [PQL_WINDOW_WEEK] = WINDOW_EVER,    [PQL_WINDOW_MONTH] = WINDOW_EVER,
    [PQL_WINDOW_QUARTER] = WINDOW_EVER, [PQL_WINDOW_PERIOD] = WINDOW_FIRST,
};

static enum pql_signal_kind kind_of(const struct pql_node *call)
{
    const struct signal_row *row = &signal_rows[call->function];
    if (!row->family) return NONE;
    if (window_forms[call->window.kind] == WINDOW_ROLLING) return row->rolling;
    if (window_forms[call->window.kind] == WINDOW_FIRST) return row->first;
    if (window_forms[call->window.kind] == WINDOW_EVER) return row->ever;
    return NONE;
}

static const struct pql_expr *compile(struct builder *b, const struct pql_node *node);

static int32_t path_of(struct builder *b, const struct pql_selector *selector)
{
    if (!selector->path.len) return PQL_PATH_NONE;
    if (pql_slice_is(selector->path, "user")) return PQL_PATH_USER;
    if (pql_slice_is(selector->path, "event")) return PQL_PATH_EVENT;
    return (int32_t)property_index(b, selector->path);
}

static const struct pql_expr *compile_where(struct builder *b, const struct pql_node *where)
{
    struct pql_unit *unit = b->unit;
    b->unit = NULL;
    const struct pql_expr *expr = where ? compile(b, where) : NULL;
    b->unit = unit;
    return expr;
}

/* Does the value depend on where midnight is? */
static bool is_zoned(const struct pql_node *node)
{
    static const bool functions[PQL_FN_TOTAL] = {
        [PQL_FN_DAYS] = true,   [PQL_FN_WEEKS] = true, [PQL_FN_MONTHS] = true,
        [PQL_FN_STREAK] = true, [PQL_FN_HOUR] = true,  [PQL_FN_WEEKDAY] = true};
    bool is_call = node->kind == PQL_NODE_CALL;
    if (is_call && functions[node->function]) return true;
    if (is_call && node->window.kind >= PQL_WINDOW_TODAY && node->window.kind <= PQL_WINDOW_QUARTER)
        return true;
    if (node->selector.where && is_zoned(node->selector.where)) return true;
    for (size_t i = 0; i < node->steps_count; i++)
        if (node->steps[i].where && is_zoned(node->steps[i].where)) return true;
    for (size_t i = 0; i < node->kids_count; i++)
        if (is_zoned(node->kids[i])) return true;
    return false;
}

/* What tells a text from the same one in another zone: nothing where the zone does not matter, or is UTC. */
static const char *zone_mark(struct builder *b, const struct pql_node *node)
{
    if (!b->zone || !is_zoned(node)) return "";
    struct pql_slice name = pql_zone_name(b->zone);
    return pql_arena_printf(&b->program->arena, " in %.*s", PQL_SLICE_ARG(name));
}

static enum pql_calendar calendar_of(enum pql_function function)
{
    if (function == PQL_FN_WEEKS) return PQL_CALENDAR_WEEK;
    return function == PQL_FN_MONTHS ? PQL_CALENDAR_MONTH : PQL_CALENDAR_DAY;
}

/* All events of all steps. */
static const struct pql_selector *joined(struct builder *b, const struct pql_node *call)
{
    struct pql_selector *all = pql_arena_zalloc(&b->program->arena, sizeof *all);
    size_t most = 0;
    for (size_t i = 0; i < call->steps_count; i++) most += call->steps[i].events_count;
    struct pql_slice *events = pql_arena_alloc(&b->program->arena, most * sizeof *events + 1);
    for (size_t i = 0; i < call->steps_count; i++) {
        all->any |= call->steps[i].any;
        for (size_t k = 0; k < call->steps[i].events_count; k++)
            events[all->events_count++] = call->steps[i].events[k];
    }
    all->events = events;
    return all;
}

static void make_steps(struct builder *b, const struct pql_node *call, struct pql_signal_def *def)
{
    struct pql_step *steps = pql_arena_alloc(&b->program->arena, call->steps_count * sizeof *steps);
    for (size_t i = 0; i < call->steps_count; i++)
        steps[i] = (struct pql_step){&call->steps[i], compile_where(b, call->steps[i].where)};
    struct pql_selector by = {.path = call->by};
    def->path = path_of(b, &by);
    def->steps = steps;
    def->selector = joined(b, call);
    def->signal.steps_count = (uint32_t)call->steps_count;
    def->signal.is_by = call->by.len > 0;
    def->signal.within_ms = call->within_ms;
}

/* The attributes of the account that say when the period is are kept from now on. */
static uint32_t use_period(struct builder *b, struct pql_slice name)
{
    uint32_t index = 0;
    while (!pql_slice_eq(b->program->periods[index].conf->name, name)) index++;
    struct pql_period *period = &b->program->periods[index];
    if (period->is_used) return index;
    size_t skip = strlen("account.");
    struct pql_slice start = period->conf->start.text, end = period->conf->end.text;
    period->is_used = true;
    period->start =
        attribute_signal(b, PQL_SUBJECT_ACCOUNT, (struct pql_slice){start.ptr + skip, start.len - skip});
    period->end = PQL_NO_INDEX;
    if (end.len)
        period->end =
            attribute_signal(b, PQL_SUBJECT_ACCOUNT, (struct pql_slice){end.ptr + skip, end.len - skip});
    return index;
}

/* The signal of a call, made at its first use. Two calls are one signal if subject, family and the normalised
 * text of selector and window are the same. */
static uint32_t call_signal(struct builder *b, const struct pql_node *call)
{
    struct pql_program *program = b->program;
    enum pql_signal_kind kind = kind_of(call);
    if (kind == NONE) {
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, call->source, call->at, call->span,
                        "'%s' is not available with this window in this version",
                        pql_functions[call->function].name);
        return PQL_NO_INDEX;
    }
    struct pql_slice text = pql_lang_text(call, &program->arena);
    size_t name = strlen(pql_functions[call->function].name);
    char *key = pql_arena_printf(&program->arena, "%s %s%.*s%s", pql_subject_names[b->subject],
                                 signal_rows[call->function].family, (int)(text.len - name), text.ptr + name,
                                 zone_mark(b, call));
    uint32_t index = signal_find(program, pql_slice_of(key));
    if (index != PQL_NO_INDEX) return index;
    const struct pql_settings *settings = &program->conf->settings;
    int32_t path = path_of(b, &call->selector);
    const struct pql_expr *where = compile_where(b, call->selector.where);
    struct pql_signal_def *def = signal_new(b, pql_slice_of(key));
    index = (uint32_t)program->signals_count - 1;
    def->text = text;
    def->selector = &call->selector;
    def->selector_text = pql_selector_text(&call->selector, &program->arena);
    def->path = path;
    def->where = where;
    def->signal = (struct pql_signal){.kind = kind,
                                      .function = call->function,
                                      .subject = b->subject,
                                      .window = call->window,
                                      .k = settings->evidence_max ? settings->evidence_max : 1,
                                      .exact_max = settings->exact_max,
                                      .start_grace_ms = settings->start_grace_ms,
                                      .zone = is_zoned(call) ? b->zone : NULL,
                                      .unit = calendar_of(call->function)};
    if (kind == PQL_SIGNAL_NTH) def->signal.k = (uint32_t)call->n;
    if (call->steps_count) make_steps(b, call, def);
    if (call->window.kind == PQL_WINDOW_PERIOD) def->period = use_period(b, call->window.period);
    return index;
}

static bool is_counted(enum pql_function function)
{
    return function == PQL_FN_COUNT || function == PQL_FN_DISTINCT || function == PQL_FN_DAYS ||
           function == PQL_FN_WEEKS || function == PQL_FN_MONTHS || function == PQL_FN_STREAK;
}

enum { DISTINCT_MAX = 10000 };

/* Read as a number: sums and counts are kept whole, different values up to a limit. */
static void read_as_number(struct pql_signal_def *def)
{
    if (!is_counted(def->signal.function)) {
        def->signal.k = 0;
    } else if (def->signal.function == PQL_FN_COUNT) {
        def->signal.k = 0;
    } else if (def->signal.k && def->signal.k < DISTINCT_MAX) {
        def->signal.k = DISTINCT_MAX;
    }
    def->signal.read_as_number = true;
}

/* --- comparisons with constants decide how much is kept, and when a value changes by itself --- */

enum { COUNT_MAX = 10000000 };

static int64_t ceil_of(pql_decimal n)
{
    return (int64_t)(n >= 0 ? (n + PQL_DECIMAL_ONE - 1) / PQL_DECIMAL_ONE : n / PQL_DECIMAL_ONE);
}
static int64_t floor_of(pql_decimal n)
{
    return -ceil_of(-n);
}

static void add_bound(struct pql_bounds *bounds, int64_t bound)
{
    size_t i = 0;
    while (i < bounds->count && bounds->items[i] < bound) i++;
    if (i < bounds->count && bounds->items[i] == bound) return;
    bounds->items = pql_xgrow(bounds->items, &bounds->capacity, bounds->count + 1, sizeof *bounds->items);
    memmove(&bounds->items[i + 1], &bounds->items[i], (bounds->count - i) * sizeof *bounds->items);
    bounds->items[i] = bound;
    bounds->count++;
}

static void keep_at_least(struct pql_signal_def *def, int64_t k)
{
    if (def->signal.k && k > (int64_t)def->signal.k) def->signal.k = (uint32_t)k;
}

/* What is compared with constants: its boundaries, and the signal behind it, if it is one. */
struct compared {
    struct pql_bounds *bounds;
    struct pql_signal_def *def;
};

/* The instants that matter to `value relation constant`, in units of one or ms. */
static void note_relation(const struct compared *what, enum pql_node_kind relation,
                          const struct pql_value *constant)
{
    bool is_ms = constant->kind == PQL_DURATION;
    int64_t up = is_ms ? constant->ms : ceil_of(constant->number);
    int64_t down = is_ms ? constant->ms : floor_of(constant->number);
    bool at_least = relation == PQL_NODE_GE || relation == PQL_NODE_LT;
    bool more = relation == PQL_NODE_GT || relation == PQL_NODE_LE;
    if (at_least || (!more && up == down)) add_bound(what->bounds, up);
    if (more || (!at_least && up == down)) add_bound(what->bounds, down + 1);
    if (!is_ms) keep_at_least(what->def, at_least ? up : up + 1);
}

/* Durations that grow as the clock runs. */
static bool is_ago(enum pql_function function)
{
    return function == PQL_FN_SINCE || function == PQL_FN_AGE || function == PQL_FN_IN_STATE_FOR;
}

static bool is_constant_for(const struct pql_node *node, enum pql_function function)
{
    enum pql_kind kind = is_ago(function) ? PQL_DURATION : PQL_NUMBER;
    return node->kind == PQL_NODE_CONST && node->value.kind == kind;
}

static bool is_in_range(struct builder *b, const struct pql_node *constant)
{
    if (constant->value.kind != PQL_NUMBER) return true;
    if (ceil_of(constant->value.number) <= COUNT_MAX && constant->value.number < PQL_DECIMAL_MAX) return true;
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, constant->source, constant->at, constant->span,
                    "a count is kept up to %d at most", COUNT_MAX);
    return false;
}

/* The call whose value is compared with constants only, or NULL. */
static const struct pql_node *compared_call(const struct pql_node *node, size_t value_kid)
{
    const struct pql_node *call = node->kids[value_kid];
    if (call->kind != PQL_NODE_CALL || !(is_counted(call->function) || is_ago(call->function))) return NULL;
    for (size_t i = 0; i < node->kids_count; i++)
        if (i != value_kid && !is_constant_for(node->kids[i], call->function)) return NULL;
    return call;
}

static enum pql_node_kind mirrored(enum pql_node_kind relation)
{
    if (relation == PQL_NODE_LT) return PQL_NODE_GT;
    if (relation == PQL_NODE_LE) return PQL_NODE_GE;
    if (relation == PQL_NODE_GT) return PQL_NODE_LT;
    return relation == PQL_NODE_GE ? PQL_NODE_LE : relation;
}

static void note_constants(struct builder *b, const struct pql_node *node, size_t value_kid,
                           const struct compared *what)
{
    for (size_t i = 0; i < node->kids_count; i++)
        if (i != value_kid && !is_in_range(b, node->kids[i])) return;
    if (node->kind == PQL_NODE_BETWEEN) {
        note_relation(what, PQL_NODE_GE, &node->kids[1]->value);
        note_relation(what, PQL_NODE_LE, &node->kids[2]->value);
    } else if (node->kind == PQL_NODE_IN) {
        for (size_t i = 1; i < node->kids_count; i++) note_relation(what, PQL_NODE_EQ, &node->kids[i]->value);
    } else {
        enum pql_node_kind relation = value_kid ? mirrored(node->kind) : node->kind;
        note_relation(what, relation, &node->kids[1 - value_kid]->value);
    }
}

/* --- expressions --- */

static struct pql_expr *expr_new(struct builder *b, enum pql_expr_op op, const struct pql_node *node)
{
    struct pql_expr *expr = pql_arena_zalloc(&b->program->arena, sizeof *expr);
    *expr = (struct pql_expr){.op = op,
                              .type = node->type,
                              .negated = node->negated,
                              .node = node,
                              .index = PQL_NO_INDEX,
                              .of_index = PQL_NO_INDEX};
    return expr;
}

static void compile_kids(struct builder *b, const struct pql_node *node, struct pql_expr *expr)
{
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, node->kids_count * sizeof(kids[0]));
    for (size_t i = 0; i < node->kids_count; i++) kids[i] = compile(b, node->kids[i]);
    expr->kids = kids;
    expr->kids_count = node->kids_count;
}

static struct pql_expr *compile_signal(struct builder *b, const struct pql_node *call, bool as_number)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_SIGNAL, call);
    uint32_t index = call_signal(b, call);
    if (index == PQL_NO_INDEX) {
        expr->op = PQL_EXPR_CONST;
        return expr;
    }
    struct pql_signal_def *def = b->program->signals[index];
    expr->index = index;
    expr->function = call->function;
    add_dependent(&def->dependents, b->unit, signal_rows[call->function].mask, NULL);
    def->signal.shows_mean |= call->function == PQL_FN_AVG;
    if (as_number) read_as_number(def);
    return expr;
}

static void need_definition(struct builder *b, uint32_t index)
{
    if (b->definition == PQL_NO_INDEX) return;
    b->needs[b->definition * b->program->conf->definitions_count + index] = true;
}

static uint32_t condition_add(struct builder *b, enum pql_subject subject, struct pql_slice text,
                              const struct pql_node *first, const struct pql_node *second)
{
    struct pql_program *program = b->program;
    struct pql_condition *condition = pql_arena_zalloc(&program->arena, sizeof *condition);
    uint32_t index = (uint32_t)program->conditions_count;
    program->conditions = pql_xgrow(program->conditions, &program->conditions_capacity,
                                    program->conditions_count + 1, sizeof condition);
    program->conditions[program->conditions_count++] = condition;
    condition->text = text;
    condition->unit =
        (struct pql_unit){.subject = subject, .is_condition = true, .index = index, .order = PQL_NO_INDEX};

    struct builder outer = *b;
    b->unit = &condition->unit;
    b->subject = subject;
    const struct pql_expr *left = compile(b, first);
    condition->expr = left;
    if (second) {
        const struct pql_expr **kids = pql_arena_alloc(&program->arena, 2 * sizeof(kids[0]));
        kids[0] = left;
        kids[1] = compile(b, second);
        struct pql_expr *both = expr_new(b, PQL_EXPR_AND, first);
        both->negated = false;
        both->kids = kids;
        both->kids_count = 2;
        condition->expr = both;
    }
    b->unit = outer.unit;
    b->subject = outer.subject;
    return index;
}

/* The condition inside a quantifier, or about an account in a user's definition; `second` for share(c of c2),
 * which counts users with both. Who wants to be told of its flips adds itself to its dependents. */
static uint32_t condition_of(struct builder *b, enum pql_subject subject, const struct pql_node *first,
                             const struct pql_node *second)
{
    struct pql_program *program = b->program;
    struct pql_slice text = pql_lang_text(first, &program->arena);
    if (second) {
        struct pql_slice other = pql_lang_text(second, &program->arena);
        text = pql_slice_of(pql_arena_printf(&program->arena, "(%.*s) and (%.*s)", PQL_SLICE_ARG(text),
                                             PQL_SLICE_ARG(other)));
    }
    const char *mark = second && is_zoned(second) ? zone_mark(b, second) : zone_mark(b, first);
    text = pql_slice_of(pql_arena_printf(&program->arena, "%.*s%s", PQL_SLICE_ARG(text), mark));
    uint32_t index = PQL_NO_INDEX;
    for (size_t i = 0; i < program->conditions_count && index == PQL_NO_INDEX; i++)
        if (program->conditions[i]->unit.subject == subject &&
            pql_slice_eq(program->conditions[i]->text, text))
            index = (uint32_t)i;
    /* Compiled again where it is known already: so that what it needs is noted for this definition too. */
    if (index == PQL_NO_INDEX) {
        index = condition_add(b, subject, text, first, second);
    } else {
        struct builder outer = *b;
        b->unit = &program->conditions[index]->unit;
        b->subject = subject;
        (void)compile(b, first);
        if (second) (void)compile(b, second);
        b->unit = outer.unit;
        b->subject = outer.subject;
    }
    b->uses = pql_xgrow(b->uses, &b->uses_capacity, b->uses_count + 1, sizeof *b->uses);
    b->uses[b->uses_count++] = index;
    return index;
}

static const struct pql_expr *compile_spread(struct builder *b, const struct pql_node *call,
                                             struct pql_expr *expr)
{
    struct pql_program *program = b->program;
    struct pql_spread wanted = {.condition = condition_of(b, PQL_SUBJECT_USER, call->kids[0], NULL),
                                .attribute = attribute_signal(b, PQL_SUBJECT_USER, call->text)};
    size_t i = 0;
    while (i < program->spreads_count && (program->spreads[i]->condition != wanted.condition ||
                                          program->spreads[i]->attribute != wanted.attribute))
        i++;
    if (i == program->spreads_count) {
        program->spreads =
            pql_xgrow(program->spreads, &program->spreads_capacity, i + 1, sizeof(struct pql_spread *));
        program->spreads[program->spreads_count++] = pql_arena_zalloc(&program->arena, sizeof wanted);
        *program->spreads[i] = wanted;
    }
    expr->index = wanted.condition;
    expr->of_index = (uint32_t)i;
    add_dependent(&program->spreads[i]->dependents, b->unit, ~0u, expr);
    return expr;
}

static const struct pql_expr *compile_quantifier(struct builder *b, const struct pql_node *call,
                                                 enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, call);
    b->program->keeps_users = true;
    bool of_members =
        op == PQL_EXPR_ALL_USERS || op == PQL_EXPR_MEMBERS || (op == PQL_EXPR_SHARE && call->kids_count == 1);
    if (of_members) add_dependent(&b->program->members_dependents, b->unit, ~0u, expr);
    if (op == PQL_EXPR_MEMBERS) return expr;
    if (op == PQL_EXPR_SPREAD) return compile_spread(b, call, expr);
    if (call->kids_count == 2) {
        expr->of_index = condition_of(b, PQL_SUBJECT_USER, call->kids[1], NULL);
        add_dependent(&b->program->conditions[expr->of_index]->dependents, b->unit, ~0u, expr);
        expr->index = condition_of(b, PQL_SUBJECT_USER, call->kids[0], call->kids[1]);
    } else {
        expr->index = condition_of(b, PQL_SUBJECT_USER, call->kids[0], NULL);
    }
    add_dependent(&b->program->conditions[expr->index]->dependents, b->unit, ~0u, expr);
    return expr;
}

/* The smallest condition that is about the account alone is one bit of it: users are told when it flips. */
static const struct pql_expr *compile_of_account(struct builder *b, const struct pql_node *node)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_ACCOUNT, node);
    expr->negated = false;
    expr->index = condition_of(b, PQL_SUBJECT_ACCOUNT, node, NULL);
    add_dependent(&b->program->conditions[expr->index]->dependents, b->unit, ~0u, NULL);
    const struct pql_expr **kid = pql_arena_alloc(&b->program->arena, sizeof(kid[0]));
    kid[0] = b->program->conditions[expr->index]->expr;
    expr->kids = kid;
    expr->kids_count = 1;
    return expr;
}

static bool is_of_account(const struct pql_node *node)
{
    if (node->kind == PQL_NODE_CALL && node->of_account) return true;
    for (size_t i = 0; i < node->kids_count; i++)
        if (node->kids[i]->type != PQL_TYPE_BOOL && is_of_account(node->kids[i])) return true;
    return false;
}

static const struct pql_expr *compile_standing(struct builder *b, const struct pql_node *call,
                                               enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, call);
    struct pql_definition *definition = &b->program->definitions[call->definition];
    expr->index = call->definition;
    need_definition(b, call->definition);
    add_dependent(&definition->dependents, b->unit, ~0u, NULL);
    if (op == PQL_EXPR_IN_STATE_FOR) add_dependent(&definition->changed.dependents, b->unit, ~0u, NULL);
    return expr;
}

static const struct pql_expr *compile_age(struct builder *b, const struct pql_node *call)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_AGE, call);
    expr->index = b->subject;
    add_dependent(&b->program->ages[b->subject].dependents, b->unit, ~0u, NULL);
    return expr;
}

/* usage(E.p, limit) is latest(E.p) / limit. */
static const struct pql_expr *compile_usage(struct builder *b, const struct pql_node *call)
{
    struct pql_node *latest = pql_arena_alloc(&b->program->arena, sizeof *latest);
    *latest = *call;
    latest->function = PQL_FN_LATEST;
    latest->type = PQL_TYPE_OPEN;
    latest->window = (struct pql_window){.kind = PQL_WINDOW_EVER};
    latest->kids_count = 0;
    struct pql_expr *expr = expr_new(b, PQL_EXPR_DIV, call);
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, 2 * sizeof(kids[0]));
    kids[0] = compile_signal(b, latest, false);
    kids[1] = compile(b, call->kids[0]);
    expr->kids = kids;
    expr->kids_count = 2;
    return expr;
}

static const struct pql_expr *compile_own_call(struct builder *b, const struct pql_node *call)
{
    if (signal_rows[call->function].family)
        return compile_signal(b, call, pql_functions[call->function].type == PQL_TYPE_NUMBER);
    static const struct call_row {
        bool is_known;
        enum pql_expr_op op;
        enum { PLAIN, QUANTIFIER, STANDING, AGE, USAGE } form;
    } calls[PQL_FN_TOTAL] = {
        [PQL_FN_USERS] = {true, PQL_EXPR_USERS, QUANTIFIER},
        [PQL_FN_ANY_USER] = {true, PQL_EXPR_ANY_USER, QUANTIFIER},
        [PQL_FN_ALL_USERS] = {true, PQL_EXPR_ALL_USERS, QUANTIFIER},
        [PQL_FN_SHARE] = {true, PQL_EXPR_SHARE, QUANTIFIER},
        [PQL_FN_MEMBERS] = {true, PQL_EXPR_MEMBERS, QUANTIFIER},
        [PQL_FN_SPREAD] = {true, PQL_EXPR_SPREAD, QUANTIFIER},
        [PQL_FN_AGE] = {true, PQL_EXPR_AGE, AGE},
        [PQL_FN_USAGE] = {true, PQL_EXPR_DIV, USAGE},
        [PQL_FN_IN_STATE_FOR] = {true, PQL_EXPR_IN_STATE_FOR, STANDING},
        [PQL_FN_IS] = {true, PQL_EXPR_IS, STANDING},
        [PQL_FN_WAS] = {true, PQL_EXPR_WAS, STANDING},
        [PQL_FN_HOUR] = {true, PQL_EXPR_HOUR, PLAIN},
        [PQL_FN_WEEKDAY] = {true, PQL_EXPR_WEEKDAY, PLAIN},
        [PQL_FN_IF] = {true, PQL_EXPR_IF, PLAIN},
        [PQL_FN_COALESCE] = {true, PQL_EXPR_COALESCE, PLAIN},
        [PQL_FN_AT_LEAST] = {true, PQL_EXPR_AT_LEAST, PLAIN},
    };
    const struct call_row *row = &calls[call->function];
    PQL_ASSERT(row->is_known); /* the checker refuses the others by name */
    if (row->form == QUANTIFIER) return compile_quantifier(b, call, row->op);
    if (row->form == STANDING) return compile_standing(b, call, row->op);
    if (row->form == AGE) return compile_age(b, call);
    if (row->form == USAGE) return compile_usage(b, call);
    struct pql_expr *expr = expr_new(b, row->op, call);
    expr->threshold = (uint32_t)call->n;
    expr->zone = b->zone;
    compile_kids(b, call, expr);
    return expr;
}

static const struct pql_expr *compile_call(struct builder *b, const struct pql_node *call)
{
    enum pql_subject subject = b->subject;
    if (call->of_account) b->subject = PQL_SUBJECT_ACCOUNT;
    const struct pql_expr *expr = compile_own_call(b, call);
    b->subject = subject;
    return expr;
}

/* `value >= c` of a rolling count needs one look at the c-th newest, not a count. */
static void make_reaches(struct builder *b, struct pql_expr *expr, enum pql_node_kind relation,
                         const struct pql_value *constant)
{
    const struct pql_signal *signal = &b->program->signals[expr->kids[0]->index]->signal;
    if (expr->kids[0]->op != PQL_EXPR_SIGNAL ||
        (signal->kind != PQL_SIGNAL_COUNT && signal->kind != PQL_SIGNAL_DISTINCT) ||
        signal->window.kind != PQL_WINDOW_ROLLING)
        return;
    bool at_least = relation == PQL_NODE_GE || relation == PQL_NODE_LT;
    bool more = relation == PQL_NODE_GT || relation == PQL_NODE_LE;
    int64_t c = at_least ? ceil_of(constant->number) : floor_of(constant->number) + 1;
    if ((!at_least && !more) || c < 1 || c > COUNT_MAX) return;
    expr->op = PQL_EXPR_REACHES;
    expr->index = expr->kids[0]->index;
    expr->threshold = (uint32_t)c;
    expr->negated = relation == PQL_NODE_LT || relation == PQL_NODE_LE;
}

static const struct pql_expr *compile_compared(struct builder *b, const struct pql_node *call)
{
    if (!signal_rows[call->function].family) return compile(b, call);
    enum pql_subject subject = b->subject;
    if (call->of_account) b->subject = PQL_SUBJECT_ACCOUNT;
    const struct pql_expr *expr = compile_signal(b, call, false);
    b->subject = subject;
    return expr;
}

static struct compared compared_of(struct builder *b, const struct pql_expr *value)
{
    struct pql_program *program = b->program;
    struct pql_signal_def *def = value->op == PQL_EXPR_SIGNAL ? program->signals[value->index] : NULL;
    if (def) return (struct compared){&def->bounds, def};
    if (value->op == PQL_EXPR_AGE) return (struct compared){&program->ages[value->index].bounds, NULL};
    if (value->op == PQL_EXPR_IN_STATE_FOR)
        return (struct compared){&program->definitions[value->index].changed.bounds, NULL};
    return (struct compared){NULL, NULL};
}

static const struct pql_expr *compile_comparison(struct builder *b, const struct pql_node *node,
                                                 enum pql_expr_op op)
{
    struct pql_expr *expr = expr_new(b, op, node);
    expr->relation = node->kind;
    size_t value_kid = op == PQL_EXPR_COMPARE && node->kids[0]->kind == PQL_NODE_CONST ? 1 : 0;
    const struct pql_node *call = compared_call(node, value_kid);
    if (!call) {
        compile_kids(b, node, expr);
        return expr;
    }
    const struct pql_expr **kids = pql_arena_alloc(&b->program->arena, node->kids_count * sizeof(kids[0]));
    for (size_t i = 0; i < node->kids_count; i++)
        kids[i] = i == value_kid ? compile_compared(b, call) : compile(b, node->kids[i]);
    expr->kids = kids;
    expr->kids_count = node->kids_count;
    struct compared what = compared_of(b, kids[value_kid]);
    if (!what.bounds) return expr;
    note_constants(b, node, value_kid, &what);
    if (op != PQL_EXPR_COMPARE || !what.def || call->function == PQL_FN_SINCE) return expr;
    if (value_kid) { /* 5 <= count(…) is count(…) >= 5 */
        const struct pql_expr *constant = kids[0];
        kids[0] = kids[1];
        kids[1] = constant;
        expr->relation = mirrored(node->kind);
    }
    make_reaches(b, expr, expr->relation, &kids[1]->value);
    return expr;
}

static const struct pql_expr *compile_attribute(struct builder *b, const struct pql_node *node,
                                                enum pql_subject subject)
{
    struct pql_expr *expr = expr_new(b, PQL_EXPR_ATTRIBUTE, node);
    expr->index = attribute_signal(b, subject, node->text);
    expr->function = PQL_FN_LATEST;
    add_dependent(&b->program->signals[expr->index]->dependents, b->unit, ~0u, NULL);
    if (subject == PQL_SUBJECT_USER) b->program->keeps_users = true;
    return expr;
}

static const struct pql_expr *compile(struct builder *b, const struct pql_node *node)
{
    /* Nodes whose kids are compiled alike, and the op they become. */
    static const enum pql_expr_op plain[PQL_NODE_KIND_COUNT] = {
        [PQL_NODE_USER_ID] = PQL_EXPR_EVENT_USER,
        [PQL_NODE_EVENT_NAME] = PQL_EXPR_EVENT_NAME,
        [PQL_NODE_NOT] = PQL_EXPR_NOT,
        [PQL_NODE_AND] = PQL_EXPR_AND,
        [PQL_NODE_OR] = PQL_EXPR_OR,
        [PQL_NODE_NEG] = PQL_EXPR_NEG,
        [PQL_NODE_ADD] = PQL_EXPR_ADD,
        [PQL_NODE_SUB] = PQL_EXPR_SUB,
        [PQL_NODE_MUL] = PQL_EXPR_MUL,
        [PQL_NODE_DIV] = PQL_EXPR_DIV,
        [PQL_NODE_STARTS] = PQL_EXPR_STARTS,
        [PQL_NODE_ENDS] = PQL_EXPR_ENDS,
        [PQL_NODE_CONTAINS] = PQL_EXPR_CONTAINS,
        [PQL_NODE_MATCHES] = PQL_EXPR_MATCHES,
        [PQL_NODE_IS_NULL] = PQL_EXPR_IS_NULL,
    };
    struct pql_expr *expr;
    bool is_one_bit = b->subject == PQL_SUBJECT_USER && node->type == PQL_TYPE_BOOL && is_of_account(node);
    if (is_one_bit) return compile_of_account(b, node);
    switch (node->kind) {
    case PQL_NODE_CONST:
        expr = expr_new(b, PQL_EXPR_CONST, node);
        expr->value = node->value;
        return expr;
    case PQL_NODE_PROPERTY:
        expr = expr_new(b, PQL_EXPR_PROPERTY, node);
        expr->index = property_index(b, node->text);
        return expr;
    case PQL_NODE_USER_ATTR: return compile_attribute(b, node, PQL_SUBJECT_USER);
    case PQL_NODE_ACCOUNT_ATTR: return compile_attribute(b, node, PQL_SUBJECT_ACCOUNT);
    case PQL_NODE_EQ:
    case PQL_NODE_NE:
    case PQL_NODE_LT:
    case PQL_NODE_LE:
    case PQL_NODE_GT:
    case PQL_NODE_GE: return compile_comparison(b, node, PQL_EXPR_COMPARE);
    case PQL_NODE_IN: return compile_comparison(b, node, PQL_EXPR_IN);
    case PQL_NODE_BETWEEN: return compile_comparison(b, node, PQL_EXPR_BETWEEN);
    case PQL_NODE_CALL: return compile_call(b, node);
    case PQL_NODE_USER_ID:
    case PQL_NODE_EVENT_NAME:
    case PQL_NODE_NOT:
    case PQL_NODE_AND:
    case PQL_NODE_OR:
    case PQL_NODE_NEG:
    case PQL_NODE_ADD:
    case PQL_NODE_SUB:
    case PQL_NODE_MUL:
    case PQL_NODE_DIV:
    case PQL_NODE_STARTS:
    case PQL_NODE_ENDS:
    case PQL_NODE_CONTAINS:
    case PQL_NODE_MATCHES:
    case PQL_NODE_IS_NULL:
        expr = expr_new(b, plain[node->kind], node);
        compile_kids(b, node, expr);
        return expr;
    case PQL_NODE_SCORE:
    case PQL_NODE_KIND_COUNT: break; /* the checker refuses scores by name */
    }
    PQL_ASSERT(false);
    return NULL;
}

/* --- definitions --- */

static const struct pql_expr *compile_text(struct builder *b, const struct pql_source *source,
                                           enum pql_place place)
{
    if (!source->text.len) return NULL;
    const struct pql_node *node =
        pql_lang_parse(&b->env, source, place, b->definition, &b->program->arena, b->diags);
    return node ? compile(b, node) : NULL;
}

/* Expressions that are shown and decide nothing: nobody is evaluated again because of them. */
static void compile_context(struct builder *b, struct pql_definition *definition, enum pql_place place)
{
    const struct pql_definition_conf *conf = definition->conf;
    definition->context =
        pql_arena_alloc(&b->program->arena, conf->context_count * sizeof(definition->context[0]));
    b->unit = NULL;
    for (size_t i = 0; i < conf->context_count; i++) {
        const struct pql_node *node = pql_lang_parse_value(&b->env, &conf->context[i], place, b->definition,
                                                           &b->program->arena, b->diags);
        if (node) definition->context[definition->context_count++] = compile(b, node);
    }
}

/* "user.role", "account.plan" of include_attributes. */
static void compile_shown(struct builder *b, struct pql_definition *definition)
{
    const struct pql_definition_conf *conf = definition->conf;
    definition->shown =
        pql_arena_alloc(&b->program->arena, conf->include_attributes_count * sizeof(uint32_t));
    definition->shown_names =
        pql_arena_alloc(&b->program->arena, conf->include_attributes_count * sizeof(struct pql_slice));
    for (size_t i = 0; i < conf->include_attributes_count; i++) {
        const struct pql_source *source = &conf->include_attributes[i];
        struct pql_slice text = source->text;
        bool of_user = text.len > 5 && memcmp(text.ptr, "user.", 5) == 0;
        bool of_account = text.len > 8 && memcmp(text.ptr, "account.", 8) == 0;
        if ((!of_user && !of_account) || (of_user && conf->subject == PQL_SUBJECT_ACCOUNT)) {
            pql_diag_source(b->diags, PQL_SEVERITY_ERROR, source, 0, text.len ? text.len : 1,
                            of_user ? "an account has no attribute of a user; write account.NAME"
                                    : "an attribute is written user.NAME or account.NAME");
            continue;
        }
        size_t skip = of_user ? 5 : 8;
        struct pql_slice name = {text.ptr + skip, text.len - skip};
        definition->shown[definition->shown_count] =
            attribute_signal(b, of_user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT, name);
        definition->shown_names[definition->shown_count++] = text;
        if (of_user) b->program->keeps_users = true;
    }
}

static void compile_definition(struct builder *b, uint32_t index)
{
    struct pql_definition *definition = &b->program->definitions[index];
    const struct pql_definition_conf *conf = definition->conf;
    if (conf->subject == PQL_SUBJECT_USER) b->program->keeps_users = true;
    if (!conf->qualify.text.len)
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &conf->name_source, 0,
                        conf->name.len ? conf->name.len : 1, "definition '%.*s' has no qualify condition",
                        PQL_SLICE_ARG(conf->name));
    b->definition = index;
    b->subject = conf->subject;
    b->zone = conf->zone;
    b->unit = &definition->unit;
    enum pql_place place = conf->subject == PQL_SUBJECT_USER ? PQL_PLACE_USER : PQL_PLACE_ACCOUNT;
    definition->eligible = compile_text(b, &conf->eligible, place);
    definition->qualify = compile_text(b, &conf->qualify, place);
    definition->stay = conf->stay.text.len ? compile_text(b, &conf->stay, place) : definition->qualify;
    compile_context(b, definition, place);
    compile_shown(b, definition);
}

static bool reads(const struct pql_program *program, const struct pql_expr *expr,
                  bool (*is)(const struct pql_program *, const struct pql_expr *))
{
    if (!expr) return false;
    if (is(program, expr)) return true;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (reads(program, expr->kids[i], is)) return true;
    return false;
}

static bool is_first(const struct pql_program *program, const struct pql_expr *expr)
{
    return expr->op == PQL_EXPR_SIGNAL && pql_has_end(&program->signals[expr->index]->signal);
}

static bool is_outside(const struct pql_program *program, const struct pql_expr *expr)
{
    (void)program;
    return pql_expr_is_outside(expr);
}

static bool holds_empty(const struct pql_program *program, const struct pql_expr *expr)
{
    struct pql_account account = {.state = {.start_ms = PQL_NO_TIME, .timer_ms = INT64_MAX}};
    struct pql_user *nobody = pql_xcalloc(1, sizeof *nobody);
    nobody->state = account.state;
    struct pql_scope scope = {.program = program, .account = &account, .user = nobody};
    bool holds = pql_expr_holds(expr, &scope);
    free(nobody);
    return holds;
}

static bool is_at_birth(const struct pql_program *program, const struct pql_expr *expr)
{
    return reads(program, expr, is_outside) || reads(program, expr, is_first) || holds_empty(program, expr);
}

/* usage(E.p, 100) is one, too. */
static bool is_one_signal(const struct pql_expr *expr)
{
    bool is_usage = expr->op == PQL_EXPR_DIV && expr->node->kind == PQL_NODE_CALL;
    return expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_AGE ||
           (is_usage && expr->kids[1]->op == PQL_EXPR_CONST);
}

/* Comparisons of one signal with constants, joined by and/or: when it would lapse can be told. */
static bool is_tellable(const struct pql_expr *expr)
{
    if (expr->op == PQL_EXPR_AND || expr->op == PQL_EXPR_OR || expr->op == PQL_EXPR_ACCOUNT) {
        for (size_t i = 0; i < expr->kids_count; i++)
            if (!is_tellable(expr->kids[i])) return false;
        return true;
    }
    bool is_comparison = expr->op == PQL_EXPR_COMPARE || expr->op == PQL_EXPR_REACHES ||
                         expr->op == PQL_EXPR_IN || expr->op == PQL_EXPR_BETWEEN;
    if (!is_comparison) return false;
    size_t signals = 0;
    for (size_t i = 0; i < expr->kids_count; i++) {
        bool is_signal = is_one_signal(expr->kids[i]);
        if (!is_signal && expr->kids[i]->op != PQL_EXPR_CONST) return false;
        signals += is_signal;
    }
    return signals == 1;
}

static const struct pql_expr *find_share(const struct pql_expr *expr)
{
    if (expr->op == PQL_EXPR_SHARE || expr->op == PQL_EXPR_USERS || expr->op == PQL_EXPR_ALL_USERS ||
        expr->op == PQL_EXPR_ANY_USER)
        return expr;
    for (size_t i = 0; i < expr->kids_count; i++) {
        const struct pql_expr *found = find_share(expr->kids[i]);
        if (found) return found;
    }
    return NULL;
}

static bool is_of_members(const struct pql_program *program, const struct pql_expr *expr)
{
    (void)program;
    return expr->op == PQL_EXPR_SHARE || expr->op == PQL_EXPR_MEMBERS || expr->op == PQL_EXPR_ALL_USERS;
}

static struct pql_slice normal_text(struct builder *b, const struct pql_expr *expr)
{
    return expr ? pql_lang_text(expr->node, &b->program->arena) : (struct pql_slice){"", 0};
}

static void finish_definition(struct builder *b, struct pql_definition *definition)
{
    struct pql_program *program = b->program;
    const struct pql_definition_conf *conf = definition->conf;
    definition->can_be_missed = reads(program, definition->qualify, is_first);
    definition->lapses = !conf->once && is_tellable(definition->stay);
    definition->has_share = reads(program, definition->qualify, is_of_members);
    definition->share = find_share(definition->qualify);
    definition->unit.at_birth = is_at_birth(program, definition->qualify);
    pql_rows_build(program, definition);
    struct pql_slice eligible = normal_text(b, definition->eligible), stay = normal_text(b, definition->stay);
    struct pql_slice qualify = normal_text(b, definition->qualify);
    char *text =
        pql_arena_printf(&program->arena, "%s|%.*s|%.*s|%.*s|%lld|%lld|%d", pql_subject_names[conf->subject],
                         PQL_SLICE_ARG(eligible), PQL_SLICE_ARG(qualify), PQL_SLICE_ARG(stay),
                         (long long)conf->min_stay_ms, (long long)conf->cooldown_ms, conf->once);
    if (conf->zone) {
        struct pql_slice zone = pql_zone_name(conf->zone);
        text = pql_arena_printf(&program->arena, "%s|%.*s", text, PQL_SLICE_ARG(zone));
    }
    snprintf(definition->hash, sizeof definition->hash, "%016llx",
             (unsigned long long)pql_hash_slice(pql_slice_of(text), 0));
    definition->hash_slice = (struct pql_slice){definition->hash, 16};
}

/* --- order of evaluation: always the first definition of the configuration whose dependencies are done ---
 */

static void report_cycle(struct builder *b, const bool *done, size_t n)
{
    /* Walking along needs from any definition that is not done must meet one twice. */
    size_t at = 0;
    while (done[at]) at++;
    struct pql_buf names = {0};
    bool *met = pql_xcalloc(n, sizeof *met);
    for (int round = 0; round < 2; round++) {
        memset(met, 0, n);
        names.len = 0;
        while (!met[at]) {
            met[at] = true;
            pql_buf_printf(&names, "%s%.*s", names.len ? " -> " : "",
                           PQL_SLICE_ARG(b->program->conf->definitions[at].name));
            for (size_t to = 0; to < n; to++)
                if (b->needs[at * n + to] && !done[to]) {
                    at = to;
                    break;
                }
        }
    }
    const struct pql_definition_conf *conf = &b->program->conf->definitions[at];
    pql_diag_source(b->diags, PQL_SEVERITY_ERROR, &conf->name_source, 0, conf->name.len ? conf->name.len : 1,
                    "definitions refer to each other in a circle: %.*s -> %.*s", (int)names.len, names.ptr,
                    PQL_SLICE_ARG(conf->name));
    free(met);
    pql_buf_deinit(&names);
}

static bool is_ready(const struct builder *b, const bool *done, size_t index, size_t n)
{
    for (size_t to = 0; to < n; to++)
        if (b->needs[index * n + to] && !done[to]) return false;
    return true;
}

static void add_unit(struct pql_program *program, struct pql_unit *unit)
{
    if (unit->order != PQL_NO_INDEX) return;
    unit->order = (uint32_t)program->units_count;
    program->units[program->units_count++] = unit;
}

static bool order_units(struct builder *b, uint32_t *const *uses, const size_t *uses_count)
{
    struct pql_program *program = b->program;
    size_t n = program->conf->definitions_count;
    bool *done = pql_xcalloc(n, sizeof *done);
    program->units =
        pql_arena_alloc(&program->arena, (n + program->conditions_count) * sizeof(struct pql_unit *));
    bool ok = true;
    for (size_t ordered = 0; ordered < n && ok;) {
        size_t next = 0;
        while (next < n && (done[next] || !is_ready(b, done, next, n))) next++;
        ok = next < n;
        if (!ok) {
            report_cycle(b, done, n);
            break;
        }
        for (size_t i = 0; i < uses_count[next]; i++)
            add_unit(program, &program->conditions[uses[next][i]]->unit);
        add_unit(program, &program->definitions[next].unit);
        done[next] = true;
        ordered++;
    }
    free(done);
    return ok;
}

/* --- tables that events are looked up in --- */

static bool has_name(const struct pql_slice *names, size_t count, struct pql_slice name)
{
    for (size_t i = 0; i < count; i++)
        if (pql_slice_eq(names[i], name)) return true;
    return false;
}

bool pql_program_selects(const struct pql_program *program, const struct pql_selector *selector,
                         struct pql_slice name)
{
    const struct pql_program_conf *conf = program->conf;
    bool is_activity = !conf->activity_count || has_name(conf->activity, conf->activity_count, name);
    return (selector->any && is_activity) || has_name(selector->events, selector->events_count, name);
}

static bool listens(const struct pql_program *program, const struct pql_signal_def *def,
                    struct pql_slice name)
{
    return !def->is_attribute && !def->storage && pql_program_selects(program, def->selector, name);
}

static void fill_listener(struct pql_program *program, struct pql_listener *listener)
{
    uint32_t *signals = pql_arena_alloc(&program->arena, program->signals_count * sizeof *signals);
    listener->count = 0;
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (listens(program, program->signals[i], listener->name)) signals[listener->count++] = i;
    listener->signals = signals;
    listener->is_start =
        has_name(program->conf->start_events, program->conf->start_events_count, listener->name);
}

static struct pql_listener *listener_slot(const struct pql_program *program, struct pql_slice name)
{
    size_t mask = program->listeners_capacity - 1;
    for (size_t i = (size_t)pql_hash_slice(name, 0) & mask;; i = (i + 1) & mask) {
        struct pql_listener *listener = &program->listeners[i];
        if (!listener->name.ptr || pql_slice_eq(listener->name, name)) return listener;
    }
}

const struct pql_listener *pql_program_listener(const struct pql_program *program, struct pql_slice name)
{
    const struct pql_listener *listener = listener_slot(program, name);
    return listener->name.ptr ? listener : &program->others;
}

static void add_listener(struct pql_program *program, struct pql_slice name)
{
    struct pql_listener *listener = listener_slot(program, name);
    if (listener->name.ptr) return;
    listener->name = name;
    fill_listener(program, listener);
}

static void build_listeners(struct pql_program *program)
{
    const struct pql_program_conf *conf = program->conf;
    size_t names = conf->activity_count + conf->start_events_count;
    for (size_t i = 0; i < program->signals_count; i++)
        if (!program->signals[i]->is_attribute) names += program->signals[i]->selector->events_count;
    program->listeners_capacity = 16;
    while (program->listeners_capacity < names * 2) program->listeners_capacity *= 2;
    program->listeners =
        pql_arena_zalloc(&program->arena, program->listeners_capacity * sizeof *program->listeners);
    for (size_t i = 0; i < program->signals_count; i++) {
        const struct pql_signal_def *def = program->signals[i];
        for (size_t j = 0; !def->is_attribute && j < def->selector->events_count; j++)
            add_listener(program, def->selector->events[j]);
    }
    for (size_t i = 0; i < conf->activity_count; i++) add_listener(program, conf->activity[i]);
    for (size_t i = 0; i < conf->start_events_count; i++) add_listener(program, conf->start_events[i]);
    program->others.name = (struct pql_slice){"", 0};
    fill_listener(program, &program->others);
    program->start_on_identify =
        has_name(conf->start_events, conf->start_events_count, pql_slice_of("kind:identify"));
    program->start_on_group =
        has_name(conf->start_events, conf->start_events_count, pql_slice_of("kind:group"));
}

static bool reads_first_of(const struct pql_program *program, const struct pql_expr *expr,
                           enum pql_subject subject)
{
    if (is_first(program, expr) && program->signals[expr->index]->signal.subject == subject) return true;
    for (size_t i = 0; i < expr->kids_count; i++)
        if (reads_first_of(program, expr->kids[i], subject)) return true;
    return false;
}

static void build_first(struct pql_program *program, enum pql_subject subject)
{
    size_t n = 0, units = 0, definitions = program->conf->definitions_count;
    program->first_signals[subject] =
        pql_arena_alloc(&program->arena, program->signals_count * sizeof(uint32_t));
    program->first_units[subject] = pql_arena_alloc(&program->arena, definitions * sizeof(struct pql_unit *));
    for (uint32_t i = 0; i < program->signals_count; i++) {
        const struct pql_signal *signal = &program->signals[i]->signal;
        if (pql_has_end(signal) && signal->subject == subject) program->first_signals[subject][n++] = i;
    }
    for (uint32_t i = 0; i < definitions; i++)
        if (reads_first_of(program, program->definitions[i].qualify, subject))
            program->first_units[subject][units++] = &program->definitions[i].unit;
    program->first_signals_count[subject] = n;
    program->first_units_count[subject] = units;
}

static void build_subject(struct pql_program *program, enum pql_subject subject)
{
    size_t n = program->conf->definitions_count;
    uint32_t *slots = pql_arena_alloc(&program->arena, (program->signals_count + n) * sizeof *slots);
    uint32_t count = 0;
    for (uint32_t i = 0; i < program->signals_count; i++) {
        if (program->signals[i]->signal.subject != subject || program->signals[i]->storage) continue;
        program->signals[i]->slot = count;
        slots[count++] = i;
    }
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (program->signals[i]->storage) program->signals[i]->slot = program->signals[i]->storage->slot;
    struct pql_unit **birth =
        pql_arena_alloc(&program->arena, program->units_count * sizeof(struct pql_unit *));
    size_t birth_count = 0;
    for (uint32_t i = 0; i < n; i++) {
        struct pql_definition *definition = &program->definitions[i];
        if (definition->conf->subject != subject) continue;
        definition->slot = count;
        slots[count++] = PQL_SLOT_DEFINITION | i;
    }
    for (size_t i = 0; i < program->units_count; i++)
        if (program->units[i]->subject == subject && program->units[i]->at_birth)
            birth[birth_count++] = program->units[i];
    program->slots[subject] = slots;
    program->slots_count[subject] = count;
    program->birth_units[subject] = birth;
    program->birth_units_count[subject] = birth_count;
    build_first(program, subject);
}

/* count(E, prev W) keeps what count(E, W) needs: that one is read from the same cell, and its readers are
 * told by the same event. */
static void join_twin(struct pql_program *program, struct pql_signal_def *prev)
{
    const struct pql_signal *mine = &prev->signal;
    struct pql_signal_def *twin = NULL;
    for (size_t i = 0; i < program->signals_count && !twin; i++) {
        struct pql_signal_def *def = program->signals[i];
        if (def->signal.kind == PQL_SIGNAL_COUNT && def->signal.window.kind == PQL_WINDOW_ROLLING &&
            def->signal.subject == mine->subject && def->signal.window.ms == mine->window.ms &&
            pql_slice_eq(pql_zone_name(def->signal.zone), pql_zone_name(mine->zone)) &&
            pql_slice_eq(def->selector_text, prev->selector_text))
            twin = def;
    }
    if (!twin) return;
    prev->signal.twin = &twin->signal;
    twin->storage = prev;
    for (size_t i = 0; i < twin->dependents.count; i++)
        add_dependent(&prev->dependents, twin->dependents.items[i].unit, PQL_CHANGE_TWIN,
                      twin->dependents.items[i].via);
}

static void finish_signals(struct builder *b)
{
    for (size_t i = 0; i < b->program->signals_count; i++) {
        struct pql_signal_def *def = b->program->signals[i];
        if (def->signal.kind == PQL_SIGNAL_COUNT && def->signal.window.kind == PQL_WINDOW_PREV)
            join_twin(b->program, def);
    }
    for (size_t i = 0; i < b->program->signals_count; i++) {
        struct pql_signal_def *def = b->program->signals[i];
        def->signal.bounds = def->bounds.items;
        def->signal.bounds_count = def->bounds.count;
        enum pql_signal_kind kind = def->signal.kind;
        if (kind == PQL_SIGNAL_SEQUENCE || kind == PQL_SIGNAL_SEQUENCE_FIRST || kind == PQL_SIGNAL_TIMES ||
            kind == PQL_SIGNAL_LATEST || kind == PQL_SIGNAL_EARLIEST || kind == PQL_SIGNAL_FIRST_VALUE ||
            kind == PQL_SIGNAL_SUM || kind == PQL_SIGNAL_SUM_EVER)
            def->signal.k = 0;
    }
}

static void publish_names(struct builder *b)
{
    struct pql_program *program = b->program;
    struct pql_arena *arena = &program->arena;
    struct pql_slice *lists[3] = {b->properties, b->attributes[PQL_SUBJECT_USER],
                                  b->attributes[PQL_SUBJECT_ACCOUNT]};
    size_t counts[3] = {b->properties_count, b->attributes_count[PQL_SUBJECT_USER],
                        b->attributes_count[PQL_SUBJECT_ACCOUNT]};
    struct pql_slice *copies[3];
    for (int i = 0; i < 3; i++) {
        copies[i] = pql_arena_alloc(arena, counts[i] * sizeof(struct pql_slice));
        for (size_t j = 0; j < counts[i]; j++) copies[i][j] = pql_arena_copy(arena, lists[i][j]);
    }
    program->names = (struct pql_names){copies[0], counts[0], copies[1], counts[1], copies[2], counts[2]};
    for (int subject = 0; subject < 2; subject++) {
        uint32_t *copy = pql_arena_alloc(arena, b->attributes_count[subject] * sizeof(uint32_t));
        if (b->attributes_count[subject])
            memcpy(copy, b->attribute_signals[subject], b->attributes_count[subject] * sizeof(uint32_t));
        *(subject == PQL_SUBJECT_USER ? &program->user_attributes : &program->account_attributes) = copy;
    }
}

static void compile_all(struct builder *b)
{
    struct pql_program *program = b->program;
    size_t n = program->conf->definitions_count;
    uint32_t **uses = pql_xcalloc(n ? n : 1, sizeof(uint32_t *));
    size_t *uses_count = pql_xcalloc(n ? n : 1, sizeof *uses_count);
    for (uint32_t i = 0; i < n; i++) {
        b->uses = NULL;
        b->uses_count = b->uses_capacity = 0;
        compile_definition(b, i);
        uses[i] = b->uses;
        uses_count[i] = b->uses_count;
    }
    b->definition = PQL_NO_INDEX;
    b->unit = NULL;
    b->zone = NULL;
    program->ignore = compile_text(b, &program->conf->ignore, PQL_PLACE_IGNORE);
    finish_signals(b);
    enum { SLOTS_MAX = UINT16_MAX / 2 }; /* the rest is for definitions that a change removes */
    if (program->signals_count + n > SLOTS_MAX)
        pql_diag_place(b->diags, PQL_SEVERITY_ERROR, NULL, 0, 0, 1,
                       "more than %d signals and definitions together", SLOTS_MAX);
    if (!b->diags->errors_count && order_units(b, uses, uses_count)) {
        for (size_t i = 0; i < program->conditions_count; i++)
            program->conditions[i]->unit.at_birth = is_at_birth(program, program->conditions[i]->expr);
        for (size_t i = 0; i < n; i++) finish_definition(b, &program->definitions[i]);
        build_subject(program, PQL_SUBJECT_USER);
        build_subject(program, PQL_SUBJECT_ACCOUNT);
        build_listeners(program);
        publish_names(b);
    }
    for (size_t i = 0; i < n; i++) free(uses[i]);
    free(uses);
    free(uses_count);
}

static const struct pql_slice *period_names(struct pql_program *program)
{
    const struct pql_program_conf *conf = program->conf;
    struct pql_slice *names = pql_arena_alloc(&program->arena, conf->periods_count * sizeof *names + 1);
    program->periods = pql_arena_zalloc(&program->arena, conf->periods_count * sizeof *program->periods + 1);
    program->periods_count = conf->periods_count;
    for (size_t i = 0; i < conf->periods_count; i++) {
        names[i] = conf->periods[i].name;
        program->periods[i].conf = &conf->periods[i];
    }
    return names;
}

struct pql_program *pql_program_new(const struct pql_program_conf *conf, struct pql_diags *diags)
{
    struct pql_program *program = pql_xcalloc(1, sizeof *program);
    pql_arena_init(&program->arena);
    program->conf = conf;
    program->space = pql_uuid_of_app(conf->app);
    program->key = pql_hash_key(conf->app);
    size_t n = conf->definitions_count, errors = diags->errors_count;
    program->definitions = pql_arena_zalloc(&program->arena, n * sizeof *program->definitions);
    struct pql_lang_definition *known = pql_arena_alloc(&program->arena, n * sizeof *known);
    for (uint32_t i = 0; i < n; i++) {
        known[i] = (struct pql_lang_definition){conf->definitions[i].name, conf->definitions[i].subject};
        program->definitions[i].conf = &conf->definitions[i];
        program->definitions[i].unit =
            (struct pql_unit){.subject = conf->definitions[i].subject, .index = i, .order = PQL_NO_INDEX};
    }
    struct builder b = {.program = program, .diags = diags, .definition = PQL_NO_INDEX};
    b.needs = pql_xcalloc(n * n + 1, sizeof *b.needs);
    b.env = (struct pql_lang_env){known,
                                  n,
                                  conf->signals,
                                  conf->signals_count,
                                  conf->parameters,
                                  conf->parameters_count,
                                  period_names(program),
                                  conf->periods_count};
    compile_all(&b);
    free(b.needs);
    free(b.properties);
    for (int subject = 0; subject < 2; subject++) {
        free(b.attributes[subject]);
        free(b.attribute_signals[subject]);
    }
    if (diags->errors_count == errors) return program;
    pql_program_free(program);
    return NULL;
}

static void ago_deinit(struct pql_ago *ago)
{
    free(ago->bounds.items);
    free(ago->dependents.items);
}

void pql_program_free(struct pql_program *program)
{
    if (!program) return;
    for (size_t i = 0; i < program->signals_count; i++) {
        free(program->signals[i]->dependents.items);
        free(program->signals[i]->bounds.items);
    }
    for (size_t i = 0; i < program->conditions_count; i++) free(program->conditions[i]->dependents.items);
    for (size_t i = 0; i < program->conf->definitions_count; i++) {
        free(program->definitions[i].dependents.items);
        ago_deinit(&program->definitions[i].changed);
    }
    ago_deinit(&program->ages[PQL_SUBJECT_USER]);
    ago_deinit(&program->ages[PQL_SUBJECT_ACCOUNT]);
    for (size_t i = 0; i < program->spreads_count; i++) free(program->spreads[i]->dependents.items);
    free(program->spreads);
    free(program->members_dependents.items);
    free(program->signals);
    free(program->conditions);
    pql_arena_deinit(&program->arena);
    free(program);
}

const struct pql_names *pql_program_names(const struct pql_program *program)
{
    return &program->names;
}
const struct pql_settings *pql_program_settings(const struct pql_program *program)
{
    return &program->conf->settings;
}
struct pql_slice pql_program_app(const struct pql_program *program)
{
    return program->conf->app;
}
size_t pql_program_definitions_count(const struct pql_program *program)
{
    return program->conf->definitions_count;
}
const struct pql_definition_conf *pql_program_definition(const struct pql_program *program, size_t index)
{
    return &program->conf->definitions[index];
}
struct pql_slice pql_program_text(const struct pql_program *program)
{
    return program->conf->text;
}
