/* look_json.h - what a look at a subject found (core/look.h) as one JSON object: the answer of the admin
 * endpoint. Each definition carries the record that a refresh would publish now, in the form of the state
 * topic, and beside each row of its evidence what a record does not say. Thread: any. */
#ifndef PQL_APP_LOOK_JSON_H
#define PQL_APP_LOOK_JSON_H

#include "core/look.h"

/* Appends it without a line end. now_ms: wall clock. */
void pql_look_json(const struct pql_look *look, int32_t partition, int64_t now_ms, struct pql_buf *out);

#endif
