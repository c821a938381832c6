/* f16_matmul_neon.c: f16 weights: the output head. */
#include "kernels/arm/sum16_neon.h"

void bitnet_f16_matmul_neon(const bitnet_dense_args *a) {
    dense_matmul(a, true);
}
