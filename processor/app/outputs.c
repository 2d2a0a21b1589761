/* outputs.c - from the engine's record to records of the output topics, and from a refused message to a dead
 * letter. */
#include "app/task.h"

#include "core/reasons.h"
#include "core/wire/encode.h"
#include "io/record_outputs.h"
#include <inttypes.h>
#include <stdio.h>

enum { DEAD_LETTER_HEADERS = 10, RECORD_OVERHEAD = 128 /* of a batch and of framing a record in it */ };

static void add(struct pql_worker *w, struct pql_task *task, const struct pql_out_record *record)
{
    struct pql_epoch *epoch = pql_task_open_epoch(task);
    size_t before = epoch->bytes.len;
    if (!epoch->first_output_us) epoch->first_output_us = w->now_us ? w->now_us : 1;
    pql_epoch_add(epoch, record);
    w->made_bytes += epoch->bytes.len - before;
    w->open_bytes += epoch->bytes.len - before;
}

static size_t size_of(const struct pql_out_record *record)
{
    size_t size = record->key.len + record->value.len + RECORD_OVERHEAD;
    for (size_t i = 0; i < record->headers_count; i++)
        size += record->headers[i].name.len + record->headers[i].value.len + 10;
    return size;
}

/* A dead letter that is too large itself keeps its headers and as much of its value as fits. */
static void add_dead_letter(struct pql_worker *w, struct pql_task *task, struct pql_out_record *record,
                            struct pql_header *headers)
{
    size_t max = (size_t)w->pipeline->max_bytes[PQL_OUT_DLQ], size = size_of(record);
    char original[24];
    if (size > max) {
        size_t excess = size - max + 64;
        snprintf(original, sizeof original, "%zu", record->value.len);
        record->value.len = record->value.len > excess ? record->value.len - excess : 0;
        headers[record->headers_count++] =
            (struct pql_header){pql_slice_of("pqlstream.error.cut_from"), pql_slice_of(original)};
        if (size_of(record) >
            max) { /* a key or headers of that size: they are not needed to find the record */
            record->key.len = 0;
            record->has_key = false;
            if (size_of(record) > max) {
                headers[0] = headers[record->headers_count - 1];
                record->headers_count = 1;
            }
        }
    }
    add(w, task, record);
}

/* The mapping's field that a reason is about; NULL: none by itself. */
static const char *field_of(const char *reason)
{
    static const struct {
        enum pql_reject reject;
        const char *field;
    } rows[] = {
        {PQL_REJECT_NO_EVENT, "event"}, {PQL_REJECT_NO_ACCOUNT, "account"}, {PQL_REJECT_NO_USER, "user"},
        {PQL_REJECT_BAD_TIME, "time"},  {PQL_REJECT_FUTURE_TIME, "time"},   {PQL_REJECT_LATE, "time"},
        {PQL_REJECT_BAD_KIND, "kind"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (!strcmp(pql_rejects[rows[i].reject].word, reason)) return rows[i].field;
    return NULL;
}

static void put(struct pql_header *headers, size_t *count, const char *name, const char *value)
{
    if (value && *value) headers[(*count)++] = (struct pql_header){pql_slice_of(name), pql_slice_of(value)};
}

void pql_output_dead_letter(struct pql_worker *w, struct pql_task *task,
                            const struct pql_message_view *message, const char *reason, const char *words)
{
    const struct pql_header *theirs;
    size_t theirs_count, n;
    char partition[16], offset[24], at[24], schema_id[64] = "";
    pql_arena_reset(&w->scratch);
    w->pipeline->ports->message_headers(w->pipeline->ports->self, message, &w->scratch, &theirs,
                                        &theirs_count);
    struct pql_header *headers =
        pql_arena_alloc(&w->scratch, (theirs_count + DEAD_LETTER_HEADERS) * sizeof *headers);
    for (n = 0; n < theirs_count; n++) headers[n] = theirs[n];
    snprintf(partition, sizeof partition, "%" PRId32, message->partition);
    snprintf(offset, sizeof offset, "%" PRId64, message->offset);
    snprintf(at, sizeof at, "%" PRId64, w->wall_ms);
    if (w->pipeline->conf->decoding.schema_id)
        w->pipeline->conf->decoding.schema_id(task->decoders, message->input, schema_id);
    put(headers, &n, "pqlstream.error.class", "record");
    put(headers, &n, "pqlstream.error.reason", reason);
    put(headers, &n, "pqlstream.error.message", words);
    put(headers, &n, "pqlstream.error.topic", w->pipeline->conf->inputs[message->input].topic);
    put(headers, &n, "pqlstream.error.partition", partition);
    put(headers, &n, "pqlstream.error.offset", offset);
    put(headers, &n, "pqlstream.error.schema_id", schema_id);
    put(headers, &n, "pqlstream.error.field", field_of(reason));
    put(headers, &n, "pqlstream.error.at", at);
    struct pql_out_record record = {
        .output = PQL_OUT_DLQ,
        .partition = -1,
        .has_key = message->has_key,
        .has_value = message->has_value,
        .key = message->key,
        .value = message->value,
        .headers = headers,
        .headers_count = n,
        /* A broker may refuse what lies ahead of its clock. */
        .timestamp_ms = message->timestamp_ms > w->wall_ms ? w->wall_ms : message->timestamp_ms,
    };
    add_dead_letter(w, task, &record, headers);
    pql_scoreboard_refused(w->pipeline->scoreboard, reason);
    pql_recent_refused(w->pipeline->recent, reason, w->pipeline->conf->inputs[message->input].topic,
                       message->partition, message->offset, w->wall_ms);
}

static void too_large(struct pql_worker *w, struct pql_task *task, const struct pql_out_record *record)
{
    struct pql_header headers[DEAD_LETTER_HEADERS];
    size_t n = 0;
    char at[24];
    snprintf(at, sizeof at, "%" PRId64, w->wall_ms);
    put(headers, &n, "pqlstream.error.class", "record");
    put(headers, &n, "pqlstream.error.reason", pql_rejects[PQL_REJECT_TOO_LARGE].word);
    put(headers, &n, "pqlstream.error.message", pql_rejects[PQL_REJECT_TOO_LARGE].help);
    put(headers, &n, "pqlstream.error.topic", w->pipeline->conf->outputs[record->output]);
    put(headers, &n, "pqlstream.error.at", at);
    struct pql_out_record letter = *record;
    letter.output = PQL_OUT_DLQ;
    letter.headers = headers;
    letter.headers_count = n;
    add_dead_letter(w, task, &letter, headers);
    pql_scoreboard_refused(w->pipeline->scoreboard, pql_rejects[PQL_REJECT_TOO_LARGE].word);
}

static void publish(struct pql_worker *w, struct pql_task *task, enum pql_output output,
                    const struct pql_record *record)
{
    struct pql_pipeline *p = w->pipeline;
    struct pql_err err = {0};
    w->value.len = 0;
    pql_encode_key(record, &w->value);
    size_t key_len = w->value.len;
    if (p->conf->encode(p->conf->encode_context, output, record, w->wall_ms, &w->value, &err)) {
        pql_pipeline_fail(p, err.cls == PQL_ERR_CONFIG ? PQL_STOP_CONFIG : PQL_STOP_FATAL, &err);
        return;
    }
    struct pql_out_record out = {
        .output = output,
        .partition = -1,
        .has_key = true,
        .has_value = true,
        .key = {w->value.ptr, key_len},
        .value = {w->value.ptr + key_len, w->value.len - key_len},
        .timestamp_ms = w->wall_ms,
    };
    if (size_of(&out) > (size_t)p->max_bytes[output]) {
        too_large(w, task, &out);
        return;
    }
    add(w, task, &out);
}

static void publish_where_wanted(struct pql_worker *w, struct pql_task *task, const struct pql_record *record)
{
    static const enum pql_output outputs[] = {PQL_OUT_PQL, PQL_OUT_PQA, PQL_OUT_STATE, PQL_OUT_ALERTS,
                                              PQL_OUT_SHADOW};
    struct pql_record aged = *record;
    unsigned wanted =
        pql_record_age(&aged, task->edition->program, w->wall_ms, w->pipeline->conf->alert_max_age_ms);
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (wanted & 1u << outputs[i]) publish(w, task, outputs[i], &aged);
}

/* A long input stops here, unless it only repeats what a journal says. */
static void stop_in_time(struct pql_worker *w, struct pql_task *task)
{
    const struct pql_pipeline_conf *conf = w->pipeline->conf;
    w->made_records++;
    if (PQL_BREAKS(w->pipeline, UNSPLIT_FLOOD)) return;
    if (w->made_records < conf->part_records_max && w->made_bytes < conf->cut_bytes) return;
    if (task->script.next == task->script.count) pql_engine_pause(task->engine);
}

void pql_output_record(void *context, const struct pql_record *record)
{
    struct pql_task *task = context;
    struct pql_worker *w = task->owner;
    task->records++;
    task->hash += pql_checkpoint_hash(record->event_id, strlen(record->event_id));
    if (task->phase != PQL_PHASE_LIVE) return; /* a replay: it was published when it happened */
    pql_task_open_epoch(task)->transitions++;
    pql_scoreboard_record(w->pipeline->scoreboard, task->partition, record, w->wall_ms);
    pql_recent_note(w->pipeline->recent, record, w->wall_ms);
    publish_where_wanted(w, task, record);
    stop_in_time(w, task);
}

void pql_output_tombstone(void *context, const struct pql_record *key)
{
    struct pql_task *task = context;
    struct pql_worker *w = task->owner;
    if (task->phase != PQL_PHASE_LIVE) return;
    w->value.len = 0;
    pql_encode_key(key, &w->value);
    add(w, task,
        &(struct pql_out_record){.output = PQL_OUT_STATE,
                                 .partition = -1,
                                 .has_key = true,
                                 .key = {w->value.ptr, w->value.len},
                                 .timestamp_ms = w->wall_ms});
    stop_in_time(w, task);
}

static void signed_up(void *context, enum pql_subject subject)
{
    struct pql_task *task = context;
    if (task->phase == PQL_PHASE_LIVE) pql_scoreboard_signed_up(task->owner->pipeline->scoreboard, subject);
}

static void converted_unqualified(void *context, const struct pql_definition_conf *conf)
{
    struct pql_task *task = context;
    if (task->phase == PQL_PHASE_LIVE) pql_scoreboard_unforeseen(task->owner->pipeline->scoreboard, conf);
}

const struct pql_watch pql_output_watch = {signed_up, converted_unqualified};
