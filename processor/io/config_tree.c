/* The tree of settings. libconfig decides what is well formed and what a value is; the scan below goes over
 * the same text a second time for what 1.5 forgets: columns, the digits of integers (it cuts those beyond 32
 * bits in silence), the place of each part of a joined string. Both meet settings in the same order, so the
 * n-th of one is the n-th of the other. */
#include "io/config_tree.h"

#include "io/config_syntax.h"
#include "io/config_text.h"

#include <ctype.h>
#include <libconfig.h>
#include <stdio.h>
#include <stdlib.h>

#ifdef PQL_SANITIZE
/* libconfig 1.5 loses the text that it was reading at a syntax error; a sanitizer build asks for this by
 * name. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libconfig";
}
#endif

struct reader {
    struct pql_arena *arena;
    struct pql_diags *diags;
    const struct pql_config_text *text;
    const struct pql_config_place *places;
    size_t places_count, place; /* the next one */
    bool is_literal;            /* ${…} is a text like any other */
};

static const char *copy_text(struct pql_arena *arena, const char *text)
{
    return pql_arena_copy(arena, pql_slice_of(text)).ptr;
}

/* --- places of texts --- */

/* A text being built with the places of its bytes. */
struct pieces {
    struct pql_buf bytes;
    struct pql_source_part *parts;
    size_t count, capacity;
};

static void add_part(struct pieces *pieces, int line, int column)
{
    pieces->parts = pql_xgrow(pieces->parts, &pieces->capacity, pieces->count + 1, sizeof *pieces->parts);
    if (pieces->count > 0 && pieces->parts[pieces->count - 1].offset == pieces->bytes.len) pieces->count--;
    pieces->parts[pieces->count++] = (struct pql_source_part){pieces->bytes.len, line, column};
}

static struct pql_source finish_pieces(struct pieces *pieces, const char *file, struct pql_arena *arena)
{
    struct pql_source source = {.file = file, .parts_count = pieces->count};
    source.text = pql_arena_copy(arena, (struct pql_slice){pieces->bytes.ptr, pieces->bytes.len});
    struct pql_source_part *parts = pql_arena_alloc(arena, pieces->count * sizeof *parts + 1);
    if (pieces->count) memcpy(parts, pieces->parts, pieces->count * sizeof *parts);
    source.parts = parts;
    pql_buf_deinit(&pieces->bytes);
    free(pieces->parts);
    return source;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The byte that an escape stands for; *used: how long it is in the file. Unknown escapes stand for
 * themselves. */
static char unescape(const char *at, const char *end, size_t *used)
{
    static const char from[] = "nrtf\\\"", to[] = "\n\r\t\f\\\"";
    *used = 1;
    if (*at != '\\' || at + 1 == end) return *at;
    const char *known = strchr(from, at[1]);
    if (known && at[1]) {
        *used = 2;
        return to[known - from];
    }
    if (at[1] == 'x' && end - at >= 4 && hex_digit(at[2]) >= 0 && hex_digit(at[3]) >= 0) {
        *used = 4;
        return (char)(hex_digit(at[2]) * 16 + hex_digit(at[3]));
    }
    return *at;
}

/* One string token, quotes excluded, appended with a part wherever a byte's place is not the last one's plus
 * one. */
static void add_string(struct pieces *pieces, const struct pql_config_text *text, const char *at,
                       const char *end)
{
    bool jumped = true;
    while (at < end) {
        if (jumped) {
            struct pql_config_spot spot = pql_config_text_spot(text, at);
            add_part(pieces, spot.line, spot.column);
        }
        size_t used;
        char c = unescape(at, end, &used);
        pql_buf_put(&pieces->bytes, &c, 1);
        jumped = used != 1 || c == '\n';
        at += used;
    }
}

/* The value of a text with the places of its bytes. What libconfig read is the value; should the scan read
 * another (escapes that versions treat apart), only the place of the beginning is kept. */
static struct pql_source source_of_text(struct reader *reader, const struct pql_config_place *place,
                                        const char *value)
{
    struct pieces pieces = {0};
    struct pql_config_spot spot = pql_config_text_spot(reader->text, place->value);
    const char *at = place->value, *end = place->value_end, *from, *to;
    while (pql_config_next_string(&at, end, &from, &to)) add_string(&pieces, reader->text, from, to);
    if (pieces.bytes.len != strlen(value) ||
        memcmp(pieces.bytes.ptr ? pieces.bytes.ptr : "", value, strlen(value))) {
        pieces.bytes.len = pieces.count = 0;
        add_part(&pieces, spot.line, spot.column + 1);
        pql_buf_text(&pieces.bytes, value);
    }
    if (pieces.count == 0) add_part(&pieces, spot.line, spot.column + 1);
    return finish_pieces(&pieces, spot.file, reader->arena);
}

static struct pql_source source_of_token(struct reader *reader, const struct pql_config_place *place)
{
    struct pieces pieces = {0};
    struct pql_config_spot spot = pql_config_text_spot(reader->text, place->value);
    add_part(&pieces, spot.line, spot.column);
    pql_buf_put(&pieces.bytes, place->value, (size_t)(place->value_end - place->value));
    return finish_pieces(&pieces, spot.file, reader->arena);
}

/* --- secrets: ${env:NAME} and ${file:path} --- */

enum { SECRET_MAX = 64 * 1024 };

static const char *read_secret_file(const struct pql_setting *setting, const char *path,
                                    struct pql_arena *arena, struct pql_diags *diags)
{
    const char *full = pql_setting_path(setting->file, path, arena);
    struct pql_buf bytes = {0};
    struct pql_err err;
    const char *text = NULL;
    if (pql_config_read_file(full, SECRET_MAX, &bytes, &err) != 0) {
        pql_setting_diag_value(setting, diags, "${file:%s}: %s", path, err.msg);
    } else {
        while (bytes.len && (bytes.ptr[bytes.len - 1] == '\n' || bytes.ptr[bytes.len - 1] == '\r'))
            bytes.len--;
        text = pql_arena_copy(arena, (struct pql_slice){bytes.ptr, bytes.len}).ptr;
    }
    pql_buf_deinit(&bytes);
    return text;
}

static const char *secret_of(const struct pql_setting *setting, const char *what, struct pql_arena *arena,
                             struct pql_diags *diags)
{
    if (strncmp(what, "file:", 5) == 0) return read_secret_file(setting, what + 5, arena, diags);
    if (strncmp(what, "env:", 4) == 0) {
        const char *value = getenv(what + 4);
        if (!value)
            pql_setting_diag_value(setting, diags, "${%s}: the environment has no such variable", what);
        return value;
    }
    pql_setting_diag_value(setting, diags, "'${%s}' is neither ${env:NAME} nor ${file:path}", what);
    return NULL;
}

static struct pql_source_part place_at(const struct pql_source *source, size_t at)
{
    size_t i = source->parts_count;
    while (i > 0 && source->parts[i - 1].offset > at) i--;
    if (i == 0) return (struct pql_source_part){at, 1, (int)at + 1};
    const struct pql_source_part *part = &source->parts[i - 1];
    return (struct pql_source_part){at, part->line, part->column + (int)(at - part->offset)};
}

static void add_slice_of(struct pieces *pieces, const struct pql_source *source, size_t from, size_t to)
{
    if (from == to) return;
    struct pql_source_part start = place_at(source, from);
    add_part(pieces, start.line, start.column);
    size_t base = pieces->bytes.len;
    pql_buf_put(&pieces->bytes, source->text.ptr + from, to - from);
    for (size_t i = 0; i < source->parts_count; i++) {
        const struct pql_source_part *part = &source->parts[i];
        if (part->offset <= from || part->offset >= to) continue;
        pieces->parts = pql_xgrow(pieces->parts, &pieces->capacity, pieces->count + 1, sizeof *pieces->parts);
        pieces->parts[pieces->count++] =
            (struct pql_source_part){base + part->offset - from, part->line, part->column};
    }
}

static void put_secrets(struct pql_setting *setting, struct pql_arena *arena, struct pql_diags *diags)
{
    const struct pql_source old = setting->value;
    const char *text = old.text.ptr, *open = strstr(text, "${");
    if (!open) return;
    setting->is_secret = true;
    struct pieces pieces = {0};
    size_t done = 0;
    bool is_good = true;
    for (; open; open = strstr(text + done, "${")) {
        size_t at = (size_t)(open - text);
        const char *close = strchr(open, '}');
        if (!close) {
            pql_setting_diag_value(setting, diags, "'${' without '}'");
            is_good = false;
            break;
        }
        add_slice_of(&pieces, &old, done, at);
        const char *what = pql_arena_printf(arena, "%.*s", (int)(close - open - 2), open + 2);
        const char *secret = secret_of(setting, what, arena, diags);
        struct pql_source_part place = place_at(&old, at);
        add_part(&pieces, place.line, place.column);
        is_good &= secret != NULL;
        if (secret) pql_buf_text(&pieces.bytes, secret);
        done = at + (size_t)(close + 1 - open);
    }
    add_slice_of(&pieces, &old, done, old.text.len);
    const struct pql_source with = finish_pieces(&pieces, old.file, arena);
    if (is_good) setting->value = with; /* else as written, so that nothing else is said of it */
}

/* --- libconfig's tree to ours --- */

static struct pql_setting *convert(struct reader *reader, const config_setting_t *from);

static struct pql_setting *convert_kids(struct reader *reader, const config_setting_t *from)
{
    struct pql_setting *first = NULL, **last = &first;
    int count = config_setting_length(from);
    for (int i = 0; i < count; i++) {
        *last = convert(reader, config_setting_get_elem(from, (unsigned)i));
        last = &(*last)->next;
    }
    return first;
}

static void set_place(struct reader *reader, struct pql_setting *setting,
                      const struct pql_config_place *place)
{
    const char *at = place->name ? place->name : place->value;
    struct pql_config_spot spot = pql_config_text_spot(reader->text, at);
    setting->file = spot.file;
    setting->line = spot.line;
    setting->column = spot.column;
    setting->span = place->name ? strlen(setting->name) : 1;
}

/* Depth is bounded by the scan, which went over the text before (PQL_CONFIG_DEPTH_MAX). */
static struct pql_setting *convert(struct reader *reader, const config_setting_t *from)
{
    PQL_ASSERT(reader->place < reader->places_count);
    const struct pql_config_place *place = &reader->places[reader->place++];
    struct pql_setting *to = pql_arena_zalloc(reader->arena, sizeof *to);
    if (config_setting_name(from)) to->name = copy_text(reader->arena, config_setting_name(from));
    set_place(reader, to, place);
    switch (config_setting_type(from)) {
    case CONFIG_TYPE_GROUP: to->kind = PQL_SETTING_GROUP; break;
    case CONFIG_TYPE_LIST:
    case CONFIG_TYPE_ARRAY: to->kind = PQL_SETTING_LIST; break;
    case CONFIG_TYPE_STRING:
        to->kind = PQL_SETTING_TEXT;
        to->value = source_of_text(reader, place, config_setting_get_string(from));
        if (!reader->is_literal) put_secrets(to, reader->arena, reader->diags);
        break;
    case CONFIG_TYPE_BOOL:
        to->kind = PQL_SETTING_BOOL;
        to->value = source_of_token(reader, place);
        break;
    default: to->kind = PQL_SETTING_NUMBER; to->value = source_of_token(reader, place);
    }
    if (config_setting_is_aggregate(from)) to->kids = convert_kids(reader, from);
    return to;
}

/* libconfig knows a line, and often the one after the fault. */
static void say_syntax(const config_t *config, const struct pql_config_text *text, struct pql_diags *diags)
{
    size_t span;
    struct pql_config_spot spot = pql_config_text_line(text, config_error_line(config), &span);
    if (pql_config_syntax_say(text, diags)) return;
    pql_diag_place(diags, PQL_SEVERITY_ERROR, spot.file, spot.line, spot.column, span,
                   "%s here or at the end of the line before; settings are written name = value;",
                   config_error_text(config));
}

/* Frees the text. */
static struct pql_setting *tree_of(struct pql_config_text *text, const char *name, bool is_literal,
                                   struct pql_arena *arena, struct pql_diags *diags)
{
    struct pql_setting *root = NULL;
    struct pql_config_place *places = NULL;
    struct reader reader = {.arena = arena, .diags = diags, .text = text, .is_literal = is_literal};
    config_t config;
    config_init(&config);
    if (!text) goto out;
    if (config_read_string(&config, pql_config_text_bytes(text).ptr) != CONFIG_TRUE) {
        say_syntax(&config, text, diags);
        goto out;
    }
    if (pql_config_scan(text, &places, &reader.places_count, diags) != 0) goto out;
    reader.places = places;
    root = pql_arena_zalloc(arena, sizeof *root);
    root->kind = PQL_SETTING_GROUP;
    root->file = copy_text(arena, name);
    root->kids = convert_kids(&reader, config_root_setting(&config));
    PQL_ASSERT(reader.place == reader.places_count);
out:
    free(places);
    pql_config_text_free(text);
    config_destroy(&config);
    return root;
}

struct pql_setting *pql_setting_read(const char *path, const struct pql_source *asked,
                                     struct pql_arena *arena, struct pql_diags *diags)
{
    return tree_of(pql_config_text_read(path, asked, arena, diags), path, false, arena, diags);
}

struct pql_setting *pql_setting_read_text(const char *path, struct pql_slice bytes, struct pql_arena *arena,
                                          struct pql_diags *diags)
{
    return tree_of(pql_config_text_given(path, bytes, arena, diags), path, false, arena, diags);
}

struct pql_setting *pql_setting_parse(const char *name, struct pql_slice bytes, struct pql_arena *arena,
                                      struct pql_diags *diags)
{
    return tree_of(pql_config_text_of(name, bytes, diags), name, true, arena, diags);
}

/* --- environment and command line --- */

struct pql_setting *pql_setting_find(const struct pql_setting *group, const char *name)
{
    for (struct pql_setting *kid = group ? group->kids : NULL; kid; kid = kid->next)
        if (kid->name && strcmp(kid->name, name) == 0) return kid;
    return NULL;
}

size_t pql_setting_count(const struct pql_setting *parent)
{
    size_t count = 0;
    for (const struct pql_setting *kid = parent ? parent->kids : NULL; kid; kid = kid->next) count++;
    return count;
}

static struct pql_setting *add_kid(struct pql_setting *parent, const char *name, const char *file,
                                   struct pql_arena *arena)
{
    struct pql_setting **at = &parent->kids;
    while (*at) at = &(*at)->next;
    *at = pql_arena_zalloc(arena, sizeof **at);
    **at = (struct pql_setting){.kind = PQL_SETTING_GROUP, .name = name, .file = file, .span = 1};
    return *at;
}

/* One level of a path: a name, or the index of an element. */
static struct pql_setting *descend(struct pql_setting *parent, const char *level, bool is_index,
                                   const char *file, struct pql_arena *arena, struct pql_diags *diags)
{
    if (parent->kids == NULL && parent->kind != PQL_SETTING_TEXT)
        parent->kind = is_index ? PQL_SETTING_LIST : PQL_SETTING_GROUP;
    if (parent->kind != (is_index ? PQL_SETTING_LIST : PQL_SETTING_GROUP)) {
        pql_diag_place(diags, PQL_SEVERITY_ERROR, file, 0, 0, 1,
                       is_index ? "'%s' is no list" : "'%s' is no group",
                       parent->name ? parent->name : "element");
        return NULL;
    }
    if (!is_index) {
        struct pql_setting *kid = pql_setting_find(parent, level);
        return kid ? kid : add_kid(parent, level, file, arena);
    }
    size_t wanted = strtoul(level, NULL, 10), count = pql_setting_count(parent);
    if (wanted > count) {
        pql_diag_place(diags, PQL_SEVERITY_ERROR, file, 0, 0, 1,
                       "there is no element [%s]; the next one is [%zu]", level, count);
        return NULL;
    }
    if (wanted == count) return add_kid(parent, NULL, file, arena);
    struct pql_setting *kid = parent->kids;
    while (wanted--) kid = kid->next;
    return kid;
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text) && strlen(text) < 7;
}

/* path: levels between '.'; an index as [n] or as a level of its own. */
static void override(struct pql_setting *root, char *path, const char *value, const char *file,
                     struct pql_arena *arena, struct pql_diags *diags)
{
    struct pql_setting *at = root;
    for (char *level = path, *next; at && level; level = next) {
        size_t len = strcspn(level, ".[]");
        char end = level[len];
        level[len] = 0;
        next = end ? level + len + 1 : NULL;
        if (end == ']') next = *next == 0 ? NULL : next + (*next == '.' || *next == '[');
        if (len == 0) {
            pql_diag_place(diags, PQL_SEVERITY_ERROR, file, 0, 0, 1,
                           "a path is written as in inputs[0].topic");
            return;
        }
        at = descend(at, level, is_number(level), file, arena, diags);
    }
    if (!at) return;
    struct pql_setting *after = at->next;
    *at = (struct pql_setting){.kind = PQL_SETTING_TEXT,
                               .name = at->name,
                               .is_override = true,
                               .file = file,
                               .span = 1,
                               .next = after};
    at->value = (struct pql_source){.text = pql_arena_copy(arena, pql_slice_of(value)), .file = file};
    put_secrets(at, arena, diags);
}

void pql_setting_override(struct pql_setting *root, const char *assignment, struct pql_arena *arena,
                          struct pql_diags *diags)
{
    const char *equals = strchr(assignment, '=');
    if (!equals) {
        pql_diag_place(diags, PQL_SEVERITY_ERROR, "--set", 0, 0, 1, "'%s' is not written path=value",
                       assignment);
        return;
    }
    int len = (int)(equals - assignment);
    char *path = pql_arena_printf(arena, "%.*s", len, assignment);
    override(root, path, equals + 1, pql_arena_printf(arena, "--set %.*s", len, assignment), arena, diags);
}

void pql_setting_override_environment(struct pql_setting *root, char **environment,
                                      bool (*is_known)(const char *name), struct pql_arena *arena,
                                      struct pql_diags *diags)
{
    static const char prefix[] = "PQLSTREAM_";
    for (char **entry = environment; entry && *entry; entry++) {
        const char *equals = strchr(*entry, '=');
        if (strncmp(*entry, prefix, sizeof prefix - 1) != 0 || !equals) continue;
        const char *file = pql_arena_printf(arena, "environment %.*s", (int)(equals - *entry), *entry);
        char *path = pql_arena_printf(arena, "%.*s", (int)(equals - *entry - (int)sizeof prefix + 1),
                                      *entry + sizeof prefix - 1);
        char *to = path;
        for (const char *from = path; *from; from++) {
            bool is_level = from[0] == '_' && from[1] == '_';
            *to++ = is_level ? '.' : (char)tolower((unsigned char)*from);
            if (is_level) from++;
        }
        *to = 0;
        const char *first = pql_arena_printf(arena, "%.*s", (int)strcspn(path, "."), path);
        if (is_known(first))
            override(root, path, equals + 1, file, arena, diags);
        else
            pql_diag_place(diags, PQL_SEVERITY_WARNING, file, 0, 0, 1, "no setting '%s'; left alone", first);
    }
}

/* --- messages and paths --- */

static void vdiag(const struct pql_setting *setting, struct pql_diags *diags, enum pql_severity severity,
                  bool of_value, const char *format, va_list args)
{
    char text[600];
    vsnprintf(text, sizeof text, format, args);
    bool has_value = of_value && setting->line && setting->value.text.ptr;
    size_t span = setting->value.text.len;
    /* A value with a secret is not as long as what is written. */
    if (has_value)
        pql_diag_source(diags, severity, &setting->value, 0, span && !setting->is_secret ? span : 1, "%s",
                        text);
    else
        pql_diag_place(diags, severity, setting->file, setting->line, setting->column, setting->span, "%s",
                       text);
}

void pql_setting_diag(const struct pql_setting *setting, struct pql_diags *diags, enum pql_severity severity,
                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vdiag(setting, diags, severity, false, format, args);
    va_end(args);
}

void pql_setting_diag_value(const struct pql_setting *setting, struct pql_diags *diags, const char *format,
                            ...)
{
    va_list args;
    va_start(args, format);
    vdiag(setting, diags, PQL_SEVERITY_ERROR, true, format, args);
    va_end(args);
}

const char *pql_setting_path(const char *file, const char *path, struct pql_arena *arena)
{
    const char *slash = file && strncmp(file, "--set", 5) != 0 && strncmp(file, "environment", 11) != 0
                            ? strrchr(file, '/')
                            : NULL;
    if (path[0] == '/' || !slash) return pql_arena_printf(arena, "%s", path);
    return pql_arena_printf(arena, "%.*s/%s", (int)(slash - file), file, path);
}
