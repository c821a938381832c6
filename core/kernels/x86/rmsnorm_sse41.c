/* rmsnorm_sse41.c: RMSNorm; the lanes of SUM16 are four registers. y may be x. */
#include <math.h>

#include "kernels/x86/sum16_sse41.h"

void bitnet_rmsnorm_sse41(float *y, const float *x, const float *w, int32_t n, float eps) {
    const int32_t whole = n - n % 16;
    __m128 acc[4];
    UNROLL for (int l = 0; l < 4; l++) {
        acc[l] = _mm_setzero_ps();
    }
    for (int32_t i = 0; i < whole; i += 16)
        UNROLL for (int l = 0; l < 4; l++) {
            __m128 v = _mm_loadu_ps(x + i + 4 * l);
            acc[l] = _mm_add_ps(acc[l], _mm_mul_ps(v, v));
        }
    const float sum = sum16_finish(acc, x, x, whole, n, false);

    const float r = 1.0f / sqrtf(sum / (float)n + eps);
    const __m128 rv = _mm_set1_ps(r);
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        __m128 v = _mm_mul_ps(_mm_loadu_ps(x + i), rv);
        _mm_storeu_ps(y + i, _mm_mul_ps(v, _mm_loadu_ps(w + i)));
    }
    for (; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}
