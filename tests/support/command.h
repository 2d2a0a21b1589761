/* command.h - the command line as a user types it, in this process: files in a folder of the test's own, and
 * what came out. */
#ifndef PQL_TESTS_SUPPORT_COMMAND_H
#define PQL_TESTS_SUPPORT_COMMAND_H

#include <stddef.h>

/* Standard output and error of the last command. */
extern char command_out[1 << 18], command_err[1 << 18];

/* cmocka's setup and teardown of a group: the folder. */
int command_set_up(void **state);
int command_tear_down(void **state);

/* A file of the folder; the path is good for the next few calls. */
const char *command_path(const char *name);
void command_write(const char *name, const char *text);
/* Words are separated by single spaces; the exit code. */
int command_run(const char *format, ...) __attribute__((format(printf, 1, 2)));

#endif
