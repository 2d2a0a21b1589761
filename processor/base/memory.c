#include "base/memory.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *checked(void *p, size_t size)
{
    if (p) return p;
    fprintf(stderr,
            "level=fatal msg=\"out of memory\" bytes=%zu remedy=\"nothing is lost; a smaller `memory` ends "
            "in order "
            "before\"\n",
            size);
    _exit(EXIT_FAILURE); /* as it stands: nothing that runs at the end may ask for memory again */
}

void *pql_xmalloc(size_t size)
{
    return checked(malloc(size ? size : 1), size);
}

void *pql_xcalloc(size_t count, size_t size)
{
    return checked(calloc(count ? count : 1, size ? size : 1), count * size);
}

void *pql_xrealloc(void *old, size_t size)
{
    return checked(realloc(old, size ? size : 1), size);
}

void *pql_trymalloc(size_t size)
{
    return malloc(size ? size : 1);
}

char *pql_xstrndup(const char *text, size_t len)
{
    char *copy = pql_xmalloc(len + 1);
    if (len) memcpy(copy, text, len);
    copy[len] = 0;
    return copy;
}

void *pql_xgrow(void *items, size_t *capacity, size_t need, size_t size)
{
    if (need <= *capacity) return items;
    size_t to = *capacity ? *capacity : 8;
    while (to < need) to *= 2;
    *capacity = to;
    return pql_xrealloc(items, to * size);
}

struct pql_arena_block {
    struct pql_arena_block *next;
    size_t size;
};

/* Blocks double, so that the many small arenas (a decode plan per task and schema) stay small. */
enum { ARENA_BLOCK_MIN = 1024, ARENA_BLOCK_MAX = 16 * 1024, ARENA_HEADER = 16 };
_Static_assert(sizeof(struct pql_arena_block) <= ARENA_HEADER, "the header keeps the alignment");

void pql_arena_init(struct pql_arena *arena)
{
    *arena = (struct pql_arena){0};
}

void pql_arena_deinit(struct pql_arena *arena)
{
    for (struct pql_arena_block *block = arena->first; block;) {
        struct pql_arena_block *next = block->next;
        free(block);
        block = next;
    }
    pql_arena_init(arena);
}

void pql_arena_reset(struct pql_arena *arena)
{
    arena->current = arena->first;
    arena->used = 0;
}

static void next_block(struct pql_arena *arena, size_t size)
{
    struct pql_arena_block *after = arena->current ? arena->current->next : arena->first;
    if (!after || after->size < size) {
        size_t to = arena->current ? arena->current->size * 2 : ARENA_BLOCK_MIN;
        if (to > ARENA_BLOCK_MAX) to = ARENA_BLOCK_MAX;
        if (to < size) to = size;
        struct pql_arena_block *block = pql_xmalloc(ARENA_HEADER + to);
        block->size = to;
        block->next = after;
        if (arena->current)
            arena->current->next = block;
        else
            arena->first = block;
        after = block;
    }
    arena->current = after;
    arena->used = 0;
}

void *pql_arena_alloc(struct pql_arena *arena, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!arena->current || arena->current->size - arena->used < size) next_block(arena, size);
    void *p = (char *)arena->current + ARENA_HEADER + arena->used;
    arena->used += size;
    return p;
}

void *pql_arena_zalloc(struct pql_arena *arena, size_t size)
{
    return memset(pql_arena_alloc(arena, size), 0, size);
}

struct pql_slice pql_arena_copy(struct pql_arena *arena, struct pql_slice text)
{
    char *copy = pql_arena_alloc(arena, text.len + 1);
    if (text.len) memcpy(copy, text.ptr, text.len);
    copy[text.len] = 0;
    return (struct pql_slice){copy, text.len};
}

char *pql_arena_printf(struct pql_arena *arena, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = pql_arena_alloc(arena, (size_t)(n < 0 ? 0 : n) + 1);
    vsnprintf(text, (size_t)(n < 0 ? 0 : n) + 1, format, again);
    va_end(again);
    return text;
}
