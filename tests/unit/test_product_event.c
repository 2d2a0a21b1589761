/* schemas/product_event with the mapping `canonical`: what is written by avro-c arrives as the event it
 * means. */
#include "core/wire/decoder.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <avro.h>

static const struct pql_slice property_names[] = {
    {"plan", 4}, {"seats", 5}, {"core", 4}, {"ratio", 5}, {"gone", 4}};
static const struct pql_slice trait_names[] = {{"role", 4}};
static const struct pql_names names = {property_names, 5, trait_names, 1, trait_names, 1};

static char schema_text[16384];
static size_t schema_len;
static avro_schema_t schema;
static avro_value_iface_t *iface;
static struct pql_mapping *mapping;
static struct pql_decoder *decoder;
static struct pql_arena scratch;
static struct pql_event event;
static struct pql_err err;
static char bytes[4096];

static int setup(void **state)
{
    (void)state;
    FILE *file = fopen("schemas/product_event/v1.avsc", "rb");
    struct pql_diags diags;
    if (!file) return -1;
    schema_len = fread(schema_text, 1, sizeof schema_text, file);
    fclose(file);
    if (avro_schema_from_json_length(schema_text, schema_len, &schema)) return -1;
    iface = avro_generic_class_from_schema(schema);
    pql_arena_init(&scratch);
    pql_diags_init(&diags);
    mapping = pql_mapping_new(pql_mapping_preset(PQL_SLICE_LITERAL("canonical")), &names, &diags);
    pql_diags_deinit(&diags);
    const struct pql_slice text = {schema_text, schema_len};
    const struct pql_decoder_conf conf = {.format = PQL_FORMAT_AVRO,
                                          .framing = PQL_FRAMING_BARE,
                                          .schemas = &text,
                                          .schemas_count = 1,
                                          .mapping = mapping};
    decoder = pql_decoder_new(&conf, &err);
    return decoder ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pql_decoder_free(decoder);
    pql_mapping_free(mapping);
    pql_arena_deinit(&scratch);
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    return 0;
}

/* Every union of the schema that holds text has it as its second branch. */
static void set_text(avro_value_t *record, const char *field, const char *text)
{
    avro_value_t value, branch;
    assert_int_equal(avro_value_get_by_name(record, field, &value, NULL), 0);
    if (avro_value_get_type(&value) == AVRO_UNION) {
        assert_int_equal(avro_value_set_branch(&value, 1, &branch), 0);
        value = branch;
    }
    assert_int_equal(avro_value_set_string(&value, text), 0);
}

static void set_time(avro_value_t *record, int64_t ms)
{
    avro_value_t value;
    assert_int_equal(avro_value_get_by_name(record, "occurred_at", &value, NULL), 0);
    assert_int_equal(avro_value_set_long(&value, ms), 0);
}

enum branch { OF_NULL, OF_BOOLEAN, OF_LONG, OF_DOUBLE, OF_STRING };

static void add_entry(avro_value_t *record, const char *map, const char *key, enum branch branch,
                      double number, const char *text)
{
    avro_value_t value, entry, chosen;
    assert_int_equal(avro_value_get_by_name(record, map, &value, NULL), 0);
    assert_int_equal(avro_value_add(&value, key, &entry, NULL, NULL), 0);
    assert_int_equal(avro_value_set_branch(&entry, (int)branch, &chosen), 0);
    switch (branch) {
    case OF_NULL: avro_value_set_null(&chosen); break;
    case OF_BOOLEAN: avro_value_set_boolean(&chosen, number > 0); break;
    case OF_LONG: avro_value_set_long(&chosen, (int64_t)number); break;
    case OF_DOUBLE: avro_value_set_double(&chosen, number); break;
    case OF_STRING: avro_value_set_string(&chosen, text); break;
    }
}

static avro_value_t new_record(const char *type)
{
    avro_value_t record;
    assert_int_equal(avro_generic_value_new(iface, &record), 0);
    set_text(&record, "type", type);
    for (const char *const *field = (const char *const[]){"event_id", "event", "account_id", "user_id",
                                                          "anonymous_id", "previous_id", "amount", NULL};
         *field; field++) {
        avro_value_t value, branch;
        avro_value_get_by_name(&record, *field, &value, NULL);
        avro_value_set_branch(&value, 0, &branch);
    }
    return record;
}

static int decode(avro_value_t *record)
{
    avro_writer_t out = avro_writer_memory(bytes, sizeof bytes);
    const struct pql_message message = {.timestamp_ms = INT64_MIN};
    assert_int_equal(avro_value_write(out, record), 0);
    struct pql_slice value = {bytes, (size_t)avro_writer_tell(out)};
    int result = pql_decoder_apply(decoder, value, &message, &scratch, &event, &err);
    avro_writer_free(out);
    avro_value_decref(record);
    return result;
}

static void assert_text(struct pql_slice text, const char *expected)
{
    if (!pql_slice_is(text, expected)) fail_msg("'%.*s', expected '%s'", PQL_SLICE_ARG(text), expected);
}

static void a_track(void **state)
{
    (void)state;
    avro_value_t record = new_record("track");
    set_text(&record, "event_id", "e-1");
    set_text(&record, "event", "invite_sent");
    set_text(&record, "account_id", "acme");
    set_text(&record, "anonymous_id", "visitor");
    set_time(&record, INT64_C(1772366400000));
    add_entry(&record, "properties", "plan", OF_STRING, 0, "team");
    add_entry(&record, "properties", "seats", OF_LONG, 12, NULL);
    add_entry(&record, "properties", "core", OF_BOOLEAN, 1, NULL);
    add_entry(&record, "properties", "ratio", OF_DOUBLE, 0.1, NULL);
    add_entry(&record, "properties", "gone", OF_NULL, 0, NULL);
    assert_int_equal(decode(&record), 0);
    assert_int_equal(event.kind, PQL_EVENT_TRACK);
    assert_text(event.name, "invite_sent");
    assert_text(event.account, "acme");
    assert_text(event.user, "visitor");
    assert_text(event.id, "e-1");
    assert_true(event.time_ms == INT64_C(1772366400000));
    assert_text(event.properties[0].text, "team");
    assert_true(event.properties[1].number == 12000000);
    assert_int_equal(event.properties[2].kind, PQL_BOOL);
    assert_true(event.properties[2].boolean);
    assert_true(event.properties[3].number == 100000);
    assert_int_equal(event.properties[4].kind, PQL_NULL);
}

static void identify_group_and_clock(void **state)
{
    (void)state;
    avro_value_t record = new_record("identify");
    set_text(&record, "account_id", "acme");
    set_text(&record, "user_id", "ada");
    set_time(&record, 1);
    add_entry(&record, "traits", "role", OF_STRING, 0, "admin");
    assert_int_equal(decode(&record), 0);
    assert_int_equal(event.kind, PQL_EVENT_IDENTIFY);
    assert_text(event.user, "ada");
    assert_text(event.user_attributes[0].text, "admin");
    record = new_record("group");
    set_text(&record, "account_id", "acme");
    set_time(&record, 1);
    add_entry(&record, "traits", "role", OF_STRING, 0, "customer");
    assert_int_equal(decode(&record), 0);
    assert_int_equal(event.kind, PQL_EVENT_GROUP);
    assert_text(event.account_attributes[0].text, "customer");
    record = new_record("clock");
    set_time(&record, 7);
    assert_int_equal(decode(&record), 0);
    assert_int_equal(event.kind, PQL_EVENT_CLOCK);
    assert_true(event.time_ms == 7);
}

static void what_lacks_is_refused(void **state)
{
    (void)state;
    avro_value_t record = new_record("track");
    set_text(&record, "event", "login");
    set_time(&record, 1);
    assert_int_equal(decode(&record), -1);
    assert_string_equal(err.reason, "no_account");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_track),
        cmocka_unit_test(identify_group_and_clock),
        cmocka_unit_test(what_lacks_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
