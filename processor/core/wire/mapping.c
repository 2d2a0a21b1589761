#include "core/wire/mapping.h"

#include "base/err.h"
#include "core/reasons.h"
#include "core/wire/path.h"
#include "core/wire/rfc3339.h"
#include <stdlib.h>
#include <xxhash.h>

/* Where one value may come from. */
struct origin {
    enum { FROM_SLOT, FROM_HEADER, FROM_KEY } kind;
    uint32_t slot;
    struct pql_slice header;
};

struct field {
    const struct origin *origins; /* the first that is present wins */
    size_t count;
};

struct kind_row {
    struct pql_slice word;
    enum pql_event_kind kind;
    struct pql_slice event;
};

struct pql_mapping {
    struct pql_arena arena;
    struct field kind, event, account, user, time, id, previous_user, value;
    struct field *properties, *user_attributes, *account_attributes; /* one per name of the program */
    const struct pql_names *names;
    enum pql_time_unit time_unit;
    bool time_from_broker, assume_utc, group_has_no_user, wants_headers;
    const struct kind_row *kinds;
    size_t kinds_count;
    const struct pql_rename *const *renames; /* hash table by from; size 0: none */
    size_t renames_size;
    struct pql_slice *wanted;
    size_t wanted_count, wanted_capacity;
};

/* What an event of each kind needs. */
static const struct {
    bool needs_name, needs_account, needs_user;
} needs[PQL_EVENT_KIND_COUNT] = {
    [PQL_EVENT_TRACK] = {true, true, false},   [PQL_EVENT_IDENTIFY] = {false, true, true},
    [PQL_EVENT_GROUP] = {false, true, false},  [PQL_EVENT_LEAVE_GROUP] = {false, true, true},
    [PQL_EVENT_ALIAS] = {false, true, true},   [PQL_EVENT_OUTCOME] = {true, true, false},
    [PQL_EVENT_FORGET] = {false, true, false}, [PQL_EVENT_CLOCK] = {false, false, false},
};

/* --- Compiling --- */

struct compile {
    struct pql_mapping *mapping;
    const struct pql_mapping_conf *conf;
    struct pql_diags *diags;
};

static bool begins(struct pql_slice text, struct pql_slice with)
{
    return text.len >= with.len && memcmp(text.ptr, with.ptr, with.len) == 0;
}

static struct pql_slice after(struct pql_slice text, size_t len)
{
    return (struct pql_slice){text.ptr + len, text.len - len};
}

static const struct pql_slice header_word = {"header:", 7};

static uint32_t want(struct pql_mapping *m, struct pql_slice path)
{
    for (size_t i = 0; i < m->wanted_count; i++)
        if (pql_slice_eq(m->wanted[i], path)) return (uint32_t)i;
    m->wanted = pql_xgrow(m->wanted, &m->wanted_capacity, m->wanted_count + 1, sizeof *m->wanted);
    m->wanted[m->wanted_count] = pql_arena_copy(&m->arena, path);
    return (uint32_t)m->wanted_count++;
}

static struct origin origin_of(struct pql_mapping *m, struct pql_slice path)
{
    if (pql_slice_is(path, "key")) return (struct origin){.kind = FROM_KEY};
    if (!begins(path, header_word)) return (struct origin){.kind = FROM_SLOT, .slot = want(m, path)};
    m->wants_headers = true;
    return (struct origin){.kind = FROM_HEADER,
                           .header = pql_arena_copy(&m->arena, after(path, header_word.len))};
}

static void check_path(struct compile *c, const struct pql_source *source, struct pql_slice path)
{
    struct pql_slice plain = begins(path, header_word) ? after(path, header_word.len) : path;
    if (plain.len && (plain.ptr != path.ptr || pql_path_is_valid(path))) return;
    pql_diag_source(c->diags, PQL_SEVERITY_ERROR, source, 0, source->text.len,
                    "'%.*s' is no path: names joined by dots, at most %d", PQL_SLICE_ARG(source->text),
                    PQL_PATH_DEPTH_MAX);
}

static struct field compile_field(struct compile *c, const struct pql_path_list *list)
{
    struct origin *origins = pql_arena_zalloc(&c->mapping->arena, list->count * sizeof *origins);
    for (size_t i = 0; i < list->count; i++) {
        check_path(c, &list->paths[i], list->paths[i].text);
        origins[i] = origin_of(c->mapping, list->paths[i].text);
    }
    return (struct field){origins, list->count};
}

/* The path by which an entry of `properties` or `attributes` delivers a name: "properties.*" any name,
 * "amount" and "order.amount" the name amount and what lies below it ("amount.net"). False if it does not. */
static bool path_of_name(struct pql_arena *arena, struct pql_slice entry, struct pql_slice name,
                         struct pql_slice *path)
{
    if (entry.len && entry.ptr[entry.len - 1] == '*') {
        struct pql_slice prefix = {entry.ptr, entry.len - 1};
        *path = pql_slice_of(pql_arena_printf(arena, "%.*s%.*s", PQL_SLICE_ARG(prefix), PQL_SLICE_ARG(name)));
        return true;
    }
    size_t last = entry.len;
    while (last && entry.ptr[last - 1] != '.' && entry.ptr[last - 1] != ':') last--;
    struct pql_slice own = after(entry, last);
    if (!begins(name, own) || (name.len > own.len && name.ptr[own.len] != '.')) return false;
    struct pql_slice below = after(name, own.len);
    *path = pql_slice_of(pql_arena_printf(arena, "%.*s%.*s", PQL_SLICE_ARG(entry), PQL_SLICE_ARG(below)));
    return true;
}

static struct field *compile_names(struct compile *c, const struct pql_path_list *list,
                                   const struct pql_slice *names, size_t count)
{
    struct pql_arena *arena = &c->mapping->arena;
    struct field *fields = pql_arena_zalloc(arena, count * sizeof *fields);
    for (size_t i = 0; i < count; i++) {
        struct origin *origins = pql_arena_zalloc(arena, list->count * sizeof *origins);
        for (size_t j = 0; j < list->count; j++) {
            struct pql_slice path;
            if (!path_of_name(arena, list->paths[j].text, names[i], &path) || !pql_path_is_valid(path))
                continue;
            origins[fields[i].count++] = origin_of(c->mapping, path);
        }
        fields[i].origins = origins;
    }
    return fields;
}

/* "properties.*" is checked as "properties.x". */
static void check_names(struct compile *c, const struct pql_path_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        struct pql_slice path = list->paths[i].text;
        bool any = path.len && path.ptr[path.len - 1] == '*';
        bool whole =
            any && (path.len == 1 || path.ptr[path.len - 2] == '.' || pql_slice_is(path, "header:*"));
        if (any && whole)
            path = pql_slice_of(pql_arena_printf(&c->mapping->arena, "%.*sx", (int)path.len - 1, path.ptr));
        check_path(c, &list->paths[i], any && !whole ? (struct pql_slice){"", 0} : path);
    }
}

static struct kind_row kind_row_of(struct pql_arena *arena, const struct pql_kind_alias *alias)
{
    return (struct kind_row){pql_arena_copy(arena, alias->from), alias->kind,
                             pql_arena_copy(arena, alias->event)};
}

/* Rows are looked through in this order: the configuration's, the kinds' own names, "*". */
static void compile_kinds(struct compile *c)
{
    struct pql_arena *arena = &c->mapping->arena;
    size_t count = 0;
    struct kind_row *rows =
        pql_arena_zalloc(arena, (c->conf->kinds_count + PQL_EVENT_KIND_COUNT) * sizeof *rows);
    for (size_t i = 0; i < c->conf->kinds_count; i++)
        if (!pql_slice_is(c->conf->kinds[i].from, "*"))
            rows[count++] = kind_row_of(arena, &c->conf->kinds[i]);
    for (int kind = 0; kind < PQL_EVENT_KIND_COUNT; kind++)
        rows[count++] =
            (struct kind_row){pql_slice_of(pql_event_kind_names[kind]), (enum pql_event_kind)kind, {"", 0}};
    for (size_t i = 0; i < c->conf->kinds_count; i++)
        if (pql_slice_is(c->conf->kinds[i].from, "*")) rows[count++] = kind_row_of(arena, &c->conf->kinds[i]);
    c->mapping->kinds = rows;
    c->mapping->kinds_count = count;
}

static size_t rename_at(const struct pql_mapping *m, struct pql_slice from)
{
    size_t at = (size_t)XXH3_64bits(from.ptr, from.len);
    for (;; at++) {
        const struct pql_rename *row = m->renames[at & (m->renames_size - 1)];
        if (!row || pql_slice_eq(row->from, from)) return at & (m->renames_size - 1);
    }
}

static void compile_renames(struct compile *c)
{
    struct pql_mapping *m = c->mapping;
    if (!c->conf->renames_count) return;
    for (m->renames_size = 8; m->renames_size < c->conf->renames_count * 2;) m->renames_size *= 2;
    const struct pql_rename **table = pql_arena_zalloc(&m->arena, m->renames_size * sizeof *table);
    m->renames = table;
    for (size_t i = 0; i < c->conf->renames_count; i++) {
        struct pql_rename *row = pql_arena_alloc(&m->arena, sizeof *row);
        row->from = pql_arena_copy(&m->arena, c->conf->renames[i].from);
        row->to = pql_arena_copy(&m->arena, c->conf->renames[i].to);
        table[rename_at(m, row->from)] = row;
    }
}

static void check_required(struct compile *c, const char *what, bool is_given)
{
    if (is_given) return;
    pql_diag_place(c->diags, PQL_SEVERITY_ERROR, c->conf->file, c->conf->line, c->conf->column,
                   c->conf->name.len, "mapping '%.*s' says no path for '%s'", PQL_SLICE_ARG(c->conf->name),
                   what);
}

struct pql_mapping *pql_mapping_new(const struct pql_mapping_conf *conf, const struct pql_names *names,
                                    struct pql_diags *diags)
{
    struct pql_mapping *m = pql_xcalloc(1, sizeof *m);
    struct compile c = {m, conf, diags};
    size_t errors_before = diags->errors_count;
    pql_arena_init(&m->arena);
    m->names = names;
    m->time_unit = conf->time_unit;
    m->time_from_broker = conf->time_from_broker;
    m->assume_utc = conf->assume_utc;
    m->group_has_no_user = conf->group_has_no_user;
    m->kind = compile_field(&c, &conf->kind);
    m->event = compile_field(&c, &conf->event);
    m->account = compile_field(&c, &conf->account);
    m->user = compile_field(&c, &conf->user);
    m->time = compile_field(&c, &conf->time);
    m->id = compile_field(&c, &conf->id);
    m->previous_user = compile_field(&c, &conf->previous_user);
    m->value = compile_field(&c, &conf->value);
    check_required(&c, "event", conf->event.count);
    check_required(&c, "account", conf->account.count);
    check_required(&c, "time", conf->time.count || conf->time_from_broker);
    check_names(&c, &conf->properties);
    check_names(&c, &conf->attributes);
    const struct pql_path_list *of_account =
        conf->account_attributes.count ? &conf->account_attributes : &conf->attributes;
    m->properties = compile_names(&c, &conf->properties, names->properties, names->properties_count);
    m->user_attributes =
        compile_names(&c, &conf->attributes, names->user_attributes, names->user_attributes_count);
    m->account_attributes =
        compile_names(&c, of_account, names->account_attributes, names->account_attributes_count);
    compile_kinds(&c);
    compile_renames(&c);
    if (diags->errors_count == errors_before) return m;
    pql_mapping_free(m);
    return NULL;
}

void pql_mapping_free(struct pql_mapping *mapping)
{
    if (!mapping) return;
    pql_arena_deinit(&mapping->arena);
    free(mapping->wanted);
    free(mapping);
}

const struct pql_slice *pql_mapping_wanted(const struct pql_mapping *mapping, size_t *count)
{
    *count = mapping->wanted_count;
    return mapping->wanted;
}

bool pql_mapping_wants_headers(const struct pql_mapping *mapping)
{
    return mapping->wants_headers;
}

/* --- Applying --- */

struct apply {
    const struct pql_mapping *mapping;
    const struct pql_value *slots;
    const struct pql_message *message;
    struct pql_arena *scratch;
    struct pql_err *err;
};

static int reject(const struct apply *a, enum pql_reject reason, const char *what)
{
    pql_err_set(a->err, PQL_ERR_RECORD, __FILE__, __LINE__, "%s", what);
    if (a->err) a->err->reason = pql_rejects[reason].word;
    return -1;
}

static const struct pql_value absent = {.kind = PQL_NULL};

static const struct pql_value *in_scratch(const struct apply *a, struct pql_slice text)
{
    struct pql_value *value = pql_arena_alloc(a->scratch, sizeof *value);
    *value = pql_text(text);
    return value;
}

/* The last header of a name counts. */
static const struct pql_value *header_value(const struct apply *a, struct pql_slice name)
{
    for (size_t i = a->message->headers_count; i-- > 0;)
        if (pql_slice_eq(a->message->headers[i].name, name))
            return in_scratch(a, a->message->headers[i].value);
    return &absent;
}

static inline const struct pql_value *origin_value(const struct apply *a, const struct origin *origin)
{
    if (origin->kind == FROM_SLOT) return &a->slots[origin->slot];
    if (origin->kind == FROM_HEADER) return header_value(a, origin->header);
    return a->message->has_key ? in_scratch(a, a->message->key) : &absent;
}

static inline const struct pql_value *field_value(const struct apply *a, const struct field *field)
{
    for (size_t i = 0; i < field->count; i++) {
        const struct pql_value *value = origin_value(a, &field->origins[i]);
        if (value->kind != PQL_NULL) return value;
    }
    return &absent;
}

static struct pql_slice number_text(struct pql_arena *scratch, pql_decimal number)
{
    char *text = pql_arena_alloc(scratch, PQL_DECIMAL_TEXT_MAX);
    return (struct pql_slice){text, pql_decimal_text(number, text)};
}

/* Ids are text, numbers by their digits; what else there may be is no id. A number at the limit of the number
 * type has lost its digits. */
static inline struct pql_slice id_text(const struct apply *a, const struct pql_value *value)
{
    if (value->kind == PQL_TEXT) return value->text;
    bool is_id =
        value->kind == PQL_NUMBER && value->number < PQL_DECIMAL_MAX && value->number > -PQL_DECIMAL_MAX;
    return is_id ? number_text(a->scratch, value->number) : (struct pql_slice){"", 0};
}

/* The first path with a text that is not empty. */
static struct pql_slice field_text(const struct apply *a, const struct field *field)
{
    for (size_t i = 0; i < field->count; i++) {
        struct pql_slice text = id_text(a, origin_value(a, &field->origins[i]));
        if (text.len) return text;
    }
    return (struct pql_slice){"", 0};
}

static bool time_of_number(pql_decimal number, enum pql_time_unit unit, int64_t *ms)
{
    static const int64_t millionths_per_ms[] = {
        [PQL_UNIT_MS] = 1000000, [PQL_UNIT_S] = 1000, [PQL_UNIT_US] = 1000000000};
    pql_decimal per = millionths_per_ms[unit], whole = number / per;
    if (number % per < 0) whole--;
    if (whole < PQL_TIME_MIN_MS || whole > PQL_TIME_MAX_MS) return false;
    *ms = (int64_t)whole;
    return true;
}

bool pql_time_of_value(const struct pql_value *value, enum pql_time_unit unit, bool assume_utc, int64_t *ms)
{
    pql_decimal number;
    if (value->kind == PQL_NUMBER) return time_of_number(value->number, unit, ms);
    if (value->kind == PQL_TEXT)
        return (assume_utc ? pql_time_parse_utc : pql_time_parse)(value->text, ms) ||
               (pql_decimal_of_text(value->text, &number) && time_of_number(number, unit, ms));
    if (value->kind != PQL_TIME || value->ms < PQL_TIME_MIN_MS || value->ms > PQL_TIME_MAX_MS) return false;
    *ms = value->ms;
    return true;
}

static int apply_time(const struct apply *a, struct pql_event *event)
{
    const struct pql_value *value = field_value(a, &a->mapping->time),
                           brokers = pql_time(a->message->timestamp_ms);
    if (value->kind == PQL_NULL && a->mapping->time_from_broker && brokers.ms != INT64_MIN) value = &brokers;
    if (value->kind == PQL_NULL) return reject(a, PQL_REJECT_BAD_TIME, "the time is absent");
    if (!pql_time_of_value(value, a->mapping->time_unit, a->mapping->assume_utc, &event->time_ms))
        return reject(a, PQL_REJECT_BAD_TIME,
                      "the time is no number, no date, no ISO 8601 text with an offset (assume_utc does "
                      "without), or beyond the years 0 to 9999");
    return 0;
}

/* An absent kind is track. */
static int apply_kind(const struct apply *a, struct pql_event *event, struct pql_slice *fixed_name)
{
    const struct pql_value *value = field_value(a, &a->mapping->kind);
    if (value->kind == PQL_NULL) return 0;
    struct pql_slice word = id_text(a, value);
    for (size_t i = 0; i < a->mapping->kinds_count; i++) {
        const struct kind_row *row = &a->mapping->kinds[i];
        if (!pql_slice_eq(row->word, word) && !pql_slice_is(row->word, "*")) continue;
        event->kind = row->kind;
        *fixed_name = row->event;
        return 0;
    }
    return reject(a, PQL_REJECT_BAD_KIND, "the kind is not one that the mapping knows");
}

static struct pql_slice renamed(const struct pql_mapping *m, struct pql_slice name)
{
    const struct pql_rename *row = m->renames_size ? m->renames[rename_at(m, name)] : NULL;
    return row ? row->to : name;
}

static struct pql_value *apply_names(const struct apply *a, const struct field *fields, size_t count)
{
    struct pql_value *values = pql_arena_alloc(a->scratch, count * sizeof *values);
    for (size_t i = 0; i < count; i++) {
        values[i] = *field_value(a, &fields[i]);
        if (values[i].kind == PQL_TIME) values[i] = pql_number(pql_decimal_of_int(values[i].ms));
    }
    return values;
}

/* Of a user, for all accounts. */
static bool is_everywhere(const struct apply *a, const struct pql_event *event)
{
    bool is_kind = event->kind == PQL_EVENT_IDENTIFY || event->kind == PQL_EVENT_FORGET;
    return a->message->has_user_events && is_kind && event->user.len;
}

static int check_present(const struct apply *a, const struct pql_event *event)
{
    if (needs[event->kind].needs_name && !event->name.len)
        return reject(a, PQL_REJECT_NO_EVENT, "no path of the mapping's event is present");
    if (needs[event->kind].needs_account && !event->account.len && !is_everywhere(a, event))
        return reject(a, PQL_REJECT_NO_ACCOUNT, "no path of the mapping's account is present");
    if (needs[event->kind].needs_user && !event->user.len)
        return reject(a, PQL_REJECT_NO_USER, "no path of the mapping's user is present");
    if (event->kind == PQL_EVENT_ALIAS && !event->previous_user.len)
        return reject(a, PQL_REJECT_NO_USER, "no path of the mapping's previous_user is present");
    return 0;
}

int pql_mapping_apply(const struct pql_mapping *mapping, const struct pql_value *slots,
                      const struct pql_message *message, struct pql_arena *scratch, struct pql_event *event,
                      struct pql_err *err)
{
    struct apply a = {mapping, slots, message, scratch, err};
    struct pql_event ev = {.kind = PQL_EVENT_TRACK,
                           .input = message->input,
                           .partition = message->partition,
                           .offset = message->offset};
    struct pql_slice fixed_name = {"", 0};
    if (apply_kind(&a, &ev, &fixed_name)) return -1;
    if (needs[ev.kind].needs_name)
        ev.name = renamed(mapping, fixed_name.len ? fixed_name : field_text(&a, &mapping->event));
    ev.account = field_text(&a, &mapping->account);
    if (ev.kind != PQL_EVENT_GROUP || !mapping->group_has_no_user) ev.user = field_text(&a, &mapping->user);
    ev.id = field_text(&a, &mapping->id);
    if (ev.kind == PQL_EVENT_ALIAS) ev.previous_user = field_text(&a, &mapping->previous_user);
    if (check_present(&a, &ev) || apply_time(&a, &ev)) return -1;
    if (ev.kind == PQL_EVENT_OUTCOME) ev.value = *field_value(&a, &mapping->value);
    if (ev.kind == PQL_EVENT_TRACK || ev.kind == PQL_EVENT_OUTCOME)
        ev.properties = apply_names(&a, mapping->properties, mapping->names->properties_count);
    if (ev.kind == PQL_EVENT_IDENTIFY)
        ev.user_attributes = apply_names(&a, mapping->user_attributes, mapping->names->user_attributes_count);
    if (ev.kind == PQL_EVENT_GROUP)
        ev.account_attributes =
            apply_names(&a, mapping->account_attributes, mapping->names->account_attributes_count);
    *event = ev;
    return 0;
}
