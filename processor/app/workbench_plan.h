/* workbench_plan.h - the flags of replay that ask for a report in the place of records, and what they mean.
 *
 *   flags ─check─► plan ─prepare─► replay ─(events)─► report on standard output
 *
 * Thread: one. */
#ifndef PQL_APP_WORKBENCH_PLAN_H
#define PQL_APP_WORKBENCH_PLAN_H

#include "app/workbench_reports.h"
#include "app/workbench_trace.h"

struct pql_workbench_flags {
    const char *at, *account, *user, *against, *outcomes, *horizon, *among;
    bool trace, summary, as_json;
};
#define PQL_WORKBENCH_FLAGS(flags)                                                                            \
    {"--summary",                                                                                             \
     0,                                                                                                       \
     PQL_FLAG_YES,                                                                                            \
     NULL,                                                                                                    \
     "in the place of records: sign-ups and who qualified, by week, tier and segment",                        \
     &(flags)->summary},                                                                                      \
        {"--at",      0, PQL_FLAG_TEXT, "TIME", "who is qualified then, and why; later events are left out",  \
         &(flags)->at},                                                                                       \
        {"--account", 0, PQL_FLAG_TEXT, "ID", "with --trace: whose evaluations", &(flags)->account},          \
        {"--user", 0, PQL_FLAG_TEXT, "ID", "with --trace: of this user alone", &(flags)->user},               \
        {"--trace",                                                                                           \
         0,                                                                                                   \
         PQL_FLAG_YES,                                                                                        \
         NULL,                                                                                                \
         "every evaluation of an account with the value of each part of the conditions",                      \
         &(flags)->trace},                                                                                    \
        {"--against",                                                                                         \
         0,                                                                                                   \
         PQL_FLAG_TEXT,                                                                                       \
         "FILE",                                                                                              \
         "who entered by both configurations, only by that one, only by --config",                            \
         &(flags)->against},                                                                                  \
        {"--outcomes",                                                                                        \
         0,                                                                                                   \
         PQL_FLAG_MAYBE,                                                                                      \
         "NAME,…",                                                                                            \
         "qualified against converted: by these events or entries into these definitions, else by "           \
         "convert_on",                                                                                        \
         &(flags)->outcomes},                                                                                 \
        {"--horizon",                                                                                         \
         0,                                                                                                   \
         PQL_FLAG_TEXT,                                                                                       \
         "DURATION",                                                                                          \
         "with --outcomes: conversions count so long after an "                                               \
         "entry; else 60d",                                                                                   \
         &(flags)->horizon},                                                                                  \
        {"--among",      0, PQL_FLAG_TEXT, "NAME", "with --outcomes: only those who entered this definition", \
         &(flags)->among},                                                                                    \
    {                                                                                                         \
        "--json", 0, PQL_FLAG_YES, NULL, "the report as JSON", &(flags)->as_json                              \
    }

struct pql_workbench_plan {
    const struct pql_workbench_flags *flags;
    int64_t at_ms;
    struct pql_outcomes_conf outcomes;
    struct pql_members *members;
    struct pql_trace_printer printer;
};

/* Do the flags make sense, together and with these files? An exit code; told on standard error. */
int pql_workbench_check(const struct pql_workbench_flags *flags, char **files, int files_count,
                        struct pql_workbench_plan *plan);
void pql_workbench_plan_deinit(struct pql_workbench_plan *plan);

/* After pql_setup_init, before the first event. An exit code: a name may be wrong. */
int pql_workbench_prepare(struct pql_workbench_plan *plan, struct pql_replay *replay);
/* After the end. old: of --against, else NULL; the names are the paths of the configurations. */
void pql_workbench_report(struct pql_workbench_plan *plan, const struct pql_replay *replay,
                          const char *config_path, const struct pql_replay *old);

#endif
