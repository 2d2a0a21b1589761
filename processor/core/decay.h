/* decay.h - how much of an occurrence still counts, by its age in steps.
 *
 *   n = floor(t / step) - floor(e / step)     boundaries of steps since it was, aligned to the epoch
 *   half_life      2 ^ (-n * step / half_life), correctly rounded to six places
 *   fades_over     1 - n * step / fades_over, not below 0
 *
 * In integers alone: exp2 of C libraries differs between machines. Pure; immutable once made. Thread: any. */
#ifndef PQL_CORE_DECAY_H
#define PQL_CORE_DECAY_H

#include "base/decimal.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pql_decay {
    int64_t step_ms, span_ms; /* both positive; span: half_life or fades_over */
    bool is_linear;           /* fades_over */
    /* The first of them, to look up; may be none. Owner: whoever fills it. */
    uint32_t *weights;
    size_t weights_count;
};

enum { PQL_DECAY_ONE = 1000000, PQL_DECAY_TABLE_MAX = 4096 };

/* Of an age in steps, in millionths: PQL_DECAY_ONE for n <= 0, never rising, 0 in the end. */
uint32_t pql_decay_weight(const struct pql_decay *decay, int64_t n);
int64_t pql_decay_step_of(const struct pql_decay *decay, int64_t time_ms);
/* Of an occurrence at e, looked at at t. */
uint32_t pql_decay_at(const struct pql_decay *decay, int64_t e_ms, int64_t t_ms);
/* The first instant after t at which weights change: the next boundary. */
int64_t pql_decay_next(const struct pql_decay *decay, int64_t t_ms);
/* The smallest age in steps whose weight is 0. */
int64_t pql_decay_steps(const struct pql_decay *decay);
/* How many weights a table should hold, at most PQL_DECAY_TABLE_MAX; and fills one. */
size_t pql_decay_table_size(const struct pql_decay *decay);
void pql_decay_table_fill(struct pql_decay *decay, uint32_t *weights, size_t count);

/* Sum of value x weight, rounded once, half to even. Begin with {0}. */
struct pql_decayed {
    pql_decimal whole, rest; /* of values in whole ones of a millionth x weight, and what is left over */
};
void pql_decayed_add(struct pql_decayed *sum, pql_decimal value, uint32_t weight);
pql_decimal pql_decayed_sum(const struct pql_decayed *sum);

#endif
