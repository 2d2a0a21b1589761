/* cells.h - all that is kept of one subject, by slot: cells of signals and standings with definitions.
 *
 *   { size, used, count, capacity } { slot, bytes, at } … │ data: cell, cell, pointer, cell …
 *
 * One block, so that what an event touches lies together. Sparse: only what is not empty. A small cell that
 * owns nothing lies in the data itself; of anything else there is a pointer. Any change of the block moves
 * what lies inside: what find and at give holds until the next put of the same subject. Owner: the subject.
 */
#ifndef PQL_CORE_STATE_CELLS_H
#define PQL_CORE_STATE_CELLS_H

#include "core/state/signal.h"

struct pql_cells;

/* What stands at the slot, or NULL. */
void *pql_cells_find(const struct pql_cells *cells, uint32_t slot);
bool pql_cells_has(const struct pql_cells *cells, uint32_t slot);
size_t pql_cells_count(const struct pql_cells *cells);
void *pql_cells_at(const struct pql_cells *cells, size_t i, uint32_t *slot); /* by ascending slot */

/* Puts a block of the heap (or NULL, for what is yet to come) at the slot; what stood there is the caller's.
 */
void pql_cells_put(struct pql_cells **cells, uint32_t slot, void *block);
/* The same of a signal's cell: a small one is moved inside, so that the caller's pointer to it ends. */
void pql_cells_put_signal(struct pql_cells **cells, uint32_t slot, const struct pql_signal *signal,
                          struct pql_cell *cell);
/* Takes out what stands at a slot that is present, as a block of the heap. */
void *pql_cells_take(struct pql_cells *cells, uint32_t slot);
/* What stands there as a block of the heap; the only thing to be done with these cells afterwards is to give
 * the others and to free them. */
void *pql_cells_give(const struct pql_cells *cells, size_t i);
/* Takes out all from this slot on; pointers are the caller's. */
void pql_cells_cut(struct pql_cells *cells, uint32_t slot);
/* What the block takes of the allocator; cells outside of it are counted by pql_signal_cost. */
size_t pql_cells_bytes(const struct pql_cells *cells);

#endif
