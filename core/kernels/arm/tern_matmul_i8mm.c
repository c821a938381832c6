/* tern_matmul_i8mm.c: with i8mm the codes are the unsigned operand, as on x86.
 *
 * Decode (one token) is usdot, four products to each 32-bit lane, lanes are rows. All four fields stay
 * where they are, multiplied by 1, 4, 16 and 64, each with sums of its own that are divided exactly at
 * the end: four masks and no shift for 64 weights. Bound: a lane gains at most 4 * 128 * 127 < 2^16 in
 * magnitude per vector, so it lasts for 2^15 vectors, 2^19 weights.
 *
 * Prefill is usmmla: 2 rows x 8 weights times 2 tokens x 8 activations, into 2 x 2 sums. Four bytes of
 * a row hold fields of four weights, so zipping a vector with itself shifted by a field puts eight
 * neighbouring weights of a row beside each other: fields 0 and 1 at bits 1:0, fields 2 and 3 at 5:4.
 */
#include "kernels/arm/arm.h"
#include "kernels/tern_tiles.h"

#define MAX_TOKENS 8

/* All rows of a group, one token. */
static void decode(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const uint8x16_t mask0 = vdupq_n_u8(0x03), mask1 = vdupq_n_u8(0x0c);
    const uint8x16_t mask2 = vdupq_n_u8(0x30), mask3 = vdupq_n_u8(0xc0);
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    int32x4_t acc[4][4];

    UNROLL for (int q = 0; q < 4; q++) {
        acc[q][0] = acc[q][1] = acc[q][2] = acc[q][3] = vdupq_n_s32(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        const int8x16_t xv = vld1q_s8(x);
        UNROLL for (int q = 0; q < 4; q++) {
            const uint8x16_t v = vld1q_u8(w + 16 * q);
            acc[q][0] = vusdotq_laneq_s32(acc[q][0], vandq_u8(v, mask0), xv, 0);
            acc[q][1] = vusdotq_laneq_s32(acc[q][1], vandq_u8(v, mask1), xv, 1);
            acc[q][2] = vusdotq_laneq_s32(acc[q][2], vandq_u8(v, mask2), xv, 2);
            acc[q][3] = vusdotq_laneq_s32(acc[q][3], vandq_u8(v, mask3), xv, 3);
        }
    }
    UNROLL for (int q = 0; q < 4; q++) {
        int32x4_t sum = vaddq_s32(acc[q][0], vshrq_n_s32(acc[q][1], 2));
        sum = vaddq_s32(sum, vshrq_n_s32(acc[q][2], 4));
        tern_store_4(a, t, r + 4 * q, vaddq_s32(sum, vshrq_n_s32(acc[q][3], 6)));
    }
}

/* The 16 activations of two tokens: out[0] holds the first eight of both, out[1] the others. */
static inline void two_tokens(int8x16_t out[2], const int8_t *x, ptrdiff_t k) {
    const int64x2_t x0 = vreinterpretq_s64_s8(vld1q_s8(x));
    const int64x2_t x1 = vreinterpretq_s64_s8(vld1q_s8(x + k));
    out[0] = vreinterpretq_s8_s64(vzip1q_s64(x0, x1));
    out[1] = vreinterpretq_s8_s64(vzip2q_s64(x0, x1));
}

/* Four rows: pair[0] is rows 0 and 1, eight bytes each; pair[1] rows 2 and 3. */
static inline void two_pairs(uint8x16_t pair[2], const uint8_t *w) {
    const uint8x16_t v = vld1q_u8(w);
    const uint32x4_t even = vreinterpretq_u32_u8(v), odd = vreinterpretq_u32_u8(vshrq_n_u8(v, 2));
    pair[0] = vreinterpretq_u8_u32(vzip1q_u32(even, odd));
    pair[1] = vreinterpretq_u8_u32(vzip2q_u32(even, odd));
}

/* Half a group, eight rows, and some tokens; tokens is a constant where this is inlined. acc[i][p]
 * holds rows 2 p and 2 p + 1 of tokens 2 i and 2 i + 1: r0 t0, r0 t1, r1 t0, r1 t1. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const uint8x16_t mask = vdupq_n_u8(0x03);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    int32x4_t acc[MAX_TOKENS / 2][4];

    UNROLL for (int i = 0; i < tokens / 2; i++) {
        acc[i][0] = acc[i][1] = acc[i][2] = acc[i][3] = vdupq_n_s32(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        int8x16_t xv[MAX_TOKENS / 2][2];
        UNROLL for (int i = 0; i < tokens / 2; i++) {
            two_tokens(xv[i], x + 2 * i * k, k);
        }
        UNROLL for (int q = 0; q < 2; q++) {
            uint8x16_t pair[2];
            two_pairs(pair, w + 16 * q);
            UNROLL for (int p = 0; p < 2; p++) {
                const uint8x16_t first = vandq_u8(pair[p], mask);
                const uint8x16_t second = vandq_u8(vshrq_n_u8(pair[p], 4), mask);
                UNROLL for (int i = 0; i < tokens / 2; i++) {
                    int32x4_t *sum = &acc[i][2 * q + p];
                    *sum = vusmmlaq_s32(*sum, first, xv[i][0]);
                    *sum = vusmmlaq_s32(*sum, second, xv[i][1]);
                }
            }
        }
    }
    UNROLL for (int i = 0; i < tokens / 2; i++) {
        for (int q = 0; q < 2; q++) {
            const int32x4_t low = acc[i][2 * q], high = acc[i][2 * q + 1];
            tern_store_4(a, t + 2 * i, r + 4 * q, vuzp1q_s32(low, high));
            tern_store_4(a, t + 2 * i + 1, r + 4 * q, vuzp2q_s32(low, high));
        }
    }
}

void bitnet_tern_matmul_i8mm(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(8, 8) prefill(a, r, t, 8);
    TILES(4, 8) prefill(a, r, t, 4);
    TILES(2, 8) prefill(a, r, t, 2);
    TILES(1, BITNET_ROW_GROUP) decode(a, r, t);
}
