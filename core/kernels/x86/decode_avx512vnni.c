/* decode_avx512vnni.c: the block decoders, see decode_x86.h. */
#include "kernels/x86/decode_x86.h"

void bitnet_decode_q8_0_avx512vnni(float *y, const void *blocks, int64_t n) {
    decode_q8_0(y, blocks, n);
}

void bitnet_decode_q6_k_avx512vnni(float *y, const void *blocks, int64_t n) {
    decode_q6_k(y, blocks, n);
}

void bitnet_decode_q4_k_avx512vnni(float *y, const void *blocks, int64_t n) {
    decode_q4_k(y, blocks, n);
}

void bitnet_decode_q4_0_avx512vnni(float *y, const void *blocks, int64_t n) {
    decode_q4_0(y, blocks, n);
}
