/* avro_json.h - Avro binary as JSON text in Avro's own JSON encoding, by the avro-c library. For people's
 * eyes: cold paths only. The library crashes on some hostile bytes, so a plan of ours walks over them first
 * and refuses what is not exactly one value of the schema. Thread: one in the process at a time (the
 * library's error text is shared). */
#ifndef PQL_IO_AVRO_JSON_H
#define PQL_IO_AVRO_JSON_H

#include "base/buf.h"
#include "base/err.h"

struct pql_avro_json;

/* Class PQL_ERR_RECORD: the schema cannot be used. */
struct pql_avro_json *pql_avro_json_new(struct pql_slice schema, struct pql_err *err) PQL_CHECKED;
void pql_avro_json_free(struct pql_avro_json *json);

/* Appends the text, on one line without line end. NaN and infinities are texts. Class PQL_ERR_RECORD: the
 * bytes do not follow the schema (reason bad_avro). */
int pql_avro_json_print(struct pql_avro_json *json, struct pql_slice bytes, struct pql_buf *out,
                        struct pql_err *err) PQL_CHECKED;

#endif
