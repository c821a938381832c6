/* f16_matmul_avx2.c: f16 weights: the output head. */
#include "kernels/x86/dense_avx2.h"

void bitnet_f16_matmul_avx2(const bitnet_dense_args *a) {
    dense_matmul(a, true);
}
