/* kafka_tail.h - reads topics as a consumer of them would: committed records, from the first one on, outside
 * any group. For what is shown to people. Thread: one. */
#ifndef PQL_IO_KAFKA_TAIL_H
#define PQL_IO_KAFKA_TAIL_H

#include "io/kafka_client.h"

struct pql_kafka_tail;

struct pql_tail_record {
    size_t topic; /* index of those opened */
    int32_t partition;
    int64_t offset;
    struct pql_slice key, value; /* valid until the next read */
};

/* The topics must be there. */
struct pql_kafka_tail *pql_kafka_tail_open(const struct pql_kafka_conf *conf, const struct pql_kafka_log *log,
                                           const char *const *topics, size_t count,
                                           struct pql_err *err) PQL_CHECKED;
void pql_kafka_tail_close(struct pql_kafka_tail *tail);

/* True: a record. False: none within the time (faults of the connection pass by themselves). */
bool pql_kafka_tail_read(struct pql_kafka_tail *tail, int timeout_ms, struct pql_tail_record *record);
/* Value of a header of the last record read, or an empty slice. */
struct pql_slice pql_kafka_tail_header(const struct pql_kafka_tail *tail, const char *name);

#endif
