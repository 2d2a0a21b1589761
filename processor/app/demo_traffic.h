/* demo_traffic.h - believable product traffic of a few thousand accounts: trials that go quiet, teams that
 * grow, heavy users, some that leave, and now and then a record that nobody could use. Events come in order
 * of their time and are the same for the same seed. Pure but for memory. Thread: one. */
#ifndef PQL_APP_DEMO_TRAFFIC_H
#define PQL_APP_DEMO_TRAFFIC_H

#include "base/buf.h"
#include <stdint.h>

struct pql_traffic_conf {
    uint64_t seed;
    size_t accounts;
    int64_t from_ms, to_ms; /* of event time */
};

struct pql_traffic;
struct pql_traffic *pql_traffic_new(const struct pql_traffic_conf *conf);
void pql_traffic_free(struct pql_traffic *traffic);

/* Event time of the next record, or to_ms at the end. */
int64_t pql_traffic_next_ms(const struct pql_traffic *traffic);

/* Writes the next record: key (the account's id) and value (JSON in the program's own form; every few
 * thousandth is broken on purpose). False at the end. */
bool pql_traffic_write(struct pql_traffic *traffic, struct pql_buf *key, struct pql_buf *value);

#endif
