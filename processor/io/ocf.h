/* ocf.h - Avro object container files (Avro 1.11, "Object Container Files"), read datum by datum.
 *
 *   "Obj" 01 │ metadata: avro.schema, avro.codec, … │ sync (16 bytes)
 *   per block: count │ size │ bytes by the codec │ sync
 *
 * The library's own reader is not used: it drops logical types and defaults of the schema, inflates without
 * limit and crashes on hostile data. Here every size is bounded, and a datum comes as its raw bytes, so that
 * the decoder of messages reads it (framing bare, with the file's own schema). Codecs: null, deflate, snappy,
 * zstandard. Thread: one. Heap: a block and its expansion. */
#ifndef PQL_IO_OCF_H
#define PQL_IO_OCF_H

#include "base/err.h"
#include "base/slice.h"

struct pql_ocf;

/* path "-": standard input. Class PQL_ERR_CONFIG: no such file, no container, an unknown codec, a damaged
 * header. */
struct pql_ocf *pql_ocf_open(const char *path, struct pql_err *err) PQL_CHECKED;
void pql_ocf_close(struct pql_ocf *ocf);

/* The writer's schema, as it stands in the file; valid until close. */
struct pql_slice pql_ocf_schema(const struct pql_ocf *ocf);

/* What this program writes into the metadata of a container of its own (`sample`), a line for each datum;
 * empty where there is none. Valid until close. */
#define PQL_OCF_PLACES "pqlstream.places"
struct pql_slice pql_ocf_places(const struct pql_ocf *ocf);

/* The next datum's bytes, valid until the next call; datum->ptr is NULL after the last one. Class
 * PQL_ERR_FATAL: the file is damaged from here on; the message says where. */
int pql_ocf_next(struct pql_ocf *ocf, struct pql_slice *datum, struct pql_err *err) PQL_CHECKED;

#endif
