/* tern_x86.h: what the x86 variants of tern_matmul share: the end of four dot products. AVX2. */
#ifndef BITNET_TERN_X86_H
#define BITNET_TERN_X86_H

#include <immintrin.h>

#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

/* Lane sums of four vectors of eight i32. */
static inline __m128i sum_i32x8_of_4(__m256i a, __m256i b, __m256i c, __m256i d) {
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(a, b), _mm256_hadd_epi32(c, d));
    return _mm_add_epi32(_mm256_castsi256_si128(s), _mm256_extracti128_si256(s, 1));
}

/* f32(codes * xq - xsum) / s * w_scale, in that order. */
static inline __m128 tern_finish(__m128i sum, __m128i xsum, __m128 s, float w_scale) {
    __m128 acc = _mm_cvtepi32_ps(_mm_sub_epi32(sum, xsum));
    return _mm_mul_ps(_mm_div_ps(acc, s), _mm_set1_ps(w_scale));
}

/* The results of rows r .. r+3 of token t; rows at or past n are dropped. */
static inline void tern_store_rows(const bitnet_tern_args *a, int32_t t, int32_t r, __m128i sum) {
    __m128 y = tern_finish(sum, _mm_set1_epi32(a->xsum[t]), _mm_set1_ps(a->s[t]), a->w_scale);
    store_up_to_4(a->y + t * a->ldy + r, y, a->n - r);
}

#endif
