/* decode.c: the C variants of the block decoders are the formats' own definitions. */
#include "bitnet/backend.h"
#include "format/blocks.h"
#include "kernels/kernels.h"

void bitnet_decode_q8_0_c(float *y, const void *blocks, int64_t n) {
    bitnet_block_decoder(BITNET_TYPE_Q8_0)(y, blocks, n);
}

void bitnet_decode_q6_k_c(float *y, const void *blocks, int64_t n) {
    bitnet_block_decoder(BITNET_TYPE_Q6_K)(y, blocks, n);
}

void bitnet_decode_q4_k_c(float *y, const void *blocks, int64_t n) {
    bitnet_block_decoder(BITNET_TYPE_Q4_K)(y, blocks, n);
}

void bitnet_decode_q4_0_c(float *y, const void *blocks, int64_t n) {
    bitnet_block_decoder(BITNET_TYPE_Q4_0)(y, blocks, n);
}
