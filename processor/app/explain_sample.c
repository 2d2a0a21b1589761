#include "app/explain_sample.h"

#include "app/replayer.h"
#include "core/explain.h"

#include <stdlib.h>

enum { NAMES_MAX = 4096 };

/* An event's name and which of the wanted properties it had at least once. */
struct shown_event {
    const char *name;
    uint64_t count;
    bool *properties;
};

struct shown {
    const struct pql_names *names;
    struct pql_arena arena;
    struct shown_event *events;
    size_t events_count, events_capacity;
    bool *user_attributes, *account_attributes;
    const char **keys; /* of objects and columns, whatever they are for: suggestions */
    size_t keys_count, keys_capacity;
};

/* --- looking --- */

static struct shown_event *event_of(struct shown *shown, struct pql_slice name)
{
    for (size_t i = 0; i < shown->events_count; i++)
        if (pql_slice_is(name, shown->events[i].name)) return &shown->events[i];
    if (shown->events_count == NAMES_MAX) return NULL;
    shown->events =
        pql_xgrow(shown->events, &shown->events_capacity, shown->events_count + 1, sizeof *shown->events);
    struct shown_event *event = &shown->events[shown->events_count++];
    *event = (struct shown_event){.name = pql_arena_copy(&shown->arena, name).ptr};
    event->properties = pql_arena_zalloc(&shown->arena, shown->names->properties_count + 1);
    return event;
}

static void mark(bool *are_shown, const struct pql_value *values, size_t count)
{
    for (size_t i = 0; values && i < count; i++) are_shown[i] |= values[i].kind != PQL_NULL;
}

static void add_key(struct shown *shown, struct pql_slice key)
{
    for (size_t i = 0; i < shown->keys_count; i++)
        if (pql_slice_is(key, shown->keys[i])) return;
    if (shown->keys_count == NAMES_MAX) return;
    shown->keys = pql_xgrow(shown->keys, &shown->keys_capacity, shown->keys_count + 1, sizeof *shown->keys);
    shown->keys[shown->keys_count++] = pql_arena_copy(&shown->arena, key).ptr;
}

/* Texts that a colon follows: keys of JSON. Those with escapes are left as they stand. */
static void add_keys(struct shown *shown, struct pql_slice json)
{
    const char *at = json.ptr, *end = json.ptr + json.len;
    while (at < end && (at = memchr(at, '"', (size_t)(end - at)))) {
        const char *begin = ++at;
        while (at < end && *at != '"') at += *at == '\\' ? 2 : 1;
        if (at >= end) return;
        struct pql_slice text = {begin, (size_t)(at - begin)};
        for (at++; at < end && (*at == ' ' || *at == '\t');) at++;
        if (at < end && *at == ':') add_key(shown, text);
    }
}

static void look(void *context, const struct pql_event *event, struct pql_slice row)
{
    struct shown *shown = context;
    struct shown_event *of = event->name.len ? event_of(shown, event->name) : NULL;
    if (of) {
        of->count++;
        mark(of->properties, event->properties, shown->names->properties_count);
    }
    mark(shown->user_attributes, event->user_attributes, shown->names->user_attributes_count);
    mark(shown->account_attributes, event->account_attributes, shown->names->account_attributes_count);
    add_keys(shown, row);
}

/* --- telling --- */

struct telling {
    const struct shown *shown;
    struct pql_diags diags;
};

/* The last part of a name: keys are looked at one by one. */
static struct pql_slice last_part(struct pql_slice name)
{
    size_t at = name.len;
    while (at && name.ptr[at - 1] != '.') at--;
    return (struct pql_slice){name.ptr + at, name.len - at};
}

static void warn(struct telling *telling, const struct pql_named *named, const char *what,
                 const char *nearest)
{
    char meant[200] = "";
    if (nearest) snprintf(meant, sizeof meant, "; did you mean '%s'?", nearest);
    for (size_t i = 0; i < telling->diags.count;
         i++) /* a signal may be read in several places: once is enough */
        if (strstr(telling->diags.items[i].message, what) == telling->diags.items[i].message) return;
    pql_diag_source(&telling->diags, PQL_SEVERITY_WARNING, named->source, named->at, named->span, "%s%s",
                    what, meant);
}

static void check_event(struct telling *telling, const struct pql_named *named)
{
    const struct shown *shown = telling->shown;
    const char **names = pql_xcalloc(shown->events_count + 1, sizeof *names);
    bool is_shown = false;
    for (size_t i = 0; i < shown->events_count; i++) {
        names[i] = shown->events[i].name;
        is_shown |= pql_slice_is(named->name, names[i]);
    }
    char what[300];
    snprintf(what, sizeof what, "no event of the sample is called '%.*s'", PQL_SLICE_ARG(named->name));
    if (!is_shown) warn(telling, named, what, pql_nearest(named->name, names, shown->events_count));
    free(names);
}

static bool is_of(const struct pql_named *named, const char *event)
{
    for (size_t i = 0; i < named->events_count; i++)
        if (pql_slice_is(named->events[i], event)) return true;
    return named->events_count == 0;
}

/* A key that is nearly the last part of the name; the same key stands elsewhere, if at all. */
static const char *nearest_key(const struct shown *shown, struct pql_slice name)
{
    struct pql_slice part = last_part(name);
    const char **keys = pql_xcalloc(shown->keys_count + 1, sizeof *keys);
    size_t count = 0;
    for (size_t i = 0; i < shown->keys_count; i++)
        if (!pql_slice_is(part, shown->keys[i])) keys[count++] = shown->keys[i];
    const char *nearest = pql_nearest(part, keys, count);
    free(keys);
    return nearest;
}

/* Of events that are not there themselves nothing is said again. */
static void check_property(struct telling *telling, const struct pql_named *named)
{
    const struct shown *shown = telling->shown;
    uint64_t count = 0;
    for (size_t i = 0; i < shown->events_count; i++) {
        if (!is_of(named, shown->events[i].name)) continue;
        if (shown->events[i].properties[named->index]) return;
        count += shown->events[i].count;
    }
    if (!count) return;
    char what[300], number[PQL_COUNT_TEXT_MAX];
    snprintf(what, sizeof what, "no event that is counted here, of %s in the sample, has a property '%.*s'",
             pql_count_text(count, number), PQL_SLICE_ARG(named->name));
    warn(telling, named, what, nearest_key(shown, named->name));
}

static void check_attribute(struct telling *telling, const struct pql_named *named)
{
    const struct shown *shown = telling->shown;
    bool of_user = named->kind == PQL_NAME_USER_ATTRIBUTE;
    if ((of_user ? shown->user_attributes : shown->account_attributes)[named->index]) return;
    char what[300];
    snprintf(what, sizeof what, "no %s of the sample sets the attribute '%.*s'",
             of_user ? "identify" : "group", PQL_SLICE_ARG(named->name));
    warn(telling, named, what, nearest_key(shown, named->name));
}

static void check(void *context, const struct pql_named *named)
{
    struct telling *telling = context;
    if (named->kind == PQL_NAME_EVENT)
        check_event(telling, named);
    else if (named->kind == PQL_NAME_PROPERTY)
        check_property(telling, named);
    else
        check_attribute(telling, named);
}

static void tell(const struct shown *shown, const struct pql_program *program)
{
    struct telling telling = {.shown = shown};
    pql_diags_init(&telling.diags);
    for (size_t i = 0; i < pql_program_definitions_count(program); i++)
        pql_explain_names(program, i, check, &telling);
    pql_diags_print(&telling.diags, stderr);
    pql_diags_deinit(&telling.diags);
}

static int look_through(struct pql_replay *replay, struct shown *shown, const char *path)
{
    char name[4096], *paths[] = {name};
    if ((size_t)snprintf(name, sizeof name, "%s", path) >= sizeof name) return PQL_EXIT_CONFIG;
    replay->is_quiet = true;
    replay->look = look;
    replay->look_context = shown;
    pql_replay_init(replay);
    pql_replay_start(replay, 1);
    return pql_replay_run_files(replay,
                                &(struct pql_replay_files){.paths = paths, .count = 1, .advance_ms = -1});
}

int pql_explain_sample(const struct pql_config_flags *flags, const char *path)
{
    struct pql_replay replay = {0};
    struct shown shown = {0};
    int exit_code;
    pql_arena_init(&shown.arena);
    if (pql_setup_init(&replay.setup, flags, false, &exit_code)) {
        shown.names = pql_program_names(replay.setup.program);
        shown.user_attributes = pql_arena_zalloc(&shown.arena, shown.names->user_attributes_count + 1);
        shown.account_attributes = pql_arena_zalloc(&shown.arena, shown.names->account_attributes_count + 1);
        exit_code = look_through(&replay, &shown, path);
        if (exit_code == PQL_EXIT_OK) tell(&shown, replay.setup.program);
    }
    pql_replay_stop(&replay);
    free(shown.events);
    free(shown.keys);
    pql_arena_deinit(&shown.arena);
    return exit_code;
}
