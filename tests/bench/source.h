/* source.h - the events of the reference job: event i is a pure function of (seed, i, events, accounts),
 * integers only, so that another program makes the same ones and every run can be checked by a digest.
 *
 *   30 days from 2026-01-01, twelve names (14 % project_created, 14 % invite_sent), ten users per account (or
 * as many as asked for), 5 % of events without user, 99 % at most a second late and 1 % up to six hours (or
 * none); accounts skewed (N u²) or uniform.
 *
 * Thread: any. */
#ifndef PQL_BENCH_SOURCE_H
#define PQL_BENCH_SOURCE_H

#include "base/buf.h"
#include "core/event.h"

struct source {
    uint64_t seed, events;
    uint64_t span_ms; /* how long all of them take; 0: 30 days */
    uint64_t count;   /* only so many of them come, the first ones; 0: all */
    uint32_t accounts;
    uint32_t users; /* of an account; 0: ten */
    bool is_uniform;
    bool is_ordered; /* none is late */
};

/* What of event i an engine wants; texts lie in it. */
struct source_event {
    char account[12],
        user[17];     /* "acct-0012345"; "user-0012345" and one digit, or five where users are said */
    uint8_t user_len; /* 0: without one */
    uint8_t name;     /* of source_names */
    int64_t time_ms;
};

enum { SOURCE_NAMES = 12 };
extern const char *const source_names[SOURCE_NAMES];

/* An option --seed, --events, --span, --count, --accounts or --users with its value, --uniform or --ordered,
 * at *at; *at is moved to its last word. False: it is another one. */
bool source_option(struct source *source, int argc, char **argv, int *at);

void source_event(const struct source *source, uint64_t i, struct source_event *out);
/* The event as the engine takes it: views of *from. */
struct pql_event source_view(const struct source_event *from);

/* The record that a producer writes for event i: five bytes with the id of the schema, then Avro with an id,
 * a map of three properties and all of the above; 189 bytes on average. Appended to out. */
void source_value(const struct source *source, uint64_t i, uint32_t schema_id, struct pql_buf *out);

/* The numbers in its account and user. */
uint32_t source_account_number(const struct source_event *event);
uint32_t source_user_number(const struct source_event *event);

/* The digest of a set of transitions is the sum of these: of "account|1|ms" for one that entered,
 * "account|0|ms" for one that left. */
uint64_t source_hash(struct pql_slice account, bool entered, int64_t at_ms);

#endif
