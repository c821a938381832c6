/* f32_to_f16.c: what the KV cache stores. */
#include "kernels/kernels.h"

void bitnet_f32_to_f16_c(uint16_t *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float v = x[i] < BITNET_F16_MAX ? x[i] : BITNET_F16_MAX;
        y[i] = f32_to_f16(v > -BITNET_F16_MAX ? v : -BITNET_F16_MAX);
    }
}
