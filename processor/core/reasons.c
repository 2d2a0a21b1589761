#include "core/reasons.h"

#define ROW(name, word, help) {word, help},
const struct pql_reject_row pql_rejects[PQL_REJECT_COUNT] = {PQL_REASONS(ROW)};
