/* sha256.c: see sha256.h. Names and numbers of sections are those of FIPS 180-4. */
#include "sha256.h"

#include <string.h>

/* 4.2.2 */
static const uint32_t K[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static inline uint32_t rotr(uint32_t x, int n) {
    return x >> n | x << (32 - n);
}

static inline uint32_t load_be32(const uint8_t *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void store_be32(uint8_t *b, uint32_t v) {
    for (int i = 0; i < 4; i++)
        b[i] = (uint8_t)(v >> (24 - 8 * i));
}

/* One round of 6.2.2 step 3. The caller rotates the names instead of the values. */
#define ROUND(a, b, c, d, e, f, g, h, i)                                                           \
    do {                                                                                           \
        uint32_t t1 = h + (rotr(e, 6) ^ rotr(e, 11) ^ rotr(e, 25)) + (g ^ (e & (f ^ g))) +         \
                      K[t + (i)] + w[i];                                                           \
        d += t1;                                                                                   \
        h = t1 + (rotr(a, 2) ^ rotr(a, 13) ^ rotr(a, 22)) + ((a & b) | (c & (a | b)));             \
    } while (0)

/* The schedule W is kept in a window of sixteen words, so that it stays in registers or close. */
static void compress(uint32_t state[8], const uint8_t *bytes) {
    uint32_t w[16];
    for (int i = 0; i < 16; i++)
        w[i] = load_be32(bytes + 4 * i);
    uint32_t a = state[0], b = state[1], c = state[2], d = state[3];
    uint32_t e = state[4], f = state[5], g = state[6], h = state[7];
    for (int t = 0; t < 64; t += 16) {
        for (int i = 0; t > 0 && i < 16; i++) {
            uint32_t w15 = w[(i + 1) & 15], w2 = w[(i + 14) & 15];
            w[i] += (rotr(w15, 7) ^ rotr(w15, 18) ^ w15 >> 3) + w[(i + 9) & 15] +
                    (rotr(w2, 17) ^ rotr(w2, 19) ^ w2 >> 10);
        }
        for (int i = 0; i < 16; i += 8) {
            ROUND(a, b, c, d, e, f, g, h, i + 0);
            ROUND(h, a, b, c, d, e, f, g, i + 1);
            ROUND(g, h, a, b, c, d, e, f, i + 2);
            ROUND(f, g, h, a, b, c, d, e, i + 3);
            ROUND(e, f, g, h, a, b, c, d, i + 4);
            ROUND(d, e, f, g, h, a, b, c, i + 5);
            ROUND(c, d, e, f, g, h, a, b, i + 6);
            ROUND(b, c, d, e, f, g, h, a, i + 7);
        }
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
    state[4] += e, state[5] += f, state[6] += g, state[7] += h;
}

void bitnet_sha256_init(sha256 *h) {
    /* 5.3.3 */
    *h = (sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c,
                            0x1f83d9ab, 0x5be0cd19}};
}

void bitnet_sha256_update(sha256 *h, const void *bytes, size_t n) {
    const uint8_t *in = bytes;
    size_t held = h->size % SHA256_BLOCK;
    h->size += n;
    if (held > 0) {
        size_t room = SHA256_BLOCK - held, some = n < room ? n : room;
        if (some > 0) memcpy(h->block + held, in, some);
        if (some < room) return;
        compress(h->state, h->block);
        in += some, n -= some;
    }
    for (; n >= SHA256_BLOCK; in += SHA256_BLOCK, n -= SHA256_BLOCK)
        compress(h->state, in);
    if (n > 0) memcpy(h->block, in, n);
}

/* 5.1.1: a one bit, zeros, and the length in bits at the end of a block. */
void bitnet_sha256_final(sha256 *h, uint8_t digest[SHA256_SIZE]) {
    static const uint8_t padding[SHA256_BLOCK] = {0x80};
    uint8_t length[8];
    uint64_t n_bits = h->size * 8;
    size_t held = h->size % SHA256_BLOCK;
    store_be32(length, (uint32_t)(n_bits >> 32));
    store_be32(length + 4, (uint32_t)n_bits);
    bitnet_sha256_update(h, padding, (held < 56 ? 56 : 56 + SHA256_BLOCK) - held);
    bitnet_sha256_update(h, length, sizeof length);
    for (int i = 0; i < 8; i++)
        store_be32(digest + 4 * i, h->state[i]);
}
