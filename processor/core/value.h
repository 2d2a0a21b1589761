/* value.h - a value known only when an event or an evaluation is at hand. Plain data, 32 bytes; texts are
 * views. */
#ifndef PQL_CORE_VALUE_H
#define PQL_CORE_VALUE_H

#include "base/decimal.h"
#include "base/slice.h"

enum pql_kind {
    PQL_NULL, /* absent, empty, not a value */
    PQL_BOOL,
    PQL_NUMBER,   /* decimal, 6 places */
    PQL_TEXT,     /* bytes, normally UTF-8 */
    PQL_DURATION, /* milliseconds */
    PQL_TIME,     /* milliseconds since 1970-01-01T00:00Z */
};

struct pql_value {
    enum pql_kind kind;
    union {
        bool boolean;
        pql_decimal number;
        struct pql_slice text;
        int64_t ms;
    };
};

static inline struct pql_value pql_null(void)
{
    return (struct pql_value){.kind = PQL_NULL};
}
static inline struct pql_value pql_bool(bool b)
{
    return (struct pql_value){.kind = PQL_BOOL, .boolean = b};
}
static inline struct pql_value pql_number(pql_decimal n)
{
    return (struct pql_value){.kind = PQL_NUMBER, .number = n};
}
static inline struct pql_value pql_text(struct pql_slice text)
{
    return (struct pql_value){.kind = PQL_TEXT, .text = text};
}
static inline struct pql_value pql_duration(int64_t ms)
{
    return (struct pql_value){.kind = PQL_DURATION, .ms = ms};
}
static inline struct pql_value pql_time(int64_t ms)
{
    return (struct pql_value){.kind = PQL_TIME, .ms = ms};
}

/* Open values (properties, attributes): a number is needed. True if the value is one, or a boolean, or a text
 * that is wholly a decimal number. */
bool pql_value_as_number(const struct pql_value *value, pql_decimal *out);
/* True only for the boolean true and the text 'true'. */
bool pql_value_holds(const struct pql_value *value);

/* The same kind and content; null is the same as null. */
bool pql_value_same(const struct pql_value *a, const struct pql_value *b);

/* Canonical text, by which distinct, by and spread compare: 7, 7.0 and '7' are one value. An empty slice for
 * null. The text is a view of the value or of scratch. */
struct pql_slice pql_value_canonical(const struct pql_value *value, char scratch[PQL_DECIMAL_TEXT_MAX]);

/* How two values relate where the text of the definition says that one side is `known` (PQL_NULL: both are
 * open): -1, 0, 1 as ordered; PQL_DIFFERENT: not equal, without order (`!=` holds, `<` does not);
 * PQL_UNKNOWN: every comparison is false, `!=` too, since a side is null or cannot be read as `known`. So an
 * open '7' is the number 7, but 7 is not the text '7'. */
enum { PQL_DIFFERENT = 2, PQL_UNKNOWN = 3 };
int pql_value_relate(const struct pql_value *a, const struct pql_value *b, enum pql_kind known);

/* Of two open values. `=`, by the rules of open values: null equals nothing. */
bool pql_value_equal(const struct pql_value *a, const struct pql_value *b);
/* -1, 0, 1, or 2 where the two cannot be ordered (then every comparison is false). */
int pql_value_compare(const struct pql_value *a, const struct pql_value *b);

#endif
