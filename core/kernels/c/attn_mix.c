/* attn_mix.c: the weighted sum of values, positions ascending. */
#include "kernels/kernels.h"

void bitnet_attn_mix_c(const bitnet_attn_mix_args *a) {
    for (int32_t t = 0; t < a->m; t++)
        for (int32_t i = 0; i < a->n_pos; i++) {
            const float p = a->p[t * a->ldp + i], *v = a->v + (ptrdiff_t)i * a->head_dim;
            for (int32_t d = 0; d < a->head_dim; d++)
                a->y[t * a->ldy + d] += p * v[d];
        }
}
