/* Erasure: memory is given back, versions go on, an instant that holds an erasure; who is told of it. */
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
    struct pql_buf log; /* "entered d a/u\n" */
    int64_t version;    /* of the last record */
    int offset;
};

static void note(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    f->version = record->version;
    pql_buf_printf(&f->log, "%s%s%s %.*s %.*s/%.*s\n", pql_transition_names[record->transition],
                   record->transition == PQL_LEFT ? " " : "",
                   record->transition == PQL_LEFT ? pql_reason_names[record->reason] : "",
                   PQL_SLICE_ARG(record->definition), PQL_SLICE_ARG(record->account_id),
                   PQL_SLICE_ARG(record->user_id));
}

static void note_erased(void *context, const struct pql_record *key)
{
    struct fixture *f = context;
    pql_buf_printf(&f->log, "erased %.*s %.*s/%.*s\n", PQL_SLICE_ARG(key->definition),
                   PQL_SLICE_ARG(key->account_id), PQL_SLICE_ARG(key->user_id));
}

static void define(struct fixture *f, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &f->definitions[f->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
}

static void start(struct fixture *f, int64_t lateness_ms)
{
    f->conf.app = pql_slice_of("test");
    f->conf.settings = pql_settings_default();
    f->conf.settings.lateness_ms = lateness_ms;
    f->conf.definitions = f->definitions;
    pql_diags_init(&f->diags);
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, note, f);
}

static void end(struct fixture *f)
{
    assert_int_equal(pql_engine_bytes_off(f->engine), 0);
    pql_engine_free(f->engine);
    pql_program_free(f->program);
    pql_diags_deinit(&f->diags);
    pql_buf_deinit(&f->log);
}

static void send(struct fixture *f, enum pql_event_kind kind, const char *name, const char *account,
                 const char *user, int64_t t_ms)
{
    struct pql_event event = {.kind = kind,
                              .name = pql_slice_of(name),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .offset = f->offset++,
                              .time_ms = t_ms};
    (void)pql_engine_apply(f->engine, &event);
}

static void expect(struct fixture *f, const char *text)
{
    pql_buf_u8(&f->log, 0);
    assert_string_equal(f->log.ptr, text);
    f->log.len = 0;
}

static void nobody_unknown_is_made_known(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "not ever(x)");
    define(&f, "team", PQL_SUBJECT_ACCOUNT, "count(x, 30d) < 1");
    for (int64_t lateness = 0; lateness <= HOUR; lateness += HOUR) {
        start(&f, lateness);
        send(&f, PQL_EVENT_FORGET, "", "a", "u", DAY);
        send(&f, PQL_EVENT_FORGET, "", "a", "", DAY);
        pql_engine_finish(f.engine);
        expect(&f, "");
        assert_int_equal(pql_engine_stats(f.engine).accounts, 0);
        send(&f, PQL_EVENT_TRACK, "y", "a", "u", 2 * DAY);
        pql_engine_finish(f.engine);
        expect(&f, "entered d a/u\nentered team a/\n");
        send(&f, PQL_EVENT_FORGET, "", "a", "", 3 * DAY);
        send(&f, PQL_EVENT_FORGET, "", "a", "", 4 * DAY);
        pql_engine_finish(f.engine);
        expect(&f, "left forgotten d a/u\nleft forgotten team a/\n");
        assert_int_equal(pql_engine_stats(f.engine).accounts, 0);
        assert_int_equal(pql_engine_next_tick(f.engine), PQL_NO_TIME);
        end(&f);
        f = (struct fixture){.conf.definitions_count = f.conf.definitions_count,
                             .definitions = {f.definitions[0], f.definitions[1]}};
    }
}

/* With lateness all of an instant is applied together: what comes before the erasure is gone, what comes
 * after it is new. */
static void an_erasure_in_the_middle_of_an_instant(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "count(x, 30d) >= 1");
    define(&f, "team", PQL_SUBJECT_ACCOUNT, "count(x, 30d) >= 2");
    start(&f, HOUR);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 1 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 2 * DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "u", 2 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 2 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "a", "b", 3 * DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "b", 3 * DAY);
    pql_engine_finish(f.engine);
    expect(&f, "entered d a/u\nleft forgotten d a/u\nentered d a/u\nentered team a/\n");
    assert_int_equal(pql_engine_stats(f.engine).users, 1);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 4 * DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "", 4 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 4 * DAY);
    pql_engine_finish(f.engine);
    expect(&f, "left forgotten d a/u\nleft forgotten team a/\nentered d a/u\n");
    assert_int_equal(pql_engine_stats(f.engine).accounts, 1);
    end(&f);
}

static void versions_rise_over_an_erasure(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "count(x, 30d) >= 1");
    start(&f, 0);
    int64_t before = 0;
    for (int i = 0; i < 50; i++) { /* all in one millisecond */
        send(&f, PQL_EVENT_TRACK, "x", "a", "u", DAY);
        assert_true(f.version > before);
        before = f.version;
        send(&f, PQL_EVENT_FORGET, "", "a", i % 2 ? "u" : "", DAY);
        assert_true(f.version > before);
        before = f.version;
    }
    f.log.len = 0;
    end(&f);
}

/* Every key that ever had a record, after its last one; with a change those of definitions that are gone. */
static void keys_are_told(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
    define(&f, "team", PQL_SUBJECT_ACCOUNT, "count(y, 30d) >= 1");
    start(&f, 0);
    pql_engine_on_erased(f.engine, note_erased);
    send(&f, PQL_EVENT_TRACK, "x", "a", "b", DAY);
    send(&f, PQL_EVENT_TRACK, "z", "a", "never", DAY);
    send(&f, PQL_EVENT_TRACK, "y", "a", "c", 2 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "a", "c", 2 * DAY);
    expect(&f, "entered d a/b\nleft expired d a/b\nentered team a/\nentered d a/c\n");
    send(&f, PQL_EVENT_FORGET, "", "a", "b", 2 * DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "never", 2 * DAY);
    expect(&f, "erased d a/b\n");
    send(&f, PQL_EVENT_FORGET, "", "a", "", 2 * DAY);
    expect(&f, "left forgotten d a/c\nerased d a/c\nleft forgotten team a/\nerased team a/\n");

    send(&f, PQL_EVENT_TRACK, "x", "e", "u", 3 * DAY);
    send(&f, PQL_EVENT_TRACK, "x", "e", "v", 3 * DAY + 2 * HOUR);
    expect(&f, "entered d e/u\nleft expired d e/u\nentered d e/v\n");
    struct pql_program_conf without = f.conf;
    without.definitions = f.definitions + 1;
    without.definitions_count = 1;
    struct pql_program *program = pql_program_new(&without, &f.diags);
    struct pql_err err;
    assert_non_null(program);
    assert_int_equal(pql_engine_change(f.engine, program, &err), 0);
    assert_true(pql_engine_settle(f.engine));
    expect(&f, "erased d e/u\nleft definition_removed d e/v\nerased d e/v\n");
    pql_program_free(f.program);
    f.program = program;
    end(&f);
}

static void join(struct fixture *f, const char *user, const char *previous, int64_t t_ms)
{
    struct pql_event event = {.kind = PQL_EVENT_ALIAS,
                              .name = pql_slice_of(""),
                              .account = pql_slice_of("a"),
                              .user = pql_slice_of(user),
                              .previous_user = pql_slice_of(previous),
                              .offset = f->offset++,
                              .time_ms = t_ms};
    (void)pql_engine_apply(f->engine, &event);
}

/* With an account go the ids that its users had before: told once, whatever memory still has of who is gone
 * since long. One who was forgotten is not told again. */
static void ids_of_former_users_are_told(void **state)
{
    (void)state;
    for (int others = 0; others <= 40; others += 40) { /* many, and who is gone is not given back at once */
        struct fixture f = {0};
        char user[16];
        define(&f, "d", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
        start(&f, 0);
        pql_engine_on_erased(f.engine, note_erased);
        send(&f, PQL_EVENT_TRACK, "x", "a", "former", DAY);
        send(&f, PQL_EVENT_TRACK, "x", "a", "forgotten", DAY);
        for (int i = 0; i < others; i++) {
            snprintf(user, sizeof user, "z%02d", i);
            send(&f, PQL_EVENT_TRACK, "y", "a", user, DAY);
            send(&f, PQL_EVENT_TRACK, "x", "a", user, DAY + 1);
        }
        send(&f, PQL_EVENT_TRACK, "y", "a", "new", 2 * DAY);
        f.log.len = 0;
        join(&f, "new", "former", 2 * DAY);
        send(&f, PQL_EVENT_FORGET, "", "a", "forgotten", 2 * DAY + 1);
        expect(&f, "erased d a/forgotten\n");
        send(&f, PQL_EVENT_TRACK, "x", "a", "new", 2 * DAY + 2);
        send(&f, PQL_EVENT_FORGET, "", "a", "", 2 * DAY + 3);
        char *told = strstr((pql_buf_u8(&f.log, 0), f.log.ptr), "erased d a/former\n");
        assert_non_null(told);
        assert_null(strstr(told + 1, "erased d a/former\n"));
        assert_null(strstr(f.log.ptr, "a/forgotten"));
        assert_non_null(strstr(f.log.ptr, "left forgotten d a/new\nerased d a/new\n"));
        assert_int_equal(pql_engine_stats(f.engine).accounts, 0);
        end(&f);
    }
}

/* The state topic never had anything of them. */
static void keys_of_shadow_definitions_are_not_told(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "count(x, 30d) >= 1");
    define(&f, "team", PQL_SUBJECT_ACCOUNT, "count(x, 30d) >= 1");
    f.definitions[0].mode = f.definitions[1].mode = PQL_MODE_SHADOW;
    start(&f, 0);
    pql_engine_on_erased(f.engine, note_erased);
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "u", 2 * DAY);
    send(&f, PQL_EVENT_FORGET, "", "a", "", 2 * DAY);
    expect(&f, "entered d a/u\nentered team a/\nleft forgotten d a/u\nleft forgotten team a/\n");
    send(&f, PQL_EVENT_TRACK, "x", "a", "u", 3 * DAY);
    f.log.len = 0;
    struct pql_definition_conf live[2] = {f.definitions[0], f.definitions[1]};
    struct pql_program_conf conf = f.conf;
    struct pql_err err;
    live[0].mode = PQL_MODE_LIVE; /* the one is promoted, the other is dropped */
    conf.definitions = live;
    conf.definitions_count = 1;
    struct pql_program *program = pql_program_new(&conf, &f.diags);
    assert_int_equal(pql_engine_change(f.engine, program, &err), 0);
    assert_true(pql_engine_settle(f.engine));
    expect(&f, "left definition_removed d a/u\nleft definition_removed team a/\nentered d a/u\n");
    pql_program_free(f.program);
    f.program = program;
    send(&f, PQL_EVENT_FORGET, "", "a", "u", 4 * DAY);
    expect(&f, "left forgotten d a/u\nerased d a/u\n");
    end(&f);
}

/* Accounts and users come and are forgotten: the state does not grow. */
static void memory_is_given_back(void **state)
{
    (void)state;
    struct fixture f = {0};
    define(&f, "d", PQL_SUBJECT_USER, "count(x, 30d) >= 2 and user.role is null");
    f.definitions[0].cooldown_ms = DAY; /* whoever leaves sets a timer */
    define(&f, "team", PQL_SUBJECT_ACCOUNT, "distinct(x.user, 30d) >= 500 or share(is(d)) > 2");
    start(&f, 0);
    char account[16], user[16];
    uint64_t most = 0;
    for (int round = 0; round < 12; round++) {
        for (int i = 0; i < 4000; i++) {
            snprintf(account, sizeof account, "a%d", round * 40 + i % 40);
            snprintf(user, sizeof user, "u%d", i % 400);
            send(&f, PQL_EVENT_TRACK, "x", account, user, DAY + round * HOUR);
        }
        uint64_t bytes = pql_engine_bytes(f.engine);
        if (!most) most = bytes;
        assert_true(bytes <= most + most / 4);
        for (int i = 0; i < 40; i++) {
            snprintf(account, sizeof account, "a%d", round * 40 + i);
            for (int u = 0; i % 2 && u < 400; u++) {
                snprintf(user, sizeof user, "u%d", u);
                send(&f, PQL_EVENT_FORGET, "", account, user, DAY + round * HOUR);
            }
            send(&f, PQL_EVENT_FORGET, "", account, "", DAY + round * HOUR);
        }
        assert_int_equal(pql_engine_stats(f.engine).accounts, 0);
        assert_int_equal(pql_engine_stats(f.engine).users, 0);
        assert_int_equal(pql_engine_bytes_off(f.engine), 0);
        assert_true(pql_engine_bytes(f.engine) < most / 4);
    }
    f.log.len = 0;
    end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_unknown_is_made_known),
        cmocka_unit_test(an_erasure_in_the_middle_of_an_instant),
        cmocka_unit_test(versions_rise_over_an_erasure),
        cmocka_unit_test(keys_are_told),
        cmocka_unit_test(ids_of_former_users_are_told),
        cmocka_unit_test(keys_of_shadow_definitions_are_not_told),
        cmocka_unit_test(memory_is_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
