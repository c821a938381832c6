/* scan2_dotprod.c: 64 of a row's 256 codes are one register and meet activations that lie together. */
#include "kernels/arm/arm.h"
#include "kernels/scan.h"

static inline int32x4_t dot(int32x4_t acc, uint8x16_t codes, const int8_t *x) {
    return vdotq_s32(acc, vreinterpretq_s8_u8(codes), vld1q_s8(x));
}

void bitnet_scan2_dotprod(const bitnet_scan2_args *a) {
    const uint8x16_t mask = vdupq_n_u8(3);
    for (int32_t i = 0; i < a->n; i++) {
        const uint8_t *w = a->w + (ptrdiff_t)a->row[i] * (a->k / 4);
        int32x4_t hi[2], lo[2]; /* of even and odd fields: shorter chains */
        hi[0] = hi[1] = lo[0] = lo[1] = vdupq_n_s32(0);
        for (int32_t b = 0; b < a->k; b += 256, w += 64)
            UNROLL for (int v = 0; v < 4; v++) {
                uint8x16_t fields = vld1q_u8(w + 16 * v);
                UNROLL for (int f = 0; f < 4; f++) {
                    const int32_t at = b + 64 * f + 16 * v;
                    const uint8x16_t codes = vandq_u8(fields, mask);
                    hi[f % 2] = dot(hi[f % 2], codes, a->hi + at);
                    lo[f % 2] = dot(lo[f % 2], codes, a->lo + at);
                    fields = vshrq_n_u8(fields, 2);
                }
            }
        scan2_store(a, a->row[i], vaddvq_s32(vaddq_s32(hi[0], hi[1])),
                    vaddvq_s32(vaddq_s32(lo[0], lo[1])));
    }
}
