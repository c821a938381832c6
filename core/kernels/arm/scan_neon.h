/* scan_neon.h: what the arm variants of scan6 share: how the 6-bit codes of four rows are put together,
 * and how their sums end. */
#ifndef BITNET_SCAN_NEON_H
#define BITNET_SCAN_NEON_H

#include "kernels/arm/arm.h"

/* Four rows by 16 weights, whose upper bits lie at w: a field's four weights are a 32-bit lane. */
static inline void unpack_scan6(uint8x16_t field[4], const uint8_t *w) {
    const uint8x16_t high = vld1q_u8(w), a = vld1q_u8(w + 64), b = vld1q_u8(w + 128);
    const uint8x16_t all = vdupq_n_u8(0x3f);
    field[0] = vandq_u8(vsliq_n_u8(a, high, 4), all);
    field[1] = vandq_u8(vsliq_n_u8(vshrq_n_u8(a, 4), vshrq_n_u8(high, 2), 4), all);
    field[2] = vandq_u8(vsliq_n_u8(b, vshrq_n_u8(high, 4), 4), all);
    field[3] = vsliq_n_u8(vshrq_n_u8(b, 4), vshrq_n_u8(high, 6), 4);
}

static inline float32x4_t less_bias(int32x4_t sum, int32_t bias) {
    return vcvtq_f32_s32(vsubq_s32(sum, vdupq_n_s32(bias)));
}

/* y of token t, rows r .. r+3; rows at or past n are dropped. */
static inline void scan6_store_4(const bitnet_scan6_args *a, int32_t t, int32_t r, int32x4_t hi,
                                 int32x4_t lo) {
    const int32_t n = a->n - r;
    float d[4] = {0};
    if (n <= 0) return;
    memcpy(d, a->d + r, (size_t)(n < 4 ? n : 4) * sizeof *d);
    float32x4_t y = vmulq_f32(less_bias(hi, a->hi_sum[t]), vdupq_n_f32(128.0f));
    y = vaddq_f32(y, less_bias(lo, a->lo_sum[t]));
    y = vmulq_f32(y, vmulq_f32(vdupq_n_f32(a->scale[t]), vld1q_f32(d)));
    store_up_to_4(a->y + t * a->ldy + r, y, n);
}

/* The end of scan2 for one row. */
static inline void scan2_store(const bitnet_scan2_args *a, int32_t r, int32x4_t hi, int32x4_t lo) {
    const float sum =
        (float)(2 * vaddvq_s32(hi) - a->hi_sum) * 128.0f + (float)(2 * vaddvq_s32(lo) - a->lo_sum);
    a->y[r] += sum * (a->scale * a->d[r]) * 0.125f;
}

#endif
