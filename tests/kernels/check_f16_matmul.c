/* check_f16_matmul.c: tails in all three sizes, products that underflow to denormals, and a bound
 * on the rounding error against double. */
#include <math.h>

#include "check.h"

static bitnet_f16_args make_args(check *c, int32_t n, int32_t k, int32_t m, check_fill f) {
    bitnet_f16_args a = {.n = n, .k = k, .m = m, .ldy = n + 3};
    a.w = check_f16(c, (size_t)n * (size_t)k, f);
    a.x = check_f32(c, (size_t)m * (size_t)k, f);
    a.y = check_alloc(c, (size_t)m * (size_t)a.ldy * sizeof(float));
    return a;
}

static void check_against_c(check *c, bitnet_f16_matmul_fn fn, int32_t n, int32_t k, int32_t m,
                            check_fill f) {
    check_shape(c, "n=%d k=%d m=%d %s", (int)n, (int)k, (int)m, check_fill_name(f));
    bitnet_f16_args got = make_args(c, n, k, m, f), want = got;
    const size_t len = (size_t)m * (size_t)got.ldy;
    want.y = check_alloc(c, len * sizeof(float));
    fn(&got);
    bitnet_f16_matmul_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, len);
}

static double f16_value(uint16_t h) { /* IEEE 754 binary16, finite */
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double mag = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h >> 15 ? -mag : mag;
}

/* Each product is rounded once, then passes at most k/16 + 4 rounded additions. */
static void check_definition(check *c, bitnet_f16_matmul_fn fn, int32_t k) {
    enum { N = 6, M = 2 };
    check_shape(c, "definition n=%d k=%d m=%d", N, (int)k, M);
    bitnet_f16_args a = make_args(c, N, k, M, CHECK_RANDOM);
    fn(&a);
    for (size_t t = 0; t < M; t++)
        for (size_t r = 0; r < N; r++) {
            double sum = 0.0, sum_abs = 0.0;
            for (size_t j = 0; j < (size_t)k; j++) {
                double p = f16_value(a.w[r * (size_t)k + j]) * (double)a.x[t * (size_t)k + j];
                sum += p;
                sum_abs += fabs(p);
            }
            size_t at = t * (size_t)a.ldy + r;
            check_near(c, "y, by definition", at, (double)a.y[at], sum,
                       (k / 16 + 6) * CHECK_U * sum_abs);
        }
}

void check_f16_matmul(check *c, bitnet_f16_matmul_fn fn) {
    static const int32_t ns[] = {0, 1, 2, 3, 5, 8, 17}, ms[] = {1, 2, 3, 4, 5, 8, 9};
    static const int32_t ks[] = {1, 7, 15, 16, 17, 64, 100, 250, 384, 1024};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (size_t l = 0; l < sizeof ms / sizeof ms[0]; l++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ks[j] <= 100)
                        check_against_c(c, fn, ns[i], ks[j], ms[l], (check_fill)f);
    check_against_c(c, fn, 1024, 2560, 1, CHECK_RANDOM);
    check_definition(c, fn, 5);
    check_definition(c, fn, 640);
}
