/* add.c: the residual connection, y += x. */
#include "kernels/kernels.h"

void bitnet_add_c(float *y, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        y[i] += x[i];
}
