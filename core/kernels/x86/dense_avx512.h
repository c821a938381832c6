/* dense_avx512.h: f16_matmul and f32_matmul for AVX-512: the sixteen lanes of SUM16 are one register.
 * No FMA. Tiles:
 *   4 rows by 4 tokens    each converted weight serves four; keys that meet more queries stay converted
 *   16 rows by 1 token    of short rows, as the keys of a head are (64 .. 128). There, adding up the lanes
 *                         costs nearly as much as the products, so it is done for sixteen together
 *   4 rows by 1 token     of long rows: those of an output head
 *   1 row by 1 token      what is left
 *
 * A tail of k % 16 terms is loaded under a mask. The lanes outside it gain 0 * 0 = +0, which
 * changes nothing: a lane that starts at +0 never becomes -0.
 */
#ifndef BITNET_DENSE_AVX512_H
#define BITNET_DENSE_AVX512_H

#include "kernels/x86/sum16_avx2.h"

#define MAX_SUMS 16
#define LONG_ROW 512 /* weights */

/* Rows of row_size bytes from w on; the last line holds constants wherever they appear. */
typedef struct dense_tile {
    const uint8_t *w;
    const float *x; /* [tokens][k] */
    ptrdiff_t k, row_size;
    const uint8_t *ahead; /* what is to be fetched while these rows are read, or NULL */
    float *keep;          /* [rows][k], where not NULL: the converted weights, for further tokens */
    int rows, tokens;
    bool is_f16;
} dense_tile;

static inline __m256 sum_halves(__m512 v) {
    return _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
}

/* Lanes l and l + 8 of a and of b, l < 8: a's sums, then b's. */
static inline __m512 add_8(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_mask_blend_ps(0xff00, a, b), _mm512_shuffle_f32x4(a, b, 0x4e));
}

/* Of a's and b's halves: lanes l and l + 4, l < 4. */
static inline __m512 add_4(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

/* Of a's and b's quarters: lanes l and l + 2, l < 2. */
static inline __m512 add_2(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_mask_blend_ps(0xcccc, a, b), _mm512_shuffle_ps(a, b, 0x4e));
}

static inline __m512 add_1(__m512 a, __m512 b) {
    return _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

static inline __m512 sum8_of_4_wide(const __m512 v[4]) {
    return add_4(add_8(v[0], v[1]), add_8(v[2], v[3]));
}

/* The end of SUM16 for sixteen: lane 4 i + j becomes the sum of v[4 j + i]. */
static inline __m512 sum16_of_16(const __m512 v[16]) {
    return add_1(add_2(sum8_of_4_wide(v), sum8_of_4_wide(v + 4)),
                 add_2(sum8_of_4_wide(v + 8), sum8_of_4_wide(v + 12)));
}

/* acc[tokens i + t] is of row i. */
__attribute__((always_inline)) static inline void
dense_step(__m512 acc[MAX_SUMS], const dense_tile *d, ptrdiff_t j, __mmask16 mask) {
    __m512 x[4];
    UNROLL for (int t = 0; t < d->tokens; t++) {
        x[t] = _mm512_maskz_loadu_ps(mask, d->x + t * d->k + j);
    }
    UNROLL16 for (int i = 0; i < d->rows; i++) {
        const uint8_t *w = d->w + i * d->row_size + j * (d->is_f16 ? 2 : 4);
        __m512 v;
        if (d->is_f16)
            v = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, w));
        else
            v = _mm512_maskz_loadu_ps(mask, w);
        if (d->keep) _mm512_mask_storeu_ps(d->keep + i * d->k + j, mask, v);
        UNROLL for (int t = 0; t < d->tokens; t++) {
            acc[d->tokens * i + t] = _mm512_add_ps(acc[d->tokens * i + t], _mm512_mul_ps(v, x[t]));
        }
    }
}

__attribute__((always_inline)) static inline void dense_run(__m512 acc[MAX_SUMS],
                                                            const dense_tile *d) {
    const ptrdiff_t whole = d->k - d->k % 16;
    const int size = d->is_f16 ? 2 : 4;
    UNROLL16 for (int i = 0; i < d->rows * d->tokens; i++) {
        acc[i] = _mm512_setzero_ps();
    }
    for (ptrdiff_t j = 0; j < whole; j += 16) {
        if (d->ahead) fetch(d->ahead + j * d->rows * size, 16 * d->rows * size);
        dense_step(acc, d, j, 0xffff);
    }
    if (whole < d->k) dense_step(acc, d, whole, (__mmask16)((1u << (d->k - whole)) - 1));
}

/* Rows from r on, tokens from t on */
__attribute__((always_inline)) static inline dense_tile
dense_tile_at(const bitnet_dense_args *a, int32_t r, int32_t t, bool is_f16) {
    const ptrdiff_t k = a->k, row_size = k * (is_f16 ? 2 : 4);
    return (dense_tile){.w = (const uint8_t *)a->w + r * row_size,
                        .x = a->x + t * k,
                        .k = k,
                        .row_size = row_size,
                        .is_f16 = is_f16};
}

/* Four rows from r on by the four tokens from t on; d is of these */
__attribute__((always_inline)) static inline void dense_4_by_4(const bitnet_dense_args *a,
                                                               int32_t r, int32_t t, dense_tile d) {
    __m512 acc[MAX_SUMS], y;
    float *dst = a->y + t * a->ldy + r;
    d.rows = d.tokens = 4;
    dense_run(acc, &d);
    y = sum16_of_16(acc);
    _mm_storeu_ps(dst, _mm512_castps512_ps128(y));
    _mm_storeu_ps(dst + a->ldy, _mm512_extractf32x4_ps(y, 1));
    _mm_storeu_ps(dst + 2 * a->ldy, _mm512_extractf32x4_ps(y, 2));
    _mm_storeu_ps(dst + 3 * a->ldy, _mm512_extractf32x4_ps(y, 3));
}

/* The same four rows by further tokens, 4 .. tokens - 1 */
__attribute__((always_inline)) static inline void
dense_further(const bitnet_dense_args *a, int32_t r, int32_t tokens, dense_tile d) {
    for (int32_t t = 4; t < tokens; t += 4) {
        d.x += 4 * d.k;
        dense_4_by_4(a, r, t, d);
    }
}

/* Rows r .. r+3 by the first `tokens` tokens, a multiple of 4 */
__attribute__((always_inline)) static inline void
dense_4_rows(const bitnet_dense_args *a, int32_t r, int32_t tokens, bool is_f16) {
    _Alignas(64) float keep[4 * MAX_KEPT]; /* or every other load crosses a line */
    dense_tile d = dense_tile_at(a, r, 0, is_f16);
    d.ahead = fetch_from(d.w, 4 * d.row_size);
    if (is_f16 && tokens > 4 && a->k <= MAX_KEPT) {
        dense_tile kept = {(const uint8_t *)keep, d.x, d.k, 4 * d.k, NULL, NULL, 4, 4, false};
        d.keep = keep;
        dense_4_by_4(a, r, 0, d);
        dense_further(a, r, tokens, kept);
    } else {
        dense_4_by_4(a, r, 0, d);
        d.ahead = NULL;
        dense_further(a, r, tokens, d);
    }
}

/* Rows r .. r+15 by token t */
__attribute__((always_inline)) static inline void dense_16_by_1(const bitnet_dense_args *a,
                                                                int32_t r, int32_t t, bool is_f16) {
    dense_tile d = dense_tile_at(a, r, t, is_f16);
    __m512 acc[MAX_SUMS], turned[MAX_SUMS];
    d.rows = 16, d.tokens = 1, d.ahead = fetch_from(d.w, 16 * d.row_size);
    dense_run(acc, &d);
    UNROLL16 for (int i = 0; i < 16; i++) {
        turned[4 * (i % 4) + i / 4] = acc[i];
    }
    _mm512_storeu_ps(a->y + t * a->ldy + r, sum16_of_16(turned));
}

/* Rows r .. r+3 by token t */
__attribute__((always_inline)) static inline void dense_4_by_1(const bitnet_dense_args *a,
                                                               int32_t r, int32_t t, bool is_f16) {
    dense_tile d = dense_tile_at(a, r, t, is_f16);
    __m512 acc[MAX_SUMS];
    d.rows = 4, d.tokens = 1, d.ahead = fetch_from(d.w, 4 * d.row_size);
    dense_run(acc, &d);
    _mm_storeu_ps(a->y + t * a->ldy + r, sum8_of_4(sum_halves(acc[0]), sum_halves(acc[1]),
                                                   sum_halves(acc[2]), sum_halves(acc[3])));
}

/* Row r by token t; nothing ahead: rows that the head's scan left are called for one by one. */
__attribute__((always_inline)) static inline void dense_1_by_1(const bitnet_dense_args *a,
                                                               int32_t r, int32_t t, bool is_f16) {
    dense_tile d = dense_tile_at(a, r, t, is_f16);
    __m512 acc[MAX_SUMS];
    d.rows = d.tokens = 1;
    dense_run(acc, &d);
    const __m256 half = sum_halves(acc[0]);
    a->y[t * a->ldy + r] = _mm_cvtss_f32(sum8_of_4(half, half, half, half));
}

__attribute__((always_inline)) static inline void dense_matmul_avx512(const bitnet_dense_args *a,
                                                                      bool is_f16) {
    const int32_t in_fours = a->m - a->m % 4; /* tokens */
    const int32_t rows_in_fours = a->n - a->n % 4;
    int32_t r = 0;
    if (in_fours)
        for (; r < rows_in_fours; r += 4)
            dense_4_rows(a, r, in_fours, is_f16);
    for (r = 0; a->k < LONG_ROW && r + 16 <= a->n; r += 16)
        for (int32_t t = in_fours; t < a->m; t++)
            dense_16_by_1(a, r, t, is_f16);
    for (; r < rows_in_fours; r += 4)
        for (int32_t t = in_fours; t < a->m; t++)
            dense_4_by_1(a, r, t, is_f16);
    for (; r < a->n; r++)
        for (int32_t t = 0; t < a->m; t++)
            dense_1_by_1(a, r, t, is_f16);
}

#endif
