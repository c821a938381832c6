/* scan2_relaxed.c: the byte dot product of relaxed SIMD, bit-exact on every engine (tern_matmul_relaxed.c):
 * activations first, codes, at most 3, second. */
#include "kernels/scan.h"
#include "kernels/wasm/wasm.h"

#if defined(__wasm_relaxed_simd__)

static inline v128_t dot(v128_t acc, const int8_t *x, v128_t codes) {
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load(x), codes, acc);
}

void bitnet_scan2_relaxed(const bitnet_scan2_args *a) {
    const v128_t mask = kept_splat32(0x03030303);
    for (int32_t i = 0; i < a->n; i++) {
        const uint8_t *w = a->w + (ptrdiff_t)a->row[i] * (a->k / 4);
        v128_t hi = wasm_i32x4_const_splat(0), lo = hi;
        for (int32_t b = 0; b < a->k; b += 256, w += 64)
            UNROLL for (int v = 0; v < 4; v++) {
                v128_t fields = wasm_v128_load(w + 16 * v);
                v128_t part_hi = wasm_i32x4_const_splat(0), part_lo = part_hi;
                UNROLL for (int f = 0; f < 4; f++) {
                    const int32_t at = b + 64 * f + 16 * v;
                    const v128_t codes = wasm_v128_and(fields, mask);
                    part_hi = dot(part_hi, a->hi + at, codes);
                    part_lo = dot(part_lo, a->lo + at, codes);
                    fields = wasm_u16x8_shr(fields, 2);
                }
                hi = wasm_i32x4_add(hi, part_hi);
                lo = wasm_i32x4_add(lo, part_lo);
            }
        scan2_store(a, a->row[i], sum_i32x4(hi), sum_i32x4(lo));
    }
}
#endif
