#include "core/state/base.h"

#include <stdlib.h>

/* --- copies: each item owns one block with its offsets and writer --- */

static struct pql_saved copy_of(const struct pql_saved *saved)
{
    struct pql_saved copy = *saved;
    size_t offsets = saved->chunks_count * sizeof *saved->chunks;
    char *block = pql_xmalloc(offsets + saved->writer.len + 1);
    if (offsets) memcpy(block, saved->chunks, offsets);
    if (saved->writer.len) memcpy(block + offsets, saved->writer.ptr, saved->writer.len);
    copy.chunks = (const int64_t *)(const void *)block;
    copy.writer.ptr = block + offsets;
    return copy;
}

static void add_item(struct pql_base *base, const struct pql_saved *saved)
{
    base->items = pql_xrealloc(base->items, (base->count + 1) * sizeof *base->items);
    base->items[base->count++] = copy_of(saved);
}

static void add_ancestor(struct pql_base *base, const struct pql_ancestor *ancestor)
{
    base->ancestors = pql_xrealloc(base->ancestors, (base->ancestors_count + 1) * sizeof *base->ancestors);
    base->ancestors[base->ancestors_count++] = *ancestor;
}

void pql_base_deinit(struct pql_base *base)
{
    for (size_t i = 0; i < base->count; i++) free((int64_t *)(uintptr_t)base->items[i].chunks);
    free(base->items);
    free(base->ancestors);
    *base = (struct pql_base){0};
}

/* --- shares --- */

/* How many of the newest have the modulus of the first. */
static size_t run_of(const struct pql_base *base)
{
    size_t run = 0;
    while (run < base->count && base->items[run].modulus == base->items[0].modulus) run++;
    return run;
}

void pql_base_share(const struct pql_base *base, uint32_t wanted, uint32_t *modulus, uint32_t *residue)
{
    *modulus = 1;
    *residue = 0;
    if (!base->count) return;
    const struct pql_saved *last = &base->items[0];
    bool may_change = run_of(base) >= last->modulus;
    if (may_change && (wanted / 2 >= last->modulus || wanted <= last->modulus / 2)) {
        *modulus = wanted ? wanted : 1;
        return;
    }
    *modulus = last->modulus;
    *residue = (last->residue + 1) % last->modulus;
}

/* --- one more --- */

static struct pql_ancestor ancestor_of(const struct pql_saved *items, size_t count, int64_t offset,
                                       int64_t journal_from)
{
    struct pql_ancestor self = {
        .offset = offset, .number = items[0].number, .first = items[count - 1].number, .low = journal_from};
    for (size_t i = 0; i < count; i++)
        if (items[i].chunks[0] < self.low) self.low = items[i].chunks[0];
    return self;
}

void pql_base_set(struct pql_base *base, const struct pql_manifest *manifest, int64_t offset)
{
    pql_base_deinit(base);
    for (size_t i = 0; i < manifest->base_count; i++) add_item(base, &manifest->base[i]);
    for (size_t i = 0; i < manifest->ancestors_count; i++) add_ancestor(base, &manifest->ancestors[i]);
    base->self = ancestor_of(manifest->base, manifest->base_count, offset, manifest->journal_from);
}

const struct pql_ancestor *pql_ancestor_before(const struct pql_ancestor *ancestors, size_t count,
                                               uint64_t number)
{
    for (size_t i = 0; i < count; i++)
        if (ancestors[i].number < number) return &ancestors[i];
    return NULL;
}

/* The last manifest of the base before the one before, which is the oldest that may be asked for. */
static const struct pql_ancestor *oldest_of(const struct pql_base *base)
{
    const struct pql_ancestor *before =
        pql_ancestor_before(base->ancestors, base->ancestors_count, base->self.first);
    return before ? pql_ancestor_before(base->ancestors, base->ancestors_count, before->first) : NULL;
}

void pql_base_add(const struct pql_base *base, const struct pql_saved *saved, int64_t journal_from,
                  struct pql_base *next)
{
    *next = (struct pql_base){0};
    add_item(next, saved);
    bool is_whole = saved->modulus == 1;
    for (size_t i = 0; !is_whole && i < base->count; i++) {
        add_item(next, &base->items[i]);
        is_whole = run_of(next) >= saved->modulus;
    }
    next->self = ancestor_of(next->items, next->count, -1, journal_from);
    if (base->count) add_ancestor(next, &base->self);
    for (size_t i = 0; i < base->ancestors_count; i++) add_ancestor(next, &base->ancestors[i]);
    const struct pql_ancestor *oldest = oldest_of(next);
    if (oldest) next->ancestors_count = (size_t)(oldest - next->ancestors) + 1;
}

int64_t pql_base_trim(const struct pql_base *base)
{
    const struct pql_ancestor *oldest = oldest_of(base);
    return oldest ? oldest->low : 0;
}

uint64_t pql_base_bytes(const struct pql_saved *items, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) bytes += items[i].bytes;
    return bytes;
}
