/* kafka_refusal.h - broker and client are both there and do not come together: TLS or SASL. Waiting does not
 * help, so it is said at once, with the place of the setting that decides it and what to do:
 *
 *   acme.conf:4:13: cannot use the broker: 10.0.0.1:9093: user or password is wrong (…); …
 *
 * Where a connection is only closed in silence, the listener is asked what it speaks (kafka_speaks.h).
 * Thread: any. Heap: none. */
#ifndef PQL_IO_KAFKA_REFUSAL_H
#define PQL_IO_KAFKA_REFUSAL_H

#include "base/err.h"
#include "io/kafka_conf.h"

/* What is known of a failed attempt. */
struct pql_kafka_attempt {
    int code;         /* librdkafka's, of `said` */
    const char *said; /* its words, or "" */
    int certificate;  /* what OpenSSL had against the broker's certificate, or 0 */
};

/* -1 and *err of class CONFIG where waiting is in vain, else 0. Takes up to two seconds of asking around. */
int pql_kafka_refused(const struct pql_kafka_conf *conf, const struct pql_kafka_attempt *attempt,
                      struct pql_err *err) PQL_CHECKED;

/* The value of librdkafka's property that all roles have, or NULL. */
const struct pql_kafka_property *pql_kafka_find_property(const struct pql_kafka_conf *conf, const char *name);

#endif
