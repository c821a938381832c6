/* tern_rows_avx2.c: a block of 128 codes in layout A is one register and its fields meet 32 activations
 * each. vpmaddubsw saturates 16-bit lanes: a lane gains at most 4 * (2*2*127) = 2032 per block, 32512 in
 * the 16 blocks after which it is widened. |xq| <= 127.
 */
#include "kernels/x86/tern_avx2.h"

#define FLUSH 16
#define AHEAD 12 /* rows asked for before they are summed; docs/speed.md */

static inline u16x16 dot(u16x16 acc, __m256i codes, const int8_t *x) {
    return acc + (u16x16)_mm256_maddubs_epi16(codes, weights((const uint8_t *)x));
}

static int32_t sum_lanes(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static int32_t sum_row(const uint8_t *w, const uint8_t *ahead, const int8_t *x, int32_t k) {
    const __m256i mask = _mm256_set1_epi8(3), ones = _mm256_set1_epi16(1);
    i32x8 acc = {0};
    for (int32_t left = k / BITNET_K_BLOCK; left > 0; left -= FLUSH) {
        u16x16 sum = {0};
        for (int32_t b = left < FLUSH ? left : FLUSH; b > 0; b--, w += 32, ahead += 32) {
            const __m256i v = weights(w);
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            sum = dot(sum, _mm256_and_si256(_mm256_srli_epi16(v, 6), mask), x);
            sum = dot(sum, _mm256_and_si256(_mm256_srli_epi16(v, 4), mask), x + 32);
            sum = dot(sum, _mm256_and_si256(_mm256_srli_epi16(v, 2), mask), x + 64);
            sum = dot(sum, _mm256_and_si256(v, mask), x + 96);
            x += BITNET_K_BLOCK;
        }
        acc += (i32x8)_mm256_madd_epi16((__m256i)sum, ones);
    }
    return sum_lanes((__m256i)acc);
}

void bitnet_tern_rows_avx2(const bitnet_tern_rows_args *a) {
    const ptrdiff_t row_size = a->k / 4;
    for (int32_t i = 0; i < a->n; i++) {
        const int32_t next = a->row[i + AHEAD < a->n ? i + AHEAD : i];
        const int32_t acc =
            sum_row(a->w + a->row[i] * row_size, a->w + next * row_size, a->xq, a->k);
        a->y[a->row[i]] = (float)(acc - a->xsum) / a->s * a->w_scale;
    }
}
