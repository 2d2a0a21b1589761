/* Random mutants of valid texts: reading them never fails in any other way than by a message, and what is
 * read has a normal form that reads as itself. PQL_SEED repeats a run, PQL_ROUNDS makes it longer. */
#include "core/lang/words.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define LITERAL(text)                                                                                        \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

static const char *const texts[] = {
    "count(invite_sent, first 7d) >= 2 and count(project_created, first 7d) >= 5",
    "distinct(invite_sent.invitee, first $days) >= 3 or count(workspace_created, first $days) >= 2",
    "max(api_usage.calls, first $days) >= account.plan_limit or count(paywall_hit, first $days) >= 1",
    "count(project_created, 30d) >= 3 and count(invite_sent, 30d) >= 2 and streak(any) >= 7",
    "distinct(product_viewed.product_id, 30d) >= 50 and ever(cart_add) and ever(page_viewed where page = "
    "'bulk')",
    "days(any, trial) >= 5 and account.users(count(any, trial) >= 1) >= 3",
    "sequence(storage_changed where used >= account.storage_limit then upload by r within 3d, 14d)",
    "first_time(one_of(issue_created, issue_moved)) < first_time(page_created) + 7d - 36h",
    "users(count(saved_query_run, 7d) >= 1) >= 3 and share(is(collaborator) of $active) >= 0.5",
    "spread(user.department, weeks(dashboard_viewed, 28d) >= 4) >= 2 and members() >= 3",
    "account.icp_fit * score(team_query) >= 60 and not tier(team_query) = 'hot'",
    "count(any where hour() between 9 and 16 and weekday() <= 5, 14d) >= 0.7 * count(any, 14d)",
    "at_least(2, $active, since(any) < 3d, user.mql = true and was(team_query))",
    "count(any, 7d) < 0.5 * count(any, prev 7d) and count(any, prev 7d) >= 20 - -3 / 4",
    "if(user.role in ('admin', 'it''s'), 1, coalesce(user.n, 2)) != 3 or latest('a b'.'c d'.0 where x is not "
    "null) = 'y'",
    "count($paid where plan not starts with 'p' and property('a.b c') matches '*?', ever) > $bar",
    "user.email ends with '@acme.com' or bot = true or (event contains 'x' and user not between 'a' and 'b')",
    "nth(x, 3) > earliest(y.t) or usage(x.p, account.limit) >= 0.8 or age() > 7d or in_state_for(self) > 1d",
    "",
    "((((",
    "'",
    "$",
    "a.b.c.",
    "-",
    "7d",
    "\xff\xfe",
    "ever(é)",
};

static const char *const pieces[] = {
    "(",         ")",        ",",        ".",      "'",
    "$",         " and ",    " or ",     " not ",  " in (",
    " between ", " is null", "count(",   "users(", "since(",
    "where ",    "user.",    "account.", "any",    "one_of(",
    "first ",    "prev ",    "ever",     "7d",     "0",
    "1.5",       "$active",  "$paid",    "$days",  "$bar",
    "$loop",     " = ",      " >= ",     " + ",    " - ",
    " * ",       " / ",      "null",     "true",   "=>",
    "&&",        "\"",       "\xc3\xa9", "\n",     "99999999999999999999999999999999",
    "36525d",    " then ",   " of ",     "if(",    "share(",
};

#define SIGNAL(name, text)                                                                                   \
    {                                                                                                        \
        LITERAL(name),                                                                                       \
        {                                                                                                    \
            LITERAL(text), NULL, NULL, 0                                                                     \
        }                                                                                                    \
    }
static const struct pql_lang_definition definitions[] = {
    {.name = LITERAL("collaborator"), .subject = PQL_SUBJECT_USER, .has_score = true, .has_tiers = true},
    {.name = LITERAL("team_query"), .subject = PQL_SUBJECT_ACCOUNT, .has_score = true, .has_tiers = true},
    {.name = LITERAL("self"), .subject = PQL_SUBJECT_USER, .has_score = true, .has_tiers = true}};
static const struct pql_lang_signal signals[] = {SIGNAL("active", "count(any, 7d) >= 3 or user.x = 1"),
                                                 SIGNAL("paid", "one_of(order, renewal) where amount > 0"),
                                                 SIGNAL("loop", "$active and $loop")};
static const struct pql_lang_parameter parameters[] = {
    {.name = LITERAL("bar"), .value = {.kind = PQL_NUMBER, .number = 8000000}},
    {.name = LITERAL("days"), .value = {.kind = PQL_DURATION, .ms = INT64_C(21) * 86400000}}};
static const struct pql_slice periods[] = {LITERAL("trial")};
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

static uint64_t random_state;

static size_t below(size_t n) /* xorshift64 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (size_t)(random_state % n);
}

enum { TEXT_MAX = 2000 };

struct mutant {
    char text[TEXT_MAX];
    size_t len;
};

static void replace(struct mutant *m, size_t at, size_t gone, const char *piece, size_t len)
{
    if (m->len - gone + len > TEXT_MAX) return;
    char copy[TEXT_MAX];
    memcpy(copy, piece, len); /* the piece may be of the text itself */
    memmove(m->text + at + len, m->text + at + gone, m->len - at - gone);
    memcpy(m->text + at, copy, len);
    m->len += len - gone;
}

static void mutate(struct mutant *m)
{
    size_t at = below(m->len + 1), rest = m->len - at, from = below(m->len + 1);
    const char *piece = pieces[below(COUNT(pieces))];
    char byte = (char)below(256);
    switch (below(6)) {
    case 0: replace(m, at, 0, piece, strlen(piece)); break;
    case 1: replace(m, at, below((rest < 12 ? rest : 12) + 1), piece, strlen(piece)); break;
    case 2: replace(m, at, below((rest < 12 ? rest : 12) + 1), "", 0); break;
    case 3: replace(m, at, rest ? 1 : 0, &byte, 1); break;
    case 4: replace(m, at, 0, m->text + from, below(m->len - from + 1)); break;
    default: replace(m, at, rest, "", 0); break;
    }
}

static const struct pql_node *parse(const struct pql_source *source, enum pql_place place,
                                    struct pql_arena *arena, struct pql_diags *diags)
{
    return pql_lang_parse_value(&env, source, place, 2, arena, diags);
}

/* Returns whether the text could be read. */
static bool check(const struct mutant *m, enum pql_place place)
{
    char *exact =
        malloc(m->len + !m->len); /* without a byte behind it, so that a sanitizer sees each read beyond */
    memcpy(exact, m->text, m->len);
    struct pql_arena arena;
    struct pql_diags diags;
    pql_arena_init(&arena);
    pql_diags_init(&diags);
    struct pql_source source = {.text = {exact, m->len}};
    const struct pql_node *node = parse(&source, place, &arena, &diags);
    if (node) {
        struct pql_source again = {.text = pql_lang_text(node, &arena)};
        const struct pql_node *second = parse(&again, place, &arena, &diags);
        if (!second) print_error("'%.*s' read as '%s'\n", (int)m->len, m->text, again.text.ptr);
        assert_non_null(second);
        assert_string_equal(pql_lang_text(second, &arena).ptr, again.text.ptr);
        assert_true(pql_lang_words(node, NULL, 0, &arena).len > 0);
    } else {
        assert_true(diags.errors_count > 0);
        char *printed = NULL;
        size_t size = 0;
        FILE *out = open_memstream(&printed, &size);
        pql_diags_print(&diags, out);
        fclose(out);
        assert_true(size > 0);
        free(printed);
    }
    pql_diags_deinit(&diags);
    pql_arena_deinit(&arena);
    free(exact);
    return node != NULL;
}

static void test_mutants(void **state)
{
    (void)state;
    const char *seed = getenv("PQL_SEED"), *rounds = getenv("PQL_ROUNDS");
    random_state = seed ? strtoull(seed, NULL, 0) : 20260117;
    if (!random_state) random_state = 1;
    print_message("PQL_SEED=%llu\n", (unsigned long long)random_state);
    size_t read = 0, count = rounds ? strtoull(rounds, NULL, 0) : 20000;
    for (size_t round = 0; round < count; round++) {
        struct mutant m;
        const char *text = texts[below(COUNT(texts))];
        m.len = strlen(text);
        memcpy(m.text, text, m.len);
        for (size_t i = below(5); i > 0; i--) mutate(&m);
        read += check(&m, (enum pql_place)below(3));
    }
    assert_true(read > count / 20); /* a run in which nothing can be read shows little */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_mutants)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
