/* attn_mix_simd128.c: the weighted sum of values. A tile of queries times vectors of the head stays in
 * registers while all positions pass by, in order: a load of a value serves several queries. With eight
 * accumulators a tile keeps two adders of latency 4 busy. */
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

#define MAX_QUERIES 4
#define MAX_VECTORS 8

/* Elements d .. d + 4 vectors of queries t ..; queries and vectors are constants where this is inlined. */
__attribute__((always_inline)) static inline void
tile(const bitnet_attn_mix_args *a, int32_t t, int32_t d, const int queries, const int vectors) {
    const float *v = a->v + d, *p = a->p + t * a->ldp;
    float *y = a->y + t * a->ldy + d;
    v128_t acc[MAX_QUERIES][MAX_VECTORS];
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            acc[q][i] = wasm_v128_load(y + q * a->ldy + 4 * i);
        }
    }
    for (int32_t pos = 0; pos < a->n_pos; pos++, v += a->head_dim) {
        UNROLL for (int q = 0; q < queries; q++) {
            v128_t weight = wasm_v128_load32_splat(p + q * a->ldp + pos);
            UNROLL for (int i = 0; i < vectors; i++) {
                v128_t product = wasm_f32x4_mul(weight, wasm_v128_load(v + 4 * i));
                acc[q][i] = wasm_f32x4_add(acc[q][i], product);
            }
        }
    }
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < vectors; i++) {
            wasm_v128_store(y + q * a->ldy + 4 * i, acc[q][i]);
        }
    }
}

/* What a head that is no multiple of four has left. */
static void mix_tail(const bitnet_attn_mix_args *a, int32_t t, int32_t d) {
    for (; d < a->head_dim; d++) {
        float acc = a->y[t * a->ldy + d];
        for (int32_t pos = 0; pos < a->n_pos; pos++)
            acc += a->p[t * a->ldp + pos] * a->v[(ptrdiff_t)pos * a->head_dim + d];
        a->y[t * a->ldy + d] = acc;
    }
}

void bitnet_attn_mix_simd128(const bitnet_attn_mix_args *a) {
    int32_t t = 0;
    for (; t + 4 <= a->m; t += 4) {
        int32_t d = 0;
        for (; d + 8 <= a->head_dim; d += 8)
            tile(a, t, d, 4, 2);
        for (; d + 4 <= a->head_dim; d += 4)
            tile(a, t, d, 4, 1);
        for (int32_t q = 0; q < 4; q++)
            mix_tail(a, t + q, d);
    }
    for (; t < a->m; t++) {
        int32_t d = 0;
        for (; d + 32 <= a->head_dim; d += 32)
            tile(a, t, d, 1, 8);
        for (; d + 4 <= a->head_dim; d += 4)
            tile(a, t, d, 1, 1);
        mix_tail(a, t, d);
    }
}
