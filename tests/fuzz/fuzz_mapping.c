/* Paths of a mapping (one a line: account, user, time, properties, attributes) NUL a JSON value */
#include "base/diag.h"
#include "core/wire/decoder.h"
#include "fuzz/fuzz.h"

#define TEXT(text)                                                                                           \
    {                                                                                                        \
        (text), sizeof(text) - 1                                                                             \
    }
static const struct pql_slice wanted[] = {TEXT("plan"), TEXT("order.amount")};
static const struct pql_names names = {wanted, 2, wanted, 1, wanted, 1};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pql_slice rest = {(const char *)bytes, len}, lines = fuzz_take(&rest, 0);
    struct pql_source paths[6] = {{.text = TEXT("event")}};
    for (int i = 1; i < 6; i++) paths[i].text = fuzz_take(&lines, '\n');
    struct pql_mapping_conf conf = {.name = TEXT("own"),
                                    .event = {&paths[0], 1},
                                    .account = {&paths[1], 1},
                                    .user = {&paths[2], 1},
                                    .time = {&paths[3], 1},
                                    .properties = {&paths[4], 1},
                                    .attributes = {&paths[5], 1}};
    struct pql_diags diags;
    struct pql_arena scratch;
    struct pql_event event;
    struct pql_err err = {0};
    struct pql_message message = {.timestamp_ms = INT64_MIN};
    pql_diags_init(&diags);
    pql_arena_init(&scratch);
    struct pql_mapping *mapping = pql_mapping_new(&conf, &names, &diags);
    FUZZ_CHECK(mapping || diags.errors_count);
    struct pql_decoder *decoder =
        mapping
            ? pql_decoder_new(&(struct pql_decoder_conf){.format = PQL_FORMAT_JSON, .mapping = mapping}, &err)
            : NULL;
    if (decoder) (void)!pql_decoder_apply(decoder, rest, &message, &scratch, &event, &err);
    pql_decoder_free(decoder);
    pql_mapping_free(mapping);
    pql_arena_deinit(&scratch);
    pql_diags_deinit(&diags);
    return 0;
}
