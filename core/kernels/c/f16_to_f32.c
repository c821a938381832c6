/* f16_to_f32.c: rows of IEEE binary16 to f32, for the embedding. */
#include "kernels/kernels.h"

void bitnet_f16_to_f32_c(float *y, const uint16_t *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = f16_to_f32(x[i]);
}
