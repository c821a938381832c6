/* attn_mix_neon.c: the weighted sum of values, positions ascending. Sixteen elements of some queries
 * stay in registers while all positions pass; each load of a value serves four queries.
 */
#include "kernels/arm/arm.h"
#include "kernels/kernels.h"

#define MAX_QUERIES 4

/* Elements d .. d + 4 width - 1 of some queries; both numbers are constants where this is inlined. */
__attribute__((always_inline)) static inline void
mix(const bitnet_attn_mix_args *a, int32_t t, int32_t d, const int queries, const int width) {
    const float *p = a->p + t * a->ldp, *v = a->v + d;
    float *y = a->y + t * a->ldy + d;
    float32x4_t acc[MAX_QUERIES][4];
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < width; i++) {
            acc[q][i] = vld1q_f32(y + q * a->ldy + 4 * i);
        }
    }
    for (int32_t pos = 0; pos < a->n_pos; pos++, p++, v += a->head_dim)
        UNROLL for (int i = 0; i < width; i++) {
            const float32x4_t value = vld1q_f32(v + 4 * i);
            UNROLL for (int q = 0; q < queries; q++) {
                acc[q][i] = vaddq_f32(acc[q][i], vmulq_n_f32(value, p[q * a->ldp]));
            }
        }
    UNROLL for (int q = 0; q < queries; q++) {
        UNROLL for (int i = 0; i < width; i++) {
            vst1q_f32(y + q * a->ldy + 4 * i, acc[q][i]);
        }
    }
}

static void mix_tail(const bitnet_attn_mix_args *a, int32_t t, int32_t d) {
    for (; d < a->head_dim; d++) {
        float y = a->y[t * a->ldy + d];
        for (int32_t pos = 0; pos < a->n_pos; pos++)
            y += a->p[t * a->ldp + pos] * a->v[(ptrdiff_t)pos * a->head_dim + d];
        a->y[t * a->ldy + d] = y;
    }
}

__attribute__((always_inline)) static inline void all_elements(const bitnet_attn_mix_args *a,
                                                               int32_t t, const int queries) {
    int32_t d = 0;
    for (; a->head_dim - d >= 16; d += 16)
        mix(a, t, d, queries, 4);
    for (; a->head_dim - d >= 4; d += 4)
        mix(a, t, d, queries, 1);
    for (int q = 0; q < queries; q++)
        mix_tail(a, t + q, d);
}

void bitnet_attn_mix_neon(const bitnet_attn_mix_args *a) {
    int32_t t = 0;
    for (; a->m - t >= 4; t += 4)
        all_elements(a, t, 4);
    for (; t < a->m; t++)
        all_elements(a, t, 1);
}
