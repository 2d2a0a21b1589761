/* kafka_ports.h - struct pql_ports on librdkafka: one consumer of the group, one transactional producer, one
 * plain producer, and a reader per open log.
 *
 *   control thread ──poll── consumer queue: rebalances, errors, end offsets
 *   worker w ──poll── queue w ◄─forwarded─ partition queues of its tasks (of every input)
 *   committer ── transactional producer        workers, committer ── plain producer (also asks the cluster)
 *
 * The group subscribes to the lead topic only; a task's other partitions are added to the assignment here.
 * Source: librdkafka 2.14 INTRODUCTION.md, "Note on Batch consume APIs". */
#ifndef PQL_IO_KAFKA_PORTS_H
#define PQL_IO_KAFKA_PORTS_H

#include "io/kafka_client.h"
#include "io/ports.h"

struct pql_kafka_ports_conf {
    const struct pql_kafka_conf *kafka;
    struct pql_kafka_log log;
    const char *const *inputs; /* topics; 0 is the lead */
    size_t inputs_count;
    const char *outputs[PQL_OUT_COUNT]; /* topics */
    unsigned workers_count;
    uint64_t fetch_bytes; /* that a worker's queue holds at most; 0: as preset */
    uint64_t queue_bytes; /* that a producer's queue holds at most; 0: as preset */
};

struct pql_kafka_ports;

/* Makes consumer and plain producer, without waiting for a broker. conf's texts must outlive it. */
struct pql_kafka_ports *pql_kafka_ports_new(const struct pql_kafka_ports_conf *conf,
                                            struct pql_err *err) PQL_CHECKED;
/* After leave (or instead of it, when the group need not be told) and after the release of every message. */
void pql_kafka_ports_free(struct pql_kafka_ports *ports);

/* The table of functions, with self set; valid until free. */
struct pql_ports pql_kafka_ports_table(struct pql_kafka_ports *ports);

/* The handle for questions to the cluster: pql_kafka_await, pql_kafka_describe … */
struct pql_kafka *pql_kafka_ports_admin(struct pql_kafka_ports *ports);

#endif
