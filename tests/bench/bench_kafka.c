/* The two ends of the reference job on a broker: `fill` writes its events, `read` takes them with nothing but
 * the client, which is the floor that no processor can be below.
 *
 *   bench_kafka fill BROKER TOPIC PARTITIONS EVENTS ACCOUNTS SCHEMA_ID [PROPERTY=VALUE …]
 *   bench_kafka read BROKER TOPIC PARTITIONS EVENTS [PROPERTY=VALUE …]
 *
 * `read` prints nanoseconds of CPU per event of the whole process, from its start to the last event, and
 * those of wall time. */
#include "base/buf.h"
#include "bench/source.h"
#include "core/partition.h"

#include <librdkafka/rdkafka.h>
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

static void produce(rd_kafka_t *kafka, rd_kafka_topic_t *topic, int32_t partitions,
                    const struct source_event *event, const struct pql_buf *value)
{
    struct pql_slice account = {event->account, sizeof event->account};
    int32_t partition = (int32_t)pql_partition_murmur2(account, (uint32_t)partitions);
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value->ptr, value->len,
                            (void *)(uintptr_t)event->account, sizeof event->account, NULL)) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("an event was not taken");
        rd_kafka_poll(kafka, 10);
    }
}

static void fill(const char *name, int32_t partitions, const struct source *source, uint32_t schema_id,
                 char **properties, int count)
{
    rd_kafka_t *kafka = client(RD_KAFKA_PRODUCER, properties, count);
    rd_kafka_topic_t *topic = rd_kafka_topic_new(kafka, name, NULL);
    struct pql_buf value = {0};
    uint64_t bytes = 0;
    for (uint64_t i = 0; i < source->events; i++) {
        struct source_event event;
        value.len = 0;
        source_event(source, i, &event);
        source_value(source, i, schema_id, &value);
        bytes += value.len;
        produce(kafka, topic, partitions, &event, &value);
        if (i % 1024 == 0) rd_kafka_poll(kafka, 0);
    }
    if (rd_kafka_flush(kafka, 120000)) die("events are still not acknowledged");
    printf("%llu events of %.1f bytes\n", (unsigned long long)source->events,
           (double)bytes / (double)source->events);
    pql_buf_deinit(&value);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(kafka);
}

/* --- read --- */

static double seconds(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void assign(rd_kafka_t *kafka, const char *topic, int32_t partitions)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    for (int32_t p = 0; p < partitions; p++)
        rd_kafka_topic_partition_list_add(list, topic, p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (rd_kafka_assign(kafka, list)) die("partitions cannot be assigned");
    rd_kafka_topic_partition_list_destroy(list);
}

/* Touches the last byte of each, so that it has been in the cache of this core. */
static uint64_t take(rd_kafka_queue_t *queue, uint64_t events)
{
    enum { BATCH = 10000 };
    static rd_kafka_message_t *messages[BATCH];
    uint64_t got = 0, touched = 0;
    while (got < events) {
        ssize_t n = rd_kafka_consume_batch_queue(queue, 1000, messages, BATCH);
        for (ssize_t i = 0; i < n; i++) {
            const rd_kafka_message_t *message = messages[i];
            if (!message->err) got++, touched += ((const unsigned char *)message->payload)[message->len - 1];
            rd_kafka_message_destroy(messages[i]);
        }
    }
    return touched;
}

static void read_all(const char *topic, int32_t partitions, uint64_t events, char **properties, int count)
{
    double began = seconds(CLOCK_MONOTONIC);
    rd_kafka_t *kafka = client(RD_KAFKA_CONSUMER, properties, count);
    rd_kafka_poll_set_consumer(kafka);
    assign(kafka, topic, partitions);
    rd_kafka_queue_t *queue = rd_kafka_queue_get_consumer(kafka);
    uint64_t touched = take(queue, events);
    printf("{\"cpu_ns\": %.1f, \"wall_ns\": %.1f, \"touched\": %llu}\n",
           seconds(CLOCK_PROCESS_CPUTIME_ID) * 1e9 / (double)events,
           (seconds(CLOCK_MONOTONIC) - began) * 1e9 / (double)events, (unsigned long long)touched);
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(kafka);
    rd_kafka_destroy(kafka);
}

int main(int argc, char **argv)
{
    bool is_fill = argc >= 8 && !strcmp(argv[1], "fill"), is_read = argc >= 6 && !strcmp(argv[1], "read");
    if (!is_fill && !is_read) die("fill or read, see the head of bench_kafka.c");
    char property[512];
    snprintf(property, sizeof property, "bootstrap.servers=%s", argv[2]);
    int rest = is_fill ? 8 : 6, count = 0;
    char **properties = calloc((size_t)argc, sizeof *properties);
    properties[count++] = property;
    for (int i = rest; i < argc; i++) properties[count++] = argv[i];
    int32_t partitions = (int32_t)strtol(argv[4], NULL, 10);
    struct source source = {.seed = 42, .events = strtoull(argv[5], NULL, 10)};
    if (is_fill) {
        source.accounts = (uint32_t)strtoul(argv[6], NULL, 10);
        fill(argv[3], partitions, &source, (uint32_t)strtoul(argv[7], NULL, 10), properties, count);
    } else {
        read_all(argv[3], partitions, source.events, properties, count);
    }
    free(properties);
    return 0;
}
