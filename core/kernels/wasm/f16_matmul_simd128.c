/* f16_matmul_simd128.c: two rows at a time share each load of the activations; the rows stay in the
 * first cache while every token passes over them. */
#include "kernels/wasm/sum16_simd128.h"

void bitnet_f16_matmul_simd128(const bitnet_f16_args *a) {
    const ptrdiff_t k = a->k;
    for (int32_t r = 0; r < a->n; r += 2) {
        const int32_t last = r + 1 < a->n ? r + 1 : r;
        const void *rows[2] = {a->w + r * k, a->w + last * k};
        for (int32_t t = 0; t < a->m; t++) {
            float y[2];
            sum16_dot2(y, rows, a->x + t * k, k, true);
            a->y[t * a->ldy + r] = y[0];
            a->y[t * a->ldy + last] = y[last - r];
        }
    }
}
