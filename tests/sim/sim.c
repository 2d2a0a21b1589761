#include "sim/sim.h"

#include "app/pipeline.h"
#include "core/engine.h"
#include "core/partition.h"
#include "core/reasons.h"
#include "core/wire/encode.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { STEPS_MAX = 400000, SETTLE_US = 40000000, ACCOUNTS = 12 };

struct process {
    struct model_client *client;
    struct pql_ports ports;
    struct pql_pipeline_conf conf;
    struct pql_pipeline *pipeline; /* NULL: not started */
    uint64_t thaw_us;              /* of a frozen one */
    char id[32];
};

struct sim {
    const struct sim_plan *plan;
    struct sim_result *result;
    struct model model;
    struct model_random random; /* of the scheduler, apart from the model's */
    struct pql_diags diags;
    struct pql_definition_conf definitions[2];
    struct pql_program_conf program_conf;
    struct pql_program *program;
    struct pql_pipeline_input inputs[MODEL_INPUTS_MAX];
    struct process process, twin;
    size_t produced;
    uint64_t schema_known_us;
    unsigned starts;
};

static void fail(struct sim *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void fail(struct sim *s, const char *format, ...)
{
    va_list args;
    if (!s->result->ok) return;
    s->result->ok = false;
    va_start(args, format);
    vsnprintf(s->result->what, sizeof s->result->what, format, args);
    va_end(args);
}

/* --- what events look like here: account|user|time|id, "bad", or a schema that is known later --- */

static void *open_decoders(void *context, int32_t task)
{
    (void)task;
    return context;
}

static void close_decoders(void *decoders) { (void)decoders; }

static bool field(struct pql_slice *rest, struct pql_slice *out)
{
    const char *bar = memchr(rest->ptr, '|', rest->len);
    if (!bar) return false;
    *out = (struct pql_slice){rest->ptr, (size_t)(bar - rest->ptr)};
    *rest = (struct pql_slice){bar + 1, rest->len - out->len - 1};
    return true;
}

static int decode(void *decoders, const struct pql_message_view *message, struct pql_arena *arena, struct pql_event *event,
                  struct pql_err *err)
{
    const struct sim *s = decoders;
    struct pql_slice rest = message->value, schema, time;
    if (pql_slice_is(rest, "bad")) {
        PQL_FAIL(err, PQL_ERR_RECORD, "this record is bad");
        err->reason = pql_rejects[PQL_REJECT_BAD_AVRO].word;
        return -1;
    }
    *event = (struct pql_event){.kind = PQL_EVENT_TRACK, .name = PQL_SLICE_LITERAL("x")};
    PQL_ASSERT(field(&rest, &schema) && field(&rest, &event->account) && field(&rest, &event->user) && field(&rest, &time));
    if (pql_slice_is(schema, "later") && s->model.now_us < s->schema_known_us)
        return PQL_FAIL(err, PQL_ERR_RETRY, "the registry does not know the schema yet");
    for (size_t i = 0; i < time.len; i++) event->time_ms = event->time_ms * 10 + (time.ptr[i] - '0');
    event->properties = event->user_attributes = event->account_attributes = pql_arena_zalloc(arena, 16);
    return 0;
}

static int encode(void *context, enum pql_output output, const struct pql_record *record, int64_t produced_at_ms,
                  struct pql_buf *value, struct pql_err *err)
{
    (void)context;
    (void)output;
    (void)produced_at_ms;
    (void)err;
    pql_buf_printf(value, "%s %" PRId64, record->event_id, record->version);
    return 0;
}

static void make_program(struct sim *s)
{
    const struct pql_definition_conf both[] = {
        {.name = PQL_SLICE_LITERAL("team"), .name_source = {PQL_SLICE_LITERAL("team"), NULL, NULL, 0},
         .subject = PQL_SUBJECT_ACCOUNT, .version = 1, .mode = PQL_MODE_LIVE, .alert = true,
         .qualify = {PQL_SLICE_LITERAL("count(x, 8s) >= 4"), NULL, NULL, 0}},
        {.name = PQL_SLICE_LITERAL("person"), .name_source = {PQL_SLICE_LITERAL("person"), NULL, NULL, 0},
         .subject = PQL_SUBJECT_USER, .version = 1, .mode = PQL_MODE_LIVE,
         .qualify = {PQL_SLICE_LITERAL("count(x, 5s) >= 2"), NULL, NULL, 0}},
    };
    memcpy(s->definitions, both, sizeof both);
    s->program_conf = (struct pql_program_conf){.app = PQL_SLICE_LITERAL("sim"), .settings = pql_settings_default(),
                                    .definitions = s->definitions, .definitions_count = 2};
    pql_diags_init(&s->diags);
    s->program = pql_program_new(&s->program_conf, &s->diags);
    if (!s->program) pql_diags_print(&s->diags, stderr);
    PQL_ASSERT(s->program);
}

/* --- processes --- */

static void start(struct sim *s, struct process *process, const char *transactional_id)
{
    struct pql_err err = {0};
    snprintf(process->id, sizeof process->id, "%s", transactional_id);
    process->client = model_client_new(&s->model, s->plan->at_least_once ? "" : transactional_id);
    model_client_ports(process->client, &process->ports);
    process->conf = pql_pipeline_conf_default();
    process->conf.app = "sim";
    process->conf.program = s->program;
    process->conf.inputs = s->inputs;
    process->conf.inputs_count = s->plan->inputs_count;
    static const char *const names[PQL_OUT_COUNT] = {"sim.pql", "sim.pqa", "sim.state", "sim.alerts", "sim.dlq", "sim.checkpoint"};
    memcpy(process->conf.outputs, names, sizeof names);
    snprintf(process->conf.writer, sizeof process->conf.writer, "w%u", ++s->starts);
    process->conf.at_least_once = s->plan->at_least_once;
    process->conf.workers = s->plan->workers;
    process->conf.idle_after_ms = 1000;
    process->conf.alert_max_age_ms = INT64_C(1) << 50;
    process->conf.checkpoint_interval_ms = s->plan->checkpoint_interval_ms;
    process->conf.handover_budget_ms = (int64_t)model_below(&s->random, 300);
    process->conf.inbox_max = 1 + model_below(&s->random, 30);
    process->conf.dlq_max_share = 0.9;
    process->conf.decoding = (struct pql_decoding){.context = s, .open = open_decoders, .close = close_decoders, .decode = decode};
    process->conf.encode = encode;
    process->pipeline = pql_pipeline_new(&process->ports, &process->conf, &err);
    if (!process->pipeline) model_client_kill(process->client);
    s->result->starts++;
}

static void stop_at_once(struct process *process)
{
    if (process->client) {
        model_client_kill(process->client);
        pql_pipeline_free(process->pipeline);
        model_client_free(process->client);
    }
    *process = (struct process){0};
}

static void note_stats(struct sim *s, const struct process *process)
{
    struct pql_pipeline_stats stats;
    if (!process->pipeline) return;
    pql_pipeline_stats(process->pipeline, &stats);
    s->result->ticks += stats.ticks;
    s->result->snapshots += stats.snapshots;
}

static void step_role(struct sim *s, struct process *process)
{
    uint64_t role = model_below(&s->random, 100);
    if (!process->pipeline) return;
    if (role < 15) pql_control_step(process->pipeline, 0);
    else if (role < 50) pql_committer_step(process->pipeline, 0);
    else if (role < 80) pql_worker_step(process->pipeline, (unsigned)model_below(&s->random, s->plan->workers), 0);
    else pql_keeper_step(process->pipeline, 0, 0);
}

/* Whatever ends a process, the next one begins with the same instance, or with another one's name. */
static void restart_if_dead(struct sim *s, struct process *process)
{
    enum pql_stop stop = PQL_STOP_NONE;
    struct pql_err err = {0};
    bool finished = process->pipeline && pql_pipeline_finished(process->pipeline, &stop, &err);
    if (!model_client_is_dead(process->client) && stop != PQL_STOP_NONE && stop != PQL_STOP_CLEAN && stop != PQL_STOP_FENCED) fail(s, "a process stopped: %s", err.msg);
    if (!finished && !model_client_is_dead(process->client)) return;
    char id[32];
    snprintf(id, sizeof id, "%s", process->id);
    note_stats(s, process);
    stop_at_once(process);
    if (model_chance(&s->random, 0.2)) snprintf(id, sizeof id, "id%u", s->starts % 50);
    start(s, process, id);
    if (s->plan->faults.crash > 0 && s->starts > 60) s->model.faults.crash = 0;
}

/* --- producer --- */

static void produce_event(struct sim *s)
{
    char account[16], value[96];
    snprintf(account, sizeof account, "a%u", (unsigned)model_below(&s->random, ACCOUNTS));
    bool bad = model_chance(&s->random, s->plan->bad), later = !bad && model_chance(&s->random, s->plan->unknown_schema);
    if (later && s->schema_known_us < s->model.now_us) s->schema_known_us = s->model.now_us + model_below(&s->random, 2000000);
    int64_t time = model_wall_ms(&s->model) - (int64_t)model_below(&s->random, 3000);
    snprintf(value, sizeof value, "%s|%s|u%u|%" PRId64 "|", later ? "later" : "known", account,
             (unsigned)model_below(&s->random, 3), time);
    if (bad) snprintf(value, sizeof value, "bad");
    uint32_t partition = pql_partition_murmur2(pql_slice_of(account), (uint32_t)s->plan->partitions_count);
    struct pql_out_record record = {.has_key = true, .has_value = true, .key = pql_slice_of(account), .value = pql_slice_of(value)};
    model_append(&s->model.inputs[model_below(&s->random, s->plan->inputs_count)][partition], &record, -1, MODEL_COMMITTED,
                 model_wall_ms(&s->model));
    s->produced++;
}

static void pass_time(struct sim *s)
{
    uint64_t us = model_below(&s->random, 1500);
    if (model_chance(&s->random, 0.01)) us += model_below(&s->random, 300000);
    if (model_chance(&s->random, 0.001)) us += model_below(&s->random, 4000000);
    model_advance(&s->model, us);
}

static bool all_committed(const struct sim *s)
{
    for (uint32_t i = 0; i < s->plan->inputs_count; i++)
        for (int32_t p = 0; p < s->plan->partitions_count; p++)
            if (!s->model.has_offset[i][p] || s->model.offsets[i][p].offset != model_end(&s->model.inputs[i][p])) return false;
    return true;
}

/* --- twins --- */

static void twins(struct sim *s)
{
    if (!s->twin.client && model_chance(&s->random, s->plan->twin)) {
        char id[32];
        snprintf(id, sizeof id, "%s", s->process.id);
        s->twin = s->process;
        if (s->twin.pipeline) { /* conf and ports are pointed to */
            s->twin = (struct process){0};
            return;
        }
        start(s, &s->process, id);
    }
}

/* --- the run --- */

static void turn(struct sim *s)
{
    pass_time(s);
    twins(s);
    step_role(s, &s->process);
    restart_if_dead(s, &s->process);
}

static void run_with_faults(struct sim *s)
{
    s->model.faults = s->plan->faults;
    start(s, &s->process, "pql-0");
    if (s->plan->crash_call) model_client_die_at(s->process.client, s->plan->crash_call, s->plan->crash_after);
    struct model_client *first = s->process.client;
    for (size_t i = 0; i < STEPS_MAX && s->produced < s->plan->events && s->result->ok; i++) {
        if (model_chance(&s->random, 0.05)) produce_event(s);
        turn(s);
        if (s->process.client == first) s->result->calls = model_client_calls(first);
    }
    for (size_t i = 0; i < 5000 && s->result->ok; i++) turn(s);
}

/* No more faults: everything must come to rest at the end of the input, and timers by ticks. */
static void run_to_rest(struct sim *s)
{
    s->model.faults = (struct model_faults){0};
    size_t i = 0;
    for (; i < STEPS_MAX && s->result->ok && !all_committed(s); i++) turn(s);
    if (!all_committed(s)) fail(s, "it does not come to rest: not all input is committed after %zu steps", i);
    uint64_t until = s->model.now_us + SETTLE_US;
    while (s->result->ok && s->model.now_us < until) turn(s);
}

static void shut_down(struct sim *s)
{
    enum pql_stop stop = PQL_STOP_NONE;
    struct pql_err err;
    pql_pipeline_stop(s->process.pipeline);
    for (size_t i = 0; i < STEPS_MAX && s->result->ok; i++) {
        pass_time(s);
        step_role(s, &s->process);
        if (pql_pipeline_finished(s->process.pipeline, &stop, &err)) break;
    }
    if (stop != PQL_STOP_CLEAN) fail(s, "no clean end: %d", (int)stop);
    note_stats(s, &s->process);
    stop_at_once(&s->process);
}

/* --- oracle --- */

struct line {
    char topic_key[120];
    char value[80];
    size_t order;
};

struct lines {
    struct line *items;
    size_t count, capacity;
};

static void add_line(struct lines *lines, enum pql_output output, struct pql_slice key, const char *value, size_t value_len)
{
    lines->items = pql_xgrow(lines->items, &lines->capacity, lines->count + 1, sizeof *lines->items);
    struct line *line = &lines->items[lines->count];
    *line = (struct line){.order = lines->count};
    lines->count++;
    snprintf(line->topic_key, sizeof line->topic_key, "%d %.*s", (int)output, PQL_SLICE_ARG(key));
    snprintf(line->value, sizeof line->value, "%.*s", (int)value_len, value);
}

static int by_key_then_order(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->topic_key, y->topic_key);
    return c ? c : (x->order > y->order) - (x->order < y->order);
}

static void expect_record(void *context, const struct pql_record *record)
{
    struct lines *lines = context;
    struct pql_buf key = {0};
    char value[80];
    pql_encode_key(record, &key);
    struct pql_slice k = {key.ptr, key.len};
    int n = snprintf(value, sizeof value, "%s %" PRId64, record->event_id, record->version);
    bool is_user = record->subject == PQL_SUBJECT_USER;
    add_line(lines, is_user ? PQL_OUT_PQL : PQL_OUT_PQA, k, value, (size_t)n);
    add_line(lines, PQL_OUT_STATE, k, value, (size_t)n);
    if (!is_user && record->transition == PQL_ENTERED) add_line(lines, PQL_OUT_ALERTS, k, value, (size_t)n);
    pql_buf_deinit(&key);
}

struct fold {
    struct sim *s;
    int32_t partition;
    struct pql_engine *engine;
    struct pql_log_place place;
    struct lines *expected;
};

/* Applies one input from where it stands up to `end`. */
static void fold_input(struct fold *f, uint32_t input, int64_t end)
{
    const struct model_log *log = &f->s->model.inputs[input][f->partition];
    for (; f->place.next[input] < end; f->place.next[input]++) {
        const struct model_record *r = log->records[f->place.next[input]];
        struct pql_message_view view = {.input = input, .partition = f->partition, .offset = r->offset, .value = r->value};
        struct pql_event event;
        struct pql_err err;
        struct pql_arena arena;
        pql_arena_init(&arena);
        if (decode(f->s, &view, &arena, &event, &err)) {
            fail(f->s, "oracle: record %d@%" PRId64 " of input %u was used and cannot be: %s", f->partition, r->offset, input, err.msg);
        } else {
            event.input = input;
            event.partition = f->partition;
            event.offset = r->offset;
            (void)pql_engine_apply(f->engine, &event);
        }
        pql_arena_deinit(&arena);
    }
}

static void fold_to(struct fold *f, const struct pql_log_place *place, uint32_t refused_input)
{
    uint32_t behind = 0;
    for (uint32_t i = 0; i < f->s->plan->inputs_count; i++) {
        int64_t end = place->next[i] - (i == refused_input);
        behind += f->place.next[i] < end;
        fold_input(f, i, end);
    }
    if (behind > 1) fail(f->s, "the order of inputs is not in the journal of task %d before entry %" PRIu64, f->partition, place->journal);
}

static void fold_entry(struct fold *f, const struct pql_journal *entry)
{
    bool refused = entry->kind == PQL_JOURNAL_REFUSED;
    if (entry->place.journal != f->place.journal + 1 && f->s->plan->at_least_once) return; /* written again */
    if (entry->place.journal != f->place.journal + 1) fail(f->s, "task %d: entry %" PRIu64 " follows %" PRIu64, f->partition, entry->place.journal, f->place.journal);
    if (entry->place.journal == 1) f->place = entry->place;
    fold_to(f, &entry->place, refused ? entry->input : UINT32_MAX);
    if (refused) {
        char offset[64];
        int n = snprintf(offset, sizeof offset, "%u %d %" PRId64, entry->input, f->partition, f->place.next[entry->input]++);
        add_line(f->expected, PQL_OUT_DLQ, PQL_SLICE_LITERAL(""), offset, (size_t)n);
        f->s->result->refused++;
    }
    if (entry->kind == PQL_JOURNAL_TICK) pql_engine_tick(f->engine, entry->time_ms);
    f->place.journal = entry->place.journal;
}

static uint64_t fold_task(struct sim *s, int32_t partition, struct lines *expected)
{
    struct fold f = {.s = s, .partition = partition, .expected = expected};
    const struct model_log *log = &s->model.outputs[PQL_OUT_CHECKPOINT][partition];
    f.engine = pql_engine_new(s->program, expect_record, expected);
    for (size_t i = 0; i < log->count && s->result->ok; i++) {
        enum pql_checkpoint_type type;
        struct pql_slice content;
        struct pql_err err;
        struct pql_journal entry;
        if (log->records[i]->status != MODEL_COMMITTED || pql_checkpoint_open(log->records[i]->value, &type, &content, &err)) continue;
        if (type != PQL_CHECKPOINT_JOURNAL) continue;
        PQL_ASSERT(!pql_journal_parse(content, &entry, &err));
        fold_entry(&f, &entry);
    }
    struct pql_log_place end = f.place;
    for (uint32_t i = 0; i < s->plan->inputs_count; i++) end.next[i] = s->model.offsets[i][partition].offset;
    fold_to(&f, &end, UINT32_MAX);
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
    int n = snprintf(text, sizeof text, "%c %.*s %.*s", topic.len ? topic.ptr[topic.len - 1] : '?', PQL_SLICE_ARG(partition), PQL_SLICE_ARG(offset));
    add_line(actual, PQL_OUT_DLQ, PQL_SLICE_LITERAL(""), text, (size_t)n);
}

static void collect_outputs(struct sim *s, struct lines *actual)
{
    for (int o = 0; o < PQL_OUT_CHECKPOINT; o++)
        for (int p = 0; p < s->plan->partitions_count; p++)
            for (size_t i = 0; i < s->model.outputs[o][p].count; i++) {
                const struct model_record *r = s->model.outputs[o][p].records[i];
                if (r->status == MODEL_OPEN) fail(s, "an output is still in an open transaction");
                if (r->status != MODEL_COMMITTED) continue;
                if (o == PQL_OUT_DLQ) collect_letter(actual, r);
                else add_line(actual, (enum pql_output)o, r->key, r->value.ptr, r->value.len);
            }
}

static int by_text(const void *a, const void *b)
{
    const struct line *x = a, *y = b;
    int c = strcmp(x->topic_key, y->topic_key);
    return c ? c : strcmp(x->value, y->value);
}

/* At least once: a record that comes again does not count, and where a write failed its turn is not kept. */
static void drop_repeated(struct lines *lines)
{
    size_t kept = 0;
    qsort(lines->items, lines->count, sizeof *lines->items, by_text);
    for (size_t i = 0; i < lines->count; i++)
        if (!kept || by_text(&lines->items[kept - 1], &lines->items[i])) lines->items[kept++] = lines->items[i];
    lines->count = kept;
}

static void compare(struct sim *s, struct lines *expected, struct lines *actual)
{
    qsort(expected->items, expected->count, sizeof *expected->items, by_key_then_order);
    qsort(actual->items, actual->count, sizeof *actual->items, by_key_then_order);
    if (s->plan->at_least_once) {
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
        if (by_text(e, a)) fail(s, "record %zu: expected %s = %s, found %s = %s", i, e->topic_key, e->value, a->topic_key, a->value);
    }
    if (expected->count != actual->count) fail(s, "expected %zu records, found %zu", expected->count, actual->count);
    s->result->records = expected->count;
}

/* Breaks one byte of the newest chunk that a task's offsets point to. */
static void damage(struct sim *s)
{
    for (int32_t p = 0; p < s->plan->partitions_count; p++) {
        struct model_log *log = &s->model.outputs[PQL_OUT_CHECKPOINT][p];
        struct pql_metadata m;
        struct pql_err err;
        if (!model_chance(&s->random, s->plan->damage)) continue;
        if (pql_metadata_parse(pql_slice_of(s->model.offsets[0][p].metadata), &m, &err) || m.manifest < 1) continue;
        for (int64_t i = m.manifest - 1; i >= log->low; i--) {
            struct model_record *r = log->records[i];
            if (r->value.len < 12 || r->value.ptr[4] != PQL_CHECKPOINT_CHUNK) continue;
            char *bytes;
            memcpy(&bytes, &r->value.ptr, sizeof bytes);
            bytes[r->value.len - 1] = (char)(bytes[r->value.len - 1] ^ 1);
            s->result->fallbacks++;
            break;
        }
    }
}

static void check_restored(struct sim *s, const uint64_t *digests)
{
    bool seen[MODEL_PARTITIONS_MAX] = {false};
    int32_t left = s->plan->partitions_count;
    start(s, &s->process, "pql-9");
    for (size_t i = 0; i < STEPS_MAX && left && s->result->ok; i++) {
        enum pql_stop stop;
        struct pql_err err;
        pass_time(s);
        step_role(s, &s->process);
        pql_pipeline_finished(s->process.pipeline, &stop, &err);
        if (stop != PQL_STOP_NONE) fail(s, "the final restore: %s", err.msg);
        for (int32_t p = 0; p < s->plan->partitions_count; p++) {
            uint64_t digest;
            struct pql_log_place place;
            if (seen[p] || !pql_pipeline_inspect(s->process.pipeline, p, &digest, &place)) continue;
            seen[p] = true;
            left--;
            if (digest != digests[p]) fail(s, "task %d: digest %016" PRIx64 " after restore, oracle has %016" PRIx64, p, digest, digests[p]);
        }
    }
    if (left && s->result->ok) fail(s, "the final restore does not end");
    stop_at_once(&s->process);
}

static void judge(struct sim *s)
{
    struct lines expected = {0}, actual = {0};
    uint64_t digests[MODEL_PARTITIONS_MAX] = {0};
    for (int32_t p = 0; p < s->plan->partitions_count; p++) {
        digests[p] = fold_task(s, p, &expected);
        s->result->trimmed += (uint64_t)s->model.outputs[PQL_OUT_CHECKPOINT][p].low;
    }
    collect_outputs(s, &actual);
    if (s->result->ok) compare(s, &expected, &actual);
    if (s->result->ok) damage(s);
    if (s->result->ok) check_restored(s, digests);
    free(expected.items);
    free(actual.items);
}

void sim_run(const struct sim_plan *plan, struct sim_result *result)
{
    struct sim s = {.plan = plan, .result = result, .random = {plan->seed ^ 0x5eed}};
    *result = (struct sim_result){.ok = true};
    model_init(&s.model, plan->seed, plan->inputs_count, plan->partitions_count);
    make_program(&s);
    static const char *const names[MODEL_INPUTS_MAX] = {"input-0", "input-1"};
    for (uint32_t i = 0; i < plan->inputs_count; i++)
        s.inputs[i] = (struct pql_pipeline_input){.topic = names[i], .start = PQL_OFFSET_EARLIEST, .max_future_ms = 600000, .partition_of = pql_partition_murmur2};
    run_with_faults(&s);
    if (result->ok) run_to_rest(&s);
    if (result->ok) shut_down(&s);
    if (result->ok) judge(&s);
    stop_at_once(&s.process);
    memcpy(result->faults, s.model.counts, sizeof result->faults);
    pql_program_free(s.program);
    pql_diags_deinit(&s.diags);
    model_deinit(&s.model);
}

struct sim_plan sim_plan_of(uint64_t seed)
{
    struct model_random random = {seed * 31 + 7};
    struct sim_plan plan = {
        .seed = seed, .inputs_count = 1 + (uint32_t)model_below(&random, 2), .partitions_count = 1 + (int32_t)model_below(&random, 3),
        .workers = 1 + (unsigned)model_below(&random, 2), .at_least_once = model_chance(&random, 0.2),
        .events = 100 + model_below(&random, 400), .bad = model_chance(&random, 0.5) ? 0.05 : 0,
        .unknown_schema = model_chance(&random, 0.3) ? 0.02 : 0, .checkpoint_interval_ms = 200 + (int64_t)model_below(&random, 4000),
        .damage = model_chance(&random, 0.2) ? 0.5 : 0,
    };
    struct {
        double *rate, value;
    } faults[] = {
        {&plan.faults.retry, 0.02}, {&plan.faults.abortable, 0.01}, {&plan.faults.lost_commit, 0.05},
        {&plan.faults.delayed_commit, 0.05}, {&plan.faults.fence, 0.0005}, {&plan.faults.no_member, 0.02},
        {&plan.faults.seek, 0.2}, {&plan.faults.ack, 0.1}, {&plan.faults.rebalance, 0.003}, {&plan.faults.crash, 0.0005},
    };
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
        if (model_chance(&random, 0.5)) *faults[i].rate = faults[i].value;
    return plan;
}
