/* The two ends of the reference job on a broker: `fill` writes its events, `read` takes them with nothing but
 * the client, which is the floor that no processor can be below, `latency` writes at a rate while it reads
 * what comes of it.
 *
 *   bench_kafka fill BROKER TOPIC PARTITIONS EVENTS ACCOUNTS SCHEMA_ID FROM TO RATE [PROPERTY=VALUE …]
 *   bench_kafka latency BROKER TOPIC PARTITIONS EVENTS ACCOUNTS SCHEMA_ID FROM TO RATE OUT [PROPERTY=VALUE …]
 *   bench_kafka read BROKER TOPIC PARTITIONS EVENTS [PROPERTY=VALUE …]
 *
 * Of EVENTS those FROM … TO - 1 are written, RATE a second by a schedule made beforehand (0: as fast as may
 * be). `read` prints CPU of the whole process from its start to the last event, and wall time. `latency`
 * counts from when the schedule wanted the event that a record names as its source, however late it was sent,
 * to when a reader of what is committed has the record. All print one line of JSON. */
#include "base/buf.h"
#include "bench/source.h"
#include "core/partition.h"

#include <librdkafka/rdkafka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static void die(const char *what)
{
    fprintf(stderr, "bench_kafka: %s\n", what);
    exit(1);
}

static rd_kafka_t *client(rd_kafka_type_t type, char **properties, int count)
{
    char error[256];
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    for (int i = 0; i < count; i++) {
        char *equals = strchr(properties[i], '=');
        if (!equals) die("a property is written NAME=VALUE");
        *equals = '\0';
        if (rd_kafka_conf_set(conf, properties[i], equals + 1, error, sizeof error)) die(error);
    }
    rd_kafka_t *kafka = rd_kafka_new(type, conf, error, sizeof error);
    if (!kafka) die(error);
    return kafka;
}

/* --- fill --- */

static void produce(rd_kafka_t *kafka, rd_kafka_topic_t *topic, int32_t partition,
                    const struct source_event *event, const struct pql_buf *value)
{
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value->ptr, value->len,
                            (void *)(uintptr_t)event->account, sizeof event->account, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("an event was not taken");
        rd_kafka_poll(kafka, 10);
    }
}

/* When each event was to be sent, by partition in the order of offsets. */
struct schedule {
    struct lane {
        int64_t first_offset;
        uint64_t count, capacity;
        int64_t *due_ns;
    } * lanes;
    int32_t partitions;
    pthread_mutex_t lock;
    atomic_bool is_over;
};

struct writer {
    const char *topic;
    struct source source;
    int32_t partitions;
    uint32_t schema_id;
    uint64_t from, to, rate;
    char **properties;
    int properties_count;
    struct schedule *schedule; /* NULL: nobody asks */
    uint64_t bytes;
    double slip_s, took_s; /* how late an event was sent at most; from the first to all acknowledged */
};

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void note(struct schedule *schedule, int32_t partition, double due)
{
    pthread_mutex_lock(&schedule->lock);
    struct lane *lane = &schedule->lanes[partition];
    if (lane->count == lane->capacity) {
        lane->capacity = lane->capacity ? 2 * lane->capacity : 1024;
        lane->due_ns = realloc(lane->due_ns, lane->capacity * sizeof *lane->due_ns);
        if (!lane->due_ns) die("memory is out");
    }
    lane->due_ns[lane->count++] = (int64_t)(due * 1e9);
    pthread_mutex_unlock(&schedule->lock);
}

/* Sleeps until an event is due; what is due already goes at once. */
static void wait_due(struct writer *writer, rd_kafka_t *kafka, double due)
{
    double ahead;
    while ((ahead = due - seconds(CLOCK_MONOTONIC)) > 0.0002) {
        rd_kafka_poll(kafka, 0);
        struct timespec pause = {.tv_nsec = ahead > 0.001 ? 1000000 : 100000};
        nanosleep(&pause, NULL);
    }
    if (-ahead > writer->slip_s) writer->slip_s = -ahead;
}

static void *write_events(void *context)
{
    struct writer *writer = context;
    rd_kafka_t *kafka = client(RD_KAFKA_PRODUCER, writer->properties, writer->properties_count);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, writer->topic, NULL);
    struct pql_buf value = {0};
    double began = seconds(CLOCK_MONOTONIC);
    for (uint64_t i = writer->from; i < writer->to; i++) {
        struct source_event event;
        value.len = 0;
        source_event(&writer->source, i, &event);
        source_value(&writer->source, i, writer->schema_id, &value);
        writer->bytes += value.len + sizeof event.account;
        int32_t partition = (int32_t)pql_partition_murmur2(
            (struct pql_slice){event.account, sizeof event.account}, (uint32_t)writer->partitions);
        double due = began + (writer->rate ? (double)(i - writer->from) / (double)writer->rate : 0);
        if (writer->rate) wait_due(writer, kafka, due);
        if (writer->schedule) note(writer->schedule, partition, due);
        produce(kafka, topic, partition, &event, &value);
        if (i % 1024 == 0) rd_kafka_poll(kafka, 0);
    }
    if (rd_kafka_flush(kafka, 300000)) die("events are still not acknowledged");
    writer->took_s = seconds(CLOCK_MONOTONIC) - began;
    if (writer->schedule) atomic_store(&writer->schedule->is_over, true);
    pql_buf_deinit(&value);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
    return NULL;
}

static void fill(struct writer *writer)
{
    write_events(writer);
    printf("{\"events\": %llu, \"bytes\": %llu, \"wall_s\": %.3f}\n",
           (unsigned long long)(writer->to - writer->from), (unsigned long long)writer->bytes,
           writer->took_s);
}

/* --- read --- */

static void assign(rd_kafka_t *kafka, const char *topic, int32_t partitions, int64_t offset)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = offset;
    if (rd_kafka_assign(kafka, list)) die("partitions cannot be assigned");
    rd_kafka_topic_partition_list_destroy(list);
}

/* Touches the last byte of each, so that it has been in the cache of this core. */
static uint64_t take(rd_kafka_queue_t *queue, uint64_t events, uint64_t *bytes)
{
    enum { BATCH = 10000 };
    static rd_kafka_message_t *messages[BATCH];
    uint64_t got = 0, touched = 0;
    while (got < events) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, messages, BATCH);
        for (ssize_t i = 0; i < n; i++) {
            const rd_kafka_message_t *message = messages[i];
            if (!message->err) {
                got++, touched += ((const unsigned char *)message->payload)[message->len - 1];
                *bytes += message->len + message->key_len;
            }
            rd_kafka_message_destroy(messages[i]);
        }
    }
    return touched;
}

static void read_all(const char *topic, int32_t partitions, uint64_t events, char **properties, int count)
{
    double began = seconds(CLOCK_MONOTONIC);
    uint64_t bytes = 0;
    rd_kafka_t *kafka = client(RD_KAFKA_CONSUMER, properties, count);
    rd_kafka_poll_set_consumer(kafka);
    assign(kafka, topic, partitions, RD_KAFKA_OFFSET_BEGINNING);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);
    uint64_t touched = take(queue, events, &bytes);
    double cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    printf("{\"cpu_ns\": %.1f, \"cpu_s\": %.3f, \"wall_s\": %.3f, \"bytes\": %llu, \"touched\": %llu}\n",
           cpu * 1e9 / (double)events, cpu, seconds(CLOCK_MONOTONIC) - began, (unsigned long long)bytes,
           (unsigned long long)touched);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
}

/* --- latency --- */

/* Microseconds, in buckets of a 32nd of a power of two: within 3 %. */
enum { SUB = 32, BUCKETS = 64 * SUB };
static uint64_t histogram[BUCKETS];

static unsigned bucket_of(uint64_t us)
{
    unsigned power = 0;
    while (us >> power >= 2 * SUB) power++;
    return power * SUB + (unsigned)(us >> power);
}

static uint64_t upper_of(unsigned bucket)
{
    unsigned power = bucket < 2 * SUB ? 0 : bucket / SUB - 1;
    return ((uint64_t)(bucket - power * SUB + 1) << power) - 1;
}

static int64_t number_after(const char *text, size_t len, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i + n < len; i++)
        if (!memcmp(text + i, name, n)) return strtoll(text + i + n, NULL, 10);
    return -1;
}

/* When the event that a record names was to be sent, or -1. Records end with a brace, at which numbers end.
 */
static int64_t due_of(struct schedule *schedule, const rd_kafka_message_t *message)
{
    const char *text = message->payload, *source = NULL;
    static const char name[] = "\"source\"";
    for (size_t i = 0; i + sizeof name < message->len && !source; i++)
        if (!memcmp(text + i, name, sizeof name - 1)) source = text + i;
    if (!source) return -1;
    size_t len = (size_t)(text + message->len - source);
    int64_t partition = number_after(source, len, "\"partition\":");
    int64_t offset = number_after(source, len, "\"offset\":"), due = -1;
    if (partition < 0 || partition >= schedule->partitions) return -1;
    pthread_mutex_lock(&schedule->lock);
    const struct lane *lane = &schedule->lanes[partition];
    int64_t at = offset - lane->first_offset;
    if (at >= 0 && (uint64_t)at < lane->count) due = lane->due_ns[at];
    pthread_mutex_unlock(&schedule->lock);
    return due;
}

/* Until the last event is written and nothing has come for three seconds. The longest, in microseconds. */
static uint64_t hear(rd_kafka_queue_t *queue, struct schedule *schedule, uint64_t *records)
{
    enum { BATCH = 1000, QUIET_S = 3 };
    static rd_kafka_message_t *messages[BATCH];
    double last = seconds(CLOCK_MONOTONIC);
    uint64_t longest = 0;
    while (!atomic_load(&schedule->is_over) || seconds(CLOCK_MONOTONIC) - last < QUIET_S) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1, messages, BATCH);
        double now = seconds(CLOCK_MONOTONIC);
        for (ssize_t i = 0; i < n; i++) {
            int64_t due = messages[i]->err ? -1 : due_of(schedule, messages[i]);
            rd_kafka_message_destroy(messages[i]);
            if (due < 0) continue;
            int64_t us = ((int64_t)(now * 1e9) - due) / 1000;
            if (us < 0) us = 0;
            histogram[bucket_of((uint64_t)us)]++;
            if ((uint64_t)us > longest) longest = (uint64_t)us;
            ++*records;
        }
        if (n > 0 || !atomic_load(&schedule->is_over)) last = now;
    }
    return longest;
}

static double quantile_ms(uint64_t records, uint64_t longest, double q)
{
    uint64_t want = (uint64_t)((double)records * q), seen = 0;
    for (unsigned b = 0; b < BUCKETS; b++)
        if ((seen += histogram[b]) > want)
            return (double)(upper_of(b) < longest ? upper_of(b) : longest) / 1000;
    return 0;
}

static void tell_latency(const struct writer *writer, uint64_t records, uint64_t longest)
{
    printf("{\"events\": %llu, \"records\": %llu, \"wall_s\": %.3f, \"slip_ms\": %.1f, \"p50_ms\": %.2f, "
           "\"p99_ms\": %.2f, \"p999_ms\": %.2f, \"max_ms\": %.2f, \"histogram\": [",
           (unsigned long long)(writer->to - writer->from), (unsigned long long)records, writer->took_s,
           1000 * writer->slip_s, quantile_ms(records, longest, 0.5), quantile_ms(records, longest, 0.99),
           quantile_ms(records, longest, 0.999), (double)longest / 1000);
    bool is_first = true;
    for (unsigned b = 0; b < BUCKETS; b++) {
        if (!histogram[b]) continue;
        printf("%s[%llu, %llu]", is_first ? "" : ", ", (unsigned long long)upper_of(b),
               (unsigned long long)histogram[b]);
        is_first = false;
    }
    printf("]}\n");
}

static void schedule_init(struct schedule *schedule, rd_kafka_t *kafka, const struct writer *writer)
{
    *schedule = (struct schedule){.partitions = writer->partitions};
    pthread_mutex_init(&schedule->lock, NULL);
    schedule->lanes = calloc((size_t)writer->partitions, sizeof *schedule->lanes);
    if (!schedule->lanes) die("memory is out");
    for (int32_t p = 0; p < writer->partitions; p++) {
        int64_t low;
        if (rd_kafka_query_watermark_offsets(kafka, writer->topic, p, &low, &schedule->lanes[p].first_offset,
                                             10000))
            die("where a partition ends is not known");
    }
}

static void latency(struct writer *writer, const char *broker, const char *out)
{
    static char servers[512], *properties[] = {servers, NULL, NULL, NULL};
    static char group[] = "group.id=pqlbench-latency", commit[] = "enable.auto.commit=false",
                wait[] = "fetch.wait.max.ms=10";
    struct schedule schedule;
    uint64_t records = 0;
    snprintf(servers, sizeof servers, "bootstrap.servers=%s", broker);
    properties[1] = group, properties[2] = commit, properties[3] = wait;
    rd_kafka_t *kafka = client(RD_KAFKA_CONSUMER, properties, 4);
    rd_kafka_poll_set_consumer(kafka);
    schedule_init(&schedule, kafka, writer);
    assign(kafka, out, writer->partitions, RD_KAFKA_OFFSET_END);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);
    rd_kafka_message_t *none[1];
    if (rd_kafka_consume_batch_queue(queue, 2000, none, 1) > 0) rd_kafka_message_destroy(none[0]);
    writer->schedule = &schedule;
    pthread_t thread;
    if (pthread_create(&thread, NULL, write_events, writer)) die("no thread could be started");
    uint64_t longest = hear(queue, &schedule, &records);
    pthread_join(thread, NULL);
    tell_latency(writer, records, longest);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
    for (int32_t p = 0; p < schedule.partitions; p++) free(schedule.lanes[p].due_ns);
    free(schedule.lanes);
}

int main(int argc, char **argv)
{
    const char *command = argc > 5 ? argv[1] : "";
    bool is_fill = !strcmp(command, "fill") && argc >= 11, is_read = !strcmp(command, "read");
    bool is_latency = !strcmp(command, "latency") && argc >= 12;
    if (!is_fill && !is_read && !is_latency) die("fill, latency or read, see the head of bench_kafka.c");
    char property[512];
    snprintf(property, sizeof property, "bootstrap.servers=%s", argv[2]);
    struct writer writer = {.topic = argv[3],
                            .partitions = (int32_t)strtol(argv[4], NULL, 10),
                            .source = {.seed = 42, .events = strtoull(argv[5], NULL, 10)},
                            .properties = calloc((size_t)argc, sizeof(char *))};
    writer.properties[writer.properties_count++] = property;
    for (int i = is_fill ? 11 : is_latency ? 12 : 6; i < argc; i++)
        writer.properties[writer.properties_count++] = argv[i];
    if (is_read) {
        read_all(writer.topic, writer.partitions, writer.source.events, writer.properties,
                 writer.properties_count);
    } else {
        writer.source.accounts = (uint32_t)strtoul(argv[6], NULL, 10);
        writer.schema_id = (uint32_t)strtoul(argv[7], NULL, 10);
        writer.from = strtoull(argv[8], NULL, 10);
        writer.to = strtoull(argv[9], NULL, 10);
        writer.rate = strtoull(argv[10], NULL, 10);
        if (is_fill)
            fill(&writer);
        else
            latency(&writer, argv[2], argv[11]);
    }
    free(writer.properties);
    return 0;
}
