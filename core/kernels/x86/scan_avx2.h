/* scan_avx2.h: what the 256-bit variants of scan6 share. 16 weights of half a group (group_avx2.h) are
 * three registers, put together to four of bytes.
 */
#ifndef BITNET_SCAN_AVX2_H
#define BITNET_SCAN_AVX2_H

#include "kernels/scan.h"
#include "kernels/x86/group_avx2.h"

#define PREFETCH 4096 /* bytes ahead of the weights */

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

static inline i32x4 lower(i32x8 sum) {
    return (i32x4)_mm256_castsi256_si128((__m256i)sum);
}

static inline i32x4 upper(i32x8 sum) {
    return (i32x4)_mm256_extracti128_si256((__m256i)sum, 1);
}

/* y of token t, rows r .. r+7; rows at or past n are dropped. */
static inline void store_half(const bitnet_scan6_args *a, int32_t t, int32_t r, i32x8 hi,
                              i32x8 lo) {
    scan6_store_4(a, t, r, lower(hi), lower(lo));
    scan6_store_4(a, t, r + 4, upper(hi), upper(lo));
}

#endif
