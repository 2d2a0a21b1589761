/* manual: the pages and completions that an installation has, printed. */
#include "app/cli.h"
#include "app/manual.h"

#include <string.h>

static const struct {
    const char *name;
    void (*print)(FILE *out);
} things[] = {
    {"pqlstream.1", pql_manual_commands}, {"pqlstream.conf.5", pql_manual_settings},
    {"bash", pql_completion_bash},        {"zsh", pql_completion_zsh},
    {"fish", pql_completion_fish},
};

int pql_cmd_manual(int argc, char **argv)
{
    int rest, exit_code;
    if (!pql_flags_read(
            NULL, 0,
            "Prints a manual page (pqlstream manual pqlstream.1 | man -l -) or the completion of a "
            "shell:\nsource <(pqlstream manual bash)",
            argc, argv, &rest, &exit_code))
        return exit_code;
    for (size_t i = 0; rest == 1 && i < sizeof things / sizeof *things; i++)
        if (strcmp(argv[1], things[i].name) == 0) {
            things[i].print(stdout);
            return PQL_EXIT_OK;
        }
    fprintf(stderr, "pqlstream manual: which one:");
    for (size_t i = 0; i < sizeof things / sizeof *things; i++)
        fprintf(stderr, "%s %s", i ? "," : "", things[i].name);
    fputc('\n', stderr);
    return PQL_EXIT_CONFIG;
}
