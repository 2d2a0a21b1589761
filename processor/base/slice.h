/* slice.h - text from outside: pointer and length, no terminating NUL, any bytes. Never owns. */
#ifndef PQL_BASE_SLICE_H
#define PQL_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct pql_slice {
    const char *ptr;
    size_t len;
};

/* For printf("%.*s", PQL_SLICE_ARG(s)). */
#define PQL_SLICE_ARG(s) (int)(s).len, (s).ptr
#define PQL_SLICE_LITERAL(text) ((struct pql_slice){(text), sizeof(text) - 1})

static inline struct pql_slice pql_slice_of(const char *text)
{
    return (struct pql_slice){text, text ? strlen(text) : 0};
}

static inline bool pql_slice_eq(struct pql_slice a, struct pql_slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool pql_slice_is(struct pql_slice a, const char *text)
{
    return pql_slice_eq(a, pql_slice_of(text));
}

/* Order by bytes, the shorter first where one begins the other. */
static inline int pql_slice_cmp(struct pql_slice a, struct pql_slice b)
{
    size_t n = a.len < b.len ? a.len : b.len;
    int c = n ? memcmp(a.ptr, b.ptr, n) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

#endif
