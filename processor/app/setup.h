/* setup.h - from the flags of a command to a configuration that is known to be good: what check, explain,
 * replay, run and others do first. */
#ifndef PQL_APP_SETUP_H
#define PQL_APP_SETUP_H

#include "app/cli.h"
#include "io/program_setup.h"

/* Reads and checks everything: settings, definitions, mappings, and with needs_brokers the properties of
 * librdkafka. Prints all errors and warnings on standard error. False: *exit_code says how to end; nothing
 * was touched. In both cases pql_setup_deinit follows. */
bool pql_setup_init(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers,
                    int *exit_code);
/* The same without a word: what there is to say is in setup->diags. */
bool pql_setup_load(struct pql_setup *setup, const struct pql_config_flags *flags, bool needs_brokers);

/* Wall clock, ms since 1970. */
int64_t pql_wall_ms(void);

#endif
