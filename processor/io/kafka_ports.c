#include "io/kafka_parts.h"
#include <stdlib.h>
#include <time.h>

/* --- shared by the parts --- */

rd_kafka_topic_partition_list_t *pql_kafka_list(const struct pql_kafka_ports *ports,
                                                const struct pql_position *positions, size_t count,
                                                bool with_metadata)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)count);
    for (size_t i = 0; i < count; i++) {
        rd_kafka_topic_partition_t *element = rd_kafka_topic_partition_list_add(
            list, ports->conf.inputs[positions[i].input], positions[i].partition);
        element->offset = positions[i].offset;
        size_t len = strlen(positions[i].metadata);
        if (!with_metadata || len == 0) continue;
        element->metadata = rd_kafka_mem_malloc(NULL, len); /* freed with the list */
        memcpy(element->metadata, positions[i].metadata, len);
        element->metadata_size = len;
    }
    return list;
}

rd_kafka_resp_err_t pql_kafka_send(rd_kafka_t *rk, const char *topic, const struct pql_out_record *record,
                                   void *opaque)
{
    rd_kafka_headers_t *headers = NULL;
    if (record->headers_count) headers = rd_kafka_headers_new(record->headers_count);
    for (size_t i = 0; i < record->headers_count; i++)
        rd_kafka_header_add(headers, record->headers[i].name.ptr, (ssize_t)record->headers[i].name.len,
                            record->headers[i].value.ptr, (ssize_t)record->headers[i].value.len);
    /* librdkafka does not write to them; its signature predates const. */
    union {
        const char *from;
        void *to;
    } key = {record->has_key ? record->key.ptr : NULL},
      value = {record->has_value ? record->value.ptr : NULL};
    /* An empty key or value is not the same as none. */
    static char nothing[1];
    if (record->has_key && record->key.len == 0) key.to = nothing;
    if (record->has_value && record->value.len == 0) value.to = nothing;
    rd_kafka_resp_err_t code = rd_kafka_producev(
        rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(record->partition),
        RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key.to, record->has_key ? record->key.len : 0),
        RD_KAFKA_V_VALUE(value.to, record->has_value ? record->value.len : 0),
        RD_KAFKA_V_TIMESTAMP(record->timestamp_ms == PQL_NO_TIME ? 0 : record->timestamp_ms),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
    if (code && headers) rd_kafka_headers_destroy(headers); /* ours again */
    return code;
}

void pql_kafka_headers(const rd_kafka_message_t *message, struct pql_arena *arena,
                       const struct pql_header **headers, size_t *count)
{
    rd_kafka_headers_t *found = NULL;
    *headers = NULL;
    *count = 0;
    if (rd_kafka_message_headers(message, &found)) return;
    struct pql_header *copy = pql_arena_alloc(arena, rd_kafka_header_cnt(found) * sizeof(*copy) + 1);
    const char *name;
    const void *value;
    size_t len;
    for (; !rd_kafka_header_get_all(found, *count, &name, &value, &len); (*count)++)
        copy[*count] = (struct pql_header){pql_slice_of(name), {value, value ? len : 0}};
    *headers = copy;
}

const char *pql_kafka_reason(int code)
{
    static const struct {
        int code;
        const char *reason;
    } reasons[] = {
        {RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "topic_authorization"},
        {RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, "group_authorization"},
        {RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED, "cluster_authorization"},
        {RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "transactional_id_authorization"},
        {RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART, "unknown_topic"},
        {RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC, "unknown_topic"},
        {RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION, "unknown_topic"},
        {RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "record_too_large"},
        {RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE, "record_too_large"},
        {RD_KAFKA_RESP_ERR_POLICY_VIOLATION, "policy"},
        {RD_KAFKA_RESP_ERR_INVALID_RECORD, "invalid_record"},
        {RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE, "metadata_too_large"},
        {RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT, "transaction_timeout"},
    };
    for (size_t i = 0; i < sizeof(reasons) / sizeof(*reasons); i++)
        if (reasons[i].code == code) return reasons[i].reason;
    return NULL;
}

int pql_kafka_fail(struct pql_err *err, int code, const char *text)
{
    pql_err_set(err, pql_kafka_class(code), __FILE__, __LINE__, "%s",
                text ? text : rd_kafka_err2str((rd_kafka_resp_err_t)code));
    if (err) err->reason = pql_kafka_reason(code);
    return -1;
}

/* --- the whole --- */

struct pql_kafka_ports *pql_kafka_ports_new(const struct pql_kafka_ports_conf *conf, struct pql_err *err)
{
    struct pql_kafka_ports *ports = pql_xcalloc(1, sizeof(*ports));
    ports->conf = *conf;
    pql_kafka_txn_new(ports);
    if (pql_kafka_plain_new(ports, err) || pql_kafka_source_new(ports, err)) {
        pql_kafka_ports_free(ports);
        return NULL;
    }
    return ports;
}

void pql_kafka_ports_free(struct pql_kafka_ports *ports)
{
    if (!ports) return;
    pql_kafka_source_free(ports->source);
    pql_kafka_txn_free(ports->txn);
    pql_kafka_plain_free(ports->plain);
    free(ports);
}

struct pql_kafka *pql_kafka_ports_admin(struct pql_kafka_ports *ports)
{
    return pql_kafka_plain_handle(ports->plain);
}

enum { BATCH_BYTES_MAX = 1000000, BATCH_BYTES_MIN = 500, BATCH_OVERHEAD = 500 };

static int set_sizes(void *self, const int64_t *max_bytes, struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    int64_t smallest = BATCH_BYTES_MAX;
    for (int i = 0; i < PQL_OUT_COUNT; i++)
        if (max_bytes[i] < smallest) smallest = max_bytes[i];
    smallest -= BATCH_OVERHEAD;
    ports->batch_bytes = smallest < BATCH_BYTES_MIN ? BATCH_BYTES_MIN : smallest;
    return pql_kafka_plain_resize(ports->plain, err);
}

static int64_t wall_ms(void *self)
{
    (void)self;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static uint64_t mono_us(void *self)
{
    (void)self;
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct pql_ports pql_kafka_ports_table(struct pql_kafka_ports *ports)
{
    struct pql_ports table = {.self = ports, .set_sizes = set_sizes, .wall_ms = wall_ms, .mono_us = mono_us};
    pql_kafka_source_fill(&table);
    pql_kafka_txn_fill(&table);
    pql_kafka_plain_fill(&table);
    pql_kafka_log_fill(&table);
    pql_kafka_facts_fill(&table);
    return table;
}
