/* The first connection: waited for, unless it can never be. */
#include "io/kafka_client.h"
#include "io/kafka_refusal.h"

#include <librdkafka/rdkafka.h>
#include <stdio.h>
#include <time.h>

static void poll_callbacks(struct pql_kafka *kafka)
{
    if (rd_kafka_type(kafka->rk) == RD_KAFKA_PRODUCER) {
        rd_kafka_poll(kafka->rk, 0);
        return;
    }
    rd_kafka_message_t *message = rd_kafka_consumer_poll(kafka->rk, 0);
    if (message) rd_kafka_message_destroy(message);
}

/* In steps of 50 ms, so that a signal is heard. */
static bool pause_or_stop(int64_t pause_ms, bool (*should_stop)(void *), void *context)
{
    for (; pause_ms > 0; pause_ms -= 50) {
        if (should_stop && should_stop(context)) return true;
        nanosleep(&(struct timespec){.tv_nsec = 50 * 1000000L}, NULL);
    }
    return should_stop && should_stop(context);
}

int pql_kafka_await(struct pql_kafka *kafka, int attempts_max, bool (*should_stop)(void *context),
                    void *context, struct pql_err *err)
{
    int64_t pause_ms = 500;
    const struct pql_kafka_property *property = pql_kafka_find_property(kafka->conf, "bootstrap.servers");
    const char *brokers = property ? property->value : "";
    for (int attempt = 1;; attempt++) {
        const struct rd_kafka_metadata *metadata = NULL;
        rd_kafka_resp_err_t code = rd_kafka_metadata(kafka->rk, 0, NULL, &metadata, 3000);
        if (code == RD_KAFKA_RESP_ERR_NO_ERROR) {
            rd_kafka_metadata_destroy(metadata);
            return 0;
        }
        poll_callbacks(kafka);
        char why[400];
        struct pql_kafka_attempt made = {.said = why};
        made.code = pql_kafka_last_said(kafka, why, sizeof why, &made.certificate);
        if (pql_kafka_refused(kafka->conf, &made, err)) return -1;
        if (!why[0])
            snprintf(why, sizeof why, "%s: %s%s", brokers, rd_kafka_err2str(code),
                     code == RD_KAFKA_RESP_ERR__TRANSPORT
                         ? "; where it hangs up, its listener may want another security_protocol"
                         : "");
        if (attempts_max && attempt >= attempts_max)
            return PQL_FAIL(err, PQL_ERR_RETRY, "no broker of '%s' answers: %s", brokers, why);
        pql_kafka_log_printf(&kafka->log, 4, "no broker of '%s' answers (%s); trying again in %.1f s",
                             brokers, why, (double)pause_ms / 1000);
        if (pause_or_stop(pause_ms, should_stop, context))
            return PQL_FAIL(err, PQL_ERR_RETRY, "stopped while waiting for a broker of '%s'", brokers);
        pause_ms = pause_ms * 2 > 15000 ? 15000 : pause_ms * 2;
    }
}
