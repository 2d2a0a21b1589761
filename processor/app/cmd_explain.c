/* explain: definitions in plain words, and the language itself. */
#include "app/setup.h"

#include "core/lang/words.h"

#include <stdlib.h>
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

/* What names mean in conditions of a program. */
struct names {
    struct pql_lang_definition *definitions;
    struct pql_lang_env env;
};

static void names_init(struct names *names, const struct pql_setup *setup)
{
    const struct pql_program_conf *conf = &setup->config->program;
    names->definitions = pql_xcalloc(conf->definitions_count, sizeof *names->definitions);
    for (size_t i = 0; i < conf->definitions_count; i++)
        names->definitions[i] = pql_definition_known(&conf->definitions[i]);
    names->env = (struct pql_lang_env){.definitions = names->definitions,
                                       .definitions_count = conf->definitions_count,
                                       .signals = conf->signals,
                                       .signals_count = conf->signals_count,
                                       .parameters = conf->parameters,
                                       .parameters_count = conf->parameters_count};
}

static void print_condition(const struct pql_setup *setup, const char *words, const struct pql_source *source,
                            size_t index)
{
    if (!source->text.len) return;
    const struct pql_program_conf *conf = &setup->config->program;
    enum pql_place place =
        conf->definitions[index].subject == PQL_SUBJECT_USER ? PQL_PLACE_USER : PQL_PLACE_ACCOUNT;
    struct names names;
    struct pql_arena arena;
    struct pql_diags diags; /* stays empty: the program is made of the same text */
    names_init(&names, setup);
    pql_arena_init(&arena);
    pql_diags_init(&diags);
    const struct pql_node *node = pql_lang_parse(&names.env, source, place, (uint32_t)index, &arena, &diags);
    PQL_ASSERT(node);
    printf("  %-14s%.*s\n", words,
           PQL_SLICE_ARG(pql_lang_words(node, conf->labels, conf->labels_count, &arena)));
    printf("  %-14s(%.*s)\n", "", PQL_SLICE_ARG(source->text));
    pql_diags_deinit(&diags);
    pql_arena_deinit(&arena);
    free(names.definitions);
}

static void print_duration(const char *words, int64_t ms)
{
    struct pql_arena arena;
    pql_arena_init(&arena);
    if (ms) printf("  %-14s%.*s\n", words, PQL_SLICE_ARG(pql_duration_text(ms, &arena)));
    pql_arena_deinit(&arena);
}

static void explain_one(const struct pql_setup *setup, size_t index)
{
    const struct pql_definition_conf *conf = pql_program_definition(setup->program, index);
    bool is_user = conf->subject == PQL_SUBJECT_USER;
    printf("%.*s (version %d): which %s qualify\n", PQL_SLICE_ARG(conf->name), conf->version,
           is_user ? "users" : "accounts");
    print_condition(setup, "only if", &conf->eligible, index);
    print_condition(setup, "enters when", &conf->qualify, index);
    print_condition(setup, "stays while", &conf->stay, index);
    if (conf->once) puts("  once          whoever entered stays");
    print_duration("at least", conf->min_stay_ms);
    print_duration("pause after", conf->cooldown_ms);
    pql_program_explain(setup->program, index, stdout);
    printf("  records go to\n    %s, %s%s%s\n\n",
           setup->config->outputs[is_user ? PQL_OUT_PQL : PQL_OUT_PQA].topic,
           setup->config->outputs[PQL_OUT_STATE].topic, conf->alert ? ", " : "",
           conf->alert ? setup->config->outputs[PQL_OUT_ALERTS].topic : "");
}

static int explain(const struct pql_setup *setup, char **names, int count)
{
    for (int i = 0; i < count; i++) {
        size_t index;
        const char *nearest = find_definition(setup, names[i], &index);
        if (nearest) {
            fprintf(stderr, "pqlstream explain: no definition '%s'", names[i]);
            if (*nearest) fprintf(stderr, "; did you mean '%s'?", nearest);
            fputc('\n', stderr);
            return PQL_EXIT_CONFIG;
        }
        explain_one(setup, index);
    }
    for (size_t i = 0; count == 0 && i < pql_program_definitions_count(setup->program); i++)
        explain_one(setup, i);
    return PQL_EXIT_OK;
}

int pql_cmd_explain(int argc, char **argv)
{
    struct pql_config_flags config = {0};
    bool wants_language = false;
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&config),
        {"--language", 'l', PQL_FLAG_YES, NULL, "print the functions and operators of conditions",
         &wants_language},
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
        return PQL_EXIT_OK;
    }
    struct pql_setup setup;
    if (pql_setup_init(&setup, &config, false, &exit_code)) exit_code = explain(&setup, argv + 1, rest);
    pql_setup_deinit(&setup);
    return exit_code;
}
