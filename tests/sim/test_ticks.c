/* When a quiet task's clock may move, condition by condition; and how the order of several inputs is kept. On
 * the modelled Kafka, whose answers are bent where a case needs it. */
#include "sim/world.h"

#include "base/log.h"
#include "core/state/checkpoint_format.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { IDLE_MS = 1000, WINDOW_MS = 5000, INPUTS = 2 };

static const struct world_plan plan = {.seed = 7,
                                       .inputs_count = INPUTS,
                                       .partitions_count = 1,
                                       .workers = 1,
                                       .checkpoint_interval_ms = 86400000};

/* --- answers that are bent --- */

static struct pql_ports real;
static bool hides_end[INPUTS];     /* end of partition is not told */
static bool answers_never;         /* the question for end offsets is lost */
static uint64_t answers_after_us;  /* how long it is on its way */
static uint64_t asked_earlier_us;  /* it was put so much earlier than it says */
static int64_t ends_later[INPUTS]; /* the broker has so many records more */
static uint64_t questions, answers;

static void reset(void)
{
    memset(hides_end, 0, sizeof hides_end);
    memset(ends_later, 0, sizeof ends_later);
    answers_never = false;
    answers_after_us = asked_earlier_us = questions = answers = 0;
}

static size_t bent_worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    size_t n = real.worker_poll(self, worker, out, max), kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (out[i].kind == PQL_MESSAGE_END && hides_end[out[i].input])
            real.message_release(self, &out[i]);
        else
            out[kept++] = out[i];
    }
    return kept;
}

static int bent_end_offsets_ask(void *self, const struct pql_position *positions, size_t count,
                                struct pql_err *err)
{
    questions++;
    return answers_never ? 0 : real.end_offsets_ask(self, positions, count, err);
}

static struct pql_position held[INPUTS];
static struct pql_control held_event;
static uint64_t held_until_us, begun_us;

static void bend(struct pql_control *out)
{
    memcpy(held, out->offsets, out->offsets_count * sizeof *held);
    for (size_t i = 0; i < out->offsets_count; i++) held[i].offset += ends_later[held[i].input];
    out->offsets = held;
    out->asked_us -= asked_earlier_us;
    answers++;
}

static void bent_poll(void *self, int timeout_ms, struct pql_control *out)
{
    if (held_until_us && real.mono_us(self) >= held_until_us) {
        *out = held_event;
        held_until_us = 0;
        return;
    }
    real.poll(self, timeout_ms, out);
    if (out->kind != PQL_CONTROL_OFFSETS) return;
    if (held_until_us) { /* one is on its way, and only one */
        *out = (struct pql_control){.kind = PQL_CONTROL_NONE};
        return;
    }
    bend(out);
    if (!answers_after_us) return;
    held_event = *out;
    held_until_us = real.mono_us(self) + answers_after_us;
    *out = (struct pql_control){.kind = PQL_CONTROL_NONE};
}

/* --- a person who enters, and whose events leave the window when nothing else happens --- */

static void run_until(struct world *world, struct world_process *process, uint64_t until_us)
{
    while (world->model.now_us < until_us) {
        model_advance(&world->model, 500);
        world_step(world, process);
    }
}

static void run_ms(struct world *world, struct world_process *process, int64_t ms)
{
    run_until(world, process, world->model.now_us + (uint64_t)ms * 1000);
}

static uint64_t ticks(struct world_process *process)
{
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    return stats.ticks;
}

static size_t visible(const struct world *world, enum pql_output output)
{
    size_t n = 0;
    for (size_t i = 0; i < world->model.outputs[output][0].count; i++)
        n += world->model.outputs[output][0].records[i]->status == MODEL_COMMITTED;
    return n;
}

static struct world_process *begin(struct world *world)
{
    reset();
    held_until_us = 0;
    world_init(world, &plan);
    struct world_process *process = world_start(world, "pql-0");
    real = process->ports;
    process->ports.worker_poll = bent_worker_poll;
    process->ports.end_offsets_ask = bent_end_offsets_ask;
    process->ports.poll = bent_poll;
    begun_us = world->model.now_us;
    world_put_event(world, "a");
    world_put_event(world, "a");
    for (int i = 0; i < 20000 && visible(world, PQL_OUT_PQL) < 1; i++) run_ms(world, process, 1);
    assert_int_equal(visible(world, PQL_OUT_PQL), 1);
    return process;
}

static void end(struct world *world, struct world_process *process)
{
    world_kill(process);
    world_deinit(world);
}

static void expect_no_tick(struct world *world, struct world_process *process)
{
    run_ms(world, process, 10 * WINDOW_MS);
    assert_int_equal(ticks(process), 0);
    assert_int_equal(visible(world, PQL_OUT_PQL), 1);
}

static void expect_tick(struct world *world, struct world_process *process)
{
    run_ms(world, process, 2 * WINDOW_MS);
    assert_true(ticks(process) >= 1);
    assert_int_equal(visible(world, PQL_OUT_PQL), 2);
}

static void the_clock_of_a_quiet_task_moves(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    expect_tick(&world, process);
    assert_true(questions > 0 && answers > 0);
    end(&world, process);
}

/* A tick exists only if it makes something happen: nothing is asked for, and nothing journaled. */
static void no_tick_for_nothing(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    run_ms(&world, process, 3 * IDLE_MS);
    assert_int_equal(questions, 0);
    expect_tick(&world, process);
    uint64_t before = ticks(process), asked = questions;
    run_ms(&world, process, 10 * WINDOW_MS);
    assert_int_equal(ticks(process), before);
    assert_int_equal(questions, asked);
    end(&world, process);
}

static void no_tick_without_the_end_of_every_input(void **state)
{
    (void)state;
    for (uint32_t input = 0; input < INPUTS; input++) {
        struct world world;
        struct world_process *process = begin(&world);
        /* A record hides the end that was told. */
        hides_end[input] = true;
        char value[96];
        snprintf(value, sizeof value, "known|b|u|%" PRId64 "|", model_wall_ms(&world.model) - 60000);
        world_put(&world, input, 0, "b", value);
        expect_no_tick(&world, process);
        assert_int_equal(questions, 0);
        end(&world, process);
    }
}

static void no_tick_before_idle_after(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    process->conf.idle_after_ms = 20 * WINDOW_MS;
    expect_no_tick(&world, process);
    assert_int_equal(questions, 0);
    run_ms(&world, process, 10 * WINDOW_MS);
    expect_tick(&world, process);
    end(&world, process);
}

/* A broker that is away is not idleness. */
static void no_answer_no_tick(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    answers_never = true;
    expect_no_tick(&world, process);
    assert_true(questions > 1);
    answers_never = false;
    expect_tick(&world, process);
    end(&world, process);
}

static void an_answer_older_than_a_second_is_none(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    answers_after_us = 1500000;
    expect_no_tick(&world, process);
    assert_true(answers > 1);
    answers_after_us = 0;
    expect_tick(&world, process);
    end(&world, process);
}

/* The question must be put when it was quiet for idle_after already. */
static void an_answer_from_before_it_was_quiet_is_none(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    run_until(&world, process, begun_us + 4500000); /* the timer is due at 5 s, */
    world_put_event(&world, "b");                   /* and it is quiet for idle_after from 5.5 s on */
    asked_earlier_us = 900000;
    run_until(&world, process, begun_us + 6300000);
    assert_true(answers > 1);
    assert_int_equal(ticks(process), 0);
    expect_tick(&world, process);
    end(&world, process);
}

static void no_tick_while_the_broker_has_more(void **state)
{
    (void)state;
    for (uint32_t input = 0; input < INPUTS; input++) {
        struct world world;
        struct world_process *process = begin(&world);
        ends_later[input] = 1;
        expect_no_tick(&world, process);
        assert_true(answers > 1);
        ends_later[input] = 0;
        expect_tick(&world, process);
        end(&world, process);
    }
}

static void no_tick_where_the_clock_is_that_of_events(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world);
    world_set_ticks(&world, false);
    expect_no_tick(&world, process);
    end(&world, process);
}

/* --- runs of several inputs --- */

static size_t journaled_runs(const struct world *world)
{
    const struct model_log *log = &world->model.outputs[PQL_OUT_CHECKPOINT][0];
    size_t n = 0;
    for (size_t i = 0; i < log->count; i++) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_journal entry;
        struct pql_err err;
        if (log->records[i]->status == MODEL_COMMITTED &&
            !pql_checkpoint_open(log->records[i]->value, &type, &content, &err) &&
            type == PQL_CHECKPOINT_JOURNAL && !pql_journal_parse(content, &entry, &err))
            n += entry.kind == PQL_JOURNAL_RUN;
    }
    return n;
}

/* The second input has another schema: `time;account;user;`, in seconds before a fixed instant. */
static int (*plain_decode)(void *, const struct pql_message_view *, struct pql_arena *, struct pql_event *,
                           struct pql_err *);
static uint64_t decoded[INPUTS];

static int two_decoders(void *decoders, const struct pql_message_view *message, struct pql_arena *arena,
                        struct pql_event *event, struct pql_err *err)
{
    decoded[message->input]++;
    if (message->input == 0) return plain_decode(decoders, message, arena, event, err);
    char time[32], account[32], user[32];
    const char *text = pql_arena_copy(arena, message->value).ptr;
    assert_int_equal(sscanf(text, "%31[^;];%31[^;];%31[^;];", time, account, user), 3);
    struct pql_message_view same = *message;
    const char *as = pql_arena_printf(arena, "known|%s|%s|%s|", account, user, time);
    same.value = pql_slice_of(as);
    return plain_decode(decoders, &same, arena, event, err);
}

/* A client that hands out records of two topics one by one, in turn. */
static size_t shuffled_worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    struct pql_message_view sorted[64];
    size_t n = real.worker_poll(self, worker, sorted, max < 64 ? max : 64), at = 0;
    for (size_t i = 0; i < n; i++)
        for (uint32_t input = 0; input < INPUTS; input++) {
            size_t nth = 0;
            for (size_t k = 0; k < n; k++)
                if (sorted[k].input == input && nth++ == i) out[at++] = sorted[k];
        }
    questions += n > 0;
    return at;
}

static void put_interleaved(struct world *world, int n)
{
    for (int i = 0; i < n; i++) {
        char value[96];
        long long now = (long long)model_wall_ms(&world->model) - i % 7 * 500;
        snprintf(value, sizeof value, "known|a%d|u%d|%lld|", i % 3, i % 2, now);
        world_put(world, 0, 0, "a", value);
        snprintf(value, sizeof value, "%lld;a%d;u%d;", now, i % 3, i % 2);
        world_put(world, 1, 0, "a", value);
    }
}

static void the_order_of_inputs_of_two_schemas_is_kept_in_long_runs(void **state)
{
    (void)state;
    struct world world;
    enum { EACH = 400 };
    reset();
    world_init(&world, &plan);
    memset(decoded, 0, sizeof decoded);
    plain_decode = world.conf.decoding.decode;
    world.conf.decoding.decode = two_decoders;
    world_set_ticks(&world, false);
    struct world_process *process = world_start(&world, "pql-0");
    process->conf.inbox_max = 1000;
    real = process->ports;
    process->ports.worker_poll = shuffled_worker_poll;
    put_interleaved(&world, EACH);
    for (int i = 0; i < 100000 && !world_all_committed(&world); i++) run_ms(&world, process, 1);
    assert_true(world_all_committed(&world));
    assert_int_equal(decoded[0], EACH);
    assert_int_equal(decoded[1], EACH);
    size_t runs = journaled_runs(&world), records = visible(&world, PQL_OUT_PQL);
    assert_true(runs > 10);
    assert_true(runs <= 2 * questions); /* a batch is read topic by topic, however it comes */
    assert_true(runs < EACH / 3);

    world_kill(process); /* all of it again, in that order, or the replay says that it is not */
    process = world_start(&world, "pql-0");
    for (int i = 0; i < 5; i++) world_put_event(&world, "b");
    for (int i = 0; i < 100000 && !world_all_committed(&world); i++) run_ms(&world, process, 1);
    assert_true(world_all_committed(&world));
    assert_int_equal(visible(&world, PQL_OUT_PQL) >= records, 1);
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.replayed, 2 * EACH);
    end(&world, process);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_of_a_quiet_task_moves),
        cmocka_unit_test(no_tick_for_nothing),
        cmocka_unit_test(no_tick_without_the_end_of_every_input),
        cmocka_unit_test(no_tick_before_idle_after),
        cmocka_unit_test(no_answer_no_tick),
        cmocka_unit_test(an_answer_older_than_a_second_is_none),
        cmocka_unit_test(an_answer_from_before_it_was_quiet_is_none),
        cmocka_unit_test(no_tick_while_the_broker_has_more),
        cmocka_unit_test(no_tick_where_the_clock_is_that_of_events),
        cmocka_unit_test(the_order_of_inputs_of_two_schemas_is_kept_in_long_runs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
