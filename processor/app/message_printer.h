/* message_printer.h - what is in a message, as JSON text for people: by its schema where it has one.
 *
 *   value ─► text of JSON? ─────────────────────────────────────────► as it is, on one line
 *        └─► framing ─► registry, or schema file ─► avro-c, or a plan for some fields ─► JSON
 *
 * Thread: one in the process (avro-c's error text is shared). */
#ifndef PQL_APP_MESSAGE_PRINTER_H
#define PQL_APP_MESSAGE_PRINTER_H

#include "app/cli.h"
#include "base/buf.h"
#include "core/wire/framing.h"
#include "io/registry_conf.h"

/* --- values of one schema --- */

struct pql_value_printer;

/* fields: only these, as the processor would read them; none: the whole, in Avro's JSON encoding. A field
 * that the schema cannot have is an error. reader: file with the schema to resolve to, or NULL; read for
 * fields only. */
struct pql_value_printer *pql_value_printer_new(struct pql_slice schema, const char *reader,
                                                const struct pql_texts *fields,
                                                struct pql_err *err) PQL_CHECKED;
void pql_value_printer_free(struct pql_value_printer *printer);
/* Appends the JSON, without line end. */
int pql_value_printer_put(struct pql_value_printer *printer, struct pql_slice bytes, struct pql_buf *out,
                          struct pql_err *err) PQL_CHECKED;

/* --- messages of any --- */

struct pql_message_printer_conf {
    const char *schema;  /* file with the writer's schema, where no registry knows it; or NULL */
    const char *reader;  /* as above */
    const char *framing; /* a word of pql_framing_names; NULL: found out, text of JSON included */
    struct pql_registry_conf registry; /* url NULL: none */
    const struct pql_texts *fields;
};

struct pql_message_printer;

/* conf's texts must outlive it. */
struct pql_message_printer *pql_message_printer_new(const struct pql_message_printer_conf *conf,
                                                    struct pql_err *err) PQL_CHECKED;
void pql_message_printer_free(struct pql_message_printer *printer);

/* Appends the value as JSON. how: what names the schema ("id 7", "bare", "json"); "" where even that failed.
 * message: its headers are read where the framing is there; or NULL. Waits for the registry. */
int pql_message_printer_put(struct pql_message_printer *printer, struct pql_slice value,
                            const struct pql_message *message, struct pql_buf *out,
                            char how[PQL_SCHEMA_KEY_TEXT_MAX], struct pql_err *err) PQL_CHECKED;

/* --- bytes --- */

/* Appends `"name": "text"`, or `"name_hex": "00ff"` where the bytes are no readable text, or null. */
void pql_put_bytes(struct pql_buf *out, const char *name, struct pql_slice bytes, bool is_there);
/* Appends `"headers": [{"name": "n", "value": "v"}, …]`. */
void pql_put_headers(struct pql_buf *out, const struct pql_header *headers, size_t count);
/* The same text with its line ends as spaces: JSON has them between its parts only. */
void pql_put_json_line(struct pql_buf *out, struct pql_slice text);
/* Whether all of it is one JSON value (RFC 8259). */
bool pql_is_json(struct pql_slice text, struct pql_arena *scratch);

/* Reads a whole file ("-": standard input). Class PQL_ERR_CONFIG. */
int pql_read_file(const char *path, struct pql_buf *out, struct pql_err *err) PQL_CHECKED;

#endif
