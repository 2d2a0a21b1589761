/* One subject as a person sees it: what is missing and until when, who holds somebody back; that of a member
 * it says what a refresh would publish, and that looking changes nothing. */
#include "app/look_json.h"
#include "core/look.h"
#include "core/wire/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

#include <jansson.h>

enum { HOUR = 3600000, DAY = 24 * HOUR, DEFINITIONS_MAX = 6 };

struct fixture {
    struct pql_definition_conf definitions[DEFINITIONS_MAX];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_engine *engine;
    struct pql_encoder *json;
    struct pql_arena arena;
    size_t compared;
};

static const char *text_of(const struct fixture *f, struct pql_record record)
{
    static char text[16384];
    struct pql_buf out = {0};
    /* What only publishing gives a record. */
    memset(record.event_id, 0, sizeof record.event_id);
    record.version = record.complete_since = 0;
    pql_encode_record(f->json, &record, 0, &out);
    snprintf(text, sizeof text, "%.*s", (int)out.len, out.ptr);
    pql_buf_deinit(&out);
    return text;
}

static const struct pql_look_definition *look(struct fixture *f, const char *account, const char *user,
                                              const char *definition)
{
    static struct pql_look found;
    pql_arena_reset(&f->arena);
    enum pql_looked looked =
        pql_engine_look(f->engine, pql_slice_of(account), pql_slice_of(user), &f->arena, &found);
    assert_int_equal(looked, PQL_LOOK_FOUND);
    for (size_t i = 0; i < found.definitions_count; i++)
        if (pql_slice_is(found.definitions[i].conf->name, definition)) return &found.definitions[i];
    fail_msg("%s is not looked at", definition);
    return NULL;
}

/* Of a refresh: the look says the same. */
static void compare(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    char account[32], user[32], name[32], published[16384];
    if (record->transition != PQL_SNAPSHOT) return;
    snprintf(account, sizeof account, "%.*s", PQL_SLICE_ARG(record->account_id));
    snprintf(user, sizeof user, "%.*s", PQL_SLICE_ARG(record->user_id));
    snprintf(name, sizeof name, "%.*s", PQL_SLICE_ARG(record->definition));
    snprintf(published, sizeof published, "%s", text_of(f, *record));
    struct pql_record seen = look(f, account, user, name)->record;
    seen.has_previous_score = record->has_previous_score; /* a comparison with what was published */
    seen.previous_score = record->previous_score;
    seen.previous_tier = record->previous_tier;
    assert_string_equal(text_of(f, seen), published);
    f->compared++;
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
    const struct pql_encode_conf json = {.format = PQL_ENCODE_JSON};
    f->conf.app = pql_slice_of("test");
    f->conf.settings = pql_settings_default();
    f->conf.definitions = f->definitions;
    f->json = pql_encoder_new(&json);
    pql_diags_init(&f->diags);
    pql_arena_init(&f->arena);
    return f;
}

static void start(struct fixture *f)
{
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, compare, f);
}

static void fixture_free(struct fixture *f)
{
    pql_engine_free(f->engine);
    pql_program_free(f->program);
    pql_encoder_free(f->json);
    pql_diags_deinit(&f->diags);
    pql_arena_deinit(&f->arena);
    free(f);
}

static void track(struct fixture *f, const char *name, const char *account, const char *user, int64_t t_ms)
{
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(name),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .time_ms = t_ms};
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_DONE);
}

static void tells_what_is_missing(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "d", PQL_SUBJECT_USER, "count(invite, 1h) >= 2 and count(login, first 7d) >= 1");
    start(f);
    track(f, "invite", "a", "u", 1000);
    track(f, "other", "a", "u", 2000);
    const struct pql_look_definition *seen = look(f, "a", "u", "d");
    assert_int_equal(seen->record.status, PQL_NOT_YET);
    assert_int_equal(seen->record.missing_count, 2);
    assert_true(pql_slice_is(seen->record.missing[0], "count(invite, 1h) >= 2"));
    assert_true(pql_slice_is(seen->record.reason_text,
                             "1 invite (needs 2) in 1 hour and 0 login (needs 1) in the first 7 days"));
    assert_int_equal(seen->record.evidence[0].first_at, 1000);
    assert_int_equal(seen->rows[0].next_ms, 1000 + HOUR);             /* the invite is then too old */
    assert_int_equal(seen->rows[1].next_ms, 1000 + 7 * (int64_t)DAY); /* the window closes */
    assert_true(pql_slice_is(seen->rows[0].comparison, ">="));
    assert_int_equal(seen->hold, PQL_HOLD_NONE);
    track(f, "login", "a", "u", 3000);
    track(f, "invite", "a", "u", 4000);
    seen = look(f, "a", "u", "d");
    assert_int_equal(seen->record.status, PQL_QUALIFIED);
    assert_int_equal(seen->record.missing_count, 0);
    assert_int_equal(seen->record.expires_at, 1000 + HOUR);
    fixture_free(f);
}

static void tells_who_is_held_back(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "cooling", PQL_SUBJECT_USER, "count(x, 1h) >= 1")->cooldown_ms = DAY;
    struct pql_definition_conf *barred = define(f, "barred", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
    barred->eligible.text = pql_slice_of("count(paid, ever) >= 1");
    define(f, "held", PQL_SUBJECT_USER, "count(x, 1h) >= 1")->min_stay_ms = DAY;
    start(f);
    track(f, "x", "a", "u", 1000);
    assert_int_equal(look(f, "a", "u", "barred")->hold, PQL_HOLD_INELIGIBLE);
    assert_int_equal(look(f, "a", "u", "held")->leaves_ms, PQL_NO_TIME);
    (void)pql_engine_tick(f->engine, 1000 + HOUR);
    const struct pql_look_definition *seen = look(f, "a", "u", "cooling");
    assert_int_equal(seen->record.status, PQL_STATUS_LEFT);
    assert_int_equal(seen->hold, PQL_HOLD_COOLDOWN);
    assert_int_equal(seen->hold_until_ms, 1000 + HOUR + DAY);
    assert_int_equal(look(f, "a", "u", "held")->record.status, PQL_QUALIFIED);
    assert_int_equal(look(f, "a", "u", "held")->leaves_ms, 1000 + DAY);
    fixture_free(f);
}

static void says_what_a_refresh_would(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    define(f, "rolling", PQL_SUBJECT_USER, "count(x, 1h) >= 2 or days(y, 7d) >= 2");
    define(f, "first", PQL_SUBJECT_USER, "count(x, first 7d) >= 1 and is(rolling)");
    define(f, "team", PQL_SUBJECT_ACCOUNT, "users(count(x, 7d) >= 1) >= 2 and members() >= 2");
    define(f, "share", PQL_SUBJECT_ACCOUNT, "share(count(y, 7d) >= 1) >= 0.3");
    start(f);
    uint64_t random = 7;
    for (int64_t i = 0, t = 1000; i < 400; i++, t += HOUR / 4) {
        char account[8], user[8];
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        snprintf(account, sizeof account, "a%u", (unsigned)(random >> 40) % 5);
        snprintf(user, sizeof user, "u%u", (unsigned)(random >> 50) % 4);
        track(f, random >> 60 & 1 ? "x" : "y", account, user, t);
        struct pql_look all;
        uint64_t digest = pql_engine_digest(f->engine);
        pql_arena_reset(&f->arena);
        (void)pql_engine_look(f->engine, pql_slice_of(account), pql_slice_of(""), &f->arena, &all);
        (void)pql_engine_look(f->engine, pql_slice_of(account), pql_slice_of(user), &f->arena, &all);
        assert_int_equal(pql_engine_digest(f->engine), digest);
        if (i % 20 == 19) assert_true(pql_engine_refresh(f->engine));
    }
    assert_true(f->compared > 100);
    fixture_free(f);
}

static void is_json(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct pql_look found;
    struct pql_buf out = {0};
    json_error_t error;
    define(f, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    define(f, "of_users", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
    start(f);
    for (int i = 0; i < PQL_LOOK_USERS_MAX + 5; i++) {
        char user[8];
        snprintf(user, sizeof user, "\"u%d", i);
        track(f, "x", "a\"/%", user, 1000);
    }
    assert_int_equal(pql_engine_look(f->engine, pql_slice_of("b"), pql_slice_of(""), &f->arena, &found),
                     PQL_LOOK_NO_ACCOUNT);
    assert_int_equal(pql_engine_look(f->engine, pql_slice_of("a\"/%"), pql_slice_of("u1"), &f->arena, &found),
                     PQL_LOOK_NO_USER);
    assert_int_equal(pql_engine_look(f->engine, pql_slice_of("a\"/%"), pql_slice_of(""), &f->arena, &found),
                     PQL_LOOK_FOUND);
    pql_look_json(&found, 3, 2000, &out);
    json_t *json = json_loadb(out.ptr, out.len, 0, &error);
    if (!json) fail_msg("%s in %.*s", error.text, (int)out.len, out.ptr);
    assert_string_equal(json_string_value(json_object_get(json, "account")), "a\"/%");
    assert_int_equal(json_array_size(json_object_get(json, "users")), PQL_LOOK_USERS_MAX);
    assert_int_equal(json_integer_value(json_object_get(json, "users_count")), PQL_LOOK_USERS_MAX + 5);
    json_t *definitions = json_object_get(json, "definitions");
    assert_int_equal(json_array_size(definitions), 1); /* those of accounts */
    json_t *record = json_object_get(json_array_get(definitions, 0), "record");
    assert_string_equal(json_string_value(json_object_get(record, "status")), "qualified");
    json_decref(json);
    pql_buf_deinit(&out);
    fixture_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_what_is_missing),
        cmocka_unit_test(tells_who_is_held_back),
        cmocka_unit_test(says_what_a_refresh_would),
        cmocka_unit_test(is_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
