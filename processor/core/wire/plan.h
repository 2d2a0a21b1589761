/* plan.h - the wanted values of Avro binary, by a plan compiled once per (writer schema, wanted paths).
 *
 *   writer schema [+ reader schema] + wanted paths ─► flat list of operations ─► run over a message ─► slots
 *
 *   string  account_id     get text  -> slot 0            A wanted path goes through records, maps, array
 * indexes, union   user_id        union     -> null | text 1     union branches, and JSON text inside a
 * string or bytes. long    occurred_at    get long, timestamp -> slot 2 map     properties     per entry: key
 * "plan" -> slot 3, else skip
 *
 * Every message is walked to its end: each read is checked against the end, lengths, block counts, union and
 * enum indexes against their limits, recursion against PQL_PLAN_DEPTH_MAX, and nothing may follow the value.
 * The work is bounded by the length of the message. With a reader schema the resolution rules of the
 * Avro 1.11 specification hold for what is wanted: promotions, unions, aliases, defaults, symbols by name
 * with the reader's default.
 *
 * Values: numbers are decimals (float and double by their exact binary value, NaN and infinities null),
 * timestamps and dates PQL_TIME (local ones read as UTC), decimals numbers, enums, bytes, fixed and uuid
 * text; records, arrays, maps and durations are null. Immutable after new: may be shared by threads. */
#ifndef PQL_CORE_WIRE_PLAN_H
#define PQL_CORE_WIRE_PLAN_H

#include "base/memory.h"
#include "core/value.h"
#include "core/wire/schema.h"

enum {
    PQL_PLAN_DEPTH_MAX = 256,     /* records, arrays and maps inside each other in a message */
    PQL_PLAN_EMPTY_MAX = 1 << 16, /* items of no bytes in a message, over all its blocks */
    PQL_PLAN_OPS_MAX = 1 << 20,
};

struct pql_plan;

/* reader may be NULL. The schemas are not needed afterwards. NULL with class PQL_ERR_RECORD where a wanted
 * path is malformed, a wanted field of the reader is neither in the writer's schema nor has a usable default,
 * or the plan would be too large. A path that the schema does not have is no error: its slot stays null. */
struct pql_plan *pql_plan_new(const struct pql_schema *writer, const struct pql_schema *reader,
                              const struct pql_slice *wanted, size_t count, struct pql_err *err);
void pql_plan_free(struct pql_plan *plan);

/* False: no value of this schema can have anything at that wanted path. True also where it depends on the
 * keys of a map, or on JSON text inside a string. */
bool pql_plan_may_have(const struct pql_plan *plan, size_t slot);

/* slots: one per wanted path. Texts are views of bytes, plan or scratch. On -1 (class RECORD, reason
 * bad_avro, message with the byte offset) slots are undefined. Allocates nothing but from scratch, and that
 * only for text inside text. */
int pql_plan_run(const struct pql_plan *plan, const void *bytes, size_t len, struct pql_arena *scratch,
                 struct pql_value *slots, struct pql_err *err) PQL_CHECKED;

/* The same for a value that others may follow: *used is where it ends. */
int pql_plan_run_first(const struct pql_plan *plan, const void *bytes, size_t len, size_t *used,
                       struct pql_arena *scratch, struct pql_value *slots, struct pql_err *err) PQL_CHECKED;

/* Whether bytes are exactly one value, walked item by item even where a block could be skipped by its size:
 * for a reader that does not check. The plan must want nothing. */
int pql_plan_check(const struct pql_plan *plan, const void *bytes, size_t len,
                   struct pql_err *err) PQL_CHECKED;

#endif
