/* tern5_matvec_avx2.c: bytes lowered by 128, as comparisons want them. Digits of 3 c mod 256 are those of
 * 3 (c - 128) mod 256, lowered: tripling stays. A digit is the number of comparisons that hold: c > 85,
 * c > 170. A 16-bit lane gains at most 5 * (2*2*127) = 2540 per vector, 30480 in 12, which is where lanes
 * are widened. Four halves of groups side by side; one token after another.
 */
#include "kernels/x86/tern_avx2.h"

#define FLUSH 12 /* vectors between two widenings */

static inline __m256i times3(__m256i c) {
    return _mm256_add_epi8(c, _mm256_add_epi8(c, c));
}

static inline __m256i digit(__m256i c) {
    __m256i is_1 = _mm256_cmpgt_epi8(c, _mm256_set1_epi8(85 - 128));
    __m256i is_2 = _mm256_cmpgt_epi8(c, _mm256_set1_epi8(170 - 128));
    return _mm256_abs_epi8(_mm256_add_epi8(is_1, is_2));
}

/* A vector of each half. halves is a constant where this is inlined. */
__attribute__((always_inline)) static inline void step(u16x16 sum[MAX_HALVES], const uint8_t *w,
                                                       const int8_t *x, size_t group_size,
                                                       const int halves) {
    UNROLL for (int h = 0; h < halves; h++) {
        const uint8_t *at = w + (size_t)(h / 2) * group_size + h % 2 * 32;
        if (h % 2 == 0) _mm_prefetch((const char *)at + PREFETCH, _MM_HINT_T0);
        __m256i c = _mm256_xor_si256(load(at), _mm256_set1_epi8(-128));
        UNROLL for (int f = 0; f < 5; f++) {
            sum[h] += (u16x16)_mm256_maddubs_epi16(digit(c), activations(x + 4 * f));
            KEEP(sum[h]);
            c = times3(c);
        }
    }
}

__attribute__((always_inline)) static inline void rows(const bitnet_tern_args *a, int32_t r,
                                                       int32_t t, const int halves) {
    const size_t group_size = bitnet_tern5_group_size(a->k);
    const uint8_t *w = a->w + (size_t)(r / BITNET_ROW_GROUP) * group_size;
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    int8_t last[20] = {0};
    i32x8 acc[MAX_HALVES];
    memcpy(last, x + a->k / 20 * 20, (size_t)(a->k % 20));
    UNROLL for (int h = 0; h < halves; h++) {
        acc[h] = (i32x8){0};
    }
    for (int32_t left = a->k; left > 0;) {
        u16x16 sum[MAX_HALVES];
        UNROLL for (int h = 0; h < halves; h++) {
            sum[h] = (u16x16){0};
        }
        for (int32_t b = 0; b < FLUSH && left > 0; b++, left -= 20, w += 64, x += 20)
            step(sum, w, left < 20 ? last : x, group_size, halves);
        UNROLL for (int h = 0; h < halves; h++) {
            acc[h] += (i32x8)_mm256_madd_epi16((__m256i)sum[h], _mm256_set1_epi16(1));
        }
    }
    UNROLL for (int h = 0; h < halves; h++) {
        store_half(a, t, r + h * HALF, acc[h]);
    }
}

void bitnet_tern5_matvec_avx2(const bitnet_tern_args *a) {
    for (int32_t t = 0; t < a->m; t++)
        ROWS_BY_32(rows, t);
}
