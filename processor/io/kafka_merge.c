#include "io/kafka_merge.h"
#include "base/heap.h"
#include "core/record.h"
#include "io/kafka_parts.h"
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum {
    BATCH = 256,
    WAIT_MS = 200,
    SILENCE_MS = 60000,
    QUEUES_KBYTES = 256 << 10,
    QUEUE_KBYTES_MAX = 32 << 10
};

/* One range while it is read. */
struct lane {
    rd_kafka_queue_t *queue;
    rd_kafka_message_t *batch[BATCH];
    size_t at, count;
    int64_t stamp_ms; /* the latest timestamp so far: what the head counts as */
};

struct pql_kafka_merge {
    struct pql_kafka *kafka;
    struct pql_merge_range *ranges;
    size_t count;
    struct lane *lanes;
    struct pql_heap heap; /* of lanes with a head */
    struct lane *given;   /* its head was given to the caller and goes with the next call */
    int64_t heard_ms;
};

/* --- which ranges --- */

static int describe(struct pql_kafka *kafka, const char *const *topics, size_t count,
                    struct pql_merge_range **ranges, size_t *ranges_count, int timeout_ms,
                    struct pql_err *err)
{
    struct pql_kafka_topic *found = pql_xcalloc(count, sizeof(*found));
    size_t total = 0;
    int result = pql_kafka_describe(kafka, topics, count, found, timeout_ms, err);
    for (size_t i = 0; !result && i < count; i++) {
        if (found[i].denied)
            result = PQL_FAIL(err, PQL_ERR_CONFIG, "topic %s may not be read: the right Read is missing",
                              topics[i]);
        else if (!found[i].exists)
            result = PQL_FAIL(err, PQL_ERR_CONFIG, "topic %s does not exist", topics[i]);
        total += (size_t)found[i].partitions;
    }
    *ranges = pql_xcalloc(total + 1, sizeof(**ranges));
    *ranges_count = 0;
    for (size_t i = 0; !result && i < count; i++)
        for (int32_t p = 0; p < found[i].partitions; p++)
            (*ranges)[(*ranges_count)++] =
                (struct pql_merge_range){.topic = topics[i], .topic_index = i, .partition = p};
    free(found);
    return result;
}

static int ask(struct pql_kafka *kafka, const struct pql_merge_range *ranges, size_t count, int64_t question,
               struct pql_kafka_offset *answers, int timeout_ms, struct pql_err *err)
{
    for (size_t i = 0; i < count; i++)
        answers[i] = (struct pql_kafka_offset){ranges[i].topic, ranges[i].partition, question};
    return count ? pql_kafka_offsets(kafka, answers, count, timeout_ms, err) : 0;
}

int pql_merge_ranges(struct pql_kafka *kafka, const char *const *topics, size_t topics_count,
                     int64_t since_ms, int64_t until_ms, struct pql_merge_range **ranges, size_t *count,
                     int timeout_ms, struct pql_err *err)
{
    *ranges = NULL;
    if (describe(kafka, topics, topics_count, ranges, count, timeout_ms, err)) goto fail;
    struct pql_kafka_offset *answers = pql_xcalloc(*count + 1, sizeof(*answers));
    /* The end first: what is written meanwhile lies behind it. */
    int result = ask(kafka, *ranges, *count, until_ms == PQL_NO_TIME ? PQL_KAFKA_LATEST : until_ms, answers,
                     timeout_ms, err);
    for (size_t i = 0; !result && i < *count; i++) (*ranges)[i].to = answers[i].offset;
    if (!result)
        result = ask(kafka, *ranges, *count, since_ms == PQL_NO_TIME ? PQL_KAFKA_EARLIEST : since_ms, answers,
                     timeout_ms, err);
    for (size_t i = 0; !result && i < *count; i++) {
        (*ranges)[i].from = answers[i].offset;
        if ((*ranges)[i].to < answers[i].offset) (*ranges)[i].to = answers[i].offset;
    }
    free(answers);
    if (!result) return 0;
fail:
    free(*ranges);
    *ranges = NULL;
    return -1;
}

uint64_t pql_merge_size(const struct pql_merge_range *ranges, size_t count)
{
    uint64_t size = 0;
    for (size_t i = 0; i < count; i++) size += (uint64_t)(ranges[i].to - ranges[i].from);
    return size;
}

/* --- heads --- */

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static rd_kafka_message_t *head_of(const struct lane *lane)
{
    return lane->batch[lane->at];
}

static void drop_head(struct lane *lane)
{
    rd_kafka_message_destroy(lane->batch[lane->at++]);
}

static void end_lane(struct pql_kafka_merge *merge, size_t at)
{
    struct lane *lane = &merge->lanes[at];
    while (lane->at < lane->count) drop_head(lane);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, merge->ranges[at].topic, merge->ranges[at].partition);
    rd_kafka_pause_partitions(merge->kafka->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
}

static int fail_at(const struct pql_kafka_merge *merge, size_t at, int code, const char *text,
                   struct pql_err *err)
{
    pql_kafka_fail(err, code, text);
    pql_err_prefix(err, "%s[%" PRId32 "]: ", merge->ranges[at].topic, merge->ranges[at].partition);
    return -1;
}

/* Something of a range, or an error after a long silence. What the handle as a whole hears (a broker that is
 * away, a group that may not be seen) passes or ends in the silence. */
static int wait_for(struct pql_kafka_merge *merge, size_t at, struct pql_err *err)
{
    struct lane *lane = &merge->lanes[at];
    lane->at = lane->count = 0;
    for (;;) {
        /* A batch with a time limit waits until it is full: so what is there, else the first that comes. */
        ssize_t got = rd_kafka_consume_batch_queue(lane->queue, 0, lane->batch, BATCH);
        if (got <= 0) got = (lane->batch[0] = rd_kafka_consume_queue(lane->queue, WAIT_MS)) != NULL;
        if (got > 0) {
            lane->count = (size_t)got;
            merge->heard_ms = now_ms();
            return 0;
        }
        rd_kafka_message_t *other = rd_kafka_consumer_poll(merge->kafka->rk, 0);
        if (other) rd_kafka_message_destroy(other);
        if (now_ms() - merge->heard_ms < SILENCE_MS) continue;
        char said[300];
        (void)pql_kafka_last_said(merge->kafka, said, sizeof(said), NULL);
        PQL_FAIL(err, PQL_ERR_RETRY, "%s[%" PRId32 "]: nothing came for a minute%s%s",
                 merge->ranges[at].topic, merge->ranges[at].partition, said[0] ? "; " : "", said);
        return -1;
    }
}

/* 1: the lane has a head. 0: its range is at its end. */
static int fill(struct pql_kafka_merge *merge, size_t at, struct pql_err *err)
{
    struct lane *lane = &merge->lanes[at];
    struct pql_merge_range *range = &merge->ranges[at];
    for (;;) {
        if (lane->at == lane->count && wait_for(merge, at, err)) return -1;
        const rd_kafka_message_t *message = head_of(lane);
        bool is_end = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
        if (is_end || (!message->err && message->offset >= range->to)) {
            if (is_end && message->offset < range->to) range->to = message->offset;
            end_lane(merge, at);
            return 0;
        }
        if (!message->err) break;
        if (pql_kafka_class(message->err) != PQL_ERR_RETRY)
            return fail_at(merge, at, message->err, rd_kafka_message_errstr(message), err);
        drop_head(lane);
    }
    rd_kafka_timestamp_type_t type;
    int64_t stamp = rd_kafka_message_timestamp(head_of(lane), &type);
    if (stamp > lane->stamp_ms) lane->stamp_ms = stamp;
    return 1;
}

/* --- the heap: lanes with a head, the oldest first --- */

/* Lanes are as the ranges are. */
static int compare_lanes(const void *a, const void *b)
{
    const struct lane *x = a, *y = b;
    return (x > y) - (x < y);
}

static void push(struct pql_kafka_merge *merge, struct lane *lane)
{
    pql_heap_push(&merge->heap, compare_lanes, lane->stamp_ms, lane);
}

/* --- opening and closing --- */

static void assign(struct pql_kafka_merge *merge, rd_kafka_topic_partition_list_t *list)
{
    for (size_t i = 0; i < merge->count; i++) {
        const struct pql_merge_range *range = &merge->ranges[i];
        if (range->from >= range->to) continue;
        /* Not into the handle's one queue, and said before there is anything to forward. */
        merge->lanes[i].queue =
            rd_kafka_queue_get_partition(merge->kafka->rk, range->topic, range->partition);
        PQL_ASSERT(merge->lanes[i].queue);
        rd_kafka_queue_forward(merge->lanes[i].queue, NULL);
        rd_kafka_topic_partition_list_add(list, range->topic, range->partition)->offset = range->from;
    }
}

static int refill(struct pql_kafka_merge *merge, struct lane *lane, struct pql_err *err)
{
    int filled = fill(merge, (size_t)(lane - merge->lanes), err);
    if (filled > 0) push(merge, lane);
    return filled < 0 ? -1 : 0;
}

static int fill_all(struct pql_kafka_merge *merge, struct pql_err *err)
{
    merge->heard_ms = now_ms();
    for (size_t i = 0; i < merge->count; i++)
        if (merge->lanes[i].queue && refill(merge, &merge->lanes[i], err)) return -1;
    return 0;
}

struct pql_kafka_merge *pql_kafka_merge_open(const struct pql_kafka_conf *conf,
                                             const struct pql_kafka_log *log, struct pql_merge_range *ranges,
                                             size_t count, struct pql_err *err)
{
    struct pql_kafka_merge *merge = pql_xcalloc(1, sizeof(*merge));
    size_t kbytes = QUEUES_KBYTES / (count + 1);
    char text[24];
    snprintf(text, sizeof(text), "%zu",
             kbytes < 512                ? 512
             : kbytes > QUEUE_KBYTES_MAX ? (size_t)QUEUE_KBYTES_MAX
                                         : kbytes);
    const struct pql_kafka_extra extras[] = {{"queued.max.messages.kbytes", text}, {NULL, NULL}};
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    merge->ranges = ranges;
    merge->count = count;
    merge->lanes = pql_xcalloc(count + 1, sizeof(*merge->lanes));
    merge->kafka = pql_kafka_open(conf, PQL_KAFKA_READER, log, extras, NULL, merge, err);
    if (!merge->kafka) goto fail;
    assign(merge, list);
    rd_kafka_resp_err_t code =
        list->cnt ? rd_kafka_assign(merge->kafka->rk, list) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (code) {
        pql_kafka_fail(err, code, NULL);
        goto fail;
    }
    if (fill_all(merge, err)) goto fail;
    rd_kafka_topic_partition_list_destroy(list);
    return merge;
fail:
    rd_kafka_topic_partition_list_destroy(list);
    pql_kafka_merge_close(merge);
    return NULL;
}

void pql_kafka_merge_close(struct pql_kafka_merge *merge)
{
    if (!merge) return;
    for (size_t i = 0; i < merge->count; i++) {
        while (merge->lanes[i].at < merge->lanes[i].count) drop_head(&merge->lanes[i]);
        if (merge->lanes[i].queue) rd_kafka_queue_destroy(merge->lanes[i].queue);
    }
    if (merge->kafka) rd_kafka_consumer_close(merge->kafka->rk);
    pql_kafka_close(merge->kafka);
    free(merge->lanes);
    pql_heap_deinit(&merge->heap);
    free(merge);
}

/* --- reading --- */

int pql_kafka_merge_next(struct pql_kafka_merge *merge, struct pql_merge_record *record, struct pql_err *err)
{
    if (merge->given) {
        drop_head(merge->given);
        if (refill(merge, merge->given, err)) return -1;
        merge->given = NULL;
    }
    if (!merge->heap.count) return 0;
    merge->given = pql_heap_pop(&merge->heap, compare_lanes).item;
    size_t at = (size_t)(merge->given - merge->lanes);
    const rd_kafka_message_t *message = head_of(merge->given);
    rd_kafka_timestamp_type_t type;
    int64_t stamp = rd_kafka_message_timestamp(message, &type);
    *record = (struct pql_merge_record){.range = at,
                                        .offset = message->offset,
                                        .timestamp_ms = stamp < 0 ? PQL_NO_TIME : stamp,
                                        .timestamp_is_append = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME,
                                        .has_key = message->key != NULL,
                                        .has_value = message->payload != NULL,
                                        .key = {message->key, message->key_len},
                                        .value = {message->payload, message->len}};
    return 1;
}

void pql_kafka_merge_headers(const struct pql_kafka_merge *merge, struct pql_arena *arena,
                             const struct pql_header **headers, size_t *count)
{
    PQL_ASSERT(merge->given);
    pql_kafka_headers(head_of(merge->given), arena, headers, count);
}
