/* kafka_conf.h - what the configuration says about Kafka: plain data, filled by io/config (or a test), read
 * by io/kafka_*. Texts belong to whoever filled the struct and must outlive the handles made from it. */
#ifndef PQL_IO_KAFKA_CONF_H
#define PQL_IO_KAFKA_CONF_H

#include <stdbool.h>
#include <stddef.h>

enum pql_kafka_side { PQL_KAFKA_BOTH_SIDES, PQL_KAFKA_CONSUMER_SIDE, PQL_KAFKA_PRODUCER_SIDE };

/* Who assigns partitions: the members, cooperative-sticky, or the broker (KIP-848, Kafka 4.0 and later). */
enum pql_group_protocol { PQL_GROUP_CLASSIC, PQL_GROUP_CONSUMER };

/* A property of librdkafka, passed through, with the place it was written at for messages. */
struct pql_kafka_property {
    const char *name;  /* librdkafka's: "security.protocol" */
    const char *value; /* may be a secret: never printed */
    enum pql_kafka_side side;
    const char *file; /* NULL: not from a file */
    int line, column; /* 0: unknown */
};

struct pql_kafka_conf {
    const struct pql_kafka_property *properties; /* "bootstrap.servers" among them; a later one wins */
    size_t properties_count;
    const char *app;      /* group.id, and the beginning of transactional.id and client.id */
    const char *instance; /* group.instance.id, and a stable transactional.id; NULL: drawn once per process */
    int group_protocol;   /* enum pql_group_protocol */
    bool is_mock;         /* librdkafka's mock cluster: it cannot be asked for topic ids and settings */
};

#endif
