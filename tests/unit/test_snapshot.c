/* Snapshots of an engine: pages of small and of giant accounts, the rolling base over K, attempts that are
 * given up, restores, and damage. Judged by the walk over the whole state and by an engine that never
 * stopped. */
#include "core/engine.h"
#include "core/state/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { HOUR = 3600000, DAY = 24 * HOUR, SHARES_MAX = 5 };

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

struct fixture {
    struct pql_definition_conf definitions[5];
    struct pql_program_conf conf;
    struct pql_diags diags;
    struct pql_program *program;
    struct pql_buf log;
};

static void note(void *context, const struct pql_record *record)
{
    struct fixture *f = context;
    if (f) pql_buf_text(&f->log, record->event_id);
}

static void define(struct fixture *f, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &f->definitions[f->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name), .subject = subject, .version = 1};
    conf->name_source.text = conf->name;
    conf->qualify.text = pql_slice_of(qualify);
}

static void fixture_init(struct fixture *f, int64_t lateness_ms, int64_t horizon_ms)
{
    *f = (struct fixture){.conf.app = pql_slice_of("test")};
    f->conf.settings = pql_settings_default();
    f->conf.settings.lateness_ms = lateness_ms;
    f->conf.settings.dedup_horizon_ms = horizon_ms;
    f->conf.definitions = f->definitions;
    define(f, "pql", PQL_SUBJECT_USER, "count(x, 3h) >= 2 or days(any, 5d) >= 3");
    define(f, "spender", PQL_SUBJECT_USER, "sum(x.p, 60d) >= 40");
    define(f, "pqa", PQL_SUBJECT_ACCOUNT, "share(is(pql)) >= 0.2 and sum(x.p, 3d) > 10");
    define(f, "quiet", PQL_SUBJECT_ACCOUNT, "since(any) > 4h and distinct(x.q, 9d) >= 2");
    define(f, "early", PQL_SUBJECT_USER, "sum(x.p, first 9d) >= 20 and user.role = 'admin'");
    static struct pql_slice starts[1];
    starts[0] = pql_slice_of("kind:identify");
    f->conf.start_events = starts;
    f->conf.start_events_count = 1;
    f->definitions[0].stay.text = pql_slice_of("count(x, 3h) >= 1");
    f->definitions[0].min_stay_ms = HOUR;
    f->definitions[1].cooldown_ms = 2 * HOUR;
    static const struct pql_source won = {.text = {"won", 3}}, unfit = {.text = {"unfit", 5}},
                                   reopened = {.text = {"reopened", 8}};
    for (size_t i = 0; i < f->conf.definitions_count; i++) {
        f->definitions[i].sla_ms = 2 * HOUR;
        f->definitions[i].disqualify_for_ms = DAY;
        f->definitions[i].outcomes[PQL_OUTCOME_CONVERTS] = (struct pql_path_list){&won, 1};
        f->definitions[i].outcomes[PQL_OUTCOME_REOPENS] = (struct pql_path_list){&reopened, 1};
        f->definitions[i].outcomes[PQL_OUTCOME_DISQUALIFIES] = (struct pql_path_list){&unfit, 1};
        f->definitions[i].outcomes[PQL_OUTCOME_ACKNOWLEDGES] = (struct pql_path_list){&reopened, 1};
    }
    pql_diags_init(&f->diags);
    f->program = pql_program_new(&f->conf, &f->diags);
    if (!f->program) pql_diags_print(&f->diags, stderr);
    assert_non_null(f->program);
}

static void fixture_deinit(struct fixture *f)
{
    pql_program_free(f->program);
    pql_diags_deinit(&f->diags);
    pql_buf_deinit(&f->log);
}

/* Most of it is of one account with many users, one of whom is never quiet. Every event follows from seed and
 * clock, so that a log is a list of these. */
struct moment {
    uint32_t seed;
    int64_t clock;
};

static void apply(struct pql_engine *engine, struct moment *m)
{
    static const char *const names[] = {"x", "x", "y", "z"};
    char account[8] = "giant", user[8] = "busy", id[16];
    seed = m->seed;
    struct pql_value properties[2] = {pql_number(pql_decimal_of_int((int64_t)draw(4))),
                                      pql_number(pql_decimal_of_int((int64_t)draw(2000)))};
    uint32_t kind = draw(10);
    m->clock += draw(kind ? HOUR / 8 : HOUR * 4);
    if (kind < 5) snprintf(account, sizeof account, "a%u", draw(9));
    if (kind < 8) snprintf(user, sizeof user, "u%u", draw(kind < 5 ? 40 : 900));
    snprintf(id, sizeof id, "%u", draw(1u << 12));
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(names[draw(4)]),
                              .account = pql_slice_of(account),
                              .user = pql_slice_of(user),
                              .id = pql_slice_of(id),
                              .properties = properties,
                              .time_ms = m->clock - (int64_t)draw(2 * HOUR)};
    (void)pql_engine_apply(engine, &event);
    if (draw(12) == 0) {
        static const char *const roles[] = {"admin", "staff"};
        struct pql_value role = pql_text(pql_slice_of(roles[draw(2)]));
        event.kind = PQL_EVENT_IDENTIFY;
        event.user_attributes = &role;
        event.id = (struct pql_slice){"", 0};
        (void)pql_engine_apply(engine, &event);
        event.user_attributes = NULL;
    }
    if (draw(12) == 0) {
        static const char *const outcomes[] = {"won", "reopened", "unfit", "other"};
        event.kind = draw(3) ? PQL_EVENT_OUTCOME : PQL_EVENT_LEAVE_GROUP;
        event.name = pql_slice_of(outcomes[draw(4)]);
        event.id = (struct pql_slice){"", 0};
        if (event.kind == PQL_EVENT_OUTCOME && draw(4) == 0) event.user.len = 0;
        (void)pql_engine_apply(engine, &event);
    }
    if (draw(30) ==
        0) { /* of a user, of a small account; once in a long while of the busy and of the giant one */
        bool is_busy = kind >= 8, is_giant = kind >= 5;
        event.kind = PQL_EVENT_FORGET;
        event.user = draw(3) ? pql_slice_of(user) : (struct pql_slice){"", 0};
        if (draw(event.user.len ? is_busy ? 60 : 1 : is_giant ? 300 : 1) == 0)
            (void)pql_engine_apply(engine, &event);
    }
    if (draw(50) == 0) pql_engine_tick(engine, m->clock += draw(8) ? 0 : (int64_t)draw(20) * DAY);
    m->seed = seed;
}

/* A snapshot that is kept, with the place in the log at which it was begun. */
struct kept {
    struct pql_buf bytes;
    uint64_t digest;
    struct moment at;
    uint32_t modulus, residue;
};

static void load(struct pql_engine *engine, const struct kept *base, size_t count)
{
    struct pql_err err = {0};
    for (size_t i = count; i-- > 0;) { /* the newest is the last */
        const struct pql_buf *bytes = &base[i].bytes;
        for (size_t at = 0, n; at < bytes->len; at += n) {
            n = 1 + at % 4000;
            if (n > bytes->len - at) n = bytes->len - at;
            assert_int_equal(pql_snapshot_load(engine, bytes->ptr + at, n, &err), 0);
        }
        if (i) assert_int_equal(pql_snapshot_load_older(engine, &err), 0);
    }
    assert_int_equal(pql_snapshot_loaded(engine, &err), 0);
}

/* How many pages there are of each type. */
static void count_pages(const struct pql_buf *bytes, size_t counts[])
{
    struct pql_reader reader = pql_reader_of(bytes->ptr, bytes->len);
    while (pql_reader_left(&reader)) counts[(unsigned char)pql_read_slice(&reader).ptr[0]]++;
    assert_false(reader.failed);
}

static void rolling(uint32_t round, size_t pages[])
{
    struct fixture f;
    fixture_init(&f, round % 2 ? HOUR : 0, round % 3 ? 2 * DAY : 0);
    struct pql_engine *engine = pql_engine_new(f.program, note, NULL);
    struct moment live = {round * 77 + 1, 0};
    struct kept base[SHARES_MAX] = {0};
    uint32_t modulus = 1 + round % SHARES_MAX, residue = 0;
    size_t count = 0, written = 0, partial = 0;
    for (int n = 0; n < 90; n++) {
        seed = live.seed ^ 0x9e37;
        uint32_t events = draw(n % 20 ? 8 : 2000), abandon = draw(4), quiet = draw(2);
        for (uint32_t i = 0; i < events; i++) apply(engine, &live);

        struct kept now = {.digest = pql_engine_digest(engine), .at = live};
        now.modulus = count ? modulus : 1;
        now.residue = count ? residue : 0;
        pql_snapshot_begin(engine, now.modulus, now.residue);
        int steps = 0;
        while (!pql_snapshot_step(engine, &now.bytes, 4000)) {
            if (!quiet) apply(engine, &live);
            if (++steps == 3 && !abandon) break;
        }
        if (steps == 3 && !abandon) {
            pql_snapshot_abandon(engine);
            pql_buf_deinit(&now.bytes);
            continue;
        }
        assert_true(pql_snapshot_digest(engine) == now.digest);
        if (!abandon) { /* its last chunk was never acknowledged */
            pql_buf_deinit(&now.bytes);
            continue;
        }
        pql_snapshot_saved(engine);
        written++;
        count_pages(&now.bytes, pages);
        partial += now.bytes.len * 2 < pql_snapshot_state_bytes(engine);
        if (count) residue = (residue + 1) % modulus;
        if (now.modulus == 1 || count == modulus) {
            size_t gone = now.modulus == 1 ? count : 1;
            for (size_t i = 0; i < gone; i++) pql_buf_deinit(&base[i].bytes);
            memmove(base, base + gone, (count - gone) * sizeof *base);
            count -= gone;
        }
        base[count++] = now;

        /* A fresh process, and the log since: it goes on in the place of the first. */
        struct pql_engine *other = pql_engine_new(f.program, note, NULL);
        load(other, base, count);
        assert_true(pql_snapshot_digest(other) == now.digest);
        assert_true(pql_engine_digest(other) == now.digest);
        for (struct moment m = now.at; m.seed != live.seed || m.clock != live.clock;) apply(other, &m);
        assert_true(pql_engine_digest(other) == pql_engine_digest(engine));
        assert_true(pql_engine_next_tick(other) == pql_engine_next_tick(engine));
        struct pql_engine *dead = n % 2 ? engine : other;
        engine = n % 2 ? other : engine;
        pql_engine_free(dead);
    }
    assert_true(written > 10);
    assert_true(modulus < 3 || partial > 5);
    for (size_t i = 0; i < count; i++) pql_buf_deinit(&base[i].bytes);
    pql_engine_free(engine);
    fixture_deinit(&f);
}

static void base_rolls_over_any_number_of_shares(void **state)
{
    (void)state;
    size_t pages[PQL_PAGE_IDS + 1] = {0};
    for (uint32_t round = 0; round < 12; round++) rolling(round, pages);
    for (int type = PQL_PAGE_TASK; type <= PQL_PAGE_IDS; type++) assert_true(pages[type] > 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(base_rolls_over_any_number_of_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
