/* The plain idempotent producer: two lanes of acknowledgements over one handle. */
#include "io/kafka_parts.h"
#include <pthread.h>
#include <stdlib.h>

enum { POLL_MS = 10 };

struct lane {
    struct pql_ack *acks; /* a queue: taken from `first` */
    size_t first, count, capacity;
};

struct pql_kafka_plain {
    struct pql_kafka_ports *ports;
    struct pql_kafka *kafka;    /* for questions, and for records where batches are small enough */
    struct pql_kafka *producer; /* of records: kafka, or a handle of its own with smaller batches */
    pthread_mutex_t lock;       /* of the lanes */
    struct lane lanes[PQL_LANE_COUNT];
};

/* What comes back with a delivery. */
struct sent {
    enum pql_lane lane;
    uint64_t cookie;
};

static struct pql_kafka_plain *plain_of(void *self)
{
    return ((struct pql_kafka_ports *)self)->plain;
}

struct pql_kafka *pql_kafka_plain_handle(struct pql_kafka_plain *plain)
{
    return plain->kafka;
}

static enum pql_err_class delivery_class(rd_kafka_resp_err_t code)
{
    if (!code) return PQL_ERR_NONE;
    enum pql_err_class cls = pql_kafka_class(code);
    return cls == PQL_ERR_CONFIG || pql_kafka_reason(code) ? PQL_ERR_CONFIG : cls;
}

/* In whichever thread polls: a lane's acknowledgements may be fetched by the other's. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct pql_kafka *kafka = opaque;
    struct pql_kafka_plain *plain = kafka->owner;
    struct sent *sent = message->_private;
    (void)rk;
    pthread_mutex_lock(&plain->lock);
    struct lane *lane = &plain->lanes[sent->lane];
    lane->acks = pql_xgrow(lane->acks, &lane->capacity, lane->first + lane->count + 1, sizeof(*lane->acks));
    lane->acks[lane->first + lane->count++] =
        (struct pql_ack){.cookie = sent->cookie,
                         .failed = delivery_class(message->err),
                         .offset = message->err || message->offset < 0 ? PQL_OFFSET_NONE : message->offset,
                         .reason = message->err ? pql_kafka_reason(message->err) : NULL};
    pthread_mutex_unlock(&plain->lock);
    free(sent);
}

static void prepare(rd_kafka_conf_t *rk_conf)
{
    rd_kafka_conf_set_dr_msg_cb(rk_conf, on_delivery);
}

static int plain_produce(void *self, enum pql_lane lane, const struct pql_out_record *record, uint64_t cookie,
                         struct pql_err *err)
{
    struct pql_kafka_plain *plain = plain_of(self);
    struct sent *sent = pql_xmalloc(sizeof(*sent));
    *sent = (struct sent){lane, cookie};
    rd_kafka_resp_err_t code =
        pql_kafka_send(plain->producer->rk, plain->ports->conf.outputs[record->output], record, sent);
    if (!code) return 0;
    free(sent);
    pql_kafka_fail(err, code, NULL);
    if (err) err->topic = plain->ports->conf.outputs[record->output];
    pql_err_prefix(err, "%s: ", plain->ports->conf.outputs[record->output]);
    return -1;
}

static size_t take(struct pql_kafka_plain *plain, enum pql_lane which, struct pql_ack *out, size_t max)
{
    pthread_mutex_lock(&plain->lock);
    struct lane *lane = &plain->lanes[which];
    size_t count = lane->count < max ? lane->count : max;
    if (count) memcpy(out, lane->acks + lane->first, count * sizeof(*out));
    lane->first += count;
    lane->count -= count;
    if (lane->count == 0) lane->first = 0;
    pthread_mutex_unlock(&plain->lock);
    return count;
}

/* In short polls, since the other lane's thread may be the one that hears of ours. */
static size_t plain_acks(void *self, enum pql_lane lane, struct pql_ack *out, size_t max, int timeout_ms)
{
    struct pql_kafka_plain *plain = plain_of(self);
    size_t count;
    rd_kafka_poll(plain->producer->rk, 0);
    while ((count = take(plain, lane, out, max)) == 0 && timeout_ms > 0) {
        int step_ms = timeout_ms < POLL_MS ? timeout_ms : POLL_MS;
        rd_kafka_poll(plain->producer->rk, step_ms);
        timeout_ms -= step_ms;
    }
    return count;
}

/* batch_bytes 0: as preset. */
static struct pql_kafka *open_producer(struct pql_kafka_plain *plain, int64_t batch_bytes,
                                       struct pql_err *err)
{
    const struct pql_kafka_ports_conf *conf = &plain->ports->conf;
    struct pql_kafka_extra extras[3] = {{NULL, NULL}};
    char bytes[24], kbytes[24];
    size_t n = 0;
    snprintf(bytes, sizeof(bytes), "%lld", (long long)batch_bytes);
    snprintf(kbytes, sizeof(kbytes), "%llu", (unsigned long long)conf->queue_bytes / 1024);
    if (batch_bytes) extras[n++] = (struct pql_kafka_extra){"batch.size", bytes};
    if (conf->queue_bytes) extras[n++] = (struct pql_kafka_extra){"queue.buffering.max.kbytes", kbytes};
    return pql_kafka_open(conf->kafka, PQL_KAFKA_PRODUCER, &conf->log, extras, prepare, plain, err);
}

int pql_kafka_plain_new(struct pql_kafka_ports *ports, struct pql_err *err)
{
    struct pql_kafka_plain *plain = pql_xcalloc(1, sizeof(*plain));
    ports->plain = plain;
    plain->ports = ports;
    pthread_mutex_init(&plain->lock, NULL);
    plain->kafka = plain->producer = open_producer(plain, 0, err);
    return plain->kafka ? 0 : -1;
}

int pql_kafka_plain_resize(struct pql_kafka_plain *plain, struct pql_err *err)
{
    int64_t batch_bytes = plain->ports->batch_bytes;
    if (batch_bytes >= PQL_KAFKA_BATCH_BYTES) return 0;
    struct pql_kafka *producer = open_producer(plain, batch_bytes, err);
    if (!producer) return -1;
    if (plain->producer != plain->kafka) pql_kafka_close(plain->producer); /* of an attempt to start */
    plain->producer = producer;
    return 0;
}

void pql_kafka_plain_free(struct pql_kafka_plain *plain)
{
    if (!plain) return;
    if (plain->producer) {
        /* What is not acknowledged by now means nothing to anybody; the callbacks free what belongs to it. */
        rd_kafka_purge(plain->producer->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
        rd_kafka_flush(plain->producer->rk, 1000);
    }
    if (plain->producer != plain->kafka) pql_kafka_close(plain->producer);
    pql_kafka_close(plain->kafka);
    pthread_mutex_destroy(&plain->lock);
    for (int i = 0; i < PQL_LANE_COUNT; i++) free(plain->lanes[i].acks);
    free(plain);
}

void pql_kafka_plain_fill(struct pql_ports *table)
{
    table->plain_produce = plain_produce;
    table->plain_acks = plain_acks;
}
