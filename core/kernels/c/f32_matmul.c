/* f32_matmul.c: f32 weights times f32 activations: every ordinary matrix that is not f16, decoded a few
 * rows at a time. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

void bitnet_f32_matmul_c(const bitnet_dense_args *a) {
    const ptrdiff_t k = a->k;
    for (int32_t t = 0; t < a->m; t++)
        for (int32_t r = 0; r < a->n; r++) {
            const float *w = (const float *)a->w + r * k, *x = a->x + t * k;
            float lane[16] = {0};
            for (ptrdiff_t j = 0; j < k; j++)
                lane[j % 16] += w[j] * x[j];
            a->y[t * a->ldy + r] = sum16(lane);
        }
}
