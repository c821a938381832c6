/* f32_matmul_sse41.c: f32 weights. */
#include "kernels/x86/sum16_sse41.h"

void bitnet_f32_matmul_sse41(const bitnet_dense_args *a) {
    dense_matmul(a, false);
}
