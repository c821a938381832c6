/* f16_matmul.c: f16 weights times f32 activations, for the output head. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

void bitnet_f16_matmul_c(const bitnet_dense_args *a) {
    const ptrdiff_t k = a->k;
    for (int32_t t = 0; t < a->m; t++)
        for (int32_t r = 0; r < a->n; r++) {
            const uint16_t *w = (const uint16_t *)a->w + r * k;
            const float *x = a->x + t * k;
            float lane[16] = {0};
            for (ptrdiff_t j = 0; j < k; j++)
                lane[j % 16] += f16_to_f32(w[j]) * x[j];
            a->y[t * a->ldy + r] = sum16(lane);
        }
}
