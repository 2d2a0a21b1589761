/* replay_rows.h - the records of a text file, one at a time: lines (JSON) or rows of CSV (RFC 4180: quoted
 * cells may hold line ends, "" is a quote). Views live until the next call. Owner and thread: one. */
#ifndef PQL_APP_REPLAY_ROWS_H
#define PQL_APP_REPLAY_ROWS_H

#include "base/err.h"
#include "base/memory.h"
#include <stdint.h>
#include <stdio.h>

enum { PQL_ROW_MAX = 16 * 1024 * 1024, PQL_CELLS_MAX = 4096 };

struct pql_rows {
    FILE *file; /* the caller's */
    bool is_csv;
    char *bytes;
    size_t begin, end, capacity; /* what is read and not yet given */
    bool at_end;
    uint64_t lines_done; /* for messages: the row given last begins on line `line` */
    uint64_t line;
    uint64_t bytes_done;
};

void pql_rows_init(struct pql_rows *rows, FILE *file, bool is_csv);
void pql_rows_deinit(struct pql_rows *rows);

/* 1: a row without its line end; empty lines are left out. 0: the end. -1: the file cannot be read, or a row
 * is longer than PQL_ROW_MAX (class FATAL). */
int pql_rows_next(struct pql_rows *rows, struct pql_slice *row, struct pql_err *err) PQL_CHECKED;

/* The cells of a row, at most PQL_CELLS_MAX; quoted ones are undone in scratch. Class RECORD where a quote
 * has no end or something follows it. */
int pql_csv_cells(struct pql_slice row, struct pql_arena *scratch, struct pql_slice *cells, size_t *count,
                  struct pql_err *err) PQL_CHECKED;

#endif
