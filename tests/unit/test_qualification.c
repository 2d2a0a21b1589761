/* schemas/qualification against the program: the files are what it writes, and the forms of a record are
 * equal. */
#include "core/wire/encode.h"
#include "core/wire/rfc3339.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <avro.h>
#include <jansson.h>

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }
#define NUMBER(millionths)                                                                                   \
    {                                                                                                        \
        .kind = PQL_NUMBER, .number = (millionths)                                                           \
    }
#define DAY INT64_C(86400000)
#define NOON INT64_C(1772366400000) /* 2026-03-01T12:00:00Z */
#define FOLDER "schemas/qualification/"

static const struct pql_slice topic = TEXT("product-events");

/* In the table below 0 stands for an absent time; see sample_of. */
#define OF(text)                                                                                             \
    .definition = TEXT(text), .definition_version = 1,                                                       \
    .definition_hash = TEXT("5d41402abc4b2a76b9719d911017c592"), .account_id = TEXT("acme")
#define AT(time) .occurred_at = (time), .clock = (time), .version = (time)
#define QUALIFIED(times) .first_qualified_at = NOON, .qualified_at = NOON, .qualification_count = (times)
#define FROM_EVENT .has_source = true, .source_partition = 3, .source_offset = 1734

static const struct pql_evidence invites[] = {
    {.signal = TEXT("count(invite_sent, first 7d)"),
     .value = NUMBER(3000000),
     .threshold = NUMBER(2000000),
     .comparison = TEXT(">="),
     .met = true,
     .first_at = NOON - 2 * DAY,
     .last_at = NOON,
     .window = TEXT("first 7d")},
    {.signal = TEXT("count(project_created, first 7d)"),
     .value = NUMBER(6000000),
     .threshold = NUMBER(5000000),
     .comparison = TEXT(">="),
     .met = true,
     .first_at = NOON - DAY,
     .last_at = NOON - 60000,
     .window = TEXT("first 7d")},
};
static const struct pql_attribute role[] = {{TEXT("user.role"), {.kind = PQL_TEXT, .text = TEXT("admin")}},
                                            {TEXT("account.size"), NUMBER(240000000)},
                                            {TEXT("account.plan"), {.kind = PQL_NULL}}};
static const struct pql_evidence queries[] = {
    {.signal = TEXT("users(count(saved_query_run, 7d) >= 1)"),
     .value = NUMBER(1000000),
     .threshold = NUMBER(2000000),
     .comparison = TEXT(">="),
     .first_at = PQL_NO_TIME,
     .last_at = PQL_NO_TIME},
};
static const struct pql_slice queries_missing[] = {TEXT("users(count(saved_query_run, 7d) >= 1) >= 2")};
static const struct pql_evidence scored[] = {
    {.signal = TEXT("count(campaign_sent, 14d)"),
     .value = NUMBER(50000000),
     .threshold = NUMBER(1000000),
     .comparison = TEXT(">="),
     .met = true,
     .has_points = true,
     .points = 5000000,
     .first_at = NOON - 3 * DAY,
     .last_at = NOON,
     .window = TEXT("14d"),
     .approximate = true,
     .at_least = true},
    {.signal = TEXT("account.industry"),
     .value = {.kind = PQL_TEXT, .text = TEXT("software")},
     .threshold = {.kind = PQL_TEXT, .text = TEXT("finance")},
     .comparison = TEXT("="),
     .has_points = true,
     .points = 0,
     .first_at = PQL_NO_TIME,
     .last_at = PQL_NO_TIME},
    {.signal = TEXT("since(login)"),
     .value = {.kind = PQL_DURATION, .ms = 3600000},
     .threshold = {.kind = PQL_DURATION, .ms = 3 * DAY},
     .comparison = TEXT("<"),
     .met = true,
     .has_points = true,
     .points = 3250000,
     .first_at = NOON - 3600000,
     .last_at = NOON - 3600000},
    {.signal = TEXT("is(collaborator)"),
     .value = {.kind = PQL_BOOL, .boolean = true},
     .threshold = {.kind = PQL_NULL},
     .met = true,
     .first_at = PQL_NO_TIME,
     .last_at = PQL_NO_TIME},
};
static const struct pql_evidence onboarding[] = {
    {.signal = TEXT("ever(onboarding_completed)"),
     .value = {.kind = PQL_BOOL},
     .threshold = {.kind = PQL_NULL},
     .first_at = PQL_NO_TIME,
     .last_at = PQL_NO_TIME,
     .window = TEXT("ever")},
};
static const struct pql_slice onboarding_missing[] = {TEXT("ever(onboarding_completed)"),
                                                      TEXT("days(any, trial) >= 5")};

static const struct pql_record samples[PQL_TRANSITION_COUNT] = {
    [PQL_ENTERED] = {OF("collaborator"), AT(NOON), QUALIFIED(1), FROM_EVENT,
                     .event_id = "0d0a3a31-6f0b-5c35-9f2c-2b7e151628ae", .subject = PQL_SUBJECT_USER,
                     .user_id = TEXT("ada"), .transition = PQL_ENTERED, .status = PQL_QUALIFIED,
                     .reason_text =
                         TEXT("3 teammates invited (needs 2) and 6 projects (needs 5) in the first 7 days"),
                     .evidence = invites, .evidence_count = 2, .route = TEXT("sdr"), .segment = TEXT("smb"),
                     .motion = TEXT("self-serve"), .priority = TEXT("high"),
                     .source_message_id = TEXT("evt-20260301-0007"), .attributes = role,
                     .attributes_count = 3},
    [PQL_LEFT] = {OF("team_query"), AT(NOON + 7 * DAY), QUALIFIED(1),
                  .event_id = "a1d0c6e8-3f02-5327-8984-60b1e0e3f5a4", .subject = PQL_SUBJECT_ACCOUNT,
                  .transition = PQL_LEFT, .status = PQL_STATUS_LEFT, .previous_status = PQL_QUALIFIED,
                  .reason = PQL_REASON_EXPIRED,
                  .reason_text = TEXT("1 user with a saved query in 7 days (needs 2)"), .evidence = queries,
                  .evidence_count = 1, .missing = queries_missing, .missing_count = 1,
                  .left_at = NOON + 7 * DAY},
    [PQL_TIER_CHANGED] = {OF("smb_score"), AT(NOON), QUALIFIED(1), FROM_EVENT,
                          .event_id = "7b1e3c5d-9a20-5e61-b3c4-5d6e7f809102", .subject = PQL_SUBJECT_ACCOUNT,
                          .transition = PQL_TIER_CHANGED, .status = PQL_QUALIFIED,
                          .previous_status = PQL_QUALIFIED,
                          .reason_text = TEXT("at least 50 campaigns sent in 14 days, active within 3 days"),
                          .tier = TEXT("hot"), .previous_tier = TEXT("warm"), .has_score = true,
                          .score = 8250000, .has_previous_score = true, .previous_score = 5000000,
                          .evidence = scored, .evidence_count = 4, .expires_at = NOON + 14 * DAY},
    [PQL_SCORE_CHANGED] = {OF("smb_score"), AT(NOON + DAY), QUALIFIED(1),
                           .event_id = "2c9f8e7d-6b5a-5f4e-8d3c-2b1a09f8e7d6", .subject = PQL_SUBJECT_ACCOUNT,
                           .transition = PQL_SCORE_CHANGED, .status = PQL_QUALIFIED,
                           .previous_status = PQL_QUALIFIED, .reason = PQL_REASON_DECAYED,
                           .reason_text = TEXT("score from 8.25 to 7.904531"), .tier = TEXT("hot"),
                           .previous_tier = TEXT("hot"), .has_score = true, .score = 7904531,
                           .has_previous_score = true, .previous_score = 8250000},
    [PQL_MISSED] = {OF("trial_habit"), AT(NOON + 14 * DAY),
                    .event_id = "f0e1d2c3-b4a5-5968-8776-655443322110", .subject = PQL_SUBJECT_USER,
                    .user_id = TEXT("bob"), .transition = PQL_MISSED, .status = PQL_STATUS_MISSED,
                    .reason_text = TEXT("no completed onboarding when the trial ended"),
                    .evidence = onboarding, .evidence_count = 1, .missing = onboarding_missing,
                    .missing_count = 2, .complete_since = NOON - 30 * DAY},
    [PQL_SLA_BREACHED] = {OF("team_query"), AT(NOON + DAY), QUALIFIED(1),
                          .event_id = "13579bdf-0246-58ac-9e02-468ace024680", .subject = PQL_SUBJECT_ACCOUNT,
                          .transition = PQL_SLA_BREACHED, .status = PQL_QUALIFIED,
                          .previous_status = PQL_QUALIFIED, .reason = PQL_REASON_EXPIRED,
                          .reason_text = TEXT("not contacted within 24 hours"), .route = TEXT("senior_ae"),
                          .sla_due_at = NOON + DAY},
    [PQL_SNAPSHOT] = {OF("pqa"), AT(NOON + 2 * DAY), QUALIFIED(2), FROM_EVENT,
                      .event_id = "fedcba98-7654-5210-8fed-cba987654321", .subject = PQL_SUBJECT_ACCOUNT,
                      .transition = PQL_SNAPSHOT, .status = PQL_QUALIFIED, .previous_status = PQL_QUALIFIED,
                      .reason_text = TEXT("2 of 4 members are collaborators"), .has_members = true,
                      .members = 4, .qualified_members = 2, .share = 500000, .origin = PQL_ORIGIN_REFRESH},
};

static struct pql_record sample_of(int transition)
{
    struct pql_record record = samples[transition];
    int64_t *times[] = {&record.first_qualified_at, &record.qualified_at, &record.left_at,
                        &record.expires_at,         &record.sla_due_at,   &record.complete_since};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        if (!*times[i]) *times[i] = PQL_NO_TIME;
    return record;
}

static struct pql_buf encoded(enum pql_encode_format format, int transition)
{
    const struct pql_record record = sample_of(transition);
    const struct pql_encode_conf conf = {.format = format, .topics = &topic, .topics_count = 1};
    struct pql_encoder *encoder = pql_encoder_new(&conf);
    struct pql_buf out = {0};
    pql_encode_record(encoder, &record, record.clock + 40, &out);
    pql_encoder_free(encoder);
    return out;
}

static struct pql_buf read_file(const char *path)
{
    struct pql_buf out = {0};
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    for (size_t n = 1; n; out.len += n) n = fread(pql_buf_reserve(&out, 4096), 1, 4096, file);
    fclose(file);
    return out;
}

static void assert_file(const char *path, const struct pql_buf *expected)
{
    if (getenv("PQL_UPDATE_SCHEMAS")) {
        FILE *file = fopen(path, "wb");
        assert_non_null(file);
        assert_int_equal(fwrite(expected->ptr, 1, expected->len, file), expected->len);
        assert_int_equal(fclose(file), 0);
    }
    struct pql_buf found = read_file(path);
    pql_buf_u8(&found, 0);
    pql_buf_reserve(&found, 1);
    struct pql_buf text = {0};
    pql_buf_put(&text, expected->ptr, expected->len);
    pql_buf_u8(&text, 0);
    assert_string_equal(found.ptr, text.ptr);
    pql_buf_deinit(&text);
    pql_buf_deinit(&found);
}

static void the_schemas_are_what_the_program_writes(void **state)
{
    (void)state;
    struct pql_buf avro = {0}, json = {0};
    pql_encode_avro_schema(&avro);
    assert_file(FOLDER "v1.avsc", &avro);
    pql_encode_json_schema(&json);
    assert_file(FOLDER "v1.schema.json", &json);
    pql_buf_deinit(&avro);
    pql_buf_deinit(&json);
}

static void the_samples_are_what_the_program_writes(void **state)
{
    (void)state;
    char path[200];
    for (int i = 0; i < PQL_TRANSITION_COUNT; i++) {
        assert_int_equal(samples[i].transition, i);
        struct pql_buf text = encoded(PQL_ENCODE_JSON, i);
        pql_buf_u8(&text, '\n');
        snprintf(path, sizeof path, FOLDER "samples/%s.json", pql_transition_names[i]);
        assert_file(path, &text);
        pql_buf_deinit(&text);
    }
}

static json_t *json_of(const struct pql_buf *text)
{
    json_error_t fault;
    json_t *json = json_loadb(text->ptr, text->len, JSON_REJECT_DUPLICATES, &fault);
    if (!json) fail_msg("%s", fault.text);
    return json;
}

static bool json_is(const json_t *value, const char *type)
{
    return (!strcmp(type, "string") && json_is_string(value)) ||
           (!strcmp(type, "integer") && json_is_integer(value)) ||
           (!strcmp(type, "number") && json_is_number(value)) ||
           (!strcmp(type, "boolean") && json_is_boolean(value)) ||
           (!strcmp(type, "object") && json_is_object(value)) ||
           (!strcmp(type, "array") && json_is_array(value)) || (!strcmp(type, "null") && json_is_null(value));
}

/* The part of JSON Schema that the file uses; no key beside those described. */
static void assert_valid(const json_t *schema, const json_t *value, const char *where)
{
    json_t *types = json_object_get(schema, "type"), *properties = json_object_get(schema, "properties"),
           *member;
    json_t *required = json_object_get(schema, "required"),
           *any = json_object_get(schema, "additionalProperties");
    bool ok = json_is_string(types) && json_is(value, json_string_value(types));
    const char *key;
    size_t i;
    for (i = 0; i < json_array_size(types); i++)
        ok = ok || json_is(value, json_string_value(json_array_get(types, i)));
    if (!ok) fail_msg("%s is of another type", where);
    if (json_is_null(value)) return;
    json_object_foreach((json_t *)(uintptr_t)value, key, member)
    {
        json_t *described = properties ? json_object_get(properties, key) : any;
        if (!described) fail_msg("%s is not described", key);
        assert_valid(described, member, key);
    }
    json_array_foreach(required, i, member)
        assert_non_null(json_object_get(value, json_string_value(member)));
    if (json_is_array(value))
        json_array_foreach(value, i, member) assert_valid(json_object_get(schema, "items"), member, where);
}

static void the_samples_follow_the_json_schema(void **state)
{
    (void)state;
    struct pql_buf text = read_file(FOLDER "v1.schema.json");
    json_t *schema = json_of(&text);
    for (int i = 0; i < PQL_TRANSITION_COUNT; i++) {
        struct pql_buf sample = encoded(PQL_ENCODE_JSON, i);
        json_t *value = json_of(&sample);
        assert_valid(schema, value, "the record");
        json_decref(value);
        pql_buf_deinit(&sample);
    }
    json_decref(schema);
    pql_buf_deinit(&text);
}

/* --- Avro against JSON, read by avro-c --- */

static void assert_same(avro_value_t *avro, const json_t *json, const char *where);

static void assert_same_number(avro_value_t *avro, const json_t *json, const char *where)
{
    int64_t time_ms, number = 0;
    int32_t small = 0;
    if (avro_value_get_type(avro) == AVRO_INT32) {
        assert_int_equal(avro_value_get_int(avro, &small), 0);
        number = small;
    } else {
        assert_int_equal(avro_value_get_long(avro, &number), 0);
    }
    if (json_is_string(json)) {
        assert_true(pql_time_parse(pql_slice_of(json_string_value(json)), &time_ms));
        assert_true(number == time_ms);
    } else {
        if (!json_is_integer(json) || json_integer_value(json) != number) fail_msg("%s differs", where);
    }
}

static void assert_same_members(avro_value_t *avro, const json_t *json, const char *where)
{
    size_t count;
    assert_int_equal(avro_value_get_size(avro, &count), 0);
    bool is_array = avro_value_get_type(avro) == AVRO_ARRAY;
    if (count != (is_array ? json_array_size(json) : json_object_size(json)))
        fail_msg("%s has another size", where);
    for (size_t i = 0; i < count; i++) {
        avro_value_t kid;
        const char *name = NULL;
        assert_int_equal(avro_value_get_by_index(avro, i, &kid, &name), 0);
        const json_t *member = is_array ? json_array_get(json, i) : json_object_get(json, name);
        if (!member) fail_msg("%s is not in the JSON", name ? name : where);
        assert_same(&kid, member, name ? name : where);
    }
}

static void assert_same(avro_value_t *avro, const json_t *json, const char *where)
{
    const char *text;
    size_t size;
    double number;
    int truth;
    avro_value_t branch;
    switch (avro_value_get_type(avro)) {
    case AVRO_UNION:
        assert_int_equal(avro_value_get_current_branch(avro, &branch), 0);
        assert_same(&branch, json, where);
        break;
    case AVRO_NULL: assert_true(json_is_null(json)); break;
    case AVRO_STRING:
        assert_int_equal(avro_value_get_string(avro, &text, &size), 0);
        assert_string_equal(json_string_value(json), text);
        break;
    case AVRO_DOUBLE:
        assert_int_equal(avro_value_get_double(avro, &number), 0);
        if (!json_is_number(json) || number < json_number_value(json) || number > json_number_value(json))
            fail_msg("%s differs", where);
        break;
    case AVRO_BOOLEAN:
        assert_int_equal(avro_value_get_boolean(avro, &truth), 0);
        assert_int_equal(truth, json_is_true(json));
        break;
    case AVRO_INT32:
    case AVRO_INT64: assert_same_number(avro, json, where); break;
    case AVRO_RECORD:
    case AVRO_ARRAY:
    case AVRO_MAP: assert_same_members(avro, json, where); break;
    case AVRO_BYTES:
    case AVRO_FLOAT:
    case AVRO_ENUM:
    case AVRO_FIXED:
    case AVRO_LINK: fail_msg("%s is of a type that the schema has not", where);
    }
}

static void avro_and_json_say_the_same(void **state)
{
    (void)state;
    struct pql_buf text = read_file(FOLDER "v1.avsc");
    avro_schema_t schema;
    assert_int_equal(avro_schema_from_json_length(text.ptr, text.len, &schema), 0);
    avro_value_iface_t *iface = avro_generic_class_from_schema(schema);
    for (int i = 0; i < PQL_TRANSITION_COUNT; i++) {
        struct pql_buf bytes = encoded(PQL_ENCODE_AVRO, i), sample = encoded(PQL_ENCODE_JSON, i);
        avro_value_t value;
        avro_reader_t reader = avro_reader_memory(bytes.ptr, (int64_t)bytes.len);
        char rest;
        assert_int_equal(avro_generic_value_new(iface, &value), 0);
        assert_int_equal(avro_value_read(reader, &value), 0);
        assert_int_not_equal(avro_read(reader, &rest, 1), 0);
        json_t *json = json_of(&sample);
        assert_same(&value, json, "the record");
        json_decref(json);
        avro_value_decref(&value);
        avro_reader_free(reader);
        pql_buf_deinit(&bytes);
        pql_buf_deinit(&sample);
    }
    avro_value_iface_decref(iface);
    avro_schema_decref(schema);
    pql_buf_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_schemas_are_what_the_program_writes),
        cmocka_unit_test(the_samples_are_what_the_program_writes),
        cmocka_unit_test(the_samples_follow_the_json_schema),
        cmocka_unit_test(avro_and_json_say_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
