/* The rolling base: its shares, what it still needs, and what may be trimmed. */
#include "core/state/base.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { MANIFESTS = 400, TEN = 10 };

static uint32_t seed;

static uint32_t draw(uint32_t below)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % below;
}

/* Appends snapshot `number` with chunks at offset, offset + 1, and its manifest at offset + 2. */
static void add(struct pql_base *base, uint64_t number, uint32_t modulus, uint32_t residue, int64_t offset)
{
    const int64_t chunks[] = {offset, offset + 1};
    struct pql_saved saved = {PQL_SLICE_LITERAL("w"), number, modulus, residue, chunks, 2, 100};
    struct pql_base next;
    pql_base_add(base, &saved, offset - 1, &next);
    next.self.offset = offset + 2;
    pql_base_deinit(base);
    *base = next;
}

static bool covers(const struct pql_base *base, uint64_t account)
{
    for (size_t i = 0; i < base->count; i++)
        if (account % base->items[i].modulus == base->items[i].residue) return true;
    return false;
}

static void first_is_whole_then_shares_go_round(void **state)
{
    (void)state;
    struct pql_base base = {0};
    uint32_t modulus, residue;
    static const struct {
        uint32_t wanted, modulus, residue, count;
    } steps[] = {{4, 1, 0, 1}, {4, 4, 0, 2}, {4, 4, 1, 3}, {9, 4, 2, 4}, {4, 4, 3, 4},
                 {5, 4, 0, 4}, {9, 9, 0, 5}, {9, 9, 1, 6}, {1, 9, 2, 7}};
    for (uint32_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        pql_base_share(&base, steps[i].wanted, &modulus, &residue);
        assert_int_equal(modulus, steps[i].modulus);
        assert_int_equal(residue, steps[i].residue);
        add(&base, i + 1, modulus, residue, 10 * (i + 1));
        assert_int_equal(base.count, steps[i].count);
    }
    pql_base_deinit(&base);
}

/* However the number of shares changes: every page is in the base; whatever one snapshot is damaged there is
 * a manifest that does without it, whose base does not touch it either; and nothing that any of these needs
 * is before the place up to which the topic may be trimmed. */
static void what_may_be_needed_is_never_trimmed(void **state)
{
    (void)state;
    static struct pql_base bases[MANIFESTS];
    size_t trimmed = 0;
    for (seed = 0; seed < 20;) {
        uint32_t began = seed;
        memset(bases, 0, sizeof bases);
        struct pql_base base = {0};
        uint64_t number = 0;
        for (int n = 0; n < MANIFESTS; n++) {
            uint32_t modulus, residue, wanted = draw(30) ? 1 + draw(3) * 5 : 1 + draw(40);
            pql_base_share(&base, wanted, &modulus, &residue);
            number += 1 + draw(3) / 2;
            add(&base, number, modulus, residue, (n + 1) * TEN);
            for (uint64_t account = 0; account < 100; account++) assert_true(covers(&base, account));
            for (size_t i = 0; i < base.count; i++)
                for (int j = 0; j < n; j++)
                    assert_true(base.items[i].number != bases[j].self.number ||
                                base.items[i].chunks[0] == bases[j].self.offset - 2);
            int64_t low = pql_base_trim(&base);
            trimmed += low > 0;
            for (size_t i = 0; i < base.count; i++) {
                assert_true(low <= base.items[i].chunks[0]);
                const struct pql_ancestor *other =
                    pql_ancestor_before(base.ancestors, base.ancestors_count, base.items[i].number);
                assert_true(other || base.items[i].number == bases[0].self.number || !n);
                if (!other) continue;
                const struct pql_base *then = &bases[other->offset / TEN - 1];
                assert_int_equal(then->self.offset, other->offset);
                for (size_t k = 0; k < then->count; k++) {
                    assert_true(then->items[k].number < base.items[i].number);
                    assert_true(low <= then->items[k].chunks[0]);
                }
            }
            struct pql_manifest m = {.base = base.items,
                                     .base_count = base.count,
                                     .ancestors = base.ancestors,
                                     .ancestors_count = base.ancestors_count,
                                     .journal_from = (n + 1) * TEN - 1};
            pql_base_set(&bases[n], &m, base.self.offset);
            assert_memory_equal(&bases[n].self, &base.self, sizeof base.self);
        }
        pql_base_deinit(&base);
        for (int n = 0; n < MANIFESTS; n++) pql_base_deinit(&bases[n]);
        seed = began + 1;
    }
    assert_true(trimmed > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_is_whole_then_shares_go_round),
        cmocka_unit_test(what_may_be_needed_is_never_trimmed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
