/* kafka_parts.h - what the files behind kafka_ports.h share. Each part fills its rows of the table and owns
 * its member of struct pql_kafka_ports. Included by io/kafka_*.c only. */
#ifndef PQL_IO_KAFKA_PARTS_H
#define PQL_IO_KAFKA_PARTS_H

#include "core/record.h"
#include "io/kafka_ports.h"
#include <librdkafka/rdkafka.h>

struct pql_kafka_ports {
    struct pql_kafka_ports_conf conf;
    int64_t batch_bytes;             /* what is sent at once at most */
    struct pql_kafka_source *source; /* kafka_source.c: group, messages */
    struct pql_kafka_txn *txn;       /* kafka_txn.c: transactions */
    struct pql_kafka_plain *plain;   /* kafka_plain.c: lanes */
};

int pql_kafka_source_new(struct pql_kafka_ports *ports, struct pql_err *err) PQL_CHECKED;
void pql_kafka_source_free(struct pql_kafka_source *source);
void pql_kafka_source_fill(struct pql_ports *table);
/* The consumer, for commits and the group's metadata. */
rd_kafka_t *pql_kafka_source_rk(struct pql_kafka_source *source);
/* As of the last group_facts, or NULL. */
const rd_kafka_consumer_group_metadata_t *pql_kafka_source_metadata(const struct pql_kafka_source *source);

void pql_kafka_txn_new(struct pql_kafka_ports *ports);
void pql_kafka_txn_free(struct pql_kafka_txn *txn);
void pql_kafka_txn_fill(struct pql_ports *table);

int pql_kafka_plain_new(struct pql_kafka_ports *ports, struct pql_err *err) PQL_CHECKED;
void pql_kafka_plain_free(struct pql_kafka_plain *plain);
/* Once batch_bytes is known. */
int pql_kafka_plain_resize(struct pql_kafka_plain *plain, struct pql_err *err) PQL_CHECKED;
void pql_kafka_plain_fill(struct pql_ports *table);
struct pql_kafka *pql_kafka_plain_handle(struct pql_kafka_plain *plain);

void pql_kafka_log_fill(struct pql_ports *table); /* kafka_log.c: reading and trimming the checkpoint topic */
void pql_kafka_facts_fill(struct pql_ports *table); /* kafka_facts.c: offsets and topics */

/* Positions as librdkafka's list, in the same order, with offsets as they are and metadata where
 * `with_metadata`. The caller destroys it. */
rd_kafka_topic_partition_list_t *pql_kafka_list(const struct pql_kafka_ports *ports,
                                                const struct pql_position *positions, size_t count,
                                                bool with_metadata);

/* Sends one record to a topic; opaque comes back in the delivery callback. */
rd_kafka_resp_err_t pql_kafka_send(rd_kafka_t *rk, const char *topic, const struct pql_out_record *record,
                                   void *opaque);

/* Headers of a message: views of the client's memory, array in the arena. */
void pql_kafka_headers(const rd_kafka_message_t *message, struct pql_arena *arena,
                       const struct pql_header **headers, size_t *count);

/* The stable word of an error that would come again, or NULL. */
const char *pql_kafka_reason(int code);

/* Fills err from a code outside transactions, reason included; returns -1. */
int pql_kafka_fail(struct pql_err *err, int code, const char *text);

#endif
