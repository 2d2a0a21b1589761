/* registry_reply.h - what a schema registry answers, read apart from how it was fetched. Pure functions over
 * bytes from outside: unknown members are ignored, sizes and depths are bounded. Thread: any. Heap: results,
 * freed by the caller. Errors have class PQL_ERR_RETRY (a damaged answer may be whole the next time) unless
 * said otherwise. */
#ifndef PQL_IO_REGISTRY_REPLY_H
#define PQL_IO_REGISTRY_REPLY_H

#include "base/err.h"
#include "base/slice.h"
#include <stdint.h>

/* Another schema whose named types this one uses: version `version` of `subject`. */
struct pql_registry_reference {
    char *subject;
    int64_t version;
};

enum { PQL_REGISTRY_REFERENCES_MAX = 64 };

struct pql_registry_schema {
    char *text; /* the Avro schema */
    struct pql_registry_reference *references;
    size_t references_count;
};

/* Body of GET /schemas/ids/{id}, /schemas/guids/{guid} and /subjects/{s}/versions/{v}. A schema that is not
 * Avro, or with too many references, is class PQL_ERR_RECORD: no later answer will be another. */
int pql_registry_parse_schema(struct pql_slice body, struct pql_registry_schema *schema,
                              struct pql_err *err) PQL_CHECKED;
void pql_registry_schema_deinit(struct pql_registry_schema *schema);

/* The id in the body of POST /subjects/{s}/versions and POST /subjects/{s}. */
int pql_registry_parse_id(struct pql_slice body, uint32_t *id, struct pql_err *err) PQL_CHECKED;

/* Body of POST /compatibility/subjects/{s}/versions/latest?verbose=true. why: the registry's words, or empty.
 */
int pql_registry_parse_compatible(struct pql_slice body, bool *compatible, char why[200],
                                  struct pql_err *err) PQL_CHECKED;

/* error_code of the body of an error, 0 where it has none (then it is not the registry that answers), and its
 * message on one line. */
int64_t pql_registry_parse_error(struct pql_slice body, char message[200]);

/* One self-contained schema from `text` and those it references: where a type of `others` is first used its
 * definition is put in place of its name. Class PQL_ERR_RECORD. The caller frees *out. */
int pql_registry_inline(const char *text, const char *const *others, size_t others_count, char **out,
                        struct pql_err *err) PQL_CHECKED;

#endif
