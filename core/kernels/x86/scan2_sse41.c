/* scan2_sse41.c: scan2_avx2.c in 128 bits: a 16-bit lane gains 2 * 3 * 127 by each of 16 registers of a
 * block, 12192, and is widened after it. */
#include "kernels/scan.h"
#include "kernels/x86/x86.h"

static inline __m128i load(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

static inline u16x8 dot(u16x8 acc, __m128i codes, const int8_t *x) {
    acc += (u16x8)_mm_maddubs_epi16(codes, load(x));
    KEEP(acc);
    return acc;
}

static inline i32x4 widen(i32x4 acc, u16x8 sum) {
    return acc + (i32x4)_mm_madd_epi16((__m128i)sum, _mm_set1_epi16(1));
}

void bitnet_scan2_sse41(const bitnet_scan2_args *a) {
    const __m128i mask = _mm_set1_epi8(3);
    for (int32_t i = 0; i < a->n; i++) {
        const int32_t r = a->row[i];
        const uint8_t *w = a->w + (ptrdiff_t)r * (a->k / 4);
        i32x4 sum_hi = {0}, sum_lo = {0};
        for (int32_t b = 0; b < a->k; b += 256, w += 64) {
            u16x8 hi = {0}, lo = {0};
            UNROLL for (int v = 0; v < 4; v++) {
                __m128i fields = load(w + 16 * v);
                UNROLL for (int f = 0; f < 4; f++) {
                    const __m128i codes = _mm_and_si128(fields, mask);
                    hi = dot(hi, codes, a->hi + b + 64 * f + 16 * v);
                    lo = dot(lo, codes, a->lo + b + 64 * f + 16 * v);
                    fields = _mm_srli_epi16(fields, 2);
                }
            }
            sum_hi = widen(sum_hi, hi);
            sum_lo = widen(sum_lo, lo);
        }
        const int32_t all_hi = sum_hi[0] + sum_hi[1] + sum_hi[2] + sum_hi[3];
        const int32_t all_lo = sum_lo[0] + sum_lo[1] + sum_lo[2] + sum_lo[3];
        scan2_store(a, r, all_hi, all_lo);
    }
}
