/* explain: definitions in plain words, and the language itself. */
#include "app/explain_sample.h"
#include "app/report.h"

#include "core/explain.h"
#include "core/lang/lang.h"

#include "io/config_options.h"

#include <string.h>

static const char *find_definition(const struct pql_setup *setup, const char *name, size_t *index)
{
    size_t count = pql_program_definitions_count(setup->program);
    const char *names[256];
    for (size_t i = 0; i < count; i++) {
        const struct pql_definition_conf *conf = pql_program_definition(setup->program, i);
        if (pql_slice_is(conf->name, name)) {
            *index = i;
            return NULL;
        }
        if (i < 256) names[i] = conf->name.ptr;
    }
    const char *nearest = pql_nearest(pql_slice_of(name), names, count < 256 ? count : 256);
    return nearest ? nearest : "";
}

enum { TOPICS_MAX = 3 };

/* Where records of a definition go. */
static size_t topics_of(const struct pql_setup *setup, const struct pql_definition_conf *conf,
                        struct pql_slice topics[TOPICS_MAX])
{
    const struct pql_output_conf *outputs = setup->config->outputs;
    bool is_shadow = conf->mode == PQL_MODE_SHADOW;
    enum pql_output first = conf->subject == PQL_SUBJECT_USER ? PQL_OUT_PQL : PQL_OUT_PQA;
    topics[0] = pql_slice_of(outputs[is_shadow ? PQL_OUT_SHADOW : first].topic);
    topics[1] = pql_slice_of(outputs[PQL_OUT_STATE].topic);
    topics[2] = pql_slice_of(outputs[PQL_OUT_ALERTS].topic);
    return is_shadow ? 1 : 2 + (size_t)conf->alert;
}

static void print_page(const struct pql_setup *setup, size_t index)
{
    const struct pql_definition_conf *conf = pql_program_definition(setup->program, index);
    pql_program_explain(setup->program, index, stdout);
    struct pql_slice topics[TOPICS_MAX];
    size_t count = topics_of(setup, conf, topics);
    printf("  records go to\n    ");
    for (size_t i = 0; i < count; i++) printf("%s%.*s", i ? ", " : "", PQL_SLICE_ARG(topics[i]));
    printf("\n\n");
}

/* --- JSON --- */

static void json_clauses(const struct pql_explanation *explanation, struct pql_buf *out)
{
    pql_report_open(out, "says", '[');
    for (size_t i = 0; i < explanation->clauses_count; i++) {
        const struct pql_explained_clause *clause = &explanation->clauses[i];
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "role", pql_slice_of(clause->role));
        pql_report_text(out, "words", clause->words);
        if (clause->text.len) pql_report_text(out, "text", clause->text);
        pql_report_close(out, '}');
    }
    pql_report_close(out, ']');
}

static void json_texts(const char *name, const struct pql_slice *texts, size_t count, struct pql_buf *out)
{
    pql_report_open(out, name, '[');
    for (size_t i = 0; i < count; i++) pql_report_text(out, NULL, texts[i]);
    pql_report_close(out, ']');
}

static void json_signals(const struct pql_explanation *explanation, struct pql_buf *out)
{
    pql_report_open(out, "signals", '[');
    for (size_t i = 0; i < explanation->signals_count; i++) {
        const struct pql_explained_signal *signal = &explanation->signals[i];
        pql_report_open(out, NULL, '{');
        pql_report_text(out, "signal", signal->text);
        pql_report_text(out, "per", pql_slice_of(pql_subject_names[signal->subject]));
        pql_report_text(out, "window", signal->window);
        pql_report_text(out, "kept", signal->kept);
        pql_report_count(out, "bytes", signal->bytes_most);
        pql_report_flag(out, "bytes_are_bounded", signal->is_bounded);
        pql_report_flag(out, "any_event", signal->any);
        json_texts("events", signal->events, signal->events_count, out);
        pql_report_close(out, '}');
    }
    pql_report_close(out, ']');
}

static void print_json(const struct pql_setup *setup, size_t index)
{
    struct pql_explanation explanation;
    struct pql_buf out = {0};
    pql_explain_init(&explanation, setup->program, index);
    const struct pql_definition_conf *conf = explanation.conf;
    pql_report_open(&out, NULL, '{');
    pql_report_text(&out, "definition", conf->name);
    pql_report_count(&out, "version", (uint64_t)conf->version);
    pql_report_text(&out, "subject", pql_slice_of(pql_subject_names[conf->subject]));
    json_clauses(&explanation, &out);
    json_signals(&explanation, &out);
    pql_report_count(&out, "standing_bytes", explanation.standing_bytes);
    json_texts("costs", explanation.costs, explanation.costs_count, &out);
    struct pql_slice topics[TOPICS_MAX];
    json_texts("topics", topics, topics_of(setup, conf, topics), &out);
    pql_report_close(&out, '}');
    pql_buf_text(&out, "\n");
    pql_report_print(&out, stdout);
    pql_buf_deinit(&out);
    pql_explain_deinit(&explanation);
}

static int explain(const struct pql_setup *setup, bool as_json, char **names, int count)
{
    void (*print)(const struct pql_setup *, size_t) = as_json ? print_json : print_page;
    for (int i = 0; i < count; i++) {
        size_t index;
        const char *nearest = find_definition(setup, names[i], &index);
        if (nearest) {
            fprintf(stderr, "pqlstream explain: no definition '%s'", names[i]);
            if (*nearest) fprintf(stderr, "; did you mean '%s'?", nearest);
            fputc('\n', stderr);
            return PQL_EXIT_CONFIG;
        }
        print(setup, index);
    }
    for (size_t i = 0; count == 0 && i < pql_program_definitions_count(setup->program); i++) print(setup, i);
    return PQL_EXIT_OK;
}

static const char around_conditions[] = "\nWhere conditions stand: the settings of definitions, of signals "
                                        "and of parameters, with their defaults. [] "
                                        "is a\nlist: score = ( { points = 5; when = \"ever(a)\"; }, { points "
                                        "= 3; when = \"ever(b)\"; } ); qualify = "
                                        "\"score >= 8\";\nAll others: pqlstream check --settings.\n\n";

int pql_cmd_explain(int argc, char **argv)
{
    struct pql_config_flags config = {0};
    bool wants_language = false, as_json = false;
    const char *format = NULL, *sample = NULL;
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&config),
        {"--language", 'l', PQL_FLAG_YES, NULL,
         "print the language: operators, windows, functions, settings of definitions", &wants_language},
        {"--format", 'f', PQL_FLAG_TEXT, "text|json", "how it is printed; JSON: a line for each definition",
         &format},
        {"--sample", 0, PQL_FLAG_TEXT, "FILE",
         "events as replay reads them: warns of names that definitions read and no event of it has", &sample},
    };
    int rest, exit_code;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Says of definitions, all or those named, in plain words what they look at, what is kept for "
            "them, and where\ntheir records go.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    if (wants_language) {
        pql_lang_print(stdout);
        fputs(around_conditions, stdout);
        pql_options_print(PQL_GROUP_DEFINITION, stdout);
        return PQL_EXIT_OK;
    }
    as_json = format && strcmp(format, "json") == 0;
    if (format && !as_json && strcmp(format, "text") != 0) {
        fprintf(stderr, "pqlstream explain: --format %s: must be text or json\n", format);
        return PQL_EXIT_CONFIG;
    }
    if (sample && (exit_code = pql_explain_sample(&config, sample)) != PQL_EXIT_OK) return exit_code;
    struct pql_setup setup;
    if (pql_setup_init(&setup, &config, false, &exit_code))
        exit_code = explain(&setup, as_json, argv + 1, rest);
    pql_setup_deinit(&setup);
    return exit_code;
}
