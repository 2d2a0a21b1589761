/* The language through its header: trees by their normalised text, refusals by their exact message. */
#include "core/lang/lang.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define LITERAL(text)                                                                                        \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

static const struct pql_lang_definition definitions[] = {
    {.name = LITERAL("collaborator"), .subject = PQL_SUBJECT_USER, .has_score = true, .has_tiers = true},
    {.name = LITERAL("team_query"), .subject = PQL_SUBJECT_ACCOUNT, .has_score = true, .has_tiers = true},
    {.name = LITERAL("self"), .subject = PQL_SUBJECT_USER, .has_score = true, .has_tiers = true},
    {.name = LITERAL("plain"), .subject = PQL_SUBJECT_USER, .has_score = false, .has_tiers = false},
};
enum { SELF = 2 };

#define SIGNAL(name, text)                                                                                   \
    {                                                                                                        \
        LITERAL(name),                                                                                       \
        {                                                                                                    \
            LITERAL(text), NULL, NULL, 0                                                                     \
        }                                                                                                    \
    }
static const struct pql_lang_signal signals[] = {
    SIGNAL("active", "count(any, 7d) >= 3"),
    SIGNAL("wide",
           "distinct(invite_sent.invitee, first $days) >= 3 or count(workspace_created, first $days) >= 2"),
    SIGNAL("paid", "one_of(order, renewal) where amount > 0"),
    SIGNAL("loop_a", "$loop_b or ever(x)"),
    SIGNAL("loop_b", "not $loop_a"),
    SIGNAL("broken", "count(any 7d) >= 1"),
    SIGNAL("role", "user.role = 'admin'"),
    SIGNAL("total", "count(any, 7d)"),
    SIGNAL("big0", "ever(a) and ever(b) or ever(c)"),
    SIGNAL("big1",
           "$big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0 and $big0"),
    SIGNAL("big2", "not $big1 or not $big1 or not $big1 or not $big1 or not $big1 or not $big1 or not $big1"),
    SIGNAL("big3",
           "$big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2 and $big2"),
    SIGNAL("big4", "not $big3 or not $big3 or not $big3 or not $big3 or not $big3 or not $big3 or not $big3"),
};

static const struct pql_lang_parameter parameters[] = {
    {.name = LITERAL("bar"), .value = {.kind = PQL_NUMBER, .number = 8000000}},
    {.name = LITERAL("days"), .value = {.kind = PQL_DURATION, .ms = INT64_C(21) * 86400000}},
    {.name = LITERAL("plan"), .value = {.kind = PQL_TEXT, .text = {"trial", 5}}},
};
static const struct pql_slice periods[] = {LITERAL("trial")};

#define COUNT(array) (sizeof(array) / sizeof *(array))
static const struct pql_lang_env env = {
    .definitions = definitions,
    .definitions_count = COUNT(definitions),
    .signals = signals,
    .signals_count = COUNT(signals),
    .parameters = parameters,
    .parameters_count = COUNT(parameters),
    .periods = periods,
    .periods_count = COUNT(periods),
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
        {PQL_PLACE_USER, "ever(a) or ever(b) and not count(c,1d)=1",
         "ever(a) or ever(b) and not count(c, 1d) = 1"},
        {PQL_PLACE_USER, "(ever(a) or ever(b)) and ever(c)", NULL},
        {PQL_PLACE_USER, "ever(a) and (ever(b) and (ever(c) and ever(d)))",
         "ever(a) and ever(b) and ever(c) and ever(d)"},
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
        {PQL_PLACE_USER, "count(a, 1d) - (count(b, 1d) - 1) > -2.50",
         "count(a, 1d) - (count(b, 1d) - 1) > -2.5"},
        {PQL_PLACE_USER, "count(a, 1d) / (count(b, 1d) * 2) > 1/3",
         "count(a, 1d) / (count(b, 1d) * 2) > 0.333333"},
        {PQL_PLACE_USER, "-(count(a, 1d) + 1) < 0", NULL},
        {PQL_PLACE_USER, "latest(a.p, ever) = 'x' and earliest(a.p) = 1",
         "latest(a.p) = 'x' and earliest(a.p) = 1"},
        {PQL_PLACE_USER, "if(user.vip, count(a, 1d), 0) >= coalesce(account.bar, 3)", NULL},
        {PQL_PLACE_USER, "at_least(2, $active, ever(x), user.mql = true)",
         "at_least(2, count(any, 7d) >= 3, ever(x), user.mql = true)"},
        {PQL_PLACE_USER,
         "count(x where property('Plan Name') = property('plan') and device.0.1.'b c' = 1, 1d) > 0",
         "count(x where property('Plan Name') = plan and property('device.0.1.b c') = 1, 1d) > 0"},
        {PQL_PLACE_USER,
         "count(x where user = 'u1' and event != 'y' and user.role = 'r' and is_new, ever) > 0", NULL},
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
    int column;
    size_t span;
    const char *message;
};

/* Texts with one fault each, where it is shown, and in which words. */
static void test_refusals(void **state)
{
    (void)state;
    static const struct refusal cases[] = {
        {PQL_PLACE_USER, "cuont(saved_query_run, 7d) >= 1", 1, 5,
         "unknown function 'cuont'; did you mean 'count'?"},
        {PQL_PLACE_USER, "unique(invite.to, 7d) >= 1", 1, 6,
         "unknown function 'unique'; `pqlstream explain --language` lists all"},
        {PQL_PLACE_USER, "count(any, 7d) >= ", 19, 1, "a value is expected here, but the text ends"},
        {PQL_PLACE_USER, "", 1, 1, "the text is empty"},
        {PQL_PLACE_USER, "   ", 4, 1, "the text is empty"},
        {PQL_PLACE_USER, "count(any, 7d) >= 1 AND ever(x)", 21, 3, "'AND' is written 'and'"},
        {PQL_PLACE_USER, "count(any, 7d) == 1", 16, 2, "'==' is written '='"},
        {PQL_PLACE_USER, "count(any, 7d) !== 1", 16, 3, "'!==' is written '!='"},
        {PQL_PLACE_USER, "count(any, 7d) => 1", 16, 2, "'=>' is written '>='"},
        {PQL_PLACE_USER, "user.x <> 1", 8, 2, "'<>' is written '!='"},
        {PQL_PLACE_USER, "count(any, 7d)", 1, 14,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_USER, "count(any) >= 1", 1, 10,
         "count needs a window, such as 7d, first 7d or ever: count(E, W)"},
        {PQL_PLACE_USER, "count(any, ) >= 1", 12, 1,
         "a window such as 7d, first 7d or ever is expected here, but ')' was found"},
        {PQL_PLACE_USER, "count(any, 7x) >= 1", 12, 2,
         "neither a number nor a duration (7d; the units are ms, s, m, h, d, w)"},
        {PQL_PLACE_USER, "count(any, 1.5h) >= 1", 12, 4, "a duration has no decimals: 36h, not 1.5d"},
        {PQL_PLACE_USER, "count(any, 0d) >= 1", 12, 2, "a window must be longer than 0"},
        {PQL_PLACE_USER, "count(any, 99999d) >= 1", 12, 6, "a duration is at most 36525d"},
        {PQL_PLACE_USER, "count(any, 7d >= 1", 15, 2,
         "')' or the next argument is expected here, but '>=' was found: count(E, W)"},
        {PQL_PLACE_USER, "(ever(x) or ever(y)", 20, 1, "')' is expected here, but the text ends"},
        {PQL_PLACE_USER, "ever(x))", 8, 1, "this ')' has no '('"},
        {PQL_PLACE_USER, "1 < count(any, 7d) < 5", 20, 1,
         "one comparison cannot follow another; write 'a < b and b < c'"},
        {PQL_PLACE_USER, "count(x.p, 7d) >= 1", 7, 3,
         "count takes events without a property; distinct(…) counts different values"},
        {PQL_PLACE_USER, "sum(x, 7d) >= 1", 5, 1, "sum needs a property: sum(E.p, W)"},
        {PQL_PLACE_USER, "distinct(x.p, prev 7d) >= 1", 15, 7,
         "distinct cannot look at 'prev': that needs every occurrence; take count(…, prev …)"},
        {PQL_PLACE_USER, "earliest(x.p, 7d) = 1", 15, 2,
         "earliest cannot look at this window: that needs every occurrence; take 'first …'"},
        {PQL_PLACE_USER, "count(x, this year) >= 1", 15, 4,
         "'week', 'month' or 'quarter' is expected here, but 'year' was found"},
        {PQL_PLACE_USER, "count(x, trail) >= 1", 10, 5,
         "no period of a mapping is called 'trail'; did you mean 'trial'?"},
        {PQL_PLACE_USER, "count(x, evr) >= 1", 10, 3,
         "no period of a mapping is called 'evr'; did you mean 'ever'?"},
        {PQL_PLACE_USER, "ever(x, 7d)", 9, 2, "ever takes no window: ever(E)"},
        {PQL_PLACE_USER, "since(x) is null", 1, 8,
         "since can only be compared with a constant, as in since(…) > 14d"},
        {PQL_PLACE_USER, "if(user.vip, since(x), 1d) > 1d", 14, 8,
         "since can only be compared with a constant, as in since(…) > 14d"},
        {PQL_PLACE_USER, "is(colaborator)", 4, 11,
         "no definition is called 'colaborator'; did you mean 'collaborator'?"},
        {PQL_PLACE_USER, "is(self)", 4, 4, "a definition cannot refer to itself"},
        {PQL_PLACE_USER, "is(where)", 4, 5,
         "'where' is a word of the language; as the name of a definition it stands in quotes: 'where'"},
        {PQL_PLACE_USER, "score(plain) >= 8", 7, 5, "'plain' has no score"},
        {PQL_PLACE_USER, "tier(plain) = 'hot'", 6, 5, "'plain' has no tiers"},
        {PQL_PLACE_USER, "count(x, 7d) >= account.count(x, 7d) * score", 17, 28,
         "a value of the account must end in a condition of its own before it meets the user's, as in "
         "account.count(…) >= 100"},
        {PQL_PLACE_USER_ITEM, "score >= 8", 1, 5, "a score cannot be made of itself"},
        {PQL_PLACE_ACCOUNT, "users(score >= 8) >= 3", 7, 5,
         "'score' is the definition's own; that of a user is score(…) of a user's definition"},
        {PQL_PLACE_IGNORE, "score(collaborator) > 1", 1, 5,
         "'score' cannot stand inside where, which looks at one event"},
        {PQL_PLACE_USER, "account.hour() > 1", 1, 12, "leave 'account.' out: hour() is of no account"},
        {PQL_PLACE_USER, "users(ever(x)) >= 3", 1, 5,
         "in a user's definition this is written account.users(c)"},
        {PQL_PLACE_USER, "members() >= 3", 1, 7, "in a user's definition this is written account.members()"},
        {PQL_PLACE_USER, "hour() > 9", 1, 4, "'hour' is about one event and stands only inside where"},
        {PQL_PLACE_USER, "plan = 'free'", 1, 4,
         "the property 'plan' stands only inside where; an attribute is written user.name or account.name"},
        {PQL_PLACE_USER, "count >= 1", 1, 5,
         "'count' is a function and needs (…); a property stands only inside where; an attribute is "
         "written user.name or account.name"},
        {PQL_PLACE_USER, "user = 'x'", 1, 4,
         "the user's id stands only inside where; an attribute is written user.name or account.name"},
        {PQL_PLACE_USER, "event = 'x'", 1, 5,
         "the event's name stands only inside where; an attribute is written user.name or account.name"},
        {PQL_PLACE_USER, "account = 'x'", 9, 1,
         "an attribute such as account.plan is expected here, but '=' was found"},
        {PQL_PLACE_USER, "users.role = 'x'", 1, 10,
         "'users' is a function and needs (…); a property stands only inside where; an attribute is "
         "written user.name or account.name"},
        {PQL_PLACE_USER, "user.count(x, 7d) > 1", 11, 1,
         "an attribute has no arguments; a function of the user is written without 'user.'"},
        {PQL_PLACE_USER, "where = 1", 1, 5,
         "'where' is a word of the language and cannot begin a value; such a property is property('where')"},
        {PQL_PLACE_USER, "count(where, 7d) > 1", 7, 5,
         "'where' is a word of the language; as the name of an event it stands in quotes: 'where'"},
        {PQL_PLACE_USER, "count(any where count(x, 7d) > 1, 7d) > 1", 17, 5,
         "'count' cannot stand inside where, which looks at one event"},
        {PQL_PLACE_USER, "count(any where 5, 7d) > 1", 17, 1,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_USER, "count(any where is(collaborator), 7d) > 1", 17, 2,
         "'is' cannot stand inside where, which looks at one event"},
        {PQL_PLACE_USER, "count(any where plan = \"free\", 7d) > 1", 24, 1,
         "a text stands in single quotes: 'like this'"},
        {PQL_PLACE_USER, "count(any where plan = 'free, 7d) > 1", 24, 14, "the closing ' is missing"},
        {PQL_PLACE_USER, "count(any where NOT plan = 'free', 7d) > 1", 17, 3, "'NOT' is written 'not'"},
        {PQL_PLACE_USER, "count(any where plan = NULL, 7d) > 1", 24, 4, "'NULL' is written 'null'"},
        {PQL_PLACE_USER, "count(any WHERE plan = 1, 7d) > 1", 11, 5, "'WHERE' is written 'where'"},
        {PQL_PLACE_USER, "count(x, 7d) = '7'", 16, 3, "a number cannot be compared with a text"},
        {PQL_PLACE_USER, "count(x, 7d) > '7'", 16, 3, "a number cannot be compared with a text"},
        {PQL_PLACE_USER, "ever(x) > ever(y)", 1, 7, "conditions have no order; compare them with = or !="},
        {PQL_PLACE_USER, "ever(x) >= 1", 12, 1, "a condition cannot be compared with a number"},
        {PQL_PLACE_USER, "first_time(x) < 5d", 17, 2, "a time cannot be compared with a duration"},
        {PQL_PLACE_USER, "first_time(x) + first_time(y) > first_time(z)", 1, 29,
         "a time + a time has no meaning"},
        {PQL_PLACE_USER, "first_time(x) < '2026-01-01'", 17, 12, "a time cannot be compared with a text"},
        {PQL_PLACE_USER, "-first_time(x) < 0", 2, 13, "'-' takes a number, but this is a time"},
        {PQL_PLACE_USER, "count(x, 7d) + 'a' > 1", 1, 18, "a number + a text has no meaning"},
        {PQL_PLACE_USER, "7d - 8d < since(x)", 1, 7, "a duration is from 0 to 36525d"},
        {PQL_PLACE_USER, "user.a starts with 5", 20, 1, "a text is needed here, but this is a number"},
        {PQL_PLACE_USER, "user.a starts 'x'", 15, 3, "'with' is expected here, but 'x' was found"},
        {PQL_PLACE_USER, "user.a is 'x'", 11, 3,
         "'null' (x is null, x is not null) is expected here, but 'x' was found"},
        {PQL_PLACE_USER, "user.a not 'x'", 12, 3,
         "'in', 'between', 'starts with', 'ends with', 'contains' or 'matches' is expected here, but 'x' was "
         "found"},
        {PQL_PLACE_USER, "user.a in 'x'", 11, 3, "'(' is expected here, but 'x' was found"},
        {PQL_PLACE_USER, "user.a in ()", 12, 1, "a value is expected here, but ')' was found"},
        {PQL_PLACE_USER, "user.a between 1", 17, 1,
         "'and' and the upper bound is expected here, but the text ends"},
        {PQL_PLACE_USER, "not", 4, 1, "a value is expected here, but the text ends"},
        {PQL_PLACE_USER, "and ever(x)", 1, 3,
         "'and' is a word of the language and cannot begin a value; such a property is property('and')"},
        {PQL_PLACE_USER, "ever(x) and", 12, 1, "a value is expected here, but the text ends"},
        {PQL_PLACE_USER, "ever(x) ever(y)", 9, 4,
         "the text should end here or go on with an operator such as 'and', but 'ever' was found"},
        {PQL_PLACE_USER, "$nope", 1, 5, "no signal or parameter is called 'nope'"},
        {PQL_PLACE_USER, "$activ", 1, 6, "no signal or parameter is called 'activ'; did you mean '$active'?"},
        {PQL_PLACE_USER, "$", 2, 1, "the name of a signal or parameter is expected here, but the text ends"},
        {PQL_PLACE_USER, "$active > 3", 11, 1, "a condition cannot be compared with a number"},
        {PQL_PLACE_USER, "$total", 1, 6,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_USER, "count($active, 7d) > 1", 6, 1,
         "$active is used as events, so its text must be one selector, but '(' was found"},
        {PQL_PLACE_USER, "count($bar, 7d) > 1", 7, 4, "events are expected here, and $bar is a parameter"},
        {PQL_PLACE_USER, "count(x, $bar) > 1", 10, 4,
         "a window needs a parameter that is a duration, such as \"21d\""},
        {PQL_PLACE_USER, "count(x, $active) > 1", 10, 7,
         "a window needs a parameter that is a duration, such as \"21d\""},
        {PQL_PLACE_USER, "count(x, $dasy) > 1", 10, 5,
         "no signal or parameter is called 'dasy'; did you mean '$days'?"},
        {PQL_PLACE_USER, "$loop_a", 5, 7, "a signal cannot be part of itself: $loop_a → $loop_b → $loop_a"},
        {PQL_PLACE_USER, "$broken", 11, 2,
         "')' or the next argument is expected here, but '7d' was found: count(E, W)"},
        {PQL_PLACE_USER, "if(ever(x), 1) > 0", 1, 13, "if takes three expressions: if(c, a, b)"},
        {PQL_PLACE_USER, "if(5, 1, 2) > 0", 4, 1, "a condition is needed here, but this is a number"},
        {PQL_PLACE_USER, "if(ever(x), 1, 'a') > 0", 16, 3,
         "the values here must be of one type, but this is a text after a number"},
        {PQL_PLACE_USER, "coalesce(user.a, 1, 'b') = 1", 21, 3,
         "the values here must be of one type, but this is a text after a number"},
        {PQL_PLACE_USER, "at_least(3, ever(x), ever(y))", 10, 1, "3 of 2 conditions can never hold"},
        {PQL_PLACE_USER, "at_least(0, ever(x), ever(y))", 10, 1,
         "a whole number from 1 to 1000 is expected here"},
        {PQL_PLACE_USER, "at_least(1, count(x, 7d), ever(y))", 13, 12,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_USER, "one_of(a, b)", 1, 6, "events stand inside a function, as in count(any, 7d)"},
        {PQL_PLACE_USER, "count(one_of(a, any), 7d) > 1", 17, 3,
         "'any' is a word of the language; as the name of an event it stands in quotes: 'any'"},
        {PQL_PLACE_USER, "count('', 7d) > 1", 7, 2, "the name of an event cannot be empty"},
        {PQL_PLACE_USER, "count(x, 7d) > 1.2345678", 16, 9, "a number has at most 6 decimals"},
        {PQL_PLACE_USER, "count(x, 7d) > 1e5", 16, 3,
         "neither a number nor a duration (7d; the units are ms, s, m, h, d, w)"},
        {PQL_PLACE_USER, "count(x, 7d) > 1234567890123456789012345678901234", 16, 34,
         "a number has at most 33 digits before the point"},
        {PQL_PLACE_ACCOUNT, "share(ever(x)) >= 50%", 21, 1, "a share is written from 0 to 1: 0.5 for 50 %"},
        {PQL_PLACE_USER, "ever(x) # comment", 9, 1,
         "this character means nothing here; a name with it stands in single quotes"},
        {PQL_PLACE_USER, "ever(x) or é = 1", 12, 2,
         "this character means nothing here; a name with it stands in single quotes"},
        {PQL_PLACE_USER, "property('plan') = 1", 1, 8,
         "'property' is about one event and stands only inside where"},
        {PQL_PLACE_ACCOUNT, "user.role = 'admin'", 1, 9,
         "a user's condition needs users(…), any_user(…) or share(…) around it in an account definition"},
        {PQL_PLACE_ACCOUNT, "is(collaborator)", 4, 12,
         "'collaborator' is about users: a user's condition needs users(…), any_user(…) or share(…) "
         "around it in an account definition"},
        {PQL_PLACE_ACCOUNT, "users(is(collaborator)) > 1 and users(users(ever(x)) > 1) > 2", 39, 5,
         "'users' cannot stand inside another users(…) or share(…)"},
        {PQL_PLACE_ACCOUNT, "users(members() > 1) > 2", 7, 7,
         "'members' cannot stand inside another users(…) or share(…)"},
        {PQL_PLACE_ACCOUNT, "users(count(x, 7d)) > 2", 7, 12,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_ACCOUNT, "users(account.count(x, 7d) > 1) > 2", 7, 13,
         "account.count(E, W) stands in a user's definition only, not inside users(…)"},
        {PQL_PLACE_ACCOUNT, "account.count(x, 7d) > 1", 1, 13,
         "leave 'account.' out: in an account definition count(E, W) is of the account already"},
        {PQL_PLACE_ACCOUNT, "share(ever(x) of) > 1", 17, 1, "a value is expected here, but ')' was found"},
        {PQL_PLACE_ACCOUNT, "hour() > 5", 1, 4, "'hour' is about one event and stands only inside where"},
        {PQL_PLACE_IGNORE, "ever(x)", 1, 4, "'ever' cannot stand inside where, which looks at one event"},
        {PQL_PLACE_IGNORE, "members() > 1", 1, 7,
         "'members' cannot stand inside where, which looks at one event"},
        {PQL_PLACE_USER, "count(x y, 7d) > 1", 9, 1,
         "')' or the next argument is expected here, but 'y' was found: count(E, W)"},
        {PQL_PLACE_USER, "count(x, 7d, 8d) > 1", 12, 1,
         "')' or the next argument is expected here, but ',' was found: count(E, W)"},
        {PQL_PLACE_USER, "count() > 1", 7, 1, "the name of an event is expected here, but ')' was found"},
        {PQL_PLACE_USER, "null", 1, 4, "a condition is needed here, but this is null"},
        {PQL_PLACE_USER, "5", 1, 1,
         "a condition is needed here, but this is a number; compare it, as in … >= 1"},
        {PQL_PLACE_USER, "'x'", 1, 3, "a condition is needed here, but this is a text"},
        {PQL_PLACE_USER, "count(x, first) > 1", 15, 1,
         "a duration such as 7d is expected here, but ')' was found"},
        {PQL_PLACE_USER, "count(any.user.name. , 7d) > 1", 22, 1,
         "a name is expected here, but ',' was found"},
        {PQL_PLACE_USER, "distinct(x.y where $paid, 7d) > 1", 1, 6,
         "events stand inside a function, as in count(any, 7d)"},
        {PQL_PLACE_USER, "ever(x) and $big4", 21, 2, "this has more than 20000 parts with all its $signals"},
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
            print_error("'%s': expected %d+%zu %s\n", cases[i].text, cases[i].column, cases[i].span,
                        cases[i].message);
            for (size_t d = 0; d < fx.diags.count; d++)
                print_error("  %d, %zu, \"%s\"\n", fx.diags.items[d].column, fx.diags.items[d].span,
                            fx.diags.items[d].message);
            pql_diags_print(&fx.diags, stderr);
        }
        teardown(&fx);
        assert_true(is_as_expected);
    }
}

/* All faults of a text are told at once, in the order of places, each with its line and a caret. */
static void test_all_at_once(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx);
    struct pql_source source = {
        .text = pql_slice_of("cuont(x, 7d) >= 1 AND\n  (sum(y, 7d) + 'a' > 2 or $activ)")};
    assert_null(pql_lang_parse(&env, &source, PQL_PLACE_USER, SELF, &fx.arena, &fx.diags));
    char text[2000] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    pql_diags_print(&fx.diags, out);
    fclose(out);
    assert_string_equal(text, "1:1: unknown function 'cuont'; did you mean 'count'?\n"
                              "    cuont(x, 7d) >= 1 AND\n"
                              "    ^^^^^\n"
                              "1:19: 'AND' is written 'and'\n"
                              "    cuont(x, 7d) >= 1 AND\n"
                              "                      ^^^\n"
                              "2:4: a number + a text has no meaning\n"
                              "    (sum(y, 7d) + 'a' > 2 or $activ)\n"
                              "     ^^^^^^^^^^^^^^^^\n"
                              "2:8: sum needs a property: sum(E.p, W)\n"
                              "    (sum(y, 7d) + 'a' > 2 or $activ)\n"
                              "         ^\n"
                              "2:28: no signal or parameter is called 'activ'; did you mean '$active'?\n"
                              "    (sum(y, 7d) + 'a' > 2 or $activ)\n"
                              "                             ^^^^^^\n");
    teardown(&fx);
}

/* A signal is right in one place and not in another: the place is named too. */
static void test_signal_misplaced(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx);
    assert_non_null(parse(&fx, "users($role) >= 1 and count(x where $role, 7d) > 1", PQL_PLACE_ACCOUNT));
    assert_null(parse(&fx, "ever(x) and $role", PQL_PLACE_ACCOUNT));
    assert_int_equal(fx.diags.count, 2);
    assert_string_equal(fx.diags.items[0].excerpt, "user.role = 'admin'");
    assert_string_equal(fx.diags.items[1].message, "$role cannot stand here, see its text");
    assert_int_equal(fx.diags.items[1].column, 13);
    teardown(&fx);
}

/* What can be read and means little is warned of. */
static void test_warnings(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"user.a = null", "a comparison with null never holds; write 'is null' or 'is not null'"},
        {"user.a not in (1, null)", "a comparison with null never holds; write 'is null' or 'is not null'"},
        {"user.a != 5d", "a property or attribute is never a duration, so this never holds"},
        {"first_time(x) > user.a", "a property or attribute is never a time, so this never holds"},
        {"count(x, 7d) > 1 / 0", "a division by zero is null"},
        {"count(x, 7d) < 0", "this can never hold: count is a whole number and never below 0"},
        {"0 <= count(x, 7d)", "this always holds: count is a whole number and never below 0"},
        {"distinct(x.p, 7d) = 2.5", "this can never hold: distinct is a whole number and never below 0"},
        {"days(any, 7d) > 9", "this can never hold: days is a whole number from 0 to 9 here"},
        {"ever(x where hour() > 23)", "this can never hold: hour is a whole number from 0 to 23 here"},
        {"ever(x where weekday() != 8)", "this always holds: weekday is a whole number from 1 to 7 here"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture fx;
        setup(&fx);
        assert_non_null(parse(&fx, cases[i].text, PQL_PLACE_USER));
        assert_int_equal(fx.diags.errors_count, 0);
        assert_int_equal(fx.diags.count, 1);
        assert_int_equal(fx.diags.items[0].severity, PQL_SEVERITY_WARNING);
        assert_string_equal(fx.diags.items[0].message, cases[i].message);
        teardown(&fx);
    }
    struct fixture fx;
    setup(&fx);
    assert_non_null(parse(&fx, "share(ever(x)) > 1", PQL_PLACE_ACCOUNT));
    assert_string_equal(fx.diags.items[0].message, "this can never hold: share is a number from 0 to 1 here");
    teardown(&fx);
    setup(&fx);
    assert_non_null(
        parse(&fx, "share(ever(x)) >= 0 and users(ever(x)) > 0 and count(x, 1d) >= 1", PQL_PLACE_ACCOUNT));
    assert_int_equal(fx.diags.count, 0); /* without members a share is null */
    teardown(&fx);
}

/* The page of the language names every function as the table has it. */
static void test_manual(void **state)
{
    (void)state;
    char *page = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&page, &size);
    pql_lang_print(out);
    fclose(out);
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        char row[200];
        snprintf(row, sizeof row, "\n  %s\n      %s", pql_functions[i].usage, pql_functions[i].help);
        assert_non_null(strstr(page, row));
    }
    assert_non_null(strstr(page, "  distinct(E.p, W)\n      different values of a property\n"
                                 "      windows: 7d, first, ever, today, this …, a period\n"));
    assert_non_null(strstr(page, "  earliest(E.p [, W])\n      oldest value of a property, by event time\n"
                                 "      windows: first, ever, today, this …, a period; without one: ever\n"));
    free(page);
}

/* What published descriptions of qualification ask for. */
static void test_practice(void **state)
{
    (void)state;
    static const struct {
        enum pql_place place;
        const char *text;
    } cases[] = {
        {PQL_PLACE_USER, "count(invite_sent, first 7d) >= 2 and count(project_created, first 7d) >= 5"},
        {PQL_PLACE_USER,
         "count(project_created, first $days) >= 5 or count(message_sent, first $days) >= 200 or "
         "count(api_called, first $days) >= 1000"},
        {PQL_PLACE_USER,
         "max(api_usage.calls, first $days) >= account.plan_limit or count(paywall_hit, first $days) >= 1"},
        {PQL_PLACE_USER,
         "distinct(collaborator_invited.invitee, first 21d) >= 3 and count(document_created, first 21d) >= 5 "
         "and "
         "count(paid_feature_attempted, first 21d) >= 1"},
        {PQL_PLACE_USER,
         "count(project_created, 30d) >= 3 and count(invite_sent, 30d) >= 2 and streak(any) >= 7"},
        {PQL_PLACE_USER, "distinct(product_viewed.product_id, 30d) >= 50 and ever(cart_add) and "
                         "ever(page_viewed where page = 'bulk_pricing')"},
        {PQL_PLACE_USER, "ever(onboarding_completed) and account.users(count(any, 7d) >= 1) >= 3"},
        {PQL_PLACE_USER, "days(any, trial) >= 5"},
        {PQL_PLACE_USER, "count(message_sent, ever) >= 2000 and distinct(app_connected.app where external = "
                         "true, ever) >= 1"},
        {PQL_PLACE_USER, "sequence(storage_changed where used >= account.storage_limit then upload)"},
        {PQL_PLACE_USER, "sum(upload.bytes, ever) > account.storage_limit"},
        {PQL_PLACE_USER, "first_time(one_of(issue_created, issue_moved)) < first_time(page_created)"},
        {PQL_PLACE_ACCOUNT, "users(count(saved_query_run, 7d) >= 1) >= 3"},
        {PQL_PLACE_USER, "sequence(report_saved then report_shared by report_id)"},
        {PQL_PLACE_ACCOUNT, "score >= 8"},
        {PQL_PLACE_ACCOUNT, "share(is(collaborator)) >= 0.5 and members() >= 3"},
        {PQL_PLACE_ACCOUNT, "users($active) >= 5 and spread(user.department, $active) >= 2"},
        {PQL_PLACE_ACCOUNT, "spread(user.department, ever(x)) >= 2"},
        {PQL_PLACE_ACCOUNT, "account.icp_fit * score(team_query) >= 60"},
        {PQL_PLACE_ACCOUNT, "count(transaction_processed, 30d) >= 100"},
        {PQL_PLACE_ACCOUNT, "sum(transaction_processed.amount, 30d) >= 10000"},
        {PQL_PLACE_USER, "ever(integration_connected) and ever(team_invited) and ever(workflow_built)"},
        {PQL_PLACE_USER,
         "count(any where hour() between 9 and 16 and weekday() <= 5, 14d) >= 0.7 * count(any, 14d) and "
         "count(one_of(automation_run, api_called), 14d) >= 1 and days(any, 14d) >= 8"},
        {PQL_PLACE_USER, "since(any) < 3d"},
        {PQL_PLACE_USER, "count(any, 7d) < 0.5 * count(any, prev 7d)"},
        {PQL_PLACE_USER, "count(x, this month) >= 1"},
        {PQL_PLACE_USER, "at_least(2, $active, $wide, $role)"},
        {PQL_PLACE_USER, "user.mql = true and is(collaborator)"},
        {PQL_PLACE_USER, "nth(any, 3) < first_time(x)"},
        {PQL_PLACE_USER, "age() < 14d"},
        {PQL_PLACE_USER, "usage(storage.used, account.limit) > 0.9"},
        {PQL_PLACE_USER, "in_state_for(collaborator) > 14d"},
        {PQL_PLACE_USER, "score >= 8 and score(team_query) >= 8"},
        {PQL_PLACE_USER, "account.icp_fit * score(collaborator) >= 60"},
        {PQL_PLACE_ACCOUNT, "users(score(collaborator) >= 8) >= 3"},
        {PQL_PLACE_USER, "tier(collaborator) = 'hot'"},
        {PQL_PLACE_USER, "months(any, ever) > 3"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fixture fx;
        setup(&fx);
        struct pql_source source = {.text = pql_slice_of(cases[i].text)};
        const struct pql_node *node =
            pql_lang_parse(&env, &source, cases[i].place, SELF, &fx.arena, &fx.diags);
        assert_non_null(node);
        assert_int_equal(fx.diags.count, 0);
        assert_int_equal(node->type, PQL_TYPE_BOOL);
        teardown(&fx);
    }
}

static char *repeated(const char *before, const char *text, size_t times, const char *after)
{
    size_t len = strlen(text), at = strlen(before);
    char *out = malloc(at + len * times + strlen(after) + 1);
    memcpy(out, before, at);
    for (size_t i = 0; i < times; i++, at += len) memcpy(out + at, text, len);
    memcpy(out + at, after, strlen(after) + 1);
    return out;
}

static void assert_limit(char *text, const char *message)
{
    struct fixture fx;
    setup(&fx);
    bool is_read = parse(&fx, text, PQL_PLACE_USER) != NULL;
    assert_int_equal(is_read, message == NULL);
    if (message) assert_string_equal(fx.diags.items[0].message, message);
    teardown(&fx);
    free(text);
}

static void test_limits(void **state)
{
    (void)state;
    assert_limit(repeated("", "(", 62, "ever(x)"), "')' is expected here, but the text ends");
    assert_limit(repeated("", "(", 63, "ever(x)"), "more than 64 levels inside each other");
    assert_limit(repeated("", "not ", 60, "ever(x)"), NULL);
    assert_limit(repeated("", "not ", 10000, "ever(x)"), "more than 64 levels inside each other");
    assert_limit(repeated("", "- ", 10000, "1 > 0"), "more than 64 levels inside each other");
    assert_limit(repeated("", "if(", 10000, ""), "more than 64 levels inside each other");
    assert_limit(repeated("user.a", " + user.a", 200, " > 0"), NULL);
    assert_limit(repeated("user.a", " + user.a", 5000, " > 0"),
                 "this is more than 256 levels deep; a sum of so many terms needs parentheses");
    assert_limit(repeated("1", " + 1", 5000, " = user.a"), NULL); /* one constant */
    assert_limit(repeated("user.a", " or user.a", 5000, ""), NULL);
    assert_limit(repeated("user.a", " or user.a", 6600, ""),
                 "a text has at most 65536 bytes, this one has 66006");
    assert_limit(repeated("ever(x) and $big4", "", 0, ""),
                 "this has more than 20000 parts with all its $signals");
}

/* As many faults as a text has room for. */
static void test_many_faults(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx);
    char *text = repeated("user.a", "&&user.a", 8000, "");
    assert_null(parse(&fx, text, PQL_PLACE_USER));
    assert_int_equal(fx.diags.errors_count, 8000);
    teardown(&fx);
    free(text);
}

static void test_durations(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t ms;
        const char *normal;
    } cases[] = {{"90s", 90000, "90s"},     {"36h", 129600000, "36h"},          {"7d", 604800000, "7d"},
                 {"2w", 1209600000, "14d"}, {"1500ms", 1500, "1500ms"},         {"0s", 0, "0s"},
                 {"60m", 3600000, "1h"},    {"36525d", 3155760000000, "36525d"}};
    struct pql_arena arena;
    pql_arena_init(&arena);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = -1;
        assert_true(pql_duration_parse(pql_slice_of(cases[i].text), &ms));
        assert_int_equal(ms, cases[i].ms);
        assert_string_equal(pql_duration_text(ms, &arena).ptr, cases[i].normal);
    }
    static const char *const wrong[] = {
        "", "7", "d", "7 d", "-7d", "7D", "1.5h", "36526d", "99999999999999999999ms"};
    int64_t untouched = 5;
    for (size_t i = 0; i < COUNT(wrong); i++)
        assert_false(pql_duration_parse(pql_slice_of(wrong[i]), &untouched));
    assert_int_equal(untouched, 5);
    pql_arena_deinit(&arena);
}

/* Every function has a row, and the row's usage begins with its name. */
static void test_functions(void **state)
{
    (void)state;
    for (size_t i = 0; i < PQL_FN_TOTAL; i++) {
        const struct pql_function_row *row = &pql_functions[i];
        assert_non_null(row->name);
        assert_true(row->help && *row->help);
        assert_memory_equal(row->usage, row->name, strlen(row->name));
        assert_int_equal(row->usage[strlen(row->name)], '(');
        assert_int_equal(row->is_event_function, row->windows != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_readings),         cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_all_at_once),      cmocka_unit_test(test_warnings),
        cmocka_unit_test(test_limits),           cmocka_unit_test(test_durations),
        cmocka_unit_test(test_functions),        cmocka_unit_test(test_practice),
        cmocka_unit_test(test_signal_misplaced), cmocka_unit_test(test_manual),
        cmocka_unit_test(test_many_faults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
