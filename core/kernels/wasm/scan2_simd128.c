/* scan2_simd128.c: bytes multiplied in pairs of 16-bit lanes. In c = c_0 + 256 c_1 the even activation's
 * code is masked; c_1 stays where it is, so that its sum is 256 times too large. Bound: a lane of it gains
 * 2 * 768 * 127 by each of 16 vectors of a block, so it lasts for 688 blocks, more than k may have (512).
 */
#include "kernels/scan.h"
#include "kernels/wasm/wasm.h"

typedef struct sums {
    v128_t even, odd;
} sums;

static inline void dot(sums *s, v128_t c0, v128_t c1, const int8_t *x) {
    const v128_t v = wasm_v128_load(x), even = wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8);
    s->even = wasm_i32x4_add(s->even, wasm_i32x4_dot_i16x8(c0, even));
    s->odd = wasm_i32x4_add(s->odd, wasm_i32x4_dot_i16x8(c1, wasm_i16x8_shr(v, 8)));
}

static inline int32_t total(sums s) {
    return sum_i32x4(wasm_i32x4_add(s.even, wasm_i32x4_shr(s.odd, 8)));
}

void bitnet_scan2_simd128(const bitnet_scan2_args *a) {
    const v128_t mask0 = kept_splat32(0x00030003), mask1 = kept_splat32(0x03000300);
    for (int32_t i = 0; i < a->n; i++) {
        const uint8_t *w = a->w + (ptrdiff_t)a->row[i] * (a->k / 4);
        const v128_t zero = wasm_i32x4_const_splat(0);
        sums hi = {zero, zero}, lo = {zero, zero};
        for (int32_t b = 0; b < a->k; b += 256, w += 64)
            UNROLL for (int v = 0; v < 4; v++) {
                v128_t fields = wasm_v128_load(w + 16 * v);
                UNROLL for (int f = 0; f < 4; f++) {
                    const int32_t at = b + 64 * f + 16 * v;
                    const v128_t c0 = wasm_v128_and(fields, mask0);
                    const v128_t c1 = wasm_v128_and(fields, mask1);
                    dot(&hi, c0, c1, a->hi + at);
                    dot(&lo, c0, c1, a->lo + at);
                    fields = wasm_u16x8_shr(fields, 2);
                }
            }
        scan2_store(a, a->row[i], total(hi), total(lo));
    }
}
