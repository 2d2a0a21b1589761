/* Which signals a definition reads, and how far back they look. */
#include "core/compiled.h"
#include "core/lang/lang.h"
#include <stdlib.h>

static const int64_t day_ms = 86400000;

static void mark_signals(const struct pql_program *program, const struct pql_expr *expr, bool *used)
{
    if (!expr) return;
    if (expr->op == PQL_EXPR_SIGNAL || expr->op == PQL_EXPR_ATTRIBUTE || expr->op == PQL_EXPR_REACHES)
        used[expr->index] = true;
    bool has_condition = expr->op == PQL_EXPR_USERS || expr->op == PQL_EXPR_ANY_USER ||
                         expr->op == PQL_EXPR_ALL_USERS || expr->op == PQL_EXPR_SHARE ||
                         expr->op == PQL_EXPR_SPREAD;
    if (has_condition) mark_signals(program, program->conditions[expr->index]->expr, used);
    if (expr->op == PQL_EXPR_SPREAD)
        used[program->spreads[expr->of_index]->attribute] = true;
    else if (has_condition && expr->of_index != PQL_NO_INDEX)
        mark_signals(program, program->conditions[expr->of_index]->expr, used);
    for (size_t i = 0; i < expr->kids_count; i++) mark_signals(program, expr->kids[i], used);
}

void pql_definition_reads(const struct pql_program *program, const struct pql_definition *definition,
                          bool *used)
{
    mark_signals(program, definition->eligible, used);
    mark_signals(program, definition->qualify, used);
    mark_signals(program, definition->stay, used);
    for (size_t i = 0; i < definition->context_count; i++)
        mark_signals(program, definition->context[i], used);
    for (int c = 0; c < PQL_CHOICE_COUNT; c++)
        for (size_t i = 0; i < definition->conf->choices[c].count; i++)
            mark_signals(program, definition->choices[c][i], used);
    mark_signals(program, definition->score_expr, used);
}

/* How old an occurrence can be and still count. 0: no such limit (ever, streak), or it is the attribute of an
 * account that says it. */
static int64_t look_back(const struct pql_program *program, const struct pql_signal_def *def)
{
    const struct pql_window *window = &def->signal.window;
    if (def->is_attribute) return 0;
    switch (window->kind) {
    case PQL_WINDOW_ROLLING:
    case PQL_WINDOW_FIRST: return window->ms;
    case PQL_WINDOW_PREV: return 2 * window->ms;
    case PQL_WINDOW_TODAY: return day_ms;
    case PQL_WINDOW_WEEK: return 7 * day_ms;
    case PQL_WINDOW_MONTH: return 31 * day_ms;
    case PQL_WINDOW_QUARTER: return 92 * day_ms;
    case PQL_WINDOW_PERIOD: return program->periods[def->period].conf->length_ms;
    case PQL_WINDOW_NONE:
    case PQL_WINDOW_EVER: break;
    }
    return 0;
}

bool pql_program_reach(const struct pql_program *program, int64_t limit_ms, struct pql_reach *out)
{
    bool *used = pql_xcalloc(program->signals_count + 1, sizeof *used);
    *out = (struct pql_reach){0};
    for (size_t i = 0; i < program->conf->definitions_count; i++) {
        const struct pql_definition *definition = &program->definitions[i];
        bool is_longer = false;
        memset(used, 0, program->signals_count * sizeof *used);
        pql_definition_reads(program, definition, used);
        for (size_t k = 0; k < program->signals_count; k++) {
            int64_t ms = used[k] ? look_back(program, program->signals[k]) : 0;
            is_longer |= ms > limit_ms;
            if (ms <= limit_ms || ms <= out->ms) continue;
            out->ms = ms;
            out->definition = definition->conf->name;
            out->signal = program->signals[k]->text;
        }
        out->definitions_count += is_longer;
    }
    free(used);
    return out->ms > 0;
}
