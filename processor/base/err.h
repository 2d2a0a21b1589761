/* err.h - what went wrong, and what the caller may do about it.
 * A function that can fail returns 0 or -1 and fills a struct pql_err given by the caller. The class is
 * chosen where the fault is known and acted on once, in the pipeline (record: dead letter; retry: wait;
 * abort: produce the epoch again; fatal: stop) or in main (config: exit code 2). Heap: none. Thread: any. */
#ifndef PQL_BASE_ERR_H
#define PQL_BASE_ERR_H

#include <stdarg.h>

enum pql_err_class {
    PQL_ERR_NONE,
    PQL_ERR_RECORD,    /* this record cannot be used */
    PQL_ERR_RETRY,     /* the same call may succeed later */
    PQL_ERR_ABORT_TXN, /* the transaction must be aborted and produced again */
    PQL_ERR_FENCED,    /* the transactional handle is dead; its outcome may be unknown */
    PQL_ERR_CONFIG,    /* the operator must change something before it can work */
    PQL_ERR_FATAL,     /* stop */
};

struct pql_err {
    enum pql_err_class cls;
    const char *reason; /* a stable word from a table (dead letters), or NULL; static storage */
    const char *topic;  /* that the reason is about, or NULL: not known; outlives the error */
    const char *file;
    int line;
    char msg[1000];
};

#define PQL_PRINTF(at, first) __attribute__((format(printf, at, first)))
#define PQL_CHECKED __attribute__((warn_unused_result))

/* Fills *err and returns -1, so that `return PQL_FAIL(err, PQL_ERR_RECORD, "...")` is one line. err may be
 * NULL. */
#define PQL_FAIL(err, cls, ...) pql_err_set((err), (cls), __FILE__, __LINE__, __VA_ARGS__)
int pql_err_set(struct pql_err *err, enum pql_err_class cls, const char *file, int line, const char *format,
                ...) PQL_PRINTF(5, 6);

/* Puts context before the message, as in "product-events[3]@1734: ". */
void pql_err_prefix(struct pql_err *err, const char *format, ...) PQL_PRINTF(2, 3);

/* A bug, never an operating error. Stays on in release builds. */
#define PQL_ASSERT(condition) ((condition) ? (void)0 : pql_assert_failed(#condition, __FILE__, __LINE__))
void pql_assert_failed(const char *condition, const char *file, int line) __attribute__((noreturn));

#endif
