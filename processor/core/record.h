/* record.h - one output of the engine: a transition (or a refreshed state) with its reason in numbers. The
 * fields are those of schemas/qualification/v1.avsc, in its order. Plain data; views are valid during the
 * engine's emit call. */
#ifndef PQL_CORE_RECORD_H
#define PQL_CORE_RECORD_H

#include "core/value.h"

enum pql_subject { PQL_SUBJECT_USER, PQL_SUBJECT_ACCOUNT };
enum pql_transition {
    PQL_ENTERED,
    PQL_LEFT,
    PQL_TIER_CHANGED,
    PQL_SCORE_CHANGED,
    PQL_MISSED,
    PQL_SLA_BREACHED,
    PQL_SNAPSHOT,
    PQL_TRANSITION_COUNT,
};
enum pql_status { PQL_NOT_YET, PQL_QUALIFIED, PQL_STATUS_LEFT, PQL_STATUS_MISSED, PQL_STATUS_COUNT };
enum pql_reason {
    PQL_REASON_CONDITION, /* also the reason of entering */
    PQL_REASON_EXPIRED,
    PQL_REASON_DECAYED,
    PQL_REASON_INELIGIBLE,
    PQL_REASON_DISQUALIFIED,
    PQL_REASON_CONVERTED,
    PQL_REASON_DEFINITION_CHANGED,
    PQL_REASON_DEFINITION_REMOVED,
    PQL_REASON_MERGED,
    PQL_REASON_FORGOTTEN,
    PQL_REASON_COUNT,
};
enum pql_origin {
    PQL_ORIGIN_LIVE,
    PQL_ORIGIN_BACKFILL,
    PQL_ORIGIN_DEFINITION_CHANGE,
    PQL_ORIGIN_REFRESH,
    PQL_ORIGIN_COUNT
};

/* The words of the enums as they are published. */
extern const char *const pql_subject_names[2];
extern const char *const pql_transition_names[PQL_TRANSITION_COUNT];
extern const char *const pql_status_names[PQL_STATUS_COUNT];
extern const char *const pql_reason_names[PQL_REASON_COUNT];
extern const char *const pql_origin_names[PQL_ORIGIN_COUNT];

/* Times in ms; INT64_MIN stands for "absent" in every optional time. */
#define PQL_NO_TIME INT64_MIN

/* One comparison or bare boolean call of the condition, in text order. */
struct pql_evidence {
    struct pql_slice signal;     /* normalised text of the left side: "count(invite_sent, first 7d)" */
    struct pql_value value;      /* NUMBER -> value; other kinds -> value_text; null -> both null */
    struct pql_value threshold;  /* likewise; null: a bare boolean */
    struct pql_slice comparison; /* ">=", "=", ...; empty: a bare boolean */
    bool met;
    bool has_points;
    pql_decimal points;
    int64_t first_at, last_at; /* of the occurrences counted, or PQL_NO_TIME */
    struct pql_slice window;   /* "first 7d", or empty */
    bool approximate, at_least;
};

struct pql_attribute {
    struct pql_slice name; /* "user.role" */
    struct pql_value value;
};

struct pql_record {
    char event_id[37]; /* UUID text */
    struct pql_slice definition;
    int32_t definition_version;
    struct pql_slice definition_hash; /* hex */
    bool is_shadow; /* of a shadow definition: where it goes, no field of what is published */
    enum pql_subject subject;
    struct pql_slice account_id;
    struct pql_slice user_id; /* empty: absent */
    enum pql_transition transition;
    enum pql_status status, previous_status;
    enum pql_reason reason;
    struct pql_slice reason_text;         /* at most 255 bytes of valid UTF-8 */
    struct pql_slice tier, previous_tier; /* empty: absent */
    bool has_score, has_previous_score;
    pql_decimal score, previous_score;
    const struct pql_evidence *evidence;
    size_t evidence_count;
    const struct pql_slice *missing; /* texts of what is not met yet */
    size_t missing_count;
    bool has_members; /* members, qualified_members and share are present together (conditions with share or
                         members) */
    int64_t members, qualified_members;
    pql_decimal share;
    int64_t first_qualified_at, qualified_at, left_at, expires_at; /* optional */
    int64_t qualification_count;
    struct pql_slice route, segment, motion, priority; /* empty: absent */
    int64_t sla_due_at;                                /* optional */
    enum pql_origin origin;
    int64_t complete_since; /* optional */
    int64_t occurred_at;    /* event time of the change */
    int64_t clock;          /* `seen` of the task */
    int64_t version;
    bool has_source; /* false where only timers acted */
    uint32_t source_input;
    int32_t source_partition;
    int64_t source_offset;
    struct pql_slice source_message_id; /* empty: absent */
    const struct pql_attribute *attributes;
    size_t attributes_count;
    /* produced_at is not of the engine: who writes the record adds it. */
};

#endif
