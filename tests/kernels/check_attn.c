/* check_attn.c: head sizes in use and their tails, short and long histories, a cache whose rows lie
 * apart, and the formula in double. */
#include <math.h>

#include "check.h"

static bitnet_attn_args make_args(check *c, int32_t head_dim, int32_t n_pos, check_fill f) {
    bitnet_attn_args a = {.n_pos = n_pos, .head_dim = head_dim, .stride = head_dim + 8};
    const size_t len = (size_t)n_pos * (size_t)a.stride;
    a.q = check_f32(c, (size_t)head_dim, f);
    a.k = check_f32(c, len, f == CHECK_MAX || f == CHECK_MIN ? CHECK_RANDOM : f);
    a.v = check_f32(c, len, f == CHECK_ZERO ? CHECK_RANDOM : f);
    /* random inputs reach 128: with a small scale many positions get weight, not only the best */
    a.scale = (f == CHECK_RANDOM ? 1e-3f : 1.0f) / sqrtf((float)head_dim);
    a.p = check_alloc(c, (size_t)n_pos * sizeof(float));
    a.y = check_alloc(c, (size_t)head_dim * sizeof(float));
    return a;
}

static void compare(check *c, bitnet_attn_fn fn, bitnet_attn_args got) {
    bitnet_attn_args want = got;
    want.p = check_alloc(c, (size_t)got.n_pos * sizeof(float));
    want.y = check_alloc(c, (size_t)got.head_dim * sizeof(float));
    fn(&got);
    bitnet_attn_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, (size_t)got.head_dim);
}

/* A score is off by at most (D/16 + 6) U sum|q k| scale, which is the relative error that EXP makes
 * of it; twice, for the largest score is off too; EXP adds 1 ulp = 2 U, the subtraction 1 U of the
 * difference, the sums n_pos + 5 roundings each, numerator and denominator alike. */
static void check_definition(check *c, bitnet_attn_fn fn, int32_t head_dim, int32_t n_pos) {
    check_shape(c, "definition D=%d n_pos=%d", (int)head_dim, (int)n_pos);
    bitnet_attn_args a = make_args(c, head_dim, n_pos, CHECK_RANDOM);
    double *score = check_alloc(c, (size_t)n_pos * sizeof *score), max = -HUGE_VAL;
    double worst = 0.0, spread = 0.0, sum = 0.0;
    fn(&a);
    for (int32_t t = 0; t < n_pos; t++) {
        double dot = 0.0, dot_abs = 0.0;
        for (int32_t d = 0; d < head_dim; d++) {
            double product = (double)a.q[d] * (double)a.k[t * a.stride + d];
            dot += product;
            dot_abs += fabs(product);
        }
        score[t] = dot * (double)a.scale;
        worst = fmax(worst, (head_dim / 16 + 6) * CHECK_U * dot_abs * (double)a.scale);
        max = fmax(max, score[t]);
    }
    for (int32_t t = 0; t < n_pos; t++) {
        spread = fmax(spread, fmin(max - score[t], 87.0));
        sum += exp(score[t] - max);
    }
    double relative = 2 * (2 * worst + (2 + spread + n_pos + 5) * CHECK_U);
    for (int32_t d = 0; d < head_dim; d++) {
        double want = 0.0, want_abs = 0.0;
        for (int32_t t = 0; t < n_pos; t++) {
            double part = exp(score[t] - max) / sum * (double)a.v[t * a.stride + d];
            want += part;
            want_abs += fabs(part);
        }
        if (!check_near(c, "y, by definition", (size_t)d, (double)a.y[d], want,
                        relative * want_abs))
            return;
    }
}

void check_attn(check *c, bitnet_attn_fn fn) {
    static const int32_t dims[] = {1, 7, 16, 64, 80, 96, 100, 128, 256};
    static const int32_t lengths[] = {1, 2, 3, 5, 16, 17, 33, 100};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
            for (int f = 0; f < CHECK_N_FILLS; f++) {
                check_shape(c, "D=%d n_pos=%d %s", (int)dims[i], (int)lengths[j],
                            check_fill_name((check_fill)f));
                compare(c, fn, make_args(c, dims[i], lengths[j], (check_fill)f));
            }
    check_shape(c, "D=128 n_pos=4096 random");
    compare(c, fn, make_args(c, 128, 4096, CHECK_RANDOM));
    check_definition(c, fn, 100, 1);
    check_definition(c, fn, 100, 37);
    check_definition(c, fn, 128, 300);
}
