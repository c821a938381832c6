/* scan2.c: 2-bit codes of single rows, unpacked one by one. */
#include "kernels/scan.h"

void bitnet_scan2_c(const bitnet_scan2_args *a) {
    for (int32_t i = 0; i < a->n; i++) {
        const int32_t r = a->row[i];
        const uint8_t *w = a->w + (ptrdiff_t)r * (a->k / 4);
        int32_t hi = 0, lo = 0;
        for (int32_t b = 0; b < a->k; b += 256, w += 64)
            for (int32_t j = 0; j < 256; j++) {
                const int32_t code = w[j % 64] >> (2 * (j / 64)) & 3;
                hi += code * a->hi[b + j];
                lo += code * a->lo[b + j];
            }
        scan2_store(a, r, hi, lo);
    }
}
