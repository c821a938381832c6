/* softmax_sse41.c: four scores at a time; the lanes of SUM16 are four registers. A score is scaled
 * twice, once to find the largest, which costs less than to store it. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

/* EXP of the contract, line by line. The constants stand second in max and min, so that NaN is taken
 * for the lower end. */
static inline __m128 exp4(__m128 x) {
    const __m128 magic = _mm_set1_ps(BITNET_EXP_MAGIC);
    x = _mm_max_ps(x, _mm_set1_ps(BITNET_EXP_LO));
    x = _mm_min_ps(x, _mm_set1_ps(BITNET_EXP_HI));
    __m128 t = _mm_add_ps(_mm_mul_ps(x, _mm_set1_ps(BITNET_EXP_LOG2E)), magic);
    __m128 n = _mm_sub_ps(t, magic);
    __m128 r = _mm_sub_ps(x, _mm_mul_ps(n, _mm_set1_ps(BITNET_EXP_LN2HI)));
    r = _mm_sub_ps(r, _mm_mul_ps(n, _mm_set1_ps(BITNET_EXP_LN2LO)));
    __m128 p = _mm_set1_ps(BITNET_EXP_C6);
    p = _mm_add_ps(_mm_mul_ps(p, r), _mm_set1_ps(BITNET_EXP_C5));
    p = _mm_add_ps(_mm_mul_ps(p, r), _mm_set1_ps(BITNET_EXP_C4));
    p = _mm_add_ps(_mm_mul_ps(p, r), _mm_set1_ps(BITNET_EXP_C3));
    p = _mm_add_ps(_mm_mul_ps(p, r), _mm_set1_ps(BITNET_EXP_C2));
    p = _mm_add_ps(_mm_mul_ps(p, _mm_mul_ps(r, r)), r);
    p = _mm_add_ps(p, _mm_set1_ps(1.0f));
    __m128i e = _mm_add_epi32(_mm_cvtps_epi32(n), _mm_set1_epi32(127));
    return _mm_mul_ps(p, _mm_castsi128_ps(_mm_slli_epi32(e, 23)));
}

static float max_scaled(const float *p, int32_t n, float scale) {
    float max = p[0] * scale, lane[4];
    __m128 m = _mm_set1_ps(max);
    int32_t i = 0;
    for (; i + 4 <= n; i += 4)
        m = _mm_max_ps(_mm_mul_ps(_mm_loadu_ps(p + i), _mm_set1_ps(scale)), m);
    _mm_storeu_ps(lane, m);
    for (int l = 0; l < 4; l++)
        max = lane[l] > max ? lane[l] : max;
    for (; i < n; i++)
        max = p[i] * scale > max ? p[i] * scale : max;
    return max;
}

float bitnet_softmax_sse41(float *p, int32_t n, float scale) {
    const int32_t whole = n - n % 16;
    const float max = max_scaled(p, n, scale);
    const __m128 s = _mm_set1_ps(scale), m = _mm_set1_ps(max);
    __m128 acc[4];
    float lane[16];
    UNROLL for (int l = 0; l < 4; l++) {
        acc[l] = _mm_setzero_ps();
    }
    for (int32_t i = 0; i < whole; i += 16)
        UNROLL for (int l = 0; l < 4; l++) {
            float *at = p + i + 4 * l;
            __m128 e = exp4(_mm_sub_ps(_mm_mul_ps(_mm_loadu_ps(at), s), m));
            _mm_storeu_ps(at, e);
            acc[l] = _mm_add_ps(acc[l], e);
        }
    UNROLL for (int l = 0; l < 4; l++) {
        _mm_storeu_ps(lane + 4 * l, acc[l]);
    }
    for (int32_t i = whole; i < n; i++) {
        p[i] = bitnet_expf(p[i] * scale - max);
        lane[i - whole] += p[i];
    }
    return sum16(lane);
}
