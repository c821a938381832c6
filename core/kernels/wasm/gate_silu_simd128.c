/* gate_silu_simd128.c: four at a time, also where y is gate; see gate_relu2_simd128.c. */
#include "kernels/wasm/exp_simd128.h"

void bitnet_gate_silu_simd128(float *y, const float *gate, const float *up, size_t n) {
    const v128_t one = wasm_f32x4_const_splat(1.0f);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        v128_t g = wasm_v128_load(gate + i), u = wasm_v128_load(up + i);
        v128_t below = wasm_f32x4_add(one, exp4(wasm_f32x4_neg(g)));
        wasm_v128_store(y + i, wasm_f32x4_mul(wasm_f32x4_div(g, below), u));
    }
    bitnet_gate_silu_c(y + i, gate + i, up + i, n - i);
}
