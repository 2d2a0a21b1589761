/* memory.h - two kinds of allocation, told apart by name. pql_xmalloc and friends are for sizes that the
 * program itself decided: they end the process with exit code 1 and a line on standard error when memory is
 * out. pql_trymalloc is for sizes read from outside, checked against a limit before; it returns NULL. */
#ifndef PQL_BASE_MEMORY_H
#define PQL_BASE_MEMORY_H

#include "base/slice.h"
#include <stddef.h>

void *pql_xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *pql_xcalloc(size_t count, size_t size) __attribute__((returns_nonnull));
void *pql_xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
void *pql_trymalloc(size_t size);
/* A NUL-terminated copy. */
char *pql_xstrndup(const char *text, size_t len) __attribute__((returns_nonnull));

/* Grows `*items` (element size `size`) so that at least `need` fit; capacity doubles from 8. */
void *pql_xgrow(void *items, size_t *capacity, size_t need, size_t size);

/* What a block of this size takes of the allocator, about: its own head and rounding included. 0: no block.
 */
static inline size_t pql_memory_cost(size_t size)
{
    size_t cost = (size + 8 + 15) & ~(size_t)15;
    return !size ? 0 : cost < 32 ? 32 : cost;
}

/* An arena: many small allocations with one lifetime, freed or reset together. Blocks are kept by reset.
 * Alignment 16. Memory is not zeroed by alloc, zeroed by zalloc. */
struct pql_arena {
    struct pql_arena_block *first, *current;
    size_t used; /* of the current block */
};

void pql_arena_init(struct pql_arena *arena);
void pql_arena_deinit(struct pql_arena *arena);
void pql_arena_reset(struct pql_arena *arena);
void *pql_arena_alloc(struct pql_arena *arena, size_t size) __attribute__((returns_nonnull));
void *pql_arena_zalloc(struct pql_arena *arena, size_t size) __attribute__((returns_nonnull));
/* A copy that lives as long as the arena, NUL-terminated beyond its length. */
struct pql_slice pql_arena_copy(struct pql_arena *arena, struct pql_slice text);
char *pql_arena_printf(struct pql_arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
