/* check_tern_matmul.c: every tail of rows and tokens, rows long enough to pass every widening,
 * inputs that reach the bounds of the narrow accumulators, scales of huge activations, and the sizes
 * of BitNet b1.58 2B4T. */
#include "check.h"

/* Weights in the rows of a whole group, n rounded up. */
static size_t n_codes(int32_t n, int32_t k) {
    return (size_t)((n + BITNET_ROW_GROUP - 1) / BITNET_ROW_GROUP * BITNET_ROW_GROUP) * (size_t)k;
}

static bitnet_tern_args make_args(check *c, int32_t n, int32_t k, int32_t m, check_fill f) {
    const size_t len = (size_t)m * (size_t)k;
    int8_t *xq = check_i8(c, len, f);
    float *s = check_alloc(c, (size_t)m * sizeof *s);
    int32_t *xsum = check_alloc(c, (size_t)m * sizeof *xsum);
    bitnet_tern_args a = {.xq = xq, .s = s, .xsum = xsum, .n = n, .k = k, .m = m};
    a.w = check_codes(c, n_codes(n, k), f);
    a.w_scale = 1.0f + check_unit(c) * 0.5f;
    for (int32_t t = 0; t < m; t++) {
        s[t] = 50.0f + 49.0f * check_unit(c);
        if (f == CHECK_MAX) s[t] *= 0x1p-126f; /* huge activations: their products are infinite */
        xsum[t] = 0;
        for (int32_t j = 0; j < k; j++)
            xsum[t] += xq[(size_t)t * (size_t)k + (size_t)j];
    }
    return a;
}

/* y with a gap after each token's row; the gap is compared too. */
static void check_against_c(check *c, bitnet_tern_matmul_fn fn, int32_t n, int32_t k, int32_t m,
                            check_fill f) {
    check_shape(c, "n=%d k=%d m=%d %s", (int)n, (int)k, (int)m, check_fill_name(f));
    bitnet_tern_args got = make_args(c, n, k, m, f), want;
    const size_t len = (size_t)m * (size_t)(n + 3);
    got.ldy = n + 3;
    want = got;
    got.y = check_alloc(c, len * sizeof(float));
    want.y = check_alloc(c, len * sizeof(float));
    fn(&got);
    bitnet_tern_matmul_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, len);
}

static int ternary(size_t i) {
    return (int)((i * i + i / 3) % 3) - 1;
}

/* The bits of weight j of row r, by the contract. */
static void put_weight(uint8_t *w, size_t k, size_t r, size_t j, int weight) {
    size_t at = r / 16 * (4 * k) + j / 16 * 64 + 4 * (r % 16) + j % 4, shift = 2 * (j % 16 / 4);
    w[at] = (uint8_t)((w[at] & ~(3u << shift)) | (unsigned)(weight + 1) << shift);
}

/* Weights made as -1, 0, 1, packed by the contract's rule, and summed in 64 bits. */
static void check_definition(check *c, bitnet_tern_matmul_fn fn) {
    enum { N = 21, K = 384, M = 3 };
    check_shape(c, "definition n=%d k=%d m=%d", N, K, M);
    bitnet_tern_args a = make_args(c, N, K, M, CHECK_RANDOM);
    uint8_t *w = check_codes(c, n_codes(N, K), CHECK_RANDOM);
    for (size_t i = 0; i < (size_t)N * K; i++)
        put_weight(w, K, i / K, i % K, ternary(i));
    a.w = w;
    a.ldy = N;
    a.y = check_alloc(c, sizeof(float) * N * M);
    fn(&a);
    for (size_t t = 0; t < M; t++)
        for (size_t r = 0; r < N; r++) {
            int64_t acc = 0;
            for (size_t j = 0; j < K; j++)
                acc += ternary(r * K + j) * a.xq[t * K + j];
            float want = (float)acc / a.s[t] * a.w_scale;
            check_same(c, "y, by definition", CHECK_F32, &a.y[t * N + r], &want, 1);
        }
}

/* formats page 1.10: the weights whose packed bytes in a file are these, and the activation vector */
static void check_published_vector(check *c, bitnet_tern_matmul_fn fn) {
    static const char hex[] = "26644448899991122226644448899991122226644448899991122226644448894448"
                              "899991122226644448899991122226644448899991122226644448899991";
    check_shape(c, "published vector");
    uint8_t file[64], *w = check_alloc(c, 4 * 256);
    float *x = check_alloc(c, 256 * sizeof *x), s, y = 0.0f;
    int8_t *xq = check_alloc(c, 256);
    int32_t xsum;
    for (size_t i = 0; i < 128; i++) {
        unsigned digit = (unsigned)(hex[i] - '0');
        file[i / 2] = (uint8_t)(i % 2 ? file[i / 2] | digit : digit << 4);
    }
    bitnet_tern_pack(w, file, 1, 256);
    for (int i = 0; i < 256; i++)
        x[i] = (float)(29 * i % 101 - 50) / 16.0f;
    bitnet_act_quant_c(xq, &s, &xsum, x, 256);
    bitnet_tern_args a = {&y, 1, w, xq, &s, &xsum, 0.5f, 1, 256, 1};
    fn(&a);
    float want = 6.74212599f; /* sum t*q = 548, s = 40.6399994 */
    check_same(c, "y", CHECK_F32, &y, &want, 1);
}

/* Rows in layout A, bit by bit, and the group they must become; missing rows are zeros. */
static void check_pack(check *c, int32_t n_rows) {
    enum { K = 384 };
    check_shape(c, "packing %d rows", (int)n_rows);
    uint8_t *rows = check_alloc(c, (size_t)n_rows * K / 4), *got = check_alloc(c, 4 * K);
    uint8_t *want = check_alloc(c, 4 * K);
    for (size_t r = 0; r < BITNET_ROW_GROUP; r++)
        for (size_t j = 0; j < K; j++) {
            const int weight = (int)r < n_rows ? (int)check_below(c, 3) - 1 : 0;
            const size_t shift = 6 - 2 * (j % 128 / 32);
            put_weight(want, K, r, j, weight);
            if ((int)r >= n_rows) continue;
            uint8_t *at = &rows[r * K / 4 + j / 128 * 32 + j % 32];
            *at = (uint8_t)((*at & ~(3u << shift)) | (unsigned)(weight + 1) << shift);
        }
    bitnet_tern_pack(got, rows, n_rows, K);
    check_same(c, "group", CHECK_I8, got, want, 4 * K);
}

void check_tern_matmul(check *c, bitnet_tern_matmul_fn fn) {
    static const int32_t ns[] = {0, 1, 5, 8, 15, 16, 17, 33, 64, 81};
    static const int32_t ms[] = {1, 2, 3, 4, 5, 8, 13, 16, 17, 32, 50};
    static const int32_t ks[] = {128, 256, 384, 1024, 1152, 2560};
    static const struct { int32_t n, k; } real[] = {{2560, 2560}, {6912, 2560}, {2560, 6912}};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (size_t l = 0; l < sizeof ms / sizeof ms[0]; l++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ns[i] == 17)
                        check_against_c(c, fn, ns[i], ks[j], ms[l], (check_fill)f);
    for (size_t i = 0; i < sizeof real / sizeof real[0] && fn != bitnet_tern_matmul_c; i++)
        check_against_c(c, fn, real[i].n, real[i].k, 5, i ? CHECK_RANDOM : CHECK_MIN);
    check_definition(c, fn);
    check_published_vector(c, fn);
    for (int32_t n_rows = 1; n_rows <= BITNET_ROW_GROUP; n_rows += 5)
        check_pack(c, n_rows);
}
