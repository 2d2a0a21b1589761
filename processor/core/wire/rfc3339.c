#include "core/wire/rfc3339.h"

#include "base/date.h"

static int days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

struct scan {
    const char *at, *end;
};

static bool take_char(struct scan *s, const char *any_of)
{
    if (s->at == s->end || !*s->at || !strchr(any_of, *s->at)) return false;
    s->at++;
    return true;
}

static bool take_digits(struct scan *s, int count, int *out)
{
    int value = 0;
    if (s->end - s->at < count) return false;
    for (int i = 0; i < count; i++) {
        if (s->at[i] < '0' || s->at[i] > '9') return false;
        value = value * 10 + (s->at[i] - '0');
    }
    s->at += count;
    *out = value;
    return true;
}

static bool take_fraction(struct scan *s, int *ms)
{
    int unit = 100, digits = 0;
    for (; s->at < s->end && *s->at >= '0' && *s->at <= '9'; s->at++, digits++, unit /= 10)
        *ms += (*s->at - '0') * unit;
    return digits > 0;
}

static bool take_offset(struct scan *s, int *minutes)
{
    if (take_char(s, "Zz")) return true;
    bool west = s->at < s->end && *s->at == '-';
    int hours, rest = 0;
    if (!take_char(s, "+-") || !take_digits(s, 2, &hours)) return false;
    if ((take_char(s, ":") || s->at < s->end) && !take_digits(s, 2, &rest)) return false;
    if (hours > 23 || rest > 59) return false;
    *minutes = (west ? -1 : 1) * (hours * 60 + rest);
    return true;
}

static bool parse(struct pql_slice text, bool offset_may_lack, int64_t *ms)
{
    struct scan s = {text.ptr, text.ptr + text.len};
    int year, month, day, hour = 0, minute = 0, second = 0, fraction = 0, offset = 0;
    if (!take_digits(&s, 4, &year) || !take_char(&s, "-") || !take_digits(&s, 2, &month) ||
        !take_char(&s, "-") || !take_digits(&s, 2, &day))
        return false;
    if (month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) return false;
    if (s.at < s.end) {
        if (!take_char(&s, "Tt ") || !take_digits(&s, 2, &hour) || !take_char(&s, ":") ||
            !take_digits(&s, 2, &minute))
            return false;
        if (take_char(&s, ":") &&
            (!take_digits(&s, 2, &second) || (take_char(&s, ".,") && !take_fraction(&s, &fraction))))
            return false;
        bool lacks_offset = offset_may_lack && s.at == s.end;
        if (hour > 23 || minute > 59 || second > 60 || (!lacks_offset && !take_offset(&s, &offset)) ||
            s.at != s.end)
            return false;
    }
    int64_t seconds = ((int64_t)hour * 60 + minute - offset) * 60 + second;
    int64_t at = pql_days_of_date(year, month, day) * PQL_DAY_MS + seconds * 1000 + fraction;
    if (at < PQL_TIME_MIN_MS || at > PQL_TIME_MAX_MS) return false;
    *ms = at;
    return true;
}

bool pql_time_parse(struct pql_slice text, int64_t *ms)
{
    return parse(text, false, ms);
}

bool pql_time_parse_utc(struct pql_slice text, int64_t *ms)
{
    return parse(text, true, ms);
}

static char *put_digits(char *at, int64_t value, int count)
{
    for (int i = count; i-- > 0; value /= 10) at[i] = (char)('0' + (int)(value % 10));
    return at + count;
}

size_t pql_time_text(int64_t ms, char out[PQL_TIME_TEXT_MAX])
{
    if (ms < PQL_TIME_MIN_MS) ms = PQL_TIME_MIN_MS;
    if (ms > PQL_TIME_MAX_MS) ms = PQL_TIME_MAX_MS;
    int64_t of_day = ms % PQL_DAY_MS, days = ms / PQL_DAY_MS;
    if (of_day < 0) of_day += PQL_DAY_MS, days--;
    int64_t year;
    int month, day;
    pql_date_of_days(days, &year, &month, &day);
    char *at = put_digits(out, year, 4);
    *at++ = '-';
    at = put_digits(at, month, 2);
    *at++ = '-';
    at = put_digits(at, day, 2);
    *at++ = 'T';
    at = put_digits(at, of_day / 3600000, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 60000 % 60, 2);
    *at++ = ':';
    at = put_digits(at, of_day / 1000 % 60, 2);
    *at++ = '.';
    at = put_digits(at, of_day % 1000, 3);
    *at++ = 'Z';
    *at = 0;
    return (size_t)(at - out);
}
