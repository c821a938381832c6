/* blocks_encode.c: f32 -> block formats, by ggml's reference quantisers (ggml-quants.c), byte for byte
 * wherever those are defined. See blocks.h.
 *
 * Where a block's step is too small for its inverse (weights below 1e-38) ggml converts an infinite or
 * undefined float to an integer; here such a value takes the nearest end of the range.
 */
#include "format/blocks.h"

#include <math.h>
#include <string.h>

#include "bitnet/backend.h"
#include "base/half.h"

static void store_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* Into lo .. hi; a NaN becomes lo. */
static float clamp(float v, float lo, float hi) {
    return !(v > lo) ? lo : v > hi ? hi : v;
}

static float largest_magnitude(const float *x, int32_t n) {
    float most = 0;
    for (int32_t i = 0; i < n; i++)
        most = fabsf(x[i]) > most ? fabsf(x[i]) : most;
    return most;
}

static float inverse(float d) {
    return d != 0.0f ? 1.0f / d : 0.0f;
}

/* ---- floats ------------------------------------------------------------------------------ */

static void encode_f32(void *blocks, const float *x, int64_t n) {
    memcpy(blocks, x, (size_t)n * sizeof *x);
}

static void encode_f16(void *blocks, const float *x, int64_t n) {
    uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++)
        store_u16(p + 2 * i, f32_to_f16(x[i]));
}

static void encode_bf16(void *blocks, const float *x, int64_t n) {
    uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++)
        store_u16(p + 2 * i, f32_to_bf16(x[i]));
}

/* ---- blocks of 32 ------------------------------------------------------------------------ */

/* Half away from zero, as roundf, for |v| < 2^23 and without a call. */
static int32_t round_away(float v) {
    int32_t whole = (int32_t)v;
    float rest = v - (float)whole;
    return whole + (rest >= 0.5f) - (rest <= -0.5f);
}

static void encode_q8_0(void *blocks, const float *x, int64_t n) {
    uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 34, x += 32) {
        float d = largest_magnitude(x, 32) / 127.0f, inv = inverse(d);
        store_u16(b, f32_to_f16(d));
        for (int32_t e = 0; e < 32; e++)
            b[2 + e] = (uint8_t)round_away(clamp(x[e] * inv, -127.0f, 127.0f));
    }
}

/* The first of the largest magnitudes, with its sign. */
static float signed_extreme(const float *x, int32_t n) {
    float most = 0;
    for (int32_t i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(most)) most = x[i];
    return most;
}

/* The extreme becomes -8 exactly: the range of codes is lopsided and its sign decides which way. */
static void encode_q4_0(void *blocks, const float *x, int64_t n) {
    uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 18, x += 32) {
        float d = signed_extreme(x, 32) / -8.0f, inv = inverse(d);
        store_u16(b, f32_to_f16(d));
        for (int32_t e = 0; e < 16; e++) {
            int32_t low = (int32_t)clamp(x[e] * inv + 8.5f, 0.0f, 15.0f),
                    high = (int32_t)clamp(x[e + 16] * inv + 8.5f, 0.0f, 15.0f);
            b[2 + e] = (uint8_t)(low | high << 4);
        }
    }
}

/* ---- Q6_K -------------------------------------------------------------------------------- */

#define Q6_GROUP 16
#define Q6_MAX   32
#define Q6_TINY  1e-15f /* a group or block below this is all zeros */

/* Half to even, into -32 .. 31. Adding 1.5 * 2^23 leaves no bits behind the point. */
static int32_t q6_code(float v) {
    float c = clamp(v, -Q6_MAX, Q6_MAX - 1) + 12582912.0f;
    return (int32_t)(c - 12582912.0f);
}

/* Of the least squares problem "x = scale * code, error of each weighted with x^2": its sums. */
typedef struct q6_fit {
    float sum_lx, sum_l2;
} q6_fit;

static q6_fit q6_measure(const float *x, float inv) {
    q6_fit f = {0, 0};
    for (int32_t i = 0; i < Q6_GROUP; i++) {
        float code = (float)q6_code(inv * x[i]), w = x[i] * x[i];
        f.sum_lx += w * x[i] * code;
        f.sum_l2 += w * code * code;
    }
    return f;
}

static void q6_codes(uint8_t *code, const float *x, float inv) {
    for (int32_t i = 0; i < Q6_GROUP; i++)
        code[i] = (uint8_t)(q6_code(inv * x[i]) + Q6_MAX);
}

/* make_qx_quants with rmse type 1: the step for 16 weights, tried around the one that maps the extreme
 * to -32; the best by the criterion sum_lx^2 / sum_l2 wins. */
static float q6_fit_group(uint8_t *code, const float *x) {
    float extreme = signed_extreme(x, Q6_GROUP);
    if (fabsf(extreme) < Q6_TINY) {
        memset(code, 0, Q6_GROUP);
        return 0;
    }
    float inv = -Q6_MAX / extreme;
    q6_fit f = q6_measure(x, inv);
    q6_codes(code, x, inv);
    float scale = f.sum_l2 != 0.0f ? f.sum_lx / f.sum_l2 : 0.0f, best = scale * f.sum_lx;
    for (int32_t step = -9; step <= 9; step++) {
        if (step == 0) continue;
        inv = -(Q6_MAX + 0.1f * (float)step) / extreme;
        f = q6_measure(x, inv);
        if (!(f.sum_l2 > 0 && f.sum_lx * f.sum_lx > best * f.sum_l2)) continue;
        q6_codes(code, x, inv);
        scale = f.sum_lx / f.sum_l2;
        best = scale * f.sum_lx;
    }
    return scale;
}

/* 6-bit codes [256] -> ql [128], qh [64] */
static void q6_pack(uint8_t *b, const uint8_t *code) {
    for (int32_t half = 0; half < 2; half++, code += 128) {
        uint8_t *ql = b + 64 * half, *qh = b + 128 + 32 * half;
        for (int32_t e = 0; e < 32; e++) {
            ql[e] = (uint8_t)((code[e] & 15) | (code[e + 64] & 15) << 4);
            ql[e + 32] = (uint8_t)((code[e + 32] & 15) | (code[e + 96] & 15) << 4);
            qh[e] = (uint8_t)(code[e] >> 4 | (code[e + 32] >> 4) << 2 | (code[e + 64] >> 4) << 4 |
                              (code[e + 96] >> 4) << 6);
        }
    }
}

static void encode_q6_k_block(uint8_t *b, const float *x) {
    uint8_t code[256];
    float scale[16];
    for (int32_t g = 0; g < 16; g++)
        scale[g] = q6_fit_group(code + Q6_GROUP * g, x + Q6_GROUP * g);
    float extreme = signed_extreme(scale, 16);
    memset(b, 0, 210);
    if (fabsf(extreme) < Q6_TINY) return;

    float inv = -128.0f / extreme;
    uint16_t d16 = f32_to_f16(1.0f / inv);
    store_u16(b + 208, d16);
    for (int32_t g = 0; g < 16; g++) {
        int32_t s = (int32_t)(clamp(inv * scale[g], -128.0f, 127.0f) + 12582912.0f - 12582912.0f);
        float step = f16_to_f32(d16) * (float)s;
        b[192 + g] = (uint8_t)s;
        if (step == 0.0f) continue;
        for (int32_t e = Q6_GROUP * g; e < Q6_GROUP * (g + 1); e++) /* with the rounded step */
            code[e] = (uint8_t)(q6_code(x[e] / step) + Q6_MAX);
    }
    q6_pack(b, code);
}

static void encode_q6_k(void *blocks, const float *x, int64_t n) {
    uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256)
        encode_q6_k_block(b + i / 256 * 210, x + i);
}

/* ---- TQ1_0, TQ2_0 ------------------------------------------------------------------------ */

/* Codes 0, 1, 2 of a block [256] and its step, the largest magnitude. */
static float tq_codes(uint8_t *code, const float *x) {
    float d = largest_magnitude(x, 256), inv = inverse(d);
    for (int32_t e = 0; e < 256; e++)
        code[e] = (uint8_t)(1 + (x[e] * inv >= 0.5f) - (x[e] * inv <= -0.5f));
    return d;
}

/* Five trits, the first most significant, as a fraction of 256 rounded up; then the top of byte * 3
 * is the first trit again, and so on down. The last four bytes hold four trits and a 0. */
static void encode_tq1_0(void *blocks, const float *x, int64_t n) {
    static const struct {
        uint8_t at, n, first;
    } part[3] = {{0, 32, 0}, {32, 16, 160}, {48, 4, 240}};
    uint8_t *b = blocks, code[256 + 4];
    memset(code + 256, 0, 4); /* the fifth trits of the last part */
    for (int64_t i = 0; i < n; i += 256, b += 54) {
        store_u16(b + 52, f32_to_f16(tq_codes(code, x + i)));
        for (int32_t p = 0; p < 3; p++) {
            const uint8_t *c = code + part[p].first;
            int32_t m = part[p].n;
            for (int32_t e = 0; e < m; e++) {
                uint32_t v = c[e] * 81u + c[e + m] * 27u + c[e + 2 * m] * 9u + c[e + 3 * m] * 3u +
                             c[e + 4 * m];
                b[part[p].at + e] = (uint8_t)((v * 256 + 242) / 243);
            }
        }
    }
}

static void encode_tq2_0(void *blocks, const float *x, int64_t n) {
    uint8_t *b = blocks, code[256];
    for (int64_t i = 0; i < n; i += 256, b += 66) {
        store_u16(b + 64, f32_to_f16(tq_codes(code, x + i)));
        for (int32_t e = 0; e < 64; e++) {
            const uint8_t *c = code + 128 * (e / 32) + e % 32;
            b[e] = (uint8_t)(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
        }
    }
}

bitnet_encode_fn bitnet_block_encoder(uint32_t type) {
    static const bitnet_encode_fn encoder[] = {
        [BITNET_TYPE_F32] = encode_f32,     [BITNET_TYPE_F16] = encode_f16,
        [BITNET_TYPE_Q4_0] = encode_q4_0,   [BITNET_TYPE_Q8_0] = encode_q8_0,
        [BITNET_TYPE_Q6_K] = encode_q6_k,   [BITNET_TYPE_BF16] = encode_bf16,
        [BITNET_TYPE_TQ1_0] = encode_tq1_0, [BITNET_TYPE_TQ2_0] = encode_tq2_0,
    };
    return type < sizeof encoder / sizeof *encoder ? encoder[type] : NULL;
}
