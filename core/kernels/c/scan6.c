/* scan6.c: 6-bit codes unpacked one by one. */
#include "kernels/kernels.h"

/* Codes 16 b .. 16 b + 15 of row r, whose words lie at w. */
static void unpack(uint8_t code[16], const uint8_t *w) {
    for (int f = 0; f < 4; f++)
        for (int i = 0; i < 4; i++) {
            uint32_t low = (uint32_t)w[64 + 64 * (f / 2) + i] >> 4 * (f % 2) & 15;
            uint32_t high = (uint32_t)w[i] >> 2 * f & 3;
            code[4 * f + i] = (uint8_t)(high << 4 | low);
        }
}

static float dot(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const uint8_t *w = a->w + (ptrdiff_t)(r / 16) * 12 * a->k + 4 * (r % 16);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    int32_t sum_hi = 0, sum_lo = 0;
    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        uint8_t code[16];
        unpack(code, w);
        for (int i = 0; i < 16; i++) {
            sum_hi += code[i] * hi[j + i];
            sum_lo += code[i] * lo[j + i];
        }
    }
    float y = (float)(sum_hi - a->hi_sum[t]) * 128.0f + (float)(sum_lo - a->lo_sum[t]);
    return y * (a->scale[t] * a->d[r]);
}

void bitnet_scan6_c(const bitnet_scan6_args *a) {
    for (int32_t t = 0; t < a->m; t++)
        for (int32_t r = 0; r < a->n; r++)
            a->y[t * a->ldy + r] = dot(a, r, t);
}
