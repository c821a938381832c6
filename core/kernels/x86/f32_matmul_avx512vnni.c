/* f32_matmul_avx512vnni.c: f32 weights. */
#include "kernels/x86/dense_avx512.h"

void bitnet_f32_matmul_avx512vnni(const bitnet_dense_args *a) {
    dense_matmul_avx512(a, false);
}
