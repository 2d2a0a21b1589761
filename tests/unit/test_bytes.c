/* What a state takes, by own accounting: equal to a walk over all of it after every step, and about what the
 * allocator gives out. */
#include "core/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>
#ifdef __SANITIZE_ADDRESS__
size_t __sanitizer_get_current_allocated_bytes(void);
#else
#include <unistd.h>
#endif

enum { EVENTS = 30000, ACCOUNTS = 900, USERS = 40 };

/* Bytes that this process has now: under a sanitizer as asked for, else resident, whatever the allocator. */
static double allocated(void)
{
#ifdef __SANITIZE_ADDRESS__
    return (double)__sanitizer_get_current_allocated_bytes();
#else
    unsigned long long pages = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%llu %llu", &pages, &resident), 2);
    fclose(file);
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
#endif
}

static void ignore(void *context, const struct pql_record *record)
{
    (void)context;
    (void)record;
}

struct fixture {
    struct pql_definition_conf definitions[6];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_engine *engine;
    uint64_t random;
};

static void define(struct fixture *f, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &f->definitions[f->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
}

static void start(struct fixture *f, int64_t lateness_ms, int64_t dedup_horizon_ms)
{
    *f = (struct fixture){.random = 11};
    f->conf.app = pql_slice_of("bytes");
    f->conf.settings = pql_settings_default();
    f->conf.settings.lateness_ms = lateness_ms;
    f->conf.settings.dedup_horizon_ms = dedup_horizon_ms;
    f->conf.definitions = f->definitions;
    define(f, "counts", PQL_SUBJECT_USER, "count(a, 7d) >= 9 and days(any, 5d) >= 2");
    define(f, "sums", PQL_SUBJECT_ACCOUNT, "sum(b.value, 3d) >= 100 or distinct(b.kind, 7d) >= 5");
    define(f, "plan", PQL_SUBJECT_USER, "latest(b.kind, 2d) = 'long words of a plan' and ever(a)");
    define(f, "team", PQL_SUBJECT_ACCOUNT, "users(was(counts)) >= 3");
    define(f, "firsts", PQL_SUBJECT_USER, "count(a, first 3d) >= 2 and sum(b.value, first 7d) >= 10");
    pql_diags_init(&f->diags);
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, ignore, NULL);
}

static void end(struct fixture *f)
{
    pql_engine_free(f->engine);
    pql_program_free(f->program);
    pql_diags_deinit(&f->diags);
}

static uint64_t draw(struct fixture *f, uint64_t n)
{
    f->random = f->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (f->random >> 33) % n;
}

static void step(struct fixture *f, int i)
{
    const struct pql_names *names = pql_program_names(f->program);
    char account[32], user[32], id[32], kind[40];
    struct pql_value properties[8] = {{0}};
    snprintf(account, sizeof account, "account-%d", (int)draw(f, ACCOUNTS) / 3 * 3);
    snprintf(user, sizeof user, "user-%d", (int)draw(f, draw(f, 10) ? 4 : USERS));
    snprintf(id, sizeof id, "id-%d", i);
    snprintf(kind, sizeof kind, "%s%d", draw(f, 2) ? "k" : "a kind of many words ", (int)draw(f, 7));
    for (size_t p = 0; p < names->properties_count && p < 8; p++)
        properties[p] = pql_slice_is(names->properties[p], "kind")
                            ? pql_text(pql_slice_of(kind))
                            : pql_number(pql_decimal_of_int((int64_t)draw(f, 50)));
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = draw(f, 3) ? PQL_SLICE_LITERAL("a") : PQL_SLICE_LITERAL("b"),
                              .account = pql_slice_of(account),
                              .user = draw(f, 5) ? pql_slice_of(user) : (struct pql_slice){0},
                              .id = pql_slice_of(id),
                              .time_ms = 1700000000000 + (int64_t)i * 60000 - (int64_t)draw(f, 600000),
                              .properties = properties};
    (void)pql_engine_apply(f->engine, &event);
}

static void counted_as_it_grows(struct fixture *f)
{
    for (int i = 0; i < EVENTS; i++) {
        step(f, i);
        if (i % 997 == 0) assert_int_equal(pql_engine_bytes_off(f->engine), 0);
    }
    assert_int_equal(pql_engine_bytes_off(f->engine), 0);
}

static void equals_a_walk(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 0, 0);
    counted_as_it_grows(&f);
    end(&f);
    start(&f, 3600000, 86400000);
    counted_as_it_grows(&f);
    end(&f);
}

static void is_about_what_the_allocator_gives(void **state)
{
    (void)state;
    struct fixture f;
    start(&f, 3600000, 86400000);
    double before = allocated();
    for (int i = 0; i < EVENTS; i++) step(&f, i);
    double taken = allocated() - before, counted = (double)pql_engine_bytes(f.engine);
    print_message("%.0f bytes counted, %.0f allocated\n", counted, taken);
    assert_true(counted > 0.7 * taken);
    assert_true(counted < 1.4 * taken);
    end(&f);
}

/* Conditions of all kinds of signals; a random program has some of them, under random lateness and duplicate
 * filter. */
static const struct {
    enum pql_subject subject;
    const char *qualify;
} pool[] = {
    {PQL_SUBJECT_USER, "count(a, 7d) >= 9"},
    {PQL_SUBJECT_USER, "days(any, 5d) >= 2 and min(b.value, 3d) >= 1"},
    {PQL_SUBJECT_USER, "sum(b.value, 3d) >= 100"},
    {PQL_SUBJECT_USER, "avg(b.value, 30d) >= 20 or max(b.value, 30d) >= 48"},
    {PQL_SUBJECT_USER, "distinct(b.kind, 7d) >= 5"},
    {PQL_SUBJECT_USER, "latest(b.kind, 2d) = 'long words of a plan'"},
    {PQL_SUBJECT_USER, "count(a, first 3d) >= 2 and sum(b.value, first 7d) >= 10"},
    {PQL_SUBJECT_USER, "sequence(a then b) and ever(a)"},
    {PQL_SUBJECT_USER, "streak(a) >= 3"},
    {PQL_SUBJECT_ACCOUNT, "count(a, 7d) >= 99"},
    {PQL_SUBJECT_ACCOUNT, "sum(b.value, 3d) >= 100 or distinct(b.kind, 7d) >= 5"},
    {PQL_SUBJECT_ACCOUNT, "users(count(a, 7d) >= 1) >= 3"},
    {PQL_SUBJECT_ACCOUNT, "share(days(any, 7d) >= 2) >= 0.5 and users(ever(b)) >= 2"},
    {PQL_SUBJECT_ACCOUNT, "weeks(any, 30d) >= 2"},
};

enum { PROGRAMS = 12, PROGRAM_EVENTS = 8000, POOL = sizeof pool / sizeof *pool };

static void start_random(struct fixture *f, uint64_t seed)
{
    static char names[6][16];
    *f = (struct fixture){.random = seed};
    f->conf.app = pql_slice_of("bytes");
    f->conf.settings = pql_settings_default();
    f->conf.settings.lateness_ms = draw(f, 2) ? (int64_t)draw(f, 7200000) : 0;
    f->conf.settings.dedup_horizon_ms = draw(f, 2) ? (int64_t)draw(f, 86400000) + 1000 : 0;
    f->conf.definitions = f->definitions;
    for (uint64_t n = 1 + draw(f, 6), i = 0; i < n; i++) {
        size_t chosen = draw(f, POOL);
        snprintf(names[i], sizeof names[i], "d%d", (int)i);
        define(f, names[i], pool[chosen].subject, pool[chosen].qualify);
    }
    pql_diags_init(&f->diags);
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, ignore, NULL);
}

/* Of each between 0.8 and 1.4 of what was asked of the allocator. */
static void random_programs_agree_with_the_allocator(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= PROGRAMS; seed++) {
        struct fixture f;
        double before = allocated();
        start_random(&f, seed);
        for (int i = 0; i < PROGRAM_EVENTS; i++) step(&f, i);
        assert_int_equal(pql_engine_bytes_off(f.engine), 0);
        double taken = allocated() - before, counted = (double)pql_engine_bytes(f.engine);
        print_message("program %d: %.0f bytes counted, %.0f allocated\n", (int)seed, counted, taken);
        end(&f);
#ifdef __SANITIZE_ADDRESS__ /* elsewhere memory that one program gave back is the next one's */
        assert_true(counted > 0.8 * taken && counted < 1.4 * taken);
#endif
    }
}

static void equals_a_walk_after_a_restore(void **state)
{
    (void)state;
    struct fixture f;
    struct pql_buf pages = {0};
    struct pql_err err;
    start(&f, 0, 0);
    for (int i = 0; i < 5000; i++) step(&f, i);
    pql_snapshot_begin(f.engine, 1, 0);
    while (!pql_snapshot_step(f.engine, &pages, 1 << 16)) {
    }
    struct pql_engine *restored = pql_engine_new(f.program, ignore, NULL);
    assert_int_equal(pql_snapshot_load(restored, pages.ptr, pages.len, &err), 0);
    assert_int_equal(pql_snapshot_loaded(restored, &err), 0);
    pql_engine_free(f.engine);
    f.engine = restored;
    for (int i = 5000; i < 9000; i++) step(&f, i);
    assert_int_equal(pql_engine_bytes_off(f.engine), 0);
    pql_buf_deinit(&pages);
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_a_walk),
        cmocka_unit_test(is_about_what_the_allocator_gives),
        cmocka_unit_test(random_programs_agree_with_the_allocator),
        cmocka_unit_test(equals_a_walk_after_a_restore),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
