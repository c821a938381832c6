/* group_avx512.h: what the AVX-512 kernels share that read groups of sixteen rows (kernels.h). 64 bytes of a
 * group are one register and its 32-bit lanes are the rows, so nothing is summed across lanes.
 */
#ifndef BITNET_GROUP_AVX512_H
#define BITNET_GROUP_AVX512_H

#include "kernels/x86/x86.h"

static inline __m512i load(const void *p) {
    return _mm512_loadu_si512(p);
}

/* The four activations of a field, for all rows. */
static inline __m512i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

#endif
