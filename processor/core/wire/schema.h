/* schema.h - the model of an Avro schema (Avro 1.11 specification), with all that a decoder may need: names
 * with namespaces, aliases, defaults, logical types.
 *
 *   text ─► jansson ─► tree of struct pql_avro; a type that is named twice is one node, so recursion is a
 * cycle
 *
 * Checked: names, uniqueness of names, fields, symbols and union branches, sizes, nesting, and the limits
 * below. A logical type that does not fit its type is ignored, as the specification wants. Defaults are kept
 * and checked by who uses them: they mean nothing for the schema of a writer. Immutable after parsing.
 * Thread: any, for reading. */
#ifndef PQL_CORE_WIRE_SCHEMA_H
#define PQL_CORE_WIRE_SCHEMA_H

#include "base/buf.h"
#include "base/err.h"

enum {
    PQL_SCHEMA_TEXT_MAX = 1 << 20,
    PQL_SCHEMA_DEPTH_MAX = 64,
    PQL_SCHEMA_NODES_MAX = 16384,
    PQL_SCHEMA_FIELDS_MAX = 4096, /* of a record; symbols of an enum; branches of a union */
    PQL_SCHEMA_FIXED_MAX = 1 << 20,
};

enum pql_avro_type {
    PQL_AVRO_NULL,
    PQL_AVRO_BOOLEAN,
    PQL_AVRO_INT,
    PQL_AVRO_LONG,
    PQL_AVRO_FLOAT,
    PQL_AVRO_DOUBLE,
    PQL_AVRO_BYTES,
    PQL_AVRO_STRING,
    PQL_AVRO_RECORD,
    PQL_AVRO_ENUM,
    PQL_AVRO_ARRAY,
    PQL_AVRO_MAP,
    PQL_AVRO_UNION,
    PQL_AVRO_FIXED,
    PQL_AVRO_TYPE_COUNT,
};
extern const char *const pql_avro_type_names[PQL_AVRO_TYPE_COUNT];

enum pql_avro_logical {
    PQL_LOGICAL_NONE,
    PQL_LOGICAL_DATE,
    PQL_LOGICAL_TIME_MILLIS,
    PQL_LOGICAL_TIME_MICROS,
    PQL_LOGICAL_TIMESTAMP_MILLIS,
    PQL_LOGICAL_TIMESTAMP_MICROS,
    PQL_LOGICAL_TIMESTAMP_NANOS,
    PQL_LOGICAL_LOCAL_TIMESTAMP_MILLIS,
    PQL_LOGICAL_LOCAL_TIMESTAMP_MICROS,
    PQL_LOGICAL_LOCAL_TIMESTAMP_NANOS,
    PQL_LOGICAL_DECIMAL,
    PQL_LOGICAL_UUID,
    PQL_LOGICAL_DURATION,
    PQL_LOGICAL_COUNT,
};

struct json_t;
struct pql_avro;

struct pql_avro_field {
    struct pql_slice name;
    const struct pql_slice *aliases;
    size_t aliases_count;
    const struct pql_avro *type;
    const struct json_t *default_value; /* NULL: none */
};

struct pql_avro {
    enum pql_avro_type type;
    enum pql_avro_logical logical;
    int scale;                       /* of a decimal */
    uint32_t id;                     /* below pql_schema_count */
    uint32_t min_size;               /* a lower bound of the bytes of any value; 0: every value has none */
    struct pql_slice name;           /* of record, enum, fixed: full name */
    const struct pql_slice *aliases; /* full names */
    size_t aliases_count;
    const struct pql_avro_field *fields;
    size_t fields_count;
    const struct pql_slice *symbols;
    size_t symbols_count;
    int32_t default_symbol;                 /* -1: none */
    const struct pql_avro *items;           /* of an array; values of a map */
    const struct pql_avro *const *branches; /* of a union */
    size_t branches_count;
    size_t size; /* of a fixed */
};

struct pql_schema;

/* NULL with class PQL_ERR_RECORD and the place inside the schema in the message: "fields[2].type: …". */
struct pql_schema *pql_schema_parse(struct pql_slice text, struct pql_err *err);
void pql_schema_free(struct pql_schema *schema);

const struct pql_avro *pql_schema_root(const struct pql_schema *schema);
size_t pql_schema_count(const struct pql_schema *schema);

/* Appends the Parsing Canonical Form. */
void pql_schema_canonical(const struct pql_schema *schema, struct pql_buf *out);
/* CRC-64-AVRO of the Parsing Canonical Form: what single-object encoding carries. */
uint64_t pql_schema_fingerprint(const struct pql_schema *schema);
uint64_t pql_crc64_avro(const void *bytes, size_t len);

/* The name behind the last dot. */
struct pql_slice pql_avro_short_name(struct pql_slice full);

#endif
