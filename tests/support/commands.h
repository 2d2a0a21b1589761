/* commands.h - commands as a user types them, for tests: in this process, with standard output and error in
 * files of a folder of their own. */
#ifndef PQL_TESTS_SUPPORT_COMMANDS_H
#define PQL_TESTS_SUPPORT_COMMANDS_H

#include "io/config.h"

extern char folder[64], out[1 << 20], err[1 << 20]; /* of the last command */

/* Of cmocka: makes and removes the folder. */
int set_up(void **state);
int tear_down(void **state);

/* Of a file in the folder; good for the next three calls. */
const char *path_of(const char *name);
void write_file(const char *name, const char *text);

/* The exit code. */
int run_words(int argc, char **argv);
/* Words are separated by single spaces. */
int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A configuration that must be right. */
struct pql_config *load_config(const struct pql_config_request *request);

#endif
