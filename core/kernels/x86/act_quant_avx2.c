/* act_quant_avx2.c: one token's activations to int8 by absmax, 32 at a time. Conversion rounds half
 * to even in the default rounding mode, which nothing in this library changes; the two packs clamp.
 */
#include <immintrin.h>

#include "kernels/c/act_quant.h"
#include "kernels/kernels.h"

static inline float max_of_8(__m256 v) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

static inline int32_t sum_of_8(__m256i v) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline __m256i scaled(const float *x, __m256 s) {
    return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), s));
}

void bitnet_act_quant_avx2(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    const __m256 abs_mask = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const int32_t whole = k - k % 32;
    __m256 amax = _mm256_set1_ps(1e-5f);
    for (int32_t i = 0; i < whole; i += 8)
        amax = _mm256_max_ps(amax, _mm256_and_ps(_mm256_loadu_ps(x + i), abs_mask));
    *s = 127.0f / act_quant_max(max_of_8(amax), x, whole, k);

    const __m256 sv = _mm256_set1_ps(*s);
    const __m256i in_order =
        _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7); /* packs interleave halves */
    const __m256i ones8 = _mm256_set1_epi8(1), ones16 = _mm256_set1_epi16(1);
    __m256i sum = _mm256_setzero_si256();
    for (int32_t i = 0; i < whole; i += 32) {
        __m256i a = _mm256_packs_epi32(scaled(x + i, sv), scaled(x + i + 8, sv));
        __m256i b = _mm256_packs_epi32(scaled(x + i + 16, sv), scaled(x + i + 24, sv));
        __m256i q = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b), in_order);
        _mm256_storeu_si256((__m256i *)(void *)(xq + i), q);
        __m256i pairs = _mm256_maddubs_epi16(ones8, q);
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, ones16));
    }
    *xsum = sum_of_8(sum) + act_quant_round(xq, x, *s, whole, k);
}
