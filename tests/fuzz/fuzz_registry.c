/* Answers of a schema registry. */
#include "fuzz/fuzz.h"
#include "io/registry_reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
    struct pql_slice body = {(const char *)bytes, len};
    struct pql_err err = {0};
    struct pql_registry_schema schema;
    uint32_t id;
    bool compatible;
    char words[200];
    if (!pql_registry_parse_schema(body, &schema, &err)) pql_registry_schema_deinit(&schema);
    (void)!pql_registry_parse_id(body, &id, &err);
    (void)!pql_registry_parse_compatible(body, &compatible, words, &err);
    (void)pql_registry_parse_error(body, words);
    return 0;
}
