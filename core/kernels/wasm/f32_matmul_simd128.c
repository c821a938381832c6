/* f32_matmul_simd128.c: f32 weights. */
#include "kernels/wasm/sum16_simd128.h"

void bitnet_f32_matmul_simd128(const bitnet_dense_args *a) {
    dense_matmul(a, false);
}
