#include "core/wire/encode.h"

#include "core/wire/json.h"
#include "core/wire/path.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }
#define MARCH INT64_C(1772368200000) /* 2026-03-01T12:30:00Z */

static const struct pql_slice topics[] = {TEXT("product-events"), TEXT("crm")};

static const struct pql_evidence evidence[] = {
    {.signal = TEXT("count(invite_sent, first 7d)"),
     .value = {.kind = PQL_NUMBER, .number = 3000000},
     .threshold = {.kind = PQL_NUMBER, .number = 2000000},
     .comparison = TEXT(">="),
     .met = true,
     .has_points = true,
     .points = 2500000,
     .first_at = MARCH - 2000,
     .last_at = MARCH,
     .window = TEXT("first 7d"),
     .approximate = false,
     .at_least = true},
    {.signal = TEXT("account.plan"),
     .value = {.kind = PQL_TEXT, .text = TEXT("free \"tier\"")},
     .threshold = {.kind = PQL_NULL},
     .first_at = PQL_NO_TIME,
     .last_at = PQL_NO_TIME},
};
static const struct pql_slice missing[] = {TEXT("members() >= 3"), TEXT("ever(login)")};
static const struct pql_attribute attributes[] = {
    {TEXT("user.role"), {.kind = PQL_TEXT, .text = TEXT("admin")}},
    {TEXT("account.size"), {.kind = PQL_NUMBER, .number = 12500000}},
    {TEXT("account.plan"), {.kind = PQL_NULL}},
};

static struct pql_record full_record(void)
{
    return (struct pql_record){
        .event_id = "6f1c2f2e-5c1b-5d7e-9a51-0123456789ab",
        .definition = TEXT("collaborator"),
        .definition_version = 3,
        .definition_hash = TEXT("00ff"),
        .subject = PQL_SUBJECT_USER,
        .account_id = TEXT("acme"),
        .user_id = TEXT("u1"),
        .transition = PQL_ENTERED,
        .status = PQL_QUALIFIED,
        .previous_status = PQL_NOT_YET,
        .reason = PQL_REASON_CONDITION,
        .reason_text = TEXT("3 teammates invited"),
        .tier = TEXT("hot"),
        .previous_tier = TEXT("warm"),
        .has_score = true,
        .score = 8250000,
        .has_previous_score = true,
        .previous_score = -500000,
        .evidence = evidence,
        .evidence_count = 2,
        .missing = missing,
        .missing_count = 2,
        .has_members = true,
        .members = 4,
        .qualified_members = 2,
        .share = 500000,
        .first_qualified_at = MARCH - 1000,
        .qualified_at = MARCH,
        .left_at = MARCH - 500,
        .expires_at = MARCH + 1,
        .qualification_count = 2,
        .route = TEXT("sdr"),
        .segment = TEXT("smb"),
        .motion = TEXT("expand"),
        .priority = TEXT("high"),
        .sla_due_at = MARCH + 86400000,
        .origin = PQL_ORIGIN_LIVE,
        .complete_since = 0,
        .occurred_at = MARCH,
        .clock = MARCH + 5,
        .version = MARCH,
        .has_source = true,
        .source_input = 1,
        .source_partition = 7,
        .source_offset = INT64_C(12345678901),
        .source_message_id = TEXT("m-1"),
        .attributes = attributes,
        .attributes_count = 3,
    };
}

static struct pql_record bare_record(void)
{
    return (struct pql_record){
        .event_id = "6f1c2f2e-5c1b-5d7e-9a51-0123456789ab",
        .definition = TEXT("pqa"),
        .definition_version = 1,
        .definition_hash = TEXT("00"),
        .subject = PQL_SUBJECT_ACCOUNT,
        .account_id = TEXT("a"),
        .transition = PQL_LEFT,
        .status = PQL_STATUS_LEFT,
        .previous_status = PQL_QUALIFIED,
        .reason = PQL_REASON_EXPIRED,
        .first_qualified_at = PQL_NO_TIME,
        .qualified_at = PQL_NO_TIME,
        .left_at = PQL_NO_TIME,
        .expires_at = PQL_NO_TIME,
        .sla_due_at = PQL_NO_TIME,
        .complete_since = PQL_NO_TIME,
        .origin = PQL_ORIGIN_BACKFILL,
    };
}

static struct pql_buf encode(struct pql_encode_conf conf, struct pql_record record)
{
    struct pql_buf out = {0};
    conf.topics = topics;
    conf.topics_count = 2;
    struct pql_encoder *encoder = pql_encoder_new(&conf);
    pql_encode_record(encoder, &record, MARCH + 10, &out);
    pql_encoder_free(encoder);
    pql_buf_u8(&out, 0);
    return out;
}

static void assert_encoded(struct pql_encode_conf conf, struct pql_record record, const char *expected)
{
    struct pql_buf out = encode(conf, record);
    assert_string_equal(out.ptr, expected);
    pql_buf_deinit(&out);
}

static void json_has_every_field_in_order(void **state)
{
    (void)state;
    assert_encoded(
        (struct pql_encode_conf){.format = PQL_ENCODE_JSON}, full_record(),
        "{\"event_id\":\"6f1c2f2e-5c1b-5d7e-9a51-0123456789ab\",\"definition\":\"collaborator\",\"definition_"
        "version\":3,"
        "\"definition_hash\":\"00ff\",\"subject\":\"user\",\"account_id\":\"acme\",\"user_id\":\"u1\","
        "\"transition\":\"entered\","
        "\"status\":\"qualified\",\"previous_status\":\"not_yet\",\"reason\":\"condition\",\"reason_text\":"
        "\"3 teammates invited\","
        "\"tier\":\"hot\",\"previous_tier\":\"warm\",\"score\":8.25,\"previous_score\":-0.5,\"evidence\":["
        "{\"signal\":\"count(invite_sent, first "
        "7d)\",\"value\":3,\"value_text\":null,\"threshold\":2,\"threshold_text\":null,"
        "\"comparison\":\">=\",\"met\":true,\"points\":2.5,\"first_at\":\"2026-03-01T12:29:58.000Z\","
        "\"last_at\":\"2026-03-01T12:30:00.000Z\",\"window\":\"first "
        "7d\",\"approximate\":false,\"at_least\":true},"
        "{\"signal\":\"account.plan\",\"value\":null,\"value_text\":\"free \\\"tier\\\"\",\"threshold\":null,"
        "\"threshold_text\":null,\"comparison\":null,\"met\":false,\"points\":null,\"first_at\":null,\"last_"
        "at\":null,"
        "\"window\":\"\",\"approximate\":false,\"at_least\":false}],\"missing\":[\"members() >= "
        "3\",\"ever(login)\"],"
        "\"members\":4,\"qualified_members\":2,\"share\":0.5,\"first_qualified_at\":\"2026-03-01T12:29:59."
        "000Z\","
        "\"qualified_at\":\"2026-03-01T12:30:00.000Z\",\"left_at\":\"2026-03-01T12:29:59.500Z\","
        "\"expires_at\":\"2026-03-01T12:30:00.001Z\",\"qualification_count\":2,\"route\":\"sdr\",\"segment\":"
        "\"smb\","
        "\"motion\":\"expand\",\"priority\":\"high\",\"sla_due_at\":\"2026-03-02T12:30:00.000Z\",\"origin\":"
        "\"live\","
        "\"complete_since\":\"1970-01-01T00:00:00.000Z\",\"occurred_at\":\"2026-03-01T12:30:00.000Z\","
        "\"clock\":\"2026-03-01T12:30:00.005Z\",\"produced_at\":\"2026-03-01T12:30:00.010Z\",\"version\":"
        "1772368200000,"
        "\"source\":{\"topic\":\"crm\",\"partition\":7,\"offset\":12345678901,\"message_id\":\"m-1\"},"
        "\"attributes\":{\"user.role\":\"admin\",\"account.size\":\"12.5\",\"account.plan\":null}}");
}

static void json_has_null_for_what_is_absent(void **state)
{
    (void)state;
    assert_encoded(
        (struct pql_encode_conf){.format = PQL_ENCODE_JSON, .epoch_ms = true}, bare_record(),
        "{\"event_id\":\"6f1c2f2e-5c1b-5d7e-9a51-0123456789ab\",\"definition\":\"pqa\",\"definition_"
        "version\":1,"
        "\"definition_hash\":\"00\",\"subject\":\"account\",\"account_id\":\"a\",\"user_id\":null,"
        "\"transition\":\"left\","
        "\"status\":\"left\",\"previous_status\":\"qualified\",\"reason\":\"expired\",\"reason_text\":\"\","
        "\"tier\":null,"
        "\"previous_tier\":null,\"score\":null,\"previous_score\":null,\"evidence\":[],\"missing\":[],"
        "\"members\":null,"
        "\"qualified_members\":null,\"share\":null,\"first_qualified_at\":null,\"qualified_at\":null,\"left_"
        "at\":null,"
        "\"expires_at\":null,\"qualification_count\":0,\"route\":null,\"segment\":null,\"motion\":null,"
        "\"priority\":null,"
        "\"sla_due_at\":null,\"origin\":\"backfill\",\"complete_since\":null,\"occurred_at\":0,\"clock\":0,"
        "\"produced_at\":1772368200010,\"version\":0,\"source\":null,\"attributes\":{}}");
}

/* Connect's schema names exactly the fields of the payload. */
static void the_connect_schema_describes_the_payload(void **state)
{
    (void)state;
    struct pql_buf out =
        encode((struct pql_encode_conf){.connect_schema = true, .epoch_ms = true}, full_record());
    static const struct {
        const char *path, *expected;
    } cases[] = {
        {"schema.type", "struct"},
        {"schema.name", "pqlstream.Qualification"},
        {"schema.fields.0.field", "event_id"},
        {"schema.fields.2.type", "int32"},
        {"schema.fields.14.type", "double"},
        {"schema.fields.16.type", "array"},
        {"schema.fields.16.field", "evidence"},
        {"schema.fields.16.items.type", "struct"},
        {"schema.fields.16.items.fields.12.field", "at_least"},
        {"schema.fields.16.items.fields.8.name", "org.apache.kafka.connect.data.Timestamp"},
        {"schema.fields.17.items.type", "string"},
        {"schema.fields.37.field", "source"},
        {"schema.fields.37.fields.3.field", "message_id"},
        {"schema.fields.38.type", "map"},
        {"schema.fields.38.keys.type", "string"},
        {"schema.fields.38.values.type", "string"},
        {"schema.fields.38.field", "attributes"},
        {"payload.source.message_id", "m-1"},
    };
    enum { COUNT = sizeof cases / sizeof *cases };
    struct pql_slice wanted[COUNT];
    struct pql_value slots[COUNT];
    struct pql_arena scratch;
    struct pql_err err;
    for (size_t i = 0; i < COUNT; i++) wanted[i] = pql_slice_of(cases[i].path);
    pql_arena_init(&scratch);
    struct pql_json_plan *plan = pql_json_plan_new(wanted, COUNT);
    assert_int_equal(pql_json_plan_run(plan, out.ptr, out.len - 1, &scratch, slots, &err), 0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(slots[i].kind, PQL_TEXT);
        if (!pql_slice_is(slots[i].text, cases[i].expected))
            fail_msg("%s: %.*s", cases[i].path, PQL_SLICE_ARG(slots[i].text));
    }
    pql_json_plan_free(plan);
    pql_arena_deinit(&scratch);
    pql_buf_deinit(&out);
}

static void texts_become_valid_json(void **state)
{
    (void)state;
    static const struct {
        struct pql_slice text;
        const char *expected;
    } cases[] = {
        {TEXT(""), "\"\""},
        {TEXT("\"\\\b\f\n\r\t/"), "\"\\\"\\\\\\b\\f\\n\\r\\t/\""},
        {TEXT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\""},
        {TEXT("\xc3\xa9\xf0\x9f\x98\x80"), "\"\xc3\xa9\xf0\x9f\x98\x80\""},
        {TEXT("a\xff\xc3"), "\"a\xef\xbf\xbd\xef\xbf\xbd\""},
        {TEXT("\xed\xa0\x80x"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_buf out = {0};
        pql_encode_json_text(&out, cases[i].text);
        pql_buf_u8(&out, 0);
        assert_string_equal(out.ptr, cases[i].expected);
        pql_buf_deinit(&out);
    }
}

static void keys_are_percent_encoded(void **state)
{
    (void)state;
    static const struct {
        enum pql_subject subject;
        struct pql_slice account, user;
        const char *expected;
    } cases[] = {
        {PQL_SUBJECT_ACCOUNT, TEXT("acme"), TEXT(""), "d/acme"},
        {PQL_SUBJECT_USER, TEXT("acme"), TEXT("u 1"), "d/acme/u 1"},
        {PQL_SUBJECT_USER, TEXT("a/b%"), TEXT("\0\x1f\x7f"), "d/a%2Fb%25/%00%1F%7F"},
        {PQL_SUBJECT_USER, TEXT("\xc3\xa9"), TEXT("\xff\xc3"), "d/\xc3\xa9/%FF%C3"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_record record = {.definition = TEXT("d"),
                                    .subject = cases[i].subject,
                                    .account_id = cases[i].account,
                                    .user_id = cases[i].user};
        struct pql_buf out = {0};
        pql_encode_key(&record, &out);
        pql_buf_u8(&out, 0);
        assert_string_equal(out.ptr, cases[i].expected);
        pql_buf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_has_every_field_in_order),
        cmocka_unit_test(json_has_null_for_what_is_absent),
        cmocka_unit_test(the_connect_schema_describes_the_payload),
        cmocka_unit_test(texts_become_valid_json),
        cmocka_unit_test(keys_are_percent_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
