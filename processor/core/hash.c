#include "core/hash.h"

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#pragma GCC diagnostic ignored "-Wshadow"
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wundef"
#pragma GCC diagnostic ignored "-Wswitch-enum"
#pragma GCC diagnostic ignored "-Wpedantic"
#endif
#define XXH_INLINE_ALL
#include <xxhash.h>
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif

uint64_t pql_hash(const void *bytes, size_t len, uint64_t key)
{
    return XXH3_64bits_withSeed(len ? bytes : "", len, key);
}

uint64_t pql_hash_key(struct pql_slice name)
{
    return pql_hash_slice(name, UINT64_C(0x70716c73747265));
}
