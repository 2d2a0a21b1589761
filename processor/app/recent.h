/* recent.h - the last transitions and dead letters of a process, for people who look on: two rings of fixed
 * size. Where a dead letter lies is kept, not what is in it. Made only where somebody may ask. Thread: any; a
 * lock of its own, taken once per record. */
#ifndef PQL_APP_RECENT_H
#define PQL_APP_RECENT_H

#include "core/record.h"

enum {
    PQL_RECENT_RECORDS = 100,
    PQL_RECENT_LETTERS = 20,
    PQL_RECENT_ID_MAX = 160,
};

/* Texts are cut to what fits. */
struct pql_recent_record {
    char definition[64], account[PQL_RECENT_ID_MAX], user[PQL_RECENT_ID_MAX], words[256], tier[32];
    enum pql_transition transition;
    enum pql_subject subject;
    enum pql_reason reason;
    bool is_shadow;
    int64_t occurred_ms, made_ms;
};

struct pql_recent_letter {
    const char *topic; /* lives as long as the pipeline */
    char reason[32];
    int32_t partition;
    int64_t offset, at_ms;
};

struct pql_recent;
struct pql_recent *pql_recent_new(void);
void pql_recent_free(struct pql_recent *recent); /* NULL is fine, here and where something is noted */

/* Entered, left, tier_changed, missed and sla_breached are kept. */
void pql_recent_note(struct pql_recent *recent, const struct pql_record *record, int64_t now_ms);
void pql_recent_refused(struct pql_recent *recent, const char *reason, const char *topic, int32_t partition,
                        int64_t offset, int64_t now_ms);

/* A copy, the newest first; freed with free. */
struct pql_recent_view {
    struct pql_recent_record records[PQL_RECENT_RECORDS];
    struct pql_recent_letter letters[PQL_RECENT_LETTERS];
    size_t records_count, letters_count;
};
struct pql_recent_view *pql_recent_view(struct pql_recent *recent);

#endif
