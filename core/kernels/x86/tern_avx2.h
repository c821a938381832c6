/* tern_avx2.h: what the two 256-bit variants of tern_matmul share. A 64-byte vector of a group is two
 * registers, rows 0 .. 7 and rows 8 .. 15; their 32-bit lanes are the rows. Here such a half group is
 * the unit: rows r .. r+7 of the matrix, r a multiple of 8.
 */
#ifndef BITNET_TERN_AVX2_H
#define BITNET_TERN_AVX2_H

#include "kernels/tern_tiles.h"
#include "kernels/x86/x86.h"

#define HALF       8 /* rows of a register */
#define MAX_HALVES 4
#define PREFETCH   6144 /* bytes ahead in each stream; docs/speed.md */

static inline __m256i weights(const uint8_t *w) {
    return _mm256_loadu_si256((const __m256i *)(const void *)w);
}

/* The four activations of a field, for all rows: one broadcasting load. */
static inline __m256i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
}

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
