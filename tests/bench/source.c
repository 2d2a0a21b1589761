#include "bench/source.h"

#include <stdio.h>
#include <stdlib.h>

const char *const source_names[SOURCE_NAMES] = {"project_created", "invite_sent",      "page_viewed",
                                                "login",           "task_created",     "task_completed",
                                                "comment_added",   "file_uploaded",    "search_performed",
                                                "report_exported", "settings_changed", "billing_viewed"};

#define BEGIN_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define SPAN_MS (UINT64_C(30) * 86400000)
#define SIX_HOURS_MS INT64_C(21600000)
#define GOLDEN UINT64_C(0x9e3779b97f4a7c15)

/* The finaliser of splitmix64 (Steele, Lea and Flood, OOPSLA 2014). */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void digits(char *out, uint32_t value, int count)
{
    for (int i = count; i-- > 0; value /= 10) out[i] = (char)('0' + value % 10);
}

static uint32_t name_of(uint32_t percent)
{
    static const uint8_t below[SOURCE_NAMES] = {14, 28, 50, 62, 71, 78, 85, 90, 94, 96, 98, 100};
    uint32_t name = 0;
    while (percent >= below[name]) name++;
    return name;
}

/* 1 % of the events come up to six hours late, the others up to 999 ms. */
static int64_t lateness(uint64_t b)
{
    int64_t part = (int64_t)(b >> 48);
    return (b >> 40 & 0xff) < 3 ? part * SIX_HOURS_MS >> 16 : part * 1000 >> 16;
}

void source_event(const struct source *source, uint64_t i, struct source_event *out)
{
    uint64_t state = mix(source->seed) ^ mix(i * GOLDEN + 1);
    uint64_t a = mix(state + GOLDEN), b = mix(state + 2 * GOLDEN), where = a >> 32;
    if (!source->is_uniform) where = where * where >> 32;
    uint32_t account = (uint32_t)(where * source->accounts >> 32);
    memcpy(out->account, "acct-", 5);
    digits(out->account + 5, account, 7);
    bool has_user = (b >> 8 & 0xff) >= 13;
    int user_digits = source->users ? 5 : 1;
    uint32_t user =
        source->users ? (uint32_t)((mix(b) >> 32) * source->users >> 32) : (uint32_t)((b & 0xff) * 10 >> 8);
    memcpy(out->user, "user-", 5);
    digits(out->user + 5, account, 7);
    digits(out->user + 12, user, user_digits);
    out->user_len = has_user ? (uint8_t)(12 + user_digits) : 0;
    out->name = (uint8_t)name_of((uint32_t)((a & 0xffff) * 100 >> 16));
    __extension__ typedef unsigned __int128 wide;
    uint64_t span_ms = source->span_ms ? source->span_ms : SPAN_MS;
    out->time_ms = BEGIN_MS + (int64_t)((wide)i * span_ms / source->events);
    if (!source->is_ordered) out->time_ms -= lateness(b);
}

static uint32_t number_of(const char *text, int count)
{
    uint32_t value = 0;
    while (count--) value = value * 10 + (uint32_t)(*text++ - '0');
    return value;
}

uint32_t source_account_number(const struct source_event *event)
{
    return number_of(event->account + 5, 7);
}

uint32_t source_user_number(const struct source_event *event)
{
    return number_of(event->user + 12, event->user_len - 12);
}

static void put_string(struct pql_buf *out, const char *text, size_t len)
{
    pql_buf_zigzag(out, (int64_t)len);
    pql_buf_put(out, text, len);
}

static void put_words(struct pql_buf *out, const char *text)
{
    put_string(out, text, strlen(text));
}

/* A UUID of version 4 from two random words. */
static void put_id(struct pql_buf *out, uint64_t high, uint64_t low)
{
    char text[40];
    high = (high & ~UINT64_C(0xf000)) | 0x4000;
    low = (low & UINT64_C(0x3fffffffffffffff)) | UINT64_C(0x8000000000000000);
    snprintf(text, sizeof text, "%08llx-%04llx-%04llx-%04llx-%012llx", (unsigned long long)(high >> 32),
             (unsigned long long)(high >> 16 & 0xffff), (unsigned long long)(high & 0xffff),
             (unsigned long long)(low >> 48), (unsigned long long)(low & UINT64_C(0xffffffffffff)));
    put_string(out, text, 36);
}

static void put_properties(struct pql_buf *out, uint64_t b, uint64_t session)
{
    static const char *const plans[4] = {"free", "team", "business", "enterprise"};
    char path[] = "/workspaces/main/projects/0000/board", text[40];
    pql_buf_zigzag(out, 3);
    put_words(out, "plan");
    put_words(out, plans[b >> 16 & 3]);
    put_words(out, "path");
    digits(path + 26, (uint32_t)((b >> 20 & 0xffff) % 1000), 4);
    put_words(out, path);
    put_words(out, "session_id");
    snprintf(text, sizeof text, "%016llx%016llx", (unsigned long long)session,
             (unsigned long long)mix(session));
    put_string(out, text, 32);
    pql_buf_zigzag(out, 0);
}

void source_value(const struct source *source, uint64_t i, uint32_t schema_id, struct pql_buf *out)
{
    uint64_t state = mix(source->seed) ^ mix(i * GOLDEN + 1), b = mix(state + 2 * GOLDEN);
    uint64_t c = mix(state + 3 * GOLDEN), d = mix(state + 4 * GOLDEN);
    struct source_event event;
    source_event(source, i, &event);
    pql_buf_u8(out, 0);
    for (int shift = 24; shift >= 0; shift -= 8) pql_buf_u8(out, (uint8_t)(schema_id >> shift));
    put_id(out, c, d);
    put_string(out, event.account, sizeof event.account);
    pql_buf_zigzag(out, event.user_len > 0);
    if (event.user_len) put_string(out, event.user, event.user_len);
    put_words(out, source_names[event.name]);
    pql_buf_zigzag(out, event.time_ms);
    put_properties(out, b, mix(c ^ d));
}

struct pql_event source_view(const struct source_event *from)
{
    struct pql_event event = {.kind = PQL_EVENT_TRACK,
                              .name = pql_slice_of(source_names[from->name]),
                              .account = {from->account, sizeof from->account},
                              .time_ms = from->time_ms};
    if (from->user_len) event.user = (struct pql_slice){from->user, from->user_len};
    return event;
}

bool source_option(struct source *source, int argc, char **argv, int *at)
{
    const char *name = argv[*at];
    bool is_uniform = !strcmp(name, "--uniform"), is_ordered = !strcmp(name, "--ordered");
    source->is_uniform |= is_uniform;
    source->is_ordered |= is_ordered;
    if (is_uniform || is_ordered) return true;
    if (*at + 1 >= argc) return false;
    uint64_t value = strtoull(argv[*at + 1], NULL, 10);
    if (!strcmp(name, "--seed"))
        source->seed = value;
    else if (!strcmp(name, "--events"))
        source->events = value;
    else if (!strcmp(name, "--span"))
        source->span_ms = value;
    else if (!strcmp(name, "--count"))
        source->count = value;
    else if (!strcmp(name, "--accounts"))
        source->accounts = (uint32_t)value;
    else if (!strcmp(name, "--users"))
        source->users = (uint32_t)value;
    else
        return false;
    ++*at;
    return true;
}

uint64_t source_hash(struct pql_slice account, bool entered, int64_t at_ms)
{
    char text[64];
    int len = snprintf(text, sizeof text, "%.*s|%d|%lld", PQL_SLICE_ARG(account), entered, (long long)at_ms);
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (int i = 0; i < len; i++) hash = (hash ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    return mix(hash);
}
