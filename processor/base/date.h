/* date.h - days and dates of the proleptic Gregorian calendar, without the C library's. Heap: none. Thread:
 * any. */
#ifndef PQL_BASE_DATE_H
#define PQL_BASE_DATE_H

#include <stdint.h>

enum { PQL_DAY_MS = 86400000 };

/* Days since 1970-01-01 of a valid date; month 1 to 12. */
int64_t pql_days_of_date(int64_t year, int month, int day);
void pql_date_of_days(int64_t days, int64_t *year, int *month, int *day);

/* Rounded towards minus infinity. */
static inline int64_t pql_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

#endif
