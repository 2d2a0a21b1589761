/* What each kind of bad input, damage and operator's doing must get: on the modelled Kafka, one case each. */
#include "sim/world.h"

#include "base/log.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

enum { STEPS = 60000 };

static const struct world_plan plain = {
    .seed = 7, .inputs_count = 1, .partitions_count = 1, .workers = 1, .checkpoint_interval_ms = 500};
static const struct world_plan two_partitions = {
    .seed = 7, .inputs_count = 1, .partitions_count = 2, .workers = 1, .checkpoint_interval_ms = 500};
static const struct world_plan two_inputs = {
    .seed = 7, .inputs_count = 2, .partitions_count = 1, .workers = 1, .checkpoint_interval_ms = 500};

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

static enum pql_stop end_of(struct world *world, struct world_process *process, struct pql_err *err)
{
    enum pql_stop stop = PQL_STOP_NONE;
    world_run(world, process, STEPS);
    *err = process->err;
    if (process->pipeline) pql_pipeline_finished(process->pipeline, &stop, err);
    return stop;
}

static void expect_stop(struct world *world, struct world_process *process, enum pql_stop expected,
                        const char *part)
{
    struct pql_err err = {0};
    assert_int_equal(end_of(world, process, &err), expected);
    if (!strstr(err.msg, part)) fail_msg("'%s' is not in '%s'", part, err.msg);
}

/* --- what is said --- */

struct heard {
    FILE *file;
    int saved;
};

/* What the log says from here on goes to a file. */
static struct heard listen(void)
{
    struct heard heard = {.file = tmpfile(), .saved = dup(STDERR_FILENO)};
    assert_non_null(heard.file);
    assert_true(dup2(fileno(heard.file), STDERR_FILENO) >= 0);
    pql_log_set_level(PQL_LOG_WARN);
    return heard;
}

/* How many lines had these words, and into `last` the last of them. */
static size_t end_of_listening(struct heard *heard, const char *words, char *last, size_t size)
{
    char line[PQL_LOG_LINE_MAX];
    size_t count = 0;
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    assert_true(dup2(heard->saved, STDERR_FILENO) >= 0);
    close(heard->saved);
    rewind(heard->file);
    last[0] = 0;
    while (fgets(line, sizeof line, heard->file)) {
        if (!strstr(line, words)) continue;
        count++;
        snprintf(last, size, "%s", line);
    }
    fclose(heard->file);
    return count;
}

/* Everything of some events is committed and in a snapshot, and the process has ended in order. */
static void settle_some(struct world *world, int events)
{
    struct pql_err err;
    struct world_process *process = world_start(world, "pql-0");
    put_events(world, events);
    run_until_committed(world, process);
    world_run(world, process, 5000);
    pql_pipeline_stop(process->pipeline);
    assert_int_equal(end_of(world, process, &err), PQL_STOP_CLEAN);
    world_kill(process);
}

static struct pql_metadata committed_metadata(struct world *world)
{
    struct pql_metadata m;
    struct pql_err err;
    assert_int_equal(pql_metadata_parse(pql_slice_of(world->model.offsets[0][0].metadata), &m, &err), 0);
    return m;
}

static size_t visible(const struct world *world, enum pql_output output)
{
    size_t n = 0;
    for (int p = 0; p < world->plan->partitions_count; p++)
        for (size_t i = 0; i < world->model.outputs[output][p].count; i++)
            n += world->model.outputs[output][p].records[i]->status == MODEL_COMMITTED;
    return n;
}

static const struct model_record *first_visible(const struct world *world, enum pql_output output)
{
    for (int p = 0; p < world->plan->partitions_count; p++)
        for (size_t i = 0; i < world->model.outputs[output][p].count; i++)
            if (world->model.outputs[output][p].records[i]->status == MODEL_COMMITTED)
                return world->model.outputs[output][p].records[i];
    return NULL;
}

static const char *header(const struct model_record *record, const char *name)
{
    for (size_t i = 0; i < record->headers_count; i++)
        if (pql_slice_is(record->headers[i].name, name)) return record->headers[i].value.ptr;
    return NULL;
}

/* --- bad input --- */

static void bad_record_is_a_dead_letter(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 3);
    world_put(&world, 0, 0, "k", "no such thing");
    put_events(&world, 10);
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_DLQ), 1);
    const struct model_record *letter = first_visible(&world, PQL_OUT_DLQ);
    assert_true(pql_slice_is(letter->value, "no such thing"));
    assert_true(pql_slice_is(letter->key, "k"));
    assert_string_equal(header(letter, "pqlstream.error.reason"), "bad_avro");
    assert_string_equal(header(letter, "pqlstream.error.offset"), "3");
    assert_string_equal(header(letter, "pqlstream.error.topic"), "input-0");
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.refused, 1);
    assert_int_equal(stats.messages, 13);
    world_kill(process);
    world_deinit(&world);
}

static void far_future_is_a_dead_letter(void **state)
{
    (void)state;
    struct world world;
    char value[64];
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    snprintf(value, sizeof value, "known|a1|u1|%" PRId64 "|", model_wall_ms(&world.model) + 86400000);
    world_put(&world, 0, 0, "a1", value);
    put_events(&world, 5);
    run_until_committed(&world, process);
    assert_string_equal(header(first_visible(&world, PQL_OUT_DLQ), "pqlstream.error.reason"), "future_time");
    world_kill(process);
    world_deinit(&world);
}

static void half_of_the_input_bad_blocks(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    world.conf.dlq_max_share = 0.5;
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < 3000; i++) {
        if (i % 3)
            world_put(&world, 0, 0, "k", "bad");
        else
            put_events(&world, 1);
    }
    expect_stop(&world, process, PQL_STOP_STATE, "dlq_max_share");
    assert_true(world.model.offsets[0][0].offset < 1100);
    assert_true(visible(&world, PQL_OUT_DLQ) < 1000);
    world_kill(process);
    world_deinit(&world);
}

static void registry_away_one_partition_waits(void **state)
{
    (void)state;
    struct world world;
    char value[64];
    world_init(&world, &two_partitions);
    world.schema_known_us = UINT64_MAX;
    struct world_process *process = world_start(&world, "pql-0");
    snprintf(value, sizeof value, "later|a1|u1|%" PRId64 "|", model_wall_ms(&world.model));
    int32_t waiting = (int32_t)pql_partition_murmur2(PQL_SLICE_LITERAL("a1"), 2), other = 1 - waiting;
    world_put(&world, 0, waiting, "a1", value);
    put_events(&world, 200);
    world_run(&world, process, 20000);
    assert_int_equal(world.model.offsets[0][waiting].offset, 0);
    assert_int_equal(world.model.offsets[0][other].offset, model_end(&world.model.inputs[0][other]));
    assert_int_equal(visible(&world, PQL_OUT_DLQ), 0);
    world.schema_known_us = 0;
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_DLQ), 0);
    world_kill(process);
    world_deinit(&world);
}

static void not_partitioned_by_account_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &two_partitions);
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < 3000; i++) {
        char value[64];
        snprintf(value, sizeof value, "known|a%d|u1|%" PRId64 "|", i, model_wall_ms(&world.model));
        world_put(&world, 0, i % 2, "", value);
    }
    expect_stop(&world, process, PQL_STOP_STATE, "not partitioned by account");
    world_kill(process);
    world_deinit(&world);
}

static void too_large_goes_to_the_dead_letters(void **state)
{
    (void)state;
    struct world world;
    char account[1100];
    world_init(&world, &plain);
    world.model.max_message_bytes = 1100;
    memset(account, 'a', 1000);
    account[1000] = '\0';
    struct world_process *process = world_start(&world, "pql-0");
    char value[1200];
    for (int i = 0; i < 4; i++) {
        snprintf(value, sizeof value, "known|%s|u1|%" PRId64 "|", account, model_wall_ms(&world.model) + i);
        world_put(&world, 0, 0, "a", value);
    }
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 0);
    const struct model_record *letter = first_visible(&world, PQL_OUT_DLQ);
    assert_non_null(letter);
    assert_non_null(header(letter, "pqlstream.error.cut_from"));
    world_kill(process);
    world_deinit(&world);
}

/* --- the program ends in the middle --- */

/* Workers and committer go on for a while before control hears of it. */
static void run_without_control(struct world *world, struct world_process *process)
{
    for (int i = 0; i < 3000; i++) {
        world_pass_time(world);
        pql_worker_step(process->pipeline, 0, 0);
        pql_committer_step(process->pipeline, 0);
    }
}

static void what_cannot_be_decoded_is_not_skipped(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10);
    run_until_committed(&world, process);
    world_put(&world, 0, 0, "a1", "fatal|a1|u1|1|");
    put_events(&world, 200);
    run_without_control(&world, process);
    expect_stop(&world, process, PQL_STOP_FATAL, "no decoder");
    assert_int_equal(world.model.offsets[0][0].offset, 10);
    world_kill(process);
    world_deinit(&world);
}

static void what_cannot_be_encoded_is_not_left_out(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    world_put_event(&world, "a1");
    run_until_committed(&world, process);
    world.encode_fails = true;
    for (int i = 0; i < 100; i++) world_put_event(&world, "a1"); /* the next one qualifies u1 */
    run_without_control(&world, process);
    expect_stop(&world, process, PQL_STOP_FATAL, "no encoder");
    assert_int_equal(world.model.offsets[0][0].offset, 1);
    world_kill(process);
    world_deinit(&world);
}

static int produced;

static int may_not_produce(void *self, const struct pql_out_record *record, struct pql_err *err)
{
    (void)self;
    (void)record;
    produced++;
    return PQL_FAIL(err, PQL_ERR_CONFIG, "no right to write");
}

/* The handle may be dead by then. */
static void after_a_lasting_fault_the_client_is_left_alone(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    process->ports.txn_produce = may_not_produce;
    produced = 0;
    put_events(&world, 10);
    while (!produced) world_run(&world, process, 1);
    run_without_control(&world, process);
    expect_stop(&world, process, PQL_STOP_CONFIG, "no right to write");
    assert_int_equal(produced, 1);
    world_kill(process);
    world_deinit(&world);
}

/* --- the clock --- */

/* The snapshot was taken while old events were read; what came after it was of today. */
static void the_clock_of_a_quiet_task_goes_on_after_a_restart(void **state)
{
    (void)state;
    struct world world;
    char value[64];
    world_init(&world, &plain);
    snprintf(value, sizeof value, "known|a1|u1|%" PRId64 "|", model_wall_ms(&world.model) - 864000000);
    world_put(&world, 0, 0, "a1", value);
    settle_some(&world, 0);
    world.conf.checkpoint_interval_ms = 86400000;
    struct world_process *process = world_start(&world, "pql-0");
    for (int i = 0; i < 5; i++) world_put_event(&world, "a1");
    run_until_committed(&world, process);
    world_kill(process);
    size_t entered = visible(&world, PQL_OUT_PQL);
    assert_true(entered > 0);
    process = world_start(&world, "pql-0");
    world_run(&world, process, STEPS);
    assert_int_equal(visible(&world, PQL_OUT_PQL), entered + 1); /* left, by a tick */
    world_kill(process);
    world_deinit(&world);
}

/* --- topics --- */

static int (*real_input_facts)(void *, uint32_t, struct pql_topic_facts *, int, struct pql_err *);
static int (*real_output_facts)(void *, enum pql_output, struct pql_topic_facts *, int, struct pql_err *);

static int third_partition(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                           struct pql_err *err)
{
    int rc = real_input_facts(self, input, facts, timeout_ms, err);
    if (input == 1) facts->partitions_count = 3;
    return rc;
}

static int no_state_topic(void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,
                          struct pql_err *err)
{
    int rc = real_output_facts(self, output, facts, timeout_ms, err);
    if (output == PQL_OUT_STATE) facts->exists = false;
    return rc;
}

static int short_retention(void *self, enum pql_output output, struct pql_topic_facts *facts, int timeout_ms,
                           struct pql_err *err)
{
    int rc = real_output_facts(self, output, facts, timeout_ms, err);
    facts->retention_ms = 604800000;
    return rc;
}

static void topics_that_do_not_fit(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    world_init(&world, &two_inputs);
    struct world_process *process = world_start(&world, "pql-0");
    struct pql_ports ports = process->ports;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), 0);
    real_input_facts = ports.input_facts;
    real_output_facts = ports.output_facts;
    ports.input_facts = third_partition;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), -1);
    assert_non_null(strstr(err.msg, "input-1 3"));
    ports.input_facts = real_input_facts;
    ports.output_facts = no_state_topic;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), -1);
    assert_non_null(strstr(err.msg, "sim.state does not exist"));
    assert_non_null(strstr(err.msg, "pqlstream topics"));
    ports.output_facts = short_retention;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), -1);
    assert_non_null(strstr(err.msg, "sim.checkpoint would lose the state"));
    world_kill(process);
    world_deinit(&world);
}

static int64_t retention_ms;

static int input_with_retention(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                                struct pql_err *err)
{
    int rc = real_input_facts(self, input, facts, timeout_ms, err);
    facts->retention_ms = retention_ms;
    return rc;
}

static struct world_process *start_with_retention(struct world *world, int64_t ms)
{
    struct world_process *process = world_start(world, "pql-0");
    real_input_facts = process->ports.input_facts;
    process->ports.input_facts = input_with_retention;
    retention_ms = ms;
    return process;
}

static const char about_to_go[] = "will soon not have what a restore needs";

static void run_seconds(struct world *world, struct world_process *process, uint64_t seconds)
{
    uint64_t until_us = world->model.now_us + seconds * 1000000;
    while (world->model.now_us < until_us) {
        if (model_chance(&world->random, 0.01)) world_put_event(world, "a1");
        world_run(world, process, 1);
    }
}

static void an_input_kept_for_less_than_four_snapshots_warns(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    char line[PQL_LOG_LINE_MAX];
    world_init(&world, &plain);
    world.conf.checkpoint_interval_ms = 60000;
    struct world_process *process = start_with_retention(&world, 239999);
    struct heard heard = listen();
    assert_int_equal(pql_pipeline_check(&process->ports, &process->conf, &err), 0);
    assert_int_equal(end_of_listening(&heard, "hardly longer than a snapshot", line, sizeof line), 1);
    assert_non_null(strstr(line, "retention.ms=240000"));
    retention_ms = 240000;
    heard = listen();
    assert_int_equal(pql_pipeline_check(&process->ports, &process->conf, &err), 0);
    assert_int_equal(end_of_listening(&heard, "hardly longer", line, sizeof line), 0);
    world_kill(process);
    world_deinit(&world);
}

/* No snapshot comes: what a restore would read grows older. Once per task, four intervals before its end. */
static void input_that_is_about_to_go_warns_while_it_is_there(void **state)
{
    (void)state;
    struct world world;
    char line[PQL_LOG_LINE_MAX];
    world_init(&world, &two_partitions);
    world.conf.checkpoint_interval_ms = 86400000;
    struct world_process *process = start_with_retention(&world, 4 * INT64_C(86400000) + 100000);
    put_events(&world, 50);
    struct heard heard = listen();
    run_seconds(&world, process, 90);
    assert_int_equal(end_of_listening(&heard, about_to_go, line, sizeof line), 0);
    heard = listen();
    run_seconds(&world, process, 300);
    assert_int_equal(end_of_listening(&heard, about_to_go, line, sizeof line), 2);
    assert_non_null(strstr(line, "topic=input-0 partition="));
    assert_non_null(strstr(line, " left_s=345"));
    assert_non_null(strstr(line, "--add-config retention.ms=691400000"));
    world_kill(process);
    world_deinit(&world);
}

/* Each snapshot makes what is needed younger; and where nothing came since, nothing is needed. */
static void snapshots_in_time_do_not_warn(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    char line[PQL_LOG_LINE_MAX];
    world_init(&world, &two_partitions);
    world.conf.checkpoint_interval_ms = 10000;
    struct world_process *process = start_with_retention(&world, 70000);
    struct heard heard = listen();
    run_seconds(&world, process, 300);
    run_until_committed(&world, process);
    world_run(&world, process, STEPS);
    assert_int_equal(end_of_listening(&heard, about_to_go, line, sizeof line), 0);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_true(stats.snapshots > 10);
    world_kill(process);
    world_deinit(&world);
}

/* --- checkpoint --- */

static void another_format_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    struct model_record *manifest =
        world.model.outputs[PQL_OUT_CHECKPOINT][0].records[committed_metadata(&world).manifest];
    static const struct {
        char version;
        const char *text;
    } others[] = {{PQL_CHECKPOINT_VERSION - 1, "format 1 is older"}, {9, "format 9 is newer"}};
    struct world_process *process;
    for (size_t i = 0; i < 2; i++) {
        char *bytes;
        memcpy(&bytes, &manifest->value.ptr, sizeof bytes);
        bytes[3] = others[i].version;
        process = world_start(&world, "pql-0");
        expect_stop(&world, process, PQL_STOP_CONFIG, others[i].text);
        world_kill(process);
    }
    snprintf(world.model.offsets[0][0].metadata, PQL_METADATA_MAX, "v2;something");
    process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "newer version");
    world_kill(process);
    world_deinit(&world);
}

static void offsets_reset_by_an_operator_stop(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    world.model.offsets[0][0].metadata[0] = '\0';
    world.model.offsets[0][0].offset = 0;
    struct world_process *process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "pqlstream checkpoint adopt");
    world_kill(process);
    world_deinit(&world);
}

static void state_ahead_of_its_journal_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    char *journal = strstr(world.model.offsets[0][0].metadata, ";j=");
    assert_non_null(journal);
    journal[3] = '0';
    struct world_process *process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "ahead of the committed journal");
    world_kill(process);
    world_deinit(&world);
}

static void state_without_offset_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    world.model.has_offset[0][0] = false;
    size_t before = world.model.outputs[PQL_OUT_CHECKPOINT][0].count;
    struct world_process *process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "no committed offset");
    assert_int_equal(world.model.outputs[PQL_OUT_CHECKPOINT][0].count, before);
    assert_false(world.model.has_offset[0][0]);
    world_kill(process);
    world_deinit(&world);
}

/* Killed before the input it still needs was part of a snapshot, and then retention took it. */
static void missing_input_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    world.conf.checkpoint_interval_ms = 86400000;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 50);
    run_until_committed(&world, process);
    world_kill(process);
    world.model.inputs[0][0].low = 20;
    process = world_start(&world, "pql-0");
    expect_stop(&world, process, PQL_STOP_STATE, "retention deleted");
    world_kill(process);
    world_deinit(&world);
}

static int other_id(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                    struct pql_err *err)
{
    int rc = real_input_facts(self, input, facts, timeout_ms, err);
    snprintf(facts->id, sizeof facts->id, "created-again");
    return rc;
}

static void topic_created_again_stops(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    world_init(&world, &plain);
    settle_some(&world, 50);
    struct world_process *process = world_start(&world, "pql-0");
    pql_pipeline_free(process->pipeline);
    real_input_facts = process->ports.input_facts;
    process->ports.input_facts = other_id;
    process->pipeline = pql_pipeline_new(&process->ports, &process->conf, &err);
    expect_stop(&world, process, PQL_STOP_STATE, "another topic than the state was made from");
    world_kill(process);
    world_deinit(&world);
}

static struct world_process *start_with(struct world *world, size_t program, int64_t revision)
{
    world->revision = 1; /* what it starts with is said here */
    struct world_process *process = world_start(world, "pql-0");
    pql_pipeline_revise(process->pipeline, &world->programs[program].edition, revision,
                        world->conf.backfill_from);
    return process;
}

static void another_program_under_the_same_revision_stops(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    struct world_process *process = start_with(&world, 1, 1);
    expect_stop(&world, process, PQL_STOP_CONFIG, "Raise `revision`");
    world_kill(process);
    world_deinit(&world);
}

static void run_with(struct world *world, size_t program, int64_t revision, uint64_t changes)
{
    struct pql_pipeline_stats stats;
    struct world_process *process = start_with(world, program, revision);
    world_run(world, process, 20000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.live, world->plan->partitions_count);
    assert_int_equal(stats.changes, changes);
    pql_pipeline_stop(process->pipeline);
    assert_true(world_run(world, process, 200000));
    world_kill(process);
}

/* Up, then down by an older process, which may not take it over, and back by the old text with a higher
 * number. */
static void an_older_revision_runs_the_program_of_the_task(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    settle_some(&world, 50);
    uint64_t tasks = (uint64_t)world.plan->partitions_count;
    run_with(&world, 1, 2, tasks);
    run_with(&world, 0, 1, 0);
    run_with(&world, 1, 2, 0);
    run_with(&world, 0, 3, tasks);
    run_with(&world, 0, 4, 0);
    world_deinit(&world);
}

/* A newer engine, then the older binary: it waits, and goes on when a newer one has the task again. */
static void an_older_binary_waits(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    world_init(&world, &plain);
    settle_some(&world, 50);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    run_with(&world, 0, 1, 0);
    world.conf.semantics = PQL_SEMANTICS_VERSION;
    struct world_process *process = start_with(&world, 0, 1);
    world_run(&world, process, 50000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.live + stats.blocked, 0);
    assert_int_equal(stats.restoring, world.plan->partitions_count);
    world_kill(process);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    run_with(&world, 0, 1, 0);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 3;
    process = start_with(&world, 0, 1);
    expect_stop(&world, process, PQL_STOP_CONFIG, "run the release between");
    world_kill(process);
    world_deinit(&world);
}

/* By hand: the newer binary leaves the engine as it is and says so once; the older one may still come back.
 */
static void a_manual_upgrade_leaves_the_engine_as_it_is(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    char line[PQL_LOG_LINE_MAX];
    world_init(&world, &two_partitions);
    settle_some(&world, 50);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    world.conf.engine_upgrade = false;
    struct heard heard = listen();
    run_with(&world, 0, 1, 0);
    assert_int_equal(end_of_listening(&heard, "stays at an older version of the engine", line, sizeof line),
                     2);
    assert_non_null(strstr(line, "engine_upgrade = auto"));
    world.conf.semantics = PQL_SEMANTICS_VERSION;
    run_with(&world, 0, 1, 0);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    world.conf.engine_upgrade = true;
    heard = listen();
    run_with(&world, 0, 1, 0);
    assert_int_equal(end_of_listening(&heard, "older version", line, sizeof line), 0);
    world.conf.semantics = PQL_SEMANTICS_VERSION;
    struct world_process *process = start_with(&world, 0, 1);
    world_run(&world, process, 20000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.live, 0);
    world_kill(process);
    world_deinit(&world);
}

/* How many there are, and whether it was given up. */
static size_t journaled_fills(const struct world *world, bool *is_given_up)
{
    const struct model_log *log = &world->model.outputs[PQL_OUT_CHECKPOINT][0];
    size_t n = 0;
    for (int64_t i = log->low; i < model_end(log); i++) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_journal entry;
        struct pql_err err;
        const struct model_record *r = log->records[i];
        if (r->status != MODEL_COMMITTED || pql_checkpoint_open(r->value, &type, &content, &err) ||
            type != PQL_CHECKPOINT_JOURNAL || pql_journal_parse(content, &entry, &err) ||
            entry.kind != PQL_JOURNAL_FILLED)
            continue;
        *is_given_up = entry.is_given_up;
        n++;
    }
    return n;
}

/* A back-fill from the beginning stands before a record whose schema the registry does not give any more. */
static struct world_process *start_to_fill(struct world *world)
{
    struct pql_pipeline_stats stats;
    char value[64];
    world_init(world, &plain);
    snprintf(value, sizeof value, "later|a1|u1|%" PRId64 "|", model_wall_ms(&world->model));
    world_put(world, 0, 0, "a1", value);
    settle_some(world, 50);
    world->schema_known_us = UINT64_MAX;
    world->conf.checkpoint_interval_ms = 86400000;
    world->conf.backfill_from = PQL_OFFSET_EARLIEST;
    struct world_process *process = start_with(world, 1, 2);
    put_events(world, 20);
    size_t before = visible(world, PQL_OUT_PQA) + visible(world, PQL_OUT_PQL);
    world_run(world, process, 20000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.filled, 0);
    assert_int_equal(world->model.offsets[0][0].offset, 51); /* live input waits, and nothing is published */
    assert_int_equal(visible(world, PQL_OUT_PQA) + visible(world, PQL_OUT_PQL), before);
    return process;
}

/* The input goes on, and a process that finds only what was journaled comes to the same. */
static void expect_fill_ended(struct world *world, struct world_process *process, bool expected)
{
    bool is_given_up = !expected;
    uint64_t digest, again;
    struct pql_log_place place;
    struct pql_pipeline_stats stats;
    run_until_committed(world, process);
    assert_int_equal(journaled_fills(world, &is_given_up), 1);
    assert_int_equal(is_given_up, expected);
    world_run(world, process, 60000); /* also all that time alone does */
    assert_true(pql_pipeline_inspect(process->pipeline, 0, &digest, &place));
    world_kill(process);
    process = start_with(world, 1, 3);
    world_run(world, process, 20000);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.live, 1);
    assert_true(stats.replayed > 0);
    assert_true(pql_pipeline_inspect(process->pipeline, 0, &again, &place));
    assert_int_equal(digest, again);
    world_kill(process);
    world_deinit(world);
}

static void back_fill_waits_for_its_schema(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = start_to_fill(&world);
    world.schema_known_us = 0;
    expect_fill_ended(&world, process, false);
}

static void back_fill_is_given_up_by_a_higher_revision(void **state)
{
    (void)state;
    struct world world;
    struct world_process *process = start_to_fill(&world);
    char line[PQL_LOG_LINE_MAX];
    struct heard heard = listen();
    pql_pipeline_revise(process->pipeline, &world.programs[1].edition, 3, PQL_OFFSET_LATEST);
    expect_fill_ended(&world, process, true);
    assert_int_equal(end_of_listening(&heard, "back-fill given up", line, sizeof line), 1);
    assert_non_null(strstr(line, "a higher revision without backfill_from"));
}

static void back_fill_is_given_up_by_a_restart_with_a_higher_revision(void **state)
{
    (void)state;
    struct world world;
    world_kill(start_to_fill(&world));
    world.conf.backfill_from = PQL_OFFSET_LATEST;
    expect_fill_ended(&world, start_with(&world, 1, 3), true);
}

/* Only what was read before it would stop the task; what was to be read for a back-fill does not. */
static void back_fill_is_given_up_where_the_input_is_gone(void **state)
{
    (void)state;
    struct world world;
    world_kill(start_to_fill(&world));
    world.model.inputs[0][0].low = 20;
    expect_fill_ended(&world, start_with(&world, 1, 2), true);
}

static int as_compacted_ms(void *self, uint32_t input, struct pql_topic_facts *facts, int64_t lag_ms,
                           struct pql_err *err)
{
    int rc = real_input_facts(self, input, facts, 0, err);
    facts->is_compacted = true;
    facts->compaction_lag_ms = lag_ms;
    return rc;
}

static int compacted_early(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                           struct pql_err *err)
{
    (void)timeout_ms;
    return as_compacted_ms(self, input, facts, 239999, err);
}

static int compacted_late(void *self, uint32_t input, struct pql_topic_facts *facts, int timeout_ms,
                          struct pql_err *err)
{
    (void)timeout_ms;
    return as_compacted_ms(self, input, facts, 240000, err);
}

/* Four checkpoint intervals are what a replay may need. */
static void compacted_input_is_refused_unless_it_waits(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    struct pql_ports ports = process->ports;
    real_input_facts = ports.input_facts;
    process->conf.checkpoint_interval_ms = 60000;
    ports.input_facts = compacted_early;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), -1);
    assert_non_null(strstr(err.msg, "min.compaction.lag.ms=240000"));
    ports.input_facts = compacted_late;
    assert_int_equal(pql_pipeline_check(&ports, &process->conf, &err), 0);
    world_kill(process);
    world_deinit(&world);
}

/* Its claim names the topics, before any manifest does. */
static void topic_created_again_before_the_first_snapshot_stops(void **state)
{
    (void)state;
    struct world world;
    struct pql_err err;
    world_init(&world, &plain);
    world.conf.checkpoint_interval_ms = 86400000;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 20);
    run_until_committed(&world, process);
    world_kill(process);
    process = world_start(&world, "pql-0");
    pql_pipeline_free(process->pipeline);
    real_input_facts = process->ports.input_facts;
    process->ports.input_facts = other_id;
    process->pipeline = pql_pipeline_new(&process->ports, &process->conf, &err);
    expect_stop(&world, process, PQL_STOP_STATE, "another topic than the state was made from");
    world_kill(process);
    world_deinit(&world);
}

/* At least once the journal goes ahead of the offsets: these may be committed within what one entry refuses.
 */
static void offsets_within_what_an_entry_refuses(void **state)
{
    (void)state;
    enum { BAD = 60 };
    struct world_plan plan = plain;
    struct world world;
    plan.at_least_once = true;
    plan.checkpoint_interval_ms = 3600000;
    world_init(&world, &plan);
    world.conf.dlq_max_share = 2;
    const struct model_log *journal = &world.model.outputs[PQL_OUT_CHECKPOINT][0];
    const int64_t *next = &world.model.offsets[0][0].offset;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 1);
    run_until_committed(&world, process);
    for (int i = 0; i < BAD; i++) world_put(&world, 0, 0, "a", "bad");
    world.model.refuses = MODEL_REFUSES_OFFSETS; /* once: the entry is written, the offsets are not */
    world.model.refusal = "group_authorization";
    world.model.refuses_times = 1;
    size_t written = journal->count;
    for (int i = 0; i < STEPS && !world.model.refusals; i++) world_run(&world, process, 1);
    assert_true(journal->count > written);
    int64_t before = *next;
    int within = 0;
    for (int turn = 0; turn < 40 && *next < BAD; turn++) {
        world_kill(process);
        before = *next;
        process = world_start(&world, "pql-0");
        for (int i = 0; i < STEPS && *next == before; i++) world_run(&world, process, 1);
        assert_true(*next > before);
        within += *next < BAD;
    }
    assert_true(within > 0);
    run_until_committed(&world, process);
    world_kill(process);
    world_deinit(&world);
}

/* Of the committed records. */
static size_t null_values(const struct world *world, enum pql_output output)
{
    size_t n = 0;
    for (int p = 0; p < world->plan->partitions_count; p++)
        for (size_t i = 0; i < world->model.outputs[output][p].count; i++) {
            const struct model_record *record = world->model.outputs[output][p].records[i];
            n += record->status == MODEL_COMMITTED && !record->has_value;
        }
    return n;
}

/* Only where it is asked for: after the last record of the key, in its transaction, and once. */
static void erasure_is_a_null_value(void **state)
{
    (void)state;
    struct world world;
    char erasure[64];
    for (int asked = 0; asked < 2; asked++) {
        world_init(&world, &plain);
        world.conf.tombstones = asked;
        struct world_process *process = world_start(&world, "pql-0");
        for (int i = 0; i < 3; i++) world_put_event(&world, "a1");
        snprintf(erasure, sizeof erasure, "known|a1|u1!|%" PRId64 "|", model_wall_ms(&world.model));
        world_put(&world, 0, 0, "a1", erasure);
        run_until_committed(&world, process);
        assert_int_equal(null_values(&world, PQL_OUT_STATE), asked);
        assert_int_equal(visible(&world, PQL_OUT_STATE), 2 + asked); /* entered, left, gone */
        world_kill(process);
        process = world_start(&world, "pql-0");
        put_events(&world, 3);
        run_until_committed(&world, process);
        assert_int_equal(null_values(&world, PQL_OUT_STATE), asked);
        world_kill(process);
        world_deinit(&world);
    }
}

/* At least once a claim may be cut off between its entry and its offsets. Whoever comes next goes on from
 * that entry, which every later restore takes for the first, and lays down its own program as a change. */
static void a_claim_cut_off_keeps_its_program(void **state)
{
    (void)state;
    struct world_plan plan = plain;
    struct world world;
    struct pql_pipeline_stats stats;
    struct pql_log_place place;
    uint64_t digest, again;
    plan.at_least_once = true;
    plan.checkpoint_interval_ms = 3600000; /* what is restored comes from the journal alone */
    world_init(&world, &plan);
    world.model.refuses = MODEL_REFUSES_OFFSETS; /* once: the entry is written, the offsets are not */
    world.model.refusal = "group_authorization";
    world.model.refuses_times = 1;
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    struct world_process *process = start_with(&world, 0, 1);
    for (int i = 0; i < STEPS && !world.model.refusals; i++) world_run(&world, process, 1);
    assert_true(world.model.outputs[PQL_OUT_CHECKPOINT][0].count > 0);
    assert_false(world.model.has_offset[0][0]);
    world_kill(process);
    world.conf.semantics = PQL_SEMANTICS_VERSION; /* an older binary waits here too */
    process = start_with(&world, 1, 2);
    world_run(&world, process, STEPS / 2);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.restoring, 1);
    assert_false(world.model.has_offset[0][0]);
    world_kill(process);
    world.conf.semantics = PQL_SEMANTICS_VERSION + 1;
    process = start_with(&world, 1, 2);
    put_events(&world, 50);
    run_until_committed(&world, process);
    world_run(&world, process, STEPS);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.changes, 1);
    assert_true(pql_pipeline_inspect(process->pipeline, 0, &digest, &place));
    world_kill(process);
    process = start_with(&world, 1, 2);
    world_run(&world, process, STEPS / 2);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.changes, 0);
    assert_true(stats.replayed > 0);
    assert_true(pql_pipeline_inspect(process->pipeline, 0, &again, &place));
    assert_int_equal(digest, again);
    world_kill(process);
    world_deinit(&world);
}

/* At least once a record may be out without its offsets. What makes it again must not be told of a refresh
 * before it: the record would have another version, and one event two names. */
static void a_refresh_waits_for_what_may_have_been_seen(void **state)
{
    (void)state;
    struct world_plan plan = plain;
    struct world world;
    struct pql_pipeline_stats stats = {0};
    char erasure[64];
    plan.at_least_once = true;
    world_init(&world, &plan);
    world_set_ticks(&world, false);
    const struct model_log *seen = &world.model.outputs[PQL_OUT_PQL][0];
    struct world_process *process = world_start(&world, "pql-0");
    snprintf(erasure, sizeof erasure, "known|a1|u1!|%" PRId64 "|", model_wall_ms(&world.model));
    for (int i = 0; i < 2; i++) world_put_event(&world, "a1");
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 1); /* entered */
    pql_pipeline_stop(process->pipeline);
    assert_true(world_run(&world, process, STEPS));
    world_kill(process);
    process = world_start(&world, "pql-0");      /* it has nothing to replay, and neither has the next one */
    world.model.refuses = MODEL_REFUSES_OFFSETS; /* once: what follows is written, its offsets are not */
    world.model.refusal = "group_authorization";
    world.model.refuses_times = 1;
    world_put(&world, 0, 0, "a1", erasure); /* at the same instant */
    for (int i = 0; i < STEPS && !world.model.refusals; i++) world_run(&world, process, 1);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 2);
    world_kill(process);
    process = world_start(&world, "pql-0");
    for (int i = 0; i < STEPS && !stats.tasks; i++) {
        world_run(&world, process, 1);
        pql_pipeline_stats(process->pipeline, &stats);
    }
    pql_pipeline_refresh(process->pipeline);
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 3); /* left, twice */
    assert_true(pql_slice_eq(seen->records[1]->value, seen->records[2]->value));
    world_kill(process);
    world_deinit(&world);
}

/* A record without a value is no event: a dead letter that says so, and a restart obeys the journal. */
static void tombstone_is_a_dead_letter(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 3);
    struct pql_out_record tombstone = {.has_key = true, .key = PQL_SLICE_LITERAL("a1")};
    model_append(&world.model.inputs[0][0], &tombstone, -1, MODEL_COMMITTED, model_wall_ms(&world.model));
    put_events(&world, 3);
    run_until_committed(&world, process);
    const struct model_record *letter = first_visible(&world, PQL_OUT_DLQ);
    assert_string_equal(header(letter, "pqlstream.error.reason"), "tombstone");
    assert_false(letter->has_value);
    assert_true(pql_slice_is(letter->key, "a1"));
    world_kill(process);
    process = world_start(&world, "pql-0");
    put_events(&world, 3);
    run_until_committed(&world, process);
    assert_int_equal(visible(&world, PQL_OUT_DLQ), 1);
    world_kill(process);
    world_deinit(&world);
}

static void a_dead_letter_says_all_that_is_known(void **state)
{
    (void)state;
    struct world world;
    char value[64];
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    snprintf(value, sizeof value, "known|a1|u1|%" PRId64 "|", model_wall_ms(&world.model) + 86400000);
    world_put(&world, 0, 0, "a1", value);
    run_until_committed(&world, process);
    const struct model_record *letter = first_visible(&world, PQL_OUT_DLQ);
    assert_string_equal(header(letter, "pqlstream.error.class"), "record");
    assert_string_equal(header(letter, "pqlstream.error.reason"), "future_time");
    assert_string_equal(header(letter, "pqlstream.error.field"), "time");
    assert_string_equal(header(letter, "pqlstream.error.topic"), "input-0");
    assert_string_equal(header(letter, "pqlstream.error.partition"), "0");
    assert_string_equal(header(letter, "pqlstream.error.offset"), "0");
    assert_non_null(header(letter, "pqlstream.error.message"));
    assert_true(strtoll(header(letter, "pqlstream.error.at"), NULL, 10) >= 1700000000000);
    world_kill(process);
    world_deinit(&world);
}

/* --- transactions --- */

static void fenced_twice_is_another_process(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    world.model.faults.fence = 1;
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10);
    expect_stop(&world, process, PQL_STOP_FENCED, "another process");
    world_kill(process);
    world_deinit(&world);
}

/* Another process took over while this one slept in the middle of a transaction: it gives up what it has
 * lost, and stays. */
static void a_sleeper_that_wakes_stays(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    world_init(&world, &plain);
    struct world_process *sleeper = world_start(&world, "pql-0");
    put_events(&world, 10);
    run_until_committed(&world, sleeper);
    put_events(&world, 10);
    while (!world.model.txns[0].has_pending[0][0]) world_run(&world, sleeper, 1);
    model_client_freeze(sleeper->client, true);
    struct world_process *other = world_start(&world, "pql-1");
    run_until_committed(&world, other);
    model_client_freeze(sleeper->client, false);
    for (int i = 0; i < 200; i++) {
        world_pass_time(&world);
        pql_committer_step(sleeper->pipeline, 0);
    }
    pql_pipeline_stats(sleeper->pipeline, &stats);
    assert_int_equal(stats.unknown, 1);
    assert_false(pql_pipeline_finished(sleeper->pipeline, NULL, NULL));
    world_run(&world, sleeper, 5000);
    assert_false(pql_pipeline_finished(sleeper->pipeline, NULL, NULL));
    world_kill(other);
    put_events(&world, 10);
    run_until_committed(&world, sleeper);
    world_kill(sleeper);
    world_deinit(&world);
}

static void nothing_is_committed_without_membership(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 10);
    run_until_committed(&world, process);
    world.model.faults.no_member = 1;
    put_events(&world, 10);
    world_run(&world, process, 5000);
    assert_int_equal(world.model.offsets[0][0].offset, 10);
    world.model.faults.no_member = 0;
    run_until_committed(&world, process);
    world_kill(process);
    world_deinit(&world);
}

/* Else the journal of a task that is only ticked would grow for ever. */
static void a_tick_without_records_is_part_of_the_next_snapshot(void **state)
{
    (void)state;
    static const struct world_plan late = {.seed = 7,
                                           .inputs_count = 1,
                                           .partitions_count = 1,
                                           .workers = 1,
                                           .checkpoint_interval_ms = 500,
                                           .lateness_ms = 5000};
    struct world world;
    struct pql_pipeline_stats stats;
    world_init(&world, &late);
    struct world_process *process = world_start(&world, "pql-0");
    put_events(&world, 1);
    run_until_committed(&world, process);
    world_run(&world, process, STEPS);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.ticks, 1);
    assert_int_equal(visible(&world, PQL_OUT_PQL), 0);
    assert_int_equal(stats.snapshots, 2);
    world_kill(process);
    world_deinit(&world);
}

static void offsets_of_several_inputs_are_renewed_by_a_start(void **state)
{
    (void)state;
    struct world world;
    struct pql_pipeline_stats stats;
    world_init(&world, &two_inputs);
    settle_some(&world, 50);
    struct pql_metadata before = committed_metadata(&world);
    struct world_process *process = world_start(&world, "pql-0");
    world_run(&world, process, 10000);
    struct pql_metadata after = committed_metadata(&world);
    assert_string_not_equal(before.writer, after.writer);
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.messages, 0);
    world_kill(process);
    world_deinit(&world);
}

static void planned_restart_replays_nothing(void **state)
{
    (void)state;
    struct world world;
    world_init(&world, &plain);
    world.conf.handover_budget_ms = 5000;
    settle_some(&world, 200);
    struct world_process *process = world_start(&world, "pql-1");
    put_events(&world, 10);
    run_until_committed(&world, process);
    struct pql_pipeline_stats stats;
    pql_pipeline_stats(process->pipeline, &stats);
    assert_int_equal(stats.replayed, 0);
    assert_int_equal(stats.messages, 10);
    world_kill(process);
    world_deinit(&world);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_record_is_a_dead_letter),
        cmocka_unit_test(far_future_is_a_dead_letter),
        cmocka_unit_test(half_of_the_input_bad_blocks),
        cmocka_unit_test(registry_away_one_partition_waits),
        cmocka_unit_test(not_partitioned_by_account_stops),
        cmocka_unit_test(too_large_goes_to_the_dead_letters),
        cmocka_unit_test(what_cannot_be_decoded_is_not_skipped),
        cmocka_unit_test(what_cannot_be_encoded_is_not_left_out),
        cmocka_unit_test(after_a_lasting_fault_the_client_is_left_alone),
        cmocka_unit_test(the_clock_of_a_quiet_task_goes_on_after_a_restart),
        cmocka_unit_test(topics_that_do_not_fit),
        cmocka_unit_test(an_input_kept_for_less_than_four_snapshots_warns),
        cmocka_unit_test(input_that_is_about_to_go_warns_while_it_is_there),
        cmocka_unit_test(snapshots_in_time_do_not_warn),
        cmocka_unit_test(another_format_stops),
        cmocka_unit_test(offsets_reset_by_an_operator_stop),
        cmocka_unit_test(state_ahead_of_its_journal_stops),
        cmocka_unit_test(state_without_offset_stops),
        cmocka_unit_test(missing_input_stops),
        cmocka_unit_test(topic_created_again_stops),
        cmocka_unit_test(topic_created_again_before_the_first_snapshot_stops),
        cmocka_unit_test(compacted_input_is_refused_unless_it_waits),
        cmocka_unit_test(offsets_within_what_an_entry_refuses),
        cmocka_unit_test(erasure_is_a_null_value),
        cmocka_unit_test(a_claim_cut_off_keeps_its_program),
        cmocka_unit_test(a_refresh_waits_for_what_may_have_been_seen),
        cmocka_unit_test(tombstone_is_a_dead_letter),
        cmocka_unit_test(a_dead_letter_says_all_that_is_known),
        cmocka_unit_test(another_program_under_the_same_revision_stops),
        cmocka_unit_test(an_older_revision_runs_the_program_of_the_task),
        cmocka_unit_test(back_fill_waits_for_its_schema),
        cmocka_unit_test(back_fill_is_given_up_by_a_higher_revision),
        cmocka_unit_test(back_fill_is_given_up_by_a_restart_with_a_higher_revision),
        cmocka_unit_test(back_fill_is_given_up_where_the_input_is_gone),
        cmocka_unit_test(an_older_binary_waits),
        cmocka_unit_test(a_manual_upgrade_leaves_the_engine_as_it_is),
        cmocka_unit_test(fenced_twice_is_another_process),
        cmocka_unit_test(a_sleeper_that_wakes_stays),
        cmocka_unit_test(nothing_is_committed_without_membership),
        cmocka_unit_test(offsets_of_several_inputs_are_renewed_by_a_start),
        cmocka_unit_test(a_tick_without_records_is_part_of_the_next_snapshot),
        cmocka_unit_test(planned_restart_replays_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
