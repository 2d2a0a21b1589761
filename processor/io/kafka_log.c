/* Reading the checkpoint topic, partition by partition: each open log is a consumer of its own, outside the
 * group, so that one task's restore waits for nobody. */
#include "io/kafka_admin.h"
#include "io/kafka_parts.h"
#include <stdlib.h>

struct pql_log {
    struct pql_kafka *kafka;
    rd_kafka_message_t *message; /* of the last read */
};

static const char *checkpoint_topic(const struct pql_kafka_ports *ports)
{
    return ports->conf.outputs[PQL_OUT_CHECKPOINT];
}

static int checkpoint_ends(void *self, int32_t partition, int64_t *low, int64_t *end, int timeout_ms,
                           struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    struct pql_kafka *kafka = pql_kafka_ports_admin(ports);
    struct pql_kafka_offset first = {checkpoint_topic(ports), partition, PQL_KAFKA_EARLIEST};
    struct pql_kafka_offset last = {checkpoint_topic(ports), partition, PQL_KAFKA_LATEST};
    if (pql_kafka_offsets(kafka, &first, 1, timeout_ms, err) ||
        pql_kafka_offsets(kafka, &last, 1, timeout_ms, err))
        return -1;
    *low = first.offset;
    *end = last.offset;
    return 0;
}

static void log_close(void *self, struct pql_log *log)
{
    (void)self;
    if (!log) return;
    if (log->message) rd_kafka_message_destroy(log->message);
    if (log->kafka) rd_kafka_consumer_close(log->kafka->rk);
    pql_kafka_close(log->kafka);
    free(log);
}

static int log_open(void *self, int32_t partition, int64_t from, enum pql_isolation isolation,
                    struct pql_log **log, struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    int64_t low, end;
    if (checkpoint_ends(self, partition, &low, &end, 10000, err)) return -1;
    struct pql_log *opened = pql_xcalloc(1, sizeof(*opened));
    enum pql_kafka_role role = isolation == PQL_READ_COMMITTED ? PQL_KAFKA_READER : PQL_KAFKA_READER_RAW;
    opened->kafka = pql_kafka_open(ports->conf.kafka, role, &ports->conf.log, NULL, NULL, opened, err);
    if (!opened->kafka) goto fail;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
    rd_kafka_topic_partition_list_add(list, checkpoint_topic(ports), partition)->offset =
        from > low ? from : low;
    rd_kafka_resp_err_t code = rd_kafka_assign(opened->kafka->rk, list);
    rd_kafka_topic_partition_list_destroy(list);
    if (code) {
        pql_kafka_fail(err, code, NULL);
        goto fail;
    }
    *log = opened;
    return 0;
fail:
    log_close(self, opened);
    return -1;
}

static int log_read(void *self, struct pql_log *log, int timeout_ms, struct pql_log_record *record,
                    struct pql_err *err)
{
    (void)self;
    if (log->message) rd_kafka_message_destroy(log->message);
    log->message = rd_kafka_consumer_poll(log->kafka->rk, timeout_ms);
    *record = (struct pql_log_record){.kind = PQL_LOG_NOTHING};
    if (!log->message) return 0;
    record->offset = log->message->offset;
    if (log->message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
        record->kind = PQL_LOG_END;
        return 0;
    }
    if (log->message->err)
        return pql_kafka_fail(err, log->message->err, rd_kafka_message_errstr(log->message));
    record->kind = PQL_LOG_RECORD;
    record->key = (struct pql_slice){log->message->key, log->message->key_len};
    record->value = (struct pql_slice){log->message->payload, log->message->len};
    return 0;
}

/* Whatever is the matter, but time: the log stays longer than it must, and the operator is told once. */
static int checkpoint_trim(void *self, int32_t partition, int64_t before, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_ports *ports = self;
    if (!pql_kafka_delete_records(pql_kafka_ports_admin(ports), checkpoint_topic(ports), partition, before,
                                  timeout_ms, err))
        return 0;
    if (err && err->cls != PQL_ERR_RETRY) err->cls = PQL_ERR_CONFIG;
    return -1;
}

void pql_kafka_log_fill(struct pql_ports *table)
{
    table->checkpoint_ends = checkpoint_ends;
    table->log_open = log_open;
    table->log_read = log_read;
    table->log_close = log_close;
    table->checkpoint_trim = checkpoint_trim;
}
