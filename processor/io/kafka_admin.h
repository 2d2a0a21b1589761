/* kafka_admin.h - questions to the cluster and what is done to topics: each call waits for its answer.
 *
 * Any handle may be used. What a broker cannot answer (an embedded mock, Kafka before 2.8) comes back as
 * "unknown": an empty text, a false `known`; never as an error. Every call ends within timeout_ms, or a
 * little later. Thread: any; librdkafka's handles are. */
#ifndef PQL_IO_KAFKA_ADMIN_H
#define PQL_IO_KAFKA_ADMIN_H

#include "io/kafka_client.h"

enum { PQL_KAFKA_TOPIC_ID_MAX = 24 }; /* 16 bytes in base64, and NUL */

struct pql_kafka_topic {
    bool exists, denied; /* denied: the broker refuses to say (rights) */
    bool rights_known, may_read, may_write, may_delete;
    int32_t partitions;
    int32_t replicas;                /* of partition 0 */
    char id[PQL_KAFKA_TOPIC_ID_MAX]; /* "" unknown */
};

/* Describes `count` topics; out[i] is names[i]'s. */
int pql_kafka_describe(struct pql_kafka *kafka, const char *const *names, size_t count,
                       struct pql_kafka_topic *out, int timeout_ms, struct pql_err *err) PQL_CHECKED;

/* One of the topics that not every broker knows, or NULL: the next request may go to any of them. A broker
 * that does not answer is left out. */
int pql_kafka_find_unknown(struct pql_kafka *kafka, const char *const *names, size_t count,
                           const char **unknown, int timeout_ms, struct pql_err *err) PQL_CHECKED;

/* A setting of a topic, as the broker has it (or "": unknown to it, or it cannot be asked). */
enum { PQL_KAFKA_SETTING_MAX = 64 };
struct pql_kafka_setting {
    const char *name;
    char value[PQL_KAFKA_SETTING_MAX];
};
/* Fills the values. *known: whether the broker answered the question at all. */
int pql_kafka_settings(struct pql_kafka *kafka, const char *topic, struct pql_kafka_setting *settings,
                       size_t count, bool *known, int timeout_ms, struct pql_err *err) PQL_CHECKED;

struct pql_kafka_new_topic {
    const char *name;
    int32_t partitions;
    int32_t replicas;                       /* -1: the broker's default */
    const struct pql_kafka_extra *settings; /* ends with name NULL; may be NULL */
};
/* One topic; that it is there already is no error. */
int pql_kafka_create_topic(struct pql_kafka *kafka, const struct pql_kafka_new_topic *topic, int timeout_ms,
                           struct pql_err *err) PQL_CHECKED;
/* One topic; that it is not there is no error. */
int pql_kafka_delete_topic(struct pql_kafka *kafka, const char *topic, int timeout_ms,
                           struct pql_err *err) PQL_CHECKED;

/* Removes the records of a partition before `offset`. */
int pql_kafka_delete_records(struct pql_kafka *kafka, const char *topic, int32_t partition, int64_t offset,
                             int timeout_ms, struct pql_err *err) PQL_CHECKED;

/* One partition, with what is asked: PQL_KAFKA_EARLIEST, PQL_KAFKA_LATEST (after the last record, committed
 * or not), or a time in ms: the first offset of that timestamp or later, the end where there is none. */
#define PQL_KAFKA_LATEST INT64_C(-1)
#define PQL_KAFKA_EARLIEST INT64_C(-2)
struct pql_kafka_offset {
    const char *topic;
    int32_t partition;
    int64_t offset; /* replaced by the answer */
};
int pql_kafka_offsets(struct pql_kafka *kafka, struct pql_kafka_offset *offsets, size_t count, int timeout_ms,
                      struct pql_err *err) PQL_CHECKED;

/* --- committed offsets of a group without members --- */

struct pql_kafka_commit {
    const char *topic;
    int32_t partition;
    int64_t offset;
    const char *metadata;
};
/* Sets them. CONFIG where the group has members. */
int pql_kafka_commit_group(struct pql_kafka *kafka, const char *group, const struct pql_kafka_commit *commits,
                           size_t count, int timeout_ms, struct pql_err *err) PQL_CHECKED;
/* Removes them; that there are none is no error. CONFIG where the group has members. */
int pql_kafka_forget_group(struct pql_kafka *kafka, const char *group, const struct pql_kafka_commit *commits,
                           size_t count, int timeout_ms, struct pql_err *err) PQL_CHECKED;

/* --- who of a group has a partition now --- */

struct pql_kafka_owner {
    bool is_known;      /* false: nobody, or the broker does not say */
    char instance[128]; /* group.instance.id; "": it has none */
    char host[128];     /* as the broker sees it */
};
int pql_kafka_owner(struct pql_kafka *kafka, const char *group, const char *topic, int32_t partition,
                    struct pql_kafka_owner *out, int timeout_ms, struct pql_err *err) PQL_CHECKED;

#endif
