/* "chunk or manifest damaged: predecessor; then stop": whichever record of the checkpoint topic is damaged,
 * the state that is restored is the right one, or nothing runs at all. */
#include "base/log.h"
#include "core/engine.h"
#include "sim/world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { STEPS = 200000, ROUNDS = 14, MANY_ROUNDS = 45 };

/* Records of the checkpoint topic are small, so that a snapshot has several chunks. */
static const struct world_plan plan = {.seed = 11,
                                       .inputs_count = 1,
                                       .partitions_count = 1,
                                       .workers = 1,
                                       .checkpoint_interval_ms = 300,
                                       .checkpoint_shares = 3,
                                       .checkpoint_bytes = 1050,
                                       .dedup_horizon_ms = 100000,
                                       .users = 60};

/* And that many snapshots do not fit into one manifest. */
static const struct world_plan many = {.seed = 12,
                                       .inputs_count = 1,
                                       .partitions_count = 1,
                                       .workers = 1,
                                       .checkpoint_interval_ms = 300,
                                       .checkpoint_shares = 20,
                                       .checkpoint_bytes = 1050};

static struct model_log *checkpoint(struct world *world)
{
    return &world->model.outputs[PQL_OUT_CHECKPOINT][0];
}

/* Several times the base has rolled over. The process ends without a last snapshot. */
static void settle(struct world *world, const struct world_plan *with)
{
    world_init(world, with);
    struct world_process *process = world_start(world, "pql-0");
    int rounds = with == &many ? MANY_ROUNDS : ROUNDS;
    for (int round = 0; round < rounds; round++) {
        for (int i = 0; i < 15; i++) world_produce(world);
        for (int i = 0; i < STEPS && !world_all_committed(world); i++) world_run(world, process, 1);
        world_run(world, process, 3000);
    }
    for (int i = 0; i < 7; i++) world_produce(world);
    for (int i = 0; i < STEPS && !world_all_committed(world); i++) world_run(world, process, 1);
    assert_true(world_all_committed(world));
    world_kill(process);
}

/* True with the digest once the task is live, false if the process stops. */
static bool restored(struct world *world, uint64_t *digest, struct pql_err *err)
{
    struct pql_log_place place;
    struct world_process *process = world_start(world, "pql-0");
    bool is_live = false, is_over = false;
    for (int i = 0; i < STEPS && !is_live && !is_over; i++) {
        is_over = world_run(world, process, 1);
        is_live = !is_over && pql_pipeline_inspect(process->pipeline, 0, digest, &place);
    }
    if (is_over) pql_pipeline_finished(process->pipeline, NULL, err);
    world_kill(process);
    return is_live;
}

static uint64_t digest_of_whole(const struct world_plan *with)
{
    struct world world;
    struct pql_err err;
    uint64_t digest = 0;
    settle(&world, with);
    assert_true(restored(&world, &digest, &err));
    world_deinit(&world);
    return digest;
}

static int type_of(const struct model_record *record)
{
    return record->value.len < 12 ? 0 : record->value.ptr[4];
}

static void break_byte(struct model_record *record, size_t at)
{
    char *bytes;
    memcpy(&bytes, &record->value.ptr, sizeof bytes);
    bytes[at % record->value.len] = (char)(bytes[at % record->value.len] ^ 0x10);
}

static void each_record_alone(void **state)
{
    (void)state;
    uint64_t whole = digest_of_whole(&plan);
    size_t seen[PQL_CHECKPOINT_PART + 1] = {0};
    for (int64_t offset = 0, end = 1; offset < end; offset++) {
        struct world world;
        struct pql_err err = {0};
        uint64_t digest = 0;
        settle(&world, &plan);
        end = model_end(checkpoint(&world));
        assert_true(checkpoint(&world)->low > 0);
        if (offset < checkpoint(&world)->low) offset = checkpoint(&world)->low;
        struct model_record *record = checkpoint(&world)->records[offset];
        if (type_of(record) > 0 && type_of(record) != PQL_CHECKPOINT_JOURNAL) {
            seen[type_of(record)]++;
            break_byte(record, 9 + (size_t)offset * 31 % (record->value.len - 9));
            if (!restored(&world, &digest, &err)) fail_msg("offset %d: %s", (int)offset, err.msg);
            if (digest != whole) fail_msg("offset %d: another digest", (int)offset);
        }
        world_deinit(&world);
    }
    assert_true(seen[PQL_CHECKPOINT_CHUNK] > 10);
    assert_true(seen[PQL_CHECKPOINT_MANIFEST] > 3);
}

/* The parts of the manifest that the offsets point to. */
static void each_part(void **state)
{
    (void)state;
    uint64_t whole = digest_of_whole(&many);
    size_t seen = 0;
    for (int64_t back = 1, parts = 1; back <= parts; back++) {
        struct world world;
        struct pql_metadata m;
        struct pql_err err = {0};
        uint64_t digest = 0;
        settle(&world, &many);
        assert_int_equal(pql_metadata_parse(pql_slice_of(world.model.offsets[0][0].metadata), &m, &err), 0);
        struct model_record *record = checkpoint(&world)->records[m.manifest - back];
        if (type_of(record) == PQL_CHECKPOINT_PART) {
            parts++;
            seen++;
            break_byte(record, 9 + (size_t)back);
            if (!restored(&world, &digest, &err)) fail_msg("part %d: %s", (int)back, err.msg);
            assert_true(digest == whole);
        }
        world_deinit(&world);
    }
    assert_true(seen > 0);
}

/* Of one manifest every byte, one at a time. */
static void each_byte_of_a_manifest(void **state)
{
    (void)state;
    struct world_plan large = plan;
    large.checkpoint_bytes = 0;
    uint64_t whole = digest_of_whole(&large);
    for (size_t at = 0, len = 1; at < len; at += 7) {
        struct world world;
        struct pql_metadata m;
        struct pql_err err = {0};
        uint64_t digest = 0;
        settle(&world, &large);
        assert_int_equal(pql_metadata_parse(pql_slice_of(world.model.offsets[0][0].metadata), &m, &err), 0);
        struct model_record *record = checkpoint(&world)->records[m.manifest];
        len = record->value.len;
        break_byte(record, at == 3 ? 4 : at); /* the format's number is no damage, but a reason to stop */
        if (!restored(&world, &digest, &err)) fail_msg("byte %zu: %s", at, err.msg);
        if (digest != whole) fail_msg("byte %zu: another digest", at);
        world_deinit(&world);
    }
}

/* What was trimmed by the program itself is needed by nobody; when somebody deletes more, nothing serves. */
static void nothing_serves(void **state)
{
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct world world;
        struct pql_err err = {0};
        uint64_t digest;
        settle(&world, &plan);
        struct model_log *log = checkpoint(&world);
        if (how) log->low = model_end(log) - 1;
        for (int64_t i = log->low; !how && i < model_end(log); i++)
            if (type_of(log->records[i]) == PQL_CHECKPOINT_MANIFEST) break_byte(log->records[i], 20);
        assert_false(restored(&world, &digest, &err));
        assert_non_null(strstr(err.msg, "no snapshot that is kept can be used"));
        assert_non_null(strstr(err.msg, "`pqlstream checkpoint forget`"));
        assert_non_null(strstr(err.msg, how ? "is gone" : "checksum"));
        world_deinit(&world);
    }
}

int main(void)
{
    pql_log_set_level(PQL_LOG_LEVEL_COUNT);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_record_alone),
        cmocka_unit_test(each_part),
        cmocka_unit_test(each_byte_of_a_manifest),
        cmocka_unit_test(nothing_serves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
