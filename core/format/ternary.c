/* ternary.c: see ternary.h. One function per container, each a stream of tiles of 128 weights; a tile
 * becomes 32 bytes of layout A. The inner loops run over 32 or 128 neighbours without branches, which
 * compilers turn into vector code.
 *
 * A code 3 stands for no weight and is looked for in the packed bytes, a row or a block at a time.
 */
#include "format/ternary.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "bitnet/backend.h"
#include "format/blocks.h"

#define TILE       128 /* weights that layout A keeps together */
#define TILE_BYTES (TILE / 4)
#define ZEROS      0x55 /* four codes of weight 0 */

static bool is_float(uint32_t type) {
    return type == BITNET_TYPE_F32 || type == BITNET_TYPE_F16 || type == BITNET_TYPE_BF16;
}

bitnet_ternary_kind bitnet_ternary_kind_of(const bitnet_tensor_entry *e) {
    switch (e->type) {
    case BITNET_TYPE_I2_S:
        return e->is_layout_b || e->ne[0] % TILE ? TERNARY_PACK : TERNARY_MAP;
    case BITNET_TYPE_HF_PACKED:
        return TERNARY_PACK;
    case BITNET_TYPE_TQ1_0:
    case BITNET_TYPE_TQ2_0:
        return TERNARY_MAYBE;
    default:
        return e->is_latent && is_float(e->type) ? TERNARY_PACK : TERNARY_NO;
    }
}

uint64_t bitnet_ternary_row_size(int64_t k) {
    return ((uint64_t)k + TILE - 1) / TILE * TILE_BYTES;
}

static int64_t n_rows(const bitnet_tensor_entry *e) {
    return e->ne[1] * e->ne[2] * e->ne[3];
}

uint64_t bitnet_ternary_size(const bitnet_tensor_entry *e) {
    return (uint64_t)n_rows(e) * bitnet_ternary_row_size(e->ne[0]);
}

/* The name, fit for a message; used as %.96s. */
static const char *label(bitnet_escaped *buf, const bitnet_tensor_entry *e) {
    return bitnet_escape(buf, e->name, strlen(e->name));
}

/* ---- tiles ------------------------------------------------------------------------------- */

static void pack_tile(uint8_t *out, const uint8_t *code) {
    for (int32_t j = 0; j < 32; j++)
        out[j] = (uint8_t)(code[j] << 6 | code[j + 32] << 4 | code[j + 64] << 2 | code[j + 96]);
}

void bitnet_ternary_unpack_row(int8_t *out, const uint8_t *row, int64_t k) {
    for (; k > 0; k -= TILE, row += TILE_BYTES, out += TILE) {
        int8_t weight[TILE];
        for (int32_t j = 0; j < 32; j++) {
            weight[j] = (int8_t)((row[j] >> 6) - 1);
            weight[j + 32] = (int8_t)((row[j] >> 4 & 3) - 1);
            weight[j + 64] = (int8_t)((row[j] >> 2 & 3) - 1);
            weight[j + 96] = (int8_t)((row[j] & 3) - 1);
        }
        memcpy(out, weight, (size_t)(k < TILE ? k : TILE));
    }
}

/* Not 0 when one of the codes in n bytes is 3. */
static uint8_t has_code3(const uint8_t *p, size_t n) {
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= (uint8_t)(p[i] & (p[i] >> 1) & 0x55);
    return any;
}

/* p [n] are bytes of the tensor from byte `first` on, and one of them holds a code 3; or held it, if the
 * file is mapped and has just changed. */
static bitnet_status refuse_code3(const bitnet_tensor_entry *e, const uint8_t *p, uint64_t n,
                                  uint64_t first, bitnet_error *err) {
    bitnet_escaped name;
    for (; n > 1 && !(*p & (*p >> 1) & 0x55); n--)
        p++, first++;
    return bitnet_fail(err, BITNET_E_FORMAT, "model.code3",
                       "%.96s: byte %" PRIu64 " holds the 2-bit code 3, which stands for no weight",
                       label(&name, e), first);
}

static bitnet_status check_scale(const bitnet_tensor_entry *e, float scale, bitnet_error *err) {
    if (isfinite(scale) && scale != 0.0f) return BITNET_OK;
    bitnet_escaped name;
    return bitnet_fail(err, BITNET_E_FORMAT, "model.scale",
                       "%.96s: the scale is %g; it must be finite and not 0", label(&name, e),
                       (double)scale);
}

/* ---- I2_S -------------------------------------------------------------------------------- */

/* 128 weights of layout B, two blocks of 64 weights in 16 bytes, as codes. */
static void layout_b_codes(uint8_t *code, const uint8_t *p) {
    for (int32_t g = 0; g < 8; g++, code += 16)
        for (int32_t j = 0; j < 16; j++)
            code[j] = p[16 * (g / 4) + j] >> (6 - 2 * (g % 4)) & 3;
}

static bitnet_status pack_i2_s(uint8_t *out, float *scale, const bitnet_tensor_entry *e,
                               const uint8_t *data, bitnet_error *err) {
    uint64_t n = (uint64_t)e->ne[0] * (uint64_t)n_rows(e) / 4;
    memcpy(scale, data + n, sizeof *scale);
    for (uint64_t at = 0; at < n; at += TILE_BYTES * 128) {
        uint64_t left = n - at < TILE_BYTES * 128 ? n - at : TILE_BYTES * 128;
        if (has_code3(data + at, (size_t)left)) return refuse_code3(e, data + at, left, at, err);
    }
    if (!e->is_layout_b) return BITNET_OK;
    for (uint64_t at = 0; at < n; at += TILE_BYTES) {
        uint8_t code[TILE];
        layout_b_codes(code, data + at);
        pack_tile(out + at, code);
    }
    return BITNET_OK;
}

/* ---- TQ1_0, TQ2_0 ------------------------------------------------------------------------ */

static void tq1_0_pack(uint8_t *out, const uint8_t *block) {
    uint8_t code[2 * TILE];
    bitnet_tq1_0_codes(code, block);
    pack_tile(out, code);
    pack_tile(out + TILE_BYTES, code + TILE);
}

/* The same 32-stride as layout A; only the order of a byte's four codes is reversed. */
static void tq2_0_pack(uint8_t *out, const uint8_t *block) {
    for (int32_t i = 0; i < 2 * TILE_BYTES; i++) {
        uint32_t b = block[i];
        out[i] = (uint8_t)(b >> 6 | (b >> 2 & 0x0c) | (b << 2 & 0x30) | b << 6);
    }
}

/* One scale for all blocks that hold a weight other than 0; the d of the others says nothing. All
 * blocks are read before different scales are reported, so that damage is found whatever the order. */
static bitnet_status pack_tq(uint8_t *out, float *scale, const bitnet_tensor_entry *e,
                             const uint8_t *data, bitnet_error *err) {
    bool is_tq1 = e->type == BITNET_TYPE_TQ1_0, is_same = true, is_found = false;
    uint64_t q_bytes = is_tq1 ? 52 : 64, block_bytes = q_bytes + 2;
    uint64_t n = (uint64_t)e->ne[0] * (uint64_t)n_rows(e) / (2 * TILE);
    *scale = 1.0f; /* of a tensor of zeros */
    for (uint64_t i = 0; i < n; i++) {
        uint8_t codes[2 * TILE_BYTES], any = 0;
        const uint8_t *block = data + i * block_bytes;
        (is_tq1 ? tq1_0_pack : tq2_0_pack)(codes, block);
        for (size_t j = 0; j < sizeof codes; j++)
            any |= codes[j] ^ ZEROS;
        float d = f16_to_f32((uint16_t)(block[q_bytes] | block[q_bytes + 1] << 8));
        if (has_code3(codes, sizeof codes))
            return refuse_code3(e, block, q_bytes, i * block_bytes, err);
        if (!isfinite(d)) return check_scale(e, d, err);
        if (any && !is_found) {
            *scale = d;
            is_found = true;
        }
        is_same = is_same && (!any || d == *scale);
        if (out) memcpy(out + i * sizeof codes, codes, sizeof codes);
    }
    return is_same ? BITNET_OK : BITNET_AGAIN;
}

/* ---- Hugging Face's packed rows ------------------------------------------------------------ */

/* Rows R = out/4 apart share their bytes: row r is pair r / R of byte row r % R. */
static bitnet_status pack_hf(uint8_t *out, const bitnet_tensor_entry *e, const uint8_t *data,
                             bitnet_error *err) {
    int64_t k = e->ne[0], n = n_rows(e), quarter = n / 4;
    uint64_t row_size = bitnet_ternary_row_size(k);
    for (int64_t r = 0; r < n; r++, out += row_size) {
        const uint8_t *p = data + r % quarter * k;
        uint32_t shift = 2 * (uint32_t)(r / quarter);
        for (int64_t c = 0; c < k; c += TILE) {
            uint8_t code[TILE];
            int64_t have = k - c < TILE ? k - c : TILE;
            for (int64_t j = 0; j < have; j++)
                code[j] = p[c + j] >> shift & 3;
            for (int64_t j = have; j < TILE; j++)
                code[j] = 1;
            pack_tile(out + c / 4, code);
        }
        if (has_code3(out, (size_t)row_size)) {
            bitnet_escaped name;
            int64_t c = 0;
            while (c < k - 1 && (p[c] >> shift & 3) != 3)
                c++;
            return bitnet_fail(err, BITNET_E_FORMAT, "model.code3",
                               "%.96s: row %" PRId64 ", column %" PRId64
                               " holds the 2-bit code 3, which stands for no weight",
                               label(&name, e), r, c);
        }
    }
    return BITNET_OK;
}

/* ---- master weights ------------------------------------------------------------------------ */

#define LANES 16

/* Sum of |x| in a fixed order: element i goes to lane i % 16, the lanes are added at the end. An f32
 * cannot overflow a double, so the sum is finite exactly when all elements are. */
static double sum_of_magnitudes(bitnet_decode_fn decode, const uint8_t *p, size_t size, int64_t n) {
    double lane[LANES] = {0}, sum = 0;
    float x[TILE];
    for (int64_t at = 0; at < n; at += TILE) {
        int64_t have = n - at < TILE ? n - at : TILE;
        decode(x, p + (size_t)at * size, have);
        for (int64_t j = have; j < TILE; j++)
            x[j] = 0;
        for (int32_t j = 0; j < TILE; j += LANES)
            for (int32_t l = 0; l < LANES; l++)
                lane[l] += (double)fabsf(x[j + l]);
    }
    for (int32_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

static bitnet_status refuse_nonfinite(const bitnet_tensor_entry *e, bitnet_decode_fn decode,
                                      const uint8_t *p, size_t size, bitnet_error *err) {
    bitnet_escaped name;
    float x = 0;
    int64_t i = -1, last = e->ne[0] * n_rows(e) - 1;
    while (i < last && isfinite(x))
        decode(&x, p + (size_t)++i * size, 1);
    return bitnet_fail(err, BITNET_E_FORMAT, "model.nonfinite",
                       "%.96s: element %" PRId64 " is not finite", label(&name, e), i);
}

/* Code 0, 1, 2 of x * inv rounded half to even and clamped to -1 .. 1: a half goes to 0, so the
 * comparison of one side is strict and that of the other is not. */
static void pack_latent_row(uint8_t *out, bitnet_decode_fn decode, const uint8_t *p, size_t size,
                            int64_t k, float inv) {
    float x[TILE];
    uint8_t code[TILE];
    for (int64_t c = 0; c < k; c += TILE, out += TILE_BYTES) {
        int64_t have = k - c < TILE ? k - c : TILE;
        decode(x, p + (size_t)c * size, have);
        for (int64_t j = have; j < TILE; j++)
            x[j] = 0;
        for (int32_t j = 0; j < TILE; j++)
            code[j] = (uint8_t)((x[j] * inv > 0.5f) + (x[j] * inv >= -0.5f));
        pack_tile(out, code);
    }
}

/* m = max(1e-5, mean |W|), t = clamp(rne(W * f32(1/m)), -1, 1) (arXiv:2402.17764 2; formats page 3.4) */
static bitnet_status pack_latent(uint8_t *out, float *scale, const bitnet_tensor_entry *e,
                                 const uint8_t *data, bitnet_error *err) {
    bitnet_decode_fn decode = bitnet_block_decoder(e->type);
    size_t size = bitnet_type_get_info(e->type)->block_size;
    int64_t k = e->ne[0], n = n_rows(e);
    double sum = sum_of_magnitudes(decode, data, size, k * n);
    if (!isfinite(sum)) return refuse_nonfinite(e, decode, data, size, err);
    double m = sum / (double)(k * n);
    if (m < 1e-5) m = 1e-5;
    for (int64_t r = 0; r < n; r++)
        pack_latent_row(out + (uint64_t)r * bitnet_ternary_row_size(k), decode,
                        data + (size_t)(r * k) * size, size, k, (float)(1.0 / m));
    *scale = (float)m;
    return BITNET_OK;
}

/* ------------------------------------------------------------------------------------------ */

bitnet_status bitnet_ternary_pack(uint8_t *out, float *scale, const bitnet_tensor_entry *e,
                                  const void *data, bitnet_error *err) {
    bitnet_status st;
    *scale = 1.0f;
    switch (e->type) {
    case BITNET_TYPE_I2_S:
        st = pack_i2_s(out, scale, e, data, err);
        break;
    case BITNET_TYPE_TQ1_0:
    case BITNET_TYPE_TQ2_0:
        st = pack_tq(out, scale, e, data, err);
        break;
    case BITNET_TYPE_HF_PACKED:
        st = pack_hf(out, e, data, err);
        break;
    default:
        st = pack_latent(out, scale, e, data, err);
    }
    *scale *= e->scale;
    return st == BITNET_OK ? check_scale(e, *scale, err) : st;
}
