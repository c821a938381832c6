/* sum16_sse41.h: SUM16 (kernels.h) on four registers of four lanes, and the whole of f16_matmul and
 * f32_matmul on it. SSE4.1 has no conversion of halves; this one is exact, subnormals included. */
#ifndef BITNET_SUM16_SSE41_H
#define BITNET_SUM16_SSE41_H

#include <stdbool.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define MAX_PAIRS 2 /* rows times tokens of a tile: eight accumulators */

/* half.h's f16_to_f32 of four finite halves in 32-bit lanes: a subnormal gets an implicit one that is
 * subtracted again. */
static inline __m128 f16_to_f32_x4(__m128i h) {
    __m128i m = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x7fff)), 13);
    __m128i sign = _mm_slli_epi32(_mm_and_si128(h, _mm_set1_epi32(0x8000)), 16);
    __m128i normal = _mm_add_epi32(m, _mm_set1_epi32(112 << 23));
    __m128i one = _mm_set1_epi32(113 << 23);
    __m128 subnormal = _mm_sub_ps(_mm_castsi128_ps(_mm_add_epi32(m, one)), _mm_castsi128_ps(one));
    __m128 is_subnormal = _mm_castsi128_ps(_mm_cmpgt_epi32(_mm_set1_epi32(1 << 23), m));
    __m128 y = _mm_blendv_ps(_mm_castsi128_ps(normal), subnormal, is_subnormal);
    return _mm_or_ps(y, _mm_castsi128_ps(sign));
}

/* Elements j .. j+3 of a row of f16 or f32. is_f16 is a constant wherever it appears. */
static inline __m128 row_load4(const void *row, ptrdiff_t j, bool is_f16) {
    if (!is_f16) return _mm_loadu_ps((const float *)row + j);
    const void *at = (const uint16_t *)row + j;
    return f16_to_f32_x4(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)at)));
}

/* SUM16(j < k) row[j] * x[j], goes on behind the `whole` elements whose lanes are in acc. */
static inline float sum16_finish(const __m128 acc[4], const void *row, const float *x,
                                 ptrdiff_t whole, ptrdiff_t k, bool is_f16) {
    float lane[16];
    UNROLL for (int l = 0; l < 4; l++) {
        _mm_storeu_ps(lane + 4 * l, acc[l]);
    }
    for (ptrdiff_t j = whole; j < k; j++)
        lane[j - whole] += row_at(row, j, is_f16) * x[j];
    return sum16(lane);
}

/* Rows r .. and tokens t ..: two rows by one token share activations, one row by two tokens shares
 * converted weights. rows and tokens are constants where this is inlined. */
__attribute__((always_inline)) static inline void dense_tile(const bitnet_dense_args *a, int32_t r,
                                                             int32_t t, const int rows,
                                                             const int tokens, bool is_f16) {
    const ptrdiff_t k = a->k, whole = k - k % 16;
    const void *w[MAX_PAIRS];
    const float *x[MAX_PAIRS];
    __m128 acc[MAX_PAIRS][4];
    UNROLL for (int i = 0; i < rows * tokens; i++) {
        w[i] = (const uint8_t *)a->w + (r + i % rows) * (k * (is_f16 ? 2 : 4));
        x[i] = a->x + (t + i / rows) * k;
        acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = _mm_setzero_ps();
    }
    for (ptrdiff_t j = 0; j < whole; j += 16)
        UNROLL for (int l = 0; l < 4; l++) {
            UNROLL for (int i = 0; i < rows * tokens; i++) {
                __m128 wv = row_load4(w[i], j + 4 * l, is_f16); /* of a row: once */
                acc[i][l] = _mm_add_ps(acc[i][l], _mm_mul_ps(wv, _mm_loadu_ps(x[i] + j + 4 * l)));
            }
        }
    UNROLL for (int i = 0; i < rows * tokens; i++) {
        a->y[(t + i / rows) * a->ldy + r + i % rows] =
            sum16_finish(acc[i], w[i], x[i], whole, k, is_f16);
    }
}

__attribute__((always_inline)) static inline void dense_matmul(const bitnet_dense_args *a,
                                                               bool is_f16) {
    for (int32_t r = 0; r < a->n; r += 2) {
        const int32_t end = r + 2 < a->n ? r + 2 : a->n;
        int32_t t = 0;
        for (; t + 2 <= a->m; t += 2)
            for (int32_t i = r; i < end; i++)
                dense_tile(a, i, t, 1, 2, is_f16);
        if (t < a->m && r + 2 <= a->n)
            dense_tile(a, r, t, 2, 1, is_f16);
        else if (t < a->m)
            dense_tile(a, r, t, 1, 1, is_f16);
    }
}

#endif
