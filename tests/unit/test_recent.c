/* The rings of what happened last: the newest first, no more than fit, long texts cut. */
#include "app/recent.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

static void keeps_the_newest(void **state)
{
    (void)state;
    struct pql_recent *recent = pql_recent_new();
    for (int i = 0; i < PQL_RECENT_RECORDS + 7; i++) {
        struct pql_record record = {.definition = PQL_SLICE_LITERAL("d"), .occurred_at = i};
        pql_recent_note(recent, &record, i);
        record.transition = PQL_SCORE_CHANGED; /* too many of them to be of use */
        pql_recent_note(recent, &record, i);
        pql_recent_refused(recent, "bad_avro", "t", 1, i, i);
    }
    struct pql_recent_view *view = pql_recent_view(recent);
    assert_int_equal(view->records_count, PQL_RECENT_RECORDS);
    assert_int_equal(view->records[0].occurred_ms, PQL_RECENT_RECORDS + 6);
    assert_int_equal(view->records[PQL_RECENT_RECORDS - 1].occurred_ms, 7);
    assert_int_equal(view->letters_count, PQL_RECENT_LETTERS);
    assert_int_equal(view->letters[0].offset, PQL_RECENT_RECORDS + 6);
    assert_string_equal(view->letters[0].reason, "bad_avro");
    free(view);
    pql_recent_free(recent);
}

static void cuts_what_does_not_fit(void **state)
{
    (void)state;
    char text[1000];
    memset(text, 'x', sizeof text);
    const struct pql_slice large = {text, sizeof text};
    struct pql_recent *recent = pql_recent_new();
    const struct pql_record record = {
        .definition = large, .account_id = large, .user_id = large, .reason_text = large, .tier = large};
    pql_recent_note(recent, &record, 1);
    struct pql_recent_view *view = pql_recent_view(recent);
    assert_int_equal(view->records_count, 1);
    assert_int_equal(strlen(view->records[0].account), PQL_RECENT_ID_MAX - 1);
    free(view);
    pql_recent_free(recent);
    pql_recent_note(NULL, &record, 1);
    free(pql_recent_view(NULL));
    pql_recent_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_the_newest),
        cmocka_unit_test(cuts_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
