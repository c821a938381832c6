/* scan6_avx2.c: vpmaddubsw adds two products of at most 63 * 127 in a 16-bit lane, saturating: two such
 * sums, 32004, still fit, and vpmaddwd makes 32-bit lanes, the rows, of them at once.
 *
 * The tokens of a call pass over one group, so that a batch reads the weights once.
 */
#include "kernels/x86/scan_avx2.h"

/* Two fields with their activations, those of the second 4 bytes on */
static inline i32x8 dot2(i32x8 acc, __m256i c0, __m256i c1, const int8_t *x) {
    const __m256i sum = _mm256_add_epi16(_mm256_maddubs_epi16(c0, activations(x)),
                                         _mm256_maddubs_epi16(c1, activations(x + 4)));
    return acc + (i32x8)_mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    i32x8 sum_hi[2] = {{0}}, sum_lo[2] = {{0}}; /* of the halves */

    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        prefetch_block(w);
        UNROLL for (int h = 0; h < 2; h++) {
            UNROLL for (int f = 0; f < 4; f += 2) {
                const __m256i c0 = field(w + 32 * h, f), c1 = field(w + 32 * h, f + 1);
                sum_hi[h] = dot2(sum_hi[h], c0, c1, hi + j + 4 * f);
                sum_lo[h] = dot2(sum_lo[h], c0, c1, lo + j + 4 * f);
            }
        }
    }
    store_half(a, t, r, sum_hi[0], sum_lo[0]);
    store_half(a, t, r + HALF, sum_hi[1], sum_lo[1]);
}

void bitnet_scan6_avx2(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
