/* attn_mix_simd128.c: with eight accumulators a tile keeps two adders of latency 4 busy. */
#define LANES 4
#include "kernels/attn_mix.h"

void bitnet_attn_mix_simd128(const bitnet_attn_mix_args *a) {
    attn_mix(a, 2, 8);
}
