/* tern_matmul.c: ternary weights times int8 activations, straight from the contract: weights are
 * unpacked one by one (layout A, formats page 1.7).
 *
 * The sum is sum c*xq - sum xq rather than sum (c - 1)*xq: with -march=native on a CPU with VNNI,
 * GCC 12 vectorises the latter with an instruction that takes c - 1 = -1 for 255.
 */
#include "kernels/kernels.h"

static int32_t dot(const uint8_t *w, const int8_t *xq, int32_t k) {
    int32_t acc = 0, xsum = 0;
    for (int32_t b = 0; b < k / BITNET_K_BLOCK; b++, w += 32, xq += BITNET_K_BLOCK)
        for (int32_t f = 0; f < 4; f++) /* number j = 32 f + i of the block */
            for (int32_t i = 0; i < 32; i++) {
                int32_t code = (w[i] >> (6 - 2 * f)) & 3;
                acc += code * xq[32 * f + i];
                xsum += xq[32 * f + i];
            }
    return acc - xsum;
}

void bitnet_tern_matmul_c(const bitnet_tern_args *a) {
    const ptrdiff_t k = a->k;
    for (int32_t t = 0; t < a->m; t++)
        for (int32_t r = 0; r < a->n; r++) {
            int32_t acc = dot(a->w + r * (k / 4), a->xq + t * k, a->k);
            a->y[t * a->ldy + r] = (float)acc / a->s[t] * a->w_scale;
        }
}
