/* tern5_unpack_avx512vnni.c: the digit of a byte c is 3 c / 256, the upper two bits of 3 c / 4, which two
 * rounding averages give, to the accuracy needed, once c has been lowered by 1 (tests/kernels tries all
 * bytes). Four vectors of five fields are five of four, so the shifts are constants.
 */
#include "kernels/x86/x86.h"

#include "kernels/kernels.h"

#define FIELDS 20

static inline __m512i times3(__m512i c) {
    return _mm512_add_epi8(c, _mm512_add_epi8(c, c));
}

/* The digit in bits 7:6; other bits are anything. */
static inline __m512i digit(__m512i c) {
    c = _mm512_subs_epu8(c, _mm512_set1_epi8(1));
    return _mm512_avg_epu8(c, _mm512_avg_epu8(c, _mm512_setzero_si512()));
}

/* n fields, a multiple of 4 and a constant where this is inlined. */
__attribute__((always_inline)) static inline void unpack(uint8_t *out, const uint8_t *in,
                                                         const int n) {
    __m512i codes = _mm512_setzero_si512();
    UNROLL for (int v = 0; v < 4; v++) {
        if (5 * v >= n) break;
        __m512i c = _mm512_loadu_si512((const void *)(in + 64 * v));
        UNROLL for (int f = 0; f < 5; f++) {
            const int q = 5 * v + f, shift = q % 4 * 2;
            if (q >= n) break;
            __m512i mask = _mm512_set1_epi8((char)(3 << shift));
            const uint8_t down = (uint8_t)(6 - shift); /* int or unsigned, as compilers differ */
            __m512i moved = _mm512_srli_epi16(digit(c), down);
            codes = q % 4 == 0
                        ? _mm512_and_si512(moved, mask)
                        : _mm512_ternarylogic_epi32(codes, moved, mask, 0xf8); /* a | b & c */
            if (q % 4 == 3) _mm512_storeu_si512((void *)(out + q / 4 * 64), codes);
            c = times3(c);
        }
    }
}

static void unpack_group(uint8_t *out, const uint8_t *in, int32_t n_fields) {
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

void bitnet_tern5_unpack_avx512vnni(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k) {
    for (int32_t g = 0; g < n; g++)
        unpack_group(groups + (size_t)g * 4 * (size_t)k,
                     groups5 + (size_t)g * bitnet_tern5_group_size(k), k / 4);
}
