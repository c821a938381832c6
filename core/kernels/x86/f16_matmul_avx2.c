/* f16_matmul_avx2.c: four rows at a time share each load of the activations; the rows stay in the
 * first cache while every token passes over them. */
#include "kernels/x86/sum16_avx2.h"

void bitnet_f16_matmul_avx2(const bitnet_f16_args *a) {
    const ptrdiff_t k = a->k;
    const void *rows[4];
    for (int32_t r = 0; r < a->n; r += 4) {
        four_rows(rows, a->w, k * 2, r, a->n);
        for (int32_t t = 0; t < a->m; t++)
            store_up_to_4(a->y + t * a->ldy + r, sum16_dot4(rows, a->x + t * k, k, true), a->n - r);
    }
}
