/* tern_rows_avx512vnni.c: a register holds two blocks of 128 codes in layout A, so an activation register
 * is made of 32 of each block, for four rows at a time. A field stays where it is in its byte and has an
 * accumulator of its own, up to 64 times too large, divided exactly at the end: a lane gains at most
 * 4 * 64*2*127 < 2^16 per register.
 */
#include "kernels/x86/tern_avx512.h"
#include "kernels/x86/tern_rows_x86.h"

static inline __m512i mask_of(int f) {
    return _mm512_set1_epi8((char)(3 << (6 - 2 * f)));
}

/* 32 bytes of each of two places. */
static inline __m512i join(const void *low, const void *high) {
    const __m256i l = _mm256_loadu_si256((const __m256i *)low);
    return _mm512_inserti64x4(_mm512_castsi256_si512(l), _mm256_loadu_si256((const __m256i *)high),
                              1);
}

/* A block that is left: the upper half of the registers is 0. */
static inline void add_block(i32x16 acc[ROWS][4], const uint8_t *const w[ROWS], const int8_t *x) {
    UNROLL for (int f = 0; f < 4; f++) {
        const __m512i xf =
            _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)(x + 32 * f)));
        UNROLL for (int r = 0; r < ROWS; r++) {
            const __m512i v =
                _mm512_zextsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)w[r]));
            acc[r][f] = dot(acc[r][f], _mm512_and_si512(v, mask_of(f)), xf);
        }
    }
}

static inline __m128i sum_fields(const i32x16 acc[4]) {
    const __m512i v = (__m512i)((acc[0] >> 6) + (acc[1] >> 4) + (acc[2] >> 2) + acc[3]);
    const __m256i h = _mm256_add_epi32(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
    return _mm_add_epi32(_mm256_castsi256_si128(h), _mm256_extracti128_si256(h, 1));
}

static void four_rows(const bitnet_tern_rows_args *a, const int32_t row[ROWS],
                      const int32_t next[ROWS]) {
    const uint8_t *w[ROWS], *ahead[ROWS];
    const int8_t *x = a->xq;
    i32x16 acc[ROWS][4];
    __m128i sum[ROWS];
    int32_t k = a->k;
    UNROLL for (int r = 0; r < ROWS; r++) {
        w[r] = a->w + row[r] * (ptrdiff_t)(a->k / 4);
        ahead[r] = a->w + next[r] * (ptrdiff_t)(a->k / 4);
        UNROLL for (int f = 0; f < 4; f++) {
            acc[r][f] = (i32x16){0};
        }
    }
    for (; k >= 2 * BITNET_K_BLOCK; k -= 2 * BITNET_K_BLOCK, x += 2 * BITNET_K_BLOCK) {
        __m512i v[ROWS];
        UNROLL for (int r = 0; r < ROWS; r++) {
            v[r] = load(w[r]);
            _mm_prefetch((const char *)ahead[r], _MM_HINT_T0);
            w[r] += 64, ahead[r] += 64;
        }
        UNROLL for (int f = 0; f < 4; f++) {
            const __m512i xf = join(x + 32 * f, x + 32 * f + BITNET_K_BLOCK);
            UNROLL for (int r = 0; r < ROWS; r++) {
                acc[r][f] = dot(acc[r][f], _mm512_and_si512(v[r], mask_of(f)), xf);
            }
        }
    }
    if (k > 0) add_block(acc, w, x);
    UNROLL for (int r = 0; r < ROWS; r++) {
        sum[r] = sum_fields(acc[r]);
    }
    store_rows(a, row, sum);
}

void bitnet_tern_rows_avx512vnni(const bitnet_tern_rows_args *a) {
    tern_rows(a, four_rows);
}
