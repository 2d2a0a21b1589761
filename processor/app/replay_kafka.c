/* Events from the inputs' topics: each partition's engine sees what run's would, in the order of the broker's
 * timestamps where a task has several inputs. (Run takes them as they arrive, which for events read live is
 * the same order but for a moment.) */
#include "app/inputs.h"
#include "app/kafka_say.h"
#include "app/replayer.h"

#include "io/kafka_merge.h"

#include <inttypes.h>
#include <stdlib.h>

enum { ATTEMPTS_MAX = 5, ASK_MS = 15000, MISPLACED_MIN = 10, MISPLACED_SEEN_MIN = 1000 };

struct source {
    struct pql_replay *replay;
    struct pql_kafka *kafka;
    struct pql_inputs *inputs;
    struct pql_decoder **decoders; /* of each input */
    const char **topics;
    struct pql_merge_range *ranges; /* topic_index is the input's */
    size_t ranges_count;
    struct pql_kafka_merge *merge;
    uint64_t placed, misplaced; /* events whose account's partition is known, and is another */
};

/* --- one record --- */

/* As run decides it; for a topic without the broker's own time "now" is the time of this replay. */
static int check_future(const struct pql_input_conf *input, const struct pql_merge_record *record,
                        const struct pql_event *event, struct pql_err *err)
{
    int64_t now = record->timestamp_is_append ? record->timestamp_ms : pql_wall_ms(),
            max = input->max_future_ms;
    if (max < 0 || event->time_ms <= now || event->time_ms - now <= max) return 0;
    PQL_FAIL(err, PQL_ERR_RECORD, "%s", pql_rejects[PQL_REJECT_FUTURE_TIME].help);
    err->reason = pql_rejects[PQL_REJECT_FUTURE_TIME].word;
    return -1;
}

static void check_place(struct source *source, const struct pql_input_conf *input,
                        const struct pql_event *event)
{
    if (input->partitioning == PQL_PARTITIONING_TRUSTED || !event->account.len) return;
    source->placed++;
    source->misplaced +=
        pql_replay_task_of(source->replay, input, event->account) != (uint32_t)event->partition;
}

static int decode(struct source *source, const struct pql_merge_record *record, struct pql_event *event,
                  struct pql_err *err)
{
    const struct pql_merge_range *range = &source->ranges[record->range];
    struct pql_decoder *decoder = source->decoders[range->topic_index];
    struct pql_arena *scratch = &source->replay->scratch;
    struct pql_message message = {.key = record->key,
                                  .has_key = record->has_key,
                                  .timestamp_ms = record->timestamp_ms,
                                  .input = (uint32_t)range->topic_index,
                                  .partition = range->partition,
                                  .offset = record->offset};
    if (pql_decoder_wants_headers(decoder))
        pql_kafka_merge_headers(source->merge, scratch, &message.headers, &message.headers_count);
    if (pql_inputs_decode(source->inputs, decoder, record->value, &message, PQL_REPLAY_WAIT_MS, scratch,
                          event, err))
        return -1;
    event->input = message.input;
    event->partition = message.partition;
    event->offset = message.offset;
    return 0;
}

/* -1: the replay cannot go on. */
static int take(struct source *source, const struct pql_merge_record *record, struct pql_err *err)
{
    const struct pql_merge_range *range = &source->ranges[record->range];
    const struct pql_input_conf *input = &source->replay->setup.config->inputs[range->topic_index];
    struct pql_event event;
    char place[300];
    pql_arena_reset(&source->replay->scratch);
    int failed = decode(source, record, &event, err);
    if (!failed) failed = check_future(input, record, &event, err);
    if (!failed) {
        check_place(source, input, &event);
        source->replay->events++;
        failed = pql_replay_apply(source->replay, (size_t)range->partition, &event, err);
    }
    if (!failed) return 0;
    snprintf(place, sizeof place, "%s[%" PRId32 "]@%" PRId64, range->topic, range->partition, record->offset);
    if (err->cls != PQL_ERR_RECORD) {
        pql_err_prefix(err, "%s: ", place);
        return -1;
    }
    pql_replay_refuse(source->replay, place, err);
    return 0;
}

/* --- the whole --- */

static int read_all(struct source *source, struct pql_err *err)
{
    struct pql_replay *replay = source->replay;
    struct pql_merge_record record;
    uint64_t done = 0;
    int got;
    while (!replay->out_failed && (got = pql_kafka_merge_next(source->merge, &record, err)) != 0) {
        if (got < 0 || take(source, &record, err)) return -1;
        if (++done % 1024 == 0) pql_progress_show(&replay->progress, replay->events, done, pql_wall_ms());
    }
    return 0;
}

static size_t partitions_of(const struct source *source, size_t input)
{
    size_t count = 0;
    for (size_t i = 0; i < source->ranges_count; i++) count += source->ranges[i].topic_index == input;
    return count;
}

static int find_ranges(struct source *source, const struct pql_replay_kafka *given, struct pql_err *err)
{
    const struct pql_config *config = source->replay->setup.config;
    for (size_t i = 0; i < config->inputs_count; i++) source->topics[i] = config->inputs[i].topic;
    if (pql_kafka_await(source->kafka, ATTEMPTS_MAX, NULL, NULL, err) ||
        pql_merge_ranges(source->kafka, source->topics, config->inputs_count, given->since_ms,
                         given->until_ms, &source->ranges, &source->ranges_count, ASK_MS, err))
        return -1;
    size_t tasks = partitions_of(source, 0);
    for (size_t i = 1; i < config->inputs_count; i++)
        if (partitions_of(source, i) != tasks)
            return PQL_FAIL(
                err, PQL_ERR_CONFIG,
                "%s has %zu partitions and %s %zu: inputs are joined partition by partition, so the "
                "counts must be equal",
                source->topics[0], tasks, source->topics[i], partitions_of(source, i));
    pql_replay_start(source->replay, tasks);
    return 0;
}

static int open_source(struct source *source, const struct pql_replay_kafka *given, struct pql_err *err)
{
    const struct pql_config *config = source->replay->setup.config;
    const struct pql_kafka_log log = pql_kafka_say();
    source->topics = pql_xcalloc(config->inputs_count, sizeof *source->topics);
    source->decoders = pql_xcalloc(config->inputs_count, sizeof *source->decoders);
    if (!(source->inputs = pql_inputs_new(&source->replay->setup, NULL, NULL, NULL, err))) return -1;
    for (size_t i = 0; i < config->inputs_count; i++)
        if (!(source->decoders[i] = pql_inputs_decoder(source->inputs, i, err))) return -1;
    source->kafka = pql_kafka_open(&config->kafka, PQL_KAFKA_PRODUCER, &log, NULL, NULL, NULL, err);
    if (!source->kafka || find_ranges(source, given, err)) return -1;
    source->merge = pql_kafka_merge_open(&config->kafka, &log, source->ranges, source->ranges_count, err);
    return source->merge ? 0 : -1;
}

static void close_source(struct source *source)
{
    size_t count = source->replay->setup.config->inputs_count;
    pql_kafka_merge_close(source->merge);
    pql_kafka_close(source->kafka);
    for (size_t i = 0; source->decoders && i < count; i++) pql_decoder_free(source->decoders[i]);
    pql_inputs_free(source->inputs);
    free(source->decoders);
    free(source->topics);
    free(source->ranges);
}

static void warn_misplaced(const struct source *source)
{
    const struct pql_config *config = source->replay->setup.config;
    if (source->misplaced < MISPLACED_MIN || source->placed < MISPLACED_SEEN_MIN ||
        (double)source->misplaced <= config->misplaced_max * (double)source->placed)
        return;
    fprintf(stderr,
            "warning: %" PRIu64 " of %" PRIu64
            " events lie in another partition than their account's key would "
            "be placed in: run would stop here. Produce with the account as key, or say in the input how the "
            "producer places keys: partitioning = \"murmur2\", \"crc32\" or \"trusted\"\n",
            source->misplaced, source->placed);
}

int pql_replay_run_kafka(struct pql_replay *replay, const struct pql_replay_kafka *given)
{
    struct source source = {.replay = replay};
    struct pql_err err = {0};
    int failed = open_source(&source, given, &err);
    if (!failed) {
        uint64_t size = pql_merge_size(source.ranges, source.ranges_count);
        char text[PQL_COUNT_TEXT_MAX];
        fprintf(stderr, "replay: %zu partitions, %s offsets\n", source.ranges_count,
                pql_count_text(size, text));
        pql_progress_init(&replay->progress, "replay", "events", size, pql_wall_ms());
        failed = read_all(&source, &err);
        if (!failed) pql_replay_finish(replay, given->advance_ms);
        pql_replay_summary(replay);
        warn_misplaced(&source);
    }
    close_source(&source);
    if (!failed) return replay->out_failed ? PQL_EXIT_FAILURE : PQL_EXIT_OK;
    fprintf(stderr, "pqlstream replay: %s\n", err.msg);
    return err.cls == PQL_ERR_CONFIG ? PQL_EXIT_CONFIG : PQL_EXIT_FAILURE;
}
