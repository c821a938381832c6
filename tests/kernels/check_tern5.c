/* check_tern5.c: five codes a byte: all 243 bytes in every place of a vector, against digits found by
 * division; products against those of the same weights in 2 bits, every tail of rows and of k, sums
 * that wrap.
 */
#include "check.h"

/* Codes of a group's field q, that is of weights 4 q .. 4 q + 3 of each row: from the 2-bit form, and by
 * division from the other one. */
static unsigned code2(const uint8_t *group, int q, int i) {
    return group[q / 4 * 64 + i] >> q % 4 * 2 & 3;
}

static unsigned code5(const uint8_t *group5, int q, int i) {
    static const unsigned powers[] = {81, 27, 9, 3, 1};
    unsigned v =
        group5[q / 5 * 64 + i] * 243u / 256; /* ceil(256 v / 243) is at most 242 / 243 more */
    return v / powers[q % 5] % 3;
}

/* ---- tern5_unpack ----------------------------------------------------------------------------------
 */

static void check_groups(check *c, bitnet_tern5_unpack_fn fn, int32_t n, int32_t k, int first) {
    check_shape(c, "%d groups, k=%d, bytes from %d", (int)n, (int)k, first);
    const size_t size5 = bitnet_tern5_group_size(k), size = (size_t)k * 4;
    uint8_t *groups5 = check_alloc(c, size5 * (size_t)n), *again = check_alloc(c, size5);
    uint8_t *got = check_alloc(c, size * (size_t)n);
    int n_wrong = 0;
    for (size_t i = 0; i < size5 * (size_t)n; i++)
        groups5[i] = (uint8_t)(((i + (size_t)first) % 243 * 256 + 242) / 243);
    fn(got, groups5, n, k);
    for (int32_t g = 0; g < n; g++)
        for (int q = 0; q < k / 4; q++)
            for (int i = 0; i < 64; i++)
                n_wrong +=
                    code2(got + (size_t)g * size, q, i) != code5(groups5 + (size_t)g * size5, q, i);
    check_true(c, n_wrong == 0, "%d codes are not the byte's digits", n_wrong);
    if (n > 0) bitnet_tern5_pack(again, got, k);
    if (k % 20 == 0 && n > 0) check_same(c, "packed again", CHECK_I8, again, groups5, size5);
}

/* What the last vector has behind the weights: weights of 0. */
static void check_filling(check *c) {
    enum { K = 128, N_FIELDS = 32, N_FIELDS_5 = 35 };
    check_shape(c, "packing k=%d", K);
    uint8_t *group = check_codes(c, 16 * K, CHECK_RANDOM);
    uint8_t *group5 = check_alloc(c, bitnet_tern5_group_size(K));
    int n_wrong = 0;
    bitnet_tern5_pack(group5, group, K);
    for (int q = 0; q < N_FIELDS_5; q++)
        for (int i = 0; i < 64; i++)
            n_wrong += code5(group5, q, i) != (q < N_FIELDS ? code2(group, q, i) : 1);
    check_true(c, n_wrong == 0, "%d codes are wrong", n_wrong);
}

void check_tern5_unpack(check *c, bitnet_tern5_unpack_fn fn) {
    static const int32_t ks[] = {128, 256, 384, 512, 640, 2560, 6912};
    for (int first = 0; first < 243; first++)
        check_groups(c, fn, 1, 640, first);
    for (size_t i = 0; i < sizeof ks / sizeof *ks; i++)
        for (int32_t n = 0; n <= 3; n++)
            check_groups(c, fn, n, ks[i], (int)check_below(c, 243));
    check_filling(c);
}

/* ---- tern5_matvec ----------------------------------------------------------------------------------
 */

static void check_against_2_bit(check *c, bitnet_tern5_matvec_fn fn, int32_t n, int32_t k,
                                int32_t m, check_fill f) {
    check_shape(c, "n=%d k=%d m=%d %s", (int)n, (int)k, (int)m, check_fill_name(f));
    const size_t n_groups = ((size_t)n + 15) / 16, size = (size_t)k * 4;
    const size_t size5 = bitnet_tern5_group_size(k), n_x = (size_t)k * (size_t)m;
    const size_t n_y = (size_t)m * (size_t)(n + 3);
    uint8_t *w = check_codes(c, n_groups * 16 * (size_t)k, f);
    uint8_t *w5 = check_alloc(c, n_groups * size5);
    int8_t *xq = check_i8(c, n_x, f);
    float s[BITNET_TERN5_MAX_TOKENS];
    int32_t xsum[BITNET_TERN5_MAX_TOKENS] = {0};
    if (f == CHECK_ZERO) memset(w, 0, n_groups * size), memset(xq, -127, n_x);
    for (int32_t t = 0; t < m; t++) {
        s[t] = f == CHECK_MAX ? 0x1p-126f : 50.0f + 49.0f * check_unit(c);
        for (int32_t j = 0; j < k; j++)
            xsum[t] += xq[t * k + j];
    }
    for (size_t g = 0; g < n_groups; g++)
        bitnet_tern5_pack(w5 + g * size5, w + g * size, k);
    bitnet_tern_args want = {.ldy = n + 3, .w = w, .xq = xq, .s = s, .xsum = xsum, .n = n, .k = k};
    want.w_scale = 1.0f + check_unit(c) * 0.5f;
    want.m = m;
    bitnet_tern_args got = want;
    got.w = w5;
    want.y = check_alloc(c, n_y * sizeof(float));
    got.y = check_alloc(c, n_y * sizeof(float));
    fn(&got);
    bitnet_tern_matmul_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, n_y);
}

void check_tern5_matvec(check *c, bitnet_tern5_matvec_fn fn) {
    static const int32_t ns[] = {0, 1, 5, 8, 15, 16, 17, 32, 33, 48, 49, 64, 81, 113};
    static const int32_t ks[] = {128, 256, 384, 512, 640, 2560};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (int32_t m = 1; m <= BITNET_TERN5_MAX_TOKENS; m++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ns[i] == 17)
                        check_against_2_bit(c, fn, ns[i], ks[j], m, (check_fill)f);
    check_against_2_bit(c, fn, 81, 6912, 1, CHECK_RANDOM);
    check_against_2_bit(c, fn, 16, BITNET_TERN5_MAX_K, 2, CHECK_ZERO);
    check_against_2_bit(c, fn, 16, BITNET_TERN5_MAX_K, 1, CHECK_MAX);
    check_against_2_bit(c, fn, 16, BITNET_TERN5_MAX_K, 1, CHECK_MIN);
    check_against_2_bit(c, fn, 2560, 2560, 1, CHECK_RANDOM);
}
