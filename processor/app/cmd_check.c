/* check: what a configuration means, without touching anything. */
#include "app/setup.h"

#include "core/explain.h"
#include "io/config_options.h"

static void print_inputs(const struct pql_config *config)
{
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *input = &config->inputs[i];
        printf("input %s: %s, mapping %.*s\n", input->topic,
               input->format == PQL_FORMAT_AVRO ? "avro" : "json",
               PQL_SLICE_ARG(config->mappings[input->mapping].name));
    }
}

static void print_outputs(const struct pql_config *config)
{
    for (int i = 0; i < PQL_OUT_COUNT; i++) {
        const struct pql_output_conf *output = &config->outputs[i];
        bool is_bytes = i == PQL_OUT_DLQ || i == PQL_OUT_CHECKPOINT;
        printf("output %s%s\n", output->topic,
               is_bytes                            ? ""
               : output->format == PQL_FORMAT_AVRO ? ": avro"
                                                   : ": json");
    }
}

/* What does not follow from the events that touch it: visits to all users, values that may be approximate. */
static void print_notes(const struct pql_program *program, size_t index)
{
    struct pql_explanation explanation;
    pql_explain_init(&explanation, program, index);
    for (size_t i = 0; i < explanation.costs_count; i++)
        printf("    %.*s\n", PQL_SLICE_ARG(explanation.costs[i]));
    pql_explain_deinit(&explanation);
}

static void print_definitions(const struct pql_setup *setup)
{
    for (size_t i = 0; i < pql_program_definitions_count(setup->program); i++) {
        const struct pql_definition_conf *conf = pql_program_definition(setup->program, i);
        printf("definition %.*s (%s): %.*s\n", PQL_SLICE_ARG(conf->name), pql_subject_names[conf->subject],
               PQL_SLICE_ARG(conf->qualify.text));
        print_notes(setup->program, i);
    }
}

/* 12 bytes an id; ids are forgotten by tenths of the horizon, so up to a tenth more of them are there. */
static void print_costs(const struct pql_config *config)
{
    int64_t horizon_s = config->program.settings.dedup_horizon_ms / 1000;
    if (horizon_s)
        printf("duplicates: about %.1f MB for every event per second\n", (double)horizon_s * 1.1 * 12 / 1e6);
}

static int check(const struct pql_config_flags *flags)
{
    struct pql_setup setup;
    int exit_code = PQL_EXIT_OK;
    if (pql_setup_init(&setup, flags, true, &exit_code)) {
        pql_config_print(setup.config, stdout);
        putchar('\n');
        print_inputs(setup.config);
        print_outputs(setup.config);
        print_definitions(&setup);
        print_costs(setup.config);
        size_t count = pql_program_definitions_count(setup.program);
        printf("\n%zu definition%s, no errors, %zu warning%s\n", count, count == 1 ? "" : "s",
               setup.diags.count, setup.diags.count == 1 ? "" : "s");
    }
    pql_setup_deinit(&setup);
    return exit_code;
}

int pql_cmd_check(int argc, char **argv)
{
    struct pql_config_flags config = {0};
    bool wants_template = false, wants_list = false;
    const struct pql_flag flags[] = {
        PQL_CONFIG_FLAGS(&config),
        {"--print-config-template", 0, PQL_FLAG_YES, NULL,
         "print the commented configuration with every setting", &wants_template},
        {"--settings", 0, PQL_FLAG_YES, NULL, "print the list of all settings", &wants_list},
    };
    int rest, exit_code;
    if (!pql_flags_read(
            flags, sizeof flags / sizeof *flags,
            "Reads the configuration and all definitions, says all errors at once with their places, and "
            "prints what\nit means. Opens no connection.",
            argc, argv, &rest, &exit_code))
        return exit_code;
    if (wants_template) pql_config_print_template(stdout);
    if (wants_list) pql_options_print(PQL_GROUP_ROOT, stdout);
    return wants_template || wants_list ? PQL_EXIT_OK : check(&config);
}
