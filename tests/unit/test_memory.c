#include "base/memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static void test_grow(void **state)
{
    (void)state;
    int *items = NULL;
    size_t capacity = 0;
    for (size_t n = 1; n <= 100; n++) {
        items = pql_xgrow(items, &capacity, n, sizeof *items);
        assert_true(capacity >= n);
        items[n - 1] = (int)n;
    }
    assert_int_equal(capacity, 128);
    for (int i = 0; i < 100; i++) assert_int_equal(items[i], i + 1);
    free(items);
}

/* Allocations of every size are aligned, apart from each other, and survive what follows. */
static void test_arena(void **state)
{
    (void)state;
    enum { N = 2000 };
    static char *at[N];
    struct pql_arena arena;
    pql_arena_init(&arena);
    for (int round = 0; round < 3; round++) { /* blocks are used again after a reset */
        for (size_t i = 0; i < N; i++) {
            size_t size = i % 100 == 99 ? 40000 + i : i % 300;
            at[i] = pql_arena_alloc(&arena, size);
            assert_int_equal((uintptr_t)at[i] % 16, 0);
            memset(at[i], (int)(i & 0x7f), size);
        }
        for (size_t i = 0; i < N; i++) {
            size_t size = i % 100 == 99 ? 40000 + i : i % 300;
            for (size_t j = 0; j < size; j++) assert_int_equal(at[i][j], (int)(i & 0x7f));
        }
        pql_arena_reset(&arena);
    }
    const char *zero = pql_arena_zalloc(&arena, 100);
    for (int i = 0; i < 100; i++) assert_int_equal(zero[i], 0);
    pql_arena_deinit(&arena);
    assert_null(arena.first);
}

static void test_copies(void **state)
{
    (void)state;
    struct pql_arena arena;
    pql_arena_init(&arena);
    struct pql_slice copy = pql_arena_copy(&arena, PQL_SLICE_LITERAL("a\0b"));
    assert_int_equal(copy.len, 3);
    assert_memory_equal(copy.ptr, "a\0b", 4);
    assert_string_equal(pql_arena_copy(&arena, (struct pql_slice){NULL, 0}).ptr, "");
    assert_string_equal(pql_arena_printf(&arena, "%d-%s", 5, "x"), "5-x");
    char *text = pql_xstrndup("abcdef", 3);
    assert_string_equal(text, "abc");
    free(text);
    pql_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grow), cmocka_unit_test(test_arena),
                                       cmocka_unit_test(test_copies)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
