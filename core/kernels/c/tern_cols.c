/* tern_cols.c: listed columns times their activations, one weight at a time. */
#include "kernels/kernels.h"

void bitnet_tern_cols_c(const bitnet_tern_cols_args *a) {
    for (int32_t r = 0; r < a->n; r++) {
        const int32_t f = r % 256 / 64, q = r % 64 / 16, l = r % 16 / 4, d = r % 4;
        const uint8_t *w = a->w + r / BITNET_COL_ROWS * 64 + 16 * l + 4 * q + d;
        int32_t acc = 0;
        for (int32_t i = 0; i < a->n_col; i++)
            acc += (w[a->col[i] * a->ld] >> (2 * f) & 3) * a->x[i];
        a->y[r] = (float)(acc - a->xsum) / a->s * a->w_scale;
    }
}
