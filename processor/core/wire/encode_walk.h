/* encode_walk.h - the fields of an output record as calls of a sink: known to the encoders and to the writers
 * of their schemas, and to nobody else. A field is one line of pql_encode_walk; every form of the record
 * follows from it. */
#ifndef PQL_CORE_WIRE_ENCODE_WALK_H
#define PQL_CORE_WIRE_ENCODE_WALK_H

#include "core/wire/encode.h"

enum pql_cell_type {
    PQL_CELL_TEXT,
    PQL_CELL_INT,
    PQL_CELL_LONG,
    PQL_CELL_NUMBER,
    PQL_CELL_TIME,
    PQL_CELL_BOOL
};

struct pql_cell {
    enum pql_cell_type type;
    bool is_optional, is_present;
    union {
        struct pql_slice text;
        int64_t integer; /* INT, LONG, TIME */
        pql_decimal number;
        bool boolean;
    };
};

/* name: of the field; of a map's item its key, which is data; ptr NULL: an item of an array, or the whole. */
struct pql_label {
    struct pql_slice name;
    const char *doc;
};

enum pql_nest { PQL_NEST_RECORD, PQL_NEST_ARRAY, PQL_NEST_MAP };

struct pql_nested {
    struct pql_label label;
    enum pql_nest nest;
    const char *type_name; /* of a record */
    bool is_optional;
    size_t count; /* items of an array or map */
};

struct pql_sink {
    const struct pql_sink_ops *ops;
    struct pql_buf *out;
    bool epoch_ms;           /* times as numbers */
    bool has_before;         /* a comma is due */
    int depth;               /* of indentation */
    struct pql_buf names[4]; /* of the fields so far, by depth */
};

struct pql_sink_ops {
    void (*cell)(struct pql_sink *sink, const struct pql_label *label, const struct pql_cell *cell);
    void (*open)(struct pql_sink *sink, const struct pql_nested *nested);
    void (*close)(struct pql_sink *sink, const struct pql_nested *nested);
    void (*absent)(struct pql_sink *sink, const struct pql_label *label); /* an optional record */
};

/* The whole record, its own open and close included. */
void pql_encode_walk(struct pql_sink *sink, const struct pql_record *record, struct pql_slice topic,
                     int64_t produced_at_ms);
/* Over a record that has one of everything, for schemas. */
void pql_encode_walk_sample(struct pql_sink *sink);

/* {"schema":…,"payload": of Kafka Connect's JsonConverter. */
void pql_encode_connect_schema(bool epoch_ms, struct pql_buf *out);

#endif
