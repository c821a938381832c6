/* check_attn_mix.c: head sizes in use and their tails, few and many positions and queries, rows that
 * lie apart, a sum that goes on in a second call, and the formula in double. */
#include <math.h>

#include "check.h"

enum { GAP = 3 }; /* floats behind each row of p and y */

static bitnet_attn_mix_args make_args(check *c, int32_t head_dim, int32_t n_pos, int32_t m,
                                      check_fill f) {
    bitnet_attn_mix_args a = {.n_pos = n_pos, .head_dim = head_dim, .m = m};
    const size_t rows = (size_t)m;
    a.ldp = n_pos + GAP, a.ldy = head_dim + GAP;
    a.p = check_f32(c, rows * (size_t)a.ldp, f);
    a.v = check_f32(c, (size_t)n_pos * (size_t)head_dim, f == CHECK_ZERO ? CHECK_RANDOM : f);
    a.y = check_f32(c, rows * (size_t)a.ldy, CHECK_RANDOM);
    return a;
}

static void compare(check *c, bitnet_attn_mix_fn fn, bitnet_attn_mix_args got) {
    bitnet_attn_mix_args want = got;
    const size_t len = (size_t)got.m * (size_t)got.ldy;
    want.y = check_alloc(c, len * sizeof(float));
    memcpy(want.y, got.y, len * sizeof(float));
    fn(&got);
    bitnet_attn_mix_c(&want);
    check_same(c, "y", CHECK_F32, got.y, want.y, len);
}

/* n positions at once, and the same in two calls */
static void check_parts(check *c, bitnet_attn_mix_fn fn) {
    check_shape(c, "in two calls");
    bitnet_attn_mix_args whole = make_args(c, 80, 37, 3, CHECK_RANDOM), part = whole;
    const size_t len = (size_t)whole.m * (size_t)whole.ldy;
    part.y = check_alloc(c, len * sizeof(float));
    memcpy(part.y, whole.y, len * sizeof(float));
    fn(&whole);
    part.n_pos = 20;
    fn(&part);
    part.p += 20, part.v += 20 * part.head_dim, part.n_pos = 17;
    fn(&part);
    check_same(c, "y", CHECK_F32, part.y, whole.y, len);
}

/* Each of n_pos additions rounds once, and so does each product. */
static void check_definition(check *c, bitnet_attn_mix_fn fn) {
    check_shape(c, "definition");
    bitnet_attn_mix_args a = make_args(c, 100, 300, 2, CHECK_RANDOM);
    const size_t len = (size_t)a.m * (size_t)a.ldy;
    float *before = check_alloc(c, len * sizeof(float));
    memcpy(before, a.y, len * sizeof(float));
    fn(&a);
    for (int32_t t = 0; t < a.m; t++)
        for (int32_t d = 0; d < a.head_dim; d++) {
            const size_t at = (size_t)t * (size_t)a.ldy + (size_t)d;
            double want = (double)before[at], want_abs = fabs(want);
            for (int32_t i = 0; i < a.n_pos; i++) {
                double part = (double)a.p[t * a.ldp + i] * (double)a.v[i * a.head_dim + d];
                want += part;
                want_abs += fabs(part);
            }
            if (!check_near(c, "y, by definition", at, (double)a.y[at], want,
                            (a.n_pos + 1) * CHECK_U * want_abs))
                return;
        }
}

void check_attn_mix(check *c, bitnet_attn_mix_fn fn) {
    static const int32_t dims[] = {1, 7, 16, 64, 80, 96, 100, 128, 256},
                         lengths[] = {0, 1, 2, 3, 17};
    static const int32_t ms[] = {1, 2, 3, 4, 5, 9};
    for (size_t i = 0; i < sizeof dims / sizeof dims[0]; i++)
        for (size_t j = 0; j < sizeof lengths / sizeof lengths[0]; j++)
            for (size_t l = 0; l < sizeof ms / sizeof ms[0]; l++)
                for (int f = 0; f < CHECK_N_FILLS; f++) {
                    check_shape(c, "D=%d n_pos=%d m=%d %s", (int)dims[i], (int)lengths[j],
                                (int)ms[l], check_fill_name((check_fill)f));
                    compare(c, fn, make_args(c, dims[i], lengths[j], ms[l], (check_fill)f));
                }
    check_shape(c, "D=128 n_pos=512 m=16");
    compare(c, fn, make_args(c, 128, 512, 16, CHECK_RANDOM));
    check_parts(c, fn);
    check_definition(c, fn);
}
