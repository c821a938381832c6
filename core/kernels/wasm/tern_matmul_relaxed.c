/* tern_matmul_relaxed.c: the byte dot product of relaxed SIMD, bit-exact on every engine.
 *
 * i32x4.relaxed_dot_i8x16_i7x16_add leaves two things to the engine: whether its second operand is
 * signed, which matters only for bytes of 128 and more, and whether the sum of two products
 * saturates at 16 bits. So the activations, any int8, are the first operand and the codes the
 * second: at most 8 (a code times 4), and two products are within 2 * 8 * 127 = 2032. With the
 * operands the other way round, results differ between browsers.
 *
 * A lane is a row, so nothing is summed across lanes, and the four activations that a field meets
 * are one splat for all of them. The dots of one vector start from zero and are added to the row's sum
 * last: what goes from vector to vector is one addition, not a chain of dots (latency 5 on x86). And it
 * takes few registers, of which x86 gives an engine fifteen: a spilled accumulator, stored and loaded
 * in that chain, halves the speed. Hence also four tokens at most.
 *
 * Decode unpacks 64 weights with one shift and four masks; fields 1 and 3 stay multiplied by 4, are
 * summed first, and the sum, a multiple of 4, is shifted. Prefill shifts every field, once for all tokens.
 */
#include "kernels/tern_tiles.h"
#include "kernels/wasm/wasm.h"

#if defined(__wasm_relaxed_simd__)

#define PARTS      4 /* of a vector; part p holds rows 4 p .. 4 p + 3, one in each 32-bit lane */
#define MAX_TOKENS 4

static inline v128_t activations(const int8_t *x) {
    return wasm_v128_load32_splat(x);
}

static inline v128_t dot(v128_t acc, v128_t x, v128_t codes) {
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(x, codes, acc);
}

/* The group at row r with token t. */
static void decode(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const v128_t mask0 = kept_splat32(0x03030303), mask1 = kept_splat32(0x0c0c0c0c);
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * (ptrdiff_t)a->k;
    v128_t acc[PARTS];

    UNROLL for (int p = 0; p < PARTS; p++) {
        acc[p] = wasm_i32x4_const_splat(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        v128_t x0 = activations(x), x1 = activations(x + 4);
        v128_t x2 = activations(x + 8), x3 = activations(x + 12);
        UNROLL for (int p = 0; p < PARTS; p++) {
            v128_t v = wasm_v128_load(w + 16 * p), v4 = wasm_u16x8_shr(v, 4);
            v128_t sum = dot(wasm_i32x4_const_splat(0), x1, wasm_v128_and(v, mask1));
            sum = dot(sum, x3, wasm_v128_and(v4, mask1));
            sum = dot(wasm_i32x4_shr(sum, 2), x0, wasm_v128_and(v, mask0));
            sum = dot(sum, x2, wasm_v128_and(v4, mask0));
            acc[p] = wasm_i32x4_add(acc[p], sum);
        }
    }
    UNROLL for (int p = 0; p < PARTS; p++) {
        tern_store_4(a, t, r + 4 * p, (i32x4)acc[p]);
    }
}

/* Rows r .. r + 3 with tokens t ..; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const v128_t mask = kept_splat32(0x03030303);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    v128_t acc[MAX_TOKENS];

    UNROLL for (int i = 0; i < tokens; i++) {
        acc[i] = wasm_i32x4_const_splat(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        v128_t v = wasm_v128_load(w), codes[4];
        UNROLL for (int f = 0; f < 4; f++) {
            codes[f] = wasm_v128_and(wasm_u16x8_shr(v, (uint32_t)(2 * f)), mask);
        }
        UNROLL for (int i = 0; i < tokens; i++) {
            v128_t sum = wasm_i32x4_const_splat(0);
            UNROLL for (int f = 0; f < 4; f++) {
                sum = dot(sum, activations(x + i * k + 4 * f), codes[f]);
            }
            acc[i] = wasm_i32x4_add(acc[i], sum);
        }
    }
    UNROLL for (int i = 0; i < tokens; i++) {
        tern_store_4(a, t + i, r, (i32x4)acc[i]);
    }
}

void bitnet_tern_matmul_relaxed(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(4, 4) prefill(a, r, t, 4);
    TILES(2, 4) prefill(a, r, t, 2);
    TILES(1, BITNET_ROW_GROUP) decode(a, r, t);
}
#endif
