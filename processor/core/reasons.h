/* reasons.h - the stable words by which a record is refused: header pqlstream.error.reason of a dead letter,
 * label of the metric, entry of the journal. One row per reason; a new one is one row. err->reason points to
 * these texts. */
#ifndef PQL_CORE_REASONS_H
#define PQL_CORE_REASONS_H

/* name, text of the word, what it means for the operator */
#define PQL_REASONS(X)                                                                                       \
    X(BAD_FRAMING, "bad_framing", "the bytes do not begin as the configured framing says")                   \
    X(UNKNOWN_SCHEMA, "unknown_schema", "the registry says that there is no such schema")                    \
    X(BAD_AVRO, "bad_avro", "the bytes do not follow the writer's schema")                                   \
    X(BAD_JSON, "bad_json", "the text is not JSON")                                                          \
    X(BAD_CSV, "bad_csv", "the row is not CSV with the columns of its header")                               \
    X(TOMBSTONE, "tombstone", "the record has no value: it says nothing of an event")                        \
    X(NO_EVENT, "no_event", "the mapping's event field is absent")                                           \
    X(NO_ACCOUNT, "no_account", "no path of the mapping's account is present")                               \
    X(NO_USER, "no_user", "this kind of event needs a user")                                                 \
    X(BAD_TIME, "bad_time", "the time is absent or unreadable")                                              \
    X(BAD_KIND, "bad_kind", "the kind is not one that the mapping knows")                                    \
    X(FUTURE_TIME, "future_time", "the time is further ahead than max_future")                               \
    X(TOO_LARGE, "too_large", "an output record would exceed the topic's max.message.bytes")                 \
    X(LATE, "late", "late beyond lateness, and late_policy is dead_letter")

#define PQL_REASON_ENUM(name, word, help) PQL_REJECT_##name,
enum pql_reject { PQL_REASONS(PQL_REASON_ENUM) PQL_REJECT_COUNT };

struct pql_reject_row {
    const char *word, *help;
};
extern const struct pql_reject_row pql_rejects[PQL_REJECT_COUNT];

#endif
