/* scan2_avx2.c: 128 of a row's 256 codes are one register and meet activations that lie together. A
 * 16-bit lane gains 2 * 3 * 127 by each of 8 registers of a block, 6096, and is widened after it.
 */
#include "kernels/scan.h"
#include "kernels/x86/x86.h"

static inline __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

static inline u16x16 dot(u16x16 acc, __m256i codes, const int8_t *x) {
    acc += (u16x16)_mm256_maddubs_epi16(codes, load(x));
    KEEP(acc);
    return acc;
}

static inline i32x8 widen(i32x8 acc, u16x16 sum) {
    return acc + (i32x8)_mm256_madd_epi16((__m256i)sum, _mm256_set1_epi16(1));
}

static inline int32_t add_lanes(i32x8 v) {
    __m128i s =
        _mm_add_epi32(_mm256_castsi256_si128((__m256i)v), _mm256_extracti128_si256((__m256i)v, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(s) + _mm_extract_epi32(s, 1);
}

void bitnet_scan2_avx2(const bitnet_scan2_args *a) {
    const __m256i mask = _mm256_set1_epi8(3);
    for (int32_t i = 0; i < a->n; i++) {
        const int32_t r = a->row[i], next = a->row[i + 1 < a->n ? i + 1 : i];
        const uint8_t *w = a->w + (ptrdiff_t)r * (a->k / 4);
        const uint8_t *ahead = a->w + (ptrdiff_t)next * (a->k / 4);
        i32x8 sum_hi = {0}, sum_lo = {0};
        for (int32_t b = 0; b < a->k; b += 256, w += 64, ahead += 64) {
            u16x16 hi = {0}, lo = {0};
            _mm_prefetch((const char *)ahead, _MM_HINT_T0);
            UNROLL for (int v = 0; v < 2; v++) {
                __m256i fields = load(w + 32 * v);
                UNROLL for (int f = 0; f < 4; f++) {
                    const __m256i codes = _mm256_and_si256(fields, mask);
                    hi = dot(hi, codes, a->hi + b + 64 * f + 32 * v);
                    lo = dot(lo, codes, a->lo + b + 64 * f + 32 * v);
                    fields = _mm256_srli_epi16(fields, 2);
                }
            }
            sum_hi = widen(sum_hi, hi);
            sum_lo = widen(sum_lo, lo);
        }
        scan2_store(a, r, add_lanes(sum_hi), add_lanes(sum_lo));
    }
}
