/* act_quant.h: the two scalar loops of act_quant: the definition of the slot, and the tails of its SIMD
 * variants. */
#ifndef BITNET_ACT_QUANT_H
#define BITNET_ACT_QUANT_H

#include <stdint.h>

/* The larger of amax and |x| from element i on. */
static inline float act_quant_max(float amax, const float *x, int32_t i, int32_t k) {
    for (; i < k; i++) {
        float mag = x[i] < 0.0f ? -x[i] : x[i];
        if (mag > amax) amax = mag;
    }
    return amax;
}

/* Quantises from element i on; returns the sum of what came out. Adding and subtracting 1.5 * 2^23
 * rounds half to even, as the reference implementation does. */
static inline int32_t act_quant_round(int8_t *xq, const float *x, float scale, int32_t i,
                                      int32_t k) {
    const float magic = 12582912.0f;
    int32_t sum = 0;
    for (; i < k; i++) {
        float rounded = (x[i] * scale + magic) - magic;
        rounded = rounded > -128.0f ? rounded : -128.0f; /* NaN too: a cast of it is undefined */
        int32_t q = (int32_t)(rounded < 127.0f ? rounded : 127.0f);
        xq[i] = (int8_t)q;
        sum += q;
    }
    return sum;
}

#endif
