/* tern_matmul_dotprod.c: sdot adds four products to each 32-bit lane. Sixteen bytes of a group are
 * four rows, a lane each, so nothing is summed across lanes; the four activations of a field come
 * from one lane of a register that holds those of the whole vector (sdot by element).
 *
 * Decode (one token) leaves fields 1 and 2 of each byte multiplied by 4 and 16, to be summed apart and
 * divided exactly; field 3 would reach the sign of sdot's operand and is shifted. Bound: a lane gains
 * at most 4 * 32 * 127 < 2^14 in magnitude per vector, so it lasts for 2^17 vectors, 2^21 weights.
 * Prefill shifts every field down: accumulators are scarce, shifts are shared by tokens.
 */
#include "kernels/arm/arm.h"
#include "kernels/tern_tiles.h"

#define MAX_TOKENS 8

/* f, the field and with it the lane of x, is a constant wherever it appears. */
#define DOT(acc, codes, x, f) vdotq_laneq_s32(acc, vreinterpretq_s8_u8(codes), x, f)

/* All rows of a group, one token. */
static void decode(const bitnet_tern_args *a, int32_t r, int32_t t) {
    const uint8x16_t mask0 = vdupq_n_u8(0x03), mask1 = vdupq_n_u8(0x0c), mask2 = vdupq_n_u8(0x30);
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + (ptrdiff_t)t * a->k;
    int32x4_t once[4], times4[4], times16[4];

    UNROLL for (int q = 0; q < 4; q++) {
        once[q] = times4[q] = times16[q] = vdupq_n_s32(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        const int8x16_t xv = vld1q_s8(x);
        UNROLL for (int q = 0; q < 4; q++) {
            const uint8x16_t v = vld1q_u8(w + 16 * q);
            once[q] = DOT(once[q], vandq_u8(v, mask0), xv, 0);
            times4[q] = DOT(times4[q], vandq_u8(v, mask1), xv, 1);
            times16[q] = DOT(times16[q], vandq_u8(v, mask2), xv, 2);
            once[q] = DOT(once[q], vshrq_n_u8(v, 6), xv, 3);
        }
    }
    UNROLL for (int q = 0; q < 4; q++) {
        const int32x4_t higher = vaddq_s32(vshrq_n_s32(times4[q], 2), vshrq_n_s32(times16[q], 4));
        tern_store_4(a, t, r + 4 * q, vaddq_s32(once[q], higher));
    }
}

/* Half a group, eight rows, and some tokens; tokens is a constant where this is inlined. */
__attribute__((always_inline)) static inline void prefill(const bitnet_tern_args *a, int32_t r,
                                                          int32_t t, const int tokens) {
    const uint8x16_t mask = vdupq_n_u8(0x03);
    const ptrdiff_t k = a->k;
    const uint8_t *w = tern_weights(a, r);
    const int8_t *x = a->xq + t * k;
    int32x4_t acc[MAX_TOKENS][2];

    UNROLL for (int i = 0; i < tokens; i++) {
        acc[i][0] = acc[i][1] = vdupq_n_s32(0);
    }
    for (int32_t b = 0; b < a->k / 16; b++, w += 64, x += 16) {
        int8x16_t xv[MAX_TOKENS];
        UNROLL for (int i = 0; i < tokens; i++) {
            xv[i] = vld1q_s8(x + i * k);
        }
        UNROLL for (int q = 0; q < 2; q++) {
            const uint8x16_t v = vld1q_u8(w + 16 * q), c0 = vandq_u8(v, mask);
            const uint8x16_t c1 = vandq_u8(vshrq_n_u8(v, 2), mask);
            const uint8x16_t c2 = vandq_u8(vshrq_n_u8(v, 4), mask), c3 = vshrq_n_u8(v, 6);
            UNROLL for (int i = 0; i < tokens; i++) {
                acc[i][q] = DOT(acc[i][q], c0, xv[i], 0);
                acc[i][q] = DOT(acc[i][q], c1, xv[i], 1);
                acc[i][q] = DOT(acc[i][q], c2, xv[i], 2);
                acc[i][q] = DOT(acc[i][q], c3, xv[i], 3);
            }
        }
    }
    UNROLL for (int i = 0; i < tokens; i++) {
        tern_store_4(a, t + i, r, acc[i][0]);
        tern_store_4(a, t + i, r + 4, acc[i][1]);
    }
}

void bitnet_tern_matmul_dotprod(const bitnet_tern_args *a) {
    int32_t t = 0;
    TILES(8, 8) prefill(a, r, t, 8);
    TILES(4, 8) prefill(a, r, t, 4);
    TILES(2, 8) prefill(a, r, t, 2);
    TILES(1, BITNET_ROW_GROUP) decode(a, r, t);
}
