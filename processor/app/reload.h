/* reload.h - SIGHUP: the configuration is read again and, if it is right, taken over while the process runs.
 * Thread: the one that handles signals. */
#ifndef PQL_APP_RELOAD_H
#define PQL_APP_RELOAD_H

#include "app/runner.h"

struct pql_reload;

/* flags and setup (the configuration at the start) must outlive it. */
struct pql_reload *pql_reload_new(const struct pql_config_flags *flags, const struct pql_setup *setup,
                                  struct pql_runner *runner);
void pql_reload_free(struct pql_reload *reload);

/* Logs what came of it. A configuration that is wrong, or of a lower revision, changes nothing. */
void pql_reload_now(struct pql_reload *reload);

#endif
