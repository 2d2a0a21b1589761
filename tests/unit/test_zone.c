/* Time zones: the system's database against the C library, rules far ahead, clocks set back over midnight,
 * and files that are wrong. */
#include "base/zone.h"

#include "base/buf.h"
#include "base/date.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
/* after the above */
#include <cmocka.h>

static const int64_t day_ms = 86400000;

struct world {
    struct pql_arena arena;
};

static int set_up(void **state)
{
    struct world *w = pql_xcalloc(1, sizeof *w);
    pql_arena_init(&w->arena);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;
    pql_arena_deinit(&w->arena);
    free(w);
    return 0;
}

static const struct pql_zone *load(struct world *w, const char *name)
{
    const struct pql_zone *zone = NULL;
    struct pql_err err = {0};
    if (pql_zone_load(pql_slice_of(name), &w->arena, &zone, &err)) fail_msg("%s: %s", name, err.msg);
    return zone;
}

static int64_t at(int64_t year, int month, int day, int hour, int minute)
{
    return pql_days_of_date(year, month, day) * day_ms + (hour * 60 + minute) * INT64_C(60000);
}

static const char *const zones[] = {
    "America/New_York", "Europe/Berlin",   "Africa/Cairo",      "Asia/Kolkata",         "Australia/Lord_Howe",
    "America/St_Johns", "Pacific/Apia",    "America/Sao_Paulo", "Africa/Casablanca",    "Europe/Dublin",
    "America/Nuuk",     "Asia/Gaza",       "Pacific/Chatham",   "America/Scoresbysund", "Asia/Tokyo",
    "Etc/GMT+5",        "Antarctica/Troll"};
enum { ZONES = sizeof zones / sizeof *zones };

/* The C library reads the same files with code of its own. */
static void offsets_are_those_of_the_c_library(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ZONES; i++) {
        const struct pql_zone *zone = load(w, zones[i]);
        setenv("TZ", zones[i], 1);
        tzset();
        for (int64_t t = at(1890, 1, 1, 0, 0); t < at(2120, 1, 1, 0, 0); t += 41 * 3600000 + 61000) {
            time_t seconds = (time_t)pql_floor_div(t, 1000);
            struct tm tm;
            localtime_r(&seconds, &tm);
            int64_t local_s = pql_days_of_date(tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday) * 86400 +
                              tm.tm_hour * 3600 + tm.tm_min * 60 + tm.tm_sec;
            if (pql_floor_div(pql_zone_local_ms(zone, t), 1000) != local_s)
                fail_msg("%s at %lld: %lld, the C library says %lld", zones[i], (long long)t,
                         (long long)pql_zone_local_ms(zone, t), (long long)local_s);
        }
    }
    unsetenv("TZ");
    tzset();
}

static void rules_go_on_for_ever(void **state)
{
    const struct pql_zone *zone = load(*state, "America/New_York");
    for (int64_t year = 2026; year < 9999; year += 37) {
        assert_int_equal(pql_zone_local_ms(zone, at(year, 7, 1, 12, 0)), at(year, 7, 1, 8, 0));
        assert_int_equal(pql_zone_local_ms(zone, at(year, 1, 1, 12, 0)), at(year, 1, 1, 7, 0));
    }
}

/* A start is the first instant whose number is not less; every number has one, and they ascend. */
static void periods_are_intervals(void **state)
{
    struct world *w = *state;
    for (size_t i = 0; i < ZONES; i++) {
        const struct pql_zone *zone = load(w, zones[i]);
        for (int unit = PQL_CALENDAR_DAY; unit <= PQL_CALENDAR_QUARTER; unit++) {
            int64_t from = pql_zone_period(zone, (enum pql_calendar)unit, at(1975, 1, 1, 0, 0)),
                    upto = pql_zone_period(zone, (enum pql_calendar)unit, at(2035, 1, 1, 0, 0)),
                    last = INT64_MIN;
            for (int64_t n = from; n < upto; n++) {
                int64_t start = pql_zone_period_start(zone, (enum pql_calendar)unit, n);
                bool is_skipped = pql_zone_period(zone, (enum pql_calendar)unit, start) > n;
                if (start < last || pql_zone_period(zone, (enum pql_calendar)unit, start) < n ||
                    pql_zone_period(zone, (enum pql_calendar)unit, start - 1) >= n ||
                    (is_skipped && unit != PQL_CALENDAR_DAY))
                    fail_msg("%s, unit %d, number %lld", zones[i], unit, (long long)n);
                last = start;
            }
        }
    }
}

static void days_where_clocks_are_set(void **state)
{
    struct world *w = *state;
    const struct pql_zone *cairo = load(w, "Africa/Cairo"), *johns = load(w, "America/St_Johns"),
                          *apia = load(w, "Pacific/Apia"), *york = load(w, "America/New_York");
    /* From 24:00 to 01:00: the day starts at 01:00. */
    int64_t day = pql_days_of_date(2026, 4, 24);
    assert_int_equal(pql_zone_period_start(cairo, PQL_CALENDAR_DAY, day), at(2026, 4, 23, 22, 0));
    /* From 00:01 back to 23:01 (2006-10-29, 02:31 UTC): the new day has begun and goes on. */
    day = pql_days_of_date(2006, 10, 29);
    assert_int_equal(pql_zone_period_start(johns, PQL_CALENDAR_DAY, day), at(2006, 10, 29, 2, 30));
    assert_int_equal(pql_zone_period(johns, PQL_CALENDAR_DAY, at(2006, 10, 29, 2, 45)), day);
    /* Apia had no 30 December 2011. */
    day = pql_days_of_date(2011, 12, 30);
    assert_int_equal(pql_zone_period_start(apia, PQL_CALENDAR_DAY, day),
                     pql_zone_period_start(apia, PQL_CALENDAR_DAY, day + 1));
    /* 25 hours. */
    day = pql_days_of_date(2026, 11, 1);
    assert_int_equal(pql_zone_period_start(york, PQL_CALENDAR_DAY, day), at(2026, 11, 1, 4, 0));
    assert_int_equal(pql_zone_period_start(york, PQL_CALENDAR_DAY, day + 1), at(2026, 11, 2, 5, 0));
}

static void weeks_months_quarters(void **state)
{
    const struct pql_zone *york = load(*state, "America/New_York");
    int64_t sunday = at(2026, 1, 4, 23, 59);
    assert_int_equal(pql_zone_period(NULL, PQL_CALENDAR_WEEK, sunday) + 1,
                     pql_zone_period(NULL, PQL_CALENDAR_WEEK, sunday + 60000));
    assert_int_equal(pql_zone_period(york, PQL_CALENDAR_WEEK, sunday),
                     pql_zone_period(york, PQL_CALENDAR_WEEK, sunday + 60000));
    int64_t month = pql_zone_period(york, PQL_CALENDAR_MONTH, at(2026, 4, 1, 4, 0));
    assert_int_equal(pql_zone_period_start(york, PQL_CALENDAR_MONTH, month), at(2026, 4, 1, 4, 0));
    assert_int_equal(pql_zone_period(york, PQL_CALENDAR_MONTH, at(2026, 4, 1, 3, 59)), month - 1);
    int64_t quarter = pql_zone_period(york, PQL_CALENDAR_QUARTER, at(2026, 4, 1, 4, 0));
    assert_int_equal(pql_zone_period_start(york, PQL_CALENDAR_QUARTER, quarter), at(2026, 4, 1, 4, 0));
    assert_int_equal(pql_zone_period_start(york, PQL_CALENDAR_QUARTER, quarter + 1), at(2026, 7, 1, 4, 0));
    assert_int_equal(
        pql_zone_period_start(NULL, PQL_CALENDAR_MONTH, pql_zone_period(NULL, PQL_CALENDAR_MONTH, -1)),
        at(1969, 12, 1, 0, 0));
}

static struct pql_buf file_of(const char *name)
{
    struct pql_buf bytes = {0};
    char path[200];
    snprintf(path, sizeof path, "%s/%s", getenv("TZDIR") ? getenv("TZDIR") : "/usr/share/zoneinfo", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    bytes.len = fread(pql_buf_reserve(&bytes, 65536), 1, 65536, file);
    fclose(file);
    return bytes;
}

/* A file that lists less, because its rule says the rest, is the same zone. */
static void long_and_short_files_have_one_text(void **state)
{
    struct world *w = *state;
    static const unsigned char head[] = {'T', 'Z', 'i', 'f', '2', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                         0,   0,   0,   0,   0,   0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                         0,   0,   0,   0,   0,   0, 0, 0, 0, 2, 0, 0, 0, 4};
    static const unsigned char types[] = {0, 0, 0, 0, 0, 0, 0, 0, 0x0e, 0x10, 1, 0};
    static const int64_t changes[] = {1774746000, 1792890000, 1806195600}; /* Berlin, from March 2026 */
    struct pql_slice texts[2];
    for (int listed = 0; listed < 2; listed++) {
        struct pql_buf bytes = {0};
        for (int block = 0; block < 2; block++) {
            size_t before = bytes.len;
            pql_buf_put(&bytes, head, sizeof head);
            int rows = block ? listed ? 3 : 1 : 0;
            bytes.ptr[before + 35] = (char)rows;
            for (int i = 0; i < rows; i++)
                for (int shift = 56; shift >= 0; shift -= 8)
                    pql_buf_u8(&bytes, (uint8_t)((uint64_t)changes[i] >> shift));
            pql_buf_put(&bytes, "\1\0\1", (size_t)rows);
            pql_buf_put(&bytes, types, sizeof types);
            pql_buf_put(&bytes, "A\0B", 4);
        }
        pql_buf_text(&bytes, "\nAAA0BBB,M3.5.0/1,M10.5.0/2\n");
        const struct pql_zone *zone = NULL;
        struct pql_err err = {0};
        struct pql_slice slice = {bytes.ptr, bytes.len};
        if (pql_zone_parse(pql_slice_of("X"), slice, &w->arena, &zone, &err)) fail_msg("%s", err.msg);
        texts[listed] = pql_zone_text(zone, &w->arena);
        assert_int_equal(pql_zone_local_ms(zone, at(2030, 7, 1, 0, 0)), at(2030, 7, 1, 1, 0));
        pql_buf_deinit(&bytes);
    }
    assert_string_equal(texts[0].ptr, "X 0 1774746000 3600 AAA0BBB,M3.5.0/1,M10.5.0/2");
    assert_string_equal(texts[1].ptr, texts[0].ptr);
}

/* The text makes the same zone again, without the database. */
static void a_text_is_a_zone(void **state)
{
    struct world *w = *state;
    struct pql_err err = {0};
    for (size_t i = 0; i < ZONES; i++) {
        const struct pql_zone *zone = load(w, zones[i]), *again = NULL;
        struct pql_slice text = pql_zone_text(zone, &w->arena);
        if (pql_zone_of_text(text, &w->arena, &again, &err)) fail_msg("%s", err.msg);
        assert_string_equal(pql_zone_name(again).ptr, zones[i]);
        assert_string_equal(pql_zone_text(again, &w->arena).ptr, text.ptr);
        for (int64_t t = at(1850, 1, 1, 0, 0); t < at(2600, 1, 1, 0, 0); t += 53 * 3600000 + 61000)
            if (pql_zone_local_ms(zone, t) != pql_zone_local_ms(again, t))
                fail_msg("%s: %lld", zones[i], (long long)t);
    }
    static const char *const damaged[] = {"X ",
                                          "X y",
                                          "X 0 5",
                                          "X 0 5 3600 5 0 ",
                                          "X 0 5 3600 AAA",
                                          "X 99999999 ",
                                          "X 0 AAA0BBB",
                                          "X 0 -9999999999999999999999 0 ",
                                          "X 0 - 0 "};
    for (size_t i = 0; i < sizeof damaged / sizeof *damaged; i++) {
        const struct pql_zone *zone;
        assert_int_equal(pql_zone_of_text(pql_slice_of(damaged[i]), &w->arena, &zone, &err), -1);
    }
}

static void cut_and_changed_files_do_no_harm(void **state)
{
    struct world *w = *state;
    struct pql_buf whole = file_of("America/New_York");
    struct pql_err err;
    const struct pql_zone *zone;
    for (size_t len = 0; len < whole.len; len += 1 + len / 64) {
        char *copy = malloc(len + 1); /* of its exact size, so that the sanitizer sees every read beyond */
        memcpy(copy, whole.ptr, len);
        struct pql_slice cut = {copy, len};
        assert_int_equal(pql_zone_parse(pql_slice_of("X"), cut, &w->arena, &zone, &err), -1);
        pql_arena_reset(&w->arena);
        free(copy);
    }
    uint64_t random = 1;
    for (int i = 0; i < 3000; i++) {
        struct pql_buf bytes = {0};
        pql_buf_put(&bytes, whole.ptr, whole.len);
        for (int k = 0; k < 3; k++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            size_t head = k ? bytes.len : 44;
            bytes.ptr[(random >> 33) % head] = (char)(random >> 24);
        }
        struct pql_slice slice = {bytes.ptr, bytes.len};
        if (!pql_zone_parse(pql_slice_of("X"), slice, &w->arena, &zone, &err))
            for (int64_t t = at(1, 1, 1, 0, 0); t < at(9999, 1, 1, 0, 0); t += 1009 * day_ms * 17)
                (void)pql_zone_period_start(zone, PQL_CALENDAR_DAY,
                                            pql_zone_period(zone, PQL_CALENDAR_DAY, t));
        pql_arena_reset(&w->arena);
        pql_buf_deinit(&bytes);
    }
    pql_buf_deinit(&whole);
}

static void names_that_are_none(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name, *message;
    } cases[] = {
        {"America/NewYork", "there is no time zone 'America/NewYork'; did you mean 'America/New_York'?"},
        {"Mars/Olympus_Mons", "there is no time zone 'Mars/Olympus_Mons', as in 'Europe/Berlin'"},
        {"../../../etc/passwd", "there is no time zone '../../../etc/passwd', as in 'Europe/Berlin'"},
        {"/etc/localtime", "there is no time zone '/etc/localtime', as in 'Europe/Berlin'"},
        {"Europe", "there is no time zone 'Europe', as in 'Europe/Berlin'"},
        {"zone1970.tab", "there is no time zone 'zone1970.tab', as in 'Europe/Berlin'"},
        {"", "there is no time zone '', as in 'Europe/Berlin'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_err err = {0};
        const struct pql_zone *zone;
        assert_int_equal(pql_zone_load(pql_slice_of(cases[i].name), &w->arena, &zone, &err), -1);
        assert_string_equal(err.msg, cases[i].message);
        assert_int_equal(err.cls, PQL_ERR_CONFIG);
    }
    assert_null(load(w, "UTC"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(offsets_are_those_of_the_c_library, set_up, tear_down),
        cmocka_unit_test_setup_teardown(rules_go_on_for_ever, set_up, tear_down),
        cmocka_unit_test_setup_teardown(periods_are_intervals, set_up, tear_down),
        cmocka_unit_test_setup_teardown(days_where_clocks_are_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weeks_months_quarters, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_and_short_files_have_one_text, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_text_is_a_zone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cut_and_changed_files_do_no_harm, set_up, tear_down),
        cmocka_unit_test_setup_teardown(names_that_are_none, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
