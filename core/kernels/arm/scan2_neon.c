/* scan2_neon.c: for cores without a dot product. A 16-bit lane gains 3 * 127 by each of the 32 smlal of
 * a block of 256 weights, 12192, and is widened after it. */
#include "kernels/arm/arm.h"
#include "kernels/scan.h"

static inline int16x8_t dot(int16x8_t acc, uint8x16_t codes, const int8_t *x) {
    const int8x16_t c = vreinterpretq_s8_u8(codes), xv = vld1q_s8(x);
    return vmlal_high_s8(vmlal_s8(acc, vget_low_s8(c), vget_low_s8(xv)), c, xv);
}

void bitnet_scan2_neon(const bitnet_scan2_args *a) {
    const uint8x16_t mask = vdupq_n_u8(3);
    for (int32_t i = 0; i < a->n; i++) {
        const uint8_t *w = a->w + (ptrdiff_t)a->row[i] * (a->k / 4);
        int32x4_t sum_hi = vdupq_n_s32(0), sum_lo = sum_hi;
        for (int32_t b = 0; b < a->k; b += 256, w += 64) {
            int16x8_t hi = vdupq_n_s16(0), lo = hi;
            UNROLL for (int v = 0; v < 4; v++) {
                uint8x16_t fields = vld1q_u8(w + 16 * v);
                UNROLL for (int f = 0; f < 4; f++) {
                    const int32_t at = b + 64 * f + 16 * v;
                    const uint8x16_t codes = vandq_u8(fields, mask);
                    hi = dot(hi, codes, a->hi + at);
                    lo = dot(lo, codes, a->lo + at);
                    fields = vshrq_n_u8(fields, 2);
                }
            }
            sum_hi = vpadalq_s16(sum_hi, hi);
            sum_lo = vpadalq_s16(sum_lo, lo);
        }
        scan2_store(a, a->row[i], vaddvq_s32(sum_hi), vaddvq_s32(sum_lo));
    }
}
