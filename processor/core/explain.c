#include "core/explain.h"

#include "core/compiled.h"
#include "core/lang/words.h"

#include "core/state/account.h"

#include <stdarg.h>
#include <stdlib.h>

static void print_panes(const struct pql_signal *signal, const char *what, unsigned bytes, unsigned of_pane,
                        struct pql_buf *out)
{
    bool is_prev = signal->window.kind == PQL_WINDOW_PREV;
    pql_buf_printf(out, "the newest %u %s in %s, %u bytes each; what is older in %u panes, %u bytes each",
                   signal->exact_max, what, is_prev ? "twice the window" : "the window", bytes,
                   is_prev ? 2049 : 1025, of_pane);
}

/* What a subject keeps for one signal at most, in words and bytes; the figures are those of
 * state/signal_cell.h.
 */
static void print_kept(const struct pql_signal_def *def, struct pql_buf *out)
{
    const struct pql_signal *signal = &def->signal;
    if (def->storage) {
        pql_buf_printf(out, "nothing of its own, it is read from %.*s", PQL_SLICE_ARG(def->storage->text));
        return;
    }
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
        if (!signal->has_panes)
            pql_buf_printf(out, "the newest %u times, at most %u bytes", signal->k, 16 + 8 * signal->k);
        else
            print_panes(signal, "times", 8, 16, out);
        break;
    case PQL_SIGNAL_DISTINCT:
        pql_buf_printf(out, "the newest %u %s, at most %u bytes", signal->k,
                       signal->function == PQL_FN_DISTINCT ? "different values"
                                                           : pql_functions[signal->function].name,
                       16 + 16 * signal->k);
        break;
    case PQL_SIGNAL_SUM: print_panes(signal, "times and numbers", 24, 32, out); break;
    case PQL_SIGNAL_EXTREME:
        pql_buf_printf(out, "times and numbers of those that no newer one beats, 24 bytes each");
        break;
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: pql_buf_printf(out, "a number, 40 bytes"); break;
    case PQL_SIGNAL_DISTINCT_EVER:
        pql_buf_printf(out, "up to %u different values, 8 bytes each", signal->k);
        break;
    case PQL_SIGNAL_TIMES: pql_buf_printf(out, "first and last time, 32 bytes"); break;
    case PQL_SIGNAL_NTH:
        pql_buf_printf(out, "the %u earliest times, at most %u bytes", signal->k, 16 + 8 * signal->k);
        break;
    case PQL_SIGNAL_SEQUENCE:
        pql_buf_printf(out, "the latest match and partial matches, %u bytes%s",
                       40 + 16 * (signal->steps_count - 1),
                       signal->is_by ? " for each value with an open one" : "");
        break;
    case PQL_SIGNAL_STREAK: pql_buf_printf(out, "the newest day and the run up to it, 40 bytes"); break;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: pql_buf_printf(out, "one value with its time, 48 bytes and the text"); break;
    case PQL_SIGNAL_SEQUENCE_FIRST:
    case PQL_SIGNAL_FIRST:
    case PQL_SIGNAL_FIRST_VALUE:
        pql_buf_printf(out, "up to %u %s, %zu bytes each, until %lld days after the window; then 80 bytes",
                       signal->exact_max,
                       signal->kind == PQL_SIGNAL_SEQUENCE_FIRST ? "events of its steps" : "occurrences",
                       pql_first_entry_size(signal), (long long)(signal->start_grace_ms / 86400000));
        break;
    case PQL_SIGNAL_STEPS: pql_buf_printf(out, "a number for each step of its decay, 32 bytes each"); break;
    case PQL_SIGNAL_LAST:
        pql_buf_printf(out, "the last times of up to %u %s, 16 bytes each", signal->k,
                       signal->function == PQL_FN_DISTINCT ? "different values" : "days");
        break;
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: break;
    }
}

/* The most that a subject keeps for one signal; the figures are those above. */
static uint64_t most_bytes(const struct pql_signal *signal)
{
    uint64_t k = signal->k, exact = signal->exact_max,
             panes = signal->window.kind == PQL_WINDOW_PREV ? 2049 : 1025;
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT: return 16 + 8 * k + (signal->has_panes ? 8 * exact + 16 * panes : 0);
    case PQL_SIGNAL_SUM: return 24 * exact + 32 * panes;
    case PQL_SIGNAL_DISTINCT: return 16 + 16 * k;
    case PQL_SIGNAL_DISTINCT_EVER:
    case PQL_SIGNAL_NTH: return 16 + 8 * k;
    case PQL_SIGNAL_TIMES: return 32;
    case PQL_SIGNAL_SEQUENCE:
        return (40 + 16 * (uint64_t)(signal->steps_count - 1)) * (signal->is_by ? exact : 1);
    case PQL_SIGNAL_SEQUENCE_FIRST:
    case PQL_SIGNAL_FIRST:
    case PQL_SIGNAL_FIRST_VALUE:
        return 80 + pql_first_entry_size(signal) * exact + (signal->function == PQL_FN_COUNT ? 0 : 8 * k);
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER:
    case PQL_SIGNAL_STREAK: return 40;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: return 48;
    case PQL_SIGNAL_EXTREME: return 24;
    case PQL_SIGNAL_STEPS: return 32;
    case PQL_SIGNAL_LAST: return 16 + 16 * k;
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: break;
    }
    return 0;
}

/* Texts are kept whole, and of extremes all that no newer one beats. */
static bool is_bounded(const struct pql_signal *signal)
{
    return signal->kind != PQL_SIGNAL_EXTREME && signal->kind != PQL_SIGNAL_LATEST &&
           signal->kind != PQL_SIGNAL_EARLIEST && signal->kind != PQL_SIGNAL_STEPS;
}

static struct pql_slice taken(struct pql_explanation *explanation, struct pql_buf *buf)
{
    struct pql_slice text =
        pql_arena_copy(&explanation->arena, (struct pql_slice){buf->ptr ? buf->ptr : "", buf->len});
    pql_buf_deinit(buf);
    return text;
}

static struct pql_slice zone_name(const struct pql_signal *signal)
{
    return signal->zone ? pql_zone_name(signal->zone) : PQL_SLICE_LITERAL("UTC");
}

static struct pql_slice window_words(struct pql_explanation *explanation, const struct pql_signal_def *def)
{
    const struct pql_window *window = &def->signal.window;
    struct pql_slice zone = zone_name(&def->signal);
    struct pql_slice span = pql_duration_text(window->ms, &explanation->arena);
    struct pql_buf out = {0};
    switch (window->kind) {
    case PQL_WINDOW_NONE: break;
    case PQL_WINDOW_ROLLING:
        pql_buf_printf(&out, "the last %.*s; an event leaves it %.*s after it happened, to the millisecond",
                       PQL_SLICE_ARG(span), PQL_SLICE_ARG(span));
        break;
    case PQL_WINDOW_PREV:
        pql_buf_printf(&out, "the %.*s before the last %.*s", PQL_SLICE_ARG(span), PQL_SLICE_ARG(span));
        break;
    case PQL_WINDOW_FIRST:
        pql_buf_printf(&out, "the first %.*s after the %s's start; the value stays afterwards",
                       PQL_SLICE_ARG(span), pql_subject_names[def->signal.subject]);
        break;
    case PQL_WINDOW_EVER: pql_buf_text(&out, "everything since the account was first seen"); break;
    case PQL_WINDOW_TODAY: pql_buf_printf(&out, "the calendar day, %.*s", PQL_SLICE_ARG(zone)); break;
    case PQL_WINDOW_WEEK:
        pql_buf_printf(&out, "the calendar week from Monday, %.*s", PQL_SLICE_ARG(zone));
        break;
    case PQL_WINDOW_MONTH: pql_buf_printf(&out, "the calendar month, %.*s", PQL_SLICE_ARG(zone)); break;
    case PQL_WINDOW_QUARTER: pql_buf_printf(&out, "the calendar quarter, %.*s", PQL_SLICE_ARG(zone)); break;
    case PQL_WINDOW_PERIOD:
        pql_buf_printf(&out, "the account's %.*s; the value stays afterwards", PQL_SLICE_ARG(window->period));
        break;
    }
    return taken(explanation, &out);
}

static void add_signal(struct pql_explanation *explanation, const struct pql_signal_def *def)
{
    struct pql_buf kept = {0};
    print_kept(def, &kept);
    explanation->signals = pql_xgrow(explanation->signals, &explanation->signals_capacity,
                                     explanation->signals_count + 1, sizeof *explanation->signals);
    struct pql_explained_signal *signal = &explanation->signals[explanation->signals_count++];
    *signal = (struct pql_explained_signal){.text = def->text,
                                            .window = def->is_attribute ? (struct pql_slice){"", 0}
                                                                        : window_words(explanation, def),
                                            .kept = taken(explanation, &kept),
                                            .subject = def->signal.subject,
                                            .bytes_most = def->storage ? 0 : most_bytes(&def->signal),
                                            .is_bounded = def->storage || is_bounded(&def->signal),
                                            .is_attribute = def->is_attribute};
    if (def->is_attribute || !def->selector) return;
    signal->any = def->selector->any;
    signal->events = def->selector->events;
    signal->events_count = def->selector->events_count;
}

/* --- costs --- */

static void add_cost(struct pql_explanation *explanation, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void add_cost(struct pql_explanation *explanation, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    for (size_t i = 0; i < explanation->costs_count; i++)
        if (pql_slice_is(explanation->costs[i], text)) return;
    explanation->costs = pql_xgrow(explanation->costs, &explanation->costs_capacity,
                                   explanation->costs_count + 1, sizeof *explanation->costs);
    explanation->costs[explanation->costs_count++] = pql_arena_copy(&explanation->arena, pql_slice_of(text));
}

static void cost_of_signal(struct pql_explanation *explanation, const struct pql_signal_def *def,
                           enum pql_subject reader)
{
    const struct pql_signal *signal = &def->signal;
    bool is_calendar = signal->window.kind >= PQL_WINDOW_TODAY && signal->window.kind <= PQL_WINDOW_QUARTER;
    if (reader == PQL_SUBJECT_USER && def->is_attribute && signal->subject == PQL_SUBJECT_ACCOUNT)
        add_cost(explanation, "a change of %.*s looks at all users of the account", PQL_SLICE_ARG(def->text));
    if (reader == PQL_SUBJECT_USER && def->period != PQL_NO_INDEX)
        add_cost(explanation, "a change of the account's %.*s looks at all users of the account",
                 PQL_SLICE_ARG(signal->window.period));
    if (is_calendar || signal->kind == PQL_SIGNAL_STREAK)
        add_cost(explanation, "midnight in %.*s looks at every %s that has something in %.*s",
                 PQL_SLICE_ARG(zone_name(signal)), pql_subject_names[signal->subject],
                 PQL_SLICE_ARG(def->text));
    if (!def->is_attribute && def->selector && def->selector->any)
        add_cost(explanation, "every activity event updates %.*s", PQL_SLICE_ARG(def->text));
    bool reads_panes =
        signal->read_as_number || signal->kind == PQL_SIGNAL_SUM || signal->window.kind == PQL_WINDOW_PREV;
    if (signal->has_panes && reads_panes)
        add_cost(explanation, "%.*s is exact for the newest %u occurrences and approximate beyond",
                 PQL_SLICE_ARG(def->text), signal->exact_max);
}

static bool reads_condition(const struct pql_expr *expr)
{
    return expr->op == PQL_EXPR_USERS || expr->op == PQL_EXPR_ANY_USER || expr->op == PQL_EXPR_ALL_USERS ||
           expr->op == PQL_EXPR_SHARE || expr->op == PQL_EXPR_SPREAD;
}

/* reader: whose expression it is. */
static void add_costs(struct pql_explanation *explanation, const struct pql_expr *expr,
                      enum pql_subject reader)
{
    const struct pql_program *program = explanation->program;
    if (!expr) return;
    if (expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_ATTRIBUTE)
        cost_of_signal(explanation, program->signals[expr->index], reader);
    if (reads_condition(expr)) {
        add_costs(explanation, program->conditions[expr->index]->expr, PQL_SUBJECT_USER);
        if (expr->op != PQL_EXPR_SPREAD && expr->of_index != PQL_NO_INDEX)
            add_costs(explanation, program->conditions[expr->of_index]->expr, PQL_SUBJECT_USER);
    }
    bool names_definition =
        expr->op == PQL_EXPR_IS || expr->op == PQL_EXPR_WAS || expr->op == PQL_EXPR_IN_STATE_FOR;
    const struct pql_definition_conf *other =
        names_definition ? program->definitions[expr->index].conf : NULL;
    if (other && reader == PQL_SUBJECT_USER && other->subject == PQL_SUBJECT_ACCOUNT)
        add_cost(explanation, "entering and leaving %.*s looks at all users of the account",
                 PQL_SLICE_ARG(other->name));
    if (expr->op == PQL_EXPR_ACCOUNT) {
        struct pql_slice text = pql_lang_text(expr->node, &explanation->arena);
        add_cost(explanation, "when %.*s begins or ceases to hold, all users of the account are looked at",
                 PQL_SLICE_ARG(text));
        reader = PQL_SUBJECT_ACCOUNT;
    }
    for (size_t i = 0; i < expr->kids_count; i++) add_costs(explanation, expr->kids[i], reader);
}

static void cost_of_outcomes(struct pql_explanation *explanation)
{
    for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++)
        if (explanation->conf->outcomes[effect].count && explanation->conf->subject == PQL_SUBJECT_USER)
            add_cost(explanation, "an outcome of a whole account looks at all its users");
}

/* --- the names that it reads --- */

struct names {
    const struct pql_program *program;
    pql_name_seen *seen;
    void *context;
};

static void tell(const struct names *names, enum pql_name_kind kind, struct pql_slice name, uint32_t index,
                 const struct pql_selector *of, const struct pql_node *node)
{
    struct pql_named named = {.kind = kind,
                              .name = name,
                              .index = index,
                              .source = node->source,
                              .at = node->at,
                              .span = node->span};
    if (of && !of->any) {
        named.events = of->events;
        named.events_count = of->events_count;
    }
    names->seen(names->context, &named);
}

/* Inside `where`: properties of the selector's events. */
static void tell_where(const struct names *names, const struct pql_expr *expr, const struct pql_selector *of)
{
    if (!expr) return;
    if (expr->op == PQL_EXPR_PROPERTY)
        tell(names, PQL_NAME_PROPERTY, names->program->names.properties[expr->index], expr->index, of,
             expr->node);
    for (size_t i = 0; i < expr->kids_count; i++) tell_where(names, expr->kids[i], of);
}

static void tell_signal(const struct names *names, const struct pql_signal_def *def,
                        const struct pql_node *node)
{
    if (def->is_attribute) {
        bool of_user = def->signal.subject == PQL_SUBJECT_USER;
        const struct pql_slice *all =
            of_user ? names->program->names.user_attributes : names->program->names.account_attributes;
        tell(names, of_user ? PQL_NAME_USER_ATTRIBUTE : PQL_NAME_ACCOUNT_ATTRIBUTE, all[def->path],
             (uint32_t)def->path, NULL, node);
        return;
    }
    for (size_t i = 0; i < def->selector->events_count; i++)
        tell(names, PQL_NAME_EVENT, def->selector->events[i], 0, NULL, node);
    if (def->path >= 0)
        tell(names, PQL_NAME_PROPERTY, names->program->names.properties[def->path], (uint32_t)def->path,
             def->selector, node);
    tell_where(names, def->where, def->selector);
    for (uint32_t i = 0; def->steps && i < def->signal.steps_count; i++)
        tell_where(names, def->steps[i].where, def->steps[i].selector);
}

static void tell_all(const struct names *names, const struct pql_expr *expr)
{
    const struct pql_program *program = names->program;
    if (!expr) return;
    if ((expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_ATTRIBUTE) && expr->node)
        tell_signal(names, program->signals[expr->index], expr->node);
    if (reads_condition(expr)) {
        tell_all(names, program->conditions[expr->index]->expr);
        if (expr->op != PQL_EXPR_SPREAD && expr->of_index != PQL_NO_INDEX)
            tell_all(names, program->conditions[expr->of_index]->expr);
    }
    for (size_t i = 0; i < expr->kids_count; i++) tell_all(names, expr->kids[i]);
}

void pql_explain_names(const struct pql_program *program, size_t index, pql_name_seen *seen, void *context)
{
    const struct pql_definition *definition = &program->definitions[index];
    const struct names names = {program, seen, context};
    tell_all(&names, definition->eligible);
    tell_all(&names, definition->qualify);
    if (definition->stay != definition->qualify) tell_all(&names, definition->stay);
    tell_all(&names, definition->score_expr);
    for (size_t i = 0; i < definition->context_count; i++) tell_all(&names, definition->context[i]);
}

/* --- what it says --- */

static void add_clause(struct pql_explanation *explanation, const char *role, struct pql_slice words,
                       struct pql_slice text)
{
    explanation->clauses = pql_xgrow(explanation->clauses, &explanation->clauses_capacity,
                                     explanation->clauses_count + 1, sizeof *explanation->clauses);
    explanation->clauses[explanation->clauses_count++] = (struct pql_explained_clause){role, words, text};
}

static struct pql_slice words_of(struct pql_explanation *explanation, const struct pql_node *node)
{
    const struct pql_program_conf *conf = explanation->program->conf;
    return pql_lang_words(node, conf->labels, conf->labels_count, &explanation->arena);
}

static void add_condition(struct pql_explanation *explanation, const char *role, const struct pql_expr *expr,
                          const struct pql_source *source)
{
    if (expr && source->text.len)
        add_clause(explanation, role, words_of(explanation, expr->node), source->text);
}

static void add_span(struct pql_explanation *explanation, const char *role, int64_t ms)
{
    if (ms)
        add_clause(explanation, role, pql_duration_text(ms, &explanation->arena), (struct pql_slice){"", 0});
}

static void add_outcomes(struct pql_explanation *explanation)
{
    static const char *const roles[PQL_OUTCOME_EFFECTS] = {[PQL_OUTCOME_CONVERTS] = "converted by",
                                                           [PQL_OUTCOME_DISQUALIFIES] = "disqualified by",
                                                           [PQL_OUTCOME_REOPENS] = "opened again by",
                                                           [PQL_OUTCOME_ACKNOWLEDGES] = "acknowledged by"};
    for (int effect = 0; effect < PQL_OUTCOME_EFFECTS; effect++) {
        const struct pql_path_list *names = &explanation->conf->outcomes[effect];
        struct pql_buf out = {0};
        for (size_t i = 0; i < names->count; i++)
            pql_buf_printf(&out, "%s%.*s", i ? ", " : "", PQL_SLICE_ARG(names->paths[i].text));
        if (out.len)
            add_clause(explanation, roles[effect], taken(explanation, &out), (struct pql_slice){"", 0});
        pql_buf_deinit(&out);
    }
}

static struct pql_slice unit_words_of(struct pql_explanation *explanation, const struct pql_node *node)
{
    const struct pql_program_conf *conf = explanation->program->conf;
    return pql_lang_unit_words(node, conf->labels, conf->labels_count, &explanation->arena);
}

static void put_span(struct pql_explanation *explanation, struct pql_buf *out, const char *before, int64_t ms)
{
    if (!ms) return;
    pql_buf_printf(out, "%s%.*s", before, PQL_SLICE_ARG(pql_duration_text(ms, &explanation->arena)));
}

static void add_family(struct pql_explanation *explanation, const struct pql_family *family)
{
    char cap[PQL_DECIMAL_TEXT_MAX];
    struct pql_buf out = {0};
    if (!family->name.len) return;
    pql_buf_printf(&out, "%.*s: ", PQL_SLICE_ARG(family->name));
    if (family->has_cap)
        pql_buf_printf(&out, "at most %.*s points together", (int)pql_decimal_text(family->cap, cap), cap);
    else
        pql_buf_printf(&out, "no limit");
    add_clause(explanation, "family", taken(explanation, &out), (struct pql_slice){"", 0});
}

/* As written: the number or expression, and the condition in words. */
static void add_factor(struct pql_explanation *explanation, const struct pql_factor *factor,
                       const struct pql_multiply_conf *conf)
{
    struct pql_buf out = {0};
    pql_buf_printf(&out, "%.*s", PQL_SLICE_ARG(conf->by.text));
    if (factor->when_node)
        pql_buf_printf(&out, " when %.*s", PQL_SLICE_ARG(words_of(explanation, factor->when_node)));
    add_clause(explanation, "times", taken(explanation, &out), conf->when.text);
}

static void add_item(struct pql_explanation *explanation, const struct pql_item *item)
{
    const struct pql_item_conf *conf = item->conf;
    struct pql_buf out = {0};
    char points[PQL_DECIMAL_TEXT_MAX];
    pql_buf_put(&out, points, pql_decimal_text(conf->points.value, points));
    if (conf->family.text.len) pql_buf_printf(&out, " (%.*s)", PQL_SLICE_ARG(conf->family.text));
    pql_buf_printf(&out, item->is_per ? " for each %.*s" : " when %.*s",
                   PQL_SLICE_ARG(item->is_per ? unit_words_of(explanation, item->node)
                                              : words_of(explanation, item->node)));
    if (conf->max.source.text.len)
        pql_buf_printf(&out, ", at most %.*s of them", PQL_SLICE_ARG(conf->max.source.text));
    put_span(explanation, &out, ", worth half after ", conf->half_life_ms);
    put_span(explanation, &out, ", fading to nothing over ", conf->fades_over_ms);
    add_clause(explanation, "points", taken(explanation, &out),
               item->is_per ? conf->per.text : conf->when.text);
}

static void add_score(struct pql_explanation *explanation, const struct pql_score *score)
{
    const struct pql_slice none = {"", 0};
    for (size_t i = 0; score && i < score->items_count; i++) add_item(explanation, &score->items[i]);
    for (size_t i = 0; score && i < score->families_count; i++) add_family(explanation, &score->families[i]);
    for (size_t i = 0; score && i < score->factors_count; i++)
        add_factor(explanation, &score->factors[i], &explanation->conf->multiply[i]);
    for (size_t i = score ? score->tiers_count : 0; i > 0; i--) {
        char at[PQL_DECIMAL_TEXT_MAX];
        struct pql_buf out = {0};
        const struct pql_tier_conf *tier = score->tiers[i - 1];
        pql_buf_printf(&out, "%.*s from a score of %.*s on", PQL_SLICE_ARG(tier->name.text),
                       (int)pql_decimal_text(tier->at.value, at), at);
        add_clause(explanation, "tier", taken(explanation, &out), none);
    }
}

static void add_clauses(struct pql_explanation *explanation, const struct pql_definition *definition)
{
    const struct pql_definition_conf *conf = explanation->conf;
    const struct pql_slice none = {"", 0};
    add_condition(explanation, "only if", definition->eligible, &conf->eligible);
    add_condition(explanation, "enters when", definition->qualify, &conf->qualify);
    add_condition(explanation, "stays while", definition->stay, &conf->stay);
    add_score(explanation, definition->score);
    if (conf->once) add_clause(explanation, "once", PQL_SLICE_LITERAL("whoever entered stays"), none);
    add_span(explanation, "stays at least", conf->min_stay_ms);
    add_span(explanation, "pause after", conf->cooldown_ms);
    add_span(explanation, "deadline", conf->sla_ms);
    add_outcomes(explanation);
    if (conf->mode == PQL_MODE_SHADOW)
        add_clause(explanation, "shadow",
                   PQL_SLICE_LITERAL("evaluated and counted, published to the shadow topic alone"), none);
}

void pql_explain_init(struct pql_explanation *explanation, const struct pql_program *program, size_t index)
{
    const struct pql_definition *definition = &program->definitions[index];
    bool *used = pql_xcalloc(program->signals_count + 1, sizeof *used);
    *explanation = (struct pql_explanation){
        .program = program, .conf = definition->conf, .standing_bytes = sizeof(struct pql_standing)};
    pql_arena_init(&explanation->arena);
    add_clauses(explanation, definition);
    pql_definition_reads(program, definition, used);
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (used[i]) add_signal(explanation, program->signals[i]);
    add_costs(explanation, definition->eligible, definition->unit.subject);
    add_costs(explanation, definition->qualify, definition->unit.subject);
    add_costs(explanation, definition->stay, definition->unit.subject);
    add_costs(explanation, definition->score_expr, definition->unit.subject);
    cost_of_outcomes(explanation);
    free(used);
}

void pql_explain_deinit(struct pql_explanation *explanation)
{
    free(explanation->clauses);
    free(explanation->signals);
    free(explanation->costs);
    pql_arena_deinit(&explanation->arena);
}
