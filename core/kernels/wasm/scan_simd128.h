/* scan_simd128.h: what the wasm variants of scan6 and scan2 share: how the 6-bit codes of four rows are
 * put together, and how sums end. */
#ifndef BITNET_SCAN_SIMD128_H
#define BITNET_SCAN_SIMD128_H

#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

typedef struct scan6_masks {
    v128_t low, high; /* bits 0-3, bits 4-5 of each byte */
} scan6_masks;

static inline scan6_masks make_scan6_masks(void) {
    return (scan6_masks){kept_splat32(0x0f0f0f0f), kept_splat32(0x30303030)};
}

static inline v128_t scan6_join(v128_t low, v128_t high, scan6_masks m) {
    return wasm_v128_or(wasm_v128_and(low, m.low), wasm_v128_and(high, m.high));
}

/* Field f of four rows by 16 weights, whose upper bits lie at w; its four weights are a 32-bit lane. f is
 * a constant wherever this is inlined. */
static inline v128_t scan6_field(const uint8_t *w, const int f, scan6_masks m) {
    const v128_t high = wasm_v128_load(w), low = wasm_v128_load(w + 64 + f / 2 * 64);
    switch (f) {
    case 0:
        return scan6_join(low, wasm_i16x8_shl(high, 4), m);
    case 1:
        return scan6_join(wasm_u16x8_shr(low, 4), wasm_i16x8_shl(high, 2), m);
    case 2:
        return scan6_join(low, high, m);
    default:
        return scan6_join(wasm_u16x8_shr(low, 4), wasm_u16x8_shr(high, 2), m);
    }
}

static inline v128_t less_bias(v128_t sum, int32_t bias) {
    return wasm_f32x4_convert_i32x4(wasm_i32x4_sub(sum, wasm_i32x4_splat(bias)));
}

/* y of token t, rows r .. r+3; rows at or past n are dropped. */
static inline void scan6_store(const bitnet_scan6_args *a, int32_t t, int32_t r, v128_t hi,
                               v128_t lo) {
    const int32_t n = a->n - r;
    v128_t d = wasm_f32x4_const_splat(0);
    if (n <= 0) return;
    memcpy(&d, a->d + r, (size_t)(n < 4 ? n : 4) * sizeof *a->d);
    v128_t y = wasm_f32x4_mul(less_bias(hi, a->hi_sum[t]), wasm_f32x4_const_splat(128.0f));
    y = wasm_f32x4_add(y, less_bias(lo, a->lo_sum[t]));
    y = wasm_f32x4_mul(y, wasm_f32x4_mul(wasm_f32x4_splat(a->scale[t]), d));
    store_up_to_4(a->y + t * a->ldy + r, (f32x4)y, n);
}

/* The end of scan2 for one row. */
static inline void scan2_store(const bitnet_scan2_args *a, int32_t r, v128_t hi, v128_t lo) {
    const float sum =
        (float)(2 * sum_i32x4(hi) - a->hi_sum) * 128.0f + (float)(2 * sum_i32x4(lo) - a->lo_sum);
    a->y[r] += sum * (a->scale * a->d[r]) * 0.125f;
}

#endif
