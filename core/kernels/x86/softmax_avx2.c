/* softmax_avx2.c: eight scores at a time; the lanes of SUM16 are two registers. A score is scaled
 * twice, once to find the largest, which costs less than to store it. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/exp_avx2.h"

static float max_scaled(const float *p, int32_t n, float scale) {
    float max = p[0] * scale, lane[8];
    const __m256 s = _mm256_set1_ps(scale);
    __m256 m0 = _mm256_set1_ps(max), m1 = m0;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        m0 = _mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(p + i), s), m0);
        m1 = _mm256_max_ps(_mm256_mul_ps(_mm256_loadu_ps(p + i + 8), s), m1);
    }
    _mm256_storeu_ps(lane, _mm256_max_ps(m0, m1));
    for (int l = 0; l < 8; l++)
        max = lane[l] > max ? lane[l] : max;
    for (; i < n; i++)
        max = p[i] * scale > max ? p[i] * scale : max;
    return max;
}

float bitnet_softmax_avx2(float *p, int32_t n, float scale) {
    const int32_t whole = n - n % 16;
    const float max = max_scaled(p, n, scale);
    const __m256 s = _mm256_set1_ps(scale), m = _mm256_set1_ps(max);
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    float lane[16];
    for (int32_t i = 0; i < whole; i += 16) {
        __m256 e0 = exp8(_mm256_sub_ps(_mm256_mul_ps(_mm256_loadu_ps(p + i), s), m));
        __m256 e1 = exp8(_mm256_sub_ps(_mm256_mul_ps(_mm256_loadu_ps(p + i + 8), s), m));
        _mm256_storeu_ps(p + i, e0);
        _mm256_storeu_ps(p + i + 8, e1);
        lo = _mm256_add_ps(lo, e0);
        hi = _mm256_add_ps(hi, e1);
    }
    _mm256_storeu_ps(lane, lo);
    _mm256_storeu_ps(lane + 8, hi);
    for (int32_t i = whole; i < n; i++) {
        p[i] = bitnet_expf(p[i] * scale - max);
        lane[i - whole] += p[i];
    }
    return sum16(lane);
}
