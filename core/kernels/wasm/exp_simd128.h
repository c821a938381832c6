/* exp_simd128.h: EXP of the contract, four at a time, line by line. pmin and pmax choose as the scalar
 * comparisons do, NaN included. */
#ifndef BITNET_EXP_SIMD128_H
#define BITNET_EXP_SIMD128_H

#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

static inline v128_t mul_add(v128_t a, v128_t b, v128_t c) {
    return wasm_f32x4_add(wasm_f32x4_mul(a, b), c);
}

static inline v128_t exp4(v128_t x) {
    const v128_t magic = wasm_f32x4_splat(BITNET_EXP_MAGIC);
    x = wasm_f32x4_pmax(wasm_f32x4_splat(BITNET_EXP_LO), x);
    x = wasm_f32x4_pmin(wasm_f32x4_splat(BITNET_EXP_HI), x);
    v128_t t = mul_add(x, wasm_f32x4_splat(BITNET_EXP_LOG2E), magic);
    v128_t n = wasm_f32x4_sub(t, magic);
    v128_t r = wasm_f32x4_sub(x, wasm_f32x4_mul(n, wasm_f32x4_splat(BITNET_EXP_LN2HI)));
    r = wasm_f32x4_sub(r, wasm_f32x4_mul(n, wasm_f32x4_splat(BITNET_EXP_LN2LO)));
    v128_t p = wasm_f32x4_splat(BITNET_EXP_C6);
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C5));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C4));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C3));
    p = mul_add(p, r, wasm_f32x4_splat(BITNET_EXP_C2));
    p = wasm_f32x4_add(mul_add(p, wasm_f32x4_mul(r, r), r), wasm_f32x4_splat(1.0f));
    /* t is magic + n, so its bits are those of magic plus n; the shift drops all but n + 127 */
    v128_t e = wasm_i32x4_add(t, wasm_i32x4_splat(127 - 0x4b400000));
    return wasm_f32x4_mul(p, wasm_i32x4_shl(e, 23));
}

#endif
