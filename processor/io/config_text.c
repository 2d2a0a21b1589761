#include "io/config_text.h"

#include "io/config_tree.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct line {
    size_t at; /* where it begins in the bytes */
    const char *file;
    int number;
};

struct pql_config_text {
    struct pql_buf bytes;
    struct line *lines;
    size_t count, capacity;
};

int pql_config_read_file(const char *path, size_t max, struct pql_buf *out, struct pql_err *err)
{
    int result = -1;
    size_t begin = out->len;
    FILE *file = fopen(path, "rb");
    if (!file) return PQL_FAIL(err, PQL_ERR_CONFIG, "%s", strerror(errno));
    for (;;) {
        size_t n = fread(pql_buf_reserve(out, 4096), 1, 4096, file);
        out->len += n;
        if (out->len - begin > max) {
            PQL_FAIL(err, PQL_ERR_CONFIG, "more than %zu bytes", max);
            goto out;
        }
        if (n == 0) break;
    }
    if (ferror(file))
        PQL_FAIL(err, PQL_ERR_CONFIG, "%s", strerror(errno));
    else if (out->len > begin && memchr(out->ptr + begin, 0, out->len - begin))
        PQL_FAIL(err, PQL_ERR_CONFIG, "a NUL byte: this is no text");
    else
        result = 0;
out:
    fclose(file);
    return result;
}

/* --- includes --- */

/* What a line leaves open for the next. */
enum open_thing { OPEN_NOTHING, OPEN_STRING, OPEN_COMMENT };

static enum open_thing open_after(enum open_thing open, const char *at, const char *end)
{
    for (; at < end; at++) {
        bool has_next = at + 1 < end;
        if (open == OPEN_STRING) {
            if (*at == '\\' && has_next)
                at++;
            else if (*at == '"')
                open = OPEN_NOTHING;
        } else if (open == OPEN_COMMENT) {
            if (*at == '*' && has_next && at[1] == '/') open = OPEN_NOTHING, at++;
        } else if (*at == '#' || (*at == '/' && has_next && at[1] == '/')) {
            return OPEN_NOTHING;
        } else if (*at == '/' && has_next && at[1] == '*') {
            open = OPEN_COMMENT;
            at++;
        } else if (*at == '"') {
            open = OPEN_STRING;
        }
    }
    return open;
}

/* The path of `@include "path"`, or an empty slice if the line is something else. */
static struct pql_slice included_path(const char *at, const char *end)
{
    static const char word[] = "@include";
    const struct pql_slice none = {0};
    while (at < end && (*at == ' ' || *at == '\t')) at++;
    if ((size_t)(end - at) < sizeof word || memcmp(at, word, sizeof word - 1) != 0) return none;
    const char *open = memchr(at, '"', (size_t)(end - at));
    const char *close = open ? memchr(open + 1, '"', (size_t)(end - open - 1)) : NULL;
    return close ? (struct pql_slice){open + 1, (size_t)(close - open - 1)} : none;
}

static void add_line(struct pql_config_text *text, const char *file, int number, const char *at,
                     const char *end)
{
    text->lines = pql_xgrow(text->lines, &text->capacity, text->count + 1, sizeof *text->lines);
    text->lines[text->count++] = (struct line){text->bytes.len, file, number};
    pql_buf_put(&text->bytes, at, (size_t)(end - at));
    pql_buf_put(&text->bytes, "\n", 1);
}

struct splice {
    struct pql_config_text *text;
    struct pql_arena *arena;
    struct pql_diags *diags;
    const struct pql_source *asked; /* what names the main file; NULL: the command line */
};

static int splice_file(struct splice *splice, const char *path, struct pql_config_spot by, int depth);

/* Recursion is bounded by depth. */
static int splice_bytes(struct splice *splice, const char *path, struct pql_slice bytes, int depth)
{
    bool has_mark =
        bytes.len >= 3 && memcmp(bytes.ptr, "\xef\xbb\xbf", 3) == 0; /* of UTF-8, as some editors write it */
    const char *at = bytes.ptr + (has_mark ? 3 : 0), *end = bytes.ptr + bytes.len;
    enum open_thing open = OPEN_NOTHING;
    int begun = 0; /* the line of what is open */
    for (int number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        struct pql_slice include = open == OPEN_NOTHING ? included_path(at, stop) : (struct pql_slice){0};
        if (include.len) {
            const char *name = pql_arena_copy(splice->arena, include).ptr;
            struct pql_config_spot here = {path, number, (int)(include.ptr - at) + 1};
            if (splice_file(splice, pql_setting_path(path, name, splice->arena), here, depth + 1)) return -1;
        } else {
            add_line(splice->text, path, number, at, stop);
            enum open_thing before = open;
            open = open_after(open, at, stop);
            if (open != before) begun = number;
        }
        if (splice->text->bytes.len > PQL_CONFIG_BYTES_MAX) return -1;
        at = newline ? newline + 1 : end;
    }
    if (open == OPEN_NOTHING) return 0;
    /* Said here, since libconfig would name the last line only. */
    pql_diag_place(splice->diags, PQL_SEVERITY_ERROR, path, begun, 1, 1, "a %s begins here that never ends",
                   open == OPEN_STRING ? "text" : "comment");
    return -1;
}

/* by: the place of the include, or of nothing for the main file. */
static int splice_file(struct splice *splice, const char *path, struct pql_config_spot by, int depth)
{
    struct pql_buf own = {0};
    struct pql_err err;
    int result = -1;
    if (depth > PQL_CONFIG_INCLUDE_DEPTH_MAX)
        pql_diag_place(splice->diags, PQL_SEVERITY_ERROR, by.file, by.line, by.column, 1,
                       "includes are nested more than %d deep; is there a circle?",
                       PQL_CONFIG_INCLUDE_DEPTH_MAX);
    else if (pql_config_read_file(path, PQL_CONFIG_BYTES_MAX, &own, &err) == 0)
        result = splice_bytes(splice, path, (struct pql_slice){own.ptr, own.len}, depth);
    else if (by.line)
        pql_diag_place(splice->diags, PQL_SEVERITY_ERROR, by.file, by.line, by.column, 1,
                       "cannot read %s: %s", path, err.msg);
    else if (splice->asked)
        pql_diag_source(splice->diags, PQL_SEVERITY_ERROR, splice->asked, 0, splice->asked->text.len,
                        "cannot read %s: %s", path, err.msg);
    else
        pql_diag_place(splice->diags, PQL_SEVERITY_ERROR, path, 0, 0, 1,
                       "cannot be read: %s; --config FILE says where the configuration is", err.msg);
    pql_buf_deinit(&own);
    return result;
}

/* libconfig wants a C string with at least one line. */
static struct pql_config_text *close_text(struct pql_config_text *text, const char *name)
{
    if (text->count == 0) add_line(text, name, 1, "", "");
    pql_buf_put(&text->bytes, "", 1);
    text->bytes.len--;
    return text;
}

static struct pql_config_text *spliced(struct splice *splice, const char *path, const struct pql_slice *bytes)
{
    const char *name = pql_arena_copy(splice->arena, pql_slice_of(path)).ptr;
    splice->text = pql_xcalloc(1, sizeof *splice->text);
    int failed = bytes ? splice_bytes(splice, name, *bytes, 0)
                       : splice_file(splice, name, (struct pql_config_spot){.file = name}, 0);
    if (!failed) return close_text(splice->text, name);
    pql_config_text_free(splice->text);
    return NULL;
}

static bool is_text(const char *name, struct pql_slice bytes, struct pql_diags *diags)
{
    if (bytes.len <= PQL_CONFIG_BYTES_MAX && (!bytes.len || !memchr(bytes.ptr, 0, bytes.len))) return true;
    pql_diag_place(diags, PQL_SEVERITY_ERROR, name, 0, 0, 1, "not a text");
    return false;
}

struct pql_config_text *pql_config_text_read(const char *path, const struct pql_source *asked,
                                             struct pql_arena *arena, struct pql_diags *diags)
{
    struct splice splice = {.arena = arena, .diags = diags, .asked = asked};
    return spliced(&splice, path, NULL);
}

struct pql_config_text *pql_config_text_given(const char *path, struct pql_slice bytes,
                                              struct pql_arena *arena, struct pql_diags *diags)
{
    struct splice splice = {.arena = arena, .diags = diags};
    return is_text(path, bytes, diags) ? spliced(&splice, path, &bytes) : NULL;
}

struct pql_config_text *pql_config_text_of(const char *name, struct pql_slice bytes, struct pql_diags *diags)
{
    if (!is_text(name, bytes, diags)) return NULL;
    struct pql_config_text *text = pql_xcalloc(1, sizeof *text);
    const char *at = bytes.ptr, *end = bytes.ptr + bytes.len;
    for (int number = 1; at < end; number++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline ? newline : end;
        add_line(text, name, number, at, stop);
        at = newline ? newline + 1 : end;
    }
    return close_text(text, name);
}

void pql_config_text_free(struct pql_config_text *text)
{
    if (!text) return;
    pql_buf_deinit(&text->bytes);
    free(text->lines);
    free(text);
}

struct pql_slice pql_config_text_bytes(const struct pql_config_text *text)
{
    return (struct pql_slice){text->bytes.ptr, text->bytes.len};
}

struct pql_config_spot pql_config_text_line(const struct pql_config_text *text, int line, size_t *span)
{
    size_t i = line < 1 ? 0 : (size_t)line - 1;
    if (i >= text->count) i = text->count - 1;
    const char *begin = text->bytes.ptr + text->lines[i].at;
    size_t indent = strspn(begin, " \t");
    *span = strcspn(begin + indent, "\r\n");
    return (struct pql_config_spot){text->lines[i].file, text->lines[i].number, (int)indent + 1};
}

struct pql_config_spot pql_config_text_spot(const struct pql_config_text *text, const char *at)
{
    size_t offset = (size_t)(at - text->bytes.ptr), low = 0, high = text->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (text->lines[middle].at <= offset)
            low = middle;
        else
            high = middle;
    }
    const struct line *line = &text->lines[low];
    return (struct pql_config_spot){line->file, line->number, (int)(offset - line->at) + 1};
}

/* --- places --- */

struct scan {
    const struct pql_config_text *text;
    const char *at, *end;
    struct pql_config_place *places;
    size_t count, capacity;
};

const char *pql_config_skip_space(const char *at, const char *end)
{
    while (at < end) {
        bool has_next = at + 1 < end;
        if (isspace((unsigned char)*at)) {
            at++;
        } else if (*at == '#' || (*at == '/' && has_next && at[1] == '/')) {
            while (at < end && *at != '\n') at++;
        } else if (*at == '/' && has_next && at[1] == '*') {
            for (at += 2; at + 1 < end && !(at[0] == '*' && at[1] == '/');) at++;
            at = at + 1 < end ? at + 2 : end;
        } else {
            break;
        }
    }
    return at;
}

bool pql_config_next_string(const char **at, const char *end, const char **from, const char **to)
{
    const char *open = pql_config_skip_space(*at, end);
    if (open >= end || *open != '"') return false;
    const char *close = open + 1;
    while (close < end && *close != '"') close += *close == '\\' && close + 1 < end ? 2 : 1;
    *from = open + 1;
    *to = close < end ? close : end;
    *at = close < end ? close + 1 : end;
    return true;
}

static struct pql_config_place *add_place(struct scan *scan, const char *name)
{
    scan->places = pql_xgrow(scan->places, &scan->capacity, scan->count + 1, sizeof *scan->places);
    struct pql_config_place *place = &scan->places[scan->count++];
    *place = (struct pql_config_place){name, scan->at, scan->at};
    return place;
}

static void scan_scalar(struct scan *scan, struct pql_config_place *place)
{
    const char *from, *to;
    if (*scan->at == '"') {
        while (pql_config_next_string(&scan->at, scan->end, &from, &to)) place->value_end = scan->at;
        return;
    }
    while (scan->at < scan->end && !isspace((unsigned char)*scan->at) && !strchr(",;)]}#/", *scan->at))
        scan->at++;
    if (scan->at == place->value && scan->at < scan->end) scan->at++; /* always forward */
    place->value_end = scan->at;
}

bool pql_config_is_name_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '*';
}

/* The settings of a group or the elements of a list up to its closing bracket. Brackets that are open are
 * kept on a stack of their own, so that depth is bounded by it. */
static int scan_all(struct scan *scan)
{
    char open[PQL_CONFIG_DEPTH_MAX] = {'{'};
    size_t depth = 0;
    for (;;) {
        scan->at = pql_config_skip_space(scan->at, scan->end);
        if (scan->at >= scan->end) return 0;
        char c = *scan->at;
        if (strchr(";,})]", c)) {
            depth -= (c == '}' || c == ')' || c == ']') && depth > 0;
            scan->at++;
            continue;
        }
        const char *name = NULL;
        if (open[depth] == '{') {
            name = scan->at;
            while (scan->at < scan->end && pql_config_is_name_byte(*scan->at)) scan->at++;
            scan->at = pql_config_skip_space(scan->at, scan->end);
            scan->at = pql_config_skip_space(scan->at < scan->end ? scan->at + 1 : scan->end,
                                             scan->end); /* past = or : */
            if (scan->at >= scan->end) return 0;
        }
        struct pql_config_place *place = add_place(scan, name);
        c = *scan->at;
        if (c != '{' && c != '(' && c != '[') {
            scan_scalar(scan, place);
            continue;
        }
        if (++depth == PQL_CONFIG_DEPTH_MAX) return -1;
        open[depth] = c;
        scan->at++;
    }
}

int pql_config_scan(const struct pql_config_text *text, struct pql_config_place **places, size_t *count,
                    struct pql_diags *diags)
{
    struct scan scan = {.text = text, .at = text->bytes.ptr, .end = text->bytes.ptr + text->bytes.len};
    if (scan_all(&scan) != 0) {
        struct pql_config_spot spot = pql_config_text_spot(text, scan.at);
        pql_diag_place(diags, PQL_SEVERITY_ERROR, spot.file, spot.line, spot.column, 1,
                       "groups and lists are nested more than %d deep", PQL_CONFIG_DEPTH_MAX - 1);
        free(scan.places);
        return -1;
    }
    *places = scan.places;
    *count = scan.count;
    return 0;
}
