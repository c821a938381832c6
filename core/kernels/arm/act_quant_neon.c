/* act_quant_neon.c: one token's activations to int8 by absmax, 16 at a time. fcvtns rounds half to
 * even whatever the rounding mode; the narrowing steps clamp. maxnm takes the number where the other
 * is NaN, so that NaN, against the contract, is left out of the maximum and becomes -128, as in C.
 */
#include "kernels/arm/arm.h"
#include "kernels/c/act_quant.h"
#include "kernels/kernels.h"

static inline int32x4_t scaled(const float *x, float32x4_t s) {
    return vcvtnq_s32_f32(vmaxnmq_f32(vmulq_f32(vld1q_f32(x), s), vdupq_n_f32(-128.0f)));
}

static inline int16x8_t scaled_8(const float *x, float32x4_t s) {
    return vqmovn_high_s32(vqmovn_s32(scaled(x, s)), scaled(x + 4, s));
}

static float max_16(const float *x, int32_t whole) {
    float32x4_t amax[4];
    UNROLL for (int i = 0; i < 4; i++) {
        amax[i] = vdupq_n_f32(1e-5f); /* the floor */
    }
    for (int32_t j = 0; j < whole; j += 16)
        UNROLL for (int i = 0; i < 4; i++) {
            amax[i] = vmaxnmq_f32(amax[i], vabsq_f32(vld1q_f32(x + j + 4 * i)));
        }
    return vmaxnmvq_f32(vmaxnmq_f32(vmaxnmq_f32(amax[0], amax[1]), vmaxnmq_f32(amax[2], amax[3])));
}

void bitnet_act_quant_neon(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    const int32_t whole = k - k % 16;
    *s = 127.0f / act_quant_max(max_16(x, whole), x, whole, k);

    const float32x4_t sv = vdupq_n_f32(*s);
    int32x4_t sum = vdupq_n_s32(0);
    for (int32_t i = 0; i < whole; i += 16) {
        const int8x8_t low = vqmovn_s16(scaled_8(x + i, sv));
        const int8x16_t q = vqmovn_high_s16(low, scaled_8(x + i + 8, sv));
        vst1q_s8(xq + i, q);
        sum = vpadalq_s16(sum, vpaddlq_s8(q));
    }
    *xsum = vaddvq_s32(sum) + act_quant_round(xq, x, *s, whole, k);
}
