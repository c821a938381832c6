/* tern5_matvec.c: the definition, digit by digit. */
#include "kernels/kernels.h"

static void multiply(const bitnet_tern_args *a, int32_t t) {
    const int8_t *xq = a->xq + (ptrdiff_t)t * a->k;
    const size_t group_size = bitnet_tern5_group_size(a->k);
    for (int32_t r = 0; r < a->n; r++) {
        const uint8_t *w = a->w + (size_t)(r / 16) * group_size + 4 * (r % 16);
        int32_t acc = 0;
        for (int32_t b = 0; b < a->k; b += 20, w += 64)
            for (int32_t i = 0; i < 4; i++) {
                unsigned c = w[i];
                for (int32_t j = b + i; j < b + 20 && j < a->k; j += 4, c = 3 * c & 0xff)
                    acc += (int32_t)(3 * c >> 8) * xq[j];
            }
        a->y[t * a->ldy + r] = (float)(acc - a->xsum[t]) / a->s[t] * a->w_scale;
    }
}

void bitnet_tern5_matvec_c(const bitnet_tern_args *a) {
    for (int32_t t = 0; t < a->m; t++)
        multiply(a, t);
}
