/* Every function of the table, in every window that it takes: its state saved and loaded at any moment goes
 * on as if nothing had been, to the byte. What the values are is in tests/rules and tests/model. */
#include "core/engine.h"
#include "core/lang/lang.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

static const int64_t hour = 3600000;

/* {W}: each window that the function takes. */
static const struct {
    enum pql_subject subject;
    const char *text;
} texts[] = {
    {PQL_SUBJECT_USER, "count(x, {W}) >= 2"},
    {PQL_SUBJECT_USER, "2 * count(x, 2d) > count(x, prev 2d)"},
    {PQL_SUBJECT_ACCOUNT, "sum(x.p, {W}) >= 3"},
    {PQL_SUBJECT_USER, "avg(x.p, {W}) >= 1"},
    {PQL_SUBJECT_USER, "min(x.p, {W}) = 1"},
    {PQL_SUBJECT_ACCOUNT, "max(x.p, {W}) >= 2"},
    {PQL_SUBJECT_USER, "latest(x.s, {W}) = 'a'"},
    {PQL_SUBJECT_USER, "earliest(any.s, {W}) = 'b'"},
    {PQL_SUBJECT_USER, "distinct(x.s, {W}) >= 2"},
    {PQL_SUBJECT_USER, "days(any, {W}) >= 2"},
    {PQL_SUBJECT_ACCOUNT, "weeks(any, {W}) >= 2"},
    {PQL_SUBJECT_USER, "months(y, {W}) >= 1"},
    {PQL_SUBJECT_USER, "streak(any) >= 2"},
    {PQL_SUBJECT_USER, "ever(y where hour() >= 12 and weekday() < 6 and property('p') = 1)"},
    {PQL_SUBJECT_USER, "nth(x, 3) > first_time(y)"},
    {PQL_SUBJECT_USER, "last_time(x) - first_time(x) > 1d"},
    {PQL_SUBJECT_USER, "since(x) > 1d"},
    {PQL_SUBJECT_USER, "sequence(x then y then x, {W})"},
    {PQL_SUBJECT_ACCOUNT, "sequence(x then y by s within 1d, {W})"},
    {PQL_SUBJECT_USER, "usage(x.p, account.plan) >= 1"},
    {PQL_SUBJECT_USER, "age() > 3d"},
    {PQL_SUBJECT_ACCOUNT, "users(count(x, 1d) >= 2) >= 1"},
    {PQL_SUBJECT_ACCOUNT, "any_user(since(y) < 1d)"},
    {PQL_SUBJECT_ACCOUNT, "all_users(count(any, 3d) >= 1)"},
    {PQL_SUBJECT_ACCOUNT, "share(count(x, 1d) >= 1 of ever(y)) > 0.5"},
    {PQL_SUBJECT_ACCOUNT, "spread(user.role, count(any, 2d) >= 1) >= 2"},
    {PQL_SUBJECT_ACCOUNT, "members() >= 2"},
    {PQL_SUBJECT_USER, "is(d0) or was(d0) and in_state_for(d0) > 1d"},
    {PQL_SUBJECT_USER, "score(d0) >= 3 or tier(d0) = 'high'"},
    {PQL_SUBJECT_USER, "account.count(x, 1d) >= 4 or account.users(count(x, 1d) >= 2) >= 2"},
    {PQL_SUBJECT_USER, "account.spread(user.role, ever(x)) >= 2 and account.age() > 2d"},
    {PQL_SUBJECT_USER, "if(ever(x), coalesce(user.role, 'a'), 'b') = 'a'"},
    {PQL_SUBJECT_USER, "at_least(2, ever(x), ever(y), count(x, trial) >= 1)"},
};
enum { TEXTS = sizeof texts / sizeof *texts, DEFINITIONS = 300, EVENTS = 400 };

static const char *const windows[] = {
    [PQL_WINDOW_ROLLING] = "2d",       [PQL_WINDOW_PREV] = "prev 2d",         [PQL_WINDOW_FIRST] = "first 4d",
    [PQL_WINDOW_EVER] = "ever",        [PQL_WINDOW_TODAY] = "today",          [PQL_WINDOW_WEEK] = "this week",
    [PQL_WINDOW_MONTH] = "this month", [PQL_WINDOW_QUARTER] = "this quarter", [PQL_WINDOW_PERIOD] = "trial"};
enum { WINDOWS = sizeof windows / sizeof *windows };

struct world {
    struct pql_arena arena;
    struct pql_definition_conf definitions[DEFINITIONS];
    struct pql_period_conf period;
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_buf log;
};

static void note(void *context, const struct pql_record *record)
{
    struct world *w = context;
    pql_buf_printf(&w->log, "%s %.*s %.*s %s @%lld %.*s\n", pql_transition_names[record->transition],
                   PQL_SLICE_ARG(record->definition), PQL_SLICE_ARG(record->user_id),
                   pql_reason_names[record->reason], (long long)record->occurred_at,
                   PQL_SLICE_ARG(record->reason_text));
}

static const struct pql_function_row *row_of(const char *text)
{
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        size_t len = strlen(pql_functions[i].name);
        if (strncmp(text, pql_functions[i].name, len) == 0 && text[len] == '(') return &pql_functions[i];
    }
    return NULL;
}

#define TEXT(words)                                                                                          \
    {                                                                                                        \
        (words), sizeof(words) - 1                                                                           \
    }
#define NUMBER(digits, number)                                                                               \
    {                                                                                                        \
        .value = (number) * (pql_decimal)1000000, .source.text = TEXT(digits)                                \
    }
static const struct pql_item_conf items[] = {
    {.points = NUMBER("1", 1), .per.text = TEXT("count(x, 2d)"), .max = NUMBER("3", 3)},
    {.points = NUMBER("2", 2), .when.text = TEXT("ever(y)")}};
static const struct pql_tier_conf tiers[] = {{.name.text = TEXT("high"), .at = NUMBER("4", 4)},
                                             {.name.text = TEXT("low"), .at = NUMBER("1", 1)}};

static void define(struct world *w, enum pql_subject subject, const char *text)
{
    size_t i = w->conf.definitions_count++;
    struct pql_err err = {0};
    assert_true(i < DEFINITIONS);
    struct pql_definition_conf *conf = &w->definitions[i];
    conf->name = pql_slice_of(pql_arena_printf(&w->arena, "d%zu", i));
    conf->name_source.text = conf->name;
    conf->subject = subject;
    conf->version = 1;
    conf->qualify.text = pql_slice_of(text);
    conf->publish_missed = true;
    if (i == 0) {
        conf->score = items;
        conf->score_count = 2;
        conf->tiers = tiers;
        conf->tiers_count = 2;
    }
    if (i % 2 && pql_zone_load(pql_slice_of("America/New_York"), &w->arena, &conf->zone, &err))
        fail_msg("%s", err.msg);
}

static void define_in_windows(struct world *w, enum pql_subject subject, const char *text)
{
    const char *at = strstr(text, "{W}");
    const struct pql_function_row *row = row_of(text);
    if (!at) define(w, subject, text);
    for (unsigned kind = 0; at && kind < WINDOWS; kind++)
        if (windows[kind] && row->windows & 1u << kind)
            define(w, subject,
                   pql_arena_printf(&w->arena, "%.*s%s%s", (int)(at - text), text, windows[kind], at + 3));
}

static struct world *world_new(void)
{
    struct world *w = pql_xcalloc(1, sizeof *w);
    pql_arena_init(&w->arena);
    pql_diags_init(&w->diags);
    w->period = (struct pql_period_conf){
        .name = pql_slice_of("trial"), .start.text = pql_slice_of("account.trial"), .length_ms = 72 * hour};
    w->conf.app = pql_slice_of("test");
    w->conf.settings = pql_settings_default();
    w->conf.settings.start_grace_ms = 24 * hour;
    w->conf.periods = &w->period;
    w->conf.periods_count = 1;
    w->conf.definitions = w->definitions;
    for (size_t i = 0; i < TEXTS; i++) define_in_windows(w, texts[i].subject, texts[i].text);
    w->program = pql_program_new(&w->conf, &w->diags);
    if (!w->program) pql_diags_print(&w->diags, stderr);
    assert_non_null(w->program);
    return w;
}

static void world_free(struct world *w)
{
    pql_program_free(w->program);
    pql_diags_deinit(&w->diags);
    pql_buf_deinit(&w->log);
    pql_arena_deinit(&w->arena);
    free(w);
}

/* A row that is available and in no text would be saved and loaded by nobody here. */
static void every_row_is_covered(void **state)
{
    (void)state;
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        bool is_found = false;
        for (size_t k = 0; k < TEXTS; k++)
            for (const char *at = texts[k].text; (at = strstr(at, pql_functions[i].name)); at++)
                is_found |= (at == texts[k].text || !strchr("abcdefghijklmnopqrstuvwxyz_", at[-1])) &&
                            at[strlen(pql_functions[i].name)] == '(';
        if (pql_functions[i].is_available && !is_found) fail_msg("'%s' is in no text", pql_functions[i].name);
    }
}

static uint64_t random_next(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *seed >> 33;
}

static struct pql_value value_of(uint64_t random, bool is_number)
{
    static const char *const words[] = {"a", "b", "c"};
    if (random % 5 == 4) return pql_null();
    if (is_number) return pql_number(pql_decimal_of_int((int64_t)(random % 4)));
    return pql_text(pql_slice_of(words[random % 3]));
}

static void fill(struct pql_value *values, const struct pql_slice *names, size_t count, uint64_t *seed,
                 int64_t at)
{
    for (size_t i = 0; i < count; i++) {
        values[i] = value_of(random_next(seed), names[i].ptr[0] == 'p');
        if (pql_slice_is(names[i], "trial")) values[i] = pql_number(pql_decimal_of_int(at - 12 * hour));
    }
}

static void apply_random(struct pql_engine *engine, const struct pql_names *names, uint64_t seed, int64_t at)
{
    static const char *const users[] = {"u", "v", "w", ""};
    static const char *const events[] = {"x", "y", "z"};
    static const enum pql_event_kind kinds[] = {PQL_EVENT_IDENTIFY, PQL_EVENT_GROUP};
    struct pql_value properties[8], user[8], account[8];
    uint64_t kind = random_next(&seed) % 12;
    struct pql_event event = {.kind = kind < 2 ? kinds[kind] : PQL_EVENT_TRACK,
                              .name = pql_slice_of(kind < 2 ? "" : events[kind % 3]),
                              .account = pql_slice_of("A"),
                              .user = pql_slice_of(users[random_next(&seed) % (kind == 0 ? 3 : 4)]),
                              .time_ms = at - (random_next(&seed) % 8 ? 0 : 20 * hour),
                              .properties = properties,
                              .user_attributes = user,
                              .account_attributes = account};
    fill(properties, names->properties, names->properties_count, &seed, at);
    fill(user, names->user_attributes, names->user_attributes_count, &seed, at);
    fill(account, names->account_attributes, names->account_attributes_count, &seed, at);
    (void)pql_engine_apply(engine, &event);
}

static struct pql_engine *reloaded(struct world *w, struct pql_engine *engine)
{
    struct pql_buf bytes = {0};
    struct pql_err err = {0};
    pql_snapshot_begin(engine, 1, 0);
    while (!pql_snapshot_step(engine, &bytes, 1 << 20)) continue;
    struct pql_engine *again = pql_engine_new(w->program, note, w);
    if (pql_snapshot_load(again, bytes.ptr, bytes.len, &err) || pql_snapshot_loaded(again, &err))
        fail_msg("%s", err.msg);
    pql_buf_deinit(&bytes);
    pql_engine_free(engine);
    return again;
}

/* The records and the digest of a run whose state is loaded anew after every n-th event; 0: never. */
static uint64_t run(struct world *w, uint64_t seed, size_t n)
{
    struct pql_engine *engine = pql_engine_new(w->program, note, w);
    const struct pql_names *names = pql_program_names(w->program);
    int64_t at = INT64_C(1772668800000); /* 2026-03-05: New York sets its clocks on the 8th */
    w->log.len = 0;
    for (size_t i = 0; i < EVENTS; i++) {
        uint64_t own = seed * 100003 + i;
        at += (int64_t)(random_next(&own) % 5) * hour + (int64_t)(random_next(&own) % 3);
        apply_random(engine, names, own, at);
        if (i % 37 == 36) pql_engine_tick(engine, at += 9 * hour);
        if (n && i % n == n - 1) engine = reloaded(w, engine);
    }
    uint64_t digest = pql_engine_digest(engine);
    assert_int_equal(pql_engine_bytes_off(engine), 0);
    pql_engine_tick(engine, at + 4000 * hour);
    pql_buf_u8(&w->log, 0);
    pql_engine_free(engine);
    return digest;
}

static void loaded_it_goes_on_as_if_nothing_had_been(void **state)
{
    (void)state;
    struct world *w = world_new();
    for (uint64_t seed = 1; seed <= 4; seed++) {
        uint64_t digest = run(w, seed, 0);
        char *log = strdup(w->log.ptr);
        assert_true(w->log.len > 10000);
        for (size_t n = 1; n <= 40; n += 13) {
            uint64_t again = run(w, seed, n);
            size_t same = 0;
            while (log[same] && log[same] == w->log.ptr[same]) same++;
            while (same && log[same - 1] != '\n') same--;
            if (strcmp(log, w->log.ptr) != 0)
                fail_msg("seed %d, loaded after every %zu:\n%.*s\nis\n%.*s", (int)seed, n, 300, log + same,
                         300, w->log.ptr + same);
            if (again != digest) fail_msg("seed %d, loaded after every %zu: another digest", (int)seed, n);
        }
        free(log);
    }
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_row_is_covered),
                                       cmocka_unit_test(loaded_it_goes_on_as_if_nothing_had_been)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
