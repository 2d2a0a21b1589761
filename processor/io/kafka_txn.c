/* The transactional producer. What librdkafka reports becomes one of our classes here, and nowhere else:
 *
 *   fatal (fenced, invalid transaction state, out of order sequence …)  FENCED     recreate
 *   abortable (stale member, unknown producer id, a record refused …)   ABORT_TXN  abort, produce again
 *   retriable (a timeout, a coordinator that moves …)                   RETRY      the same call again
 *   anything else                                                       by its code: CONFIG or FATAL */
#include "io/kafka_parts.h"
#include <stdlib.h>

/* The handle's life. Retriable faults leave the state as it is. */
enum txn_state {
    TXN_NONE,     /* no handle, or one not initialised */
    TXN_READY,    /* between transactions */
    TXN_OPEN,     /* begun */
    TXN_ABORTING, /* must be aborted */
    TXN_DEAD,     /* fenced */
};

struct pql_kafka_txn {
    struct pql_kafka_ports *ports;
    struct pql_kafka *kafka;
    enum txn_state state;
    /* The first record of this transaction that was refused, for the words of the abort. */
    rd_kafka_resp_err_t refused;
    const char *refused_topic;
};

static struct pql_kafka_txn *txn_of(void *self)
{
    return ((struct pql_kafka_ports *)self)->txn;
}

static bool may_move(enum txn_state from, enum txn_state to)
{
    switch (from) {
    case TXN_NONE: return to == TXN_READY || to == TXN_DEAD;
    case TXN_READY: return to == TXN_OPEN || to == TXN_DEAD || to == TXN_NONE;
    case TXN_OPEN: return to == TXN_READY || to == TXN_ABORTING || to == TXN_DEAD;
    case TXN_ABORTING: return to == TXN_ABORTING || to == TXN_READY || to == TXN_DEAD;
    case TXN_DEAD: return to == TXN_DEAD || to == TXN_NONE;
    }
    return false;
}

static void move(struct pql_kafka_txn *txn, enum txn_state to)
{
    PQL_ASSERT(may_move(txn->state, to));
    txn->state = to;
}

/* Delivery faults make the transaction abortable or fatal by themselves; this only remembers which record it
 * was. Records purged by an abort are not refused. */
static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct pql_kafka *kafka = opaque;
    struct pql_kafka_txn *txn = kafka->owner;
    (void)rk;
    if (!message->err || txn->refused || message->err == RD_KAFKA_RESP_ERR__PURGE_QUEUE ||
        message->err == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT)
        return;
    txn->refused = message->err;
    for (int i = 0; i < PQL_OUT_COUNT; i++)
        if (!strcmp(txn->ports->conf.outputs[i], rd_kafka_topic_name(message->rkt)))
            txn->refused_topic = txn->ports->conf.outputs[i];
}

static void prepare(rd_kafka_conf_t *rk_conf)
{
    /* Set always: without one, a commit polls in steps of 10 ms. */
    rd_kafka_conf_set_dr_msg_cb(rk_conf, on_delivery);
}

static void describe(struct pql_kafka_txn *txn, int code, const char *text, struct pql_err *err)
{
    int cause = txn->refused ? txn->refused : code;
    if (!err) return;
    bool fenced = code == RD_KAFKA_RESP_ERR__FENCED || code == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH ||
                  code == RD_KAFKA_RESP_ERR_PRODUCER_FENCED;
    err->reason = fenced ? "fenced" : pql_kafka_reason(cause);
    err->topic = txn->refused ? txn->refused_topic : NULL;
    if (txn->refused)
        snprintf(err->msg, sizeof(err->msg), "%s: %s (%s)", txn->refused_topic,
                 rd_kafka_err2str(txn->refused), text);
    else
        snprintf(err->msg, sizeof(err->msg), "%s", text);
}

/* A call on a transaction that has failed meanwhile says only so; asked for another one, librdkafka tells
 * why: there cannot be one before the abort. */
static rd_kafka_error_t *why_aborted(struct pql_kafka_txn *txn, rd_kafka_error_t *error)
{
    if (!rd_kafka_error_txn_requires_abort(error) || rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR__STATE)
        return error;
    rd_kafka_error_t *cause = rd_kafka_begin_transaction(txn->kafka->rk);
    if (!cause || !rd_kafka_error_txn_requires_abort(cause)) {
        if (cause) rd_kafka_error_destroy(cause);
        return error;
    }
    rd_kafka_error_destroy(error);
    return cause;
}

/* Folds an error of librdkafka, which is freed. */
static int fold(struct pql_kafka_txn *txn, rd_kafka_error_t *error, struct pql_err *err)
{
    error = why_aborted(txn, error);
    int code = rd_kafka_error_code(error);
    bool is_begun = txn->state == TXN_OPEN || txn->state == TXN_ABORTING;
    enum pql_err_class cls = pql_kafka_class(code);
    if (rd_kafka_error_is_fatal(error)) {
        /* Rights that are missing stay missing on a new handle. */
        if (cls != PQL_ERR_CONFIG) cls = PQL_ERR_FENCED;
        move(txn, TXN_DEAD);
    } else if (rd_kafka_error_txn_requires_abort(error) && is_begun) {
        cls = PQL_ERR_ABORT_TXN;
        move(txn, TXN_ABORTING);
    } else if (rd_kafka_error_is_retriable(error)) {
        cls = PQL_ERR_RETRY;
    }
    PQL_FAIL(err, cls, "%s", "");
    describe(txn, code, rd_kafka_error_string(error), err);
    rd_kafka_error_destroy(error);
    return -1;
}

/* Batches stay below what the strictest output topic takes: the broker refuses a whole batch, and librdkafka
 * never splits one. */
static int open_handle(struct pql_kafka_txn *txn, struct pql_err *err)
{
    char bytes[24], kbytes[24];
    uint64_t queue_bytes = txn->ports->conf.queue_bytes;
    snprintf(bytes, sizeof(bytes), "%lld", (long long)txn->ports->batch_bytes);
    snprintf(kbytes, sizeof(kbytes), "%llu", (unsigned long long)queue_bytes / 1024);
    const struct pql_kafka_extra extras[] = {
        {"batch.size", bytes}, {queue_bytes ? "queue.buffering.max.kbytes" : NULL, kbytes}, {NULL, NULL}};
    PQL_ASSERT(txn->ports->batch_bytes > 0);
    txn->kafka = pql_kafka_open(txn->ports->conf.kafka, PQL_KAFKA_TXN, &txn->ports->conf.log, extras, prepare,
                                txn, err);
    return txn->kafka ? 0 : -1;
}

static int txn_recreate(void *self, struct pql_err *err)
{
    (void)err;
    struct pql_kafka_txn *txn = txn_of(self);
    pql_kafka_close(txn->kafka);
    txn->kafka = NULL; /* txn_init opens the next one, under the same transactional id */
    txn->state = TXN_NONE;
    return 0;
}

static int txn_init(void *self, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    PQL_ASSERT(txn->state == TXN_NONE || txn->state == TXN_DEAD);
    if (txn->state == TXN_DEAD && txn_recreate(self, err)) return -1;
    if (!txn->kafka && open_handle(txn, err)) return -1;
    rd_kafka_error_t *error = rd_kafka_init_transactions(txn->kafka->rk, timeout_ms);
    if (error) return fold(txn, error, err);
    move(txn, TXN_READY);
    return 0;
}

static int txn_begin(void *self, struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    PQL_ASSERT(txn->state == TXN_READY);
    rd_kafka_poll(txn->kafka->rk, 0);
    txn->refused = RD_KAFKA_RESP_ERR_NO_ERROR;
    rd_kafka_error_t *error = rd_kafka_begin_transaction(txn->kafka->rk);
    if (error) return fold(txn, error, err);
    move(txn, TXN_OPEN);
    return 0;
}

static int fail_produce(struct pql_kafka_txn *txn, const char *topic, rd_kafka_resp_err_t code,
                        struct pql_err *err)
{
    char text[300];
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) {
        rd_kafka_poll(txn->kafka->rk, 10);
        return PQL_FAIL(err, PQL_ERR_RETRY, "%s: the producer's queue is full", topic);
    }
    rd_kafka_resp_err_t fatal = rd_kafka_fatal_error(txn->kafka->rk, text, sizeof(text));
    if (fatal || code == RD_KAFKA_RESP_ERR__FATAL || code == RD_KAFKA_RESP_ERR__FENCED) {
        move(txn, TXN_DEAD);
        PQL_FAIL(err, PQL_ERR_FENCED, "%s", "");
        describe(txn, fatal ? (int)fatal : (int)code, fatal ? text : rd_kafka_err2str(code), err);
        return -1;
    }
    /* _STATE: the transaction failed meanwhile and takes nothing more. */
    move(txn, TXN_ABORTING);
    PQL_FAIL(err, PQL_ERR_ABORT_TXN, "%s", "");
    snprintf(text, sizeof(text), "%s: %s", topic, rd_kafka_err2str(code));
    describe(txn, code, text, err);
    return -1;
}

static int txn_produce(void *self, const struct pql_out_record *record, struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    PQL_ASSERT(txn->state == TXN_OPEN);
    rd_kafka_resp_err_t code =
        pql_kafka_send(txn->kafka->rk, txn->ports->conf.outputs[record->output], record, NULL);
    return code ? fail_produce(txn, txn->ports->conf.outputs[record->output], code, err) : 0;
}

static int txn_send_offsets(void *self, const struct pql_position *positions, size_t count, int timeout_ms,
                            struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    const rd_kafka_consumer_group_metadata_t *metadata = pql_kafka_source_metadata(txn->ports->source);
    PQL_ASSERT(txn->state == TXN_OPEN && metadata);
    rd_kafka_topic_partition_list_t *list = pql_kafka_list(txn->ports, positions, count, true);
    rd_kafka_error_t *error =
        rd_kafka_send_offsets_to_transaction(txn->kafka->rk, list, metadata, timeout_ms);
    rd_kafka_topic_partition_list_destroy(list);
    return error ? fold(txn, error, err) : 0;
}

/* Flushed first, so that what times out then is the end of the transaction. It may still arrive, later than
 * the next one begins (the brokers' first transaction protocol cannot tell, KAFKA-14402), so it is not asked
 * for again on this handle: the next handle's epoch fences it, and the group's offsets say whether it came
 * through. */
static int txn_commit(void *self, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    PQL_ASSERT(txn->state == TXN_OPEN);
    if (rd_kafka_flush(txn->kafka->rk, timeout_ms) == RD_KAFKA_RESP_ERR__TIMED_OUT)
        return PQL_FAIL(err, PQL_ERR_RETRY, "records are still on their way after %d ms", timeout_ms);
    rd_kafka_error_t *error = rd_kafka_commit_transaction(txn->kafka->rk, timeout_ms);
    if (!error) {
        move(txn, TXN_READY);
        return 0;
    }
    bool is_unknown = rd_kafka_error_code(error) == RD_KAFKA_RESP_ERR__TIMED_OUT &&
                      !rd_kafka_error_is_fatal(error) && !rd_kafka_error_txn_requires_abort(error);
    fold(txn, error, err);
    if (!is_unknown) return -1;
    move(txn, TXN_DEAD);
    if (err) err->cls = PQL_ERR_FENCED;
    return -1;
}

static int txn_abort(void *self, int timeout_ms, struct pql_err *err)
{
    struct pql_kafka_txn *txn = txn_of(self);
    PQL_ASSERT(txn->state == TXN_OPEN || txn->state == TXN_ABORTING);
    if (txn->state == TXN_OPEN) move(txn, TXN_ABORTING);
    rd_kafka_error_t *error = rd_kafka_abort_transaction(txn->kafka->rk, timeout_ms);
    if (error) return fold(txn, error, err);
    move(txn, TXN_READY);
    return 0;
}

void pql_kafka_txn_new(struct pql_kafka_ports *ports)
{
    ports->txn = pql_xcalloc(1, sizeof(*ports->txn));
    ports->txn->ports = ports;
}

void pql_kafka_txn_free(struct pql_kafka_txn *txn)
{
    if (!txn) return;
    pql_kafka_close(txn->kafka);
    free(txn);
}

void pql_kafka_txn_fill(struct pql_ports *table)
{
    table->txn_init = txn_init;
    table->txn_begin = txn_begin;
    table->txn_produce = txn_produce;
    table->txn_send_offsets = txn_send_offsets;
    table->txn_commit = txn_commit;
    table->txn_abort = txn_abort;
    table->txn_recreate = txn_recreate;
}
