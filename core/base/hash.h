/* hash.h: two 64-bit hashes. hash_word and hash_bytes are for cache keys: multiply and fold, one word at
 * a time. hash_fnv1a is FNV-1a (draft-eastlake-fnv), for names that others may want to compute too.
 * Neither is for adversaries: whoever finds something under a hash compares the content too. */
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

static inline uint64_t hash_fnv1a(const void *bytes, size_t n) {
    const uint8_t *b = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

#endif
