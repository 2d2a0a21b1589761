#include "sim/world.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- records --- */

static void *open_decoders(void *context, int32_t task)
{
    (void)task;
    return context;
}

static void close_decoders(void *decoders)
{
    (void)decoders;
}

static int encode(void *context, enum pql_output output, const struct pql_record *record,
                  int64_t produced_at_ms, struct pql_buf *value, struct pql_err *err)
{
    const struct world *world = context;
    (void)output;
    (void)produced_at_ms;
    if (world->encode_fails) return PQL_FAIL(err, PQL_ERR_FATAL, "no encoder");
    world_encode(record, value);
    for (size_t i = 0; i < world->plan->padding; i++) pql_buf_u8(value, 0);
    return 0;
}

static struct world_program *program_of(struct world *world, int64_t revision)
{
    return &world->programs[(revision - 1) * 2 / 3 % WORLD_PROGRAMS];
}

const struct pql_program *world_program(const struct world *world, struct pql_slice text)
{
    for (size_t i = 0; i < WORLD_PROGRAMS; i++)
        if (pql_slice_is(text, world->programs[i].text)) return world->programs[i].program;
    return NULL;
}

static int compile(void *context, struct pql_slice text, struct pql_edition **edition, struct pql_err *err)
{
    struct world *world = context;
    for (size_t i = 0; i < WORLD_PROGRAMS; i++)
        if (pql_slice_is(text, world->programs[i].text)) {
            *edition = &world->programs[i].edition;
            return 0;
        }
    return PQL_FAIL(err, PQL_ERR_CONFIG, "no such program");
}

static void make_conf(struct world *world)
{
    static const char *const inputs[MODEL_INPUTS_MAX] = {"input-0", "input-1"};
    static const char *const outputs[PQL_OUT_COUNT] = {"sim.pql",    "sim.pqa", "sim.state",     "sim.alerts",
                                                       "sim.shadow", "sim.dlq", "sim.checkpoint"};
    for (uint32_t i = 0; i < world->plan->inputs_count; i++)
        world->inputs[i] = (struct pql_pipeline_input){
            .topic = inputs[i], .start = PQL_OFFSET_EARLIEST, .partition_of = pql_partition_murmur2};
    struct pql_pipeline_conf conf = pql_pipeline_conf_default();
    conf.app = "sim";
    conf.edition = &world->programs[0].edition;
    conf.compile = compile;
    conf.compile_context = world;
    conf.inputs = world->inputs;
    conf.inputs_count = world->plan->inputs_count;
    memcpy(conf.outputs, outputs, sizeof outputs);
    conf.at_least_once = world->plan->at_least_once;
    conf.workers = world->plan->workers;
    conf.idle_after_ms = 1000;
    conf.alert_max_age_ms = INT64_C(1) << 50;
    conf.checkpoint_interval_ms = world->plan->checkpoint_interval_ms;
    conf.checkpoint_shares = world->plan->checkpoint_shares;
    if (world->plan->checkpoint_buffer) conf.checkpoint_buffer = world->plan->checkpoint_buffer;
    if (world->plan->checkpoint_slice) conf.checkpoint_slice = world->plan->checkpoint_slice;
    conf.dlq_max_share = 0.9;
    conf.decoding =
        (struct pql_decoding){.open = open_decoders, .close = close_decoders, .decode = world_decode};
    conf.encode = encode;
    conf.encode_context = world;
    conf.memory_max = world->plan->memory;
    conf.tombstones = world->plan->tombstones;
    conf.broken = world->plan->broken;
    if (world->plan->part_records_max) conf.part_records_max = world->plan->part_records_max;
    if (world->plan->transaction_bytes) {
        conf.cut_bytes = conf.transaction_bytes = world->plan->transaction_bytes;
        conf.transaction_bytes_min = 1;
    }
    world->conf = conf;
}

void world_init(struct world *world, const struct world_plan *plan)
{
    *world = (struct world){.plan = plan, .random = {plan->seed ^ 0x5eed}};
    model_init(&world->model, plan->seed, plan->inputs_count, plan->partitions_count);
    world->model.is_traced = plan->is_traced;
    world->model.has_new_ids = plan->has_new_ids;
    world->model.reads_unstable = plan->reads_unstable;
    world->model.subscribes_to_all = plan->subscribes_to_all;
    if (plan->session_ms) world->model.group.session_us = (uint64_t)plan->session_ms * 1000;
    if (plan->max_message_bytes) world->model.max_message_bytes = plan->max_message_bytes;
    world->model.produce_bytes_per_s = plan->produce_bytes_per_s;
    if (plan->checkpoint_bytes) world->model.checkpoint_bytes_max = plan->checkpoint_bytes;
    world_make_programs(world);
    make_conf(world);
}

void world_deinit(struct world *world)
{
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) pql_program_free(world->programs[i].program);
    pql_diags_deinit(&world->diags);
    model_deinit(&world->model);
}

/* --- processes --- */

static int64_t backfill_of(struct world *world)
{
    if (!model_chance(&world->random, world->plan->backfill)) return PQL_OFFSET_LATEST;
    return model_chance(&world->random, 0.5) ? PQL_OFFSET_EARLIEST : model_wall_ms(&world->model) - 3000;
}

struct world_process *world_start(struct world *world, const char *transactional_id)
{
    struct world_process *process = pql_xcalloc(1, sizeof *process);
    snprintf(process->id, sizeof process->id, "%s", transactional_id);
    process->client = model_client_new(&world->model, world->plan->at_least_once ? "" : transactional_id,
                                       world->plan->is_static ? transactional_id : "");
    model_client_ports(process->client, &process->ports);
    process->conf = world->conf;
    bool is_old = world->revision > 1 && !world->is_rolled_out && model_chance(&world->random, 0.3);
    process->conf.revision = world->revision - is_old;
    process->conf.backfill_from = backfill_of(world);
    process->conf.edition = &program_of(world, process->conf.revision)->edition;
    process->conf.handover_budget_ms = (int64_t)model_below(&world->random, 300);
    if (world->plan->park_ms) process->conf.park_ms = world->plan->park_ms;
    process->conf.inbox_max = 1 + model_below(&world->random, 30);
    snprintf(process->conf.writer, sizeof process->conf.writer, "w%u", ++world->starts);
    process->pipeline = pql_pipeline_new(&process->ports, &process->conf, &process->err);
    if (!process->pipeline) model_client_kill(process->client);
    model_trace(&world->model, process->conf.writer, "starts as %s with revision %" PRId64 "%s%s",
                process->id, process->conf.revision, process->pipeline ? "" : ": ",
                process->pipeline ? "" : process->err.msg);
    return process;
}

void world_set_ticks(struct world *world, bool ticks)
{
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) world->programs[i].edition.ticks = ticks;
}

void world_change(struct world *world)
{
    world->revision++;
    model_trace(&world->model, "operator", "revision %" PRId64, world->revision);
}

void world_reload(struct world *world, struct world_process *process)
{
    if (process->pipeline)
        pql_pipeline_revise(process->pipeline, &program_of(world, world->revision)->edition, world->revision,
                            backfill_of(world));
}

void world_kill(struct world_process *process)
{
    if (!process) return;
    model_client_kill(process->client);
    pql_pipeline_free(process->pipeline);
    model_client_free(process->client);
    free(process);
}

void world_step(struct world *world, struct world_process *process)
{
    uint64_t role = model_below(&world->random, 100);
    if (!process->pipeline) return;
    if (model_chance(&world->random, world->plan->short_memory))
        pql_pipeline_give_up_parked(process->pipeline);
    if (role < 15)
        pql_control_step(process->pipeline, 0);
    else if (role < 50)
        pql_committer_step(process->pipeline, 0);
    else if (role < 80)
        pql_worker_step(process->pipeline, (unsigned)model_below(&world->random, world->plan->workers), 0);
    else
        pql_keeper_step(process->pipeline, 0, 0);
}

void world_pass_time(struct world *world)
{
    uint64_t us = model_below(&world->random, 1500);
    if (model_chance(&world->random, 0.01)) us += model_below(&world->random, 300000);
    if (model_chance(&world->random, 0.001)) us += model_below(&world->random, 4000000);
    model_advance(&world->model, us);
    world->model.steps++;
}

bool world_run(struct world *world, struct world_process *process, size_t steps)
{
    for (size_t i = 0; i < steps; i++) {
        world_pass_time(world);
        world_step(world, process);
        if (!process->pipeline || pql_pipeline_finished(process->pipeline, NULL, NULL)) return true;
    }
    return false;
}

/* --- producer --- */

void world_put(struct world *world, uint32_t input, int32_t partition, const char *key, const char *value)
{
    struct pql_out_record record = {
        .has_key = true, .has_value = true, .key = pql_slice_of(key), .value = pql_slice_of(value)};
    model_append(&world->model.inputs[input][partition], &record, -1, MODEL_COMMITTED,
                 model_wall_ms(&world->model));
}

void world_put_event(struct world *world, const char *account)
{
    char value[96];
    snprintf(value, sizeof value, "known|%s|u1|%" PRId64 "|", account, model_wall_ms(&world->model));
    world_put(world, 0,
              (int32_t)pql_partition_murmur2(pql_slice_of(account), (uint32_t)world->plan->partitions_count),
              account, value);
}

/* Two events of a user of each account at this very instant: all enter, and five seconds later all leave. */
void world_flood(struct world *world)
{
    char account[16];
    for (unsigned i = 0; i < 2 * world->plan->flood; i++) {
        snprintf(account, sizeof account, "f%u", i / 2);
        world_put_event(world, account);
    }
}

bool world_all_committed(const struct world *world)
{
    for (uint32_t i = 0; i < world->plan->inputs_count; i++)
        for (int32_t p = 0; p < world->plan->partitions_count; p++)
            if (!world->model.has_offset[i][p] ||
                world->model.offsets[i][p].offset != model_end(&world->model.inputs[i][p]))
                return false;
    return true;
}
