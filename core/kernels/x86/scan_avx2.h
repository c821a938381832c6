/* scan_avx2.h: what the 256-bit variants of scan6 share. As in tern_avx2.h half a group, rows r .. r+7,
 * is a register wide; 16 weights of it are three registers, put together to four of bytes.
 */
#ifndef BITNET_SCAN_AVX2_H
#define BITNET_SCAN_AVX2_H

#include "kernels/kernels.h"
#include "kernels/x86/x86.h"

#define HALF     8    /* rows of a register */
#define PREFETCH 4096 /* bytes ahead of the weights */

static inline __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* The four activations of a field, for all rows: one broadcasting load. */
static inline __m256i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
}

/* Bits 0-3 of low with bits 4-5 of high. */
static inline __m256i join(__m256i low, __m256i high) {
    return _mm256_or_si256(_mm256_and_si256(low, _mm256_set1_epi8(0x0f)),
                           _mm256_and_si256(high, _mm256_set1_epi8(0x30)));
}

/* Field f of the block at w; f is a constant wherever this is inlined. */
static inline __m256i field(const uint8_t *w, const int f) {
    const __m256i high = load(w), low = load(w + 64 + f / 2 * 64);
    switch (f) {
    case 0:
        return join(low, _mm256_slli_epi16(high, 4));
    case 1:
        return join(_mm256_srli_epi16(low, 4), _mm256_slli_epi16(high, 2));
    case 2:
        return join(low, high);
    default:
        return join(_mm256_srli_epi16(low, 4), _mm256_srli_epi16(high, 2));
    }
}

/* Always inlined: GCC drops calls of functions that only prefetch. */
__attribute__((always_inline)) static inline void prefetch_block(const uint8_t *w) {
    _mm_prefetch((const char *)w + PREFETCH, _MM_HINT_T0);
    _mm_prefetch((const char *)w + PREFETCH + 64, _MM_HINT_T0);
    _mm_prefetch((const char *)w + PREFETCH + 128, _MM_HINT_T0);
}

static inline __m256 less(i32x8 sum, int32_t bias) {
    return _mm256_cvtepi32_ps(_mm256_sub_epi32((__m256i)sum, _mm256_set1_epi32(bias)));
}

/* y of token t, rows r .. r+7; rows at or past n are dropped. */
static inline void store_half(const bitnet_scan6_args *a, int32_t t, int32_t r, i32x8 hi,
                              i32x8 lo) {
    const int32_t n = a->n - r;
    float d[HALF] = {0}, *dst = a->y + t * a->ldy + r;
    if (n <= 0) return;
    memcpy(d, a->d + r, (size_t)(n < HALF ? n : HALF) * sizeof *d);
    __m256 y = _mm256_mul_ps(less(hi, a->hi_sum[t]), _mm256_set1_ps(128.0f));
    y = _mm256_add_ps(y, less(lo, a->lo_sum[t]));
    y = _mm256_mul_ps(y, _mm256_mul_ps(_mm256_set1_ps(a->scale[t]), _mm256_loadu_ps(d)));
    store_up_to_4(dst, _mm256_castps256_ps128(y), n);
    if (n > 4) store_up_to_4(dst + 4, _mm256_extractf128_ps(y, 1), n - 4);
}

#endif
