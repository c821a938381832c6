/* tern_matmul_avx2.c: vpmaddubsw multiplies codes and activations and adds two neighbours into a 16-bit
 * lane, and it saturates, so everything here keeps such lanes within [-32767, 32767]. The two lanes of
 * a row are added when they are widened. |xq| <= 127.
 *
 * Decode (one token, two groups) leaves fields 1 and 3 of each byte multiplied by 4, to be summed apart
 * and divided exactly: one shift and four masks for 128 weights. Such a lane gains at most
 * 2 * (2*8*127) = 4064 per vector, 32512 in the 8 vectors of a block of 128 weights, which is where
 * lanes are widened. Registers: 8 accumulators, 4 activations, 2 masks, a vector and its shift; the
 * four wide sums are touched once per block and may live in memory.
 *
 * Prefill shifts every field down: a lane gains 4 * (2*2*127) = 2032 per vector, 32512 in 16. One half
 * group by up to twelve tokens: 12 accumulators, codes, made anew from memory for each field, the mask,
 * and a product, which takes the register of its activations: 15.
 */
#include "kernels/x86/tern_avx2.h"

#define MAX_TOKENS   12
#define FLUSH        16 /* vectors between two widenings in prefill */
#define BLOCK_VECTOR (BITNET_K_BLOCK / 16)

static inline u16x16 dot(u16x16 acc, __m256i codes, __m256i x) {
    acc += (u16x16)_mm256_maddubs_epi16(codes, x);
    KEEP(acc);
    return acc;
}

static inline i32x8 widen(i32x8 acc, __m256i sum) {
    return acc + (i32x8)_mm256_madd_epi16(sum, _mm256_set1_epi16(1));
}

/* A block of 128 weights of each half. halves is a constant where this is inlined. */
__attribute__((always_inline)) static inline void decode_block(i32x8 acc[MAX_HALVES],
                                                               const uint8_t *w, const int8_t *x,
                                                               ptrdiff_t group_size,
                                                               ptrdiff_t ahead, const int halves) {
    const __m256i mask0 = _mm256_set1_epi8(0x03), mask1 = _mm256_set1_epi8(0x0c);
    u16x16 once[MAX_HALVES], times4[MAX_HALVES];
    UNROLL for (int h = 0; h < halves; h++) {
        once[h] = times4[h] = (u16x16){0};
    }
    for (int b = 0; b < BLOCK_VECTOR; b++, w += 64, x += 16) {
        __m256i x0 = activations(x), x1 = activations(x + 4);
        __m256i x2 = activations(x + 8), x3 = activations(x + 12);
        UNROLL for (int h = 0; h < halves; h++) {
            const uint8_t *wh = w + h / 2 * group_size + h % 2 * 32;
            if (h % 2 == 0) _mm_prefetch((const char *)wh + ahead, _MM_HINT_T0);
            __m256i v = load(wh), v4 = _mm256_srli_epi16(v, 4);
            once[h] = dot(once[h], _mm256_and_si256(v, mask0), x0);
            times4[h] = dot(times4[h], _mm256_and_si256(v, mask1), x1);
            once[h] = dot(once[h], _mm256_and_si256(v4, mask0), x2);
            times4[h] = dot(times4[h], _mm256_and_si256(v4, mask1), x3);
        }
    }
    UNROLL for (int h = 0; h < halves; h++) { /* both are within 8128: their sum fits */
        __m256i quarter = _mm256_srai_epi16((__m256i)times4[h], 2);
        acc[h] = widen(acc[h], _mm256_add_epi16((__m256i)once[h], quarter));
    }
}

__attribute__((always_inline)) static inline void decode(const bitnet_tern_args *a, int32_t r,
                                                         int32_t t, const int halves) {
    const ptrdiff_t group_size = 4 * (ptrdiff_t)a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    i32x8 acc[MAX_HALVES];
    UNROLL for (int h = 0; h < halves; h++) {
        acc[h] = (i32x8){0};
    }
    for (int32_t j = 0; j < a->k; j += BITNET_K_BLOCK)
        decode_block(acc, w + 4 * (ptrdiff_t)j, x + j, group_size,
                     tern_ahead(4 * (ptrdiff_t)j, PREFETCH, group_size, halves / 2), halves);
    UNROLL for (int h = 0; h < halves; h++) {
        store_half(a, t, r + h * HALF, acc[h]);
    }
}

/* Rows r .. r+7 and some tokens; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const __m256i mask = _mm256_set1_epi8(0x03);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    i32x8 acc[MAX_TOKENS];
    UNROLL12 for (int i = 0; i < tokens; i++) {
        acc[i] = (i32x8){0};
    }
    for (int32_t left = a->k / 16; left > 0; left -= FLUSH) {
        u16x16 sum[MAX_TOKENS];
        UNROLL12 for (int i = 0; i < tokens; i++) {
            sum[i] = (u16x16){0};
        }
        for (int32_t b = left < FLUSH ? left : FLUSH; b > 0; b--, w += 64, x += 16) {
            UNROLL for (int f = 0; f < 4; f++) {
                __m256i codes = _mm256_and_si256(_mm256_srli_epi16(load(w), 2 * f), mask);
                UNROLL12 for (int i = 0; i < tokens; i++) {
                    sum[i] = dot(sum[i], codes, activations(x + i * k + 4 * f));
                }
            }
        }
        UNROLL12 for (int i = 0; i < tokens; i++) {
            acc[i] = widen(acc[i], (__m256i)sum[i]);
        }
    }
    UNROLL12 for (int i = 0; i < tokens; i++) {
        store_half(a, t + i, r, acc[i]);
    }
}

void bitnet_tern_matmul_avx2(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(12, HALF) prefill(a, r, t, 12);
    TILES(8, HALF) prefill(a, r, t, 8);
    TILES(4, HALF) prefill(a, r, t, 4);
    TILES(2, HALF) prefill(a, r, t, 2);
    if (t < a->m) ROWS_BY_32(decode, t);
}
