/* scan6_avx512vnni.c: 16 x 16 codes are three registers, put together to four of bytes: lanes are rows.
 * The tokens of a call pass over four groups before the next four are read, so that a batch reads the
 * weights once.
 */
#include "kernels/tern_tiles.h"
#include "kernels/x86/group_avx512.h"

#define MAX_GROUPS 4
#define PREFETCH   4096 /* bytes ahead in each stream */

static inline i32x16 dot(i32x16 acc, __m512i codes, __m512i x) {
    return (i32x16)_mm512_dpbusd_epi32((__m512i)acc, codes, x);
}

/* Bits 0-3 of low with bits 4-5 of high. */
static inline __m512i join(__m512i low, __m512i high) {
    const __m512i nibble = _mm512_set1_epi8(0x0f), all = _mm512_set1_epi8(0x3f);
    /* low & nibble | high & ~nibble: truth table 0xca of (nibble, low, high) */
    return _mm512_and_si512(_mm512_ternarylogic_epi32(nibble, low, high, 0xca), all);
}

static inline void unpack(__m512i field[4], const uint8_t *w) {
    __m512i high = load(w), a = load(w + 64), b = load(w + 128);
    field[0] = join(a, _mm512_slli_epi16(high, 4));
    field[1] = join(_mm512_srli_epi16(a, 4), _mm512_slli_epi16(high, 2));
    field[2] = join(b, high);
    field[3] = join(_mm512_srli_epi16(b, 4), _mm512_srli_epi16(high, 2));
}

static inline __m512 less(i32x16 sum, int32_t bias) {
    return _mm512_cvtepi32_ps(_mm512_sub_epi32((__m512i)sum, _mm512_set1_epi32(bias)));
}

/* Groups from row r on, token t; groups is a constant where this is inlined. */
__attribute__((always_inline)) static inline void scan(const bitnet_scan6_args *a, int32_t r,
                                                       int32_t t, const int groups) {
    const ptrdiff_t group_size = 12 * (ptrdiff_t)a->k;
    const uint8_t *w = a->w + r / BITNET_ROW_GROUP * group_size;
    const int8_t *hi = a->hi + (ptrdiff_t)t * a->k, *lo = a->lo + (ptrdiff_t)t * a->k;
    i32x16 sum_hi[MAX_GROUPS], sum_lo[MAX_GROUPS];

    UNROLL for (int g = 0; g < groups; g++) {
        sum_hi[g] = sum_lo[g] = (i32x16){0};
    }
    for (int32_t j = 0; j < a->k; j += 16, w += 192) {
        const ptrdiff_t ahead = tern_ahead(12 * j, PREFETCH, group_size, groups);
        UNROLL for (int g = 0; g < groups; g++) {
            const uint8_t *wg = w + g * group_size;
            __m512i field[4];
            _mm_prefetch((const char *)wg + ahead, _MM_HINT_T0);
            _mm_prefetch((const char *)wg + ahead + 64, _MM_HINT_T0);
            _mm_prefetch((const char *)wg + ahead + 128, _MM_HINT_T0);
            unpack(field, wg);
            UNROLL for (int f = 0; f < 4; f++) {
                sum_hi[g] = dot(sum_hi[g], field[f], activations(hi + j + 4 * f));
                sum_lo[g] = dot(sum_lo[g], field[f], activations(lo + j + 4 * f));
            }
        }
    }
    UNROLL for (int g = 0; g < groups; g++) {
        const int32_t row = r + 16 * g;
        const __mmask16 mask = first_lanes(a->n - row);
        __m512 y = _mm512_mul_ps(less(sum_hi[g], a->hi_sum[t]), _mm512_set1_ps(128.0f));
        y = _mm512_add_ps(y, less(sum_lo[g], a->lo_sum[t]));
        __m512 d = _mm512_maskz_loadu_ps(mask, a->d + row);
        y = _mm512_mul_ps(y, _mm512_mul_ps(_mm512_set1_ps(a->scale[t]), d));
        _mm512_mask_storeu_ps(a->y + t * a->ldy + row, mask, y);
    }
}

void bitnet_scan6_avx512vnni(const bitnet_scan6_args *a) {
    int32_t r = 0;
    for (; a->n - r > 48; r += 64)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t, 4);
    for (; r < a->n; r += 16)
        for (int32_t t = 0; t < a->m; t++)
            scan(a, r, t, 1);
}
