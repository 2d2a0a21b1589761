/* sample_place.h - where a record of a sample was on its topic, and what it had beside its value: so that a
 * replay of the sample is one of the topic. A JSON object: the first member of each line of a JSON sample,
 *
 *   {"pqlstream_place": {"topic": "events", "partition": 3, "offset": 17, "timestamp": 1700000000123, "key":
 * "A-1"}, "event": "login", …}
 *
 * or, for a container file, a line for each datum in its metadata (PQL_OCF_PLACES). */
#ifndef PQL_APP_SAMPLE_PLACE_H
#define PQL_APP_SAMPLE_PLACE_H

#include "base/buf.h"
#include "core/wire/mapping.h"

#define PQL_PLACE_BEGIN "{\"pqlstream_place\": "

struct pql_sample_place {
    struct pql_slice topic;
    int32_t partition;
    int64_t offset, timestamp_ms; /* PQL_NO_TIME: none */
    bool has_key;
    struct pql_slice key;
    const struct pql_header *headers;
    size_t headers_count;
};

void pql_sample_place_put(const struct pql_sample_place *place, struct pql_buf *out);

struct pql_sample_place_reader;

/* in_row: of rows that begin with PQL_PLACE_BEGIN, else of the objects alone. */
struct pql_sample_place_reader *pql_sample_place_reader_new(bool in_row);
void pql_sample_place_reader_free(struct pql_sample_place_reader *reader);
/* False: the text holds no place. Views live in text and scratch. */
bool pql_sample_place_read(const struct pql_sample_place_reader *reader, struct pql_slice text,
                           struct pql_arena *scratch, struct pql_sample_place *place);

#endif
