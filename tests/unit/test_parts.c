/* Long inputs in parts: an engine that stops wherever it may, is saved and loaded there, or follows a journal
 * of another one's stops, makes the same records and the same state as one that never stops. */
#include "core/engine.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { HOUR = 3600000, DAY = 24 * HOUR };

/* One of the engines that are compared. */
struct side {
    struct pql_engine *engine;
    struct pql_buf log;
    unsigned pause_one_in; /* 0: never; else emit asks for a stop, on average after so many records */
};

struct pair {
    struct pql_definition_conf definitions[4];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct side whole, parts, replay;
    unsigned load_one_in; /* of the parts: saved and loaded there */
    uint64_t stops;
};

static uint32_t seed, pause_seed;

static uint32_t draw_of(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % below;
}

static uint32_t draw(uint32_t below)
{
    return draw_of(&seed, below);
}

/* All that a connector sees but the texts, which follow from it. */
static void note(void *context, const struct pql_record *r)
{
    struct side *side = context;
    pql_buf_printf(
        &side->log, "%s %.*s %.*s/%.*s %s %s @%" PRId64 " v%" PRId64 " clock %" PRId64 " from %" PRId64,
        pql_transition_names[r->transition], PQL_SLICE_ARG(r->definition), PQL_SLICE_ARG(r->account_id),
        PQL_SLICE_ARG(r->user_id), pql_reason_names[r->reason], pql_origin_names[r->origin], r->occurred_at,
        r->version, r->clock, r->has_source ? r->source_offset : -1);
    pql_buf_printf(&side->log, " %s n%" PRId64 " until %" PRId64, r->event_id, r->qualification_count,
                   r->expires_at);
    for (size_t i = 0; i < r->evidence_count; i++) pql_buf_printf(&side->log, " %d", r->evidence[i].met);
    pql_buf_printf(&side->log, "\n");
    if (side->pause_one_in && !draw_of(&pause_seed, side->pause_one_in)) pql_engine_pause(side->engine);
}

static void define(struct pair *p, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &p->definitions[p->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
}

static struct pair *pair_new(void)
{
    struct pair *p = calloc(1, sizeof *p);
    p->conf.app = pql_slice_of("test");
    p->conf.settings = pql_settings_default();
    p->conf.definitions = p->definitions;
    pql_diags_init(&p->diags);
    return p;
}

static void start(struct pair *p)
{
    p->program = pql_program_new(&p->conf, &p->diags);
    if (!p->program) pql_diags_print(&p->diags, stderr);
    assert_non_null(p->program);
    p->whole.engine = pql_engine_new(p->program, note, &p->whole);
    p->parts.engine = pql_engine_new(p->program, note, &p->parts);
    p->replay.engine = pql_engine_new(p->program, note, &p->replay);
}

static void side_free(struct side *side)
{
    pql_engine_free(side->engine);
    pql_buf_deinit(&side->log);
}

static void pair_free(struct pair *p)
{
    side_free(&p->whole);
    side_free(&p->parts);
    side_free(&p->replay);
    pql_program_free(p->program);
    pql_diags_deinit(&p->diags);
    free(p);
}

/* --- an input to all three --- */

struct input {
    enum { EVENT, TICK, REFRESH } kind;
    struct pql_event event;
    int64_t t_ms;
};

static bool put(struct pql_engine *engine, const struct input *input, enum pql_applied *applied)
{
    *applied = PQL_APPLY_DONE;
    switch (input->kind) {
    case EVENT: *applied = pql_engine_apply(engine, &input->event); return *applied != PQL_APPLY_PART;
    case TICK: return pql_engine_tick(engine, input->t_ms);
    case REFRESH: return pql_engine_refresh(engine);
    }
    return true;
}

/* The engine, as its pages make another one. */
static struct pql_engine *copy_of(struct pair *p, struct pql_engine *engine, struct side *side,
                                  uint64_t limit)
{
    struct pql_buf pages = {0};
    struct pql_err err;
    uint64_t digest = pql_engine_digest(engine);
    pql_snapshot_begin(engine, 1, 0);
    while (!pql_snapshot_step(engine, &pages, 4096)) continue;
    struct pql_engine *copy = pql_engine_new(p->program, note, side);
    assert_int_equal(pql_snapshot_load(copy, pages.ptr, pages.len, &err), 0);
    assert_int_equal(pql_snapshot_loaded(copy, &err), 0);
    assert_true(pql_engine_digest(copy) == digest);
    pql_buf_deinit(&pages);
    pql_engine_set_limit(copy, limit);
    return copy;
}

static void stopped(struct pair *p, uint64_t limit)
{
    struct pql_part part = pql_engine_part(p->parts.engine);
    struct pql_err err;
    assert_int_not_equal(part.kind, PQL_WORK_NONE);
    p->stops++;
    if (pql_engine_replay_part(p->replay.engine, &part, &err)) fail_msg("%s", err.msg);
    assert_true(pql_engine_digest(p->replay.engine) == pql_engine_digest(p->parts.engine));
    if (!p->load_one_in || draw_of(&pause_seed, p->load_one_in)) return;
    struct side *side = draw_of(&pause_seed, 2) ? &p->parts : &p->replay;
    struct pql_engine *copy = copy_of(p, side->engine, side, side == &p->parts ? limit : 0);
    pql_engine_free(side->engine);
    side->engine = copy;
}

static void put_all(struct pair *p, const struct input *input, uint64_t limit)
{
    enum pql_applied whole, parts, replay;
    assert_true(put(p->whole.engine, input, &whole));
    pql_engine_set_limit(p->parts.engine, limit);
    while (!put(p->parts.engine, input, &parts)) stopped(p, limit);
    assert_int_equal(pql_engine_part(p->parts.engine).kind, PQL_WORK_NONE);
    assert_true(put(p->replay.engine, input, &replay));
    assert_int_equal(parts, whole);
    assert_int_equal(replay, whole);
}

static void expect_alike(struct pair *p)
{
    pql_buf_u8(&p->whole.log, 0);
    pql_buf_u8(&p->parts.log, 0);
    pql_buf_u8(&p->replay.log, 0);
    assert_string_equal(p->parts.log.ptr, p->whole.log.ptr);
    assert_string_equal(p->replay.log.ptr, p->whole.log.ptr);
    p->whole.log.len = p->parts.log.len = p->replay.log.len = 0;
    uint64_t digest = pql_engine_digest(p->whole.engine);
    assert_true(pql_engine_digest(p->parts.engine) == digest);
    assert_true(pql_engine_digest(p->replay.engine) == digest);
    assert_int_equal(pql_engine_seen(p->parts.engine), pql_engine_seen(p->whole.engine));
    assert_true(pql_engine_next_tick(p->parts.engine) == pql_engine_next_tick(p->whole.engine));
}

/* --- random inputs --- */

static void define_many(struct pair *p)
{
    define(p, "pql", PQL_SUBJECT_USER, "count(x, 3h) >= 2 and distinct(x.p, 1d) >= 1 or days(any, 5d) >= 3");
    define(p, "early", PQL_SUBJECT_USER, "count(x, first 6h) >= 2 and not ever(z)");
    define(p, "pqa", PQL_SUBJECT_ACCOUNT, "share(is(pql)) >= 0.4 and members() >= 2");
    define(p, "quiet", PQL_SUBJECT_ACCOUNT, "since(any) > 4h and users(count(x, 2d) >= 2) >= 1");
    p->definitions[0].stay.text = pql_slice_of("count(x, 3h) >= 1");
    p->definitions[0].min_stay_ms = HOUR;
    p->definitions[2].cooldown_ms = 2 * HOUR;
}

/* Times stand in hours, so that instants of several accounts coincide; now and then there is a gap. */
static struct input random_input(int64_t *clock, char text[3][16])
{
    static const char *const names[] = {"x", "x", "y", "z"};
    static struct pql_value property;
    static int64_t offset;
    uint32_t kind = draw(100);
    *clock += draw(60) ? (int64_t)draw(2) * HOUR : (int64_t)draw(8) * DAY;
    if (kind < 4) return (struct input){.kind = TICK, .t_ms = *clock};
    if (kind < 7) return (struct input){.kind = REFRESH};
    property = draw(2) ? pql_number(pql_decimal_of_int((int64_t)draw(4))) : pql_text(pql_slice_of("a"));
    snprintf(text[0], 16, "a%u", draw(20));
    snprintf(text[1], 16, "u%u", draw(4));
    snprintf(text[2], 16, "%u", draw(300));
    return (struct input){.kind = EVENT,
                          .event = {.kind = kind < 12 ? PQL_EVENT_CLOCK : PQL_EVENT_TRACK,
                                    .name = pql_slice_of(names[draw(4)]),
                                    .account = pql_slice_of(text[0]),
                                    .user = pql_slice_of(text[1]),
                                    .id = pql_slice_of(text[2]),
                                    .properties = &property,
                                    .offset = offset++,
                                    .time_ms = *clock - (int64_t)draw(3) * HOUR}};
}

static uint64_t run_random(uint32_t round, uint64_t limit, unsigned pause_one_in, int64_t lateness_ms)
{
    struct pair *p = pair_new();
    char text[3][16];
    int64_t clock = 0;
    seed = round;
    pause_seed = round + 1000;
    p->conf.settings.lateness_ms = lateness_ms;
    p->conf.settings.dedup_horizon_ms = round % 3 ? DAY : 0;
    p->conf.settings.late_policy = round % 4 == 1 ? PQL_LATE_DROP : PQL_LATE_APPLY;
    if (round % 5 == 2) p->conf.settings.buffer_bytes_max = 400;
    if (round % 2) p->conf.ignore.text = pql_slice_of("p >= 2");
    define_many(p);
    start(p);
    p->parts.pause_one_in = pause_one_in;
    p->load_one_in = 5;
    for (int i = 0; i < 250; i++) {
        struct input input = random_input(&clock, text);
        put_all(p, &input, limit);
        expect_alike(p);
    }
    put_all(p, &(struct input){.kind = TICK, .t_ms = clock + INT64_C(30) * DAY}, limit);
    expect_alike(p);
    uint64_t stops = p->stops;
    pair_free(p);
    return stops;
}

static void in_parts_is_the_same_as_at_once(int64_t lateness_ms)
{
    uint64_t stops = 0;
    for (uint32_t round = 0; round < 10; round++)
        for (uint64_t limit = 1; limit <= 3; limit++) stops += run_random(round, limit, 0, lateness_ms);
    assert_true(stops > 2000);
    for (uint32_t round = 10; round < 30; round++) stops += run_random(round, 0, 1 + round % 4, lateness_ms);
    assert_true(stops > 2200);
}

static void in_parts_without_lateness(void **state)
{
    (void)state;
    in_parts_is_the_same_as_at_once(0);
}

static void in_parts_with_lateness(void **state)
{
    (void)state;
    in_parts_is_the_same_as_at_once(HOUR);
}

/* --- by hand --- */

static struct input event_of(const char *account, int64_t t_ms)
{
    return (struct input){.kind = EVENT,
                          .event = {.kind = PQL_EVENT_TRACK,
                                    .name = pql_slice_of("x"),
                                    .account = pql_slice_of(account),
                                    .user = pql_slice_of("u"),
                                    .offset = 7,
                                    .time_ms = t_ms}};
}

static void fill(struct pair *p, int accounts, int64_t t_ms)
{
    char name[16];
    for (int i = 0; i < accounts; i++) {
        snprintf(name, sizeof name, "a%03d", i);
        struct input input = event_of(name, t_ms);
        put_all(p, &input, 0);
    }
}

static void nothing_of_an_event_is_taken_before_its_instant(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    define(p, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    start(p);
    fill(p, 10, 0);
    pql_engine_set_limit(p->parts.engine, 4);
    struct input later = event_of("a005", DAY);
    assert_int_equal(pql_engine_apply(p->parts.engine, &later.event), PQL_APPLY_PART);
    struct pql_part part = pql_engine_part(p->parts.engine);
    assert_int_equal(part.kind, PQL_WORK_EVENT);
    assert_int_equal(part.seen_ms, DAY);
    assert_int_equal(part.upto_ms, DAY - 1);
    assert_int_equal(part.offset, 7);
    assert_int_equal(part.due_ms, HOUR);
    assert_true(pql_slice_is(part.account, "a001")); /* two instants with a record each */
    assert_int_equal(pql_engine_stats(p->parts.engine).events, 10);
    pair_free(p);
}

static void refresh_tells_of_every_member_once(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    define(p, "person", PQL_SUBJECT_USER, "count(x, 1h) >= 1");
    define(p, "team", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 2");
    start(p);
    fill(p, 3, 1000);
    struct input again = event_of("a001", 1000), later = event_of("a002", 2000);
    put_all(p, &again, 0);
    put_all(p, &later, 0);
    expect_alike(p);
    put_all(p, &(struct input){.kind = REFRESH}, 1);
    assert_int_equal(p->stops, 2);
    /* An account stands at the last instant that is done for it. */
    const char *expected[] = {"snapshot person a000/u condition refresh @1999 v1999 ",
                              "snapshot person a001/u condition refresh @1999 v1999 ",
                              "snapshot team a001/ condition refresh @1999 v1999 ",
                              "snapshot person a002/u condition refresh @2000 v2000 ",
                              "snapshot team a002/ condition refresh @2000 v2001 "};
    const char *at = p->parts.log.ptr;
    for (size_t i = 0; i < 5; i++, at = strchr(at, '\n') + 1)
        if (strncmp(at, expected[i], strlen(expected[i])) != 0) fail_msg("line %zu: %.80s", i, at);
    assert_int_equal(at - p->parts.log.ptr, p->parts.log.len);
    put_all(p, &(struct input){.kind = TICK, .t_ms = DAY}, 1);
    p->parts.log.len = p->whole.log.len = p->replay.log.len = 0;
    put_all(p, &(struct input){.kind = REFRESH}, 1);
    assert_int_equal(p->parts.log.len, 0);
    pair_free(p);
}

/* A journal that does not belong to the state is an error. */
static void a_part_of_something_else_is_refused(void **state)
{
    (void)state;
    struct pair *p = pair_new();
    struct pql_err err;
    define(p, "d", PQL_SUBJECT_ACCOUNT, "count(x, 1h) >= 1");
    start(p);
    fill(p, 3, DAY);
    struct pql_part part = {.kind = PQL_WORK_TICK,
                            .seen_ms = 2 * DAY,
                            .complete_ms = DAY - 1,
                            .upto_ms = 2 * DAY,
                            .due_ms = 5,
                            .account = pql_slice_of("a001")};
    assert_int_equal(pql_engine_replay_part(p->replay.engine, &part, &err), -1);
    part.complete_ms = DAY;
    part.kind = PQL_WORK_KIND_COUNT;
    assert_int_equal(pql_engine_replay_part(p->replay.engine, &part, &err), -1);
    part.kind = PQL_WORK_TICK;
    assert_int_equal(pql_engine_replay_part(p->replay.engine, &part, &err), 0);
    pair_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_parts_without_lateness),
        cmocka_unit_test(in_parts_with_lateness),
        cmocka_unit_test(nothing_of_an_event_is_taken_before_its_instant),
        cmocka_unit_test(refresh_tells_of_every_member_once),
        cmocka_unit_test(a_part_of_something_else_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
