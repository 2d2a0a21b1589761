/* Scores: items, families, caps, factors, tiers, and what is published of them, from the configuration's text
 * to records. The state is saved and loaded again after every event: nothing may follow from that. */
#include "core/engine.h"
#include "io/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { HOUR = 3600000, DAY = 24 * HOUR };

struct fixture {
    struct pql_diags diags;
    struct pql_config *config, *old_config;
    struct pql_program *program, *old_program;
    struct pql_engine *engine;
    struct pql_buf log;
    int64_t offset;
};

static void put_time(struct pql_buf *out, int64_t ms)
{
    pql_buf_printf(out, "%02d", (int)(ms / DAY + 1));
    if (ms % DAY) pql_buf_printf(out, "T%02d:%02d", (int)(ms % DAY / HOUR), (int)(ms % HOUR / 60000));
    if (ms % 60000) pql_buf_printf(out, "+%dms", (int)(ms % 60000));
}

static void put_number(struct pql_buf *out, const char *name, pql_decimal number)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    pql_buf_printf(out, " %s%.*s", name, (int)pql_decimal_text(number, digits), digits);
}

static void note(void *context, const struct pql_record *record)
{
    struct pql_buf *log = &((struct fixture *)context)->log;
    put_time(log, record->occurred_at);
    pql_buf_printf(log, " %.*s", PQL_SLICE_ARG(record->definition));
    if (record->user_id.len) pql_buf_printf(log, " %.*s", PQL_SLICE_ARG(record->user_id));
    pql_buf_printf(log, " %s %s", pql_transition_names[record->transition], pql_reason_names[record->reason]);
    if (record->has_score) put_number(log, "", record->score);
    if (record->has_previous_score) put_number(log, "was ", record->previous_score);
    if (record->tier.len) pql_buf_printf(log, " %.*s", PQL_SLICE_ARG(record->tier));
    if (record->previous_tier.len) pql_buf_printf(log, " after %.*s", PQL_SLICE_ARG(record->previous_tier));
    if (record->expires_at != PQL_NO_TIME) {
        pql_buf_text(log, " until ");
        put_time(log, record->expires_at);
    }
    pql_buf_text(log, record->has_source ? "\n" : " -\n");
}

#define HEAD                                                                                                 \
    "inputs = ( { topic = \"0\"; format = \"json\"; mapping = \"m\"; } );\n"                                 \
    "mappings = { m = { event = \"e\"; account = \"a\"; user = \"u\"; time = \"t\"; properties = \"p.*\"; "  \
    "attributes = \"t.*\"; }; };\n"

static struct pql_program *compile(struct fixture *f, const char *definitions)
{
    struct pql_buf text = {0};
    pql_buf_printf(&text, HEAD "definitions = (%s);\n", definitions);
    struct pql_config_request request = {
        .path = "program", .program = {text.ptr, text.len}, .today_ms = PQL_NO_TIME};
    f->config = pql_config_load(&request, &f->diags);
    assert_non_null(f->config);
    struct pql_program *program =
        f->diags.errors_count ? NULL : pql_program_new(&f->config->program, &f->diags);
    if (!program) pql_diags_print(&f->diags, stderr);
    pql_buf_deinit(&text);
    return program;
}

static struct fixture *started(const char *definitions)
{
    struct fixture *f = calloc(1, sizeof *f);
    pql_diags_init(&f->diags);
    f->program = compile(f, definitions);
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, note, f);
    return f;
}

static void ended(struct fixture *f)
{
    pql_engine_free(f->engine);
    pql_program_free(f->program);
    pql_program_free(f->old_program);
    pql_config_free(f->config);
    pql_config_free(f->old_config);
    pql_diags_deinit(&f->diags);
    pql_buf_deinit(&f->log);
    free(f);
}

/* The engine goes on from its saved state. */
static void reload(struct fixture *f)
{
    struct pql_err err = {0};
    struct pql_buf pages = {0};
    struct pql_engine *again = pql_engine_new(f->program, note, f);
    assert_int_equal(pql_engine_bytes_off(f->engine), 0);
    pql_snapshot_begin(f->engine, 1, 0);
    while (!pql_snapshot_step(f->engine, &pages, 4096)) continue;
    assert_int_equal(pql_snapshot_load(again, pages.ptr, pages.len, &err), 0);
    assert_int_equal(pql_snapshot_loaded(again, &err), 0);
    assert_true(pql_engine_digest(f->engine) == pql_engine_digest(again));
    assert_int_equal(pql_engine_bytes_off(again), 0);
    pql_engine_free(f->engine);
    pql_buf_deinit(&pages);
    f->engine = again;
}

static void apply(struct fixture *f, struct pql_event event)
{
    if (!event.account.len) event.account = pql_slice_of("A");
    event.offset = f->offset++;
    assert_int_equal(pql_engine_apply(f->engine, &event), PQL_APPLY_DONE);
    reload(f);
}

static void track(struct fixture *f, int64_t t_ms, const char *name, const char *user)
{
    apply(f, (struct pql_event){.name = pql_slice_of(name), .user = pql_slice_of(user), .time_ms = t_ms});
}

static void to(struct fixture *f, int64_t t_ms)
{
    while (!pql_engine_tick(f->engine, t_ms)) continue;
    reload(f);
}

static void expect(struct fixture *f, const char *text)
{
    pql_buf_u8(&f->log, 0);
    assert_string_equal(f->log.ptr, text);
    f->log.len = 0;
}

/* Example 11. */
static void an_item_expires(void **state)
{
    (void)state;
    struct fixture *f = started("{ name = \"d\"; qualify = \"score >= 8\";"
                                "  score = ( { points = 5; when = \"count(a, 30d) >= 1\"; },"
                                "            { points = 3; when = \"count(b, 7d) >= 1\"; } ); },"
                                "{ name = \"s\"; qualify = \"score >= 8\"; stay = \"score >= 5\";"
                                "  score = ( { points = 5; when = \"count(a, 30d) >= 1\"; },"
                                "            { points = 3; when = \"count(b, 7d) >= 1\"; } ); }");
    track(f, 0, "a", "u");
    track(f, DAY, "b", "u");
    to(f, 60 * (int64_t)DAY);
    expect(f, "02 d u entered condition 8 until 09\n"
              "02 s u entered condition 8 until 31\n"
              "09 d u left expired 5 was 8 -\n"
              "31 s u left expired 0 was 8 -\n");
    ended(f);
}

/* Example 12. */
static void a_negative_item_expires(void **state)
{
    (void)state;
    struct fixture *f = started("{ name = \"d\"; qualify = \"score >= 3\";"
                                "  score = ( { points = 1; per = \"count(login, 7d)\"; },"
                                "            { points = -5; per = \"count(cancel_clicked, 7d)\"; } ); }");
    track(f, 0, "cancel_clicked", "u");
    for (int day = 1; day <= 4; day++) track(f, day * (int64_t)DAY, "login", "u");
    expect(f, "");
    to(f, 60 * (int64_t)DAY);
    expect(f, "08 d u entered condition 4 until 10 -\n"
              "10 d u left expired 2 was 4 -\n");
    ended(f);
}

/* Example 29. */
static void families_have_caps(void **state)
{
    (void)state;
    struct fixture *f = started("{ name = \"d\"; qualify = \"score >= 8\";"
                                "  score = ( { family = \"intent\"; points = 5; when = \"ever(a)\"; },"
                                "            { family = \"collaboration\"; points = 3; when = \"ever(b)\"; },"
                                "            { family = \"collaboration\"; points = 3; when = \"ever(c)\"; },"
                                "            { family = \"context\"; points = 2; when = \"ever(d)\"; },"
                                "            { family = \"collaboration\"; points = -4; when = \"ever(e)\"; }"
                                "  ); publish = { scores = \"all\"; min_delta = 1; }; }");
    const char *events[] = {"b", "c", "d", "a", "e"};
    for (int i = 0; i < 5; i++) track(f, i * (int64_t)DAY, events[i], "u");
    expect(f, "01 d u score_changed condition 3\n"
              "03 d u score_changed condition 5 was 3\n"
              "04 d u entered condition 10 was 5\n"
              "05 d u left condition 6 was 10\n");
    ended(f);
}

#define POINTS "score = ( { points = 1; per = \"sum(x.p, ever)\"; } ); "

static void points(struct fixture *f, int64_t t_ms, int number)
{
    struct pql_value value = pql_number(pql_decimal_of_int(number));
    apply(f,
          (struct pql_event){
              .name = pql_slice_of("x"), .user = pql_slice_of("u"), .time_ms = t_ms, .properties = &value});
}

/* Example 39. */
static void tiers_follow_the_score(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"d\"; qualify = \"score >= 8\"; stay = \"score >= 6\";" POINTS
                "  tiers = ( { name = \"hot\"; at = 12; }, { name = \"warm\"; at = 8; } ); }");
    points(f, 0, 8);
    points(f, DAY, 4);
    points(f, 2 * DAY, -5);
    points(f, 3 * DAY, -2);
    expect(f, "01 d u entered condition 8 warm\n"
              "02 d u tier_changed condition 12 was 8 hot after warm\n"
              "03 d u tier_changed condition 7 was 12 warm after hot\n"
              "04 d u left condition 5 was 7 after warm\n");
    ended(f);
}

static void factors_round_one_after_the_other(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"d\"; qualify = \"score > 0\"; score = ( { points = 1; when = \"ever(x)\"; } );"
                "  multiply = ( { by = 0.333333; }, { when = \"ever(y)\"; by = 0.000002; },"
                "               { by = \"latest(z.none)\"; }, { by = 1000000; } ); }");
    track(f, 0, "x", "u");
    track(f, DAY, "y", "u");
    expect(f, "01 d u entered condition 333333\n"); /* 0.000001 x 1,000,000 */
    ended(f);
}

static void changes_of_the_score_have_a_budget(void **state)
{
    (void)state;
    struct fixture *f = started("{ name = \"d\"; qualify = \"score >= 8\";" POINTS
                                "  publish = { min_delta = 5; min_interval = \"1h\"; }; }");
    points(f, 0, 4); /* not qualified */
    points(f, HOUR, 4);
    points(f, HOUR + 60000, 4);     /* less than min_delta */
    points(f, HOUR + 2 * 60000, 1); /* held */
    points(f, HOUR + 3 * 60000, 7); /* what is true then is published */
    to(f, 3 * HOUR);
    points(f, 3 * HOUR, -5);        /* at once: the last is older */
    points(f, 3 * HOUR + 60000, 5); /* held */
    points(f, 3 * HOUR + 2 * 60000, -5);
    to(f, DAY);
    points(f, DAY, 5);
    points(f, DAY + 1, -20); /* a change of status waits for nothing */
    expect(f, "01T01:00 d u entered condition 8\n"
              "01T02:00 d u score_changed condition 20 was 8 -\n"
              "01T03:00 d u score_changed condition 15 was 20\n"
              "02 d u score_changed condition 20 was 15\n"
              "02T00:00+1ms d u left condition 0 was 20\n");
    ended(f);
}

/* Example 30, and the score after one step. */
static void an_item_decays(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"d\"; qualify = \"score >= 4\"; decay_step = \"1h\";"
                "  score = ( { points = 8; per = \"count(x, 30d)\"; half_life = \"1d\"; } );"
                "  publish = { min_delta = 3.9; }; },"
                "{ name = \"first\"; qualify = \"score >= 7.6\";" /* the step is an hour by default */
                "  score = ( { points = 8; per = \"count(x, 30d)\"; half_life = \"1d\"; } );"
                "  publish = { min_delta = 0.2; }; }");
    track(f, 10 * HOUR + HOUR / 2, "x", "u");
    to(f, 60 * (int64_t)DAY);
    expect(f, "01T10:30 d u entered condition 8 until 02T11:00\n"
              "01T10:30 first u entered condition 8 until 01T12:00\n"
              "01T11:00 first u score_changed decayed 7.772256 was 8 until 01T12:00 -\n"
              "01T12:00 first u left decayed 7.550992 was 7.772256 -\n"
              "02T10:00 d u score_changed decayed 4 was 8 until 02T11:00 -\n"
              "02T11:00 d u left decayed 3.886128 was 4 -\n");
    ended(f);
}

#define HALVED(WHAT, WINDOW)                                                                                 \
    "score = ( { points = 8; per = \"" WHAT "(x" WINDOW ")\"; half_life = \"1d\"; } ); "

/* Of the moment when it failed, through whatever it is read, and after anything that happened then. */
static void the_reason_is_decayed(void **state)
{
    (void)state;
    struct fixture *f = started("{ name = \"held\"; qualify = \"score >= 4\"; min_stay = \"3d\";" HALVED(
        "count",
        ", 30d") "},"
                 "{ name = \"plain\"; qualify = \"score >= 4\";" HALVED(
                     "count",
                     ", 30d") "},"
                              "{ name = \"short\"; qualify = \"score >= 4\";" HALVED(
                                  "count",
                                  ", 12h") "},"
                                           "{ name = \"both\"; qualify = \"score >= 4 and not "
                                           "ever(y)\";" HALVED(
                                               "count",
                                               ", 30d") "},"
                                                        "{ name = \"team\"; subject = \"account\"; qualify = "
                                                        "\"users(score(plain) >= 4) >= 1\"; },"
                                                        "{ name = \"after\"; subject = \"account\"; qualify "
                                                        "= \"any_user(is(plain))\"; }");
    track(f, HOUR / 2, "x", "u"); /* 4 until 02T01:00 */
    track(f, DAY + HOUR, "y", "u");
    to(f, 60 * (int64_t)DAY);
    expect(f, "01T00:30 held u entered condition 8 until 02T01:00\n"
              "01T00:30 plain u entered condition 8 until 02T01:00\n"
              "01T00:30 short u entered condition 8 until 01T12:30\n"
              "01T00:30 both u entered condition 8\n"
              "01T00:30 team entered condition\n"
              "01T00:30 after entered condition\n"
              "01T12:30 short u left expired 0 was 8 -\n"
              "02T01:00 plain u left decayed 3.886128 was 8\n"
              "02T01:00 both u left condition 3.886128 was 8\n"
              "02T01:00 team left decayed\n"
              "02T01:00 after left decayed\n"
              "04T00:30 held u left decayed 1 was 8 -\n");
    ended(f);
}

/* Since ever, in every function, with other steps and evenly. */
static void what_decays_may_be_of_any_window(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"sum\"; qualify = \"score >= 10\"; decay_step = \"1d\"; stay = \"score >= 3\";"
                "  score = ( { points = 0.5; per = \"sum(x.p, ever)\"; fades_over = \"4d\"; } ); },"
                "{ name = \"days\"; qualify = \"score >= 11\"; stay = \"score > 0\";" HALVED(
                    "days", ", first 7d") "},"
                                          "{ name = \"most\"; qualify = \"score >= 2\"; score = ( { points = "
                                          "1; per = \"count(x, ever)\";"
                                          "  max = 2; half_life = \"1d\"; } ); }");
    points(f, 0, 8);
    points(f, DAY, 14);    /* 0.75 x 8 + 14 */
    points(f, DAY + 1, 0); /* the same day: it ages from here */
    to(f, 60 * (int64_t)DAY);
    expect(f, "02 sum u entered condition 10 until 05\n"
              "02 days u entered condition 12\n"
              "02T00:00+1ms most u entered condition 2 until 02T08:00\n"
              "02T08:00 most u left decayed 1.984252 was 2 -\n"
              "05 sum u left decayed 1.75 was 10 -\n"
              "22T23:00 days u left decayed 0 was 12 -\n");
    ended(f);
}

/* The definition that others read: 5 points for a, 2 for each b of a day, at most 3. */
#define ACTIVATION(subject)                                                                                  \
    "{ name = \"activation\"; subject = \"" subject "\"; qualify = \"score >= 8\";"                          \
    "  score = ( { points = 5; when = \"ever(a)\"; }, { points = 2; per = \"count(b, 1d)\"; max = 3; } );"   \
    "  tiers = ( { name = \"some\"; at = 8; }, { name = \"all\"; at = 11; } ); },"

static void group(struct fixture *f, int64_t t_ms, int fit)
{
    struct pql_value value = pql_number(pql_decimal_of_int(fit));
    apply(f, (struct pql_event){.kind = PQL_EVENT_GROUP, .time_ms = t_ms, .account_attributes = &value});
}

static void other_definitions_read_scores(void **state)
{
    (void)state;
    struct fixture *f = started(
        "{ name = \"team\"; subject = \"account\"; qualify = \"users(score(activation) >= 7) >= 2\"; },"
        "{ name = \"fit\"; qualify = \"account.icp_fit * score(activation) >= 60\"; },"
        "{ name = \"top\"; qualify = \"tier(activation) = 'all'\"; }," ACTIVATION(
            "user") "{ name = \"sum\"; qualify = \"score >= 10\"; score = ( { points = 1; per = "
                    "\"score(activation)\";"
                    " } ); }");
    group(f, 0, 5);
    track(f, HOUR, "a", "u");
    track(f, HOUR, "a", "v");
    track(f, 2 * HOUR, "b", "u");
    track(f, 3 * HOUR, "b", "v"); /* two of them have 7 */
    group(f, 4 * HOUR, 10);       /* 7 x 10 */
    track(f, 5 * HOUR, "b", "u"); /* 9 */
    track(f, 6 * HOUR, "b", "u"); /* 11 */
    track(f, 7 * HOUR, "b", "u"); /* 11: at most 3 count */
    to(f, 10 * (int64_t)DAY);
    expect(f, "01T03:00 team entered condition\n"
              "01T04:00 fit u entered condition\n"
              "01T04:00 fit v entered condition\n"
              "01T05:00 activation u entered condition 9 some until 02T02:00\n"
              "01T06:00 activation u tier_changed condition 11 was 9 all after some until 02T05:00\n"
              "01T06:00 top u entered condition\n"
              "01T06:00 sum u entered condition 11 until 02T02:00\n"
              "02T03:00 team left expired -\n"
              "02T03:00 fit v left expired -\n"
              "02T05:00 activation u tier_changed expired 9 was 11 some after all until 02T06:00 -\n"
              "02T05:00 top u left expired -\n"
              "02T05:00 sum u left expired 9 was 11 -\n"
              "02T06:00 activation u left expired 7 was 9 after some -\n"
              "02T07:00 fit u left expired -\n");
    ended(f);
}

/* Of the account: users are visited when the comparison flips. */
static void users_read_the_score_of_their_account(void **state)
{
    (void)state;
    struct fixture *f =
        started(ACTIVATION("account") "{ name = \"d\"; qualify = \"score(activation) >= 7 and "
                                      "ever(login)\"; },"
                                      "{ name = \"e\"; qualify = \"score(activation) * count(login, ever) >= "
                                      "18\"; }");
    track(f, 0, "login", "u");
    track(f, HOUR, "login", "v");
    track(f, 2 * HOUR, "a", "w");
    track(f, 3 * HOUR, "b", "w");
    track(f, 4 * HOUR, "b", "w");
    track(f, 5 * HOUR, "login", "u"); /* 9 x 2 */
    to(f, 10 * (int64_t)DAY);
    expect(f, "01T03:00 d u entered condition\n"
              "01T03:00 d v entered condition\n"
              "01T04:00 activation entered condition 9 some until 02T03:00\n"
              "01T05:00 e u entered condition\n"
              "02T03:00 activation left expired 7 was 9 after some -\n"
              "02T03:00 e u left expired -\n"
              "02T04:00 d u left expired -\n"
              "02T04:00 d v left expired -\n");
    ended(f);
}

/* Whoever of the users reads it is told of what the quantifier counts. */
static void users_read_a_score_that_counts_users(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"d1\"; qualify = \"ever(login)\"; eligible = \"score(d0) * count(login, ever) < "
                "1.5\"; },"
                "{ name = \"d0\"; subject = \"account\"; qualify = \"score >= 5\";"
                "  score = ( { points = 1; per = \"users(count(y, 1d) >= 1)\"; } ); }");
    track(f, 0, "login", "u");
    track(f, HOUR, "y", "v");
    track(f, 2 * HOUR, "login", "v");
    track(f, 3 * HOUR, "y", "w");
    to(f, 10 * (int64_t)DAY);
    expect(f, "01 d1 u entered condition\n"
              "01T02:00 d1 v entered condition\n"
              "01T03:00 d1 u left ineligible\n"
              "01T03:00 d1 v left ineligible\n"
              "02T01:00 d1 u entered condition -\n"
              "02T01:00 d1 v entered condition -\n");
    ended(f);
}

/* --- what is refused: the messages, each with its place in `definitions`, which begins in line 3 --- */

static void expect_messages(const char *definitions, const char *messages)
{
    struct fixture f = {0};
    struct pql_buf text = {0}, said = {0};
    pql_diags_init(&f.diags);
    pql_buf_printf(&text, HEAD "definitions = (\n%s);\n", definitions);
    struct pql_config_request request = {
        .path = "program", .program = {text.ptr, text.len}, .today_ms = PQL_NO_TIME};
    f.config = pql_config_load(&request, &f.diags);
    assert_non_null(f.config);
    struct pql_program *program = pql_program_new(&f.config->program, &f.diags);
    pql_program_free(program);
    for (size_t i = 0; i < f.diags.count; i++) {
        const struct pql_diag *diag = &f.diags.items[i];
        pql_buf_printf(&said, "%d:%d: %s%s\n", diag->line - 3, diag->column,
                       diag->severity == PQL_SEVERITY_WARNING ? "warning: " : "", diag->message);
    }
    pql_buf_u8(&said, 0);
    assert_string_equal(said.ptr, messages);
    pql_buf_deinit(&text);
    pql_buf_deinit(&said);
    pql_diags_deinit(&f.diags);
    pql_config_free(f.config);
}

static void items_that_say_too_much_or_too_little(void **state)
{
    (void)state;
    expect_messages(
        "{ name = \"a\"; qualify = \"score >= 1\"; score = (\n"
        "  { points = 5; when = \"ever(x)\"; per = \"count(x, 7d)\"; },\n"
        "  { points = 0; when = \"ever(x)\"; },\n"
        "  { points = 3; },\n"
        "  { points = 1; when = \"ever(x)\"; max = 3; },\n"
        "  { points = 1; per = \"count(x, 7d)\"; max = -1; },\n"
        "  { points = \"five\"; when = \"ever(x)\"; },\n"
        "  { points = 1e3; when = \"ever(x)\"; },\n"
        "  { when = \"ever(x)\"; },\n"
        "  { points = 1; per = \"ever(x)\"; },\n"
        "  { points = 1; per = \"since(x)\"; },\n"
        "  { points = 1; per = \"account.count(x, 7d)\"; },\n"
        "  { points = 1; when = \"score > 3\"; } ); }",
        "2:3: an item has 'when' or 'per', not both\n"
        "3:14: 'points' is 0: the item would do nothing\n"
        "4:3: an item needs 'when' (a condition) or 'per' (a number)\n"
        "5:35: 'max' limits the units of 'per', and this item has none\n"
        "6:45: 'max' must be more than 0\n"
        "7:5: 'points' must be a number\n"
        "8:14: 'points' must be a number of digits and a point, as in 5 or -2.5\n"
        "9:3: 'points' is missing\n"
        "10:24: 'per' needs a number, but this is a condition; write it as 'when'\n"
        "11:24: 'per' needs a number, but this is a duration\n"
        "12:24: a value of the account must end in a condition of its own before it meets the user's, as in "
        "account.count(…) >= 100\n"
        "13:25: a score cannot be made of itself\n");
}

static void what_can_never_be(void **state)
{
    (void)state;
    expect_messages(
        "{ name = \"b\"; score = ( { family = \"usage\"; points = 5; when = \"ever(x)\"; },\n"
        "  { family = \"usage\"; points = 7; when = \"ever(y)\"; }, { points = 8; when = \"ever(z)\"; } );\n"
        "  caps = { usage = 20; usge = 3; };\n"
        "  tiers = ( { name = \"hot\"; at = 80; } );\n"
        "  qualify = \"score >= 80 or 80 <= score or score >= 0 or score < 0\"; },\n"
        "{ name = \"c\"; qualify = \"score(b) > 90 or score = -5 or tier(b) in ('hto')\"; score = (\n"
        "  { points = 2; per = \"count(x, 7d)\"; max = 3; }, { points = -4; when = \"ever(y)\"; } );\n"
        "  multiply = ( { by = 1.5; }, { when = \"ever(z)\"; by = 2; } ); stay = \"score > 18\"; }",
        "3:20: a cap of 20 can never be reached: the positive items of 'usage' add up to at most 12\n"
        "3:24: no item is of family 'usge'; did you mean 'usage'?\n"
        "4:23: tier 'hot' can never be reached: the items add up to at most 20\n"
        "5:14: 'score >= 80' can never hold: the items add up to at most 20\n"
        "5:29: '80 <= score' can never hold: the items add up to at most 20\n"
        "5:44: warning: 'score >= 0' always holds: the items add up to at least 0\n"
        "5:58: 'score < 0' can never hold: the items add up to at least 0\n"
        "6:26: 'score(b) > 90' can never hold: the items of 'b' add up to at most 20\n"
        "6:69: 'b' has no tier 'hto'; did you mean 'hot'?\n"
        "8:72: 'score > 18' can never hold: the items add up to at most 6, times the factors to at most "
        "18\n");
}

static void what_has_no_items_to_be_about(void **state)
{
    (void)state;
    expect_messages(
        "{ name = \"a\"; qualify = \"ever(x)\"; caps = { x = 3; };\n"
        "  multiply = ( { by = 2; } );\n"
        "  tiers = ( { name = \"hot\"; at = 1; } ); publish = { min_delta = 5; }; },\n"
        "{ name = \"b\"; qualify = \"ever(x)\"; score = ( ); }",
        "2:3: 'multiply' is about a score, and this definition has none; give it items: score = ( { points = "
        "5; "
        "when = \"…\"; } )\n"
        "1:36: 'caps' is about a score, and this definition has none; give it items: score = ( { points = 5; "
        "when "
        "= \"…\"; } )\n"
        "3:3: 'tiers' is about a score, and this definition has none; give it items: score = ( { points = 5; "
        "when = \"…\"; } )\n"
        "3:54: 'min_delta' is about a score, and this definition has none; give it items: score = ( { points "
        "= 5; "
        "when = \"…\"; } )\n"
        "4:36: 'score' is empty\n");
    expect_messages(
        "{ name = \"a\"; qualify = \"score >= 1\"; score = ( { points = 5; when = \"ever(x)\"; } );\n"
        "  tiers = ( { name = \"hot\"; at = 3; }, { name = \"hot\"; at = 1; }, { name = \"cold\"; at = 3; } "
        ");\n"
        "  publish = { scores = \"all\"; }; caps = { f = \"nil\"; }; }",
        "2:50: a tier 'hot' is there already\n"
        "2:89: tier 'hot' begins at this score already\n"
        "3:43: a cap is a number above 0, or \"none\", as in caps = { f = 5; }\n"
        "3:15: warning: 'scores' does nothing without 'min_delta', from which on changes of the score are "
        "published\n"
        "3:43: no item is of family 'f'\n");
}

#define POINT(name, per)                                                                                     \
    "{ name = \"" name "\"; qualify = \"score >= 1\"; score = ( { points = 1; " per "; } ); }"

static void expect_circle(const char *definitions, const char *circle)
{
    struct fixture f = {0};
    struct pql_buf text = {0};
    pql_diags_init(&f.diags);
    pql_buf_printf(&text, HEAD "definitions = (%s);\n", definitions);
    struct pql_config_request request = {
        .path = "program", .program = {text.ptr, text.len}, .today_ms = PQL_NO_TIME};
    f.config = pql_config_load(&request, &f.diags);
    assert_non_null(f.config);
    assert_null(pql_program_new(&f.config->program, &f.diags));
    assert_int_equal(f.diags.count, 1);
    assert_string_equal(f.diags.items[0].message, circle);
    pql_buf_deinit(&text);
    pql_diags_deinit(&f.diags);
    pql_config_free(f.config);
}

static void definitions_in_a_circle_are_refused(void **state)
{
    (void)state;
    expect_circle(POINT("a", "per = \"score(b)\"") "," POINT("b", "per = \"score(c)\"") "," POINT(
                      "c", "when = \"is(a)\"") ", { name = \"d\"; qualify = \"score(a) >= 1\"; }",
                  "definitions refer to each other in a circle: a -> b -> c -> a");
    expect_circle(POINT("a", "when = \"account.any_user(score(b) >= 1)\"") "," POINT(
                      "b", "when = \"account.any_user(score(a) >= 1)\""),
                  "definitions refer to each other in a circle: a -> b -> a");
}

/* With min_stay the lowest tier holds below all bars; `once` keeps a member whose tier still follows. */
static void tiers_hold_as_long_as_somebody_stays(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"m\"; qualify = \"score >= 8\"; min_stay = \"1d\";" POINTS
                "  tiers = ( { name = \"low\"; at = 4; }, { name = \"high\"; at = 10; } ); },"
                "{ name = \"o\"; qualify = \"score >= 8\"; once = true;" POINTS
                "  tiers = ( { name = \"low\"; at = 4; }, { name = \"high\"; at = 10; } ); }");
    points(f, 0, 12);
    points(f, HOUR, -11);
    points(f, 2 * HOUR, 20);
    points(f, 3 * HOUR, -20);
    to(f, 2 * (int64_t)DAY);
    expect(f, "01 m u entered condition 12 high\n"
              "01 o u entered condition 12 high\n"
              "01T01:00 m u tier_changed condition 1 was 12 low after high\n"
              "01T01:00 o u tier_changed condition 1 was 12 low after high\n"
              "01T02:00 m u tier_changed condition 21 was 1 high after low\n"
              "01T02:00 o u tier_changed condition 21 was 1 high after low\n"
              "01T03:00 m u tier_changed condition 1 was 21 low after high\n"
              "01T03:00 o u tier_changed condition 1 was 21 low after high\n"
              "02 m u left condition 1 was 1 after low -\n");
    ended(f);
}

/* The score is known once all of its items are. */
static void a_score_can_be_missed(void **state)
{
    (void)state;
    const char *one = "{ name = \"d\"; qualify = \"score >= 8\"; publish = { missed = true; };"
                      "  score = ( { points = 5; when = \"count(a, first 7d) >= 1\"; },"
                      "            { points = 3; per = \"count(b, first 3d)\"; } ); }";
    struct fixture *f = started(one);
    track(f, 0, "a", "u");
    to(f, 20 * (int64_t)DAY);
    expect(f, "08 d u missed expired 5 -\n");
    ended(f);
    f = started("{ name = \"d\"; qualify = \"score >= 8\"; publish = { missed = true; };"
                "  score = ( { points = 5; when = \"count(a, first 7d) >= 1\"; }, { points = 3; when = "
                "\"ever(b)\"; } ); }");
    track(f, 0, "a", "u");
    to(f, 20 * (int64_t)DAY);
    expect(f, "");
    ended(f);
}

static void nothing_is_no_points_and_no_factor(void **state)
{
    (void)state;
    struct fixture *f = started(
        "{ name = \"d\"; qualify = \"score >= 3\"; multiply = ( { by = \"avg(y.p, 7d)\"; } );"
        "  score = ( { points = 1; per = \"avg(x.p, 7d)\"; }, { points = 2; when = \"ever(a)\"; } ); }");
    struct pql_value four = pql_number(pql_decimal_of_int(4));
    track(f, 0, "a", "u"); /* 2 */
    apply(f, (struct pql_event){
                 .name = pql_slice_of("y"), .user = pql_slice_of("u"), .time_ms = HOUR, .properties = &four});
    to(f, 10 * (int64_t)DAY);
    expect(f, "01T01:00 d u entered condition 8 until 08T01:00\n"
              "08T01:00 d u left expired 2 was 8 -\n");
    ended(f);
}

/* Everybody's score, also of those for whom nothing has happened yet but who get points for that. */
static void scores_of_all_are_published(void **state)
{
    (void)state;
    struct fixture *f = started(
        "{ name = \"d\"; qualify = \"score >= 90\"; publish = { scores = \"all\"; min_delta = 2; };"
        "  score = ( { points = 100; when = \"ever(z)\"; }, { points = 3; when = \"not ever(a)\"; } ); }");
    track(f, 0, "login", "u");
    track(f, DAY, "a", "u");
    expect(f, "01 d u score_changed condition 3\n"
              "02 d u score_changed condition 0 was 3\n");
    ended(f);
}

/* --- another program under the state --- */

static void change(struct fixture *f, const char *definitions)
{
    struct pql_err err = {0};
    f->old_config = f->config;
    f->old_program = f->program;
    struct pql_program *program = compile(f, definitions);
    assert_non_null(program);
    f->program = program;
    assert_int_equal(pql_engine_change(f->engine, program, &err), 0);
    while (!pql_engine_settle(f->engine)) continue;
    reload(f);
}

static void a_changed_score_is_looked_at_at_once(void **state)
{
    (void)state;
    const char *team = "{ name = \"team\"; subject = \"account\"; qualify = \"users(score(d) >= 8) >= 1\"; },"
                       "{ name = \"same\"; qualify = \"score(d) >= 8\"; },";
    char first[2000], second[2000];
    snprintf(first, sizeof first, "%s%s", team,
             "{ name = \"d\"; qualify = \"score >= 8\"; " POINTS
             "  tiers = ( { name = \"low\"; at = 2; }, { name = \"high\"; at = 12; } ); }");
    snprintf(
        second, sizeof second, "%s%s", team,
        "{ name = \"d\"; qualify = \"score >= 5\"; score = ( { points = 0.5; per = \"sum(x.p, ever)\"; } );"
        "  tiers = ( { name = \"high\"; at = 6.5; }, { name = \"new\"; at = 1; }, { name = \"low\"; at = 3; "
        "} ); }");
    struct fixture *f = started(first);
    points(f, 0, 12);
    change(f, second);
    expect(f, "01 d u entered condition 12 high\n"
              "01 team entered condition\n"
              "01 same u entered condition\n"
              "01 d u tier_changed definition_changed 6 was 12 low after high -\n"
              "01 team left definition_changed -\n"
              "01 same u left definition_changed -\n");
    ended(f);
}

static void a_definition_comes_to_a_score_and_loses_it(void **state)
{
    (void)state;
    struct fixture *f =
        started("{ name = \"d\"; qualify = \"ever(x)\"; }, { name = \"gone\"; qualify = \"score >= 1\";"
                "  score = ( { points = 1; when = \"ever(x)\"; } ); tiers = ( { name = \"t\"; at = 1; } ); },"
                "{ name = \"e\"; qualify = \"score >= 1\"; score = ( { points = 1; when = \"ever(x)\"; } );"
                "  tiers = ( { name = \"t\"; at = 1; } ); }");
    points(f, 0, 3);
    change(
        f,
        "{ name = \"d\"; qualify = \"ever(x) and score < 50\"; score = ( { points = 7; when = \"ever(x)\"; },"
        "  { points = 90; when = \"ever(z)\"; } ); tiers = ( { name = \"s\"; at = 1; } ); },"
        "{ name = \"e\"; qualify = \"ever(x)\"; }");
    points(f, DAY, 4);
    to(f, 20 * (int64_t)DAY);
    expect(f, "01 d u entered condition\n"
              "01 gone u entered condition 1 t\n"
              "01 e u entered condition 1 t\n"
              "01 gone u left definition_removed -\n"
              "01 d u tier_changed definition_changed 7 s -\n");
    ended(f);
}

/* --- what records say --- */

static void keep_words(void *context, const struct pql_record *record)
{
    struct pql_buf *log = &((struct fixture *)context)->log;
    pql_buf_printf(log, "%.*s\n", PQL_SLICE_ARG(record->reason_text));
    for (size_t i = 0; i < record->evidence_count; i++) {
        const struct pql_evidence *row = &record->evidence[i];
        pql_buf_printf(log, "  %.*s %s", PQL_SLICE_ARG(row->signal), row->met ? "met" : "not met");
        if (row->has_points) put_number(log, "points ", row->points);
        if (row->value.kind == PQL_NUMBER) put_number(log, "value ", row->value.number);
        if (row->threshold.kind == PQL_NUMBER) put_number(log, "threshold ", row->threshold.number);
        pql_buf_text(log, "\n");
    }
    for (size_t i = 0; i < record->missing_count; i++)
        pql_buf_printf(log, "  missing %.*s\n", PQL_SLICE_ARG(record->missing[i]));
}

static void records_say_what_gave_the_points(void **state)
{
    (void)state;
    struct fixture *f = calloc(1, sizeof *f);
    pql_diags_init(&f->diags);
    f->program = compile(f, "{ name = \"d\"; qualify = \"score >= 8 and ever(login)\"; stay = \"score >= 6\";"
                            "  context = [ \"count(c, ever)\" ];"
                            "  score = ( { points = 5; when = \"count(campaign_sent, 14d) >= 1\"; },"
                            "            { points = 1.5; per = \"count(b, 1d)\"; max = 2; },"
                            "            { points = -4; when = \"ever(c) or ever(d)\"; } ); }");
    assert_non_null(f->program);
    f->engine = pql_engine_new(f->program, keep_words, f);
    const char *events[] = {"login", "campaign_sent", "b", "b", "b", "c"};
    for (int i = 0; i < 6; i++) {
        struct pql_event event = {.name = pql_slice_of(events[i]),
                                  .user = pql_slice_of("u"),
                                  .account = pql_slice_of("A"),
                                  .time_ms = i * HOUR};
        (void)pql_engine_apply(f->engine, &event);
    }
    expect(f,
           "score 8 (needs 8): 5 for 1 campaign sent in 14 days and 3 for 2 b in 1 day and login\n"
           "  count(campaign_sent, 14d) met points 5 value 1 threshold 1\n"
           "  count(b, 1d) met points 3 value 2\n"
           "  ever(c) or ever(d) not met points 0\n"
           "  ever(login) met\n"
           "  count(c, ever) met value 0\n"
           "score 4 (needs 6): 5 for 1 campaign sent in 14 days and 3 for 3 b in 1 day and -4 for ever(c) or "
           "ever(d)\n"
           "  count(campaign_sent, 14d) met points 5 value 1 threshold 1\n"
           "  count(b, 1d) met points 3 value 3\n"
           "  ever(c) or ever(d) met points -4\n"
           "  ever(login) met\n"
           "  count(c, ever) met value 1\n"
           "  missing score >= 8\n");
    ended(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_item_expires),
        cmocka_unit_test(a_negative_item_expires),
        cmocka_unit_test(families_have_caps),
        cmocka_unit_test(tiers_follow_the_score),
        cmocka_unit_test(factors_round_one_after_the_other),
        cmocka_unit_test(changes_of_the_score_have_a_budget),
        cmocka_unit_test(an_item_decays),
        cmocka_unit_test(the_reason_is_decayed),
        cmocka_unit_test(what_decays_may_be_of_any_window),
        cmocka_unit_test(other_definitions_read_scores),
        cmocka_unit_test(users_read_the_score_of_their_account),
        cmocka_unit_test(users_read_a_score_that_counts_users),
        cmocka_unit_test(items_that_say_too_much_or_too_little),
        cmocka_unit_test(what_can_never_be),
        cmocka_unit_test(what_has_no_items_to_be_about),
        cmocka_unit_test(definitions_in_a_circle_are_refused),
        cmocka_unit_test(tiers_hold_as_long_as_somebody_stays),
        cmocka_unit_test(a_score_can_be_missed),
        cmocka_unit_test(nothing_is_no_points_and_no_factor),
        cmocka_unit_test(scores_of_all_are_published),
        cmocka_unit_test(a_changed_score_is_looked_at_at_once),
        cmocka_unit_test(a_definition_comes_to_a_score_and_loses_it),
        cmocka_unit_test(records_say_what_gave_the_points),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
