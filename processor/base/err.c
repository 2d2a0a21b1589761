#include "base/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pql_err_set(struct pql_err *err, enum pql_err_class cls, const char *file, int line, const char *format,
                ...)
{
    if (!err) return -1;
    err->cls = cls;
    err->reason = err->topic = NULL;
    err->file = file;
    err->line = line;
    va_list args;
    va_start(args, format);
    vsnprintf(err->msg, sizeof err->msg, format, args);
    va_end(args);
    return -1;
}

void pql_err_prefix(struct pql_err *err, const char *format, ...)
{
    if (!err) return;
    char text[sizeof err->msg];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t used = n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1;
    size_t rest = strlen(err->msg);
    if (rest > sizeof text - 1 - used) rest = sizeof text - 1 - used;
    memcpy(text + used, err->msg, rest);
    text[used + rest] = 0;
    memcpy(err->msg, text, used + rest + 1);
}

void pql_assert_failed(const char *condition, const char *file, int line)
{
    fprintf(stderr, "level=fatal msg=\"assertion failed, this is a bug\" condition=\"%s\" at=%s:%d\n",
            condition, file, line);
    abort();
}
