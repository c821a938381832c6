/* attn_mix.h: the weighted sum of values, positions ascending, for any width of vectors: the file that
 * includes this defines LANES and says how many registers a tile has. A tile of queries by vectors of the
 * head stays in registers while all positions pass; each load of a value serves its queries.
 */
#ifndef BITNET_ATTN_MIX_H
#define BITNET_ATTN_MIX_H

#include "kernels/kernels.h"
#include "kernels/simd.h"

#define MAX_QUERIES 4
#define MAX_VECTORS 8

typedef float vector __attribute__((vector_size(4 * LANES)));

static inline vector load(const float *p) {
    vector v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* y[t ..][d ..]; queries and vectors are constants where this is inlined. */
__attribute__((always_inline)) static inline void
tile(const bitnet_attn_mix_args *a, int32_t t, int32_t d, const int queries, const int vectors) {
    const float *p = a->p + t * a->ldp, *v = a->v + d;
    float *y = a->y + t * a->ldy + d;
    vector acc[MAX_QUERIES][MAX_VECTORS];
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            acc[q][i] = load(y + q * a->ldy + LANES * i);
        }
    }
    for (int32_t pos = 0; pos < a->n_pos; pos++, p++, v += a->head_dim) {
        UNROLL for (int q = 0; q < queries; q++) {
            const float pq = p[q * a->ldp];
            UNROLL for (int i = 0; i < vectors; i++) {
                acc[q][i] += load(v + LANES * i) * pq;
            }
        }
    }
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            memcpy(y + q * a->ldy + LANES * i, &acc[q][i], sizeof(vector));
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

/* All elements of some queries, so many vectors at a time, then one. */
__attribute__((always_inline)) static inline void elements(const bitnet_attn_mix_args *a, int32_t t,
                                                           const int queries, const int vectors) {
    int32_t d = 0;
    for (; a->head_dim - d >= LANES * vectors; d += LANES * vectors)
        tile(a, t, d, queries, vectors);
    for (; a->head_dim - d >= LANES; d += LANES)
        tile(a, t, d, queries, 1);
    for (int32_t q = t; q < t + queries; q++)
        tail(a, q, d);
}

/* A whole attn_mix: four queries by `of_four` vectors, or one by `of_one`; both are constants. */
__attribute__((always_inline)) static inline void attn_mix(const bitnet_attn_mix_args *a,
                                                           const int of_four, const int of_one) {
    int32_t t = 0;
    for (; a->m - t >= 4; t += 4)
        elements(a, t, 4, of_four);
    for (; t < a->m; t++)
        elements(a, t, 1, of_one);
}

#endif
