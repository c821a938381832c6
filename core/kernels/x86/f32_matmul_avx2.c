/* f32_matmul_avx2.c: f32 weights. */
#include "kernels/x86/dense_avx2.h"

void bitnet_f32_matmul_avx2(const bitnet_dense_args *a) {
    dense_matmul(a, false);
}
