/* tern_rows_avx2.c: four rows at a time. A block of 128 codes in layout A is one register and its fields
 * meet 32 activations each. Fields 0 and 2 stay multiplied by 4, as in tern_matmul_avx2.c, to be summed
 * apart and divided exactly. vpmaddubsw saturates 16-bit lanes: such a lane gains at most
 * 2 * (2*8*127) = 4064 per block, 32512 in the 8 blocks after which it is widened. |xq| <= 127.
 * Registers: 8 accumulators, 2 masks, a vector, its shift, a product; activations come from memory.
 */
#include "kernels/x86/tern_avx2.h"
#include "kernels/x86/tern_rows_x86.h"

#define FLUSH 8

static inline u16x16 dot(u16x16 acc, __m256i codes, const int8_t *x) {
    acc += (u16x16)_mm256_maddubs_epi16(codes, load(x));
    KEEP(acc);
    return acc;
}

/* At most FLUSH blocks of each row. */
static inline void add_blocks(i32x8 acc[ROWS], const uint8_t *w[ROWS], const uint8_t *ahead[ROWS],
                              const int8_t *x, int32_t n) {
    const __m256i mask0 = _mm256_set1_epi8(0x03), mask1 = _mm256_set1_epi8(0x0c);
    u16x16 once[ROWS], times4[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) {
        once[r] = times4[r] = (u16x16){0};
    }
    for (int32_t b = 0; b < n; b++, x += BITNET_K_BLOCK) {
        UNROLL for (int r = 0; r < ROWS; r++) {
            const __m256i v = load(w[r] + 32 * b), v4 = _mm256_srli_epi16(v, 4);
            _mm_prefetch((const char *)ahead[r] + 32 * b, _MM_HINT_T0);
            times4[r] = dot(times4[r], _mm256_and_si256(v4, mask1), x);
            once[r] = dot(once[r], _mm256_and_si256(v4, mask0), x + 32);
            times4[r] = dot(times4[r], _mm256_and_si256(v, mask1), x + 64);
            once[r] = dot(once[r], _mm256_and_si256(v, mask0), x + 96);
        }
    }
    UNROLL for (int r = 0; r < ROWS; r++) { /* both are within 8128: their sum fits */
        const __m256i quarter = _mm256_srai_epi16((__m256i)times4[r], 2);
        const __m256i sum = _mm256_add_epi16((__m256i)once[r], quarter);
        acc[r] += (i32x8)_mm256_madd_epi16(sum, _mm256_set1_epi16(1));
        w[r] += 32 * n, ahead[r] += 32 * n;
    }
}

static inline __m128i fold(i32x8 v) {
    return _mm_add_epi32(_mm256_castsi256_si128((__m256i)v),
                         _mm256_extracti128_si256((__m256i)v, 1));
}

static void four_rows(const bitnet_tern_rows_args *a, const int32_t row[ROWS],
                      const int32_t next[ROWS]) {
    const uint8_t *w[ROWS], *ahead[ROWS];
    i32x8 acc[ROWS];
    __m128i sum[ROWS];
    UNROLL for (int r = 0; r < ROWS; r++) {
        w[r] = a->w + row[r] * (ptrdiff_t)(a->k / 4);
        ahead[r] = a->w + next[r] * (ptrdiff_t)(a->k / 4);
        acc[r] = (i32x8){0};
    }
    for (int32_t b = 0, left = a->k / BITNET_K_BLOCK; left > 0; b += FLUSH, left -= FLUSH)
        add_blocks(acc, w, ahead, a->xq + b * BITNET_K_BLOCK, left < FLUSH ? left : FLUSH);
    UNROLL for (int r = 0; r < ROWS; r++) {
        sum[r] = fold(acc[r]);
    }
    store_rows(a, row, sum);
}

void bitnet_tern_rows_avx2(const bitnet_tern_rows_args *a) {
    tern_rows(a, four_rows);
}
