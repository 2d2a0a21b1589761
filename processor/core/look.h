/* look.h - one account or user as it is now, for a person who asks: where it stands with every definition and
 * why, what is missing, and when that changes by itself. Reads only: the state, its timers and its pages stay
 * as they are. Thread: the task's. */
#ifndef PQL_CORE_LOOK_H
#define PQL_CORE_LOOK_H

#include "base/memory.h"
#include "core/engine.h"

/* Why somebody does not enter though the condition holds, or would if it did. */
enum pql_hold {
    PQL_HOLD_NONE,
    PQL_HOLD_NO_MEMBER,    /* the user is no member of the account */
    PQL_HOLD_INELIGIBLE,   /* `eligible` does not hold */
    PQL_HOLD_CONVERTED,    /* until an outcome reopens it */
    PQL_HOLD_DISQUALIFIED, /* until a time */
    PQL_HOLD_COOLDOWN,     /* until a time */
    PQL_HOLD_STAY,         /* `stay` does not hold */
    PQL_HOLD_COUNT,
};
extern const char *const pql_hold_names[PQL_HOLD_COUNT];

/* Beside a row of evidence. */
struct pql_look_row {
    struct pql_slice condition;  /* all of it: "count(invite_sent, 7d) >= 2" */
    struct pql_slice comparison; /* ">="; empty: a bare boolean */
    int64_t next_ms;             /* when its value changes, or its window closes, by itself; PQL_NO_TIME */
};

struct pql_look_definition {
    const struct pql_definition_conf *conf;
    /* As a refresh would tell it now, of non-members too: transition snapshot, no event id, no source. Its
     * reason_text says of a member why, else what is missing. */
    struct pql_record record;
    const struct pql_look_row *rows; /* record.evidence_count */
    enum pql_hold hold;              /* of who is no member */
    int64_t hold_until_ms;           /* PQL_NO_TIME: no time ends it */
    int64_t leaves_ms; /* `stay` has failed and min_stay holds the member so long; PQL_NO_TIME */
};

enum { PQL_LOOK_USERS_MAX = 100 };

/* Views of the state and of the arena: until the engine's next call. */
struct pql_look {
    struct pql_slice account, user; /* user empty: the account itself */
    int64_t as_of_ms, clock_ms;     /* all up to this instant has happened; the task's clock */
    int64_t start_ms;               /* PQL_NO_TIME: none */
    bool signed_up, is_member;      /* is_member: of a user */
    struct pql_look_definition *definitions;
    size_t definitions_count;
    uint32_t users_count, members_count; /* of an account, as are: */
    struct pql_slice *users;             /* the first ones that appeared */
    size_t users_shown;
};

enum pql_looked { PQL_LOOK_FOUND, PQL_LOOK_NO_ACCOUNT, PQL_LOOK_NO_USER };

/* user empty: the account. An id that was joined to another means that other user. */
enum pql_looked pql_engine_look(const struct pql_engine *engine, struct pql_slice account,
                                struct pql_slice user, struct pql_arena *arena, struct pql_look *look);

#endif
