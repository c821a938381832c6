/* f16_to_f32_avx2.c: F16C is exact but for one thing: it turns signalling NaNs into quiet ones, where the
 * contract keeps every bit. No model holds one, so eight values with a NaN among them may be slow. */
#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

static inline bool any_nan(__m128i h) {
    __m128i magnitude = _mm_and_si128(h, _mm_set1_epi16(0x7fff));
    return _mm_movemask_epi8(_mm_cmpgt_epi16(magnitude, _mm_set1_epi16(0x7c00))) != 0;
}

void bitnet_f16_to_f32_avx2(float *y, const uint16_t *x, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        __m128i h = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        _mm256_storeu_ps(y + i, _mm256_cvtph_ps(h));
        for (size_t j = i; j < i + 8 && any_nan(h); j++)
            y[j] = f16_to_f32(x[j]);
    }
    if (i < n) bitnet_f16_to_f32_c(y + i, x + i, n - i);
}
