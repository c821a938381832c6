/* softmax_simd128.c: the largest score, then EXP of sixteen scores at a time, whose sums are the lanes
 * of SUM16. Scores are scaled in either pass: a product costs less than a store and a load. */
#include "kernels/wasm/exp_simd128.h"
#include "kernels/wasm/sum16_simd128.h"

/* pmax keeps its first operand unless the second is larger, as the C variant's comparison does: with
 * p[0] in every lane, a NaN there stays and one elsewhere is passed over. */
static float largest(const float *p, int32_t n, float scale) {
    const v128_t sv = wasm_f32x4_splat(scale);
    v128_t max[4];
    int32_t i = 0;
    UNROLL for (int j = 0; j < 4; j++) {
        max[j] = wasm_f32x4_splat(p[0] * scale);
    }
    for (; i + 16 <= n; i += 16)
        UNROLL for (int j = 0; j < 4; j++) {
            max[j] = wasm_f32x4_pmax(max[j], wasm_f32x4_mul(wasm_v128_load(p + i + 4 * j), sv));
        }
    v128_t m = wasm_f32x4_pmax(wasm_f32x4_pmax(max[0], max[1]), wasm_f32x4_pmax(max[2], max[3]));
    m = wasm_f32x4_pmax(m, wasm_i32x4_shuffle(m, m, 2, 3, 0, 1));
    m = wasm_f32x4_pmax(m, wasm_i32x4_shuffle(m, m, 1, 0, 3, 2));
    float result = wasm_f32x4_extract_lane(m, 0);
    for (; i < n; i++)
        if (p[i] * scale > result) result = p[i] * scale;
    return result;
}

float bitnet_softmax_simd128(float *p, int32_t n, float scale) {
    const float max = largest(p, n, scale);
    const v128_t sv = wasm_f32x4_splat(scale), mv = wasm_f32x4_splat(max);
    const int32_t whole = n - n % 16;
    lanes16 acc;
    float lane[16];
    UNROLL for (int j = 0; j < 4; j++) {
        acc.v[j] = wasm_f32x4_const_splat(0.0f);
    }
    for (int32_t i = 0; i < whole; i += 16)
        UNROLL for (int j = 0; j < 4; j++) {
            v128_t score = wasm_f32x4_mul(wasm_v128_load(p + i + 4 * j), sv);
            v128_t e = exp4(wasm_f32x4_sub(score, mv));
            wasm_v128_store(p + i + 4 * j, e);
            acc.v[j] = wasm_f32x4_add(acc.v[j], e);
        }
    for (int j = 0; j < 4; j++)
        wasm_v128_store(lane + 4 * j, acc.v[j]);
    for (int32_t i = whole; i < n; i++) {
        p[i] = bitnet_expf(p[i] * scale - max);
        lane[i - whole] += p[i];
    }
    return sum16(lane);
}
