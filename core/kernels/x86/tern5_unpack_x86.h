/* tern5_unpack_x86.h: tern5_unpack on 256 or 512 bits, whichever the file that includes this is compiled for.
 * The digit of a byte c is 3 c / 256, the upper two bits of 3 c / 4, which two rounding averages give, to the
 * accuracy needed, once c has been lowered by 1 (tests/kernels tries all bytes). Four vectors of five fields
 * are five of four, so shifts are constants.
 */
#ifndef BITNET_TERN5_UNPACK_X86_H
#define BITNET_TERN5_UNPACK_X86_H

#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define FIELDS 20

/* digit: in bits 7:6; other bits are anything. put: codes, with that digit at `shift`, where they are 0. */
#if defined(__AVX512F__)
typedef __m512i vector;

static inline vector load(const uint8_t *p) {
    return _mm512_loadu_si512((const void *)p);
}

static inline void store(uint8_t *p, vector v) {
    _mm512_storeu_si512((void *)p, v);
}

static inline vector times3(vector c) {
    return _mm512_add_epi8(c, _mm512_add_epi8(c, c));
}

static inline vector digit(vector c) {
    c = _mm512_subs_epu8(c, _mm512_set1_epi8(1));
    return _mm512_avg_epu8(c, _mm512_avg_epu8(c, _mm512_setzero_si512()));
}

__attribute__((always_inline)) static inline vector put(vector codes, vector d, const int shift) {
    const uint8_t down = (uint8_t)(6 - shift); /* int or unsigned, as compilers differ */
    const vector mask = _mm512_set1_epi8((char)(3 << shift)), moved = _mm512_srli_epi16(d, down);
    return _mm512_ternarylogic_epi32(codes, moved, mask, 0xf8); /* a | b & c */
}
#else
typedef __m256i vector;

static inline vector load(const uint8_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

static inline void store(uint8_t *p, vector v) {
    _mm256_storeu_si256((__m256i *)(void *)p, v);
}

static inline vector times3(vector c) {
    return _mm256_add_epi8(c, _mm256_add_epi8(c, c));
}

static inline vector digit(vector c) {
    c = _mm256_subs_epu8(c, _mm256_set1_epi8(1));
    return _mm256_avg_epu8(c, _mm256_avg_epu8(c, _mm256_setzero_si256()));
}

__attribute__((always_inline)) static inline vector put(vector codes, vector d, const int shift) {
    const vector mask = _mm256_set1_epi8((char)(3 << shift));
    const vector moved = _mm256_srli_epi16(d, 6 - shift);
    return _mm256_or_si256(codes, _mm256_and_si256(moved, mask));
}
#endif

/* n fields, a multiple of 4 and a constant where this is inlined. */
__attribute__((always_inline)) static inline void unpack(uint8_t *out, const uint8_t *in,
                                                         const int n) {
    const vector zero = {0};
    vector codes = zero;
    UNROLL for (int v = 0; v < 4; v++) {
        if (5 * v >= n) break;
        vector c = load(in + 64 * v);
        UNROLL for (int f = 0; f < 5; f++) {
            const int q = 5 * v + f;
            if (q >= n) break;
            codes = put(q % 4 == 0 ? zero : codes, digit(c), q % 4 * 2);
            if (q % 4 == 3) store(out + q / 4 * 64, codes);
            c = times3(c);
        }
    }
}

static inline void unpack_part(uint8_t *out, const uint8_t *in, int32_t n_fields) {
    for (; n_fields >= FIELDS; n_fields -= FIELDS, in += 4 * 64, out += 5 * 64)
        unpack(out, in, FIELDS);
    switch (n_fields / 4) {
    case 1:
        unpack(out, in, 4);
        break;
    case 2:
        unpack(out, in, 8);
        break;
    case 3:
        unpack(out, in, 12);
        break;
    case 4:
        unpack(out, in, 16);
        break;
    }
}

static inline void unpack_groups(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k) {
    const size_t size = (size_t)k * 4, size5 = bitnet_tern5_group_size(k);
    for (int32_t g = 0; g < n; g++, groups += size, groups5 += size5)
        for (size_t part = 0; part < 64; part += sizeof(vector))
            unpack_part(groups + part, groups5 + part, k / 4);
}

#endif
