/* rmsnorm_avx2.c: RMSNorm; the lanes of SUM16 are two registers. y may be x. */
#include <immintrin.h>
#include <math.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

void bitnet_rmsnorm_avx2(float *y, const float *x, const float *w, int32_t n, float eps) {
    const int32_t whole = n - n % 16;
    __m256 lo = _mm256_setzero_ps(), hi = lo;
    float lane[16];
    for (int32_t i = 0; i < whole; i += 16) {
        __m256 a = _mm256_loadu_ps(x + i), b = _mm256_loadu_ps(x + i + 8);
        lo = _mm256_add_ps(lo, _mm256_mul_ps(a, a));
        hi = _mm256_add_ps(hi, _mm256_mul_ps(b, b));
    }
    _mm256_storeu_ps(lane, lo);
    _mm256_storeu_ps(lane + 8, hi);
    for (int32_t i = whole; i < n; i++)
        lane[i - whole] += x[i] * x[i];

    const float r = 1.0f / sqrtf(sum16(lane) / (float)n + eps);
    const __m256 rv = _mm256_set1_ps(r);
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_mul_ps(_mm256_loadu_ps(x + i), rv);
        _mm256_storeu_ps(y + i, _mm256_mul_ps(v, _mm256_loadu_ps(w + i)));
    }
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}
