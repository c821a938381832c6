/* attn_mix_neon.c: a tile of four queries has sixteen accumulators, half of the registers. */
#define LANES 4
#include "kernels/attn_mix.h"

void bitnet_attn_mix_neon(const bitnet_attn_mix_args *a) {
    attn_mix(a, 4, 4);
}
