#include "core/explain.h"

#include "core/compiled.h"

static void print_said(const struct pql_explanation *explanation, FILE *out)
{
    for (size_t i = 0; i < explanation->clauses_count; i++) {
        const struct pql_explained_clause *clause = &explanation->clauses[i];
        fprintf(out, "  %-16s%.*s\n", clause->role, PQL_SLICE_ARG(clause->words));
        if (clause->text.len) fprintf(out, "  %-16s(%.*s)\n", "", PQL_SLICE_ARG(clause->text));
    }
}

static void print_signals(const struct pql_explanation *explanation, FILE *out)
{
    fprintf(out, "  signals\n");
    for (size_t i = 0; i < explanation->signals_count; i++) {
        const struct pql_explained_signal *signal = &explanation->signals[i];
        fprintf(out, "    %.*s\n", PQL_SLICE_ARG(signal->text));
        if (signal->window.len) fprintf(out, "        window: %.*s\n", PQL_SLICE_ARG(signal->window));
        fprintf(out, "        kept per %s: %.*s\n", pql_subject_names[signal->subject],
                PQL_SLICE_ARG(signal->kept));
    }
}

/* The sum of what one user and the account keep for the definition. Signals are kept once, whoever reads
 * them. */
static void print_stored(const struct pql_explanation *explanation, FILE *out)
{
    fprintf(out, "  stored, at most; signals that other definitions read too are stored once\n");
    for (int subject = 0; subject < 2; subject++) {
        uint64_t bytes = 0;
        size_t count = 0;
        bool is_bounded = true;
        for (size_t i = 0; i < explanation->signals_count; i++) {
            const struct pql_explained_signal *signal = &explanation->signals[i];
            if ((int)signal->subject != subject) continue;
            count++;
            bytes += signal->bytes_most;
            is_bounded &= signal->is_bounded;
        }
        bool is_own = (int)explanation->conf->subject == subject;
        if (!count && !is_own) continue;
        fprintf(out, "    per %-9s%llu bytes in %zu signal%s%s", pql_subject_names[subject],
                (unsigned long long)bytes, count, count == 1 ? "" : "s",
                is_bounded ? "" : ", and more where `kept` says so");
        if (is_own)
            fprintf(out, "; %llu once it has entered", (unsigned long long)explanation->standing_bytes);
        fputc('\n', out);
    }
}

static bool is_touched_by(const struct pql_explained_signal *signal, struct pql_slice event)
{
    for (size_t i = 0; i < signal->events_count; i++)
        if (pql_slice_eq(signal->events[i], event)) return true;
    return false;
}

static bool was_before(const struct pql_explanation *explanation, size_t signal, size_t event)
{
    struct pql_slice name = explanation->signals[signal].events[event];
    for (size_t i = 0; i < signal; i++)
        if (is_touched_by(&explanation->signals[i], name)) return true;
    return false;
}

static void print_event(const struct pql_explanation *explanation, struct pql_slice event, FILE *out)
{
    bool is_first = true;
    fprintf(out, "    %.*s: ", PQL_SLICE_ARG(event));
    for (size_t i = 0; i < explanation->signals_count; i++) {
        if (!is_touched_by(&explanation->signals[i], event)) continue;
        fprintf(out, "%s%.*s", is_first ? "" : ", ", PQL_SLICE_ARG(explanation->signals[i].text));
        is_first = false;
    }
    fputc('\n', out);
}

static void print_any(const struct pql_explanation *explanation, FILE *out)
{
    const struct pql_program_conf *conf = explanation->program->conf;
    bool is_first = true;
    for (size_t i = 0; i < explanation->signals_count; i++) {
        if (!explanation->signals[i].any) continue;
        if (is_first) fprintf(out, "    every activity event");
        for (size_t a = 0; is_first && a < conf->activity_count; a++)
            fprintf(out, "%s%.*s", a ? ", " : " (", PQL_SLICE_ARG(conf->activity[a]));
        if (is_first) fprintf(out, "%s", conf->activity_count ? "): " : ": ");
        fprintf(out, "%s%.*s", is_first ? "" : ", ", PQL_SLICE_ARG(explanation->signals[i].text));
        is_first = false;
    }
    if (!is_first) fputc('\n', out);
}

static void print_events(const struct pql_explanation *explanation, FILE *out)
{
    fprintf(out, "  touched by\n");
    print_any(explanation, out);
    for (size_t i = 0; i < explanation->signals_count; i++)
        for (size_t k = 0; k < explanation->signals[i].events_count; k++)
            if (!was_before(explanation, i, k))
                print_event(explanation, explanation->signals[i].events[k], out);
    for (size_t i = 0; i < explanation->signals_count; i++)
        if (explanation->signals[i].is_attribute)
            fprintf(out, "    %s that sets %.*s\n",
                    explanation->signals[i].subject == PQL_SUBJECT_USER ? "an identify" : "a group",
                    PQL_SLICE_ARG(explanation->signals[i].text));
}

static void print_costs(const struct pql_explanation *explanation, FILE *out)
{
    fprintf(out, "  costs beyond the signals that an event touches%s\n",
            explanation->costs_count ? "" : ": none");
    for (size_t i = 0; i < explanation->costs_count; i++)
        fprintf(out, "    %.*s\n", PQL_SLICE_ARG(explanation->costs[i]));
}

void pql_explain_print(const struct pql_explanation *explanation, FILE *out)
{
    const struct pql_definition_conf *conf = explanation->conf;
    fprintf(out, "%.*s (version %d): which %ss qualify\n", PQL_SLICE_ARG(conf->name), conf->version,
            pql_subject_names[conf->subject]);
    print_said(explanation, out);
    print_signals(explanation, out);
    print_stored(explanation, out);
    print_events(explanation, out);
    print_costs(explanation, out);
}

void pql_program_explain(const struct pql_program *program, size_t index, FILE *out)
{
    struct pql_explanation explanation;
    pql_explain_init(&explanation, program, index);
    pql_explain_print(&explanation, out);
    pql_explain_deinit(&explanation);
}
