/* scan6_dotprod.c: sdot adds four products to a 32-bit lane, a row; codes are at most 63, so its signed
 * operand takes them. The four activations of a field come from one lane of those of the block. */
#include "kernels/arm/scan_neon.h"
#include "kernels/scan.h"

/* f, the field and with it the lane of x, is a constant wherever it appears. */
#define DOT(acc, codes, x, f) vdotq_laneq_s32(acc, vreinterpretq_s8_u8(codes), x, f)

static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    int32x4_t sum_hi[4], sum_lo[4];

    UNROLL for (int q = 0; q < 4; q++) {
        sum_hi[q] = sum_lo[q] = vdupq_n_s32(0);
    }
    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        const int8x16_t xh = vld1q_s8(hi + j), xl = vld1q_s8(lo + j);
        UNROLL for (int q = 0; q < 4; q++) {
            uint8x16_t field[4];
            unpack_scan6(field, w + 16 * q);
            sum_hi[q] = DOT(sum_hi[q], field[0], xh, 0);
            sum_lo[q] = DOT(sum_lo[q], field[0], xl, 0);
            sum_hi[q] = DOT(sum_hi[q], field[1], xh, 1);
            sum_lo[q] = DOT(sum_lo[q], field[1], xl, 1);
            sum_hi[q] = DOT(sum_hi[q], field[2], xh, 2);
            sum_lo[q] = DOT(sum_lo[q], field[2], xl, 2);
            sum_hi[q] = DOT(sum_hi[q], field[3], xh, 3);
            sum_lo[q] = DOT(sum_lo[q], field[3], xl, 3);
        }
    }
    UNROLL for (int q = 0; q < 4; q++) {
        scan6_store_4(a, t, r + 4 * q, sum_hi[q], sum_lo[q]);
    }
}

/* The tokens of a call pass over one group, so that a batch reads the weights once. */
void bitnet_scan6_dotprod(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
