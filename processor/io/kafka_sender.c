#include "io/kafka_sender.h"
#include "io/kafka_parts.h"
#include <inttypes.h>
#include <stdlib.h>

enum { POLL_MS = 100, FINISH_MS = 90000 /* beyond message.timeout.ms */ };

struct pql_kafka_sender {
    struct pql_kafka *kafka;
    uint64_t delivered, failed;
    struct pql_err first; /* what was the matter with the first that failed */
};

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *message, void *opaque)
{
    struct pql_kafka_sender *sender = ((struct pql_kafka *)opaque)->owner;
    (void)rk;
    if (!message->err) {
        sender->delivered++;
        return;
    }
    if (sender->failed++) return;
    pql_kafka_fail(&sender->first, message->err, NULL);
    pql_err_prefix(&sender->first, "%s[%" PRId32 "]: ", rd_kafka_topic_name(message->rkt),
                   message->partition);
}

static void prepare(rd_kafka_conf_t *rk_conf)
{
    rd_kafka_conf_set_dr_msg_cb(rk_conf, on_delivery);
}

struct pql_kafka_sender *pql_kafka_sender_open(const struct pql_kafka_conf *conf,
                                               const struct pql_kafka_log *log, struct pql_err *err)
{
    struct pql_kafka_sender *sender = pql_xcalloc(1, sizeof(*sender));
    sender->kafka = pql_kafka_open(conf, PQL_KAFKA_PRODUCER, log, NULL, prepare, sender, err);
    if (sender->kafka) return sender;
    free(sender);
    return NULL;
}

void pql_kafka_sender_close(struct pql_kafka_sender *sender)
{
    if (!sender) return;
    rd_kafka_purge(sender->kafka->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_flush(sender->kafka->rk, 1000);
    pql_kafka_close(sender->kafka);
    free(sender);
}

int pql_kafka_sender_put(struct pql_kafka_sender *sender, const char *topic,
                         const struct pql_out_record *record, struct pql_err *err)
{
    rd_kafka_resp_err_t code;
    while ((code = pql_kafka_send(sender->kafka->rk, topic, record, NULL)) == RD_KAFKA_RESP_ERR__QUEUE_FULL)
        rd_kafka_poll(sender->kafka->rk, POLL_MS);
    rd_kafka_poll(sender->kafka->rk, 0);
    if (!code) return 0;
    pql_kafka_fail(err, code, NULL);
    pql_err_prefix(err, "%s[%" PRId32 "]: ", topic, record->partition);
    return -1;
}

int pql_kafka_sender_finish(struct pql_kafka_sender *sender, uint64_t *delivered, struct pql_err *err)
{
    rd_kafka_resp_err_t code = rd_kafka_flush(sender->kafka->rk, FINISH_MS);
    *delivered = sender->delivered;
    if (code) return pql_kafka_fail(err, code, NULL);
    if (!sender->failed) return 0;
    *err = sender->first;
    return -1;
}
