/* attn_mix_avx2.c: a tile of four queries has eight accumulators, two registers of values, a probability
 * and a product. */
#define LANES 8
#include "kernels/attn_mix.h"

void bitnet_attn_mix_avx2(const bitnet_attn_mix_args *a) {
    attn_mix(a, 2, 8);
}
