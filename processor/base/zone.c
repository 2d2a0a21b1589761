#include "base/zone.h"

#include "base/buf.h"
#include "base/date.h"
#include "base/diag.h"
#include <stdio.h>
#include <stdlib.h>

enum {
    FILE_MAX = 64 * 1024,
    TRANSITIONS_MAX = 4000, /* of a file; the longest history has some 240 */
    OFFSET_MAX = 26 * 3600, /* RFC 8536, 3.2 */
    NAME_MAX_LEN = 100,
    YEARS = 400, /* after which dates and days of the week repeat */
};

#define YEARS_S (INT64_C(146097) * 86400)
#define TIME_MAX_S (INT64_C(1) << 59) /* some files begin at minus this */

struct transition {
    int64_t from_s; /* UTC */
    int32_t offset_s;
};

struct pql_zone {
    struct pql_slice name,
        rule;                /* rule: of the years beyond the file's own transitions, POSIX; may be empty */
    int32_t first_offset_s;  /* before the first transition */
    size_t count, own;       /* own: those that the rule does not give */
    struct transition *rows; /* ascending */
    int64_t repeats_from_s;  /* from here on the years repeat; INT64_MAX: nothing changes any more */
};

/* --- offsets --- */

/* How many transitions have happened at s. */
static size_t count_upto(const struct pql_zone *zone, int64_t s)
{
    size_t low = 0, high = zone->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (zone->rows[middle].from_s <= s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int32_t offset_after(const struct pql_zone *zone, size_t transitions)
{
    return transitions ? zone->rows[transitions - 1].offset_s : zone->first_offset_s;
}

/* The instant of the repeating years that is like s, so many seconds earlier. */
static int64_t repeated_by(const struct pql_zone *zone, int64_t s)
{
    if (s < zone->repeats_from_s) return 0;
    return ((s - zone->repeats_from_s) / YEARS_S + 1) * YEARS_S;
}

int64_t pql_zone_local_ms(const struct pql_zone *zone, int64_t t_ms)
{
    if (!zone) return t_ms;
    int64_t s = pql_floor_div(t_ms, 1000);
    return t_ms + offset_after(zone, count_upto(zone, s - repeated_by(zone, s))) * INT64_C(1000);
}

/* --- the calendar --- */

/* The largest local date up to t: a clock set back over midnight does not bring yesterday back. */
static int64_t day_of(const struct pql_zone *zone, int64_t t_ms)
{
    if (!zone) return pql_floor_div(t_ms, PQL_DAY_MS);
    int64_t s = pql_floor_div(t_ms, 1000), earlier = repeated_by(zone, s), at = s - earlier;
    size_t i = count_upto(zone, at);
    int64_t day = pql_floor_div(at + offset_after(zone, i), 86400);
    for (; i > 0 && zone->rows[i - 1].from_s > at - 2 * OFFSET_MAX; i--) {
        int64_t before = pql_floor_div(zone->rows[i - 1].from_s - 1 + offset_after(zone, i - 1), 86400);
        if (before > day) day = before;
    }
    return day + earlier / 86400;
}

static int64_t day_start(const struct pql_zone *zone, int64_t day)
{
    int64_t midnight = day * PQL_DAY_MS;
    if (!zone) return midnight;
    /* Right but for days on which the clock is set. */
    int64_t guess = midnight - (pql_zone_local_ms(zone, midnight) - midnight);
    guess = midnight - (pql_zone_local_ms(zone, guess) - guess);
    if (day_of(zone, guess) >= day && day_of(zone, guess - 1) < day) return guess;
    int64_t low = midnight - OFFSET_MAX * INT64_C(1000), high = midnight + OFFSET_MAX * INT64_C(1000);
    while (low < high) { /* the first instant whose day is not less */
        int64_t middle = low + (high - low) / 2;
        if (day_of(zone, middle) >= day)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

enum { MONDAY = 3 }; /* 1970-01-01 was a Thursday, the week's fourth day */

static int64_t number_of(enum pql_calendar unit, int64_t day)
{
    if (unit == PQL_CALENDAR_DAY) return day;
    if (unit == PQL_CALENDAR_WEEK) return pql_floor_div(day + MONDAY, 7);
    int64_t year;
    int month, of_month;
    pql_date_of_days(day, &year, &month, &of_month);
    return unit == PQL_CALENDAR_MONTH ? year * 12 + month - 1 : year * 4 + (month - 1) / 3;
}

static int64_t first_day(enum pql_calendar unit, int64_t number)
{
    if (unit == PQL_CALENDAR_DAY) return number;
    if (unit == PQL_CALENDAR_WEEK) return number * 7 - MONDAY;
    int64_t month = unit == PQL_CALENDAR_MONTH ? number : number * 3, year = pql_floor_div(month, 12);
    return pql_days_of_date(year, (int)(month - year * 12) + 1, 1);
}

int64_t pql_zone_period(const struct pql_zone *zone, enum pql_calendar unit, int64_t t_ms)
{
    return number_of(unit, day_of(zone, t_ms));
}

int64_t pql_zone_period_start(const struct pql_zone *zone, enum pql_calendar unit, int64_t number)
{
    return day_start(zone, first_day(unit, number));
}

/* --- the rule: "EST5EDT,M3.2.0,M11.1.0" (POSIX 1003.1, 8.3, with the extensions of RFC 8536, 3.3.1) --- */

struct change { /* the day and local time of a change, each year */
    enum { BY_WEEK, JULIAN, ZERO_BASED } kind;
    int month, week, day;
    int32_t time_s;
};

struct rule {
    int32_t standard_s, summer_s; /* east of UTC */
    bool has_summer;
    struct change to_summer, to_standard;
};

struct scan {
    const char *at, *end;
    bool failed;
};

static bool take(struct scan *s, char c)
{
    if (s->at == s->end || *s->at != c) return false;
    s->at++;
    return true;
}

static void need(struct scan *s, char c)
{
    if (!take(s, c)) s->failed = true;
}

static int take_number(struct scan *s, int min, int max)
{
    int n = 0, digits = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9' && digits < 4; s->at++, digits++)
        n = n * 10 + (*s->at - '0');
    if (!digits || n < min || n > max) s->failed = true;
    return s->failed ? min : n;
}

static void take_letters(struct scan *s)
{
    bool is_quoted = take(s, '<');
    size_t n = 0;
    for (; s->at < s->end && n < 32; s->at++, n++) {
        char c = *s->at;
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
        bool is_sign = (c >= '0' && c <= '9') || c == '+' || c == '-';
        if (!is_letter && !(is_quoted && is_sign)) break;
    }
    if (n < 3 || (is_quoted && !take(s, '>'))) s->failed = true;
}

/* [+-]hh[:mm[:ss]] in seconds. */
static int32_t take_time(struct scan *s, int hours_max)
{
    bool is_negative = take(s, '-');
    if (!is_negative) (void)take(s, '+');
    int32_t seconds = take_number(s, 0, hours_max) * 3600;
    for (int32_t unit = 60; unit >= 1 && take(s, ':'); unit /= 60) seconds += take_number(s, 0, 59) * unit;
    return is_negative ? -seconds : seconds;
}

static struct change take_change(struct scan *s)
{
    struct change change = {.time_s = 2 * 3600};
    need(s, ',');
    if (take(s, 'M')) {
        change.kind = BY_WEEK;
        change.month = take_number(s, 1, 12);
        need(s, '.');
        change.week = take_number(s, 1, 5);
        need(s, '.');
        change.day = take_number(s, 0, 6);
    } else {
        change.kind = take(s, 'J') ? JULIAN : ZERO_BASED;
        change.day = take_number(s, change.kind == JULIAN, 365);
    }
    if (take(s, '/')) change.time_s = take_time(s, 167);
    return change;
}

static bool parse_rule(struct pql_slice text, struct rule *rule)
{
    struct scan s = {text.ptr, text.ptr + text.len, false};
    *rule = (struct rule){0};
    take_letters(&s);
    rule->standard_s = s.failed ? 0 : -take_time(&s, 24);
    rule->has_summer = !s.failed && s.at < s.end;
    if (rule->has_summer) {
        take_letters(&s);
        rule->summer_s = rule->standard_s + 3600;
        if (!s.failed && s.at < s.end && *s.at != ',') rule->summer_s = -take_time(&s, 24);
        if (!s.failed) rule->to_summer = take_change(&s);
        if (!s.failed) rule->to_standard = take_change(&s);
    }
    return !s.failed && s.at == s.end;
}

static bool is_leap(int64_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Local midnight of the day plus the time, in seconds as if it were UTC. */
static int64_t change_at(const struct change *change, int64_t year)
{
    int64_t day = pql_days_of_date(year, 1, 1) + change->day;
    if (change->kind == JULIAN) day += (is_leap(year) && change->day >= 60) - 1;
    if (change->kind == BY_WEEK) {
        int64_t first = pql_days_of_date(year, change->month, 1);
        int64_t next = pql_days_of_date(year + change->month / 12, change->month % 12 + 1, 1);
        int64_t weekday = pql_floor_div(first + 4, 7) * 7; /* the last Sunday not after the first */
        day = weekday - 4 + change->day;
        if (day < first) day += 7;
        day += 7 * (change->week - 1);
        if (day >= next) day -= 7;
    }
    return day * 86400 + change->time_s;
}

static void add_row(struct pql_zone *zone, int64_t from_s, int32_t offset_s)
{
    if (offset_after(zone, zone->count) == offset_s) return; /* another name, or summer in name only */
    zone->rows[zone->count++] = (struct transition){from_s, offset_s};
}

static int64_t year_of(int64_t s)
{
    int64_t year;
    int month, day;
    pql_date_of_days(pql_floor_div(s, 86400), &year, &month, &day);
    return year;
}

/* The two changes of a year, in their order. */
static void changes_of(const struct rule *rule, int64_t year, struct transition out[2])
{
    struct transition summer = {change_at(&rule->to_summer, year) - rule->standard_s, rule->summer_s},
                      standard = {change_at(&rule->to_standard, year) - rule->summer_s, rule->standard_s};
    bool summer_first = summer.from_s <= standard.from_s;
    out[0] = summer_first ? summer : standard;
    out[1] = summer_first ? standard : summer;
}

static bool is_given(const struct rule *rule, const struct transition *row)
{
    struct transition changes[2];
    if (!rule->has_summer) return false;
    changes_of(rule, year_of(row->from_s), changes);
    for (int i = 0; i < 2; i++)
        if (changes[i].from_s == row->from_s && changes[i].offset_s == row->offset_s) return true;
    return false;
}

/* Does the rule change the offset between two rows? */
static bool is_changed_between(const struct rule *rule, const struct transition *from,
                               const struct transition *upto)
{
    if (upto->from_s - from->from_s > 800 * 86400) return true;
    for (int64_t year = year_of(from->from_s) - 1; year <= year_of(upto->from_s); year++) {
        struct transition changes[2];
        changes_of(rule, year, changes);
        for (int i = 0; i < 2; i++)
            if (changes[i].from_s > from->from_s && changes[i].from_s < upto->from_s &&
                changes[i].offset_s != from->offset_s)
                return true;
    }
    return false;
}

/* Without those at the end that the file lists although its rule says them: so that long and short files of
 * one zone are the same. The first row always stays. */
static size_t own_rows(const struct pql_zone *zone, const struct rule *rule)
{
    size_t own = zone->count;
    while (own > 1 && is_given(rule, &zone->rows[own - 1]) &&
           !is_changed_between(rule, &zone->rows[own - 2], &zone->rows[own - 1]))
        own--;
    return own;
}

/* Takes the years after the file's own rows from the rule, so many that the following ones repeat them. */
static void extend(struct pql_zone *zone, const struct rule *rule)
{
    zone->own = own_rows(zone, rule);
    zone->count = zone->own;
    int64_t from_s = zone->own ? zone->rows[zone->own - 1].from_s + 1 : 0;
    if (!rule->has_summer) {
        add_row(zone, from_s, rule->standard_s);
        return;
    }
    int64_t year = year_of(from_s);
    zone->repeats_from_s = pql_days_of_date(year + YEARS + 2, 1, 1) * 86400;
    for (int64_t y = year; y <= year + YEARS + 2; y++) {
        struct transition changes[2];
        changes_of(rule, y, changes);
        for (int i = 0; i < 2; i++)
            if (changes[i].from_s >= from_s) add_row(zone, changes[i].from_s, changes[i].offset_s);
    }
}

/* The file's own rows are there; rule: parsed from the text, if there is one. */
static void finish(struct pql_zone *zone, const struct rule *rule, struct pql_slice text)
{
    zone->rule = text;
    zone->own = zone->count;
    zone->repeats_from_s = INT64_MAX;
    if (text.len) extend(zone, rule);
}

/* --- the file --- */

struct head { /* counts of a data block, and the bytes of a time in it */
    uint32_t utc, standard, leaps, times, types, chars, time_size;
};

static uint32_t read_u32(struct pql_reader *reader)
{
    uint32_t little = pql_read_u32(reader);
    return little << 24 | (little & 0xff00) << 8 | (little >> 8 & 0xff00) | little >> 24;
}

static int64_t read_time(struct pql_reader *reader, uint32_t size)
{
    uint32_t high = read_u32(reader);
    if (size == 4) return (int32_t)high;
    return (int64_t)((uint64_t)high << 32 | read_u32(reader));
}

static struct head read_head(struct pql_reader *reader, uint32_t time_size, char *version)
{
    struct head head = {.time_size = time_size};
    const char *magic = pql_read_bytes(reader, 4);
    if (!magic || memcmp(magic, "TZif", 4) != 0) reader->failed = true;
    *version = (char)pql_read_u8(reader);
    (void)pql_read_bytes(reader, 15);
    head.utc = read_u32(reader);
    head.standard = read_u32(reader);
    head.leaps = read_u32(reader);
    head.times = read_u32(reader);
    head.types = read_u32(reader);
    head.chars = read_u32(reader);
    if (head.times > TRANSITIONS_MAX || head.types < 1 || head.types > 256 || head.chars > 2000 ||
        head.utc > 256 || head.standard > 256 || head.leaps > 1000)
        reader->failed = true;
    return head;
}

static void skip_block(struct pql_reader *reader, const struct head *head)
{
    size_t size = head->times * (head->time_size + 1) + head->types * 6 + head->chars +
                  head->leaps * (head->time_size + 4) + head->standard + head->utc;
    if (!reader->failed) (void)pql_read_bytes(reader, size);
}

/* Offsets of the types into `offsets`. */
static void read_types(struct pql_reader *reader, const struct head *head, int32_t offsets[256])
{
    for (uint32_t i = 0; i < head->types; i++) {
        offsets[i] = (int32_t)read_u32(reader);
        (void)pql_read_bytes(reader, 2);
        if (offsets[i] > OFFSET_MAX || offsets[i] < -OFFSET_MAX) reader->failed = true;
    }
}

static void read_block(struct pql_reader *reader, const struct head *head, struct pql_arena *arena,
                       struct pql_zone *zone)
{
    int64_t *times = pql_arena_alloc(arena, head->times * sizeof *times + 1);
    int32_t offsets[256] = {0};
    for (uint32_t i = 0; i < head->times; i++) {
        times[i] = read_time(reader, head->time_size);
        bool is_far = times[i] < -TIME_MAX_S || times[i] > TIME_MAX_S;
        if (is_far || (i && times[i] <= times[i - 1])) reader->failed = true;
    }
    const char *types = pql_read_bytes(reader, head->times);
    read_types(reader, head, offsets);
    zone->first_offset_s = offsets[0];
    zone->rows = pql_arena_alloc(arena, (head->times + 2 * (YEARS + 3) + 1) * sizeof *zone->rows);
    for (uint32_t i = 0; i < head->times && !reader->failed; i++) {
        if ((unsigned char)types[i] >= head->types)
            reader->failed = true;
        else
            add_row(zone, times[i], offsets[(unsigned char)types[i]]);
    }
    (void)pql_read_bytes(reader,
                         head->chars + head->leaps * (head->time_size + 4) + head->standard + head->utc);
}

/* "\nEST5EDT,M3.2.0,M11.1.0\n" */
static struct pql_slice read_footer(struct pql_reader *reader)
{
    struct pql_slice text = {"", 0};
    if (pql_read_u8(reader) != '\n') reader->failed = true;
    size_t left = reader->failed ? 0 : pql_reader_left(reader);
    const char *end = left ? memchr(reader->at, '\n', left) : NULL;
    if (!end) reader->failed = true;
    if (!reader->failed) text = (struct pql_slice){reader->at, (size_t)(end - reader->at)};
    return text;
}

int pql_zone_parse(struct pql_slice name, struct pql_slice bytes, struct pql_arena *arena,
                   const struct pql_zone **out, struct pql_err *err)
{
    struct pql_reader reader = pql_reader_of(bytes.ptr, bytes.len);
    struct pql_zone *zone = pql_arena_zalloc(arena, sizeof *zone);
    struct rule rule = {0};
    char version;
    struct head head = read_head(&reader, 4, &version);
    bool is_long = version >= '2';
    if (is_long) {
        skip_block(&reader, &head);
        head = read_head(&reader, 8, &version);
    }
    if (!reader.failed && head.leaps)
        return PQL_FAIL(err, PQL_ERR_CONFIG,
                        "the time zone '%.*s' counts leap seconds; take one that does not",
                        PQL_SLICE_ARG(name));
    if (!reader.failed) read_block(&reader, &head, arena, zone);
    struct pql_slice footer = is_long && !reader.failed ? read_footer(&reader) : (struct pql_slice){"", 0};
    if (reader.failed || (footer.len && !parse_rule(footer, &rule)))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the file of the time zone '%.*s' is damaged",
                        PQL_SLICE_ARG(name));
    zone->name = pql_arena_copy(arena, name);
    finish(zone, &rule, pql_arena_copy(arena, footer));
    *out = zone;
    return 0;
}

/* --- the database --- */

static const char *folder(void)
{
    const char *given = getenv("TZDIR");
    return given && *given ? given : "/usr/share/zoneinfo";
}

/* Never a path out of the folder. */
static bool is_zone_name(struct pql_slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.ptr[i];
        bool is_letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!is_letter && (!strchr("_+-/", c) || i == 0 || !c)) return false;
    }
    return name.len > 0 && name.len <= NAME_MAX_LEN && name.ptr[name.len - 1] != '/';
}

/* Whole, if it is a file of at most FILE_MAX bytes. */
static bool read_file(const char *path, struct pql_buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    char *room = pql_buf_reserve(out, FILE_MAX + 1);
    out->len += fread(room, 1, FILE_MAX + 1, file);
    bool is_whole = !ferror(file) && out->len <= FILE_MAX;
    return fclose(file) == 0 && is_whole;
}

/* The name of zone1970.tab (third column) that is nearest to what was written. */
static int unknown(struct pql_slice name, struct pql_arena *arena, struct pql_err *err)
{
    enum { NAMES_MAX = 1000 };
    const char **names = pql_arena_alloc(arena, NAMES_MAX * sizeof *names);
    size_t count = 0;
    struct pql_buf table = {0};
    (void)read_file(pql_arena_printf(arena, "%s/zone1970.tab", folder()), &table);
    for (size_t at = 0; at < table.len && count < NAMES_MAX;) {
        const char *line = table.ptr + at, *newline = memchr(line, '\n', table.len - at);
        size_t len = newline ? (size_t)(newline - line) : table.len - at;
        at += len + 1;
        const char *tab = *line == '#' ? NULL : memchr(line, '\t', len);
        tab = tab ? memchr(tab + 1, '\t', (size_t)(line + len - tab) - 1) : NULL;
        if (!tab) continue;
        const char *end = memchr(tab + 1, '\t', (size_t)(line + len - tab) - 1);
        if (!end) end = line + len;
        names[count++] = pql_arena_copy(arena, (struct pql_slice){tab + 1, (size_t)(end - tab) - 1}).ptr;
    }
    pql_buf_deinit(&table);
    if (!count)
        return PQL_FAIL(
            err, PQL_ERR_CONFIG,
            "the time zone '%.*s' was not found: there is no time zone database in %s; install the "
            "package tzdata, or name its folder in the environment as TZDIR",
            PQL_SLICE_ARG(name), folder());
    const char *nearest = pql_nearest(name, names, count);
    return PQL_FAIL(err, PQL_ERR_CONFIG, "there is no time zone '%.*s'%s%s%s", PQL_SLICE_ARG(name),
                    nearest ? "; did you mean '" : ", as in 'Europe/Berlin'", nearest ? nearest : "",
                    nearest ? "'?" : "");
}

int pql_zone_load(struct pql_slice name, struct pql_arena *arena, const struct pql_zone **zone,
                  struct pql_err *err)
{
    if (pql_slice_is(name, "UTC") || pql_slice_is(name, "Etc/UTC")) {
        *zone = NULL;
        return 0;
    }
    struct pql_buf bytes = {0};
    int rc = -1;
    const char *path = pql_arena_printf(arena, "%s/%.*s", folder(), PQL_SLICE_ARG(name));
    bool is_there = is_zone_name(name) && read_file(path, &bytes);
    if (is_there && bytes.len >= 4 && memcmp(bytes.ptr, "TZif", 4) == 0)
        rc = pql_zone_parse(name, (struct pql_slice){bytes.ptr, bytes.len}, arena, zone, err);
    else
        rc = unknown(name, arena, err);
    pql_buf_deinit(&bytes);
    return rc;
}

/* --- text: name, offset before the first transition, (instant, offset) of each, rule --- */

struct pql_slice pql_zone_name(const struct pql_zone *zone)
{
    return zone ? zone->name : PQL_SLICE_LITERAL("UTC");
}

struct pql_slice pql_zone_text(const struct pql_zone *zone, struct pql_arena *arena)
{
    if (!zone) return PQL_SLICE_LITERAL("UTC");
    struct pql_buf text = {0};
    pql_buf_printf(&text, "%.*s %d", PQL_SLICE_ARG(zone->name), (int)zone->first_offset_s);
    for (size_t i = 0; i < zone->own; i++)
        pql_buf_printf(&text, " %lld %d", (long long)zone->rows[i].from_s, (int)zone->rows[i].offset_s);
    pql_buf_printf(&text, " %.*s", PQL_SLICE_ARG(zone->rule));
    struct pql_slice copy = pql_arena_copy(arena, (struct pql_slice){text.ptr, text.len});
    pql_buf_deinit(&text);
    return copy;
}

static struct pql_slice next_word(struct scan *s)
{
    const char *from = s->at;
    while (s->at < s->end && *s->at != ' ') s->at++;
    struct pql_slice word = {from, (size_t)(s->at - from)};
    if (s->at < s->end) s->at++;
    return word;
}

static int64_t next_integer(struct scan *s, int64_t max)
{
    struct pql_slice word = next_word(s);
    bool is_negative = word.len && word.ptr[0] == '-';
    int64_t n = 0;
    for (size_t i = is_negative; i < word.len && n <= max; i++) {
        if (word.ptr[i] < '0' || word.ptr[i] > '9') s->failed = true;
        n = n * 10 + (word.ptr[i] - '0');
    }
    if (word.len == is_negative || n > max) s->failed = true;
    return s->failed ? 0 : is_negative ? -n : n;
}

static bool is_integer_next(const struct scan *s)
{
    return s->at < s->end && (*s->at == '-' || (*s->at >= '0' && *s->at <= '9'));
}

int pql_zone_of_text(struct pql_slice text, struct pql_arena *arena, const struct pql_zone **out,
                     struct pql_err *err)
{
    struct scan s = {text.ptr, text.ptr + text.len, text.len > FILE_MAX};
    struct pql_zone *zone = pql_arena_zalloc(arena, sizeof *zone);
    struct rule rule = {0};
    zone->name = pql_arena_copy(arena, next_word(&s));
    zone->first_offset_s = (int32_t)next_integer(&s, OFFSET_MAX);
    zone->rows = pql_arena_alloc(arena, (TRANSITIONS_MAX + 2 * (YEARS + 3) + 1) * sizeof *zone->rows);
    while (!s.failed && is_integer_next(&s)) {
        int64_t from_s = next_integer(&s, TIME_MAX_S);
        int32_t offset_s = (int32_t)next_integer(&s, OFFSET_MAX);
        bool ascends = !zone->count || from_s > zone->rows[zone->count - 1].from_s;
        if (!ascends || zone->count == TRANSITIONS_MAX) s.failed = true;
        if (!s.failed) add_row(zone, from_s, offset_s);
    }
    struct pql_slice rest = {s.at, (size_t)(s.end - s.at)};
    if (s.failed || (rest.len && !parse_rule(rest, &rule)))
        return PQL_FAIL(err, PQL_ERR_CONFIG, "the table of a time zone '%.*s' is damaged",
                        (int)(text.len > 60 ? 60 : text.len), text.ptr);
    finish(zone, &rule, pql_arena_copy(arena, rest));
    *out = zone;
    return 0;
}
