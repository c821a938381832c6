/* dense_avx2.h: f16_matmul and f32_matmul for AVX2 and F16C, no FMA: four rows by one token at a time. */
#ifndef BITNET_DENSE_AVX2_H
#define BITNET_DENSE_AVX2_H

#include "kernels/x86/sum16_avx2.h"

/* Rows r .. r + rows - 1 by all tokens. rows is a constant: 4, or 1, and then nothing is fetched ahead, for rows
 * that the head's scan left are called for one by one. Keys that meet several queries are converted
 * beforehand. */
__attribute__((always_inline)) static inline void dense_rows(const bitnet_dense_args *a, int32_t r,
                                                             const int rows, bool is_f16) {
    _Alignas(32) float keep[4 * MAX_KEPT];
    const ptrdiff_t k = a->k, row_size = k * (is_f16 ? 2 : 4);
    const bool is_kept = is_f16 && a->m > 2 && k <= MAX_KEPT && k % 8 == 0;
    const uint8_t *first = (const uint8_t *)a->w + r * row_size;
    const uint8_t *ahead = rows == 4 ? fetch_from(first, 4 * row_size) : NULL;
    const void *w[4];
    for (int i = 0; i < rows; i++) {
        float *kept = keep + i * k;
        w[i] = first + i * row_size;
        if (!is_kept) continue;
        for (ptrdiff_t j = 0; j < k; j += 8)
            _mm256_store_ps(kept + j, row_load8(w[i], j, true));
        w[i] = kept;
    }
    for (int32_t t = 0; t < a->m; t++, ahead = NULL) {
        const float *x = a->x + t * k;
        __m128 y = is_kept ? sum16_dot(w, x, k, ahead, rows, false)
                           : sum16_dot(w, x, k, ahead, rows, is_f16);
        store_up_to_4(a->y + t * a->ldy + r, y, rows);
    }
}

/* A whole f16_matmul or f32_matmul: four rows at a time share each load of the activations; the rows
 * stay in the first cache while every token passes over them. */
__attribute__((always_inline)) static inline void dense_matmul(const bitnet_dense_args *a,
                                                               bool is_f16) {
    int32_t r = 0;
    for (; r + 4 <= a->n; r += 4)
        dense_rows(a, r, 4, is_f16);
    for (; r < a->n; r++)
        dense_rows(a, r, 1, is_f16);
}

#endif
