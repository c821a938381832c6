/* gate_neon.c: the two gated activations; y may be gate. */
#include "kernels/arm/expf_neon.h"
#include "kernels/kernels.h"

void bitnet_gate_relu2_neon(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float32x4_t g = larger(vld1q_f32(gate + i), vdupq_n_f32(0.0f));
        vst1q_f32(y + i, vmulq_f32(vmulq_f32(g, g), vld1q_f32(up + i)));
    }
    if (i < n) bitnet_gate_relu2_c(y + i, gate + i, up + i, n - i);
}

void bitnet_gate_silu_neon(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        const float32x4_t g = vld1q_f32(gate + i);
        const float32x4_t below = vaddq_f32(vdupq_n_f32(1.0f), exp_4(vnegq_f32(g)));
        vst1q_f32(y + i, vmulq_f32(vdivq_f32(g, below), vld1q_f32(up + i)));
    }
    if (i < n) bitnet_gate_silu_c(y + i, gate + i, up + i, n - i);
}
