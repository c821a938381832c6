/* tern_cols_avx2.c: two columns at a time. Interleaving their bytes makes each 16-bit lane two codes of
 * one row, which vpmaddubsw multiplies by the two activations: at most 2*2*127 = 508, so 64 pairs fit a
 * 16-bit lane before it is widened. |x| <= 127. Half of 64 bytes, 128 rows, fill eight accumulators.
 */
#include "kernels/x86/tern_avx2.h"

#define FLUSH 64 /* pairs between two widenings */
#define AHEAD 48 /* pairs; docs/speed.md */

/* sum[f][0]: rows 64 f + 4 l (and + 16 in the upper words of a lane), sum[f][1]: 32 more */
static inline void add_two(u16x16 sum[4][2], const uint8_t *w0, const uint8_t *w1, int16_t two) {
    const __m256i x = _mm256_set1_epi16(two), mask = _mm256_set1_epi8(3);
    const __m256i v0 = load(w0), v1 = load(w1);
    __m256i v[2] = {_mm256_unpacklo_epi8(v0, v1), _mm256_unpackhi_epi8(v0, v1)};
    UNROLL for (int f = 0; f < 4; f++) {
        UNROLL for (int h = 0; h < 2; h++) {
            sum[f][h] += (u16x16)_mm256_maddubs_epi16(_mm256_and_si256(v[h], mask), x);
            KEEP(sum[f][h]);
            v[h] = _mm256_srli_epi16(v[h], 2);
        }
    }
}

/* Four rows of a 64-bit part of a lane. */
static inline void widen(int32_t *acc, __m128i words) {
    __m128i old = _mm_loadu_si128((const __m128i *)(const void *)acc);
    _mm_storeu_si128((__m128i *)(void *)acc, _mm_add_epi32(old, _mm_cvtepi16_epi32(words)));
}

/* acc of the half's first row */
static inline void flush(int32_t *acc, u16x16 sum[4][2]) {
    UNROLL for (int f = 0; f < 4; f++) {
        UNROLL for (int h = 0; h < 2; h++) {
            const __m128i l0 = _mm256_castsi256_si128((__m256i)sum[f][h]);
            const __m128i l1 = _mm256_extracti128_si256((__m256i)sum[f][h], 1);
            int32_t *at = acc + 64 * f + 32 * h;
            widen(at, l0);
            widen(at + 16, _mm_srli_si128(l0, 8));
            widen(at + 4, l1);
            widen(at + 20, _mm_srli_si128(l1, 8));
        }
    }
}

/* 32 bytes at w of each listed column. */
static void half(const bitnet_tern_cols_args *a, int32_t *acc, const uint8_t *w) {
    const int32_t n = a->n_col;
    for (int32_t i = 0; i < n;) {
        const int32_t end = n - i > 2 * FLUSH ? i + 2 * FLUSH : n;
        u16x16 sum[4][2];
        UNROLL for (int f = 0; f < 4; f++) {
            sum[f][0] = sum[f][1] = (u16x16){0};
        }
        for (; i < end; i += 2) {
            const bool is_pair = i + 1 < n;
            const int32_t *ahead = a->col + (i + 2 * AHEAD + 1 < n ? i + 2 * AHEAD : i);
            _mm_prefetch((const char *)(w + ahead[0] * a->ld), _MM_HINT_T0);
            _mm_prefetch((const char *)(w + ahead[is_pair] * a->ld), _MM_HINT_T0);
            const int two = (uint8_t)a->x[i] | (is_pair ? a->x[i + 1] * 256 : 0);
            add_two(sum, w + a->col[i] * a->ld, w + a->col[i + is_pair] * a->ld, (int16_t)two);
        }
        flush(acc, sum);
    }
}

void bitnet_tern_cols_avx2(const bitnet_tern_cols_args *a) {
    for (int32_t r = 0; r < a->n; r += BITNET_COL_ROWS) {
        int32_t acc[BITNET_COL_ROWS] = {0};
        half(a, acc, a->w + r / 4);
        half(a, acc + 8, a->w + r / 4 + 32);
        for (int32_t i = 0; i < BITNET_COL_ROWS && r + i < a->n; i += 4) {
            i32x4 v;
            memcpy(&v, acc + i, sizeof v);
            store_up_to_4(a->y + r + i, tern_value_4(v, a->xsum, a->s, a->w_scale), a->n - r - i);
        }
    }
}
