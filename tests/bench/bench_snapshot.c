/* What snapshots cost a worker: one giant account and many small ones, events between the steps of a
 * snapshot. Prints, a line of JSON for each snapshot, the longest step, the longest event while a snapshot is
 * under way and without one, and how fast pages are made. Times are of the processor, so that a busy machine
 * does not count.
 *
 *   bench_snapshot [--users N] [--accounts N] [--slice BYTES] */
#include "core/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { SHARES = 8, SNAPSHOTS = 12 };

static void ignore(void *context, const struct pql_record *record)
{
    (void)context;
    (void)record;
}

static double cpu_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return 1e6 * (double)now.tv_sec + 1e-3 * (double)now.tv_nsec;
}

struct load {
    struct pql_engine *engine;
    unsigned users, accounts;
    uint64_t events, random;
};

static unsigned draw(struct load *load, unsigned below)
{
    load->random = load->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)((load->random >> 33) % below);
}

/* One event, its time taken. Every other one is of the giant account. */
static double apply(struct load *load, unsigned user, unsigned account)
{
    char a[24] = "giant", u[24];
    struct pql_value amount = pql_number(pql_decimal_of_int(3));
    if (account) snprintf(a, sizeof a, "account-%u", account);
    snprintf(u, sizeof u, "user-%u", user);
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = PQL_SLICE_LITERAL("x"),
                              .account = pql_slice_of(a),
                              .user = pql_slice_of(u),
                              .properties = &amount,
                              .time_ms = (int64_t)load->events++ * 20};
    double began = cpu_us();
    (void)pql_engine_apply(load->engine, &event);
    return cpu_us() - began;
}

static double apply_any(struct load *load)
{
    bool of_giant = draw(load, 2);
    return apply(load, of_giant ? draw(load, draw(load, 8) ? load->users : 20) : draw(load, 5),
                 of_giant ? 0 : 1 + draw(load, load->accounts));
}

static double longer(double a, double b)
{
    return a > b ? a : b;
}

static void take(struct load *load, uint32_t n, size_t slice)
{
    struct pql_buf out = {0};
    double began = cpu_us(), begin, longest = 0, during = 0, after = 0, steps = 0;
    uint64_t bytes = 0, count = 0;
    pql_snapshot_begin(load->engine, n ? SHARES : 1, n ? n % SHARES : 0);
    begin = cpu_us() - began;
    for (bool over = false; !over; count++) {
        began = cpu_us();
        over = pql_snapshot_step(load->engine, &out, slice);
        double took = cpu_us() - began;
        longest = longer(longest, took);
        steps += took;
        bytes += out.len;
        out.len = 0;
        for (int i = 0; i < 5; i++) during = longer(during, apply_any(load));
    }
    pql_snapshot_saved(load->engine);
    for (int i = 0; i < 5000; i++) after = longer(after, apply_any(load));
    printf("{\"name\": \"%s\", \"mb\": %.2f, \"begin_us\": %.1f, \"steps\": %llu, \"longest_us\": %.1f, "
           "\"mb_s\": %.1f, "
           "\"event_us\": %.1f, \"event_without_us\": %.1f}\n",
           n ? "snapshot of a share" : "first snapshot, whole", (double)bytes / 1e6, begin,
           (unsigned long long)count, longest, (double)bytes / steps, during, after);
    pql_buf_deinit(&out);
}

static struct pql_definition_conf definition(const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf conf = {.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf.name_source.text = conf.name;
    conf.qualify.text = pql_slice_of(qualify);
    return conf;
}

int main(int argc, char **argv)
{
    struct load load = {.users = 100000, .accounts = 200000};
    size_t slice = 16 << 10;
    for (int i = 1; i + 1 < argc; i += 2) {
        unsigned long n = strtoul(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--users")) load.users = (unsigned)n;
        if (!strcmp(argv[i], "--accounts")) load.accounts = (unsigned)n;
        if (!strcmp(argv[i], "--slice")) slice = n;
    }
    struct pql_definition_conf definitions[] = {
        definition("busy", PQL_SUBJECT_USER, "count(x, 7d) >= 3 and days(any, 30d) >= 2"),
        definition("spender", PQL_SUBJECT_USER, "sum(x.amount, 30d) >= 100"),
        definition("large", PQL_SUBJECT_ACCOUNT,
                   "users(count(x, 7d) >= 2) >= 5 and sum(x.amount, 10m) >= 1000"),
    };
    struct pql_program_conf conf = {.app = PQL_SLICE_LITERAL("bench"),
                                    .settings = pql_settings_default(),
                                    .definitions = definitions,
                                    .definitions_count = sizeof definitions / sizeof *definitions};
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_program *program = pql_program_new(&conf, &diags);
    if (!program) pql_diags_print(&diags, stderr);
    if (!program) return 1;
    load.engine = pql_engine_new(program, ignore, NULL);
    for (unsigned i = 0; i < load.users; i++) apply(&load, i, 0);
    for (unsigned i = 0; i < load.accounts; i++) apply(&load, i % 5, 1 + i);
    for (uint32_t n = 0; n < SNAPSHOTS; n++) take(&load, n, slice);
    pql_engine_free(load.engine);
    pql_program_free(program);
    pql_diags_deinit(&diags);
    return 0;
}
