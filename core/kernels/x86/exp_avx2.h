/* exp_avx2.h: EXP of the contract (kernels.h), line by line, eight at a time. No FMA. */
#ifndef BITNET_EXP_AVX2_H
#define BITNET_EXP_AVX2_H

#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

/* The constants stand second in max and min, so that NaN is taken for the lower end. */
static inline __m256 exp8(__m256 x) {
    const __m256 magic = _mm256_set1_ps(BITNET_EXP_MAGIC);
    x = _mm256_max_ps(x, _mm256_set1_ps(BITNET_EXP_LO));
    x = _mm256_min_ps(x, _mm256_set1_ps(BITNET_EXP_HI));
    __m256 t = _mm256_add_ps(_mm256_mul_ps(x, _mm256_set1_ps(BITNET_EXP_LOG2E)), magic);
    __m256 n = _mm256_sub_ps(t, magic);
    __m256 r = _mm256_sub_ps(x, _mm256_mul_ps(n, _mm256_set1_ps(BITNET_EXP_LN2HI)));
    r = _mm256_sub_ps(r, _mm256_mul_ps(n, _mm256_set1_ps(BITNET_EXP_LN2LO)));
    __m256 p = _mm256_set1_ps(BITNET_EXP_C6);
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C5));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C4));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C3));
    p = _mm256_add_ps(_mm256_mul_ps(p, r), _mm256_set1_ps(BITNET_EXP_C2));
    p = _mm256_add_ps(_mm256_mul_ps(p, _mm256_mul_ps(r, r)), r);
    p = _mm256_add_ps(p, _mm256_set1_ps(1.0f));
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_mul_ps(p, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}

#endif
