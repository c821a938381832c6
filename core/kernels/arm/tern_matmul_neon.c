/* tern_matmul_neon.c: for cores without a dot product (Cortex-A53, A72). smlal multiplies eight codes
 * by eight activations into 16-bit lanes; four neighbouring lanes belong to one row, and the four
 * activations they meet are loaded once for the sixteen rows of a group.
 *
 * Bounds of a 16-bit lane, which gets one product of each field of a vector:
 *   prefill  four products of at most 2 * 127 a vector: 32 vectors give 128 * 254 = 32512 < 2^15
 *   decode   leaves fields 1 and 3 multiplied by 4, in lanes of their own: two products of at most
 *            8 * 127 a vector: 16 vectors give 32 * 1016 = 32512. They are divided exactly.
 * Then lanes are added in pairs to 32-bit ones.
 */
#include "kernels/arm/arm.h"
#include "kernels/tern_tiles.h"

#define MAX_TOKENS 4
#define DECODE_RUN 16 /* vectors between two widenings */
#define TILE_RUN   32

/* The four activations of a field, for every row. */
static inline int8x16_t activations(const int8_t *x) {
    int32_t four;
    memcpy(&four, x, 4);
    return vreinterpretq_s8_s32(vdupq_n_s32(four));
}

static inline int32_t min_i32(int32_t a, int32_t b) {
    return a < b ? a : b;
}

/* Four rows: lanes of acc[0] belong to rows 0 0 0 0 1 1 1 1, those of acc[1] to rows 2 and 3. */
static inline void multiply(int16x8_t acc[2], uint8x16_t codes, int8x16_t x) {
    const int8x16_t c = vreinterpretq_s8_u8(codes);
    acc[0] = vmlal_s8(acc[0], vget_low_s8(c), vget_low_s8(x));
    acc[1] = vmlal_high_s8(acc[1], c, x);
}

/* All rows of a group, one token. */
static void decode(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const uint8x16_t mask0 = vdupq_n_u8(0x03), mask1 = vdupq_n_u8(0x0c);
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    int32x4_t sum[4][2];
    for (int q = 0; q < 4; q++)
        sum[q][0] = sum[q][1] = vdupq_n_s32(0);
    for (int32_t b = 0; b < a->k / 16; b += DECODE_RUN) {
        int16x8_t once[4][2], times4[4][2];
        UNROLL for (int q = 0; q < 4; q++) {
            once[q][0] = once[q][1] = times4[q][0] = times4[q][1] = vdupq_n_s16(0);
        }
        for (int32_t i = min_i32(DECODE_RUN, a->k / 16 - b); i > 0; i--, w += 64, x += 16) {
            const int8x16_t x0 = activations(x), x1 = activations(x + 4);
            const int8x16_t x2 = activations(x + 8), x3 = activations(x + 12);
            UNROLL for (int q = 0; q < 4; q++) {
                const uint8x16_t v = vld1q_u8(w + 16 * q), v4 = vshrq_n_u8(v, 4);
                multiply(once[q], vandq_u8(v, mask0), x0);
                multiply(times4[q], vandq_u8(v, mask1), x1);
                multiply(once[q], vandq_u8(v4, mask0), x2);
                multiply(times4[q], vandq_u8(v4, mask1), x3);
            }
        }
        UNROLL for (int q = 0; q < 4; q++) {
            UNROLL for (int h = 0; h < 2; h++) {
                sum[q][h] = vpadalq_s16(sum[q][h], once[q][h]);
                sum[q][h] = vpadalq_s16(sum[q][h], vshrq_n_s16(times4[q][h], 2));
            }
        }
    }
    for (int q = 0; q < 4; q++)
        tern_store_4(a, t, r + 4 * q, vpaddq_s32(sum[q][0], sum[q][1]));
}

/* Half a group, eight rows, and some tokens; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const uint8x16_t mask = vdupq_n_u8(0x03);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    int32x4_t sum[MAX_TOKENS][2][2];
    for (int i = 0; i < tokens; i++)
        for (int q = 0; q < 2; q++)
            sum[i][q][0] = sum[i][q][1] = vdupq_n_s32(0);
    for (int32_t b = 0; b < a->k / 16; b += TILE_RUN) {
        int16x8_t acc[MAX_TOKENS][2][2];
        UNROLL for (int i = 0; i < tokens; i++) {
            UNROLL for (int q = 0; q < 2; q++) {
                acc[i][q][0] = acc[i][q][1] = vdupq_n_s16(0);
            }
        }
        for (int32_t j = min_i32(TILE_RUN, a->k / 16 - b); j > 0; j--, w += 64, x += 16) {
            uint8x16_t v[2] = {vld1q_u8(w), vld1q_u8(w + 16)};
            UNROLL for (int f = 0; f < 4; f++) {
                const uint8x16_t c0 = vandq_u8(v[0], mask), c1 = vandq_u8(v[1], mask);
                v[0] = vshrq_n_u8(v[0], 2);
                v[1] = vshrq_n_u8(v[1], 2);
                UNROLL for (int i = 0; i < tokens; i++) {
                    const int8x16_t xi = activations(x + i * k + 4 * f);
                    multiply(acc[i][0], c0, xi);
                    multiply(acc[i][1], c1, xi);
                }
            }
        }
        for (int i = 0; i < tokens; i++)
            for (int q = 0; q < 2; q++)
                for (int h = 0; h < 2; h++)
                    sum[i][q][h] = vpadalq_s16(sum[i][q][h], acc[i][q][h]);
    }
    for (int i = 0; i < tokens; i++)
        for (int q = 0; q < 2; q++)
            tern_store_4(a, t + i, r + 4 * q, vpaddq_s32(sum[i][q][0], sum[i][q][1]));
}

void bitnet_tern_matmul_neon(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(4, 8) prefill(a, r, t, 4);
    TILES(2, 8) prefill(a, r, t, 2);
    TILES(1, BITNET_ROW_GROUP) decode(a, r, t);
}
