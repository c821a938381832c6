/* rope.c: rotary position embedding (arXiv:2104.09864), in place. Pairs come out half split whichever
 * way they came in, so that from here on a llama GGUF, whose converter reordered the rows of Wq and Wk
 * (formats page 2.5), is the same model as its source, to the bit.
 */
#include "kernels/kernels.h"

void bitnet_rope_c(const bitnet_rope_args *r) {
    const int32_t half = r->n_rot / 2;
    float *x = r->x, head[BITNET_MAX_HEAD_DIM];
    const int32_t step = r->is_norm ? 2 : 1, apart = r->is_norm ? 1 : half;
    for (int32_t h = 0; h < r->n_head; h++, x += r->head_dim) {
        memcpy(head, x, (size_t)r->n_rot * sizeof *head);
        for (int32_t i = 0; i < half; i++) {
            float a = head[step * i], b = head[step * i + apart];
            x[i] = a * r->cos[i] - b * r->sin[i];
            x[i + half] = a * r->sin[i] + b * r->cos[i];
        }
    }
}
