/* event_source.h - the events of the inputs' topics, read outside any group and decoded as run decodes them:
 * for the tools that want what run would see.
 *
 *   partitions of the inputs ─► kafka_merge.h ─► decoder of the input ─► event, or why it cannot be used
 *
 * Thread: one. */
#ifndef PQL_APP_EVENT_SOURCE_H
#define PQL_APP_EVENT_SOURCE_H

#include "app/inputs.h"
#include "io/kafka_merge.h"

struct pql_event_source;

struct pql_source_event {
    struct pql_merge_record record;
    const char *topic;
    size_t input; /* of the configuration */
    int32_t partition;
    bool is_refused; /* then refusal says why, and event means nothing */
    struct pql_err refusal;
    struct pql_event event; /* views are valid until the next call */
};

/* input: the index of one, or PQL_ALL_INPUTS, which must have equal partition counts. Times as in
 * pql_merge_ranges. setup must outlive it. Waits for the cluster. */
#define PQL_ALL_INPUTS SIZE_MAX
struct pql_event_source *pql_event_source_open(const struct pql_setup *setup, size_t input, int64_t since_ms,
                                               int64_t until_ms, struct pql_err *err) PQL_CHECKED;
void pql_event_source_close(struct pql_event_source *source);

size_t pql_event_source_partitions(const struct pql_event_source *source); /* of each input */
uint64_t
pql_event_source_size(const struct pql_event_source *source); /* offsets, an upper bound of records */

/* 1: a record, used or refused. 0: the end. -1: neither broker nor registry can be waited for any longer. */
int pql_event_source_next(struct pql_event_source *source, struct pql_source_event *out,
                          struct pql_err *err) PQL_CHECKED;

/* Of the last record, whatever became of it. Arrays live until the next call. */
void pql_event_source_headers(struct pql_event_source *source, const struct pql_header **headers,
                              size_t *count);
/* Of the last record, which is Avro and was not refused: the writer's schema (valid as long as the source)
 * and the bytes behind the framing. */
int pql_event_source_payload(struct pql_event_source *source, const struct pql_source_event *event,
                             struct pql_slice *schema, struct pql_slice *payload,
                             struct pql_err *err) PQL_CHECKED;

#endif
