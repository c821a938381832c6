/* scan.h: how the sums of scan6 and scan2 end, the same on every instruction set. */
#ifndef BITNET_SCAN_H
#define BITNET_SCAN_H

#include "kernels/kernels.h"
#include "kernels/simd.h"

/* y of token t, rows r .. r+3, from their sums over codes; rows at or past n are dropped. */
static inline void scan6_store_4(const bitnet_scan6_args *a, int32_t t, int32_t r, i32x4 hi,
                                 i32x4 lo) {
    const int32_t n = a->n - r;
    f32x4 d = {0};
    if (n <= 0) return;
    memcpy(&d, a->d + r, (size_t)(n < 4 ? n : 4) * sizeof *a->d);
    f32x4 y = __builtin_convertvector(hi - a->hi_sum[t], f32x4) * 128.0f;
    y = y + __builtin_convertvector(lo - a->lo_sum[t], f32x4);
    store_up_to_4(a->y + t * a->ldy + r, y * (a->scale[t] * d), n);
}

/* y of row r, from its sums over codes. */
static inline void scan2_store(const bitnet_scan2_args *a, int32_t r, int32_t hi, int32_t lo) {
    const float sum = (float)(2 * hi - a->hi_sum) * 128.0f + (float)(2 * lo - a->lo_sum);
    a->y[r] += sum * (a->scale * a->d[r]) * 0.125f;
}

#endif
