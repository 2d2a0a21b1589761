/* decoder.h - from the bytes of a message to an event.
 *
 *   value ─► framing ─► schema key ─► decode plan ─► slots ─► mapping ─► struct pql_event
 *                          │ not seen yet
 *                          └─► find_schema ─► text ─► plan, kept for ever
 *   JSON: value ─► slots ─► mapping
 *
 * One decoder serves one input under one program. It keeps the writer schemas it has met, so that they can be
 * saved with the state and a restore needs no registry: one decoder per (task, input) keeps exactly those of
 * the task. No I/O, no clock. Thread: one at a time; the mapping may be shared. Heap: only when a schema is
 * met for the first time; a message of a known schema allocates from scratch alone. */
#ifndef PQL_CORE_WIRE_DECODER_H
#define PQL_CORE_WIRE_DECODER_H

#include "base/buf.h"
#include "core/wire/framing.h"

enum pql_format { PQL_FORMAT_AVRO, PQL_FORMAT_JSON };

/* The text of the schema of an id, GUID or fingerprint; the view stays valid until the decoder has copied it.
 * -1 with class PQL_ERR_RETRY: not here yet (being fetched), ask again later; PQL_ERR_RECORD: there is none.
 * Called on the decoder's thread; must not wait. pql_registry_find is one. */
typedef int pql_find_schema(void *ctx, const struct pql_schema_key *key, struct pql_slice *text,
                            struct pql_err *err);

struct pql_decoder_conf {
    enum pql_format format;
    enum pql_framing framing; /* of Avro */
    const struct pql_slice
        *schemas;         /* texts of schema files: the first is that of bare messages; all are found by */
    size_t schemas_count; /* their fingerprint */
    struct pql_slice
        reader; /* text of the schema that is expected: writers' are resolved to it; empty: none */
    const struct pql_mapping *mapping; /* must outlive the decoder */
    pql_find_schema *find_schema;      /* NULL: no registry */
    void *ctx;
};

struct pql_decoder;

/* NULL with class PQL_ERR_CONFIG where a schema file cannot be used. Texts of conf are copied. */
struct pql_decoder *pql_decoder_new(const struct pql_decoder_conf *conf, struct pql_err *err) PQL_CHECKED;
void pql_decoder_free(struct pql_decoder *decoder);

/* Whether pql_decoder_apply wants message->headers filled. */
bool pql_decoder_wants_headers(const struct pql_decoder *decoder);

/* Classes: PQL_ERR_RECORD with err->reason (bad_framing, unknown_schema, bad_avro, bad_json, and the
 * mapping's): this message can never be used. PQL_ERR_RETRY: its schema is not here yet; call again with the
 * same message later, and take no later one of its partition before. On success event's views live in value,
 * message and scratch. */
int pql_decoder_apply(struct pql_decoder *decoder, struct pql_slice value, const struct pql_message *message,
                      struct pql_arena *scratch, struct pql_event *event, struct pql_err *err) PQL_CHECKED;

/* The schema key of the message last given to pql_decoder_apply, NULL if it had none (JSON, bad framing). */
const struct pql_schema_key *pql_decoder_last_key(const struct pql_decoder *decoder);

/* How many writer schemas were met (those of files not counted); grows only: a cheap "has anything changed?".
 */
size_t pql_decoder_schemas_count(const struct pql_decoder *decoder);
/* Appends the writer schemas met, in order of key: the same bytes for the same set. */
void pql_decoder_save(const struct pql_decoder *decoder, struct pql_buf *out);
/* Adds what pql_decoder_save wrote. Class PQL_ERR_FATAL where the bytes are damaged. */
int pql_decoder_load(struct pql_decoder *decoder, struct pql_reader *in, struct pql_err *err) PQL_CHECKED;

#endif
