/* tern_avx2.h: what the ternary kernels of 256 bits share, in half groups as group_avx2.h has them. */
#ifndef BITNET_TERN_AVX2_H
#define BITNET_TERN_AVX2_H

#include "kernels/tern_tiles.h"
#include "kernels/x86/group_avx2.h"

#define MAX_HALVES 4
#define PREFETCH   6144 /* bytes ahead in each stream; docs/speed.md */

/* All rows of token t by fn(a, r, t, halves): two groups side by side, of the last one its halves. */
#define ROWS_BY_32(fn, t)                                                                          \
    do {                                                                                           \
        int32_t r = 0;                                                                             \
        for (; a->n - r > 16; r += 32)                                                             \
            fn(a, r, t, 4);                                                                        \
        if (r < a->n) fn(a, r, t, 2);                                                              \
    } while (0)

/* f32(acc - xsum) / s * w_scale, in that order; rows at or past n are dropped. */
static inline void store_half(const bitnet_tern_args *a, int32_t t, int32_t r, i32x8 acc) {
    const int32_t n = a->n - r;
    if (n <= 0) return;
    float *dst = a->y + t * a->ldy + r;
    __m256 y = _mm256_cvtepi32_ps(_mm256_sub_epi32((__m256i)acc, _mm256_set1_epi32(a->xsum[t])));
    y = _mm256_div_ps(y, _mm256_set1_ps(a->s[t]));
    y = _mm256_mul_ps(y, _mm256_set1_ps(a->w_scale));
    store_up_to_4(dst, _mm256_castps256_ps128(y), n);
    if (n > 4) store_up_to_4(dst + 4, _mm256_extractf128_ps(y, 1), n - 4);
}

#endif
