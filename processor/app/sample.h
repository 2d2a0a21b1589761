/* sample.h - whole accounts out of a stream of events: those whose id has the smallest hash, so that two
 * samples of one topic hold the same accounts, and no account only a part of its events.
 *
 * The limits hold at every moment: where one is passed, the account of the largest hash is given up, and
 * never comes again. Only where a single account alone passes it, its later events are left out. What belongs
 * to no account is always kept. Owner and thread: one. */
#ifndef PQL_APP_SAMPLE_H
#define PQL_APP_SAMPLE_H

#include "base/slice.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pql_sample_limits {
    uint64_t accounts, records, bytes;
    uint64_t hash; /* accounts above it are not looked at; UINT64_MAX: all are */
};

struct pql_sample_record {
    uint64_t number; /* in the order given */
    uint32_t schema; /* the caller's */
    struct pql_slice place, value;
    struct pql_sample_record *next; /* of the same account */
};

struct pql_sample;

struct pql_sample *pql_sample_new(const struct pql_sample_limits *limits);
void pql_sample_free(struct pql_sample *sample);

/* account empty: of none. Texts are copied. */
void pql_sample_add(struct pql_sample *sample, struct pql_slice account, uint32_t schema,
                    struct pql_slice place, struct pql_slice value);

/* What is kept, in the order given; the array is freed by the caller, the records live as long as the sample.
 */
const struct pql_sample_record **pql_sample_records(const struct pql_sample *sample, size_t *count);

struct pql_sample_stats {
    uint64_t accounts, records, bytes;
    uint64_t left_out; /* records of accounts that are not kept */
    bool is_cut;       /* the one account that is kept has more */
};
struct pql_sample_stats pql_sample_stats(const struct pql_sample *sample);

/* "20": so many accounts; "2%": that share of them. False if it is neither. */
bool pql_sample_parse(const char *text, struct pql_sample_limits *limits);

#endif
