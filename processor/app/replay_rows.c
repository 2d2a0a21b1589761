#include "app/replay_rows.h"

#include "core/reasons.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

void pql_rows_init(struct pql_rows *rows, FILE *file, bool is_csv)
{
    *rows = (struct pql_rows){.file = file, .is_csv = is_csv, .capacity = CHUNK};
    rows->bytes = pql_xmalloc(rows->capacity);
}

void pql_rows_deinit(struct pql_rows *rows)
{
    free(rows->bytes);
    *rows = (struct pql_rows){0};
}

/* Reads more behind what is there. */
static int fill(struct pql_rows *rows, struct pql_err *err)
{
    memmove(rows->bytes, rows->bytes + rows->begin, rows->end - rows->begin);
    rows->end -= rows->begin;
    rows->begin = 0;
    if (rows->end > PQL_ROW_MAX)
        return PQL_FAIL(err, PQL_ERR_FATAL, "line %llu is longer than %d bytes",
                        (unsigned long long)rows->lines_done + 1, PQL_ROW_MAX);
    if (rows->capacity - rows->end < CHUNK) {
        rows->capacity *= 2;
        rows->bytes = pql_xrealloc(rows->bytes, rows->capacity);
    }
    size_t got = fread(rows->bytes + rows->end, 1, rows->capacity - rows->end, rows->file);
    rows->end += got;
    rows->at_end = got == 0;
    if (got == 0 && ferror(rows->file))
        return PQL_FAIL(err, PQL_ERR_FATAL, "cannot read: %s", strerror(errno));
    return 0;
}

/* Where the row ends: its newline, or NULL if that is not read yet. */
static const char *row_end(const struct pql_rows *rows)
{
    const char *at = rows->bytes + rows->begin, *end = rows->bytes + rows->end;
    if (!rows->is_csv) return memchr(at, '\n', (size_t)(end - at));
    bool is_quoted = false;
    for (; at < end; at++) {
        if (*at == '"')
            is_quoted = !is_quoted;
        else if (*at == '\n' && !is_quoted)
            return at;
    }
    return NULL;
}

static void take(struct pql_rows *rows, const char *end, size_t skip, struct pql_slice *row)
{
    const char *begin = rows->bytes + rows->begin;
    size_t len = (size_t)(end - begin);
    rows->line = rows->lines_done + 1;
    rows->lines_done += 1;
    for (const char *at = begin; rows->is_csv && (at = memchr(at, '\n', (size_t)(end - at))); at++)
        rows->lines_done++;
    rows->begin += len + skip;
    rows->bytes_done += len + skip;
    if (len && begin[len - 1] == '\r') len--;
    *row = (struct pql_slice){begin, len};
}

int pql_rows_next(struct pql_rows *rows, struct pql_slice *row, struct pql_err *err)
{
    for (;;) {
        const char *end = row_end(rows);
        if (!end && !rows->at_end) {
            if (fill(rows, err) != 0) return -1;
            continue;
        }
        if (!end && rows->begin == rows->end) return 0;
        take(rows, end ? end : rows->bytes + rows->end, end ? 1 : 0, row);
        if (row->len) return 1;
    }
}

static int bad_row(struct pql_err *err, const char *what)
{
    pql_err_set(err, PQL_ERR_RECORD, __FILE__, __LINE__, "%s", what);
    err->reason = pql_rejects[PQL_REJECT_BAD_CSV].word;
    return -1;
}

/* The cell that begins behind the quote at `at`; returns the byte behind its closing quote, or NULL. */
static const char *quoted_cell(const char *at, const char *end, struct pql_arena *scratch,
                               struct pql_slice *cell)
{
    char *out = pql_arena_alloc(scratch, (size_t)(end - at) + 1);
    size_t len = 0;
    for (at++; at < end; at++) {
        if (*at == '"' && (at + 1 == end || at[1] != '"')) {
            *cell = (struct pql_slice){out, len};
            return at + 1;
        }
        out[len++] = *at;
        if (*at == '"') at++;
    }
    return NULL;
}

int pql_csv_cells(struct pql_slice row, struct pql_arena *scratch, struct pql_slice *cells, size_t *count,
                  struct pql_err *err)
{
    const char *at = row.ptr, *end = row.ptr + row.len;
    for (*count = 0;; at++) {
        if (*count == PQL_CELLS_MAX) return bad_row(err, "more cells than a row may have");
        struct pql_slice *cell = &cells[(*count)++];
        if (at < end && *at == '"') {
            at = quoted_cell(at, end, scratch, cell);
            if (!at) return bad_row(err, "a quote has no end");
            if (at < end && *at != ',') return bad_row(err, "text follows a closing quote");
        } else {
            const char *comma = memchr(at, ',', (size_t)(end - at));
            *cell = (struct pql_slice){at, (size_t)((comma ? comma : end) - at)};
            at += cell->len;
        }
        if (at == end) return 0;
    }
}
