/* kafka_merge.h - ranges of partitions, of one topic or several, read as one sequence and outside any group.
 *
 *   range 0  ──own queue──┐
 *   range 1  ──own queue──┼─► the oldest head ─► record
 *   range 2  ──own queue──┘
 *
 * Order: by the broker's timestamp, equal ones by the order of the ranges; within a partition always by
 * offset, a record counting as no older than those before it. So the same ranges give the same sequence, and
 * several topics interleave as they were written. Committed records only. A range ends at its `to`, or
 * earlier where an open transaction holds the rest back. Thread: one. */
#ifndef PQL_IO_KAFKA_MERGE_H
#define PQL_IO_KAFKA_MERGE_H

#include "core/wire/mapping.h"
#include "io/kafka_admin.h"

struct pql_merge_range {
    const char *topic;
    size_t topic_index; /* the caller's; not looked at */
    int32_t partition;
    int64_t from, to; /* offsets; `to` is not read. Replaced by the end where that lies before it */
};

/* The ranges of all partitions of topics, freed by the caller: from the first record of since_ms or later
 * (PQL_NO_TIME: from the first there is) to the first of until_ms or later (PQL_NO_TIME: to the present end).
 * A topic that is not there is an error of class CONFIG. */
int pql_merge_ranges(struct pql_kafka *kafka, const char *const *topics, size_t topics_count,
                     int64_t since_ms, int64_t until_ms, struct pql_merge_range **ranges, size_t *count,
                     int timeout_ms, struct pql_err *err) PQL_CHECKED;
/* How many offsets lie in them: an upper bound of their records. */
uint64_t pql_merge_size(const struct pql_merge_range *ranges, size_t count);

struct pql_merge_record {
    size_t range; /* index of those opened */
    int64_t offset;
    int64_t timestamp_ms; /* PQL_NO_TIME: none */
    bool timestamp_is_append, has_key, has_value;
    struct pql_slice key, value; /* valid until the next call */
};

struct pql_kafka_merge;

/* ranges stay the caller's, and must outlive it; topics must be there. */
struct pql_kafka_merge *pql_kafka_merge_open(const struct pql_kafka_conf *conf,
                                             const struct pql_kafka_log *log, struct pql_merge_range *ranges,
                                             size_t count, struct pql_err *err) PQL_CHECKED;
void pql_kafka_merge_close(struct pql_kafka_merge *merge);

/* 1: a record. 0: the end of all ranges. -1: RETRY after a minute without any record, else as the class says;
 * the message names topic and partition. */
int pql_kafka_merge_next(struct pql_kafka_merge *merge, struct pql_merge_record *record,
                         struct pql_err *err) PQL_CHECKED;

/* Headers of the last record: array in the arena, texts valid until the next call. A header without value has
 * an empty one. */
void pql_kafka_merge_headers(const struct pql_kafka_merge *merge, struct pql_arena *arena,
                             const struct pql_header **headers, size_t *count);

#endif
