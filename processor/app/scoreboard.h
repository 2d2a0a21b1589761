/* scoreboard.h - how definitions do, counted for monitoring: who qualified and converted, by definition,
 * version and segment; who is a member, by definition; sign-ups. Counted per record and per sign-up, never
 * per event. Counters begin at zero with the process; members are counted anew from the state of every task
 * that becomes live. Thread: any; a lock of its own. */
#ifndef PQL_APP_SCOREBOARD_H
#define PQL_APP_SCOREBOARD_H

#include "core/engine.h"
#include "core/reasons.h"

/* Days from entering to converting up to which a conversion counts in a bucket; the last one has no end. */
enum { PQL_CONVERT_BUCKETS = 7 };
extern const int pql_convert_days[PQL_CONVERT_BUCKETS - 1];

struct pql_scoreboard_row {
    struct pql_slice definition, segment; /* segment empty: none */
    int32_t version;
    enum pql_subject subject;
    uint64_t qualified, converted, unforeseen; /* entries; conversions of members; of others */
    uint64_t days[PQL_CONVERT_BUCKETS];        /* conversions of members, by bucket */
    double days_sum;
};

struct pql_scoreboard_definition {
    struct pql_slice definition;
    int32_t version; /* of its last entry */
    enum pql_subject subject;
    int64_t members;
    int64_t day;    /* UTC, since 1970, of `today` */
    uint64_t today; /* live entries of that day */
    double usual;   /* their mean over the days before, as far as this process saw them whole; 0: unknown */
    uint64_t days;  /* how many those are */
    int64_t warned; /* the day of the last warning */
    uint64_t transitions[PQL_TRANSITION_COUNT];
};

/* Members of a definition in a tier; empty: it has none. */
struct pql_scoreboard_tier {
    size_t definition; /* of the view's definitions */
    struct pql_slice tier;
    int64_t members;
};

struct pql_scoreboard;
struct pql_scoreboard *pql_scoreboard_new(void);
void pql_scoreboard_free(struct pql_scoreboard *board);

/* The task's members, from its state; and that they are counted here no more. */
void pql_scoreboard_begin(struct pql_scoreboard *board, int32_t partition, const struct pql_engine *engine);
void pql_scoreboard_end(struct pql_scoreboard *board, int32_t partition);

/* A live record of the task. Warns in the log, once a day, when a definition's live entries of a day are
 * twice what is usual. */
void pql_scoreboard_record(struct pql_scoreboard *board, int32_t partition, const struct pql_record *record,
                           int64_t now_ms);
void pql_scoreboard_signed_up(struct pql_scoreboard *board, enum pql_subject subject);
/* A dead letter, by its reason (reasons.h). */
void pql_scoreboard_refused(struct pql_scoreboard *board, const char *reason);
/* Somebody converted who is no member. */
void pql_scoreboard_unforeseen(struct pql_scoreboard *board, const struct pql_definition_conf *conf);

/* Copies, freed by the caller with pql_scoreboard_view_free; texts live as long as the board. */
struct pql_scoreboard_view {
    struct pql_scoreboard_row *rows;
    size_t rows_count;
    struct pql_scoreboard_definition *definitions;
    size_t definitions_count;
    struct pql_scoreboard_tier *tiers; /* with a tier, in the order in which they were met */
    size_t tiers_count;
    uint64_t sign_ups[2];               /* by subject */
    uint64_t refused[PQL_REJECT_COUNT]; /* by reason */
};
struct pql_scoreboard_view pql_scoreboard_view(struct pql_scoreboard *board);
void pql_scoreboard_view_free(struct pql_scoreboard_view *view);

#endif
