/* decode_x86.h: the block decoders on 256 or 512 bits, whichever the file that includes this is compiled
 * for. 32 weights are bytes in one register; each becomes a float by one conversion and the
 * multiplications of format/blocks.h in their order, so the bits are those of C.
 */
#ifndef BITNET_DECODE_X86_H
#define BITNET_DECODE_X86_H

#include <string.h>

#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

static inline float decode_scale(const uint8_t *p) {
    uint16_t h;
    memcpy(&h, p, 2);
    return f16_to_f32(h);
}

static inline __m256i load_32(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

/* y[0 .. 32) = q * step - least; a step for each half of 16. Subtracting 0 would turn -0 into 0, so
 * formats without a minimum leave the subtraction out. */
#if defined(__AVX512F__)
static inline __m512 step_16(__m128i q, float step) {
    return _mm512_mul_ps(_mm512_set1_ps(step), _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(q)));
}

static inline void store_32(float *y, __m256i q, float step_low, float step_high) {
    _mm512_storeu_ps(y, step_16(_mm256_castsi256_si128(q), step_low));
    _mm512_storeu_ps(y + 16, step_16(_mm256_extracti128_si256(q, 1), step_high));
}

static inline void store_32_minus(float *y, __m256i q, float step, float least) {
    __m512 l = _mm512_set1_ps(least);
    _mm512_storeu_ps(y, _mm512_sub_ps(step_16(_mm256_castsi256_si128(q), step), l));
    _mm512_storeu_ps(y + 16, _mm512_sub_ps(step_16(_mm256_extracti128_si256(q, 1), step), l));
}
#else
static inline __m256 step_8(__m128i q, float step) {
    return _mm256_mul_ps(_mm256_set1_ps(step), _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(q)));
}

static inline void store_32(float *y, __m256i q, float step_low, float step_high) {
    __m128i low = _mm256_castsi256_si128(q), high = _mm256_extracti128_si256(q, 1);
    _mm256_storeu_ps(y, step_8(low, step_low));
    _mm256_storeu_ps(y + 8, step_8(_mm_srli_si128(low, 8), step_low));
    _mm256_storeu_ps(y + 16, step_8(high, step_high));
    _mm256_storeu_ps(y + 24, step_8(_mm_srli_si128(high, 8), step_high));
}

static inline void store_32_minus(float *y, __m256i q, float step, float least) {
    __m128i part[2] = {_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1)};
    __m256 l = _mm256_set1_ps(least);
    for (int i = 0; i < 2; i++) {
        _mm256_storeu_ps(y + 16 * i, _mm256_sub_ps(step_8(part[i], step), l));
        _mm256_storeu_ps(y + 16 * i + 8,
                         _mm256_sub_ps(step_8(_mm_srli_si128(part[i], 8), step), l));
    }
}
#endif

/* d f16 | i8 q[32] */
static inline void decode_q8_0(float *y, const uint8_t *b, int64_t n) {
    for (int64_t i = 0; i < n; i += 32, b += 34) {
        float d = decode_scale(b);
        store_32(y + i, load_32(b + 2), d, d);
    }
}

/* d f16 | u8 q[16]: weights 0 .. 15 in the low halves, 16 .. 31 in the high ones, 8 too large */
static inline void decode_q4_0(float *y, const uint8_t *b, int64_t n) {
    for (int64_t i = 0; i < n; i += 32, b += 18) {
        float d = decode_scale(b);
        __m128i q = _mm_loadu_si128((const __m128i *)(const void *)(b + 2));
        __m256i halves = _mm256_set_m128i(_mm_srli_epi16(q, 4), q);
        __m256i codes = _mm256_and_si256(halves, _mm256_set1_epi8(15));
        store_32(y + i, _mm256_sub_epi8(codes, _mm256_set1_epi8(8)), d, d);
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
static inline void decode_q4_k(float *y, const uint8_t *b, int64_t n) {
    const __m256i low4 = _mm256_set1_epi8(15);
    for (int64_t i = 0; i < n; i += 256, b += 144) {
        float d = decode_scale(b), dmin = decode_scale(b + 2);
        UNROLL for (int g = 0; g < 8; g++) {
            float scale, min;
            q4_k_scales(b + 4, g, &scale, &min);
            __m256i q = _mm256_srli_epi16(load_32(b + 16 + 32 * (g / 2)), g % 2 ? 4 : 0);
            store_32_minus(y + i + 32 * g, _mm256_and_si256(q, low4), d * scale, dmin * min);
        }
    }
}

/* u8 ql[128] | u8 qh[64] | i8 scale[16] | d f16: groups of 32 weights share their shifts; 32 too large */
static inline void decode_q6_k(float *y, const uint8_t *b, int64_t n) {
    const __m256i low4 = _mm256_set1_epi8(15), low2 = _mm256_set1_epi8(3);
    for (int64_t i = 0; i < n; i += 256, b += 210) {
        float d = decode_scale(b + 208);
        UNROLL for (int g = 0; g < 8; g++) {
            __m256i ql = load_32(b + 64 * (g / 4) + 32 * (g % 2));
            __m256i qh = load_32(b + 128 + 32 * (g / 4));
            __m256i low = _mm256_and_si256(_mm256_srli_epi16(ql, g % 4 >= 2 ? 4 : 0), low4);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(qh, 2 * (g % 4)), low2);
            __m256i codes = _mm256_or_si256(low, _mm256_slli_epi16(high, 4));
            store_32(y + i + 32 * g, _mm256_sub_epi8(codes, _mm256_set1_epi8(32)),
                     d * (float)(int8_t)b[192 + 2 * g], d * (float)(int8_t)b[193 + 2 * g]);
        }
    }
}

#endif
