#include "app/secrecy.h"

#include "base/memory.h"
#include "io/config.h"
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>

/* The user and password of a URL anywhere in the text, up to its '@'; len 0: none. */
static struct pql_slice user_in(char *text)
{
    char *scheme = strstr(text, "://"), *host = scheme ? scheme + 3 : NULL;
    size_t len = host ? strcspn(host, "@/, ") : 0;
    return (struct pql_slice){host, host && host[len] == '@' ? len : 0};
}

/* The value of an assignment that is a secret; a place where one is found (${env:…}, ${file:…}) is none. */
static struct pql_slice value_in(char *assignment)
{
    char *value = strchr(assignment, '=');
    if (!value || strstr(value, "${")) return (struct pql_slice){0};
    *value = '\0';
    bool is_secret = pql_config_is_secret(assignment);
    *value++ = '=';
    return (struct pql_slice){value, is_secret ? strlen(value) : 0};
}

/* The assignment of `--set NAME=VALUE`, `--set=NAME=VALUE` or `-s NAME=VALUE`, or NULL. */
static char *assignment_at(char **argv, int argc, int i)
{
    static const char flag[] = "--set=";
    bool is_next = !strcmp(argv[i], "--set") || !strcmp(argv[i], "-s");
    if (is_next) return i + 1 < argc ? argv[i + 1] : NULL;
    return !strncmp(argv[i], flag, sizeof flag - 1) ? argv[i] + sizeof flag - 1 : NULL;
}

static void hide(char *argument, struct pql_slice secret)
{
    if (!secret.len) return;
    size_t at = (size_t)(secret.ptr - argument);
    memset(argument + at, '*', secret.len);
    fprintf(stderr,
            "warning: what stands on a command line is seen by others on this machine, and was until now: "
            "%.*s…; write ${env:NAME} or ${file:PATH}\n",
            (int)at, argument);
}

/* All in one piece: whoever reads flags moves the pointers about. */
static char **copy_of(int argc, char **argv)
{
    size_t size = ((size_t)argc + 1) * sizeof(char *), at = size;
    for (int i = 0; i < argc; i++) size += strlen(argv[i]) + 1;
    char **copy = pql_xcalloc(1, size);
    for (int i = 0; i < argc; i++) {
        size_t len = strlen(argv[i]) + 1;
        copy[i] = memcpy((char *)copy + at, argv[i], len);
        at += len;
    }
    return copy;
}

char **pql_secrecy_begin(int argc, char **argv)
{
    struct rlimit core;
    umask(077);
    if (!getrlimit(RLIMIT_CORE, &core)) {
        core.rlim_cur = 0;
        (void)setrlimit(RLIMIT_CORE, &core);
    }
    char **copy = copy_of(argc, argv);
    for (int i = 1; i < argc; i++) {
        char *assignment = assignment_at(argv, argc, i);
        if (assignment) hide(assignment, value_in(assignment));
        hide(argv[i], user_in(argv[i]));
    }
    return copy;
}
