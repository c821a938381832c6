/* f32_matmul_neon.c: f32 weights. */
#include "kernels/arm/sum16_neon.h"

void bitnet_f32_matmul_neon(const bitnet_dense_args *a) {
    dense_matmul(a, false);
}
