/* Random schemas and values: plans against avro-c, which decodes plainly, and against themselves on damaged
 * bytes. */
#include "core/wire/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <avro.h>

static uint64_t seed;

static unsigned below(unsigned limit)
{
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    return (unsigned)(seed >> 20) % limit;
}

/* --- A schema --- */

static unsigned names_count;

static void put_type(struct pql_buf *out, int depth);

static void put_union(struct pql_buf *out, int depth)
{
    static const char *const words[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    unsigned first = below(8), count = 1 + below(4);
    pql_buf_u8(out, '[');
    for (unsigned i = 0; i < count; i++)
        pql_buf_printf(out, "%s\"%s\"", i ? "," : "", words[(first + i) % 8]);
    if (depth > 0 && below(2)) {
        pql_buf_u8(out, ',');
        pql_buf_printf(out, "{\"type\":\"map\",\"values\":");
        put_type(out, depth - 1);
        pql_buf_u8(out, '}');
    }
    pql_buf_u8(out, ']');
}

static void put_record(struct pql_buf *out, int depth)
{
    unsigned count = below(6);
    pql_buf_printf(out, "{\"type\":\"record\",\"name\":\"R%u\",\"fields\":[", names_count++);
    for (unsigned i = 0; i < count; i++) {
        pql_buf_printf(out, "%s{\"name\":\"f%u\",\"type\":", i ? "," : "", i);
        put_type(out, depth - 1);
        pql_buf_u8(out, '}');
    }
    pql_buf_text(out, "]}");
}

static void put_type(struct pql_buf *out, int depth)
{
    static const char *const words[] = {"null",  "boolean", "int",   "long",
                                        "float", "double",  "bytes", "string"};
    unsigned kind = below(depth > 0 ? 15 : 10);
    if (kind < 8) {
        pql_buf_printf(out, "\"%s\"", words[kind]);
    } else if (kind == 8) {
        pql_buf_printf(out, "{\"type\":\"enum\",\"name\":\"E%u\",\"symbols\":[\"A\",\"B\",\"C\"]}",
                       names_count++);
    } else if (kind == 9) {
        pql_buf_printf(out, "{\"type\":\"fixed\",\"name\":\"F%u\",\"size\":%u}", names_count, 1 + below(5));
        names_count++;
    } else if (kind < 12) {
        put_record(out, depth);
    } else if (kind == 14) {
        put_union(out, depth);
    } else {
        pql_buf_text(out, kind == 12 ? "{\"type\":\"array\",\"items\":" : "{\"type\":\"map\",\"values\":");
        put_type(out, depth - 1);
        pql_buf_u8(out, '}');
    }
}

/* --- A value --- */

static int64_t random_long(void)
{
    int64_t value =
        (int64_t)((uint64_t)below(1u << 30) << 34 | (uint64_t)below(1u << 30) << 4 | below(16)) >> below(64);
    return below(2) ? value : -value;
}

static double random_double(void)
{
    uint64_t bits = (uint64_t)random_long();
    double value = (double)random_long() / 1024;
    if (below(8) == 0) memcpy(&value, &bits, sizeof value); /* NaN and infinities among them */
    return value;
}

static void fill(avro_value_t *value, int depth)
{
    char text[100];
    size_t count, len = below(4) ? below(20) : below(100);
    avro_value_t kid;
    for (size_t i = 0; i < len; i++) text[i] = (char)('a' + below(26));
    switch (avro_value_get_type(value)) {
    case AVRO_NULL: avro_value_set_null(value); break;
    case AVRO_BOOLEAN: avro_value_set_boolean(value, (int)below(2)); break;
    case AVRO_INT32: avro_value_set_int(value, (int32_t)random_long()); break;
    case AVRO_INT64: avro_value_set_long(value, random_long()); break;
    case AVRO_FLOAT: avro_value_set_float(value, (float)random_long() / 64); break;
    case AVRO_DOUBLE: avro_value_set_double(value, random_double()); break;
    case AVRO_BYTES: avro_value_set_bytes(value, text, len); break;
    case AVRO_STRING:
        avro_value_set_string_len(value, (text[len < 99 ? len : 99] = 0, text), (len < 99 ? len : 99) + 1);
        break;
    case AVRO_ENUM: avro_value_set_enum(value, (int)below(3)); break;
    case AVRO_FIXED:
        avro_value_set_fixed(value, text, (size_t)avro_schema_fixed_size(avro_value_get_schema(value)));
        break;
    case AVRO_RECORD:
        avro_value_get_size(value, &count);
        for (size_t i = 0; i < count; i++) avro_value_get_by_index(value, i, &kid, NULL), fill(&kid, depth);
        break;
    case AVRO_ARRAY:
        for (unsigned n = below(4); n-- > 0;) avro_value_append(value, &kid, NULL), fill(&kid, depth + 1);
        break;
    case AVRO_MAP:
        for (unsigned n = below(4); n-- > 0;) {
            int is_new;
            snprintf(text, sizeof text, "key%.*u", (int)(1 + below(2) * 90), n);
            avro_value_add(value, text, &kid, NULL, &is_new), fill(&kid, depth + 1);
        }
        break;
    case AVRO_UNION:
        count = avro_schema_union_size(avro_value_get_schema(value));
        avro_value_set_branch(value, (int)below((unsigned)count), &kid), fill(&kid, depth);
        break;
    case AVRO_LINK: break;
    }
}

/* --- What its leaves are --- */

enum { LEAVES_MAX = 64 };
static struct pql_slice paths[LEAVES_MAX];
static struct pql_value expected[LEAVES_MAX];
static size_t leaves_count;
static struct pql_arena arena;

static struct pql_value leaf(avro_value_t *value)
{
    const void *bytes;
    const char *text;
    size_t len;
    int small;
    int32_t narrow;
    int64_t wide;
    float single;
    double number;
    pql_decimal decimal;
    switch (avro_value_get_type(value)) {
    case AVRO_BOOLEAN: avro_value_get_boolean(value, &small); return pql_bool(small);
    case AVRO_INT32: avro_value_get_int(value, &narrow); return pql_number(pql_decimal_of_int(narrow));
    case AVRO_INT64: avro_value_get_long(value, &wide); return pql_number(pql_decimal_of_int(wide));
    case AVRO_FLOAT:
        avro_value_get_float(value, &single);
        return pql_decimal_of_double((double)single, &decimal) ? pql_number(decimal) : pql_null();
    case AVRO_DOUBLE:
        avro_value_get_double(value, &number);
        return pql_decimal_of_double(number, &decimal) ? pql_number(decimal) : pql_null();
    case AVRO_BYTES: avro_value_get_bytes(value, &bytes, &len); break;
    case AVRO_FIXED: avro_value_get_fixed(value, &bytes, &len); break;
    case AVRO_STRING: avro_value_get_string(value, &text, &len), bytes = text, len--; break;
    case AVRO_ENUM:
        avro_value_get_enum(value, &small);
        return pql_text(pql_slice_of(small == 0 ? "A" : small == 1 ? "B" : "C"));
    case AVRO_NULL:
    case AVRO_RECORD:
    case AVRO_ARRAY:
    case AVRO_MAP:
    case AVRO_UNION:
    case AVRO_LINK: return pql_null();
    }
    return pql_text(pql_arena_copy(&arena, (struct pql_slice){bytes, len}));
}

static void collect(avro_value_t *value, const char *path)
{
    avro_type_t type = avro_value_get_type(value);
    avro_value_t kid;
    size_t count = 0;
    if (leaves_count == LEAVES_MAX) return;
    if (type == AVRO_UNION) {
        avro_value_get_current_branch(value, &kid);
        collect(&kid, path);
        return;
    }
    if (path[0]) {
        paths[leaves_count] = pql_slice_of(path);
        expected[leaves_count++] = leaf(value);
    }
    if (type == AVRO_RECORD || type == AVRO_ARRAY || type == AVRO_MAP) avro_value_get_size(value, &count);
    for (size_t i = 0; i < count; i++) {
        const char *name = NULL, *dot = path[0] ? "." : "";
        avro_value_get_by_index(value, i, &kid, &name);
        collect(&kid, type == AVRO_ARRAY ? pql_arena_printf(&arena, "%s%s%zu", path, dot, i)
                                         : pql_arena_printf(&arena, "%s%s%s", path, dot, name));
    }
}

static bool same(const struct pql_value *a, const struct pql_value *b)
{
    if (a->kind != b->kind) return false;
    if (a->kind == PQL_BOOL) return a->boolean == b->boolean;
    if (a->kind == PQL_NUMBER) return a->number == b->number;
    return a->kind == PQL_NULL || pql_slice_eq(a->text, b->text);
}

/* --- Checks --- */

static struct pql_err err;

static void assert_leaves(const struct pql_plan *plan, const char *bytes, size_t len, uint64_t start)
{
    struct pql_value slots[LEAVES_MAX];
    if (pql_plan_run(plan, bytes, len, &arena, slots, &err))
        fail_msg("seed %llu: %s", (unsigned long long)start, err.msg);
    for (size_t i = 0; i < leaves_count; i++)
        if (!same(&slots[i], &expected[i]))
            fail_msg("seed %llu: %.*s differs", (unsigned long long)start, PQL_SLICE_ARG(paths[i]));
}

/* Whatever the bytes, there is an answer; and what passes with every value read passes with none read. */
static void damage(const struct pql_plan *full, const struct pql_plan *none, const char *bytes, size_t len,
                   uint64_t start)
{
    struct pql_value slots[LEAVES_MAX];
    for (int round = 0; round < 20 && len; round++) {
        size_t keep = below(3) ? len : below((unsigned)len);
        char *copy = malloc(keep ? keep : 1); /* of that very size, so that one byte too far is found */
        assert_non_null(copy);
        memcpy(copy, bytes, keep);
        for (unsigned n = below(4); n-- > 0 && keep;)
            copy[below((unsigned)keep)] =
                (char)(unsigned char)(below(2) ? below(256) : 0xff * below(2) + below(3));
        int read_all = pql_plan_run(full, copy, keep, &arena, slots, &err);
        int read_none = pql_plan_run(none, copy, keep, &arena, slots, &err);
        if (!read_all && read_none)
            fail_msg("seed %llu: %s only where nothing is read", (unsigned long long)start, err.msg);
        free(copy);
    }
}

static void check_once(uint64_t start)
{
    struct pql_buf text = {0};
    avro_schema_t schema;
    avro_value_t value;
    char bytes[16384];
    seed = start;
    names_count = 0;
    leaves_count = 0;
    pql_arena_reset(&arena);
    put_record(&text, 4);
    struct pql_schema *writer = pql_schema_parse((struct pql_slice){text.ptr, text.len}, &err);
    if (!writer) fail_msg("seed %llu: %s", (unsigned long long)start, err.msg);
    assert_int_equal(avro_schema_from_json_length(text.ptr, text.len, &schema), 0);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    assert_int_equal(avro_generic_value_new(iface, &value), 0);
    fill(&value, 0);
    collect(&value, "");
    avro_writer_t out = avro_writer_memory(bytes, sizeof bytes);
    assert_int_equal(avro_value_write(out, &value), 0);
    size_t len = (size_t)avro_writer_tell(out);
    struct pql_plan *plan = pql_plan_new(writer, NULL, paths, leaves_count, &err);
    struct pql_plan *resolved = pql_plan_new(writer, writer, paths, leaves_count, &err);
    struct pql_plan *none = pql_plan_new(writer, NULL, NULL, 0, &err);
    assert_true(plan && resolved && none);
    assert_leaves(plan, bytes, len, start);
    assert_leaves(resolved, bytes, len, start);
    damage(plan, none, bytes, len, start);
    pql_plan_free(plan);
    pql_plan_free(resolved);
    pql_plan_free(none);
    avro_writer_free(out);
    avro_value_decref(&value);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    pql_schema_free(writer);
    pql_buf_deinit(&text);
}

/* One character becomes another, mostly of its own kind, so that names and sizes change and the rest may
 * hold. */
static void damage_text(char *text, size_t len)
{
    static const char pieces[] = "{}[]\",:", digits[] = "0123456789", capitals[] = "ABCEFR";
    size_t at = below((unsigned)len);
    while (at < len && below(20) && !(text[at] >= '0' && text[at] <= '9') &&
           !(text[at] >= 'A' && text[at] <= 'Z'))
        at++;
    if (at == len) return;
    if (text[at] >= '0' && text[at] <= '9')
        text[at] = digits[below(sizeof digits - 1)];
    else if (text[at] >= 'A' && text[at] <= 'Z')
        text[at] = capitals[below(sizeof capitals - 1)];
    else
        text[at] = pieces[below(sizeof pieces - 1)];
}

/* A schema with damage is refused, or gives a plan that takes any bytes, also as the reader of the whole one.
 */
static int check_damaged_schema(uint64_t start)
{
    struct pql_slice wanted[] = {{"f0", 2}, {"f1.f0", 5}, {"f2.key0", 7}, {"f3.1", 4}};
    struct pql_value slots[4];
    struct pql_buf text = {0};
    char bytes[200];
    int accepted = 0;
    seed = start;
    names_count = 0;
    put_record(&text, 4);
    struct pql_schema *whole = pql_schema_parse((struct pql_slice){text.ptr, text.len}, &err);
    assert_non_null(whole);
    for (int round = 0; round < 20; round++) {
        char *copy = memcpy(pql_arena_alloc(&arena, text.len), text.ptr, text.len);
        for (unsigned n = 1 + below(3); n-- > 0;) damage_text(copy, text.len);
        struct pql_schema *damaged = pql_schema_parse((struct pql_slice){copy, text.len}, &err);
        accepted += damaged != NULL;
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (char)(unsigned char)(below(3) ? below(4) : below(256));
        struct pql_plan *plans[] = {damaged ? pql_plan_new(damaged, NULL, wanted, 4, &err) : NULL,
                                    damaged ? pql_plan_new(whole, damaged, wanted, 4, &err) : NULL,
                                    damaged ? pql_plan_new(damaged, whole, wanted, 4, &err) : NULL};
        for (int i = 0; i < 3; i++) {
            if (plans[i] && pql_plan_run(plans[i], bytes, sizeof bytes, &arena, slots, &err))
                assert_non_null(err.reason);
            pql_plan_free(plans[i]);
        }
        pql_schema_free(damaged);
    }
    pql_schema_free(whole);
    pql_buf_deinit(&text);
    return accepted;
}

static void damaged_schemas_do_no_harm(void **state)
{
    (void)state;
    const char *given = getenv("PQL_TEST_SEED");
    int accepted = 0;
    pql_arena_init(&arena);
    for (uint64_t i = 0; i < (given ? 1 : 500); i++) {
        pql_arena_reset(&arena);
        accepted += check_damaged_schema(given ? strtoull(given, NULL, 10)
                                               : (i + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1);
    }
    pql_arena_deinit(&arena);
    print_message("%d of 10000 damaged schemas are still schemas\n", accepted);
    if (!given) assert_true(accepted > 200);
}

static void random_values_come_out_as_avro_c_reads_them(void **state)
{
    (void)state;
    const char *given = getenv("PQL_TEST_SEED");
    size_t leaves = 0;
    pql_arena_init(&arena);
    for (uint64_t i = 0; i < (given ? 1 : 1500); i++) {
        check_once(given ? strtoull(given, NULL, 10) : (i + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1);
        leaves += leaves_count;
    }
    pql_arena_deinit(&arena);
    print_message("%zu values compared\n", leaves);
    if (!given) assert_true(leaves > 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_values_come_out_as_avro_c_reads_them),
        cmocka_unit_test(damaged_schemas_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
