/* tern_tiles.h: tern_matmul around its tiles, the same on every instruction set: their order, where their
 * weights lie, and how the sums of four rows end.
 */
#ifndef BITNET_TERN_TILES_H
#define BITNET_TERN_TILES_H

#include "kernels/kernels.h"
#include "kernels/simd.h"

/* In front of a statement, which does rows r .. of tokens t ..: while a has so many tokens from t on. The
 * tokens of a tile pass over all rows before the next tile's: their activations stay in the first cache,
 * and the weights, a slice of the matrix, in the second. */
#define TILES(tokens, rows)                                                                        \
    for (; a->m - t >= (tokens); t += (tokens))                                                    \
        for (int32_t r = 0; r < a->n; r += (rows))

/* Row r, a multiple of 4, in the first vector of its group: four rows are 16 of its 64 bytes. */
static inline const uint8_t *tern_weights(const bitnet_tern_args *a, int32_t r) {
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    return a->w + r / BITNET_ROW_GROUP * group_size + 4 * (r % BITNET_ROW_GROUP);
}

/* What is fetched ahead of byte `at` of a group that is read side by side with others, `groups` in all: where
 * the group ends, its stream goes on in the next tile, behind the groups between. */
static inline ptrdiff_t tern_ahead(ptrdiff_t at, ptrdiff_t distance, ptrdiff_t group_size,
                                   int groups) {
    return distance + (at + distance < group_size ? 0 : (groups - 1) * group_size);
}

/* f32(acc - xsum) / s * w_scale, in that order. */
static inline f32x4 tern_value_4(i32x4 acc, int32_t xsum, float s, float w_scale) {
    return __builtin_convertvector(acc - xsum, f32x4) / s * w_scale;
}

/* Rows r .. r+3 of token t; rows at or past n are dropped. */
static inline void tern_store_4(const bitnet_tern_args *a, int32_t t, int32_t r, i32x4 acc) {
    const f32x4 y = tern_value_4(acc, a->xsum[t], a->s[t], a->w_scale);
    store_up_to_4(a->y + t * a->ldy + r, y, a->n - r);
}

#endif
