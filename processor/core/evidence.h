/* evidence.h - why, in numbers and in words: the rows of a condition as they are at an instant.
 * Rows are built once per definition (pql_rows_build); filling them reads signals and allocates only from
 * scratch. */
#ifndef PQL_CORE_EVIDENCE_H
#define PQL_CORE_EVIDENCE_H

#include "core/expr.h"

/* Fills evidence, missing, members …, expires_at, reason_text, attributes, route … of a record whose
 * definition, transition and reason are set. Everything lives in scratch. */
void pql_evidence_fill(const struct pql_definition *definition, const struct pql_scope *scope,
                       struct pql_arena *scratch, struct pql_record *record);

#endif
