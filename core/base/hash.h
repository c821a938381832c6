/* hash.h: a 64-bit hash for cache keys: multiply and fold, one word at a time. Not for adversaries:
 * whoever finds something under a key compares the content too. */
#ifndef BITNET_HASH_H
#define BITNET_HASH_H

#include <stddef.h>
#include <stdint.h>

static inline uint64_t hash_word(uint64_t h, uint64_t word) {
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ (h >> 29);
}

static inline uint64_t hash_bytes(uint64_t h, const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    for (size_t i = 0; i < n; i++)
        h = hash_word(h, b[i]);
    return h;
}

#endif
