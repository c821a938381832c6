/* f32_to_f16_simd128.c: what the KV cache stores. The steps of f32_to_f16 (base/half.h) without those
 * for infinity and NaN, which the clamp leaves no way in. */
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

static inline v128_t convert(const float *x) {
    const v128_t max = wasm_f32x4_const_splat(BITNET_F16_MAX), one = wasm_i32x4_const_splat(1);
    const v128_t min = wasm_f32x4_const_splat(-BITNET_F16_MAX), half = wasm_f32x4_const_splat(0.5f);
    /* pmin and pmax choose as the comparisons of the C variant do */
    v128_t v = wasm_f32x4_pmax(min, wasm_f32x4_pmin(max, wasm_v128_load(x)));
    v128_t m = wasm_f32x4_abs(v), sign = wasm_v128_xor(v, m);
    v128_t odd = wasm_v128_and(wasm_u32x4_shr(m, 13), one); /* half to even */
    v128_t rounded = wasm_i32x4_add(m, wasm_i32x4_const_splat(0xfff - (112 << 23)));
    v128_t normal = wasm_u32x4_shr(wasm_i32x4_add(rounded, odd), 13);
    v128_t small = wasm_i32x4_sub(wasm_f32x4_add(m, half), half); /* as integers: step 2^-24 */
    v128_t is_small = wasm_i32x4_lt(m, wasm_i32x4_const_splat(0x38800000));
    v128_t h = wasm_v128_bitselect(small, normal, is_small);
    return wasm_v128_or(h, wasm_u32x4_shr(sign, 16));
}

void bitnet_f32_to_f16_simd128(uint16_t *y, const float *x, size_t n) {
    size_t i = 0;
    for (; i + 8 <= n; i += 8) /* 0xffff at most: nothing saturates */
        wasm_v128_store(y + i, wasm_u16x8_narrow_i32x4(convert(x + i), convert(x + i + 4)));
    bitnet_f32_to_f16_c(y + i, x + i, n - i);
}
