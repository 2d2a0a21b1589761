#include "app/period.h"

#include "core/lang/lang.h"
#include "core/wire/rfc3339.h"

bool pql_instant_parse(const char *text, int64_t now_ms, int64_t *ms)
{
    int64_t ago_ms;
    if (pql_time_parse(pql_slice_of(text), ms)) return *ms >= 0;
    if (!pql_duration_parse(pql_slice_of(text), &ago_ms)) return false;
    *ms = ago_ms < now_ms ? now_ms - ago_ms : 0;
    return true;
}

static bool read_flag(const char *command, const char *name, const char *text, int64_t now_ms, int64_t *ms)
{
    *ms = PQL_NO_TIME;
    if (!text || pql_instant_parse(text, now_ms, ms)) return true;
    fprintf(
        stderr,
        "pqlstream %s: %s %s: must be a duration such as 30d, a date such as 2026-03-01, or a time with its "
        "offset such as 2026-03-01T09:00:00Z\n",
        command, name, text);
    return false;
}

bool pql_period_read(const struct pql_period_flags *flags, const char *command, int64_t now_ms,
                     int64_t *since_ms, int64_t *until_ms)
{
    if (!read_flag(command, "--since", flags->since, now_ms, since_ms) ||
        !read_flag(command, "--until", flags->until, now_ms, until_ms))
        return false;
    if (*since_ms == PQL_NO_TIME || *until_ms == PQL_NO_TIME || *since_ms < *until_ms) return true;
    fprintf(stderr, "pqlstream %s: --until %s does not lie behind --since %s\n", command, flags->until,
            flags->since);
    return false;
}
