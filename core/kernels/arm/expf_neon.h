/* expf_neon.h: EXP of four floats, step by step as bitnet_expf (kernels.h) has it. A choice is a comparison
 * and bsl, not fmax, so that NaN goes where it goes in C.
 */
#ifndef BITNET_EXPF_NEON_H
#define BITNET_EXPF_NEON_H

#include "kernels/arm/arm.h"

/* a > b ? a : b */
static inline float32x4_t larger(float32x4_t a, float32x4_t b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}

static inline float32x4_t times_plus(float32x4_t a, float32x4_t b, float32x4_t c) {
    return vaddq_f32(vmulq_f32(a, b), c);
}

static inline float32x4_t exp_4(float32x4_t x) {
    const float32x4_t hi = vdupq_n_f32(BITNET_EXP_HI), magic = vdupq_n_f32(BITNET_EXP_MAGIC);
    x = larger(x, vdupq_n_f32(BITNET_EXP_LO));
    x = vbslq_f32(vcltq_f32(x, hi), x, hi);
    const float32x4_t t = times_plus(x, vdupq_n_f32(BITNET_EXP_LOG2E), magic);
    const float32x4_t n = vsubq_f32(t, magic);
    float32x4_t r = vsubq_f32(x, vmulq_f32(n, vdupq_n_f32(BITNET_EXP_LN2HI)));
    r = vsubq_f32(r, vmulq_f32(n, vdupq_n_f32(BITNET_EXP_LN2LO)));
    float32x4_t p = vdupq_n_f32(BITNET_EXP_C6);
    p = times_plus(p, r, vdupq_n_f32(BITNET_EXP_C5));
    p = times_plus(p, r, vdupq_n_f32(BITNET_EXP_C4));
    p = times_plus(p, r, vdupq_n_f32(BITNET_EXP_C3));
    p = times_plus(p, r, vdupq_n_f32(BITNET_EXP_C2));
    p = vaddq_f32(times_plus(p, vmulq_f32(r, r), r), vdupq_n_f32(1.0f));
    const int32x4_t exponent = vaddq_s32(vcvtq_s32_f32(n), vdupq_n_s32(127));
    return vmulq_f32(p, vreinterpretq_f32_s32(vshlq_n_s32(exponent, 23)));
}

#endif
