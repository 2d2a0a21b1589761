/* runner.h - a pipeline with its threads, from the first question to the cluster to the last word: what `run`
 * and `demo` share. Signals are the caller's. */
#ifndef PQL_APP_RUNNER_H
#define PQL_APP_RUNNER_H

#include "app/wiring.h"

struct pql_runner;

/* Waits for a broker, creates or verifies topics, resolves schemas, joins the group and starts the threads.
 * Differences of topics are logged. should_stop is asked while it waits. NULL: *exit_code (enum pql_exit) and
 * err say why. */
struct pql_runner *pql_runner_start(const struct pql_setup *setup, bool (*should_stop)(void *context),
                                    void *context, int *exit_code, struct pql_err *err) PQL_CHECKED;

/* Asks for an orderly end; pql_runner_is_done some time later. */
void pql_runner_stop(struct pql_runner *runner);
bool pql_runner_is_done(struct pql_runner *runner);

/* Joins the threads, frees everything; waits for the end if it was not reached. Returns enum pql_exit; err:
 * the words where it is not PQL_EXIT_OK. */
int pql_runner_finish(struct pql_runner *runner, struct pql_err *err);

struct pql_pipeline *pql_runner_pipeline(struct pql_runner *runner);
struct pql_wiring *pql_runner_wiring(struct pql_runner *runner);

#endif
