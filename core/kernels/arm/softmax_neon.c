/* softmax_neon.c: the lanes of SUM16 are four registers. */
#include "kernels/arm/expf_neon.h"
#include "kernels/arm/sum16_neon.h"

/* Scales all of p; returns the largest. A maximum has the same value in any order; which of the zeros
 * it is, if it is one, EXP does not show. */
static float scale_and_max(float *p, int32_t n, float scale) {
    const float32x4_t sv = vdupq_n_f32(scale);
    float32x4_t max4 = vdupq_n_f32(p[0] * scale);
    float lane[4];
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float32x4_t v = vmulq_f32(vld1q_f32(p + i), sv);
        vst1q_f32(p + i, v);
        max4 = larger(v, max4);
    }
    vst1q_f32(lane, max4);
    float max = lane[0];
    for (int l = 1; l < 4; l++)
        max = lane[l] > max ? lane[l] : max;
    for (; i < n; i++) {
        p[i] *= scale;
        max = p[i] > max ? p[i] : max;
    }
    return max;
}

float bitnet_softmax_neon(float *p, int32_t n, float scale) {
    const int32_t whole = n - n % 16;
    const float max = scale_and_max(p, n, scale);
    const float32x4_t maxv = vdupq_n_f32(max);
    lanes16 acc;
    float lane[16];
    UNROLL for (int i = 0; i < 4; i++) {
        acc.v[i] = vdupq_n_f32(0.0f);
    }
    for (int32_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            const float32x4_t e = exp_4(vsubq_f32(vld1q_f32(p + j + 4 * i), maxv));
            vst1q_f32(p + j + 4 * i, e);
            acc.v[i] = vaddq_f32(acc.v[i], e);
        }
    lanes16_store(lane, &acc);
    for (int32_t j = whole; j < n; j++) {
        p[j] = bitnet_expf(p[j] - max);
        lane[j - whole] += p[j];
    }
    return sum16(lane);
}
