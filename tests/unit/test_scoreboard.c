/* What monitoring is told of definitions: counters by version and segment, members, days to convert, and the
 * warning when a day has twice the entries that are usual. */
#include "app/metrics.h"
#include "app/scoreboard.h"
#include "base/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#define NOON (INT64_C(20000) * PQL_DAY_MS + PQL_DAY_MS / 2)

static struct pql_record record_of(enum pql_transition transition, const char *segment)
{
    return (struct pql_record){.definition = PQL_SLICE_LITERAL("inviter"),
                               .definition_version = 3,
                               .subject = PQL_SUBJECT_USER,
                               .transition = transition,
                               .segment = pql_slice_of(segment),
                               .origin = PQL_ORIGIN_LIVE,
                               .occurred_at = NOON,
                               .qualified_at = NOON};
}

static void tell(struct pql_scoreboard *board, int32_t partition, struct pql_record record, int count,
                 int64_t now_ms)
{
    for (int i = 0; i < count; i++) pql_scoreboard_record(board, partition, &record, now_ms);
}

static void assert_metric(struct pql_scoreboard *board, const char *line)
{
    struct pql_scoreboard_view view = pql_scoreboard_view(board);
    struct pql_pipeline_stats stats = {0};
    struct pql_buf out = {0};
    struct pql_health health = {0};
    pql_metrics_write(
        &(struct pql_metrics){.stats = &stats, .health = &health, .scores = &view, .now_ms = NOON}, &out);
    pql_buf_put(&out, "", 1);
    if (!strstr(out.ptr, line)) fail_msg("'%s' is not in:\n%s", line, out.ptr);
    pql_buf_deinit(&out);
    pql_scoreboard_view_free(&view);
}

static void test_counters(void **state)
{
    (void)state;
    struct pql_scoreboard *board = pql_scoreboard_new();
    struct pql_record left = record_of(PQL_LEFT, "smb");
    tell(board, 0, record_of(PQL_ENTERED, "smb"), 5, NOON);
    tell(board, 1, record_of(PQL_ENTERED, ""), 2, NOON);
    tell(board, 1, record_of(PQL_TIER_CHANGED, "smb"), 2, NOON);
    tell(board, 0, left, 1, NOON);
    left.reason = PQL_REASON_CONVERTED;
    left.occurred_at = NOON + 7 * (int64_t)PQL_DAY_MS;
    tell(board, 0, left, 1, NOON);
    left.occurred_at += 1;
    tell(board, 0, left, 1, NOON);
    struct pql_definition_conf conf = {.name = PQL_SLICE_LITERAL("in\"viter"), .version = 4};
    pql_scoreboard_unforeseen(board, &conf);
    pql_scoreboard_signed_up(board, PQL_SUBJECT_ACCOUNT);
    assert_metric(board,
                  "pqlstream_qualified_total{definition=\"inviter\",version=\"3\",segment=\"smb\"} 5\n");
    assert_metric(board, "pqlstream_qualified_total{definition=\"inviter\",version=\"3\"} 2\n");
    assert_metric(board,
                  "pqlstream_converted_total{definition=\"inviter\",version=\"3\",segment=\"smb\"} 2\n");
    assert_metric(board,
                  "pqlstream_converted_unqualified_total{definition=\"in\\\"viter\",version=\"4\"} 1\n");
    /* A conversion at exactly seven days is one within seven days. */
    assert_metric(board,
                  "pqlstream_days_to_convert_bucket{definition=\"inviter\",version=\"3\",segment=\"smb\","
                  "le=\"1.0\"} 0\n");
    assert_metric(board, "segment=\"smb\",le=\"7.0\"} 1\n");
    assert_metric(board, "segment=\"smb\",le=\"14.0\"} 2\n");
    assert_metric(board, "segment=\"smb\",le=\"+Inf\"} 2\n");
    assert_metric(
        board, "pqlstream_days_to_convert_count{definition=\"inviter\",version=\"3\",segment=\"smb\"} 2\n");
    assert_metric(board, "pqlstream_sign_ups_total{subject=\"account\"} 1\n");
    assert_metric(board, "pqlstream_sign_ups_total{subject=\"user\"} 0\n");
    pql_scoreboard_free(board);
}

static void test_members_go_with_their_task(void **state)
{
    (void)state;
    struct pql_scoreboard *board = pql_scoreboard_new();
    tell(board, 0, record_of(PQL_ENTERED, ""), 5, NOON);
    tell(board, 1, record_of(PQL_ENTERED, ""), 3, NOON);
    tell(board, 1, record_of(PQL_LEFT, ""), 1, NOON);
    assert_metric(board, "pqlstream_members{definition=\"inviter\",version=\"3\"} 7\n");
    pql_scoreboard_end(board, 0);
    assert_metric(board, "pqlstream_members{definition=\"inviter\",version=\"3\"} 2\n");
    assert_metric(board, "pqlstream_qualified_total{definition=\"inviter\",version=\"3\"} 8\n");
    pql_scoreboard_free(board);
}

static void test_tiers_and_kinds(void **state)
{
    (void)state;
    struct pql_scoreboard *board = pql_scoreboard_new();
    struct pql_record entered = record_of(PQL_ENTERED, ""), rises = record_of(PQL_TIER_CHANGED, ""),
                      left = record_of(PQL_LEFT, "");
    entered.tier = rises.previous_tier = PQL_SLICE_LITERAL("silver");
    rises.tier = left.previous_tier = PQL_SLICE_LITERAL("gold");
    tell(board, 0, entered, 5, NOON);
    tell(board, 1, entered, 4, NOON);
    tell(board, 1, rises, 3, NOON);
    tell(board, 1, left, 1, NOON);
    pql_scoreboard_refused(board, "bad_avro");
    assert_metric(board, "pqlstream_tier_members{definition=\"inviter\",tier=\"silver\"} 6\n");
    assert_metric(board, "pqlstream_tier_members{definition=\"inviter\",tier=\"gold\"} 2\n");
    assert_metric(board, "pqlstream_members{definition=\"inviter\",version=\"3\"} 8\n");
    assert_metric(board,
                  "pqlstream_definition_transitions_total{definition=\"inviter\",kind=\"tier_changed\"} 3\n");
    assert_metric(board, "pqlstream_refused_total{reason=\"bad_avro\"} 1\n");
    pql_scoreboard_end(board, 1);
    assert_metric(board, "pqlstream_tier_members{definition=\"inviter\",tier=\"gold\"} 0\n");
    pql_scoreboard_free(board);
}

static int64_t warned(struct pql_scoreboard *board)
{
    struct pql_scoreboard_view view = pql_scoreboard_view(board);
    int64_t day = view.definitions[0].warned;
    pql_scoreboard_view_free(&view);
    return day;
}

static void test_a_day_with_twice_the_entries(void **state)
{
    (void)state;
    struct pql_scoreboard *board = pql_scoreboard_new();
    struct pql_record entered = record_of(PQL_ENTERED, ""), old = entered;
    old.origin = PQL_ORIGIN_DEFINITION_CHANGE;
    tell(board, 0, entered, 30, NOON);
    assert_int_equal(warned(board), INT64_MIN); /* nothing to compare with */
    tell(board, 0, entered, 10, NOON + PQL_DAY_MS);
    assert_metric(board, "pqlstream_entries_today{definition=\"inviter\",version=\"3\"} 10\n");
    assert_metric(board, "pqlstream_entries_usual{definition=\"inviter\",version=\"3\"} 30\n");
    /* Usual is (30 + 10) / 2 now; what a change of definitions brings does not count. */
    entered.definition_version = 4;
    tell(board, 0, old, 100, NOON + 2 * (int64_t)PQL_DAY_MS);
    tell(board, 0, entered, 39, NOON + 2 * (int64_t)PQL_DAY_MS);
    assert_int_equal(warned(board), INT64_MIN);
    tell(board, 0, entered, 1, NOON + 2 * (int64_t)PQL_DAY_MS);
    assert_int_equal(warned(board), 20002);
    assert_metric(board, "pqlstream_entries_today{definition=\"inviter\",version=\"4\"} 40\n");
    assert_metric(board, "pqlstream_entries_usual{definition=\"inviter\",version=\"4\"} 20\n");
    pql_scoreboard_free(board);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),
        cmocka_unit_test(test_members_go_with_their_task),
        cmocka_unit_test(test_tiers_and_kinds),
        cmocka_unit_test(test_a_day_with_twice_the_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
