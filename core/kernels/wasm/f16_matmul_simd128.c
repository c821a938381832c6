/* f16_matmul_simd128.c: f16 weights: the output head. */
#include "kernels/wasm/sum16_simd128.h"

void bitnet_f16_matmul_simd128(const bitnet_dense_args *a) {
    dense_matmul(a, true);
}
