/* attn_mix_sse41.c: a tile of four queries has eight accumulators, two registers of values, a probability
 * and a product. */
#define LANES 4
#include "kernels/attn_mix.h"

void bitnet_attn_mix_sse41(const bitnet_attn_mix_args *a) {
    attn_mix(a, 2, 8);
}
