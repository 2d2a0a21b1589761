/* Two users become one: what is known of them afterwards is what folding the events of both as one user
 * gives, whatever the function and the window; who is gone; ids in chains; giant accounts; snapshots in
 * between. */
#include "core/engine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { MINUTE = 60000, HOUR = 3600000, DAY = 24 * HOUR, DEFINITIONS_MAX = 8, CONTEXT_MAX = 64 };

struct fixture {
    struct pql_definition_conf definitions[DEFINITIONS_MAX];
    struct pql_source context[CONTEXT_MAX];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_engine *engine;
    struct pql_buf log;
    bool with_values;
};

static uint32_t seed = 11;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

static void put_value(struct pql_buf *out, const struct pql_value *value)
{
    char text[PQL_DECIMAL_TEXT_MAX];
    struct pql_slice shown = pql_value_canonical(value, text);
    pql_buf_printf(out, "%.*s", PQL_SLICE_ARG(shown));
}

static void note(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    pql_buf_printf(&f->log, "%s %.*s %.*s/%.*s", pql_transition_names[record->transition],
                   PQL_SLICE_ARG(record->definition), PQL_SLICE_ARG(record->account_id),
                   PQL_SLICE_ARG(record->user_id));
    if (record->transition == PQL_LEFT) pql_buf_printf(&f->log, " %s", pql_reason_names[record->reason]);
    for (size_t i = 0; f->with_values && i < record->evidence_count; i++) {
        const struct pql_evidence *row = &record->evidence[i];
        pql_buf_printf(&f->log, "\n  %.*s: ", PQL_SLICE_ARG(row->signal));
        put_value(&f->log, &row->value);
        pql_buf_printf(&f->log, "%s %lld %lld", row->at_least ? "+" : "", (long long)row->first_at,
                       (long long)row->last_at);
    }
    pql_buf_text(&f->log, "\n");
}

static struct pql_definition_conf *define(struct fixture *f, const char *name, enum pql_subject subject,
                                          const char *qualify)
{
    struct pql_definition_conf *conf = &f->definitions[f->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
    return conf;
}

static struct fixture *fixture_new(void)
{
    struct fixture *f = calloc(1, sizeof *f);
    f->conf.app = pql_slice_of("test");
    f->conf.settings = pql_settings_default();
    f->conf.definitions = f->definitions;
    static struct pql_slice starts[1];
    starts[0] = pql_slice_of("signed_up");
    f->conf.start_events = starts;
    f->conf.start_events_count = 1;
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

static void apply(struct fixture *f, const struct pql_event *event)
{
    (void)pql_engine_apply(f->engine, event);
    assert_int_equal(pql_engine_bytes_off(f->engine), 0);
}

static void track(struct fixture *f, const char *name, const char *user, int64_t t_ms)
{
    apply(f, &(struct pql_event){.kind = PQL_EVENT_TRACK,
                                 .name = pql_slice_of(name),
                                 .account = pql_slice_of("a"),
                                 .user = pql_slice_of(user),
                                 .time_ms = t_ms});
}

static void alias(struct fixture *f, const char *previous, const char *user, int64_t t_ms)
{
    apply(f, &(struct pql_event){.kind = PQL_EVENT_ALIAS,
                                 .account = pql_slice_of("a"),
                                 .previous_user = pql_slice_of(previous),
                                 .user = pql_slice_of(user),
                                 .time_ms = t_ms});
}

static void expect(struct fixture *f, const char *text)
{
    pql_buf_u8(&f->log, 0);
    assert_string_equal(f->log.ptr, text);
    f->log.len = 0;
}

/* --- who is gone --- */

static void events_of_both_count_and_the_previous_user_leaves(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "two", PQL_SUBJECT_USER, "count(x, 7d) >= 2");
    define(f, "one", PQL_SUBJECT_USER, "count(x, 7d) >= 1");
    define(f, "all", PQL_SUBJECT_ACCOUNT, "users(count(x, 7d) >= 1) >= 2 or members() = 1");
    start(f);
    track(f, "x", "p", HOUR);
    track(f, "x", "u", 2 * HOUR);
    expect(f, "entered one a/p\nentered all a/\nentered one a/u\n");
    alias(f, "p", "u", 3 * HOUR);
    expect(f, "entered two a/u\nleft one a/p merged\n");
    track(f, "x", "p", 4 * HOUR);
    expect(f, "");
    pql_engine_tick(f->engine, HOUR + 8 * DAY);
    expect(f, "left two a/u expired\nleft one a/u expired\n");
    assert_int_equal(pql_engine_stats(f->engine).users, 1);
    fixture_free(f);
}

static void a_latched_member_leaves_too(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct pql_definition_conf *conf = define(f, "d", PQL_SUBJECT_USER, "ever(x)");
    conf->once = true;
    conf->min_stay_ms = DAY;
    start(f);
    track(f, "x", "p", HOUR);
    alias(f, "p", "z", 2 * HOUR);
    expect(f, "entered d a/p\nleft d a/p merged\nentered d a/z\n");
    fixture_free(f);
}

/* Definitions of accounts and of users have slots of the same numbers. */
static void only_definitions_of_users_are_left(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "n", PQL_SUBJECT_ACCOUNT, "distinct(x.user, first 1h) >= 3");
    define(f, "d", PQL_SUBJECT_USER, "not ever(never)");
    start(f);
    track(f, "x", "v", 1);
    alias(f, "v", "u", 2);
    expect(f, "entered d a/v\nentered d a/u\nleft d a/v merged\n");
    fixture_free(f);
}

static void ids_in_chains_and_circles_mean_one_user(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_USER, "count(x, ever) >= 3");
    define(f, "n", PQL_SUBJECT_ACCOUNT, "distinct(x.user, ever) >= 2");
    start(f);
    alias(f, "a", "b", 1); /* before any other event */
    alias(f, "b", "c", 2);
    alias(f, "c", "a", 3); /* a circle, itself, and once more */
    alias(f, "c", "c", 4);
    alias(f, "a", "b", 5);
    track(f, "x", "a", 10);
    track(f, "x", "b", 11);
    track(f, "x", "c", 12);
    expect(f, "entered d a/c\n");
    alias(f, "b", "d", 13); /* b is c, so all three are d */
    expect(f, "left d a/c merged\nentered d a/d\n");
    track(f, "x", "e", 14);
    expect(f, "entered n a/\n");
    alias(f, "e", "a", 15);
    expect(f, "left n a/ condition\n");
    assert_int_equal(pql_engine_stats(f->engine).users, 1);
    fixture_free(f);
}

static void a_start_that_is_explicit_holds_and_windows_follow_it(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_USER, "count(x, first 7d) >= 2");
    start(f);
    track(f, "x", "p", 0);
    track(f, "x", "p", 2 * DAY);
    expect(f, "entered d a/p\n");
    track(f, "signed_up", "u", DAY * 3 / 2);
    alias(f, "p", "u", 3 * DAY); /* [1.5 d, 8.5 d): the first x lies before it */
    expect(f, "left d a/p merged\n");
    track(f, "x", "p", 8 * DAY);
    expect(f, "entered d a/u\n");
    fixture_free(f);
}

static void what_quantifiers_count_follows(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "pql", PQL_SUBJECT_USER, "count(x, 7d) >= 1");
    define(f, "share", PQL_SUBJECT_ACCOUNT, "share(is(pql)) >= 0.5");
    define(f, "every", PQL_SUBJECT_ACCOUNT, "all_users(count(x, 7d) >= 1)");
    start(f);
    track(f, "x", "p", 1);
    track(f, "y", "u", 2);
    track(f, "y", "v", 3);
    expect(f, "entered pql a/p\nentered share a/\nentered every a/\nleft every a/ condition\n"
              "left share a/ condition\n");
    alias(f, "p", "u", 4); /* one of two members */
    expect(f, "left pql a/p merged\nentered pql a/u\nentered share a/\n");
    alias(f, "v", "u", 5);
    expect(f, "entered every a/\n");
    fixture_free(f);
}

/* --- as if all had been one user's --- */

static const char *const user_calls[] = {"count(x, 1d)",
                                         "count(x, prev 1d)",
                                         "count(x, ever)",
                                         "count(x, first 3d)",
                                         "count(x, this week)",
                                         "count(x, today)",
                                         "sum(x.n, 1d)",
                                         "sum(x.n, ever)",
                                         "sum(x.n, prev 1d)",
                                         "sum(x.n, first 3d)",
                                         "avg(x.n, 2d)",
                                         "avg(x.n, ever)",
                                         "min(x.n, 1d)",
                                         "max(x.n, 1d)",
                                         "max(x.n, ever)",
                                         "min(x.n, first 3d)",
                                         "distinct(x.n, 1d)",
                                         "distinct(x.n, ever)",
                                         "distinct(x.n, first 3d)",
                                         "distinct(x.user, 1d)",
                                         "days(any, 5d)",
                                         "weeks(any, ever)",
                                         "days(any, first 3d)",
                                         "streak(x)",
                                         "latest(x.n, 1d)",
                                         "latest(x.n)",
                                         "earliest(x.n)",
                                         "latest(x.n, first 3d)",
                                         "earliest(x.n, first 3d)",
                                         "nth(x, 3)",
                                         "first_time(y)",
                                         "last_time(y)",
                                         "sequence(x then y by n, first 3d)",
                                         "latest(x.n, this month)",
                                         "distinct(x.n, this week)",
                                         "user.role"};
static const char *const account_calls[] = {"count(x, 1d)",
                                            "distinct(x.user, 1d)",
                                            "distinct(x.user, ever)",
                                            "distinct(y.user, first 3d)",
                                            "distinct(x.user, this week)",
                                            "latest(x.user)",
                                            "earliest(y.user, first 3d)",
                                            "members()",
                                            "users(count(x, 1d) >= 2)",
                                            "share(count(x, 1d) >= 1)",
                                            "spread(user.role, count(any, 2d) >= 1)"};
/* Compared with constants only: no more is kept than they need. */
static const char user_compared[] =
    "not ever(never) or count(x, 1d) >= 3 or count(x, prev 1d) < 2 or distinct(x.n, 1d) > 3 or days(any, 5d) "
    ">= 2 "
    "or count(x, this week) >= 4 or distinct(x.n, ever) >= 3 or streak(x) >= 2 or since(x) > 6h or age() > "
    "30h "
    "or count(x, first 3d) >= 3 or distinct(x.n, first 3d) >= 2 or nth(x, 4) > last_time(y)";
static const char account_compared[] =
    "not ever(never) or distinct(x.user, 1d) >= 2 or distinct(x.user, ever) >= 3 or count(y, 1d) >= 2 "
    "or users(days(any, 5d) >= 2) >= 2 or share(count(x, 1d) >= 2) >= 0.5";

static void show_all(struct fixture *f, struct pql_definition_conf *conf, const char *const *calls,
                     size_t count, size_t from)
{
    for (size_t i = 0; i < count; i++) f->context[from + i].text = pql_slice_of(calls[i]);
    conf->context = f->context + from;
    conf->context_count = count;
}

static struct fixture *observer_new(bool as_numbers)
{
    struct fixture *f = fixture_new();
    f->conf.settings.evidence_max = 2;
    f->conf.settings.start_grace_ms = INT64_C(100) * DAY; /* what is no longer kept one by one: see below */
    f->with_values = true;
    if (!as_numbers) {
        define(f, "of_user", PQL_SUBJECT_USER, user_compared);
        define(f, "of_account", PQL_SUBJECT_ACCOUNT, account_compared);
    } else {
        size_t users = sizeof user_calls / sizeof *user_calls;
        show_all(f, define(f, "of_user", PQL_SUBJECT_USER, "not ever(never)"), user_calls, users, 0);
        show_all(f, define(f, "of_account", PQL_SUBJECT_ACCOUNT, "not ever(never)"), account_calls,
                 sizeof account_calls / sizeof *account_calls, users);
    }
    start(f);
    return f;
}

/* One of three ids; two of them become one after a while. folded: they were one from the beginning. */
struct log {
    struct pql_event events[120];
    struct pql_value values[120][2];
    size_t count, alias_at;
};

static const char *const ids[] = {"p", "u", "v"};

static void make_log(struct log *log)
{
    static const char *const names[] = {"x", "x", "x", "y", "z", "signed_up"};
    int64_t clock = INT64_C(40) * DAY + (int64_t)draw(DAY);
    log->count = 20 + draw(100);
    log->alias_at = draw((uint32_t)log->count);
    for (size_t i = 0; i < log->count; i++) {
        uint32_t kind = draw(12);
        clock += draw(3) ? 1 + draw(4 * HOUR) : draw(2) ? 1 : DAY - (int64_t)draw(2);
        struct pql_event *event = &log->events[i];
        log->values[i][0] = pql_number(pql_decimal_of_int((int64_t)draw(6)));
        log->values[i][1] = pql_text(pql_slice_of(draw(2) ? "admin" : "staff"));
        *event = (struct pql_event){.kind = kind ? PQL_EVENT_TRACK : PQL_EVENT_IDENTIFY,
                                    .name = pql_slice_of(kind ? names[draw(kind < 3 ? 6 : 5)] : ""),
                                    .account = pql_slice_of("a"),
                                    .user = pql_slice_of(ids[draw(3)]),
                                    .time_ms = clock,
                                    .properties = kind ? &log->values[i][0] : NULL,
                                    .user_attributes = kind ? NULL : &log->values[i][1]};
        if (i != log->alias_at) continue;
        *event = (struct pql_event){.kind = PQL_EVENT_ALIAS,
                                    .account = pql_slice_of("a"),
                                    .previous_user = pql_slice_of("p"),
                                    .user = pql_slice_of("u"),
                                    .time_ms = clock};
    }
}

static void apply_folded(struct fixture *f, const struct pql_event *event)
{
    struct pql_event folded = *event;
    if (pql_slice_is(event->user, "p")) folded.user = pql_slice_of("u");
    apply(f, &folded);
}

static void reload(struct fixture *f)
{
    struct pql_buf bytes = {0};
    uint64_t before = pql_engine_digest(f->engine);
    pql_snapshot_begin(f->engine, 1, 0);
    while (!pql_snapshot_step(f->engine, &bytes, 1 << 20)) {
    }
    assert_int_equal(pql_snapshot_digest(f->engine), before);
    struct pql_engine *loaded = pql_engine_new(f->program, note, f);
    assert_int_equal(pql_snapshot_load(loaded, bytes.ptr, bytes.len, NULL), 0);
    assert_int_equal(pql_snapshot_loaded(loaded, NULL), 0);
    assert_int_equal(pql_engine_digest(loaded), before);
    pql_engine_free(f->engine);
    f->engine = loaded;
    pql_buf_deinit(&bytes);
}

/* What is known of everybody now. */
static const char *look(struct fixture *f)
{
    f->log.len = 0;
    pql_engine_refresh(f->engine);
    pql_buf_u8(&f->log, 0);
    return f->log.ptr;
}

/* The first line that differs is shown, with the record that it is of. */
static void expect_same(struct fixture *merged, struct fixture *folded)
{
    const char *a = look(merged), *b = look(folded), *record = a;
    while (*a && *b) {
        size_t n = strcspn(a, "\n"), m = strcspn(b, "\n");
        if (*a != ' ') record = a;
        if (n != m || memcmp(a, b, n) != 0)
            fail_msg("%.*s\nmerged %.*s\nfolded %.*s", (int)strcspn(record, "\n"), record, (int)n, a, (int)m,
                     b);
        a += n + 1;
        b += m + 1;
    }
    assert_int_equal(*a, *b);
}

static void as_if(bool as_numbers)
{
    static struct log log;
    make_log(&log);
    struct fixture *merged = observer_new(as_numbers), *folded = observer_new(as_numbers);
    for (size_t i = 0; i < log.count; i++) {
        apply(merged, &log.events[i]);
        apply_folded(folded, &log.events[i]);
        if (draw(20) == 0) reload(merged);
        if (i >= log.alias_at) expect_same(merged, folded);
    }
    int64_t end = log.events[log.count - 1].time_ms;
    for (int64_t t = end; t < end + 4 * DAY; t += 1 + draw(9 * HOUR)) {
        pql_engine_tick(merged->engine, t);
        pql_engine_tick(folded->engine, t);
        expect_same(merged, folded);
    }
    fixture_free(merged);
    fixture_free(folded);
}

static void all_that_is_known_is_as_if_they_had_been_one(void **state)
{
    (void)state;
    for (int round = 0; round < 150; round++) as_if(round % 2);
}

/* --- many ids --- */

/* Every id of a giant account becomes one of a thousand users', the others stay; then they are one chain. */
static void a_giant_account_is_merged_user_by_user(void **state)
{
    (void)state;
    enum { USERS = 20000, KEPT = 1000 };
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_USER, "count(x, 7d) >= 3 or distinct(x.n, ever) >= 2");
    define(f, "n", PQL_SUBJECT_ACCOUNT, "members() = 1 and users(count(x, 7d) >= 1) = 1");
    start(f);
    char id[16], other[16];
    struct pql_value n = pql_number(PQL_DECIMAL_ONE);
    struct pql_event event = {
        .kind = PQL_EVENT_TRACK, .name = pql_slice_of("x"), .account = pql_slice_of("a")};
    for (int i = 0; i < USERS; i++) {
        snprintf(id, sizeof id, "u%d", i);
        event.user = pql_slice_of(id);
        event.properties = &n;
        event.time_ms = i;
        (void)pql_engine_apply(f->engine, &event);
    }
    reload(f);
    uint64_t before = pql_engine_bytes(f->engine);
    event = (struct pql_event){.kind = PQL_EVENT_ALIAS, .account = event.account, .time_ms = USERS};
    for (int i = KEPT; i < USERS; i++) {
        snprintf(id, sizeof id, "u%d", i);
        snprintf(other, sizeof other, "u%d", i % KEPT);
        event.previous_user = pql_slice_of(id);
        event.user = pql_slice_of(other);
        (void)pql_engine_apply(f->engine, &event);
        if (i == USERS / 2) reload(f);
    }
    assert_int_equal(pql_engine_stats(f->engine).users, KEPT);
    assert_true(pql_engine_bytes(f->engine) < before / 2);
    for (int i = 0; i + 1 < KEPT; i++) {
        snprintf(id, sizeof id, "u%d", i);
        snprintf(other, sizeof other, "u%d", i + 1);
        event.previous_user = pql_slice_of(id);
        event.user = pql_slice_of(other);
        (void)pql_engine_apply(f->engine, &event);
    }
    assert_int_equal(pql_engine_stats(f->engine).users, 1);
    assert_int_equal(pql_engine_bytes_off(f->engine), 0);
    reload(f);
    f->log.len = 0;
    track(f, "y", "u0", USERS + 1);
    expect(f, "");
    look(f);
    assert_non_null(strstr(f->log.ptr, "d a/u999"));
    assert_non_null(strstr(f->log.ptr, "n a/"));
    fixture_free(f);
}

/* --- events of a user without an account --- */

static struct fixture *roles_new(int64_t lateness_ms)
{
    struct fixture *f = fixture_new();
    f->conf.settings.lateness_ms = lateness_ms;
    define(f, "admin", PQL_SUBJECT_USER, "user.role = 'admin'");
    define(f, "two", PQL_SUBJECT_ACCOUNT, "users(user.role = 'admin' and count(x, 1d) >= 1) >= 2");
    start(f);
    return f;
}

static void identify_everywhere(struct fixture *f, const char *user, const char *role, int64_t t_ms)
{
    struct pql_value value = pql_text(pql_slice_of(role));
    apply(f, &(struct pql_event){.kind = PQL_EVENT_IDENTIFY,
                                 .user = pql_slice_of(user),
                                 .user_attributes = &value,
                                 .time_ms = t_ms});
}

static void of(struct fixture *f, enum pql_event_kind kind, const char *account, const char *user,
               int64_t t_ms)
{
    apply(f, &(struct pql_event){.kind = kind,
                                 .name = pql_slice_of(kind == PQL_EVENT_TRACK ? "x" : ""),
                                 .account = pql_slice_of(account),
                                 .user = pql_slice_of(user),
                                 .time_ms = t_ms});
}

static void an_event_without_an_account_is_of_all_where_the_user_is_a_member(void **state)
{
    (void)state;
    struct fixture *f = roles_new(0);
    of(f, PQL_EVENT_TRACK, "c", "u", 1);
    of(f, PQL_EVENT_TRACK, "b", "v", 2);
    of(f, PQL_EVENT_TRACK, "a", "u", 3);
    of(f, PQL_EVENT_TRACK, "d", "u", 4);
    of(f, PQL_EVENT_LEAVE_GROUP, "d", "u", 5);
    identify_everywhere(f, "u", "admin", 6);
    expect(f, "entered admin a/u\nentered admin c/u\n");
    identify_everywhere(f, "w", "admin", 7); /* nobody */
    of(f, PQL_EVENT_TRACK, "e", "u", 8);     /* it came later: its role there is not known */
    expect(f, "");
    reload(f);
    apply(f, &(struct pql_event){.kind = PQL_EVENT_ALIAS,
                                 .account = pql_slice_of("b"),
                                 .previous_user = pql_slice_of("old"),
                                 .user = pql_slice_of("v"),
                                 .time_ms = 9});
    identify_everywhere(f, "old", "admin", 10); /* v in b */
    expect(f, "entered admin b/v\n");
    identify_everywhere(f, "u", "staff", 8); /* late */
    identify_everywhere(f, "u", "staff", 11);
    expect(f, "left admin a/u condition\nleft admin c/u condition\n");
    fixture_free(f);
}

static void a_user_is_forgotten_in_all_its_accounts(void **state)
{
    (void)state;
    for (int lateness = 0; lateness < 2; lateness++) {
        struct fixture *f = roles_new(lateness * 10);
        of(f, PQL_EVENT_TRACK, "b", "u", 1);
        of(f, PQL_EVENT_TRACK, "a", "u", 2);
        of(f, PQL_EVENT_TRACK, "c", "v", 3);
        identify_everywhere(f, "u", "admin", 4);
        apply(f, &(struct pql_event){.kind = PQL_EVENT_FORGET, .user = pql_slice_of("u"), .time_ms = 5});
        pql_engine_finish(f->engine);
        expect(f,
               "entered admin a/u\nentered admin b/u\nleft admin a/u forgotten\nleft admin b/u forgotten\n");
        assert_int_equal(pql_engine_stats(f->engine).users, 1);
        reload(f);
        fixture_free(f);
    }
}

/* The same as if the producer had written one event to each account, where the user is a member in the order
 * of time and arrival. */
enum { MIXED = 90, ACCOUNTS = 3, USERS_OF_MIXED = 3, WINDOW = 40 };

struct mixed {
    struct pql_event event;
    struct pql_value role;
};

static const char *const account_ids[ACCOUNTS] = {"a", "b", "c"};

static struct mixed mixed_new(int64_t t_ms)
{
    struct mixed m = {.role = pql_text(pql_slice_of(draw(2) ? "admin" : "staff"))};
    uint32_t kind = draw(8);
    m.event = (struct pql_event){.kind = kind < 4   ? PQL_EVENT_TRACK
                                         : kind < 5 ? PQL_EVENT_LEAVE_GROUP
                                                    : PQL_EVENT_IDENTIFY,
                                 .name = pql_slice_of(kind < 4 ? "x" : ""),
                                 .account = pql_slice_of(kind < 6 ? account_ids[draw(ACCOUNTS)] : ""),
                                 .user = pql_slice_of(ids[draw(USERS_OF_MIXED)]),
                                 .time_ms = t_ms - (int64_t)draw(WINDOW)};
    return m;
}

static size_t index_in(const char *const *list, struct pql_slice id)
{
    size_t i = 0;
    while (!pql_slice_is(id, list[i])) i++;
    return i;
}

/* Is the user of event `at` a member of the account once all before it are applied? */
static bool was_member(const struct mixed *log, size_t at, size_t account)
{
    const struct mixed *latest = NULL;
    for (size_t i = 0; i < MIXED; i++) {
        const struct pql_event *event = &log[i].event;
        bool is_before =
            event->time_ms < log[at].event.time_ms || (event->time_ms == log[at].event.time_ms && i < at);
        bool is_of_it = event->account.len && index_in(account_ids, event->account) == account &&
                        pql_slice_eq(event->user, log[at].event.user);
        if (!is_before || !is_of_it) continue;
        if (!latest || event->time_ms >= latest->event.time_ms) latest = &log[i];
    }
    return latest && latest->event.kind != PQL_EVENT_LEAVE_GROUP;
}

/* A snapshot that is taken bit by bit while events go on. */
struct running {
    bool is_open;
    uint64_t digest;
    struct pql_buf bytes;
};

static void snapshot_goes_on(struct fixture *f, struct running *running)
{
    if (!running->is_open) {
        running->is_open = true;
        running->digest = pql_engine_digest(f->engine);
        pql_snapshot_begin(f->engine, 1, 0);
    }
    if (draw(2) || !pql_snapshot_step(f->engine, &running->bytes, 1)) return;
    struct pql_engine *loaded = pql_engine_new(f->program, note, f);
    assert_int_equal(pql_snapshot_load(loaded, running->bytes.ptr, running->bytes.len, NULL), 0);
    assert_int_equal(pql_snapshot_loaded(loaded, NULL), 0);
    assert_int_equal(pql_engine_digest(loaded), running->digest);
    pql_engine_free(loaded);
    pql_buf_deinit(&running->bytes);
    *running = (struct running){0};
}

static void apply_in_parts(struct fixture *f, const struct pql_event *event, struct running *running)
{
    pql_engine_set_limit(f->engine, 1);
    while (pql_engine_apply(f->engine, event) == PQL_APPLY_PART) {
        snapshot_goes_on(f, running);
        if (!running->is_open && draw(3) == 0) reload(f);
        pql_engine_set_limit(f->engine, 1);
    }
    snapshot_goes_on(f, running);
}

static void with_lateness_they_take_their_place_among_the_others(void **state)
{
    (void)state;
    static struct mixed log[MIXED];
    for (int round = 0; round < 60; round++) {
        struct fixture *everywhere = roles_new(WINDOW), *each = roles_new(WINDOW);
        struct running running = {0};
        for (size_t i = 0; i < MIXED; i++) log[i] = mixed_new(1000 + (int64_t)i * 4 / (1 + round % 4));
        for (size_t i = 0; i < MIXED; i++) {
            struct pql_event event = log[i].event;
            if (event.kind == PQL_EVENT_IDENTIFY) event.user_attributes = &log[i].role;
            apply_in_parts(everywhere, &event, &running);
            for (size_t a = 0; !log[i].event.account.len && a < ACCOUNTS; a++) {
                event.account = pql_slice_of(account_ids[a]);
                if (was_member(log, i, a)) (void)pql_engine_apply(each->engine, &event);
            }
            if (log[i].event.account.len) (void)pql_engine_apply(each->engine, &event);
        }
        pql_engine_finish(everywhere->engine);
        pql_engine_finish(each->engine);
        pql_engine_tick(everywhere->engine, 5000);
        pql_engine_tick(each->engine, 5000);
        pql_buf_u8(&each->log, 0);
        expect(everywhere, each->log.ptr);
        fixture_free(everywhere);
        fixture_free(each);
        pql_buf_deinit(&running.bytes);
    }
}

int main(void)
{
    const char *given = getenv("PQL_TEST_SEED");
    if (given) seed = (uint32_t)strtoul(given, NULL, 10);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_of_both_count_and_the_previous_user_leaves),
        cmocka_unit_test(a_latched_member_leaves_too),
        cmocka_unit_test(only_definitions_of_users_are_left),
        cmocka_unit_test(ids_in_chains_and_circles_mean_one_user),
        cmocka_unit_test(a_start_that_is_explicit_holds_and_windows_follow_it),
        cmocka_unit_test(what_quantifiers_count_follows),
        cmocka_unit_test(all_that_is_known_is_as_if_they_had_been_one),
        cmocka_unit_test(a_giant_account_is_merged_user_by_user),
        cmocka_unit_test(an_event_without_an_account_is_of_all_where_the_user_is_a_member),
        cmocka_unit_test(a_user_is_forgotten_in_all_its_accounts),
        cmocka_unit_test(with_lateness_they_take_their_place_among_the_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
