/* tern_matmul_simd128.c: SIMD128 has no byte product, so this works in 16-bit lanes, and removes
 * the usual masking of the 2-bit fields by algebra.
 *
 * A 16-bit lane of weights holds eight codes, c0 in the lowest bits to c7 in the highest. Let
 * S_f = lane >> 2 f, so that c_f = S_f - 4 S_(f+1). Summation by parts over the lane gives
 *
 *     sum_f c_f x_f  =  sum_f S_f z_f      with z_0 = x_0, z_f = x_f - 4 x_(f-1),
 *
 * which needs the eight shifted lanes but no masks: 7 shifts, 8 multiplications and 8 additions for
 * 64 weights. Everything is modulo 2^16; the result is exact because the true sum fits: a lane
 * takes CHUNK/16 * 2 = 128 products of [-2*128, 2*127], within [-32768, 32512], before it is
 * widened.
 *
 * The z vectors depend on the activations only. They are made once per chunk, into a small buffer,
 * and serve ROWS rows.
 */
#include "kernels/kernels.h"
#include "kernels/wasm/wasm.h"

#define CHUNK       1024         /* weights between two widenings; see the bound above */
#define STEPS       (CHUNK / 64) /* of 16 bytes, 64 weights */
#define BLOCK_STEPS (BITNET_K_BLOCK / 64)
#define ROWS        32
#define MAX_TOKENS  4

typedef struct z_chunk {
    v128_t v[STEPS][8];
} z_chunk;

/* Step i covers bytes 16 (i % 2) .. of block i / 2. The low byte of a lane is an even byte; bits
 * 1:0 of it belong to number 96 + j of the block, bits 7:6 to number j. */
static void make_z(z_chunk *z, const int8_t *x, int32_t n_steps) {
    for (int32_t i = 0; i < n_steps; i++) {
        const int8_t *xi = x + i / BLOCK_STEPS * BITNET_K_BLOCK + i % BLOCK_STEPS * 16;
        v128_t before4 = wasm_i16x8_splat(0); /* 4 x_(f-1) */
        for (int f = 0; f < 8; f++) {
            v128_t v = wasm_v128_load(xi + 32 * (3 - f % 4));
            if (f < 4) v = wasm_i16x8_shl(v, 8); /* to the top of the lane, then down with sign */
            z->v[i][f] = wasm_i16x8_sub(wasm_i16x8_shr(v, 8), before4);
            before4 = wasm_i16x8_shl(wasm_i16x8_shr(v, 8), 2);
        }
    }
}

/* sum[t][i] += codes * x for the rows at w[i] and the tokens of z[t]; rows and tokens are constants
 * where this is inlined. */
__attribute__((always_inline)) static inline void chunk_tile(v128_t *const sum[MAX_TOKENS],
                                                             const uint8_t *const w[4],
                                                             const z_chunk *z, int32_t n_steps,
                                                             const int rows, const int tokens) {
    v128_t acc[MAX_TOKENS][4], v[4];
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int i = 0; i < rows; i++) {
            acc[t][i] = wasm_i16x8_splat(0);
        }
    }
    for (int32_t s = 0; s < n_steps; s++) {
        UNROLL for (int i = 0; i < rows; i++) {
            v[i] = wasm_v128_load(w[i] + 16 * s);
        }
        UNROLL for (int f = 0; f < 8; f++) {
            UNROLL for (int i = 0; i < rows; i++) {
                v128_t shifted = wasm_u16x8_shr(v[i], (uint32_t)(2 * f));
                UNROLL for (int t = 0; t < tokens; t++) {
                    v128_t product = wasm_i16x8_mul(shifted, z[t].v[s][f]);
                    acc[t][i] = wasm_i16x8_add(acc[t][i], product);
                }
            }
        }
    }
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int i = 0; i < rows; i++) {
            v128_t wide = wasm_i32x4_extadd_pairwise_i16x8(acc[t][i]);
            sum[t][i] = wasm_i32x4_add(sum[t][i], wide);
        }
    }
}

/* Rows r .. r + n_rows - 1 (at most ROWS) with tokens t .. t + tokens - 1. */
__attribute__((always_inline)) static inline void
panel(const bitnet_tern_args *a, int32_t r, int32_t n_rows, int32_t t, const int tokens) {
    const int rows = tokens > 1 ? 2 : 4; /* either way, eight accumulators at most */
    const ptrdiff_t k = a->k;
    z_chunk z[MAX_TOKENS];
    v128_t sum[MAX_TOKENS][ROWS] = {{wasm_i32x4_const(0, 0, 0, 0)}};

    for (int32_t at = 0; at < a->k; at += CHUNK) {
        const int32_t n_steps = (a->k - at < CHUNK ? a->k - at : CHUNK) / 64;
        for (int i = 0; i < tokens; i++)
            make_z(&z[i], a->xq + (t + i) * k + at, n_steps);
        for (int32_t row = 0; row < n_rows; row += rows) {
            const uint8_t *w[4]; /* past the last row: that one again, never stored */
            v128_t *tile[MAX_TOKENS];
            for (int i = 0; i < rows; i++)
                w[i] = a->w + (r + (row + i < n_rows ? row + i : n_rows - 1)) * (k / 4) + at / 4;
            for (int i = 0; i < tokens; i++)
                tile[i] = sum[i] + row;
            chunk_tile(tile, w, z, n_steps, rows, tokens);
        }
    }
    for (int i = 0; i < tokens; i++)
        for (int32_t row = 0; row < n_rows; row++) {
            int32_t acc = sum_i32x4(sum[i][row]) - a->xsum[t + i];
            a->y[(t + i) * a->ldy + r + row] = (float)acc / a->s[t + i] * a->w_scale;
        }
}

void bitnet_tern_matmul_simd128(const bitnet_tern_args *a) {
    for (int32_t r = 0; r < a->n; r += ROWS) {
        const int32_t n_rows = a->n - r < ROWS ? a->n - r : ROWS;
        int32_t t = 0;
        for (; t + 4 <= a->m; t += 4)
            panel(a, r, n_rows, t, 4);
        for (; t < a->m; t++)
            panel(a, r, n_rows, t, 1);
    }
}
