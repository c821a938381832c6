/* softmax.c: subtracting the largest score keeps EXP at or below 1. */
#include "kernels/c/sum16.h"
#include "kernels/kernels.h"

float bitnet_softmax_c(float *p, int32_t n, float scale) {
    float max = p[0] * scale, lane[16] = {0};
    for (int32_t i = 0; i < n; i++) {
        p[i] *= scale;
        if (p[i] > max) max = p[i];
    }
    for (int32_t i = 0; i < n; i++) {
        p[i] = bitnet_expf(p[i] - max);
        lane[i % 16] += p[i];
    }
    return sum16(lane);
}
