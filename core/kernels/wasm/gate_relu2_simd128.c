/* gate_relu2_simd128.c: four at a time, also where y is gate: there the compiler, which must not take
 * the two for apart, leaves the C variant scalar. */
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

void bitnet_gate_relu2_simd128(float *y, const float *gate, const float *up, size_t n) {
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        /* pmax keeps +0 unless the gate is larger, as the comparison in C does */
        v128_t g = wasm_f32x4_pmax(wasm_f32x4_const_splat(0.0f), wasm_v128_load(gate + i));
        v128_t u = wasm_v128_load(up + i);
        wasm_v128_store(y + i, wasm_f32x4_mul(wasm_f32x4_mul(g, g), u));
    }
    bitnet_gate_relu2_c(y + i, gate + i, up + i, n - i);
}
