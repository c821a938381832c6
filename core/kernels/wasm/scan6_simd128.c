/* scan6_simd128.c: SIMD128 has no byte product, so bytes are multiplied in pairs of 16-bit lanes. Such a
 * lane of codes is c = c_0 + 256 c_1, and with z_1 = x_1 - 256 x_0, within 257 * 127 < 2^15,
 *
 *     c_0 x_0 + c_1 x_1  =  c x_0 + c_1 z_1
 *
 * so that c_0 need not be taken out. c < 2^14, hence two products are within 2^23, and their 32-bit sums
 * may wrap on the way: the true one fits.
 */
#include "kernels/scan.h"
#include "kernels/wasm/scan_simd128.h"

#define MAX_PARTS 2

/* The activations of a block: x_0 and z_1 of each pair. */
typedef struct pairs {
    v128_t x0, z1;
} pairs;

static inline pairs load_pairs(const int8_t *x) {
    const v128_t v = wasm_v128_load(x), even = wasm_i16x8_shl(v, 8);
    return (pairs){wasm_i16x8_shr(even, 8), wasm_i16x8_sub(wasm_i16x8_shr(v, 8), even)};
}

/* Lane f for all lanes; f is a constant where this is inlined. */
static inline v128_t splat_lane(v128_t v, const int f) {
    switch (f) {
    case 0:
        return wasm_i32x4_shuffle(v, v, 0, 0, 0, 0);
    case 1:
        return wasm_i32x4_shuffle(v, v, 1, 1, 1, 1);
    case 2:
        return wasm_i32x4_shuffle(v, v, 2, 2, 2, 2);
    default:
        return wasm_i32x4_shuffle(v, v, 3, 3, 3, 3);
    }
}

static inline v128_t dot(v128_t acc, v128_t c, v128_t c1, pairs x, const int f) {
    acc = wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(c, splat_lane(x.x0, f)));
    return wasm_i32x4_add(acc, wasm_i32x4_dot_i16x8(c1, splat_lane(x.z1, f)));
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
    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        const pairs xh = load_pairs(hi + j), xl = load_pairs(lo + j);
        UNROLL for (int f = 0; f < 4; f++) {
            UNROLL for (int p = 0; p < MAX_PARTS; p++) {
                const v128_t c = scan6_field(w + 16 * p, f, m), c1 = wasm_u16x8_shr(c, 8);
                sum_hi[p] = dot(sum_hi[p], c, c1, xh, f);
                sum_lo[p] = dot(sum_lo[p], c, c1, xl, f);
            }
        }
    }
    UNROLL for (int p = 0; p < MAX_PARTS; p++) {
        scan6_store_4(a, t, r + 4 * p, (i32x4)sum_hi[p], (i32x4)sum_lo[p]);
    }
}

/* The tokens of a call pass over half a group, so that a batch reads the weights once. */
void bitnet_scan6_simd128(const bitnet_scan6_args *a) {
    for (int32_t r = 0; r < a->n; r += 4 * MAX_PARTS)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t);
}
