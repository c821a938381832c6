/* scan6_neon.c: for cores without a dot product. smlal adds one product of each field, at most 63 * 127,
 * to a 16-bit lane: the four of a block, 32004, just fit, and the lane is widened after them. */
#include "kernels/arm/scan_neon.h"
#include "kernels/scan.h"

/* The four activations of a field, for every row. */
static inline int8x16_t activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

/* Four rows and a block, whose activations lie at x: lanes of sum[0] belong to rows 0 0 1 1, those of
 * sum[1] to rows 2 2 3 3. */
static inline void multiply(int32x4_t sum[2], const uint8x16_t field[4], const int8_t *x) {
    int8x16_t c = vreinterpretq_s8_u8(field[0]), xf = activations(x);
    int16x8_t low = vmull_s8(vget_low_s8(c), vget_low_s8(xf)), high = vmull_high_s8(c, xf);
    UNROLL for (int f = 1; f < 4; f++) {
        c = vreinterpretq_s8_u8(field[f]);
        xf = activations(x + 4 * f);
        low = vmlal_s8(low, vget_low_s8(c), vget_low_s8(xf));
        high = vmlal_high_s8(high, c, xf);
    }
    sum[0] = vpadalq_s16(sum[0], low);
    sum[1] = vpadalq_s16(sum[1], high);
}

static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    int32x4_t sum_hi[4][2], sum_lo[4][2];

    UNROLL for (int q = 0; q < 4; q++) {
        sum_hi[q][0] = sum_hi[q][1] = sum_lo[q][0] = sum_lo[q][1] = vdupq_n_s32(0);
    }
    for (int32_t j = 0; j < a->k; j += 16, w += 192)
        UNROLL for (int q = 0; q < 4; q++) {
            uint8x16_t field[4];
            unpack_scan6(field, w + 16 * q);
            multiply(sum_hi[q], field, hi + j);
            multiply(sum_lo[q], field, lo + j);
        }
    UNROLL for (int q = 0; q < 4; q++) {
        scan6_store_4(a, t, r + 4 * q, vpaddq_s32(sum_hi[q][0], sum_hi[q][1]),
                      vpaddq_s32(sum_lo[q][0], sum_lo[q][1]));
    }
}

/* The tokens of a call pass over one group, so that a batch reads the weights once. */
void bitnet_scan6_neon(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
