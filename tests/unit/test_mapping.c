#include "core/wire/mapping.h"

#include "base/err.h"
#include "core/reasons.h"
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

static const struct pql_slice property_names[] = {TEXT("plan"), TEXT("amount"), TEXT("device.os"),
                                                  TEXT("at")};
static const struct pql_slice user_names[] = {TEXT("role")};
static const struct pql_slice account_names[] = {TEXT("size"), TEXT("plan")};
static const struct pql_names names = {property_names, 4, user_names, 1, account_names, 2};

static struct pql_arena scratch;
static struct pql_event event;
static struct pql_err err;

static int setup(void **state)
{
    (void)state;
    pql_arena_init(&scratch);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    pql_arena_deinit(&scratch);
    return 0;
}

static const struct pql_message no_message = {
    .timestamp_ms = INT64_MIN, .input = 2, .partition = 3, .offset = 4};

static int apply(const struct pql_mapping_conf *conf, const char *json, const struct pql_message *message)
{
    struct pql_diags diags;
    struct pql_value slots[64];
    size_t count;
    pql_diags_init(&diags);
    struct pql_mapping *mapping = pql_mapping_new(conf, &names, &diags);
    assert_non_null(mapping);
    const struct pql_slice *wanted = pql_mapping_wanted(mapping, &count);
    assert_true(count <= 64);
    struct pql_json_plan *plan = pql_json_plan_new(wanted, count);
    assert_non_null(plan);
    assert_int_equal(pql_json_plan_run(plan, json, strlen(json), &scratch, slots, &err), 0);
    event = (struct pql_event){.time_ms = 42};
    int result = pql_mapping_apply(mapping, slots, message, &scratch, &event, &err);
    event.name = pql_arena_copy(&scratch, event.name); /* may be the mapping's own text */
    pql_json_plan_free(plan);
    pql_mapping_free(mapping);
    pql_diags_deinit(&diags);
    return result;
}

static const struct pql_mapping_conf *preset(const char *name)
{
    const struct pql_mapping_conf *conf = pql_mapping_preset(pql_slice_of(name));
    assert_non_null(conf);
    return conf;
}

static void assert_text(struct pql_slice text, const char *expected)
{
    if (!pql_slice_is(text, expected)) fail_msg("'%.*s', expected '%s'", PQL_SLICE_ARG(text), expected);
}

static void assert_event(enum pql_event_kind kind, const char *name, const char *account, const char *user,
                         const char *id, int64_t time_ms)
{
    assert_int_equal(event.kind, kind);
    assert_text(event.name, name);
    assert_text(event.account, account);
    assert_text(event.user, user);
    assert_text(event.id, id);
    assert_true(event.time_ms == time_ms);
}

static void canonical_track(void **state)
{
    (void)state;
    assert_int_equal(apply(preset("canonical"),
                           "{\"type\":\"track\",\"message_id\":\"m1\",\"event\":\"login\",\"user_id\":\"2\","
                           "\"account_id\":\"1\","
                           "\"occurred_at\":1384487104000,\"amount\":7.5,\"properties\":{\"plan\":\"free\","
                           "\"device\":{\"os\":\"linux\"},\"at\":\"2014-04-22\"}}",
                           &no_message),
                     0);
    assert_event(PQL_EVENT_TRACK, "login", "1", "2", "m1", INT64_C(1384487104000));
    assert_int_equal(event.input, 2);
    assert_int_equal(event.partition, 3);
    assert_int_equal(event.offset, 4);
    assert_text(event.properties[0].text, "free");
    assert_true(event.properties[1].number == 7500000);
    assert_text(event.properties[2].text, "linux");
    assert_text(event.properties[3].text, "2014-04-22");
    assert_null(event.user_attributes);
    assert_null(event.account_attributes);
}

static void canonical_identify_and_group(void **state)
{
    (void)state;
    assert_int_equal(apply(preset("canonical"),
                           "{\"type\":\"identify\",\"event_id\":\"e\",\"message_id\":\"m\",\"event\":\"not a "
                           "name\",\"user_id\":12,"
                           "\"account_id\":99999999999999999999,\"occurred_at\":-1,\"traits\":{\"role\":"
                           "\"admin\",\"size\":3}}",
                           &no_message),
                     0);
    assert_event(PQL_EVENT_IDENTIFY, "", "99999999999999999999", "12", "e", -1);
    assert_text(event.user_attributes[0].text, "admin");
    assert_null(event.properties);
    assert_int_equal(
        apply(preset("canonical"),
              "{\"type\":\"group\",\"message_id\":\"m\",\"user_id\":null,\"account_id\":\"A\","
              "\"occurred_at\":\"2024-10-16T00:00:00Z\",\"traits\":{\"role\":\"admin\",\"size\":3}}",
              &no_message),
        0);
    assert_event(PQL_EVENT_GROUP, "", "A", "", "m", INT64_C(1729036800000));
    assert_true(event.account_attributes[0].number == 3000000);
    assert_int_equal(event.account_attributes[1].kind, PQL_NULL);
    assert_null(event.user_attributes);
}

static void accounts_fall_back_to_header_and_key(void **state)
{
    (void)state;
    const struct pql_header headers[] = {{TEXT("account"), TEXT("old")},
                                         {TEXT("account"), TEXT("from header")}};
    struct pql_message message = {
        .key = TEXT("from key"), .has_key = true, .headers = headers, .headers_count = 2};
    const char *json =
        "{\"event\":\"e\",\"account_id\":\"\",\"context\":{\"group_id\":null},\"occurred_at\":1}";
    assert_int_equal(apply(preset("canonical"), json, &message), 0);
    assert_event(PQL_EVENT_TRACK, "e", "from header", "", "", 1);
    message.headers_count = 0;
    assert_int_equal(apply(preset("canonical"), json, &message), 0);
    assert_text(event.account, "from key");
    assert_int_equal(apply(preset("canonical"),
                           "{\"event\":\"e\",\"context\":{\"group_id\":\"g\"},\"occurred_at\":1}", &message),
                     0);
    assert_text(event.account, "g");
}

static void segment_events(void **state)
{
    (void)state;
    assert_int_equal(apply(preset("segment"),
                           "{\"type\":\"track\",\"messageId\":\"m\",\"event\":\"Invite "
                           "Sent\",\"anonymousId\":\"anon\",\"userId\":null,"
                           "\"context\":{\"groupId\":\"g1\"},\"timestamp\":\"2014-04-22T05:53:30.000+02:00\","
                           "\"properties\":{\"plan\":null,\"amount\":\"12\"}}",
                           &no_message),
                     0);
    assert_event(PQL_EVENT_TRACK, "Invite Sent", "g1", "anon", "m", INT64_C(1398138810000));
    assert_int_equal(event.properties[0].kind, PQL_NULL);
    assert_text(event.properties[1].text, "12");
    assert_int_equal(apply(preset("segment"),
                           "{\"type\":\"page\",\"userId\":\"u\",\"groupId\":\"g\",\"timestamp\":\"2014-04-"
                           "22\",\"name\":\"Pricing\"}",
                           &no_message),
                     0);
    assert_event(PQL_EVENT_TRACK, "page_viewed", "g", "u", "", INT64_C(1398124800000));
    assert_int_equal(apply(preset("segment"),
                           "{\"type\":\"screen\",\"groupId\":\"g\",\"timestamp\":\"2014-04-22\"}",
                           &no_message),
                     0);
    assert_text(event.name, "screen_viewed");
}

static void a_clock_needs_only_a_time(void **state)
{
    (void)state;
    assert_int_equal(apply(preset("canonical"), "{\"type\":\"clock\",\"occurred_at\":5}", &no_message), 0);
    assert_event(PQL_EVENT_CLOCK, "", "", "", "", 5);
}

static void what_lacks_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        enum pql_reject reason;
    } cases[] = {
        {"{}", PQL_REJECT_NO_EVENT},
        {"[]", PQL_REJECT_NO_EVENT},
        {"{\"event\":\"\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_REJECT_NO_EVENT},
        {"{\"event\":{},\"account_id\":\"a\",\"occurred_at\":1}", PQL_REJECT_NO_EVENT},
        {"{\"event\":\"e\",\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"event\":\"e\",\"account_id\":null,\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"event\":\"e\",\"account_id\":true,\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"event\":\"e\",\"account_id\":1e40,\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"group\",\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"identify\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_REJECT_NO_USER},
        {"{\"event\":\"e\",\"account_id\":\"a\"}", PQL_REJECT_BAD_TIME},
        {"{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":true}", PQL_REJECT_BAD_TIME},
        {"{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":\"yesterday\"}", PQL_REJECT_BAD_TIME},
        {"{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":253402300800000}", PQL_REJECT_BAD_TIME},
        {"{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":-1e30}", PQL_REJECT_BAD_TIME},
        {"{\"type\":\"clock\"}", PQL_REJECT_BAD_TIME},
        {"{\"type\":\"delete\"}", PQL_REJECT_BAD_KIND},
        {"{\"type\":\"\"}", PQL_REJECT_BAD_KIND},
        {"{\"type\":true}", PQL_REJECT_BAD_KIND},
        {"{\"type\":\"outcome\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_REJECT_NO_EVENT},
        {"{\"type\":\"outcome\",\"event\":\"won\",\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"leave_group\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_REJECT_NO_USER},
        {"{\"type\":\"leave_group\",\"user_id\":\"u\",\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"forget\",\"user_id\":\"u\",\"occurred_at\":1}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"alias\",\"user_id\":\"u\",\"previous_id\":\"p\"}", PQL_REJECT_NO_ACCOUNT},
        {"{\"type\":\"alias\",\"account_id\":\"a\",\"previous_id\":\"p\"}", PQL_REJECT_NO_USER},
        {"{\"type\":\"alias\",\"account_id\":\"a\",\"user_id\":\"u\"}", PQL_REJECT_NO_USER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        if (apply(preset("canonical"), cases[i].json, &no_message) != -1)
            fail_msg("%s is accepted", cases[i].json);
        assert_int_equal(err.cls, PQL_ERR_RECORD);
        assert_string_equal(err.reason, pql_rejects[cases[i].reason].word);
        assert_true(event.time_ms == 42);
    }
}

/* From a topic of the CRM, where every record is an outcome, whatever its fields are called. */
static void outcomes_of_a_crm(void **state)
{
    (void)state;
    static const struct pql_kind_alias kinds[] = {{TEXT("*"), PQL_EVENT_OUTCOME, TEXT("")}};
    static const struct pql_rename renames[] = {{TEXT("Closed Won"), TEXT("closed_won")}};
    struct pql_mapping_conf conf = *preset("flat");
    static const struct pql_source stage = {.text = TEXT("stage")}, contact = {.text = TEXT("contact")},
                                   amount = {.text = TEXT("deal.amount")};
    conf.kind = conf.event = (struct pql_path_list){&stage, 1};
    conf.user = (struct pql_path_list){&contact, 1};
    conf.value = (struct pql_path_list){&amount, 1};
    conf.kinds = kinds;
    conf.kinds_count = 1;
    conf.renames = renames;
    conf.renames_count = 1;
    assert_int_equal(apply(&conf,
                           "{\"stage\":\"Closed Won\",\"account_id\":\"1\",\"contact\":\"ann\","
                           "\"deal\":{\"amount\":1200.5},\"occurred_at\":\"2026-03-01T09:00:00Z\"}",
                           &no_message),
                     0);
    assert_int_equal(event.kind, PQL_EVENT_OUTCOME);
    assert_text(event.name, "closed_won");
    assert_text(event.user, "ann");
    assert_int_equal(event.value.kind, PQL_NUMBER);
    assert_true(event.value.number == 1200500000);
    assert_int_equal(
        apply(&conf, "{\"stage\":\"Lost\",\"account_id\":\"1\",\"occurred_at\":\"2026-03-01T09:00:00Z\"}",
              &no_message),
        0);
    assert_text(event.name, "Lost");
    assert_text(event.user, "");
    assert_int_equal(event.value.kind, PQL_NULL);
}

static void a_users_event_may_be_of_all_accounts(void **state)
{
    (void)state;
    struct pql_message message = no_message;
    message.has_user_events = true;
    assert_int_equal(
        apply(preset("canonical"), "{\"type\":\"identify\",\"user_id\":\"u\",\"occurred_at\":5}", &message),
        0);
    assert_event(PQL_EVENT_IDENTIFY, "", "", "u", "", 5);
    assert_int_equal(
        apply(preset("canonical"), "{\"event\":\"x\",\"user_id\":\"u\",\"occurred_at\":5}", &message), -1);
    assert_string_equal(err.reason, "no_account");
    assert_int_equal(apply(preset("canonical"), "{\"type\":\"identify\",\"occurred_at\":5}", &message), -1);
    assert_string_equal(err.reason, "no_account");
}

static void times_in_every_form(void **state)
{
    (void)state;
    static const struct {
        enum pql_time_unit unit;
        const char *time;
        int64_t ms;
    } cases[] = {
        {PQL_UNIT_MS, "1384487104000", INT64_C(1384487104000)},
        {PQL_UNIT_MS, "1.9", 1},
        {PQL_UNIT_MS, "-1.1", -2},
        {PQL_UNIT_MS, "\"1384487104000\"", INT64_C(1384487104000)},
        {PQL_UNIT_MS, "\"2013-11-15T03:45:04Z\"", INT64_C(1384487104000)},
        {PQL_UNIT_S, "1384487104", INT64_C(1384487104000)},
        {PQL_UNIT_S, "1384487104.0129", INT64_C(1384487104012)},
        {PQL_UNIT_S, "-0.0001", -1},
        {PQL_UNIT_US, "1384487104000999", INT64_C(1384487104000)},
        {PQL_UNIT_US, "-1", -1},
        {PQL_UNIT_US, "\"2013-11-15\"", INT64_C(1384473600000)},
    };
    char json[200];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct pql_mapping_conf conf = *preset("canonical");
        conf.time_unit = cases[i].unit;
        snprintf(json, sizeof json, "{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":%s}",
                 cases[i].time);
        assert_int_equal(apply(&conf, json, &no_message), 0);
        if (event.time_ms != cases[i].ms) fail_msg("%s: %lld", cases[i].time, (long long)event.time_ms);
    }
}

static void the_brokers_time_where_there_is_no_other(void **state)
{
    (void)state;
    struct pql_mapping_conf conf = *preset("canonical");
    struct pql_message message = {.timestamp_ms = 77};
    conf.time_from_broker = true;
    assert_int_equal(apply(&conf, "{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":5}", &message), 0);
    assert_true(event.time_ms == 5);
    assert_int_equal(apply(&conf, "{\"event\":\"e\",\"account_id\":\"a\"}", &message), 0);
    assert_true(event.time_ms == 77);
    conf.time = (struct pql_path_list){NULL, 0};
    assert_int_equal(apply(&conf, "{\"event\":\"e\",\"account_id\":\"a\"}", &message), 0);
    assert_true(event.time_ms == 77);
    assert_int_equal(apply(&conf, "{\"event\":\"e\",\"account_id\":\"a\"}", &no_message), -1);
    assert_string_equal(err.reason, "bad_time");
}

static void kinds_and_names_are_translated(void **state)
{
    (void)state;
    static const struct pql_kind_alias kinds[] = {{TEXT("$identify"), PQL_EVENT_IDENTIFY, TEXT("")},
                                                  {TEXT("sign_up"), PQL_EVENT_TRACK, TEXT("Signed Up")},
                                                  {TEXT("7"), PQL_EVENT_CLOCK, TEXT("")},
                                                  {TEXT("group"), PQL_EVENT_TRACK, TEXT("")}};
    static const struct pql_rename renames[] = {{TEXT("Project Created"), TEXT("project_created")},
                                                {TEXT("Signed Up"), TEXT("signed_up")}};
    struct pql_mapping_conf conf = *preset("canonical");
    conf.kinds = kinds, conf.kinds_count = 4;
    conf.renames = renames, conf.renames_count = 2;
    static const struct {
        const char *json;
        enum pql_event_kind kind;
        const char *name;
    } cases[] = {
        {"{\"event\":\"Project Created\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_EVENT_TRACK,
         "project_created"},
        {"{\"event\":\"other\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_EVENT_TRACK, "other"},
        {"{\"type\":\"sign_up\",\"event\":\"x\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_EVENT_TRACK,
         "signed_up"},
        {"{\"type\":\"group\",\"event\":\"x\",\"account_id\":\"a\",\"occurred_at\":1}", PQL_EVENT_TRACK, "x"},
        {"{\"type\":\"$identify\",\"user_id\":1,\"account_id\":\"a\",\"occurred_at\":1}", PQL_EVENT_IDENTIFY,
         ""},
        {"{\"type\":7,\"occurred_at\":1}", PQL_EVENT_CLOCK, ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(apply(&conf, cases[i].json, &no_message), 0);
        assert_int_equal(event.kind, cases[i].kind);
        assert_text(event.name, cases[i].name);
    }
}

#define PATH(text)                                                                                           \
    {                                                                                                        \
        {(text), sizeof(text) - 1}, NULL, NULL, 0                                                            \
    }

static void properties_by_name_prefix_and_header(void **state)
{
    (void)state;
    static const struct pql_source paths[] = {PATH("context.device"), PATH("*"), PATH("order.amount"),
                                              PATH("header:plan")};
    static const struct pql_header headers[] = {{TEXT("plan"), TEXT("pro")}};
    const struct pql_message message = {.headers = headers, .headers_count = 1};
    struct pql_mapping_conf conf = *preset("canonical");
    conf.properties = (struct pql_path_list){paths, 4};
    const char *json =
        "{\"event\":\"e\",\"account_id\":\"a\",\"occurred_at\":1,\"at\":9,\"order\":{\"amount\":3},"
        "\"device\":{\"os\":\"second\"},\"context\":{\"device\":{\"os\":\"first\"}}}";
    assert_int_equal(apply(&conf, json, &message), 0);
    assert_text(event.properties[0].text, "pro");
    assert_true(event.properties[1].number == 3000000);
    assert_text(event.properties[2].text, "first");
    assert_true(event.properties[3].number == 9000000);
}

static void faults_of_a_mapping_are_said_at_once(void **state)
{
    (void)state;
    static const struct pql_source bad[] = {PATH("a..b")}, good[] = {PATH("a")};
    static const struct pql_source star[] = {PATH("a*"), PATH("*"), PATH("a.*"), PATH(".*"), PATH("header:")};
    const struct pql_mapping_conf conf = {
        .name = TEXT("m"), .event = {bad, 1}, .user = {good, 1}, .properties = {star, 5}};
    struct pql_diags diags;
    pql_diags_init(&diags);
    assert_null(pql_mapping_new(&conf, &names, &diags));
    static const char *const messages[] = {
        "'a..b' is no path: names joined by dots, at most 32",
        "mapping 'm' says no path for 'account'",
        "mapping 'm' says no path for 'time'",
        "'a*' is no path: names joined by dots, at most 32",
        "'.*' is no path: names joined by dots, at most 32",
        "'header:' is no path: names joined by dots, at most 32",
    };
    assert_int_equal(diags.errors_count, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(diags.items[i].message, messages[i]);
    pql_diags_deinit(&diags);
}

static void every_preset_is_whole(void **state)
{
    (void)state;
    for (const char *const *name = pql_mapping_preset_names; *name; name++) {
        struct pql_diags diags;
        pql_diags_init(&diags);
        struct pql_mapping *mapping = pql_mapping_new(preset(*name), &names, &diags);
        assert_non_null(mapping);
        pql_mapping_free(mapping);
        pql_diags_deinit(&diags);
    }
    assert_null(pql_mapping_preset(pql_slice_of("other")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(canonical_track),
        cmocka_unit_test(canonical_identify_and_group),
        cmocka_unit_test(accounts_fall_back_to_header_and_key),
        cmocka_unit_test(segment_events),
        cmocka_unit_test(outcomes_of_a_crm),
        cmocka_unit_test(a_clock_needs_only_a_time),
        cmocka_unit_test(what_lacks_is_named),
        cmocka_unit_test(a_users_event_may_be_of_all_accounts),
        cmocka_unit_test(times_in_every_form),
        cmocka_unit_test(the_brokers_time_where_there_is_no_other),
        cmocka_unit_test(kinds_and_names_are_translated),
        cmocka_unit_test(properties_by_name_prefix_and_header),
        cmocka_unit_test(faults_of_a_mapping_are_said_at_once),
        cmocka_unit_test(every_preset_is_whole),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
