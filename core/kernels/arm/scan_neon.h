/* scan_neon.h: what the arm variants of scan6 share: how the 6-bit codes of four rows are put together. */
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

#endif
