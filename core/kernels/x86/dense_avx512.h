/* dense_avx512.h: f16_matmul and f32_matmul for AVX-512: the sixteen lanes of SUM16 are one register.
 * Tiles of four rows with one token (decode) or four tokens (prefill: each converted weight serves
 * four). No FMA.
 *
 * A tail of k % 16 terms is loaded under a mask. The lanes outside it gain 0 * 0 = +0, which
 * changes nothing: a lane that starts at +0 never becomes -0.
 */
#ifndef BITNET_DENSE_AVX512_H
#define BITNET_DENSE_AVX512_H

#include "kernels/x86/sum16_avx2.h"

#define ROWS       4
#define MAX_TOKENS 4

/* tokens and is_f16 are constants wherever they appear. */
typedef struct dense_tile {
    const void *w[ROWS];
    const float *x; /* [tokens][k] */
    ptrdiff_t k;
    int tokens;
    bool is_f16;
} dense_tile;

static inline __m256 sum_halves(__m512 v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

__attribute__((always_inline)) static inline void
dense_step(__m512 acc[MAX_TOKENS][ROWS], const dense_tile *d, ptrdiff_t j, __mmask16 mask) {
    __m512 v[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) {
        if (d->is_f16)
            v[i] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)d->w[i] + j));
        else
            v[i] = _mm512_maskz_loadu_ps(mask, (const float *)d->w[i] + j);
    }
    UNROLL for (int t = 0; t < d->tokens; t++) {
        __m512 xt = _mm512_maskz_loadu_ps(mask, d->x + t * d->k + j);
        UNROLL for (int i = 0; i < ROWS; i++) {
            acc[t][i] = _mm512_add_ps(acc[t][i], _mm512_mul_ps(v[i], xt));
        }
    }
}

/* Rows r .. r+3, tokens t and up. */
__attribute__((always_inline)) static inline void
dense_do_tile(const bitnet_dense_args *a, int32_t r, int32_t t, const int tokens, bool is_f16) {
    const ptrdiff_t k = a->k, whole = k - k % 16;
    dense_tile d = {.x = a->x + t * k, .k = k, .tokens = tokens, .is_f16 = is_f16};
    __m512 acc[MAX_TOKENS][ROWS];

    four_rows(d.w, a->w, k * (is_f16 ? 2 : 4), r, a->n);
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int j = 0; j < ROWS; j++) {
            acc[i][j] = _mm512_setzero_ps();
        }
    }
    for (ptrdiff_t j = 0; j < whole; j += 16)
        dense_step(acc, &d, j, 0xffff);
    if (whole < k) dense_step(acc, &d, whole, (__mmask16)((1u << (k - whole)) - 1));
    UNROLL for (int i = 0; i < tokens; i++) {
        __m128 sum = sum8_of_4(sum_halves(acc[i][0]), sum_halves(acc[i][1]), sum_halves(acc[i][2]),
                               sum_halves(acc[i][3]));
        store_up_to_4(a->y + (t + i) * a->ldy + r, sum, a->n - r);
    }
}

__attribute__((always_inline)) static inline void dense_matmul_avx512(const bitnet_dense_args *a,
                                                                      bool is_f16) {
    for (int32_t r = 0; r < a->n; r += ROWS) {
        int32_t t = 0;
        for (; t + MAX_TOKENS <= a->m; t += MAX_TOKENS)
            dense_do_tile(a, r, t, MAX_TOKENS, is_f16);
        for (; t < a->m; t++)
            dense_do_tile(a, r, t, 1, is_f16);
    }
}

#endif
