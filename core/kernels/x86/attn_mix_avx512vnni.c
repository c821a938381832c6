/* attn_mix_avx512vnni.c: the weighted sum of values, positions ascending. A tile of four queries by four
 * registers of sixteen elements: 16 accumulators, four of values, one probability, one product, so
 * that each load serves four. One query takes eight registers of elements instead. What a head has
 * beyond whole registers is masked.
 */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define MAX_QUERIES 4
#define MAX_VECTORS 8

/* y[t ..][d ..]; queries and vectors are constants where this is inlined, and mask has all sixteen
 * bits unless there is one vector. */
__attribute__((always_inline)) static inline void tile(const bitnet_attn_mix_args *a, int32_t t,
                                                       int32_t d, const int queries,
                                                       const int vectors, __mmask16 mask) {
    const float *p = a->p + t * a->ldp, *v = a->v + d;
    float *y = a->y + t * a->ldy + d;
    __m512 acc[MAX_QUERIES][MAX_VECTORS];
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            acc[q][i] = _mm512_maskz_loadu_ps(mask, y + q * a->ldy + 16 * i);
        }
    }
    for (int32_t pos = 0; pos < a->n_pos; pos++, p++, v += a->head_dim) {
        __m512 value[MAX_VECTORS];
        UNROLL for (int i = 0; i < vectors; i++) {
            value[i] = _mm512_maskz_loadu_ps(mask, v + 16 * i);
        }
        UNROLL for (int q = 0; q < queries; q++) {
            __m512 pq = _mm512_set1_ps(p[q * a->ldp]);
            UNROLL for (int i = 0; i < vectors; i++) {
                acc[q][i] = _mm512_add_ps(acc[q][i], _mm512_mul_ps(value[i], pq));
            }
        }
    }
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            _mm512_mask_storeu_ps(y + q * a->ldy + 16 * i, mask, acc[q][i]);
        }
    }
}

/* Elements d .. of some queries, one register at a time */
__attribute__((always_inline)) static inline void rest(const bitnet_attn_mix_args *a, int32_t t,
                                                       int32_t d, const int queries) {
    for (; d < a->head_dim; d += 16)
        tile(a, t, d, queries, 1, first_lanes(a->head_dim - d));
}

void bitnet_attn_mix_avx512vnni(const bitnet_attn_mix_args *a) {
    int32_t t = 0, d;
    for (; t + 4 <= a->m; t += 4) {
        for (d = 0; d + 64 <= a->head_dim; d += 64)
            tile(a, t, d, 4, 4, 0xffff);
        rest(a, t, d, 4);
    }
    for (; t < a->m; t++) {
        for (d = 0; d + 128 <= a->head_dim; d += 128)
            tile(a, t, d, 1, 8, 0xffff);
        for (; d + 64 <= a->head_dim; d += 64)
            tile(a, t, d, 1, 4, 0xffff);
        rest(a, t, d, 1);
    }
}
