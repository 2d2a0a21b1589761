/* program_setup.h - from a configuration to compiled definitions and mappings: what a process has before its
 * first event.
 *
 *   request ─► config.h ─► struct pql_config ─┬─► program (core/program.h)
 *                                             └─► one compiled mapping each
 *
 * Nothing of Kafka, registry or HTTP: it is all that a program needs that runs the engine by itself. */
#ifndef PQL_IO_PROGRAM_SETUP_H
#define PQL_IO_PROGRAM_SETUP_H

#include "core/program.h"
#include "io/config.h"

struct pql_setup {
    struct pql_diags diags;
    struct pql_config *config;
    struct pql_program *program;
    struct pql_mapping **mappings; /* as config->mappings */
};

/* What else the caller wants of the settings; its errors are told with the others. */
typedef void pql_setup_check(const struct pql_config *config, struct pql_diags *diags);

/* Reads and checks everything; prints nothing. False: what is wrong is in setup->diags, all of it. check may
 * be NULL. pql_setup_deinit follows in both cases. */
bool pql_setup_read(struct pql_setup *setup, const struct pql_config_request *request,
                    pql_setup_check *check);
void pql_setup_deinit(struct pql_setup *setup);

/* The setup of a program's text, as it stands in a manifest: what a task needs that runs another program than
 * the configuration's. Prints nothing. Class PQL_ERR_CONFIG; deinit follows in both cases. Thread: any. */
int pql_setup_of_program(struct pql_setup *setup, struct pql_slice text, struct pql_err *err) PQL_CHECKED;

/* A schema file's text, in the arena. Class PQL_ERR_CONFIG. */
int pql_setup_read_schema(struct pql_arena *arena, const char *path, struct pql_slice *text,
                          struct pql_err *err) PQL_CHECKED;

#endif
