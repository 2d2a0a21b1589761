/* Memory that runs out ends the process in words and with exit code 1, wherever it happens, and never by a
 * crash: each of a spread of the allocations that commands make fails in a process of its own. The linker
 * puts the functions below in the place of malloc and friends (tests/CMakeLists.txt); what libraries allocate
 * for themselves is not among them. */
#include "app/cli.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
/* after the above */
#include <cmocka.h>

enum { POINTS = 60, PATH_MAX_LEN = 64, SAID_MAX = 4000 };

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static uint64_t made, fails; /* which one fails, 0: none */

static bool is_out(void)
{
    return ++made == fails;
}

void *__wrap_malloc(size_t size)
{
    return is_out() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return is_out() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return is_out() ? NULL : __real_realloc(old, size);
}

static char folder[] = "/tmp/pql-memory-XXXXXX", configuration[PATH_MAX_LEN], events[PATH_MAX_LEN];

static void write_file(char *path, const char *name, const char *text)
{
    snprintf(path, PATH_MAX_LEN, "%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    (void)state;
    assert_non_null(mkdtemp(folder));
    write_file(
        configuration, "memory.conf",
        "app = \"memory\"; lateness = \"1h\"; dedup_horizon = \"1d\";\n"
        "inputs = ( { topic = \"t\"; format = \"json\"; } );\n"
        "definitions = (\n"
        "  { name = \"inviter\"; subject = \"user\"; qualify = \"count(invite_sent, 7d) >= 2\"; },\n"
        "  { name = \"team\"; subject = \"account\"; qualify = \"users(count(any, 7d) >= 1) >= 2\"; },\n"
        "  { name = \"sums\"; subject = \"account\";\n"
        "    qualify = \"sum(a.value, 3d) >= 10 or distinct(a.kind, 7d) >= 2\"; } );\n");
    char text[4000];
    size_t used = 0;
    for (int i = 0; i < 16; i++)
        used += (size_t)snprintf(
            text + used, sizeof text - used,
            "{\"type\":\"track\",\"event\":\"%s\",\"message_id\":\"%d\",\"account_id\":\"A-%d\",\"user_id\":"
            "\"u%d\","
            "\"occurred_at\":\"2026-03-01T09:%02d:00Z\",\"properties\":{\"value\":%d,\"kind\":\"k%d\"}}\n",
            i % 3 ? "invite_sent" : "a", i, i % 2, i % 3, i, i, i % 4);
    write_file(events, "events.jsonl", text);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(configuration);
    unlink(events);
    return rmdir(folder);
}

/* In a process of its own: its exit code, or minus its signal; what it says on both outputs; allocations so
 * far. */
static int run(int argc, char **argv, uint64_t point, char *said, uint64_t *total)
{
    int words[2], number[2], status;
    assert_int_equal(pipe(words), 0);
    assert_int_equal(pipe(number), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
        dup2(words[1], STDERR_FILENO);
        close(words[0]);
        FILE *quiet = freopen("/dev/null", "w", stdout);
        made = 0;
        fails = point;
        int code = quiet ? pql_cli(argc, argv) : 99;
        _exit(write(number[1], &made, sizeof made) == (ssize_t)sizeof made ? code : 98);
    }
    close(words[1]);
    close(number[1]);
    size_t got = 0;
    for (ssize_t n; got < SAID_MAX - 1 && (n = read(words[0], said + got, SAID_MAX - 1 - got)) > 0;)
        got += (size_t)n;
    said[got] = '\0';
    if (read(number[0], total, sizeof *total) != (ssize_t)sizeof *total) *total = 0;
    close(words[0]);
    close(number[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void each_of(const char *name, const char *flag, const char *value, char *file)
{
    char command[20], set[20], more[40],
        *argv[] = {
            (char[]){"pqlstream"}, command, (char[]){"--config"}, configuration, set, more, file, NULL};
    static char said[SAID_MAX];
    uint64_t all = 0, ended = 0, ignored;
    snprintf(command, sizeof command, "%s", name);
    snprintf(set, sizeof set, "%s", flag);
    snprintf(more, sizeof more, "%s", value);
    int argc = file ? 7 : 6;
    int plain = run(argc, argv, 0, said, &all);
    if (plain) print_error("%s: %s", name, said);
    assert_int_equal(plain, 0);
    assert_true(all > POINTS);
    for (uint64_t at = 1; at <= all; at += all / POINTS + 1) {
        int code = run(argc, argv, at, said, &ignored);
        bool is_told = strstr(said, "out of memory") != NULL;
        if (code && (code != 1 || !is_told))
            print_error("%s, allocation %d fails: %d\n%s\n", name, (int)at, code, said);
        assert_true(code == 0 || (code == 1 && is_told));
        ended += code == 1;
    }
    print_message("%s: %d allocations, ended at each of %d\n", name, (int)all, (int)ended);
    assert_true(ended > POINTS / 2);
}

static void commands_end_in_words(void **state)
{
    (void)state;
    each_of("check", "--set", "kafka.bootstrap_servers=127.0.0.1:1", NULL);
    each_of("explain", "--set", "clock=events", NULL);
    each_of("replay", "--advance", "end", events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(commands_end_in_words)};
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
