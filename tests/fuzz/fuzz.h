/* fuzz.h - what a fuzz target is: LLVMFuzzerTestOneInput, called with bytes from nowhere. It returns 0, or
 * the process has crashed. Built by clang with libFuzzer (./dev fuzz), and in every other build with
 * replay.c, which gives it the files of its corpus: tests/fuzz/corpus/NAME. */
#ifndef PQL_TESTS_FUZZ_H
#define PQL_TESTS_FUZZ_H

#include "base/slice.h"
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Cuts off what stands before the first `end`, or all. */
static inline struct pql_slice fuzz_take(struct pql_slice *rest, char end)
{
    const char *at = rest->len ? memchr(rest->ptr, end, rest->len) : NULL;
    struct pql_slice head = {rest->ptr, at ? (size_t)(at - rest->ptr) : rest->len};
    *rest = at ? (struct pql_slice){at + 1, rest->len - head.len - 1}
               : (struct pql_slice){rest->ptr + rest->len, 0};
    return head;
}

/* A claim that holds whatever the bytes are. */
#define FUZZ_CHECK(claim)                                                                                    \
    do {                                                                                                     \
        if (claim) break;                                                                                    \
        fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #claim);                            \
        abort();                                                                                             \
    } while (0)

#endif
