/* check_dense_matmul.c: f16_matmul and f32_matmul: tails in all three sizes, products that underflow to
 * denormals, and a bound on the rounding error against double.
 */
#include <math.h>

#include "check.h"

/* Both slots have one contract; this is one of them. */
typedef struct dense {
    bitnet_f16_matmul_fn fn, reference;
    bool is_f16;
} dense;

static bitnet_dense_args make_args(check *c, const dense *d, const int32_t nkm[3], check_fill f) {
    bitnet_dense_args a = {.n = nkm[0], .k = nkm[1], .m = nkm[2], .ldy = nkm[0] + 3};
    size_t n_w = (size_t)a.n * (size_t)a.k;
    a.w = d->is_f16 ? (const void *)check_f16(c, n_w, f) : check_f32(c, n_w, f);
    /* two huge factors would give infinities, whose differences are NaN */
    bool is_huge = !d->is_f16 && (f == CHECK_MAX || f == CHECK_MIN);
    a.x = check_f32(c, (size_t)a.m * (size_t)a.k, is_huge ? CHECK_RANDOM : f);
    a.y = check_alloc(c, (size_t)a.m * (size_t)a.ldy * sizeof(float));
    return a;
}

static void check_against_c(check *c, const dense *d, const int32_t nkm[3], check_fill f) {
    check_shape(c, "n=%d k=%d m=%d %s", (int)nkm[0], (int)nkm[1], (int)nkm[2], check_fill_name(f));
    bitnet_dense_args got = make_args(c, d, nkm, f), want = got;
    const size_t len = (size_t)got.m * (size_t)got.ldy;
    want.y = check_alloc(c, len * sizeof(float));
    d->fn(&got);
    d->reference(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, len);
}

static double f16_value(uint16_t h) { /* IEEE 754 binary16, finite */
    int exponent = h >> 10 & 31, fraction = h & 1023;
    double mag = exponent ? ldexp(1024 + fraction, exponent - 25) : ldexp(fraction, -24);
    return h >> 15 ? -mag : mag;
}

static double weight_value(const dense *d, const void *w, size_t i) {
    return d->is_f16 ? f16_value(((const uint16_t *)w)[i]) : (double)((const float *)w)[i];
}

/* Each product is rounded once, then passes at most k/16 + 4 rounded additions. */
static void check_definition(check *c, const dense *d, int32_t k) {
    enum { N = 6, M = 2 };
    check_shape(c, "definition n=%d k=%d m=%d", N, (int)k, M);
    bitnet_dense_args a = make_args(c, d, (const int32_t[3]){N, k, M}, CHECK_RANDOM);
    d->fn(&a);
    for (size_t t = 0; t < M; t++)
        for (size_t r = 0; r < N; r++) {
            double sum = 0.0, sum_abs = 0.0;
            for (size_t j = 0; j < (size_t)k; j++) {
                double p = weight_value(d, a.w, r * (size_t)k + j) * (double)a.x[t * (size_t)k + j];
                sum += p;
                sum_abs += fabs(p);
            }
            size_t at = t * (size_t)a.ldy + r;
            check_near(c, "y, by definition", at, (double)a.y[at], sum,
                       (k / 16 + 6) * CHECK_U * sum_abs);
        }
}

static void check_dense(check *c, const dense *d) {
    static const int32_t ns[] = {0, 1, 2, 3, 5, 8, 17}, ms[] = {1, 2, 3, 4, 5, 8, 9};
    static const int32_t ks[] = {1, 7, 15, 16, 17, 64, 100, 250, 384, 1024};
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (size_t j = 0; j < sizeof ks / sizeof ks[0]; j++)
            for (size_t l = 0; l < sizeof ms / sizeof ms[0]; l++)
                for (int f = 0; f < CHECK_N_FILLS; f++)
                    if (f == CHECK_RANDOM || ks[j] <= 100)
                        check_against_c(c, d, (const int32_t[3]){ns[i], ks[j], ms[l]},
                                        (check_fill)f);
    check_against_c(c, d, (const int32_t[3]){512, 2560, 1}, CHECK_RANDOM);
    check_definition(c, d, 5);
    check_definition(c, d, 640);
}

void check_f16_matmul(check *c, bitnet_f16_matmul_fn fn) {
    check_dense(c, &(dense){fn, bitnet_f16_matmul_c, true});
}

void check_f32_matmul(check *c, bitnet_f32_matmul_fn fn) {
    check_dense(c, &(dense){fn, bitnet_f32_matmul_c, false});
}
