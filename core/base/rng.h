/* rng.h: xorshift64* (Vigna, arXiv:1402.6246), seeded through splitmix64 so that seeds 0, 1, 2 are
 * unrelated. The state is one word and never 0. */
#ifndef BITNET_RNG_H
#define BITNET_RNG_H

#include <stdint.h>

static inline uint64_t rng_seed(uint64_t seed) {
    uint64_t z = seed + 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    z ^= z >> 31;
    return z ? z : 0x9e3779b97f4a7c15u;
}

static inline uint64_t rng_next(uint64_t *state) {
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return x * 0x2545f4914f6cdd1du;
}

/* In [0, 1), 24 bits: exact as a float. */
static inline float rng_float(uint64_t *state) {
    return (float)(rng_next(state) >> 40) * 0x1p-24f;
}

#endif
