/* workbench_reports.h - what a replay tells of its definitions, as text or, for machines, as one line of
 * JSON. Appended to out. Thread: the replay's. */
#ifndef PQL_APP_WORKBENCH_REPORTS_H
#define PQL_APP_WORKBENCH_REPORTS_H

#include "app/replayer.h"

/* Sign-ups, who qualified, the rate by week of sign-up, by tier and segment; a warning where it is outside
 * 5 to 15 %. is_brief: without the tables. */
void pql_report_summary(const struct pql_replay *replay, bool is_brief, bool as_json, struct pql_buf *out);

/* What a conversion is, and whom it is asked of. */
struct pql_outcomes_conf {
    struct pql_mark *marks; /* outcomes_count of conversions, then the population's if `among` */
    size_t outcomes_count;
    bool by_convert_on; /* each definition is asked by its own names; else by all */
    bool among;
    int64_t horizon_ms;
};
/* Qualified against converted: confusion counts, precision, recall, days to convert, base rate. Qualified is
 * who entered before the first conversion; in time is a conversion up to the horizon after an entry. */
void pql_report_outcomes(const struct pql_replay *replay, const struct pql_outcomes_conf *conf, bool as_json,
                         struct pql_buf *out);

/* Who entered by the one and by the other configuration, definition by definition of one name. The names are
 * how the two are called. */
void pql_report_against(const struct pql_replay *now, const char *now_name, const struct pql_replay *old,
                        const char *old_name, bool as_json, struct pql_buf *out);

/* Members at an instant, one by one as they are refreshed. */
struct pql_members;
struct pql_members *pql_members_new(const struct pql_replay *replay, bool as_json);
void pql_members_take(void *members, const struct pql_record *record);
void pql_members_report(struct pql_members *members, struct pql_buf *out);
void pql_members_free(struct pql_members *members); /* after the engines' last call */

#endif
