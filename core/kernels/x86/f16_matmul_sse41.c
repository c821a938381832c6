/* f16_matmul_sse41.c: f16 weights: the output head. */
#include "kernels/x86/sum16_sse41.h"

void bitnet_f16_matmul_sse41(const bitnet_dense_args *a) {
    dense_matmul(a, true);
}
