/* Long inputs in parts, ranges of refusals, refreshes: what each must do, one case each, on the modelled
 * Kafka. */
#include "sim/world.h"

#include "base/log.h"
#include "core/state/checkpoint_format.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 60000, FLOOD = 150 };

static const struct world_plan flood_plan = {.seed = 7,
                                             .inputs_count = 1,
                                             .partitions_count = 1,
                                             .workers = 1,
                                             .checkpoint_interval_ms = 86400000,
                                             .flood = FLOOD,
                                             .part_records_max = 5};

static size_t visible(const struct world *world, enum pql_output output)
{
    size_t n = 0;
    for (int p = 0; p < world->plan->partitions_count; p++)
        for (size_t i = 0; i < world->model.outputs[output][p].count; i++)
            n += world->model.outputs[output][p].records[i]->status == MODEL_COMMITTED;
    return n;
}

/* Committed entries of a kind in the journal of all tasks. */
static size_t entries(const struct world *world, enum pql_journal_kind kind)
{
    size_t n = 0;
    for (int p = 0; p < world->plan->partitions_count; p++) {
        const struct model_log *log = &world->model.outputs[PQL_OUT_CHECKPOINT][p];
        for (size_t i = 0; i < log->count; i++) {
            enum pql_checkpoint_type type;
            struct pql_slice content;
            struct pql_journal entry;
            struct pql_err err;
            if (log->records[i]->status == MODEL_COMMITTED &&
                !pql_checkpoint_open(log->records[i]->value, &type, &content, &err) &&
                type == PQL_CHECKPOINT_JOURNAL && !pql_journal_parse(content, &entry, &err))
                n += entry.kind == kind;
        }
    }
    return n;
}

static struct pql_pipeline_stats stats_of(const struct world_process *process)
{
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    return stats;
}

static void run_until_visible(struct world *world, struct world_process *process, enum pql_output output,
                              size_t count)
{
    for (int i = 0; i < STEPS * 10 && visible(world, output) < count; i++) world_run(world, process, 1);
    assert_int_equal(visible(world, output), count);
}

/* Without the jumps of time: how long something takes is what counts. */
static void run_evenly(struct world *world, struct world_process *process, enum pql_output output,
                       size_t count)
{
    for (int i = 0; i < STEPS * 10 && visible(world, output) < count; i++) {
        model_advance(&world->model, 500);
        world_step(world, process);
    }
    if (visible(world, output) < count) fail_msg("%zu of %zu records", visible(world, output), count);
}

static void run_until_parts(struct world *world, struct world_process *process, uint64_t parts)
{
    for (int i = 0; i < STEPS && stats_of(process).parts < parts; i++) world_run(world, process, 1);
    assert_true(stats_of(process).parts >= parts);
}

static void stop(struct world *world, struct world_process *process)
{
    enum pql_stop why = PQL_STOP_NONE;
    pql_pipeline_stop(process->pipeline);
    world_run(world, process, STEPS);
    pql_pipeline_finished(process->pipeline, &why, NULL);
    assert_int_equal(why, PQL_STOP_CLEAN);
    world_kill(process);
}

/* Everybody of the flood has entered, and that is committed. */
static struct world_process *begin(struct world *world, const struct world_plan *plan)
{
    world_init(world, plan);
    world->conf.handover_budget_ms = 5000;
    struct world_process *process = world_start(world, "pql-0");
    world_flood(world);
    run_until_visible(world, process, PQL_OUT_PQL, FLOOD);
    return process;
}

static void end(struct world *world, struct world_process *process)
{
    world_kill(process);
    world_deinit(world);
}

/* --- in parts --- */

static void a_tick_that_makes_many_records_is_committed_in_parts(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world, &flood_plan);
    uint64_t epochs = stats_of(process).epochs;
    assert_int_equal(entries(&world, PQL_JOURNAL_PART), 0);
    run_until_visible(&world, process, PQL_OUT_PQL, 2 * FLOOD);
    run_until_parts(&world, process, FLOOD / 5 - 1);
    world_run(&world, process, 5000);
    assert_int_equal(stats_of(process).ticks, 1);
    assert_int_equal(entries(&world, PQL_JOURNAL_TICK), 1);
    assert_int_equal(entries(&world, PQL_JOURNAL_PART), FLOOD / 5 - 1);
    assert_true(stats_of(process).epochs > epochs + 3);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 2 * FLOOD);
    end(&world, process);
}

static void a_record_stays_first_until_its_instant_is_reached(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world, &flood_plan);
    int64_t before = world.model.offsets[0][0].offset;
    world_set_ticks(&world, false);
    model_advance(&world.model, 10000000);
    world_put_event(&world, "late");
    world_put_event(&world, "late");
    run_until_parts(&world, process, 3);
    for (int i = 0; i < STEPS && entries(&world, PQL_JOURNAL_PART) < 3; i++) world_run(&world, process, 1);
    assert_int_equal(world.model.offsets[0][0].offset, before);
    assert_true(visible(&world, PQL_OUT_PQL) > FLOOD);
    run_until_visible(&world, process, PQL_OUT_PQL, 2 * FLOOD + 1);
    assert_int_equal(world.model.offsets[0][0].offset, before + 2);
    assert_int_equal(entries(&world, PQL_JOURNAL_PART), FLOOD / 5 - 1);
    assert_int_equal(stats_of(process).ticks, 0);
    end(&world, process);
}

static void other_tasks_have_their_turn_in_a_flood(void **state)
{
    (void)state;
    struct world world;
    struct world_plan plan = flood_plan;
    plan.partitions_count = 2;
    plan.part_records_max = 1;
    struct world_process *process = begin(&world, &plan);
    int32_t other = (int32_t)pql_partition_murmur2(PQL_SLICE_LITERAL("other"), 2);
    world_set_ticks(&world, false);
    model_advance(&world.model, 10000000);
    char value[96]; /* moves the clock of the one, and not of the other */
    snprintf(value, sizeof value, "known|x|u1|%lld|", (long long)model_wall_ms(&world.model));
    world_put(&world, 0, 1 - other, "x", value);
    run_until_parts(&world, process, 5);
    int64_t end_of_other = model_end(&world.model.inputs[0][other]);
    snprintf(value, sizeof value, "known|other|u1|%lld|", (long long)model_wall_ms(&world.model) - 10000);
    world_put(&world, 0, other, "other", value);
    for (int i = 0; i < STEPS && world.model.offsets[0][other].offset == end_of_other; i++)
        world_run(&world, process, 1);
    assert_int_equal(world.model.offsets[0][other].offset, end_of_other + 1);
    assert_true(visible(&world, PQL_OUT_PQL) < FLOOD + FLOOD / 3); /* of about half */
    end(&world, process);
}

static void outputs_not_handed_over_stop_a_flood(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world, &flood_plan);
    process->conf.epoch_bytes_max = 4000;
    for (int i = 0; i < STEPS && !stats_of(process).parts; i++) world_run(&world, process, 1);
    world.model.faults.abortable = 1; /* nothing is committed */
    for (int i = 0; i < 20000; i++) world_run(&world, process, 1);
    uint64_t parts = stats_of(process).parts;
    assert_true(parts < 20);
    world.model.faults.abortable = 0;
    run_until_visible(&world, process, PQL_OUT_PQL, 2 * FLOOD);
    end(&world, process);
}

/* --- given away, killed --- */

static void a_flood_is_handed_over_in_its_middle(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world, &flood_plan);
    run_until_parts(&world, process, 3);
    stop(&world, process);
    size_t done = visible(&world, PQL_OUT_PQL);
    assert_true(done > FLOOD && done < 2 * FLOOD);
    assert_int_equal(entries(&world, PQL_JOURNAL_TICK), 0);
    process = world_start(&world, "pql-1");
    run_until_visible(&world, process, PQL_OUT_PQL, 2 * FLOOD);
    assert_int_equal(stats_of(process).replayed, 0); /* S = C, in the middle */
    world_run(&world, process, 5000);
    assert_int_equal(entries(&world, PQL_JOURNAL_TICK), 1);
    assert_int_equal(entries(&world, PQL_JOURNAL_PART), FLOOD / 5 - 1);
    end(&world, process);
}

/* And with other limits than those of the dead: the journal says where to stop. */
static void killed_in_the_middle_of_a_flood(void **state)
{
    (void)state;
    for (int at_least_once = 0; at_least_once < 2; at_least_once++) {
        struct world world;
        struct world_plan plan = flood_plan;
        plan.at_least_once = at_least_once;
        struct world_process *process = begin(&world, &plan);
        for (uint64_t parts = 3; parts < 20; parts += 4) {
            run_until_parts(&world, process, 3);
            size_t done = visible(&world, PQL_OUT_PQL);
            for (int i = 0; i < STEPS && visible(&world, PQL_OUT_PQL) == done; i++)
                world_run(&world, process, 1);
            world_kill(process);
            world.conf.part_records_max = 1 + parts % 4;
            process = world_start(&world, "pql-0");
            for (int i = 0; i < STEPS && !stats_of(process).live; i++) world_run(&world, process, 1);
        }
        for (int i = 0; i < STEPS && entries(&world, PQL_JOURNAL_TICK) < 1; i++)
            world_run(&world, process, 1);
        world_run(&world, process, 5000);
        assert_int_equal(entries(&world, PQL_JOURNAL_TICK), 1);
        if (at_least_once)
            assert_true(visible(&world, PQL_OUT_PQL) >= 2 * FLOOD);
        else
            assert_int_equal(visible(&world, PQL_OUT_PQL), 2 * FLOOD);
        end(&world, process);
    }
}

/* --- the time of a transaction --- */

static struct world_plan slow_plan(uint64_t bytes_per_s)
{
    struct world_plan plan = flood_plan;
    plan.part_records_max = 20000;
    plan.padding = 8000;
    plan.produce_bytes_per_s = bytes_per_s;
    return plan;
}

static void no_transaction_takes_more_than_a_third_of_its_time(void **state)
{
    (void)state;
    struct world world;
    struct world_plan plan = slow_plan(200000); /* 24 s for all of it, 10 s for a transaction */
    world_init(&world, &plan);
    struct world_process *process = world_start(&world, "pql-0");
    world_flood(&world);
    run_evenly(&world, process, PQL_OUT_PQL, 2 * FLOOD);
    assert_true(world.model.longest_txn_us > 500000);
    assert_true(world.model.longest_txn_us < world.model.txn_timeout_us / 3);
    assert_int_equal(stats_of(process).unknown, 0);
    end(&world, process);
}

/* The first transaction that is too much times out; it does not come again. */
static void a_broker_that_becomes_slow_gets_less(void **state)
{
    (void)state;
    struct world world;
    struct world_plan plan = slow_plan(100000000);
    world_init(&world, &plan);
    struct world_process *process = world_start(&world, "pql-0");
    world_flood(&world);
    run_evenly(&world, process, PQL_OUT_PQL, 2 * FLOOD);
    uint64_t quick = stats_of(process).transaction_bytes_max;
    assert_true(quick > 1 << 20);
    world.model.produce_bytes_per_s = 100000;
    model_advance(&world.model, 20000000);
    world_flood(&world);
    run_evenly(&world, process, PQL_OUT_PQL, 3 * FLOOD);
    uint64_t slow = stats_of(process).transaction_bytes_max;
    assert_true(slow < quick / 4);
    assert_false(pql_pipeline_finished(process->pipeline, NULL, NULL));
    run_evenly(&world, process, PQL_OUT_PQL, 4 * FLOOD);
    world.model.produce_bytes_per_s = 100000000;
    model_advance(&world.model, 20000000);
    world_flood(&world);
    run_evenly(&world, process, PQL_OUT_PQL, 6 * FLOOD);
    assert_true(stats_of(process).transaction_bytes_max > 4 * slow);
    assert_int_equal(visible(&world, PQL_OUT_STATE), 6 * FLOOD);
    end(&world, process);
}

/* --- refusals --- */

static int (*real_decode)(void *, const struct pql_message_view *, struct pql_arena *, struct pql_event *,
                          struct pql_err *);
static uint64_t bad_decoded;

static int counting_decode(void *decoders, const struct pql_message_view *message, struct pql_arena *arena,
                           struct pql_event *event, struct pql_err *err)
{
    int rc = real_decode(decoders, message, arena, event, err);
    bad_decoded += rc != 0;
    return rc;
}

static void refused_in_a_row_for_one_reason_are_one_entry(void **state)
{
    (void)state;
    struct world world;
    struct world_plan plan = flood_plan;
    enum { BAD = 1000 };
    char future[96];
    world_init(&world, &plan);
    world.conf.dlq_max_share = 1;
    real_decode = world.conf.decoding.decode;
    world.conf.decoding.decode = counting_decode;
    bad_decoded = 0;
    world_put_event(&world, "a");
    for (int i = 0; i < BAD; i++) world_put(&world, 0, 0, "k", "bad");
    snprintf(future, sizeof future, "known|a|u|%lld|", (long long)model_wall_ms(&world.model) + 3600000);
    for (int i = 0; i < 5; i++) world_put(&world, 0, 0, "a", future);
    world_put_event(&world, "a");
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < STEPS && !world_all_committed(&world); i++) world_run(&world, process, 1);
    assert_true(world_all_committed(&world));
    assert_int_equal(visible(&world, PQL_OUT_DLQ), BAD + 5);
    size_t ranges = entries(&world, PQL_JOURNAL_REFUSED);
    assert_true(ranges >= 2 && ranges <= stats_of(process).epochs + 1);
    assert_true(ranges < BAD / 5);

    world_kill(process); /* without a snapshot: all of it is replayed, and what was refused not decoded */
    bad_decoded = 0;
    process = world_start(&world, "pql-0");
    world_put_event(&world, "a");
    for (int i = 0; i < STEPS && !world_all_committed(&world); i++) world_run(&world, process, 1);
    assert_true(world_all_committed(&world));
    assert_int_equal(stats_of(process).replayed, 2);
    assert_int_equal(bad_decoded, 0);
    assert_int_equal(visible(&world, PQL_OUT_DLQ), BAD + 5);
    end(&world, process);
}

/* --- refresh --- */

static void a_refresh_goes_to_the_state_topic_alone(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = begin(&world, &flood_plan);
    world_set_ticks(&world, false);
    size_t pqa = visible(&world, PQL_OUT_PQA), alerts = visible(&world, PQL_OUT_ALERTS),
           before = visible(&world, PQL_OUT_STATE);
    pql_pipeline_refresh(process->pipeline);
    run_until_visible(&world, process, PQL_OUT_STATE, before + FLOOD);
    world_run(&world, process, 2000);
    assert_int_equal(visible(&world, PQL_OUT_STATE), before + FLOOD);
    assert_int_equal(visible(&world, PQL_OUT_PQL), FLOOD);
    assert_int_equal(visible(&world, PQL_OUT_PQA), pqa);
    assert_int_equal(visible(&world, PQL_OUT_ALERTS), alerts);
    assert_int_equal(entries(&world, PQL_JOURNAL_REFRESH), 1);
    assert_int_equal(entries(&world, PQL_JOURNAL_PART), FLOOD / 5 - 1);
    end(&world, process);
}

static void a_refresh_goes_on_after_a_handover_and_a_crash(void **state)
{
    (void)state;
    struct world world;
    world_set_ticks(&world, true);
    struct world_process *process = begin(&world, &flood_plan);
    world_set_ticks(&world, false);
    world_set_ticks(&world, false);
    size_t before = visible(&world, PQL_OUT_STATE);
    pql_pipeline_refresh(process->pipeline);
    run_until_parts(&world, process, 3);
    stop(&world, process);
    process = world_start(&world, "pql-1");
    run_until_parts(&world, process, 3);
    for (size_t done = visible(&world, PQL_OUT_STATE); visible(&world, PQL_OUT_STATE) == done;)
        world_run(&world, process, 1);
    assert_int_equal(entries(&world, PQL_JOURNAL_REFRESH), 0);
    world_kill(process);
    process = world_start(&world, "pql-1");
    run_until_visible(&world, process, PQL_OUT_STATE, before + FLOOD);
    world_run(&world, process, 2000);
    assert_int_equal(visible(&world, PQL_OUT_STATE), before + FLOOD);
    assert_int_equal(entries(&world, PQL_JOURNAL_REFRESH), 1);
    end(&world, process);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tick_that_makes_many_records_is_committed_in_parts),
        cmocka_unit_test(a_record_stays_first_until_its_instant_is_reached),
        cmocka_unit_test(other_tasks_have_their_turn_in_a_flood),
        cmocka_unit_test(outputs_not_handed_over_stop_a_flood),
        cmocka_unit_test(a_flood_is_handed_over_in_its_middle),
        cmocka_unit_test(killed_in_the_middle_of_a_flood),
        cmocka_unit_test(no_transaction_takes_more_than_a_third_of_its_time),
        cmocka_unit_test(a_broker_that_becomes_slow_gets_less),
        cmocka_unit_test(refused_in_a_row_for_one_reason_are_one_entry),
        cmocka_unit_test(a_refresh_goes_to_the_state_topic_alone),
        cmocka_unit_test(a_refresh_goes_on_after_a_handover_and_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
