/* sum16_neon.h: SUM16 dot products (kernels.h) of four rows, or one, with one f32 vector. The rows are f16 or
 * f32 weights, or f32 keys of attention.
 *
 * The sixteen lanes are four registers; a tail of k % 16 terms goes on in scalar code on the same
 * lanes. Products and sums are separate instructions: fmla rounds once, plain C twice.
 */
#ifndef BITNET_SUM16_NEON_H
#define BITNET_SUM16_NEON_H

#include <stdbool.h>

#include "kernels/arm/arm.h"
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

typedef struct lanes16 { /* lanes 4 i .. 4 i + 3 in v[i] */
    float32x4_t v[4];
} lanes16;

/* Elements j .. j+3 of a row of f16 or f32. is_f16 is a constant wherever it appears. */
static inline float32x4_t row_load4(const void *row, ptrdiff_t j, bool is_f16) {
    if (!is_f16) return vld1q_f32((const float *)row + j);
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16((const uint16_t *)row + j)));
}

static inline void lanes16_store(float lane[16], const lanes16 *l) {
    for (int i = 0; i < 4; i++)
        vst1q_f32(lane + 4 * i, l->v[i]);
}

/* Lanes l and l + 8, then l and l + 4 */
static inline float32x4_t sum16_to_4(const lanes16 *l) {
    return vaddq_f32(vaddq_f32(l->v[0], l->v[2]), vaddq_f32(l->v[1], l->v[3]));
}

/* The rest, l and l + 2, then l and l + 1, for four at once */
static inline float32x4_t sum4_of_4(const float32x4_t s[4]) {
    const float64x2_t s0 = vreinterpretq_f64_f32(s[0]), s1 = vreinterpretq_f64_f32(s[1]);
    const float64x2_t s2 = vreinterpretq_f64_f32(s[2]), s3 = vreinterpretq_f64_f32(s[3]);
    float32x4_t ab = vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(s0, s1)),
                               vreinterpretq_f32_f64(vzip2q_f64(s0, s1)));
    float32x4_t cd = vaddq_f32(vreinterpretq_f32_f64(vzip1q_f64(s2, s3)),
                               vreinterpretq_f32_f64(vzip2q_f64(s2, s3)));
    return vpaddq_f32(ab, cd);
}

/* SUM16(j < k) w[i][j] * x[j] for i < rows, 4 or 1 and a constant */
__attribute__((always_inline)) static inline float32x4_t
sum16_dot(const void *const w[4], const float *x, ptrdiff_t k, const int rows, bool is_f16) {
    const ptrdiff_t whole = k - k % 16;
    lanes16 acc[4];
    float32x4_t quarter[4];
    float lane[16], y[4] = {0};
    UNROLL for (int r = 0; r < rows; r++) {
        UNROLL for (int i = 0; i < 4; i++) {
            acc[r].v[i] = vdupq_n_f32(0.0f);
        }
    }
    for (ptrdiff_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            const float32x4_t xv = vld1q_f32(x + j + 4 * i);
            UNROLL for (int r = 0; r < rows; r++) {
                const float32x4_t wv = row_load4(w[r], j + 4 * i, is_f16);
                acc[r].v[i] = vaddq_f32(acc[r].v[i], vmulq_f32(wv, xv));
            }
        }
    if (whole == k) {
        UNROLL for (int r = 0; r < 4; r++) {
            quarter[r] = sum16_to_4(&acc[r % rows]);
        }
        return sum4_of_4(quarter);
    }
    UNROLL for (int r = 0; r < rows; r++) {
        lanes16_store(lane, &acc[r]);
        for (ptrdiff_t j = whole; j < k; j++)
            lane[j - whole] += row_at(w[r], j, is_f16) * x[j];
        y[r] = sum16(lane);
    }
    return vld1q_f32(y);
}

/* Rows r .. r + rows - 1 by all tokens; rows is a constant. */
__attribute__((always_inline)) static inline void dense_rows(const bitnet_dense_args *a, int32_t r,
                                                             const int rows, bool is_f16) {
    const ptrdiff_t k = a->k, row_size = k * (is_f16 ? 2 : 4);
    const void *w[4];
    for (int i = 0; i < rows; i++)
        w[i] = (const uint8_t *)a->w + (r + i) * row_size;
    for (int32_t t = 0; t < a->m; t++)
        store_up_to_4(a->y + t * a->ldy + r, sum16_dot(w, a->x + t * k, k, rows, is_f16), rows);
}

/* A whole f16_matmul or f32_matmul: four rows at a time share each load of the activations; the rows
 * stay in the first cache while every token passes over them. */
__attribute__((always_inline)) static inline void dense_matmul(const bitnet_dense_args *a,
                                                               bool is_f16) {
    int32_t r = 0;
    for (; r + 4 <= a->n; r += 4)
        dense_rows(a, r, 4, is_f16);
    for (; r < a->n; r++) /* the head's scan leaves rows that are called for one by one */
        dense_rows(a, r, 1, is_f16);
}

#endif
