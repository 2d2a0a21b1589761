/* kafka_sender.h - records to given partitions, for tools: an idempotent producer that says at the end what
 * did not arrive. Thread: one. */
#ifndef PQL_IO_KAFKA_SENDER_H
#define PQL_IO_KAFKA_SENDER_H

#include "io/kafka_client.h"
#include "io/ports.h"

struct pql_kafka_sender;

struct pql_kafka_sender *pql_kafka_sender_open(const struct pql_kafka_conf *conf,
                                               const struct pql_kafka_log *log,
                                               struct pql_err *err) PQL_CHECKED;
void pql_kafka_sender_close(struct pql_kafka_sender *sender);

/* Copies the record (its `output` is not looked at) into the queue, waiting where that is full. */
int pql_kafka_sender_put(struct pql_kafka_sender *sender, const char *topic,
                         const struct pql_out_record *record, struct pql_err *err) PQL_CHECKED;

/* Waits for all acknowledgements. *delivered: how many came, also on -1; the message names the first record
 * that did not arrive. */
int pql_kafka_sender_finish(struct pql_kafka_sender *sender, uint64_t *delivered,
                            struct pql_err *err) PQL_CHECKED;

#endif
