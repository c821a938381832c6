/* sum16_simd128.h: SUM16 dot products (kernels.h) of two rows with one f32 vector. The rows are f16 or
 * f32 weights, or f32 keys of attention.
 *
 * The sixteen lanes are four registers; a tail of k % 16 terms goes on in scalar code on the same
 * lanes. No relaxed_madd anywhere: whether it rounds once or twice is the engine's choice.
 */
#ifndef BITNET_SUM16_SIMD128_H
#define BITNET_SUM16_SIMD128_H

#include <stdbool.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

typedef struct lanes16 { /* lanes 4 i .. 4 i + 3 in v[i] */
    v128_t v[4];
} lanes16;

/* Elements j .. j+3 of a row of f16 (finite) or f32. is_f16 is a constant wherever it appears.
 * There is no f16 in wasm: sign extension puts the sign into the top bits, the shift leaves the
 * exponent 112 too low, and the product that mends it is exact, denormals included. */
static inline v128_t row_load4(const void *row, ptrdiff_t j, bool is_f16) {
    if (!is_f16) return wasm_v128_load((const float *)row + j);
    v128_t h = wasm_i32x4_shl(wasm_i32x4_load16x4((const uint16_t *)row + j), 13);
    h = wasm_v128_and(h, wasm_i32x4_splat((int32_t)0x8fffe000));
    return wasm_f32x4_mul(h, wasm_f32x4_splat(0x1p112f));
}

/* sum16() on registers */
static inline float sum16_lanes(const lanes16 *l) {
    v128_t s8lo = wasm_f32x4_add(l->v[0], l->v[2]), s8hi = wasm_f32x4_add(l->v[1], l->v[3]);
    v128_t s4 = wasm_f32x4_add(s8lo, s8hi);
    v128_t s2 = wasm_f32x4_add(s4, wasm_i32x4_shuffle(s4, s4, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(s2, 0) + wasm_f32x4_extract_lane(s2, 1);
}

/* y[i] = SUM16(j < k) w[i][j] * x[j] */
__attribute__((always_inline)) static inline void
sum16_dot2(float y[2], const void *const w[2], const float *x, ptrdiff_t k, bool is_f16) {
    const ptrdiff_t whole = k - k % 16;
    lanes16 acc[2];
    UNROLL for (int i = 0; i < 4; i++) {
        acc[0].v[i] = acc[1].v[i] = wasm_f32x4_splat(0.0f);
    }
    for (ptrdiff_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            v128_t xv = wasm_v128_load(x + j + 4 * i);
            UNROLL for (int r = 0; r < 2; r++) {
                v128_t product = wasm_f32x4_mul(row_load4(w[r], j + 4 * i, is_f16), xv);
                acc[r].v[i] = wasm_f32x4_add(acc[r].v[i], product);
            }
        }
    for (int r = 0; r < 2; r++) {
        float lane[16];
        if (whole == k) {
            y[r] = sum16_lanes(&acc[r]);
            continue;
        }
        for (int i = 0; i < 4; i++)
            wasm_v128_store(lane + 4 * i, acc[r].v[i]);
        for (ptrdiff_t j = whole; j < k; j++)
            lane[j - whole] += row_at(w[r], j, is_f16) * x[j];
        y[r] = sum16(lane);
    }
}

/* A whole f16_matmul or f32_matmul: two rows at a time share each load of the activations; the rows
 * stay in the first cache while every token passes over them. */
__attribute__((always_inline)) static inline void dense_matmul(const bitnet_dense_args *a,
                                                               bool is_f16) {
    const ptrdiff_t k = a->k, row_size = k * (is_f16 ? 2 : 4);
    for (int32_t r = 0; r < a->n; r += 2) {
        const int32_t last = r + 1 < a->n ? r + 1 : r;
        const uint8_t *w = a->w;
        const void *rows[2] = {w + r * row_size, w + last * row_size};
        for (int32_t t = 0; t < a->m; t++) {
            float y[2];
            sum16_dot2(y, rows, a->x + t * k, k, is_f16);
            a->y[t * a->ldy + r] = y[0];
            a->y[t * a->ldy + last] = y[last - r];
        }
    }
}

#endif
