/* cli.h - the command line: subcommands, flags and exit codes, each one row in one table, from which help is
 * printed. A new subcommand: its function in a file cmd_<name>.c, its name here, its row in cli.c. */
#ifndef PQL_APP_CLI_H
#define PQL_APP_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* What the process says by its exit code. */
#define PQL_EXITS(X)                                                                                         \
    X(OK, 0, "done, or ended as asked")                                                                      \
    X(FAILURE, 1, "something failed that is said on standard error")                                         \
    X(CONFIG, 2, "configuration, definition or command line is wrong; nothing was touched")                  \
    X(OPERATOR, 3, "stopped for safety: checkpoint or input need somebody's decision, which is named")       \
    X(FENCED, 4, "another process runs as the same instance")

#define PQL_EXIT_ENUM(name, code, help) PQL_EXIT_##name = (code),
enum pql_exit { PQL_EXITS(PQL_EXIT_ENUM) };

struct pql_command {
    const char *name;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name; returns enum pql_exit */
    const char *usage;                 /* what follows the name */
    const char *summary;               /* one line */
};
extern const struct pql_command pql_commands[];
extern const size_t pql_commands_count;

/* Finds the command and runs it; argv as main's. */
int pql_cli(int argc, char **argv);

int pql_cmd_check(int argc, char **argv);
int pql_cmd_checkpoint(int argc, char **argv);
int pql_cmd_decode(int argc, char **argv);
int pql_cmd_demo(int argc, char **argv);
int pql_cmd_dlq(int argc, char **argv);
int pql_cmd_health(int argc, char **argv);
int pql_cmd_manual(int argc, char **argv);
int pql_cmd_run(int argc, char **argv);
int pql_cmd_sample(int argc, char **argv);
int pql_cmd_topics(int argc, char **argv);
int pql_cmd_explain(int argc, char **argv);
int pql_cmd_replay(int argc, char **argv);

/* --- flags of a command --- */

enum pql_flag_type {
    PQL_FLAG_YES /* bool */,
    PQL_FLAG_TEXT /* const char * */,
    PQL_FLAG_MAYBE /* const char *: "" without a value, which may only come as --name=value */,
    PQL_FLAG_TEXTS /* struct pql_texts */
};

/* Values of a flag that may be repeated. */
enum { PQL_FLAG_TEXTS_MAX = 64 };
struct pql_texts {
    const char *items[PQL_FLAG_TEXTS_MAX];
    size_t count;
};

struct pql_flag {
    const char *name; /* "--config" */
    char letter;      /* 'c', or 0 */
    enum pql_flag_type type;
    const char *value; /* how help writes the value: "FILE"; NULL for PQL_FLAG_YES */
    const char *help;
    void *member;
};

/* Reads `--name value`, `--name=value`, `-c value`; what is no flag is moved to the front of argv from 1 on,
 * and *rest is how many. After `--` nothing is a flag. True: go on. False: *exit_code says how to end: --help
 * was printed (0), or an unknown flag or a missing value was told (PQL_EXIT_CONFIG). */
bool pql_flags_read(const struct pql_flag *flags, size_t count, const char *about, int argc, char **argv,
                    int *rest, int *exit_code);

/* The flags of a command, which stand in its own function, and what it says about itself: `tell` is called
 * once. Nothing of the command is done. Thread: the first, before there are others. */
typedef void pql_flags_teller(void *context, const struct pql_flag *flags, size_t count, const char *about);
void pql_command_tell(const struct pql_command *command, pql_flags_teller *tell, void *context);

/* Of every command that reads a configuration. */
struct pql_config_flags {
    const char *path; /* NULL: pqlstream.conf */
    struct pql_texts sets;
};
#define PQL_CONFIG_FLAGS(flags)                                                                              \
    {"--config", 'c', PQL_FLAG_TEXT, "FILE", "configuration; else pqlstream.conf", &(flags)->path},          \
    {                                                                                                        \
        "--set", 's', PQL_FLAG_TEXTS, "PATH=VALUE",                                                          \
            "put over the configuration, as in inputs[0].topic=events", &(flags)->sets                       \
    }

#endif
