/* Each shipped mapping on records as their senders write them (names and numbers invented). */
#include "base/diag.h"
#include "core/wire/decoder.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }

/* What definitions ask for: the first two properties, an attribute of the user and one of the account. */
static const struct pql_slice property_names[] = {TEXT("plan"), TEXT("amount")};
static const struct pql_slice user_names[] = {TEXT("role")};
static const struct pql_slice account_names[] = {TEXT("size")};
static const struct pql_names names = {property_names, 2, user_names, 1, account_names, 1};

struct fixture {
    const char *title, *preset, *key;
    const char *headers[10]; /* name, value, …, NULL */
    const char *json;
    enum pql_event_kind kind;
    const char *event, *account, *user, *id;
    const char *previous; /* of an alias */
    int64_t time_ms;
    const char *plan, *amount, *attribute; /* as text; NULL: null */
};

/* 2026-03-01T12:30:00.250Z */
#define AT INT64_C(1772368200250)

static const struct fixture fixtures[] = {
    {.title = "segment: alias",
     .preset = "segment",
     .json = "{\"type\":\"alias\",\"messageId\":\"al-1\",\"previousId\":\"an-77\",\"userId\":\"u1\","
             "\"timestamp\":\"2026-03-01T12:30:00.250Z\",\"context\":{\"groupId\":\"acme\"}}",
     .kind = PQL_EVENT_ALIAS,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "al-1",
     .previous = "an-77",
     .time_ms = AT},
    {.title = "rudderstack: alias, its account in the key",
     .preset = "rudderstack",
     .key = "acme",
     .json = "{\"type\":\"alias\",\"messageId\":\"al-2\",\"previousId\":\"an-78\",\"userId\":\"u2\","
             "\"originalTimestamp\":\"2026-03-01T12:30:00.250Z\"}",
     .kind = PQL_EVENT_ALIAS,
     .event = "",
     .account = "acme",
     .user = "u2",
     .id = "al-2",
     .previous = "an-78",
     .time_ms = AT},
    {.title = "posthog: alias, of which the other id becomes the sender's",
     .preset = "posthog",
     .json = "{\"uuid\":\"al-3\",\"event\":\"$create_alias\",\"distinct_id\":\"u3\","
             "\"timestamp\":\"2026-03-01T12:30:00.250Z\","
             "\"properties\":{\"alias\":\"an-79\",\"$groups\":{\"company\":\"acme\"}}}",
     .kind = PQL_EVENT_ALIAS,
     .event = "",
     .account = "acme",
     .user = "u3",
     .id = "al-3",
     .previous = "an-79",
     .time_ms = AT},
    {.title = "flat: names at the top level",
     .preset = "flat",
     .json = "{\"event\":\"invite_sent\",\"account_id\":\"acme\",\"user_id\":17,\"timestamp\":1772368200250,"
             "\"event_id\":\"e1\",\"plan\":\"team\",\"amount\":2.5}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "17",
     .id = "e1",
     .time_ms = AT,
     .plan = "team",
     .amount = "2.5"},
    {.title = "rudderstack: track",
     .preset = "rudderstack",
     .key = "acme",
     .json =
         "{\"channel\":\"web\",\"type\":\"track\",\"messageId\":\"0a1b-22\",\"event\":\"Invite Sent\","
         "\"anonymousId\":\"an-1\",\"userId\":\"u1\",\"originalTimestamp\":\"2026-03-01T12:30:00.250Z\","
         "\"context\":{\"traits\":{\"role\":\"admin\"},\"library\":{\"name\":\"RudderLabs JavaScript SDK\"}},"
         "\"properties\":{\"plan\":\"team\",\"amount\":\"3\"}}",
     .kind = PQL_EVENT_TRACK,
     .event = "Invite Sent",
     .account = "acme",
     .user = "u1",
     .id = "0a1b-22",
     .time_ms = AT,
     .plan = "team",
     .amount = "3"},
    {.title = "rudderstack: identify has its traits in the context",
     .preset = "rudderstack",
     .json = "{\"type\":\"identify\",\"messageId\":\"m2\",\"userId\":\"u1\",\"timestamp\":\"2026-03-01T13:30:"
             "00.25+01:00\","
             "\"context\":{\"groupId\":\"acme\",\"traits\":{\"role\":\"admin\"}}}",
     .kind = PQL_EVENT_IDENTIFY,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "m2",
     .time_ms = AT,
     .attribute = "admin"},
    {.title = "rudderstack: group",
     .preset = "rudderstack",
     .json = "{\"type\":\"group\",\"messageId\":\"m3\",\"userId\":\"u1\",\"groupId\":\"acme\","
             "\"timestamp\":\"2026-03-01T12:30:00.250Z\",\"traits\":{\"size\":\"42\"}}",
     .kind = PQL_EVENT_GROUP,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "m3",
     .time_ms = AT,
     .attribute = "42"},
    {.title = "rudderstack: a group call carries the user's traits too, which are not the account's",
     .preset = "rudderstack",
     .json = "{\"type\":\"group\",\"messageId\":\"m4\",\"userId\":\"u1\",\"groupId\":\"acme\","
             "\"timestamp\":\"2026-03-01T12:30:00.250Z\",\"traits\":{\"name\":\"Hooli\"},"
             "\"context\":{\"traits\":{\"email\":\"u@acme.com\",\"size\":\"XL\"}}}",
     .kind = PQL_EVENT_GROUP,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "m4",
     .time_ms = AT},
    {.title = "snowplow: self-describing event of the analytics SDK, the schema's fields by their long names",
     .preset = "snowplow",
     .key = "acme",
     .json = "{\"app_id\":\"shop\",\"platform\":\"web\",\"collector_tstamp\":\"2026-03-01T12:30:01.000Z\","
             "\"derived_tstamp\":\"2026-03-01 "
             "12:30:00.250\",\"event\":\"unstruct\",\"event_name\":\"invite_sent\","
             "\"event_id\":\"c6ef3124\",\"user_id\":null,\"domain_userid\":\"bc2e92ec\",\"amount\":7,"
             "\"contexts_com_snowplowanalytics_snowplow_web_page_1\":[{\"id\":\"p\"}],"
             "\"unstruct_event_com_acme_invite_sent_1\":{\"plan\":\"x\"}}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "bc2e92ec",
     .id = "c6ef3124",
     .time_ms = AT,
     .amount = "7"},
    {.title = "snowplow: self-describing JSON as text, the account in a context",
     .preset = "snowplow",
     .json = "{\"event\":\"unstruct\",\"event_name\":\"invite_sent\",\"event_id\":\"e\",\"user_id\":\"u1\","
             "\"collector_tstamp\":\"2026-03-01 12:30:00.250\","
             "\"contexts\":\"{\\\"schema\\\":\\\"iglu:com.snowplowanalytics.snowplow/contexts/jsonschema/"
             "1-0-0\\\","
             "\\\"data\\\":[{\\\"schema\\\":\\\"iglu:com.acme/account/jsonschema/1-0-0\\\",\\\"data\\\":"
             "{\\\"account_id\\\":\\\"acme\\\",\\\"plan\\\":\\\"free\\\"}}]}\","
             "\"unstruct_event\":\"{\\\"schema\\\":\\\"iglu:com.snowplowanalytics.snowplow/unstruct_event/"
             "jsonschema/1-0-0\\\",\\\"data\\\":{\\\"schema\\\":\\\"iglu:com.acme/invite_sent/jsonschema/"
             "1-0-0\\\","
             "\\\"data\\\":{\\\"amount\\\":3}}}\"}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "u1",
     .id = "e",
     .time_ms = AT,
     .plan = "free",
     .amount = "3"},
    {.title = "snowplow: structured event, named by its action",
     .preset = "snowplow",
     .key = "acme",
     .json = "{\"event\":\"struct\",\"event_name\":\"event\",\"event_id\":\"e\",\"user_id\":\"u1\","
             "\"collector_tstamp\":\"2026-03-01T12:30:00.250Z\",\"se_category\":\"team\",\"se_action\":"
             "\"invite_sent\"}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "u1",
     .id = "e",
     .time_ms = AT},
    {.title = "amplitude: exported event, time in UTC without offset",
     .preset = "amplitude",
     .json =
         "{\"event_type\":\"Invite Sent\",\"user_id\":\"u1\",\"device_id\":\"d\",\"$insert_id\":\"i-1\","
         "\"event_time\":\"2026-03-01 12:30:00.250000\",\"groups\":{\"company\":[\"acme\"]},"
         "\"event_properties\":{\"plan\":\"team\",\"amount\":1.5},\"user_properties\":{\"role\":\"admin\"}}",
     .kind = PQL_EVENT_TRACK,
     .event = "Invite Sent",
     .account = "acme",
     .user = "u1",
     .id = "i-1",
     .time_ms = AT,
     .plan = "team",
     .amount = "1.5"},
    {.title = "amplitude: HTTP event, time in milliseconds",
     .preset = "amplitude",
     .key = "acme",
     .json = "{\"event_type\":\"$identify\",\"user_id\":\"u1\",\"insert_id\":\"i-2\",\"time\":1772368200250,"
             "\"user_properties\":{\"$set\":{\"role\":\"admin\"}}}",
     .kind = PQL_EVENT_IDENTIFY,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "i-2",
     .time_ms = AT,
     .attribute = "admin"},
    {.title = "amplitude: a property that is set once",
     .preset = "amplitude",
     .json = "{\"event_type\":\"$identify\",\"user_id\":\"u1\",\"insert_id\":\"i-4\",\"time\":1772368200250,"
             "\"groups\":{\"company\":\"acme\"},\"user_properties\":{\"$set\":{\"plan\":\"x\"},"
             "\"$setOnce\":{\"role\":\"admin\"}},\"group_properties\":{\"role\":\"no user's\"}}",
     .kind = PQL_EVENT_IDENTIFY,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "i-4",
     .time_ms = AT,
     .attribute = "admin"},
    {.title = "amplitude: properties of a group",
     .preset = "amplitude",
     .json = "{\"event_type\":\"$groupidentify\",\"insert_id\":\"i-3\",\"time\":1772368200250,"
             "\"groups\":{\"company\":\"acme\"},\"group_properties\":{\"$set\":{\"size\":12}}}",
     .kind = PQL_EVENT_GROUP,
     .event = "",
     .account = "acme",
     .user = "",
     .id = "i-3",
     .time_ms = AT,
     .attribute = "12"},
    {.title = "posthog: properties as JSON text",
     .preset = "posthog",
     .json = "{\"uuid\":\"0190-77\",\"event\":\"invite sent\",\"distinct_id\":\"u1\","
             "\"timestamp\":\"2026-03-01 12:30:00.250000\",\"team_id\":2,"
             "\"properties\":\"{\\\"$groups\\\":{\\\"company\\\":\\\"acme\\\"},\\\"plan\\\":\\\"team\\\","
             "\\\"amount\\\":4,\\\"$lib\\\":\\\"web\\\"}\"}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite sent",
     .account = "acme",
     .user = "u1",
     .id = "0190-77",
     .time_ms = AT,
     .plan = "team",
     .amount = "4"},
    {.title = "posthog: page view",
     .preset = "posthog",
     .key = "acme",
     .json = "{\"uuid\":\"p\",\"event\":\"$pageview\",\"distinct_id\":\"u1\",\"timestamp\":\"2026-03-01T12:"
             "30:00.250Z\","
             "\"properties\":{\"$current_url\":\"https://app.example/x\"}}",
     .kind = PQL_EVENT_TRACK,
     .event = "page_viewed",
     .account = "acme",
     .user = "u1",
     .id = "p",
     .time_ms = AT},
    {.title = "posthog: identify",
     .preset = "posthog",
     .json = "{\"uuid\":\"q\",\"event\":\"$identify\",\"distinct_id\":\"u1\",\"timestamp\":\"2026-03-01T12:"
             "30:00.250Z\","
             "\"properties\":{\"$anon_distinct_id\":\"018f\",\"$group_0\":\"acme\",\"$set\":{\"role\":"
             "\"admin\"}}}",
     .kind = PQL_EVENT_IDENTIFY,
     .event = "",
     .account = "acme",
     .user = "u1",
     .id = "q",
     .time_ms = AT,
     .attribute = "admin"},
    {.title = "posthog: group",
     .preset = "posthog",
     .json =
         "{\"uuid\":\"r\",\"event\":\"$groupidentify\",\"distinct_id\":\"$company_acme\",\"timestamp\":"
         "\"2026-03-01T12:"
         "30:00.250Z\","
         "\"properties\":{\"$group_type\":\"company\",\"$group_key\":\"acme\",\"$group_set\":{\"size\":9}}}",
     .kind = PQL_EVENT_GROUP,
     .event = "",
     .account = "acme",
     .user = "",
     .id = "r",
     .time_ms = AT,
     .attribute = "9"},
    {.title = "cloudevents: structured",
     .preset = "cloudevents",
     .key = "acme",
     .json =
         "{\"specversion\":\"1.0\",\"id\":\"ce-1\",\"source\":\"/shop\",\"type\":\"com.acme.invite.sent\","
         "\"time\":\"2026-03-01T12:30:00.250Z\",\"datacontenttype\":\"application/json\","
         "\"data\":{\"user_id\":\"u1\",\"plan\":\"team\",\"amount\":8}}",
     .kind = PQL_EVENT_TRACK,
     .event = "com.acme.invite.sent",
     .account = "acme",
     .user = "u1",
     .id = "ce-1",
     .time_ms = AT,
     .plan = "team",
     .amount = "8"},
    {.title = "cloudevents: structured, the account as partitionkey where there is no key",
     .preset = "cloudevents",
     .json = "{\"specversion\":\"1.0\",\"id\":\"ce-4\",\"source\":\"/shop\",\"type\":\"invite_sent\","
             "\"time\":\"2026-03-01T12:30:00.25Z\",\"partitionkey\":\"acme\",\"userid\":\"u1\","
             "\"data\":{\"plan\":\"team\"}}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "u1",
     .id = "ce-4",
     .time_ms = AT,
     .plan = "team"},
    {.title = "cloudevents: binary, attributes in headers",
     .preset = "cloudevents",
     .headers = {"ce_type", "invite_sent", "ce_id", "ce-2", "ce_time", "2026-03-01T12:30:00.250Z",
                 "ce_accountid", "acme"},
     .json = "{\"user_id\":\"u1\",\"plan\":\"team\"}",
     .kind = PQL_EVENT_TRACK,
     .event = "invite_sent",
     .account = "acme",
     .user = "u1",
     .id = "ce-2",
     .time_ms = AT,
     .plan = "team"},
};

static void assert_value(const struct fixture *fixture, const struct pql_value *value, const char *expected)
{
    char digits[PQL_DECIMAL_TEXT_MAX];
    struct pql_slice text = value->text;
    if (value->kind == PQL_NUMBER) text = (struct pql_slice){digits, pql_decimal_text(value->number, digits)};
    if (value->kind == PQL_NULL ? expected != NULL : !expected || !pql_slice_is(text, expected))
        fail_msg("%s: a value of kind %d, expected %s", fixture->title, (int)value->kind,
                 expected ? expected : "null");
}

static void assert_field(const struct fixture *fixture, struct pql_slice text, const char *expected)
{
    if (!pql_slice_is(text, expected))
        fail_msg("%s: '%.*s', expected '%s'", fixture->title, PQL_SLICE_ARG(text), expected);
}

static void check(const struct fixture *f)
{
    struct pql_err err = {0};
    struct pql_diags diags;
    struct pql_arena scratch;
    struct pql_event event;
    struct pql_header headers[5];
    struct pql_message message = {.timestamp_ms = INT64_MIN, .headers = headers};
    pql_diags_init(&diags);
    pql_arena_init(&scratch);
    for (; f->headers[2 * message.headers_count]; message.headers_count++)
        headers[message.headers_count] =
            (struct pql_header){pql_slice_of(f->headers[2 * message.headers_count]),
                                pql_slice_of(f->headers[2 * message.headers_count + 1])};
    if (f->key) message.has_key = true, message.key = pql_slice_of(f->key);
    struct pql_mapping *mapping =
        pql_mapping_new(pql_mapping_preset(pql_slice_of(f->preset)), &names, &diags);
    assert_non_null(mapping);
    struct pql_decoder *decoder =
        pql_decoder_new(&(struct pql_decoder_conf){.format = PQL_FORMAT_JSON, .mapping = mapping}, &err);
    assert_non_null(decoder);
    if (pql_decoder_apply(decoder, pql_slice_of(f->json), &message, &scratch, &event, &err))
        fail_msg("%s: %s", f->title, err.msg);
    if (event.kind != f->kind || event.time_ms != f->time_ms)
        fail_msg("%s: kind %d at %lld", f->title, (int)event.kind, (long long)event.time_ms);
    assert_field(f, event.name, f->event);
    assert_field(f, event.account, f->account);
    assert_field(f, event.user, f->user);
    assert_field(f, event.id, f->id);
    assert_field(f, event.previous_user, f->previous ? f->previous : "");
    if (event.properties) assert_value(f, &event.properties[0], f->plan);
    if (event.properties) assert_value(f, &event.properties[1], f->amount);
    if (event.user_attributes) assert_value(f, &event.user_attributes[0], f->attribute);
    if (event.account_attributes) assert_value(f, &event.account_attributes[0], f->attribute);
    pql_decoder_free(decoder);
    pql_mapping_free(mapping);
    pql_arena_deinit(&scratch);
    pql_diags_deinit(&diags);
}

static void records_as_their_senders_write_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++) check(&fixtures[i]);
}

/* canonical and segment have their own tests in test_mapping.c. */
static void each_preset_has_a_record(void **state)
{
    (void)state;
    for (size_t p = 2; pql_mapping_preset_names[p]; p++) {
        size_t found = 0;
        for (size_t i = 0; i < sizeof fixtures / sizeof *fixtures; i++)
            found += strcmp(fixtures[i].preset, pql_mapping_preset_names[p]) == 0;
        if (!found && strcmp(pql_mapping_preset_names[p], "segment"))
            fail_msg("none of %s", pql_mapping_preset_names[p]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_as_their_senders_write_them),
        cmocka_unit_test(each_preset_has_a_record),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
