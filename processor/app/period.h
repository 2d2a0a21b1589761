/* period.h - the flags --since and --until of the commands that read topics. */
#ifndef PQL_APP_PERIOD_H
#define PQL_APP_PERIOD_H

#include "app/cli.h"
#include "core/record.h"

struct pql_period_flags {
    const char *since, *until;
};
#define PQL_PERIOD_FLAGS(flags)                                                                              \
    {"--since",                                                                                              \
     0,                                                                                                      \
     PQL_FLAG_TEXT,                                                                                          \
     "TIME",                                                                                                 \
     "from then on, by the broker's time: 30d (ago), 2026-03-01, 2026-03-01T09:00Z; else all there is",      \
     &(flags)->since},                                                                                       \
    {                                                                                                        \
        "--until", 0, PQL_FLAG_TEXT, "TIME", "up to then; else to the end as it is at the start",            \
            &(flags)->until                                                                                  \
    }

/* PQL_NO_TIME where a flag is not given. False: told on standard error, with the command's name. */
bool pql_period_read(const struct pql_period_flags *flags, const char *command, int64_t now_ms,
                     int64_t *since_ms, int64_t *until_ms);

/* "30d": so long before now; a date or time as in rfc3339.h. */
bool pql_instant_parse(const char *text, int64_t now_ms, int64_t *ms);

#endif
