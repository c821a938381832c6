/* f16_to_f32_simd128.c: what the KV cache and f16 embeddings hold. Sign extension and a shift leave the
 * exponent 112 too low, and the product that mends it is exact, subnormals included. On x86 one of those
 * costs a microcode assist, which the C variant's longer way avoids; but cached keys and values hold one
 * in thousands. */
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

void bitnet_f16_to_f32_simd128(float *y, const uint16_t *x, size_t n) {
    const v128_t fields = kept_splat32((int32_t)0x8fffe000);
    const v128_t scale = kept_splat32((127 + 112) << 23); /* 2^112 */
    const v128_t top = kept_splat32(31 << 23), infinity = kept_splat32(0x7f800000);
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        v128_t h = wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(x + i), 13), fields);
        /* exponent 31 becomes 143, of which ones make 255; a NaN keeps its payload */
        v128_t is_top = wasm_i32x4_eq(wasm_v128_and(h, top), top);
        v128_t v = wasm_f32x4_mul(h, scale);
        wasm_v128_store(y + i, wasm_v128_or(v, wasm_v128_and(is_top, infinity)));
    }
    bitnet_f16_to_f32_c(y + i, x + i, n - i);
}
