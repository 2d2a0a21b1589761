/* decimal.h - the one number type of the engine: a decimal with 6 places in a 128-bit integer of millionths.
 * Sums of it do not depend on order. Conversions round half to even; what exceeds PQL_DECIMAL_MAX saturates.
 * Thread: any. Heap: none. No libc float formatting or parsing is used, so results are the same everywhere.
 */
#ifndef PQL_BASE_DECIMAL_H
#define PQL_BASE_DECIMAL_H

#include "base/slice.h"
#include <stdint.h>

__extension__ typedef __int128 pql_decimal;
__extension__ typedef unsigned __int128 pql_udecimal;

#define PQL_DECIMAL_ONE ((pql_decimal)1000000)
/* 10^32 units of one. Two of that size do not fit 128 bits together: the functions below saturate. */
#define PQL_DECIMAL_MAX ((pql_decimal)1000000000000000000LL * 1000000000000000000LL * 100)

static inline pql_decimal pql_decimal_of_int(int64_t value)
{
    return (pql_decimal)value * PQL_DECIMAL_ONE;
}

/* The exact binary value rounded half to even at the sixth place. False for NaN and infinities. */
bool pql_decimal_of_double(double value, pql_decimal *out);
/* Whether a number loses nothing: at most 33 digits before the point and 6 behind it. */
bool pql_decimal_text_fits(struct pql_slice text);
/* `-?digits[.digits]` and nothing else, rounded half to even from its digits; else false. */
bool pql_decimal_of_text(struct pql_slice text, pql_decimal *out);
/* The nearest double; for outputs only. */
double pql_decimal_to_double(pql_decimal value);

pql_decimal pql_decimal_add(pql_decimal a, pql_decimal b);
pql_decimal pql_decimal_mul(pql_decimal a, pql_decimal b);
/* False where b is 0. */
bool pql_decimal_div(pql_decimal a, pql_decimal b, pql_decimal *out);

/* Canonical text: all digits of the integer part, decimals without trailing zeros, "-" before. Returns the
 * length. */
enum { PQL_DECIMAL_TEXT_MAX = 48 };
size_t pql_decimal_text(pql_decimal value, char out[PQL_DECIMAL_TEXT_MAX]);

#endif
