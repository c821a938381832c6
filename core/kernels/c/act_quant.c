/* act_quant.c: one token's activations to int8 by absmax (arXiv:2402.17764 2). The definition that
 * every variant repeats. */
#include "kernels/c/act_quant.h"
#include "kernels/kernels.h"

void bitnet_act_quant_c(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    float amax = act_quant_max(1e-5f, x, 0, k); /* the floor keeps a zero row finite */
    *s = 127.0f / amax;
    *xsum = act_quant_round(xq, x, *s, 0, k);
}
