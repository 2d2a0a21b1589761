/* writer schema NUL reader schema (may be empty) NUL data */
#include "core/wire/plan.h"
#include "fuzz/fuzz.h"

#define PATH(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }
static const struct pql_slice wanted[] = {PATH("a"),           PATH("event"), PATH("b.c"),
                                          PATH("items.0.sku"), PATH("m.key"), PATH("text.deep.x"),
                                          PATH("account_id")};
enum { WANTED = sizeof wanted / sizeof *wanted };

/* The canonical form is a schema, and its own canonical form. */
static void check_canonical(const struct pql_schema *schema)
{
    struct pql_err err = {0};
    struct pql_buf once = {0}, twice = {0};
    pql_schema_canonical(schema, &once);
    struct pql_schema *again = pql_schema_parse((struct pql_slice){once.ptr, once.len}, &err);
    FUZZ_CHECK(again);
    pql_schema_canonical(again, &twice);
    FUZZ_CHECK(once.len == twice.len && memcmp(once.ptr, twice.ptr, once.len) == 0);
    pql_schema_free(again);
    pql_buf_deinit(&once);
    pql_buf_deinit(&twice);
}

/* What a plan that wants something accepts, the check accepts; bytes behind the value are refused. */
static void run(const struct pql_schema *writer, const struct pql_schema *reader, struct pql_slice data)
{
    struct pql_err err = {0};
    struct pql_value slots[WANTED];
    struct pql_arena scratch;
    struct pql_plan *plan = pql_plan_new(writer, reader, wanted, WANTED, &err),
                    *nothing = pql_plan_new(writer, NULL, NULL, 0, &err);
    pql_arena_init(&scratch);
    if (plan && nothing) {
        size_t used = 0;
        bool runs = !pql_plan_run(plan, data.ptr, data.len, &scratch, slots, &err);
        if (runs) FUZZ_CHECK(!pql_plan_run_first(plan, data.ptr, data.len, &used, &scratch, slots, &err));
        if (runs) FUZZ_CHECK(used == data.len);
        (void)!pql_plan_check(nothing, data.ptr, data.len, &err);
    }
    pql_plan_free(plan);
    pql_plan_free(nothing);
    pql_arena_deinit(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pql_err err = {0};
    struct pql_slice rest = {(const char *)bytes, len};
    struct pql_slice writer_text = fuzz_take(&rest, 0), reader_text = fuzz_take(&rest, 0);
    struct pql_schema *writer = pql_schema_parse(writer_text, &err);
    struct pql_schema *reader = writer && reader_text.len ? pql_schema_parse(reader_text, &err) : NULL;
    if (writer) check_canonical(writer);
    if (writer) run(writer, reader, rest);
    pql_schema_free(reader);
    pql_schema_free(writer);
    return 0;
}
