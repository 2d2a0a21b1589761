#include "core/compiled.h"

#include <stdlib.h>

static void print_panes(const struct pql_signal *signal, const char *what, unsigned bytes, unsigned of_pane,
                        FILE *out)
{
    bool is_prev = signal->window.kind == PQL_WINDOW_PREV;
    fprintf(out, "the newest %u %s in %s, %u bytes each; what is older in %u panes, %u bytes each",
            signal->exact_max, what, is_prev ? "twice the window" : "the window", bytes,
            is_prev ? 2049 : 1025, of_pane);
}

/* What a subject keeps for one signal at most, in words and bytes; the figures are those of
 * state/signal_cell.h.
 */
static void print_kept(const struct pql_signal_def *def, FILE *out)
{
    const struct pql_signal *signal = &def->signal;
    if (def->storage) {
        fprintf(out, "nothing of its own, it is read from %.*s", PQL_SLICE_ARG(def->storage->text));
        return;
    }
    switch (signal->kind) {
    case PQL_SIGNAL_COUNT:
        if (!signal->has_panes)
            fprintf(out, "the newest %u times, at most %u bytes", signal->k, 16 + 8 * signal->k);
        else
            print_panes(signal, "times", 8, 16, out);
        break;
    case PQL_SIGNAL_DISTINCT:
        fprintf(out, "the newest %u %s, at most %u bytes", signal->k,
                signal->function == PQL_FN_DISTINCT ? "different values"
                                                    : pql_functions[signal->function].name,
                16 + 16 * signal->k);
        break;
    case PQL_SIGNAL_SUM: print_panes(signal, "times and numbers", 24, 32, out); break;
    case PQL_SIGNAL_EXTREME:
        fprintf(out, "times and numbers of those that no newer one beats, 24 bytes each");
        break;
    case PQL_SIGNAL_COUNT_EVER:
    case PQL_SIGNAL_SUM_EVER:
    case PQL_SIGNAL_EXTREME_EVER: fprintf(out, "a number, 40 bytes"); break;
    case PQL_SIGNAL_DISTINCT_EVER: fprintf(out, "up to %u different values, 8 bytes each", signal->k); break;
    case PQL_SIGNAL_TIMES: fprintf(out, "first and last time, 32 bytes"); break;
    case PQL_SIGNAL_NTH:
        fprintf(out, "the %u earliest times, at most %u bytes", signal->k, 16 + 8 * signal->k);
        break;
    case PQL_SIGNAL_SEQUENCE:
        fprintf(out, "the latest match and partial matches, %u bytes%s", 40 + 16 * (signal->steps_count - 1),
                signal->is_by ? " for each value with an open one" : "");
        break;
    case PQL_SIGNAL_SEQUENCE_FIRST:
        fprintf(
            out,
            "up to %u events of its steps, 32 bytes each, until %lld days after the window; then 64 bytes",
            signal->exact_max, (long long)(signal->start_grace_ms / 86400000));
        break;
    case PQL_SIGNAL_STREAK: fprintf(out, "the newest day and the run up to it, 40 bytes"); break;
    case PQL_SIGNAL_LATEST:
    case PQL_SIGNAL_EARLIEST: fprintf(out, "one value with its time, 48 bytes and the text"); break;
    case PQL_SIGNAL_FIRST:
    case PQL_SIGNAL_FIRST_VALUE:
        fprintf(out, "up to %u occurrences, 32 bytes each, until %lld days after the window; then 64 bytes",
                signal->exact_max, (long long)(signal->start_grace_ms / 86400000));
        break;
    case PQL_SIGNAL_STEPS: fprintf(out, "a number for each step of its decay, 32 bytes each"); break;
    case PQL_SIGNAL_LAST:
        fprintf(out, "the last times of up to %u %s, 16 bytes each", signal->k,
                signal->function == PQL_FN_DISTINCT ? "different values" : "days");
        break;
    case PQL_SIGNAL_PANES:
    case PQL_SIGNAL_PANES_SUM:
    case PQL_SIGNAL_KIND_COUNT: break;
    }
}

static void print_events(const struct pql_signal_def *def, FILE *out)
{
    if (def->selector->any) {
        fprintf(out, "every activity event");
        return;
    }
    for (size_t i = 0; i < def->selector->events_count; i++)
        fprintf(out, "%s%.*s", i ? ", " : "", PQL_SLICE_ARG(def->selector->events[i]));
}

static void print_signal(const struct pql_program *program, uint32_t index, FILE *out)
{
    const struct pql_signal_def *def = program->signals[index];
    fprintf(out, "    %.*s\n        kept per %s: ", PQL_SLICE_ARG(def->text),
            pql_subject_names[def->signal.subject]);
    print_kept(def, out);
    if (!def->is_attribute) {
        fprintf(out, "\n        touched by: ");
        print_events(def, out);
    }
    fprintf(out, "\n");
}

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

void pql_program_explain(const struct pql_program *program, size_t index, FILE *out)
{
    const struct pql_definition *definition = &program->definitions[index];
    bool *used = pql_xcalloc(program->signals_count + 1, sizeof *used);
    mark_signals(program, definition->eligible, used);
    mark_signals(program, definition->qualify, used);
    mark_signals(program, definition->stay, used);
    for (size_t i = 0; i < definition->context_count; i++)
        mark_signals(program, definition->context[i], used);
    for (int c = 0; c < PQL_CHOICE_COUNT; c++)
        for (size_t i = 0; i < definition->conf->choices[c].count; i++)
            mark_signals(program, definition->choices[c][i], used);
    mark_signals(program, definition->score_expr, used);
    fprintf(out, "  signals\n");
    for (uint32_t i = 0; i < program->signals_count; i++)
        if (used[i]) print_signal(program, i, out);
    free(used);
}
