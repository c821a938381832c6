/* half.h: the two 16-bit float formats, one value at a time and inline, so that loops over rows become
 * vector code. Everything is exact or rounds half to even; no libm call, no dependence on the
 * processor's own conversions. Assumes only that float is IEEE binary32.
 */
#ifndef BITNET_HALF_H
#define BITNET_HALF_H

#include <stdint.h>
#include <string.h>

static inline float half_from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static inline uint32_t half_to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* The exponent moves from bias 15 to 127. Subnormals get an implicit one that is subtracted again:
 * both steps are exact and never meet a subnormal f32, so flush-to-zero modes change nothing. */
static inline float f16_to_f32(uint16_t h) {
    uint32_t magnitude = (uint32_t)(h & 0x7fff) << 13, exponent = magnitude & 0x0f800000u;
    uint32_t bits = magnitude + (112u << 23);
    bits += exponent == 0x0f800000u ? 112u << 23 : 0; /* infinity and NaN: to exponent 255 */
    float normal = half_from_bits(bits);
    float subnormal = half_from_bits(bits + (1u << 23)) - half_from_bits(113u << 23);
    uint32_t result = half_to_bits(exponent == 0 ? subnormal : normal);
    return half_from_bits(result | (uint32_t)(h & 0x8000) << 16);
}

static inline uint16_t f32_to_f16(float f) {
    uint32_t bits = half_to_bits(f), sign = bits >> 16 & 0x8000, m = bits & 0x7fffffff;
    uint32_t h;
    if (m > 0x7f800000u)
        h = 0x7e00; /* NaN */
    else if (m >= 0x477ff000u)
        h = 0x7c00;           /* from 65520 on the nearest is infinity */
    else if (m < 0x38800000u) /* below 2^-14: 0.5 has the step of f16's subnormals, 2^-24 */
        h = half_to_bits(half_from_bits(m) + 0.5f) - 0x3f000000u;
    else
        h = (m - (112u << 23) + 0xfff + (m >> 13 & 1)) >> 13;
    return (uint16_t)(sign | h);
}

static inline float bf16_to_f32(uint16_t h) {
    return half_from_bits((uint32_t)h << 16);
}

static inline uint16_t f32_to_bf16(float f) {
    uint32_t bits = half_to_bits(f);
    if ((bits & 0x7fffffff) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40); /* a quiet NaN */
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#endif
