/* rmsnorm_simd128.c: RMSNorm; the lanes of SUM16 are four registers. y may be x. */
#include <math.h>

#include "kernels/wasm/sum16_simd128.h"

void bitnet_rmsnorm_simd128(float *y, const float *x, const float *w, int32_t n, float eps) {
    const int32_t whole = n - n % 16;
    lanes16 acc;
    float lane[16];
    UNROLL for (int i = 0; i < 4; i++) {
        acc.v[i] = wasm_f32x4_splat(0.0f);
    }
    for (int32_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            v128_t v = wasm_v128_load(x + j + 4 * i);
            acc.v[i] = wasm_f32x4_add(acc.v[i], wasm_f32x4_mul(v, v));
        }
    for (int i = 0; i < 4; i++)
        wasm_v128_store(lane + 4 * i, acc.v[i]);
    for (int32_t j = whole; j < n; j++)
        lane[j - whole] += x[j] * x[j];

    const float r = 1.0f / sqrtf(sum16(lane) / (float)n + eps);
    const v128_t rv = wasm_f32x4_splat(r);
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        v128_t v = wasm_f32x4_mul(wasm_v128_load(x + i), rv);
        wasm_v128_store(y + i, wasm_f32x4_mul(v, wasm_v128_load(w + i)));
    }
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}
