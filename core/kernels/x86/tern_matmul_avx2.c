/* tern_matmul_avx2.c: four dot products at a time, either four rows with one token (decode: each
 * activation load serves four rows) or one row with four tokens (prefill: each unpacked weight
 * serves four tokens).
 *
 * A 32-byte vector is one block of 128 weights; its four 2-bit fields are unpacked by one shift and
 * four masks, which leaves fields 0 and 2 multiplied by 4. They are summed apart and divided at the
 * end, exactly, since the sum is a multiple of 4.
 *
 * Bound: maddubs adds two products u8 x i8 into an i16 lane. Of a field times 4 that is within
 * [2*8*-128, 2*8*127] = [-2048, 2032]; two fields per block and FLUSH = 8 blocks give
 * [-32768, 32512], so a lane is widened just before it could overflow.
 */
#include <stdbool.h>

#include "kernels/x86/tern_x86.h"

#define FLUSH 8 /* blocks */

static inline __m256i load(const void *p) {
    return _mm256_loadu_si256((const __m256i *)p);
}

/* Field f: codes of numbers 32 f .. 32 f + 31 of a block, a byte each; times 4 for f = 0 and 2. */
static inline void unpack(__m256i field[4], const uint8_t *w) {
    const __m256i low = _mm256_set1_epi8(0x03), high = _mm256_set1_epi8(0x0c);
    __m256i v = load(w), v4 = _mm256_srli_epi16(v, 4);
    field[0] = _mm256_and_si256(v4, high);
    field[1] = _mm256_and_si256(v4, low);
    field[2] = _mm256_and_si256(v, high);
    field[3] = _mm256_and_si256(v, low);
}

/* sum c * xq of four pairs: of w[0..3] with x[0], or, one_row, of w[0] with x[0..3]. one_row is a
 * constant where this is inlined. */
__attribute__((always_inline)) static inline __m128i
dot4(const uint8_t *const w[4], const int8_t *const x[4], int32_t k, bool one_row) {
    const int32_t n_blocks = k / BITNET_K_BLOCK;
    const __m256i ones = _mm256_set1_epi16(1);
    __m256i acc[4];
    UNROLL for (int i = 0; i < 4; i++) {
        acc[i] = _mm256_setzero_si256();
    }
    for (int32_t first = 0; first < n_blocks; first += FLUSH) {
        const int32_t end = n_blocks - first < FLUSH ? n_blocks : first + FLUSH;
        u16x16 once[4], times4[4];
        UNROLL for (int i = 0; i < 4; i++) {
            once[i] = times4[i] = (u16x16){0};
        }
        for (int32_t b = first; b < end; b++) {
            __m256i field[4];
            UNROLL for (int i = 0; i < 4; i++) {
                const int8_t *xb = x[one_row ? i : 0] + (ptrdiff_t)b * BITNET_K_BLOCK;
                if (i == 0 || !one_row) unpack(field, w[i] + (ptrdiff_t)b * 32);
                __m256i p0 = _mm256_maddubs_epi16(field[0], load(xb));
                __m256i p1 = _mm256_maddubs_epi16(field[1], load(xb + 32));
                __m256i p2 = _mm256_maddubs_epi16(field[2], load(xb + 64));
                __m256i p3 = _mm256_maddubs_epi16(field[3], load(xb + 96));
                times4[i] += (u16x16)_mm256_add_epi16(p0, p2);
                once[i] += (u16x16)_mm256_add_epi16(p1, p3);
            }
        }
        UNROLL for (int i = 0; i < 4; i++) { /* |once|, |times4 / 4| <= 8192: their sum fits */
            __m256i quarter = _mm256_srai_epi16((__m256i)times4[i], 2);
            __m256i sum = _mm256_add_epi16((__m256i)once[i], quarter);
            acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(sum, ones));
        }
    }
    return sum_i32x8_of_4(acc[0], acc[1], acc[2], acc[3]);
}

static void four_rows(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const uint8_t *w[4]; /* past the last row: the last row again, never stored */
    const int8_t *x[4] = {a->xq + (ptrdiff_t)t * a->k};
    for (int32_t i = 0; i < 4; i++)
        w[i] = a->w + (ptrdiff_t)(r + i < a->n ? r + i : a->n - 1) * (a->k / 4);
    tern_store_rows(a, t, r, dot4(w, x, a->k, false));
}

static void four_tokens(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const uint8_t *w[4] = {a->w + (ptrdiff_t)r * (a->k / 4)};
    const int8_t *x[4];
    float y[4];
    for (int32_t i = 0; i < 4; i++)
        x[i] = a->xq + (ptrdiff_t)(t + i) * a->k;
    __m128i sum = dot4(w, x, a->k, true);
    __m128i xsum = _mm_loadu_si128((const __m128i *)(const void *)(a->xsum + t));
    _mm_storeu_ps(y, tern_finish(sum, xsum, _mm_loadu_ps(a->s + t), a->w_scale));
    for (int32_t i = 0; i < 4; i++)
        a->y[(t + i) * a->ldy + r] = y[i];
}

void bitnet_tern_matmul_avx2(const bitnet_tern_args *a) {
    for (int32_t r = 0; r < a->n; r += 4) {
        int32_t t = 0;
        for (; t + 4 <= a->m; t += 4)
            for (int32_t i = r; i < r + 4 && i < a->n; i++)
                four_tokens(a, i, t);
        for (; t < a->m; t++)
            four_rows(a, r, t);
    }
}
