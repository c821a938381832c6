/* f16_to_f32_neon.c: fcvtl is exact, but it quiets a signalling NaN, which the contract keeps as it is:
 * those have all bits of the exponent and not the highest of the fraction, which becomes bit 22 of the
 * f32. Infinities look the same and lack the bit already.
 */
#include "kernels/arm/arm.h"
#include "kernels/kernels.h"

static inline float32x4_t cleared(float16x4_t h, uint32x4_t bits) {
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(vcvt_f32_f16(h)), bits));
}

void bitnet_f16_to_f32_neon(float *y, const uint16_t *x, size_t n) {
    const uint16x8_t mask = vdupq_n_u16(0x7e00), not_quiet = vdupq_n_u16(0x7c00);
    const uint16x8_t bit6 = vdupq_n_u16(1 << 6); /* 16 further up is bit 22 */
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const uint16x8_t h = vld1q_u16(x + i);
        const uint16x8_t bit = vandq_u16(vceqq_u16(vandq_u16(h, mask), not_quiet), bit6);
        vst1q_f32(y + i, cleared(vreinterpret_f16_u16(vget_low_u16(h)),
                                 vshll_n_u16(vget_low_u16(bit), 16)));
        vst1q_f32(y + i + 4,
                  cleared(vreinterpret_f16_u16(vget_high_u16(h)), vshll_high_n_u16(bit, 16)));
    }
    for (; i < n; i++)
        y[i] = f16_to_f32(x[i]);
}
