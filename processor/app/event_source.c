#include "app/event_source.h"

#include "app/kafka_say.h"
#include "core/reasons.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 5, ASK_MS = 15000, SCHEMA_MS = 30000 };

struct pql_event_source {
    const struct pql_setup *setup;
    size_t first, count; /* which inputs */
    struct pql_kafka *kafka;
    struct pql_inputs *inputs;
    struct pql_decoder **decoders; /* of each of them */
    const char **topics;
    struct pql_merge_range *ranges; /* topic_index is that of topics */
    size_t ranges_count;
    struct pql_kafka_merge *merge;
    struct pql_arena scratch; /* of the last record */
};

/* --- opening --- */

static size_t partitions_of(const struct pql_event_source *source, size_t topic)
{
    size_t count = 0;
    for (size_t i = 0; i < source->ranges_count; i++) count += source->ranges[i].topic_index == topic;
    return count;
}

size_t pql_event_source_partitions(const struct pql_event_source *source)
{
    return partitions_of(source, 0);
}

uint64_t pql_event_source_size(const struct pql_event_source *source)
{
    return pql_merge_size(source->ranges, source->ranges_count);
}

static int open_decoders(struct pql_event_source *source, struct pql_err *err)
{
    source->inputs = pql_inputs_new(source->setup, NULL, NULL, NULL, err);
    if (!source->inputs) return -1;
    for (size_t i = 0; i < source->count; i++)
        if (!(source->decoders[i] = pql_inputs_decoder(source->inputs, source->first + i, err))) return -1;
    return 0;
}

static int find_ranges(struct pql_event_source *source, int64_t since_ms, int64_t until_ms,
                       struct pql_err *err)
{
    for (size_t i = 0; i < source->count; i++)
        source->topics[i] = source->setup->config->inputs[source->first + i].topic;
    if (pql_kafka_await(source->kafka, ATTEMPTS_MAX, NULL, NULL, err) ||
        pql_merge_ranges(source->kafka, source->topics, source->count, since_ms, until_ms, &source->ranges,
                         &source->ranges_count, ASK_MS, err))
        return -1;
    size_t partitions = partitions_of(source, 0);
    for (size_t i = 1; i < source->count; i++)
        if (partitions_of(source, i) != partitions)
            return PQL_FAIL(
                err, PQL_ERR_CONFIG,
                "%s has %zu partitions and %s %zu: inputs are joined partition by partition, so the "
                "counts must be equal",
                source->topics[0], partitions, source->topics[i], partitions_of(source, i));
    return 0;
}

struct pql_event_source *pql_event_source_open(const struct pql_setup *setup, size_t input, int64_t since_ms,
                                               int64_t until_ms, struct pql_err *err)
{
    const struct pql_kafka_log log = pql_kafka_say();
    const struct pql_kafka_conf *kafka = &setup->config->kafka;
    struct pql_event_source *source = pql_xcalloc(1, sizeof *source);
    source->setup = setup;
    source->first = input == PQL_ALL_INPUTS ? 0 : input;
    source->count = input == PQL_ALL_INPUTS ? setup->config->inputs_count : 1;
    source->topics = pql_xcalloc(source->count, sizeof *source->topics);
    source->decoders = pql_xcalloc(source->count, sizeof(struct pql_decoder *));
    pql_arena_init(&source->scratch);
    if (open_decoders(source, err)) goto fail;
    source->kafka = pql_kafka_open(kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, err);
    if (!source->kafka || find_ranges(source, since_ms, until_ms, err)) goto fail;
    source->merge = pql_kafka_merge_open(kafka, &log, source->ranges, source->ranges_count, err);
    if (source->merge) return source;
fail:
    pql_event_source_close(source);
    return NULL;
}

void pql_event_source_close(struct pql_event_source *source)
{
    if (!source) return;
    pql_kafka_merge_close(source->merge);
    pql_kafka_close(source->kafka);
    for (size_t i = 0; i < source->count; i++) pql_decoder_free(source->decoders[i]);
    pql_inputs_free(source->inputs);
    pql_arena_deinit(&source->scratch);
    free(source->decoders);
    free(source->topics);
    free(source->ranges);
    free(source);
}

/* --- reading --- */

static int decode(struct pql_event_source *source, struct pql_source_event *out, struct pql_err *err)
{
    struct pql_decoder *decoder = source->decoders[out->input - source->first];
    struct pql_message message = {.key = out->record.key,
                                  .has_key = out->record.has_key,
                                  .timestamp_ms = out->record.timestamp_ms,
                                  .input = (uint32_t)out->input,
                                  .partition = out->partition,
                                  .offset = out->record.offset,
                                  .has_user_events = source->setup->config->inputs[out->input].user_events ==
                                                     PQL_USER_EVENTS_ALL_PARTITIONS};
    if (pql_decoder_wants_headers(decoder))
        pql_event_source_headers(source, &message.headers, &message.headers_count);
    if (pql_inputs_decode(source->inputs, decoder, out->record.value, &message, SCHEMA_MS, &source->scratch,
                          &out->event, err))
        return -1;
    out->event.input = message.input;
    out->event.partition = message.partition;
    out->event.offset = message.offset;
    return 0;
}

/* As run decides it; where the broker does not set the time, "now" is that of this reading. */
static int check_future(const struct pql_event_source *source, const struct pql_source_event *out,
                        struct pql_err *err)
{
    int64_t max = source->setup->config->inputs[out->input].max_future_ms;
    int64_t now = out->record.timestamp_is_append ? out->record.timestamp_ms : pql_wall_ms();
    if (max < 0 || out->event.time_ms <= now || out->event.time_ms - now <= max) return 0;
    PQL_FAIL(err, PQL_ERR_RECORD, "%s", pql_rejects[PQL_REJECT_FUTURE_TIME].help);
    err->reason = pql_rejects[PQL_REJECT_FUTURE_TIME].word;
    return -1;
}

int pql_event_source_next(struct pql_event_source *source, struct pql_source_event *out, struct pql_err *err)
{
    int got = pql_kafka_merge_next(source->merge, &out->record, err);
    if (got <= 0) return got;
    const struct pql_merge_range *range = &source->ranges[out->record.range];
    out->topic = range->topic;
    out->input = source->first + range->topic_index;
    out->partition = range->partition;
    out->refusal = (struct pql_err){0};
    pql_arena_reset(&source->scratch);
    out->is_refused = decode(source, out, &out->refusal) || check_future(source, out, &out->refusal);
    if (!out->is_refused || out->refusal.cls == PQL_ERR_RECORD) return 1;
    *err = out->refusal;
    pql_err_prefix(err, "%s[%" PRId32 "]@%" PRId64 ": ", out->topic, out->partition, out->record.offset);
    return -1;
}

void pql_event_source_headers(struct pql_event_source *source, const struct pql_header **headers,
                              size_t *count)
{
    pql_kafka_merge_headers(source->merge, &source->scratch, headers, count);
}

int pql_event_source_payload(struct pql_event_source *source, const struct pql_source_event *event,
                             struct pql_slice *schema, struct pql_slice *payload, struct pql_err *err)
{
    const struct pql_input_conf *conf = &source->setup->config->inputs[event->input];
    struct pql_message message = {.input = (uint32_t)event->input};
    struct pql_schema_key key;
    pql_event_source_headers(source, &message.headers, &message.headers_count);
    return pql_framing_read((enum pql_framing)conf->framing, pql_inputs_registry(source->inputs) != NULL,
                            event->record.value, &message, &key, payload, err) ||
                   pql_inputs_schema(source->inputs, event->input, &key, schema, err)
               ? -1
               : 0;
}
