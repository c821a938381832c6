/* attn_mix_sse41.c: the weighted sum of values, positions ascending. A tile of four queries by two
 * registers of four elements: eight accumulators, two of values, one probability, one product. One
 * query takes eight registers of elements instead. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define MAX_QUERIES 4
#define MAX_VECTORS 8

/* y[t ..][d ..]; queries and vectors are constants where this is inlined. */
__attribute__((always_inline)) static inline void
tile(const bitnet_attn_mix_args *a, int32_t t, int32_t d, const int queries, const int vectors) {
    const float *p = a->p + t * a->ldp, *v = a->v + d;
    float *y = a->y + t * a->ldy + d;
    __m128 acc[MAX_QUERIES][MAX_VECTORS];
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            acc[q][i] = _mm_loadu_ps(y + q * a->ldy + 4 * i);
        }
    }
    for (int32_t pos = 0; pos < a->n_pos; pos++, p++, v += a->head_dim) {
        UNROLL for (int q = 0; q < queries; q++) {
            __m128 pq = _mm_set1_ps(p[q * a->ldp]);
            UNROLL for (int i = 0; i < vectors; i++) {
                acc[q][i] = _mm_add_ps(acc[q][i], _mm_mul_ps(_mm_loadu_ps(v + 4 * i), pq));
            }
        }
    }
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            _mm_storeu_ps(y + q * a->ldy + 4 * i, acc[q][i]);
        }
    }
}

/* The elements from d on, one at a time */
static void tail(const bitnet_attn_mix_args *a, int32_t t, int32_t d) {
    for (; d < a->head_dim; d++) {
        float *y = a->y + t * a->ldy + d, acc = *y;
        for (int32_t i = 0; i < a->n_pos; i++)
            acc += a->p[t * a->ldp + i] * a->v[(ptrdiff_t)i * a->head_dim + d];
        *y = acc;
    }
}

void bitnet_attn_mix_sse41(const bitnet_attn_mix_args *a) {
    int32_t t = 0, d;
    for (; t + 4 <= a->m; t += 4) {
        for (d = 0; d + 8 <= a->head_dim; d += 8)
            tile(a, t, d, 4, 2);
        for (; d + 4 <= a->head_dim; d += 4)
            tile(a, t, d, 4, 1);
        for (int32_t q = t; q < t + 4; q++)
            tail(a, q, d);
    }
    for (; t < a->m; t++) {
        for (d = 0; d + 32 <= a->head_dim; d += 32)
            tile(a, t, d, 1, 8);
        for (; d + 4 <= a->head_dim; d += 4)
            tile(a, t, d, 1, 1);
        tail(a, t, d);
    }
}
