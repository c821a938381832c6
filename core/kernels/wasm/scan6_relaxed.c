/* scan6_relaxed.c: the byte dot product of relaxed SIMD, bit-exact on every engine for the reasons of
 * tern_matmul_relaxed.c: activations first, codes, at most 63, second, and two products are within
 * 2 * 63 * 127 = 16002. As there, the dots of a block start from zero, and half a group is all that
 * fifteen registers hold. */
#include "kernels/scan.h"
#include "kernels/wasm/scan_simd128.h"

#if defined(__wasm_relaxed_simd__)

#define MAX_PARTS 2

static inline v128_t dot(v128_t acc, const int8_t *x, v128_t codes) {
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(wasm_v128_load32_splat(x), codes, acc);
}

/* Rows r .. r+7 */
static void scan(const bitnet_scan6_args *a, int32_t r, int32_t t) {
    const scan6_masks m = make_scan6_masks();
    const uint8_t *group = a->w + r / BITNET_ROW_GROUP * (12 * (ptrdiff_t)a->k);
    const uint8_t *w = group + 4 * (r % BITNET_ROW_GROUP);
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    v128_t sum_hi[MAX_PARTS], sum_lo[MAX_PARTS];

    UNROLL for (int p = 0; p < MAX_PARTS; p++) {
        sum_hi[p] = sum_lo[p] = wasm_i32x4_const_splat(0);
    }
    for (int32_t j = 0; j < a->k; j += 16, w += 192)
        UNROLL for (int p = 0; p < MAX_PARTS; p++) {
            v128_t block_hi = wasm_i32x4_const_splat(0), block_lo = block_hi;
            UNROLL for (int f = 0; f < 4; f++) {
                const v128_t codes = scan6_field(w + 16 * p, f, m);
                block_hi = dot(block_hi, hi + j + 4 * f, codes);
                block_lo = dot(block_lo, lo + j + 4 * f, codes);
            }
            sum_hi[p] = wasm_i32x4_add(sum_hi[p], block_hi);
            sum_lo[p] = wasm_i32x4_add(sum_lo[p], block_lo);
        }
    UNROLL for (int p = 0; p < MAX_PARTS; p++) {
        scan6_store_4(a, t, r + 4 * p, (i32x4)sum_hi[p], (i32x4)sum_lo[p]);
    }
}

/* The tokens of a call pass over half a group, so that a batch reads the weights once. */
void bitnet_scan6_relaxed(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += 4 * MAX_PARTS)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
#endif
