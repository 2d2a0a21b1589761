#include "io/kafka_mock.h"
#include "base/memory.h"
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdlib.h>

enum { CODES_MAX = 64 };

struct pql_kafka_mock {
    rd_kafka_t *rk; /* owns the cluster's thread; never connects */
    rd_kafka_mock_cluster_t *cluster;
    int brokers_count;
};

struct pql_kafka_mock *pql_kafka_mock_new(int brokers_count, struct pql_err *err)
{
    char text[300];
    struct pql_kafka_mock *mock = pql_xcalloc(1, sizeof(*mock));
    mock->brokers_count = brokers_count;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, NULL); /* it would say that it has no broker to connect to */
    mock->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, text, sizeof(text));
    if (!mock->rk) {
        rd_kafka_conf_destroy(conf);
        PQL_FAIL(err, PQL_ERR_FATAL, "embedded broker: %s", text);
        goto fail;
    }
    mock->cluster = rd_kafka_mock_cluster_new(mock->rk, brokers_count);
    if (!mock->cluster) {
        PQL_FAIL(err, PQL_ERR_FATAL, "embedded broker: it could not be started on 127.0.0.1");
        goto fail;
    }
    rd_kafka_mock_group_initial_rebalance_delay_ms(mock->cluster, 0);
    return mock;
fail:
    pql_kafka_mock_free(mock);
    return NULL;
}

void pql_kafka_mock_free(struct pql_kafka_mock *mock)
{
    if (!mock) return;
    if (mock->cluster) rd_kafka_mock_cluster_destroy(mock->cluster);
    if (mock->rk) rd_kafka_destroy(mock->rk);
    free(mock);
}

const char *pql_kafka_mock_bootstrap(const struct pql_kafka_mock *mock)
{
    return rd_kafka_mock_cluster_bootstraps(mock->cluster);
}

int pql_kafka_mock_create_topic(struct pql_kafka_mock *mock, const char *topic, int partitions,
                                struct pql_err *err)
{
    rd_kafka_resp_err_t code =
        rd_kafka_mock_topic_create(mock->cluster, topic, partitions, mock->brokers_count);
    return code ? PQL_FAIL(err, PQL_ERR_FATAL, "%s: %s", topic, rd_kafka_err2str(code)) : 0;
}

void pql_kafka_mock_fail(struct pql_kafka_mock *mock, int16_t api_key, size_t count, int code)
{
    rd_kafka_resp_err_t codes[CODES_MAX];
    PQL_ASSERT(count <= CODES_MAX);
    for (size_t i = 0; i < count; i++) codes[i] = (rd_kafka_resp_err_t)code;
    rd_kafka_mock_push_request_errors_array(mock->cluster, api_key, count, codes);
}

/* The mock itself answers for any group at any broker. */
void pql_kafka_mock_coordinate(struct pql_kafka_mock *mock, const char *group, int32_t from, int32_t to)
{
    enum { OFFSET_FETCH = 9 };
    rd_kafka_mock_coordinator_set(mock->cluster, "group", group, to);
    for (int i = 0; i < CODES_MAX && from; i++)
        rd_kafka_mock_broker_push_request_error_rtts(mock->cluster, from, OFFSET_FETCH, 1,
                                                     RD_KAFKA_RESP_ERR_NOT_COORDINATOR, 0);
}

void pql_kafka_mock_down(struct pql_kafka_mock *mock)
{
    for (int i = 1; i <= mock->brokers_count; i++) rd_kafka_mock_broker_set_down(mock->cluster, i);
}

void pql_kafka_mock_up(struct pql_kafka_mock *mock)
{
    for (int i = 1; i <= mock->brokers_count; i++) rd_kafka_mock_broker_set_up(mock->cluster, i);
}

void pql_kafka_mock_delay(struct pql_kafka_mock *mock, int ms)
{
    for (int i = 1; i <= mock->brokers_count; i++) rd_kafka_mock_broker_set_rtt(mock->cluster, i, ms);
}
