/* act_quant.c: one token's activations to int8 by absmax (arXiv:2402.17764 2). The definition that
 * every variant repeats. */
#include "kernels/kernels.h"

/* Adding and subtracting 1.5 * 2^23 rounds half to even, as the reference implementation does. */
#define ROUND_MAGIC 12582912.0f

void bitnet_act_quant_c(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    float amax = 1e-5f; /* the floor keeps a zero row finite */
    for (int32_t i = 0; i < k; i++) {
        float mag = x[i] < 0.0f ? -x[i] : x[i];
        if (mag > amax) amax = mag;
    }
    const float scale = 127.0f / amax;
    int32_t sum = 0;
    for (int32_t i = 0; i < k; i++) {
        float rounded = (x[i] * scale + ROUND_MAGIC) - ROUND_MAGIC;
        int32_t q = (int32_t)rounded;
        q = q < -128 ? -128 : q > 127 ? 127 : q;
        xq[i] = (int8_t)q;
        sum += q;
    }
    *s = scale;
    *xsum = sum;
}
