/* schema_union.h - several Avro schemas as one: their union. Versions of a schema have types of the same
 * names, so the types of the nth (from 2 on) are put into a namespace "v<n>" behind their own; their names
 * stay, by which a reader's schema finds them. A datum of the nth schema is a datum of the union behind its
 * index, n - 1. Pure. */
#ifndef PQL_CORE_WIRE_SCHEMA_UNION_H
#define PQL_CORE_WIRE_SCHEMA_UNION_H

#include "base/buf.h"
#include "base/err.h"

/* Appends the text. One schema is appended as it is. Class PQL_ERR_RECORD: a text is no schema, or is a union
 * itself and cannot be a branch of one. */
int pql_schema_union(const struct pql_slice *schemas, size_t count, struct pql_buf *out,
                     struct pql_err *err) PQL_CHECKED;

#endif
