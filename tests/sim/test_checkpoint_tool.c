/* What `pqlstream checkpoint` sees, on the modelled Kafka. */
#include "app/checkpoint_tool.h"
#include "base/log.h"
#include "sim/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static const struct world_plan plan = {.seed = 3,
                                       .inputs_count = 1,
                                       .partitions_count = 1,
                                       .workers = 1,
                                       .checkpoint_interval_ms = 400,
                                       .bad = 0.1};
static const char *const inputs[] = {"input-0"};

struct scene {
    struct world world;
    struct world_process *process; /* whose connection is used */
    struct pql_tool tool;
    char *text;
    size_t len;
};

static void scene_init(struct scene *s)
{
    world_init(&s->world, &plan);
    struct world_process *first = world_start(&s->world, "pql-0");
    for (int i = 0; i < 120; i++) world_produce(&s->world);
    for (int i = 0; i < 60000 && !world_all_committed(&s->world); i++) world_run(&s->world, first, 1);
    assert_true(world_all_committed(&s->world));
    world_run(&s->world, first, 5000);
    world_kill(first);
    s->process = world_start(&s->world, "pql-1");
    s->tool = (struct pql_tool){.ports = &s->process->ports,
                                .program = s->world.programs[0].program,
                                .inputs = inputs,
                                .inputs_count = 1,
                                .out = open_memstream(&s->text, &s->len)};
}

static void scene_deinit(struct scene *s)
{
    fclose(s->tool.out);
    free(s->text);
    world_kill(s->process);
    world_deinit(&s->world);
}

static bool says(struct scene *s, const char *part)
{
    fflush(s->tool.out);
    return strstr(s->text, part) != NULL;
}

static void whole_state_is_told_so(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_err err;
    scene_init(&s);
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    assert_true(task.is_ours && task.has_manifest);
    pql_tool_list(&s.tool, &task);
    assert_true(says(&s, "input-0 at 120"));
    assert_int_equal(pql_tool_verify(&s.tool, &task, false, &err), 0);
    assert_true(says(&s, "partition 0: whole; 12 accounts"));
    assert_int_equal(pql_tool_dump(&s.tool, 0, 0, &err), 0);
    assert_true(says(&s, "chunk 0 of snapshot"));
    assert_true(says(&s, "manifest of snapshot"));
    pql_tool_task_deinit(&task);
    scene_deinit(&s);
}

static const struct pql_ports *quiet;
static int transactions_under_way;

static int committed_when_stable(void *self, struct pql_position *positions, size_t count, int timeout_ms,
                                 struct pql_err *err)
{
    if (transactions_under_way-- > 0) return PQL_FAIL(err, PQL_ERR_RETRY, "unstable");
    return quiet->committed(self, positions, count, timeout_ms, err);
}

/* Each of ten questions meets another transaction, as in a group that commits all the time. */
static void a_busy_group_is_waited_out(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_err err;
    scene_init(&s);
    struct pql_ports busy = s.process->ports;
    busy.committed = committed_when_stable;
    s.tool.ports = &busy;
    quiet = &s.process->ports;
    transactions_under_way = 10;
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    assert_true(task.is_ours && task.has_manifest);
    pql_tool_task_deinit(&task);
    scene_deinit(&s);
}

static void damage_is_told_with_its_place(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_err err;
    scene_init(&s);
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    struct model_record *chunk =
        s.world.model.outputs[PQL_OUT_CHECKPOINT][0].records[task.manifest.base[0].chunks[0]];
    char *bytes;
    memcpy(&bytes, &chunk->value.ptr, sizeof bytes);
    bytes[chunk->value.len - 1] = (char)(bytes[chunk->value.len - 1] ^ 1);
    assert_int_equal(pql_tool_verify(&s.tool, &task, false, &err), -1);
    assert_non_null(strstr(err.msg, ", chunk 1 of 1 at offset"));
    assert_non_null(strstr(err.msg, "checksum"));
    assert_int_equal(pql_tool_dump(&s.tool, 0, 0, &err), 0);
    assert_true(says(&s, "damaged"));
    pql_tool_task_deinit(&task);
    scene_deinit(&s);
}

static void newest_is_found_without_offsets(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_err err;
    int64_t offset, named;
    uint64_t journal;
    scene_init(&s);
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    named = task.metadata.manifest;
    pql_tool_task_deinit(&task);
    s.world.model.has_offset[0][0] = false;
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    assert_false(task.has_offset);
    pql_tool_list(&s.tool, &task);
    assert_true(says(&s, "no committed offset, although there is state"));
    assert_int_equal(pql_tool_newest(&s.tool, &task, &offset, &journal, &err), 0);
    assert_true(offset >= named);
    assert_true(journal >= task.manifest.place.journal);
    pql_tool_task_deinit(&task);
    scene_deinit(&s);
}

/* --- adopt --- */

static void lose_offset(struct scene *s)
{
    s->world.model.has_offset[0][0] = false;
}

/* What `pqlstream checkpoint adopt --yes` commits; then a process runs to the end of the input. */
static void adopt_and_run(struct scene *s)
{
    struct pql_tool_task task;
    struct pql_position position;
    struct pql_err err;
    assert_int_equal(pql_tool_read(&s->tool, 0, &task, &err), 0);
    assert_int_equal(pql_tool_adopt(&s->tool, &task, MODEL_CHECKPOINT_ID, &position, &err), 0);
    pql_tool_task_deinit(&task);
    s->world.model.has_offset[0][0] = true;
    s->world.model.offsets[0][0].offset = position.offset;
    snprintf(s->world.model.offsets[0][0].metadata, PQL_METADATA_MAX, "%s", position.metadata);
    for (int i = 0; i < 20; i++) world_produce(&s->world);
    for (int i = 0; i < 60000 && !world_all_committed(&s->world); i++) world_run(&s->world, s->process, 1);
    assert_true(world_all_committed(&s->world));
}

/* How many transitions differ; the value has id and version. That they are the right ones is what the seeds
 * of test_sim compare, which adopt as well. */
static size_t distinct_transitions(const struct world *world, size_t *all)
{
    const struct model_log *log = &world->model.outputs[PQL_OUT_PQL][0];
    size_t distinct = 0;
    *all = 0;
    for (size_t i = 0; i < log->count; i++) {
        bool is_new = log->records[i]->status == MODEL_COMMITTED;
        *all += is_new;
        for (size_t k = 0; is_new && k < i; k++)
            is_new = log->records[k]->status != MODEL_COMMITTED ||
                     !pql_slice_eq(log->records[i]->value, log->records[k]->value);
        distinct += is_new;
    }
    return distinct;
}

/* Killed long after its newest snapshot: refused records are in the journal behind it. */
static void scene_init_behind(struct scene *s, int64_t checkpoint_interval_ms)
{
    scene_init(s);
    world_kill(s->process);
    s->world.conf.checkpoint_interval_ms = checkpoint_interval_ms;
    struct world_process *second = world_start(&s->world, "pql-0");
    for (int i = 0; i < 60; i++) world_produce(&s->world);
    for (int i = 0; i < 60000 && !world_all_committed(&s->world); i++) world_run(&s->world, second, 1);
    assert_true(world_all_committed(&s->world));
    world_kill(second);
    s->process = world_start(&s->world, "pql-1");
    s->tool.ports = &s->process->ports;
}

static void adopt_goes_on_though_the_journal_does(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_err err;
    int64_t offset;
    uint64_t journal;
    size_t all;
    scene_init_behind(&s, 86400000);
    lose_offset(&s);
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    assert_int_equal(pql_tool_newest(&s.tool, &task, &offset, &journal, &err), 0);
    assert_true(journal > task.manifest.place.journal);
    pql_tool_task_deinit(&task);
    size_t before = distinct_transitions(&s.world, &all);
    assert_int_equal(before, all);
    adopt_and_run(&s);
    size_t after = distinct_transitions(&s.world, &all);
    assert_true(all > after); /* some were published again, with equal ids */
    assert_true(after > before);
    world_kill(s.process);
    s.process = world_start(&s.world, "pql-2");
    for (int i = 0; i < 10; i++) world_produce(&s.world);
    for (int i = 0; i < 60000 && !world_all_committed(&s.world); i++) world_run(&s.world, s.process, 1);
    assert_true(world_all_committed(&s.world));
    scene_deinit(&s);
}

/* Without any snapshot the journal's first entry says where the task began. */
static void adopt_without_a_snapshot_begins_with_the_journal(void **state)
{
    (void)state;
    struct scene s;
    size_t all;
    world_init(&s.world, &plan);
    s.world.conf.checkpoint_interval_ms = 86400000;
    s.world.conf.handover_budget_ms = 0;
    struct world_process *first = world_start(&s.world, "pql-0");
    for (int i = 0; i < 120; i++) world_produce(&s.world);
    for (int i = 0; i < 60000 && !world_all_committed(&s.world); i++) world_run(&s.world, first, 1);
    world_kill(first);
    size_t before = distinct_transitions(&s.world, &all);
    assert_true(before > 0);
    s.process = world_start(&s.world, "pql-1");
    s.tool = (struct pql_tool){.ports = &s.process->ports,
                               .program = s.world.programs[0].program,
                               .inputs = inputs,
                               .inputs_count = 1,
                               .out = open_memstream(&s.text, &s.len)};
    lose_offset(&s);
    adopt_and_run(&s);
    size_t after = distinct_transitions(&s.world, &all);
    assert_int_equal(all, before + after);
    scene_deinit(&s);
}

static void nothing_to_adopt_is_said(void **state)
{
    (void)state;
    struct scene s;
    struct pql_tool_task task;
    struct pql_position position;
    struct pql_err err;
    scene_init(&s);
    lose_offset(&s);
    s.world.model.outputs[PQL_OUT_CHECKPOINT][0].low =
        model_end(&s.world.model.outputs[PQL_OUT_CHECKPOINT][0]);
    assert_int_equal(pql_tool_read(&s.tool, 0, &task, &err), 0);
    assert_int_equal(pql_tool_adopt(&s.tool, &task, MODEL_CHECKPOINT_ID, &position, &err), -1);
    assert_non_null(strstr(err.msg, "nothing to adopt"));
    pql_tool_task_deinit(&task);
    scene_deinit(&s);
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_state_is_told_so),
        cmocka_unit_test(a_busy_group_is_waited_out),
        cmocka_unit_test(damage_is_told_with_its_place),
        cmocka_unit_test(newest_is_found_without_offsets),
        cmocka_unit_test(adopt_goes_on_though_the_journal_does),
        cmocka_unit_test(adopt_without_a_snapshot_begins_with_the_journal),
        cmocka_unit_test(nothing_to_adopt_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
