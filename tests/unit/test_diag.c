#include "base/diag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A file of a test, with the messages about it. */
struct fixture {
    char path[40];
    struct pql_diags diags;
    char *printed;
    size_t printed_size;
};

static void setup(struct fixture *fx, const char *text)
{
    *fx = (struct fixture){.path = "/tmp/pqlstream-diag-XXXXXX"};
    int fd = mkstemp(fx->path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    pql_diags_init(&fx->diags);
}

static void teardown(struct fixture *fx)
{
    unlink(fx->path);
    pql_diags_deinit(&fx->diags);
    free(fx->printed);
}

/* What is printed, with the file's name as "F". */
static void assert_printed(struct fixture *fx, const char *expected)
{
    free(fx->printed);
    FILE *out = open_memstream(&fx->printed, &fx->printed_size);
    pql_diags_print(&fx->diags, out);
    fclose(out);
    char *from = fx->printed;
    for (char *at; (at = strstr(from, fx->path)); from = at + 1) {
        *at = 'F';
        memmove(at + 1, at + strlen(fx->path), strlen(at + strlen(fx->path)) + 1);
    }
    assert_string_equal(fx->printed, expected);
}

static void test_place(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx,
          "one = 1;\n    qualify = \"users(cuont(saved_query_run, 7d) >= 1) >= 3\";\n\t\tname = \"x\" ;\r\n");
    pql_diag_place(&fx.diags, PQL_SEVERITY_ERROR, fx.path, 3, 11, 1, "late");
    pql_diag_place(&fx.diags, PQL_SEVERITY_ERROR, fx.path, 2, 22, 5,
                   "unknown function '%s'; did you mean '%s'?", "cuont", "count");
    pql_diag_place(&fx.diags, PQL_SEVERITY_WARNING, fx.path, 1, 1, 100, "wide");
    pql_diag_place(&fx.diags, PQL_SEVERITY_ERROR, fx.path, 0, 0, 0, "about the whole");
    pql_diag_place(&fx.diags, PQL_SEVERITY_ERROR, fx.path, 99, 1, 1, "beyond the end");
    pql_diag_place(&fx.diags, PQL_SEVERITY_ERROR, NULL, 0, 0, 0, "of no file");
    assert_int_equal(fx.diags.errors_count, 5);
    assert_printed(&fx, "of no file\n"
                        "F: about the whole\n"
                        "F:1:1: warning: wide\n"
                        "    one = 1;\n"
                        "    ^^^^^^^^\n"
                        "F:2:22: unknown function 'cuont'; did you mean 'count'?\n"
                        "    qualify = \"users(cuont(saved_query_run, 7d) >= 1) >= 3\";\n"
                        "                     ^^^^^\n"
                        "F:3:11: late\n"
                        "    name = \"x\" ;\n"
                        "            ^\n"
                        "F:99:1: beyond the end\n");
    teardown(&fx);
}

/* A text of two adjacent strings, on two lines of the file. */
static void test_parts(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx, "q = \"ever(a) an\"\n\t\"d ever(b)\";\n");
    const struct pql_source_part parts[] = {{0, 1, 6}, {10, 2, 3}};
    struct pql_source source = {
        .text = PQL_SLICE_LITERAL("ever(a) and ever(b)"), .file = fx.path, .parts = parts, .parts_count = 2};
    pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 8, 3, "over the seam");
    pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 12, 7, "in the second");
    pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 19, 1, "at the end");
    assert_printed(&fx, "F:1:14: over the seam\n"
                        "    q = \"ever(a) an\"\n"
                        "                 ^^\n"
                        "F:2:5: in the second\n"
                        "    \"d ever(b)\";\n"
                        "       ^^^^^^^\n"
                        "F:2:12: at the end\n"
                        "    \"d ever(b)\";\n"
                        "              ^\n");
    teardown(&fx);
}

/* Tabs stay tabs and a character is one column under the caret, however many bytes it has. */
static void test_columns(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx, "");
    struct pql_source source = {.text = PQL_SLICE_LITERAL("a\t'\xc3\xa4\xe2\x82\xac' 'caf\xc3\xa9' b")};
    pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 10, 7, "here");
    assert_printed(&fx, "1:8: here\n"
                        "    a\t'\xc3\xa4\xe2\x82\xac' 'caf\xc3\xa9' b\n"
                        "     \t     ^^^^^^\n");
    teardown(&fx);
}

static void test_long_lines(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx, "");
    char text[1001];
    for (int i = 0; i < 1000; i++) text[i] = (char)('0' + i % 10);
    text[1000] = 0;
    struct pql_source source = {.text = pql_slice_of(text)};
    pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 500, 900, "here");
    char expected[600];
    char carets[101];
    memset(carets, '^', 100);
    carets[100] = 0;
    snprintf(expected, sizeof expected, "1:501: here\n    …%.160s…\n    %61s%s\n", text + 440, "", carets);
    assert_printed(&fx, expected);
    teardown(&fx);
}

static void test_same_only_once(void **state)
{
    (void)state;
    struct fixture fx;
    setup(&fx, "");
    struct pql_source source = {.text = PQL_SLICE_LITERAL("abc")};
    for (int i = 0; i < 3; i++) pql_diag_source(&fx.diags, PQL_SEVERITY_ERROR, &source, 1, 1, "here");
    assert_int_equal(fx.diags.errors_count, 3);
    assert_printed(&fx, "1:2: here\n    abc\n     ^\n");
    teardown(&fx);
}

static void test_nearest(void **state)
{
    (void)state;
    static const char *const words[] = {"count", "sum", "collaborator", "distinct", "is"};
    static const struct {
        const char *name, *nearest;
    } cases[] = {{"cuont", "count"},
                 {"Count", "count"},
                 {"colaborater", "collaborator"},
                 {"distnct", "distinct"},
                 {"countx", "count"},
                 {"sun", "sum"},
                 {"xyz", NULL},
                 {"average", NULL},
                 {"", NULL},
                 {"si", "is"},
                 {"i", "is"}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *nearest = pql_nearest(pql_slice_of(cases[i].name), words, 5);
        if (cases[i].nearest)
            assert_string_equal(nearest ? nearest : "nothing", cases[i].nearest);
        else
            assert_null(nearest);
    }
    char long_name[1000];
    memset(long_name, 'x', sizeof long_name);
    assert_null(pql_nearest((struct pql_slice){long_name, sizeof long_name}, words, 5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_place),          cmocka_unit_test(test_parts),
        cmocka_unit_test(test_columns),        cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_same_only_once), cmocka_unit_test(test_nearest)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
