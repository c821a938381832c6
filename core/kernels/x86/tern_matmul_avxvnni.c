/* tern_matmul_avxvnni.c: the VEX form of vpdpbusd, for processors that have it without AVX-512. It takes
 * the codes as its unsigned operand and adds four products to an i32 lane, a row, without saturating.
 *
 * Decode (one token, two groups) leaves fields 1 and 3 of each byte multiplied by 4, to be summed apart
 * and divided exactly. Bound: such a lane gains at most 2*4*8*127 < 8192 per vector, so it lasts for
 * 2^18 vectors, 2^22 weights. Registers: 8 accumulators, 2 masks, a vector, its shift, a product, and 3
 * of the 4 activations; the instruction reads the fourth from memory.
 *
 * Prefill shifts every field down. Two half groups by up to five tokens: 10 accumulators, two registers
 * of codes, made anew from memory for each field, one of activations, and the mask: 14. Ten chains
 * cover the latency of the instruction; with twelve, clang keeps one of them in memory.
 */
#include "kernels/x86/tern_avx2.h"

#define MAX_TOKENS 5

static inline i32x8 dot(i32x8 acc, __m256i codes, __m256i x) {
    acc = (i32x8)_mm256_dpbusd_avx_epi32((__m256i)acc, codes, x);
    KEEP(acc);
    return acc;
}

/* halves is a constant where this is inlined. */
__attribute__((always_inline)) static inline void decode(const bitnet_tern_args *a, int32_t r,
                                                         int32_t t, const int halves) {
    const __m256i mask0 = _mm256_set1_epi8(0x03), mask1 = _mm256_set1_epi8(0x0c);
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    i32x8 once[MAX_HALVES], times4[MAX_HALVES];

    UNROLL for (int h = 0; h < halves; h++) {
        once[h] = times4[h] = (i32x8){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        __m256i x0 = activations(x), x1 = activations(x + 4);
        __m256i x2 = activations(x + 8), x3 = activations(x + 12);
        const ptrdiff_t ahead = tern_ahead(64 * b, PREFETCH, group_size, halves / 2);
        UNROLL for (int h = 0; h < halves; h++) {
            const uint8_t *wh = w + h / 2 * group_size + h % 2 * 32;
            if (h % 2 == 0) _mm_prefetch((const char *)wh + ahead, _MM_HINT_T0);
            __m256i v = load(wh);
            KEEP(v); /* or GCC reads it from memory three times */
            __m256i v4 = _mm256_srli_epi16(v, 4);
            once[h] = dot(once[h], _mm256_and_si256(v, mask0), x0);
            times4[h] = dot(times4[h], _mm256_and_si256(v, mask1), x1);
            once[h] = dot(once[h], _mm256_and_si256(v4, mask0), x2);
            times4[h] = dot(times4[h], _mm256_and_si256(v4, mask1), x3);
        }
    }
    UNROLL for (int h = 0; h < halves; h++) {
        store_half(a, t, r + h * HALF, once[h] + (times4[h] >> 2));
    }
}

/* Both halves of a group and some tokens; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const __m256i mask = _mm256_set1_epi8(0x03);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    i32x8 acc[MAX_TOKENS][2];

    UNROLL for (int i = 0; i < tokens; i++) {
        acc[i][0] = acc[i][1] = (i32x8){0};
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        UNROLL for (int f = 0; f < 4; f++) {
            __m256i low = _mm256_and_si256(_mm256_srli_epi16(load(w), 2 * f), mask);
            __m256i high = _mm256_and_si256(_mm256_srli_epi16(load(w + 32), 2 * f), mask);
            UNROLL for (int i = 0; i < tokens; i++) {
                __m256i xi = activations(x + i * k + 4 * f);
                acc[i][0] = dot(acc[i][0], low, xi);
                acc[i][1] = dot(acc[i][1], high, xi);
            }
        }
    }
    UNROLL for (int i = 0; i < tokens; i++) {
        store_half(a, t + i, r, acc[i][0]);
        store_half(a, t + i, r + HALF, acc[i][1]);
    }
}

void bitnet_tern_matmul_avxvnni(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(5, BITNET_ROW_GROUP) prefill(a, r, t, 5);
    TILES(4, BITNET_ROW_GROUP) prefill(a, r, t, 4);
    TILES(2, BITNET_ROW_GROUP) prefill(a, r, t, 2);
    if (t < a->m) ROWS_BY_32(decode, t);
}
