/* f16_matmul_avx512vnni.c: the sixteen lanes of SUM16 are one register. Tiles of four rows with one
 * token (decode) or four tokens (prefill: each converted weight serves four). No FMA.
 *
 * A tail of k % 16 terms is loaded under a mask. The lanes outside it gain 0 * 0 = +0, which
 * changes nothing: a lane that starts at +0 never becomes -0.
 */
#include "kernels/x86/sum16_avx2.h"

#define ROWS       4
#define MAX_TOKENS 4

static inline __m256 sum_halves(__m512 v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

/* tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void step(__m512 acc[MAX_TOKENS][ROWS],
                                                       const void *const w[ROWS], const float *x,
                                                       ptrdiff_t k, ptrdiff_t j, __mmask16 mask,
                                                       const int tokens) {
    __m512 v[ROWS];
    UNROLL for (int i = 0; i < ROWS; i++) {
        v[i] = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, (const uint16_t *)w[i] + j));
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        __m512 xt = _mm512_maskz_loadu_ps(mask, x + t * k + j);
        UNROLL for (int i = 0; i < ROWS; i++) {
            acc[t][i] = _mm512_add_ps(acc[t][i], _mm512_mul_ps(v[i], xt));
        }
    }
}

__attribute__((always_inline)) static inline void tile(const bitnet_f16_args *a, int32_t r,
                                                       int32_t t, const int tokens) {
    const ptrdiff_t k = a->k, whole = k - k % 16;
    const float *x = a->x + t * k;
    const void *w[ROWS];
    __m512 acc[MAX_TOKENS][ROWS];

    four_rows(w, a->w, k * 2, r, a->n);
    UNROLL for (int i = 0; i < tokens; i++) {
        UNROLL for (int j = 0; j < ROWS; j++) {
            acc[i][j] = _mm512_setzero_ps();
        }
    }
    for (ptrdiff_t j = 0; j < whole; j += 16)
        step(acc, w, x, k, j, 0xffff, tokens);
    if (whole < k) step(acc, w, x, k, whole, (__mmask16)((1u << (k - whole)) - 1), tokens);
    UNROLL for (int i = 0; i < tokens; i++) {
        __m128 sum = sum8_of_4(sum_halves(acc[i][0]), sum_halves(acc[i][1]), sum_halves(acc[i][2]),
                               sum_halves(acc[i][3]));
        store_up_to_4(a->y + (t + i) * a->ldy + r, sum, a->n - r);
    }
}

void bitnet_f16_matmul_avx512vnni(const bitnet_f16_args *a) {
    for (int32_t r = 0; r < a->n; r += ROWS) {
        int32_t t = 0;
        for (; t + 4 <= a->m; t += 4)
            tile(a, r, t, 4);
        for (; t < a->m; t++)
            tile(a, r, t, 1);
    }
}
