/* attn.c: scaled dot-product attention of one query head over the cached positions
 * (arXiv:1706.03762 3.2.1). Subtracting the largest score keeps EXP at or below 1. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

void bitnet_attn_c(const bitnet_attn_args *a) {
    float max = 0.0f; /* of the scores; the first one replaces it */
    for (int32_t t = 0; t < a->n_pos; t++) {
        const float *k = a->k + t * a->stride;
        float lane[16] = {0};
        for (int32_t d = 0; d < a->head_dim; d++)
            lane[d % 16] += a->q[d] * k[d];
        a->p[t] = sum16(lane) * a->scale;
        if (t == 0 || a->p[t] > max) max = a->p[t];
    }
    float lane[16] = {0};
    for (int32_t t = 0; t < a->n_pos; t++) {
        a->p[t] = bitnet_expf(a->p[t] - max);
        lane[t % 16] += a->p[t];
    }
    const float sum = sum16(lane);
    for (int32_t d = 0; d < a->head_dim; d++) {
        float acc = 0.0f;
        for (int32_t t = 0; t < a->n_pos; t++)
            acc += a->p[t] * a->v[t * a->stride + d];
        a->y[d] = acc / sum;
    }
}
