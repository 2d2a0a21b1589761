#include "sim/sim.h"

#include "app/checkpoint_tool.h"
#include "core/engine.h"
#include "core/wire/encode.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS_MAX = 400000, TAIL = 5000, SETTLE_US = 40000000, STARTS_MAX = 60 };

enum { PROCESSES_MAX = 6 };

/* A place for a process; what is frozen wakes by itself, and a twin that has woken lives on for a while. */
struct place {
    struct world_process *process; /* NULL: free */
    bool is_frozen, is_twin, is_leaving;
    uint64_t wakes_us, dies_us;
};

struct sim {
    struct world world;
    const struct world_plan *plan;
    struct sim_result *result;
    struct place places[PROCESSES_MAX];
};

static void fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct sim *s, const char *format, ...)
{
    va_list args;
    if (!s->result->ok) return;
    s->result->ok = false;
    s->result->step = s->world.model.steps;
    va_start(args, format);
    vsnprintf(s->result->what, sizeof s->result->what, format, args);
    va_end(args);
}

/* --- processes --- */

static bool may_start(const struct sim *s)
{
    return s->world.starts < STARTS_MAX;
}

static struct place *free_place(struct sim *s)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (!s->places[i].process) return &s->places[i];
    return NULL;
}

static uint64_t count_running(const struct sim *s)
{
    uint64_t n = 0;
    for (size_t i = 0; i < PROCESSES_MAX; i++) n += s->places[i].process && !s->places[i].is_twin;
    return n;
}

static struct place *start(struct sim *s, const char *id)
{
    struct place *place = free_place(s);
    PQL_ASSERT(place);
    s->result->starts++;
    *place = (struct place){.process = world_start(&s->world, id)};
    uint64_t running = count_running(s);
    if (running > s->result->most_at_once) s->result->most_at_once = running;
    return place;
}

static void end_process(struct sim *s, struct place *place)
{
    struct pql_pipeline_stats stats;
    if (place->process && place->process->pipeline) {
        pql_pipeline_stats(place->process->pipeline, &stats);
        s->result->ticks += stats.ticks;
        s->result->snapshots += stats.snapshots;
        s->result->abandoned += stats.snapshots_abandoned;
        s->result->resumed += stats.resumed;
        s->result->parts += stats.parts;
        s->result->refreshes += stats.refreshes;
    }
    if (place->process) model_trace(&s->world.model, place->process->conf.writer, "ends");
    world_kill(place->process);
    *place = (struct place){0};
}

static bool is_finished(const struct world_process *process)
{
    return process->pipeline && pql_pipeline_finished(process->pipeline, NULL, NULL);
}

static void check_stop(struct sim *s, const struct world_process *process)
{
    enum pql_stop stop = PQL_STOP_NONE;
    struct pql_err err = {0};
    if (process->pipeline) pql_pipeline_finished(process->pipeline, &stop, &err);
    if (stop == PQL_STOP_STATE && err.reason && !strcmp(err.reason, "memory")) return;
    if (!model_client_is_dead(process->client) && stop != PQL_STOP_NONE && stop != PQL_STOP_CLEAN &&
        stop != PQL_STOP_FENCED)
        fail(s, "a process stopped: %s", err.msg);
}

/* The group's offsets are gone: an operator adopts what the checkpoint topic has. */
static void adopt_task(struct sim *s, const struct pql_tool *tool, int32_t partition)
{
    struct model *model = &s->world.model;
    struct pql_tool_task task;
    struct pql_position positions[MODEL_INPUTS_MAX];
    struct pql_err err;
    for (uint32_t i = 0; i < s->plan->inputs_count; i++) model->has_offset[i][partition] = false;
    bool is_read = !pql_tool_read(tool, partition, &task, &err);
    if (is_read && task.end > task.low &&
        !pql_tool_adopt(tool, &task, MODEL_CHECKPOINT_ID, positions, &err)) {
        for (uint32_t i = 0; i < s->plan->inputs_count; i++) {
            model->has_offset[i][partition] = true;
            model->offsets[i][partition].offset = positions[i].offset;
            snprintf(model->offsets[i][partition].metadata, PQL_METADATA_MAX, "%s", positions[i].metadata);
        }
        s->result->adopted++;
    }
    pql_tool_task_deinit(&task);
}

/* Only while nobody else lives: a group that has members is not adopted for. */
static void lose_offsets(struct sim *s)
{
    struct model_faults faults = s->world.model.faults;
    struct pql_ports ports;
    const char *inputs[] = {"input-0", "input-1"};
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->places[i].process) return;
    if (!may_start(s) || !model_chance(&s->world.random, s->plan->adopt)) return;
    s->world.model.faults = (struct model_faults){0};
    model_advance(&s->world.model, 60000000); /* an operator takes a while, and transactions end */
    struct model_client *client = model_client_new(&s->world.model, "", "");
    model_client_ports(client, &ports);
    struct pql_tool tool = {.ports = &ports,
                            .program = s->world.programs[0].program,
                            .inputs = inputs,
                            .inputs_count = s->plan->inputs_count,
                            .out = stderr};
    for (int32_t p = 0; p < s->plan->partitions_count; p++) {
        bool has_run = false;
        for (uint32_t i = 0; i < s->plan->inputs_count; i++) has_run |= s->world.model.has_offset[i][p];
        if (has_run) adopt_task(s, &tool, p);
    }
    model_client_free(client);
    s->world.model.faults = faults;
}

/* No two processes of one name, except on purpose. */
static bool is_name_taken(const struct sim *s, const char *id)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->places[i].process && !strcmp(s->places[i].process->id, id)) return true;
    return false;
}

static void name_of_new(const struct sim *s, char id[32])
{
    for (int i = 0;; i++) {
        snprintf(id, 32, "pql-%d", i);
        if (!is_name_taken(s, id)) return;
    }
}

/* At its limit of memory a process ends, and the next one may take more. */
static void give_more_memory(struct sim *s, const struct world_process *process)
{
    enum pql_stop stop = PQL_STOP_NONE;
    struct pql_err err = {0};
    if (process->pipeline) pql_pipeline_finished(process->pipeline, &stop, &err);
    if (stop != PQL_STOP_STATE || !err.reason || strcmp(err.reason, "memory") != 0) return;
    s->world.conf.memory_max += s->world.conf.memory_max / 2;
    s->result->full++;
}

/* Whatever ends a process, the next one begins with the same instance, or with another one's name. */
static void restart_if_ended(struct sim *s, struct place *place)
{
    char id[32];
    check_stop(s, place->process);
    if (!is_finished(place->process) && !model_client_is_dead(place->process->client)) return;
    snprintf(id, sizeof id, "%s", place->process->id);
    bool stays_away = place->is_twin || place->is_leaving;
    give_more_memory(s, place->process);
    end_process(s, place);
    if (stays_away && count_running(s)) return;
    if (model_chance(&s->world.random, 0.2)) snprintf(id, sizeof id, "id%u", s->world.starts % 50);
    lose_offsets(s);
    start(s, id);
    if (!may_start(s)) s->world.model.faults.crash = s->world.model.faults.rebalance = 0;
}

static void wake(struct sim *s, struct place *place)
{
    place->is_frozen = false;
    model_trace(&s->world.model, place->process->conf.writer, "wakes up");
    model_client_freeze(place->process->client, false);
}

static bool has_open_transaction(const struct model *model)
{
    for (int i = 0; i < model->txns_count; i++)
        if (model->txns[i].is_open) return true;
    return false;
}

/* The process stops in the middle of something, for less than a session or for more than a transaction may
 * take. Another one takes over under the same name or its own, and the first one wakes up and goes on as if
 * nothing had happened. */
static void maybe_freeze(struct sim *s, struct place *place)
{
    struct model_random *random = &s->world.random;
    uint64_t now = s->world.model.now_us;
    double chance = s->plan->freeze * (has_open_transaction(&s->world.model) ? 20 : 1);
    if (!model_chance(random, chance)) return;
    place->is_frozen = true;
    place->wakes_us = now + model_below(random, model_chance(random, 0.2) ? 15000000 : 5000000);
    model_client_freeze(place->process->client, true);
    s->result->freezes++;
    model_trace(&s->world.model, place->process->conf.writer, "is frozen until %.3f s",
                (double)place->wakes_us / 1e6);
    if (!may_start(s) || !free_place(s) || !model_chance(random, s->plan->twin)) return;
    place->is_twin = true;
    place->dies_us = place->wakes_us + model_below(random, 3000000);
    start(s, model_chance(random, 0.5) ? place->process->id : "other");
    s->result->twins++;
}

static void step(struct sim *s, struct place *place, bool freezes)
{
    uint64_t now = s->world.model.now_us;
    if (place->is_frozen && now < place->wakes_us) return;
    if (place->is_frozen) wake(s, place);
    world_step(&s->world, place->process);
    if (place->is_twin && now >= place->dies_us) {
        check_stop(s, place->process);
        end_process(s, place);
        if (!count_running(s)) start(s, "pql-0");
        return;
    }
    if (freezes && !place->is_twin) maybe_freeze(s, place);
    restart_if_ended(s, place);
}

/* Another one comes, or one is asked to go. */
static void scale(struct sim *s)
{
    struct model_random *random = &s->world.random;
    uint64_t running = count_running(s), most = (uint64_t)(s->plan->instances ? s->plan->instances : 1);
    if (!model_chance(random, s->plan->scaling)) return;
    struct place *place = &s->places[model_below(random, PROCESSES_MAX)];
    if (running < most && may_start(s) && free_place(s) && model_chance(random, 0.6)) {
        char id[32];
        name_of_new(s, id);
        start(s, id);
    } else if (running > 1 && place->process && place->process->pipeline && !place->is_twin) {
        place->is_leaving = true;
        pql_pipeline_stop(place->process->pipeline);
    }
}

/* --- the run --- */

static void maybe_refresh(struct sim *s)
{
    const struct place *place = &s->places[model_below(&s->world.random, PROCESSES_MAX)];
    if (place->process && place->process->pipeline && model_chance(&s->world.random, s->plan->refresh))
        pql_pipeline_refresh(place->process->pipeline);
}

/* A new revision, which one process hears of at once; others learn of it by and by. */
static void maybe_change(struct sim *s)
{
    if (!model_chance(&s->world.random, s->plan->changes)) return;
    if (model_chance(&s->world.random, 0.5)) world_change(&s->world);
    const struct place *place = &s->places[model_below(&s->world.random, PROCESSES_MAX)];
    if (place->process) world_reload(&s->world, place->process);
}

/* A step of each, in turn of its own speed. */
static void turn(struct sim *s, bool disturbs)
{
    world_pass_time(&s->world);
    if (disturbs) scale(s);
    if (disturbs && s->plan->refresh > 0) maybe_refresh(s);
    if (disturbs && s->plan->changes > 0) maybe_change(s);
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->places[i].process && (i == 0 || model_chance(&s->world.random, 0.7)))
            step(s, &s->places[i], disturbs);
}

/* Which faults could have befallen each call, for who enumerates them. */
static void list_calls(struct sim_result *result, const struct model_client *client)
{
    result->calls = model_client_calls(client);
    if (result->calls > SIM_CALLS_MAX) result->calls = SIM_CALLS_MAX;
    for (uint64_t n = 1; n <= result->calls; n++)
        for (int fault = 0; fault < MODEL_CALL_FAULT_COUNT; fault++)
            if (model_client_could(client, n, (enum model_call_fault)fault))
                result->could[n - 1] |= (unsigned char)(1 << fault);
}

static void run_with_faults(struct sim *s)
{
    s->world.model.faults = s->plan->faults;
    struct model_client *first = start(s, "pql-0")->process->client;
    if (s->plan->fault_call)
        model_client_fault_at(first, s->plan->fault_call, s->plan->fault, s->plan->late_us);
    bool flooded = false;
    for (size_t i = 0; i < STEPS_MAX && s->world.produced < s->plan->events && s->result->ok; i++) {
        if (model_chance(&s->world.random, 0.05)) world_produce(&s->world);
        if (s->plan->flood && s->world.produced == s->plan->events / 2 && !flooded) {
            world_flood(&s->world);
            flooded = true;
        }
        turn(s, true);
    }
    size_t tail = s->plan->tail ? s->plan->tail : TAIL;
    for (size_t i = 0; i < tail && s->result->ok; i++) turn(s, true);
    if (s->result->starts == 1) list_calls(s->result, first);
}

static bool has_twin(const struct sim *s)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->places[i].process && s->places[i].is_twin) return true;
    return false;
}

/* Each task is one process's, and nothing of it is open. A process that has lost its tasks and does not know
 * it yet has them twice. */
static bool is_at_rest(const struct sim *s)
{
    size_t tasks = 0, resting = 0;
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        const struct world_process *process = s->places[i].process;
        if (!process || !process->pipeline) continue;
        if (!pql_pipeline_rests(process->pipeline, &resting)) return false;
        tasks += resting;
    }
    return tasks == (size_t)s->plan->partitions_count;
}

/* No more faults: everything must come to rest at the end of the input, and timers by ticks; after the last
 * of these what they and a change of definitions began is still done, however slowly. */
static void run_to_rest(struct sim *s)
{
    s->world.model.faults = (struct model_faults){0};
    s->world.is_rolled_out = true;
    for (size_t i = 0; i < PROCESSES_MAX; i++)
        if (s->places[i].process) world_reload(&s->world, s->places[i].process);
    size_t i = 0;
    for (; i < STEPS_MAX && s->result->ok && (has_twin(s) || !world_all_committed(&s->world)); i++)
        turn(s, false);
    if (!world_all_committed(&s->world))
        fail(s, "it does not come to rest: not all input is committed after %zu steps", i);
    uint64_t until = s->world.model.now_us + (s->plan->settle_us ? s->plan->settle_us : SETTLE_US);
    while (s->result->ok && s->world.model.now_us < until) turn(s, false);
    world_set_ticks(&s->world, false);
    for (i = 0; i < STEPS_MAX && s->result->ok && !is_at_rest(s); i++) turn(s, false);
    if (!is_at_rest(s)) fail(s, "it does not come to rest: work is open after %zu steps", i);
}

static void shut_down(struct sim *s)
{
    for (size_t i = 0; i < PROCESSES_MAX; i++) {
        enum pql_stop stop = PQL_STOP_NONE;
        struct place *place = &s->places[i];
        if (!place->process) continue;
        if (place->is_frozen) wake(s, place);
        pql_pipeline_stop(place->process->pipeline);
        world_run(&s->world, place->process, STEPS_MAX);
        pql_pipeline_finished(place->process->pipeline, &stop, NULL);
        if (stop != PQL_STOP_CLEAN && stop != PQL_STOP_FENCED) fail(s, "no clean end: %d", (int)stop);
        end_process(s, place);
    }
    model_advance(&s->world.model, 20000000); /* what a fenced one left open is aborted */
}

/* --- oracle --- */

struct line {
    char topic_key[120];
    char value[400];
    size_t order;
};

struct lines {
    struct line *items;
    size_t count, capacity;
    struct sim_result *result; /* where what is expected is counted */
};

static void add_line(struct lines *lines, enum pql_output output, struct pql_slice key, const char *value,
                     size_t value_len)
{
    lines->items = pql_xgrow(lines->items, &lines->capacity, lines->count + 1, sizeof *lines->items);
    struct line *line = &lines->items[lines->count];
    *line = (struct line){.order = lines->count};
    lines->count++;
    if (lines->result) lines->result->published[output]++;
    snprintf(line->topic_key, sizeof line->topic_key, "%d %.*s", (int)output, PQL_SLICE_ARG(key));
    snprintf(line->value, sizeof line->value, "%.*s", (int)value_len, value);
}

static int by_key_then_order(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->topic_key, y->topic_key);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* Who is told of what, once more: outputs.md as a table. */
static bool goes_to_state(enum pql_transition t)
{
    return t != PQL_SLA_BREACHED;
}

static bool goes_to_its_own(enum pql_transition t)
{
    return t != PQL_SNAPSHOT && t != PQL_SCORE_CHANGED;
}

static bool is_alert(const struct pql_record *record)
{
    enum pql_transition t = record->transition;
    bool is_news = t == PQL_ENTERED || t == PQL_SLA_BREACHED ||
                   (t == PQL_TIER_CHANGED && pql_slice_is(record->tier, "high"));
    bool wants = record->subject == PQL_SUBJECT_ACCOUNT || pql_slice_is(record->definition, "trial");
    return is_news && wants && record->origin == PQL_ORIGIN_LIVE;
}

static void expect_record(void *context, const struct pql_record *record)
{
    struct lines *lines = context;
    struct pql_buf key = {0}, value = {0};
    pql_encode_key(record, &key);
    world_encode(record, &value);
    struct pql_slice k = {key.ptr, key.len};
    enum pql_transition t = record->transition;
    lines->result->transitions[t]++;
    if (t == PQL_LEFT) lines->result->reasons[record->reason]++;
    if (record->is_shadow) {
        if (t != PQL_SCORE_CHANGED) add_line(lines, PQL_OUT_SHADOW, k, value.ptr, value.len);
    } else {
        enum pql_output own = record->subject == PQL_SUBJECT_USER ? PQL_OUT_PQL : PQL_OUT_PQA;
        if (goes_to_its_own(t)) add_line(lines, own, k, value.ptr, value.len);
        if (goes_to_state(t)) add_line(lines, PQL_OUT_STATE, k, value.ptr, value.len);
        if (is_alert(record)) add_line(lines, PQL_OUT_ALERTS, k, value.ptr, value.len);
    }
    pql_buf_deinit(&key);
    pql_buf_deinit(&value);
}

static const char erased[] = "erased";

static void expect_tombstone(void *context, const struct pql_record *record)
{
    struct lines *lines = context;
    struct pql_buf key = {0};
    pql_encode_key(record, &key);
    lines->result->erased++;
    add_line(lines, PQL_OUT_STATE, (struct pql_slice){key.ptr, key.len}, erased, sizeof erased - 1);
    pql_buf_deinit(&key);
}

struct fold {
    struct sim *s;
    int32_t partition;
    struct pql_engine *engine; /* from the first entry on */
    const struct pql_program *program;
    int64_t revision;
    struct pql_journal fill; /* the change that fills */
    struct pql_log_place place;
    struct lines *expected;
};

static void expect_letter(struct fold *f, uint32_t input, int64_t offset)
{
    char text[64];
    int n = snprintf(text, sizeof text, "%u %d %" PRId64, input, f->partition, offset);
    add_line(f->expected, PQL_OUT_DLQ, PQL_SLICE_LITERAL(""), text, (size_t)n);
}

/* Applies one input from where it stands up to `end`. */
static void fold_input(struct fold *f, uint32_t input, int64_t end)
{
    const struct model_log *log = &f->s->world.model.inputs[input][f->partition];
    for (; f->place.next[input] < end; f->place.next[input]++) {
        const struct model_record *r = log->records[f->place.next[input]];
        struct pql_message_view view = {
            .input = input, .partition = f->partition, .offset = r->offset, .value = r->value};
        struct pql_event event;
        struct pql_err err;
        struct pql_arena arena;
        pql_arena_init(&arena);
        if (world_decode(&f->s->world, &view, &arena, &event, &err)) {
            fail(f->s, "oracle: record %d@%" PRId64 " of input %u was used and cannot be: %s", f->partition,
                 r->offset, input, err.msg);
        } else {
            event.input = input;
            event.partition = f->partition;
            event.offset = r->offset;
            if (pql_engine_apply(f->engine, &event) == PQL_APPLY_LATE_DEAD_LETTER)
                expect_letter(f, input, r->offset);
        }
        pql_arena_deinit(&arena);
    }
}

/* Up to a place, without the last `refused` records of an input. */
static void fold_to(struct fold *f, const struct pql_log_place *place, uint32_t refused_input,
                    int64_t refused)
{
    uint32_t behind = 0;
    for (uint32_t i = 0; i < f->s->plan->inputs_count; i++) {
        int64_t end = place->next[i] - (i == refused_input ? refused : 0);
        behind += f->place.next[i] < end;
        fold_input(f, i, end);
    }
    if (behind > 1)
        fail(f->s, "the order of inputs is not in the journal of task %d before entry %" PRIu64, f->partition,
             place->journal);
}

/* Each revision is taken over once per task, and none after a newer one. */
static void fold_revision(struct fold *f, const struct pql_journal *entry)
{
    if (entry->revision <= f->revision)
        fail(f->s, "task %d: revision %" PRId64 " is taken over after %" PRId64, f->partition,
             entry->revision, f->revision);
    f->revision = entry->revision;
}

static void fold_program(struct fold *f, const struct pql_journal *entry)
{
    const struct pql_program *program = world_program(&f->s->world, entry->program);
    struct pql_err err;
    PQL_ASSERT(program);
    if (!f->engine) {
        f->engine = pql_engine_new(program, expect_record, f->expected);
        if (f->s->plan->tombstones) pql_engine_on_erased(f->engine, expect_tombstone);
    }
    if (program != f->program && f->program) {
        f->s->result->changes++;
        PQL_ASSERT(!pql_engine_change(f->engine, program, &err));
    }
    f->program = program;
    f->fill = *entry;
}

/* What new signals had of one input. */
static void fold_fill(struct fold *f, uint32_t input, int64_t end)
{
    const struct model_log *log = &f->s->world.model.inputs[input][f->partition];
    for (int64_t at = f->fill.fill_next[input]; at < end; at++) {
        struct pql_message_view view = {
            .input = input, .partition = f->partition, .offset = at, .value = log->records[at]->value};
        struct pql_event event;
        struct pql_err err;
        struct pql_arena arena;
        pql_arena_init(&arena);
        if (!world_decode(&f->s->world, &view, &arena, &event, &err)) {
            event.input = input;
            if (f->fill.fill_from_ms == INT64_MAX) f->fill.fill_from_ms = event.time_ms;
            pql_engine_fill(f->engine, &event, f->fill.fill_from_ms);
            f->s->result->filled++;
        }
        pql_arena_deinit(&arena);
    }
}

static void fold_filled(struct fold *f, const struct pql_journal *entry)
{
    if (!f->fill.fills) {
        fail(f->s, "task %d: a back-fill ends that did not begin", f->partition);
        return;
    }
    for (uint32_t i = 0; i < f->s->plan->inputs_count; i++) fold_fill(f, i, entry->fill_next[i]);
    if (entry->is_given_up) pql_engine_fill_stop(f->engine);
    f->s->result->given_up += entry->is_given_up;
    f->fill.fills = false;
}

static void fold_settled(struct fold *f, const struct pql_journal *entry)
{
    if (pql_engine_work(f->engine) == PQL_WORK_CHANGE)
        (void)pql_engine_settle(f->engine);
    else
        fail(f->s, "task %d: entry %" PRIu64 " settles a change that did not happen", f->partition,
             entry->place.journal);
}

/* How far a long input came before an epoch was closed is nothing to the oracle: it does all at once. */
static void fold_entry(struct fold *f, const struct pql_journal *entry)
{
    bool refused = entry->kind == PQL_JOURNAL_REFUSED;
    model_trace(&f->s->world.model, "oracle", "task %d: entry %" PRIu64 " of kind %d at %" PRId64,
                f->partition, entry->place.journal, (int)entry->kind, entry->place.next[0]);
    if (entry->place.journal != f->place.journal + 1 && f->s->plan->at_least_once) return; /* written again */
    if (entry->place.journal != f->place.journal + 1)
        fail(f->s, "task %d: entry %" PRIu64 " follows %" PRIu64, f->partition, entry->place.journal,
             f->place.journal);
    if (!f->engine && entry->kind != PQL_JOURNAL_PROGRAM) {
        fail(f->s, "task %d: its journal does not begin with a program", f->partition);
        return;
    }
    if (entry->place.journal == 1) f->place = entry->place;
    if (entry->kind == PQL_JOURNAL_PROGRAM) fold_revision(f, entry);
    int64_t *next = &f->place.next[entry->input];
    fold_to(f, &entry->place, refused ? entry->input : UINT32_MAX,
            refused ? entry->place.next[entry->input] - entry->refused_from : 0);
    if (refused && *next != entry->refused_from)
        fail(f->s, "task %d: refused from %" PRId64 ", and %" PRId64 " comes before", f->partition,
             entry->refused_from, *next);
    for (; refused && *next < entry->place.next[entry->input]; f->s->result->refused++)
        expect_letter(f, entry->input, (*next)++);
    if (entry->kind == PQL_JOURNAL_TICK) (void)pql_engine_tick(f->engine, entry->time_ms);
    if (entry->kind == PQL_JOURNAL_REFRESH) (void)pql_engine_refresh(f->engine);
    if (entry->kind == PQL_JOURNAL_PROGRAM) fold_program(f, entry);
    if (entry->kind == PQL_JOURNAL_FILLED) fold_filled(f, entry);
    if (entry->kind == PQL_JOURNAL_SETTLED) fold_settled(f, entry);
    f->place.journal = entry->place.journal;
}

static uint64_t fold_task(struct sim *s, int32_t partition, struct lines *expected)
{
    struct fold f = {.s = s, .partition = partition, .expected = expected};
    const struct model_log *log = &s->world.model.outputs[PQL_OUT_CHECKPOINT][partition];
    for (size_t i = 0; i < log->count && s->result->ok; i++) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_err err;
        struct pql_journal entry;
        if (log->records[i]->status != MODEL_COMMITTED ||
            pql_checkpoint_open(log->records[i]->value, &type, &content, &err))
            continue;
        if (type != PQL_CHECKPOINT_JOURNAL) continue;
        if (pql_journal_parse(content, &entry, &err)) {
            fail(s, "task %d: %s", partition, err.msg);
            break;
        }
        fold_entry(&f, &entry);
    }
    if (!f.engine) {
        fail(s, "task %d: its journal has no program", partition);
        return 0;
    }
    struct pql_log_place end = f.place;
    for (uint32_t i = 0; i < s->plan->inputs_count; i++)
        end.next[i] = s->world.model.offsets[i][partition].offset;
    fold_to(&f, &end, UINT32_MAX, 0);
    if (f.revision != s->world.revision)
        fail(s, "task %d: revision %" PRId64 " of %" PRId64 " was taken over", partition, f.revision,
             s->world.revision);
    if (pql_engine_work(f.engine) != PQL_WORK_NONE || f.fill.fills)
        fail(s, "task %d: its journal ends in the middle of something", partition);
    uint64_t digest = pql_engine_digest(f.engine);
    pql_engine_free(f.engine);
    return digest;
}

static void collect_letter(struct lines *actual, const struct model_record *r)
{
    char text[64] = "";
    struct pql_slice topic = {0}, partition = {0}, offset = {0};
    for (size_t h = 0; h < r->headers_count; h++) {
        if (pql_slice_is(r->headers[h].name, "pqlstream.error.topic")) topic = r->headers[h].value;
        if (pql_slice_is(r->headers[h].name, "pqlstream.error.partition")) partition = r->headers[h].value;
        if (pql_slice_is(r->headers[h].name, "pqlstream.error.offset")) offset = r->headers[h].value;
    }
    int n = snprintf(text, sizeof text, "%c %.*s %.*s", topic.len ? topic.ptr[topic.len - 1] : '?',
                     PQL_SLICE_ARG(partition), PQL_SLICE_ARG(offset));
    add_line(actual, PQL_OUT_DLQ, PQL_SLICE_LITERAL(""), text, (size_t)n);
}

static void collect_outputs(struct sim *s, struct lines *actual)
{
    for (int o = 0; o < PQL_OUT_CHECKPOINT; o++)
        for (int p = 0; p < s->plan->partitions_count; p++)
            for (size_t i = 0; i < s->world.model.outputs[o][p].count; i++) {
                const struct model_record *r = s->world.model.outputs[o][p].records[i];
                if (r->status == MODEL_OPEN) fail(s, "an output is still in an open transaction");
                if (r->status != MODEL_COMMITTED) continue;
                if (o == PQL_OUT_DLQ)
                    collect_letter(actual, r);
                else if (!r->has_value)
                    add_line(actual, (enum pql_output)o, r->key, erased, sizeof erased - 1);
                else
                    add_line(actual, (enum pql_output)o, r->key, r->value.ptr, r->value.len);
            }
}

static int by_text(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->topic_key, y->topic_key);
    return c ? c : strcmp(x->value, y->value);
}

/* At least once, and after an adoption: a record that comes again does not count, and where a write failed
 * its turn is not kept. */
static void drop_repeated(struct lines *lines)
{
    size_t kept = 0;
    qsort(lines->items, lines->count, sizeof *lines->items, by_text);
    for (size_t i = 0; i < lines->count; i++)
        if (!kept || by_text(&lines->items[kept - 1], &lines->items[i]))
            lines->items[kept++] = lines->items[i];
    lines->count = kept;
}

static void compare(struct sim *s, struct lines *expected, struct lines *actual)
{
    qsort(expected->items, expected->count, sizeof *expected->items, by_key_then_order);
    qsort(actual->items, actual->count, sizeof *actual->items, by_key_then_order);
    if (s->plan->at_least_once || s->result->adopted) {
        drop_repeated(expected);
        drop_repeated(actual);
    }
    char letters[8];
    snprintf(letters, sizeof letters, "%d ", PQL_OUT_DLQ);
    /* Dead letters of several tasks have no order between them. */
    for (struct lines *lines = expected;; lines = actual) {
        size_t first = 0, n = 0;
        for (size_t i = 0; i < lines->count; i++)
            if (!strcmp(lines->items[i].topic_key, letters)) first = n++ ? first : i;
        if (n) qsort(lines->items + first, n, sizeof *lines->items, by_text);
        if (lines == actual) break;
    }
    size_t n = expected->count < actual->count ? expected->count : actual->count;
    for (size_t i = 0; i < n && s->result->ok; i++) {
        const struct line *e = &expected->items[i], *a = &actual->items[i];
        if (by_text(e, a))
            fail(s, "record %zu: expected %s = %s, found %s = %s", i, e->topic_key, e->value, a->topic_key,
                 a->value);
    }
    if (expected->count != actual->count)
        fail(s, "expected %zu records, found %zu", expected->count, actual->count);
    s->result->records = expected->count;
}

static void break_record(struct sim *s, struct model_record *record)
{
    char *bytes;
    memcpy(&bytes, &record->value.ptr, sizeof bytes);
    bytes[record->value.len - 1] = (char)(bytes[record->value.len - 1] ^ 1);
    s->result->fallbacks++;
}

/* Breaks one byte: of the manifest that a task's offsets point to, of the chunk before it, or of any chunk.
 */
static void damage(struct sim *s)
{
    for (int32_t p = 0; p < s->plan->partitions_count; p++) {
        struct model_log *log = &s->world.model.outputs[PQL_OUT_CHECKPOINT][p];
        struct pql_metadata m;
        struct pql_err err;
        if (!model_chance(&s->world.random, s->plan->damage)) continue;
        if (pql_metadata_parse(pql_slice_of(s->world.model.offsets[0][p].metadata), &m, &err) ||
            m.manifest <= log->low)
            continue;
        uint64_t kind = model_below(&s->world.random, 3);
        int64_t i = kind == 2
                        ? log->low + (int64_t)model_below(&s->world.random, (uint64_t)(m.manifest - log->low))
                        : m.manifest - 1;
        while (kind && i > log->low &&
               (log->records[i]->value.len < 12 || log->records[i]->value.ptr[4] != PQL_CHECKPOINT_CHUNK))
            i--;
        struct model_record *found = log->records[kind ? i : m.manifest];
        if (found->value.len >= 12 && found->value.ptr[4] != PQL_CHECKPOINT_JOURNAL) break_record(s, found);
    }
}

static bool check_digest(struct sim *s, int32_t partition, uint64_t expected)
{
    uint64_t digest;
    struct pql_log_place place;
    if (!pql_pipeline_inspect(s->places[0].process->pipeline, partition, &digest, &place)) return false;
    if (digest != expected)
        fail(s, "task %d: digest %016" PRIx64 " after restore, oracle has %016" PRIx64, partition, digest,
             expected);
    return true;
}

static void check_restored(struct sim *s, const uint64_t *digests)
{
    bool seen[MODEL_PARTITIONS_MAX] = {false};
    int32_t left = s->plan->partitions_count;
    s->world.conf.memory_max = 0; /* a longer replay, where a snapshot is damaged, may take more */
    start(s, "pql-9");
    for (size_t i = 0; i < STEPS_MAX && left && s->result->ok; i++) {
        world_run(&s->world, s->places[0].process, 1);
        check_stop(s, s->places[0].process);
        for (int32_t p = 0; p < s->plan->partitions_count; p++)
            if (!seen[p] && (seen[p] = check_digest(s, p, digests[p]))) left--;
    }
    if (left && s->result->ok) fail(s, "the final restore does not end");
    end_process(s, &s->places[0]);
}

static void judge(struct sim *s)
{
    struct lines expected = {.result = s->result}, actual = {0};
    uint64_t digests[MODEL_PARTITIONS_MAX] = {0};
    for (int32_t p = 0; p < s->plan->partitions_count; p++) {
        digests[p] = fold_task(s, p, &expected);
        s->result->trimmed += (uint64_t)s->world.model.outputs[PQL_OUT_CHECKPOINT][p].low;
    }
    collect_outputs(s, &actual);
    if (s->result->ok) compare(s, &expected, &actual);
    if (s->result->ok) damage(s);
    if (s->result->ok) check_restored(s, digests);
    free(expected.items);
    free(actual.items);
}

void sim_run(const struct world_plan *plan, struct sim_result *result)
{
    struct sim s = {.plan = plan, .result = result};
    memset(result, 0, sizeof *result);
    result->ok = true;
    world_init(&s.world, plan);
    run_with_faults(&s);
    if (result->ok) run_to_rest(&s);
    if (result->ok) shut_down(&s);
    if (result->ok) judge(&s);
    for (size_t i = 0; i < PROCESSES_MAX; i++) world_kill(s.places[i].process);
    memcpy(result->faults, s.world.model.counts, sizeof result->faults);
    result->simulated_us = s.world.model.now_us;
    result->rebalances = (uint64_t)s.world.model.group.generation;
    result->aborted = s.world.model.aborted;
    world_deinit(&s.world);
}

/* --- the plan of a seed --- */

static double rate_of(struct model_random *random, double usual)
{
    static const double factors[] = {0.25, 0.5, 1, 2, 4};
    return usual * factors[model_below(random, sizeof factors / sizeof *factors)];
}

/* A swarm: which faults there are at all is drawn first, few of them or most, and then how often each is.
 * With all of them on in every run, some would hide what others could show. */
static void draw_faults(struct model_random *random, struct model_faults *faults)
{
    static const double shares[] = {0.1, 0.3, 0.5, 0.8};
    const struct {
        double *rate, usual;
    } rates[] = {
        {&faults->retry, 0.02},       {&faults->abortable, 0.01},
        {&faults->lost_commit, 0.05}, {&faults->delayed_commit, 0.05},
        {&faults->fence, 0.0005},     {&faults->no_member, 0.02},
        {&faults->seek, 0.2},         {&faults->ack, 0.1},
        {&faults->rebalance, 0.003},  {&faults->crash, 0.0005},
        {&faults->lost, 0.005},       {&faults->late, 0.002},
    };
    double share = shares[model_below(random, sizeof shares / sizeof *shares)];
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (model_chance(random, share)) *rates[i].rate = rate_of(random, rates[i].usual);
}

struct world_plan sim_plan_of(uint64_t seed)
{
    struct model_random random = {seed * 31 + 7};
    struct world_plan plan = {
        .seed = seed,
        .inputs_count = 1 + (uint32_t)model_below(&random, 2),
        .partitions_count = 1 + (int32_t)model_below(&random, 3),
        .workers = 1 + (unsigned)model_below(&random, 2),
        .at_least_once = model_chance(&random, 0.2),
        .events = 100 + model_below(&random, 400),
        .is_rich = model_chance(&random, 0.8),
        .tombstones = model_chance(&random, 0.5),
        .bad = model_chance(&random, 0.5) ? 0.05 : 0,
        .unknown_schema = model_chance(&random, 0.3) ? 0.02 : 0,
        .checkpoint_interval_ms = 200 + (int64_t)model_below(&random, 4000),
        .damage = model_chance(&random, 0.2) ? 0.5 : 0,
        .freeze = model_chance(&random, 0.3) ? 0.0005 : 0,
        .twin = 0.5,
        .lateness_ms = model_chance(&random, 0.4) ? 2000 : 0,
        .late_dead_letter = model_chance(&random, 0.3),
        .dedup_horizon_ms = model_chance(&random, 0.5) ? 4000 : 0,
        .twice = model_chance(&random, 0.5) ? 0.1 : 0,
        .users = model_chance(&random, 0.3) ? 150 : 0,
        .checkpoint_bytes = model_chance(&random, 0.5) ? 3000 : 0,
        .memory = model_chance(&random, 0.15) ? 6000 : 0,
        .adopt = model_chance(&random, 0.15) ? 0.5 : 0,
    };
    draw_faults(&random, &plan.faults);
    plan.instances = 1 + (int)model_below(&random, 4);
    plan.scaling = plan.instances > 1 ? 0.0003 : 0;
    plan.session_ms = 200 + (int64_t)model_below(&random, 3000);
    plan.park_ms = model_chance(&random, 0.2) ? -1 : model_chance(&random, 0.3) ? 3000 : 0;
    plan.short_memory = model_chance(&random, 0.2) ? 0.001 : 0;
    plan.is_static = model_chance(&random, 0.4);
    if (model_chance(&random, 0.3)) plan.max_message_bytes = 1000;
    if (model_chance(&random, 0.5)) plan.part_records_max = 1 + model_below(&random, 10);
    if (model_chance(&random, 0.3)) plan.refresh = 0.005;
    if (!plan.max_message_bytes &&
        model_chance(&random, 0.1)) { /* twelve seconds for both topics in one go */
        plan.flood = 150;
        plan.padding = 8000;
        plan.produce_bytes_per_s = 200000;
    }
    if (model_chance(&random, 0.4))
        plan.changes = 0.001, plan.backfill = model_chance(&random, 0.5) ? 0.5 : 0;
    if (plan.changes > 0)
        plan.adopt = 0; /* what was published behind the place adopted is not made by another program */
    plan.checkpoint_shares = model_chance(&random, 0.3) ? 0 : 1 + (uint32_t)model_below(&random, 5);
    plan.checkpoint_slice = model_chance(&random, 0.5) ? 0 : 100 + model_below(&random, 2000);
    plan.checkpoint_buffer = model_chance(&random, 0.2) ? 2000 + model_below(&random, 8000) : 0;
    if (plan.at_least_once) { /* two that overlap may both publish: that is what at least once means */
        plan.freeze = plan.scaling = 0;
        plan.instances = 1;
    }
    if (model_chance(&random, 0.4)) plan.transaction_bytes = 300 + model_below(&random, 6000);
    if (plan.inputs_count > 1 && !plan.at_least_once)
        plan.adopt = 0; /* the order of the last run is C's to tell, which is lost: see pql_tool_adopt */
    return plan;
}
