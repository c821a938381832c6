/* scan_simd128.h: what the wasm variants of scan6 share: how the 6-bit codes of four rows are put together.
 */
#ifndef BITNET_SCAN_SIMD128_H
#define BITNET_SCAN_SIMD128_H

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

#endif
