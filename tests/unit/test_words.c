/* Conditions as sentences. */
#include "core/lang/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LITERAL(text)                                                                                        \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

static const struct pql_lang_definition definitions[] = {
    {.name = LITERAL("collaborator"), .subject = PQL_SUBJECT_USER, .has_score = true, .has_tiers = true}};
static const struct pql_lang_env env = {.definitions = definitions, .definitions_count = COUNT(definitions)};
static const struct pql_label labels[] = {{LITERAL("invite_sent"), LITERAL("teammates invited")},
                                          {LITERAL("project_created"), LITERAL("projects")}};

static void test_sentences(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"count(invite_sent, first 7d) >= 3 and count(project_created, 30d) > 5",
         "at least 3 teammates invited in the first 7 days, and more than 5 projects in the last 30 days"},
        {"(ever(a) or not ever(b)) and count(c, 36h) = 0",
         "(a events at least once, or no b events so far), and no c events in the last 36 hours"},
        {"count(login, 1d) >= 1 or 1 > count(login, ever)",
         "at least 1 login event in the last 1 day, or no login events so far"},
        {"users(count(any where hour() <= 9, 7d) >= 1) >= 3 and members() >= 20",
         "at least 3 members with (at least 1 activity event with hour() <= 9 in the last 7 days), and at "
         "least 20 "
         "members"},
        {"spread(user.department, count(any, 7d) >= 3) >= 2",
         "at least 2 different values of department among members with (at least 3 activity events in the "
         "last 7 "
         "days)"},
        {"share(is(collaborator)) >= 0.5", "at least 50 % of the members with (qualified by 'collaborator')"},
        {"share(was(collaborator) of ever(joined)) > 1/3",
         "more than 33.3333 % of the members with (joined events at least once) also with (qualified by "
         "'collaborator' "
         "now or earlier)"},
        {"any_user(user.role in ('admin', 'owner')) and all_users(user.mail is not null)",
         "a member with (the user's role is one of 'admin', 'owner'), and every member with (the user's mail "
         "is known)"},
        {"distinct(one_of(a, b, c).item, 14d) >= 2",
         "at least 2 different values of item in a events, b events or c "
         "events in the last 14 days"},
        {"distinct(any.user, 7d) >= 2", "at least 2 different users in activity events in the last 7 days"},
        {"days(any, 14d) >= 8", "activity events on at least 8 different days in the last 14 days"},
        {"sum(order.amount, 30d) >= account.limit",
         "the sum of amount of order events in the last 30 days is at least the account's limit"},
        {"any_user(since(any) > 14d)", "a member with (the last of activity events more than 14 days ago)"},
        {"first_time(a) < last_time(b)", "the first of a events is before the last of b events"},
        {"latest(a.plan) = 'free'", "the latest plan of a events is 'free'"},
        {"account.vip and not account.plan != 'x'",
         "the account's vip is true, and not (the account's plan is not 'x')"},
        {"at_least(1, ever(a), account.n between 1 and 3)",
         "at least 1 of (a events at least once), (the account's n is between 1 and 3)"},
        {"2 * count(a, 7d) >= members()", "2 * count(a, 7d) is at least the number of members"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pql_arena arena;
        struct pql_diags diags;
        pql_arena_init(&arena);
        pql_diags_init(&diags);
        struct pql_source source = {.text = pql_slice_of(cases[i].text)};
        const struct pql_node *node =
            pql_lang_parse(&env, &source, PQL_PLACE_ACCOUNT, UINT32_MAX, &arena, &diags);
        if (!node) pql_diags_print(&diags, stderr);
        assert_non_null(node);
        assert_string_equal(pql_lang_words(node, labels, COUNT(labels), &arena).ptr, cases[i].words);
        pql_diags_deinit(&diags);
        pql_arena_deinit(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sentences)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
