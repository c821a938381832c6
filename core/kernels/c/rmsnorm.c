/* rmsnorm.c: RMSNorm (arXiv:1910.07467), one token. y may be x. */
#include <math.h>

#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

void bitnet_rmsnorm_c(float *y, const float *x, const float *w, int32_t n, float eps) {
    float lane[16] = {0};
    for (int32_t i = 0; i < n; i++)
        lane[i % 16] += x[i] * x[i];
    const float r = 1.0f / sqrtf(sum16(lane) / (float)n + eps);
    for (int32_t i = 0; i < n; i++)
        y[i] = (x[i] * r) * w[i];
}
