#include "sim/world.h"

#include "core/reasons.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { ACCOUNTS = 12 };

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

static bool field(struct pql_slice *rest, struct pql_slice *out)
{
    const char *bar = memchr(rest->ptr, '|', rest->len);
    if (!bar) return false;
    *out = (struct pql_slice){rest->ptr, (size_t)(bar - rest->ptr)};
    *rest = (struct pql_slice){bar + 1, rest->len - out->len - 1};
    return true;
}

int world_decode(void *decoders, const struct pql_message_view *message, struct pql_arena *arena,
                 struct pql_event *event, struct pql_err *err)
{
    const struct world *world = decoders;
    struct pql_slice rest = message->value, schema, time;
    *event = (struct pql_event){.kind = PQL_EVENT_TRACK, .name = PQL_SLICE_LITERAL("x")};
    if (!field(&rest, &schema) || !field(&rest, &event->account) || !field(&rest, &event->user) ||
        !field(&rest, &time)) {
        PQL_FAIL(err, PQL_ERR_RECORD, "this record is bad");
        err->reason = pql_rejects[PQL_REJECT_BAD_AVRO].word;
        return -1;
    }
    if (pql_slice_is(schema, "later") && world->model.now_us < world->schema_known_us)
        return PQL_FAIL(err, PQL_ERR_RETRY, "the registry does not know the schema yet");
    if (pql_slice_is(schema, "fatal")) return PQL_FAIL(err, PQL_ERR_FATAL, "no decoder");
    const char *alias = memchr(event->user.ptr, '=', event->user.len);
    if (alias) {
        event->kind = PQL_EVENT_ALIAS;
        event->name.len = 0;
        event->previous_user.ptr = alias + 1;
        event->previous_user.len = (size_t)(event->user.ptr + event->user.len - alias - 1);
        event->user.len -= event->previous_user.len + 1;
    }
    if (event->user.len && event->user.ptr[event->user.len - 1] == '!') {
        event->kind = PQL_EVENT_FORGET;
        event->name.len = 0;
        event->user.len--;
    }
    for (size_t i = 0; i < time.len; i++) event->time_ms = event->time_ms * 10 + (time.ptr[i] - '0');
    event->id = (struct pql_slice){event->account.ptr, (size_t)(time.ptr + time.len - event->account.ptr)};
    event->properties = event->user_attributes = event->account_attributes = pql_arena_zalloc(arena, 16);
    return 0;
}

static int encode(void *context, enum pql_output output, const struct pql_record *record,
                  int64_t produced_at_ms, struct pql_buf *value, struct pql_err *err)
{
    const struct world *world = context;
    (void)output;
    (void)produced_at_ms;
    if (world->encode_fails) return PQL_FAIL(err, PQL_ERR_FATAL, "no encoder");
    pql_buf_printf(value, "%s %" PRId64, record->event_id, record->version);
    for (size_t i = 0; i < world->plan->padding; i++) pql_buf_u8(value, 0);
    return 0;
}

/* A definition that stays, ones that come, go, are edited and go into shadow mode, a signal that is new. */
static void define(struct world_program *p, const char *name, enum pql_subject subject, const char *qualify)
{
    struct pql_definition_conf *conf = &p->definitions[p->conf.definitions_count++];
    *conf = (struct pql_definition_conf){.name = pql_slice_of(name),
                                         .name_source = {pql_slice_of(name), NULL, NULL, 0},
                                         .subject = subject,
                                         .version = 1,
                                         .mode = PQL_MODE_LIVE,
                                         .alert = subject == PQL_SUBJECT_ACCOUNT,
                                         .qualify = {pql_slice_of(qualify), NULL, NULL, 0}};
}

#define WORDS(words)                                                                                         \
    {                                                                                                        \
        (words), sizeof(words) - 1                                                                           \
    }
#define NUMBER(digits, number)                                                                               \
    {                                                                                                        \
        .value = (number) * (pql_decimal)1000000, .source.text = WORDS(digits)                               \
    }

/* Points that come and go by time, tiers, and changes of score that wait for one another. */
static void give_score(struct pql_definition_conf *conf)
{
    static const struct pql_item_conf items[] = {
        {.points = NUMBER("1", 1), .per.text = WORDS("count(x, 20s)")}};
    static const struct pql_tier_conf tiers[] = {{.name.text = WORDS("low"), .at = NUMBER("6", 6)},
                                                 {.name.text = WORDS("high"), .at = NUMBER("8", 8)}};
    static const struct pql_number min_delta = NUMBER("2", 2);
    conf->score = items;
    conf->score_count = 1;
    conf->tiers = tiers;
    conf->tiers_count = 2;
    conf->publish_scores = PQL_SCORES_ALL;
    conf->min_delta = min_delta;
    conf->min_interval_ms = 3000;
}

static void define_all(struct world *world)
{
    struct world_program *p = world->programs;
    define(&p[0], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 4");
    define(&p[0], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2");
    define(&p[1], "team", PQL_SUBJECT_ACCOUNT, "count(x, 8s) >= 3");
    define(&p[1], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6");
    define(&p[2], "crew", PQL_SUBJECT_ACCOUNT, "users(is(person)) >= 1 and count(x, 8s) >= 2");
    define(&p[2], "person", PQL_SUBJECT_USER, "count(x, 5s) >= 2");
    define(&p[2], "busy", PQL_SUBJECT_ACCOUNT, "score >= 6");
    give_score(&p[1].definitions[1]);
    give_score(&p[2].definitions[2]);
    p[2].definitions[1].mode = PQL_MODE_SHADOW; /* live again in the first */
}

static void make_programs(struct world *world)
{
    static const int64_t max_future_ms[MODEL_INPUTS_MAX] = {600000, 600000};
    pql_diags_init(&world->diags);
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) {
        struct world_program *p = &world->programs[i];
        snprintf(p->text, sizeof p->text, "program %zu", i);
        p->conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("sim"),
                                            .settings = pql_settings_default(),
                                            .definitions = p->definitions,
                                            .text = pql_slice_of(p->text)};
        p->conf.settings.lateness_ms = world->plan->lateness_ms;
        p->conf.settings.dedup_horizon_ms = world->plan->dedup_horizon_ms;
        if (world->plan->late_dead_letter) p->conf.settings.late_policy = PQL_LATE_DEAD_LETTER;
    }
    define_all(world);
    for (size_t i = 0; i < WORLD_PROGRAMS; i++) {
        struct world_program *p = &world->programs[i];
        p->program = pql_program_new(&p->conf, &world->diags);
        if (!p->program) pql_diags_print(&world->diags, stderr);
        PQL_ASSERT(p->program);
        p->edition = (struct pql_edition){
            .program = p->program, .ticks = true, .max_future_ms = max_future_ms, .context = world};
    }
    world->revision = 1;
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
    conf.broken = world->plan->broken;
    if (world->plan->part_records_max) conf.part_records_max = world->plan->part_records_max;
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
    make_programs(world);
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

static void produce_event(struct world *world, struct world_sent *sent)
{
    struct model_random *random = &world->random;
    unsigned users = world->plan->users;
    snprintf(sent->account, sizeof sent->account, "a%u", (unsigned)model_below(random, users ? 2 : ACCOUNTS));
    bool bad = model_chance(random, world->plan->bad),
         later = !bad && model_chance(random, world->plan->unknown_schema);
    if (later && world->schema_known_us < world->model.now_us)
        world->schema_known_us = world->model.now_us + model_below(random, 2000000);
    int64_t time = model_wall_ms(&world->model) - (int64_t)model_below(random, 3000);
    /* Now and then a user becomes the one before; of few there come others. */
    unsigned user = (unsigned)model_below(random, users ? users : 3);
    if (!users) user += (unsigned)(world->produced / 200) * 2;
    char alias[16] = "";
    if (world->produced % 29 == 7) snprintf(alias, sizeof alias, "=u%u", user + 1);
    snprintf(sent->value, sizeof sent->value, "%s|%s|u%u%s|%" PRId64 "|", later ? "later" : "known",
             sent->account, user, alias, time);
    if (bad) snprintf(sent->value, sizeof sent->value, "bad");
    sent->input = (uint32_t)model_below(random, world->plan->inputs_count);
    sent->partition =
        (int32_t)pql_partition_murmur2(pql_slice_of(sent->account), (uint32_t)world->plan->partitions_count);
}

void world_produce(struct world *world)
{
    struct world_sent *sent = &world->last;
    bool again = world->produced && model_chance(&world->random, world->plan->twice);
    if (!again) produce_event(world, sent);
    world_put(world, sent->input, sent->partition, sent->account, sent->value);
    model_trace(&world->model, "producer", "input %u %d@%" PRId64 " %s", sent->input, sent->partition,
                model_end(&world->model.inputs[sent->input][sent->partition]) - 1, sent->value);
    world->produced++;
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
