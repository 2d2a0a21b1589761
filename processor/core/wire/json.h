/* json.h - the wanted values of a JSON text in one pass (RFC 8259).
 * The whole text is validated (grammar, UTF-8, nesting of at most PQL_JSON_DEPTH_MAX), what is not wanted is
 * skipped. Of a repeated key the last one counts. Numbers become decimals from their digits, rounded half to
 * even at the sixth place; null, objects and arrays are null. A wanted path may go through objects, array
 * indexes, and JSON text inside a string (a text that is no JSON has no members). Half of a surrogate pair
 * becomes U+FFFD. A byte order mark before the text is ignored. Texts are views of the bytes, or of scratch
 * where they had escapes; nothing else is allocated. */
#ifndef PQL_CORE_WIRE_JSON_H
#define PQL_CORE_WIRE_JSON_H

#include "base/err.h"
#include "base/memory.h"
#include "core/value.h"

enum { PQL_JSON_DEPTH_MAX = 64 };

/* Immutable, may be shared by threads. */
struct pql_json_plan;

/* NULL if a path is malformed (pql_path_is_valid). The texts are copied. */
struct pql_json_plan *pql_json_plan_new(const struct pql_slice *wanted, size_t count);
void pql_json_plan_free(struct pql_json_plan *plan);

/* slots: one per wanted path, null where absent. On -1 (class RECORD, reason bad_json, message with the byte
 * offset) slots are undefined. */
int pql_json_plan_run(const struct pql_json_plan *plan, const void *bytes, size_t len,
                      struct pql_arena *scratch, struct pql_value *slots, struct pql_err *err) PQL_CHECKED;

/* A number by the grammar of JSON, exactly from its digits and exponent; false if text is no such number. */
bool pql_json_number(struct pql_slice text, pql_decimal *out);

/* digits (at least one, no sign and no dot) times ten to the power of exponent. */
pql_decimal pql_json_scaled(struct pql_slice digits, int64_t exponent, bool negative);

/* Length of the valid UTF-8 sequence that text begins with, 0 if there is none. */
size_t pql_utf8_len(struct pql_slice text);

#endif
