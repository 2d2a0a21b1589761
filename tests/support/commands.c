#include "support/commands.h"

#include "app/cli.h"
#include "base/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char folder[64], out[1 << 20], err[1 << 20];

int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/pql-cli-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

const char *path_of(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

void write_file(const char *name, const char *text)
{
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void read_file(const char *name, char *text, size_t size)
{
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    text[fread(text, 1, size - 1, file)] = 0;
    fclose(file);
}

/* Descriptor `fd` goes to a file; returns what it was. */
static int divert(int fd, const char *name)
{
    int saved = dup(fd), file = open(path_of(name), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    assert_true(saved >= 0 && file >= 0);
    dup2(file, fd);
    close(file);
    return saved;
}

static void restore(int fd, int saved)
{
    dup2(saved, fd);
    close(saved);
}

int run_words(int argc, char **argv)
{
    fflush(stdout);
    int saved_out = divert(STDOUT_FILENO, "out"), saved_err = divert(STDERR_FILENO, "err");
    int code = pql_cli(argc, argv);
    fflush(stdout);
    fflush(stderr);
    restore(STDOUT_FILENO, saved_out);
    restore(STDERR_FILENO, saved_err);
    read_file("out", out, sizeof out);
    read_file("err", err, sizeof err);
    return code;
}

int run(const char *format, ...)
{
    char line[1000], *argv[32], *save = NULL;
    int argc = 0;
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    for (char *word = strtok_r(line, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = word;
    argv[argc] = NULL;
    return run_words(argc, argv);
}

struct pql_config *load_config(const struct pql_config_request *request)
{
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_config *config = pql_config_load(request, &diags);
    if (diags.errors_count) pql_diags_print(&diags, stderr);
    assert_int_equal(diags.errors_count, 0);
    pql_diags_deinit(&diags);
    return config;
}
