#include "core/uuid.h"

#include "base/memory.h"

/* SHA-1 (RFC 3174), only to name things: nothing here depends on its strength. */
struct sha1 {
    uint32_t h[5];
    uint64_t bytes;
    uint8_t block[64];
};

static uint32_t rotate(uint32_t x, int by)
{
    return x << by | x >> (32 - by);
}

static void sha1_block(struct sha1 *sha)
{
    uint32_t w[80];
    for (size_t i = 0; i < 16; i++)
        w[i] = (uint32_t)sha->block[4 * i] << 24 | (uint32_t)sha->block[4 * i + 1] << 16 |
               (uint32_t)sha->block[4 * i + 2] << 8 | sha->block[4 * i + 3];
    for (size_t i = 16; i < 80; i++) w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    uint32_t a = sha->h[0], b = sha->h[1], c = sha->h[2], d = sha->h[3], e = sha->h[4];
    for (size_t i = 0; i < 80; i++) {
        uint32_t f, k;
        if (i < 20)
            f = (b & c) | (~b & d), k = 0x5a827999;
        else if (i < 40)
            f = b ^ c ^ d, k = 0x6ed9eba1;
        else if (i < 60)
            f = (b & c) | (b & d) | (c & d), k = 0x8f1bbcdc;
        else
            f = b ^ c ^ d, k = 0xca62c1d6;
        uint32_t next = rotate(a, 5) + f + e + k + w[i];
        e = d, d = c, c = rotate(b, 30), b = a, a = next;
    }
    sha->h[0] += a, sha->h[1] += b, sha->h[2] += c, sha->h[3] += d, sha->h[4] += e;
}

static void sha1_add(struct sha1 *sha, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    for (size_t i = 0; i < len; i++) {
        sha->block[sha->bytes++ % 64] = at[i];
        if (sha->bytes % 64 == 0) sha1_block(sha);
    }
}

static void sha1_end(struct sha1 *sha)
{
    uint64_t bits = sha->bytes * 8;
    uint8_t length[8];
    for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
    sha1_add(sha, "\x80", 1);
    while (sha->bytes % 64 != 56) sha1_add(sha, "", 1);
    sha1_add(sha, length, sizeof length);
}

struct pql_uuid pql_uuid5(const struct pql_uuid *space, struct pql_slice name)
{
    struct sha1 sha = {.h = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0}};
    sha1_add(&sha, space->bytes, sizeof space->bytes);
    sha1_add(&sha, name.ptr, name.len);
    sha1_end(&sha);
    struct pql_uuid uuid;
    for (size_t i = 0; i < 16; i++) uuid.bytes[i] = (uint8_t)(sha.h[i / 4] >> (24 - 8 * (i % 4)));
    uuid.bytes[6] = (uint8_t)((uuid.bytes[6] & 0x0f) | 0x50);
    uuid.bytes[8] = (uint8_t)((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

void pql_uuid_text(const struct pql_uuid *uuid, char out[37])
{
    static const char hex[] = "0123456789abcdef";
    size_t n = 0;
    for (size_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) out[n++] = '-';
        out[n++] = hex[uuid->bytes[i] >> 4];
        out[n++] = hex[uuid->bytes[i] & 15];
    }
    out[n] = 0;
}

struct pql_uuid pql_uuid_of_app(struct pql_slice app)
{
    static const struct pql_uuid dns = {
        {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1, 0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8}};
    struct pql_arena arena;
    pql_arena_init(&arena);
    char *name = pql_arena_printf(&arena, "pqlstream.%.*s", PQL_SLICE_ARG(app));
    struct pql_uuid uuid = pql_uuid5(&dns, pql_slice_of(name));
    pql_arena_deinit(&arena);
    return uuid;
}
