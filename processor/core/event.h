/* event.h - an input record after mapping: what the engine sees. Plain data; all slices and arrays are views
 * that live until the engine call that takes the event returns (the engine copies what it keeps). */
#ifndef PQL_CORE_EVENT_H
#define PQL_CORE_EVENT_H

#include "core/value.h"

enum pql_event_kind {
    PQL_EVENT_TRACK,
    PQL_EVENT_IDENTIFY,
    PQL_EVENT_GROUP,
    PQL_EVENT_LEAVE_GROUP,
    PQL_EVENT_ALIAS,
    PQL_EVENT_OUTCOME,
    PQL_EVENT_FORGET,
    PQL_EVENT_CLOCK,
    PQL_EVENT_KIND_COUNT,
};

extern const char *const pql_event_kind_names[PQL_EVENT_KIND_COUNT];

struct pql_event {
    enum pql_event_kind kind;
    struct pql_slice name;          /* of a track or outcome, after rename; else empty */
    struct pql_slice account;       /* empty: absent */
    struct pql_slice user;          /* empty: absent */
    struct pql_slice previous_user; /* of an alias */
    struct pql_slice id;            /* message id; empty: absent */
    struct pql_value value;         /* of an outcome, or null; for those who count outcomes, not the engine */
    int64_t time_ms;                /* event time, UTC */
    bool is_of_members; /* it named no account: nothing where the user is no member (core/everywhere.c) */
    /* Values of the program's property names (struct pql_names of the program), null where absent. NULL:
     * none. */
    const struct pql_value *properties;
    /* Values of the program's attribute names of the user and of the account; identify sets the former, group
     * the latter. A null value means that this event does not set the attribute. */
    const struct pql_value *user_attributes, *account_attributes;
    /* Where it came from. input is the index of the configuration's input. */
    uint32_t input;
    int32_t partition;
    int64_t offset;
};

/* Names that definitions ask of events, each with the index by which arrays above are read. */
struct pql_names {
    const struct pql_slice *properties; /* dotted names as in `where`: "plan", "device.os" */
    size_t properties_count;
    const struct pql_slice *user_attributes;
    size_t user_attributes_count;
    const struct pql_slice *account_attributes;
    size_t account_attributes_count;
};

#endif
