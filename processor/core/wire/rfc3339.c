#include "core/wire/rfc3339.h"

enum { DAY_MS = 86400000 };

/* Years are counted from March, so that the leap day is the last of a year; 719468 days lie between
 * 0000-03-01 and 1970-01-01, 146097 in 400 years. */
int64_t pql_days_of_date(int64_t year, int month, int day)
{
    int64_t y = month > 2 ? year : year - 1;
    int64_t era = (y >= 0 ? y : y - 399) / 400, of_era = y - era * 400;
    int64_t of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

static void date_of_days(int64_t days, int *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097, of_era = days - era * 146097;
    int64_t y = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100), m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = (int)(y + era * 400 + (*month <= 2));
}

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
    int64_t at = pql_days_of_date(year, month, day) * DAY_MS + seconds * 1000 + fraction;
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
    int64_t of_day = ms % DAY_MS, days = ms / DAY_MS;
    if (of_day < 0) of_day += DAY_MS, days--;
    int year, month, day;
    date_of_days(days, &year, &month, &day);
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
