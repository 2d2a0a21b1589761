/* progress.h - how far a long piece of work is, on standard error: one line that is written over on a
 * terminal, a plain line every ten seconds elsewhere. Time is a parameter. Thread: one. */
#ifndef PQL_APP_PROGRESS_H
#define PQL_APP_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct pql_progress {
    const char *what; /* "replay" */
    const char *unit; /* "events" */
    uint64_t total;   /* of `done` below; 0: unknown, no percentage and no time left */
    bool is_terminal;
    int64_t begun_ms, shown_ms;
    bool has_line; /* one is on the terminal */
};

void pql_progress_init(struct pql_progress *progress, const char *what, const char *unit, uint64_t total,
                       int64_t now_ms);
/* count: units so far; done: part of total. Writes if it is time to. */
void pql_progress_show(struct pql_progress *progress, uint64_t count, uint64_t done, int64_t now_ms);
/* Removes the line on the terminal, so that what follows begins on its own. */
void pql_progress_clear(struct pql_progress *progress);

/* "1,234,567" into out; returns out. */
enum { PQL_COUNT_TEXT_MAX = 32 };
const char *pql_count_text(uint64_t count, char out[PQL_COUNT_TEXT_MAX]);

#endif
