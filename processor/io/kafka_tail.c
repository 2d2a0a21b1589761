#include "io/kafka_tail.h"
#include "io/kafka_admin.h"
#include <librdkafka/rdkafka.h>
#include <stdlib.h>

enum { ASK_MS = 10000 };

struct pql_kafka_tail {
    struct pql_kafka *kafka;
    const char *const *topics;
    size_t count;
    rd_kafka_message_t *message; /* of the last read */
};

static int assign_all(struct pql_kafka_tail *tail, struct pql_err *err)
{
    struct pql_kafka_topic *found = pql_xcalloc(tail->count + 1, sizeof(*found));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)tail->count);
    int result = pql_kafka_describe(tail->kafka, tail->topics, tail->count, found, ASK_MS, err);
    for (size_t i = 0; i < tail->count; i++)
        for (int32_t p = 0; p < found[i].partitions; p++)
            rd_kafka_topic_partition_list_add(list, tail->topics[i], p)->offset = RD_KAFKA_OFFSET_BEGINNING;
    if (!result) {
        rd_kafka_resp_err_t code = rd_kafka_assign(tail->kafka->rk, list);
        if (code) result = PQL_FAIL(err, pql_kafka_class(code), "%s", rd_kafka_err2str(code));
    }
    rd_kafka_topic_partition_list_destroy(list);
    free(found);
    return result;
}

struct pql_kafka_tail *pql_kafka_tail_open(const struct pql_kafka_conf *conf, const struct pql_kafka_log *log,
                                           const char *const *topics, size_t count, struct pql_err *err)
{
    struct pql_kafka_tail *tail = pql_xcalloc(1, sizeof(*tail));
    tail->topics = topics;
    tail->count = count;
    tail->kafka = pql_kafka_open(conf, PQL_KAFKA_READER, log, NULL, NULL, tail, err);
    if (tail->kafka && !assign_all(tail, err)) return tail;
    pql_kafka_tail_close(tail);
    return NULL;
}

void pql_kafka_tail_close(struct pql_kafka_tail *tail)
{
    if (!tail) return;
    if (tail->message) rd_kafka_message_destroy(tail->message);
    if (tail->kafka) rd_kafka_consumer_close(tail->kafka->rk);
    pql_kafka_close(tail->kafka);
    free(tail);
}

bool pql_kafka_tail_read(struct pql_kafka_tail *tail, int timeout_ms, struct pql_tail_record *record)
{
    if (tail->message) rd_kafka_message_destroy(tail->message);
    tail->message = rd_kafka_consumer_poll(tail->kafka->rk, timeout_ms);
    if (!tail->message || tail->message->err) return false;
    const rd_kafka_message_t *message = tail->message;
    *record = (struct pql_tail_record){.partition = message->partition,
                                       .offset = message->offset,
                                       .key = {message->key, message->key_len},
                                       .value = {message->payload, message->len}};
    while (record->topic < tail->count &&
           strcmp(tail->topics[record->topic], rd_kafka_topic_name(message->rkt)) != 0)
        record->topic++;
    return true;
}

struct pql_slice pql_kafka_tail_header(const struct pql_kafka_tail *tail, const char *name)
{
    rd_kafka_headers_t *headers;
    const void *value;
    size_t len;
    if (!tail->message || rd_kafka_message_headers(tail->message, &headers) ||
        rd_kafka_header_get_last(headers, name, &value, &len))
        return (struct pql_slice){0};
    return (struct pql_slice){value, len};
}
