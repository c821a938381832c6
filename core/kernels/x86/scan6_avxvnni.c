/* scan6_avxvnni.c: scan6_avx2.c with vpdpbusd, which adds four products to a 32-bit lane, a row. */
#include "kernels/x86/scan_avx2.h"

static inline i32x8 dot(i32x8 acc, __m256i codes, const int8_t *x) {
    return (i32x8)_mm256_dpbusd_avx_epi32((__m256i)acc, codes, activations(x));
}

static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    i32x8 sum_hi[2][2] = {{{0}}},
          sum_lo[2][2] = {{{0}}}; /* of even and odd fields: shorter chains */

    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        prefetch_block(w);
        UNROLL for (int h = 0; h < 2; h++) {
            UNROLL for (int f = 0; f < 4; f++) {
                const __m256i codes = field(w + 32 * h, f);
                sum_hi[h][f % 2] = dot(sum_hi[h][f % 2], codes, hi + j + 4 * f);
                sum_lo[h][f % 2] = dot(sum_lo[h][f % 2], codes, lo + j + 4 * f);
            }
        }
    }
    UNROLL for (int h = 0; h < 2; h++) {
        store_half(a, t, r + h * HALF, sum_hi[h][0] + sum_hi[h][1], sum_lo[h][0] + sum_lo[h][1]);
    }
}

void bitnet_scan6_avxvnni(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
