/* tern_matmul.c: ternary weights times int8 activations, straight from the contract: weights are
 * unpacked one by one.
 *
 * The sum is sum c*xq - sum xq rather than sum (c - 1)*xq: with -march=native on a CPU with VNNI,
 * GCC 12 vectorises the latter with an instruction that takes c - 1 = -1 for 255.
 */
#include "kernels/kernels.h"

/* acc[r] = sum over j of code[r][j] * xq[j], of one group */
static void dot_group(int32_t acc[BITNET_ROW_GROUP], const uint8_t *w, const int8_t *xq,
                      int32_t k) {
    memset(acc, 0, BITNET_ROW_GROUP * sizeof *acc);
    for (int32_t b = 0; b < k / 16; b++, w += 64, xq += 16)
        for (int r = 0; r < BITNET_ROW_GROUP; r++)
            for (int f = 0; f < 4; f++)
                for (int i = 0; i < 4; i++)
                    acc[r] += ((w[4 * r + i] >> (2 * f)) & 3) * xq[4 * f + i];
}

void bitnet_tern_matmul_c(const bitnet_tern_args *a) {
    const ptrdiff_t k = a->k;
    for (int32_t first = 0; first < a->n; first += BITNET_ROW_GROUP)
        for (int32_t t = 0; t < a->m; t++) {
            int32_t acc[BITNET_ROW_GROUP];
            dot_group(acc, a->w + first / BITNET_ROW_GROUP * (4 * k), a->xq + t * k, a->k);
            for (int32_t r = 0; r < BITNET_ROW_GROUP && first + r < a->n; r++)
                a->y[t * a->ldy + first + r] = (float)(acc[r] - a->xsum[t]) / a->s[t] * a->w_scale;
        }
}
