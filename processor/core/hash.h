/* hash.h - the one hash of the engine: XXH3 with a fixed key, so that equal bytes hash equally on every
 * machine. The key depends on the application's name (pql_hash_key), which keeps crafted ids from colliding
 * everywhere. */
#ifndef PQL_CORE_HASH_H
#define PQL_CORE_HASH_H

#include "base/slice.h"
#include <stdint.h>

uint64_t pql_hash(const void *bytes, size_t len, uint64_t key);

static inline uint64_t pql_hash_slice(struct pql_slice text, uint64_t key)
{
    return pql_hash(text.ptr, text.len, key);
}

/* A key drawn from a name. */
uint64_t pql_hash_key(struct pql_slice name);

#endif
