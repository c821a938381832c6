/* group_avx2.h: what the 256-bit kernels share that read groups of sixteen rows (kernels.h). 64 bytes of a
 * group are two registers, rows 0 .. 7 and rows 8 .. 15; their 32-bit lanes are the rows. Here such a half
 * group is the unit: rows r .. r+7 of the matrix, r a multiple of 8.
 */
#ifndef BITNET_GROUP_AVX2_H
#define BITNET_GROUP_AVX2_H

#include "kernels/x86/x86.h"

#define HALF 8 /* rows of a register */

static inline __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* The four activations of a field, for all rows: one broadcasting load. */
static inline __m256i activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return _mm256_set1_epi32(four);
}

#endif
