/* tern_cols_avx512vnni.c: four columns at a time. Interleaving their bytes makes each 32-bit lane four
 * codes of one row, which meet the four activations of the columns. A field stays where it is in its
 * byte and has accumulators of its own, 1, 4, 16 or 64 times too large, divided exactly at the end: at
 * most 64 * 2 * 127 a column, within 32 bits for 2^17 columns. 256 rows fill sixteen accumulators.
 *
 * The columns listed lie apart, so nothing but this knows what will be read: AHEAD fours before it.
 */
#include "kernels/x86/tern_avx512.h"

#define AHEAD 24 /* docs/speed.md */

/* acc[f][q]: rows 64 f + 16 q .. of four columns */
static inline void add_four(i32x16 acc[4][4], const uint8_t *const w[4], int32_t four) {
    const __m512i x = _mm512_set1_epi32(four);
    const __m512i v0 = load(w[0]), v1 = load(w[1]), v2 = load(w[2]), v3 = load(w[3]);
    const __m512i lo01 = _mm512_unpacklo_epi8(v0, v1), hi01 = _mm512_unpackhi_epi8(v0, v1);
    const __m512i lo23 = _mm512_unpacklo_epi8(v2, v3), hi23 = _mm512_unpackhi_epi8(v2, v3);
    const __m512i v[4] = {_mm512_unpacklo_epi16(lo01, lo23), _mm512_unpackhi_epi16(lo01, lo23),
                          _mm512_unpacklo_epi16(hi01, hi23), _mm512_unpackhi_epi16(hi01, hi23)};
    UNROLL for (int q = 0; q < 4; q++) {
        UNROLL for (int f = 0; f < 4; f++) {
            const __m512i mask = _mm512_set1_epi8((char)(3 << (2 * f)));
            acc[f][q] = dot(acc[f][q], _mm512_and_si512(v[q], mask), x);
        }
    }
}

static void store(const bitnet_tern_cols_args *a, int32_t r, i32x16 acc) {
    const int32_t n = a->n - r;
    if (n <= 0) return;
    _mm512_mask_storeu_ps(a->y + r, first_lanes(n), value(acc, a->xsum, a->s, a->w_scale));
}

/* The last columns, up to four: what is missing has activation 0. */
static inline void add_tail(const bitnet_tern_cols_args *a, i32x16 acc[4][4], const uint8_t *w,
                            int32_t i) {
    const uint8_t *at[4];
    uint32_t four = 0;
    for (int c = 0; c < 4; c++) {
        at[c] = w + a->col[i + c < a->n_col ? i + c : i] * a->ld;
        if (i + c < a->n_col) four |= (uint32_t)(uint8_t)a->x[i + c] << (8 * c);
    }
    add_four(acc, at, (int32_t)four);
}

/* Rows r .. r + 255. */
static void cols(const bitnet_tern_cols_args *a, int32_t r) {
    const uint8_t *w = a->w + r / 4;
    const int32_t n = a->n_col, ahead_end = n - 4 * AHEAD - 3;
    i32x16 acc[4][4];
    int32_t i = 0;
    UNROLL for (int f = 0; f < 4; f++) {
        UNROLL for (int q = 0; q < 4; q++) {
            acc[f][q] = (i32x16){0};
        }
    }
    for (; i + 4 <= n; i += 4) {
        const uint8_t *at[4];
        int32_t four;
        const int32_t *ahead = a->col + (i < ahead_end ? i + 4 * AHEAD : i);
        UNROLL for (int c = 0; c < 4; c++) {
            at[c] = w + a->col[i + c] * a->ld;
            _mm_prefetch((const char *)(w + ahead[c] * a->ld), _MM_HINT_T0);
        }
        memcpy(&four, a->x + i, 4);
        add_four(acc, at, four);
    }
    if (i < n) add_tail(a, acc, w, i);
    UNROLL for (int f = 0; f < 4; f++) {
        UNROLL for (int q = 0; q < 4; q++) {
            store(a, r + 64 * f + 16 * q, acc[f][q] >> (2 * f));
        }
    }
}

void bitnet_tern_cols_avx512vnni(const bitnet_tern_cols_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_COL_ROWS)
        cols(a, r);
}
