/* Another program under the same state: what is kept, who leaves and enters, what records say of it. The
 * random part compares with an engine that ran the second program from the first event on. */
#include "core/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { HOUR = 3600000, PROGRAMS_MAX = 4, DEFINITIONS_MAX = 6 };

struct fixture {
    struct programs {
        struct pql_definition_conf definitions[DEFINITIONS_MAX];
        struct pql_program_conf conf;
        struct pql_program *program;
    } programs[PROGRAMS_MAX];
    size_t programs_count;
    struct pql_diags diags;
    struct pql_engine *engine;
    struct pql_buf log; /* "entered d a/u @ms origin[ reason][ since ms]\n" */
};

static void note(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    pql_buf_printf(&f->log, "%s %.*s %.*s/%.*s @%lld %s", pql_transition_names[record->transition],
                   PQL_SLICE_ARG(record->definition), PQL_SLICE_ARG(record->account_id),
                   PQL_SLICE_ARG(record->user_id), (long long)record->occurred_at,
                   pql_origin_names[record->origin]);
    if (record->transition == PQL_LEFT) pql_buf_printf(&f->log, " %s", pql_reason_names[record->reason]);
    if (record->is_shadow) pql_buf_text(&f->log, " in shadow");
    if (record->complete_since != PQL_NO_TIME)
        pql_buf_printf(&f->log, " since %lld", (long long)record->complete_since);
    pql_buf_text(&f->log, "\n");
}

static struct pql_definition_conf *define(struct fixture *f, size_t program, const char *name,
                                          enum pql_subject subject, const char *qualify)
{
    struct programs *p = &f->programs[program];
    struct pql_definition_conf *conf = &p->definitions[p->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
    return conf;
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    for (size_t i = 0; i < PROGRAMS_MAX; i++) {
        f->programs[i].conf.app = pql_slice_of("test");
        f->programs[i].conf.settings = pql_settings_default();
        f->programs[i].conf.definitions = f->programs[i].definitions;
    }
    pql_diags_init(&f->diags);
    return f;
}

static const struct pql_program *program_of(struct fixture *f, size_t index)
{
    struct programs *p = &f->programs[index];
    if (!p->program) p->program = pql_program_new(&p->conf, &f->diags);
    if (!p->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(p->program);
    return p->program;
}

static void start(struct fixture *f)
{
    f->engine = pql_engine_new(program_of(f, 0), note, f);
}

static void fixture_free(struct fixture *f)
{
    pql_engine_free(f->engine);
    for (size_t i = 0; i < PROGRAMS_MAX; i++) pql_program_free(f->programs[i].program);
    pql_diags_deinit(&f->diags);
    pql_buf_deinit(&f->log);
    free(f);
}

static struct pql_event event_of(const char *name, const char *account, const char *user, int64_t t_ms)
{
    return (struct pql_event){.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(name),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .time_ms = t_ms};
}

static void track(struct fixture *f, const char *name, const char *account, const char *user, int64_t t_ms)
{
    struct pql_event event = event_of(name, account, user, t_ms);
    pql_engine_apply(f->engine, &event);
}

/* Through a snapshot, which a change may have been cut by. */
static void reload(struct fixture *f, size_t program)
{
    struct pql_buf bytes = {0};
    struct pql_err err = {0};
    uint64_t digest = pql_engine_digest(f->engine);
    pql_snapshot_begin(f->engine, 1, 0);
    while (!pql_snapshot_step(f->engine, &bytes, 4096)) continue;
    pql_engine_free(f->engine);
    f->engine = pql_engine_new(program_of(f, program), note, f);
    if (pql_snapshot_load(f->engine, bytes.ptr, bytes.len, &err) || pql_snapshot_loaded(f->engine, &err))
        fail_msg("%s", err.msg);
    assert_true(pql_engine_digest(f->engine) == digest);
    pql_buf_deinit(&bytes);
}

static void change_to(struct fixture *f, size_t program)
{
    struct pql_err err = {0};
    assert_int_equal(pql_engine_change(f->engine, program_of(f, program), &err), 0);
    reload(f, program);
    assert_int_equal(pql_engine_part(f->engine).kind, PQL_WORK_CHANGE);
    pql_engine_set_limit(f->engine, 1);
    while (!pql_engine_settle(f->engine)) {
        reload(f, program);
        pql_engine_set_limit(f->engine, 1);
    }
    reload(f, program);
}

static void expect(struct fixture *f, const char *text)
{
    pql_buf_u8(&f->log, 0);
    assert_string_equal(f->log.ptr, text);
    f->log.len = 0;
}

static void a_threshold_is_edited_and_the_signal_is_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    define(f, 2, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 3");
    start(f);
    track(f, "x", "b", "", 1000);
    track(f, "x", "a", "", 2000);
    track(f, "x", "a", "", 3000);
    track(f, "x", "c", "", 4000);
    expect(f, "entered d a/ @3000 live\n");
    change_to(f, 1);
    expect(f, "entered d b/ @4000 definition_change\nentered d c/ @4000 definition_change\n");
    change_to(f, 2);
    expect(f, "left d a/ @4000 definition_change definition_changed\n"
              "left d b/ @4000 definition_change definition_changed\n"
              "left d c/ @4000 definition_change definition_changed\n");
    track(f, "x", "a", "", 5000);
    expect(f, "entered d a/ @5000 live\n");
    pql_engine_tick(f->engine, 2000 + HOUR);
    expect(f, "left d a/ @3602000 live expired\n");
    fixture_free(f);
}

static void a_removed_definition_takes_leave_of_its_members(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "gone", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
    define(f, 0, "kept", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    define(f, 1, "kept", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    start(f);
    track(f, "x", "a", "v", 1000);
    track(f, "x", "a", "u", 2000);
    track(f, "x", "b", "w", 3000);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "left gone a/u @3000 definition_change definition_removed\n"
              "left gone a/v @3000 definition_change definition_removed\n"
              "left gone b/w @3000 definition_change definition_removed\n");
    assert_int_equal(pql_engine_stats(f->engine).users, 0);
    /* And back: the key goes on above its last version, so that a connector keeps the newest. */
    change_to(f, 0);
    track(f, "x", "a", "u", 3000);
    expect(f, "entered gone a/u @3000 live since 3000\n");
    fixture_free(f);
}

static void renaming_is_leaving_and_entering_with_signals_kept(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "old", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    define(f, 1, "new", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    start(f);
    track(f, "x", "a", "", 1000);
    track(f, "x", "a", "", 2000);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "left old a/ @2000 definition_change definition_removed\n"
              "entered new a/ @2000 definition_change\n");
    fixture_free(f);
}

/* Who reads the topics is told that members left where they were, and that they entered where they are now;
 * the signals stay. */
static void going_live_is_leaving_in_shadow_and_entering(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < 3; i++) {
        define(f, i, "d", PQL_SUBJECT_USER, "count(x, 1h) >= 2")->mode =
            i == 1 ? PQL_MODE_LIVE : PQL_MODE_SHADOW;
        define(f, i, "e", PQL_SUBJECT_ACCOUNT, "users(is(d)) >= 1");
    }
    start(f);
    track(f, "x", "a", "u", 1000);
    track(f, "x", "a", "u", 2000);
    expect(f, "entered d a/u @2000 live in shadow\nentered e a/ @2000 live\n");
    change_to(f, 1);
    expect(f, "left d a/u @2000 definition_change definition_removed in shadow\n"
              "entered d a/u @2000 definition_change\n");
    track(f, "x", "a", "u", 3000);
    change_to(f, 2);
    expect(f, "left d a/u @3000 definition_change definition_removed\n"
              "entered d a/u @3000 definition_change in shadow\n");
    pql_engine_refresh(f->engine);
    expect(f, "snapshot e a/ @3000 refresh\n");
    pql_engine_tick(f->engine, 2000 + HOUR);
    expect(f, "left d a/u @3602000 live expired in shadow\nleft e a/ @3602000 live expired\n");
    fixture_free(f);
}

/* A customer that was won is no lead once the definition goes live, and no more where it goes back. */
static void what_outcomes_said_holds_whatever_the_mode(void **state)
{
    (void)state;
    static const struct pql_source won = {.text = {"closed_won", 10}};
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < 2; i++) {
        struct pql_definition_conf *conf = define(f, i, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
        conf->mode = i == 1 ? PQL_MODE_LIVE : PQL_MODE_SHADOW;
        conf->outcomes[PQL_OUTCOME_CONVERTS] = (struct pql_path_list){&won, 1};
    }
    start(f);
    track(f, "x", "a", "", 1000);
    track(f, "x", "b", "", 1000);
    struct pql_event outcome = event_of("closed_won", "a", "", 2000);
    outcome.kind = PQL_EVENT_OUTCOME;
    pql_engine_apply(f->engine, &outcome);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "left d b/ @2000 definition_change definition_removed in shadow\n"
              "entered d b/ @2000 definition_change\n");
    track(f, "x", "a", "", 3000);
    change_to(f, 0);
    expect(f, "left d b/ @3000 definition_change definition_removed\n"
              "entered d b/ @3000 definition_change in shadow\n");
    fixture_free(f);
}

static void a_new_signal_is_incomplete_until_its_window_is_over(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    define(f, 1, "e", PQL_SUBJECT_ACCOUNT, "count(y, 1h) >= 1");
    define(f, 1, "g", PQL_SUBJECT_ACCOUNT, "count(y, ever) >= 2");
    define(f, 1, "h", PQL_SUBJECT_ACCOUNT, "count(y, first 2h) >= 2");
    start(f);
    track(f, "y", "a", "", 1000);
    track(f, "x", "a", "", 2000);
    expect(f, "entered d a/ @2000 live\n");
    change_to(f, 1);
    expect(f, "");
    track(f, "y", "a", "", 3000);
    expect(f, "entered e a/ @3000 live since 2000\n");
    track(f, "y", "a", "", 1999 + HOUR);
    expect(f, "entered g a/ @3601999 live since 2000\nentered h a/ @3601999 live since 2000\n");
    /* What appears after the change is known whole. */
    track(f, "y", "b", "", 1999 + HOUR);
    track(f, "y", "b", "", 1999 + HOUR);
    expect(f, "entered e b/ @3601999 live\nentered g b/ @3601999 live\nentered h b/ @3601999 live\n");
    pql_engine_tick(f->engine, 1999 + 2 * HOUR);
    expect(f, "left d a/ @3602000 live expired\nleft e a/ @7201999 live expired\n"
              "left e b/ @7201999 live expired\n");
    fixture_free(f);
}

static void a_longer_memory_is_complete_only_from_now(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 4");
    for (size_t i = 0; i < 2; i++) f->programs[i].conf.settings.evidence_max = 1;
    start(f);
    for (int i = 0; i < 4; i++) track(f, "x", "a", "", 1000);
    track(f, "x", "b", "", 1000);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "left d a/ @1000 definition_change definition_changed since 1000\n");
    track(f, "x", "a", "", 2000);
    track(f, "x", "a", "", 2000);
    expect(f, "entered d a/ @2000 live since 1000\n");
    fixture_free(f);
}

static void users_that_were_not_kept_are_unknown(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 9");
    define(f, 1, "m", PQL_SUBJECT_ACCOUNT, "members() >= 1");
    start(f);
    track(f, "x", "a", "u", 1000);
    change_to(f, 1);
    expect(f, "");
    track(f, "x", "a", "u", 2000);
    track(f, "x", "b", "u", 2000);
    expect(f, "entered m a/ @2000 live since 1000\nentered m b/ @2000 live\n");
    fixture_free(f);
}

static void min_stay_delays_a_leave_and_keeps_its_reason(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1")->min_stay_ms = HOUR / 2;
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2")->min_stay_ms = HOUR / 2;
    start(f);
    track(f, "x", "a", "", 1000);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "");
    pql_engine_tick(f->engine, HOUR);
    expect(f, "left d a/ @1801000 live definition_changed\n");
    fixture_free(f);
}

static void whoever_entered_once_stays(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1")->once = true;
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2")->once = true;
    start(f);
    track(f, "x", "a", "", 1000);
    f->log.len = 0;
    change_to(f, 1);
    expect(f, "");
    fixture_free(f);
}

static void what_reads_a_changed_definition_follows_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < 2; i++) {
        define(f, i, "share", PQL_SUBJECT_ACCOUNT, "users(is(active)) >= 2");
        define(f, i, "active", PQL_SUBJECT_USER, i ? "count(x, 1h) >= 1" : "count(x, 1h) >= 2");
    }
    start(f);
    track(f, "x", "a", "v", 1000);
    track(f, "x", "a", "u", 1000);
    expect(f, "");
    change_to(f, 1);
    expect(f, "entered active a/u @1000 definition_change\nentered active a/v @1000 definition_change\n"
              "entered share a/ @1000 definition_change\n");
    change_to(f, 0);
    expect(f, "left active a/u @1000 definition_change definition_changed\n"
              "left active a/v @1000 definition_change definition_changed\n"
              "left share a/ @1000 definition_change definition_changed\n");
    fixture_free(f);
}

static void another_lateness_lets_waiting_events_go(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < 2; i++) define(f, i, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    f->programs[0].conf.settings.lateness_ms = HOUR;
    start(f);
    track(f, "x", "a", "", 1000);
    track(f, "x", "b", "", 500);
    expect(f, "");
    change_to(f, 1);
    expect(f, "entered d b/ @500 live\nentered d a/ @1000 live\n");
    fixture_free(f);
}

static void another_application_is_refused(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct pql_err err = {0};
    for (size_t i = 0; i < 2; i++) define(f, i, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    f->programs[1].conf.app = pql_slice_of("other");
    start(f);
    assert_int_equal(pql_engine_change(f->engine, program_of(f, 1), &err), -1);
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_int_equal(pql_engine_part(f->engine).kind, PQL_WORK_NONE);
    fixture_free(f);
}

/* --- against an engine that ran the second program from the first event on --- */

static uint64_t draw(uint64_t *random, uint64_t below)
{
    *random = *random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*random >> 33) % below;
}

enum { ACCOUNTS = 5, USERS = 4, KEYS = DEFINITIONS_MAX * ACCOUNTS * (USERS + 1), EVENTS = 120 };

/* Who is a member of what, by the records. */
struct members {
    const char *const *names;
    bool is_in[KEYS];
};

static void note_member(void *context, const struct pql_record *record)
{
    struct members *members = context;
    size_t d = 0;
    while (!pql_slice_is(record->definition, members->names[d])) d++;
    size_t account = (size_t)(record->account_id.ptr[0] - 'a');
    size_t user = record->user_id.len ? 1 + (size_t)(record->user_id.ptr[0] - 'u') : 0;
    bool *is_in = &members->is_in[(d * ACCOUNTS + account) * (USERS + 1) + user];
    if (record->transition == PQL_ENTERED) {
        assert_false(*is_in);
        *is_in = true;
    } else if (record->transition == PQL_LEFT) {
        assert_true(*is_in);
        *is_in = false;
    }
}

static const char *const names[] = {"p", "q", "r", "s", "t", NULL};
/* The conditions that programs are drawn from, by subject. */
static const char *const user_texts[] = {"count(x, 1h) >= 2", "count(x, 1h) >= 3 or count(y, 2h) >= 2",
                                         "count(y, 2h) >= 1 and count(x, 1h) >= 1",
                                         "distinct(x.p, 1h) >= 1 or count(y, 2h) >= 3"};
static const char *const account_texts[] = {
    "users(count(x, 1h) >= 1) >= 2", "count(y, 2h) >= 2", "users(count(x, 1h) >= 2) >= 1 and members() >= 2",
    "count(x, first 3h) >= 2 or ever(y)", "share(count(y, 2h) >= 1) >= 0.5"};

static void draw_program(struct fixture *f, size_t program, uint64_t *random)
{
    size_t n = 1 + draw(random, 4);
    for (size_t i = 0, next = draw(random, 2); i < n && next < 5; i++, next += 1 + draw(random, 2)) {
        bool of_user = draw(random, 2);
        define(f, program, names[next], of_user ? PQL_SUBJECT_USER : PQL_SUBJECT_ACCOUNT,
               of_user ? user_texts[draw(random, 4)] : account_texts[draw(random, 5)]);
    }
}

static struct pql_event draw_event(uint64_t *random, int64_t *now, char *account, char *user, bool erases)
{
    static const char *const events[] = {"x", "y", "x"};
    *now += (int64_t)draw(random, HOUR / 2);
    account[0] = (char)('a' + draw(random, ACCOUNTS));
    user[0] = (char)('u' + draw(random, USERS));
    struct pql_event event =
        event_of(events[draw(random, 3)], account, user, *now - (int64_t)draw(random, HOUR / 4));
    uint64_t erased = erases ? draw(random, 16) : 2; /* 0: a user, 1: an account */
    if (erased < 2) event.kind = PQL_EVENT_FORGET, event.name.len = 0;
    if (erased == 1) event.user.len = 0;
    return event;
}

/* With all events of before read again the state must be that of the second program alone: the same members,
 * and nobody left in a definition that is gone. */
static void run_random(uint64_t seed, bool erases)
{
    uint64_t random = seed;
    struct fixture *f = fixture_new();
    draw_program(f, 0, &random);
    draw_program(f, 1, &random);
    int64_t lateness = draw(&random, 2) ? HOUR / 4 : 0;
    for (size_t i = 0; i < 2; i++) f->programs[i].conf.settings.lateness_ms = lateness;
    struct members *members = calloc(2, sizeof *members);
    members[0].names = members[1].names = names;
    struct pql_engine *changed = pql_engine_new(program_of(f, 0), note_member, &members[0]);
    struct pql_engine *fresh = pql_engine_new(program_of(f, 1), note_member, &members[1]);
    size_t at = draw(&random, EVENTS);
    uint64_t events = random;
    int64_t now = HOUR;
    char account[2] = "a", user[2] = "u";
    for (size_t i = 0; i < EVENTS; i++) {
        struct pql_err err = {0};
        if (i == at) {
            uint64_t again = events;
            int64_t then = HOUR;
            char a[2] = "a", u[2] = "u";
            assert_int_equal(pql_engine_change(changed, program_of(f, 1), &err), 0);
            for (size_t k = 0; k < at; k++) {
                struct pql_event event = draw_event(&again, &then, a, u, erases);
                pql_engine_fill(changed, &event, PQL_NO_TIME);
            }
            assert_true(pql_engine_settle(changed));
            if (pql_engine_seen(fresh) != PQL_NO_TIME)
                assert_true(pql_engine_tick(fresh, pql_engine_seen(fresh)));
        }
        struct pql_event event = draw_event(&random, &now, account, user, erases);
        pql_engine_apply(changed, &event);
        pql_engine_apply(fresh, &event);
        for (size_t k = 0; k < KEYS && i >= at; k++)
            if (members[0].is_in[k] != members[1].is_in[k])
                fail_msg("seed %llu: after event %zu (change at %zu) key %zu is %s", (unsigned long long)seed,
                         i, at, k, members[0].is_in[k] ? "in and should not" : "not in and should");
    }
    free(members);
    pql_engine_free(changed);
    pql_engine_free(fresh);
    fixture_free(f);
}

static void filled_from_the_beginning_it_is_as_if_it_had_always_been(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) run_random(seed, false);
}

static void erasures_that_are_read_again_erase_what_is_new(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) run_random(seed, true);
}

/* One who is known by what is read again, joins, and is forgotten again: nothing names the user afterwards.
 */
static void who_is_forgotten_in_a_back_fill_is_gone(void **state)
{
    (void)state;
    static const enum pql_event_kind kinds[] = {PQL_EVENT_LEAVE_GROUP, PQL_EVENT_TRACK, PQL_EVENT_FORGET};
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "ever(z)");
    define(f, 1, "d", PQL_SUBJECT_USER, "count(x, 100h) >= 1");
    define(f, 2, "d", PQL_SUBJECT_ACCOUNT, "count(x, 200h) >= 1");
    start(f);
    track(f, "w", "a", "v", 10 * HOUR);
    struct pql_err err = {0};
    assert_int_equal(pql_engine_change(f->engine, program_of(f, 1), &err), 0);
    for (int i = 0; i < 3; i++) {
        struct pql_event event = event_of("x", "a", "u", (i + 1) * HOUR);
        event.kind = kinds[i];
        if (event.kind != PQL_EVENT_TRACK) event.name.len = 0;
        pql_engine_fill(f->engine, &event, PQL_NO_TIME);
    }
    assert_true(pql_engine_settle(f->engine));
    assert_int_equal(pql_engine_change(f->engine, program_of(f, 2), &err), 0);
    assert_true(pql_engine_settle(f->engine));
    track(f, "x", "a", "v", 11 * HOUR);
    expect(f, "entered d a/ @39600000 live since 36000000\n");
    fixture_free(f);
}

/* What was sent twice counts once, as it did live; what is late is so by the clock of its own input, although
 * the inputs are read one after the other. */
static void what_is_read_again_is_taken_as_it_was(void **state)
{
    (void)state;
    static const struct {
        const char *account, *id;
        uint32_t input;
        int64_t time_ms;
    } sent[] = {{"a", "1", 0, HOUR},     {"a", "2", 0, 2 * HOUR}, {"a", "2", 0, 2 * HOUR},
                {"b", "3", 0, HOUR},     {"b", "4", 0, 2 * HOUR}, {"b", "5", 0, 3 * HOUR},
                {"c", "6", 1, HOUR},     {"c", "7", 1, 2 * HOUR}, {"c", "8", 1, 3 * HOUR},
                {"b", "9", 0, 9 * HOUR}, {"a", "10", 0, HOUR}};
    struct fixture *f = fixture_new();
    define(f, 0, "d", PQL_SUBJECT_ACCOUNT, "ever(z)");
    define(f, 1, "d", PQL_SUBJECT_ACCOUNT, "count(x, 100h) >= 3");
    for (size_t i = 0; i < 2; i++) {
        f->programs[i].conf.settings.dedup_horizon_ms = 48 * HOUR;
        f->programs[i].conf.settings.late_policy = PQL_LATE_DROP;
    }
    start(f);
    struct pql_event end = event_of("w", "a", "u", 10 * HOUR);
    pql_engine_apply(f->engine, &end);
    struct pql_err err = {0};
    assert_int_equal(pql_engine_change(f->engine, program_of(f, 1), &err), 0);
    static const size_t order[] = {0, 1, 2, 3, 4, 5, 9, 10, 6, 7, 8};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
        size_t k = order[i];
        struct pql_event event = event_of("x", sent[k].account, "u", sent[k].time_ms);
        event.id = pql_slice_of(sent[k].id);
        event.input = sent[k].input;
        pql_engine_fill(f->engine, &event, PQL_NO_TIME);
    }
    assert_true(pql_engine_settle(f->engine));
    expect(f, "entered d b/ @36000000 definition_change\nentered d c/ @36000000 definition_change\n");
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_threshold_is_edited_and_the_signal_is_kept),
        cmocka_unit_test(a_removed_definition_takes_leave_of_its_members),
        cmocka_unit_test(renaming_is_leaving_and_entering_with_signals_kept),
        cmocka_unit_test(going_live_is_leaving_in_shadow_and_entering),
        cmocka_unit_test(what_outcomes_said_holds_whatever_the_mode),
        cmocka_unit_test(a_new_signal_is_incomplete_until_its_window_is_over),
        cmocka_unit_test(a_longer_memory_is_complete_only_from_now),
        cmocka_unit_test(users_that_were_not_kept_are_unknown),
        cmocka_unit_test(min_stay_delays_a_leave_and_keeps_its_reason),
        cmocka_unit_test(whoever_entered_once_stays),
        cmocka_unit_test(what_reads_a_changed_definition_follows_it),
        cmocka_unit_test(another_lateness_lets_waiting_events_go),
        cmocka_unit_test(another_application_is_refused),
        cmocka_unit_test(filled_from_the_beginning_it_is_as_if_it_had_always_been),
        cmocka_unit_test(erasures_that_are_read_again_erase_what_is_new),
        cmocka_unit_test(who_is_forgotten_in_a_back_fill_is_gone),
        cmocka_unit_test(what_is_read_again_is_taken_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
