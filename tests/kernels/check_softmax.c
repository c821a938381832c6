/* check_softmax.c: lengths around the sixteen lanes, long rows, scores far apart, and the formula in
 * double. */
#include <math.h>

#include "check.h"

static void compare(check *c, bitnet_softmax_fn fn, int32_t n, check_fill f) {
    const size_t size = (size_t)n * sizeof(float);
    check_shape(c, "n=%d %s", (int)n, check_fill_name(f));
    float *got = check_f32(c, (size_t)n, f), *want = check_alloc(c, size);
    memcpy(want, got, size);
    /* random inputs reach 128: with a small scale many positions get weight, not only the best */
    const float scale = f == CHECK_RANDOM ? 0.03f : 1.0f / sqrtf(128.0f);
    float got_sum = fn(got, n, scale), want_sum = bitnet_softmax_c(want, n, scale);
    check_same(c, "p", CHECK_F32, got, want, (size_t)n);
    check_same(c, "the sum", CHECK_F32, &got_sum, &want_sum, 1);
}

/* Scaling rounds once and the subtraction once, of numbers up to `spread`; EXP adds 1 ulp = 2 U; a
 * lane takes n/16 roundings and the tree 4. */
static void check_definition(check *c, bitnet_softmax_fn fn, int32_t n) {
    check_shape(c, "definition n=%d", (int)n);
    const float scale = 0.03f;
    float *p = check_f32(c, (size_t)n, CHECK_RANDOM);
    double *score = check_alloc(c, (size_t)n * sizeof *score), max = -HUGE_VAL, sum = 0.0;
    double spread = 0.0;
    for (int32_t i = 0; i < n; i++) {
        score[i] = (double)p[i] * (double)scale;
        max = check_max(max, score[i]);
        spread = check_max(spread, fabs(score[i]));
    }
    const double relative = (4 * spread + 2) * CHECK_U, got_sum = (double)fn(p, n, scale);
    for (int32_t i = 0; i < n; i++) {
        const double want = exp(score[i] - max);
        sum += want;
        if (!check_near(c, "p, by definition", (size_t)i, (double)p[i], want, relative * want))
            return;
    }
    check_near(c, "the sum, by definition", 0, got_sum, sum,
               (relative + (n / 16 + 5) * CHECK_U) * sum);
}

void check_softmax(check *c, bitnet_softmax_fn fn) {
    static const int32_t lengths[] = {1, 2, 3, 5, 15, 16, 17, 31, 33, 100, 4096, 4099};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++)
        for (int f = 0; f < CHECK_N_FILLS; f++)
            compare(c, fn, lengths[i], (check_fill)f);
    check_definition(c, fn, 1);
    check_definition(c, fn, 37);
    check_definition(c, fn, 300);
}
