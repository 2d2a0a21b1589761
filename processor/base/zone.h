/* zone.h - a time zone of the IANA database, and the calendar in it. Read once from the system's compiled
 * files (TZif, RFC 8536), then plain data: nothing here asks the machine where it stands.
 *
 *   offset        | -4:56 |    -5:00    |  -4:00  |  -5:00  | ...    one row per transition; beyond the
 * file's from (UTC)          1883          1918      1918              own rows its rule, for 400 years: the
 *                                                                  calendar repeats after that
 *
 * NULL is UTC everywhere. A calendar day starts at the first instant that has its local date, so that days
 * are intervals, also where a clock is set back over midnight. Weeks start on Monday.
 * Owner: the arena given. Thread: any, read only. */
#ifndef PQL_BASE_ZONE_H
#define PQL_BASE_ZONE_H

#include "base/err.h"
#include "base/memory.h"
#include <stdint.h>

struct pql_zone;

/* The zone of that name; *zone is NULL for UTC. PQL_ERR_CONFIG: no such zone (with the nearest name), or its
 * file is damaged. Folder: $TZDIR, else /usr/share/zoneinfo. */
int pql_zone_load(struct pql_slice name, struct pql_arena *arena, const struct pql_zone **zone,
                  struct pql_err *err) PQL_CHECKED;
/* From the bytes of a TZif file. Hostile bytes are an error, never more. */
int pql_zone_parse(struct pql_slice name, struct pql_slice bytes, struct pql_arena *arena,
                   const struct pql_zone **zone, struct pql_err *err) PQL_CHECKED;

struct pql_slice pql_zone_name(const struct pql_zone *zone);
/* Canonical: equal texts are equal zones, whatever the database's edition or form. It has a space, a name has
 * none. */
struct pql_slice pql_zone_text(const struct pql_zone *zone, struct pql_arena *arena);
/* The zone of a canonical text. */
int pql_zone_of_text(struct pql_slice text, struct pql_arena *arena, const struct pql_zone **zone,
                     struct pql_err *err) PQL_CHECKED;

/* What clocks on the wall show at t, as if it were UTC. */
int64_t pql_zone_local_ms(const struct pql_zone *zone, int64_t t_ms);

enum pql_calendar { PQL_CALENDAR_DAY, PQL_CALENDAR_WEEK, PQL_CALENDAR_MONTH, PQL_CALENDAR_QUARTER };

/* The number of the day, week, month or quarter that t lies in; the next one is one more. */
int64_t pql_zone_period(const struct pql_zone *zone, enum pql_calendar unit, int64_t t_ms);
/* Its first instant. */
int64_t pql_zone_period_start(const struct pql_zone *zone, enum pql_calendar unit, int64_t number);

#endif
