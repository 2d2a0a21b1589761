/* What would come again whatever is repeated stops at its second time, with the command to type; sizes that a
 * topic takes; the budget of memory. On the modelled Kafka, a case for each row and rule. */
#include "sim/world.h"

#include "base/log.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 60000 };

static const struct world_plan exactly = {
    .seed = 7, .inputs_count = 1, .partitions_count = 1, .workers = 1, .checkpoint_interval_ms = 500};
static const struct world_plan at_least = {.seed = 7,
                                           .inputs_count = 1,
                                           .partitions_count = 1,
                                           .workers = 1,
                                           .at_least_once = true,
                                           .checkpoint_interval_ms = 500};

static void put_events(struct world *world, int n)
{
    for (int i = 0; i < n; i++) {
        char account[16];
        snprintf(account, sizeof account, "a%d", i % 5);
        world_put_event(world, account);
    }
}

static void run_until_committed(struct world *world, struct world_process *process)
{
    for (int i = 0; i < STEPS && !world_all_committed(world); i++) world_run(world, process, 1);
    assert_true(world_all_committed(world));
}

static void expect_stop(struct world *world, struct world_process *process, enum pql_stop expected,
                        const char *part)
{
    enum pql_stop stop = PQL_STOP_NONE;
    struct pql_err err = {0};
    world_run(world, process, STEPS);
    assert_non_null(process->pipeline);
    pql_pipeline_finished(process->pipeline, &stop, &err);
    assert_int_equal(stop, expected);
    if (!strstr(err.msg, part)) fail_msg("'%s' is not in '%s'", part, err.msg);
}

/* --- permanent errors --- */

static const struct refusal {
    enum model_refused what;
    const char *word, *remedy;
    enum pql_output output;
} refusals[] = {
    {MODEL_REFUSES_RECORDS, "topic_authorization", "--operation DescribeConfigs --operation Write",
     PQL_OUT_STATE},
    {MODEL_REFUSES_RECORDS, "topic_authorization", "--operation Describe", PQL_OUT_CHECKPOINT},
    {MODEL_REFUSES_RECORDS, "unknown_topic", "pqlstream topics --create", PQL_OUT_PQL},
    {MODEL_REFUSES_RECORDS, "record_too_large", "--add-config max.message.bytes=", PQL_OUT_PQL},
    {MODEL_REFUSES_RECORDS, "cluster_authorization", "--operation IdempotentWrite --cluster", PQL_OUT_PQL},
    {MODEL_REFUSES_RECORDS, "policy", "kafka-configs.sh --bootstrap-server", PQL_OUT_PQL},
    {MODEL_REFUSES_RECORDS, "invalid_record", "kafka-configs.sh --bootstrap-server", PQL_OUT_STATE},
    {MODEL_REFUSES_OFFSETS, "group_authorization", "--operation Read --group sim", PQL_OUT_PQL},
    {MODEL_REFUSES_OFFSETS, "metadata_too_large", "offset.metadata.max.bytes", PQL_OUT_PQL},
    {MODEL_REFUSES_INIT, "transactional_id_authorization", "--transactional-id sim-", PQL_OUT_PQL},
    {MODEL_REFUSES_INIT, "transaction_timeout", "transaction.max.timeout.ms", PQL_OUT_PQL},
};

static void stops_at_the_second(const struct world_plan *plan, const struct refusal *row)
{
    struct world world;
    world_init(&world, plan);
    world.model.refuses = row->what;
    world.model.refusal = row->word;
    world.model.refused_output = row->output;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 60);
    expect_stop(&world, process, PQL_STOP_CONFIG, row->remedy);
    if (row->what != MODEL_REFUSES_INIT) assert_true(world.model.refusals >= 2);
    world_kill(process);
    /* The operator typed it: all of the input is used, and nothing twice. */
    world.model.refuses = MODEL_REFUSES_NOTHING;
    process = world_start(&world, "pql-0");
    run_until_committed(&world, process);
    world_kill(process);
    world_deinit(&world);
}

static void permanent_errors_stop_with_the_command(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        stops_at_the_second(&exactly, &refusals[i]);
}

/* A record that always fails to be acknowledged is not tried for ever. */
static void permanent_errors_stop_at_least_once_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].what != MODEL_REFUSES_INIT) stops_at_the_second(&at_least, &refusals[i]);
}

static void goes_on_after_one(const struct world_plan *plan)
{
    struct world world;
    world_init(&world, plan);
    world.model.refuses = MODEL_REFUSES_RECORDS;
    world.model.refusal = "unknown_topic";
    world.model.refused_output = PQL_OUT_PQL;
    world.model.refuses_times = 1;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 60);
    run_until_committed(&world, process);
    assert_int_equal(world.model.refusals, 1);
    world_kill(process);
    world_deinit(&world);
}

/* A topic just created is unknown to some broker for a moment. */
static void one_permanent_error_is_survived(void **state)
{
    (void)state;
    goes_on_after_one(&exactly);
    goes_on_after_one(&at_least);
}

/* --- memory --- */

static void many_accounts(struct world *world, int from, int to)
{
    for (int i = from; i < to; i++) {
        char account[24];
        snprintf(account, sizeof account, "account-%d", i);
        world_put_event(world, account);
        world_put_event(world, account);
    }
}

static int64_t committed_offset(const struct world *world)
{
    return world->model.has_offset[0][0] ? world->model.offsets[0][0].offset : 0;
}

static size_t transitions(const struct world *world)
{
    const struct model_log *log = &world->model.outputs[PQL_OUT_PQL][0];
    size_t n = 0;
    for (size_t i = 0; i < log->count; i++) n += log->records[i]->status == MODEL_COMMITTED;
    return n;
}

static void state_at_the_budget_stops_and_goes_on_with_more(const struct world_plan *plan)
{
    struct world world;
    world_init(&world, plan);
    world.conf.memory_max = 400000;
    world.conf.client_bytes = 1000;
    world.conf.dlq_max_share = 1;
    struct world_process *process = world_start(&world, "pql-0");
    many_accounts(&world, 0, 2000);
    expect_stop(&world, process, PQL_STOP_STATE, "0.4 MB that `memory` allows: state ");
    enum pql_stop stop;
    struct pql_err err;
    pql_pipeline_finished(process->pipeline, &stop, &err);
    assert_string_equal(err.reason, "memory");
    assert_non_null(strstr(err.msg, "client 0.0 MB"));
    assert_true(committed_offset(&world) > 0 && committed_offset(&world) < 4000);
    world_kill(process);
    /* The same again: no further than before by much, and it says so again. */
    process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "`memory` allows");
    world_kill(process);
    world.conf.memory_max = 40000000;
    process = world_start(&world, "pql-0");
    run_until_committed(&world, process);
    world_kill(process);
    assert_true(transitions(&world) >= 2000);
    if (!plan->at_least_once) assert_int_equal(transitions(&world), 2000);
    world_deinit(&world);
}

static void state_at_the_budget_stops_before_allocation_fails(void **state)
{
    (void)state;
    state_at_the_budget_stops_and_goes_on_with_more(&exactly);
    state_at_the_budget_stops_and_goes_on_with_more(&at_least);
}

/* What was taken away and kept is the first to go. */
static void parked_tasks_go_first(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats = {0};
    world_init(&world, &exactly);
    world.conf.memory_max = 40000000;
    world.conf.park_ms = 600000;
    struct world_process *process = world_start(&world, "pql-0");
    many_accounts(&world, 0, 500);
    run_until_committed(&world, process);
    /* Another one joins and takes the only partition for good. */
    struct world_process *other = NULL;
    model_client_freeze(process->client, true);
    other = world_start(&world, "pql-1");
    for (int i = 0; i < STEPS && !stats.live; i++) {
        world_run(&world, other, 1);
        pql_pipeline_stats(other->pipeline, &stats);
    }
    model_client_freeze(process->client, false);
    for (int i = 0; i < STEPS && !stats.parked; i++) {
        world_run(&world, other, 1);
        world_run(&world, process, 1);
        pql_pipeline_stats(process->pipeline, &stats);
    }
    assert_int_equal(stats.parked, 1);
    assert_true(stats.memory.parked > 50000 && stats.memory.state == 0);
    process->conf.memory_max = stats.memory.parked;
    world_run(&world, process, 2000);
    assert_false(pql_pipeline_finished(process->pipeline, NULL, NULL));
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.parked, 0);
    assert_int_equal(stats.memory.parked, 0);
    world_kill(process);
    world_kill(other);
    world_deinit(&world);
}

static void memory_is_counted_by_kind(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    char value[64];
    world_init(&world, &exactly);
    world.conf.client_bytes = 12345;
    world.schema_known_us = UINT64_MAX;
    struct world_process *process = world_start(&world, "pql-0");
    many_accounts(&world, 0, 300);
    run_until_committed(&world, process);
    pql_pipeline_stats(process->pipeline, &stats);
    uint64_t state_bytes = stats.memory.state;
    assert_true(state_bytes > 300 * 100 && state_bytes < 300 * 2000);
    assert_int_equal(stats.memory.client, 12345);
    snprintf(value, sizeof value, "later|a1|u1|%lld|", (long long)model_wall_ms(&world.model));
    for (int i = 0; i < 20; i++) world_put(&world, 0, 0, "a1", value);
    world_run(&world, process, 3000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_true(stats.memory.messages > strlen(value));
    assert_int_equal(pql_memory_total(&stats.memory),
                     stats.memory.state + stats.memory.epochs + stats.memory.messages + stats.memory.journal +
                         stats.memory.snapshots + stats.memory.parked + stats.memory.client);
    world_kill(process);
    world_deinit(&world);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(permanent_errors_stop_with_the_command),
        cmocka_unit_test(permanent_errors_stop_at_least_once_too),
        cmocka_unit_test(one_permanent_error_is_survived),
        cmocka_unit_test(state_at_the_budget_stops_before_allocation_fails),
        cmocka_unit_test(parked_tasks_go_first),
        cmocka_unit_test(memory_is_counted_by_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
