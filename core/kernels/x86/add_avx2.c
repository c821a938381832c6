/* add_avx2.c: the residual connection, y += x, sixteen at a time. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

void bitnet_add_avx2(float *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 16 <= n; i += 16) {
        __m256 a = _mm256_add_ps(_mm256_loadu_ps(y + i), _mm256_loadu_ps(x + i));
        __m256 b = _mm256_add_ps(_mm256_loadu_ps(y + i + 8), _mm256_loadu_ps(x + i + 8));
        _mm256_storeu_ps(y + i, a);
        _mm256_storeu_ps(y + i + 8, b);
    }
    if (i < n) bitnet_add_c(y + i, x + i, n - i);
}
