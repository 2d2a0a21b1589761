/* encode.h - output records as JSON text or as Avro binary of schemas/qualification/v1.avsc.
 *
 *   struct pql_record ─► one walk over its fields, in the order of the schema ─► JSON | Avro | Connect's
 * schema
 *
 * JSON: the fields in the schema's order, null where an optional one is absent, numbers by their decimal
 * digits, times as RFC 3339 text with milliseconds or as a number of epoch milliseconds. Avro: numbers are
 * doubles, times timestamp-millis. Bytes of a text that are not UTF-8 become U+FFFD. Immutable after new;
 * thread: any. */
#ifndef PQL_CORE_WIRE_ENCODE_H
#define PQL_CORE_WIRE_ENCODE_H

#include "base/buf.h"
#include "core/record.h"

enum pql_encode_format { PQL_ENCODE_JSON, PQL_ENCODE_AVRO };

struct pql_encode_conf {
    enum pql_encode_format format;
    bool epoch_ms;       /* JSON: times as numbers */
    bool connect_schema; /* JSON: {"schema":…,"payload":…} as Kafka Connect's JsonConverter reads with
                            schemas.enable; with epoch_ms times are its Timestamp type */
    const struct pql_slice *topics; /* by input index: what `source` names; must outlive the encoder */
    size_t topics_count;
};

struct pql_encoder;
struct pql_encoder *pql_encoder_new(const struct pql_encode_conf *conf);
void pql_encoder_free(struct pql_encoder *encoder);

/* Appends one record, without any framing and without a line end. produced_at_ms: the wall clock, which is
 * the caller's. */
void pql_encode_record(const struct pql_encoder *encoder, const struct pql_record *record,
                       int64_t produced_at_ms, struct pql_buf *out);

/* Appends the key: definition/account for an account's record, definition/account/user for a user's. '/',
 * '%', 0x00-0x1F, 0x7F and bytes that are not UTF-8 are percent-encoded in upper-case hex, so that different
 * ids give different keys. */
void pql_encode_key(const struct pql_record *record, struct pql_buf *out);

/* Appends the schema of the records: Avro (the text to register, schemas/qualification/v1.avsc) and JSON
 * Schema of the JSON form with times as text (schemas/qualification/v1.schema.json). */
void pql_encode_avro_schema(struct pql_buf *out);
void pql_encode_json_schema(struct pql_buf *out);

/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void pql_encode_json_text(struct pql_buf *out, struct pql_slice text);

#endif
