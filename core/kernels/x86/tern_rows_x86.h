/* tern_rows_x86.h: tern_rows around its sums, on 256 bits and on 512: four rows at a time. The rows listed lie
 * apart, so nothing but this knows what will be read: AHEAD rows before it.
 */
#ifndef BITNET_TERN_ROWS_X86_H
#define BITNET_TERN_ROWS_X86_H

#include "kernels/tern_tiles.h"
#include "kernels/x86/x86.h"

#define ROWS  4
#define AHEAD 12 /* docs/speed.md */

/* Computes rows row[..]; fetches rows next[..] meanwhile. */
typedef void (*four_rows_fn)(const bitnet_tern_rows_args *a, const int32_t row[ROWS],
                             const int32_t next[ROWS]);

__attribute__((always_inline)) static inline void tern_rows(const bitnet_tern_rows_args *a,
                                                            four_rows_fn four_rows) {
    for (int32_t i = 0; i < a->n; i += ROWS) {
        int32_t row[ROWS], next[ROWS]; /* past the end: the last one again */
        for (int r = 0; r < ROWS; r++) {
            row[r] = a->row[i + r < a->n ? i + r : a->n - 1];
            next[r] = i + r + AHEAD < a->n ? a->row[i + r + AHEAD] : row[r];
        }
        four_rows(a, row, next);
    }
}

/* The sum of a row is that of the lanes of its vector. */
static inline void store_rows(const bitnet_tern_rows_args *a, const int32_t row[ROWS],
                              const __m128i sum[ROWS]) {
    const __m128i all =
        _mm_hadd_epi32(_mm_hadd_epi32(sum[0], sum[1]), _mm_hadd_epi32(sum[2], sum[3]));
    const f32x4 y = tern_value_4((i32x4)all, a->xsum, a->s, a->w_scale);
    for (int r = 0; r < ROWS; r++)
        a->y[row[r]] = y[r];
}

#endif
