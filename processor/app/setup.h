/* setup.h - from the flags of a command to a configuration that is known to be good: what check, explain,
 * replay, run and others do first. */
#ifndef PQL_APP_SETUP_H
#define PQL_APP_SETUP_H

#include "app/cli.h"
#include "core/program.h"
#include "io/config.h"

struct pql_setup {
    struct pql_diags diags;
    struct pql_config *config;
    struct pql_program *program;
    struct pql_mapping **mappings; /* as config->mappings */
};

/* Reads and checks everything: settings, definitions, mappings, and with needs_brokers the properties of
 * librdkafka. Prints all errors and warnings on standard error. False: *exit_code says how to end; nothing
 * was touched. In both cases pql_setup_deinit follows. */
bool pql_setup_init(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers,
                    int *exit_code);
/* The same without a word: what there is to say is in setup->diags. */
bool pql_setup_load(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers);
void pql_setup_deinit(struct pql_setup *setup);

/* The setup of a program's text, as it stands in a manifest: what a task needs that runs another program than
 * the configuration's. Prints nothing. Class PQL_ERR_CONFIG; deinit follows in both cases. Thread: any. */
int pql_setup_of_program(struct pql_setup *setup, struct pql_slice text, struct pql_err *err) PQL_CHECKED;

/* A schema file's text, in the arena. Class PQL_ERR_CONFIG. */
int pql_setup_read_schema(struct pql_arena *arena, const char *path, struct pql_slice *text,
                          struct pql_err *err) PQL_CHECKED;

/* Wall clock, ms since 1970. */
int64_t pql_wall_ms(void);

#endif
