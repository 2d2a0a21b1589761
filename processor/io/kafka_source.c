/* The group and its messages. Callbacks of librdkafka are not used: its consumer queue is polled for events,
 * so that a rebalance is data, answered when the pipeline has settled what is taken. */
#include "io/kafka_parts.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MESSAGES_MAX = 1024, RETRY_PAUSE_MS = 5, ASSIGN_MS = 10000, AHEAD = 8 };

/* Where an assigned partition begins does not matter, since it is sought before it is resumed. It must not be
 * a logical offset (the end, say): that is looked up, and an answer that a seek made outdated is asked for
 * again half a second later and then moves the position (rd_kafka_toppar_handle_Offset). */
enum { ANY_OFFSET = 0 };

struct worker {
    rd_kafka_queue_t *queue;
    int wake[2]; /* a pipe: librdkafka writes when the queue fills, worker_wake to interrupt */
    rd_kafka_message_t *messages[MESSAGES_MAX];
};

struct pql_kafka_source {
    struct pql_kafka_ports *ports;
    struct pql_kafka *kafka;
    rd_kafka_queue_t *control;
    rd_kafka_topic_t **inputs; /* held so that a message's topic is known by its address */
    struct worker *workers;
    bool is_closed;
    bool is_lost; /* its session was over, and it has not been let in again */

    /* Valid until the next poll. */
    int32_t *tasks;
    size_t tasks_capacity;
    struct pql_position *ends;
    size_t ends_capacity;

    rd_kafka_consumer_group_metadata_t *metadata; /* the committer's */
};

static struct pql_kafka_source *source_of(void *self)
{
    return ((struct pql_kafka_ports *)self)->source;
}

rd_kafka_t *pql_kafka_source_rk(struct pql_kafka_source *source)
{
    return source->kafka->rk;
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000L}, NULL);
}

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* --- assignment --- */

/* Partition p of every input, for each task. */
static rd_kafka_topic_partition_list_t *widened(const struct pql_kafka_source *source, const int32_t *tasks,
                                                size_t count)
{
    const struct pql_kafka_ports_conf *conf = &source->ports->conf;
    rd_kafka_topic_partition_list_t *list =
        rd_kafka_topic_partition_list_new((int)(count * conf->inputs_count));
    for (size_t i = 0; i < count; i++)
        for (size_t input = 0; input < conf->inputs_count; input++)
            rd_kafka_topic_partition_list_add(list, conf->inputs[input], tasks[i])->offset = ANY_OFFSET;
    return list;
}

static void forward(struct pql_kafka_source *source, const char *topic, int32_t partition, unsigned worker)
{
    rd_kafka_queue_t *queue = rd_kafka_queue_get_partition(source->kafka->rk, topic, partition);
    PQL_ASSERT(queue);
    rd_kafka_queue_forward(queue, source->workers[worker].queue);
    rd_kafka_queue_destroy(queue);
}

static int fail_with(struct pql_err *err, rd_kafka_error_t *error)
{
    pql_kafka_fail(err, rd_kafka_error_code(error), rd_kafka_error_string(error));
    if (err && rd_kafka_error_is_retriable(error)) err->cls = PQL_ERR_RETRY;
    rd_kafka_error_destroy(error);
    return -1;
}

static bool pause_all(rd_kafka_t *rk, rd_kafka_topic_partition_list_t *list)
{
    rd_kafka_pause_partitions(rk, list);
    for (int i = 0; i < list->cnt; i++)
        if (list->elems[i].err) return false;
    return true;
}

/* Paused before it starts, so that nothing is fetched in between. A partition can be paused as soon as
 * metadata say that it is there, which those of the inputs that are not subscribed may still be waiting for.
 */
static int assign(void *self, const int32_t *tasks, const unsigned *workers, size_t count,
                  struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    const struct pql_kafka_ports_conf *conf = &source->ports->conf;
    int64_t deadline_ms = now_ms() + ASSIGN_MS;
    rd_kafka_topic_partition_list_t *list = widened(source, tasks, count);
    for (size_t i = 0; i < count; i++)
        for (size_t input = 0; input < conf->inputs_count; input++)
            forward(source, conf->inputs[input], tasks[i], workers[i]);
    bool is_paused;
    while (!(is_paused = pause_all(source->kafka->rk, list)) && now_ms() < deadline_ms)
        sleep_ms(RETRY_PAUSE_MS);
    rd_kafka_error_t *error = is_paused ? rd_kafka_incremental_assign(source->kafka->rk, list) : NULL;
    rd_kafka_topic_partition_list_destroy(list);
    if (!is_paused)
        return PQL_FAIL(err, PQL_ERR_RETRY, "an assigned partition is not in the metadata of its topic");
    return error ? fail_with(err, error) : 0;
}

static int unassign(void *self, const int32_t *tasks, size_t count, struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    rd_kafka_topic_partition_list_t *list = widened(source, tasks, count);
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(source->kafka->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return error ? fail_with(err, error) : 0;
}

static void unassign_all(rd_kafka_t *rk)
{
    rd_kafka_topic_partition_list_t *list = NULL;
    if (rd_kafka_assignment(rk, &list)) return;
    rd_kafka_error_t *error = rd_kafka_incremental_unassign(rk, list);
    if (error) rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
}

static int subscribe(void *self, struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, source->ports->conf.inputs[0], RD_KAFKA_PARTITION_UA);
    rd_kafka_resp_err_t code = rd_kafka_subscribe(source->kafka->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? pql_kafka_fail(err, code, NULL) : 0;
}

static int leave(void *self, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    rd_kafka_t *rk = source->kafka->rk;
    int64_t deadline_ms = now_ms() + timeout_ms;
    rd_kafka_error_t *error = source->is_closed ? NULL : rd_kafka_consumer_close_queue(rk, source->control);
    source->is_closed = true;
    if (error) return fail_with(err, error);
    while (!rd_kafka_consumer_closed(rk)) {
        rd_kafka_event_t *event = rd_kafka_queue_poll(source->control, 100);
        if (event && rd_kafka_event_type(event) == RD_KAFKA_EVENT_REBALANCE) unassign_all(rk);
        if (event) rd_kafka_event_destroy(event);
        if (now_ms() > deadline_ms)
            return PQL_FAIL(err, PQL_ERR_RETRY, "the group was not left within %d ms", timeout_ms);
    }
    return 0;
}

/* --- the control thread's events --- */

static void hear_rebalance(struct pql_kafka_source *source, rd_kafka_event_t *event, struct pql_control *out)
{
    rd_kafka_t *rk = source->kafka->rk;
    const rd_kafka_topic_partition_list_t *list = rd_kafka_event_topic_partition_list(event);
    source->tasks =
        pql_xgrow(source->tasks, &source->tasks_capacity, (size_t)list->cnt + 1, sizeof(*source->tasks));
    out->tasks = source->tasks;
    out->count = 0;
    for (int i = 0; i < list->cnt; i++)
        if (strcmp(list->elems[i].topic, source->ports->conf.inputs[0]) == 0)
            source->tasks[out->count++] = list->elems[i].partition;
    if (rd_kafka_event_error(event) == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS)
        out->kind = PQL_CONTROL_ASSIGNED;
    else
        out->kind = rd_kafka_assignment_lost(rk) ? PQL_CONTROL_LOST : PQL_CONTROL_REVOKED;
    source->is_lost = out->kind == PQL_CONTROL_LOST;
}

static int input_of(const struct pql_kafka_source *source, const char *topic)
{
    for (size_t i = 0; i < source->ports->conf.inputs_count; i++)
        if (strcmp(source->ports->conf.inputs[i], topic) == 0) return (int)i;
    return -1;
}

/* No answer is worth an event: whoever asked waits for a newer one. */
static void hear_ends(struct pql_kafka_source *source, rd_kafka_event_t *event, struct pql_control *out)
{
    if (rd_kafka_event_error(event)) return;
    size_t count;
    const rd_kafka_ListOffsetsResultInfo_t **infos =
        rd_kafka_ListOffsets_result_infos(rd_kafka_event_ListOffsets_result(event), &count);
    source->ends = pql_xgrow(source->ends, &source->ends_capacity, count + 1, sizeof(*source->ends));
    for (size_t i = 0; i < count; i++) {
        const rd_kafka_topic_partition_t *found = rd_kafka_ListOffsetsResultInfo_topic_partition(infos[i]);
        int input = input_of(source, found->topic);
        PQL_ASSERT(input >= 0);
        source->ends[i] = (struct pql_position){.input = (uint32_t)input,
                                                .partition = found->partition,
                                                .offset = found->err ? PQL_OFFSET_NONE : found->offset,
                                                .failed = found->err ? PQL_ERR_RETRY : PQL_ERR_NONE};
    }
    out->kind = PQL_CONTROL_OFFSETS;
    out->offsets = source->ends;
    out->offsets_count = count;
    out->asked_us = (uint64_t)(uintptr_t)rd_kafka_event_opaque(event);
}

/* Faults of the member that are somebody's to mend, in words that say how. */
static bool name_member_fault(const struct pql_kafka_source *source, int code, const char *text,
                              struct pql_err *err)
{
    const struct pql_kafka_conf *conf = source->ports->conf.kafka;
    switch (code) {
    case RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID:
        /* It asks to be let in under a new member id, and the broker may hear an earlier asking of it last:
         * then it has fenced itself (KAFKA-20985, librdkafka #3437). The handle is dead either way. */
        if (source->is_lost) {
            PQL_FAIL(err, PQL_ERR_FATAL,
                     "instance '%s' was away for longer than its session and was not let in again; to be "
                     "started again: %s",
                     conf->instance, text);
            return true;
        }
        PQL_FAIL(err, PQL_ERR_FENCED, "another process runs as instance '%s': %s", conf->instance, text);
        return true;
    case RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID:
        PQL_FAIL(err, PQL_ERR_FENCED,
                 "instance '%s' is held by another process, or by one that was killed and whose session (the "
                 "broker's group.consumer.session.timeout.ms, 45 s by default) is not over: %s",
                 conf->instance, text);
        err->reason = PQL_REASON_INSTANCE_HELD;
        return true;
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
        if (conf->group_protocol != PQL_GROUP_CONSUMER) return false;
        PQL_FAIL(err, PQL_ERR_CONFIG,
                 "the broker does not have the group protocol `consumer` (KIP-848: Kafka 4.0 or later with "
                 "feature "
                 "group.version=1): %s; set group_protocol = \"classic\", or upgrade it",
                 text);
        return true;
    default: return false;
    }
}

static void hear_error(struct pql_kafka_source *source, int code, bool is_fatal, const char *text,
                       struct pql_control *out)
{
    char cause[400];
    rd_kafka_resp_err_t fatal =
        is_fatal ? rd_kafka_fatal_error(source->kafka->rk, cause, sizeof(cause)) : RD_KAFKA_RESP_ERR_NO_ERROR;
    if (fatal) {
        code = fatal;
        text = cause;
    }
    pql_kafka_heard(source->kafka, code, text);
    /* It repeats what the lines before it said of each broker. */
    if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN || code == RD_KAFKA_RESP_ERR__PARTITION_EOF) return;
    out->kind = PQL_CONTROL_ERROR;
    pql_kafka_fail(&out->err, code, text);
    if (name_member_fault(source, code, text, &out->err)) return;
    if (is_fatal)
        out->err.cls = PQL_ERR_FATAL;
    else if (out->err.cls != PQL_ERR_CONFIG) /* not known to be lasting: the client goes on by itself */
        out->err.cls = PQL_ERR_RETRY;
}

static void hear(struct pql_kafka_source *source, rd_kafka_event_t *event, struct pql_control *out)
{
    const rd_kafka_message_t *message;
    switch (rd_kafka_event_type(event)) {
    case RD_KAFKA_EVENT_REBALANCE: hear_rebalance(source, event, out); break;
    case RD_KAFKA_EVENT_LISTOFFSETS_RESULT: hear_ends(source, event, out); break;
    case RD_KAFKA_EVENT_ERROR:
        hear_error(source, rd_kafka_event_error(event), rd_kafka_event_error_is_fatal(event),
                   rd_kafka_event_error_string(event), out);
        break;
    case RD_KAFKA_EVENT_FETCH: /* messages go to the workers; what comes here is an error of the member as a
                                  whole */
        while ((message = rd_kafka_event_message_next(event)))
            if (message->err) hear_error(source, message->err, false, rd_kafka_message_errstr(message), out);
        break;
    default: break;
    }
}

static void poll_control(void *self, int timeout_ms, struct pql_control *out)
{
    struct pql_kafka_source *source = source_of(self);
    *out = (struct pql_control){.kind = PQL_CONTROL_NONE};
    int64_t deadline_ms = now_ms() + timeout_ms;
    do {
        int64_t left_ms = deadline_ms - now_ms();
        rd_kafka_event_t *event = rd_kafka_queue_poll(source->control, left_ms > 0 ? (int)left_ms : 0);
        if (!event) return;
        hear(source, event, out);
        rd_kafka_event_destroy(event);
    } while (out->kind == PQL_CONTROL_NONE && now_ms() < deadline_ms);
}

static int end_offsets_ask(void *self, const struct pql_position *positions, size_t count,
                           struct pql_err *err)
{
    (void)err;
    struct pql_kafka_source *source = source_of(self);
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t asked_us = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(source->ports, positions, count, false);
    for (int i = 0; i < list->cnt; i++) list->elems[i].offset = RD_KAFKA_OFFSET_SPEC_LATEST;
    rd_kafka_AdminOptions_t *options =
        rd_kafka_AdminOptions_new(source->kafka->rk, RD_KAFKA_ADMIN_OP_LISTOFFSETS);
    char ignored[100];
    rd_kafka_AdminOptions_set_request_timeout(options, 1000, ignored, sizeof(ignored));
    /* Of this question: another may be put before its answer comes. */
    rd_kafka_AdminOptions_set_opaque(options, (void *)(uintptr_t)asked_us);
    rd_kafka_ListOffsets(source->kafka->rk, list, options, source->control);
    rd_kafka_AdminOptions_destroy(options);
    rd_kafka_topic_partition_list_destroy(list);
    return 0;
}

/* --- positions --- */

static int pause_or_resume(void *self, const struct pql_position *positions, size_t count, bool pauses,
                           struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(source->ports, positions, count, false);
    rd_kafka_resp_err_t code = pauses ? rd_kafka_pause_partitions(source->kafka->rk, list)
                                      : rd_kafka_resume_partitions(source->kafka->rk, list);
    for (int i = 0; !code && i < list->cnt; i++) code = list->elems[i].err;
    rd_kafka_topic_partition_list_destroy(list);
    return code ? pql_kafka_fail(err, code, NULL) : 0;
}

static int pause_positions(void *self, const struct pql_position *positions, size_t count,
                           struct pql_err *err)
{
    return pause_or_resume(self, positions, count, true, err);
}

static int resume_positions(void *self, const struct pql_position *positions, size_t count,
                            struct pql_err *err)
{
    return pause_or_resume(self, positions, count, false, err);
}

/* Seeks those that have failed so far; returns how many still fail. */
static size_t seek_failed(struct pql_kafka_source *source, struct pql_position *positions, size_t count,
                          int timeout_ms, rd_kafka_resp_err_t *last)
{
    size_t failed_count = 0, asked = 0;
    struct pql_position *again = pql_xcalloc(count, sizeof(*again));
    for (size_t i = 0; i < count; i++)
        if (positions[i].failed) again[asked++] = positions[i];
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(source->ports, again, asked, false);
    rd_kafka_error_t *error = rd_kafka_seek_partitions(source->kafka->rk, list, timeout_ms);
    for (size_t i = 0, j = 0; i < count; i++) {
        if (!positions[i].failed) continue;
        rd_kafka_resp_err_t code = error ? rd_kafka_error_code(error) : list->elems[j].err;
        positions[i].failed = code ? PQL_ERR_RETRY : PQL_ERR_NONE;
        failed_count += code != 0;
        if (code) *last = code;
        j++;
    }
    if (error) rd_kafka_error_destroy(error);
    rd_kafka_topic_partition_list_destroy(list);
    free(again);
    return failed_count;
}

/* A partition just assigned cannot be sought until its fetcher has started, a moment later. */
static int seek(void *self, struct pql_position *positions, size_t count, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    int64_t deadline_ms = now_ms() + timeout_ms;
    rd_kafka_resp_err_t last = RD_KAFKA_RESP_ERR_NO_ERROR;
    for (size_t i = 0; i < count; i++) positions[i].failed = PQL_ERR_RETRY;
    for (;;) {
        int64_t left_ms = deadline_ms - now_ms();
        size_t failed_count = seek_failed(source, positions, count, left_ms > 10 ? (int)left_ms : 10, &last);
        if (failed_count == 0) return 0;
        if (now_ms() >= deadline_ms)
            return PQL_FAIL(err, PQL_ERR_RETRY, "%zu of %zu partitions could not be sought: %s", failed_count,
                            count, rd_kafka_err2str(last));
        sleep_ms(RETRY_PAUSE_MS);
    }
}

/* --- the workers' messages --- */

static void drain(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof(bytes)) == (ssize_t)sizeof(bytes))
        ;
}

static void worker_wait(void *self, unsigned worker, int timeout_ms)
{
    struct worker *mine = &source_of(self)->workers[worker];
    struct pollfd wanted = {.fd = mine->wake[0], .events = POLLIN};
    if (rd_kafka_queue_length(mine->queue) == 0) poll(&wanted, 1, timeout_ms);
    drain(mine->wake[0]);
}

static void worker_wake(void *self, unsigned worker)
{
    /* A full pipe wakes as well. */
    ssize_t ignored = write(source_of(self)->workers[worker].wake[1], "w", 1);
    (void)ignored;
}

static uint32_t input_of_message(struct pql_kafka_source *source, const rd_kafka_message_t *message)
{
    for (uint32_t i = 0; i < source->ports->conf.inputs_count; i++)
        if (source->inputs[i] == message->rkt) return i;
    int input = input_of(source, rd_kafka_topic_name(message->rkt));
    PQL_ASSERT(input >= 0);
    return (uint32_t)input;
}

static void view_of(struct pql_kafka_source *source, rd_kafka_message_t *message,
                    struct pql_message_view *view)
{
    *view = (struct pql_message_view){
        .kind = PQL_MESSAGE_RECORD,
        .input = input_of_message(source, message),
        .partition = message->partition,
        .offset = message->offset,
        .timestamp_ms = PQL_NO_TIME,
        .has_value = message->payload != NULL,
        .value = {message->payload, message->len},
        .handle = message,
    };
    if (message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        view->kind = PQL_MESSAGE_END;
        view->has_value = false;
        view->value = (struct pql_slice){0};
        return;
    }
    if (message->err) {
        view->kind = PQL_MESSAGE_ERROR;
        view->has_value = true;
        view->value = pql_slice_of(rd_kafka_message_errstr(message));
        view->reason = pql_kafka_reason(message->err);
        return;
    }
    view->has_key = message->key != NULL;
    view->key = (struct pql_slice){message->key, message->key_len};
    rd_kafka_timestamp_type_t type;
    int64_t timestamp_ms = rd_kafka_message_timestamp(message, &type);
    if (type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE) return;
    view->timestamp_ms = timestamp_ms;
    view->timestamp_is_append = type == RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME;
}

static size_t worker_poll(void *self, unsigned worker, struct pql_message_view *out, size_t max)
{
    struct pql_kafka_source *source = source_of(self);
    struct worker *mine = &source->workers[worker];
    ssize_t count =
        rd_kafka_consume_batch_queue(mine->queue, 0, mine->messages, max < MESSAGES_MAX ? max : MESSAGES_MAX);
    for (ssize_t i = 0; i < count; i++) {
        if (i + AHEAD < count) __builtin_prefetch(mine->messages[i + AHEAD]); /* another thread made it */
        view_of(source, mine->messages[i], &out[i]);
    }
    return count < 0 ? 0 : (size_t)count;
}

static void message_headers(void *self, const struct pql_message_view *message, struct pql_arena *arena,
                            const struct pql_header **headers, size_t *count)
{
    (void)self;
    pql_kafka_headers(message->handle, arena, headers, count);
}

static void message_release(void *self, struct pql_message_view *message)
{
    (void)self;
    if (message->handle) rd_kafka_message_destroy(message->handle);
    message->handle = NULL;
}

/* --- the group, for the committer --- */

static void group_facts(void *self, struct pql_group_facts *facts)
{
    struct pql_kafka_source *source = source_of(self);
    if (source->metadata) rd_kafka_consumer_group_metadata_destroy(source->metadata);
    source->metadata = rd_kafka_consumer_group_metadata(source->kafka->rk);
    *facts = (struct pql_group_facts){.generation = -1};
    if (!source->metadata) return;
    const char *member = rd_kafka_consumer_group_metadata_member_id(source->metadata);
    facts->generation = rd_kafka_consumer_group_metadata_generation_id(source->metadata);
    facts->has_member_id = member && *member;
}

const rd_kafka_consumer_group_metadata_t *pql_kafka_source_metadata(const struct pql_kafka_source *source)
{
    return source->metadata;
}

static bool assignment_lost(void *self)
{
    return rd_kafka_assignment_lost(source_of(self)->kafka->rk);
}

static bool is_stale_member(rd_kafka_resp_err_t code)
{
    return code == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || code == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
           code == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || code == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
           code == RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH;
}

static int commit_offsets(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                          struct pql_err *err)
{
    struct pql_kafka_source *source = source_of(self);
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(source->ports, positions, count, true);
    rd_kafka_queue_t *queue = rd_kafka_queue_new(source->kafka->rk);
    rd_kafka_event_t *answer = NULL;
    rd_kafka_resp_err_t code = rd_kafka_commit_queue(source->kafka->rk, list, queue, NULL, NULL);
    if (!code) {
        answer = rd_kafka_queue_poll(queue, timeout_ms);
        code = answer ? rd_kafka_event_error(answer) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    }
    const rd_kafka_topic_partition_list_t *done =
        answer && !code ? rd_kafka_event_topic_partition_list(answer) : NULL;
    for (int i = 0; done && !code && i < done->cnt; i++) code = done->elems[i].err;
    if (answer) rd_kafka_event_destroy(answer);
    rd_kafka_queue_destroy(queue);
    rd_kafka_topic_partition_list_destroy(list);
    if (!code) return 0;
    pql_kafka_fail(err, code, NULL);
    if (err && is_stale_member(code)) err->cls = PQL_ERR_ABORT_TXN;
    return -1;
}

/* --- making and ending it --- */

static void prepare(rd_kafka_conf_t *rk_conf)
{
    rd_kafka_conf_set_events(rk_conf, RD_KAFKA_EVENT_REBALANCE | RD_KAFKA_EVENT_ERROR);
}

static int worker_init(struct pql_kafka_source *source, struct worker *worker, struct pql_err *err)
{
    if (pipe(worker->wake)) return PQL_FAIL(err, PQL_ERR_FATAL, "no pipe for a worker: %s", strerror(errno));
    fcntl(worker->wake[0], F_SETFL, O_NONBLOCK);
    fcntl(worker->wake[1], F_SETFL, O_NONBLOCK);
    worker->queue = rd_kafka_queue_new(source->kafka->rk);
    rd_kafka_queue_io_event_enable(worker->queue, worker->wake[1], "m", 1);
    return 0;
}

int pql_kafka_source_new(struct pql_kafka_ports *ports, struct pql_err *err)
{
    const struct pql_kafka_ports_conf *conf = &ports->conf;
    struct pql_kafka_source *source = pql_xcalloc(1, sizeof(*source));
    ports->source = source;
    source->ports = ports;
    source->workers = pql_xcalloc(conf->workers_count, sizeof(*source->workers));
    for (unsigned i = 0; i < conf->workers_count; i++)
        source->workers[i].wake[0] = source->workers[i].wake[1] = -1;
    source->inputs = pql_xcalloc(conf->inputs_count, sizeof(rd_kafka_topic_t *));
    char kbytes[24];
    snprintf(kbytes, sizeof(kbytes), "%llu", (unsigned long long)conf->fetch_bytes / 1024);
    const struct pql_kafka_extra extras[] = {{"queued.max.messages.kbytes", kbytes}, {NULL, NULL}};
    source->kafka = pql_kafka_open(conf->kafka, PQL_KAFKA_CONSUMER, &conf->log,
                                   conf->fetch_bytes ? extras : NULL, prepare, source, err);
    if (!source->kafka) return -1;
    source->control = rd_kafka_queue_get_consumer(source->kafka->rk);
    for (size_t i = 0; i < conf->inputs_count; i++)
        source->inputs[i] = rd_kafka_topic_new(source->kafka->rk, conf->inputs[i], NULL);
    for (unsigned i = 0; i < conf->workers_count; i++)
        if (worker_init(source, &source->workers[i], err)) return -1;
    return 0;
}

void pql_kafka_source_free(struct pql_kafka_source *source)
{
    if (!source) return;
    const struct pql_kafka_ports_conf *conf = &source->ports->conf;
    if (source->metadata) rd_kafka_consumer_group_metadata_destroy(source->metadata);
    for (unsigned i = 0; i < conf->workers_count; i++) {
        struct worker *worker = &source->workers[i];
        if (worker->queue) rd_kafka_queue_io_event_enable(worker->queue, -1, NULL, 0);
        if (worker->queue) rd_kafka_queue_destroy(worker->queue);
    }
    for (size_t i = 0; i < conf->inputs_count; i++)
        if (source->inputs[i]) rd_kafka_topic_destroy(source->inputs[i]);
    if (source->control) rd_kafka_queue_destroy(source->control);
    pql_kafka_close(source->kafka);
    for (unsigned i = 0; i < conf->workers_count; i++)
        for (int side = 0; side < 2; side++)
            if (source->workers[i].wake[side] >= 0) close(source->workers[i].wake[side]);
    free(source->inputs);
    free(source->workers);
    free(source->tasks);
    free(source->ends);
    free(source);
}

void pql_kafka_source_fill(struct pql_ports *table)
{
    table->subscribe = subscribe;
    table->poll = poll_control;
    table->assign = assign;
    table->unassign = unassign;
    table->leave = leave;
    table->pause = pause_positions;
    table->resume = resume_positions;
    table->seek = seek;
    table->end_offsets_ask = end_offsets_ask;
    table->worker_wait = worker_wait;
    table->worker_wake = worker_wake;
    table->worker_poll = worker_poll;
    table->message_headers = message_headers;
    table->message_release = message_release;
    table->group_facts = group_facts;
    table->assignment_lost = assignment_lost;
    table->commit_offsets = commit_offsets;
}
