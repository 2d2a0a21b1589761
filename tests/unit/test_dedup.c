/* Message ids that are remembered: for how long, how many at most, over another horizon, and what a page that
 * was damaged does not do. */
#include "core/state/dedup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
/* after the above */
#include <cmocka.h>

enum { HORIZON = 1000, WIDTH = HORIZON / 10 };

static void an_id_lives_until_its_bucket_has_passed(void **state)
{
    (void)state;
    struct pql_dedup dedup;
    pql_dedup_init(&dedup, HORIZON, 0);
    assert_false(pql_dedup_has(&dedup, 7, 0));
    pql_dedup_add(&dedup, 7, -1); /* the bucket that ends at 0 */
    assert_true(pql_dedup_has(&dedup, 7, HORIZON));
    assert_false(pql_dedup_has(&dedup, 7, HORIZON + 1));
    assert_int_equal(pql_dedup_forget(&dedup, HORIZON), 0);
    assert_int_equal(pql_dedup_count(&dedup), 1);
    pql_dedup_add(&dedup, 7, HORIZON + 1); /* again, before the old bucket was swept up */
    assert_true(pql_dedup_has(&dedup, 7, 2 * HORIZON));
    pql_dedup_forget(&dedup, HORIZON + 1);
    assert_int_equal(pql_dedup_count(&dedup), 1);
    assert_true(pql_dedup_has(&dedup, 7, 2 * HORIZON));
    pql_dedup_deinit(&dedup);
}

/* The oldest buckets go whole; the newest stays, however many it has; what has expired counts no more. */
static void over_the_limit_the_oldest_go(void **state)
{
    (void)state;
    struct pql_dedup dedup;
    pql_dedup_init(&dedup, HORIZON, 10);
    for (uint64_t id = 1; id <= 4; id++) pql_dedup_add(&dedup, id, 0);
    for (uint64_t id = 5; id <= 10; id++) pql_dedup_add(&dedup, id, WIDTH);
    assert_int_equal(dedup.dropped_ids, 0);
    pql_dedup_add(&dedup, 11, 2 * WIDTH);
    assert_int_equal(dedup.dropped_ids, 4);
    assert_false(pql_dedup_has(&dedup, 4, 2 * WIDTH));
    assert_true(pql_dedup_has(&dedup, 5, 2 * WIDTH));
    for (uint64_t id = 12; id <= 40; id++) pql_dedup_add(&dedup, id, 2 * WIDTH);
    assert_int_equal(dedup.dropped_ids, 10);
    assert_true(pql_dedup_has(&dedup, 11, 2 * WIDTH));
    pql_dedup_add(&dedup, 41, 4 * HORIZON); /* all others have expired: none of them is dropped */
    assert_int_equal(dedup.dropped_ids, 10);
    pql_dedup_forget(&dedup, 4 * HORIZON);
    assert_int_equal(pql_dedup_count(&dedup), 1);
    pql_dedup_deinit(&dedup);
}

static void another_horizon_keeps_what_is_remembered(void **state)
{
    (void)state;
    struct pql_dedup dedup;
    pql_dedup_init(&dedup, HORIZON, 3);
    for (uint64_t id = 1; id <= 2; id++) pql_dedup_add(&dedup, id, 0);
    for (uint64_t id = 3; id <= 5; id++) pql_dedup_add(&dedup, id, WIDTH); /* and the first two go */
    pql_dedup_change(&dedup, HORIZON, 3);                                  /* the same */
    pql_dedup_change(&dedup, 10 * HORIZON, 0);
    assert_int_equal(pql_dedup_count(&dedup), 3);
    assert_int_equal(dedup.dropped_ids, 2);
    assert_false(pql_dedup_has(&dedup, 1, WIDTH));
    assert_true(pql_dedup_has(&dedup, 3, 10 * HORIZON));
    pql_dedup_change(&dedup, 10 * HORIZON, 1000); /* the limit alone */
    assert_true(pql_dedup_has(&dedup, 3, 10 * HORIZON));
    pql_dedup_change(&dedup, 0, 0);
    assert_int_equal(pql_dedup_count(&dedup), 0);
    assert_false(pql_dedup_has(&dedup, 3, 2 * WIDTH));
    pql_dedup_deinit(&dedup);
}

/* Two pages and the next bucket, read back as they were; an announced page that does not come is noticed. */
static void what_was_saved_is_loaded(void **state)
{
    (void)state;
    enum { IDS = PQL_IDS_MAX + 3 };
    struct pql_dedup dedup;
    for (int pages = 1; pages <= 2; pages++) {
        uint32_t length = 0;
        uint64_t next = 1;
        pql_dedup_init(&dedup, HORIZON, 0);
        assert_true(pql_dedup_expect(&dedup, 5, IDS));
        assert_false(pql_dedup_expect(&dedup, 5, 1)); /* not in order */
        assert_false(pql_dedup_expect(&dedup, 6, UINT64_MAX / 2));
        assert_null(pql_dedup_page(&dedup, 6, 0, &length));
        assert_null(pql_dedup_page(&dedup, 5, 2, &length));
        for (uint64_t p = 0; p < (uint64_t)pages; p++) {
            struct pql_ids *page = pql_dedup_page(&dedup, 5, p, &length);
            assert_non_null(page);
            assert_int_equal(length, p ? IDS - PQL_IDS_MAX : PQL_IDS_MAX);
            page->ids = calloc(length, sizeof *page->ids);
            page->count = page->capacity = length;
            for (uint32_t i = 0; i < length; i++) page->ids[i] = next++;
        }
        assert_int_equal(pql_dedup_loaded(&dedup), pages == 2);
        if (pages == 2) {
            assert_true(pql_dedup_has(&dedup, 1, 6 * WIDTH));
            assert_true(pql_dedup_has(&dedup, IDS, 6 * WIDTH));
            assert_false(pql_dedup_has(&dedup, IDS + 1, 6 * WIDTH));
            assert_true(pql_dedup_bytes(&dedup) > IDS * sizeof(uint64_t));
        }
        pql_dedup_deinit(&dedup);
    }
    pql_dedup_init(&dedup, 0, 0);
    assert_false(pql_dedup_expect(&dedup, 1, 1)); /* there is no horizon */
    pql_dedup_deinit(&dedup);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_lives_until_its_bucket_has_passed),
        cmocka_unit_test(over_the_limit_the_oldest_go),
        cmocka_unit_test(another_horizon_keeps_what_is_remembered),
        cmocka_unit_test(what_was_saved_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
