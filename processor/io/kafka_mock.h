/* kafka_mock.h - librdkafka's embedded mock cluster: brokers inside this process on 127.0.0.1, for the demo
 * and tests. It keeps 5 MB per partition in memory and stores no transactional offsets: exactly once cannot
 * be shown on it. It does not wake a waiting fetch when a record arrives, so its clients want
 * fetch.wait.max.ms of 10 at most, and is_mock in their configuration. */
#ifndef PQL_IO_KAFKA_MOCK_H
#define PQL_IO_KAFKA_MOCK_H

#include "base/err.h"
#include <stddef.h>
#include <stdint.h>

struct pql_kafka_mock;

struct pql_kafka_mock *pql_kafka_mock_new(int brokers_count, struct pql_err *err) PQL_CHECKED;
void pql_kafka_mock_free(struct pql_kafka_mock *mock); /* after its clients */
const char *pql_kafka_mock_bootstrap(const struct pql_kafka_mock *mock);

int pql_kafka_mock_create_topic(struct pql_kafka_mock *mock, const char *topic, int partitions,
                                struct pql_err *err) PQL_CHECKED;

/* The next `count` answers to requests of this kind (Kafka's API key) carry this error code. */
void pql_kafka_mock_fail(struct pql_kafka_mock *mock, int16_t api_key, size_t count, int code);
/* Broker `to` (1, 2 …) is the group's coordinator from now on; `from`, if not 0, says when it is asked for
 * offsets, the next 64 times, that it is none. */
void pql_kafka_mock_coordinate(struct pql_kafka_mock *mock, const char *group, int32_t from, int32_t to);
/* Every broker goes away (connections are refused), or comes back. */
void pql_kafka_mock_down(struct pql_kafka_mock *mock);
void pql_kafka_mock_up(struct pql_kafka_mock *mock);
/* Every answer takes this long. */
void pql_kafka_mock_delay(struct pql_kafka_mock *mock, int ms);

#endif
