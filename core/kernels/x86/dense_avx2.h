/* dense_avx2.h: f16_matmul and f32_matmul for AVX2 and F16C, no FMA: four rows by one token at a time. */
#ifndef BITNET_DENSE_AVX2_H
#define BITNET_DENSE_AVX2_H

#include "kernels/x86/sum16_avx2.h"

/* Rows r .. r+3, those below n, by all tokens. Keys that meet several queries are converted beforehand. */
__attribute__((always_inline)) static inline void dense_4_rows(const bitnet_dense_args *a,
                                                               int32_t r, bool is_f16) {
    _Alignas(32) float keep[4 * MAX_KEPT];
    const ptrdiff_t k = a->k, row_size = k * (is_f16 ? 2 : 4);
    const bool is_kept = is_f16 && a->m > 2 && k <= MAX_KEPT && k % 8 == 0;
    const void *rows[4];
    four_rows(rows, a->w, row_size, r, a->n);
    const uint8_t *ahead = r + 4 <= a->n ? fetch_from(rows[0], 4 * row_size) : NULL;
    for (int i = 0; is_kept && i < 4; i++) {
        float *kept = keep + i * k;
        for (ptrdiff_t j = 0; j < k; j += 8)
            _mm256_store_ps(kept + j, row_load8(rows[i], j, true));
        rows[i] = kept;
    }
    for (int32_t t = 0; t < a->m; t++, ahead = NULL) {
        const float *x = a->x + t * k;
        __m128 y =
            is_kept ? sum16_dot4(rows, x, k, ahead, false) : sum16_dot4(rows, x, k, ahead, is_f16);
        store_up_to_4(a->y + t * a->ldy + r, y, a->n - r);
    }
}

/* A whole f16_matmul or f32_matmul: four rows at a time share each load of the activations; the rows
 * stay in the first cache while every token passes over them. */
__attribute__((always_inline)) static inline void dense_matmul(const bitnet_dense_args *a,
                                                               bool is_f16) {
    for (int32_t r = 0; r < a->n; r += 4)
        dense_4_rows(a, r, is_f16);
}

#endif
