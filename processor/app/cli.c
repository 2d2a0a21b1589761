#include "app/cli.h"

#include "base/diag.h"

#include <string.h>

const struct pql_command pql_commands[] = {
    {"check", pql_cmd_check, "[--config FILE]",
     "parse and check everything, print what it means, touch nothing"},
    {"explain", pql_cmd_explain, "[--config FILE] [DEFINITION …]", "definitions in plain words"},
    {"replay", pql_cmd_replay,
     "[--config FILE] [--partitions P] [--advance DURATION|end] [FILE …] | --from-kafka [--since TIME] "
     "[--until TIME]",
     "definitions over files or topics, records on standard output"},
    {"run", pql_cmd_run, "[--config FILE]", "read events, publish qualifications, until a signal"},
    {"health", pql_cmd_health, "[--config FILE] [--ready]",
     "whether the process with this configuration works"},
    {"topics", pql_cmd_topics, "[--config FILE] [--create | --verify | --print | --delete]",
     "create or verify the topics with the right settings"},
    {"checkpoint", pql_cmd_checkpoint,
     "list | verify | dump | digest | adopt | forget [--config FILE] [--partition P] [--yes]",
     "the saved state: look at it, check it, set it right"},
    {"sample", pql_cmd_sample,
     "[--config FILE] [--input TOPIC] [--since TIME] [--accounts N|P%] [--max N] [--output FILE]",
     "a file of events from the topics, whole accounts, for replay"},
    {"dlq", pql_cmd_dlq,
     "list | show | resend [--config FILE] [--reason WORD] [--partition P] [--offset A..B] [--since TIME] "
     "[--yes]",
     "the dead letters: count them, look at them, send them back to the input"},
    {"decode", pql_cmd_decode,
     "[--schema FILE | --registry URL] [FILE | --config FILE --topic TOPIC --partition P --offset O [--count "
     "N]]",
     "a message or container file as JSON, with its schema"},
    {"demo", pql_cmd_demo, "[--broker HOST:PORT]",
     "generated traffic through the real pipeline: who qualifies, and why"},
    {"manual", pql_cmd_manual, "pqlstream.1 | pqlstream.conf.5 | bash | zsh | fish",
     "the manual pages and the shells' completions, from the program's own tables"},
};
const size_t pql_commands_count = sizeof pql_commands / sizeof *pql_commands;

static void print_help(FILE *out)
{
    fputs("pqlstream " PQL_VERSION ": product events on Kafka to qualified users and accounts\n\n"
          "usage: pqlstream COMMAND [FLAGS] …; pqlstream COMMAND --help\n\ncommands:\n",
          out);
    for (size_t i = 0; i < pql_commands_count; i++)
        fprintf(out, "  %-12s%s\n", pql_commands[i].name, pql_commands[i].summary);
    fputs("\nexit codes:\n", out);
#define PRINT_EXIT(name, code, help) fprintf(out, "  %d  %s\n", code, help);
    PQL_EXITS(PRINT_EXIT)
}

static const struct pql_command *find_command(const char *name)
{
    for (size_t i = 0; i < pql_commands_count; i++)
        if (strcmp(pql_commands[i].name, name) == 0) return &pql_commands[i];
    return NULL;
}

static int say_unknown(const char *name)
{
    const char *names[sizeof pql_commands / sizeof *pql_commands];
    for (size_t i = 0; i < pql_commands_count; i++) names[i] = pql_commands[i].name;
    const char *nearest = pql_nearest(pql_slice_of(name), names, pql_commands_count);
    fprintf(stderr, "pqlstream: no command '%s'", name);
    if (nearest) fprintf(stderr, "; did you mean '%s'?", nearest);
    fputs("\npqlstream --help lists them\n", stderr);
    return PQL_EXIT_CONFIG;
}

int pql_cli(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";
    if (strcmp(word, "--version") == 0) {
        puts("pqlstream " PQL_VERSION);
        return PQL_EXIT_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return PQL_EXIT_OK;
    }
    if (argc < 2) {
        print_help(stderr);
        return PQL_EXIT_CONFIG;
    }
    const struct pql_command *command = find_command(word);
    return command ? command->run(argc - 1, argv + 1) : say_unknown(word);
}

/* --- flags --- */

static void print_flags(const struct pql_flag *flags, size_t count, const char *about, const char *name,
                        FILE *out)
{
    const struct pql_command *command = find_command(name);
    fprintf(out, "usage: pqlstream %s %s\n\n%s\n\nflags:\n", name, command ? command->usage : "", about);
    for (size_t i = 0; i < count; i++) {
        char text[80];
        bool may_lack = flags[i].type == PQL_FLAG_MAYBE;
        snprintf(text, sizeof text, "%s%s%s%s", flags[i].name,
                 may_lack         ? "[="
                 : flags[i].value ? " "
                                  : "",
                 flags[i].value ? flags[i].value : "", may_lack ? "]" : "");
        if (flags[i].letter)
            fprintf(out, "  -%c, %-30s%s\n", flags[i].letter, text, flags[i].help);
        else
            fprintf(out, "      %-30s%s\n", text, flags[i].help);
    }
}

static const struct pql_flag *find_flag(const struct pql_flag *flags, size_t count, const char *word,
                                        const char **value)
{
    const char *equals = strncmp(word, "--", 2) == 0 ? strchr(word, '=') : NULL;
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < count; i++) {
        if (strlen(flags[i].name) == len && strncmp(flags[i].name, word, len) == 0) return &flags[i];
        if (word[0] == '-' && word[1] && word[1] == flags[i].letter && !word[2]) return &flags[i];
    }
    return NULL;
}

static int say_flag(const char *command, const char *what, const char *word)
{
    fprintf(stderr, "pqlstream %s: %s %s\npqlstream %s --help lists the flags\n", command, what, word,
            command);
    return PQL_EXIT_CONFIG;
}

/* 0, or a message about a flag without or with too much of a value. */
static const char *store(const struct pql_flag *flag, const char *value)
{
    if (flag->type == PQL_FLAG_YES) {
        if (value) return "no value belongs to";
        *(bool *)flag->member = true;
        return NULL;
    }
    if (flag->type == PQL_FLAG_MAYBE) {
        *(const char **)flag->member = value ? value : "";
        return NULL;
    }
    if (!value) return "a value is missing after";
    if (flag->type == PQL_FLAG_TEXT) {
        *(const char **)flag->member = value;
        return NULL;
    }
    struct pql_texts *texts = flag->member;
    if (texts->count == PQL_FLAG_TEXTS_MAX) return "too many of";
    texts->items[texts->count++] = value;
    return NULL;
}

/* A command's flags are in its function, beside what they are read into: only a call of it brings them out.
 */
static struct {
    pql_flags_teller *tell;
    void *context;
} listener;

void pql_command_tell(const struct pql_command *command, pql_flags_teller *tell, void *context)
{
    char name[32];
    snprintf(name, sizeof name, "%s", command->name);
    listener.tell = tell;
    listener.context = context;
    command->run(1, (char *[]){name, NULL});
    listener.tell = NULL;
}

bool pql_flags_read(const struct pql_flag *flags, size_t count, const char *about, int argc, char **argv,
                    int *rest, int *exit_code)
{
    int kept = 1;
    bool is_over = false;
    if (listener.tell) {
        listener.tell(listener.context, flags, count, about);
        *exit_code = PQL_EXIT_OK;
        return false;
    }
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value;
        if (is_over || word[0] != '-' || !word[1]) {
            argv[kept++] = argv[i];
            continue;
        }
        is_over = strcmp(word, "--") == 0;
        if (is_over) continue;
        if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
            print_flags(flags, count, about, argv[0], stdout);
            *exit_code = PQL_EXIT_OK;
            return false;
        }
        const struct pql_flag *flag = find_flag(flags, count, word, &value);
        if (!flag) {
            *exit_code = say_flag(argv[0], "unknown flag", word);
            return false;
        }
        bool takes_next = flag->type == PQL_FLAG_TEXT || flag->type == PQL_FLAG_TEXTS;
        if (takes_next && !value && i + 1 < argc) value = argv[++i];
        const char *problem = store(flag, value);
        if (problem) {
            *exit_code = say_flag(argv[0], problem, flag->name);
            return false;
        }
    }
    *rest = kept - 1;
    return true;
}
