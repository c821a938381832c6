/* act_quant_avx512vnni.c: one token's activations to int8 by absmax, 16 at a time. Conversion rounds half
 * to even in the default rounding mode, which nothing in this library changes; the narrowing clamps.
 * A tail is loaded under a mask: zeros change neither the maximum nor the sum. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

void bitnet_act_quant_avx512vnni(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    __m512 amax = _mm512_set1_ps(1e-5f);
    for (int32_t i = 0; i < k; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(first_lanes(k - i), x + i);
        amax = _mm512_max_ps(amax, _mm512_abs_ps(v));
    }
    *s = 127.0f / _mm512_reduce_max_ps(amax);

    const __m512 sv = _mm512_set1_ps(*s);
    __m512i sum = _mm512_setzero_si512();
    for (int32_t i = 0; i < k; i += 16) {
        const __mmask16 mask = first_lanes(k - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), sv);
        __m128i q = _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(v));
        _mm_mask_storeu_epi8(xq + i, mask, q);
        sum = _mm512_add_epi32(sum, _mm512_cvtepi8_epi32(q));
    }
    *xsum = _mm512_reduce_add_epi32(sum);
}
