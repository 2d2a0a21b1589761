/* json_put.h - members of a JSON object, appended one after the other: each puts a comma before itself unless
 * it is the first. For the answers of the admin endpoint. Thread: any. */
#ifndef PQL_APP_JSON_PUT_H
#define PQL_APP_JSON_PUT_H

#include "base/buf.h"

void pql_put_name(struct pql_buf *out, const char *name); /* the value follows */
void pql_put_text(struct pql_buf *out, const char *name, struct pql_slice text);
void pql_put_optional(struct pql_buf *out, const char *name, const char *text); /* NULL or "": null */
void pql_put_number(struct pql_buf *out, const char *name, int64_t number, bool is_known); /* else null */
void pql_put_bool(struct pql_buf *out, const char *name, bool value);
void pql_put_time(struct pql_buf *out, const char *name, int64_t ms); /* RFC 3339; PQL_NO_TIME: null */

#endif
