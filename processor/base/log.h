/* log.h - logfmt on standard error, one event a line, written at once:
 *
 *   ts=2026-11-22T12:24:03.127Z level=info msg="partition taken" topic=product-events partition=3 lag=1702
 *
 * Who may log: app, and io at debug; base and core return what happened. Never in a line: ids or properties
 * of users and accounts, secrets. Thread: any. Heap: none; a line longer than PQL_LOG_LINE_MAX ends in "…".
 */
#ifndef PQL_BASE_LOG_H
#define PQL_BASE_LOG_H

#include "base/err.h"
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum pql_log_level { PQL_LOG_DEBUG, PQL_LOG_INFO, PQL_LOG_WARN, PQL_LOG_ERROR, PQL_LOG_LEVEL_COUNT };
extern const char *const pql_log_level_names[PQL_LOG_LEVEL_COUNT];

enum { PQL_LOG_LINE_MAX = 4096 };

/* Lines below it are dropped; info unless set. */
void pql_log_set_level(enum pql_log_level level);
bool pql_log_wants(enum pql_log_level level);

/* `fields` is "key=%s key=%d …", a printf format whose conversions are quoted and escaped one by one where
 * logfmt needs it. Known: %s %.*s %d %i %u %x %c with no modifier, l, ll, z, j; %f %g with precision; %%. */
void pql_log(enum pql_log_level level, const char *msg, const char *fields, ...) PQL_PRINTF(3, 4);
void pql_log_text(enum pql_log_level level, const char *msg); /* no fields */

/* One call site that may fire often: at most PQL_LOG_BURST lines in PQL_LOG_WINDOW_MS of the caller's clock;
 * the first line after a pause tells how many were left out (`dropped=`). */
enum { PQL_LOG_BURST = 5, PQL_LOG_WINDOW_MS = 10000 };
struct pql_log_site {
    int64_t window_ms; /* when the window began */
    uint32_t lines, dropped;
    bool started;
};
/* Whether the caller may write now; *dropped: how many were left out since the last line. Thread: any. */
bool pql_log_allow(struct pql_log_site *site, int64_t now_ms, uint32_t *dropped);

#define PQL_LOG_LIMITED(now_ms, level, msg, fields, ...)                                                     \
    do {                                                                                                     \
        static struct pql_log_site pql_log_site_;                                                            \
        uint32_t pql_log_dropped_;                                                                           \
        if (pql_log_allow(&pql_log_site_, (now_ms), &pql_log_dropped_))                                      \
            pql_log((level), (msg), fields " dropped=%u", __VA_ARGS__, pql_log_dropped_);                    \
    } while (0)

/* The line as pql_log writes it, newline included; returns its length. */
size_t pql_log_line(char out[PQL_LOG_LINE_MAX], int64_t ts_ms, enum pql_log_level level, const char *msg,
                    const char *fields, va_list args);

#endif
