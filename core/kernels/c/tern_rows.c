/* tern_rows.c: rows of 2-bit codes in layout A, unpacked one by one. */
#include "kernels/kernels.h"

void bitnet_tern_rows_c(const bitnet_tern_rows_args *a) {
    for (int32_t i = 0; i < a->n; i++) {
        const uint8_t *w = a->w + (ptrdiff_t)a->row[i] * (a->k / 4);
        int32_t acc = 0;
        for (int32_t b = 0; b < a->k; b += BITNET_K_BLOCK, w += 32)
            for (int32_t j = 0; j < BITNET_K_BLOCK; j++)
                acc += (w[j % 32] >> (6 - 2 * (j / 32)) & 3) * a->xq[b + j];
        a->y[a->row[i]] = (float)(acc - a->xsum) / a->s * a->w_scale;
    }
}
