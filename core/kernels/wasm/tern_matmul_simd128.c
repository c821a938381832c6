/* tern_matmul_simd128.c: SIMD128 has no byte product, so this works in 16-bit lanes, and removes
 * the usual masking of the 2-bit fields by algebra.
 *
 * Lane 2 i + q of weights holds bytes 2 q and 2 q + 1 of row i's word: eight codes, c_0 in the lowest
 * bits to c_7 in the highest. c_f meets x_f = x[4 f + 2 q], c_(4 + f) meets x[4 f + 2 q + 1]. Let
 * S_f = lane >> 2 f, so that c_f = S_f - 4 S_(f+1). Summation by parts over the lane gives
 *
 *     sum_f c_f x_f  =  sum_f S_f z_f      with z_0 = x_0, z_f = x_f - 4 x_(f-1),
 *
 * which needs the eight shifted lanes but no masks: 7 shifts, 8 multiplications and 8 additions for
 * 64 weights. Everything is modulo 2^16, and exact because the true sum fits: the 8 products of a
 * vector are within 8 * 2 * 127 = 2032, and a lane is widened after 16 of them, at 32512 < 2^15.
 *
 * z depends on the activations only, and a pair of lanes of it is the same for every row: 32 bits,
 * splat. It is made once per token and chunk of k and serves all rows, whose sums wait in y as
 * integers from chunk to chunk.
 */
#include "kernels/tern_tiles.h"
#include "kernels/wasm/wasm.h"

#define WIDEN      16   /* vectors between two widenings; see the bound above */
#define CHUNK      2048 /* weights: a z of 4 KiB, for the first cache and a stack of 256 KiB */
#define STEPS      (CHUNK / 16) /* vectors of a group, 16 weights of each row */
#define PARTS      4 /* of a vector; part p holds rows 4 p .. 4 p + 3, one in each 32-bit lane */
#define MAX_TOKENS 4

typedef struct z_chunk {
    int32_t pair[STEPS][8]; /* z_f of q = 0 in the low half, of q = 1 in the high one */
} z_chunk;

static void make_z(z_chunk *z, const int8_t *x, int32_t n_steps) {
    for (int32_t i = 0; i < n_steps; i++) {
        v128_t v = wasm_v128_load(x + 16 * i), zero = wasm_i32x4_const_splat(0);
        v128_t low = wasm_i16x8_shr(wasm_i16x8_shl(v, 8), 8), high = wasm_i16x8_shr(v, 8);
        v128_t before_low = wasm_i32x4_shuffle(zero, low, 0, 4, 5, 6); /* x_(f-1) */
        v128_t before_high = wasm_i32x4_shuffle(low, high, 3, 4, 5, 6);
        low = wasm_i16x8_sub(low, wasm_i16x8_shl(before_low, 2));
        high = wasm_i16x8_sub(high, wasm_i16x8_shl(before_high, 2));
        wasm_v128_store(z->pair[i], low);
        wasm_v128_store(z->pair[i] + 4, high);
    }
}

/* One chunk of a matrix with some tokens. */
typedef struct chunk {
    const bitnet_tern_args *a;
    const z_chunk *z; /* [tokens] */
    int32_t t, at, n_steps;
} chunk;

/* The sums of rows r .. that an earlier chunk left in y. */
static inline v128_t load_sums(const chunk *c, int32_t t, int32_t r) {
    const bitnet_tern_args *a = c->a;
    const float *y = a->y + t * a->ldy + r;
    v128_t sum = wasm_i32x4_const_splat(0);
    if (c->at == 0) return sum;
    if (a->n - r >= 4) return wasm_v128_load(y);
    memcpy(&sum, y, (size_t)(a->n - r) * sizeof *y);
    return sum;
}

/* Parts of the group that start at row r, which is below n; parts and tokens are constants where this
 * is inlined. Either way there are four accumulators: with the shifted weights, or the splats of z, all
 * that the fifteen registers of an engine on x86 hold. */
__attribute__((always_inline)) static inline void tile(const chunk *c, int32_t r, const int parts,
                                                       const int tokens) {
    const bitnet_tern_args *a = c->a;
    const uint8_t *w = tern_weights(a, r) + 4 * (ptrdiff_t)c->at;
    v128_t sum[MAX_TOKENS][PARTS], acc[MAX_TOKENS][PARTS], v[PARTS];

    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int p = 0; p < parts; p++) {
            sum[t][p] = wasm_i32x4_const_splat(0);
        }
    }
    for (int32_t from = 0; from < c->n_steps; from += WIDEN) {
        const int32_t to = c->n_steps - from < WIDEN ? c->n_steps : from + WIDEN;
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int p = 0; p < parts; p++) {
                acc[t][p] = wasm_i16x8_const_splat(0);
            }
        }
        for (int32_t s = from; s < to; s++, w += 64) {
            UNROLL for (int p = 0; p < parts; p++) {
                v[p] = wasm_v128_load(w + 16 * p);
            }
            UNROLL for (int f = 0; f < 8; f++) {
                UNROLL for (int t = 0; t < tokens; t++) {
                    v128_t z = wasm_v128_load32_splat(&c->z[t].pair[s][f]);
                    UNROLL for (int p = 0; p < parts; p++) {
                        acc[t][p] = wasm_i16x8_add(acc[t][p], wasm_i16x8_mul(v[p], z));
                    }
                }
                UNROLL for (int p = 0; p < parts; p++) {
                    v[p] = wasm_u16x8_shr(v[p], 2);
                }
            }
        }
        UNROLL for (int t = 0; t < tokens; t++) {
            UNROLL for (int p = 0; p < parts; p++) {
                v128_t wide = wasm_i32x4_extadd_pairwise_i16x8(acc[t][p]);
                sum[t][p] = wasm_i32x4_add(sum[t][p], wide);
            }
        }
    }
    const bool is_last = c->at + 16 * c->n_steps == a->k;
    UNROLL for (int t = 0; t < tokens; t++) {
        UNROLL for (int p = 0; p < parts; p++) {
            const int32_t row = r + 4 * p;
            if (row >= a->n) continue;
            v128_t total = wasm_i32x4_add(sum[t][p], load_sums(c, c->t + t, row));
            if (is_last)
                tern_store_4(a, c->t + t, row, (i32x4)total);
            else
                store_up_to_4(a->y + (c->t + t) * a->ldy + row, (f32x4)total, a->n - row);
        }
    }
}

static void multiply(const bitnet_tern_args *a, int32_t t, int32_t tokens) {
    z_chunk z[MAX_TOKENS];
    chunk c = {.a = a, .z = z, .t = t};
    for (; c.at < a->k; c.at += CHUNK) {
        c.n_steps = (a->k - c.at < CHUNK ? a->k - c.at : CHUNK) / 16;
        for (int32_t i = 0; i < tokens; i++)
            make_z(&z[i], a->xq + (t + i) * (ptrdiff_t)a->k + c.at, c.n_steps);
        if (tokens == MAX_TOKENS)
            for (int32_t r = 0; r < a->n; r += 4)
                tile(&c, r, 1, MAX_TOKENS);
        else
            for (int32_t r = 0; r < a->n; r += BITNET_ROW_GROUP)
                tile(&c, r, PARTS, 1);
    }
}

void bitnet_tern_matmul_simd128(const bitnet_tern_args *a) {
    int32_t t = 0;
    for (; a->m - t >= MAX_TOKENS; t += MAX_TOKENS)
        multiply(a, t, MAX_TOKENS);
    for (; t < a->m; t++)
        multiply(a, t, 1);
}
