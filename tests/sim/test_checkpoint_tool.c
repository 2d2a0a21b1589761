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
                                .program = s->world.program,
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
    assert_int_equal(pql_tool_dump(&s.tool, 0, &err), 0);
    assert_true(says(&s, "chunk 0 of snapshot"));
    assert_true(says(&s, "manifest of snapshot"));
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
        s.world.model.outputs[PQL_OUT_CHECKPOINT][0].records[task.manifest.chunks[0]];
    char *bytes;
    memcpy(&bytes, &chunk->value.ptr, sizeof bytes);
    bytes[chunk->value.len - 1] = (char)(bytes[chunk->value.len - 1] ^ 1);
    assert_int_equal(pql_tool_verify(&s.tool, &task, false, &err), -1);
    assert_non_null(strstr(err.msg, "partition 0, chunk 1 of 1 at offset"));
    assert_non_null(strstr(err.msg, "checksum"));
    assert_int_equal(pql_tool_dump(&s.tool, 0, &err), 0);
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

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_state_is_told_so),
        cmocka_unit_test(damage_is_told_with_its_place),
        cmocka_unit_test(newest_is_found_without_offsets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
