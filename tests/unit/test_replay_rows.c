/* Lines and rows of CSV, whatever the size of the pieces they come in. */
#include "app/replay_rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

/* All rows of a text, joined by '|', with the line that each begins on. */
static void rows_of(const char *text, size_t len, bool is_csv, char *out)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, len, "r");
    assert_non_null(file);
    struct pql_rows rows;
    struct pql_slice row;
    struct pql_err err;
    pql_rows_init(&rows, file, is_csv);
    *out = 0;
    int got;
    while ((got = pql_rows_next(&rows, &row, &err)) > 0)
        out += snprintf(out, 100, "%llu:%.*s|", (unsigned long long)rows.line, PQL_SLICE_ARG(row));
    assert_int_equal(got, 0);
    assert_int_equal(rows.bytes_done, len);
    pql_rows_deinit(&rows);
    fclose(file);
}

static void test_lines(void **state)
{
    (void)state;
    char out[1000];
    static const char text[] = "a\nb b\r\n\n\nlast";
    rows_of(text, sizeof text - 1, false, out);
    assert_string_equal(out, "1:a|2:b b|5:last|");
}

static void test_csv_rows_hold_line_ends(void **state)
{
    (void)state;
    char out[1000];
    static const char text[] = "x,\"1\n2\",\"a\"\"b\"\r\nnext\n";
    rows_of(text, sizeof text - 1, true, out);
    assert_string_equal(out, "1:x,\"1\n2\",\"a\"\"b\"|3:next|");
}

static void test_row_longer_than_a_chunk(void **state)
{
    (void)state;
    size_t len = 5 << 20;
    char *text = pql_xmalloc(len);
    memset(text, 'y', len);
    text[len - 1] = '\n';
    FILE *file = fmemopen(text, len, "r");
    struct pql_rows rows;
    struct pql_slice row;
    struct pql_err err;
    pql_rows_init(&rows, file, false);
    assert_int_equal(pql_rows_next(&rows, &row, &err), 1);
    assert_int_equal(row.len, len - 1);
    assert_int_equal(pql_rows_next(&rows, &row, &err), 0);
    pql_rows_deinit(&rows);
    fclose(file);
    free(text);
}

static void test_row_without_end_is_bounded(void **state)
{
    (void)state;
    FILE *file = fopen("/dev/zero", "r");
    struct pql_rows rows;
    struct pql_slice row;
    struct pql_err err;
    pql_rows_init(&rows, file, false);
    assert_int_equal(pql_rows_next(&rows, &row, &err), -1);
    assert_string_equal(err.msg, "line 1 is longer than 16777216 bytes");
    pql_rows_deinit(&rows);
    fclose(file);
}

static const char *cells_of(const char *row, char *out)
{
    static struct pql_slice cells[PQL_CELLS_MAX];
    struct pql_arena scratch;
    struct pql_err err;
    size_t count;
    char *begin = out;
    pql_arena_init(&scratch);
    if (pql_csv_cells(pql_slice_of(row), &scratch, cells, &count, &err) != 0) {
        snprintf(out, 1000, "%s: %.900s", err.reason, err.msg);
    } else {
        for (size_t i = 0; i < count; i++) out += snprintf(out, 100, "[%.*s]", PQL_SLICE_ARG(cells[i]));
    }
    pql_arena_deinit(&scratch);
    return begin;
}

static void test_cells(void **state)
{
    (void)state;
    char out[1000];
    assert_string_equal(cells_of("a,b,,c", out), "[a][b][][c]");
    assert_string_equal(cells_of("a,", out), "[a][]");
    assert_string_equal(cells_of(",", out), "[][]");
    assert_string_equal(cells_of("\"a,b\",\"say \"\"x\"\"\",\"\"", out), "[a,b][say \"x\"][]");
    assert_string_equal(cells_of("a \"b\",c", out), "[a \"b\"][c]");
    assert_string_equal(cells_of("\"a", out), "bad_csv: a quote has no end");
    assert_string_equal(cells_of("\"a\"b,c", out), "bad_csv: text follows a closing quote");
}

static void test_too_many_cells(void **state)
{
    (void)state;
    char row[PQL_CELLS_MAX + 10], out[1000];
    memset(row, ',', sizeof row);
    row[sizeof row - 1] = 0;
    assert_string_equal(cells_of(row, out), "bad_csv: more cells than a row may have");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines),
        cmocka_unit_test(test_csv_rows_hold_line_ends),
        cmocka_unit_test(test_row_longer_than_a_chunk),
        cmocka_unit_test(test_row_without_end_is_bounded),
        cmocka_unit_test(test_cells),
        cmocka_unit_test(test_too_many_cells),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
