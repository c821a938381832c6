/* f16_matmul_avx512vnni.c: f16 weights: the output head. */
#include "kernels/x86/dense_avx512.h"

void bitnet_f16_matmul_avx512vnni(const bitnet_dense_args *a) {
    dense_matmul_avx512(a, true);
}
