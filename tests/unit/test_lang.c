/* The language through its header: trees by their normalised text, refusals by their exact message. */
#include "core/lang/lang.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LITERAL(text) {(text), sizeof(text) - 1}

static const struct pql_lang_definition definitions[] = {
    {LITERAL("collaborator"), PQL_SUBJECT_USER},
    {LITERAL("team_query"), PQL_SUBJECT_ACCOUNT},
    {LITERAL("self"), PQL_SUBJECT_USER},
};
enum { SELF = 2 };

#define SIGNAL(name, text) {LITERAL(name), {LITERAL(text), NULL, NULL, 0}}
static const struct pql_lang_signal signals[] = {
    SIGNAL("active", "count(any, 7d) >= 3"),
    SIGNAL("wide", "distinct(invite_sent.invitee, first $days) >= 3 or count(workspace_created, first $days) >= 2"),
    SIGNAL("paid", "one_of(order, renewal) where amount > 0"),
    SIGNAL("loop_a", "$loop_b or ever(x)"),
    SIGNAL("loop_b", "not $loop_a"),
    SIGNAL("broken", "count(any 7d) >= 1"),
    SIGNAL("role", "user.role = 'admin'"),
    SIGNAL("total", "count(any, 7d)"),
    SIGNAL("big0", "ever(a) and ever(b) or ever(c)"),
    SIGNAL("big1", "$big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0"),
    SIGNAL("big2", "not $big1 or not $big1 or not $big1 or not $big1 or not $big1 or not $big1 or not $big1"),
    SIGNAL("big3", "$big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2"),
    SIGNAL("big4", "not $big3 or not $big3 or not $big3 or not $big3 or not $big3 or not $big3 or not $big3"),
};

static const struct pql_lang_parameter parameters[] = {
    {LITERAL("bar"), {.kind = PQL_NUMBER, .number = 8000000}},
    {LITERAL("days"), {.kind = PQL_DURATION, .ms = INT64_C(21) * 86400000}},
    {LITERAL("plan"), {.kind = PQL_TEXT, .text = {"trial", 5}}},
};
static const struct pql_slice periods[] = {LITERAL("trial")};

#define COUNT(array) (sizeof(array) / sizeof *(array))
static const struct pql_lang_env env = {
    definitions, COUNT(definitions), signals, COUNT(signals), parameters, COUNT(parameters), periods, COUNT(periods),
};

struct fixture {
    struct pql_arena arena;
    struct pql_diags diags;
};

static void setup(struct fixture *fx)
{
    pql_arena_init(&fx->arena);
    pql_diags_init(&fx->diags);
}

static void teardown(struct fixture *fx)
{
    pql_arena_deinit(&fx->arena);
    pql_diags_deinit(&fx->diags);
}

static const struct pql_node *parse(struct fixture *fx, const char *text, enum pql_place place)
{
    struct pql_source *source = pql_arena_zalloc(&fx->arena, sizeof *source);
    source->text = pql_slice_of(text);
    return pql_lang_parse_value(&env, source, place, SELF, &fx->arena, &fx->diags);
}

struct reading {
    enum pql_place place;
    const char *text, *normal; /* normal NULL: as written */
};

static void test_readings(void **state)
{
    (void)state;
    static const struct reading cases[] = {
        {PQL_PLACE_USER, "count(invite_sent, first 7d) >= 2 and count(project_created, first 168h) >= 5",
         "count(invite_sent, first 7d) >= 2 and count(project_created, first 7d) >= 5"},
        {PQL_PLACE_USER, "ever(a) or ever(b) and not count(c,1d)=1", "ever(a) or ever(b) and not count(c, 1d) = 1"},
        {PQL_PLACE_USER, "(ever(a) or ever(b)) and ever(c)", NULL},
        {PQL_PLACE_USER, "ever(a) and (ever(b) and (ever(c) and ever(d)))", "ever(a) and ever(b) and ever(c) and ever(d)"},
        {PQL_PLACE_USER, "not (ever(a) and ever(b))", NULL},
        {PQL_PLACE_USER, "user.x between 1 and 5 and user.y", NULL},
        {PQL_PLACE_USER, "user.x not between 1 + 1 and 5", "user.x not between 2 and 5"},
        {PQL_PLACE_USER, "not user.x in ('a', 'it''s')", NULL},
        {PQL_PLACE_USER, "user.x not in ('a')", NULL},
        {PQL_PLACE_USER, "user.x not starts with 'a' or user.x ends with 'b' or user.x contains 'c'", NULL},
        {PQL_PLACE_USER, "user.x matches '*@acme.com' or user.y is not null or user.z is null", NULL},
        {PQL_PLACE_USER, "count(any where hour() between 9 and 16, 7d) > 1", NULL},
        {PQL_PLACE_USER, "distinct(app_connected.app where external = true, ever) >= 1", NULL},
        {PQL_PLACE_USER, "distinct('Plan Viewed'.'Plan Name' where 'x' = user.plan, 7d) >= 1", NULL},
        {PQL_PLACE_USER, "count('first', first 7d) >= 1", NULL},
        {PQL_PLACE_USER, "count(count, 7d) > 1", NULL},
        {PQL_PLACE_USER, "count('count', 7d) > 1", "count(count, 7d) > 1"},
        {PQL_PLACE_USER, "count(one_of(b, a, b), 1000ms) > 1", "count(one_of(a, b), 1s) > 1"},
        {PQL_PLACE_USER, "count(one_of(a), 90m) > 1", "count(a, 90m) > 1"},
        {PQL_PLACE_USER, "count($paid, 7d) > 1", "count(one_of(order, renewal) where amount > 0, 7d) > 1"},
        {PQL_PLACE_USER, "sum($paid.amount where plan = $plan, 7d) > $bar",
         "sum(one_of(order, renewal).amount where amount > 0 and plan = 'trial', 7d) > 8"},
        {PQL_PLACE_USER, "$active and $wide",
         "count(any, 7d) >= 3 and (distinct(invite_sent.invitee, first 21d) >= 3 or "
         "count(workspace_created, first 21d) >= 2)"},
        {PQL_PLACE_USER, "is(collaborator) or was('team_query')", "is(collaborator) or was(team_query)"},
        {PQL_PLACE_USER, "since(any) > 2 * 7d", "since(any) > 14d"},
        {PQL_PLACE_USER, "last_time(a) - first_time(a) > 1d + 12h", "last_time(a) - first_time(a) > 36h"},
        {PQL_PLACE_USER, "7d + last_time(a) > first_time(b)", "last_time(a) + 7d > first_time(b)"},
        {PQL_PLACE_USER, "count(a, 1d) - (count(b, 1d) - 1) > -2.50", "count(a, 1d) - (count(b, 1d) - 1) > -2.5"},
        {PQL_PLACE_USER, "count(a, 1d) / (count(b, 1d) * 2) > 1/3", "count(a, 1d) / (count(b, 1d) * 2) > 0.333333"},
        {PQL_PLACE_USER, "-(count(a, 1d) + 1) < 0", NULL},
        {PQL_PLACE_USER, "latest(a.p, ever) = 'x' and earliest(a.p) = 1", "latest(a.p) = 'x' and earliest(a.p) = 1"},
        {PQL_PLACE_USER, "if(user.vip, count(a, 1d), 0) >= coalesce(account.bar, 3)", NULL},
        {PQL_PLACE_USER, "at_least(2, $active, ever(x), user.mql = true)",
         "at_least(2, count(any, 7d) >= 3, ever(x), user.mql = true)"},
        {PQL_PLACE_USER, "count(x where property('Plan Name') = property('plan') and device.0.1.'b c' = 1, 1d) > 0",
         "count(x where property('Plan Name') = plan and property('device.0.1.b c') = 1, 1d) > 0"},
        {PQL_PLACE_USER, "count(x where user = 'u1' and event != 'y' and user.role = 'r' and is_new, ever) > 0", NULL},
        {PQL_PLACE_USER, "distinct(any.user, 7d) > 1 or distinct(x.event, 7d) > 1", NULL},
        {PQL_PLACE_USER, "user.in.0.where = 1", NULL},
        {PQL_PLACE_USER, "account.size >= 200", NULL},
        {PQL_PLACE_ACCOUNT, "users(count(saved_query_run, 7d) >= 1) >= 3 and members() >= 20", NULL},
        {PQL_PLACE_ACCOUNT, "share(is(collaborator) of ever(joined)) >= 0.5", NULL},
        {PQL_PLACE_ACCOUNT, "any_user(user.role in ('admin', 'owner')) or all_users($role)",
         "any_user(user.role in ('admin', 'owner')) or all_users(user.role = 'admin')"},
        {PQL_PLACE_ACCOUNT, "count(x where user.role = 'admin', 7d) >= 100", NULL},
        {PQL_PLACE_ACCOUNT, "3 * users(ever(x)) >= members() and is(team_query)", NULL},
        {PQL_PLACE_IGNORE, "user.email ends with '@acme.com' or bot = true", NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture fx;
        setup(&fx);
        const struct pql_node *node = parse(&fx, cases[i].text, cases[i].place);
        if (!node) {
            print_error("%s\n", cases[i].text);
            pql_diags_print(&fx.diags, stderr);
        }
        assert_non_null(node);
        const char *normal = pql_lang_text(node, &fx.arena).ptr;
        assert_string_equal(normal, cases[i].normal ? cases[i].normal : cases[i].text);
        const struct pql_node *again = parse(&fx, normal, cases[i].place);
        assert_non_null(again);
        assert_string_equal(pql_lang_text(again, &fx.arena).ptr, normal);
        teardown(&fx);
    }
}

struct refusal {
    enum pql_place place;
    const char *text;
    int column; /* of the first message in the order of columns */
    size_t span;
    const char *message;
};

static void test_refusals(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
#include "lang_refusals.inc"
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture fx;
        setup(&fx);
        struct pql_source source = {.text = pql_slice_of(cases[i].text)};
        assert_null(pql_lang_parse(&env, &source, cases[i].place, SELF, &fx.arena, &fx.diags));
        bool is_as_expected = fx.diags.count == 1 && fx.diags.items[0].column == cases[i].column &&
                              fx.diags.items[0].span == cases[i].span &&
                              strcmp(fx.diags.items[0].message, cases[i].message) == 0;
        if (!is_as_expected) {
            print_error("'%s': expected %d+%zu %s\n", cases[i].text, cases[i].column, cases[i].span, cases[i].message);
            for (size_t d = 0; d < fx.diags.count; d++)
                print_error("  %d, %zu, \"%s\"\n", fx.diags.items[d].column, fx.diags.items[d].span,
                            fx.diags.items[d].message);
            pql_diags_print(&fx.diags, stderr);
        }
        teardown(&fx);
        assert_true(is_as_expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_readings), cmocka_unit_test(test_refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
