/* act_quant_sse41.c: one token's activations to int8 by absmax, 16 at a time. Conversion rounds half to
 * even in the default rounding mode, which nothing in this library changes; the two packs clamp. */
#include "kernels/c/act_quant.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

static inline float max_of_4(__m128 m) {
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_shuffle_ps(m, m, 1)));
}

static inline int32_t sum_of_4(__m128i s) {
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
}

static inline __m128i scaled(const float *x, __m128 s) {
    return _mm_cvtps_epi32(_mm_mul_ps(_mm_loadu_ps(x), s));
}

void bitnet_act_quant_sse41(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    const __m128 abs_mask = _mm_castsi128_ps(_mm_set1_epi32(0x7fffffff));
    const int32_t whole = k - k % 16;
    __m128 amax[2] = {_mm_set1_ps(1e-5f), _mm_set1_ps(1e-5f)};
    for (int32_t i = 0; i < whole; i += 8) {
        amax[0] = _mm_max_ps(amax[0], _mm_and_ps(_mm_loadu_ps(x + i), abs_mask));
        amax[1] = _mm_max_ps(amax[1], _mm_and_ps(_mm_loadu_ps(x + i + 4), abs_mask));
    }
    *s = 127.0f / act_quant_max(max_of_4(_mm_max_ps(amax[0], amax[1])), x, whole, k);

    const __m128 sv = _mm_set1_ps(*s);
    const __m128i ones8 = _mm_set1_epi8(1), ones16 = _mm_set1_epi16(1);
    __m128i sum = _mm_setzero_si128();
    for (int32_t i = 0; i < whole; i += 16) {
        __m128i a = _mm_packs_epi32(scaled(x + i, sv), scaled(x + i + 4, sv));
        __m128i b = _mm_packs_epi32(scaled(x + i + 8, sv), scaled(x + i + 12, sv));
        __m128i q = _mm_packs_epi16(a, b);
        _mm_storeu_si128((__m128i *)(void *)(xq + i), q);
        sum = _mm_add_epi32(sum, _mm_madd_epi16(_mm_maddubs_epi16(ones8, q), ones16));
    }
    *xsum = sum_of_4(sum) + act_quant_round(xq, x, *s, whole, k);
}
