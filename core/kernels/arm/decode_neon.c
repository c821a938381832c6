/* decode_neon.c: the block decoders. 32 weights are bytes in two registers; each becomes a float by one
 * conversion and the multiplications of format/blocks.h in their order, so the bits are those of C.
 */
#include "kernels/arm/arm.h"
#include "kernels/kernels.h"

static inline float decode_scale(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return f16_to_f32(h);
}

/* y[0 .. 16) = q * step - least. Subtracting 0 would turn -0 into 0, so formats without a minimum leave
 * the subtraction out. */
static inline void store_16(float *y, int8x16_t q, float step) {
    const int16x8_t low = vmovl_s8(vget_low_s8(q)), high = vmovl_high_s8(q);
    vst1q_f32(y, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), step));
    vst1q_f32(y + 4, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(low)), step));
    vst1q_f32(y + 8, vmulq_n_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), step));
    vst1q_f32(y + 12, vmulq_n_f32(vcvtq_f32_s32(vmovl_high_s16(high)), step));
}

static inline void store_16_minus(float *y, uint8x16_t q, float step, float least) {
    const float32x4_t l = vdupq_n_f32(least);
    store_16(y, vreinterpretq_s8_u8(q), step);
    UNROLL for (int i = 0; i < 16; i += 4) {
        vst1q_f32(y + i, vsubq_f32(vld1q_f32(y + i), l));
    }
}

/* Codes that are `offset` too large */
static inline int8x16_t centred(uint8x16_t codes, int8_t offset) {
    return vsubq_s8(vreinterpretq_s8_u8(codes), vdupq_n_s8(offset));
}

/* d f16 | i8 q[32] */
void bitnet_decode_q8_0_neon(float *y, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 34) {
        const float d = decode_scale(b);
        store_16(y + i, vreinterpretq_s8_u8(vld1q_u8(b + 2)), d);
        store_16(y + i + 16, vreinterpretq_s8_u8(vld1q_u8(b + 18)), d);
    }
}

/* d f16 | u8 q[16]: weights 0 .. 15 in the low halves, 16 .. 31 in the high ones, 8 too large */
void bitnet_decode_q4_0_neon(float *y, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 18) {
        const float d = decode_scale(b);
        const uint8x16_t q = vld1q_u8(b + 2);
        store_16(y + i, centred(vandq_u8(q, vdupq_n_u8(15)), 8), d);
        store_16(y + i + 16, centred(vshrq_n_u8(q, 4), 8), d);
    }
}

/* Scale and minimum of group g; those of groups 4 .. 7 keep their upper two bits in the upper bits of
 * groups 0 .. 3. */
static inline void q4_k_scales(const uint8_t *s, int g, float *scale, float *min) {
    int low = g < 4 ? s[g] & 63 : (s[g + 4] & 15) | (s[g - 4] >> 6) << 4;
    int high = g < 4 ? s[g + 4] & 63 : (s[g + 4] >> 4) | (s[g] >> 6) << 4;
    *scale = (float)low, *min = (float)high;
}

/* d f16 | dmin f16 | u8 scales[12] | u8 q[128]: two groups of 32 weights share 32 bytes */
void bitnet_decode_q4_k_neon(float *y, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256, b += 144) {
        const float d = decode_scale(b), dmin = decode_scale(b + 2);
        for (int g = 0; g < 8; g += 2) {
            float scale[2], min[2];
            q4_k_scales(b + 4, g, &scale[0], &min[0]);
            q4_k_scales(b + 4, g + 1, &scale[1], &min[1]);
            for (int h = 0; h < 2; h++) {
                const uint8x16_t q = vld1q_u8(b + 16 + 16 * (g + h));
                float *out = y + i + 32 * g + 16 * h;
                store_16_minus(out, vandq_u8(q, vdupq_n_u8(15)), d * scale[0], dmin * min[0]);
                store_16_minus(out + 32, vshrq_n_u8(q, 4), d * scale[1], dmin * min[1]);
            }
        }
    }
}

/* u8 ql[128] | u8 qh[64] | i8 scale[16] | d f16: groups of 32 weights share their shifts; 32 too large */
void bitnet_decode_q6_k_neon(float *y, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256, b += 210) {
        const float d = decode_scale(b + 208);
        for (int s = 0; s < 16; s++) { /* 16 weights with one scale: half of group s / 2 */
            const int g = s / 2, h = s % 2;
            const uint8x16_t ql = vld1q_u8(b + 64 * (g / 4) + 32 * (g % 2) + 16 * h);
            const uint8x16_t qh = vld1q_u8(b + 128 + 32 * (g / 4) + 16 * h);
            const int8x16_t down = vdupq_n_s8((int8_t)(-2 * (g % 4)));
            const uint8x16_t low = g % 4 >= 2 ? vshrq_n_u8(ql, 4) : vandq_u8(ql, vdupq_n_u8(15));
            const uint8x16_t high = vandq_u8(vshlq_u8(qh, down), vdupq_n_u8(3));
            const uint8x16_t codes = vorrq_u8(low, vshlq_n_u8(high, 4));
            store_16(y + i + 16 * s, centred(codes, 32), d * (float)(int8_t)b[192 + s]);
        }
    }
}
