/* rfc3339.h - instants as text, without the C library's calendar. Milliseconds since 1970-01-01T00:00Z,
 * proleptic Gregorian calendar, years 0000 to 9999. Heap: none. Thread: any. */
#ifndef PQL_CORE_WIRE_RFC3339_H
#define PQL_CORE_WIRE_RFC3339_H

#include "base/slice.h"
#include <stdint.h>

#define PQL_TIME_MIN_MS INT64_C(-62167219200000) /* 0000-01-01T00:00:00.000Z */
#define PQL_TIME_MAX_MS INT64_C(253402300799999) /* 9999-12-31T23:59:59.999Z */

/* `YYYY-MM-DD`, which is 00:00 UTC of that day, or `YYYY-MM-DDThh:mm[:ss[.fraction]]` and an offset `Z`,
 * `+hh:mm`,
 * `+hhmm` or `+hh` (ISO 8601 and RFC 3339; a space or t for T, z for Z). Digits beyond the millisecond are
 * cut. The second 60 is the first of the next minute. False for anything else, a time without offset
 * included. */
bool pql_time_parse(struct pql_slice text, int64_t *ms);

/* The same; and a time without offset is UTC. */
bool pql_time_parse_utc(struct pql_slice text, int64_t *ms);

/* "2026-03-01T12:30:00.000Z"; a time beyond the limits is written as the limit. Returns the length. */
enum { PQL_TIME_TEXT_MAX = 32 };
size_t pql_time_text(int64_t ms, char out[PQL_TIME_TEXT_MAX]);

#endif
