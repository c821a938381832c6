/* rmsnorm_avx512vnni.c: RMSNorm; the lanes of SUM16 are one register. A tail is loaded under a mask: the
 * other lanes gain 0 * 0 = +0, which changes nothing. y may be x. */
#include <math.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

void bitnet_rmsnorm_avx512vnni(float *y, const float *x, const float *w, int32_t n, float eps) {
    __m512 sum = _mm512_setzero_ps();
    float lane[16];
    for (int32_t i = 0; i < n; i += 16) {
        __m512 v = _mm512_maskz_loadu_ps(first_lanes(n - i), x + i);
        sum = _mm512_add_ps(sum, _mm512_mul_ps(v, v));
    }
    _mm512_storeu_ps(lane, sum);
    const __m512 r = _mm512_set1_ps(1.0f / sqrtf(sum16(lane) / (float)n + eps));
    for (int32_t i = 0; i < n; i += 16) {
        const __mmask16 mask = first_lanes(n - i);
        __m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), r);
        v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(mask, w + i));
        _mm512_mask_storeu_ps(y + i, mask, v);
    }
}
