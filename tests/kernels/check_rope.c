/* check_rope.c: each pair is rotated by its angle, the rest of a head stays. */
#include <math.h>
#include <string.h>

#include "check.h"

static void check_one(check *c, bitnet_rope_fn fn, int32_t n_head, int32_t head_dim, int32_t n_rot,
                      check_fill f) {
    const size_t len = (size_t)(n_head * head_dim), half = (size_t)n_rot / 2;
    check_shape(c, "H=%d D=%d n_rot=%d %s", (int)n_head, (int)head_dim, (int)n_rot,
                check_fill_name(f));
    float *x = check_f32(c, len, f), *got = check_alloc(c, len * sizeof *got);
    float *want = check_alloc(c, len * sizeof *want);
    float *cosine = check_alloc(c, half * sizeof *cosine),
          *sine = check_alloc(c, half * sizeof *sine);
    for (size_t i = 0; i < half; i++) {
        double angle = (double)i * 0.7 + 0.1;
        cosine[i] = (float)cos(angle);
        sine[i] = (float)sin(angle);
    }
    memcpy(got, x, len * sizeof *got);
    memcpy(want, x, len * sizeof *want);
    fn(got, cosine, sine, n_head, head_dim, n_rot);
    bitnet_rope_c(want, cosine, sine, n_head, head_dim, n_rot);
    check_same(c, "x", CHECK_F32, got, want, len);
    for (size_t i = 0; i < len; i++) { /* two products and a sum: three roundings */
        size_t d = i % (size_t)head_dim, pair = d % half;
        if (d >= (size_t)n_rot) {
            check_same(c, "unrotated x", CHECK_F32, &got[i], &x[i], 1);
            continue;
        }
        double a = (double)x[i - d + pair], b = (double)x[i - d + pair + half];
        double co = (double)cosine[pair], si = (double)sine[pair];
        double y = d < half ? a * co - b * si : a * si + b * co;
        double mag = fabs(a * co) + fabs(b * si) + fabs(a * si) + fabs(b * co);
        check_near(c, "x, by definition", i, (double)got[i], y, 3 * CHECK_U * mag + 0x1p-148);
    }
}

void check_rope(check *c, bitnet_rope_fn fn) {
    for (int f = 0; f < CHECK_N_FILLS; f++) {
        check_one(c, fn, 1, 2, 2, (check_fill)f);
        check_one(c, fn, 3, 64, 64, (check_fill)f);
        check_one(c, fn, 2, 100, 100, (check_fill)f);
        check_one(c, fn, 5, 128, 96, (check_fill)f);
    }
}
