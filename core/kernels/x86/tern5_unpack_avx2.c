/* tern5_unpack_avx2.c: half a vector at a time. The digit of a byte c is 3 c / 256, the upper two bits of
 * 3 c / 4, which two rounding averages give, to the accuracy needed, once c has been lowered by 1
 * (tests/kernels tries all bytes). Four vectors of five fields are five of four, so shifts are constants.
 */
#include "kernels/x86/x86.h"

#include "kernels/kernels.h"

#define FIELDS 20

static inline __m256i times3(__m256i c) {
    return _mm256_add_epi8(c, _mm256_add_epi8(c, c));
}

/* The digit in bits 7:6; other bits are anything. */
static inline __m256i digit(__m256i c) {
    c = _mm256_subs_epu8(c, _mm256_set1_epi8(1));
    return _mm256_avg_epu8(c, _mm256_avg_epu8(c, _mm256_setzero_si256()));
}

/* n fields, a multiple of 4 and a constant where this is inlined. */
__attribute__((always_inline)) static inline void unpack(uint8_t *out, const uint8_t *in,
                                                         const int n) {
    __m256i codes = _mm256_setzero_si256();
    UNROLL for (int v = 0; v < 4; v++) {
        if (5 * v >= n) break;
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(in + 64 * v));
        UNROLL for (int f = 0; f < 5; f++) {
            const int q = 5 * v + f, shift = q % 4 * 2;
            if (q >= n) break;
            __m256i mask = _mm256_set1_epi8((char)(3 << shift));
            __m256i moved = _mm256_srli_epi16(digit(c), 6 - shift);
            moved = _mm256_and_si256(moved, mask);
            codes = q % 4 == 0 ? moved : _mm256_or_si256(codes, moved);
            if (q % 4 == 3) _mm256_storeu_si256((__m256i *)(void *)(out + q / 4 * 64), codes);
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

void bitnet_tern5_unpack_avx2(uint8_t *groups, const uint8_t *groups5, int32_t n, int32_t k) {
    const size_t size = (size_t)k * 4, size5 = bitnet_tern5_group_size(k);
    for (int32_t g = 0; g < n; g++)
        for (int h = 0; h < 64; h += 32)
            unpack_group(groups + (size_t)g * size + h, groups5 + (size_t)g * size5 + h, k / 4);
}
