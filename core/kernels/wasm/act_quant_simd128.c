/* act_quant_simd128.c: one token's activations to int8 by absmax, 16 at a time.
 *
 * Adding 1.5 * 2^23 rounds half to even and leaves the integer in the low mantissa bits, so it is
 * read off with one integer subtraction; a float-to-int conversion is several instructions on x86.
 * The two narrowing steps clamp.
 */
#include "kernels/c/act_quant.h"
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

#define ROUND_MAGIC      12582912.0f
#define ROUND_MAGIC_BITS 0x4b400000

static inline v128_t scaled(const float *x, v128_t s) {
    v128_t t = wasm_f32x4_add(wasm_f32x4_mul(wasm_v128_load(x), s), wasm_f32x4_splat(ROUND_MAGIC));
    return wasm_i32x4_sub(t, wasm_i32x4_splat(ROUND_MAGIC_BITS));
}

void bitnet_act_quant_simd128(int8_t *xq, float *s, int32_t *xsum, const float *x, int32_t k) {
    const int32_t whole = k - k % 16;
    v128_t amax = wasm_f32x4_splat(1e-5f);
    for (int32_t i = 0; i < whole; i += 4)
        amax = wasm_f32x4_pmax(amax, wasm_f32x4_abs(wasm_v128_load(x + i)));
    amax = wasm_f32x4_pmax(amax, wasm_i32x4_shuffle(amax, amax, 2, 3, 0, 1));
    amax = wasm_f32x4_pmax(amax, wasm_i32x4_shuffle(amax, amax, 1, 0, 3, 2));
    *s = 127.0f / act_quant_max(wasm_f32x4_extract_lane(amax, 0), x, whole, k);

    const v128_t sv = wasm_f32x4_splat(*s);
    v128_t sum = wasm_i32x4_splat(0);
    for (int32_t i = 0; i < whole; i += 16) {
        v128_t a = wasm_i16x8_narrow_i32x4(scaled(x + i, sv), scaled(x + i + 4, sv));
        v128_t b = wasm_i16x8_narrow_i32x4(scaled(x + i + 8, sv), scaled(x + i + 12, sv));
        v128_t q = wasm_i8x16_narrow_i16x8(a, b);
        wasm_v128_store(xq + i, q);
        v128_t pairs = wasm_i16x8_extadd_pairwise_i8x16(q);
        sum = wasm_i32x4_add(sum, wasm_i32x4_extadd_pairwise_i16x8(pairs));
    }
    *xsum = sum_i32x4(sum) + act_quant_round(xq, x, *s, whole, k);
}
