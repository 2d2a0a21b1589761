/* check: what a configuration means, without touching anything. */
#include "app/setup.h"

#include "io/config_options.h"

static void print_inputs(const struct pql_config *config)
{
    for (size_t i = 0; i < config->inputs_count; i++) {
        const struct pql_input_conf *input = &config->inputs[i];
        printf("input %s: %s, mapping %.*s\n", input->topic, input->format == PQL_FORMAT_AVRO ? "avro" : "json",
               PQL_SLICE_ARG(config->mappings[input->mapping].name));
    }
}

static void print_outputs(const struct pql_config *config)
{
    for (int i = 0; i < PQL_OUT_COUNT; i++) {
        const struct pql_output_conf *output = &config->outputs[i];
        bool is_bytes = i == PQL_OUT_DLQ || i == PQL_OUT_CHECKPOINT;
        printf("output %s%s\n", output->topic, is_bytes ? "" : output->format == PQL_FORMAT_AVRO ? ": avro" : ": json");
    }
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
        printf("\n%zu definitions, no errors, %zu warnings\n", setup.config->program.definitions_count,
               setup.diags.count);
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
        {"--print-config-template", 0, PQL_FLAG_YES, NULL, "print the commented configuration with every setting", &wants_template},
        {"--settings", 0, PQL_FLAG_YES, NULL, "print the list of all settings", &wants_list},
    };
    int rest, exit_code;
    if (!pql_flags_read(flags, sizeof flags / sizeof *flags,
                        "Reads the configuration and all definitions, says all errors at once with their places, and "
                        "prints what\nit means. Opens no connection.",
                        argc, argv, &rest, &exit_code))
        return exit_code;
    if (wants_template) pql_config_print_template(stdout);
    if (wants_list) pql_options_print(stdout);
    return wants_template || wants_list ? PQL_EXIT_OK : check(&config);
}
