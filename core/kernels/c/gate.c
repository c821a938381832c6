/* gate.c: the two gated activations of the feed-forward network. relu2 is that of BitNet b1.58 2B4T
 * (arXiv:2504.12285), silu that of Llama and of arch "bitnet". relu(g)^2 * u overflows f16 on real
 * inputs (formats page 2.6), so all of this stays f32. */
#include "kernels/kernels.h"

void bitnet_gate_relu2_c(float *y, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++) {
        float g = gate[i] > 0.0f ? gate[i] : 0.0f;
        y[i] = (g * g) * up[i];
    }
}

void bitnet_gate_silu_c(float *y, const float *gate, const float *up, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] = (gate[i] / (1.0f + bitnet_expf(-gate[i]))) * up[i];
}
