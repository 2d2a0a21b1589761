/* One message through framing, decoder and mapping: preset (index of the shipped ones), framing, time of the
 * broker, then header ce_type NUL key NUL value. */
#include "base/diag.h"
#include "core/wire/decoder.h"
#include "fuzz/fuzz.h"

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }
static const struct pql_slice properties[] = {TEXT("plan"), TEXT("amount"), TEXT("device.os")};
static const struct pql_slice attributes[] = {TEXT("role")};
static const struct pql_names names = {properties, 3, attributes, 1, attributes, 1};

static const char schema[] =
    "{\"type\":\"record\",\"name\":\"e\",\"fields\":[{\"name\":\"event\",\"type\":\"string\"},"
    "{\"name\":\"account_id\",\"type\":[\"null\",\"string\"]},{\"name\":\"occurred_at\",\"type\":{\"type\":"
    "\"long\","
    "\"logicalType\":\"timestamp-millis\"}},{\"name\":\"properties\",\"type\":{\"type\":\"map\",\"values\":"
    "\"string\"}}]}";

static int find_schema(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                       struct pql_err *err)
{
    (void)ctx;
    if (key->low % 3 == 1) return PQL_FAIL(err, PQL_ERR_RETRY, "not here yet");
    if (key->low % 3 == 2) return PQL_FAIL(err, PQL_ERR_RECORD, "none");
    *text = (struct pql_slice){schema, sizeof schema - 1};
    return 0;
}

static void decode(uint8_t preset, uint8_t framing, struct pql_message *message, struct pql_slice value)
{
    struct pql_diags diags;
    struct pql_arena scratch;
    struct pql_event event;
    struct pql_err err = {0};
    size_t count = 0;
    while (pql_mapping_preset_names[count]) count++;
    pql_diags_init(&diags);
    pql_arena_init(&scratch);
    struct pql_mapping *mapping = pql_mapping_new(
        pql_mapping_preset(pql_slice_of(pql_mapping_preset_names[preset % count])), &names, &diags);
    FUZZ_CHECK(mapping);
    struct pql_decoder *decoder = pql_decoder_new(
        &(struct pql_decoder_conf){.format = framing & 1 ? PQL_FORMAT_AVRO : PQL_FORMAT_JSON,
                                   .framing = (enum pql_framing)((framing >> 1) % PQL_FRAMING_COUNT),
                                   .mapping = mapping,
                                   .find_schema = find_schema},
        &err);
    if (decoder && pql_decoder_apply(decoder, value, message, &scratch, &event, &err) == 0)
        FUZZ_CHECK(event.kind == PQL_EVENT_CLOCK || event.account.len);
    else if (decoder)
        FUZZ_CHECK(err.cls == PQL_ERR_RETRY || (err.cls == PQL_ERR_RECORD && err.reason));
    pql_decoder_free(decoder);
    pql_mapping_free(mapping);
    pql_arena_deinit(&scratch);
    pql_diags_deinit(&diags);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    if (len < 3) return 0;
    struct pql_slice rest = {(const char *)bytes + 3, len - 3};
    struct pql_header headers[] = {{TEXT("ce_type"), fuzz_take(&rest, 0)}};
    struct pql_slice key = fuzz_take(&rest, 0);
    struct pql_message message = {.timestamp_ms = bytes[2] & 1 ? INT64_MIN : INT64_C(1772368200250),
                                  .headers = headers,
                                  .headers_count = headers[0].value.len ? 1 : 0,
                                  .has_key = key.len != 0,
                                  .key = key};
    decode(bytes[0], bytes[1], &message, rest);
    return 0;
}
