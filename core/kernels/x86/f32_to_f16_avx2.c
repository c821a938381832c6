/* f32_to_f16_avx2.c: F16C rounds to nearest, ties to even, subnormals too, whatever the mode. Clamped
 * first, as the contract has it. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

void bitnet_f32_to_f16_avx2(uint16_t *y, const float *x, size_t n) {
    const __m256 max = _mm256_set1_ps(BITNET_F16_MAX), min = _mm256_set1_ps(-BITNET_F16_MAX);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m256 v = _mm256_max_ps(_mm256_min_ps(_mm256_loadu_ps(x + i), max), min);
        _mm_storeu_si128((__m128i *)(void *)(y + i), _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
    }
    if (i < n) bitnet_f32_to_f16_c(y + i, x + i, n - i);
}
