#include "core/reasons.h"
#include "core/wire/decoder.h"
#include "core/wire/schema.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* Two versions of one record: the second has the account first and no plan. */
#define VERSION_1                                                                                            \
    "{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"event\",\"type\":\"string\"},"              \
    "{\"name\":\"account_id\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"},"            \
    "{\"name\":\"properties\",\"type\":{\"type\":\"map\",\"values\":\"string\"}}]}"
#define VERSION_2                                                                                            \
    "{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"account_id\",\"type\":\"string\"},"         \
    "{\"name\":\"event\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"long\"}]}"
#define BODY_1                                                                                               \
    "\x0alogin\x08"                                                                                          \
    "acme\xd0\x0f\x02\x08plan\x08team\x00" /* 1000 ms, plan = team */
#define BODY_2                                                                                               \
    "\x08"                                                                                                   \
    "acme\x0alogin\xd0\x0f"

static const struct pql_slice property_names[] = {{"plan", 4}};
static const struct pql_names names = {.properties = property_names, .properties_count = 1};
static struct pql_mapping *mapping;
static struct pql_arena scratch;
static struct pql_event event;
static struct pql_err err;
static const struct pql_message no_message;
static char *keep; /* the last message */

static int setup(void **state)
{
    (void)state;
    struct pql_diags diags;
    pql_diags_init(&diags);
    mapping = pql_mapping_new(pql_mapping_preset(PQL_SLICE_LITERAL("canonical")), &names, &diags);
    pql_diags_deinit(&diags);
    pql_arena_init(&scratch);
    return mapping ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    pql_mapping_free(mapping);
    pql_arena_deinit(&scratch);
    free(keep);
    return 0;
}

/* --- a registry in a table --- */

static struct {
    int questions;
    bool is_away; /* nothing is known of anything */
} registry;

static int find_schema(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                       struct pql_err *error)
{
    (void)ctx;
    registry.questions++;
    if (registry.is_away) return PQL_FAIL(error, PQL_ERR_RETRY, "being fetched");
    const char *texts[] = {NULL, VERSION_1, VERSION_2, "{\"type\":\"nonsense\"}"};
    if (key->low >= sizeof texts / sizeof *texts || !texts[key->low])
        return PQL_FAIL(error, PQL_ERR_RECORD, "no such schema");
    *text = pql_slice_of(texts[key->low]);
    return 0;
}

static struct pql_decoder *decoder_with(struct pql_decoder_conf conf)
{
    conf.mapping = mapping;
    registry.questions = 0;
    registry.is_away = false;
    struct pql_decoder *decoder = pql_decoder_new(&conf, &err);
    if (!decoder) fail_msg("%s", err.msg);
    return decoder;
}

static struct pql_decoder *registry_decoder(void)
{
    return decoder_with((struct pql_decoder_conf){.find_schema = find_schema});
}

static int apply(struct pql_decoder *decoder, const char *value, size_t len)
{
    pql_arena_reset(&scratch);
    /* A copy of its own, so that one byte too far is found. */
    char *copy = malloc(len ? len : 1);
    if (len) memcpy(copy, value, len);
    int result =
        pql_decoder_apply(decoder, (struct pql_slice){copy, len}, &no_message, &scratch, &event, &err);
    free(keep);
    keep = copy; /* the event's views live in it */
    return result;
}
#define APPLY(decoder, literal) apply(decoder, literal, sizeof(literal) - 1)

static void assert_login(bool has_plan)
{
    assert_int_equal(event.kind, PQL_EVENT_TRACK);
    assert_true(pql_slice_is(event.name, "login"));
    assert_true(pql_slice_is(event.account, "acme"));
    assert_int_equal(event.time_ms, 1000);
    assert_int_equal(event.properties[0].kind, has_plan ? PQL_TEXT : PQL_NULL);
    if (has_plan) assert_true(pql_slice_is(event.properties[0].text, "team"));
}

static void assert_refused(int result, enum pql_reject reason, const char *message)
{
    assert_int_equal(result, -1);
    assert_int_equal(err.cls, PQL_ERR_RECORD);
    assert_string_equal(err.reason, pql_rejects[reason].word);
    assert_string_equal(err.msg, message);
}

/* --- tests --- */

static void messages_of_two_schemas_are_read_with_one_question_each(void **state)
{
    (void)state;
    struct pql_decoder *decoder = registry_decoder();
    for (int i = 0; i < 10; i++) {
        assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0);
        assert_login(true);
        assert_int_equal(APPLY(decoder, "\0\0\0\0\2" BODY_2), 0);
        assert_login(false);
    }
    assert_int_equal(registry.questions, 2);
    assert_int_equal(pql_decoder_schemas_count(decoder), 2);
    assert_int_equal(pql_decoder_last_key(decoder)->low, 2);
    pql_decoder_free(decoder);
}

static void a_schema_being_fetched_makes_the_message_wait(void **state)
{
    (void)state;
    struct pql_decoder *decoder = registry_decoder();
    registry.is_away = true;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), -1);
        assert_int_equal(err.cls, PQL_ERR_RETRY);
        assert_null(err.reason);
    }
    registry.is_away = false;
    assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0);
    registry.is_away = true;
    assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0); /* what is known needs nobody */
    pql_decoder_free(decoder);
}

static void bad_messages_have_reasons_and_leave_the_next_one_alone(void **state)
{
    (void)state;
    struct pql_decoder *decoder = registry_decoder();
    assert_refused(APPLY(decoder, "{\"event\":1}"), PQL_REJECT_BAD_FRAMING,
                   "no magic byte 00 with a 4-byte schema id (11 bytes, the first is 7b)");
    assert_null(pql_decoder_last_key(decoder));
    assert_refused(APPLY(decoder, ""), PQL_REJECT_BAD_FRAMING,
                   "no magic byte 00 with a 4-byte schema id (0 bytes, the first is none)");
    assert_refused(APPLY(decoder, "\0\0\0\0\x63" BODY_1), PQL_REJECT_UNKNOWN_SCHEMA, "no such schema");
    assert_int_equal(pql_decoder_last_key(decoder)->low, 99);
    assert_refused(APPLY(decoder, "\0\0\0\0\1\x0alogi"), PQL_REJECT_BAD_AVRO,
                   "schema id 1: byte 1: a length beyond the end of the message");
    assert_refused(APPLY(decoder, "\0\0\0\0\1" BODY_1 "x"), PQL_REJECT_BAD_AVRO,
                   "schema id 1: byte 25: something follows the value");
    assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0);
    assert_login(true);
    pql_decoder_free(decoder);
}

static void a_schema_that_cannot_be_used_is_parsed_once(void **state)
{
    (void)state;
    struct pql_decoder *decoder = registry_decoder();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(APPLY(decoder, "\0\0\0\0\3x"), -1);
        assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_AVRO].word);
        assert_memory_equal(err.msg, "schema id 3 cannot be used: ", 28);
    }
    assert_int_equal(registry.questions, 1);
    pql_decoder_free(decoder);
}

static void schema_files_serve_bare_and_single_object_messages(void **state)
{
    (void)state;
    struct pql_slice files[] = {PQL_SLICE_LITERAL(VERSION_1), PQL_SLICE_LITERAL(VERSION_2)};
    struct pql_decoder *decoder =
        decoder_with((struct pql_decoder_conf){.schemas = files, .schemas_count = 2});
    assert_int_equal(APPLY(decoder, BODY_1), 0);
    assert_login(true);
    struct pql_schema *schema = pql_schema_parse(files[1], &err);
    uint64_t fingerprint = pql_schema_fingerprint(schema);
    pql_schema_free(schema);
    char framed[64] = "\xc3\1";
    for (int i = 0; i < 8; i++) framed[2 + i] = (char)(unsigned char)(fingerprint >> (8 * i));
    memcpy(framed + 10, BODY_2, sizeof BODY_2 - 1);
    assert_int_equal(apply(decoder, framed, 10 + sizeof BODY_2 - 1), 0);
    assert_login(false);
    framed[9] ^= 1;
    assert_int_equal(apply(decoder, framed, 10 + sizeof BODY_2 - 1), -1);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_UNKNOWN_SCHEMA].word);
    assert_int_equal(pql_decoder_schemas_count(decoder), 0);
    pql_decoder_free(decoder);
}

static void assert_no_decoder(struct pql_decoder_conf conf, const char *message)
{
    conf.mapping = mapping;
    assert_null(pql_decoder_new(&conf, &err));
    assert_int_equal(err.cls, PQL_ERR_CONFIG);
    assert_memory_equal(err.msg, message, strlen(message));
}

static void what_cannot_work_is_said_at_start(void **state)
{
    (void)state;
    struct pql_slice files[] = {PQL_SLICE_LITERAL(VERSION_1), PQL_SLICE_LITERAL("{")};
    assert_no_decoder((struct pql_decoder_conf){.framing = PQL_FRAMING_AUTO},
                      "Avro without a registry needs the writer's schema as a file");
    assert_no_decoder((struct pql_decoder_conf){.framing = PQL_FRAMING_BARE, .find_schema = find_schema},
                      "Avro without a registry needs the writer's schema as a file");
    assert_no_decoder((struct pql_decoder_conf){.schemas = files, .schemas_count = 2}, "schemas[1]: ");
    assert_no_decoder((struct pql_decoder_conf){.schemas = files, .schemas_count = 1, .reader = {"{", 1}},
                      "the reader's schema: ");
}

static void writers_are_resolved_to_the_readers_schema(void **state)
{
    (void)state;
    /* The reader calls the account by a new name and has a default for what version 2 lacks. */
    static const char reader[] =
        "{\"type\":\"record\",\"name\":\"E\",\"fields\":[{\"name\":\"account_id\",\"type\":\"string\"},"
        "{\"name\":\"event\",\"type\":\"string\"},{\"name\":\"occurred_at\",\"type\":\"double\"},"
        "{\"name\":\"properties\",\"type\":{\"type\":\"map\",\"values\":\"string\"},\"default\":{\"plan\":"
        "\"team\"}}]}";
    struct pql_decoder *decoder =
        decoder_with((struct pql_decoder_conf){.find_schema = find_schema, .reader = pql_slice_of(reader)});
    assert_int_equal(APPLY(decoder, "\0\0\0\0\2" BODY_2), 0);
    assert_login(true);
    pql_decoder_free(decoder);
}

static void json_needs_no_schema(void **state)
{
    (void)state;
    struct pql_decoder *decoder = decoder_with((struct pql_decoder_conf){.format = PQL_FORMAT_JSON});
    assert_int_equal(APPLY(decoder, "{\"event\":\"login\",\"account_id\":\"acme\",\"occurred_at\":1000,"
                                    "\"properties\":{\"plan\":\"team\"}}"),
                     0);
    assert_login(true);
    assert_int_equal(APPLY(decoder, "{\"event\":"), -1);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_JSON].word);
    assert_int_equal(APPLY(decoder, "{\"event\":\"login\",\"occurred_at\":1000}"), -1);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_NO_ACCOUNT].word);
    assert_int_equal(
        pql_decoder_apply(decoder, (struct pql_slice){NULL, 0}, &no_message, &scratch, &event, &err), -1);
    assert_string_equal(err.reason, pql_rejects[PQL_REJECT_BAD_JSON].word);
    assert_null(pql_decoder_last_key(decoder));
    pql_decoder_free(decoder);
}

static void headers_are_wanted_when_they_carry_the_schema(void **state)
{
    (void)state;
    struct pql_mapping_conf bare = *pql_mapping_preset(PQL_SLICE_LITERAL("segment"));
    struct pql_diags diags;
    pql_diags_init(&diags);
    struct pql_mapping *segment = pql_mapping_new(&bare, &names, &diags);
    struct pql_decoder_conf conf = {.find_schema = find_schema, .mapping = segment};
    struct pql_decoder *decoder = pql_decoder_new(&conf, &err);
    assert_false(pql_decoder_wants_headers(decoder));
    pql_decoder_free(decoder);
    conf.framing = PQL_FRAMING_HEADER;
    decoder = pql_decoder_new(&conf, &err);
    assert_true(pql_decoder_wants_headers(decoder));
    pql_decoder_free(decoder);
    pql_mapping_free(segment);
    pql_diags_deinit(&diags);
}

static void saved_schemas_need_no_registry(void **state)
{
    (void)state;
    struct pql_buf saved = {0}, again = {0};
    struct pql_decoder *decoder = registry_decoder();
    assert_int_equal(APPLY(decoder, "\0\0\0\0\2" BODY_2), 0);
    assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0);
    pql_decoder_save(decoder, &saved);
    pql_decoder_free(decoder);

    decoder = registry_decoder();
    registry.is_away = true;
    struct pql_reader in = pql_reader_of(saved.ptr, saved.len);
    assert_int_equal(pql_decoder_load(decoder, &in, &err), 0);
    assert_int_equal(pql_reader_left(&in), 0);
    assert_int_equal(pql_decoder_schemas_count(decoder), 2);
    assert_int_equal(APPLY(decoder, "\0\0\0\0\1" BODY_1), 0);
    assert_login(true);
    assert_int_equal(registry.questions, 0);
    pql_decoder_save(decoder, &again); /* the order of meeting does not show */
    assert_int_equal(again.len, saved.len);
    assert_memory_equal(again.ptr, saved.ptr, saved.len);
    in = pql_reader_of(saved.ptr, saved.len);
    assert_int_equal(pql_decoder_load(decoder, &in, &err), 0);
    assert_int_equal(pql_decoder_schemas_count(decoder), 2);
    pql_decoder_free(decoder);

    for (size_t len = 0; len < saved.len; len++) {
        decoder = registry_decoder();
        in = pql_reader_of(saved.ptr, len);
        assert_int_equal(pql_decoder_load(decoder, &in, &err), -1);
        assert_int_equal(err.cls, PQL_ERR_FATAL);
        pql_decoder_free(decoder);
    }
    pql_buf_deinit(&saved);
    pql_buf_deinit(&again);
}

/* Many ids of one schema: the table grows and loses none. */
static int find_same(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                     struct pql_err *error)
{
    (void)ctx, (void)key, (void)error;
    registry.questions++;
    *text = PQL_SLICE_LITERAL(VERSION_2);
    return 0;
}

static void many_schemas_are_kept(void **state)
{
    (void)state;
    struct pql_decoder *decoder = decoder_with((struct pql_decoder_conf){.find_schema = find_same});
    char message[64] = {0};
    memcpy(message + 5, BODY_2, sizeof BODY_2 - 1);
    for (int round = 0; round < 2; round++)
        for (int id = 0; id < 500; id++) {
            message[2] = (char)(id >> 8);
            message[4] = (char)id;
            assert_int_equal(apply(decoder, message, 5 + sizeof BODY_2 - 1), 0);
        }
    assert_int_equal(registry.questions, 500);
    assert_int_equal(pql_decoder_schemas_count(decoder), 500);
    pql_decoder_free(decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_of_two_schemas_are_read_with_one_question_each),
        cmocka_unit_test(a_schema_being_fetched_makes_the_message_wait),
        cmocka_unit_test(bad_messages_have_reasons_and_leave_the_next_one_alone),
        cmocka_unit_test(a_schema_that_cannot_be_used_is_parsed_once),
        cmocka_unit_test(schema_files_serve_bare_and_single_object_messages),
        cmocka_unit_test(what_cannot_work_is_said_at_start),
        cmocka_unit_test(writers_are_resolved_to_the_readers_schema),
        cmocka_unit_test(json_needs_no_schema),
        cmocka_unit_test(headers_are_wanted_when_they_carry_the_schema),
        cmocka_unit_test(saved_schemas_need_no_registry),
        cmocka_unit_test(many_schemas_are_kept),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
