/* rmsnorm_neon.c: RMSNorm; the lanes of SUM16 are four registers. y may be x. */
#include <math.h>

#include "kernels/arm/sum16_neon.h"

void bitnet_rmsnorm_neon(float *y, const float *x, const float *w, int32_t n, float eps) {
    const int32_t whole = n - n % 16;
    lanes16 acc;
    float lane[16];
    UNROLL for (int i = 0; i < 4; i++) {
        acc.v[i] = vdupq_n_f32(0.0f);
    }
    for (int32_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            const float32x4_t v = vld1q_f32(x + j + 4 * i);
            acc.v[i] = vaddq_f32(acc.v[i], vmulq_f32(v, v));
        }
    lanes16_store(lane, &acc);
    for (int32_t j = whole; j < n; j++)
        lane[j - whole] += x[j] * x[j];

    const float r = 1.0f / sqrtf(sum16(lane) / (float)n + eps);
    const float32x4_t rv = vdupq_n_f32(r);
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float32x4_t v = vmulq_f32(vld1q_f32(x + i), rv);
        vst1q_f32(y + i, vmulq_f32(v, vld1q_f32(w + i)));
    }
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}
