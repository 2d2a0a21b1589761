#include "core/program_build.h"

static uint32_t name_index(struct pql_slice **names, size_t *count, size_t *capacity, struct pql_slice name)
{
    for (size_t i = 0; i < *count; i++)
        if (pql_slice_eq((*names)[i], name)) return (uint32_t)i;
    *names = pql_xgrow(*names, capacity, *count + 1, sizeof **names);
    (*names)[*count] = name;
    return (uint32_t)(*count)++;
}

uint32_t pql_build_property(struct pql_builder *b, struct pql_slice name)
{
    return name_index(&b->properties, &b->properties_count, &b->properties_capacity, name);
}

void pql_build_depend(struct pql_dependents *list, struct pql_unit *unit, unsigned mask,
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

static struct pql_signal_def *signal_new(struct pql_builder *b, struct pql_slice key)
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

uint32_t pql_build_attribute(struct pql_builder *b, enum pql_subject subject, struct pql_slice name)
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

static enum pql_signal_kind kind_of(const struct pql_builder *b, const struct pql_node *call)
{
    const struct signal_row *row = &signal_rows[call->function];
    if (!row->family) return NONE;
    if (b->decay && pql_build_decaying_kind(call) != NONE) return pql_build_decaying_kind(call);
    if (window_forms[call->window.kind] == WINDOW_ROLLING) return row->rolling;
    if (window_forms[call->window.kind] == WINDOW_FIRST) return row->first;
    if (window_forms[call->window.kind] == WINDOW_EVER) return row->ever;
    return NONE;
}

static int32_t path_of(struct pql_builder *b, const struct pql_selector *selector)
{
    if (!selector->path.len) return PQL_PATH_NONE;
    if (pql_slice_is(selector->path, "user")) return PQL_PATH_USER;
    if (pql_slice_is(selector->path, "event")) return PQL_PATH_EVENT;
    return (int32_t)pql_build_property(b, selector->path);
}

static const struct pql_expr *compile_where(struct pql_builder *b, const struct pql_node *where)
{
    struct pql_unit *unit = b->unit;
    b->unit = NULL;
    const struct pql_expr *expr = where ? pql_build_expr(b, where) : NULL;
    b->unit = unit;
    return expr;
}

bool pql_build_is_zoned(const struct pql_node *node)
{
    static const bool functions[PQL_FN_TOTAL] = {
        [PQL_FN_DAYS] = true,   [PQL_FN_WEEKS] = true, [PQL_FN_MONTHS] = true,
        [PQL_FN_STREAK] = true, [PQL_FN_HOUR] = true,  [PQL_FN_WEEKDAY] = true};
    bool is_call = node->kind == PQL_NODE_CALL;
    if (is_call && functions[node->function]) return true;
    if (is_call && node->window.kind >= PQL_WINDOW_TODAY && node->window.kind <= PQL_WINDOW_QUARTER)
        return true;
    if (node->selector.where && pql_build_is_zoned(node->selector.where)) return true;
    for (size_t i = 0; i < node->steps_count; i++)
        if (node->steps[i].where && pql_build_is_zoned(node->steps[i].where)) return true;
    for (size_t i = 0; i < node->kids_count; i++)
        if (pql_build_is_zoned(node->kids[i])) return true;
    return false;
}

const char *pql_build_zone_mark(struct pql_builder *b, const struct pql_node *node)
{
    if (!b->zone || !pql_build_is_zoned(node)) return "";
    struct pql_slice name = pql_zone_name(b->zone);
    return pql_arena_printf(&b->program->arena, " in %.*s", PQL_SLICE_ARG(name));
}

static enum pql_calendar calendar_of(enum pql_function function)
{
    if (function == PQL_FN_WEEKS) return PQL_CALENDAR_WEEK;
    return function == PQL_FN_MONTHS ? PQL_CALENDAR_MONTH : PQL_CALENDAR_DAY;
}

/* All events of all steps. */
static const struct pql_selector *joined(struct pql_builder *b, const struct pql_node *call)
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

static void make_steps(struct pql_builder *b, const struct pql_node *call, struct pql_signal_def *def)
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
static uint32_t use_period(struct pql_builder *b, struct pql_slice name)
{
    uint32_t index = 0;
    while (!pql_slice_eq(b->program->periods[index].conf->name, name)) index++;
    struct pql_period *period = &b->program->periods[index];
    if (period->is_used) return index;
    size_t skip = strlen("account.");
    struct pql_slice start = period->conf->start.text, end = period->conf->end.text;
    period->is_used = true;
    period->start =
        pql_build_attribute(b, PQL_SUBJECT_ACCOUNT, (struct pql_slice){start.ptr + skip, start.len - skip});
    period->end = PQL_NO_INDEX;
    if (end.len)
        period->end =
            pql_build_attribute(b, PQL_SUBJECT_ACCOUNT, (struct pql_slice){end.ptr + skip, end.len - skip});
    return index;
}

/* As the definition that is compiled asks. */
static uint32_t exact_max(const struct pql_builder *b)
{
    const struct pql_program_conf *conf = b->program->conf;
    uint32_t own = b->definition == PQL_NO_INDEX ? 0 : conf->definitions[b->definition].exact_max;
    return own ? own : conf->settings.exact_max;
}

uint32_t pql_build_signal(struct pql_builder *b, const struct pql_node *call)
{
    struct pql_program *program = b->program;
    enum pql_signal_kind kind = kind_of(b, call);
    if (kind == NONE) {
        pql_diag_source(b->diags, PQL_SEVERITY_ERROR, call->source, call->at, call->span,
                        "'%s' is not available with this window in this version",
                        pql_functions[call->function].name);
        return PQL_NO_INDEX;
    }
    struct pql_slice text = pql_lang_text(call, &program->arena);
    size_t name = strlen(pql_functions[call->function].name);
    char *key = pql_arena_printf(&program->arena, "%s %s%.*s%s%s", pql_subject_names[b->subject],
                                 signal_rows[call->function].family, (int)(text.len - name), text.ptr + name,
                                 pql_build_zone_mark(b, call), pql_build_decay_mark(b, call));
    uint32_t index = signal_find(program, pql_slice_of(key));
    if (index != PQL_NO_INDEX) {
        struct pql_signal *known = &program->signals[index]->signal;
        if (exact_max(b) > known->exact_max) known->exact_max = exact_max(b);
        return index;
    }
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
                                      .exact_max = exact_max(b),
                                      .start_grace_ms = settings->start_grace_ms,
                                      .zone = pql_build_is_zoned(call) ? b->zone : NULL,
                                      .unit = calendar_of(call->function)};
    def->signal.is_of_users = call->function == PQL_FN_DISTINCT && path == PQL_PATH_USER;
    if (kind == PQL_SIGNAL_NTH) def->signal.k = (uint32_t)call->n;
    if (call->steps_count) make_steps(b, call, def);
    if (call->window.kind == PQL_WINDOW_PERIOD) def->period = use_period(b, call->window.period);
    return index;
}

unsigned pql_build_shown_bits(enum pql_function function)
{
    return signal_rows[function].mask;
}

bool pql_build_is_counted(enum pql_function function)
{
    return function == PQL_FN_COUNT || function == PQL_FN_DISTINCT || function == PQL_FN_DAYS ||
           function == PQL_FN_WEEKS || function == PQL_FN_MONTHS || function == PQL_FN_STREAK;
}

void pql_build_read_as_number(struct pql_signal_def *def)
{
    if (!pql_build_is_counted(def->signal.function))
        def->signal.k = 0;
    else if (def->signal.function != PQL_FN_COUNT && def->signal.k && def->signal.k < PQL_DISTINCT_MAX)
        def->signal.k = PQL_DISTINCT_MAX;
    def->signal.read_as_number = true;
}
