/* test_blocks.c: the block formats against recorded values: decoders against the vectors of the formats
 * page (1.10), encoders against bytes that ggml's reference quantisers made, half precision against a
 * formula, every input.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "base/rng.h"
#include "bitnet/backend.h"
#include "format/blocks.h"

#define MAX_ROW   256
#define MAX_BLOCK 1024 /* bytes of 256 f32 */

/* Half a step, of a step that is itself rounded to f16 (2^-11 of the range that the codes span). */
#define Q8_0_ERROR (0.5f / 127 + 1.0f / 2048)
/* Codes go from -8 to 7, so the end opposite to the extreme is cut by a whole step. */
#define Q4_0_ERROR (1.0f / 8 + 1.0f / 2048)
/* Of 6 bits with scales of 8 bits: half a step of 1/32 and, at the far end, another half cut off. */
#define Q6_K_ERROR (1.0f / 32 + 1.0f / 128)

static uint32_t crc32_of(const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t crc = 0xffffffffu;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320u : 0);
    }
    return ~crc;
}

static float from_bits(uint32_t bits) {
    float f;
    memcpy(&f, &bits, sizeof f);
    return f;
}

static uint32_t to_bits(float f) {
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* ---- decoders ------------------------------------------------------------------------------ */

typedef struct vector {
    uint32_t type;
    int64_t n;
    size_t size, d_at;
    uint32_t crc;
    double sum;
    float first[8], last;
} vector;

static const vector vectors[] = {
    {BITNET_TYPE_Q8_0, 32, 34, 0, 0x7e733bfa, -176, {85, 122, -97, -60, -23, 14, 51, 88}, -48},
    {BITNET_TYPE_Q4_0, 32, 18, 0, 0x4a5055fd, -21, {-3, 2, 7, -4, 1, 6, -5, 0}, 0},
    {BITNET_TYPE_Q4_K,
     256,
     144,
     0,
     0x5c4c0a49,
     54440,
     {315.5f, -25.5f, 129.5f, 284.5f, 439.5f, 98.5f, 253.5f, 408.5f},
     48.5f},
    {BITNET_TYPE_Q6_K,
     256,
     210,
     208,
     0xa84ce1f7,
     4612,
     {-1431, 1696, 583, -530, -1643, 1484, 371, -742},
     -60},
    {BITNET_TYPE_TQ1_0, 256, 54, 52, 0x8ed5cce3, -2, {-1, -1, -1, 0, 0, 1, 1, -1}, -1},
    {BITNET_TYPE_TQ2_0, 256, 66, 64, 0xe61a6eea, 129, {2, -1, 0, 1, 2, -1, 0, 1}, -1},
};

static void every_decoder_gives_the_recorded_values(void **state) {
    (void)state;
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        const vector *want = &vectors[v];
        uint8_t block[MAX_BLOCK];
        float y[MAX_ROW];
        double sum = 0;
        assert_int_equal(bitnet_row_size(want->type, want->n), want->size);
        for (size_t i = 0; i < want->size; i++)
            block[i] = (uint8_t)(37 * i + 11);
        memcpy(block + want->d_at, (uint8_t[]){0x00, 0x3c}, 2); /* f16 1.0 */
        if (want->type == BITNET_TYPE_Q4_K) memcpy(block + 2, (uint8_t[]){0x00, 0x38}, 2); /* 0.5 */
        bitnet_block_decoder(want->type)(y, block, want->n);
        for (int64_t i = 0; i < want->n; i++)
            sum += (double)y[i];
        const char *name = bitnet_type_name(want->type);
        for (int i = 0; i < 8; i++)
            if (y[i] != want->first[i])
                fail_msg("%s: weight %d is %g, recorded is %g", name, i, (double)y[i],
                         (double)want->first[i]);
        uint32_t crc = crc32_of(y, (size_t)want->n * sizeof *y);
        if (crc != want->crc || sum != want->sum || y[want->n - 1] != want->last)
            fail_msg("%s: CRC %08x, sum %g, last %g; recorded are %08x, %g, %g", name, crc, sum,
                     (double)y[want->n - 1], want->crc, want->sum, (double)want->last);
    }
}

static void a_row_is_its_blocks_one_after_the_other(void **state) {
    (void)state;
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        const vector *want = &vectors[v];
        uint8_t row[3 * 256];
        float all[3 * MAX_ROW], one[MAX_ROW];
        for (size_t i = 0; i < sizeof row; i++)
            row[i] = (uint8_t)(29 * i + i / 256);
        for (size_t b = 0; b < 3; b++) /* a finite d in each, not the same */
            memcpy(row + b * want->size + want->d_at, (uint8_t[]){(uint8_t)b, 0x3c}, 2);
        for (size_t b = 0; want->type == BITNET_TYPE_Q4_K && b < 3; b++)
            row[b * want->size + 3] = 0x30;
        bitnet_decode_fn decode = bitnet_block_decoder(want->type);
        decode(all, row, 3 * want->n);
        for (int64_t b = 0; b < 3; b++) {
            decode(one, row + (size_t)b * want->size, want->n);
            assert_memory_equal(one, all + b * want->n, (size_t)want->n * sizeof *one);
        }
    }
}

/* ---- encoders ------------------------------------------------------------------------------ */

/* What ggml's quantize_row_*_ref (ggml d99724f, gcc 12, x86-64) wrote for x[i] below. */
static void every_encoder_writes_the_bytes_of_ggml(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        int64_t n;
        uint32_t crc;
    } recorded[] = {{BITNET_TYPE_Q4_0, 224, 0x9f90533a},
                    {BITNET_TYPE_Q8_0, 224, 0x6a90327d},
                    {BITNET_TYPE_Q6_K, 256, 0x7fd3dec4},
                    {BITNET_TYPE_TQ1_0, 256, 0x414696a0},
                    {BITNET_TYPE_TQ2_0, 256, 0x0b8cc63e}};
    float x[MAX_ROW];
    for (int i = 0; i < MAX_ROW; i++)
        x[i] = (float)((i * i * 7 + i * 29) % 211 - 105) / 64.0f;
    for (size_t r = 0; r < sizeof recorded / sizeof *recorded; r++) {
        uint8_t block[MAX_BLOCK];
        bitnet_block_encoder(recorded[r].type)(block, x, recorded[r].n);
        uint32_t crc = crc32_of(block, (size_t)bitnet_row_size(recorded[r].type, recorded[r].n));
        if (crc != recorded[r].crc)
            fail_msg("%s: CRC of the bytes is %08x, ggml's is %08x",
                     bitnet_type_name(recorded[r].type), crc, recorded[r].crc);
    }
}

static const char tq2_0_hex[] =
    "981911216266468488981911216266468488981911216266468488981911216211"
    "21626646848898191121626646848898191121626646848898191121626646003c";
static const char tq1_0_hex[] = "4a99616bc3decb23414a99616bc3decb23414a99616bc3decb23414a99616bc346"
                                "5018705d7bcad3ee465018705d7bcadb33203d003c";

static size_t parse_hex(uint8_t *out, const char *hex) {
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++) {
        char digits[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(digits, NULL, 16);
    }
    return n;
}

static void ternary_weights_become_the_recorded_bytes_and_come_back(void **state) {
    (void)state;
    const struct {
        uint32_t type;
        const char *hex;
    } row[] = {{BITNET_TYPE_TQ2_0, tq2_0_hex}, {BITNET_TYPE_TQ1_0, tq1_0_hex}};
    float t[MAX_ROW], y[MAX_ROW];
    for (int j = 0; j < MAX_ROW; j++)
        t[j] = (float)((j * j + j / 3) % 3 - 1);
    for (size_t r = 0; r < 2; r++) {
        uint8_t want[128], have[128];
        size_t n = parse_hex(want, row[r].hex);
        assert_int_equal(n, bitnet_row_size(row[r].type, MAX_ROW));
        bitnet_block_encoder(row[r].type)(have, t, MAX_ROW);
        assert_memory_equal(have, want, n);
        bitnet_block_decoder(row[r].type)(y, have, MAX_ROW);
        assert_memory_equal(y, t, sizeof t);
    }
}

static void tq_blocks_survive_decoding_and_encoding(void **state) {
    (void)state;
    uint64_t rng = rng_seed(7);
    static const uint32_t types[] = {BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0};
    for (int round = 0; round < 200; round++)
        for (size_t k = 0; k < 2; k++) {
            float scale = f16_to_f32((uint16_t)(1 + rng_next(&rng) % 0x7bff));
            float x[MAX_ROW], y[MAX_ROW];
            uint8_t block[MAX_BLOCK];
            for (int i = 0; i < MAX_ROW; i++)
                x[i] = scale * (float)((int)(rng_next(&rng) % 3) - 1);
            bitnet_block_encoder(types[k])(block, x, MAX_ROW);
            bitnet_block_decoder(types[k])(y, block, MAX_ROW);
            for (int i = 0; i < MAX_ROW; i++)
                if (y[i] != x[i])
                    fail_msg("%s: weight %d was %g, came back as %g", bitnet_type_name(types[k]), i,
                             (double)x[i], (double)y[i]);
        }
}

static void weights_come_back_within_the_error_of_their_type(void **state) {
    (void)state;
    static const struct {
        uint32_t type;
        int block;
        float error; /* of the largest magnitude in the block */
    } row[] = {{BITNET_TYPE_F32, 1, 0},
               {BITNET_TYPE_F16, 1, 1.0f / 2048},
               {BITNET_TYPE_BF16, 1, 1.0f / 256},
               {BITNET_TYPE_Q8_0, 32, Q8_0_ERROR},
               {BITNET_TYPE_Q4_0, 32, Q4_0_ERROR},
               {BITNET_TYPE_Q6_K, 256, Q6_K_ERROR}};
    uint64_t rng = rng_seed(3);
    for (size_t r = 0; r < sizeof row / sizeof *row; r++)
        for (int round = 0; round < 100; round++) {
            float x[MAX_ROW], y[MAX_ROW];
            uint8_t block[MAX_BLOCK];
            for (int i = 0; i < MAX_ROW; i++)
                x[i] = (rng_float(&rng) - 0.5f) * (float)(1 + i / 64);
            bitnet_block_encoder(row[r].type)(block, x, MAX_ROW);
            bitnet_block_decoder(row[r].type)(y, block, MAX_ROW);
            for (int i = 0; i < MAX_ROW; i++) {
                float most = 0;
                for (int j = i / row[r].block * row[r].block, k = 0; k < row[r].block; k++)
                    most = fmaxf(most, fabsf(x[j + k]));
                if (!(fabsf(y[i] - x[i]) <= most * row[r].error))
                    fail_msg("%s: %g became %g; the largest of the block is %g",
                             bitnet_type_name(row[r].type), (double)x[i], (double)y[i],
                             (double)most);
            }
        }
}

static void rows_of_zeros_and_of_the_smallest_floats_stay_finite(void **state) {
    (void)state;
    static const uint32_t types[] = {BITNET_TYPE_F32,   BITNET_TYPE_F16,  BITNET_TYPE_BF16,
                                     BITNET_TYPE_Q8_0,  BITNET_TYPE_Q4_0, BITNET_TYPE_Q6_K,
                                     BITNET_TYPE_TQ1_0, BITNET_TYPE_TQ2_0};
    for (size_t k = 0; k < sizeof types / sizeof *types; k++)
        for (int round = 0; round < 3; round++) {
            float x[MAX_ROW] = {0}, y[MAX_ROW];
            uint8_t block[MAX_BLOCK];
            for (int i = 0; round > 0 && i < MAX_ROW; i += 3)
                x[i] = from_bits(round == 1 ? (uint32_t)i + 1 : 0x80001000u);
            bitnet_block_encoder(types[k])(block, x, MAX_ROW);
            bitnet_block_decoder(types[k])(y, block, MAX_ROW);
            for (int i = 0; i < MAX_ROW; i++)
                if (!(fabsf(y[i]) <= 2 * fabsf(x[i]) + 1e-37f))
                    fail_msg("%s: %g became %g", bitnet_type_name(types[k]), (double)x[i],
                             (double)y[i]);
        }
}

/* ---- half precision ------------------------------------------------------------------------ */

/* IEEE 754: sign, exponent - 15, an implicit one unless the exponent is 0. */
static double value_of_f16(uint32_t h) {
    int exponent = (int)(h >> 10 & 31);
    double m = h & 1023, v = exponent ? ldexp(1024 + m, exponent - 25) : ldexp(m, -24);
    if (exponent == 31) v = m != 0 ? (double)NAN : (double)INFINITY;
    return h & 0x8000 ? -v : v;
}

static void all_65536_halves_have_their_value(void **state) {
    (void)state;
    float decoded;
    for (uint32_t h = 0; h < 65536; h++) {
        double want = value_of_f16(h);
        float have = f16_to_f32((uint16_t)h);
        bitnet_block_decoder(BITNET_TYPE_F16)(&decoded, (uint8_t[]){(uint8_t)h, (uint8_t)(h >> 8)},
                                              1);
        assert_int_equal(to_bits(decoded), to_bits(have));
        if (isnan(want) ? !isnan(have) : (double)have != want || !signbit(have) != !(h & 0x8000))
            fail_msg("%04x is %g, should be %g", h, (double)have, want);
    }
}

/* Around the point in the middle of each pair of neighbours: all places where rounding can go wrong. */
static void f32_rounds_to_the_nearest_half_and_ties_to_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7c00; h++)
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            double next = h == 0x7bff ? 65536 : value_of_f16(h + 1); /* as if there were one more */
            uint32_t mid = to_bits((float)((value_of_f16(h) + next) / 2)) | sign << 16;
            uint32_t low = h | sign, high = (h + 1) | sign, even = h & 1 ? high : low;
            const uint32_t in[] = {mid - 1, mid, mid + 1}, want[] = {low, even, high};
            assert_int_equal(f32_to_f16((float)value_of_f16(low)), low);
            for (int i = 0; i < 3; i++)
                if (f32_to_f16(from_bits(in[i])) != want[i])
                    fail_msg("%.9g became %04x, should be %04x", (double)from_bits(in[i]),
                             f32_to_f16(from_bits(in[i])), want[i]);
        }
    assert_int_equal(f32_to_f16(1e30f), 0x7c00);
    assert_int_equal(f32_to_f16(-INFINITY), 0xfc00);
    assert_true(isnan(f16_to_f32(f32_to_f16(NAN))));
}

static void f32_rounds_to_the_nearest_bf16_and_ties_to_even(void **state) {
    (void)state;
    for (uint32_t h = 0; h < 0x7f80; h++)
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            uint32_t low = h | sign, high = (h + 1) | sign, even = h & 1 ? high : low;
            uint32_t mid = low << 16 | 0x8000;
            const uint32_t in[] = {low << 16, mid - 1, mid, mid + 1};
            const uint32_t want[] = {low, low, even, high};
            for (int i = 0; i < 4; i++)
                if (f32_to_bf16(from_bits(in[i])) != want[i])
                    fail_msg("%.9g became %04x, should be %04x", (double)from_bits(in[i]),
                             f32_to_bf16(from_bits(in[i])), want[i]);
        }
    for (uint32_t bits = 0x7f800001; bits < 0x7f820000; bits += 0x7fff) /* never to infinity */
        assert_true((f32_to_bf16(from_bits(bits)) & 0x7f) != 0);
}

/* ---- names and sizes ----------------------------------------------------------------------- */

static void types_are_found_by_name_in_any_case(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int32_t type;
    } row[] = {{"F32", 0},   {"f16", 1},    {"Q4_0", 2},   {"q4_k", 12}, {"Q6_K", 14},
               {"bf16", 30}, {"tq1_0", 34}, {"TQ2_0", 35}, {"i2_s", 36}, {"", -1},
               {"I2", -1},   {"I2_SS", -1}, {"?", -1},     {"u8x4", -1}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (bitnet_type_parse(row[i].name) != row[i].type)
            fail_msg("\"%s\" is %d, should be %d", row[i].name, bitnet_type_parse(row[i].name),
                     row[i].type);
}

static void types_that_are_not_coded_have_no_coder(void **state) {
    (void)state;
    static const uint32_t neither[] = {3, 13, 24, BITNET_TYPE_I2_S, 41, 200, BITNET_TYPE_HF_PACKED};
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++) {
        assert_null(bitnet_block_decoder(neither[i]));
        assert_null(bitnet_block_encoder(neither[i]));
    }
    assert_null(bitnet_block_encoder(BITNET_TYPE_Q4_K)); /* read only */
    assert_int_equal(bitnet_row_size(BITNET_TYPE_I2_S, 256), 64);
    assert_int_equal(bitnet_row_size(BITNET_TYPE_F16, 3), 6);
    assert_int_equal(bitnet_row_size(4, 256), 0); /* removed from the format */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_decoder_gives_the_recorded_values),
        cmocka_unit_test(a_row_is_its_blocks_one_after_the_other),
        cmocka_unit_test(every_encoder_writes_the_bytes_of_ggml),
        cmocka_unit_test(ternary_weights_become_the_recorded_bytes_and_come_back),
        cmocka_unit_test(tq_blocks_survive_decoding_and_encoding),
        cmocka_unit_test(weights_come_back_within_the_error_of_their_type),
        cmocka_unit_test(rows_of_zeros_and_of_the_smallest_floats_stay_finite),
        cmocka_unit_test(all_65536_halves_have_their_value),
        cmocka_unit_test(f32_rounds_to_the_nearest_half_and_ties_to_even),
        cmocka_unit_test(f32_rounds_to_the_nearest_bf16_and_ties_to_even),
        cmocka_unit_test(types_are_found_by_name_in_any_case),
        cmocka_unit_test(types_that_are_not_coded_have_no_coder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
