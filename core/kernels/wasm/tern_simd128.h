/* tern_simd128.h: how the ternary products of four rows end. A 64-byte vector of a group is four
 * vectors of 128 bits, part p of which holds rows 4 p .. 4 p + 3, one in each 32-bit lane. */
#ifndef BITNET_TERN_SIMD128_H
#define BITNET_TERN_SIMD128_H

#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

#define PARTS 4

/* Lanes to out[0 .. n), of four at most; rows at or past n are dropped. */
static inline void store_rows(float *out, v128_t v, int32_t n) {
    if (n >= 4)
        wasm_v128_store(out, v);
    else if (n > 0)
        memcpy(out, &v, (size_t)n * sizeof *out);
}

/* Rows r .. r + 3 of token t: f32(acc - xsum) / s * w_scale, in that order. */
static inline void store_result(const bitnet_tern_args *a, int32_t t, int32_t r, v128_t acc) {
    v128_t y = wasm_f32x4_convert_i32x4(wasm_i32x4_sub(acc, wasm_i32x4_splat(a->xsum[t])));
    y = wasm_f32x4_div(y, wasm_f32x4_splat(a->s[t]));
    y = wasm_f32x4_mul(y, wasm_f32x4_splat(a->w_scale));
    store_rows(a->y + t * a->ldy + r, y, a->n - r);
}

#endif
