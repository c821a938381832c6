/* sum16_avx2.h: SUM16 dot products (kernels.h) of four rows, or one, with one f32 vector. The rows are f16 or
 * f32 weights, or f32 keys of attention. AVX2 and F16C, no FMA.
 *
 * The sixteen lanes are two registers; a tail of k % 16 terms goes on in scalar code on the same
 * lanes.
 */
#ifndef BITNET_SUM16_AVX2_H
#define BITNET_SUM16_AVX2_H

#include <stdbool.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define PREFETCH 4096 /* bytes ahead, or a tile if that is more */
#define MAX_KEPT 256  /* floats of a row that stays converted */

/* Elements j .. j+7 of a row of f16 or f32. is_f16 is a constant wherever it appears. */
static inline __m256 row_load8(const void *row, ptrdiff_t j, bool is_f16) {
    if (!is_f16) return _mm256_loadu_ps((const float *)row + j);
    return _mm256_cvtph_ps(
        _mm_loadu_si128((const __m128i *)(const void *)((const uint16_t *)row + j)));
}

/* Per vector: lanes l and l + 8 are already added; now l + 4, l + 2, l + 1, for four at once. */
static inline __m128 sum8_of_4(__m256 a, __m256 b, __m256 c, __m256 d) {
    __m128 a4 = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    __m128 b4 = _mm_add_ps(_mm256_castps256_ps128(b), _mm256_extractf128_ps(b, 1));
    __m128 c4 = _mm_add_ps(_mm256_castps256_ps128(c), _mm256_extractf128_ps(c, 1));
    __m128 d4 = _mm_add_ps(_mm256_castps256_ps128(d), _mm256_extractf128_ps(d, 1));
    __m128 ab = _mm_add_ps(_mm_unpacklo_ps(a4, b4), _mm_unpackhi_ps(a4, b4)); /* a02 b02 a13 b13 */
    __m128 cd = _mm_add_ps(_mm_unpacklo_ps(c4, d4), _mm_unpackhi_ps(c4, d4));
    return _mm_add_ps(_mm_movelh_ps(ab, cd), _mm_movehl_ps(cd, ab));
}

/* What the rows of a tile read is one piece of memory, read in several places at once, which prefetchers
 * of hardware handle badly. So the piece behind it is fetched as it lies. From where on: */
static inline const uint8_t *fetch_from(const void *tile, ptrdiff_t tile_size) {
    return (const uint8_t *)tile + (tile_size > PREFETCH ? tile_size : PREFETCH);
}

/* size is a constant. Always inlined: GCC drops calls of functions that only prefetch. */
__attribute__((always_inline)) static inline void fetch(const uint8_t *from, const int size) {
    UNROLL16 for (int i = 0; i < size; i += 64) {
        _mm_prefetch((const char *)from + i, _MM_HINT_T0);
    }
}

/* SUM16(j < k) w[i][j] * x[j] for i < rows, 4 or 1 and a constant; fetches from `ahead` on, unless that is
 * NULL */
__attribute__((always_inline)) static inline __m128 sum16_dot(const void *const w[4],
                                                              const float *x, ptrdiff_t k,
                                                              const uint8_t *ahead, const int rows,
                                                              bool is_f16) {
    const ptrdiff_t whole = k - k % 16;
    __m256 lo[4], hi[4], half[4];
    float lane[16], y[4] = {0};
    UNROLL for (int i = 0; i < rows; i++) {
        lo[i] = hi[i] = _mm256_setzero_ps();
    }
    for (ptrdiff_t j = 0; j < whole; j += 16) {
        if (ahead) fetch(ahead + 4 * j * (is_f16 ? 2 : 4), is_f16 ? 128 : 256);
        __m256 x0 = _mm256_loadu_ps(x + j), x1 = _mm256_loadu_ps(x + j + 8);
        UNROLL for (int i = 0; i < rows; i++) {
            lo[i] = _mm256_add_ps(lo[i], _mm256_mul_ps(row_load8(w[i], j, is_f16), x0));
            hi[i] = _mm256_add_ps(hi[i], _mm256_mul_ps(row_load8(w[i], j + 8, is_f16), x1));
        }
    }
    if (whole == k) {
        UNROLL for (int i = 0; i < 4; i++) {
            half[i] = _mm256_add_ps(lo[i % rows], hi[i % rows]);
        }
        return sum8_of_4(half[0], half[1], half[2], half[3]);
    }
    UNROLL for (int i = 0; i < rows; i++) {
        _mm256_storeu_ps(lane, lo[i]);
        _mm256_storeu_ps(lane + 8, hi[i]);
        for (ptrdiff_t j = whole; j < k; j++)
            lane[j - whole] += row_at(w[i], j, is_f16) * x[j];
        y[i] = sum16(lane);
    }
    return _mm_loadu_ps(y);
}

#endif
