#include "base/diag.h"

#include "base/secret.h"

#include <stdlib.h>

/* Longer lines are shown around the caret only. */
enum { EXCERPT_MAX = 160, EXCERPT_BEFORE = 60 };

void pql_diags_init(struct pql_diags *diags)
{
    *diags = (struct pql_diags){0};
    pql_arena_init(&diags->arena);
}

void pql_diags_deinit(struct pql_diags *diags)
{
    pql_arena_deinit(&diags->arena);
    free(diags->items);
    *diags = (struct pql_diags){0};
}

static bool same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* A $signal is read at every place of use, and its faults are met as often. */
static bool is_known(const struct pql_diags *diags, const struct pql_diag *diag)
{
    for (size_t i = 0; i < diags->count; i++) {
        const struct pql_diag *other = &diags->items[i];
        if (other->line == diag->line && other->column == diag->column &&
            same_text(other->file, diag->file) && same_text(other->excerpt, diag->excerpt) &&
            same_text(other->message, diag->message))
            return true;
    }
    return false;
}

static void add(struct pql_diags *diags, struct pql_diag diag, const char *format, va_list args)
{
    va_list again;
    va_copy(again, args);
    int len = vsnprintf(NULL, 0, format, again);
    va_end(again);
    size_t size = len < 0 ? 1 : (size_t)len + 1;
    char *message = pql_arena_alloc(&diags->arena, size);
    message[0] = 0;
    vsnprintf(message, size, format, args);
    diag.message = message;
    if (diag.file) diag.file = pql_arena_copy(&diags->arena, pql_slice_of(diag.file)).ptr;
    if (diag.span == 0) diag.span = 1;
    if (diag.severity == PQL_SEVERITY_ERROR) diags->errors_count++;
    if (is_known(diags, &diag)) return;
    diags->items = pql_xgrow(diags->items, &diags->capacity, diags->count + 1, sizeof *diags->items);
    diags->items[diags->count++] = diag;
}

static struct pql_slice line_around(struct pql_slice text, size_t at, int *number)
{
    size_t begin = 0;
    for (size_t i = 0; i < at; i++)
        if (text.ptr[i] == '\n') begin = i + 1, ++*number;
    const char *end = memchr(text.ptr + at, '\n', text.len - at);
    return (struct pql_slice){text.ptr + begin, (end ? (size_t)(end - text.ptr) : text.len) - begin};
}

/* A copy of the line, or that of the message before, if it was about the same one. */
static const char *excerpt_of(struct pql_diags *diags, struct pql_slice line)
{
    const char *last = diags->count ? diags->items[diags->count - 1].excerpt : NULL;
    return last && pql_slice_is(line, last) ? last : pql_arena_copy(&diags->arena, line).ptr;
}

static void place_in_text(struct pql_diags *diags, const struct pql_source *source, size_t at,
                          struct pql_diag *out)
{
    out->line = 1;
    struct pql_slice line =
        source->text.len ? line_around(source->text, at, &out->line) : (struct pql_slice){"", 0};
    out->column = source->text.len ? (int)(source->text.ptr + at - line.ptr) + 1 : 1;
    if (!source->file) out->excerpt = excerpt_of(diags, line);
}

static void place_in_file(const struct pql_source *source, size_t at, size_t span, struct pql_diag *out)
{
    size_t i = source->parts_count - 1;
    while (i && source->parts[i].offset > at) i--;
    const struct pql_source_part *part = &source->parts[i];
    size_t end = i + 1 < source->parts_count ? source->parts[i + 1].offset : source->text.len;
    out->line = part->line;
    out->column = part->column + (int)(at - part->offset);
    if (end > at && span > end - at) out->span = end - at;
}

void pql_diag_source(struct pql_diags *diags, enum pql_severity severity, const struct pql_source *source,
                     size_t at, size_t span, const char *format, ...)
{
    struct pql_diag diag = {.severity = severity, .file = source->file, .span = span};
    if (at > source->text.len) at = source->text.len;
    if (source->parts_count)
        place_in_file(source, at, span, &diag);
    else
        place_in_text(diags, source, at, &diag);
    va_list args;
    va_start(args, format);
    add(diags, diag, format, args);
    va_end(args);
}

void pql_diag_place(struct pql_diags *diags, enum pql_severity severity, const char *file, int line,
                    int column, size_t span, const char *format, ...)
{
    struct pql_diag diag = {.severity = severity, .file = file, .line = line, .column = column, .span = span};
    va_list args;
    va_start(args, format);
    add(diags, diag, format, args);
    va_end(args);
}

static int by_place(const void *left, const void *right)
{
    const struct pql_diag *a = *(const struct pql_diag *const *)left,
                          *b = *(const struct pql_diag *const *)right;
    int c = strcmp(a->file ? a->file : "", b->file ? b->file : "");
    if (c) return c;
    if (a->line != b->line) return a->line < b->line ? -1 : 1;
    if (a->column != b->column) return a->column < b->column ? -1 : 1;
    return (a > b) - (a < b); /* the order of adding */
}

/* The text of line `number`, without its end and secrets, to be freed; NULL if there is none. */
static char *read_line(const char *path, int number)
{
    FILE *file = fopen(path, "r");
    if (!file) return NULL;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t len = -1;
    for (int i = 0; i < number && (len = getline(&line, &capacity, file)) >= 0; i++) continue;
    fclose(file);
    if (len < 0) {
        free(line);
        return NULL;
    }
    if (number == 1 && strncmp(line, "\xef\xbb\xbf", 3) == 0) memmove(line, line + 3, strlen(line + 3) + 1);
    line[strcspn(line, "\r\n")] = 0;
    pql_secret_mask(line);
    return line;
}

static struct pql_slice line_of(struct pql_slice text, int number)
{
    const char *at = text.ptr, *end = text.ptr + text.len, *newline = NULL;
    for (; number > 1 && at < end && (newline = memchr(at, '\n', (size_t)(end - at))); number--)
        at = newline + 1;
    newline = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
    size_t len = (size_t)((newline ? newline : end) - at);
    return (struct pql_slice){at, number > 1 ? 0 : len - (len && at[len - 1] == '\r')};
}

void pql_diags_quote(struct pql_diags *diags, const char *file, struct pql_slice text)
{
    for (size_t i = 0; i < diags->count; i++) {
        struct pql_diag *diag = &diags->items[i];
        bool is_there = diag->file && strcmp(diag->file, file) == 0 && diag->line > 0 && !diag->excerpt;
        if (is_there) diag->excerpt = pql_arena_copy(&diags->arena, line_of(text, diag->line)).ptr;
    }
}

static bool is_continuation(char c)
{
    return ((unsigned char)c & 0xc0) == 0x80;
}

/* The line without its indentation, and under it carets from `column` (bytes, from 1). A tab before the caret
 * stays one, so that both lines are equally wide wherever they are shown. */
static void print_excerpt(const char *line, size_t column, size_t span, FILE *out)
{
    size_t len = strlen(line), at = column - 1, from = strspn(line, " \t"), to = len;
    if (at > len) at = len;
    if (from > at) from = at;
    if (len - from > EXCERPT_MAX) {
        size_t first = from;
        if (at - from > EXCERPT_BEFORE) from = at - EXCERPT_BEFORE;
        if (to - from > EXCERPT_MAX) to = from + EXCERPT_MAX;
        while (from > first && is_continuation(line[from])) from--;
        while (to < len && is_continuation(line[to])) to++;
        fprintf(out, "    %s%.*s%s\n    %s", from > first ? "…" : "", (int)(to - from), line + from,
                to < len ? "…" : "", from > first ? " " : "");
    } else {
        fprintf(out, "    %.*s\n    ", (int)(to - from), line + from);
    }
    for (size_t i = from; i < at; i++)
        if (!is_continuation(line[i])) fputc(line[i] == '\t' ? '\t' : ' ', out);
    fputc('^', out);
    for (size_t i = at + 1; i < to && i < at + span; i++)
        if (!is_continuation(line[i])) fputc('^', out);
    fputc('\n', out);
}

/* As editors count: characters, not bytes. */
static int shown_column(const char *line, int column)
{
    int shown = column;
    for (int i = 0; line && line[i] && i < column - 1; i++) shown -= is_continuation(line[i]);
    return shown;
}

static void print_one(const struct pql_diag *diag, FILE *out)
{
    bool has_column = diag->line > 0 && diag->column > 0;
    char *line = has_column && !diag->excerpt && diag->file ? read_line(diag->file, diag->line) : NULL;
    const char *excerpt = line ? line : diag->excerpt;
    if (diag->file) fprintf(out, "%s:", diag->file);
    if (diag->line > 0) fprintf(out, "%d:", diag->line);
    if (has_column) fprintf(out, "%d:", shown_column(excerpt, diag->column));
    bool placed = diag->file || diag->line > 0;
    fprintf(out, "%s%s%s\n", placed ? " " : "", diag->severity == PQL_SEVERITY_WARNING ? "warning: " : "",
            diag->message);
    if (has_column && excerpt) print_excerpt(excerpt, (size_t)diag->column, diag->span, out);
    free(line);
}

void pql_diags_print(const struct pql_diags *diags, FILE *out)
{
    const struct pql_diag **sorted = pql_xcalloc(diags->count, sizeof *sorted);
    for (size_t i = 0; i < diags->count; i++) sorted[i] = &diags->items[i];
    qsort(sorted, diags->count, sizeof *sorted, by_place);
    for (size_t i = 0; i < diags->count; i++) print_one(sorted[i], out);
    free(sorted);
}

enum { NAME_MAX_COMPARED = 64 };

static unsigned lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
}

/* Edits (insert, delete, change, swap of neighbours) that turn a into b; both at most NAME_MAX_COMPARED. */
static size_t distance(struct pql_slice a, struct pql_slice b)
{
    size_t rows[3][NAME_MAX_COMPARED + 1], *before = rows[0], *last = rows[1], *row = rows[2];
    for (size_t j = 0; j <= b.len; j++) before[j] = last[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t best = last[j - 1] + (lower(a.ptr[i - 1]) != lower(b.ptr[j - 1]));
            if (last[j] + 1 < best) best = last[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            if (i > 1 && j > 1 && lower(a.ptr[i - 1]) == lower(b.ptr[j - 2]) &&
                lower(a.ptr[i - 2]) == lower(b.ptr[j - 1]) && before[j - 2] + 1 < best)
                best = before[j - 2] + 1;
            row[j] = best;
        }
        size_t *oldest = before;
        before = last, last = row, row = oldest;
    }
    return last[b.len];
}

const char *pql_nearest(struct pql_slice name, const char *const *candidates, size_t count)
{
    if (name.len == 0 || name.len > NAME_MAX_COMPARED) return NULL;
    const char *nearest = NULL;
    size_t best = 2 + name.len / 6; /* one more than is taken for a slip */
    for (size_t i = 0; i < count; i++) {
        struct pql_slice candidate = pql_slice_of(candidates[i]);
        if (candidate.len > NAME_MAX_COMPARED) continue;
        size_t edits = distance(name, candidate);
        if (edits < best && edits < candidate.len) best = edits, nearest = candidates[i];
    }
    return nearest;
}
