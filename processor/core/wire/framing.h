/* framing.h - which schema wrote these bytes, and where its Avro begins.
 *
 *   prefix         00, id (4 bytes big endian), Avro          the registry's wire format
 *   header         header __value_schema_id = 00, id (4 bytes) or 01, GUID (16 bytes); the value is Avro
 * alone single object  C3 01, fingerprint (8 bytes little endian, CRC-64-AVRO), Avro      Avro 1.11,
 * "Single-object encoding" bare           Avro alone; the schema is known beforehand
 *
 * Pure. Thread: any. Heap: none. */
#ifndef PQL_CORE_WIRE_FRAMING_H
#define PQL_CORE_WIRE_FRAMING_H

#include "base/err.h"
#include "core/wire/mapping.h"
#include <stdint.h>

enum pql_framing {
    PQL_FRAMING_AUTO,   /* single object, else prefix where there is a registry, else bare */
    PQL_FRAMING_PREFIX, /* nothing else is accepted; the same for the next ones */
    PQL_FRAMING_SINGLE_OBJECT,
    PQL_FRAMING_BARE,
    PQL_FRAMING_HEADER, /* the header where the message has it, else as AUTO */
    PQL_FRAMING_COUNT,
};
/* The words of the configuration. */
extern const char *const pql_framing_names[PQL_FRAMING_COUNT];

enum pql_schema_key_kind {
    PQL_SCHEMA_BARE, /* no key in the message: the first schema file */
    PQL_SCHEMA_ID,
    PQL_SCHEMA_GUID,
    PQL_SCHEMA_FINGERPRINT,
};

/* Names a writer schema. id and fingerprint: in low. GUID: its bytes, big endian, in high and low. */
struct pql_schema_key {
    enum pql_schema_key_kind kind;
    uint64_t high, low;
};

static inline bool pql_schema_key_eq(const struct pql_schema_key *a, const struct pql_schema_key *b)
{
    return a->low == b->low && a->high == b->high && a->kind == b->kind;
}

/* For people: "id 17", "guid 0f8c…", "fingerprint 7275d51a3f395c8f", "bare". */
enum { PQL_SCHEMA_KEY_TEXT_MAX = 64 };
const char *pql_schema_key_text(const struct pql_schema_key *key, char out[PQL_SCHEMA_KEY_TEXT_MAX]);

/* Reads the framing of a value: which schema, and the Avro bytes behind it as a view. has_registry decides
 * AUTO where the bytes alone cannot: bare Avro may begin with 00 too. message is read for HEADER only and may
 * else be NULL. Class PQL_ERR_RECORD, reason bad_framing. */
int pql_framing_read(enum pql_framing framing, bool has_registry, struct pql_slice value,
                     const struct pql_message *message, struct pql_schema_key *key, struct pql_slice *payload,
                     struct pql_err *err) PQL_CHECKED;

#endif
