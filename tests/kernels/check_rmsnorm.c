/* check_rmsnorm.c: tails, in place and not, and the formula in double. */
#include <math.h>
#include <string.h>

#include "check.h"

/* sum: n/16 + 4 additions of rounded squares, all positive, so their relative error bounds the
 * sum's; the square root halves it; then a division, eps, a root, a reciprocal and two products. */
static void check_definition(check *c, const float *y, const float *x, const float *w, int32_t n,
                             float eps) {
    double sum = 0.0;
    for (int32_t i = 0; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    double r = 1.0 / sqrt(sum / n + (double)eps), tolerance = ((n / 16 + 5) / 2.0 + 6) * CHECK_U;
    for (int32_t i = 0; i < n; i++) {
        double want = (double)x[i] * r * (double)w[i];
        if (!check_near(c, "y, by definition", (size_t)i, (double)y[i], want,
                        tolerance * fabs(want)))
            return;
    }
}

void check_rmsnorm(check *c, bitnet_rmsnorm_fn fn) {
    static const int32_t ns[] = {1, 2, 3, 5, 7, 8, 15, 16, 17, 31, 64, 100, 640, 2560, 6912};
    const float eps = 1e-5f;
    for (size_t i = 0; i < sizeof ns / sizeof ns[0]; i++)
        for (int f = 0; f < CHECK_N_FILLS; f++) {
            const size_t n = (size_t)ns[i];
            check_shape(c, "n=%d %s", (int)n, check_fill_name((check_fill)f));
            float *x = check_f32(c, n, (check_fill)f), *w = check_f32(c, n, CHECK_RANDOM);
            float *got = check_alloc(c, n * sizeof *got), *want = check_alloc(c, n * sizeof *want);
            fn(got, x, w, ns[i], eps);
            bitnet_rmsnorm_c(want, x, w, ns[i], eps);
            check_same(c, "y", CHECK_F32, got, want, n);
            if (f == CHECK_RANDOM) check_definition(c, got, x, w, ns[i], eps);
            memcpy(got, x, n * sizeof *got);
            fn(got, got, w, ns[i], eps);
            check_same(c, "y in place", CHECK_F32, got, want, n);
        }
}
