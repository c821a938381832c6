/* rope.c: rotary position embedding (arXiv:2104.09864) with half-split pairs, in place. Elements
 * n_rot and up of each head stay as they are. */
#include "kernels/kernels.h"

void bitnet_rope_c(float *x, const float *cos, const float *sin, int32_t n_head, int32_t head_dim,
                   int32_t n_rot) {
    const int32_t half = n_rot / 2;
    for (int32_t h = 0; h < n_head; h++, x += head_dim)
        for (int32_t i = 0; i < half; i++) {
            float a = x[i], b = x[i + half];
            x[i] = a * cos[i] - b * sin[i];
            x[i + half] = a * sin[i] + b * cos[i];
        }
}
