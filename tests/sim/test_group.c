/* Life of a task across processes: assignment, revoke, park and resume, identity. On the modelled Kafka, a
 * case for each rule. */
#include "sim/world.h"

#include "base/log.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 60000, SECOND = 1000000 };

#define PLAIN .seed = 7, .inputs_count = 1, .workers = 1, .checkpoint_interval_ms = 500, .session_ms = 1000
static const struct world_plan one_partition = {PLAIN, .partitions_count = 1};
static const struct world_plan two_partitions = {PLAIN, .partitions_count = 2};
static const struct world_plan at_least_once = {PLAIN, .partitions_count = 1, .at_least_once = true};
static const struct world_plan is_static = {PLAIN, .partitions_count = 2, .is_static = true};
static const struct world_plan two_inputs = {
    .seed = 7, .inputs_count = 2, .partitions_count = 1, .workers = 1, .checkpoint_interval_ms = 500};

static int64_t sent;

/* Outputs are a function of the events alone: no ticks, and times that do not depend on when it is. */
static void begin(struct world *world, const struct world_plan *plan)
{
    world_init(world, plan);
    world_set_ticks(world, false);
    sent = 0;
}

static void put_events(struct world *world, int n)
{
    for (int i = 0; i < n; i++, sent++) {
        char account[16], value[96];
        snprintf(account, sizeof account, "a%d", (int)(sent % 5));
        snprintf(value, sizeof value, "known|%s|u1|%" PRId64 "|", account,
                 model_wall_ms(&(struct model){0}) + sent * 300);
        uint32_t partition =
            pql_partition_murmur2(pql_slice_of(account), (uint32_t)world->plan->partitions_count);
        world_put(world, 0, (int32_t)partition, account, value);
    }
}

/* A step of each; b may be NULL. */
static void run(struct world *world, struct world_process *a, struct world_process *b, int steps)
{
    for (int i = 0; i < steps; i++) {
        world_pass_time(world);
        world_step(world, a);
        if (b) world_step(world, b);
    }
}

static void run_until_committed(struct world *world, struct world_process *a, struct world_process *b)
{
    for (int i = 0; i < STEPS && !world_all_committed(world); i++) run(world, a, b, 1);
    assert_true(world_all_committed(world));
}

static struct pql_pipeline_stats stats_of(struct world_process *process)
{
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    return stats;
}

static void run_until_live(struct world *world, struct world_process *a, struct world_process *b,
                           unsigned of_a, unsigned of_b)
{
    for (int i = 0; i < STEPS; i++) {
        if (stats_of(a).live == of_a && (!b || stats_of(b).live == of_b)) return;
        run(world, a, b, 1);
    }
    fail_msg("%u tasks live, of the other %u", stats_of(a).live, b ? stats_of(b).live : 0);
}

static enum pql_stop stop_of(struct world_process *process, struct pql_err *err)
{
    enum pql_stop stop;
    pql_pipeline_finished(process->pipeline, &stop, err);
    return stop;
}

static size_t visible(const struct world *world, enum pql_output output)
{
    size_t n = 0;
    for (int p = 0; p < world->plan->partitions_count; p++)
        for (size_t i = 0; i < world->model.outputs[output][p].count; i++)
            n += world->model.outputs[output][p].records[i]->status == MODEL_COMMITTED;
    return n;
}

/* What a process that is never disturbed publishes for the same events. */
static size_t undisturbed(const struct world_plan *plan, int events)
{
    struct world world;
    begin(&world, plan);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, events);
    run_until_committed(&world, process, NULL);
    size_t n = visible(&world, PQL_OUT_PQL);
    world_kill(process);
    world_deinit(&world);
    return n;
}

/* The member's session is over, at the coordinator; it will hear of it. */
static void expel(struct world *world, struct world_process *process)
{
    model_client_freeze(process->client, true);
    model_advance(&world->model, 2 * SECOND);
    model_client_freeze(process->client, false);
}

/* --- park and resume --- */

static void a_lost_task_that_comes_back_goes_on(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &one_partition);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    put_events(&world, 20);
    for (int i = 0; i < 200; i++) pql_worker_step(process->pipeline, 0, 0); /* no commit */
    expel(&world, process);
    while (!stats_of(process).parked) run(&world, process, NULL, 1);
    assert_int_equal(world.model.offsets[0][0].offset, 20);
    assert_true(stats_of(process).parked_accounts > 0);
    run_until_committed(&world, process, NULL);
    struct pql_pipeline_stats stats = stats_of(process);
    assert_int_equal(stats.resumed, 1);
    assert_int_equal(stats.replayed, 0);
    assert_int_equal(stats.messages, 40);
    assert_int_equal(stats.parked, 0);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&one_partition, 40));
    world_kill(process);
    world_deinit(&world);
}

/* The commit was done, and its answer never came. */
static void a_kept_epoch_that_was_committed_is_dropped(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &one_partition);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    put_events(&world, 20);
    world.model.faults.delayed_commit = 1;
    while (!stats_of(process).unknown) run(&world, process, NULL, 1);
    for (int i = 0; i < 200; i++) pql_worker_step(process->pipeline, 0, 0);
    world.model.faults.delayed_commit = 0;
    expel(&world, process);
    assert_true(world.model.offsets[0][0].offset > 20); /* it arrived */
    pql_control_step(process->pipeline, 0);
    while (!stats_of(process).parked) run(&world, process, NULL, 1);
    run_until_live(&world, process, NULL, 1, 0);
    put_events(&world, 1);
    run_until_committed(&world, process, NULL);
    assert_int_equal(stats_of(process).resumed, 1);
    assert_int_equal(stats_of(process).replayed, 0);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&one_partition, 41));
    world_kill(process);
    world_deinit(&world);
}

static void a_task_that_others_worked_on_is_loaded_anew(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &one_partition);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    model_client_freeze(process->client, true);
    struct world_process *other = world_start(&world, "pql-1");
    put_events(&world, 20);
    run_until_committed(&world, other, NULL);
    model_client_freeze(process->client, false);
    run(&world, process, other, 20000);
    assert_int_equal(stats_of(process).parked, 1);
    world_kill(other);
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    assert_int_equal(stats_of(process).resumed, 0);
    assert_int_equal(stats_of(process).parked, 0);
    world_kill(process);
    world_deinit(&world);
}

static void parked_tasks_are_given_up_when_memory_is_short_or_they_are_old(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0"), *other;
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    other = world_start(&world, "pql-1");
    run_until_live(&world, process, other, 1, 1);
    assert_int_equal(stats_of(process).parked, 1);
    model_advance(&world.model, 590ULL * SECOND);
    run(&world, process, other, 100);
    assert_int_equal(stats_of(process).parked, 1);
    model_advance(&world.model, 11ULL * SECOND);
    run(&world, process, other, 100);
    assert_int_equal(stats_of(process).parked, 0);
    world_kill(other);
    run_until_live(&world, process, NULL, 2, 0);
    other = world_start(&world, "pql-2");
    run_until_live(&world, process, other, 1, 1);
    assert_int_equal(pql_pipeline_give_up_parked(process->pipeline), 1);
    assert_int_equal(stats_of(process).parked, 0);
    world_kill(other);
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    world_kill(process);
    world_deinit(&world);
}

/* There a journal goes on without its offsets. */
static void at_least_once_nothing_is_parked(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &at_least_once);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 20);
    run_until_committed(&world, process, NULL);
    expel(&world, process);
    put_events(&world, 20);
    for (int i = 0; i < STEPS && !world_all_committed(&world); i++) {
        run(&world, process, NULL, 1);
        assert_int_equal(stats_of(process).parked, 0);
    }
    assert_true(world_all_committed(&world));
    assert_int_equal(stats_of(process).resumed, 0);
    world_kill(process);
    world_deinit(&world);
}

/* --- incarnations --- */

static int64_t asked_end;

static void old_answer(void *self, int timeout_ms, struct pql_control *out)
{
    static struct pql_position position;
    (void)self;
    (void)timeout_ms;
    position = (struct pql_position){.offset = asked_end};
    *out = (struct pql_control){
        .kind = PQL_CONTROL_OFFSETS, .offsets = &position, .offsets_count = 1, .asked_us = 1};
}

/* The end offsets were asked for by an earlier incarnation: they confirm nothing to this one. */
static void end_offsets_asked_before_the_assignment_are_dropped(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &one_partition);
    world_set_ticks(&world, true);
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < 4; i++) world_put_event(&world, "a1");
    run_until_committed(&world, process, NULL);
    asked_end = model_end(&world.model.inputs[0][0]);
    process->ports.poll = old_answer;
    run(&world, process, NULL, 30000); /* long past the end of the window: only a tick is missing */
    assert_int_equal(stats_of(process).ticks, 0);
    world_kill(process);
    world_deinit(&world);
}

/* Revoked and assigned again, over and over, with snapshots, end offsets and commits under way. */
static void a_partition_comes_and_goes_with_things_in_flight(void **state)
{
    (void)state;
    struct world world;
    static const struct world_plan plan = {PLAIN, .partitions_count = 1, .users = 40};
    begin(&world, &plan);
    world.conf.checkpoint_interval_ms = 20;
    struct world_process *process = world_start(&world, "pql-0");
    world.model.faults =
        (struct model_faults){.rebalance = 0.05, .ack = 0.3, .seek = 0.1, .delayed_commit = 0.02};
    for (int i = 0; i < 60000; i++) {
        if (i % 40 == 0) put_events(&world, 1);
        run(&world, process, NULL, 1);
        assert_int_equal(stop_of(process, &(struct pql_err){0}), PQL_STOP_NONE);
    }
    assert_true(world.model.counts[8] > 100); /* rebalances */
    world.model.faults = (struct model_faults){0};
    run_until_committed(&world, process, NULL);
    assert_true(stats_of(process).resumed > 50);
    assert_int_equal(visible(&world, PQL_OUT_DLQ), 0);
    world_kill(process);
    world_deinit(&world);
}

/* --- revoke --- */

static void a_revoked_task_is_handed_over_without_a_replay(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    world.conf.handover_budget_ms = 5000;
    world.conf.checkpoint_interval_ms = 86400000;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 200);
    run_until_committed(&world, process, NULL);
    struct world_process *other = world_start(&world, "pql-1");
    other->conf.handover_budget_ms = process->conf.handover_budget_ms = 5000;
    put_events(&world, 200);
    run_until_live(&world, process, other, 1, 1);
    run_until_committed(&world, process, other);
    assert_int_equal(stats_of(other).replayed, 0);
    assert_true(stats_of(other).accounts > 0);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 400));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

static int silent(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                  struct pql_err *err)
{
    (void)self;
    (void)positions;
    (void)count;
    (void)timeout_ms;
    return PQL_FAIL(err, PQL_ERR_RETRY, "a transaction holds the offset");
}

/* It would wait for its offsets for ever. */
static void a_restore_in_progress_is_cancelled_by_a_revoke(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0"), *other;
    process->ports.committed = silent;
    while (stats_of(process).restoring < 2) run(&world, process, NULL, 1);
    other = world_start(&world, "pql-1");
    while (stats_of(other).tasks < 1) run(&world, process, other, 1);
    assert_int_equal(stats_of(process).tasks, 1);
    run_until_live(&world, other, NULL, 1, 0);
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

/* Abortable faults without end: two tries, then the partition goes, and the others' epochs stay. */
static void a_leaving_task_has_two_tries(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    world.model.faults.abortable = 1;
    put_events(&world, 50);
    uint64_t aborted = stats_of(process).aborted;
    struct world_process *other = world_start(&world, "pql-1");
    uint64_t began_us = world.model.now_us;
    while (stats_of(process).tasks > 1) run(&world, process, NULL, 1), world_step(&world, other);
    assert_true(world.model.now_us - began_us < 10ULL * SECOND);
    assert_true(stats_of(process).aborted >= aborted + 1); /* the second is under way */
    assert_int_equal(stats_of(process).parked, 1);
    world.model.faults.abortable = 0;
    run_until_committed(&world, process, other);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 100));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

/* No call succeeds any more: after 30 s and the handover's budget the partition goes all the same. */
static void a_revoke_ends_though_nothing_can_be_committed(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    struct world_process *other = world_start(&world, "pql-1");
    world.model.faults.retry = 1;
    put_events(&world, 50);
    uint64_t began_us = world.model.now_us;
    while (stats_of(process).tasks > 1) run(&world, process, other, 1);
    uint64_t took_us = world.model.now_us - began_us;
    assert_true(took_us > 25ULL * SECOND && took_us < 45ULL * SECOND);
    world.model.faults.retry = 0;
    run_until_committed(&world, process, other);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 100));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

/* What became of the transaction is found out for the task that stays; the one that leaves is its next
 * owner's. */
static void an_unknown_outcome_is_decided_for_those_that_stay(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    struct world_process *other = world_start(&world, "pql-1");
    while (world.model.group.target[0] == world.model.group.target[1]) run(&world, process, other, 1);
    world.model.faults.lost_commit = 1;
    put_events(&world, 50);
    while (!stats_of(process).unknown) run(&world, process, other, 1);
    world.model.faults.lost_commit = 0;
    run_until_live(&world, process, other, 1, 1);
    run_until_committed(&world, process, other);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 100));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

/* As if the partition's next owner had committed already; only the name in the words differs. */
static void another_commits(struct world *world, int32_t partition)
{
    char *writer = strstr(world->model.offsets[0][partition].metadata, "w=");
    assert_non_null(writer);
    writer[2] = writer[2] == '0' ? '1' : '0';
}

/* Awake after a long sleep, the end of its transaction fenced: one of its tasks is another's by now, and it
 * hears of that as of any revoke. */
static void a_task_that_leaves_does_not_hold_up_what_became_of_the_others(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    world.model.faults.lost_commit = 1;
    put_events(&world, 50);
    while (!stats_of(process).unknown) run(&world, process, NULL, 1);
    world.model.faults.lost_commit = 0;
    another_commits(&world, 1);
    struct world_process *other = world_start(&world, "pql-1");
    run_until_live(&world, process, other, 1, 1);
    assert_int_not_equal(world.model.group.target[0], world.model.group.target[1]);
    assert_int_equal(stop_of(process, &err), PQL_STOP_NONE);
    run_until_committed(&world, process, other);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 100));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

static void a_lost_assignment_ends_a_revoke_at_once(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    struct world_process *other = world_start(&world, "pql-1");
    world.model.faults.retry = 1; /* no commit succeeds */
    put_events(&world, 50);
    while (world.model.group.target[0] == world.model.group.target[1]) run(&world, process, other, 1);
    run(&world, process, other, 500);
    assert_int_equal(stats_of(process).tasks, 2); /* it tries */
    expel(&world, process);
    uint64_t began_us = world.model.now_us;
    while (stats_of(process).tasks > 1) {
        struct pql_group_facts facts;
        process->ports.group_facts(process->ports.self, &facts); /* the client's own heartbeat */
        run(&world, process, other, 1);
    }
    assert_true(world.model.now_us - began_us < 5ULL * SECOND);
    world.model.faults.retry = 0;
    run_until_committed(&world, process, other);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&two_partitions, 100));
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

/* --- offsets of several inputs --- */

static void offsets_of_every_input_are_committed_also_of_those_that_do_not_move(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_inputs);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10); /* the second stays empty */
    run_until_committed(&world, process, NULL);
    assert_string_equal(world.model.offsets[0][0].metadata, world.model.offsets[1][0].metadata);
    assert_int_equal(world.model.offsets[1][0].offset, 0);
    world_kill(process);
    world_deinit(&world);
}

/* The broker forgets offsets of topics without a subscription after a week. */
static void an_idle_task_renews_its_offsets_daily(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &two_inputs);
    world.model.group.session_us = UINT64_MAX / 2;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10);
    run_until_committed(&world, process, NULL);
    for (int hour = 0; hour < 10 * 24; hour++) {
        model_advance(&world.model, 3600ULL * SECOND);
        run(&world, process, NULL, 300);
    }
    assert_true(world.model.has_offset[1][0]);
    world_kill(process);
    model_advance(&world.model, 6ULL * 86400 * SECOND);
    process = world_start(&world, "pql-1");
    world.model.group.session_us = SECOND;
    run_until_live(&world, process, NULL, 1, 0);
    model_advance(&world.model, 8ULL * 86400 * SECOND);
    assert_false(world.model.has_offset[1][0]); /* the model does forget */
    world_kill(process);
    world_deinit(&world);
}

/* --- partitions --- */

static int (*real_input_facts)(void *, uint32_t, struct pql_topic_facts *, int, struct pql_err *);
static int32_t partitions_now;
static const char *id_now;

static int facts_now(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                     struct pql_err *err)
{
    int rc = real_input_facts(self, input, facts, timeout_ms, err);
    if (input == 1 && partitions_now) facts->partitions_count = partitions_now;
    if (input == 1 && id_now) snprintf(facts->id, sizeof facts->id, "%s", id_now);
    return rc;
}

static void expect_end(struct world *world, struct world_process *process, enum pql_stop stop,
                       const char *words)
{
    struct pql_err err = {0};
    world_run(world, process, 2 * STEPS);
    assert_int_equal(stop_of(process, &err), stop);
    if (!strstr(err.msg, words)) fail_msg("'%s' is not in '%s'", words, err.msg);
}

static void partitions_added_or_a_topic_created_again_stop_while_running(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world world;
        begin(&world, &two_inputs);
        partitions_now = 0;
        id_now = NULL;
        struct world_process *process = world_start(&world, "pql-0");
        real_input_facts = process->ports.input_facts;
        process->ports.input_facts = facts_now;
        put_events(&world, 10);
        run_until_committed(&world, process, NULL);
        if (i == 0)
            partitions_now = 3;
        else
            id_now = "another";
        expect_end(&world, process, i ? PQL_STOP_STATE : PQL_STOP_CONFIG,
                   i ? "deleted and created again while this ran" : "input-1 has 3 partitions now and had 1");
        world_kill(process);
        world_deinit(&world);
    }
}

static void another_partition(void *self, int timeout_ms, struct pql_control *out)
{
    static const int32_t tasks[] = {7};
    (void)self;
    (void)timeout_ms;
    *out = (struct pql_control){.kind = PQL_CONTROL_ASSIGNED, .tasks = tasks, .count = 1};
}

static void an_assignment_beyond_the_partitions_stops(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &one_partition);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10);
    run_until_committed(&world, process, NULL);
    process->ports.poll = another_partition;
    expect_end(&world, process, PQL_STOP_CONFIG, "input-0 has 8 partitions now and had 1");
    world_kill(process);
    world_deinit(&world);
}

/* --- identity --- */

static void a_static_member_that_was_killed_takes_over_at_once(void **state)
{
    (void)state;
    struct world world;
    begin(&world, &is_static);
    world.model.group.session_us = 3600ULL * SECOND;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process, NULL);
    put_events(&world, 50);
    while (!world.model.txns[0].is_open) run(&world, process, NULL, 1);
    world_kill(process);
    uint64_t began_us = world.model.now_us;
    process = world_start(&world, "pql-0");
    run_until_committed(&world, process, NULL);
    assert_true(world.model.now_us - began_us < 5ULL * SECOND); /* its predecessor's transaction is aborted */
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&is_static, 100));
    world_kill(process);
    world_deinit(&world);
}

/* The one whose place was taken ends; the new one goes on. */
static void of_two_with_one_instance_the_older_ends(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    begin(&world, &is_static);
    struct world_process *older = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, older, NULL);
    struct world_process *newer = world_start(&world, "pql-0");
    put_events(&world, 50);
    run(&world, older, newer, 5000);
    assert_int_equal(stop_of(older, &err), PQL_STOP_FENCED);
    assert_int_equal(stop_of(newer, &err), PQL_STOP_NONE);
    run_until_committed(&world, newer, NULL);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&is_static, 100));
    world_kill(older);
    world_kill(newer);
    world_deinit(&world);
}

/* Each time it slept in a transaction, which the coordinator ended. */
static void a_process_that_sleeps_twice_in_a_minute_is_not_another(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    begin(&world, &one_partition);
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < 4; i++) {
        put_events(&world, 20);
        while (!world.model.txns[0].is_open) run(&world, process, NULL, 1);
        model_client_freeze(process->client, true);
        model_advance(&world.model, 11ULL * SECOND);
        model_client_freeze(process->client, false);
        run_until_committed(&world, process, NULL);
        assert_int_equal(stop_of(process, &err), PQL_STOP_NONE);
    }
    assert_int_equal(stats_of(process).unknown, 4);
    assert_int_equal(visible(&world, PQL_OUT_PQL), undisturbed(&one_partition, 80));
    world_kill(process);
    world_deinit(&world);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_task_that_comes_back_goes_on),
        cmocka_unit_test(a_kept_epoch_that_was_committed_is_dropped),
        cmocka_unit_test(a_task_that_others_worked_on_is_loaded_anew),
        cmocka_unit_test(parked_tasks_are_given_up_when_memory_is_short_or_they_are_old),
        cmocka_unit_test(at_least_once_nothing_is_parked),
        cmocka_unit_test(end_offsets_asked_before_the_assignment_are_dropped),
        cmocka_unit_test(a_partition_comes_and_goes_with_things_in_flight),
        cmocka_unit_test(a_revoked_task_is_handed_over_without_a_replay),
        cmocka_unit_test(a_restore_in_progress_is_cancelled_by_a_revoke),
        cmocka_unit_test(a_leaving_task_has_two_tries),
        cmocka_unit_test(a_revoke_ends_though_nothing_can_be_committed),
        cmocka_unit_test(an_unknown_outcome_is_decided_for_those_that_stay),
        cmocka_unit_test(a_task_that_leaves_does_not_hold_up_what_became_of_the_others),
        cmocka_unit_test(a_lost_assignment_ends_a_revoke_at_once),
        cmocka_unit_test(offsets_of_every_input_are_committed_also_of_those_that_do_not_move),
        cmocka_unit_test(an_idle_task_renews_its_offsets_daily),
        cmocka_unit_test(partitions_added_or_a_topic_created_again_stop_while_running),
        cmocka_unit_test(an_assignment_beyond_the_partitions_stops),
        cmocka_unit_test(a_static_member_that_was_killed_takes_over_at_once),
        cmocka_unit_test(of_two_with_one_instance_the_older_ends),
        cmocka_unit_test(a_process_that_sleeps_twice_in_a_minute_is_not_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
