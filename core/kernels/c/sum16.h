/* sum16.h: the end of every SUM16 (kernels.h): sixteen lanes to one float, in the one order that
 * all variants share. Also the whole of it where a tail leaves SIMD for the last n % 16 terms, of
 * elements that row_at takes out of rows of either type. */
#ifndef BITNET_SUM16_H
#define BITNET_SUM16_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/half.h"

/* lane is overwritten */
static inline float sum16(float lane[16]) {
    for (int w = 8; w >= 1; w /= 2)
        for (int l = 0; l < w; l++)
            lane[l] += lane[l + w];
    return lane[0];
}

/* Element j of a row of f16 or f32. */
static inline float row_at(const void *row, ptrdiff_t j, bool is_f16) {
    return is_f16 ? f16_to_f32(((const uint16_t *)row)[j]) : ((const float *)row)[j];
}

#endif
