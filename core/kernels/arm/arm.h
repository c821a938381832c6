/* arm.h: what the arm kernels share. */
#ifndef BITNET_ARM_H
#define BITNET_ARM_H

#include <arm_neon.h>

#include "kernels/kernels.h"

/* In front of a loop over registers: its bounds are constants, and it must be unrolled before the
 * compiler decides what lives in memory, or accumulators are stored in every step. */
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* The first n of four floats; n may be above 4, or below 1 for a tile that lies past the end. */
static inline void store_up_to_4(float *dst, float32x4_t v, int32_t n) {
    float tmp[4];
    if (n >= 4) {
        vst1q_f32(dst, v);
        return;
    }
    vst1q_f32(tmp, v);
    for (int32_t i = 0; i < n; i++)
        dst[i] = tmp[i];
}

/* The end of tern_matmul for rows r .. r+3 of token t: f32(acc - xsum) / s * w_scale, in that order;
 * rows at or past n are dropped. */
static inline void tern_store_4(const bitnet_tern_args *a, int32_t t, int32_t r, int32x4_t acc) {
    float32x4_t y = vcvtq_f32_s32(vsubq_s32(acc, vdupq_n_s32(a->xsum[t])));
    y = vdivq_f32(y, vdupq_n_f32(a->s[t]));
    y = vmulq_f32(y, vdupq_n_f32(a->w_scale));
    store_up_to_4(a->y + t * a->ldy + r, y, a->n - r);
}

/* Row r, a multiple of 4, in the first vector of its group: four rows are 16 of its 64 bytes. */
static inline const uint8_t *tern_rows(const bitnet_tern_args *a, int32_t r) {
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    return a->w + r / BITNET_ROW_GROUP * group_size + 4 * (r % BITNET_ROW_GROUP);
}

#endif
