/* tern_matmul_relaxed.c: the byte dot product of relaxed SIMD, bit-exact on every engine.
 *
 * i32x4.relaxed_dot_i8x16_i7x16_add leaves two things to the engine: whether its second operand is
 * signed, which matters only for bytes of 128 and more, and whether the sum of two products
 * saturates at 16 bits. So the activations, any int8, are the first operand and the codes the
 * second: at most 8 (a code times 4), and two products are within 2 * 8 * 128 = 2048. With the
 * operands the other way round, results differ between browsers.
 *
 * Decode, four rows by one token: one shift and four masks unpack 16 bytes; fields 0 and 2 stay
 * multiplied by 4 and have their own accumulator, divided exactly at the end. Such a lane gains at
 * most 4 * 4 * 1024 per block and lasts for 2^24 weights, as the contract's sum does. Prefill, two
 * rows by four tokens: every field is shifted down, since eight accumulators are what 16 registers
 * hold.
 */
#include "kernels/kernels.h"

#if defined(__wasm_relaxed_simd__)
#include <stdbool.h>

#include "kernels/wasm/wasm.h"

#define MAX_ROWS   4
#define MAX_TOKENS 4

/* Numbers 32 f .. of a block: bits 7-2f : 6-2f of each byte. In place means times 4 for even f. */
static inline v128_t field(v128_t v, int f, bool in_place) {
    if (!in_place)
        return wasm_v128_and(wasm_u16x8_shr(v, (uint32_t)(6 - 2 * f)), wasm_i8x16_splat(3));
    return wasm_v128_and(f < 2 ? wasm_u16x8_shr(v, 4) : v, wasm_i8x16_splat(f % 2 ? 3 : 12));
}

/* Rows r .. and tokens t ..; rows and tokens are constants where this is inlined. Rows past n
 * repeat the last one and are not stored. */
__attribute__((always_inline)) static inline void
tile(const bitnet_tern_args *a, int32_t r, int32_t t, const int rows, const int tokens) {
    const bool in_place = tokens == 1;
    const ptrdiff_t k = a->k;
    const uint8_t *w[MAX_ROWS];
    v128_t once[MAX_TOKENS][MAX_ROWS], times4[MAX_TOKENS][MAX_ROWS], v[MAX_ROWS];

    UNROLL for (int i = 0; i < rows; i++) {
        w[i] = a->w + (r + i < a->n ? r + i : a->n - 1) * (k / 4);
    }
    UNROLL for (int j = 0; j < tokens; j++) {
        UNROLL for (int i = 0; i < rows; i++) {
            once[j][i] = times4[j][i] = wasm_i32x4_splat(0);
        }
    }
    for (ptrdiff_t at = 0; at < k / 4; at += 16) { /* byte of the row: half a block */
        const int8_t *x = a->xq + t * k + at / 32 * BITNET_K_BLOCK + at % 32;
        UNROLL for (int i = 0; i < rows; i++) {
            v[i] = wasm_v128_load(w[i] + at);
        }
        UNROLL for (int f = 0; f < 4; f++) {
            UNROLL for (int j = 0; j < tokens; j++) {
                v128_t xv = wasm_v128_load(x + j * k + 32 * f);
                UNROLL for (int i = 0; i < rows; i++) {
                    v128_t *acc = in_place && f % 2 == 0 ? &times4[j][i] : &once[j][i];
                    v128_t codes = field(v[i], f, in_place);
                    *acc = wasm_i32x4_relaxed_dot_i8x16_i7x16_add(xv, codes, *acc);
                }
            }
        }
    }
    UNROLL for (int j = 0; j < tokens; j++) {
        UNROLL for (int i = 0; i < rows; i++) {
            v128_t sum = wasm_i32x4_add(once[j][i], wasm_i32x4_shr(times4[j][i], 2));
            int32_t acc = sum_i32x4(sum) - a->xsum[t + j];
            if (r + i < a->n)
                a->y[(t + j) * a->ldy + r + i] = (float)acc / a->s[t + j] * a->w_scale;
        }
    }
}

void bitnet_tern_matmul_relaxed(const bitnet_tern_args *a) {
    for (int32_t r = 0; r < a->n; r += 4) {
        int32_t t = 0;
        for (; t + 4 <= a->m; t += 4)
            for (int32_t i = r; i < r + 4 && i < a->n; i += 2)
                tile(a, i, t, 2, 4);
        for (; t < a->m; t++)
            tile(a, r, t, 4, 1);
    }
}
#endif
