#include "core/partition.h"

#include "base/err.h"

static uint32_t load_le32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

uint32_t pql_murmur2(struct pql_slice key)
{
    const uint32_t m = 0x5bd1e995, seed = 0x9747b28c;
    const unsigned char *at = (const unsigned char *)key.ptr;
    size_t left = key.len;
    uint32_t h = seed ^ (uint32_t)key.len;
    for (; left >= 4; at += 4, left -= 4) {
        uint32_t k = load_le32(at) * m;
        k ^= k >> 24;
        h = h * m ^ k * m;
    }
    if (left == 3) h ^= (uint32_t)at[2] << 16;
    if (left >= 2) h ^= (uint32_t)at[1] << 8;
    if (left >= 1) h = (h ^ at[0]) * m;
    h ^= h >> 13;
    h *= m;
    return h ^ h >> 15;
}

uint32_t pql_crc32(struct pql_slice key)
{
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < key.len; i++) {
        crc ^= (unsigned char)key.ptr[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

uint32_t pql_partition_murmur2(struct pql_slice key, uint32_t partitions)
{
    PQL_ASSERT(partitions > 0);
    return (pql_murmur2(key) & 0x7fffffff) % partitions;
}

uint32_t pql_partition_crc32(struct pql_slice key, uint32_t partitions)
{
    PQL_ASSERT(partitions > 0);
    return pql_crc32(key) % partitions;
}
