#include "core/wire/framing.h"

#include "core/reasons.h"
#include <inttypes.h>
#include <stdio.h>

const char *const pql_framing_names[PQL_FRAMING_COUNT] = {
    [PQL_FRAMING_AUTO] = "auto",
    [PQL_FRAMING_PREFIX] = "prefix",
    [PQL_FRAMING_SINGLE_OBJECT] = "single_object",
    [PQL_FRAMING_BARE] = "bare",
    [PQL_FRAMING_HEADER] = "header",
};

static const struct pql_slice header_name = {"__value_schema_id", 17};

enum { PREFIX_SIZE = 5, GUID_HEADER_SIZE = 17, SINGLE_OBJECT_SIZE = 10 };

/* Shows the first byte alone: what follows may be user data. */
static int bad_framing(struct pql_err *err, const char *what, struct pql_slice bytes)
{
    char first[3] = "";
    if (bytes.len) snprintf(first, sizeof first, "%02x", (unsigned char)bytes.ptr[0]);
    PQL_FAIL(err, PQL_ERR_RECORD, "%s (%zu bytes, the first is %s)", what, bytes.len,
             *first ? first : "none");
    if (err) err->reason = pql_rejects[PQL_REJECT_BAD_FRAMING].word;
    return -1;
}

static uint8_t byte_at(struct pql_slice bytes, size_t i)
{
    return (uint8_t)bytes.ptr[i];
}

static uint64_t big_endian(struct pql_slice bytes, size_t from, size_t count)
{
    uint64_t value = 0;
    for (size_t i = 0; i < count; i++) value = value << 8 | byte_at(bytes, from + i);
    return value;
}

static uint64_t little_endian_8(struct pql_slice bytes, size_t from)
{
    uint64_t value = 0;
    for (size_t i = 8; i > 0; i--) value = value << 8 | byte_at(bytes, from + i - 1);
    return value;
}

static struct pql_slice behind(struct pql_slice bytes, size_t skip)
{
    return (struct pql_slice){bytes.ptr + skip, bytes.len - skip};
}

static bool is_prefixed(struct pql_slice value)
{
    return value.len >= PREFIX_SIZE && byte_at(value, 0) == 0;
}

static bool is_single_object(struct pql_slice value)
{
    return value.len >= SINGLE_OBJECT_SIZE && byte_at(value, 0) == 0xC3 && byte_at(value, 1) == 0x01;
}

static int read_prefix(struct pql_slice value, struct pql_schema_key *key, struct pql_slice *payload,
                       struct pql_err *err)
{
    if (!is_prefixed(value)) return bad_framing(err, "no magic byte 00 with a 4-byte schema id", value);
    *key = (struct pql_schema_key){.kind = PQL_SCHEMA_ID, .low = big_endian(value, 1, 4)};
    *payload = behind(value, PREFIX_SIZE);
    return 0;
}

static int read_single_object(struct pql_slice value, struct pql_schema_key *key, struct pql_slice *payload,
                              struct pql_err *err)
{
    if (!is_single_object(value))
        return bad_framing(err, "no marker C3 01 with an 8-byte fingerprint", value);
    *key = (struct pql_schema_key){.kind = PQL_SCHEMA_FINGERPRINT, .low = little_endian_8(value, 2)};
    *payload = behind(value, SINGLE_OBJECT_SIZE);
    return 0;
}

static int read_bare(struct pql_slice value, struct pql_schema_key *key, struct pql_slice *payload)
{
    *key = (struct pql_schema_key){.kind = PQL_SCHEMA_BARE};
    *payload = value;
    return 0;
}

static int read_auto(bool has_registry, struct pql_slice value, struct pql_schema_key *key,
                     struct pql_slice *payload, struct pql_err *err)
{
    if (is_single_object(value)) return read_single_object(value, key, payload, err);
    return has_registry ? read_prefix(value, key, payload, err) : read_bare(value, key, payload);
}

static int read_header(struct pql_slice header, struct pql_slice value, struct pql_schema_key *key,
                       struct pql_slice *payload, struct pql_err *err)
{
    if (header.len == PREFIX_SIZE && byte_at(header, 0) == 0)
        *key = (struct pql_schema_key){.kind = PQL_SCHEMA_ID, .low = big_endian(header, 1, 4)};
    else if (header.len == GUID_HEADER_SIZE && byte_at(header, 0) == 1)
        *key = (struct pql_schema_key){
            .kind = PQL_SCHEMA_GUID, .high = big_endian(header, 1, 8), .low = big_endian(header, 9, 8)};
    else
        return bad_framing(err, "header __value_schema_id is neither 00 with an id nor 01 with a GUID",
                           header);
    *payload = value;
    return 0;
}

int pql_framing_read(enum pql_framing framing, bool has_registry, struct pql_slice value,
                     const struct pql_message *message, struct pql_schema_key *key, struct pql_slice *payload,
                     struct pql_err *err)
{
    if (!value.ptr) value = (struct pql_slice){"", 0};
    switch (framing) {
    case PQL_FRAMING_PREFIX: return read_prefix(value, key, payload, err);
    case PQL_FRAMING_SINGLE_OBJECT: return read_single_object(value, key, payload, err);
    case PQL_FRAMING_BARE: return read_bare(value, key, payload);
    case PQL_FRAMING_HEADER:
        for (size_t i = 0; message && i < message->headers_count; i++)
            if (pql_slice_eq(message->headers[i].name, header_name))
                return read_header(message->headers[i].value, value, key, payload, err);
        break;
    case PQL_FRAMING_AUTO:
    case PQL_FRAMING_COUNT: break;
    }
    return read_auto(has_registry, value, key, payload, err);
}

const char *pql_schema_key_text(const struct pql_schema_key *key, char out[PQL_SCHEMA_KEY_TEXT_MAX])
{
    switch (key->kind) {
    case PQL_SCHEMA_BARE: snprintf(out, PQL_SCHEMA_KEY_TEXT_MAX, "bare"); break;
    case PQL_SCHEMA_ID: snprintf(out, PQL_SCHEMA_KEY_TEXT_MAX, "id %" PRIu64, key->low); break;
    case PQL_SCHEMA_GUID:
        snprintf(out, PQL_SCHEMA_KEY_TEXT_MAX,
                 "guid %08" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%04" PRIx64 "-%012" PRIx64, key->high >> 32,
                 key->high >> 16 & 0xffff, key->high & 0xffff, key->low >> 48,
                 key->low & UINT64_C(0xffffffffffff));
        break;
    case PQL_SCHEMA_FINGERPRINT:
        snprintf(out, PQL_SCHEMA_KEY_TEXT_MAX, "fingerprint %016" PRIx64, key->low);
        break;
    }
    return out;
}
