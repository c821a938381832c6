/* scan6_sse41.c: scan6_avx2.c in 128 bits: four rows are a register, and the 16 activations of a block
 * one; pshufd takes out the four of a field. pmaddubsw saturates: two of its sums, at most 2 * 63 * 127
 * each, still fit in 16 bits, and pmaddwd makes 32-bit lanes, the rows, of them at once.
 */
#include "kernels/scan.h"
#include "kernels/x86/x86.h"

static inline __m128i load(const void *p) {
    return _mm_loadu_si128((const __m128i *)p);
}

/* Bits 0-3 of low with bits 4-5 of high. */
static inline __m128i join(__m128i low, __m128i high) {
    return _mm_or_si128(_mm_and_si128(low, _mm_set1_epi8(0x0f)),
                        _mm_and_si128(high, _mm_set1_epi8(0x30)));
}

static inline i32x4 dot2(i32x4 acc, __m128i c0, __m128i c1, __m128i x0, __m128i x1) {
    const __m128i sum = _mm_add_epi16(_mm_maddubs_epi16(c0, x0), _mm_maddubs_epi16(c1, x1));
    return acc + (i32x4)_mm_madd_epi16(sum, _mm_set1_epi16(1));
}

static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    i32x4 sum_hi[4] = {{0}}, sum_lo[4] = {{0}};

    for (int32_t j = 0; j < a->k; j += 16, w += 192)
        UNROLL for (int q = 0; q < 4; q++) {
            const __m128i high = load(w + 16 * q), xh = load(hi + j), xl = load(lo + j);
            __m128i low = load(w + 16 * q + 64);
            __m128i c0 = join(low, _mm_slli_epi16(high, 4));
            __m128i c1 = join(_mm_srli_epi16(low, 4), _mm_slli_epi16(high, 2));
            sum_hi[q] =
                dot2(sum_hi[q], c0, c1, _mm_shuffle_epi32(xh, 0x00), _mm_shuffle_epi32(xh, 0x55));
            sum_lo[q] =
                dot2(sum_lo[q], c0, c1, _mm_shuffle_epi32(xl, 0x00), _mm_shuffle_epi32(xl, 0x55));
            low = load(w + 16 * q + 128);
            c0 = join(low, high);
            c1 = join(_mm_srli_epi16(low, 4), _mm_srli_epi16(high, 2));
            sum_hi[q] =
                dot2(sum_hi[q], c0, c1, _mm_shuffle_epi32(xh, 0xaa), _mm_shuffle_epi32(xh, 0xff));
            sum_lo[q] =
                dot2(sum_lo[q], c0, c1, _mm_shuffle_epi32(xl, 0xaa), _mm_shuffle_epi32(xl, 0xff));
        }
    UNROLL for (int q = 0; q < 4; q++) {
        scan6_store_4(a, t, r + 4 * q, sum_hi[q], sum_lo[q]);
    }
}

void bitnet_scan6_sse41(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
