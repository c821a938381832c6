/* test_ternary.c: the same weights in every container come out as the same canonical codes; what is no
 * ternary matrix is refused or answered AGAIN.
 *
 * The containers are written here weight by weight from the formulas of the formats page, without the
 * encoders under test elsewhere.
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
#include "format/ternary.h"

#define F16_ONE      0x3c00
#define F16_HALF     0x3800
#define F16_INFINITY 0x7c00

typedef struct matrix { /* weights and one container of them */
    int64_t k, n;
    int8_t *t; /* [n][k] */
    float scale;
    bitnet_tensor_entry e;
    uint8_t *data;
} matrix;

static void *must(size_t n) {
    void *p = calloc(1, n);
    assert_non_null(p);
    return p;
}

static matrix random_matrix(int64_t k, int64_t n, float scale, uint64_t seed) {
    matrix m = {.k = k, .n = n, .scale = scale, .t = must((size_t)(k * n))};
    uint64_t rng = rng_seed(seed);
    for (int64_t i = 0; i < k * n; i++)
        m.t[i] = (int8_t)((int)(rng_next(&rng) % 3) - 1);
    m.t[0] = 1; /* never a matrix of zeros */
    return m;
}

static void matrix_free(matrix *m) {
    free(m->t);
    free(m->data);
}

static void put_u16(uint8_t *p, uint16_t v) {
    p[0] = (uint8_t)v;
    p[1] = (uint8_t)(v >> 8);
}

/* ---- the containers, weight by weight ---------------------------------------------------------- */

/* step 32: layout A; step 16: layout B */
static void write_i2_s(matrix *m, int64_t step) {
    for (int64_t i = 0; i < m->k * m->n; i++) {
        int64_t j = i % (4 * step), byte = i / (4 * step) * step + j % step;
        m->data[byte] |= (uint8_t)((m->t[i] + 1) << (6 - 2 * (j / step)));
    }
    memcpy(m->data + m->k * m->n / 4, &m->scale, sizeof m->scale);
}

static void write_tq2_0(matrix *m) {
    for (int64_t i = 0; i < m->k * m->n; i++) {
        uint8_t *block = m->data + i / 256 * 66;
        int64_t e = i % 256, r = e % 128;
        block[32 * (e / 128) + r % 32] |= (uint8_t)((m->t[i] + 1) << (2 * (r / 32)));
        put_u16(block + 64, f32_to_f16(m->scale));
    }
}

static void write_tq1_0(matrix *m) {
    static const int pow3[] = {81, 27, 9, 3, 1};
    int digits[52];
    for (int64_t b = 0; b < m->k * m->n / 256; b++) {
        uint8_t *block = m->data + b * 54;
        memset(digits, 0, sizeof digits);
        for (int e = 0; e < 256; e++) {
            int byte = e < 160 ? e % 32 : e < 240 ? 32 + (e - 160) % 16 : 48 + (e - 240) % 4;
            int trit = e < 160 ? e / 32 : e < 240 ? (e - 160) / 16 : (e - 240) / 4;
            digits[byte] += pow3[trit] * (m->t[b * 256 + e] + 1);
        }
        for (int i = 0; i < 52; i++)
            block[i] = (uint8_t)((digits[i] * 256 + 242) / 243);
        put_u16(block + 52, f32_to_f16(m->scale));
    }
}

static void write_hf_packed(matrix *m) {
    int64_t quarter = m->n / 4;
    for (int64_t r = 0; r < m->n; r++)
        for (int64_t c = 0; c < m->k; c++)
            m->data[r % quarter * m->k + c] |=
                (uint8_t)((m->t[r * m->k + c] + 1) << (2 * (r / quarter)));
}

static void write_dense(matrix *m, uint32_t type) {
    size_t size = bitnet_type_get_info(type)->block_size;
    for (int64_t i = 0; i < m->k * m->n; i++) {
        float w = (float)m->t[i] * m->scale;
        uint16_t half = type == BITNET_TYPE_F16 ? f32_to_f16(w) : f32_to_bf16(w);
        if (type == BITNET_TYPE_F32)
            memcpy(m->data + (size_t)i * size, &w, sizeof w);
        else
            put_u16(m->data + (size_t)i * size, half);
    }
}

/* {type} alone is that of a GGUF file; master weights and layout B are marked. */
static void write_as(matrix *m, bitnet_tensor_entry e) {
    const bitnet_type_info *info = bitnet_type_get_info(e.type);
    e.name = "blk.0.attn_q.weight";
    e.n_dims = 2;
    e.ne[0] = m->k, e.ne[1] = m->n, e.ne[2] = e.ne[3] = 1;
    e.scale = e.type == BITNET_TYPE_HF_PACKED ? m->scale : 1.0f;
    e.size = (uint64_t)(m->k * m->n) / info->block * info->block_size + info->tail;
    free(m->data);
    m->data = must((size_t)e.size);
    m->e = e;
    switch (e.type) {
    case BITNET_TYPE_I2_S:
        write_i2_s(m, e.is_layout_b ? 16 : 32);
        break;
    case BITNET_TYPE_TQ1_0:
        write_tq1_0(m);
        break;
    case BITNET_TYPE_TQ2_0:
        write_tq2_0(m);
        break;
    case BITNET_TYPE_HF_PACKED:
        write_hf_packed(m);
        break;
    default:
        write_dense(m, e.type);
    }
}

static const bitnet_tensor_entry containers[] = {
    {.type = BITNET_TYPE_I2_S},
    {.type = BITNET_TYPE_I2_S, .is_layout_b = true},
    {.type = BITNET_TYPE_TQ1_0},
    {.type = BITNET_TYPE_TQ2_0},
    {.type = BITNET_TYPE_HF_PACKED},
    {.type = BITNET_TYPE_F32, .is_latent = true},
    {.type = BITNET_TYPE_F16, .is_latent = true},
    {.type = BITNET_TYPE_BF16, .is_latent = true},
};
#define N_CONTAINERS (sizeof containers / sizeof *containers)

/* Canonical codes by their definition (ternary.h): k padded to 128 with weight 0. */
static uint8_t *canonical(const matrix *m) {
    int64_t k_pad = (m->k + 127) / 128 * 128;
    uint8_t *out = must((size_t)(k_pad / 4 * m->n));
    for (int64_t r = 0; r < m->n; r++)
        for (int64_t c = 0; c < k_pad; c++) {
            int weight = c < m->k ? m->t[r * m->k + c] : 0;
            int64_t byte = r * k_pad / 4 + c / 128 * 32 + c % 32;
            out[byte] |= (uint8_t)((weight + 1) << (6 - 2 * (c % 128 / 32)));
        }
    return out;
}

/* Packs and compares with the definition; for TERNARY_MAP compares the file's bytes. */
static void expect_codes(const matrix *m, float want_scale) {
    uint8_t *want = canonical(m);
    size_t size = (size_t)bitnet_ternary_size(&m->e);
    uint8_t *out = must(size);
    memset(out, 0xff, size);
    bitnet_error err = {0};
    float scale = 0;
    bitnet_status st = bitnet_ternary_pack(out, &scale, &m->e, m->data, &err);
    if (st != BITNET_OK) fail_msg("status %d: %s", st, err.text);
    bool is_map = bitnet_ternary_kind_of(&m->e) == TERNARY_MAP;
    const uint8_t *have = is_map ? m->data : out;
    for (size_t i = 0; i < size; i++)
        if (have[i] != want[i])
            fail_msg("%s: byte %zu is %02x, should be %02x", bitnet_type_name(m->e.type), i,
                     have[i], want[i]);
    if (scale != want_scale)
        fail_msg("%s: the scale is %.9g, should be %.9g", bitnet_type_name(m->e.type),
                 (double)scale, (double)want_scale);
    free(want);
    free(out);
}

static float mean_magnitude(const matrix *m) {
    double sum = 0;
    for (int64_t i = 0; i < m->k * m->n; i++)
        sum += fabs((double)m->t[i]) * (double)m->scale;
    return (float)(sum / (double)(m->k * m->n));
}

static void every_container_gives_the_same_codes_and_scale(void **state) {
    (void)state;
    matrix m = random_matrix(512, 12, 0.40625f, 1);
    for (size_t c = 0; c < N_CONTAINERS; c++) {
        write_as(&m, containers[c]);
        expect_codes(&m, m.e.is_latent ? mean_magnitude(&m) : m.scale);
    }
    matrix_free(&m);
}

static void rows_that_are_no_multiple_of_128_are_padded_with_zeros(void **state) {
    (void)state;
    static const int64_t ks[] = {1, 31, 100, 127, 129, 8640 % 512};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        matrix m = random_matrix(ks[i], 8, 1.25f, i);
        for (size_t c = 4; c < N_CONTAINERS; c++) { /* from HF_PACKED on */
            write_as(&m, containers[c]);
            assert_int_equal(bitnet_ternary_row_size(ks[i]), (ks[i] + 127) / 128 * 32);
            expect_codes(&m, m.e.is_latent ? mean_magnitude(&m) : m.scale);
        }
        matrix_free(&m);
    }
}

static void unpacking_gives_the_weights_back(void **state) {
    (void)state;
    static const int64_t ks[] = {128, 1, 100, 300};
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++) {
        matrix m = random_matrix(ks[i], 4, 1, i);
        uint8_t *codes = canonical(&m);
        for (int64_t r = 0; r < m.n; r++) {
            int8_t row[301];
            row[ks[i]] = 99;
            bitnet_ternary_unpack_row(row, codes + (uint64_t)r * bitnet_ternary_row_size(m.k), m.k);
            assert_memory_equal(row, m.t + r * m.k, (size_t)m.k);
            assert_int_equal(row[ks[i]], 99);
        }
        free(codes);
        matrix_free(&m);
    }
}

/* formats page 1.10: the first bytes of one pattern in layouts A and B */
static void layout_b_becomes_layout_a(void **state) {
    (void)state;
    static const uint8_t a[16] = {0x26, 0x64, 0x44, 0x48, 0x89, 0x99, 0x91, 0x12,
                                  0x22, 0x26, 0x64, 0x44, 0x48, 0x89, 0x99, 0x91};
    static const uint8_t b[16] = {0x09, 0x4a, 0x42, 0x52, 0x90, 0x94, 0xa4, 0x25,
                                  0x29, 0x09, 0x4a, 0x42, 0x52, 0x90, 0x94, 0xa4};
    matrix m = {.k = 256, .n = 1, .t = must(256), .scale = 1};
    for (int j = 0; j < 256; j++)
        m.t[j] = (int8_t)((j * j + j / 3) % 3 - 1);
    write_as(&m, (bitnet_tensor_entry){.type = BITNET_TYPE_I2_S, .is_layout_b = true});
    assert_memory_equal(m.data, b, sizeof b);
    uint8_t out[64];
    float scale;
    assert_int_equal(bitnet_ternary_pack(out, &scale, &m.e, m.data, NULL), BITNET_OK);
    assert_memory_equal(out, a, sizeof a);
    matrix_free(&m);
}

static void each_type_is_of_its_kind(void **state) {
    (void)state;
    static const bitnet_ternary_kind kinds[N_CONTAINERS] = {
        TERNARY_MAP,  TERNARY_PACK, TERNARY_MAYBE, TERNARY_MAYBE,
        TERNARY_PACK, TERNARY_PACK, TERNARY_PACK,  TERNARY_PACK};
    static const uint32_t ordinary[] = {BITNET_TYPE_F32, BITNET_TYPE_F16, BITNET_TYPE_BF16,
                                        BITNET_TYPE_Q8_0, BITNET_TYPE_Q6_K};
    for (size_t c = 0; c < N_CONTAINERS; c++) {
        bitnet_tensor_entry e = containers[c];
        e.ne[0] = 256;
        assert_int_equal(bitnet_ternary_kind_of(&e), kinds[c]);
    }
    for (size_t i = 0; i < sizeof ordinary / sizeof *ordinary; i++)
        assert_int_equal(bitnet_ternary_kind_of(&(bitnet_tensor_entry){.type = ordinary[i]}),
                         TERNARY_NO);
}

static void tensors_of_three_dimensions_count_all_their_rows(void **state) {
    (void)state;
    matrix m = random_matrix(128, 12, 0.5f, 9);
    write_as(&m, containers[0]);
    m.e.ne[1] = 3, m.e.ne[2] = 4, m.e.n_dims = 3;
    assert_int_equal(bitnet_ternary_size(&m.e), 12 * 32);
    expect_codes(&m, 0.5f);
    m.data[11 * 32] = 0xff;
    float scale;
    assert_int_equal(bitnet_ternary_pack(NULL, &scale, &m.e, m.data, NULL), BITNET_E_FORMAT);
    matrix_free(&m);
}

/* ---- master weights ------------------------------------------------------------------------ */

static void halves_round_to_even_and_everything_is_clamped(void **state) {
    (void)state;
    /* mean |W| is 1, so W / m is W */
    static const float w[8] = {0.5f, -0.5f, 0.50000006f, -0.50000006f, 1.5f, -3.0f, 0, 1.0f};
    static const int8_t want[8] = {0, 0, 1, -1, 1, -1, 0, 1};
    float data[128];
    for (int i = 0; i < 128; i++)
        data[i] = w[i % 8];
    double sum = 0;
    for (int i = 0; i < 128; i++)
        sum += fabs((double)data[i]);
    data[127] = (float)(128.0 - (sum - 1.0)); /* makes the sum 128 */
    bitnet_tensor_entry e = {.name = "w",
                             .type = BITNET_TYPE_F32,
                             .is_latent = true,
                             .n_dims = 2,
                             .ne = {128, 1, 1, 1},
                             .scale = 1};
    uint8_t out[32];
    int8_t t[128];
    float scale;
    assert_int_equal(bitnet_ternary_pack(out, &scale, &e, data, NULL), BITNET_OK);
    if (scale != 1.0f) fail_msg("the scale is %.9g, the mean is 1", (double)scale);
    bitnet_ternary_unpack_row(t, out, 128);
    for (int i = 0; i < 127; i++)
        if (t[i] != want[i % 8])
            fail_msg("%g became %d, should be %d", (double)data[i], t[i], want[i % 8]);
}

static void tiny_master_weights_have_the_least_scale(void **state) {
    (void)state;
    matrix m = random_matrix(128, 2, 1e-7f, 4); /* far below 1e-5: all become 0 */
    write_as(&m, (bitnet_tensor_entry){.type = BITNET_TYPE_F32, .is_latent = true});
    memset(m.t, 0, 256);
    expect_codes(&m, 1e-5f);
    memset(m.data, 0, (size_t)m.e.size);
    expect_codes(&m, 1e-5f);
    matrix_free(&m);
}

static void master_weights_at_any_address_are_read(void **state) {
    (void)state;
    matrix m = random_matrix(200, 4, 0.75f, 6);
    for (size_t c = 5; c < N_CONTAINERS; c++) {
        write_as(&m, containers[c]);
        uint8_t *moved = must((size_t)m.e.size + 1), a[1024], b[1024];
        memcpy(moved + 1, m.data, (size_t)m.e.size);
        float scale;
        assert_int_equal(bitnet_ternary_pack(a, &scale, &m.e, m.data, NULL), BITNET_OK);
        assert_int_equal(bitnet_ternary_pack(b, &scale, &m.e, moved + 1, NULL), BITNET_OK);
        assert_memory_equal(a, b, (size_t)bitnet_ternary_size(&m.e));
        free(moved);
    }
    matrix_free(&m);
}

/* ---- refusals ------------------------------------------------------------------------------ */

static void expect_refusal(const matrix *m, const char *id, const char *place) {
    uint8_t *out = must((size_t)bitnet_ternary_size(&m->e));
    bitnet_error err = {0};
    float scale;
    bitnet_status st = bitnet_ternary_pack(out, &scale, &m->e, m->data, &err);
    if (st != BITNET_E_FORMAT || strcmp(err.id, id) || !strstr(err.text, m->e.name) ||
        !strstr(err.text, place))
        fail_msg("%s: status %d, %s (%s); expected was %s with \"%s\"", bitnet_type_name(m->e.type),
                 st, err.id ? err.id : "no id", err.text, id, place);
    free(out);
}

static void a_code_3_is_refused_with_its_place(void **state) {
    (void)state;
    static const struct {
        size_t container, byte;
        uint8_t bits;
        const char *place;
    } row[] = {{0, 5000, 0x30, "byte 5000 "},
               {1, 5000, 0xc0, "byte 5000 "},
               {0, 0, 0x03, "byte 0 "},
               {3, 66 * 3 + 7, 0x0c, "byte 205 "},
               {4, 512 * 10 + 7, 0xc0, "row 46, column 7 "}};
    for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
        matrix m = random_matrix(512, 48, 1, i);
        write_as(&m, containers[row[i].container]);
        m.data[row[i].byte] |= row[i].bits;
        expect_refusal(&m, "model.code3", row[i].place);
        matrix_free(&m);
    }
}

static void a_scale_that_is_zero_or_not_finite_is_refused(void **state) {
    (void)state;
    static const float scales[] = {0, -0.0f, INFINITY, -INFINITY, NAN};
    for (size_t i = 0; i < sizeof scales / sizeof *scales; i++)
        for (size_t c = 0; c < 5; c++) {
            matrix m = random_matrix(256, 4, scales[i], i);
            write_as(&m, containers[c]);
            expect_refusal(&m, "model.scale", "the scale is ");
            matrix_free(&m);
        }
}

static void a_scale_may_be_negative(void **state) {
    (void)state;
    matrix m = random_matrix(256, 4, -1.5f, 1);
    for (size_t c = 0; c < 5; c++) {
        write_as(&m, containers[c]);
        expect_codes(&m, -1.5f);
    }
    matrix_free(&m);
}

static void a_master_weight_that_is_not_finite_is_refused_with_its_place(void **state) {
    (void)state;
    static const uint8_t infinity[3][4] = {{0, 0, 0x80, 0x7f}, {0, 0xfc}, {0xc0, 0x7f}};
    for (size_t c = 5; c < N_CONTAINERS; c++) {
        matrix m = random_matrix(130, 4, 0.5f, c);
        write_as(&m, containers[c]);
        size_t size = bitnet_type_get_info(m.e.type)->block_size;
        memcpy(m.data + 300 * size, infinity[c - 5], size);
        expect_refusal(&m, "model.nonfinite", "element 300 ");
        matrix_free(&m);
    }
}

static void a_name_is_escaped_in_messages(void **state) {
    (void)state;
    matrix m = random_matrix(256, 4, 0, 1);
    write_as(&m, containers[0]);
    m.e.name = "\x1b[2J";
    bitnet_error err = {0};
    float scale;
    assert_int_equal(bitnet_ternary_pack(NULL, &scale, &m.e, m.data, &err), BITNET_E_FORMAT);
    assert_non_null(strstr(err.text, "\\x1b[2J"));
    matrix_free(&m);
}

/* ---- TQ: one scale or many ----------------------------------------------------------------- */

static size_t tq_d(const matrix *m, size_t block) {
    return m->e.type == BITNET_TYPE_TQ1_0 ? block * 54 + 52 : block * 66 + 64;
}

static bitnet_status ask(const matrix *m) {
    float scale;
    return bitnet_ternary_pack(NULL, &scale, &m->e, m->data, NULL);
}

static void blocks_with_different_scales_are_an_ordinary_matrix(void **state) {
    (void)state;
    for (size_t c = 2; c < 4; c++) {
        matrix m = random_matrix(512, 4, 1, c);
        write_as(&m, containers[c]);
        assert_int_equal(ask(&m), BITNET_OK);
        put_u16(m.data + tq_d(&m, 7), F16_HALF);
        assert_int_equal(ask(&m), BITNET_AGAIN);
        put_u16(m.data + tq_d(&m, 7), 0);
        assert_int_equal(ask(&m), BITNET_AGAIN);
        put_u16(m.data + tq_d(&m, 7), F16_INFINITY);
        expect_refusal(&m, "model.scale", "inf");
        matrix_free(&m);
    }
}

static void blocks_of_zeros_may_have_any_finite_scale(void **state) {
    (void)state;
    static const uint16_t ds[] = {0, F16_HALF, F16_ONE | 0x8000};
    for (size_t c = 2; c < 4; c++)
        for (size_t i = 0; i < sizeof ds / sizeof *ds; i++) {
            matrix m = random_matrix(512, 4, 0.75f, c);
            memset(m.t, 0, 256); /* the first and a later block */
            memset(m.t + 5 * 256, 0, 256);
            write_as(&m, containers[c]);
            put_u16(m.data + tq_d(&m, 0), ds[i]);
            put_u16(m.data + tq_d(&m, 5), ds[i]);
            expect_codes(&m, 0.75f);
            put_u16(m.data + tq_d(&m, 5), F16_INFINITY);
            expect_refusal(&m, "model.scale", "inf");
            matrix_free(&m);
        }
}

static void a_tq_tensor_of_zeros_has_scale_1(void **state) {
    (void)state;
    for (size_t c = 2; c < 4; c++) {
        matrix m = random_matrix(512, 4, 0, c);
        memset(m.t, 0, 512 * 4);
        write_as(&m, containers[c]);
        expect_codes(&m, 1);
        matrix_free(&m);
    }
}

static void damage_is_found_behind_a_different_scale(void **state) {
    (void)state;
    matrix m = random_matrix(512, 4, 1, 3);
    write_as(&m, containers[3]);
    put_u16(m.data + tq_d(&m, 1), F16_HALF);
    m.data[66 * 6] |= 3;
    expect_refusal(&m, "model.code3", "byte 396 ");
    matrix_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_container_gives_the_same_codes_and_scale),
        cmocka_unit_test(rows_that_are_no_multiple_of_128_are_padded_with_zeros),
        cmocka_unit_test(unpacking_gives_the_weights_back),
        cmocka_unit_test(layout_b_becomes_layout_a),
        cmocka_unit_test(each_type_is_of_its_kind),
        cmocka_unit_test(tensors_of_three_dimensions_count_all_their_rows),
        cmocka_unit_test(halves_round_to_even_and_everything_is_clamped),
        cmocka_unit_test(tiny_master_weights_have_the_least_scale),
        cmocka_unit_test(master_weights_at_any_address_are_read),
        cmocka_unit_test(a_code_3_is_refused_with_its_place),
        cmocka_unit_test(a_scale_that_is_zero_or_not_finite_is_refused),
        cmocka_unit_test(a_scale_may_be_negative),
        cmocka_unit_test(a_master_weight_that_is_not_finite_is_refused_with_its_place),
        cmocka_unit_test(a_name_is_escaped_in_messages),
        cmocka_unit_test(blocks_with_different_scales_are_an_ordinary_matrix),
        cmocka_unit_test(blocks_of_zeros_may_have_any_finite_scale),
        cmocka_unit_test(a_tq_tensor_of_zeros_has_scale_1),
        cmocka_unit_test(damage_is_found_behind_a_different_scale),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
