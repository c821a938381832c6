/* gate_relu2_avx2.c: (g*g) * u where g = max(gate, 0), eight at a time. Zero stands second in max, as the
 * scalar comparison has it: NaN and -0 become +0. y may be gate. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

void bitnet_gate_relu2_avx2(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = _mm256_max_ps(_mm256_loadu_ps(gate + i), _mm256_setzero_ps());
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_mul_ps(g, g), _mm256_loadu_ps(up + i)));
    }
    if (i < n) bitnet_gate_relu2_c(y + i, gate + i, up + i, n - i);
}
