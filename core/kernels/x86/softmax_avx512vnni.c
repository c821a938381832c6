/* softmax_avx512vnni.c: sixteen scores at a time; the lanes of SUM16 are one register. A score is scaled
 * twice, once to find the largest, which costs less than to store it. A tail is masked: lanes outside
 * it gain nothing. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

/* EXP of the contract, line by line. The constants stand second in max and min, so that NaN is taken
 * for the lower end. */
static inline __m512 exp16(__m512 x) {
    const __m512 magic = _mm512_set1_ps(BITNET_EXP_MAGIC);
    x = _mm512_max_ps(x, _mm512_set1_ps(BITNET_EXP_LO));
    x = _mm512_min_ps(x, _mm512_set1_ps(BITNET_EXP_HI));
    __m512 t = _mm512_add_ps(_mm512_mul_ps(x, _mm512_set1_ps(BITNET_EXP_LOG2E)), magic);
    __m512 n = _mm512_sub_ps(t, magic);
    __m512 r = _mm512_sub_ps(x, _mm512_mul_ps(n, _mm512_set1_ps(BITNET_EXP_LN2HI)));
    r = _mm512_sub_ps(r, _mm512_mul_ps(n, _mm512_set1_ps(BITNET_EXP_LN2LO)));
    __m512 p = _mm512_set1_ps(BITNET_EXP_C6);
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(BITNET_EXP_C5));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(BITNET_EXP_C4));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(BITNET_EXP_C3));
    p = _mm512_add_ps(_mm512_mul_ps(p, r), _mm512_set1_ps(BITNET_EXP_C2));
    p = _mm512_add_ps(_mm512_mul_ps(p, _mm512_mul_ps(r, r)), r);
    p = _mm512_add_ps(p, _mm512_set1_ps(1.0f));
    __m512i e = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_mul_ps(p, _mm512_castsi512_ps(_mm512_slli_epi32(e, 23)));
}

float bitnet_softmax_avx512vnni(float *p, int32_t n, float scale) {
    const __m512 s = _mm512_set1_ps(scale);
    __m512 max = _mm512_set1_ps(p[0] * scale), sum = _mm512_setzero_ps();
    float lane[16];
    for (int32_t i = 0; i < n; i += 16) {
        const __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p + i), s);
        max = _mm512_mask_max_ps(max, mask, v, max);
    }
    _mm512_storeu_ps(lane, max);
    for (int l = 1; l < 16; l++)
        lane[0] = lane[l] > lane[0] ? lane[l] : lane[0];
    max = _mm512_set1_ps(lane[0]);
    for (int32_t i = 0; i < n; i += 16) {
        const __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, p + i), s);
        __m512 e = exp16(_mm512_sub_ps(v, max));
        _mm512_mask_storeu_ps(p + i, mask, e);
        sum = _mm512_mask_add_ps(sum, mask, sum, e);
    }
    _mm512_storeu_ps(lane, sum);
    return sum16(lane);
}
