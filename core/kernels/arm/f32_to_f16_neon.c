/* f32_to_f16_neon.c: what the KV cache stores. fcvtn rounds half to even, subnormals too, in the default
 * mode, which nothing in this library changes; what is too large becomes the largest number first.
 */
#include "kernels/arm/arm.h"
#include "kernels/kernels.h"

static inline float32x4_t clamped(const float *x) {
    const float32x4_t v = vminq_f32(vld1q_f32(x), vdupq_n_f32(BITNET_F16_MAX));
    return vmaxq_f32(v, vdupq_n_f32(-BITNET_F16_MAX));
}

void bitnet_f32_to_f16_neon(uint16_t *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        const float16x8_t h = vcvt_high_f16_f32(vcvt_f16_f32(clamped(x + i)), clamped(x + i + 4));
        vst1q_u16(y + i, vreinterpretq_u16_f16(h));
    }
    if (i < n) bitnet_f32_to_f16_c(y + i, x + i, n - i);
}
