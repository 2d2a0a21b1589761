/* The engine through its own interface: clock, ticks, order, snapshots. What definitions mean is in
 * tests/rules. */
#include "core/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { HOUR = 3600000, DAY = 24 * HOUR };

struct fixture {
    struct pql_definition_conf definitions[4];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_engine *engine;
    struct pql_buf log; /* "entered d a/u @ms\n" */
};

static void note(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    pql_buf_printf(&f->log, "%s %.*s %.*s/%.*s @%lld%s%s\n", pql_transition_names[record->transition],
                   PQL_SLICE_ARG(record->definition), PQL_SLICE_ARG(record->account_id),
                   PQL_SLICE_ARG(record->user_id), (long long)record->occurred_at,
                   record->transition == PQL_LEFT ? " " : "",
                   record->transition == PQL_LEFT ? pql_reason_names[record->reason] : "");
}

static void define(struct fixture *f, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &f->definitions[f->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->conf.app = pql_slice_of("test");
    f->conf.settings = pql_settings_default();
    f->conf.definitions = f->definitions;
    pql_diags_init(&f->diags);
    return f;
}

static void start(struct fixture *f)
{
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, note, f);
}

static void fixture_free(struct fixture *f)
{
    pql_engine_free(f->engine);
    pql_program_free(f->program);
    pql_diags_deinit(&f->diags);
    pql_buf_deinit(&f->log);
    free(f);
}

static enum pql_applied track(struct fixture *f, const char *name, const char *account, const char *user,
                              int64_t t_ms)
{
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(name),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .time_ms = t_ms};
    return pql_engine_apply(f->engine, &event);
}

static void expect(struct fixture *f, const char *text)
{
    pql_buf_u8(&f->log, 0);
    assert_string_equal(f->log.ptr, text);
    f->log.len = 0;
}

static void leaves_by_timer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_USER, "count(x, 1h) >= 2");
    start(f);
    track(f, "x", "a", "u", 1000);
    track(f, "x", "a", "u", 2000);
    expect(f, "entered d a/u @2000\n");
    assert_int_equal(pql_engine_next_tick(f->engine), 1000 + HOUR);
    pql_engine_tick(f->engine, 1000 + HOUR - 1);
    expect(f, "");
    pql_engine_tick(f->engine, 1000 + HOUR);
    expect(f, "left d a/u @3601000 expired\n");
    assert_int_equal(pql_engine_next_tick(f->engine), PQL_NO_TIME);
    fixture_free(f);
}

/* Example 25 of the meaning: one instant, two accounts. */
static void timer_of_another_account_waits_for_the_clock(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    start(f);
    track(f, "x", "A", "", 10 * HOUR);
    track(f, "x", "B", "", 11 * HOUR);
    expect(f, "entered d A/ @36000000\nentered d B/ @39600000\n");
    track(f, "y", "B", "", 11 * HOUR + 1);
    expect(f, "left d A/ @39600000 expired\n");
    fixture_free(f);
}

/* Example 24: a tick without a due timer does not exist; what is before the clock is late. */
static void a_tick_exists_only_if_something_is_due(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_ACCOUNT, "since(x) > 1h");
    start(f);
    track(f, "x", "a", "", 10 * HOUR);
    assert_int_equal(pql_engine_next_tick(f->engine), 11 * HOUR + 1);
    assert_int_equal(track(f, "y", "a", "", 10 * HOUR + 20), PQL_APPLY_DONE);
    pql_engine_tick(f->engine, 11 * HOUR + HOUR / 2);
    expect(f, "entered d a/ @39600001\n");
    assert_int_equal(track(f, "y", "a", "", 11 * HOUR + 15), PQL_APPLY_LATE);
    fixture_free(f);
}

static void lateness_restores_order(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->conf.settings.lateness_ms = HOUR;
    define(f, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    start(f);
    track(f, "x", "a", "", 10 * HOUR);
    track(f, "y", "a", "", 12 * HOUR);
    assert_int_equal(track(f, "x", "a", "", 10 * HOUR + HOUR / 2), PQL_APPLY_LATE);
    expect(f, "entered d a/ @39599999\n");
    assert_int_equal(track(f, "x", "a", "", 11 * HOUR), PQL_APPLY_DONE);
    track(f, "y", "a", "", 13 * HOUR);
    expect(f, "left d a/ @41400000 expired\n");
    fixture_free(f);
}

static void duplicates_are_forgotten_with_the_horizon(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->conf.settings.dedup_horizon_ms = 10 * HOUR;
    define(f, "d", PQL_SUBJECT_ACCOUNT, "count(x, ever) >= 2");
    start(f);
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of("x"),
                              .account = pql_slice_of("a"),
                              .id = pql_slice_of("1"),
                              .time_ms = 0};
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_DONE);
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_DUPLICATE);
    track(f, "y", "a", "", 11 * HOUR); /* the bucket ends at 1 h, and is remembered until 11 h inclusive */
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_DUPLICATE);
    track(f, "y", "a", "", 11 * HOUR + 1);
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_LATE);
    expect(f, "entered d a/ @39600001\n");
    fixture_free(f);
}

/* --- snapshots --- */

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void define_many(struct fixture *f)
{
    define(f, "pql", PQL_SUBJECT_USER, "count(x, 3h) >= 2 and distinct(x.p, 1d) >= 1 or days(any, 5d) >= 3");
    define(f, "early", PQL_SUBJECT_USER,
           "count(x, first 6h) >= 2 and not ever(z) and latest(x.p, first 6h) != 'b'");
    define(f, "pqa", PQL_SUBJECT_ACCOUNT, "share(is(pql)) >= 0.4 and members() >= 2");
    define(f, "quiet", PQL_SUBJECT_ACCOUNT, "since(any) > 4h and users(count(x, 2d) >= 2) >= 1");
    f->definitions[0].stay.text = pql_slice_of("count(x, 3h) >= 1");
    f->definitions[0].min_stay_ms = HOUR;
    f->definitions[2].cooldown_ms = 2 * HOUR;
}

static void random_event(struct fixture *f, int64_t *clock)
{
    static const char *const names[] = {"x", "x", "y", "z"};
    char account[8], user[8], id[16];
    struct pql_value property = draw(2) ? pql_number(pql_decimal_of_int((int64_t)draw(4)))
                                        : pql_text(pql_slice_of(draw(2) ? "a" : "b"));
    *clock += draw(HOUR);
    snprintf(account, sizeof account, "a%u", draw(5));
    snprintf(user, sizeof user, "u%u", draw(100));
    snprintf(id, sizeof id, "%u", draw(1u << 20));
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(names[draw(4)]),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .id = pql_slice_of(id),
                              .properties = &property,
                              .time_ms = *clock - (int64_t)draw(2 * HOUR)};
    (void)pql_engine_apply(f->engine, &event);
}

/* Copies the state into a fresh engine through pages while events go on in between, then both must be alike
 * for ever. */
static void snapshot_equals_its_state(void **state)
{
    (void)state;
    for (uint32_t round = 0; round < 30; round++) {
        seed = round;
        struct fixture *f = fixture_new();
        f->conf.settings.lateness_ms = round % 2 ? HOUR : 0;
        f->conf.settings.dedup_horizon_ms = round % 3 ? 2 * DAY : 0;
        define_many(f);
        start(f);
        int64_t clock = 0;
        for (int i = 0; i < 400; i++) random_event(f, &clock);

        uint64_t digest = pql_engine_digest(f->engine);
        uint32_t kept_seed = seed;
        int64_t kept_clock = clock;
        struct pql_buf pages = {0};
        pql_snapshot_begin(f->engine, 1, 0);
        f->log.len = 0;
        while (!pql_snapshot_step(f->engine, &pages, 300)) random_event(f, &clock);
        assert_true(pql_snapshot_digest(f->engine) == digest);

        struct fixture *other = fixture_new();
        other->conf.settings = f->conf.settings;
        define_many(other);
        start(other);
        struct pql_err err;
        for (size_t at = 0, n; at < pages.len; at += n) {
            n = 1 + at % 400;
            if (n > pages.len - at) n = pages.len - at;
            assert_int_equal(pql_snapshot_load(other->engine, pages.ptr + at, n, &err), 0);
        }
        assert_int_equal(pql_snapshot_loaded(other->engine, &err), 0);
        assert_true(pql_engine_digest(other->engine) == digest);

        /* The copy goes the same way: the events that came meanwhile, then many more and the end of time. */
        uint32_t live_seed = seed;
        int64_t live_clock = clock;
        seed = kept_seed;
        while (clock = kept_clock, seed != live_seed) {
            random_event(other, &kept_clock);
        }
        assert_int_equal(kept_clock, live_clock);
        for (int i = 0; i < 300; i++) {
            uint32_t same = seed;
            int64_t at = kept_clock;
            random_event(f, &at);
            seed = same;
            random_event(other, &kept_clock);
            assert_true(pql_engine_next_tick(f->engine) == pql_engine_next_tick(other->engine));
        }
        pql_engine_tick(f->engine, kept_clock + INT64_C(30) * DAY);
        pql_engine_tick(other->engine, kept_clock + INT64_C(30) * DAY);
        assert_true(f->log.len > 0);
        pql_buf_u8(&f->log, 0);
        pql_buf_u8(&other->log, 0);
        assert_string_equal(f->log.ptr, other->log.ptr);
        assert_true(pql_engine_digest(f->engine) == pql_engine_digest(other->engine));

        /* Damage is an error or another state, never a crash. */
        for (int i = 0; i < 200; i++) {
            struct pql_engine *victim = pql_engine_new(f->program, note, other);
            size_t at = draw((uint32_t)pages.len);
            char before = pages.ptr[at];
            pages.ptr[at] = (char)draw(256);
            size_t len = draw(4) ? pages.len : draw((uint32_t)pages.len);
            if (pql_snapshot_load(victim, pages.ptr, len, &err) == 0 &&
                pql_snapshot_loaded(victim, &err) == 0 && len == pages.len && pages.ptr[at] != before)
                assert_true(pql_engine_digest(victim) != digest);
            pages.ptr[at] = before;
            pql_engine_free(victim);
        }
        pql_buf_deinit(&pages);
        fixture_free(other);
        fixture_free(f);
    }
}

static void a_circle_is_named(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "one", PQL_SUBJECT_ACCOUNT, "is(two)");
    define(f, "two", PQL_SUBJECT_ACCOUNT, "is(one) or ever(x)");
    assert_null(pql_program_new(&f->conf, &f->diags));
    assert_int_equal(f->diags.errors_count, 1);
    assert_non_null(strstr(f->diags.items[0].message, "in a circle: one -> two -> one"));
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaves_by_timer),
        cmocka_unit_test(timer_of_another_account_waits_for_the_clock),
        cmocka_unit_test(a_tick_exists_only_if_something_is_due),
        cmocka_unit_test(lateness_restores_order),
        cmocka_unit_test(duplicates_are_forgotten_with_the_horizon),
        cmocka_unit_test(snapshot_equals_its_state),
        cmocka_unit_test(a_circle_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
