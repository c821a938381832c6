/* blocks_decode.c: block formats -> f32, bit for bit as ggml's reference dequantisers (ggml-quants.c;
 * formats page 1.5, 1.6). See blocks.h.
 *
 * The order of multiplications is part of the format: it decides the last bit. Blocks are read as
 * bytes at any address, since tensors in safetensors need not be aligned.
 */
#include "format/blocks.h"

#include <string.h>

#include "bitnet/backend.h"
#include "base/half.h"

static uint16_t load_u16(const uint8_t *p) {
    return (uint16_t)(p[0] | p[1] << 8);
}

static float load_d(const uint8_t *p) {
    return f16_to_f32(load_u16(p));
}

/* ---- floats ------------------------------------------------------------------------------ */

static void decode_f32(float *out, const void *blocks, int64_t n) {
    memcpy(out, blocks, (size_t)n * sizeof *out);
}

static void decode_f16(float *out, const void *blocks, int64_t n) {
    const uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++)
        out[i] = f16_to_f32(load_u16(p + 2 * i));
}

static void decode_bf16(float *out, const void *blocks, int64_t n) {
    const uint8_t *p = blocks;
    for (int64_t i = 0; i < n; i++)
        out[i] = bf16_to_f32(load_u16(p + 2 * i));
}

/* ---- blocks of 32 ------------------------------------------------------------------------ */

/* d f16 | i8 q[32] */
static void decode_q8_0(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 34, out += 32) {
        float d = load_d(b);
        for (int32_t e = 0; e < 32; e++)
            out[e] = (float)(int8_t)b[2 + e] * d;
    }
}

/* d f16 | u8 q[16]: weights 0 .. 15 in the low halves, 16 .. 31 in the high ones, 8 too large */
static void decode_q4_0(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 32, b += 18, out += 32) {
        float d = load_d(b);
        for (int32_t e = 0; e < 16; e++) {
            out[e] = (float)((b[2 + e] & 15) - 8) * d;
            out[e + 16] = (float)((b[2 + e] >> 4) - 8) * d;
        }
    }
}

/* ---- blocks of 256 ----------------------------------------------------------------------- */

/* 6-bit scale and minimum of group g of 32 weights; those of groups 4 .. 7 keep their upper two bits
 * in the upper bits of groups 0 .. 3 (get_scale_min_k4). */
static void q4_k_scales(const uint8_t *s, int32_t g, uint8_t *scale, uint8_t *min) {
    if (g < 4) {
        *scale = s[g] & 63;
        *min = s[g + 4] & 63;
    } else {
        *scale = (uint8_t)((s[g + 4] & 15) | (s[g - 4] >> 6) << 4);
        *min = (uint8_t)((s[g + 4] >> 4) | (s[g] >> 6) << 4);
    }
}

/* d f16 | dmin f16 | u8 scales[12] | u8 q[128]: two groups of 32 share 32 bytes */
static void decode_q4_k(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256, b += 144) {
        float d = load_d(b), dmin = load_d(b + 2);
        for (int32_t g = 0; g < 8; g++, out += 32) {
            const uint8_t *q = b + 16 + 32 * (g / 2);
            uint8_t scale, min;
            q4_k_scales(b + 4, g, &scale, &min);
            float step = d * (float)scale, least = dmin * (float)min;
            for (int32_t e = 0; e < 32; e++)
                out[e] = step * (float)(q[e] >> 4 * (g % 2) & 15) - least;
        }
    }
}

/* u8 ql[128] | u8 qh[64] | i8 scale[16] | d f16: 6 bits, the upper two apart, 32 too large */
static void decode_q6_k(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256, b += 210) {
        float d = load_d(b + 208);
        for (int32_t g = 0; g < 8; g++, out += 32) { /* 32 weights that share their shifts */
            const uint8_t *ql = b + 64 * (g / 4) + 32 * (g % 2), *qh = b + 128 + 32 * (g / 4);
            int32_t low_shift = g % 4 >= 2 ? 4 : 0, high_shift = 2 * (g % 4);
            float step[2] = {d * (float)(int8_t)b[192 + 2 * g], d * (float)(int8_t)b[193 + 2 * g]};
            for (int32_t e = 0; e < 32; e++) {
                int32_t q = (ql[e] >> low_shift & 15) | (qh[e] >> high_shift & 3) << 4;
                out[e] = step[e / 16] * (float)(q - 32);
            }
        }
    }
}

/* u8 q[64] | d f16: two bits, lowest first, weights 32 apart in one byte */
static void decode_tq2_0(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    for (int64_t i = 0; i < n; i += 256, b += 66) {
        float d = load_d(b + 64);
        for (int32_t g = 0; g < 8; g++, out += 32)
            for (int32_t e = 0; e < 32; e++)
                out[e] = (float)((b[32 * (g / 4) + e] >> 2 * (g % 4) & 3) - 1) * d;
    }
}

void bitnet_tq1_0_codes(uint8_t *code, const uint8_t *block) {
    static const struct {
        uint8_t at, n, trits; /* bytes that hold n weights per trit, n apart */
    } part[3] = {{0, 32, 5}, {32, 16, 5}, {48, 4, 4}};
    for (int32_t p = 0; p < 3; p++) {
        const uint8_t *q = block + part[p].at;
        int32_t n = part[p].n;
        uint32_t pow3 = 1;
        for (int32_t t = 0; t < part[p].trits; t++, pow3 *= 3, code += n)
            for (int32_t e = 0; e < n; e++)
                code[e] = (uint8_t)((q[e] * pow3 & 255) * 3 >> 8);
    }
}

/* five trits in a byte | d f16 */
static void decode_tq1_0(float *out, const void *blocks, int64_t n) {
    const uint8_t *b = blocks;
    uint8_t code[256];
    for (int64_t i = 0; i < n; i += 256, b += 54, out += 256) {
        float d = load_d(b + 52);
        bitnet_tq1_0_codes(code, b);
        for (int32_t e = 0; e < 256; e++)
            out[e] = (float)(code[e] - 1) * d;
    }
}

bitnet_decode_fn bitnet_block_decoder(uint32_t type) {
    static const bitnet_decode_fn decoder[] = {
        [BITNET_TYPE_F32] = decode_f32,     [BITNET_TYPE_F16] = decode_f16,
        [BITNET_TYPE_Q4_0] = decode_q4_0,   [BITNET_TYPE_Q8_0] = decode_q8_0,
        [BITNET_TYPE_Q4_K] = decode_q4_k,   [BITNET_TYPE_Q6_K] = decode_q6_k,
        [BITNET_TYPE_BF16] = decode_bf16,   [BITNET_TYPE_TQ1_0] = decode_tq1_0,
        [BITNET_TYPE_TQ2_0] = decode_tq2_0,
    };
    return type < sizeof decoder / sizeof *decoder ? decoder[type] : NULL;
}
