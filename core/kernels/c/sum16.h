/* sum16.h: the end of every SUM16 (kernels.h): sixteen lanes to one float, in the one order that
 * all variants share. Also the whole of it where a tail leaves SIMD for the last n % 16 terms. */
#ifndef BITNET_SUM16_H
#define BITNET_SUM16_H

/* lane is overwritten */
static inline float sum16(float lane[16]) {
    for (int w = 8; w >= 1; w /= 2)
        for (int l = 0; l < w; l++)
            lane[l] += lane[l + w];
    return lane[0];
}

#endif
