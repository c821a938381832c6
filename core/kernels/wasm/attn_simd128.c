/* attn_simd128.c: attention of one query head, in the three passes of the contract: scores two
 * positions at a time, softmax four at a time, then the weighted sum of the values with one
 * accumulator per element, positions ascending. */
#include "kernels/wasm/sum16_simd128.h"

static inline v128_t mul_add(v128_t a, v128_t b, v128_t c) {
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
}

/* EXP of the contract, line by line; pmin and pmax choose as the scalar comparisons do. */
static inline v128_t exp4(v128_t x) {
    const v128_t magic = wasm_f32x4_splat(BITNET_EXP_MAGIC);
    x = wasm_f32x4_pmax(wasm_f32x4_splat(BITNET_EXP_LO), x);
    x = wasm_f32x4_pmin(x, wasm_f32x4_splat(BITNET_EXP_HI));
    v128_t t = mul_add(x, wasm_f32x4_splat(BITNET_EXP_LOG2E), magic);
    v128_t n = wasm_f32x4_sub(t, magic);
    v128_t r = wasm_f32x4_sub(x, wasm_f32x4_mul(n, wasm_f32x4_splat(BITNET_EXP_LN2HI)));
    r = wasm_f32x4_sub(r, wasm_f32x4_mul(n, wasm_f32x4_splat(BITNET_EXP_LN2LO)));
    v128_t p = wasm_f32x4_splat(BITNET_EXP_C6);
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C5));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C4));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C3));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C2));
    p = wasm_f32x4_add(mul_add(p, wasm_f32x4_mul(r, r), r), wasm_f32x4_splat(1.0f));
    /* t is magic + n, so its bits are those of magic plus n; the shift drops all but n + 127 */
    v128_t e = wasm_i32x4_add(t, wasm_i32x4_splat(127 - 0x4b400000));
    return wasm_f32x4_mul(p, wasm_i32x4_shl(e, 23));
}

/* p[t] = score[t]; returns the largest */
static float scores(const bitnet_attn_args *a) {
    float max = 0.0f;
    for (int32_t t = 0; t < a->n_pos; t += 2) {
        const int32_t last = t + 1 < a->n_pos ? t + 1 : t;
        const void *keys[2] = {a->k + t * a->stride, a->k + last * a->stride};
        float dot[2];
        sum16_dot2(dot, keys, a->q, a->head_dim, false);
        for (int32_t i = t; i <= last; i++) {
            a->p[i] = dot[i - t] * a->scale;
            if (i == 0 || a->p[i] > max) max = a->p[i];
        }
    }
    return max;
}

/* p[t] = EXP(p[t] - max); returns SUM16 of them */
static float softmax(float *p, int32_t n, float max) {
    const int32_t whole = n - n % 16;
    const v128_t m = wasm_f32x4_splat(max);
    lanes16 acc;
    float lane[16];
    UNROLL for (int i = 0; i < 4; i++) {
        acc.v[i] = wasm_f32x4_splat(0.0f);
    }
    for (int32_t t = 0; t < whole; t += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            v128_t e = exp4(wasm_f32x4_sub(wasm_v128_load(p + t + 4 * i), m));
            wasm_v128_store(p + t + 4 * i, e);
            acc.v[i] = wasm_f32x4_add(acc.v[i], e);
        }
    for (int i = 0; i < 4; i++)
        wasm_v128_store(lane + 4 * i, acc.v[i]);
    for (int32_t t = whole; t < n; t++) {
        p[t] = bitnet_expf(p[t] - max);
        lane[t - whole] += p[t];
    }
    return sum16(lane);
}

/* y[d .. d + 4 regs) of the values; regs is a constant where this is inlined. */
__attribute__((always_inline)) static inline void values(const bitnet_attn_args *a, int32_t d,
                                                         float sum, const int regs) {
    v128_t acc[8];
    UNROLL for (int i = 0; i < regs; i++) {
        acc[i] = wasm_f32x4_splat(0.0f);
    }
    for (int32_t t = 0; t < a->n_pos; t++) {
        const v128_t p = wasm_f32x4_splat(a->p[t]);
        const float *v = a->v + t * a->stride + d;
        UNROLL for (int i = 0; i < regs; i++) {
            acc[i] = mul_add(p, wasm_v128_load(v + 4 * i), acc[i]);
        }
    }
    UNROLL for (int i = 0; i < regs; i++) {
        wasm_v128_store(a->y + d + 4 * i, wasm_f32x4_div(acc[i], wasm_f32x4_splat(sum)));
    }
}

void bitnet_attn_simd128(const bitnet_attn_args *a) {
    const float max = scores(a), sum = softmax(a->p, a->n_pos, max);
    int32_t d = 0;
    for (; d + 32 <= a->head_dim; d += 32)
        values(a, d, sum, 8);
    for (; d + 4 <= a->head_dim; d += 4)
        values(a, d, sum, 1);
    for (; d < a->head_dim; d++) {
        float acc = 0.0f;
        for (int32_t t = 0; t < a->n_pos; t++)
            acc += a->p[t] * a->v[t * a->stride + d];
        a->y[d] = acc / sum;
    }
}
