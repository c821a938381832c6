/* wasm.h: what the wasm kernels share. Only clang compiles to wasm. */
#ifndef BITNET_WASM_H
#define BITNET_WASM_H

#include <wasm_simd128.h>

#include "kernels/simd.h"

/* A constant that a loop keeps in a register. clang puts a v128.const where it is used and V8 makes it
 * there anew, three instructions on x86; an integer whose value clang does not see is splat once. */
static inline v128_t kept_splat32(int32_t bits) {
    __asm__("" : "+r"(bits));
    return wasm_i32x4_splat(bits);
}

static inline int32_t sum_i32x4(v128_t v) {
    v = wasm_i32x4_add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(v, 0) + wasm_i32x4_extract_lane(v, 1);
}

#endif
