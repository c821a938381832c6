/* gate_silu_avx2.c: (g / (1 + EXP(-g))) * u, eight at a time. y may be gate. */
#include "kernels/kernels.h"
#include "kernels/x86/exp_avx2.h"

void bitnet_gate_silu_avx2(float *y, const float *gate, const float *up, size_t n) {
    const __m256 sign = _mm256_set1_ps(-0.0f), one = _mm256_set1_ps(1.0f);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 g = _mm256_loadu_ps(gate + i);
        __m256 below = _mm256_add_ps(one, exp8(_mm256_xor_ps(g, sign)));
        _mm256_storeu_ps(y + i, _mm256_mul_ps(_mm256_div_ps(g, below), _mm256_loadu_ps(up + i)));
    }
    if (i < n) bitnet_gate_silu_c(y + i, gate + i, up + i, n - i);
}
